"""A strict stand-in for CuPy, for machines without a GPU: NumPy's numbers, CuPy's manners.

It refuses what a GPU refuses or makes slow without a word: a NumPy array where a device array
is due, a NumPy function on a device array, a silent copy to the host. It does what CuPy does
differently: reductions give 0-d arrays, and an index array that is out of range wraps around.
A name that is not listed here is an AttributeError: look up that CuPy has it, then list it.

What a step costs on a GPU is counted: `transfers` to the host; `syncs`, where the host waits for
the device (each transfer, and a few others, like a[mask], whose shape depends on numbers);
`uploads` from the host; `launches` of kernels, about as many as CuPy makes.

    with cupy.counted() as counts:      with cupy.no_sync():      # a sync in it is an error
        step()                              step()
    assert counts.syncs == 1

An array belongs to the thread that made it. Another thread has another current stream on a GPU,
and its results could be wrong: here that is an error.
"""

import contextlib
import threading
import types

import numpy as _np

__version__ = "stand-in"
float32, float64, int64, bool_, newaxis = _np.float32, _np.float64, _np.int64, _np.bool_, None
transfers = 0  # how often something was brought to the host
_counted = {"launches": 0, "syncs": 0, "uploads": 0}
_refused = []  # one entry for each `no_sync` block that is open


class SyncError(RuntimeError):
    """The host would wait for the device within `no_sync`."""


@contextlib.contextmanager
def no_sync():
    """Within it, whatever makes the host wait for the device raises SyncError."""
    _refused.append(True)
    try:
        yield
    finally:
        _refused.pop()


@contextlib.contextmanager
def counted():
    """The launches, transfers, syncs and uploads within a block; they are set at its end."""
    before = _counted | {"transfers": transfers}
    counts = types.SimpleNamespace()
    yield counts
    for name, count in (_counted | {"transfers": transfers}).items():
        setattr(counts, name, count - before[name])


def _sync(what):
    if _refused:
        raise SyncError(f"{what} makes the host wait for the device")
    _counted["syncs"] += 1


def _launch(count=1):
    _counted["launches"] += count


class ndarray:
    """An array "on the device"."""

    __array_ufunc__ = None  # NumPy's operators give way to ours, its functions raise TypeError
    __hash__ = None

    def __init__(self, array):
        assert type(array) is _np.ndarray
        self._numbers = array
        self._thread = threading.get_ident()

    @property
    def _array(self):
        if self._thread != threading.get_ident():
            raise RuntimeError("a device array was used by a thread that did not make it")
        return self._numbers

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion of a device array to NumPy; use cupy.asnumpy")

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError(f"numpy.{function.__name__} called on a device array")

    shape = property(lambda self: self._array.shape)
    strides = property(lambda self: self._array.strides)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    nbytes = property(lambda self: self._array.nbytes)
    itemsize = property(lambda self: self._array.itemsize)
    T = property(lambda self: _wrap(self._array.T))

    def __len__(self):
        return len(self._array)

    def __repr__(self):
        return f"cupy.{self._array!r}"

    def __float__(self):
        return float(_to_host(self))

    def __int__(self):
        return int(_to_host(self))

    def __bool__(self):
        return bool(_to_host(self))

    def item(self):
        return _to_host(self).item()

    def __getitem__(self, index):
        if _kind(index, "b"):
            _sync("an array of True and False as an index")
        result = _wrap(self._array[self._index(index)])
        _launch(_kind(index, "biu"))
        return result

    def __setitem__(self, index, value):
        if _kind(index, "b") and getattr(value, "shape", ()):
            _sync("an array of True and False as an index, and an array of values,")
        self._array[self._index(index)] = _unwrap(value)
        _launch()

    def _index(self, index):
        parts = index if isinstance(index, tuple) else (index,)
        result, axis = [], 0
        for part in parts:
            if isinstance(part, ndarray):
                part = part._array
                if part.dtype.kind in "iu":
                    part = part % self.shape[axis]  # CuPy wraps, it does not raise
            elif not isinstance(part, int | slice | type(None) | type(Ellipsis)):
                raise TypeError(f"device array indexed by {type(part).__module__}.{type(part)}")
            result.append(part)
            axis += part is not None
        return tuple(result) if isinstance(index, tuple) else result[0]


