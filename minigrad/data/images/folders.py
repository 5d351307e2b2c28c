"""A data set from pictures in folders: the subfolders are the classes. It takes Pillow."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from minigrad.data.dataset import Dataset
from minigrad.data.images.pictures import Size, check_options, read_image
from minigrad.data.images.pillow import pillow

PICTURES = set(
    ".png .jpg .jpeg .jpe .jfif .bmp .gif .webp .tif .tiff .pgm .ppm .pbm .pnm .tga".split()
)
PHONES = {".heic", ".heif"}  # Pillow cannot read them
HIDDEN = {"thumbs.db", "desktop.ini", "__macosx"}  # and all that begin with a dot
PARTS = {"train", "test", "val", "valid", "validation", "training", "testing"}
MANY = 200  # pictures from which on a bar shows how far it is


def from_folder(
    path: str | Path,
    size: Size = (28, 28),
    grayscale: bool = True,
    *,
    names: Sequence[str] | None = None,
    invert: bool = False,
    like_mnist: bool = False,
    progress: bool | None = None,
) -> Dataset:
    """A Dataset of the pictures in the subfolders of a folder. Each subfolder is a class:

        digits/0/photo.jpg, digits/0/other.png, digits/1/photo.jpg, ...

    x (N, C, H, W) float32 in [0, 1], C = 1 or 3; y (N,) the number of the subfolder. Subfolders and
    files are in the order of their names, numbers by value: "2" before "10".

    size      (rows, columns); None: as they are, and then all must be of one size
    grayscale, invert, like_mnist    as in `read_image`
    names     the classes in their order; None: the subfolders. For a second folder: train.names
    progress  whether a bar is shown; None: for 200 pictures or more, in a terminal

    Hidden files, and those with another ending than a picture's, are left out; `source` says how
    many of the latter. A picture that cannot be read is a ValueError that names it. ImportError
    without Pillow: pip install "minigrad[images]".
    """
    check_options(size, grayscale, like_mnist)
    pillow()  # before anything is searched
    path = Path(path)
    classes = _subfolders(path, names)
    files: list[tuple[Path, int]] = []
    left_out = sum(entry.is_file() for entry in _visible(path))
    for k, name in enumerate(classes):
        found, others = _pictures(path / name)
        if not found and (path / name).is_dir():
            raise ValueError(f"{path / name} has no pictures: a class needs one at least")
        files += [(file, k) for file in found]
        left_out += others
    if not files:
        raise ValueError(f"{path}: no pictures in the folders {', '.join(classes)}")
    read = partial(read_image, size=size, grayscale=grayscale, invert=invert, like_mnist=like_mnist)
    x = _read(files, read, progress)
    source = f"{path}: {len(files):,} pictures"
    if left_out:
        source += f"; {left_out:,} files that are no pictures of a class left out"
    y = np.array([k for _, k in files], np.int64)
    return Dataset(x, y, source=source, names=classes)


def _read(
    files: list[tuple[Path, int]], read: Callable[[Path], np.ndarray], progress: bool | None
) -> np.ndarray:
    """All pictures, (N, C, H, W)."""
    from tqdm import tqdm

    show = (len(files) >= MANY and sys.stderr.isatty()) if progress is None else progress
    x = np.empty(0, np.float32)
    for i, (file, _) in enumerate(tqdm(files, disable=not show, unit="picture", leave=False)):
        picture = read(file)
        if i == 0:
            x = np.empty((len(files), *picture.shape), np.float32)
        if picture.shape != x.shape[1:]:
            first, this = (f"{shape[1]}x{shape[2]}" for shape in (x.shape[1:], picture.shape))
            raise ValueError(
                f"{file} has {this} pixels, {files[0][0]} has {first}: give a size for all, "
                "size=(rows, columns)"
            )
        x[i] = picture
    return x


def _subfolders(path: Path, names: Sequence[str] | None) -> list[str]:
    """The classes. Errors for folders that are not as they must be."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise NotADirectoryError(f"{path} {what}: name a folder with a subfolder for each class")
    found = natural([entry.name for entry in _visible(path) if entry.is_dir()])
    if not found:
        raise ValueError(
            f"{path} has no subfolders: put the pictures of each class into a subfolder, which "
            "names the class. (`mg.data.read_image` reads a single picture)"
        )
    parts = [name for name in found if name.lower() in PARTS]
    if len(parts) == len(found) or (names is None and len(parts) > 1):
        raise ValueError(
            f"{path} has the subfolders {', '.join(parts)}, and these are no classes: read each "
            f"by itself, as from_folder({str(path / parts[0])!r}), the second with "
            "names=train.names"
        )
    inside = _visible(path / found[0]) if len(found) == 1 and names is None else []
    if inside and all(entry.is_dir() for entry in inside):
        raise ValueError(
            f"{path} has one subfolder alone, {found[0]}, and in it there are folders. If these "
            f"are the classes, read from_folder({str(path / found[0])!r})"
        )
    if names is None:
        return found
    if isinstance(names, str):
        raise TypeError(f"names must be a list of texts, one for each class, got {names!r}")
    unknown = [name for name in found if name not in names]
    if unknown:
        raise ValueError(f"{path / unknown[0]} is none of the names, {list(names)}")
    return list(names)


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, without hidden files and those of the system."""
    with os.scandir(folder) as entries:
        return [e for e in entries if e.name[0] != "." and e.name.lower() not in HIDDEN]


def _pictures(folder: Path, above: tuple[str, ...] = ()) -> tuple[list[Path], int]:
    """(the pictures in a folder and below it, in natural order, how many other files there are).

    above: the folders in which it is. A link to one of these would never end
    """
    if not folder.is_dir():
        return [], 0
    above = (*above, os.path.realpath(folder))
    found = []
    others = 0
    entries = {entry.name: entry for entry in _visible(folder)}
    for name in natural(entries):
        ending = Path(name).suffix.lower()
        if entries[name].is_dir():
            if any(f"{path}/".startswith(f"{os.path.realpath(entries[name])}/") for path in above):
                raise ValueError(f"{folder / name} is a link to a folder above it: remove it")
            below, more = _pictures(folder / name, above)
            found += below
            others += more
        elif ending in PICTURES:
            found.append(folder / name)
        elif ending in PHONES:
            raise ValueError(
                f"{folder / name}: {ending[1:].upper()}, as telephones write it, cannot be read: "
                "save it as JPEG (on the telephone: the setting 'most compatible')"
            )
        else:
            others += 1
    return found, others


def natural(names: Sequence[str] | dict[str, os.DirEntry[str]]) -> list[str]:
    """In the order of the texts, numbers in them by value: 2 before 10."""

    def key(name: str) -> tuple[list[tuple[bool, int, str]], str]:
        parts = re.split(r"(\d+)", name.lower())
        numbers = [(not p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts if p]
        return numbers, name

    return sorted(names, key=key)
