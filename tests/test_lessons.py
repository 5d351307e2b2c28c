"""Every lesson and every solution runs, in a process of its own, with warnings as errors."""

import ast
import json
import os
import re
import sys

import pytest
from conftest import QUICKLY, ROOT, run_lesson

import minigrad as mg
from minigrad.exercises import grade
from minigrad.lesson import start

pytestmark = pytest.mark.on_host
LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
CASES = sorted((ROOT / "lessons" / "cases").glob("*.py"))
SOLUTIONS = sorted((ROOT / "lessons" / "solutions").glob("*.py"))
LONGEST = 275  # lines of a lesson
CELL = 30  # lines of a code cell
by_name = {"ids": lambda path: path.stem}


def test_there_are_lessons():
    assert len(LESSONS) >= 3


def assert_expectations_are_met(path, done, out):
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    found = re.fullmatch(rf"{path.stem}: (\d+) of (\d+) expectations met in .*", last)
    assert found, last
    assert found[1] == found[2] != "0"
    results = json.loads((out / "results.json").read_text())
    assert results["lesson"] == path.stem
    assert len(results["expectations"]) == int(found[1])
    assert results["figures"]
    for figure in results["figures"]:
        assert (out / figure).stat().st_size > 5000


@pytest.mark.parametrize("path", LESSONS + CASES, **by_name)
def test_lesson_runs_quickly_and_meets_its_expectations(path, quick_lesson):
    done, out, _ = quick_lesson(path)
    assert_expectations_are_met(path, done, out)


