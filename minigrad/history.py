"""The measurements of a training run, as lists. They can be saved as JSON."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from minigrad.files import replacing
from minigrad.history_table import table

SETS = ("train", "test", "validation")
KINDS = ("loss", "accuracy", "clean_accuracy")
LISTS = [f"{name}_{kind}" for name in SETS for kind in KINDS]
# Fields that older files do not have
LATER = (*LISTS[-3:], "metrics", "best_epoch", "ended")
NOT_FINITE = ("nan", "inf", "-inf")  # JSON has no such numbers: `strict` makes them text
TOO_DEEP = "lists or objects are nested too deeply"
LARGEST = 2**53  # of an epoch's number


@dataclass
class History:
    """Each list has one entry for each evaluated epoch. (`step_loss` has one for each step.)

    epoch           the number of the epoch just before the evaluation, counted from 1
    train_loss, train_accuracy, test_loss, test_accuracy, validation_loss, validation_accuracy
                    means over the whole sets, with the weights after that epoch. If a set is
                    not given, its lists stay empty
    train_clean_accuracy, test_clean_accuracy, validation_clean_accuracy
                    accuracies with the labels before noise. Without noise: the same as above.
                    Where accuracy has no meaning, as for MSELoss, its lists are empty
    metrics         {"train_mae": [...], "validation_mae": [...]}: the metrics that were asked for,
                    one list for each set that was given
    seconds         training time since the last evaluation, in seconds, without evaluations
    step_loss       the loss of each step's batch, before the parameters move
    settings        the settings of the run: batch_size, shuffle, seed, and the others as text
    stopped         why the run ended early ("interrupted ...", "diverged ..."), else None
    best_epoch      with early stopping: the epoch with the best value so far, else None
    ended           with early stopping: what was best, and whose weights the model has, else None

    print(history) shows them as a table.
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
    metrics: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int | None = None
    ended: str | None = None

    def __str__(self) -> str:
        """A table: a line for each evaluated epoch. A long run is shortened in the middle."""
        return table(self)

    def save(self, path: str | Path) -> None:
        """Write the history as JSON. After an interrupt the old file is still there, if any."""
        write_json(path, self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, ready for JSON: numbers that are not finite are text, "nan"."""
        return {f.name: strict(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read a file from `save`. ValueError, with the file's name, for any other file."""
        try:
            content = _parsed(Path(path).read_bytes())
        except ValueError as error:
            raise ValueError(f"{path} is not a saved History: {error}") from None
        return cls.from_dict(content, str(path))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], name: str) -> History:
        """The History whose `as_dict()` gave `content`. ValueError for any other content.

        name  where the content is from, for the error's message
        """
        known = [f.name for f in fields(cls)]
        needed = set(known) - set(LATER)
        try:
            if not isinstance(content, Mapping) or not needed <= content.keys() <= set(known):
                raise ValueError(f"it needs the keys {sorted(needed)}")
            values = {key: _checked(key, content[key]) for key in known if key in content}
            history = cls(**values)
            _check_lengths(history)
        except RecursionError:
            raise ValueError(f"{name} is not a saved History: {TOO_DEEP}") from None
        except ValueError as error:
            raise ValueError(f"{name} is not a saved History: {error}") from None
        return history


def _parsed(text: bytes) -> Any:
    """The content of a JSON file. ValueError, in one sentence, if it is none."""
    try:
        return json.loads(
            text.decode(), parse_float=_finite, parse_constant=float, object_pairs_hook=_once
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def _finite(digits: str) -> float:
    """The number. ValueError for one such as 1e400, which `save` never writes."""
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits:.50} is too large a number")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict. ValueError if it has a key twice."""
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in result if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r:.50} is there twice")
    return result


