"""New processes from any script: what they are given, and what they must not do."""

from __future__ import annotations

import io
import pickle
import signal
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minigrad.rules.synthetic.blocks import Block


def pickled(kit: dict[str, Any], block: Block) -> bytes:
    """The kit as bytes; TypeError for what another process could not find again."""
    buffer = io.BytesIO()
    try:
        with without_main():
            pickle.Pickler(buffer).dump(kit)
    except Exception as error:
        raise TypeError(
            f"layers {block.start} to {block.stop - 1}, or what goes with them, cannot go to "
            f"another process ({error}). Classes must stand in a module that it can import, not in "
            "the script itself, and not in a function"
        ) from error
    return buffer.getvalue()


@contextmanager
def no_interrupt() -> Iterator[None]:
    """Ctrl-C waits until this is over: a process that is just being made cannot answer it.

    The processes inherit that they do not listen to it. (Windows knows no such mask.)
    """
    mask = getattr(signal, "pthread_sigmask", None)
    before = mask(signal.SIG_BLOCK, {signal.SIGINT}) if mask else None
    try:
        yield
    finally:
        if mask:
            mask(signal.SIG_SETMASK, before)


@contextmanager
def without_main() -> Iterator[None]:
    """While this lasts, new processes do not run the script of this one again.

    `spawn` would import it, to find what is defined there; a lesson would then begin anew in each.
    """
    original = sys.modules["__main__"]
    empty = types.ModuleType("__main__")
    empty.__spec__ = None
    sys.modules["__main__"] = empty
    try:
        yield
    finally:
        sys.modules["__main__"] = original