@pytest.mark.parametrize("path", LESSONS + CASES, ids=lambda path: f"standin-{path.stem}")
def test_lesson_runs_on_the_standin(path, tmp_path):
    """The strict stand-in answers to `import cupy`."""
    environment = {"PYTHONIOENCODING": "utf-8"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests" / "standin"), str(ROOT)])
    out = tmp_path / "out"
    done = run_lesson(path, *QUICKLY, str(out), "--backend", "cupy", **environment)
    assert_expectations_are_met(path, done, out)


@pytest.mark.parametrize("path", LESSONS, **by_name)
def test_lesson_has_the_form_of_a_lesson(path):
    text = path.read_text()
    doc = ast.get_docstring(ast.parse(text))
    assert doc.splitlines()[0].startswith(path.name[:2] + " ")
    assert "## Exercises" in text
    assert len(re.findall(r"^# \d\. ", text.partition("## Exercises")[2], re.MULTILINE)) == 3
    assert_has_the_form(path, doc, text)
    assert len(text.splitlines()) <= LONGEST
    assert (path.parent / "exercises" / path.name).is_file()
    assert (path.parent / "solutions" / path.name).is_file()


@pytest.mark.parametrize("path", CASES, **by_name)
def test_a_case_study_has_the_form_of_a_lesson(path):
    text = path.read_text()
    assert_has_the_form(path, ast.get_docstring(ast.parse(text)), text)


def assert_has_the_form(path, doc, text):
    for word in ("Question:", "You need:", "You will build:", "Time:", "Source:"):
        assert f"\n{word}" in doc, word
    assert "## What to remember" in text
    assert f'start("{path.stem}"' in text
    assert text.rstrip().endswith("lesson.finish()")
    cells = re.findall(r"^# %%(.*)$", text, re.MULTILINE)
    assert {cell.strip() for cell in cells} == {"", "[markdown]"}
    # every markdown cell is comments alone, so that it is text in a notebook and silent in Python
    for cell in re.findall(r"^# %% \[markdown\]\n(.*?)(?=^# %%)", text, re.MULTILINE | re.DOTALL):
        assert all(line.startswith("#") or not line for line in cell.splitlines()), cell
    for cell in re.findall(r"^# %%\n(.*?)(?=^# %%|\Z)", text, re.MULTILINE | re.DOTALL):
        assert len(cell.strip().splitlines()) <= CELL, cell
    # bookkeeping stands after the ideas
    first = min(text.index(call) for call in ("lesson.expect(", "lesson.record(") if call in text)
    assert first > text.index("## What to remember")


@pytest.mark.parametrize("path", SOLUTIONS, **by_name)
def test_solutions_solve_the_exercises(path):
    done = run_lesson(path, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1] == "3 of 3 exercises right"


@pytest.mark.parametrize("path", SOLUTIONS, **by_name)
def test_exercises_are_left_to_the_student(path):
    text = (path.parent.parent / "exercises" / path.name).read_text()
    assert set(re.findall(r"(?:my_|exercise |lesson )(\d\d)", text)) == {path.name[:2]}
    done = run_lesson(path.parent.parent / "exercises" / path.name)
    assert done.returncode == 1
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 4
    assert all(": not done yet: TODO(you)" in line for line in lines[:3])
    assert lines[3] == "0 of 3 exercises right"


WRONG_ANSWERS = {  # one wrong answer to each exercise, and what is said about it
    ("01", "1"): ("def backward(self, dy):\n        return self.recall() * dy", "return dy", "dx"),
    ("01", "2"): ("(dy * np.minimum(x, 0)).sum()", "dy.sum()", "da"),
    ("01", "3"): ("delta_h.sum(axis=0)", "0 * b_i", "db_i"),
    ("02", "1"): ("g * (1 - t**2)", "g * (1 - t)", "da"),
    ("02", "2"): ("order[::-1]", "order", "must be the last record"),
    ("02", "3"): (
        "self.dot * other.data + self.data * other.dot",
        "self.dot * other.dot",
        "tangent",
    ),
    ("03", "1"): ("return 1 / 6", "return 1 / 3", "not -1/3"),
    ("03", "2"): ("return 0.4", "return 0.01", "x comes to"),
    ("03", "3"): ("m_hat / (sqrt(v_hat) + eps)", "m_hat", "not 0.0010"),
    ("04", "1"): ("m = z.max(axis=1)", "m = 0 * z[:, 0]", "it must be 1000, not inf"),
    ("04", "2"): ("da2 = dz @ W3.T * (a2 > 0)", "da2 = dz @ W3.T", "dW1"),
    ("04", "3"): ("np.array([0.0, 0.7])", "np.array([0.0, 1.2])", "95 % is possible"),
    ("05", "1"): ("= self.sums[name]\n", "= grad\n", "at step 10"),
    ("05", "2"): ("read = predicted == digit", "read = y == digit", "you say"),
    ("05", "3"): (
        "train.y == digit)) for digit in range(10)",
        "train.y == 1)) for _ in range(10)",
        "",
    ),
    ("06", "1"): ("right] += dwindows", "right] = dwindows", "with stride 1"),
    ("06", "2"): ("(dy / self.k**2)", "dy", "dx"),
    ("06", "3"): ("np.tile(train.y, len(MOVES))", "train.y.repeat(len(MOVES))", "another's label"),
    ("07", "1"): ("np.sqrt(2 / (1 + a**2))", "np.sqrt(2)", "with a = 0.5 and c = 1.414"),
    ("07", "2"): ("(both - x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True))", "both", "dx"),
    ("07", "3"): ("1 / np.sqrt(L)", "1 / L", "do next to nothing"),
    ("08", "1"): ("** 2 < 0", "** 2 > 0", "not negative"),
    ("08", "2"): ("np.clip(snr - 1, 0, 1)", "np.minimum(snr, 1)", "it lets through"),
    ("08", "3"): ("g.var(axis=0) / B", "g.var(axis=0)", "calculated"),
    ("09", "1"): ("c - slr * error.sum(axis=0)", "c - slr * error.mean(axis=0)", "c differs"),
    ("09", "2"): ("(h.T @ h)", "(h.T @ h / len(h))", "the error explodes"),
    ("09", "3"): ("(mean_p - np.eye(10)[y])", "(np.eye(10)[y] - mean_p)", "R² is"),
    ("10", "1"): ("return (1 - p) ** L", "return 1 - p**L", "nothing in"),
    ("10", "2"): ("np.subtract.at(self.B, self.target, ", "self.B[self.target] -= (", "step 2"),
    ("10", "3"): ("(1 - mixture) * dh_hat", "dh_hat", "differs"),
    ("11", "1"): ("(1 - h**2) * z_dot", "z_dot", "slope is"),
    ("11", "2"): ("(1 + 1 / K) * np.linalg", "np.linalg", "the mean loss rises"),
    ("11", "3"): ("slope(u) * u / length", "slope(u) * u", "your estimate"),
    ("12", "1"): ("weights=[len(y) for _, y in batches]", "weights=None", "batches of 16"),
    ("12", "2"): ("d_n * noise / len(x)", "d_n * noise", "the mean of dW_hat"),
    ("12", "3"): ("K + int(gain[1] > gain[0])", "K", "pays best, not"),
    ("14", "1"): (".sum() - variance / R", ".sum()", "R = 2: the mean of your bias²"),
    ("14", "2"): ("int((n - 1) / bias2) + 1", "int((n - 1) / bias2) or 1", "not less"),
    ("14", "3"): ("1 / (1 + self.variance)", "1 / self.variance", "times as long along g"),
    ("15", "1"): ("(up - down) / (2 * self.epsilon)", "(up - value) / self.epsilon", "is off by"),
    ("15", "2"): ("int(budget / cost)", "round(budget / cost)", "not (36"),
    ("15", "3"): ("std(ddof=1)", "std()", "'cannot tell', not 'a'"),
    ("13", "1"): ("e @ B.T * (z > 0)", "e @ W2.T * (z > 0)", "dW1 is off"),
    ("13", "2"): ("c = -b * w2", "c = b * w2", "they come to"),
    ("13", "3"): ("1 / np.sqrt(n)", "1 / n", "a spread of"),
}


@pytest.mark.parametrize(("lesson", "exercise"), WRONG_ANSWERS)
def test_wrong_answers_are_told_apart(lesson, exercise, tmp_path):
    (path,) = (path for path in SOLUTIONS if path.name.startswith(lesson))
    right, wrong, message = WRONG_ANSWERS[lesson, exercise]
    if "def backward" in right:
        wrong = right.replace("self.recall() * dy", "dy")
    text = path.read_text()
    assert text.count(right) >= 1
    for folder in ("solutions", "exercises"):
        (tmp_path / folder).mkdir()
    original = path.parent.parent / "exercises" / path.name
    (tmp_path / "exercises" / path.name).write_text(original.read_text())
    (tmp_path / "solutions" / path.name).write_text(text.replace(right, wrong, 1))
    done = run_lesson(tmp_path / "solutions" / path.name)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"exercise {exercise}: not right" in done.stdout
    assert message in done.stdout.partition(f"exercise {exercise}:")[2]
    assert done.stdout.strip().endswith("2 of 3 exercises right")


def test_an_answer_that_fails_does_not_stop_the_others(capsys):
    def broken(answers):
        return 1 / 0

    def fine(answers):
        return f"{answers} it is"

    assert grade("this", {"1": broken, "2": fine}) == 1
    out = capsys.readouterr().out
    assert "exercise 1: stopped by an error: ZeroDivisionError: division by zero (test_less" in out
    assert "exercise 2: right: this it is" in out
    assert "1 of 2 exercises right" in out


class TestLesson:
    def lesson(self, tmp_path, *argv):
        return start("05_first_network", "what it is about", [*argv, "--out", str(tmp_path)])

    def test_expectations_are_met_or_not(self, tmp_path, capsys):
        lesson = self.lesson(tmp_path)
        assert lesson.expect("a", 0.95, at_least=0.93)
        assert lesson.expect("b", 1, at_least=0, at_most=2)
        assert lesson.expect("c", 1.05, equal=1, tolerance=0.1)
        lesson.record("curve", [1.0, float("nan")])
        lesson.finish()
        assert "3 of 3 expectations met" in capsys.readouterr().out
        assert not lesson.expect("d", 0.92, at_least=0.93)
        assert not lesson.expect("e", float("nan"), at_most=2)
        assert not lesson.expect("f", 1.2, equal=1, tolerance=0.1)
        with pytest.raises(SystemExit) as caught:
            lesson.finish()
        assert caught.value.code == 1
        out = capsys.readouterr().out
        assert "3 of 6 expectations met" in out
        assert out.count("NOT MET") == 3
        results = json.loads((tmp_path / "results.json").read_text())
        assert [e["met"] for e in results["expectations"]] == [True] * 3 + [False] * 3
        assert results["values"]["curve"] == [1.0, "nan"]
        with pytest.raises(ValueError, match="needs at_least"):
            lesson.expect("g", 1)

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["--data", "cifar"], "invalid choice"),
            (["--epochs", "0"], "expected an integer >= 1"),
            (["--seed", "x"], "expected an integer >= 0"),
            (["--fast"], "unrecognized arguments"),
            (["--backend", "tpu"], "invalid choice"),
        ],
    )
    def test_wrong_options_are_refused(self, argv, message, tmp_path, capsys):
        with pytest.raises(SystemExit) as caught:
            self.lesson(tmp_path, *argv)
        assert caught.value.code == 2
        assert message in capsys.readouterr().err

    def test_cupy_without_a_gpu_is_refused(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setitem(sys.modules, "cupy", None)
        with pytest.raises(SystemExit) as caught:
            self.lesson(tmp_path, "--backend", "cupy")
        assert caught.value.code == 2
        assert "gpu-cuda12" in capsys.readouterr().err

    def test_epochs_and_quick(self, tmp_path):
        assert self.lesson(tmp_path).epochs(10, 2) == 10
        assert self.lesson(tmp_path, "--quick").epochs(10, 2) == 2
        assert self.lesson(tmp_path, "--quick", "--epochs", "5").epochs(10, 2) == 5

    def test_damaged_data_end_the_lesson_with_one_line(self, tmp_path, monkeypatch):
        lesson = self.lesson(tmp_path)

        def damaged(*arguments, **options):
            raise ValueError("train-images: cut short")

        monkeypatch.setattr("minigrad.data.load", damaged)
        with pytest.raises(SystemExit) as caught:
            lesson.data()
        assert caught.value.code == "05_first_network: train-images: cut short"

    def test_ctrl_c_in_a_training_ends_the_lesson_with_what_it_measured(self, tmp_path):
        script = tmp_path / "script.py"
        script.write_text(
            "import numpy as np, minigrad as mg\n"
            "from minigrad.lesson import start\n"
            f"argv = ['--out', {str(tmp_path)!r}, '--seed', '7']\n"
            "lesson = start('05_first_network', argv=argv)\n"
            "lesson.record('before', 1)\n"
            "data = mg.data.Dataset(np.ones((8, 3), 'float32'), np.zeros(8, int), classes=2)\n"
            "net = mg.models.mlp((3, 2), seed=0)\n"
            "def interrupt(step, loss):\n"
            "    if step == 5: raise KeyboardInterrupt\n"
            "lesson.fit(net, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(net, 0.1), data,\n"
            "           epochs=9, batch_size=4, step_callback=interrupt)\n"
            "print('went on')\n"
        )
        done = run_lesson(script)
        assert done.returncode == 130
        assert "went on" not in done.stdout
        assert "interrupted; what was measured is in" in done.stdout
        results = json.loads((tmp_path / "results.json").read_text())
        assert results["interrupted"] is True
        assert results["values"] == {"before": 1}
        history = mg.History.load(tmp_path / "history_interrupted.json")
        assert history.stopped == "interrupted in epoch 3, after step 5"
        assert history.settings["seed"] == 7

    def test_the_folder_is_tried_before_any_training(self, tmp_path, capsys):
        blocked = tmp_path / "a file"
        blocked.write_text("")
        for out in (blocked, blocked / "below"):
            with pytest.raises(SystemExit) as caught:
                start("05_first_network", "", ["--out", str(out)])
            assert caught.value.code == 2
            assert "argument --out" in capsys.readouterr().err
        self.lesson(tmp_path / "results").finish()
        self.lesson(tmp_path / "results")  # the same lesson again is welcome
        with pytest.raises(SystemExit):
            start("01_gradients_by_hand", "", ["--out", str(tmp_path / "results")])
        assert "holds the results of 05_first_network" in capsys.readouterr().err

    def test_show_without_a_screen_says_so(self, tmp_path, capsys, monkeypatch):
        lesson = self.lesson(tmp_path)
        lesson.options.show = True
        lesson.finish()
        assert "no window can be opened here" in capsys.readouterr().out

    def test_an_interrupted_lesson_keeps_what_it_measured(self, tmp_path):
        script = tmp_path / "script.py"
        script.write_text(
            "from minigrad.lesson import start\n"
            f"lesson = start('05_first_network', argv=['--out', {str(tmp_path)!r}])\n"
            "lesson.record('loss', [1.0])\n"
            "raise KeyboardInterrupt\n"
        )
        done = run_lesson(script)
        assert done.returncode != 0
        assert "interrupted; what was measured is in" in done.stdout
        assert "Traceback" not in done.stderr
        results = json.loads((tmp_path / "results.json").read_text())
        assert results["interrupted"] is True
        assert results["values"] == {"loss": [1.0]}
