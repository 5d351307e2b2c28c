"""Exercises are graded without `assert`: under python -O a wrong answer is still not right."""

import ast
import subprocess
import sys

import pytest
from conftest import ROOT
from test_lessons import SOLUTIONS, WRONG_ANSWERS

from minigrad.exercises import NotRight, expect, grade

pytestmark = pytest.mark.on_host
QUICK = [("01", "3"), ("03", "1"), ("03", "3"), ("08", "1"), ("10", "3"), ("11", "1"), ("11", "3")]


@pytest.mark.parametrize(("lesson", "exercise"), QUICK)
def test_a_wrong_answer_is_not_right_without_asserts(lesson, exercise, tmp_path):
    (path,) = (path for path in SOLUTIONS if path.name.startswith(lesson))
    right, wrong, message = WRONG_ANSWERS[lesson, exercise]
    for folder, text in (
        ("exercises", (ROOT / "lessons" / "exercises" / path.name).read_text()),
        ("solutions", path.read_text().replace(right, wrong, 1)),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / path.name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-O", str(tmp_path / "solutions" / path.name)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"exercise {exercise}: not right" in done.stdout
    assert message in done.stdout


@pytest.mark.parametrize("folder", ["exercises", "solutions"])
def test_no_grader_uses_assert(folder):
    for path in sorted((ROOT / "lessons" / folder).glob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text()))
        assert not [node.lineno for node in nodes if isinstance(node, ast.Assert)], path.name


def test_expect():
    expect(True, "well")
    with pytest.raises(AssertionError, match="2 expected"):
        expect(1 == 2, "2 expected")
    assert issubclass(NotRight, AssertionError)


@pytest.mark.parametrize("error", [SystemExit(0), GeneratorExit(), Exception()])
def test_an_answer_that_leaves_is_not_right_and_does_not_end_the_others(capsys, error):
    def leaves(answers):
        raise error

    assert grade(None, {"1": leaves, "2": lambda answers: "fine"}) == 1
    out = capsys.readouterr().out
    assert f"exercise 1: stopped by an error: {type(error).__name__}" in out
    assert "1 of 2 exercises right" in out


def test_ctrl_c_ends_the_grading():
    def interrupted(answers):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade(None, {"1": interrupted})
