"""What the bytecode of a function says: what it does, and which names it uses."""

from __future__ import annotations

import dis
import hashlib
import types
from collections.abc import Iterator

LOADS = (
    "LOAD_GLOBAL",
    "LOAD_NAME",
    "LOAD_DEREF",
    "LOAD_CLASSDEREF",
    "LOAD_FROM_DICT_OR_DEREF",
    "LOAD_FROM_DICT_OR_GLOBALS",
)
ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
HAS_DOCSTRING = 0x4000000  # of Python 3.13
BETWEEN = ("EXTENDED_ARG", "CACHE", "PUSH_NULL", "NOP")


def code_of(code: types.CodeType) -> str:
    """A digest of what the code does. Comments, line numbers and docstrings do not count.

    It is the same in every process of one minor version of Python. An unused constant, which a
    docstring is, does not count.
    """
    steps = []
    for i in dis.get_instructions(code):
        if i.opname == "NOP":  # what a docstring leaves behind
            continue
        constant = i.opcode in dis.hasconst and i.arg is not None
        steps.append((i.opname, _constant(code.co_consts[i.arg or 0]) if constant else i.arg))
    arguments = code.co_argcount + code.co_kwonlyargcount
    arguments += bool(code.co_flags & 4) + bool(code.co_flags & 8)  # *args and **options
    flags = code.co_flags & ~HAS_DOCSTRING
    numbers = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, flags)
    names = (code.co_names, code.co_freevars, code.co_cellvars, code.co_varnames[:arguments])
    table = getattr(code, "co_exceptiontable", b"")
    content = repr((steps, numbers, names, table))
    return hashlib.sha256(content.encode("utf-8", "backslashreplace")).hexdigest()


def _constant(value: object) -> str:
    """A constant in the code as text that is the same in every process."""
    if isinstance(value, types.CodeType):
        return code_of(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(_constant, value))})"
    if isinstance(value, frozenset):  # its order is another one in each process
        return f"{{{', '.join(sorted(map(_constant, value)))}}}"
    return f"{type(value).__name__} {value!r}"


def names_in(code: types.CodeType) -> Iterator[tuple[str, ...]]:
    """The global and free names that the code uses, with the attributes after them.

    `helpers.SIZE + f(x)` gives ("helpers", "SIZE") and ("f",). Code of inner functions counts, too.
    """
    chain: list[str] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname in BETWEEN:
            continue
        if chain and instruction.opname in ATTRIBUTES:
            chain.append(str(instruction.argval))
            continue
        if chain:
            yield tuple(chain)
        chain = [str(instruction.argval)] if instruction.opname in LOADS else []
    if chain:
        yield tuple(chain)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)
