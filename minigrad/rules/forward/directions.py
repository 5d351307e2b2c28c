"""Random directions for forward gradients. A seed is enough to draw any of them again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np

from minigrad.backend import Array, array_module, to_device, to_host
from minigrad.checks import positive_int
from minigrad.kernels.device import update
from minigrad.kernels.device.draws import draw as draw_on_device
from minigrad.kernels.draws import draw_normals, draw_signs
from minigrad.kernels.memory import in_memory_order, keep_memory
from minigrad.kernels.parts import WORTH_A_THREAD, share
from minigrad.kernels.updates import add_scaled, add_scaled_to_all, scale_all
from minigrad.rules.renamed import old_name

DISTRIBUTIONS = ("normal", "rademacher", "sphere", "orthonormal")
BLOCK = 2**18  # numbers drawn from one stream: few enough tasks that threads seldom wait
SMALL = 2**20  # numbers up to which orthonormal directions are made exactly, in float64


class DirectionSampler:
    r"""Draws random directions v with E[v] = 0 and E[v vᵀ] = I, numbered (step, k).

    normal       v_i ~ N(0, 1)
    rademacher   v_i = ±1
    sphere       √n · a point of the unit sphere: a normal v, scaled to |v|² = n
    orthonormal  v_1 ... v_K of one step: normal ones, made orthogonal to each other, |v_k|² = n.
                 All K are in memory at once. K can be n at most.

    Each parameter of each direction has random streams of its own, one for every 2^18 numbers. So
    any part can be drawn again alone, and the number of threads does not matter. On the host the
    numbers are the same in float32 and in float64, up to rounding. A GPU draws other numbers: all
    of them are functions of (seed, step, k, parameter, index), see kernels/device/draws.py.
    Source: Box, Muller 1958 for the normals; streams by NumPy's SeedSequence and SFC64.
    """

    def __init__(self, distribution: str = "normal", seed: int = 0):
        if distribution not in DISTRIBUTIONS:
            raise ValueError(
                f"distribution must be one of {', '.join(DISTRIBUTIONS)}, got {distribution!r}"
            )
        self.distribution = distribution
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """From here on all directions come from this seed."""
        self.seed = positive_int("seed", seed, least=0)

    def fill(self, arrays: Sequence[Array], step: int, k: int) -> None:
        """Write the k-th direction of a step into arrays of all parameters' shapes."""
        self.fill_part(enumerate(arrays), step, k)
        if self.distribution == "sphere":
            n = sum(array.size for array in arrays)
            scale_all(arrays, sqrt(n / squared_norm_of_all(arrays)))

    def fill_part(self, numbered: Any, step: int, k: int) -> None:
        """Write some parameters of a direction only, given as (number of the parameter, array).

        A part of a "sphere" direction is not scaled: its length depends on all parts.
        """
        signs = self.distribution == "rademacher"
        draw = draw_signs if signs else draw_normals
        jobs: list[tuple[np.ndarray, np.ndarray]] = []
        on_device: list[tuple[int, Array]] = []
        total = 0
        for i, array in numbered:
            if array_module(array) is not np:
                on_device.append((i, array))
                continue
            keys = np.random.SeedSequence(self.seed, spawn_key=(step, k, i))
            flat = in_memory_order(array)
            total += array.nbytes
            cuts = range(0, flat.size, BLOCK)
            words = keys.generate_state(3 * len(cuts), np.uint64).reshape(-1, 3)
            jobs += [(flat[a : a + BLOCK], word) for a, word in zip(cuts, words, strict=True)]

        if on_device:
            draw_on_device(on_device, self.seed, step, k, signs)

        def work(job: tuple[np.ndarray, np.ndarray]) -> None:
            draw(job[1], job[0])

        if total < 2 * WORTH_A_THREAD:
            for job in jobs:
                work(job)
        else:
            keep_memory()
            share(work, jobs, like=jobs[0][0])

    def orthonormal(self, like: Sequence[Array], step: int, count: int) -> list[list[Array]]:
        """All `count` directions of a step, each a list of arrays like these."""
        sizes = [array.size for array in like]
        xp = array_module(*like)
        n = sum(sizes)
        if reason := too_many(count, n):
            raise ValueError(reason)
        rows = xp.empty((count, n), like[0].dtype)
        ends = np.cumsum(sizes)
        parts = [
            [row[end - size : end] for size, end in zip(sizes, ends, strict=True)] for row in rows
        ]
        for k, part in enumerate(parts):
            self.fill_part(enumerate(part), step, k)
        _orthogonalise(rows)
        rows *= sqrt(n)
        return [[a.reshape(p.shape) for a, p in zip(part, like, strict=True)] for part in parts]


