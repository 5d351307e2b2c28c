"""Takes the bodies out of a class's methods. What is left is a file to be filled in."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence

from minigrad.blanks.parts import PARTS, Part

MARK = "TODO(you)"  # a file that has it is not done yet
Function = ast.FunctionDef


def blanked(source: str, part: Part) -> str:
    """The student's file for a part, from the source of the library's module."""
    lines = source.splitlines()
    tree = ast.parse(source)
    cls = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == part.cls)
    members = [_member(lines, node, part) for node in cls.body]
    text = "\n".join([lines[cls.lineno - 1], *(m for m in members if m is not None)]) + "\n"
    return "\n".join([_heading(part), *_imports(tree, text, part), "", "", text])


def _heading(part: Part) -> str:
    return (
        f'"""{part.cls}, part {PARTS.index(part) + 1} of {len(PARTS)}.\n\n'
        f"Taught in lesson {part.lesson}. Fill in what says {MARK}.\n"
        "Put your lines in the place of the raise.\n"
        f"`minigrad build check` says what is right, and what is wrong by how much.\n"
        f'"""\n\nfrom __future__ import annotations\n'
    )


def _member(lines: Sequence[str], node: ast.stmt, part: Part) -> str | None:
    """The text of one member of the class: as it is, blank, or None if it is left out."""
    if isinstance(node, Function):
        if node.name in part.left:
            return None
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
        whole = lines[first - 1 : node.end_lineno]
        if node.name in part.hints:
            whole = _blank(lines, node, part)
        return "\n" + "\n".join(whole)
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if any(isinstance(target, ast.Name) and target.id in part.left for target in targets):
        return None
    said = isinstance(node, ast.Expr)  # the docstring: an empty line is after it
    return "\n".join([*lines[node.lineno - 1 : node.end_lineno], *([""] if said else [])])


def _blank(lines: Sequence[str], node: Function, part: Part) -> list[str]:
    """A method up to its first equation, then its equations alone, then the hint and the raise.

    An equation is a comment that stands above the line that computes it. A method without one is
    taken out as a whole.
    """
    body = node.body
    start = node.lineno - 1
    if ast.get_docstring(node) is not None:
        header_end = body[0].end_lineno or 0
        body = body[1:]
    else:
        header_end = body[0].lineno - 1
    kept_to = header_end
    before = header_end
    for statement in body:
        end = statement.end_lineno or 0
        if any(_is_equation(line) for line in lines[before:end]):
            kept_to = before
            break
        before = end
    indent = " " * (node.col_offset + 4)
    equations = [indent + line.strip() for line in lines[kept_to : node.end_lineno] if _note(line)]
    hint = textwrap.wrap(f"{MARK}: {part.hints[node.name]}.", 96 - len(indent))
    return [
        *lines[start:kept_to],
        *equations,
        *(f"{indent}# {line}" for line in hint),
        f'{indent}raise NotImplementedError("{MARK}: {part.cls}.{node.name}")',
    ]


def _note(line: str) -> bool:
    return line.strip().startswith("# ")


def _is_equation(line: str) -> bool:
    return _note(line) and ("=" in line or "←" in line)


def _imports(tree: ast.Module, text: str, part: Part) -> list[str]:
    """The imports that the text needs: the library file's own, and names that it defines itself."""
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    used |= {"array_module", "np"}
    found: list[str] = []
    own: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            names = sorted(a.name for a in node.names if a.name in used and not a.asname)
            found += [f"from {node.module} import {', '.join(names)}"] if names else []
        elif isinstance(node, ast.Assign):
            own += [t.id for t in node.targets if isinstance(t, ast.Name) and t.id in used]
        elif isinstance(node, ast.ClassDef | Function) and node.name in used - {part.cls}:
            own.append(node.name)
    if not any("array_module" in line for line in found):
        found.append("from minigrad.backend import array_module")
    if own:
        found.append(f"from {part.module} import {', '.join(sorted(own))}")
    theirs = sorted(line for line in found if not line.startswith("from minigrad"))
    ours = sorted(line for line in found if line.startswith("from minigrad"))
    lines = [*theirs, *([""] if theirs else []), "import numpy as np", "", *ours]
    return [piece for line in lines for piece in _wrapped(line)]


def _wrapped(line: str) -> list[str]:
    """An import on lines of at most 100 characters."""
    if len(line) <= 100:
        return [line]
    begin, _, names = line.partition(" import ")
    return [f"{begin} import (", *(f"    {name}," for name in names.split(", ")), ")"]
