"""The server of the page: files, and one websocket for each tab."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from minigrad.live.orders import ORDERS
from minigrad.live.race import NOTHING
from minigrad.live.settings import Settings
from minigrad.live.worker import Worker

PAGE = Path(__file__).parent / "page"


class Server:
    """One race, and all tabs that look at it.

    token  whoever opens the page must know it. It is in the address that the command prints
    """

    def __init__(self, settings: Settings):
        self.token = secrets.token_urlsafe(16)
        self.worker = Worker(settings, self._changed)
        self.version = 0
        self._news = asyncio.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.app = Starlette(
            routes=[
                Route("/", self._index),
                Route("/page/{name:path}", self._file),
                WebSocketRoute("/socket", self._socket),
            ]
        )
        self.worker.start()

    def _changed(self) -> None:
        """Called by the worker's thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self._tell()))

    async def _tell(self) -> None:
        async with self._news:
            self.version += 1
            self._news.notify_all()

    def _knows(self, request: HTTPConnection) -> bool:
        given = request.query_params.get("token") or request.cookies.get("minigrad") or ""
        return hmac.compare_digest(given.encode(), self.token.encode())

    async def _index(self, request: Request) -> Response:
        if not self._knows(request):
            return PlainTextResponse("open the address that `minigrad live` printed", 403)
        answer = FileResponse(PAGE / "index.html")
        answer.set_cookie("minigrad", self.token, httponly=True, samesite="strict")
        return answer

    async def _file(self, request: Request) -> Response:
        path = (PAGE / request.path_params["name"]).resolve()
        if not self._knows(request) or PAGE not in path.parents or not path.is_file():
            return PlainTextResponse("not found", 404)
        return FileResponse(path)

    async def _socket(self, socket: WebSocket) -> None:
        self._loop = asyncio.get_running_loop()
        if not self._knows(socket):
            await socket.close(4403)
            return
        await socket.accept()
        tab = _Tab(self, socket)
        sending = asyncio.create_task(tab.send_frames())
        try:
            while True:
                await tab.obey(json.loads(await socket.receive_text()))
        except WebSocketDisconnect:
            pass
        finally:
            sending.cancel()


class _Tab:
    """A page that is open somewhere."""

    def __init__(self, server: Server, socket: WebSocket):
        self.server = server
        self.socket = socket
        self.ready = asyncio.Event()
        self.ready.set()
        self.race = (0, 0)  # number and edition of the race that the page knows
        self.known = NOTHING  # what it has of that race

    async def _say(self, message: dict[str, Any]) -> None:
        await self.socket.send_text(json.dumps(message))

    async def send_frames(self) -> None:
        """A frame when there is news and the page has drawn the last one."""
        worker = self.server.worker
        seen = -1
        while True:
            await self.ready.wait()
            async with self.server._news:
                while self.server.version == seen:
                    await self.server._news.wait()
                seen = self.server.version
            race = worker.race
            if (race.number, race.edition) != self.race:
                self.race = race.number, race.edition
                await self._say(race.described())
            frame, self.known = worker.frame(self.known)
            self.ready.clear()
            await self._say(frame)

    async def obey(self, message: dict[str, Any]) -> None:
        """A message of the page: {"do": name, "id": n, ...}. Each but "ready" is answered."""
        if message["do"] == "ready":
            self.ready.set()
            return
        try:
            order = ORDERS[message["do"]]
            fields = {name: check(message[name]) for name, check in order.fields.items()}
            called = self.server.worker.call(lambda worker: order.act(worker, **fields))
            found = await asyncio.wrap_future(called)
            await self._say({"kind": "reply", "to": message["id"], "result": found})
        except (KeyError, ValueError, TypeError) as error:
            await self._say({"kind": "reply", "to": message.get("id"), "error": str(error)})
