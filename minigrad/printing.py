"""Printing where the output cannot show every character, and where nobody reads it any more.

The lessons print Greek letters and mathematical signs. A stream in ASCII or cp1252 would end
the program with a UnicodeEncodeError. `degrade` gives such a stream an error handler that writes
each of them in plain letters instead: "≤" becomes "<=", "η" becomes "eta". What is written to files
(results.json, histories) is UTF-8 and is not touched.

`minigrad list | head -1` closes the output in mid-print. A disk may be full. `guard` and `ended`
end a program then without a traceback.
"""

from __future__ import annotations

import atexit
import codecs
import errno
import io
import os
import sys
import unicodedata
from contextlib import suppress
from typing import Any

from minigrad.files import WRITING, cause

HANDLER = "minigrad.plain"
CLOSED = 141  # the exit status when the reader has gone: 128 + SIGPIPE, as of other tools
NOT_WRITTEN = 2  # the exit status after any other error of writing
OUTPUT = (*WRITING, errno.EPIPE, errno.EINVAL)  # the last is what Windows says for EPIPE
STRICT = ("strict", "surrogateescape")  # Python's own choices; the second in the locale C
PLAIN = {
    "≤": "<=",
    "µ": "u",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "±": "+-",
    "−": "-",
    "–": "-",
    "·": "*",
    "×": "x",
    "∂": "d",
    "∇": "grad ",
    "Σ": "sum ",
    "Π": "prod ",
    "√": "sqrt ",
    "∈": " in ",
    "∑": "sum ",
    "∏": "prod ",
    "∝": "~",
    "°": " degrees",
    "≪": "<<",
    "≫": ">>",
    "⊥": "_|_",
    "⇒": "=>",
    "∞": "inf",
    "←": "<-",
    "→": "->",
    "‖": "||",
    "…": "...",
    "ᵀ": "^T",
    "ᵢ": "_i",
    "ₙ": "_n",
    "²": "^2",
    "³": "^3",
    "¹": "^1",
    "⁻": "^-",
    "½": "1/2",
    "λ": "lambda",
    "⊙": "*",
    "∘": "o",
    "ø": "o",
    "⌊": "floor(",
    "⌋": ")",
    "∫": "integral ",
    "§": "section ",
    "⟨": "<",
    "⟩": ">",
    "“": '"',
    "”": '"',
    "′": "'",
}


def plain(text: str) -> str:
    """The text in ASCII: signs by the table, Greek letters by name, accents left out, else "?"."""
    return "".join(character if character.isascii() else _plain(character) for character in text)


def _plain(character: str) -> str:
    if character in PLAIN:
        return PLAIN[character]
    name = unicodedata.name(character, "")
    if name.startswith("GREEK"):  # GREEK SMALL LETTER ETA
        return name.split(" WITH ")[0].split()[-1].lower()
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return bare or ("" if unicodedata.combining(character) else "?")


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    if "\udc80" <= error.object[error.start] <= "\udcff":  # a byte of a file's name, as it was read
        first = error.start, error.start + 1
        byte = UnicodeEncodeError(error.encoding, error.object, *first, error.reason)
        return codecs.lookup_error("surrogateescape")(byte)
    return plain(error.object[error.start : error.end]), error.end


def degrade() -> None:
    """Let sys.stdout write plain letters for what it cannot encode.

    `import minigrad` calls it, so a student's script need not. A stream that writes UTF, or that
    never raises, stays as it is.
    """
    codecs.register_error(HANDLER, _replace)
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper) or stream.errors not in STRICT:
        return
    if not _is_utf(stream):
        stream.reconfigure(errors=HANDLER)


def _is_utf(stream: io.TextIOWrapper) -> bool:
    """Whether the stream can write every character."""
    return codecs.lookup(stream.encoding).name.startswith("utf")


def show_names() -> None:
    """Let sys.stdout write the names of files that are no UTF as they are, byte by byte."""
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict" and _is_utf(stream):
        stream.reconfigure(errors="surrogateescape")


def flush() -> None:
    """Write what sys.stdout still holds. There may be no sys.stdout, or a closed one."""
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


def ended(error: BaseException, name: str) -> int | None:
    """The exit status for an error of writing, after one line about it. None: another error.

    Nothing is said when the reader of the output has gone: `| head -1` has what it wants.
    """
    if not isinstance(error, OSError):
        return None
    if error.filename is None and error.errno in OUTPUT and _is_lost():
        if error.errno == errno.EPIPE:
            return CLOSED
        print(f"{name}: cannot write to the standard output: {cause(error)}", file=sys.stderr)
        return NOT_WRITTEN
    if error.filename is not None and error.errno in WRITING:
        print(f"{name}: cannot write {error.filename}: {cause(error)}", file=sys.stderr)
        return NOT_WRITTEN
    return None


def _is_lost() -> bool:
    """Whether sys.stdout takes no more. Then what it still holds is thrown away."""
    if sys.stdout is None or sys.stdout.closed:
        return False
    try:
        sys.stdout.flush()
        print(flush=True)  # a stream without a buffer has nothing to flush
    except OSError:
        _throw_away()
        return True
    return False


def _throw_away() -> None:
    """Let sys.stdout write to nowhere, or Python would try once more at its end and complain."""
    with suppress(OSError, ValueError):  # a stream of a notebook has no number
        number = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """A sys.excepthook: an error of writing ends the script in one line, by `ended`."""
    status = ended(error, os.path.basename(sys.argv[0]).removesuffix(".py"))
    if status is not None:
        raise SystemExit(status)
    sys.__excepthook__(kind, error, trace)


def guard() -> None:
    """Let this script end without a traceback if its output, or a file, cannot be written."""
    if sys.excepthook is sys.__excepthook__:  # not in IPython, which has its own
        show_names()
        sys.excepthook = hook
        atexit.register(_flush_at_the_end)


def _flush_at_the_end() -> None:
    """Python does the same after this, but with a complaint if the reader has gone."""
    try:
        flush()
    except BrokenPipeError:
        _throw_away()
