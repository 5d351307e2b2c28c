"""A GPU: waiting for it, counting launches, and its memory."""

from __future__ import annotations

from inspect import signature

import cupy
import torch
from torch.profiler import ProfilerActivity, profile


def sync() -> None:
    cupy.cuda.Device().synchronize()
    torch.cuda.synchronize()


def name() -> str:
    return torch.cuda.get_device_name()


def profiled(step, n: int = 3) -> dict[str, float]:
    """Launches a step (kernels, copies, fills), and the milliseconds that the device was busy.

    PyTorch's profiler listens to CUDA itself: it sees CuPy's launches as well.
    """
    for _ in range(2):
        step()
    sync()
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
    torch.cuda.empty_cache()


def peak_gflops(size: int = 4096) -> float:
    """GFLOP/s of cuBLAS's product of two large squares in float32 (CuPy: TF32 is off)."""
    a = cupy.ones((size, size), "float32")
    times = []
    for _ in range(4):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        for _ in range(5):
            a @ a
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end) / 5e3)
    return 2 * size**3 / min(times) / 1e9
