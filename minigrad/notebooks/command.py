"""`minigrad notebooks`: all lessons as notebooks."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minigrad import scripts
from minigrad.checks import positive_int
from minigrad.files import cause, replacing
from minigrad.scripts import LessonFile, choose

EXTRA = 'python -m pip install "minigrad[notebook]"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `minigrad notebooks`."""
    parser.description = (
        "Write the lessons and case studies as Jupyter notebooks, FOLDER/05_first_network.ipynb. "
        "With --execute each is run, and holds its outputs; exit status 1 if one fails, or does "
        f"not measure what its lesson expects. It needs the extra [notebook]: {EXTRA}"
    )
    add = parser.add_argument
    add("folder", nargs="?", default="notebooks", help="(default notebooks)")
    add("--lesson", default="all", metavar="05", help="one lesson (default all)")
    add("--execute", action="store_true", help="run them, too")
    add("--quick", action="store_true", help="their options say --quick: a first look")
    add(
        "--repository",
        metavar="OWNER/NAME",
        help="on GitHub: a badge opens each notebook in Colab, where its first cell installs "
        "minigrad from there",
    )
    add("--processes", type=int, default=1, metavar="N", help="how many run at a time (default 1)")


def run(arguments: argparse.Namespace) -> int:
    """Write the notebooks. Returns the exit status."""
    try:
        return _write(arguments)
    except ValueError as error:
        words = str(error)
    except OSError as error:
        words = f"cannot write to {arguments.folder} ({cause(error)})"
    print(f"minigrad: {words}", file=sys.stderr)
    return 2


def _write(arguments: argparse.Namespace) -> int:
    needed = ["jupytext", *(["nbclient", "ipykernel"] if arguments.execute else [])]
    if missing := [name for name in needed if find_spec(name) is None]:
        raise ValueError(f"notebooks need {' and '.join(missing)}: {EXTRA}")
    repository = arguments.repository
    if repository is not None and len(list(filter(None, repository.split("/")))) != 2:
        raise ValueError(f"--repository is OWNER/NAME, got {repository!r:.60}")
    processes = positive_int("--processes", arguments.processes)
    lessons = choose(arguments.lesson, everything=True)
    if arguments.lesson == "all":
        lessons += scripts.lessons(scripts.CASES)
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    from concurrent.futures import ThreadPoolExecutor  # here: `minigrad --help` is faster without

    with ThreadPoolExecutor(processes if arguments.execute else 1) as pool:
        rows = list(pool.map(lambda lesson: _one(lesson, folder, arguments), lessons))
    good = rows.count(True)
    ran = "ran as expected" if arguments.execute else f"written to {folder}"
    print(f"{good} of {len(rows)} notebooks {ran}")
    return 0 if good == len(rows) else 1


def _one(lesson: LessonFile, folder: Path, arguments: argparse.Namespace) -> bool:
    """Write a lesson's notebook. False: it did not run as the lesson expects."""
    from minigrad.notebooks.conversion import notebook

    options = "--quick" if arguments.quick else ""
    found = notebook(lesson.path, options, arguments.repository)
    path = folder / f"{lesson.path.stem}.ipynb"
    if not arguments.execute:
        _save(found, path)
        return True
    from minigrad.notebooks.execution import executed

    took, fault = executed(found, folder, lesson.path.stem)
    _save(found, path)
    print(f"{path}  {took:.1f} s  {fault or 'ok'}", flush=True)
    return fault is None


def _save(found: Any, path: Path) -> None:
    import nbformat

    with replacing(path) as file:
        file.write((nbformat.writes(found) + "\n").encode())
