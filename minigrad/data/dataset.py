"""A data set: examples and their targets, checked once, given out in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from minigrad import backend
from minigrad.backend import Array, array_module
from minigrad.checks import positive_int
from minigrad.data.arrays import as_arrays, check_finite, check_numbers, part, places
from minigrad.data.sampling import check_sampling, order, stratified_part
from minigrad.streams import RandomStreams

AS_Y = cast(Array, None)  # __post_init__ puts an array in its place
CLASSES = 10  # of labels, if nothing says how many


@dataclass(frozen=True, eq=False)
class Dataset(RandomStreams):
    """Examples with targets, given out in batches.

    x        (N, ...), finite numbers, float32 as a rule; or signed integers, for an Embedding
    y        integers (N,): labels in [0, classes). Also (N, ...), a label for each place.
             Or floats (N, ...): values, as for a regression; probabilities, one-hot labels
    clean_y  the labels before noise was put on them; None: y. Values have None
    source   in words, where the examples come from
    classes  how many labels there are, an integer >= 1. None: as many as names, or 10. Values
             have None
    names    the names of the classes, a text each, or None
    ignore_index  a label that does not count, as in the losses, -100 for example. It need not be
             in [0, classes). None: all labels count. Give the loss the same

    Lists and what has `__array__`, such as tables of pandas or tensors on the CPU, are converted:
    lists of numbers to float32 or int64. `kind` is "labels" or "values".
    """

    x: Array
    y: Array
    clean_y: Array = AS_Y
    source: str = ""
    classes: int | None = None
    names: Sequence[str] | None = None
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        self._set(**as_arrays(x=self.x, y=self.y, clean_y=self.clean_y))
        self._check_arrays()
        if self.kind == "labels":
            self._check_labels()
        else:
            self._check_values()
        check_finite("x", self.x)
        check_finite("y", self.y)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """joblib gives large arrays to its workers as maps of a file; they become plain arrays."""
        plain = {id(a): a.view(np.ndarray) for a in state.values() if isinstance(a, np.memmap)}
        self.__dict__.update({name: plain.get(id(a), a) for name, a in state.items()})

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _check_arrays(self) -> None:
        """Raise an error now for what would otherwise be a NaN, or a riddle, much later."""
        x = self.x
        y = self.y
        array_module(*(a for a in (x, y, self.clean_y) if a is not None))
        check_numbers("x", x)
        check_numbers("y", y)
        if x.ndim < 2 or y.ndim < 1 or len(x) != len(y):
            column = "; for examples of one number each, x[:, None]" * (x.ndim == 1)
            raise ValueError(
                "expected x of shape (N, ...) and y of shape (N,) or (N, ...), with the same N, "
                f"got {tuple(x.shape)} and {tuple(y.shape)}{column}"
            )
        if x.dtype.kind not in "fi":
            pixels = ", pixels / 255" * (x.dtype.kind == "u")
            raise TypeError(
                "expected floating-point x, or signed integers for an Embedding, got "
                f"{x.dtype}; cast with x.astype('float32'){pixels}"
            )
        if y.dtype.kind not in "iuf":
            raise TypeError(
                f"expected integer y, labels, or floating-point y, values, got {y.dtype}; cast "
                "with y.astype('int64') or y.astype('float32')"
            )

    def _check_labels(self) -> None:
        """Labels and the names of their classes fit together."""
        y = self.y
        names = self.names
        if names is not None:
            several = isinstance(names, list | tuple | np.ndarray)
            if not several or not all(isinstance(name, str) for name in names):
                raise TypeError(f"names must be a list of texts, one for each class, got {names!r}")
            names = tuple(str(name) for name in names)
            if len(set(names)) < len(names):
                raise ValueError(f"each class needs a name of its own, got names={names}")
        ignored = self.ignore_index
        if isinstance(ignored, bool) or not isinstance(ignored, int | np.integer | None):
            raise TypeError(f"ignore_index must be a label or None, got {ignored!r:.60}")
        self._set(ignore_index=None if ignored is None else int(ignored))
        default = len(names) if names else CLASSES
        classes = positive_int("classes", default if self.classes is None else self.classes)
        if names is not None and len(names) != classes:
            raise ValueError(f"expected {classes} names, one for each class, got {len(names)}")
        clean_y = y if self.clean_y is None else self.clean_y
        self._set(names=names, classes=classes, clean_y=clean_y)
        if clean_y.shape != y.shape or clean_y.dtype.kind not in "iu":
            raise ValueError(
                f"clean_y must be labels like y, integers {tuple(y.shape)}, got {clean_y.dtype} "
                f"{tuple(clean_y.shape)}"
            )
        if y.ndim == 2 and y.shape[1] == 1:
            raise ValueError(
                f"integer y of shape {tuple(y.shape)} is a column of labels: write y[:, 0]; for "
                "values, such as those of a regression, y.astype('float32')"
            )
        both = {"labels": y} if clean_y is y else {"labels": y, "clean_y: labels": clean_y}
        for name, labels in both.items():
            found = labels if ignored is None else labels[labels != ignored]
            least, most = (int(found.min()), int(found.max())) if found.size else (0, 0)
            if least >= 0 and most < classes:
                continue
            more = f"classes={most + 1}" if names is None else f"{most + 1} names, one for each"
            advice = f"if there are more classes, give {more}; " * (least >= 0)
            advice += "for values, such as those of a regression, y.astype('float32')"
            if least < 0 and ignored is None:
                advice += f"; for a label that does not count, give ignore_index={least}"
            raise ValueError(f"{name} must be in [0, {classes}), got {least} to {most}; {advice}")

    def _check_values(self) -> None:
        """What belongs to labels alone is not given."""
        for name in ("clean_y", "classes", "names", "ignore_index"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name} is for labels, and y is {self.y.dtype}, values; for labels write "
                    f"y.astype('int64'), for values leave {name} out (None)"
                )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def kind(self) -> str:
        """ "labels" if y is integers, "values" if it is floats."""
        return "labels" if self.y.dtype.kind in "iu" else "values"

    @property
    def noisy(self) -> bool:
        """Whether the labels have noise. `clean_y` has the labels without it."""
        return self.clean_y is not None and self.clean_y is not self.y

    def take(self, which: Any) -> Dataset:
        """The examples at these places.

        which  a number, for the first n; a slice; indices (K,), negative ones from the end; or a
               mask (N,) of True and False
        """
        rows: Any = places(which, len(self))
        if isinstance(rows, np.ndarray):
            rows = backend.to_device(rows, like=self.x)
        y = self.y[rows]
        clean_y = self.clean_y[rows] if self.noisy else AS_Y
        return replace(self, x=self.x[rows], y=y, clean_y=clean_y)

    def split(self, n: int, seed: int = 0, stratified: bool = False) -> tuple[Dataset, Dataset]:
        """(all but n examples, n examples), drawn at random: to train, and to validate.

        n           the number of examples in the second part, an integer from 1 to N - 1
        seed        of the draw
        stratified  whether both parts have the same share of each class. A class of K examples
                    gives n K/N to the second part, rounded down. What is then missing comes from
                    the classes with the largest remainders, one each; of equal ones, from the
                    smaller label. Labels that do not count are shared out as one more class
        """
        N = len(self)
        if isinstance(n, bool) or not isinstance(n, int | np.integer):
            raise ValueError(
                "split(n) takes a number of examples, an integer, got "
                f"{n!r:.60}{part(n, N, 'split')}"
            )
        if not 0 < n < N:
            raise ValueError(f"cannot split {n} examples off {N}")
        if not isinstance(stratified, bool | np.bool_):
            raise TypeError(f"stratified must be True or False, got {stratified!r:.60}")
        rng = np.random.default_rng(seed)
        if stratified:
            check_sampling(stratified, self.y, "stratified")
            second = np.sort(stratified_part(self.y, int(n), rng))
            return self.take(np.delete(np.arange(N), second)), self.take(second)
        drawn = rng.permutation(N)
        return self.take(np.sort(drawn[n:])), self.take(np.sort(drawn[:n]))

    def placed(self, like: Array | None) -> Dataset:
        """The same data where the array `like` lives, floats in its dtype (itself if so already).

        Integers stay integers.
        """
        if like is None:
            return self
        x, y = (
            array.dtype if array.dtype.kind != "f" else like.dtype for array in (self.x, self.y)
        )
        if type(self.x) is type(like) and (self.x.dtype, self.y.dtype) == (x, y):
            return self
        clean_y = backend.to_device(self.clean_y, like) if self.noisy else AS_Y
        return replace(
            self,
            x=backend.to_device(self.x, like).astype(x),
            y=backend.to_device(self.y, like).astype(y),
            clean_y=clean_y,
        )

    def batches(
        self,
        batch_size: int,
        rng: np.random.Generator | None = None,
        drop_last: bool = False,
        sampling: str | None = None,
    ) -> Iterator[tuple[Array, Array]]:
        """(x, y) in batches, the last one perhaps smaller; in an order drawn by `rng` if given.

        Single examples are shuffled, not batches. If all are one batch, it is not shuffled.

        drop_last  whether the last batch is left out if it is smaller
        sampling   None: every example once. "stratified": so, too, each class spread evenly over
                   the epoch. "balanced": each class equally often, its examples drawn with
                   replacement; examples whose label does not count are never drawn. Both need
                   labels (N,), and rng
        """
        N = len(self)
        positive_int("batch_size", batch_size)
        if sampling is not None:
            check_sampling(sampling, self.y, ignored=self.ignore_index)
            if rng is None:
                raise ValueError(f"sampling={sampling!r} draws the order: give a generator, rng=")
        end = N - N % batch_size if drop_last else N
        if sampling is None and (rng is None or batch_size >= N):
            for start in range(0, end, batch_size):
                yield self.x[start : start + batch_size], self.y[start : start + batch_size]
            return
        if sampling and rng:
            drawn = order(sampling, self.y, rng, self.ignore_index)
        else:
            drawn = cast(Any, rng).permutation(N)
        rows = backend.to_device(drawn, like=self.x)  # drawn on the host
        for start in range(0, end, batch_size):
            batch = rows[start : start + batch_size]
            yield self.x[batch], self.y[batch]
