"""The command line of a lesson: its options, its folder, and what ends it early."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, NoReturn

from minigrad import backend, data, printing, progress, resources
from minigrad.checks import positive_int
from minigrad.files import cause
from minigrad.jupyter import in_notebook
from minigrad.lesson.folder import AnotherRunError, Folder, differences, identity
from minigrad.lesson.lesson import Lesson, word_for


class _InNotebook(argparse.ArgumentParser):
    """In a notebook a wrong option must not end the kernel's process: it is an error."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise ValueError(message or "these options end the lesson: leave out --help")


def options_parser(
    slug: str, doc: str | None, kind: type[argparse.ArgumentParser] = argparse.ArgumentParser
) -> argparse.ArgumentParser:
    """The options that every lesson takes."""
    parser = kind(
        prog=f"minigrad run {word_for(slug)}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    sets = ("auto", "mnist", "digits")  # what a lesson expects to see is for these
    add("--data", choices=sets, default="auto", help="auto: MNIST if on disk, else digits")
    add("--backend", choices=backend.NAMES, help="where to compute (default: MINIGRAD_BACKEND)")
    add("--seed", type=_integer(0), default=0, help="of every random choice (default 0)")
    add("--epochs", type=_integer(1), help="passes over the data, where the lesson trains")
    add("--quick", action="store_true", help="a few seconds, for a first look")
    add("--full", action="store_true", help="the long version, where the lesson has one")
    add("--out", help="folder for figures and results.json (default results/<lesson>)")
    add("--resume", action="store_true", help="go on with a run that was interrupted or killed")
    add("--show", action="store_true", help="open the figures in windows, some with sliders")
    return parser


def _integer(least: int) -> Any:
    def integer(text: str) -> int:
        try:
            return positive_int("value", int(text), least)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected an integer >= {least}") from error

    return integer


def start(
    slug: str, doc: str | None = None, argv: list[str] | None = None, on_host: bool = False
) -> Lesson:
    """Read the options from the command line and make the lesson.

    argv     the options, ["--quick"]. None: those of the command line; in a notebook the defaults.
             There an option that makes no sense is a ValueError
    on_host  the lesson works in NumPy by hand. It stays on the CPU, whatever --backend says
    """
    notebook = in_notebook()
    script = argv is None and not notebook
    if argv is None:
        argv = [] if notebook else sys.argv[1:]
    printing.guard()
    parser = options_parser(slug, doc, _InNotebook if notebook else argparse.ArgumentParser)
    options = parser.parse_args(argv)
    try:
        if options.backend is not None:
            backend.use(options.backend)
        if backend.name() != "numpy" and on_host:
            print(f"{slug} works by hand, in NumPy: it stays on the CPU")
            backend.use("numpy")
    except (backend.BackendError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    if notebook:
        progress.bars(True)  # before another library imports them, with a warning
    if not (options.show or notebook):
        import matplotlib

        matplotlib.use("Agg")
    out = Path(options.out or Path("results") / slug)
    try:
        _claim(out, slug)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: argument --out: {error}\n")
    file = Path(sys._getframe(1).f_code.co_filename)  # the caller's
    run = identity(slug, options, file)
    folder = None
    if not notebook and (options.resume or not options.quick):
        folder = Folder(out, run)
        try:
            _begin(folder, options, slug)
        except (OSError, AnotherRunError) as error:
            parser.exit(2, f"{parser.prog}: error: {error}\n")
    lesson = Lesson(slug, options, notebook, run, folder)
    ours = (resources.folder("lessons").resolve(), resources.folder("lessons/cases").resolve())
    if file.parent.resolve() not in ours:  # a lesson of your own
        lesson.program = ["python", str(file)]
    if not notebook:
        sys.excepthook = _interruptible(lesson)
        if script:
            _end_on_sigterm(lesson)
    return lesson


def _begin(folder: Folder, options: argparse.Namespace, slug: str) -> None:
    """Go on with the run in the folder, or begin one. With --resume, exit if it is done already."""
    if not options.resume:
        before = folder.begin()
        if before is not None:
            other = differences(before, folder.run)
            why = "; ".join(other) if other else "--resume would have gone on with it"
            print(f"{slug}: begins anew, the interrupted run that was here is removed ({why})")
        return
    if folder.go_on():
        print(f"{slug}: goes on with the interrupted run in {folder.out}")
        return
    done = _finished(folder, options)
    if done is not None:
        print(f"{slug}: done already; results in {folder.out}")
        sys.exit(done)
    folder.begin()


def _finished(folder: Folder, options: argparse.Namespace) -> int | None:
    """The exit status of the run whose results are there. None: none, or not the same run."""
    try:
        results = json.loads((folder.out / "results.json").read_text(encoding="utf-8"))
        asked = results["options"]["data"]
        mnist = results["data"].startswith("MNIST")
        unmet = [e for e in results["expectations"] if not e["met"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if results.get("interrupted") or results.get("run") != folder.run or asked != options.data:
        return None
    if asked == "auto" and results["data"] and mnist != (data.mnist.find() is not None):
        return None
    return 1 if unmet else 0


def _claim(out: Path, slug: str) -> None:
    """Make the folder and try it before any training; it must not hold another lesson's results."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OSError(
            f"cannot write to the folder {out} ({cause(error)}); name one that you may write "
            f"to, as in --out {Path(tempfile.gettempdir()) / slug}"
        ) from error
    results = out / "results.json"
    try:
        found = str(json.loads(results.read_text(encoding="utf-8"))["lesson"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        raise ValueError(f"{results} is no lesson's; choose another folder") from None
    if found != slug:
        raise ValueError(f"{out} holds the results of {found:.50}; choose another folder")


def _interruptible(lesson: Lesson) -> Any:
    """A sys.excepthook: after Ctrl-C it writes what was measured and prints no traceback."""

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            printing.hook(kind, error, trace)
            if lesson.folder is not None and issubclass(kind, Exception):
                print(f"\n{lesson.command()}   goes on from before the error", file=sys.stderr)
            return
        try:
            lesson.interrupt()
        except OSError as fault:  # Ctrl-C ends what the output is piped to, too
            printing.hook(type(fault), fault, fault.__traceback__)
        if lesson.terminated:
            lesson.end()

    return hook


def _end_on_sigterm(lesson: Lesson) -> None:
    """SIGTERM ends the lesson as Ctrl-C does: what was measured is written."""
    process = os.getpid()

    def terminate(number: int, frame: Any) -> None:
        if os.getpid() != process:  # a process that was forked: it has nothing to write
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        lesson.terminated = True
        if callable(signal.getsignal(signal.SIGINT)):
            signal.raise_signal(signal.SIGINT)  # fit lets it wait until a step is whole
        else:
            raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminate)
