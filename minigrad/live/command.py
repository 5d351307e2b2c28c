"""`minigrad live`: the page in a browser."""

from __future__ import annotations

import argparse
import socket

from minigrad.live.settings import LaneSettings, Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `minigrad live`."""
    parser.description = "Learning rules race in a browser, from the same weights and batches."
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    import uvicorn

    from minigrad.live.server import Server

    settings = Settings(lanes=(LaneSettings("backprop"), LaneSettings("forward", 0.01)))
    server = Server(settings)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    print(f"http://127.0.0.1:{port}/?token={server.token}", flush=True)
    config = uvicorn.Config(server.app, log_level="warning", ws_max_size=1 << 20)
    uvicorn.Server(config).run(sockets=[listening])
    return 130
