"""The IDX file format of MNIST: a header that says the shape, then the bytes.

    bytes 0-1  zero        byte 2  the type: 0x08, unsigned bytes      byte 3  number of axes
    then one big-endian 32-bit integer for each axis, then the data, last axis fastest

A file that is cut short, too long or not IDX at all raises a ValueError that says so. The header's
sizes are checked against the file before any memory is taken. A gzip file is unpacked up to the
expected size, and no further.
"""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minigrad.files import replacing

LARGEST = 2**30  # bytes that a header may ask for; MNIST's largest file has 47,040,000


def read(path: str | Path, axes: int, largest: int = LARGEST) -> np.ndarray:
    """The array of unsigned bytes in an IDX file, plain or gzipped.

    axes: how many axes the file must have (3 for images, 1 for labels).
    Raises ValueError, naming the file, for anything but one whole IDX file of that kind.
    """
    return parse(read_bytes(path, largest), axes, str(path), largest)


def read_bytes(source: str | Path | BinaryIO, largest: int = LARGEST) -> bytes:
    """The file's content, unzipped if it is gzipped; at most a header and `largest` bytes.

    source  a path, or a file that is open for reading bytes
    """
    if not isinstance(source, str | Path):
        return _unzipped(source, largest)
    try:
        with open(source, "rb") as file:
            return _unzipped(file, largest)
    except ValueError as error:
        again = "; delete it and get it anew" if "damaged" in str(error) else ""
        raise ValueError(f"{source}: {error}{again}") from error


def _unzipped(file: BinaryIO, largest: int) -> bytes:
    limit = largest + 1024
    start = file.tell()
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(start)
    try:
        content = (gzip.GzipFile(fileobj=file) if zipped else file).read(limit + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"damaged gzip file ({error})") from error
    if len(content) > limit:
        raise ValueError(f"more than the {largest:,} bytes expected at most")
    return content


def parse(content: bytes, axes: int, name: str = "IDX data", largest: int = LARGEST) -> np.ndarray:
    """The array in `content`; ValueError unless it is exactly one IDX array of `axes` axes."""
    header = 4 + 4 * axes
    if len(content) < header:
        raise ValueError(f"{name}: {len(content)} bytes are too few for the header of {header}")
    magic = int.from_bytes(content[:4], "big")
    if magic != 0x0800 + axes:
        raise ValueError(
            f"{name}: magic number 0x{magic:08x} instead of 0x{0x0800 + axes:08x}: not an IDX "
            f"file of unsigned bytes with {axes} axes"
        )
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, header, 4))
    expected = prod(shape)
    got = len(content) - header
    if expected > largest:
        raise ValueError(f"{name}: the header asks for {expected:,} bytes, {shape}: damaged")
    if got != expected:
        kind = "cut short" if got < expected else "bytes left over at the end"
        raise ValueError(
            f"{name}: expected {expected:,} bytes after the header for shape {shape}, got "
            f"{got:,} ({kind}); delete the file and get it anew"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def write(path: str | Path, array: np.ndarray) -> None:
    """Write unsigned bytes as an IDX file, gzipped where the name ends in .gz."""
    if array.dtype != np.uint8:
        raise TypeError(f"an IDX file here holds uint8, got {array.dtype}")
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    content = (0x0800 + array.ndim).to_bytes(4, "big") + sizes + array.tobytes()
    if str(path).endswith(".gz"):
        content = gzip.compress(content)
    with replacing(path) as file:
        file.write(content)
