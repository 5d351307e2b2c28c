"""Where the files are that are not code: the lessons, their exercises, and the embedded digits.

In the repository they lie beside the package, in lessons/ and data/. The installer puts copies of
both folders inside the package, as _lessons and _data, so that an installed copy has them too.
"""

from __future__ import annotations

import os
import site
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
REPOSITORY = PACKAGE.parent


def folder(name: str) -> Path:
    """The folder of the repository of that name ("lessons/exercises"), or its installed copy."""
    installed = PACKAGE / f"_{name}"
    return installed if installed.is_dir() else REPOSITORY / name


def files(name: str) -> list[Path]:
    """The files in a folder of the repository, or in its installed copy, in order."""
    found = folder(name)
    if not found.is_dir():
        return []
    return sorted(path for path in found.iterdir() if path.is_file())


def find(name: str, file: str) -> Path:
    """One file of a folder; FileNotFoundError says where it was looked for."""
    path = folder(name) / file
    if not path.is_file():
        raise FileNotFoundError(
            f"{file} is neither in {PACKAGE / f'_{name}'} nor in {REPOSITORY / name}: this copy of "
            "minigrad is not whole; install it again"
        )
    return path


def environment(*first: str) -> dict[str, str]:
    """The environment of a process that is to find this same package, after these folders.

    `python -m minigrad` finds the package in the current folder, a script looks beside itself.
    """
    home = str(REPOSITORY)
    found = home in (*site.getsitepackages(), site.getusersitepackages())
    search = [*first, *([] if found else [home]), *filter(None, [os.environ.get("PYTHONPATH")])]
    if found and not first:
        return dict(os.environ)
    return os.environ | {"PYTHONPATH": os.pathsep.join(search)}
