"""The lessons as notebooks: every cell runs where the lesson runs, and shows nothing stray."""

import ast
import base64
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest

from minigrad import cli, jupyter, progress
from minigrad.lesson import start
from minigrad.notebooks import command
from minigrad.notebooks.conversion import notebook
from minigrad.notebooks.execution import _passing, _unmet
from minigrad.scripts import lessons

pytestmark = pytest.mark.on_host
every_lesson = pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.number)


def first_network():
    (found,) = (lesson.path for lesson in lessons() if lesson.path.stem == "05_first_network")
    return found


def code(found):
    return [cell.source for cell in found.cells if cell.cell_type == "code"]


@every_lesson
def test_a_notebook_has_the_lessons_cells_and_says_who_it_is(lesson):
    found = notebook(lesson.path, "--quick")
    first, here, options = found.cells[:3]
    assert first.source.startswith(f"# {lesson.title}\n")
    for name in ("**Question:** ", "**You need:** ", "**Time:** ", "**Source:** "):
        assert name in first.source
    assert "colab" not in first.source
    assert "find_spec" in here.source
    assert options.source.endswith('OPTIONS = "--quick"')
    text = "\n".join(code(found))
    assert f'start("{lesson.path.stem}", argv=OPTIONS.split()' in text
    assert "sys.argv" not in text
    assert '"""' + lesson.title not in text
    for source in code(found):
        last = (ast.parse(source).body or [None])[-1]
        if isinstance(last, ast.Expr):
            end = source.splitlines()[last.end_lineno - 1].encode()[last.end_col_offset :]
            assert end.startswith(b";"), "its value would be shown"
    assert len({cell.id for cell in found.cells}) == len(found.cells)
    assert notebook(lesson.path, "--quick") == found


def test_a_repository_gives_a_badge_and_installs_from_there():
    found = notebook(first_network(), repository="owner/name")
    assert (
        "https://colab.research.google.com/github/owner/name/blob/main/notebooks/"
        "05_first_network.ipynb" in found.cells[0].source
    )
    assert '%pip install -q "minigrad @ git+https://github.com/owner/name"' in code(found)[0]
    assert code(found)[1].endswith('OPTIONS = ""')


def test_a_picture_beside_the_lessons_is_in_the_notebook():
    found = notebook(first_network())
    (text,) = (
        cell.source for cell in found.cells if "reads](data:image/png;base64," in cell.source
    )
    data = base64.b64decode(re.search(r"base64,([\w+/=]+)\)", text)[1])
    assert data == (first_network().parent / "figures" / "plateaus.png").read_bytes()


def test_the_command_writes_what_nbformat_reads(tmp_path, capsys):
    import nbformat

    assert cli.main(["notebooks", str(tmp_path / "nb"), "--lesson", "06"]) == 0
    assert "1 of 1 notebooks written to" in capsys.readouterr().out
    nbformat.validate(nbformat.read(tmp_path / "nb" / "06_convolution.ipynb", 4))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lesson", "99"], "no lesson '99'"),
        (["--repository", "name"], "--repository is OWNER/NAME"),
        (["--processes", "0"], "--processes"),
    ],
)
def test_usage_errors(words, message, tmp_path, capsys):
    assert cli.main(["notebooks", str(tmp_path), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_extra_is_said(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert cli.main(["notebooks", str(tmp_path), "--execute"]) == 2
    said = capsys.readouterr().err
    assert "notebooks need jupytext and nbclient and ipykernel" in said
    assert 'pip install "minigrad[notebook]"' in said


def test_only_bars_are_left_out():
    bar = SimpleNamespace(name="stderr", text="50 %\r51 %", get={"output_type": "stream"}.get)
    words = SimpleNamespace(name="stderr", text="a warning", get={"output_type": "stream"}.get)
    picture = {"output_type": "display_data", "data": {"image/png": ""}}
    widget = {
        "output_type": "display_data",
        "data": {"application/vnd.jupyter.widget-view+json": {}},
    }
    assert [_passing(each) for each in (bar, words, picture, widget)] == [True, False, False, True]


def test_what_a_lesson_missed_is_a_fault(tmp_path):
    assert _unmet(tmp_path) == f"it wrote no results to {tmp_path}"
    (tmp_path / "results.json").write_text(
        '{"expectations": [{"name": "a", "met": true}, {"name": "b", "met": false}]}'
    )
    assert _unmet(tmp_path) == "not as expected: b"


@pytest.fixture
def in_notebook(monkeypatch, tmp_path):
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=True)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.chdir(tmp_path)


def test_the_libraries_of_notebooks_alone_make_no_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: None  # what it says outside of a shell
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not jupyter.in_notebook()
    ipython.get_ipython = SimpleNamespace  # the shell of a terminal
    assert not jupyter.in_notebook()


@pytest.mark.usefixtures("in_notebook")
def test_a_cell_that_runs_again_adds_nothing_twice():
    lesson = start("05_first_network")
    assert lesson.notebook
    lesson.expect("accuracy", 0.5, at_least=0.9)
    lesson.expect("loss", 0.1, at_most=0.2)
    lesson.expect("accuracy", 0.95, at_least=0.9)
    assert [(e.name, e.met) for e in lesson.expectations] == [("loss", True), ("accuracy", True)]


@pytest.mark.usefixtures("in_notebook")
@pytest.mark.parametrize("options", ["--epochs 0", "--lesson 3", "--help"])
def test_a_wrong_option_in_a_notebook_is_an_error(options):
    with pytest.raises(ValueError, match="epochs|lesson|leave out --help"):
        start("05_first_network", argv=options.split())


@pytest.mark.usefixtures("in_notebook")
def test_a_notebook_shows_a_bar():
    bar = progress.Bar(10, None)
    assert not bar.hidden
    bar.close(None)
    hidden = progress.Bar(10, False)
    assert hidden.hidden
    hidden.close(None)
