"""Files of other kinds that may be given in place of a checkpoint: what they are, what to do."""

from __future__ import annotations

import os
from typing import BinaryIO

FIRST = "meta.npy"  # the name of a checkpoint's first member
HEAD = 512  # bytes that are looked at
TAIL = 2**16
PYTORCH = (
    "which is read by running the program inside it: in PyTorch load it, save its state_dict "
    "with safetensors.torch.save_file, and load that file with mg.load_weights"
)


def what_is(file: BinaryIO) -> str | None:
    """What a file is that is no checkpoint, and what to do. None if it may be a checkpoint.

    The text goes on after the file's name: "is an empty file: ...".
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(HEAD)
    if size == 0:
        return "is an empty file: take another copy of it, or save it again"
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        length = int.from_bytes(head[26:28], "little")
        name = head[30 : 30 + length]
        if name == FIRST.encode() or (size < 30 + len(FIRST) and head[:4] == b"PK\3\4"):
            return None  # it may be one, perhaps cut
        file.seek(max(0, size - TAIL))
        if name.endswith(b"/data.pkl") or b"/data.pkl" in file.read(TAIL):
            return f"is a PyTorch file, {PYTORCH}"
        if name.endswith(b".npy"):
            return (
                "is an .npz file that minigrad did not write: read it with numpy.load, and give "
                "the arrays to model.load_state_dict or mg.from_torch_state_dict"
            )
        return "is a zip file and no checkpoint: load a file that mg.save or mg.save_weights wrote"
    if head[:1] == b"\x80" and head[1:2] in (b"\1", b"\2", b"\3", b"\4", b"\5"):
        return f"is a pickle, as older PyTorch files are, {PYTORCH}"
    if head[:6] == b"\x93NUMPY":
        return "is a single array and no checkpoint: read it with numpy.load"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return (
            "is a safetensors file: let its name end in .safetensors, and load it with "
            "mg.load_weights"
        )
    if head.lstrip()[:1] in (b"{", b"["):
        return "is JSON text and no checkpoint: a History is read with mg.History.load"
    if head[:2] == b"PK" or (size < 4 and b"PK\3\4".startswith(head)):
        return None  # a checkpoint that is damaged at its start, or cut
    return "is no checkpoint: load a file that mg.save or mg.save_weights wrote"
