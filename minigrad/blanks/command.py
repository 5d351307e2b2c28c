"""`minigrad build`: fill in the library's own classes, and see whether they are right."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from minigrad.blanks import folder as folders
from minigrad.blanks.parts import BY_NAME, PARTS, Part, file_name
from minigrad.files import cause

DESCRIPTION = """\
Build the library yourself: eleven of its classes, with the bodies of their methods taken out, in
the order of the lessons.

  minigrad build start mylib          write the files; one that is there already stays as it is
  minigrad build check mylib          what is right, what is wrong and by how much, what comes next
  minigrad build check mylib linear   one part
  minigrad build run mylib 05 --quick a lesson with those of your classes that are filled in
  minigrad build answer linear        the library's own file
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `minigrad build`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = DESCRIPTION
    does = parser.add_subparsers(dest="does", metavar="start|check|run|answer", required=True)
    for name, words in (
        ("start", "write the files to be filled in"),
        ("check", "say what is right and what is wrong"),
        ("run", "run a lesson with your classes"),
        ("answer", "print the library's own file"),
    ):
        one = does.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
        if name != "answer":
            one.add_argument("folder", nargs="?" if name != "run" else None, default="mylib")
        if name == "check":
            one.add_argument("part", nargs="?", help=", ".join(BY_NAME))
        if name == "answer":
            one.add_argument("part", help=", ".join(BY_NAME))
        if name == "run":
            one.add_argument("lesson", help="its number or name")
            one.add_argument("options", nargs=argparse.REMAINDER, help="of the lesson")


def run(arguments: argparse.Namespace) -> int:
    """Carry out the command. Returns the exit status."""
    does = {"start": _start, "check": _check, "run": _run, "answer": _answer}
    try:
        return does[arguments.does](arguments)
    except (OSError, ValueError) as error:
        words = str(error) if isinstance(error, FileNotFoundError | ValueError) else cause(error)
        print(f"minigrad: {words}", file=sys.stderr)
        return 2


def _start(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder)
    written = folders.start(folder)
    for part in PARTS:
        new = "" if folder / file_name(part) in written else "  (it was there, and stays)"
        print(f"  {file_name(part):24} {part.cls:20} lesson {part.lesson[:2]}{new}")
    first = folder / file_name(PARTS[0])
    print(f"\nBegin with {first}. Then: minigrad build check {folders.quoted(folder)}")
    return 0


def _part(name: str) -> Part:
    if name not in BY_NAME:
        raise ValueError(f"there is no part {name!r:.40}; there are {', '.join(BY_NAME)}")
    return BY_NAME[name]


def _check(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder)
    folders.there(folder)
    parts = PARTS if arguments.part is None else (_part(arguments.part),)
    following: str | None = None
    right = 0
    for part, rows in zip(parts, folders.graded(folder, parts), strict=True):
        done = sum(row["verdict"] == "right" for row in rows)
        whole = done == len(rows)
        right += whole
        print(f"{file_name(part):24} {'right' if whole else f'{done} of {len(rows)} right'}")
        for row in rows:
            if whole and arguments.part is None:
                continue
            print(f"    {row['method']:12} {row['verdict']}: {row['words']}")
        bad = next((row for row in rows if row["verdict"] not in ("right", "waits")), None)
        if bad is not None and following is None:
            what = "" if bad["method"] in ("file", "checker") else f"{part.cls}.{bad['method']} in "
            following = f"{what}{folder / file_name(part)}, taught in lesson {part.lesson}"
    print(f"\n{right} of {len(parts)} right")
    if following is not None:
        print(f"next: {following}")
        return 1
    if arguments.part is None:
        name = folders.quoted(folder)
        print(f"All are right: minigrad build run {name} all --quick runs the lessons on them.")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder)
    folders.there(folder)
    own = [part for part in PARTS if not folders.to_do(folder, part)]
    rest = [part.cls for part in PARTS if part not in own]
    print(f"yours: {', '.join(part.cls for part in own) or 'none yet'}", flush=True)
    if rest:
        print(f"the library's: {', '.join(rest)}", flush=True)
    command = [sys.executable, "-m", "minigrad", "run", arguments.lesson, *arguments.options]
    return subprocess.run(command, env=folders.environment(folder, own), check=False).returncode


def _answer(arguments: argparse.Namespace) -> int:
    print(folders.source(_part(arguments.part)), end="")
    return 0
