"""What a known data set is, where it is from, and under which terms."""

from __future__ import annotations

from typing import NamedTuple


class About(NamedTuple):
    """One data set in words.

    name      as `mg.data.load` takes it; `title`: as people write it
    what      is in it
    download  how much is downloaded; `unpacked`: how much room it takes, if that is more
    licence   its terms; `source`: whose it is
    """

    name: str
    title: str
    what: str
    download: str
    licence: str
    source: str
    unpacked: str = ""

    @property
    def space(self) -> str:
        """The room that it takes on the disk."""
        return self.unpacked or self.download
