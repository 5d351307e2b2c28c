"""The lesson scripts and the projects: where they are, what they are called, which one is meant."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

from minigrad import resources

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
    """The lesson scripts, in order: lessons/NN_slug.py. Or those of lessons/projects."""
    return [_read(path) for path in resources.files(folder) if path.match("[0-9][0-9]_*.py")]


def _read(path: Path) -> LessonFile:
    text = path.read_text(encoding="utf-8")
    if text.startswith('"""'):  # the docstring alone: to parse all lessons takes long
        text = '"""'.join(text.split('"""', 2)[:2]) + '"""'
    doc = ast.get_docstring(ast.parse(text)) or path.stem
    lines = doc.splitlines()
    usual = next((line[5:].strip() for line in lines if line.startswith("Time:")), "")
    return LessonFile(path, lines[0].rstrip("."), usual)


def choose(which: str, everything: bool = False) -> list[LessonFile]:
    """The lessons that a word names: "03", "3", "first_network".

    everything  also "all", all lessons, or a project's name, "regression"
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
    if everything and not chosen:  # projects have no exercises: they are only run
        chosen = [p for p in lessons(PROJECTS) if which in (p.path.stem, p.path.stem[3:])]
    if not chosen:
        names = ", ".join(lesson.path.stem for lesson in found)
        projects = ", ".join(project.path.stem[3:] for project in lessons(PROJECTS))
        also = f" and 'all', and the projects {projects}" if everything else ""
        raise ValueError(f"no lesson {which!r:.50}; there are {names}{also}")
    return chosen