class StepDirections:
    """The K directions of one step, as dicts of arrays like `params`.

    antithetic: they come in pairs v, -v. A pair is one draw.
    """

    def __init__(
        self,
        sampler: DirectionSampler,
        step: int,
        params: Mapping[Any, Array],
        count: int,
        antithetic: bool = False,
    ):
        self.sampler = sampler
        self.step = step
        self.params = params
        self.count = count
        self.antithetic = antithetic
        self._numbers = {name: i for i, name in enumerate(params)}

    def __iter__(self) -> Iterator[dict[Any, Array]]:
        """One direction after the other. All use the same memory, except orthonormal ones."""
        like = list(self.params.values())
        draws = self._draw(self.count)
        together = self.sampler.distribution == "orthonormal"
        if together:
            found = self.sampler.orthonormal(like, self.step, draws)
        else:
            found = [[array_module(p).empty_like(p) for p in like]] * draws  # one memory for all
        for k in range(self.count):
            arrays = found[self._draw(k)]
            if not together:
                self.sampler.fill(arrays, self.step, self._draw(k))
            self._turn(arrays, k)
            yield dict(zip(self.params, arrays, strict=True))

    def part(self, k: int, names: Iterable[Any]) -> dict[Any, Array]:
        """The k-th direction, for some of the parameters only."""
        like = {name: self.params[name] for name in names}
        part = {name: array_module(p).empty_like(p) for name, p in like.items()}
        numbered = [(self._numbers[name], array) for name, array in part.items()]
        self.sampler.fill_part(numbered, self.step, self._draw(k))
        self._turn(part.values(), k)
        return part

    def _draw(self, k: int) -> int:
        """The number of the draw that gives direction k. For k = K: the number of all draws."""
        return k // 2 if self.antithetic else k

    def _turn(self, arrays: Iterable[Array], k: int) -> None:
        """Make v into -v where k is the second of a pair."""
        if self.antithetic and k % 2:
            scale_all(list(arrays), -1)

    def mean_along(self, slope: Callable[[dict[Any, Array]], float]) -> dict[Any, Array]:
        """1/K Σ_k d_k v_k with d_k = slope(v_k). One direction is in memory at a time."""
        grads = self._zeros()
        for v in self:
            d = slope(v)
            add_scaled_to_all(list(grads.values()), d / self.count, [v[name] for name in grads])
        return grads

    def mean(self, slopes: Sequence[float]) -> dict[Any, Array]:
        """1/K Σ_k d_k v_k from known slopes. Every v_k is drawn again, parameter by parameter."""
        grads = self._zeros()
        for name, grad in grads.items():
            for k, d in enumerate(slopes):
                add_scaled(grad, d / self.count, self.part(k, [name])[name])
        return grads

    def _zeros(self) -> dict[Any, Array]:
        return {name: array_module(p).zeros_like(p) for name, p in self.params.items()}


def too_many(count: int, n: int) -> str | None:
    """A sentence if `count` directions cannot be orthogonal to each other in n dimensions."""
    if count <= n:
        return None
    return (
        f"there are no {count} orthogonal directions in {n} dimensions: directions must be at most "
        f"{n}, the number of parameters"
    )


def squared_norm(array: Array) -> float:
    """|v|² as a number on the host. Small arrays are added up in float64."""
    flat = array.ravel("K") if array_module(array) is np else array.reshape(-1)  # gaps: a copy
    if flat.size >= SMALL and array_module(array) is np:
        return float(sum(np.dot(part, part) for part in np.array_split(flat, flat.size // 4096)))
    return float((flat.astype("float64") ** 2).sum())


def squared_norm_of_all(arrays: Sequence[Array]) -> float:
    """|v|² of a vector in several arrays."""
    found = update.squared_norm(arrays)
    return sum(squared_norm(array) for array in arrays) if found is None else found


def _orthogonalise(rows: Array) -> None:
    """Make the rows orthonormal in place. They span the same space.

    Few numbers: by QR in float64. Many: rows ← L⁻¹ rows with L Lᵀ = rows rowsᵀ (Cholesky), which
    takes two products over all numbers. A second pass removes the rounding of the first.
    """
    if rows.size <= SMALL:
        _orthogonalise_by_qr(rows)
        return
    for _ in range(2):
        gram = to_host(rows @ rows.T).astype("float64")
        try:
            factor = np.linalg.cholesky(gram)
        except np.linalg.LinAlgError:  # as many rows as dimensions: float32 products are too rough
            _orthogonalise_by_qr(rows)
            return
        inverse = np.linalg.inv(factor).astype(rows.dtype)
        rows[...] = to_device(inverse, like=rows) @ rows


def _orthogonalise_by_qr(rows: Array) -> None:
    q, r = np.linalg.qr(to_host(rows).astype("float64").T)
    q *= np.where(np.diag(r) < 0, -1, 1)  # with LAPACK's signs E[v_1] is not 0
    rows[...] = to_device(np.ascontiguousarray(q.T).astype(rows.dtype), like=rows)


def __getattr__(name: str) -> Any:
    return old_name(__name__, name, {"Directions": DirectionSampler})
