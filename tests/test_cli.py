"""The command line: `minigrad`, `python -m minigrad`, and what it says when used wrongly."""

import subprocess
import sys

import pytest
from conftest import ROOT
from test_mnist import good, mirrors, put, tiny  # noqa: F401  (fixtures)

import minigrad
from minigrad import cli
from minigrad.data.known import mnist

pytestmark = pytest.mark.on_host


def run(capfd, *argv):
    """(exit status, standard output, standard error)."""
    status = cli.main(list(argv))
    return status, *capfd.readouterr()


LAYER = """
import minigrad as mg

class {name}(mg.Linear):
    def __init__(self, n_in=3, n_out=2):
        super().__init__(n_in, n_out, seed=0)

    def backward(self, dy):
        return {factor} * super().backward(dy)
"""


@pytest.fixture
def layer_file(tmp_path):
    path = tmp_path / "my_layer.py"
    path.write_text(
        LAYER.format(name="Right", factor=1)
        + LAYER.format(name="Wrong", factor=1.001)
        + "class Needs(mg.Linear):\n    pass\n"
        + "def make_net():\n    return mg.Sequential(Right(), mg.Tanh())\n"
        + "number = 3\n"
        + "class MyLoss(mg.CrossEntropyLoss):\n    pass\n"
        + "class MyBCE(mg.BCELoss):\n    pass\n"
        + "def normed():\n    return mg.Sequential(Right(), mg.BatchNorm1d(2))\n"
    )
    return path


@pytest.mark.parametrize(
    ("target", "shape"),
    [
        ("Right", "4,3"),
        ("Right(5, 2)", "4,5"),
        ("Needs(6, 2)", "3,6"),
        ("make_net", "4,3"),
        ("make_net()", "4,3"),
    ],
)
def test_check_passes_a_right_layer(capfd, layer_file, target, shape):
    status, out, err = run(capfd, "check", f"{layer_file}:{target}", "--input", shape)
    assert (status, err) == (0, "")
    assert out.strip().endswith("all ok")
    assert "<dy, y_dot>" in out


def test_check_fails_a_wrong_layer_and_says_where(capfd, layer_file):
    status, out, _ = run(capfd, "check", f"{layer_file}:Wrong", "--input", "4,3")
    assert status == 1
    assert "dx" in out
    assert "WRONG" in out
    assert "entries; at [" in out
    status, out, _ = run(capfd, "check", f"{layer_file}:Wrong", "--input", "4,3", "--rtol", "0.01")
    assert "<dy, y_dot>" in out
    assert status == 1  # the transpose test is not so easily appeased
    status, out, _ = run(
        capfd, "check", f"{layer_file}:Wrong", "--input", "4,3", "--rtol", "0.01", "--no-jvp"
    )
    assert status == 0


def test_check_takes_losses(capfd, layer_file):
    target = f"{layer_file}:MyLoss"
    assert run(capfd, "check", target, "--input", "4,3", "--classes")[0] == 0
    status, _, err = run(capfd, "check", target, "--input", "4,3")
    assert status == 2
    assert "labels of shape (4,)" in err
    assert "--classes gives integer labels" in err
    target = f"{layer_file}:MyBCE"
    assert run(capfd, "check", target, "--input", "4,3", "--range", "0.1,0.9")[0] == 0
    status, _, err = run(capfd, "check", target, "--input", "4,3")
    assert status == 2
    assert "--range 0.1,0.9 probabilities" in err


def test_check_knows_of_gradients_that_must_be_zero(capfd, layer_file):
    target = f"{layer_file}:normed"
    status, out, _ = run(capfd, "check", target, "--input", "4,3")
    assert status == 1
    assert "zeros=d0.b, if it must be" in out
    assert run(capfd, "check", target, "--input", "4,3", "--zeros", "d0.b")[0] == 0


def test_check_of_a_large_layer(capfd, layer_file):
    assert run(capfd, "check", f"{layer_file}:Right(500, 20)", "--input", "300,500")[0] == 0


def test_check_shows_the_students_own_line(capfd, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import minigrad as mg\n\nclass Mine(mg.ReLU):\n    def backward(self, dy):\n"
        "        return dy @ self.slopes\n"
    )
    status, _, err = run(capfd, "check", f"{path}:Mine", "--input", "4,3")
    assert status == 2
    assert "return dy @ self.slopes" in err
    assert "AttributeError: 'Mine' object has no attribute 'slopes'" in err
    path.write_text(
        "import minigrad as mg\n\nclass Mine(mg.ReLU):\n"
        "    def backward(self, dy):\n        dy * 2\n"
    )
    status, _, err = run(capfd, "check", f"{path}:Mine", "--input", "4,3")
    assert status == 2
    assert "Mine: backward returned None instead of an array" in err
    assert "minigrad/" not in err  # no line of the library's


