"""What callbacks have collected in a training, on disk: a resumed training has it, too."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.checkpoint.packing import pack, unpack
from minigrad.files import replacing
from minigrad.history import History

STEP, EVALUATION = range(2)  # after which a callback was called


class Notes:
    """A file with a line for each call of a callback: what it has appended to which list.

    A line is JSON: [step, STEP or EVALUATION, what the callback returned, {list: items}, arrays].
    It is written at once. The checkpoint of a step is written after its line. So after a kill all
    lines up to the checkpoint are there, and perhaps more.
    """

    def __init__(self, path: Path, lists: Sequence[list[Any]]):
        self.path = path
        self.lists = lists
        self.told: dict[tuple[int, int], Any] = {}  # {(step, kind): what the callback returned}

    def restore(self, history: History | None, options: dict[str, Any]) -> bool:
        """Fill the lists as they were at the end of `history`; later lines are removed.

        history  None: the training begins
        options  those of `fit`: they have one callback, or both
        False: lines are missing, as the machine has lost them, not the process alone. The lists
        then stay empty, and the training must begin anew.
        """
        steps = 0 if history is None else len(history.step_loss)
        lines = [line for line in self._lines() if line[0] <= steps] if history else []
        counts = [sum(line[1] == kind for line in lines) for kind in (STEP, EVALUATION)]
        whole = True
        if history is not None:
            if options.get("step_callback") is not None:
                whole = counts[STEP] == steps
            if options.get("callback") is not None:
                # fit calls it again if the run ended between an evaluation and the callback
                whole &= counts[EVALUATION] >= len(history.epoch) - 1
        if not whole:
            lines = []
        with replacing(self.path) as file:
            file.writelines(_encode(line) for line in lines)
        for step, kind, answer, items, arrays in lines:
            self.told[step, kind] = answer
            held = {name: _array(*array) for name, array in arrays.items()}
            for number, found in unpack(items, held).items():
                self.lists[int(number)].extend(found)
        return whole

    def _lines(self) -> list[list[Any]]:
        """The lines of the file. A last one that is not whole is left out."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in content.split(b"\n")[:-1]]

    def callbacks(self, options: dict[str, Any]) -> dict[str, Any]:
        """The callbacks among the options of `fit`, with a line for each of their calls."""
        found: dict[str, Any] = {}
        if options.get("step_callback") is not None:
            found["step_callback"] = self.after_step(options["step_callback"])
        if options.get("callback") is not None:
            found["callback"] = self.after_evaluation(options["callback"])
        return found

    def after_step(self, callback: Callable[[int, float], Any]) -> Callable[[int, float], None]:
        """The callback of each step, with a line for each call."""

        def called(step: int, value: float) -> None:
            self._call(step, STEP, lambda: callback(step, value))

        return called

    def after_evaluation(self, callback: Callable[[History], Any]) -> Callable[[History], Any]:
        """The callback of each evaluation, with a line for each call."""

        def called(history: History) -> Any:
            return self._call(len(history.step_loss), EVALUATION, lambda: callback(history))

        return called

    def _call(self, step: int, kind: int, callback: Callable[[], Any]) -> Any:
        """Call it, unless its line is there. Then return what it returned."""
        if (step, kind) in self.told:
            return self.told[step, kind]
        before = [len(items) for items in self.lists]
        answer = bool(callback())
        arrays: dict[str, np.ndarray] = {}
        new = {
            str(i): pack(items[n:], str(i), arrays)
            for i, (items, n) in enumerate(zip(self.lists, before, strict=True))
            if len(items) > n
        }
        held = {name: _text(array) for name, array in arrays.items()}
        with open(self.path, "ab") as file:
            file.write(_encode([step, kind, answer, new, held]))
        self.told[step, kind] = answer
        return answer


def _encode(line: list[Any]) -> bytes:
    return json.dumps(line, allow_nan=False).encode() + b"\n"


def _text(array: np.ndarray) -> tuple[str, list[int], str]:
    """An array for JSON."""
    if array.dtype.hasobject:
        raise TypeError("an array of Python objects cannot be kept")
    return array.dtype.str, list(array.shape), base64.b64encode(array.tobytes()).decode()


def _array(dtype: str, shape: list[int], content: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(content), dtype).reshape(shape).copy()
