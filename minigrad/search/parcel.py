"""A function on its way to other processes. They share its arrays: one copy in memory for all."""

from __future__ import annotations

import importlib
import mmap
import os
import pickle
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from minigrad.files import sweep

LARGE = 2**20  # bytes of arrays from which they go into a file
ALIGNED = 64  # bytes; where each array begins
_in_use: set[str] = set()  # the files of this process


def joblibs(name: str) -> Any:
    """A package that joblib brings along: within itself, or, in newer versions, beside itself."""
    try:
        return importlib.import_module(f"joblib.externals.{name}")
    except ImportError:
        return importlib.import_module(name)


class Parcel:
    """A function and the arrays that it refers to.

    The arrays lie in a temporary file if they are large. Each `open` maps the file anew, and a
    process that writes into its arrays changes its own copy only.
    """

    def __init__(self, function: Callable[..., Any]):
        cloudpickle = joblibs("cloudpickle")
        buffers: list[pickle.PickleBuffer] = []
        self._content = cloudpickle.dumps(function, protocol=5, buffer_callback=buffers.append)
        raw = [buffer.raw() for buffer in buffers]
        self._places: list[tuple[int, int]] = []
        self._path: str | None = None
        if sum(part.nbytes for part in raw) >= LARGE:
            with suppress(OSError):  # no room: they go with each run instead
                self._path = self._write(raw)
        if self._path is None and raw:
            self._content = cloudpickle.dumps(function, protocol=5)
            self._places = []

    def _write(self, raw: list[memoryview]) -> str:
        name = Path(tempfile.gettempdir()) / "minigrad-search"
        if not _in_use:
            sweep(name)  # of searches that were killed
        path = f"{name}.{os.getpid()}.{secrets.token_hex(4)}.part"
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                for part in raw:
                    file.write(bytes(-file.tell() % ALIGNED))
                    self._places.append((file.tell(), part.nbytes))
                    file.write(part)
                file.write(b"\0")  # an empty file cannot be mapped, nor an array at its end
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise
        _in_use.add(path)
        return path

    def open(self) -> Callable[..., Any]:
        """The function, in any process of this machine."""
        if self._path is None:
            return pickle.loads(self._content)
        with open(self._path, "rb") as file:
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        parts = [mapped[start : start + size] for start, size in self._places]
        return pickle.loads(self._content, buffers=parts)

    def remove(self) -> None:
        """Remove the file. Functions that were opened before still work."""
        if self._path is not None:
            _in_use.discard(self._path)
            with suppress(OSError):  # on Windows, while another process has it open
                os.unlink(self._path)
