"""The lesson scripts, case studies and projects: where they are, and which one a word means."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import NamedTuple

from minigrad import resources

CASES = "lessons/cases"
PROJECTS = "lessons/projects"


class LessonFile(NamedTuple):
    """A lesson script and what the first lines of its docstring say."""

    path: Path
    title: str
    time: str

    @property
    def number(self) -> str:
        return self.path.name[:2]


def lessons(folder: str = "lessons") -> list[LessonFile]:
    """The lesson scripts, in order: lessons/NN_slug.py. Or those of CASES or PROJECTS."""
    pattern = "*.py" if folder == CASES else "[0-9][0-9]_*.py"
    return [_read(path) for path in resources.files(folder) if path.match(pattern)]


def _read(path: Path) -> LessonFile:
    text = path.read_text(encoding="utf-8")
    if text.startswith('"""'):  # the docstring alone: to parse all lessons takes long
        text = '"""'.join(text.split('"""', 2)[:2]) + '"""'
    doc = ast.get_docstring(ast.parse(text)) or path.stem
    lines = doc.splitlines()
    usual = next((line[5:].strip() for line in lines if line.startswith("Time:")), "")
    return LessonFile(path, lines[0].rstrip("."), usual)


def choose(which: str, everything: bool = False) -> list[LessonFile]:
    """The lessons that a word names: "05", "5", "first_network".

    everything  also "all", all lessons, or the name of a case study or a project, "regression"

    A name with a number that the lesson had once, "03_first_network", is known, too. Then one line
    on stderr says the number of today.
    """
    found = lessons()
    if not found:
        raise ValueError("there are no lessons beside this copy of minigrad; install it again")
    if everything and which == "all":
        return found
    chosen = [
        lesson
        for lesson in found
        if which in (lesson.number, lesson.path.stem, lesson.path.stem[3:])
        or (which.isdecimal() and which.lstrip("0") == lesson.number.lstrip("0"))
    ]
    if not chosen and which[:2].isdecimal() and which[2:3] == "_":
        chosen = [lesson for lesson in found if lesson.path.stem[3:] == which[3:]]
        for lesson in chosen:
            print(f"minigrad: {which} is lesson {lesson.number} now", file=sys.stderr)
    if everything and not chosen:  # these have no exercises: they are only run
        chosen = [case for case in lessons(CASES) if which == case.path.stem]
        chosen += [p for p in lessons(PROJECTS) if which in (p.path.stem, p.path.stem[3:])]
    if not chosen:
        names = ", ".join(lesson.path.stem for lesson in found)
        cases = ", ".join(case.path.stem for case in lessons(CASES))
        projects = ", ".join(project.path.stem[3:] for project in lessons(PROJECTS))
        also = (
            f" and 'all', the case studies {cases}, the projects {projects}" if everything else ""
        )
        raise ValueError(f"no lesson {which!r:.50}; there are {names}{also}")
    return chosen