def _checked(key: str, value: Any) -> Any:
    """The value of a field. ValueError, with the field's name, if `save` cannot have written it."""
    if key in ("stopped", "ended"):
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{key} must be a text or null, got {value!r:.50}")
        return value
    if key == "best_epoch":
        return None if value is None else _epoch(key, value)
    if key == "metrics":
        if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
            raise ValueError(f"metrics must be an object of lists, got {value!r:.50}")
        return {name: _numbers(f"metrics[{name!r:.50}]", values) for name, values in value.items()}
    if key == "settings":
        if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
            raise ValueError(f"settings must be an object with names, got {value!r:.50}")
        return copy.deepcopy(dict(value))
    if key == "epoch":
        return _epochs(value)
    numbers = _numbers(key, value)
    for i, number in enumerate(numbers):
        if key.endswith("accuracy") and not (0 <= number <= 1 or math.isnan(number)):
            raise ValueError(f"{key}[{i}] must lie between 0 and 1, got {number}")
        if key == "seconds" and not 0 <= number < math.inf:
            raise ValueError(f"seconds[{i}] must be a number >= 0, got {number}")
    return numbers


def _epochs(value: Any) -> list[int]:
    """A list of increasing integers from 1 on."""
    if not isinstance(value, list):
        raise ValueError(f"epoch must be a list, got {value!r:.50}")
    for i, entry in enumerate(value):
        _epoch(f"epoch[{i}]", entry)
        if i and entry <= value[i - 1]:
            raise ValueError(f"epoch must increase, got {entry} after {value[i - 1]}")
    return list(value)


def _epoch(key: str, value: Any) -> int:
    """The number of an epoch."""
    if type(value) is not int or not 1 <= value <= LARGEST:
        raise ValueError(f"{key} must be an integer >= 1, got {value!r:.50}")
    return value


def _numbers(key: str, value: Any) -> list[float]:
    """A list of floats."""
    if not isinstance(value, list):
        raise ValueError(f"{key} must be a list, got {value!r:.50}")
    return [_number(key, i, entry) for i, entry in enumerate(value)]


def _number(key: str, i: int, entry: Any) -> float:
    """One entry of a list as a float. It may be one of the texts `NOT_FINITE`."""
    if type(entry) is str and entry in NOT_FINITE:
        return float(entry)
    if type(entry) not in (int, float):
        raise ValueError(f"{key}[{i}] must be a number, got {entry!r:.50}")
    try:
        return float(entry)
    except OverflowError:
        raise ValueError(f"{key}[{i}] is too large a number") from None


def _check_lengths(history: History) -> None:
    """ValueError unless each list has an entry for each evaluated epoch.

    The lists of a set that was not given are empty. So are all accuracies, where they have no
    meaning.
    """
    lists = {name: getattr(history, name) for name in LISTS}
    accuracies = any(value for name, value in lists.items() if name.endswith("accuracy"))
    n = len(history.epoch)
    sizes = [("seconds", history.seconds, n)]
    for name, value in lists.items():
        kind = name.partition("_")[0]
        given = any(values for other, values in lists.items() if other.startswith(f"{kind}_"))
        given = (given or kind == "train") and (accuracies or name.endswith("loss"))
        sizes.append((name, value, n if given else 0))
    sizes += [(f"metrics[{name!r:.50}]", value, n) for name, value in history.metrics.items()]
    for name, value, expected in sizes:
        if len(value) != expected:
            raise ValueError(f"{name} has {len(value)} entries instead of {expected}")


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


def extend(
    history: History,
    epoch: int,
    seconds: float,
    row: Mapping[str, float],
    metrics: Iterable[str] = (),
) -> None:
    """Add one entry to the lists of a history. `row` is from `measure`, with these metrics.

    A run may go on with other sets than before, or with other metrics. NaN stands where something
    was not measured: all lists that are not empty are equally long.
    """
    before = len(history.epoch)
    history.epoch.append(epoch)
    history.seconds += [0.0] * (before - len(history.seconds)) + [seconds]
    names = [f"{name}_{metric}" for name in SETS for metric in metrics]
    accuracies = any(getattr(history, name) or name in row for name in LISTS if "accuracy" in name)
    for name in LISTS:
        values = getattr(history, name)
        loss = f"{name.partition('_')[0]}_loss"
        wanted = accuracies and (getattr(history, loss) or loss in row)  # of each set, or of none
        if values or name in row or wanted:
            values += [math.nan] * (before - len(values)) + [row.get(name, math.nan)]
    for name in dict.fromkeys([*history.metrics, *(name for name in names if name in row)]):
        values = history.metrics.setdefault(name, [])
        values += [math.nan] * (before - len(values)) + [row.get(name, math.nan)]