def _kind(index, kinds):
    """Whether an array of such a dtype is an index, or a part of one."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, ndarray) and part.dtype.kind in kinds for part in parts)


def _wrap(value):
    if isinstance(value, tuple):
        return tuple(_wrap(v) for v in value)
    if isinstance(value, _np.ndarray | _np.generic):
        return ndarray(_np.asarray(value))
    return value


def _unwrap(value):
    if isinstance(value, ndarray):
        return value._array
    if isinstance(value, _np.ndarray):
        raise TypeError(f"unsupported type numpy.ndarray {value.shape} on the device")
    if isinstance(value, list | tuple):
        return type(value)(_unwrap(v) for v in value)
    return value


def _to_host(array):
    global transfers
    _sync("bringing an array to the host")
    transfers += 1
    return array._array


# Launches of what is not one kernel. VIEWS launch one if they must copy.
VIEWS = set(
    "reshape ravel transpose squeeze view expand_dims moveaxis broadcast_to as_strided "
    "ascontiguousarray".split()
)
LAUNCHES = {"empty": 0, "empty_like": 0, "shares_memory": 0, "array_equal": 2, "eye": 2}
LAUNCHES |= {"var": 4, "std": 5, "cumsum": 2}


def _count(name, args, result):
    if name in VIEWS:
        sources = [a for a in args if isinstance(a, _np.ndarray)]
        _launch(not any(_np.may_share_memory(result, source) for source in sources))
    elif name == "where" and len(args) == 1:
        _sync("where(condition), whose shape depends on numbers,")
    else:
        _launch(LAUNCHES.get(name, 1))


def _on_device(function):
    def wrapped(*args, **kwargs):
        out = kwargs.get("out")
        if out is not None and not isinstance(out, ndarray):
            raise TypeError("out= must be a device array")
        args = [_unwrap(a) for a in args]
        result = function(*args, **{k: _unwrap(v) for k, v in kwargs.items()})
        _count(wrapped.__name__, args, result)
        return out if out is not None else _wrap(result)

    wrapped.__name__ = getattr(function, "__name__", "function")
    return wrapped


def _operator(name):
    operate = getattr(_np.ndarray, name)

    def method(self, *others):
        for other in others:
            if not isinstance(other, ndarray | _np.generic | int | float | bool):
                return NotImplemented if not isinstance(other, _np.ndarray) else _unwrap(other)
        result = operate(self._array, *[_unwrap(other) for other in others])
        _launch()
        if name.startswith("__i") and name != "__invert__":
            return self
        return result if result is NotImplemented else _wrap(result)

    return method


for _name in (
    "add radd iadd sub rsub isub mul rmul imul truediv rtruediv itruediv floordiv mod rmod "
    "pow rpow ipow matmul rmatmul neg abs invert and rand iand or ror ior xor ixor rshift eq ne "
    "lt le gt ge"
).split():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))

for _name in (
    "reshape transpose ravel sum mean max min argmax argmin all any astype copy dot fill std "
    "var cumsum squeeze view"
).split():
    setattr(ndarray, _name, _on_device(getattr(_np.ndarray, _name)))

for _name in (
    "exp log log1p sqrt tanh abs sign negative reciprocal square isfinite isnan maximum minimum "
    "add subtract multiply divide matmul dot where clip empty_like zeros_like ones_like full_like "
    "ascontiguousarray concatenate stack sum mean copyto take_along_axis expand_dims einsum "
    "array_equal transpose moveaxis broadcast_to outer shares_memory log1p"
).split():
    globals()[_name] = _on_device(getattr(_np, _name))

for _name in ("empty", "zeros", "ones", "full", "arange", "eye"):
    globals()[_name] = _on_device(getattr(_np, _name))


def asarray(array, dtype=None):
    """To the device: the one way in for host arrays."""
    if isinstance(array, ndarray):
        return array if dtype in (None, array.dtype) else array.astype(dtype)
    _counted["uploads"] += 1
    return ndarray(_np.array(array, dtype))


array = asarray


def asnumpy(array):
    """To the host: the one way out."""
    return _to_host(array).copy()


class _Generator:
    """cupy.random.Generator: draws on the device, a stream of its own."""

    def __init__(self, seed=None):
        _launch()
        self._rng = _np.random.Generator(_np.random.Philox(seed))

    def random(self, size=None, dtype=float64):
        _launch()
        return _wrap(self._rng.random(size, dtype))

    def standard_normal(self, size=None, dtype=float64):
        _launch()
        return _wrap(self._rng.standard_normal(size, dtype))

    def integers(self, low, high=None, size=None, dtype=int64):
        _launch()
        return _wrap(self._rng.integers(low, high, size, dtype))

    def uniform(self, low=0.0, high=1.0, size=None):
        _launch()
        return _wrap(self._rng.uniform(low, high, size))


random = types.SimpleNamespace(default_rng=_Generator)
lib = types.SimpleNamespace(
    stride_tricks=types.SimpleNamespace(as_strided=_on_device(_np.lib.stride_tricks.as_strided))
)
cuda = types.SimpleNamespace(
    runtime=types.SimpleNamespace(
        getDeviceCount=lambda: 1, getDeviceProperties=lambda device: {"name": b"a stand-in"}
    ),
    Device=lambda: types.SimpleNamespace(synchronize=lambda: _sync("waiting for the device")),
)
get_default_memory_pool = lambda: types.SimpleNamespace(  # noqa: E731
    used_bytes=lambda: 0, total_bytes=lambda: 0, free_all_blocks=lambda: None
)
