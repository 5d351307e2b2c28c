"""One array as the content of an .npy file: a header of text, then the numbers.

    8 bytes     b"\\x93NUMPY\\x01\\x00"      the format's name and version, 1.0
    2 bytes     length of the text         little-endian
    text        {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
                then spaces and a line's end, so that all of it has 64, 128, ... bytes
    numbers     little-endian, last axis fastest (C order)

Types: <f4 <f8 (floats), |i1 <i2 <i4 <i8 |u1 <u2 <u4 <u8 (integers), |b1 (bool). Objects and
structures have no place here. The text is not evaluated: it must be the one text that the array's
type and shape have. Source: numpy.lib.format.
"""

from __future__ import annotations

import re
import zlib
from io import BufferedReader
from math import prod

import numpy as np

from minigrad.checkpoint.stored import exactly

MAGIC = b"\x93NUMPY\x01\x00"
TYPES = ("<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1")
WORDS = "float32, float64, an integer type or bool"
LONGEST = 1024  # bytes of a header
AXES = 32  # the most that both NumPy and CuPy can have
LARGEST = 2**48  # bytes of an array
TEXT = re.compile(rb"\{'descr': '(.{3})', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \} *\n")


def pieces(name: str, array: np.ndarray) -> tuple[bytes, memoryview]:
    """(header, numbers) of an array. An array that is already in this form is not copied.

    TypeError for a type that is not allowed, ValueError for an impossible shape.
    """
    array = np.asarray(array)
    kind = array.dtype.newbyteorder("<")
    if kind.str not in TYPES:
        raise TypeError(f"{name}: an array of {array.dtype} cannot be saved, only {WORDS}")
    check_shape(name, array.shape, kind)
    plain = np.ascontiguousarray(array, kind).reshape(-1)
    return header(kind, array.shape), plain.view(np.uint8).data


def header(kind: np.dtype, shape: tuple[int, ...]) -> bytes:
    """The header of an array."""
    text = f"{{'descr': '{kind.str}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    used = len(MAGIC) + 2 + len(text) + 1
    text += b" " * (-used % 64) + b"\n"
    return MAGIC + len(text).to_bytes(2, "little") + text


def read(file: BufferedReader, name: str, size: int) -> tuple[np.ndarray, int]:
    """(array, CRC-32) of the next `size` bytes.

    ValueError if they are not exactly what `pieces` gives. The array is made only after its size
    is known to be that of the bytes.
    """
    first = len(MAGIC) + 2
    if size < first:
        raise ValueError(f"{name} is too short for an array")
    head = exactly(file, first)
    length = int.from_bytes(head[-2:], "little")
    if not head.startswith(MAGIC) or first + length > min(size, LONGEST):
        raise ValueError(f"{name} is not an array in the format .npy 1.0")
    head += exactly(file, length)
    kind, shape = _parsed(name, head)
    left = size - len(head)
    if prod(shape) * kind.itemsize != left:
        raise ValueError(
            f"{name} says {kind.name} of shape {shape}, {prod(shape) * kind.itemsize:,} bytes, "
            f"and has {left:,}"
        )
    array = np.empty(shape, kind)
    numbers = array.reshape(-1).view(np.uint8).data
    if left and file.readinto(numbers) != left:
        raise ValueError("it ends too early")
    if kind.kind == "b" and left and array.view(np.uint8).max() > 1:
        raise ValueError(f"{name} is bool, and has other values than 0 and 1")
    crc = zlib.crc32(numbers, zlib.crc32(head))
    return array.astype(kind.newbyteorder("="), copy=False), crc


def check_shape(name: str, shape: tuple[int, ...], kind: np.dtype) -> None:
    """ValueError for a shape that an array can hardly have, also if one of its axes is 0."""
    if len(shape) > AXES or prod(max(n, 1) for n in shape) * kind.itemsize > LARGEST:
        raise ValueError(f"{name}: a shape of {len(shape)} axes, {str(shape)[:60]}, is too large")


def _parsed(name: str, head: bytes) -> tuple[np.dtype, tuple[int, ...]]:
    """The type and the shape that a header says."""
    found = TEXT.fullmatch(head, len(MAGIC) + 2)
    word = found[1].decode("ascii", "replace") if found else ""
    if found is None or word not in TYPES:
        raise ValueError(f"{name} is not an array of {WORDS} in C order")
    kind = np.dtype(word)
    digits = re.findall(rb"[0-9]+", found[2])
    if len(digits) > AXES or any(len(number) > 15 for number in digits):
        raise ValueError(f"{name} has an impossible shape")
    shape = tuple(int(number) for number in digits)
    check_shape(name, shape, kind)
    if header(kind, shape) != head:
        raise ValueError(f"the header of {name} is not as written")
    return kind, shape
