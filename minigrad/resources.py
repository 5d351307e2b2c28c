"""Where the files are that are not code: the lessons and the embedded digits.

In the repository they lie beside the package. In an installed package they lie under
share/minigrad, wherever the installer put that; its record of the installed files knows.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def files(folder: str) -> list[Path]:
    """The files in a folder of the repository ("lessons", "data"), or as they were installed."""
    if (REPOSITORY / "setup.cfg").is_file():
        return sorted(path for path in (REPOSITORY / folder).iterdir() if path.is_file())
    try:
        installed = metadata.files("minigrad") or []
    except metadata.PackageNotFoundError:
        installed = []
    inside = ("share", "minigrad", folder)
    return sorted(Path(file.locate()) for file in installed if file.parent.parts[-3:] == inside)


def find(folder: str, name: str) -> Path:
    """One file of a folder; FileNotFoundError says where it was looked for."""
    for path in files(folder):
        if path.name == name:
            return path
    raise FileNotFoundError(f"{folder}/{name} is neither in {REPOSITORY} nor was it installed")
