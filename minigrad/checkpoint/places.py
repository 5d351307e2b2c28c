"""The files of one run: the last checkpoint under its own name, and the ones before it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minigrad.checks import positive_int
from minigrad.files import replacing


@contextmanager
def rotated(path: str | Path, keep: int) -> Iterator[None]:
    """`path` may be written anew in this block. keep: how many files are kept, with the new one.

    The file before it stays as "run.earlier-1.npz", the next as "run.earlier-2.npz", and so on.
    At each moment there is a whole file at `path`, if there was one before.
    """
    positive_int("keep", keep)
    path = Path(path)
    before = earlier(path)
    kept: Path | None = None
    if keep > 1 and path.exists():
        number = 1 + max(before, default=0)
        kept = path.with_name(f"{path.stem}.earlier-{number}{path.suffix}")
        with suppress(FileNotFoundError):
            kept.unlink()
        try:
            os.link(path, kept)  # a second name: the file is not copied
        except OSError:  # not every file system has links
            with replacing(kept) as copy, open(path, "rb") as file:
                shutil.copyfileobj(file, copy)
        before[number] = kept
    try:
        yield
    except BaseException:
        if kept is not None:
            kept.unlink(missing_ok=True)
        raise
    if keep == 1:
        return
    for number in sorted(before)[: max(0, len(before) - keep + 1)]:
        before[number].unlink(missing_ok=True)


def earlier(path: str | Path) -> dict[int, Path]:
    """{number: file} of the earlier checkpoints of a run, "run.earlier-1.npz" and so on."""
    path = Path(path)
    pattern = re.compile(
        re.escape(path.stem) + r"\.earlier-([1-9]\d{0,8})" + re.escape(path.suffix)
    )
    found = {}
    with suppress(OSError):
        for name in os.listdir(path.parent):
            match = pattern.fullmatch(name)
            if match:
                found[int(match[1])] = path.with_name(name)
    return found
