"""What the README says is so."""

import ast
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT, WARNINGS_ARE_ERRORS

from minigrad import cli

pytestmark = pytest.mark.on_host
README = (ROOT / "README.md").read_text()


BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_table_has_every_lesson_with_its_question_and_time():
    rows = re.findall(r"^\| \[(.+?)\]\((.+?)\) \| (.+?) \| (.+?) \|$", README, re.MULTILINE)
    assert [(title, path) for title, path, _, _ in rows] == [
        (lesson.title, f"lessons/{lesson.path.name}") for lesson in cli.lessons()
    ]
    for (_, _, question, usual), lesson in zip(rows, cli.lessons(), strict=True):
        assert re.match(rf"{re.escape(usual)}\b", lesson.time)
        doc = ast.get_docstring(ast.parse(lesson.path.read_text()))
        asked = re.search(r"^Question: (.*?)\?", doc, re.MULTILINE | re.DOTALL)[1]
        assert question.rstrip("?").lower() == " ".join(asked.split()).lower()


def test_links_and_pictures_are_there():
    for target in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (ROOT / target).exists(), target


def test_the_two_commands_stand_as_they_are_run():
    commands = re.findall(r"^    (.*)$", README, re.MULTILINE)
    assert "python -m pip install -e . && minigrad run all --quick" in commands
    assert 'python -m pip install -e ".[test]" && python -m pytest' in commands
    assert "python -m pytest -m quick" in commands


def test_the_commands_of_minigrad_exist(tmp_path, monkeypatch, capsys):
    """Every `minigrad ...` of the README and of CONTRIBUTING.md is one that it takes."""
    known = {"list", "run", "exercise", "check", "compare", "data", "build", "live", "notebooks"}
    for page in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        assert set(re.findall(r"(?:`|^ {4})minigrad ([a-z]+)", page)) <= known
    monkeypatch.chdir(tmp_path)
    assert cli.main(["exercise", "05"]) == 0
    assert cli.main(["exercise", "05", "--solution"]) == 0
    capsys.readouterr()


def test_what_ci_runs_is_what_the_pages_say():
    """.ci/run takes commands from the README; the parts that CONTRIBUTING.md names are there."""
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for part in ("tests", "lint", "lessons", "floor"):
        assert f"\n{part}() {{" in ci
    for pattern in re.findall(r"readme_command '([^']*)'", ci):
        assert re.search(rf"^    .*{pattern}", README, re.MULTILINE)


def test_the_layer_passes_the_command_that_follows_it(tmp_path, monkeypatch, capsys):
    (code,) = (block for block in BLOCKS if "mg.Layer" in block)
    (tmp_path / "my_layer.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    command = re.search(r"^    minigrad (check my_layer.*)$", README, re.MULTILINE)[1]
    assert cli.main(command.split()) == 0
    assert "all ok" in capsys.readouterr().out


def test_the_example_runs_and_learns(tmp_path):
    (code,) = (block for block in BLOCKS if "mg.fit" in block)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MINIGRAD")}
    done = subprocess.run(
        [sys.executable, *WARNINGS_ARE_ERRORS, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    accuracy = re.fullmatch(r"test accuracy ([\d.]+)\s*", done.stdout)
    assert accuracy, done.stdout
    assert float(accuracy[1]) > 0.9
