"""Weights in the file format `safetensors`, which PyTorch's users share.

    8 bytes     length of the header       little-endian
    header      JSON: {"0.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
    numbers     of all arrays, one after another, little-endian, last axis fastest

The library of that name reads and writes. The header is checked here first, so that the error says
what is wrong, whatever the library's version. The format has no checksum, so `write` adds one to
the header's "__metadata__". A file from another program has none: there, a flipped bit is found
only in the header.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from minigrad.checkpoint import meta as json_meta
from minigrad.checkpoint.error import CheckpointError
from minigrad.files import replacing

# Size of a number of each type that a model here can have, in bytes
BYTES = {"F64": 8, "F32": 4, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
BYTES |= {"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
ABOUT = "__metadata__"  # the part of the header that is no array
CHECKSUM = "crc32"  # its name there
LARGEST = 2**24  # bytes of a header: 100,000 arrays


def write(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write {name: array on the host} to a safetensors file, whole or not at all."""
    library = _library(path)
    if ABOUT in arrays:
        raise ValueError(f"no parameter can have the name {ABOUT!r} in a safetensors file")
    plain = {
        name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()
    }
    about = {"format": "pt"}
    content = library.save(plain, metadata=about)
    about[CHECKSUM] = f"{zlib.crc32(_numbers(content)):08x}"
    content = library.save(plain, metadata=about)
    with replacing(path) as file:
        file.write(content)


def read(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays in a safetensors file, by name. CheckpointError if it is damaged."""
    library = _library(path)
    content = Path(path).read_bytes()
    try:
        _check(content)
    except ValueError as error:
        raise CheckpointError(
            f"{path} is not a safetensors file that minigrad can read: {error}; take another copy "
            "of it, or save it again"
        ) from error
    try:
        return library.load(content)
    except Exception as error:  # SafetensorError is derived from Exception
        raise CheckpointError(
            f"{path} is damaged: {error!s:.200}; take another copy of it, or save it again"
        ) from error


def _library(path: str | Path) -> ModuleType:
    try:
        return importlib.import_module("safetensors.numpy")
    except ImportError as error:
        raise ImportError(
            f"{path} needs the library safetensors, which is not installed here: "
            "pip install safetensors, or use a file that ends in .npz"
        ) from error


def _numbers(content: bytes) -> memoryview:
    """The part of the file after the header."""
    return memoryview(content)[8 + int.from_bytes(content[:8], "little") :]


def _check(content: bytes) -> None:
    """ValueError unless the header is whole and its arrays fill the file exactly."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or 8 + length > len(content):
        raise ValueError(f"its {len(content):,} bytes are too few, or it is another kind of file")
    if length > LARGEST:
        raise ValueError(f"its header of {length:,} bytes is longer than {LARGEST:,}")
    header = json_meta.parse(content[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    about = header.pop(ABOUT, {})
    ranges = sorted(_range(name, entry) for name, entry in header.items())
    place = 0
    for start, end in ranges:
        if start != place:
            raise ValueError("its arrays overlap, or there are gaps between them")
        place = end
    numbers = _numbers(content)
    if place != len(numbers):
        raise ValueError(f"its arrays have {place:,} bytes, and there are {len(numbers):,}")
    checksum = about.get(CHECKSUM) if isinstance(about, dict) else None
    if checksum is not None and checksum != f"{zlib.crc32(numbers):08x}":
        raise ValueError("its numbers are not those that were written (CRC-32)")


def _range(name: str, entry: Any) -> tuple[int, int]:
    """Where an array's bytes start and end, if its entry is right."""
    fields = ("dtype", "shape", "data_offsets")
    if not isinstance(entry, dict) or entry.keys() != set(fields):
        raise ValueError(f"{name!r:.60} does not have {', '.join(fields)}")
    dtype, shape, offsets = (entry[field] for field in fields)
    if not isinstance(dtype, str) or dtype not in BYTES:
        raise ValueError(
            f"{name!r:.60} is of type {dtype!r:.20}, and a model here has float32 or float64 (in "
            "PyTorch, save {name: tensor.float() for each tensor})"
        )
    lists = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
    if not lists or not all(type(n) is int and n >= 0 for n in (*shape, *offsets)):
        raise ValueError(f"{name!r:.60} has an impossible shape or place")
    start, end = offsets
    if end - start != prod(shape) * BYTES[dtype]:
        raise ValueError(f"{name!r:.60} of type {dtype} and shape {shape!r:.60} has another size")
    return start, end