def test_check_with_a_backend_that_cannot_run(capfd, layer_file, monkeypatch):
    monkeypatch.setattr(minigrad.backend, "_active", None)
    monkeypatch.setenv("MINIGRAD_BACKEND", "tpu")
    status, _, err = run(capfd, "check", f"{layer_file}:Right", "--input", "4,3")
    assert status == 2
    assert "unknown backend 'tpu'" in err


def test_check_of_a_layer_with_methods_still_missing(capfd, tmp_path):
    path = tmp_path / "half.py"
    path.write_text(
        "import minigrad as mg\n\nclass Half(mg.Layer):\n"
        "    def forward(self, x, train=True):\n        return 2 * x\n"
    )
    status, out, _ = run(capfd, "check", f"{path}:Half", "--input", "4,3")
    assert status == 1
    assert "Half has no backward(dy) yet" in out


@pytest.mark.parametrize(
    ("target", "shape", "message"),
    [
        ("my_layer.py", "4,3", "expected FILE:NAME, as in my_layer.py:MyLayer"),
        ("my_layer.py:", "4,3", "expected FILE:NAME"),
        ("none.py:MyLayer", "4,3", "there is no file none.py"),
        ("{}:Layer", "4,3", "has no 'Layer'; it defines Right, Wrong, Needs, make_net, MyLo"),
        ("{}:Needs", "4,3", 'give its arguments, as in "my_layer.py:Needs(3, 5)"'),
        ("{}:number", "4,3", "number could not be made"),
        ("{}:Right", "4x3", "--input takes a shape such as 4,3"),
        ("{}:Right", "0,3", "--input takes a shape"),
        ("{}:Right", "4,3 --seed -1", "--seed must be at least 0"),
        ("{}:Right", "4,3 --rtol nan", "rtol must lie between 0 and 1"),
        ("{}:Right", "4,3 --range 1,0", "--range takes two numbers"),
        ("{}:Right", "4,3 --zeros dQ", "zeros names ['dQ']"),
        ("{}:Right", "4,5", "Linear expected|Right expected x of shape"),
    ],
)
def test_check_says_what_is_wrong_with_the_request(capfd, layer_file, target, shape, message):
    status, out, err = run(capfd, "check", target.format(layer_file), "--input", *shape.split())
    assert (status, out) == (2, "")
    assert any(part in err for part in message.split("|"))
    assert err.startswith("minigrad check: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nonsense_that_is_not_there", "ModuleNotFoundError"),
        ("def f(:\n    pass", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(0)", "SystemExit"),
    ],
)
def test_check_of_a_file_that_does_not_import(capfd, tmp_path, text, message):
    path = tmp_path / "broken.py"
    path.write_text("x = 1\n" + text)
    status, _, err = run(capfd, "check", f"{path}:MyLayer", "--input", "4,3")
    assert status == 2
    assert f"{path} does not import" in err
    assert message in err
    assert "line 2" in err


def test_check_leaves_the_students_directory_importable(capfd, tmp_path):
    (tmp_path / "helper.py").write_text("slope = 2.0\n")
    path = tmp_path / "random.py"  # a name that the standard library has too
    path.write_text(
        "import minigrad as mg\nfrom helper import slope\n"
        "class Scale(mg.Layer):\n"
        "    def forward(self, x, train=True):\n        return slope * x\n"
        "    def backward(self, dy):\n        return slope * dy\n"
        "    def jvp(self, x_dot, params_dot=None):\n        return slope * x_dot\n"
    )
    assert run(capfd, "check", f"{path}:Scale", "--input", "4,3")[0] == 0
    import random

    assert random.random() < 1


def test_without_a_command_the_lessons_are_listed_with_their_times(capfd):
    status, out, _ = run(capfd)
    assert status == 0
    for lesson in cli.lessons():
        assert lesson.title in out
        assert lesson.time
        assert lesson.time in out
    assert run(capfd, "list")[1] == out


def test_lessons_run_by_number_name_or_all_at_once(capfd, monkeypatch):
    ran = []
    monkeypatch.setattr(cli, "_run_script", lambda path, options: ran.append((path, options)) or 0)
    for which in ("05", "5", "first_network", "05_first_network"):
        assert run(capfd, "run", which, "--quick", "--epochs", "3")[0] == 0
    assert {path.stem for path, _ in ran} == {"05_first_network"}
    assert ran[0][1] == ["--quick", "--epochs", "3"]
    ran.clear()
    status, out, _ = run(capfd, "run", "all", "--out", "here")
    assert status == 0
    assert [path.stem for path, _ in ran] == [lesson.path.stem for lesson in cli.lessons()]
    assert {options[-1] for _, options in ran} == {f"here/{path.stem}" for path, _ in ran}
    assert f"{len(ran)} of {len(ran)} lessons ran as expected" in out


