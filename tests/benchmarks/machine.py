"""The machine and the versions, the peak of NumPy's BLAS, and whether other work is going on."""

from __future__ import annotations

import importlib
import os
import platform
import time

import numpy as np


def versions(names=("numpy", "torch", "jax", "cupy")) -> dict[str, str]:
    """{package: version} of Python and of the packages that can be imported."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.import_module(name).__version__
        except ImportError:
            continue
    return found


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        return names[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def blas() -> str:
    """NumPy's BLAS and the kernels that it took for this processor."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:  # where minigrad is not installed
        return "BLAS unknown"
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    names = {f"{p['internal_api']} {p.get('architecture', '')}".strip() for p in pools}
    return ", ".join(sorted(names)) or "unknown"


def load() -> float | None:
    """The load average of the last minute. It should be near 0 before a measurement begins."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def peak_gflops(size: int = 2048, repeats: int = 5) -> float:
    """GFLOP/s of NumPy's product of two large squares in float32: what no step can exceed."""
    a = np.ones((size, size), "float32")
    out = np.empty_like(a)
    np.matmul(a, a, out=out)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        np.matmul(a, a, out=out)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times) / 1e9
