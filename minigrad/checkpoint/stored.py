"""Zip files without compression, of one form only: each file has one way to be written.

    for each member     local header      30 bytes    size and CRC-32 of the content
                        name              UTF-8
                        content           as it is
    for each member     directory entry   46 bytes    the same numbers, and where the member starts
                        name              UTF-8
    at the end          end record        22 bytes    number of members, start of the directory

All numbers are little-endian. The members follow each other without gaps. A reader computes each
header from the member's name, size, CRC-32 and place, and compares all its bytes. So every byte
of the file counts: a flipped bit changes a header, or a content that its CRC-32 does not fit.
Compression, encryption, comments, overlapping members and sizes above 4 GB have no such form.
Source: PKWARE, APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

LOCAL = 30  # bytes of a local header, without the name
ENTRY = 46  # bytes of an entry in the directory, without the name
END = 22  # bytes of the end record
LARGEST = 2**32 - 2  # bytes of a file: places and sizes have 32 bits
MOST = 2**16 - 2  # members of a file: their number has 16 bits
LONGEST = 250  # bytes of a name
VERSION = 20  # of the zip format that a reader needs
UTF8 = 0x800  # flag: the name is UTF-8
STORED = 0  # method: not compressed
DAY = 33  # 1 January 1980. With the true time, equal contents would give unequal files
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")


@dataclass(frozen=True)
class Member:
    """What a header says: name, CRC-32 and size of the content, where its local header starts."""

    name: str
    crc: int
    size: int
    start: int

    @property
    def local(self) -> bytes:
        """The member's local header, with its name."""
        return b"PK\3\4" + self._common() + self.name.encode()

    @property
    def entry(self) -> bytes:
        """The member's entry in the directory, with its name."""
        made_by = struct.pack("<H", VERSION)
        place = struct.pack("<3H2L", 0, 0, 0, 0, self.start)
        return b"PK\1\2" + made_by + self._common() + place + self.name.encode()

    @property
    def end(self) -> int:
        """Where the next member starts."""
        return self.start + LOCAL + len(self.name.encode()) + self.size

    def _common(self) -> bytes:
        sizes = (self.size, self.size, len(self.name.encode()), 0)
        return struct.pack("<5H3L2H", VERSION, UTF8, STORED, 0, DAY, self.crc, *sizes)


def write(file: BinaryIO, contents: Iterable[tuple[str, Sequence[bytes | memoryview]]]) -> None:
    """Write (name, pieces of the content) one after another, then the directory."""
    members = []
    start = 0
    for name, pieces in contents:
        check_name(name)
        crc = 0
        for piece in pieces:
            crc = zlib.crc32(piece, crc)
        member = Member(name, crc, sum(len(piece) for piece in pieces), start)
        start = member.end
        members.append(member)
        if start > LARGEST or len(members) > MOST:
            raise ValueError(
                f"a checkpoint has at most {MOST:,} arrays and {LARGEST:,} bytes, and this one "
                f"has more at {name!r}: save the parts of the model in files of their own"
            )
        file.write(member.local)
        for piece in pieces:
            file.write(piece)
    directory = b"".join(member.entry for member in members)
    if start + len(directory) + END > LARGEST:
        raise ValueError(f"a checkpoint has at most {LARGEST:,} bytes, and this one has more")
    file.write(directory)
    file.write(_end_record(len(members), len(directory), start))


def members(file: BinaryIO) -> list[Member]:
    """The members of a file from `write`. ValueError if the directory is not as written.

    Nothing is read but the directory, which cannot be larger than the file.
    """
    size = file.seek(0, os.SEEK_END)
    if not END <= size <= LARGEST:
        raise ValueError(f"its size of {size:,} bytes is not possible")
    file.seek(size - END)
    end = exactly(file, END)
    number, length, start = struct.unpack("<10xH2L2x", end)
    if end != _end_record(number, length, start) or start + length + END != size:
        raise ValueError("its end is missing or changed")
    file.seek(start)
    directory = exactly(file, length)
    found: list[Member] = []
    names: set[str] = set()
    place = 0  # in the directory
    for _ in range(number):
        member = _member(directory, place, found[-1].end if found else 0)
        if member.name in names:
            raise ValueError(f"it has two members {member.name!r}")
        names.add(member.name)
        found.append(member)
        place += len(member.entry)
    if place != length or (found[-1].end if found else 0) != start:
        raise ValueError("its directory and its members do not fill it")
    return found


def open_member(file: BinaryIO, member: Member) -> None:
    """Go to the content of a member. ValueError if its local header is not as written."""
    file.seek(member.start)
    if exactly(file, len(member.local)) != member.local:
        raise ValueError(f"the header of {member.name!r} is not what the directory says")


def exactly(file: BinaryIO, number: int) -> bytes:
    """The next `number` bytes. ValueError if there are fewer."""
    content = file.read(number)
    if len(content) < number:
        raise ValueError("it ends too early")
    return content


def check_name(name: str) -> None:
    """ValueError unless it is a relative name with "/", which stays in its folder anywhere."""
    parts = name.split("/")
    try:
        length = len(name.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"the name {name!r} is not Unicode") from error
    if not 0 < length <= LONGEST:
        raise ValueError(f"the name {name[:40]!r} must have 1 to {LONGEST} bytes, not {length:,}")
    if CONTROL.search(name) or name[1:2] == ":" or not {"", ".", ".."}.isdisjoint(parts):
        raise ValueError(
            f"the name {name!r} is not allowed: it must be parts with '/' between them, none of "
            "them empty, '.' or '..', without backslashes, control characters and drive letters"
        )


def _member(directory: bytes, place: int, start: int) -> Member:
    """The member whose entry is at `place`. It must start at `start`, so that none overlap."""
    fixed = directory[place : place + ENTRY]
    if len(fixed) < ENTRY:
        raise ValueError("its directory ends too early")
    flags, method, crc, size, length = struct.unpack("<8x2H4xL4xLH16x", fixed)
    if flags & 1 or method != STORED:
        how = "encrypted" if flags & 1 else "compressed"
        raise ValueError(f"a member is {how}, as no checkpoint is")
    raw = directory[place + ENTRY : place + ENTRY + length]
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the name {raw[:40]!r} is not UTF-8") from error
    check_name(name)
    member = Member(name, crc, size, start)
    if fixed + raw != member.entry:
        raise ValueError(f"its directory has an entry for {name!r} that is not as written")
    return member


def _end_record(number: int, length: int, start: int) -> bytes:
    """The last bytes of a file: how many members, how long the directory is, where it starts."""
    return b"PK\5\6" + struct.pack("<4H2LH", 0, 0, number, number, length, start, 0)
