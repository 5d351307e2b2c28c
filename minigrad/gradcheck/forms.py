"""The float32 results of fast kernels against those of the plain ones: what trains is float32."""

from __future__ import annotations

import numpy as np

from minigrad import kernels
from minigrad.backend import Array
from minigrad.gradcheck.findings import Findings, close, on_device, results, upstream
from minigrad.gradcheck.function import Function
from minigrad.gradcheck.table import tangents_for

TOLERANCE = 1e-4  # of the largest entry: float32 has 7 digits, and sums of many terms lose two


def examine_forms(
    f: Function, x: Array, found: Findings, rng: np.random.Generator, jvp: bool
) -> None:
    """Compare the two forms of each kernel, in the layer's own float32."""
    with np.errstate(all="ignore"):
        y = f.output(x)
        dy = upstream(f, np.zeros(y.shape, np.float32), rng, x)
        arrays = f.arrays(x)
        tangents = on_device(tangents_for(arrays, rng), x, np.float32) if jvp else None
        found_in = {}
        for form in ("fast", "plain"):
            with kernels.use(form):
                found_in[form] = results(f, x, dy, tangents)
    for name, plain in found_in["plain"].items():
        fast = found_in["fast"].get(name)
        if fast is None or not np.isfinite(plain).all():
            continue
        if not close(fast.astype(np.float64), plain.astype(np.float64), TOLERANCE):
            found.fault(name, f"in float32, fast kernels and plain ones differ by over {TOLERANCE}")
