"""New processes, also from a script without `if __name__ == "__main__"`."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import signal
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minigrad.rules.synthetic.blocks import Block


def pickled(kit: dict[str, Any], block: Block) -> bytes:
    """The kit as bytes. TypeError for a class or function that another process cannot import."""
    buffer = io.BytesIO()
    try:
        with without_main():
            pickle.Pickler(buffer).dump(kit)
    except Exception as error:
        raise TypeError(
            f"layers {block.start} to {block.stop - 1}, or their optimiser, loss or module, cannot "
            f"be sent to another process ({error}). Write your classes and functions in a file of "
            "their own and import them; a class in the script itself, a class in a function and a "
            "lambda cannot be sent"
        ) from error
    return buffer.getvalue()


@contextmanager
def no_interrupt() -> Iterator[None]:
    """Within it, Ctrl-C is held back: a process that is just being made could not handle it.

    Processes that are made within it ignore Ctrl-C from their start. Windows has no such mask.
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
    """Within it, new processes do not run the script of this process again.

    The start method `spawn` imports the script in each new process, to find what it defines. A
    lesson would then begin anew in each of them.

    Each new process is also told this process's default start method. That of a process of joblib
    is "loky", which the new process does not know: within it, the default is "spawn".
    """
    original = sys.modules["__main__"]
    method = multiprocessing.get_start_method(allow_none=True)
    empty = types.ModuleType("__main__")
    empty.__spec__ = None
    sys.modules["__main__"] = empty
    multiprocessing.set_start_method("spawn", force=True)
    try:
        yield
    finally:
        multiprocessing.set_start_method(method, force=True)
        sys.modules["__main__"] = original
