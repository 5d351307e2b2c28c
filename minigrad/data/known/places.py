"""The folders that data sets are looked for in: the one named, data/, and the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

from minigrad import resources
from minigrad.data.known.about import About


def cache_folder() -> Path | None:
    """The user's cache, where downloads land unless a root is given; None without a home folder.

    A user of a container may have neither HOME nor an entry in the list of users.
    """
    try:
        import pooch
    except ImportError:  # NumPy alone is installed: then nothing was downloaded either
        return None
    try:
        return Path(pooch.os_cache("minigrad")).expanduser()
    except RuntimeError:  # from platformdirs or from expanduser: there is no home folder
        return None


def folders(root: str | Path | None = None) -> list[Path]:
    """`root` alone if given, else MINIGRAD_DATA, data/, the cache.

    ValueError if MINIGRAD_DATA names a file.
    """
    if root is not None:
        return [Path(root)]
    named = os.environ.get("MINIGRAD_DATA")
    if named and os.path.exists(named) and not os.path.isdir(named):
        raise ValueError(
            f"MINIGRAD_DATA names {named}, a file: let it name the folder that has the data sets"
        )
    places = [Path(named) if named else None, resources.folder("data"), cache_folder()]
    return [place for place in places if place is not None]


def for_downloads(root: str | Path | None, about: About) -> Path:
    """The folder that a set is downloaded to: `root`, else the cache. FileNotFoundError if none."""
    folder = Path(root) if root is not None else cache_folder()
    if folder is None:
        raise FileNotFoundError(
            f"there is no home folder to keep {about.title} in (HOME is not set): name a folder, "
            f"as in `minigrad data {about.name} --root FOLDER`, and let MINIGRAD_DATA name it too"
        )
    return folder
