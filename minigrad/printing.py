"""Printing where the output cannot show every character: a terminal or a file in ASCII or cp1252.

The lessons print Greek letters and mathematical signs. A stream that cannot encode them would end
the program with a UnicodeEncodeError. `degrade` gives such a stream an error handler that writes
each of them in plain letters instead: "≤" becomes "<=", "η" becomes "eta". What is written to files
(results.json, histories) is UTF-8 and is not touched.
"""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

HANDLER = "minigrad.plain"
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
    "∞": "inf",
    "←": "<-",
    "→": "->",
    "‖": "||",
    "…": "...",
    "ᵀ": "^T",
    "ᵢ": "_i",
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
    if not codecs.lookup(stream.encoding).name.startswith("utf"):
        stream.reconfigure(errors=HANDLER)
