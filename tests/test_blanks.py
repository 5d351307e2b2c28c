"""Build it yourself: blanks give nothing away, right answers pass, wrong ones are told."""

import ast
import json
import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from blanks_answers import ANSWERS
from conftest import ROOT

from minigrad import cli
from minigrad.blanks import folder as folders
from minigrad.blanks.blanking import MARK, blanked
from minigrad.blanks.cases import CASES
from minigrad.blanks.grading import Different, compare, graded
from minigrad.blanks.parts import BY_NAME, PARTS, file_name

pytestmark = pytest.mark.on_host
every_part = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)


def library(part):
    module = __import__(part.module, fromlist=[part.cls])
    return getattr(module, part.cls)


def own(part, text):
    """The class of a student's file, as the library is imported with it."""
    space = {"__name__": part.module}
    exec(compile(text, file_name(part), "exec"), space)
    return space[part.cls]


def filled(part, text, answers):
    """The text with these lines in the place of the raises."""
    for method, lines in answers.items():
        mark = f'        raise NotImplementedError("{MARK}: {part.cls}.{method}")'
        assert mark in text
        lines = textwrap.dedent(lines).strip("\n")
        # A further method stands beside the answer.
        text = text.replace(mark, textwrap.indent(lines, " " * (4 if lines[0] == " " else 8)))
    return text


def verdicts(part, cls):
    with np.errstate(all="ignore"):
        return {row["method"]: row for row in graded(part, library(part), cls)}


@every_part
def test_a_blank_has_the_equations_and_none_of_the_lines(part):
    source = folders.source(part)
    text = blanked(source, part)
    assert max(map(len, text.splitlines())) <= 100
    tree = ast.parse(source)
    cls = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == part.cls)
    lines = source.splitlines()
    methods = {n.name: n for n in cls.body if isinstance(n, ast.FunctionDef)}
    for name in part.hints:
        assert f"{MARK}: {part.cls}.{name}" in text
        last = lines[methods[name].end_lineno - 1].strip()
        in_text = re.search(rf"    def {name}\(.*?(?=\n    def |\Z)", text, re.S).group()
        in_text = [line.strip() for line in in_text.splitlines()]
        assert last not in in_text, "the answer is still there"
        for line in lines[methods[name].lineno : methods[name].end_lineno]:
            if line.strip().startswith("# ") and "=" in line:
                assert line.strip() in in_text
    for name in part.left:
        assert f"def {name}(" not in text
        assert f"    {name} =" not in text


@every_part
def test_a_fresh_file_says_what_to_do(part):
    cls = own(part, blanked(folders.source(part), part))
    rows = verdicts(part, cls)
    assert set(rows) == set(part.hints) == set(CASES[part.name])
    assert {row["verdict"] for row in rows.values()} <= {"to do", "waits"}
    first = next(iter(rows.values()))
    assert first["verdict"] == "to do"
    assert first["words"].endswith(part.hints[first["method"]])


@every_part
def test_plain_answers_are_right(part):
    text = filled(part, blanked(folders.source(part), part), ANSWERS[part.name])
    assert MARK + ":" not in re.sub(r"# .*", "", text)
    rows = verdicts(part, own(part, text))
    assert {name: row["verdict"] for name, row in rows.items()} == dict.fromkeys(rows, "right")


WRONG = [
    ("linear", "_gradients", "x.T @ dy", "2 * x.T @ dy", "all 2 times what they should be"),
    ("linear", "forward", 'y + self.params["b"]', "y + 0", r"y\[\d, \d\] is .*, it should be"),
    ("relu", "backward", "self.recall()", "~self.recall()", "numbers are off"),
    ("relu", "forward", "x > 0", "x >= 0", None),  # seen by backward, at 0
    ("cross_entropy", "backward", "dz / N", "dz", "all 6 times"),
    ("cross_entropy", "each", "- logits.max(axis=1, keepdims=True)", "", "each"),
    ("sgd", "_update", "param -= self.lr", "param += self.lr", "W after step 1"),
    ("adam", "_update", "m / (1 - beta1**t)", "m", "W after step 1"),
    ("conv2d", "backward", "+= dcols", "= dcols", "dx"),
    ("max_pool2d", "forward", "-np.inf", "0", "padding 1"),
    ("gradient_module", "learn", "error = self.dh_hat - dh", "error = dh", "with labels"),
    ("batch_norm1d", "backward", "self._project(rows, x_hat, from_batch)", "rows", "dx"),
    ("batch_norm1d", "forward", "rows.var(axis=0)", "rows.var(axis=0, ddof=1)", "x (8, 3): y"),
    ("forward_gradient", "_one", "d * array", "array", "K = 1: d1.W 1"),
]


@pytest.mark.parametrize(("name", "method", "right", "wrong", "words"), WRONG)
def test_a_wrong_answer_is_told_by_how_much(name, method, right, wrong, words):
    part = BY_NAME[name]
    answers = dict(ANSWERS[name])
    assert right in answers[method]
    answers[method] = answers[method].replace(right, wrong)
    rows = verdicts(part, own(part, filled(part, blanked(folders.source(part), part), answers)))
    if words is None:
        assert any(row["verdict"] == "wrong" for row in rows.values())
        return
    assert rows[method]["verdict"] == "wrong"
    assert re.search(re.escape(words) if "(" in words else words, rows[method]["words"])