def test_a_lesson_is_known_by_the_number_that_it_had(capfd, monkeypatch):
    ran = []
    monkeypatch.setattr(cli, "_run_script", lambda path, options: ran.append(path.stem) or 0)
    for old in ("03_first_network", "06_synthetic_gradients", "11_without_weight_transport"):
        status, _, err = run(capfd, "run", old)
        assert status == 0
        new = ran[-1]
        assert new[3:] == old[3:]
        assert err == f"minigrad: {old} is lesson {new[:2]} now\n"
    assert run(capfd, "run", "05_first_network")[2] == ""
    assert run(capfd, "run", "03_no_such")[0] == 2


def test_case_studies_are_listed_and_run_by_their_names(capfd, monkeypatch):
    ran = []
    monkeypatch.setattr(cli, "_run_script", lambda path, options: ran.append(path) or 0)
    cases = cli.lessons(cli.CASES)
    assert cases
    listed = run(capfd, "list")[1]
    for case in cases:
        assert case.title in listed
        assert run(capfd, "run", case.path.stem)[0] == 0
    assert ran == [case.path for case in cases]


def test_a_lesson_that_fails_fails_the_command(capfd, monkeypatch):
    monkeypatch.setattr(cli, "_run_script", lambda path, options: int(path.name.startswith("03")))
    status, out, _ = run(capfd, "run", "all")
    assert status == 1
    assert "FAILED" in out
    count = len(cli.lessons())
    assert f"{count - 1} of {count} lessons ran as expected" in out


def test_the_scripts_status_is_passed_on(tmp_path):
    for code, expected in (("raise SystemExit(3)", 3), ("pass", 0), ("1 / 0", 1)):
        script = tmp_path / "script.py"
        script.write_text(code)
        assert cli._run_script(script, []) == expected
    script.write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    assert cli._run_script(script, []) == 130


def test_unknown_lessons_commands_and_options(capfd):
    status, _, err = run(capfd, "run", "99")
    assert status == 2
    assert "no lesson '99'; there are 01_gradients_by_hand" in err
    for argv in (["fly"], ["list", "--fast"], ["check"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(argv)
        assert caught.value.code == 2
        capfd.readouterr()


@pytest.mark.parametrize("argv", [[], ["--quick"], ["--epochs", "1", "03"]])
def test_the_lesson_is_named_first(capfd, argv):
    status, _, err = run(capfd, "run", *argv)
    assert status == 2
    assert "name the lesson first, as in: minigrad run 05" in err


def test_an_unknown_lesson_option_is_refused(capfd):
    status, _, err = run(capfd, "run", "01", "--fast")
    assert status == 2
    assert "unrecognized arguments: --fast" in err


def test_data_downloads_and_says_where(capfd, tiny, mirrors, tmp_path):  # noqa: F811
    mirrors[0][0] = good(tiny)
    status, out, _ = run(capfd, "data", "mnist", "--root", str(tmp_path / "here"))
    assert status == 0
    assert f"MNIST, train: 6 images, checked, in {tmp_path / 'here'}" in out
    assert "MNIST, test: 4 images" in out


def test_data_that_are_there_already_are_not_fetched(capfd, tiny, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.setattr(mnist, "MIRRORS", ())
    folder = put(tmp_path / "here", tiny)
    monkeypatch.setenv("MINIGRAD_DATA", str(folder))
    status, out, _ = run(capfd, "data", "mnist")
    assert status == 0
    assert f"checked, in {folder}" in out


def test_data_without_a_network_or_with_damage(capfd, tiny, mirrors, tmp_path):  # noqa: F811
    status, _, err = run(capfd, "data", "mnist", "--root", str(tmp_path / "here"))
    assert status == 2
    assert "Without a network: put" in err
    folder = put(tmp_path / "damaged", tiny | {"t10k-labels-idx1-ubyte": b"\0"})
    status, _, err = run(capfd, "data", "mnist", "--root", str(folder))
    assert status == 2
    assert "too few for the header" in err
    status, _, err = run(capfd, "data", "cifar")
    assert status == 2
    assert "choose one of mnist, fashion-mnist, kmnist, cifar10; digits are built in" in err


@pytest.mark.parametrize("command", [["-m", "minigrad"]])
def test_python_m_minigrad_is_the_command(command):
    done = subprocess.run(
        [sys.executable, *command, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"minigrad {minigrad.__version__}"
    assert (ROOT / "minigrad" / "__main__.py").is_file()
