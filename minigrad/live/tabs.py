"""A page that is open somewhere: it gives orders, and gets a frame when it has drawn the last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from minigrad.live import protocol
from minigrad.live.frames import Cursor
from minigrad.live.orders import Order
from minigrad.live.protocol import Message
from minigrad.live.worker import VIEWS, Worker

FRAMES = 18  # of a tab in a second, at most: drawing them takes time from the training
PENDING = 32  # orders of a tab that wait for their reply, at most
MESSAGES = 300  # messages of a tab in a second; it reads no more of them before the next one


def views(value: Any) -> tuple[str, ...]:
    """Names of views."""
    found = protocol.words(value)
    if unknown := [name for name in found if name not in VIEWS]:
        raise ValueError(f"views are {', '.join(VIEWS)}, got {unknown[0]!r}")
    return found


SHOW: dict[str, Callable[[Any], Any]] = {
    "views": views,
    "layer": lambda value: None if value is None else protocol.word(value),
}


class Home(Protocol):
    """What a tab needs of the server."""

    worker: Worker
    orders: dict[str, Order]
    beside: ThreadPoolExecutor

    def race_text(self) -> tuple[tuple[int, int], str]: ...
    def hello_text(self) -> str: ...
    def looked(self, layer: str | None) -> Callable[[Worker], None]: ...
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
        due = 0.0
        try:
            while True:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await self._ready.wait()
                await self.news.wait()
                self.news.clear()
                due = time.monotonic() + 1 / FRAMES
                begun = time.perf_counter()
                # A race may begin between these two lines. Then the page has its message, and
                # passes over a frame of the race before it.
                said = protocol.write(self.cursor.frame(self.server.worker))
                race, described = self.server.race_text()
                self._ready.clear()
                self.server.took(time.perf_counter() - begun)
                if race != self.cursor.race:
                    self.cursor.race = race
                    await self.socket.send_text(described)
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
            else:
                self._order(message)
        except ValueError as error:
            await self._reply(number, {"error": str(error)})

    def _show(self, message: Message) -> None:
        """The tab shows other views, and perhaps another layer."""
        fields = protocol.checked("show", {"layer": None, **message.fields}, SHOW)
        self.cursor.look(frozenset(fields["views"]), fields["layer"])
        self._start(message, self.server.looked(fields["layer"]))

    def _order(self, message: Message) -> None:
        """Hand an order to the worker. The reply is sent when it is done; the tab goes on."""
        order = self.server.orders.get(message.name)
        if order is None:
            known = ", ".join(sorted({*self.server.orders, "ready", "show"}))
            raise ValueError(f"there is no order {message.name!r:.40}; there are {known}")
        fields = protocol.checked(message.name, message.fields, order.fields)
        self._start(message, lambda worker: order.act(worker, **fields), order.then)

    def _start(
        self,
        message: Message,
        act: Callable[[Worker], Any],
        then: Callable[[Any], Any] | None = None,
    ) -> None:
        if len(self._waiting) >= PENDING:
            raise ValueError(f"{PENDING} orders wait for their reply; wait for one of them")
        called = asyncio.wrap_future(self.server.worker.call(act))
        called.add_done_callback(_seen)
        task = asyncio.create_task(self._done(message, called, then))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _done(
        self,
        message: Message,
        called: asyncio.Future[Any],
        then: Callable[[Any], Any] | None,
    ) -> None:
        try:
            found = await asyncio.shield(called)  # a closed tab takes no order back
            if then is not None:
                loop = asyncio.get_running_loop()
                found = await loop.run_in_executor(self.server.beside, then, found)
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


def _seen(called: asyncio.Future[Any]) -> None:
    """A page that has gone hears of no error, and asyncio writes none to the terminal."""
    if not called.cancelled():
        called.exception()
