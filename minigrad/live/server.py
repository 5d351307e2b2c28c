"""The server of the page: files, and one websocket for each tab."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import secrets
import socket
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from minigrad import resources
from minigrad.live import protocol
from minigrad.live.catalogue import hello, joined
from minigrad.live.settings import Settings
from minigrad.live.tabs import Tab
from minigrad.live.worker import Worker

PAGE = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".json": "application/json",
    ".txt": "text/plain",
}
TABS = 12  # at most; each gets its own frames
UNKNOWN, TOO_MANY = 4403, 4429  # close codes; the page says what they mean


class Server:
    """One race, and all tabs that look at it.

    token  whoever opens the page must know it. It is in the address that the command prints
    port   where it is served: part of the cookie's name, since all ports of a host share cookies
    hosts  names under which the server is asked for; None: any address of this computer
    """

    def __init__(self, settings: Settings, port: int, hosts: frozenset[str] | None = None):
        self.token = secrets.token_urlsafe(24)
        self.cookie = f"minigrad-live-{port}"
        self.port = port
        self.hosts = hosts
        self._names = {"localhost", socket.gethostname().lower()}
        self.orders = joined()
        self.tabs: set[Tab] = set()
        self.times: deque[float] = deque(maxlen=4096)  # seconds of the last handlers
        self._described: tuple[tuple[int, int], str] = ((0, 0), "")
        self._hello = protocol.write(hello())
        self._loop: asyncio.AbstractEventLoop | None = None
        self.worker = Worker(settings, self._changed)
        self.worker.watch(False)
        # What orders do beside the training, one by one: Matplotlib draws in one thread
        self.beside = ThreadPoolExecutor(1, "minigrad live, beside")
        routes = [
            Route("/", self._index),
            Route("/favicon.ico", self._icon),
            Route("/page/{name:path}", self._file),
            Route("/lessons/{name}", self._lesson),
            WebSocketRoute("/socket", self._socket),
        ]
        self.app = Guard(Starlette(routes=routes), self.known_host)
        self.worker.start()

    def close(self) -> None:
        """Train no more. What is being saved is ended, and what waits for it is not begun."""
        self.beside.shutdown(wait=False, cancel_futures=True)
        self.worker.end()
        self.worker.join(timeout=2)

    # ------------------------------------------------------------------ who may ask

    def known_host(self, given: str) -> bool:
        """Whether a Host header names this server: a page elsewhere whose name was made to lead
        here (DNS rebinding) sends its own name."""
        name, _, port = given.rpartition(":") if not given.endswith("]") else (given, "", "80")
        if not name:
            name, port = given, "80"
        if port != str(self.port):
            return False
        name = name.strip("[]").lower()
        if self.hosts is not None:
            return name in self.hosts
        return is_address(name) or name in self._names

    def _knows(self, request: HTTPConnection) -> bool:
        given = request.query_params.get("token") or request.cookies.get(self.cookie) or ""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    # ------------------------------------------------------------------ files

    async def _index(self, request: Request) -> Response:
        if not self._knows(request):
            return refusal()
        answer = Response((PAGE / "index.html").read_bytes(), media_type="text/html")
        answer.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
        return answer

    async def _icon(self, request: Request) -> Response:
        return self._answer(request, "icon.svg")

    async def _file(self, request: Request) -> Response:
        return self._answer(request, request.path_params["name"])

    def _answer(self, request: Request, name: str) -> Response:
        """A file of the page. Only names of files that are there: no path leads out of it."""
        if not self._knows(request):
            return refusal()
        files = {path.relative_to(PAGE).as_posix(): path for path in PAGE.rglob("*.*")}
        if name not in files or files[name].suffix not in TYPES:
            return PlainTextResponse("not found", 404)
        return Response(files[name].read_bytes(), media_type=TYPES[files[name].suffix])

    async def _lesson(self, request: Request) -> Response:
        """A lesson as text. Only names of lessons that are there."""
        if not self._knows(request):
            return refusal()
        lessons = {path.name: path for path in resources.files("lessons")}
        path = lessons.get(request.path_params["name"])
        if path is None:
            return PlainTextResponse("not found", 404)
        return PlainTextResponse(path.read_bytes())

    # ------------------------------------------------------------------ tabs

    async def _socket(self, socket: WebSocket) -> None:
        self._loop = asyncio.get_running_loop()
        host, origin = socket.headers.get("host"), socket.headers.get("origin")
        if origin not in (f"http://{host}", f"https://{host}"):
            await socket.close(UNKNOWN)  # a page of another server
            return
        await socket.accept()
        if not self._knows(socket):
            await socket.close(UNKNOWN, "the token is missing or another one")
            return
        if len(self.tabs) >= TABS:
            await socket.close(TOO_MANY, f"{TABS} tabs are open; close one of them")
            return
        tab = Tab(self, socket)
        self.tabs.add(tab)
        self._came_or_went()
        try:
            await tab.serve()
        finally:
            self.tabs.discard(tab)
            self._came_or_went(tab)

    def looked(self, layer: str | None) -> Callable[[Worker], None]:
        """An order: what all tabs show together, and the layer that one of them has chosen."""
        show = self._show()
        return lambda worker: worker.set_show(show, layer)

    def _show(self) -> frozenset[str]:
        return frozenset[str]().union(*(tab.cursor.show for tab in self.tabs))

    def _came_or_went(self, gone: Tab | None = None) -> None:
        """Somebody watches, or nobody: then the race pauses."""
        watched = bool(self.tabs)
        self.worker.call(lambda worker: worker.watch(watched))
        if gone is not None and gone.cursor.show:
            layers = [tab.cursor.layer for tab in self.tabs]
            show = self._show()
            self.worker.call(lambda worker: worker.set_show(show, worker.one_of(layers)))

    def _changed(self) -> None:
        """Called by the worker's thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        for tab in self.tabs:
            tab.news.set()

    def race_text(self) -> tuple[tuple[int, int], str]:
        """Number and edition of the race that runs, and the message "race"."""
        race = self.worker.race
        now = race.number, race.edition
        if self._described[0] != now:
            self._described = now, protocol.write(race.described())
        return self._described

    def hello_text(self) -> str:
        return self._hello

    def took(self, seconds: float) -> None:
        """A handler has worked for so long."""
        self.times.append(seconds)


class Guard:
    """Refuses a wrong Host header, and adds what a browser must know of every answer."""

    def __init__(self, app: ASGIApp, known: Callable[[str], bool]):
        self.app = app
        self.known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        host = Headers(scope=scope).get("host", "")
        if not self.known(host):
            if scope["type"] == "http":
                await PlainTextResponse("unknown host", 400)(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": UNKNOWN})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [
                    (name.lower().encode(), value.encode()) for name, value in headers(host).items()
                ]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        await self.app(scope, receive, with_headers)


def headers(host: str) -> dict[str, str]:
    """Of every answer: nothing of another server, nothing kept, nobody is told the address."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        f"connect-src 'self' ws://{host}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def refusal() -> Response:
    return PlainTextResponse(
        "This page needs the address that `minigrad live` printed, with its token. "
        "Open that address; this browser then remembers it.",
        403,
    )


def is_address(name: str) -> bool:
    """Whether a name is an IP address. Such a name cannot be made to lead elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
