"""The command `minigrad`: list and run lessons, copy exercises, check a layer, get the data."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import minigrad
from minigrad import backend, printing, resources, threads
from minigrad.blanks import command as build_command
from minigrad.compare import command as compare_command
from minigrad.data.known import command as data_command
from minigrad.data.known import mnist
from minigrad.files import cause, creating
from minigrad.gradcheck import command
from minigrad.live import command as live_command
from minigrad.notebooks import command as notebooks_command
from minigrad.scripts import CASES, PROJECTS, choose, lessons


def list_lessons() -> int:
    """One line for each lesson, with its usual time."""
    found = lessons()
    width = max((len(lesson.title) for lesson in found), default=0)
    print(f"minigrad {minigrad.__version__}: see how networks learn\n")
    for lesson in found:
        print(f"  {lesson.title:{width}}  {lesson.time}")
    cases = {case.path.stem: case.title for case in lessons(CASES)}
    projects = {project.path.stem[3:]: project.title for project in lessons(PROJECTS)}
    width = max(map(len, [*cases, *projects]), default=0)
    for heading, scripts in (
        ("case studies, of what published programs got wrong", cases),
        ("projects, with data of your own or without", projects),
    ):
        print(f"\n{heading}:\n")
        for name, title in scripts.items():
            print(f"  {name:{width}}  {title}")
    print(
        "\nminigrad run 05          runs a lesson (--help says its options)"
        "\nminigrad run all --quick runs all of them, in a minute and a half"
        "\nminigrad run regression my.csv price   runs a project with your file"
        "\nminigrad exercise 05     copies a lesson's exercises to my_05.py, to be filled in"
        "\nminigrad build start mylib  takes the bodies out of the library's classes: fill them in"
        "\nminigrad check FILE:NAME --input 4,3   checks the gradients of your own layer"
        "\nminigrad data mnist      downloads MNIST (--help lists other data sets)"
    )
    return 0


def exercise(which: str, solution: bool = False) -> int:
    """Copy a lesson's exercises to my_05.py, or the answers to solution_05.py; never overwrite."""
    try:
        (lesson,) = choose(which)
        folder = "lessons/solutions" if solution else "lessons/exercises"
        text = resources.find(folder, lesson.path.name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # no such lesson; or of resources.find
        return _fail(str(error))
    copy = Path(f"{'solution' if solution else 'my'}_{lesson.number}.py")
    try:
        with creating(copy) as file:
            file.write(text.encode())
    except FileExistsError:
        return _fail(f"{copy} is here already and stays as it is; rename it to get a fresh copy")
    except OSError as error:
        return _fail(
            f"cannot write {copy} ({cause(error)}): change to a folder that you may write to"
        )
    todo = "run it" if solution else "fill in what says TODO(you) and run it"
    print(f"{copy}: {'answers to the ' if solution else ''}exercises of lesson {lesson.title}")
    print(f"{todo}: python {copy}")
    return 0


def run(which: str, options: list[str]) -> int:
    """Run one lesson, or "all", each in a process of its own; the exit status is the worst one."""
    try:
        chosen = choose(which, everything=True)
    except ValueError as error:
        return _fail(str(error))
    if len(chosen) > 1:
        splitter = argparse.ArgumentParser(
            f"minigrad run {which}", add_help=False, allow_abbrev=False
        )
        splitter.add_argument("--out")
        found, rest = splitter.parse_known_args(options)
        out = found.out
    else:
        out = None  # the lesson reads it
    if {"-h", "--help"} & set(options):
        chosen = chosen[:1]  # all lessons have the same options
    rows = []
    worst = 0
    for i, lesson in enumerate(chosen):
        if out is not None:  # a folder in --out for each lesson
            options = [*rest, "--out", str(Path(out) / lesson.path.stem)]
        if len(chosen) > 1:
            print(f"\n=== {lesson.title} ({i + 1} of {len(chosen)}) ===", flush=True)
        started = time.perf_counter()
        status = _run_script(lesson.path, options)
        rows.append((lesson.title, status, time.perf_counter() - started))
        worst = max(worst, status)
        if status in (2, 130, printing.CLOSED):  # a wrong option, Ctrl-C, `| head`: all end alike
            break
    if len(chosen) > 1:
        width = max(len(title) for title, _, _ in rows)
        print()
        for title, status, seconds in rows:
            verdict = {0: "ok", 130: "interrupted"}.get(status, "FAILED")
            print(f"{title:{width}}  {seconds:6.1f} s  {verdict}")
        failed = sum(status != 0 for _, status, _ in rows)
        print(f"{len(rows) - failed} of {len(chosen)} lessons ran as expected")
    return worst


def _run_script(path: Path, options: list[str]) -> int:
    """Run a script and return its exit status. Ctrl-C reaches the script too, which ends itself."""
    script = subprocess.Popen([sys.executable, str(path), *options], env=resources.environment())
    while True:
        try:
            status = script.wait()
        except KeyboardInterrupt:
            continue
        return 130 if status == -signal.SIGINT else abs(status)


def _fail(message: str) -> int:
    print(f"minigrad: {message}", file=sys.stderr)
    return 2


DOES = {
    "build": build_command.run,
    "check": command.check,
    "compare": compare_command.run,
    "data": data_command.run,
    "live": live_command.run,
    "notebooks": notebooks_command.run,
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="minigrad",
        description="See how networks learn: run lessons, do their exercises, check your layers.",
        epilog="`minigrad COMMAND --help` says more about a command. Exit status: 0 well, 1 a "
        "lesson or a check failed, 2 wrong usage, or a file cannot be written, 130 Ctrl-C, 141 "
        "nobody reads the output any more (as after `| head`).",
    )
    top.add_argument("--version", action="version", version=f"minigrad {minigrad.__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    def add(name: str, help: str, description: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=help, description=description)

    add(
        "list",
        "list the lessons (as without a command)",
        "List the lessons with the time that each takes.",
    )
    one = add(
        "run",
        "run a lesson, or all of them",
        "Run a lesson. It prints what it measures, and writes figures and results.json to "
        "results/<lesson>. Exit status 1 when a measurement is not as the lesson states.",
    )
    one.add_argument("lesson", help="its number or name, or 'all', or the name of a project")
    one.add_argument(
        "options", nargs="*", help="options of the lesson; `minigrad run 05 --help` lists them"
    )
    copy = add(
        "exercise",
        "copy a lesson's exercises into the current folder",
        "Copy the exercises of a lesson to my_05.py in the current folder. Fill in what says "
        "TODO(you) and run the file: it says which answers are right. A file that is there "
        "already is never overwritten.",
    )
    copy.add_argument("lesson", help="the lesson's number or name")
    copy.add_argument("--solution", action="store_true", help="copy the answers to solution_05.py")
    build_command.add_arguments(add("build", "build the library yourself, class by class", ""))
    command.add_arguments(add("check", "check the gradients of your own layer", ""))
    compare_command.add_arguments(add("compare", "compare learning rules, and write a report", ""))
    data_command.add_arguments(add("data", "download a data set", ""))
    notebooks_command.add_arguments(add("notebooks", "write the lessons as notebooks", ""))
    live_command.add_arguments(add("live", "watch learning rules race, in a browser", ""))
    return top


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0 well, 1 a failure, 2 wrong usage or a file that cannot be written, 130 after Ctrl-C, 141 when
    nobody reads the output any more: `minigrad list | head -1`.
    """
    printing.show_names()
    try:
        try:
            return _main(sys.argv[1:] if argv is None else argv)
        finally:
            printing.flush()
    except KeyboardInterrupt:
        print("minigrad: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        status = printing.ended(error, "minigrad")
        if status is None:
            raise
        return status


def _main(argv: list[str]) -> int:
    try:
        threads.threads()  # MINIGRAD_THREADS may be no number
        if argv[:1] == ["run"]:
            _check_environment(argv)
    except ValueError as error:
        return _fail(str(error))
    if argv[:1] == ["run"] and argv[1:2] not in (["-h"], ["--help"]):
        if len(argv) == 1 or argv[1].startswith("-"):
            return _fail(f"name the lesson first, as in: minigrad run 05 {' '.join(argv[1:])}")
        return run(argv[1], argv[2:])  # the lesson reads its options itself
    arguments = parser().parse_args(argv)
    try:
        if arguments.command in DOES:
            return DOES[arguments.command](arguments)
        if arguments.command == "exercise":
            return exercise(arguments.lesson, arguments.solution)
    except backend.BackendError as error:
        return _fail(str(error))
    return list_lessons()


def _check_environment(options: list[str]) -> None:
    """ValueError for variables that every lesson would stumble over."""
    named = os.environ.get("MINIGRAD_BACKEND") or "numpy"
    if named not in backend.NAMES and not any(o.startswith("--backend") for o in options):
        backend.current()
    mnist.folders()
