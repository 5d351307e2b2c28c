"""The stand-in for CuPy, with `RawKernel`: g++ compiles a kernel's source, and the CPU runs it.

It shows, without a GPU, that the library's CUDA kernels compute what their plain forms compute. It
is as strict as CuPy and CUDA about arguments: their number, their sizes, the arrays' dtypes. It
cannot show how fast a kernel is, or a race between threads: they run one after another here.
"""

import atexit
import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.machinery import SourceFileLoader
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SourceFileLoader("cupy", str(HERE.parents[1] / "cupy" / "__init__.py")).exec_module(
    sys.modules[__name__]
)
ndarray = globals()["ndarray"]  # the stand-in's


def _folder():
    """Where compiled kernels are kept: EMULATED_CUDA, or a folder that is removed at the end."""
    if not (named := os.environ.get("EMULATED_CUDA")):
        named = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, named, ignore_errors=True)
    return Path(named)


BUILT = _folder()
NUMPY_TYPES = {
    "float": "float32",
    "double": "float64",
    "int": "int32",
    "long long": "int64",
    "unsigned char": "uint8",
    "bool": "bool",
}


class _Memory:
    """array.data: where an array's numbers are."""

    def __init__(self, ptr):
        self.ptr = ptr


def _set(self, host):
    assert host.shape == self.shape
    assert host.dtype == self.dtype
    self._array[...] = host


ndarray.data = property(lambda self: _Memory(self._array.ctypes.data))
ndarray.flags = property(lambda self: self._array.flags)
ndarray.set = _set


def _compiled(code, result, *options):
    """Run g++. The result is whole or not there, also if several processes make it."""
    partial = result.with_suffix(f".{os.getpid()}")
    always = "-std=c++17 -O1 -ffp-contract=off -w -fPIC".split()
    command = ["g++", *always, *options, str(code), "-o", str(partial)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.returncode:
        partial.replace(result)
    return done


@functools.cache
def _headers():
    """A folder with cuda.h, compiled once: reading it takes most of a kernel's time."""
    header = BUILT / "cuda.h"
    ready = BUILT / "cuda.h.gch"
    if not ready.exists():
        header.write_text((HERE.parent / "cuda.h").read_text())
        _compiled(header, ready, "-x", "c++-header")
    return BUILT


def _waits(source, name):
    """Whether the kernel's threads wait for each other, or may: its helpers are not looked at."""
    waiting = re.compile(r"__sync|__shfl")
    if "__device__" in source:
        return bool(waiting.search(source))
    before, *kernels = re.split(r"(?=__global__)", source)
    own = next(text for text in kernels if re.match(rf"__global__\s+void\s+{name}\b", text))
    return bool(waiting.search(before + own))


@functools.cache
def _built(source):
    """(the library with all kernels of a source, {kernel: the types of its parameters})."""
    found = {}
    for name, text in re.findall(r"__global__\s+void\s+(\w+)\s*\(([^)]*)\)", source):
        macro = re.search(rf"#define {re.escape(text)} (.*)", source)
        parameters = (macro[1] if macro else text).replace("__restrict__", " ").split(",")
        found[name] = [re.sub(r"\s*\w+$", "", " ".join(p.split())) for p in parameters]
    lines = ['#include "cuda.h"', source]
    for name, types in found.items():
        values = ", ".join(f"*({kind}*)a[{i}]" for i, kind in enumerate(types))
        sizes = ", ".join(f"sizeof({kind})" for kind in types)
        lines += [
            f"static void call_{name}(void** a) {{ {name}({values}); }}",
            f'extern "C" const long long sizes_{name}[] = {{{sizes}}};',
            f'extern "C" int launch_{name}(unsigned* g, unsigned* b, void** a) '
            f"{{ return launch_(call_{name}, g, b, a, {str(_waits(source, name)).lower()}); }}",
        ]
    text = "\n".join(lines) + "\n"
    library = BUILT / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.so"
    if not library.exists():
        code = library.with_suffix(f".{os.getpid()}.cpp")
        code.write_text(text)
        done = _compiled(code, library, f"-I{_headers()}", "-shared")
        if done.returncode:
            raise RuntimeError(f"g++ refuses a kernel of {list(found)}:\n{done.stderr[:3000]}")
    return ctypes.CDLL(str(library)), found


class RawKernel:
    def __init__(self, code, name, options=()):
        self.code, self.name = code, name
        self.number = re.match(r"typedef (\w+) T;", code)

    def __call__(self, grid, block, args, shared_mem=0):
        globals()["_counted"]["launches"] += 1
        library, found = _built(self.code)
        types = found[self.name]
        sizes = (ctypes.c_longlong * len(types)).in_dll(library, f"sizes_{self.name}")
        assert len(args) == len(types), f"{self.name} has {len(types)} parameters"
        kept = [self._argument(*pair) for pair in zip(args, types, strict=True)]
        for value, size, kind in zip(kept, sizes, types, strict=True):
            assert ctypes.sizeof(value) == size, f"{self.name}: {kind} has another size"
        grid, block = ((*dims, 1, 1)[:3] for dims in (grid, block))
        assert min(grid + block) >= 1, f"{self.name}: nothing to launch, {grid}, {block}"
        assert max(grid[1:]) <= 65535, grid
        assert np.prod(block) <= 1024, block
        addresses = (ctypes.c_void_p * len(kept))(*map(ctypes.addressof, kept))
        dims = [(ctypes.c_uint * 3)(*dims) for dims in (grid, block)]
        if getattr(library, f"launch_{self.name}")(*dims, addresses):
            raise RuntimeError(f"{self.name}: some threads wait at a barrier that others miss")

    def _argument(self, value, kind):
        """The value as CuPy would hand it over."""
        if isinstance(value, ndarray):
            base = re.sub(r"const|\*", "", kind).strip()
            base = self.number[1] if base == "T" else base
            assert kind.endswith("*"), f"{self.name}: an array for {kind}"
            assert value.dtype == NUMPY_TYPES.get(base, value.dtype), f"{self.name}: {kind}"
            return ctypes.c_void_p(value._array.ctypes.data)
        if isinstance(value, np.ndarray):
            assert value.size == 1, "CuPy passes host arrays of one number only"
        elif isinstance(value, int):  # also True
            value = np.int64(value) if not isinstance(value, bool) else np.bool_(value)
        elif isinstance(value, float):
            value = np.float64(value)
        assert isinstance(value, np.ndarray | np.generic), f"{self.name}: a {type(value)}"
        return (ctypes.c_char * value.nbytes).from_buffer_copy(value.tobytes())
