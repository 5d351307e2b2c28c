"""Fast kernels against plain ones in float32, since networks train in float32."""

from __future__ import annotations

import numpy as np

from minigrad import kernels
from minigrad.backend import Array
from minigrad.gradcheck.findings import Findings, close, on_device, results, upstream
from minigrad.gradcheck.function import Function
from minigrad.gradcheck.precision import in_dtype
from minigrad.gradcheck.table import tangents_for

TOLERANCE = 1e-4  # of the largest entry: float32 has 7 digits, and sums of many terms lose two
EPS = float(np.finfo(np.float32).eps)
TIMES = 10  # the fast form may be this many times further from the exact result than the plain one


def examine_forms(
    f: Function, x: Array, found: Findings, rng: np.random.Generator, jvp: bool
) -> None:
    """Compare the two forms of each kernel, in the layer's own float32.

    A gradient that is zero in exact arithmetic is rounding noise in both forms. So an error may
    also be as large as a few times the error of the plain form, measured in float64.
    """
    with np.errstate(all="ignore"):
        y = f.output(x)
        dy = upstream(f, np.zeros(y.shape, np.float32), rng, x)
        arrays = f.arrays(x)
        tangents = on_device(tangents_for(arrays, rng), x, np.float32) if jvp else None
        with kernels.use("fast"):
            fast_results = results(f, x, dy, tangents)
        with kernels.use("plain"):
            plain_results = results(f, x, dy, tangents)
            exact_results = _in_float64(f, x, dy, tangents)
    largest = max((np.abs(a).max(initial=0.0) for a in exact_results.values()), default=0.0)
    for name, plain in plain_results.items():
        fast = fast_results.get(name)
        exact = exact_results.get(name)
        if fast is None or not np.isfinite(plain).all():
            continue
        if close(fast.astype(np.float64), plain.astype(np.float64), TOLERANCE):
            continue
        if exact is not None and _as_exact(fast, plain, exact, EPS * largest):
            continue
        found.fault(name, f"in float32, fast kernels and plain ones differ by over {TOLERANCE}")


def _in_float64(
    f: Function, x: Array, dy: Array, tangents: dict[str, Array] | None
) -> dict[str, np.ndarray]:
    """The same results from the same numbers, computed in float64."""
    subject = f.model if f.model is not None else f.loss
    wide = None if tangents is None else {k: t.astype("float64") for k, t in tangents.items()}
    with in_dtype(subject, np.float64), in_dtype(f.loss, np.float64):
        return results(f, x.astype("float64"), dy.astype("float64"), wide)


def _as_exact(fast: np.ndarray, plain: np.ndarray, exact: np.ndarray, rounding: float) -> bool:
    """Whether the fast form is about as near to the exact result as the plain form is."""
    if fast.shape != exact.shape or plain.shape != exact.shape:
        return False
    allowed = TIMES * max(float(np.abs(plain - exact).max()), rounding)
    return bool(np.abs(fast - exact).max() <= allowed)
