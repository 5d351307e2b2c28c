"""A data set from a file of NumPy arrays (.npz), and back into one."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from minigrad import backend
from minigrad.data.dataset import Dataset
from minigrad.files import replacing


def from_npz(path: str | Path, x: str = "x", y: str = "y") -> Dataset:
    """A Dataset from the arrays of these names in a .npz file (np.savez, `save_npz`).

        train = mg.data.from_npz("mnist.npz", x="x_train", y="y_train")

    Bytes x, pixels, become x / 255 in float32. Integer y are labels, a column (N, 1) of them too;
    floats are values. If the file has arrays "names", "classes", "clean_y", "ignore_index" and
    "source", as `save_npz` writes them, they are taken, too, unless y has another name.

    Pickled objects are not read: loading them may run code. ValueError if the file is damaged or
    has no such array; the errors of Dataset for what the arrays hold.
    """
    path = Path(path)
    wanted = [x, y]
    if y == "y":
        wanted += ["names", "classes", "clean_y", "ignore_index", "source"]
    with open(path, "rb") as raw, _opened(path, raw) as file:
        arrays = {name: _read(path, file, name) for name in wanted if name in file.files}
        there = ", ".join(map(repr, file.files)) or "no arrays"
    for name in (x, y):
        if name not in arrays:
            raise ValueError(f"{path}: there is no array {name!r} in the file, but {there}")
    features, targets = arrays[x], arrays[y]
    if features.dtype == np.uint8:
        features = features.astype(np.float32)
        features /= 255
    if targets.dtype.kind in "iu":
        targets = targets.astype(np.int64)
        targets = targets[:, 0] if targets.ndim == 2 and targets.shape[1] == 1 else targets
    return Dataset(features, targets, **({"source": str(path)} | _further(path, arrays, targets)))


def _opened(path: Path, raw: BinaryIO) -> np.lib.npyio.NpzFile:
    """The file, its arrays not yet read. ValueError for anything else than a whole .npz file."""
    try:
        file = np.load(raw, allow_pickle=False)
    except (zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path}: a damaged .npz file ({error})") from error
    except ValueError as error:  # NumPy takes what is no zip for a pickle
        raise ValueError(f"{path}: no .npz file, as np.savez writes it") from error
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError(
            f"{path}: one array alone (.npy): put x and y into one file with "
            "np.savez(path, x=x, y=y)"
        )
    return file


def _read(path: Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    """One array. ValueError if it is damaged, or has objects in it."""
    try:
        return file[name]
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, MemoryError) as error:
        if "allow_pickle" in str(error):
            raise ValueError(
                f"{path}: the array {name!r} has Python objects in it, such as texts of pandas, or "
                "lists of different lengths: save plain arrays of numbers"
            ) from error
        raise ValueError(f"{path}: the array {name!r} is damaged ({error})") from error


def _further(path: Path, arrays: dict[str, np.ndarray], targets: np.ndarray) -> dict[str, Any]:
    """What `save_npz` writes beside x and y, as arguments of Dataset."""
    found: dict[str, Any] = {}
    for name in {"classes", "ignore_index"} & arrays.keys():
        if arrays[name].ndim or arrays[name].dtype.kind not in "iu":
            raise ValueError(
                f"{path}: the array {name!r} must be one integer, as save_npz writes it, got "
                f"{arrays[name].dtype} of shape {arrays[name].shape}: call it otherwise in the file"
            )
    if "source" in arrays:
        found["source"] = str(arrays["source"])
    if targets.dtype.kind == "i":
        if "names" in arrays:
            found["names"] = [str(name) for name in arrays["names"]]
        if "classes" in arrays:
            found["classes"] = int(arrays["classes"])
        elif "names" not in arrays and targets.size:
            found["classes"] = max(10, int(targets.max()) + 1)
        if "clean_y" in arrays:
            found["clean_y"] = arrays["clean_y"]
        if "ignore_index" in arrays:
            found["ignore_index"] = int(arrays["ignore_index"])
    return found


def save_npz(path: str | Path, dataset: Dataset) -> None:
    """Write a Dataset to a .npz file that `from_npz` reads: the same arrays, bit for bit.

    x, y, and where it has them names, classes, clean_y, ignore_index and source. Arrays on a GPU
    are copied to the host. A file of that name is replaced when all of it is written.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(f"save_npz takes a Dataset, got {type(dataset).__name__}")
    arrays = {"x": backend.to_host(dataset.x), "y": backend.to_host(dataset.y)}
    if dataset.kind == "labels":
        arrays["classes"] = np.array(dataset.classes)
    if dataset.ignore_index is not None:
        arrays["ignore_index"] = np.array(dataset.ignore_index)
    if dataset.names:
        arrays["names"] = np.array(dataset.names)
    if dataset.noisy:
        arrays["clean_y"] = backend.to_host(dataset.clean_y)
    if dataset.source:
        arrays["source"] = np.array(dataset.source)
    with replacing(path) as file:
        np.savez(file, **cast(Any, arrays))
