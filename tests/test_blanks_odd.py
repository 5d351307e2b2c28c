"""`minigrad build`: wrong answers that look right, and files that do odd things."""

import os
import shlex

import numpy as np
import pytest
from blanks_answers import ANSWERS
from test_blanks import filled, own, verdicts

from minigrad import cli
from minigrad.blanks import folder as folders
from minigrad.blanks.blanking import blanked
from minigrad.blanks.grading import Different, compare
from minigrad.blanks.parts import BY_NAME, file_name

pytestmark = pytest.mark.on_host

# (part, method, what is right, what is wrong, a word of the verdict)
LOOK_RIGHT = [
    # What was given is changed.
    ("linear", "backward", "return dy @", "dy *= 2\nreturn dy / 2 @", "dy, which must stay"),
    (
        "relu",
        "jvp",
        "return array_module",
        "x_dot[~self.recall()] = 0\nreturn array_module",
        "x_dot, which",
    ),
    (
        "cross_entropy",
        "each",
        "z = logits - logits.max(axis=1, keepdims=True)",
        "logits -= logits.max(axis=1, keepdims=True)\nz = logits",
        "z, which must stay",
    ),
    ("backprop", "estimate", "return value", "x *= 0\nreturn value", "x, which must stay"),
    ("forward_gradient", "_one", "return value", "x *= 0\nreturn value", "x, which must stay"),
    (
        "gradient_module",
        "learn",
        "error = self.dh_hat - dh",
        "dh *= -1\nerror = self.dh_hat + dh",
        "dh",
    ),
    # The same at the numbers that come most, and another one at odd numbers.
    ("relu", "forward", "xp.maximum(x, 0)", "xp.where(x > 0, x, 0)", "NaN and infinite: y"),
    ("relu", "backward", "return array_module", "return dy * self.recall()\n", "NaN and infinite"),
    ("cross_entropy", "each", "logits.max(axis=1, keepdims=True)", "logits.max()", "800"),
    ("cross_entropy", "each", "logits.max(axis=1, keepdims=True)", "logits[:, :1]", "300 z"),
    ("max_pool2d", "forward", "values.argmax", "np.nan_to_num(values, nan=-9.0).argmax", "NaN: y"),
    ("batch_norm1d", "forward", "rows.var(axis=0)", "(rows**2).mean(0) - rows.mean(0) ** 2", "far"),
    ("batch_norm1d", "forward", "self._check_number(len(rows))", "pass", "one row"),
    # Settings that are passed over.
    ("batch_norm1d", "forward", "xp.sqrt(var + self.eps)", "xp.sqrt(var + 1e-5)", "eps=0.5"),
    ("batch_norm1d", "jvp", "x_hat, from_batch)", "x_hat, True)", "train=False"),
    ("backprop", "estimate", "model.forward(x)", "model.forward(x, train=False)", "batch normal"),
    ("forward_gradient", "_one_by_one", "model.forward(x)", "model.forward(x, False)", "batch"),
    ("sgd", "_update", "v - self.lr * grad", "v - 0.1 * grad", "W after step 2"),
    ("adam", "_update", "param -= self.lr", "param -= 0.1", "W after step 2"),
    # Rows and columns are exchanged.
    ("conv2d", "forward", "s, t = self.stride", "t, s = self.stride", "stride (2, 1)"),
    ("conv2d", "backward", "s, t = self.stride", "t, s = self.stride", "stride (2, 1)"),
    ("max_pool2d", "forward", "(s, t), (p, q)", "(t, s), (p, q)", "stride (1, 2)"),
    ("max_pool2d", "forward", "(s, t), (p, q)", "(s, t), (q, p)", "padding (0, 1)"),
]