def test_an_error_names_the_students_line():
    part = BY_NAME["relu"]
    text = blanked(folders.source(part), part)
    rows = verdicts(part, own(part, filled(part, text, {"forward": "return x + missing"})))
    line = next(k for k, line in enumerate(text.splitlines(), 1) if "ReLU.forward" in line)
    assert rows["forward"]["verdict"] == "stopped by an error"
    assert (
        f"NameError: name 'missing' is not defined (04_relu.py, line {line})"
        in (rows["forward"]["words"])
    )


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        ({}, "y is missing"),
        ({"y": None}, "y is None, and no array"),
        ({"y": np.zeros(3)}, r"y has shape \(3,\), it should be \(2,\)"),
        ({"y": np.ones(2, "float32")}, "y is float32, it should be float64"),
        ({"y": np.array([1.0, np.nan])}, r"y\[1\] is nan, it should be 1"),
        ({"y": np.ones(2), "z": 1}, "z should not be there"),
    ],
)
def test_what_is_not_the_librarys(ours, words):
    with pytest.raises(Different, match=words):
        compare(ours, {"y": np.ones(2)})


@pytest.fixture(scope="module")
def mylib(tmp_path_factory):
    """Linear is filled in there, ReLU is wrong, SGD does not end, and Adam is no Python."""
    folder = tmp_path_factory.mktemp("build") / "mylib"
    folders.start(folder)

    def fill(name, answers):
        path = folder / file_name(BY_NAME[name])
        path.write_text(filled(BY_NAME[name], path.read_text(), answers))

    fill("linear", ANSWERS["linear"])
    fill("relu", {"forward": "print('mine')\nself.cache = x > 0\nreturn x"})
    fill("sgd", {"_update": "while True:\n    pass"})
    fill("adam", {"_update": "m = = 3"})
    return folder


def test_start_never_overwrites(mylib, capsys):
    before = (mylib / "01_linear.py").read_text()
    assert cli.main(["build", "start", str(mylib)]) == 0
    assert "01_linear.py             Linear               lesson 01  (it was there" in (
        capsys.readouterr().out
    )
    assert (mylib / "01_linear.py").read_text() == before


def test_check_says_what_is_right_wrong_and_next(mylib, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")  # nothing here is an assert
    chosen = tuple(BY_NAME[name] for name in ("linear", "adam", "relu"))
    monkeypatch.setattr("minigrad.blanks.command.PARTS", chosen)
    assert cli.main(["build", "check", str(mylib)]) == 1
    said = capsys.readouterr().out
    assert "01_linear.py             right\n" in said
    assert re.search(r"SyntaxError: invalid syntax; File .*03_adam.py\", line \d+", said)
    assert re.search(r"forward +wrong: x \(6, 7\): y\[\d, \d\] is -", said)
    assert f"next: {mylib / '03_adam.py'}, taught in lesson 03_gradient_descent" in said
    assert "1 of 3 right" in said


def test_an_endless_loop_is_stopped(mylib, capsys, monkeypatch):
    monkeypatch.setattr(folders, "SECONDS", 1)
    assert cli.main(["build", "check", str(mylib), "sgd"]) == 1
    assert "did not end within 1 seconds: is there a loop?" in capsys.readouterr().out


def test_a_lesson_runs_on_what_is_filled_in(mylib):
    """The student's Linear is the one that everything in the process uses, pickled or not."""
    script = mylib / "script.py"
    script.write_text(
        "import pickle, minigrad as mg\n"
        "net = mg.models.mlp((4, 3, 2), seed=0)\n"
        "layer = pickle.loads(pickle.dumps(net.layers[1]))\n"
        "print(mg.Linear.forward.__code__.co_filename)\n"
        "print(type(layer) is mg.Linear, mg.rules.Backprop.__module__)\n"
    )
    own_parts = [part for part in PARTS if not folders.to_do(mylib, part)]
    assert [part.name for part in own_parts] == ["linear", "sgd", "adam"]
    done = subprocess.run(
        [sys.executable, str(script)],
        env=folders.environment(mylib, own_parts[:1]),
        capture_output=True,
        text=True,
        check=True,
    )
    file, same = done.stdout.splitlines()
    assert file == str(mylib / "01_linear.py")
    assert same == "True minigrad.rules.backprop"


def test_run_hands_on_options_and_status(mylib, capfd, monkeypatch):
    monkeypatch.setattr(folders, "to_do", lambda folder, part: part.name != "linear")
    assert cli.main(["build", "run", str(mylib), "01", "--help"]) == 0
    said = capfd.readouterr().out
    assert said.startswith("yours: Linear\nthe library's: SGD, Adam, ReLU")
    assert "--quick" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "nowhere"], "nowhere has no file such as 01_linear.py: make it with minigrad"),
        (["answer", "lstm"], "there is no part 'lstm'; there are linear, sgd"),
        (["start", os.devnull], "a file of that name is there"),
    ],
)
def test_usage_errors(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["build", *words]) == 2
    assert message in capsys.readouterr().err


def test_answer_is_the_librarys_own_file(capsys):
    assert cli.main(["build", "answer", "relu"]) == 0
    assert "class ReLU(Layer):" in capsys.readouterr().out


def test_another_sitecustomize_still_runs(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('theirs')\n")
    environment = folders.environment(tmp_path, [])
    environment["PYTHONPATH"] += os.pathsep + str(tmp_path)
    command = [sys.executable, "-c", "import json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "theirs\n"
    assert json.loads(environment["MINIGRAD_BUILD"]) == {}


def test_the_page_has_every_part_in_order():
    page = (ROOT / "docs" / "build.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [\d, ]+ \| (.*?) \| .* \| (\d\d) \|$", page, re.MULTILINE)
    named = [(name, lesson) for names, lesson in rows for name in re.findall(r"`(\w+)`", names)]
    assert named == [(part.cls, part.lesson[:2]) for part in PARTS]
