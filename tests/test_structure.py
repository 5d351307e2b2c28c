"""How the package is laid out: imports run one way, files are short, nothing speaks out of turn."""

import ast
from itertools import pairwise

import pytest
from conftest import ROOT

pytestmark = pytest.mark.on_host
PACKAGE = sorted((ROOT / "minigrad").rglob("*.py"))

# Each row may import from the rows before it, and from its own.
ROWS = [
    {"backend", "checks", "resources", "threads", "parallel"},
    {"layers", "losses", "moments"},
    {"models", "optim", "interchange", "report", "differences", "promises", "gradcheck"},
    {"rules", "idx", "mnist", "data", "history"},
    {"train"},
    {"search", "functions"},
    {"asynchronous"},
    {"lesson", "exercises", "plots", "student"},
    {"cli"},
    {"__init__", "__main__"},
]
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}


def unit(path):
    """The module, or the folder of modules, that a file belongs to: "losses", "layers"."""
    return path.relative_to(ROOT / "minigrad").parts[0].removesuffix(".py")


def imported(path):
    """The units of minigrad that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("minigrad"):
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("minigrad."))


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    assert unit(path) in RANK, "a new module needs its place in ROWS"
    for name in imported(path):
        assert name not in RANK or RANK[name] <= RANK[unit(path)], name


def test_there_are_no_circles():
    graph = {}
    for path in PACKAGE:
        graph.setdefault(unit(path), set()).update(set(imported(path)) & RANK.keys() - {unit(path)})
    done = []
    while graph:
        free = sorted(name for name, needs in graph.items() if not needs - set(done))
        assert free, f"a circle among {sorted(graph)}"
        done += free
        graph = {name: needs for name, needs in graph.items() if name not in free}


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_noun_of_at_most_300_lines(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    doc = ast.get_docstring(ast.parse(text))
    assert doc, "every file says in one sentence what it is"
    assert "assert " not in text, "assert is for tests: it vanishes under python -O"


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_backend_names_a_device(path):
    """No other file imports CuPy or asks for a device."""
    if unit(path) == "backend":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        names = (
            [alias.name for alias in getattr(node, "names", [])]
            if isinstance(node, ast.Import | ast.ImportFrom)
            else []
        )
        assert "cupy" not in names
        assert getattr(node, "module", None) != "cupy"


def test_the_rows_are_in_use():
    assert set(RANK) == {unit(path) for path in PACKAGE}
    assert all(not (a & b) for a, b in pairwise(ROWS))
