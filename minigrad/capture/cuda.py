"""The GPU's side of a captured step: a stream, memory, and the graph. It uses CuPy alone."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

import numpy as np

from minigrad.backend import Array
from minigrad.capture.cublas import Products
from minigrad.kernels.recording import recording

SOURCE = r"""
// losses[count mod length] = value, count += 1.   One thread.
extern "C" __global__ void keep_loss(
    const double* value, long long length, double* losses, long long* count
) {
    losses[count[0] % length] = value[0];
    count[0] += 1;
}

// to = the numbers.   One thread.
extern "C" __global__ void write_numbers(
    double* to, double a, double b, double c, double d, double e, double f, double g, double h
) {
    to[0] = a; to[1] = b; to[2] = c; to[3] = d; to[4] = e; to[5] = f; to[6] = g; to[7] = h;
}
"""


class UploadError(RuntimeError):
    """An array was brought from the host to the GPU while a step was recorded."""


class MemoryMovedError(RuntimeError):
    """The GPU had too little memory while a step was recorded."""


class Cuda:
    """One stream, and the graphs that run on it. It is also what records (`kernels.recording`)."""

    def __init__(self, xp: ModuleType):
        self.xp: Any = xp
        self.stream = self.xp.cuda.Stream(non_blocking=True)
        self.products = Products(xp, self.stream)
        self.pool: Any = None
        self._keep = self.xp.RawKernel(SOURCE, "keep_loss")
        self._write = self.xp.RawKernel(SOURCE, "write_numbers")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within this block all work is done on the stream. It waits for work before the block.

        Work after the block waits for the work in it.
        """
        outer = self.xp.cuda.get_current_stream()
        self.stream.wait_event(outer.record())
        try:
            with self.stream:
                yield
        finally:
            outer.wait_event(self.stream.record())

    def new_memory(self) -> None:
        """Begin a new pool. What a graph uses stays in its pool, and nothing else gets it."""
        self.pool = self.xp.cuda.MemoryPool()

    @contextmanager
    def own_memory(self) -> Iterator[None]:
        """Within this block arrays are made in the pool of the next graph."""
        with self.xp.cuda.using_allocator(self.pool.malloc):
            yield

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what `work` does on the GPU. It is not done. The result does it, again and again.

        An error of `work` is raised, after the recording has been given up.
        """
        xp = self.xp
        pool = self.pool
        least = pool.total_bytes()

        def malloc(size: int) -> Any:
            nonlocal least
            found = pool.malloc(size)
            if pool.total_bytes() < least:  # the pool has given memory back that the graph uses
                raise MemoryMovedError(
                    "the GPU has too little memory for this step: take a smaller batch_size"
                )
            least = pool.total_bytes()
            return found

        self.products.prepare()
        collects = gc.isenabled()
        gc.disable()  # it could free a stream or a graph in the middle
        xp.cuda.set_pinned_memory_allocator(_refuse_upload)
        try:
            with recording(self), xp.cuda.using_allocator(malloc):
                self.stream.begin_capture()
                try:
                    work()
                except BaseException:
                    with suppress(Exception):
                        self.stream.end_capture()
                    raise
                graph = self.stream.end_capture()
        finally:
            xp.cuda.set_pinned_memory_allocator(xp.get_default_pinned_memory_pool().malloc)
            if collects:
                gc.enable()
        graph.upload(self.stream)
        return Graph(graph, self.stream, pool)

    def dot(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """a b, on cuBLAS."""
        return self.products.dot(a, b, out)

    def keep(self, value: Array, losses: Array, count: Array) -> None:
        """losses[count mod its size] = value, count += 1, on the GPU."""
        self._keep((1,), (1,), (value, np.int64(losses.size), losses, count))

    def numbers(self, length: int) -> Array:
        """Float64 numbers in device memory, which a graph reads."""
        return self.xp.zeros(length, "float64")

    def write(self, to: Array, numbers: Sequence[float]) -> None:
        """Write at most 8 numbers to device memory, after the work that is waiting there."""
        values = [np.float64(number) for number in numbers]
        self._write((1,), (1,), (to, *values, *[np.float64(0)] * (8 - len(values))))

    def copy(self, source: Any, to: Any) -> None:
        """to = source."""
        if source.flags.c_contiguous and source.dtype == to.dtype:
            to.data.copy_from_device_async(source.data, source.nbytes, self.stream)
        else:
            to[...] = source

    def one_place(self, a: Any, b: Any) -> bool:
        """Whether two arrays of one shape and dtype are the same memory."""
        return a.data.ptr == b.data.ptr and a.strides == b.strides

    def host(self, array: Array) -> np.ndarray:
        """The array on the host. It waits for all work on the stream."""
        return self.xp.asnumpy(array, stream=self.stream)

    def wait(self) -> None:
        """Wait for all work on the stream."""
        self.stream.synchronize()


class Graph:
    """A CUDA graph, and the memory that it uses."""

    def __init__(self, graph: Any, stream: Any, pool: Any):
        self.graph = graph
        self.stream = stream
        self.pool = (
            pool  # the graph's arrays lie in it; they are no one's while Python forgets them
        )

    def __call__(self) -> None:
        self.graph.launch(self.stream)

    def bytes(self) -> int:
        """The memory of the graph's own pool."""
        return self.pool.total_bytes()


def _refuse_upload(size: int) -> Any:
    """CuPy asks for memory of the host, to bring an array to the GPU."""
    raise UploadError(
        "it brings an array from the host to the GPU in each step. A graph would bring the same "
        "numbers again and again"
    )
