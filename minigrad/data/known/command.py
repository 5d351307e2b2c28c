"""The command `minigrad data`: get a data set, check it, say whose it is."""

from __future__ import annotations

import argparse
import sys

from minigrad.data.known import reading

DESCRIPTION = """\
Download a data set, unless it is on disk, and check it. It is then found in the user's cache,
and in the folder that the environment variable MINIGRAD_DATA names.

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `minigrad data`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = DESCRIPTION + "\n\n".join(
        f"  {name:14} {about.what}; {about.download}\n{_terms(about, 17)}"
        for name, about in reading.ABOUT.items()
    )
    parser.add_argument("name", help=", ".join(reading.ABOUT))
    parser.add_argument(
        "--root", metavar="FOLDER", help="where to put it (default: the user's cache)"
    )


def _terms(about: reading.About, indent: int) -> str:
    """Licence and source, a line each."""
    space = " " * indent
    return f"{space}licence: {about.licence}\n{space}source:  {about.source}"


def run(arguments: argparse.Namespace) -> int:
    """Download a set, and say where it is and whose. Returns the exit status."""
    try:
        lines = _get(arguments)
    except (OSError, ValueError) as error:
        print(f"minigrad: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 0


def _get(arguments: argparse.Namespace) -> list[str]:
    """Download a set to `root` or the user's cache; returns what to say. ValueError, OSError."""
    name = arguments.name
    if name not in reading.ABOUT:
        raise ValueError(
            f"unknown data set {name!r:.50}: choose one of {', '.join(reading.ABOUT)}; digits are "
            "built in"
        )
    found = reading.read(name, arguments.root, anew=arguments.root is not None)
    about = reading.ABOUT[name]
    how = "checked" if found.checked else "shapes and labels checked"
    lines = [
        f"{about.title}, {split}: {len(images):,} images, {how}, in {found.where}"
        for split, (images, _) in found.parts.items()
    ]
    return [*lines, _terms(about, 2)]
