"""A page that is open somewhere: it gives orders, and gets a frame when it has drawn the last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from minigrad.live import protocol
from minigrad.live.frames import Cursor
from minigrad.live.orders import Order
from minigrad.live.protocol import Message

PENDING = 32  # orders of a tab that wait for their reply, at most
MESSAGES = 300  # messages of a tab in a second; it reads no more of them before the next one
SHOW: dict[str, Callable[[Any], Any]] = {
    "views": protocol.words,
    "layer": lambda value: None if value is None else protocol.word(value),
}

if TYPE_CHECKING:  # the server imports this file
    from typing import Protocol

    from minigrad.live.worker import Worker

    class Home(Protocol):
        """What a tab needs of the server."""

        worker: Worker
        orders: dict[str, Order]

        def revise(self) -> None: ...

        def race_text(self) -> tuple[int, str]: ...
        def hello_text(self) -> str: ...
        def looked(self) -> None: ...
        def took(self, seconds: float) -> None: ...


class Tab:
    """One websocket. `serve()` returns when the page is closed."""

    def __init__(self, server: Home, socket: WebSocket):
        self.server = server
        self.socket = socket
        self.cursor = Cursor()
        self.news = asyncio.Event()  # something has changed since the last frame
        self.news.set()
        self._ready = asyncio.Event()  # the page has drawn the last frame
        self._ready.set()
        self._waiting: set[asyncio.Task[None]] = set()
        self._second = (0, 0)

    async def serve(self) -> None:
        sending = asyncio.create_task(self._send_frames())
        try:
            await self.socket.send_text(self.server.hello_text())
            while True:
                message = await self.socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                begun = time.perf_counter()
                await self._obey(message.get("text"))
                self.server.took(time.perf_counter() - begun)
                await self._slowly()
        except (WebSocketDisconnect, RuntimeError, OSError):
            return  # it is gone
        finally:
            for task in (sending, *self._waiting):
                task.cancel()
            await asyncio.gather(sending, *self._waiting, return_exceptions=True)

    async def _slowly(self) -> None:
        """Wait for the next second where a page says too much in this one."""
        now = time.monotonic()
        second, said = self._second
        self._second = (second, said + 1) if int(now) == second else (int(now), 1)
        if self._second[1] >= MESSAGES:
            await asyncio.sleep(1 - now % 1)

    async def _send_frames(self) -> None:
        """A frame when there is news and the page has drawn the last one. No frame waits."""
        try:
            while True:
                await self._ready.wait()
                await self.news.wait()
                self.news.clear()
                begun = time.perf_counter()
                worker, cursor = self.server.worker, self.cursor
                race = worker.race
                revision, text = self.server.race_text()
                if race.number != cursor.race:
                    cursor.begin(race)
                    cursor.revision = -1
                if revision != cursor.revision:
                    cursor.revision = revision
                    await self.socket.send_text(text)
                frame = cursor.frame(race)
                frame |= {"playing": worker.playing, "speed": worker.speed}
                self._ready.clear()
                said = protocol.write(frame)
                self.server.took(time.perf_counter() - begun)
                await self.socket.send_text(said)
        except (WebSocketDisconnect, RuntimeError, OSError):
            return

    async def _obey(self, text: str | None) -> None:
        """A message of the page. Each but "ready" is answered."""
        number = None
        try:
            if text is None:
                raise ValueError("a message must be text, JSON; bytes came")
            message = protocol.read(text)
            number = message.number
            if message.name == "ready":
                self._ready.set()
            elif message.name == "show":
                self._show(message)
                await self._reply(number, {"result": None})
            else:
                self._order(message)
        except ValueError as error:
            await self._reply(number, {"error": str(error)})

    def _show(self, message: Message) -> None:
        given = {"layer": None, **message.fields}
        fields = protocol.checked("show", given, SHOW)
        self.cursor.look(frozenset(fields["views"]), fields["layer"])
        self.server.looked()
        self.news.set()

    def _order(self, message: Message) -> None:
        """Hand an order to the worker. The reply is sent when it is done; the tab goes on."""
        order = self.server.orders.get(message.name)
        if order is None:
            known = ", ".join(sorted({*self.server.orders, "ready", "show"}))
            raise ValueError(f"there is no order {message.name!r:.40}; there are {known}")
        if len(self._waiting) >= PENDING:
            raise ValueError(f"{PENDING} orders wait for their reply; wait for one of them")
        fields = protocol.checked(message.name, message.fields, order.fields)
        if not self.server.worker.is_alive():
            raise ValueError("the training has ended; start minigrad live again")
        called = self.server.worker.call(lambda worker: order.act(worker, **fields))
        task = asyncio.create_task(self._done(message, order, asyncio.wrap_future(called)))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _done(self, message: Message, order: Order, called: asyncio.Future[Any]) -> None:
        try:
            found = await asyncio.shield(called)  # a closed tab takes no order back
            if order.changes:
                self.server.revise()
            if order.then is not None:
                found = await asyncio.to_thread(order.then, found)
            reply = {"result": found}
        except ValueError as error:
            reply = {"error": str(error)}
        except Exception as error:  # a fault of ours: the page says it, and the race goes on
            reply = {"error": f"{message.name!r} failed: {type(error).__name__}: {error}"}
        await self._reply(message.number, reply)

    async def _reply(self, number: int | None, reply: dict[str, Any]) -> None:
        try:
            await self.socket.send_text(protocol.write({"kind": "reply", "to": number} | reply))
        except (WebSocketDisconnect, RuntimeError, OSError):
            return