@pytest.mark.parametrize(("name", "method", "right", "wrong", "words"), LOOK_RIGHT)
def test_a_wrong_answer_that_looks_right_is_told(name, method, right, wrong, words):
    part = BY_NAME[name]
    answers = dict(ANSWERS[name])
    assert right in answers[method]
    line = next(line for line in answers[method].splitlines() if right in line)
    indent = line[: len(line) - len(line.lstrip())]
    answers[method] = answers[method].replace(right, wrong.replace("\n", "\n" + indent))
    rows = verdicts(part, own(part, filled(part, blanked(folders.source(part), part), answers)))
    bad = [row["words"] for row in rows.values() if row["verdict"] != "right"]
    assert any(words in said for said in bad), bad


def test_numbers_beside_an_infinite_one_are_compared():
    right = np.array([1.0, np.inf, np.nan])
    compare({"y": right.copy()}, {"y": right})
    with pytest.raises(Different, match=r"y\[0\] is 2, it should be 1; 1 of 3 numbers"):
        compare({"y": np.array([2.0, np.inf, np.nan])}, {"y": right})


RELU = BY_NAME["relu"]


def grade(folder, change, **answers):
    """The rows of a ReLU whose file is changed by `change`, in a process of its own."""
    text = blanked(folders.source(RELU), RELU)
    text = filled(RELU, text, ANSWERS["relu"] | answers)
    folder.mkdir(exist_ok=True)
    path = folder / file_name(RELU)
    path.write_bytes(change(text))
    return folders.graded(folder, [RELU])[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        lambda text: (
            ("import threading, time\n" + text).replace("from __future__", "#").encode()
            + b"\nthreading.Thread(target=time.sleep, args=(100,)).start()\nprint(3)\n"
        ),
        lambda text: text.encode() + b"\nprint('3\\n' * 10**7)\n",
    ],
    ids=["a mark and Windows' line ends", "a thread that goes on", "much output"],
)
def test_what_has_nothing_to_do_with_the_answer(change, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "SECONDS", 30)
    rows = grade(tmp_path / "my lib é", change)
    assert {row["verdict"] for row in rows} == {"right"}, rows


@pytest.mark.parametrize(
    ("change", "answers", "words"),
    [
        (lambda text: text.replace("class ReLU", "class Relu").encode(), {}, "has no class ReLU"),
        (
            lambda text: text.encode() + b"\nclass ReLU:\n    pass\n",
            {},
            "04_relu.py: ReLU must begin with class ReLU(",
        ),
        (lambda text: b"", {}, "04_relu.py has no class ReLU"),
        (str.encode, {"forward": "print(1)\nimport sys\nsys.exit(3)"}, "SystemExit: 3 (04_relu.py"),
        (str.encode, {"forward": "print(1)\nimport os\nos._exit(4)"}, "with exit status 4"),
        (str.encode, {"forward": "return np.concatenate(x, 3.5)"}, "(04_relu.py, line "),
    ],
    ids=["renamed", "no layer", "empty", "exit", "_exit", "an error in NumPy"],
)
def test_what_is_wrong_with_a_file_is_said(change, answers, words, tmp_path):
    rows = grade(tmp_path / "mylib", change, **answers)
    assert rows[0]["verdict"].startswith("stopped")
    assert words in rows[0]["words"]


def test_a_file_that_is_no_utf8_is_no_reason_to_stop(tmp_path):
    folders.start(tmp_path)
    path = tmp_path / file_name(RELU)
    path.write_bytes(path.read_bytes() + b"# \xe9\n")
    assert folders.to_do(tmp_path, RELU)


@pytest.mark.skipif(os.name != "posix", reason="quotes of a POSIX shell")
def test_a_folder_with_a_space_is_advised_as_it_is_typed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["build", "start", "my lib"]) == 0
    advice = capsys.readouterr().out.rpartition("Then: minigrad ")[2]
    assert shlex.split(advice) == ["build", "check", "my lib"]
    assert cli.main(["build", "check", "no lib"]) == 2
    advice = capsys.readouterr().err.rpartition("make it with minigrad ")[2]
    assert shlex.split(advice) == ["build", "start", "no lib"]
