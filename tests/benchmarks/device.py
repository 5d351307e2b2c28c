"""A GPU: waiting for it, counting launches, and its memory.

PyTorch may be missing, or have no CUDA: then minigrad is measured alone.
"""

from __future__ import annotations

import time
from inspect import signature

import cupy

try:
    import torch
except ImportError:
    torch = None


def peers() -> bool:
    """Whether PyTorch sees the GPU."""
    return torch is not None and torch.cuda.is_available()


def sync() -> None:
    cupy.cuda.Device().synchronize()
    if peers():
        torch.cuda.synchronize()


def name() -> str:
    """The GPU's name, by CUDA itself."""
    return cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()


def profiled(step, n: int = 3) -> dict[str, float] | None:
    """Launches a step (kernels, copies, fills), and the milliseconds that the device was busy.

    PyTorch's profiler listens to CUDA itself: it sees CuPy's launches as well. The stand-in for
    CuPy counts launches itself. None where neither is there.
    """
    for _ in range(2):
        step()
    sync()
    if hasattr(cupy, "counted"):
        with cupy.counted() as counts:
            for _ in range(n):
                step()
        return {"launches": counts.launches / n, "busy_ms": None}
    if not peers():
        return None
    from torch.profiler import ProfilerActivity, profile

    options = {"acc_events": True} if "acc_events" in signature(profile).parameters else {}
    with profile(activities=[ProfilerActivity.CUDA], **options) as found:
        for _ in range(n):
            step()
        sync()
    events = [e for e in found.events() if "CUDA" in str(e.device_type)]
    busy = sum(getattr(e, "device_time", 0) or 0 for e in events)
    return {"launches": len(events) / n, "busy_ms": busy / n / 1e3}


def peak_of(step, ours: bool) -> float:
    """MiB that the device's pool of memory holds after a few steps, from an empty one."""
    forget()
    if ours:
        before = cupy.get_default_memory_pool().used_bytes()
        for _ in range(3):
            step()
        sync()
        return (cupy.get_default_memory_pool().total_bytes() - before) / 2**20
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        step()
    sync()
    return (torch.cuda.max_memory_reserved() - before) / 2**20


def forget() -> None:
    """Give back what the pools keep."""
    sync()
    cupy.get_default_memory_pool().free_all_blocks()
    if peers():
        torch.cuda.empty_cache()


def peak_gflops(size: int = 4096) -> float:
    """GFLOP/s of cuBLAS's product of two large squares in float32 (CuPy: TF32 is off)."""
    a = cupy.ones((size, size), "float32")
    times = []
    for _ in range(4):
        sync()
        start = time.perf_counter()
        for _ in range(5):
            a @ a
        sync()
        times.append((time.perf_counter() - start) / 5)
    return 2 * size**3 / min(times) / 1e9
