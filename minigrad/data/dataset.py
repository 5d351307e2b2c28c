"""A data set: examples and labels, checked once, given out in batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from minigrad import backend
from minigrad.backend import Array, array_module
from minigrad.checks import positive_int
from minigrad.streams import RandomStreams

AS_Y = cast(Array, None)  # __post_init__ puts an array in its place


@dataclass(frozen=True, eq=False)
class Dataset(RandomStreams):
    """Examples with labels, given out in batches.

    x        (N, ...), finite numbers, float32 as a rule
    y        (N,), integers in [0, classes)
    clean_y  the labels before noise was put on them; None: y
    source   in words, where the examples come from
    classes  how many labels there are, an integer >= 1
    """

    x: Array
    y: Array
    clean_y: Array = AS_Y
    source: str = ""
    classes: int = 10

    def __post_init__(self) -> None:
        if self.clean_y is None:
            object.__setattr__(self, "clean_y", self.y)
        positive_int("classes", self.classes)
        self._check()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """joblib gives large arrays to its workers as maps of a file; they become plain arrays."""
        plain = {id(a): a.view(np.ndarray) for a in state.values() if isinstance(a, np.memmap)}
        self.__dict__.update({name: plain.get(id(a), a) for name, a in state.items()})

    def _check(self) -> None:
        """Raise an error now for what would otherwise be a NaN much later."""
        x = self.x
        y = self.y
        for name, array, dtype in (("x", x, "float32"), ("y", y, "int64")):
            if not hasattr(array, "dtype"):
                raise TypeError(
                    f"Dataset takes arrays, got {type(array).__name__} for {name}; convert it "
                    f"with numpy.asarray({name}, dtype='{dtype}')"
                )
        array_module(x, y, self.clean_y)
        if x.ndim < 2 or y.ndim != 1 or len(x) != len(y) or y.shape != self.clean_y.shape:
            raise ValueError(
                "expected x of shape (N, ...) and y of shape (N,), got "
                f"{tuple(x.shape)} and {tuple(y.shape)}"
            )
        if x.dtype.kind != "f" or y.dtype.kind not in "iu":
            advice = ["x.astype('float32'), pixels / 255"] * (x.dtype.kind != "f")
            advice += ["y.astype('int64')"] * (y.dtype.kind not in "iu")
            raise TypeError(
                f"expected floating-point x and integer y, got {x.dtype} and {y.dtype}; cast with "
                + " and ".join(advice)
            )
        if len(y) and (int(y.min()) < 0 or int(y.max()) >= self.classes):
            raise ValueError(
                f"labels must be in [0, {self.classes}), got {int(y.min())} to {int(y.max())}"
            )
        if not np.isfinite(float(x.sum(dtype=np.float64))):  # one NaN or infinity shows in the sum
            finite = backend.to_host(array_module(x).isfinite(x)).reshape(len(x), -1).all(axis=1)
            raise ValueError(
                f"x has NaN or infinite values in {int((~finite).sum())} of {len(x)} examples, "
                f"first in example {int(np.argmin(finite))}"
            )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def noisy(self) -> bool:
        """Whether the labels have noise. `clean_y` has the labels without it."""
        return self.clean_y is not self.y

    def take(self, which: Any) -> Dataset:
        """The examples at these places: an index array, a slice, or a number for the first n."""
        if isinstance(which, int | np.integer):
            which = slice(int(which))
        if isinstance(which, np.ndarray):
            which = backend.to_device(which, like=self.x)
        y = self.y[which]
        clean_y = self.clean_y[which] if self.noisy else y
        return replace(self, x=self.x[which], y=y, clean_y=clean_y)

    def split(self, n: int, seed: int = 0) -> tuple[Dataset, Dataset]:
        """(all but n examples, n examples), drawn at random: to train, and to validate."""
        if not 0 < n < len(self):
            raise ValueError(f"cannot split {n} examples off {len(self)}")
        order = np.random.default_rng(seed).permutation(len(self))
        return self.take(np.sort(order[n:])), self.take(np.sort(order[:n]))

    def placed(self, like: Array | None) -> Dataset:
        """The same data where the array `like` lives and in its dtype (itself if so already)."""
        if like is None or (type(self.x) is type(like) and self.x.dtype == like.dtype):
            return self
        x = backend.to_device(self.x, like)
        y = backend.to_device(self.y, like)
        clean_y = backend.to_device(self.clean_y, like) if self.noisy else y
        return replace(self, x=x.astype(like.dtype), y=y, clean_y=clean_y)

    def batches(
        self, batch_size: int, rng: np.random.Generator | None = None
    ) -> Iterator[tuple[Array, Array]]:
        """(x, y) in batches, the last one perhaps smaller; in an order drawn by `rng` if given.

        Single examples are shuffled, not batches. If all are one batch, it is not shuffled.
        """
        N = len(self)
        positive_int("batch_size", batch_size)
        if rng is None or batch_size >= N:
            for start in range(0, N, batch_size):
                yield self.x[start : start + batch_size], self.y[start : start + batch_size]
            return
        order = backend.to_device(rng.permutation(N), like=self.x)  # drawn on the host
        for start in range(0, N, batch_size):
            rows = order[start : start + batch_size]
            yield self.x[rows], self.y[rows]
