"""The command `minigrad`: list and run the lessons, check a layer, get the data."""

from __future__ import annotations

import argparse
import ast
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import minigrad
from minigrad import backend, resources
from minigrad.data import mnist
from minigrad.gradcheck import command


class LessonFile(NamedTuple):
    """A lesson script and what the first lines of its docstring say."""

    path: Path
    title: str
    time: str

    @property
    def number(self) -> str:
        return self.path.name[:2]


def lessons() -> list[LessonFile]:
    """The lesson scripts, in order: lessons/NN_slug.py."""
    return [_read(path) for path in resources.files("lessons") if path.match("[0-9][0-9]_*.py")]


def _read(path: Path) -> LessonFile:
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem
    lines = doc.splitlines()
    usual = next((line[5:].strip() for line in lines if line.startswith("Time:")), "")
    return LessonFile(path, lines[0].rstrip("."), usual)


def list_lessons() -> int:
    """One line for each lesson, with its usual time."""
    found = lessons()
    width = max((len(lesson.title) for lesson in found), default=0)
    print(f"minigrad {minigrad.__version__}: see how networks learn\n")
    for lesson in found:
        print(f"  {lesson.title:{width}}  {lesson.time}")
    print(
        "\nminigrad run 03          runs a lesson (--help says its options)"
        "\nminigrad run all --quick runs all of them, in seconds"
        "\nminigrad check FILE:NAME --input 4,3   checks the gradients of your own layer"
        "\nminigrad data mnist      downloads MNIST"
    )
    return 0


def run(which: str, options: list[str]) -> int:
    """Run one lesson, or "all", each in a process of its own; the exit status is the worst one."""
    found = lessons()
    chosen = [
        lesson
        for lesson in found
        if which in ("all", lesson.number, lesson.path.stem, lesson.path.stem[3:])
        or (which.isdigit() and int(which) == int(lesson.number))
    ]
    if not chosen:
        names = ", ".join(lesson.path.stem for lesson in found)
        return _fail(f"no lesson {which!r}; there are {names} and 'all'")
    splitter = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    splitter.add_argument("--out")
    out, rest = splitter.parse_known_args(options)
    rows, worst = [], 0
    for i, lesson in enumerate(chosen):
        if len(chosen) > 1 and out.out is not None:  # a folder in it for each
            options = [*rest, "--out", str(Path(out.out) / lesson.path.stem)]
        if len(chosen) > 1:
            print(f"\n=== {lesson.title} ({i + 1} of {len(chosen)}) ===", flush=True)
        started = time.perf_counter()
        status = _run_script(lesson.path, options)
        rows.append((lesson.title, status, time.perf_counter() - started))
        worst = max(worst, status)
        if status in (2, 130):  # a wrong option, or Ctrl-C: the next ones would fare the same
            break
    if len(chosen) > 1:
        width = max(len(title) for title, _, _ in rows)
        print()
        for title, status, seconds in rows:
            print(f"{title:{width}}  {seconds:6.1f} s  {'ok' if status == 0 else 'FAILED'}")
        failed = sum(status != 0 for _, status, _ in rows)
        print(f"{len(rows) - failed} of {len(chosen)} lessons ran as expected")
    return worst


def _run_script(path: Path, options: list[str]) -> int:
    """The script's exit status. Ctrl-C reaches the script too, and is the script's to handle."""
    script = subprocess.Popen([sys.executable, str(path), *options])
    while True:
        try:
            status = script.wait()
        except KeyboardInterrupt:
            continue
        return 130 if status == -signal.SIGINT else abs(status)


def get_data(name: str, root: str | None) -> int:
    """Download MNIST to `root` or the user's cache, and say where it is."""
    if name != "mnist":
        return _fail(f"unknown data set {name!r}: only mnist is downloaded; digits are built in")
    try:
        folder = mnist.find() if root is None else None  # what is there already will do
        folder = folder or mnist.download(root)
        for split in ("train", "test"):
            images, _ = mnist.load(folder, split)
            print(f"MNIST, {split}: {len(images):,} images, checked, in {folder}")
    except (OSError, ValueError) as error:
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    print(f"minigrad: {message}", file=sys.stderr)
    return 2


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="minigrad", description=minigrad.__doc__)
    top.add_argument("--version", action="version", version=f"minigrad {minigrad.__version__}")
    commands = top.add_subparsers(dest="command", metavar="command")
    commands.add_parser("list", help="list the lessons (as without a command)")
    one = commands.add_parser("run", help="run a lesson, or all of them")
    one.add_argument("lesson", help="its number or name, or 'all'")
    one.add_argument("options", nargs="*", help="the lesson's: see minigrad run 03 --help")
    check = commands.add_parser("check", help="check the gradients of your own layer")
    command.add_arguments(check)
    get = commands.add_parser("data", help="download a data set")
    get.add_argument("name", help="mnist")
    get.add_argument("--root", help="where to put it (default: the user's cache)")
    return top


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 well, 1 a failure, 2 wrong usage)."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["run"] and argv[1:2] not in (["-h"], ["--help"]):
        if len(argv) == 1 or argv[1].startswith("-"):
            return _fail(f"name the lesson first, as in: minigrad run 03 {' '.join(argv[1:])}")
        return run(argv[1], argv[2:])  # its options are the lesson's to read
    arguments = parser().parse_args(argv)
    try:
        if arguments.command == "check":
            return command.check(arguments)
        if arguments.command == "data":
            return get_data(arguments.name, arguments.root)
    except backend.BackendError as error:
        return _fail(str(error))
    return list_lessons()
