"""How the batches of a training are made: their order, what is left out, and augmentation."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from minigrad.arguments import check_flag
from minigrad.backend import Array
from minigrad.data import Dataset
from minigrad.data.augment import Function, checked, described, several
from minigrad.data.sampling import check_sampling
from minigrad.generators import common_from, common_state, set_common


@dataclass
class Feeding:
    """The training set and the arguments of `fit` that say how it is fed to the network.

    Nothing here changes in a run. All random numbers of the batches follow from (seed, epoch), and
    those of the augmentation from (seed, epoch, batch). So a run can go on at any batch.
    """

    train: Dataset
    batch_size: int
    shuffle: bool
    seed: int
    drop_last: bool = False
    sampling: str | None = None
    augment: Function | Sequence[Function] | None = None

    def __post_init__(self) -> None:
        check_flag("shuffle", self.shuffle)
        check_flag("drop_last", self.drop_last)
        self._augment = checked(self.augment) if self.augment is not None else None
        if self.sampling is not None:
            check_sampling(self.sampling, self.train.y, ignored=self.train.ignore_index)
            if not self.shuffle:
                raise ValueError(
                    f"sampling={self.sampling!r} draws a new order for each epoch: leave out "
                    "shuffle=False, or sampling"
                )
        if self.steps == 0:
            raise ValueError(
                f"drop_last=True leaves no batch: the train set has {len(self.train)} examples, "
                f"fewer than batch_size={self.batch_size}"
            )
        self._check_method()

    def _check_method(self) -> None:
        """TypeError if the set makes its batches in a way of its own that lacks an argument."""
        try:
            inspect.signature(self.train.batches).bind(self.batch_size, None, **self._options())
        except TypeError as error:
            raise TypeError(
                f"{type(self.train).__name__} makes its batches in a way of its own ({error}): "
                f"leave out {', '.join(self._options())}, or let its method `batches` take this "
                "and hand it on to super().batches"
            ) from None

    def _options(self) -> dict[str, Any]:
        """The arguments of `Dataset.batches` that are not the defaults."""
        options = {"drop_last": bool(self.drop_last), "sampling": self.sampling}
        return {name: value for name, value in options.items() if value}

    @property
    def steps(self) -> int:
        """Batches in an epoch: N / batch_size, rounded up; with drop_last, rounded down."""
        N = len(self.train)
        return N // self.batch_size if self.drop_last else -(-N // self.batch_size)

    def settings(self) -> dict[str, Any]:
        """For the history, and to be compared when a run goes on. New ones only if they are set."""
        said = {"batch_size": self.batch_size, "shuffle": self.shuffle, "seed": self.seed}
        said |= self._options()
        return said if self._augment is None else said | {"augment": described(self._augment)}

    def functions(self) -> dict[str, Function]:
        """The functions of the augmentation by name, {} without one."""
        return {} if self._augment is None else several(self._augment)

    def epoch(
        self, number: int, done: int, start: Mapping[str, Any]
    ) -> Iterator[tuple[Array, Array]]:
        """The batches of an epoch that are left.

        done   how many are done
        start  the random numbers at the epoch's start, from `drawn`, if some are done
        """
        rng = np.random.default_rng((self.seed, number)) if self.shuffle else None
        batches = iter(self.train.batches(self.batch_size, rng, **self._options()))
        if done:
            # A run goes on in mid-epoch: the batches before are drawn again, and skipped.
            now = self.drawn()
            self._draw_from(start)
            for _ in islice(batches, done):
                pass
            self._draw_from(now)  # layers may have drawn from the same generators
        return self._augmented(batches, number, done)

    def _augmented(
        self, batches: Iterator[tuple[Array, Array]], epoch: int, done: int
    ) -> Iterator[tuple[Array, Array]]:
        """The batches, each changed by random numbers of its own."""
        for batch, (x, y) in enumerate(batches, done):
            if self._augment is None:
                yield x, y
                continue
            seeds = np.random.SeedSequence((self.seed, epoch), spawn_key=(batch,))
            # A copy: a function may write into its x, and that may be a part of the data set.
            changed = self._augment(x.copy(), np.random.default_rng(seeds))
            yield _like(changed, x), y

    def drawn(self) -> dict[str, Any]:
        """The random numbers of the training set, and those that all of a program share."""
        return {"train": self.train.rng_state(), "common": common_state()}

    def _draw_from(self, state: Mapping[str, Any]) -> None:
        """Go back to a state from `drawn`. It is empty if processes have made the steps."""
        if not state:
            return
        self.train.set_rng_state(state["train"])
        set_common(common_from(state["common"], "at the start of the epoch"))


def _like(changed: Any, x: Array) -> Array:
    """What an augmentation has made of x. Raises unless it is an array like x."""
    if type(changed) is type(x) and (changed.shape, changed.dtype) == (x.shape, x.dtype):
        return changed
    got = type(changed).__name__
    advice = ""
    if hasattr(changed, "dtype"):
        got = f"{type(changed).__module__.partition('.')[0]}.{got} of {changed.dtype}"
        got += f", shape {tuple(changed.shape)}"
        advice = f"; cast with .astype(x.dtype), here {x.dtype}" * (changed.dtype != x.dtype)
    raise TypeError(
        "augment must return an array like x, of the same shape, dtype and device: "
        f"{type(x).__module__.partition('.')[0]}.{type(x).__name__} of {x.dtype}, shape "
        f"{tuple(x.shape)}; got {got}{advice}"
    )
