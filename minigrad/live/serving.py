"""The server runs until Ctrl-C."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn

from minigrad.live.protocol import LONGEST
from minigrad.live.server import Server

# How long the thread that trains may keep Python's lock while the server wants it. Python's own
# 5 ms make a handler wait several times as long.
SWITCH = 0.0005


def serve(server: Server, listening: socket.socket) -> None:
    """Answer what comes to this socket. Ctrl-C ends it at once, whoever is connected."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        UntilCtrlC(config(server)).run(sockets=[listening])
    finally:
        sys.setswitchinterval(before)
        server.close()


def config(server: Server) -> uvicorn.Config:
    return uvicorn.Config(
        server.app,
        log_level="critical",
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="websockets-sansio",  # the newer of its two ways to use websockets
        ws_max_size=LONGEST,
        ws_per_message_deflate=False,
    )


class UntilCtrlC(uvicorn.Server):
    """uvicorn's server; it waits for no connection when it ends."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        def end(number: int, frame: FrameType | None) -> None:
            self.should_exit = self.force_exit = True

        before = None
        with suppress(ValueError):  # not the main thread: there are no signals
            before = signal.signal(signal.SIGINT, end)
        try:
            yield
        finally:
            if before is not None:
                signal.signal(signal.SIGINT, before)
