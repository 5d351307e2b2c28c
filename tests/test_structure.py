"""How the package is laid out: imports run one way, files are short, nothing speaks out of turn."""

import ast
import importlib
import sys
from itertools import pairwise

import pytest
from conftest import ROOT

from minigrad.moved import MOVED

pytestmark = pytest.mark.on_host
PACKAGE = sorted((ROOT / "minigrad").rglob("*.py"))

# Each row may import from the rows before it, and from its own.
ROWS = [
    {
        "backend",
        "blas",
        "checks",
        "files",
        "generators",
        "interrupts",
        "jupyter",
        "moved",
        "printing",
        "resources",
        "scripts",
        "settings",
        "siblings",
        "streams",
        "version",
    },
    {"threads", "kernels"},
    {"layers", "losses", "metrics", "history_table"},
    {"models", "optim", "interchange", "gradcheck"},
    {"rules", "data", "history"},
    {
        "arguments",
        "capture",
        "checkpoint",
        "early_stopping",
        "evaluation",
        "feeding",
        "loop",
        "progress",
        "stepping",
        "train",
    },
    {"search", "functions", "diagnostics"},
    {"asynchronous"},
    {"lesson", "exercises", "plots"},
    {"compare"},
    {"live", "blanks", "notebooks"},
    {"cli"},
    {"__init__", "__main__"},
]
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}


def unit(path):
    """The module, or the folder of modules, that a file belongs to: "losses", "layers"."""
    return path.relative_to(ROOT / "minigrad").parts[0].removesuffix(".py")


def name_of(path):
    """The dotted name under which a file is imported: "minigrad.layers" for its __init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(path): path for path in PACKAGE}


def imported(path):
    """The files of minigrad that a file imports, by dotted name; those for types alone, too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module and node.module.split(".")[0] == "minigrad":
                for alias in node.names:
                    file = f"{node.module}.{alias.name}"
                    yield file if file in NAMES else node.module
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "minigrad")


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    assert unit(path) in RANK, "a new module needs its place in ROWS"
    for name in imported(path):
        assert name in NAMES, f"{name} is no file of the package"
        if name == "minigrad":
            assert unit(path) in ("cli", "__main__"), "only the command names the whole package"
        else:
            assert RANK[unit(NAMES[name])] <= RANK[unit(path)], name


def test_there_are_no_circles():
    """Of files: also where a package's __init__ imports what imports the package."""
    graph = {name: set(imported(path)) - {"minigrad"} for name, path in NAMES.items()}
    while graph:
        free = {name for name, needs in graph.items() if not needs & graph.keys()}
        assert free, f"a circle among {sorted(graph)}"
        graph = {name: needs for name, needs in graph.items() if name not in free}


def test_the_check_for_circles_sees_one(monkeypatch, tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.py").write_text(
            f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import minigrad.{other}\n"
        )
    monkeypatch.setattr(
        f"{__name__}.NAMES", {f"minigrad.{name}": tmp_path / f"{name}.py" for name in "ab"}
    )
    with pytest.raises(AssertionError, match="circle"):
        test_there_are_no_circles()


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


def test_one_file_shares_work_among_threads():
    """`kernels.parts.share` looks where the arrays are: a device's are never shared."""
    users = set()
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "minigrad.threads":
                found = "each" in [alias.name for alias in node.names]
            else:
                found = isinstance(node, ast.Attribute) and ast.unparse(node) == "threads.each"
            if found:
                users.add(f"{path.parent.name}/{path.name}")
    assert users == {"kernels/parts.py"}


def test_the_rows_are_in_use():
    assert set(RANK) == {unit(path) for path in PACKAGE}
    assert all(not (a & b) for a, b in pairwise(ROWS))


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_old_names_of_modules_work_and_warn(old, new):
    assert new in NAMES
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} has moved to {new}"):
        module = importlib.import_module(old)
    assert module is importlib.import_module(new)
    assert module.__spec__.name == new
    sys.modules.pop(old)
