"""A lesson script becomes a notebook. Its cells begin with `# %%`: jupytext reads them."""

from __future__ import annotations

import ast
import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minigrad.lesson.lesson import word_for
from minigrad.notebooks.formulas import with_formulas

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
COLAB = "https://colab.research.google.com/github"
FIELDS = ("Question", "You need", "You will build", "Time", "Source")
START = re.compile(r'start\("(?P<slug>\w+)", __doc__(?P<more>[^)]*)\)')
PICTURE = re.compile(r"!\[([^\]]*)\]\((\w[\w/]*\.png)\)")
HERE = """\
# This notebook needs minigrad in its environment.
import importlib.util

if importlib.util.find_spec("minigrad") is None:
    raise ModuleNotFoundError("install minigrad in this notebook's environment: see its README")"""
INSTALL = """\
# In a new environment, such as Colab's, this installs minigrad.
import importlib.util

if importlib.util.find_spec("minigrad") is None:
    %pip install -q "minigrad @ git+https://github.com/{repository}\""""
OPTIONS = """\
# What `minigrad run {word}` takes on the command line: "--quick" for a first look, "" for the
# whole lesson, "--data digits --seed 1" and others.
OPTIONS = "{options}\""""


def notebook(script: Path, options: str = "", repository: str | None = None) -> Any:
    """The notebook of a lesson, an nbformat node.

    options     what the cell with the options says at first: "--quick"
    repository  "owner/name" on GitHub: the notebook gets a badge that opens it in Colab, and its
                first cell installs minigrad from there
    """
    import jupytext

    found = jupytext.read(script, fmt="py:percent")
    doc = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    cells = [cell for cell in found.cells if cell.source.strip()]
    if cells and cells[0].cell_type == "code" and cells[0].source.startswith('"""'):
        del cells[0]
    for cell in cells:
        cell.source = cell.source.strip("\n")
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.source = _quiet(_started(cell.source))
        else:
            cell.source = _with_pictures(with_formulas(cell.source), script.parent)
    title, _, text = cells[0].source.partition("\n")
    cells[0].source = _heading(title, doc, script, repository) + "\n" + text.strip("\n")
    here = HERE if repository is None else INSTALL.format(repository=repository)
    said = OPTIONS.format(word=word_for(script.stem), options=options)
    found.cells = [cells[0], _code(here, ["remove-cell"]), _code(said), *cells[1:]]
    for number, cell in enumerate(found.cells):
        cell["id"] = f"cell-{number:03}"  # the same in each conversion
    found.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return found


def _code(source: str, tags: Sequence[str] = ()) -> Any:
    """A cell. The tag "remove-cell" leaves it out of a page that is made from the notebook."""
    from nbformat.v4 import new_code_cell

    return new_code_cell(source, metadata={"tags": list(tags)} if tags else {})


def _heading(title: str, doc: str, script: Path, repository: str | None) -> str:
    """The title, the badge, and what the script's docstring says before the text begins."""
    lines = [title, ""]
    if repository is not None:
        link = f"{COLAB}/{repository}/blob/main/notebooks/{script.stem}.ipynb"
        lines += [f"[![Open in Colab]({BADGE})]({link})", ""]
    for name in FIELDS:
        said = re.search(rf"^{name}: (.*?)(?=^\w[\w ]*: |\Z)", doc, re.M | re.S)
        if said:
            lines += [f"**{name}:** {' '.join(said.group(1).split())}", ""]
    return "\n".join(lines)


def _started(source: str) -> str:
    """The lesson reads the cell with the options in the place of the command line."""
    return START.sub(r'start("\g<slug>", argv=OPTIONS.split()\g<more>)', source)


def _with_pictures(text: str, folder: Path) -> str:
    """The pictures that lie beside the lessons are in the notebook itself: it may lie anywhere."""

    def picture(found: re.Match[str]) -> str:
        data = base64.b64encode((folder / found[2]).read_bytes()).decode()
        return f"![{found[1]}](data:image/png;base64,{data})"

    return PICTURE.sub(picture, text)


def _quiet(source: str) -> str:
    """A semicolon behind the last line: its value is not shown. What a lesson shows, it prints."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a line for IPython alone
        return source
    if not body or not isinstance(body[-1], ast.Expr):
        return source
    lines = source.splitlines()
    end = body[-1].end_lineno or len(lines)
    column = body[-1].end_col_offset or 0
    line = lines[end - 1].encode()
    lines[end - 1] = (line[:column] + b";" + line[column:]).decode()
    return "\n".join(lines)
