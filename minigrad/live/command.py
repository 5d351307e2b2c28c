"""`minigrad live`: the page in a browser."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from minigrad import backend, threads
from minigrad.files import cause

if TYPE_CHECKING:  # whoever asks for --help waits for nothing
    from minigrad.live.settings import Settings

HOME = "127.0.0.1"
STEPS = 2000  # of a recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `minigrad live`."""
    parser.description = (
        "Learning rules race in a browser: each lane is a network that one rule trains, and all "
        "start from the same weights and get the same batches. The page is served on this "
        "computer alone, and asks nothing of the network. Ctrl-C ends it. With --record nothing "
        "is served: a race is trained and kept in one HTML file, which replays it."
    )
    add = parser.add_argument
    add(
        "address",
        nargs="?",
        metavar="ADDRESS",
        help="a race, as the page's address says it after the #: 'data=moons&hidden=8,8', or the "
        "whole address",
    )
    add("--preset", metavar="NAME", help="a race of the page's list, such as five-ways")
    add("--data", metavar="NAME", help="digits, mnist, moons, spirals, circles, xor")
    add("--seed", type=int, default=None, metavar="N", help="of weights, batches and rules")
    add("--record", type=Path, metavar="FILE", help="write a race to this file, race.html")
    add("--steps", type=int, metavar="N", help=f"of the recorded race (default {STEPS})")
    add("--port", type=int, default=0, metavar="N", help="(default: any free one)")
    add(
        "--host",
        default=HOME,
        metavar="ADDRESS",
        help="serve other computers, too: 0.0.0.0, or an address of this one. Whoever learns the "
        "address of the page can steer the race (default: this computer alone)",
    )
    add("--no-browser", action="store_true", help="only print the address of the page")
    add(
        "--threads",
        type=int,
        default=None,
        metavar="N",
        help="that train (default: MINIGRAD_THREADS, or 1)",
    )
    add("--backend", choices=backend.NAMES, default=None, help="where it trains (default numpy)")


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C: 130. Or record a race: 0. 2 for wrong usage."""
    try:
        return _run(arguments)
    except (ValueError, OSError, ImportError) as error:
        print(f"minigrad live: {error}", file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace) -> int:
    if arguments.steps is not None and arguments.record is None:
        raise ValueError("--steps is for a recording: give --record race.html, too")
    if arguments.backend is not None:
        backend.use(arguments.backend)
    if arguments.threads is not None or not os.environ.get("MINIGRAD_THREADS"):
        # The browser needs the other cores.
        threads.set_threads(1 if arguments.threads is None else arguments.threads)
    settings = chosen(arguments)
    if arguments.record is not None:
        return _record(settings, arguments.record, arguments.steps)
    _need_server()
    with _listen(arguments.host, arguments.port) as listening:
        return _serve(settings, listening, arguments)


def chosen(arguments: argparse.Namespace) -> Settings:
    """The race that the command names."""
    from dataclasses import replace

    from minigrad.live.presets import PRESETS, preset
    from minigrad.live.settings import Settings

    if arguments.preset is not None and arguments.address is not None:
        raise ValueError("give --preset or an address of a race, not both")
    if arguments.address is not None:
        _, _, text = arguments.address.rpartition("#")
        settings = Settings.from_text(text)
    else:
        settings = preset(next(iter(PRESETS)) if arguments.preset is None else arguments.preset)
    named = {"data": arguments.data, "seed": arguments.seed}
    return replace(settings, **{name: value for name, value in named.items() if value is not None})


def _record(settings: Settings, path: Path, steps: int | None) -> int:
    """Write a recording, and say where it is."""
    from minigrad.live import record

    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--record writes a page: name the file {path.with_suffix('.html')}")
    if path.is_dir():  # it could not be replaced, and that is known before the training
        raise ValueError(f"--record {path}: a folder of that name is there")
    try:
        record.write(path, settings, STEPS if steps is None else steps)
    except OSError as error:
        raise OSError(f"cannot write {path}: {cause(error)}") from None
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB. Open it in a browser; it needs no server.")
    return 0


def _need_server() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"the page needs a small server, and {error.name} is missing: "
            'pip install "minigrad[live]"'
        ) from None


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens. OSError in a sentence with what to do."""
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be from 0 to 65535 (0: any free one), got {port}")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (socket.gaierror, UnicodeError):  # UnicodeError: no name can be written so
        raise OSError(f"--host {host} is no address of this computer") from None
    except OSError as error:
        advice = "leave out --port to get a free one" if port else "leave out --host"
        raise OSError(f"cannot serve on {host}:{port}: {error.strerror}; {advice}") from None


def _serve(settings: Settings, listening: socket.socket, arguments: argparse.Namespace) -> int:
    from minigrad.live.server import Server
    from minigrad.live.serving import serve

    host, port = listening.getsockname()[:2]
    elsewhere = not host.startswith("127.") and host != "::1"
    server = Server(settings, port, None if elsewhere else frozenset({host, "localhost", HOME}))
    named = HOME if host == "0.0.0.0" else "::1" if host == "::" else host
    address = f"http://{f'[{named}]' if ':' in named else named}:{port}/?token={server.token}"
    if elsewhere:
        print(
            f"minigrad live: --host {arguments.host}: other computers can reach this page. Whoever "
            "has its address, with the token, can steer the race and make this computer work. The "
            "address and what is shown travel unencrypted. Use it in a network that you trust.",
            file=sys.stderr,
        )
    print(f"{address}\nThe page is there until Ctrl-C.", flush=True)
    if not arguments.no_browser:
        threading.Thread(target=open_browser, args=(address,), daemon=True).start()
    serve(server, listening)
    return 130


def open_browser(address: str) -> None:
    """Open the page in a browser with a window. One in this terminal would be in the way."""
    import webbrowser

    try:
        browser = webbrowser.get()
        found = type(browser) is not webbrowser.GenericBrowser
        if found:
            browser.open(address)  # what it returns is no sign: xdg-open ends at once
    except (webbrowser.Error, OSError):
        found = False
    if not found:
        print("No browser could be opened: open this address in one.", file=sys.stderr, flush=True)
