"""The measurements of a training run, as lists. They can be saved as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from minigrad.files import replacing

# Lists that older files do not have
LATER = ("validation_loss", "validation_accuracy", "validation_clean_accuracy")


@dataclass
class History:
    """Each list has one entry for each evaluated epoch. (`step_loss` has one for each step.)

    epoch           the number of the epoch just before the evaluation, counted from 1
    train_loss, train_accuracy, test_loss, test_accuracy, validation_loss, validation_accuracy
                    means over the whole sets, with the weights after that epoch. If a set is
                    not given, its lists stay empty
    train_clean_accuracy, test_clean_accuracy, validation_clean_accuracy
                    accuracies with the labels before noise. Without noise: the same as above
    seconds         training time since the last evaluation, in seconds, without evaluations
    step_loss       the loss of each step's batch, before the parameters move
    settings        the settings of the run: batch_size, shuffle, seed, and the others as text
    stopped         why the run ended early ("interrupted ...", "diverged ..."), else None
    """

    epoch: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    test_loss: list[float] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)
    train_clean_accuracy: list[float] = field(default_factory=list)
    test_clean_accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    validation_clean_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    step_loss: list[float] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    stopped: str | None = None

    def save(self, path: str | Path) -> None:
        """Write the history as JSON. After an interrupt the old file is still there, if any."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read a file from `save`. ValueError, with the file's name, for any other file."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=float)
        except ValueError as error:
            raise ValueError(f"{path} is not a saved History: {error}") from error
        names = {f.name for f in fields(cls)}
        needed = names - set(LATER)
        if not isinstance(content, dict) or not needed <= content.keys() <= names:
            raise ValueError(f"{path} is not a saved History: it needs the keys {sorted(needed)}")
        try:
            for name, value in content.items():
                if isinstance(getattr(cls(), name), list):
                    content[name] = [float(v) if isinstance(v, str) else v for v in value]
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a saved History: {name}: {error}") from error
        return cls(**content)


def write_json(path: str | Path, content: Any) -> None:
    """Write strict JSON, whole or not at all. NaN and infinities become strings."""
    text = json.dumps(strict(content), indent=1, allow_nan=False)
    with replacing(path) as file:
        file.write(text.encode() + b"\n")


def strict(value: Any) -> Any:
    """`value` for JSON: NumPy numbers become Python's, numbers that are not finite become text."""
    if isinstance(value, dict):
        return {str(k): strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [strict(v) for v in value]
    if hasattr(value, "tolist"):  # a NumPy number or array
        return strict(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
