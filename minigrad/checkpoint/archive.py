"""A checkpoint's file: arrays and what belongs to them, in one .npz file without pickle.

    member             content, an .npy file                       read by
    meta.npy           UTF-8 text in an array of bytes: JSON       `meta.decode`
    <name>.npy         the array <name>, one member for each       `npy.read`

The members stand in a zip file without compression (`stored`), in this order. So other programs
read it, too:

    arrays = numpy.load("run.npz", allow_pickle=False)
    arrays["model/0.W"], json.loads(bytes(arrays["meta"]))

Equal contents give equal files. A file costs its arrays, its meta, and less than 1 kB an array.
`read` checks every byte before it returns anything, and takes no more memory than a small multiple
of the file. A CRC-32 finds bytes that have changed by accident. It is no signature: a person can
write a file with other numbers and the CRC-32 that fits them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.checkpoint import meta as json_meta
from minigrad.checkpoint import npy, stored
from minigrad.checkpoint.error import CheckpointError
from minigrad.checkpoint.foreign import FIRST, what_is
from minigrad.files import replacing
from minigrad.version import __version__

SUFFIX = ".npy"
ADVICE = "take another copy of it, or an earlier checkpoint"


def write(path: str | Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write arrays and meta to one file, whole or not at all.

    arrays  {name: array on the host}. A name is parts with "/" between them, "model/0.W"
    meta    strict JSON with an integer "format"; see `checkpoint.meta`

    Raises TypeError or ValueError for what `read` would refuse. The old file then stays.
    """
    text = json_meta.encode(meta)
    for name in arrays:
        _check_name(name)
    with replacing(path) as file:
        stored.write(file, _contents(text, arrays))


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(meta, arrays) of a file from `write`.

    Raises CheckpointError, with the file's name, for anything else, and OSError if the file cannot
    be read. All of the file is checked before anything is returned.
    """
    with open(path, "rb") as file:
        foreign = what_is(file)
        if foreign is not None:
            raise CheckpointError(f"{path} {foreign}")
        try:
            return _read(file)
        except ValueError as error:
            raise CheckpointError(f"{path} is damaged: {error}; {ADVICE}") from error


def check_format(path: str | Path, found: Any, known: int, wrote: Any) -> None:
    """CheckpointError unless the format found in a file is the one known here.

    wrote  the version of minigrad that wrote the file
    """
    if found != known:
        raise CheckpointError(
            f"{path} has the format {found}, and minigrad {__version__} reads format {known}: "
            f"install the version that wrote it, {wrote!r:.40}"
        )


def _contents(
    text: bytes, arrays: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, tuple[bytes, memoryview]]]:
    """(name of the member, pieces of its content), meta first."""
    yield FIRST, npy.pieces("meta", np.frombuffer(text, np.uint8))
    for name, array in arrays.items():
        yield name + SUFFIX, npy.pieces(name, array)


def _read(file: BufferedReader) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(meta, arrays), or ValueError with what is wrong in the file."""
    members = stored.members(file)
    for member in members:
        if member.name != FIRST:
            if not member.name.endswith(SUFFIX):
                raise ValueError(f"its member {member.name!r} is not an array")
            _check_name(member.name.removesuffix(SUFFIX))
    if not members or members[0].name != FIRST:
        raise ValueError("it has no meta")
    if members[0].size > json_meta.LARGEST + npy.LONGEST:
        raise ValueError("its meta is too large")
    arrays = {}
    for member in members:
        stored.open_member(file, member)
        name = member.name.removesuffix(SUFFIX)
        arrays[name], crc = npy.read(file, name, member.size)
        if crc != member.crc:
            raise ValueError(f"the bytes of {name} are not those that were written (CRC-32)")
    text = arrays.pop("meta")
    if text.dtype != np.uint8 or text.ndim != 1:
        raise ValueError("its meta is not text")
    return json_meta.decode(text.tobytes()), arrays


def _check_name(name: str) -> None:
    """ValueError for a name that `numpy.load` mixes up with another, or that leaves its folder."""
    if not isinstance(name, str):
        raise TypeError(f"names of arrays must be text, got {name!r}")
    stored.check_name(name)
    stored.check_name(name + SUFFIX)  # it is longer
    if name == "meta" or name.endswith(SUFFIX):
        raise ValueError(
            f"no array can have the name {name!r}: it must not be 'meta' or end in .npy"
        )
