"""The folder OUT/checkpoints of a lesson: what its run has done so far, and which run that was."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from minigrad import backend
from minigrad.history import write_json
from minigrad.version import __version__

RUN = "run.json"
OPTIONS = ("seed", "epochs", "quick", "full")  # those that change what is computed


class AnotherRunError(ValueError):
    """The interrupted run and this one are not the same. The message is one line."""


def identity(slug: str, options: argparse.Namespace, script: str | Path) -> dict[str, Any]:
    """What must be the same in two runs, so that one may go on with what the other has done."""
    try:
        text = Path(script).read_bytes()
    except OSError:  # the code did not come from a file
        text = b""
    return {
        "lesson": slug,
        "options": {name: vars(options)[name] for name in OPTIONS},
        "backend": backend.name(),
        "text": hashlib.sha256(text).hexdigest(),
        "version": __version__,
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is not the same in two runs, in words."""
    found = []
    options = before.get("options")
    for name in OPTIONS:
        old = options.get(name) if isinstance(options, dict) else None
        new = now["options"][name]
        if old != new:
            found.append(f"--{name} was {_word(old)}, now it is {_word(new)}")
    for name, word in (("backend", "the backend"), ("version", "the version of minigrad")):
        if before.get(name) != now[name]:
            found.append(f"{word} was {before.get(name)}, now it is {now[name]}")
    if before.get("text") != now["text"]:
        found.append("the text of the lesson has changed")
    return found


def _word(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "given" if value else "not given"
    return str(value)


class Folder:
    """OUT/checkpoints. run.json in it says which run it is; the other files are what was done."""

    def __init__(self, out: Path, run: dict[str, Any]):
        self.out = out
        self.path = out / "checkpoints"
        self.run = dict(run)

    def found(self) -> dict[str, Any] | None:
        """run.json of a run that has not ended. None: there is no such run."""
        try:
            content = json.loads((self.path / RUN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def go_on(self) -> bool:
        """Whether there is a run to go on with. AnotherRunError if it is not this one."""
        before = self.found()
        if before is None:
            return False
        self._refuse(differences(before, self.run))
        self.run = before
        return True

    def begin(self) -> dict[str, Any] | None:
        """Begin a run. An interrupted one is removed. Returns its run.json, if there was one."""
        before = self.found()
        self.remove()
        write_json(self.path / RUN, self.run)
        return before

    def uses(self, source: str) -> None:
        """The run uses these data. AnotherRunError if it used others before it was interrupted."""
        before = self.run.setdefault("data", source)
        if before != source:
            self._refuse([f"the data were {before}, now they are {source}"])
        write_json(self.path / RUN, self.run)

    def _refuse(self, found: list[str]) -> None:
        if found:
            raise AnotherRunError(
                f"--resume cannot go on with the run in {self.out}: {'; '.join(found)}. Make both "
                "the same, or leave out --resume to begin anew"
            )

    def remove(self) -> None:
        """Remove what lessons write here, and the folder if nothing else is in it.

        run.json goes last. So a run that is killed in between can still go on.
        """
        for pattern in ("*.npz", "*.jsonl", "*.part", RUN):
            for file in self.path.glob(pattern):
                file.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()
