"""Nonsense in variables and options: one sentence and exit status 2, never a traceback."""

import os
import random
import subprocess
import sys

import pytest
from conftest import ROOT, python

import minigrad as mg
from minigrad import cli, threads
from minigrad.data.known import mnist, places
from minigrad.lesson import start

pytestmark = pytest.mark.on_host

NO_LESSONS = ["³", "٣", "①", "", " 3", "03 ", "0", "00", "0x3", "3.0", "9" * 5000, "all", "\udce9"]


@pytest.mark.parametrize("which", NO_LESSONS, ids=range(len(NO_LESSONS)))
def test_what_names_no_lesson(which, capfd):
    for argv in (["run", which], ["exercise", which]):
        if argv != ["run", "all"]:
            assert cli.main(argv) == 2
            err = capfd.readouterr().err
            assert err.startswith(f"minigrad: no lesson {which!r:.50}; there are 01_gradients")
            assert err.count("\n") == 1


def test_what_names_a_lesson(monkeypatch):
    ran = []
    monkeypatch.setattr(cli, "_run_script", lambda path, options: ran.append(path.stem) or 0)
    for which in ("5", "05", "005", "first_network"):
        assert cli.main(["run", which]) == 0
    assert ran == ["05_first_network"] * 4


NO_NUMBERS = ["0", "00", "abc", "-1", "1.5", "10**9", "1e3", "³", "٣", "4,2", "+1"]
MANY = ["10000", "999999999999", "9" * 5000]


@pytest.mark.parametrize("value", [*NO_NUMBERS, *MANY])
def test_a_number_of_threads_that_is_none(value, monkeypatch, capfd):
    monkeypatch.setenv("MINIGRAD_THREADS", value)
    monkeypatch.setattr(threads, "_threads", None)
    for argv in (["list"], ["run", "01"], ["check", "a.py:B", "--input", "3"], ["exercise", "05"]):
        assert cli.main(argv) == 2
        err = capfd.readouterr().err
        assert err.startswith("minigrad: MINIGRAD_THREADS must be a number of threads, 1 or more")
        assert err.count("\n") == 1
        assert ("9999 at most" in err) == (value in MANY)


@pytest.mark.parametrize("value", ["", " ", "1", "01", " 2 "])
def test_a_number_of_threads(value):
    assert (
        python("import minigrad; minigrad.threads.threads()", MINIGRAD_THREADS=value).stderr == ""
    )


def test_the_command_says_in_one_line_what_a_script_raises():
    more = os.environ | {"MINIGRAD_THREADS": "0", "PYTHONPATH": str(ROOT)}
    message = "MINIGRAD_THREADS must be a number of threads, 1 or more; got '0'\n"
    command = [sys.executable, "-m", "minigrad", "list"]
    done = subprocess.run(command, env=more, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"minigrad: {message}")
    code = (
        "import sys; sys.argv = ['/bin/minigrad']\nfrom minigrad.cli import main\nsys.exit(main())"
    )
    done = python(code, MINIGRAD_THREADS="0")
    assert (done.returncode, done.stderr) == (2, f"minigrad: {message}")
    done = python("import minigrad", MINIGRAD_THREADS="0")
    assert done.returncode == 1
    assert done.stderr.endswith(f"ValueError: {message}")


def test_too_many_threads_are_refused():
    with pytest.raises(ValueError, match="n must be at most 9999, got 1000000000"):
        threads.set_threads(10**9)
    assert python("import minigrad", OMP_NUM_THREADS="9" * 30).returncode == 0


def test_a_backend_that_is_none(monkeypatch, capfd):
    monkeypatch.setenv("MINIGRAD_BACKEND", "tpu")
    monkeypatch.setattr(mg.backend, "_active", None)
    message = "MINIGRAD_BACKEND names an unknown backend 'tpu': choose one of numpy, cupy, auto"
    assert cli.main(["run", "05"]) == 2
    assert capfd.readouterr().err == f"minigrad: {message}\n"
    with pytest.raises(ValueError, match=f"^{message}$"):
        mg.Linear(2, 2)
    with pytest.raises(SystemExit) as caught:
        start("05_first_network", "", [])
    assert caught.value.code == 2
    assert capfd.readouterr().err == f"minigrad run 05: error: {message}\n"
    ran = []
    monkeypatch.setattr(cli, "_run_script", lambda path, options: ran.append(path) or 0)
    assert cli.main(["run", "05", "--backend", "numpy"]) == 0
    assert ran


def test_data_that_are_a_file(monkeypatch, capfd, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "file"))
    message = f"minigrad: MINIGRAD_DATA names {tmp_path / 'file'}, a file: let it name the folder"
    for argv in (["run", "05"], ["data", "mnist"]):
        assert cli.main(argv) == 2
        assert capfd.readouterr().err.startswith(message)
    for value in ("x" * 5000, str(tmp_path / "file" / "below"), "/proc/1/root/none"):
        monkeypatch.setenv("MINIGRAD_DATA", value)
        assert mnist.find(value) is None
        mnist.folders()
        assert isinstance(mnist.why_none(), str)


RANGES = [
    "0,inf",
    "-inf,0",
    "nan,1",
    "0,nan",
    "1,0",
    "1,1",
    "0,1e400",
    "",
    ",",
    "0",
    "0,1,2",
    "a,b",
]
CHECK = {
    "--range": [*RANGES, "-1e308,1e308"],
    "--input": ["", ",", "0", "-1,3", "4x3", "1e3,3", "9" * 30, "9" * 5000, "1" + ",1" * 99, "nan"],
    "--seed": ["-1", "1e5", "x", "", "9" * 5000],
    "--rtol": ["0", "1", "-1", "nan", "inf", "x", ""],
    "--time-limit": ["0", "-1", "nan", "inf", "1e300", "x", ""],
    "--backend": ["tpu", ""],
}


@pytest.mark.parametrize(("option", "value"), [(o, v) for o, vs in CHECK.items() for v in vs])
def test_check_refuses_nonsense_at_once(option, value, capfd, monkeypatch):
    monkeypatch.setattr("minigrad.gradcheck.command._verdict", lambda a: pytest.fail("it ran"))
    try:
        status = cli.main(["check", "a.py:B", "--input", "4,3", f"{option}={value}"])
    except SystemExit as error:  # of argparse
        status = error.code
    assert status == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert option in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["x" * 400, "\udce9", "folder", ""])
def test_check_of_a_file_that_is_none(name, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.py").mkdir()
    assert cli.main(["check", f"{name}.py:B", "--input", "4,3"]) == 2
    err = capfd.readouterr().err
    assert err.startswith("minigrad check: there is no file")
    assert err.count("\n") == 1


ODD = [
    *("", " ", "0", "-1", "1.5", "nan", "inf", "1e400", "³", "٣", "all", "03", "3", "\0", "\udce9"),
    *("9" * 5000, "x" * 5000, "4,3", "a.py:B", "mnist", "digits", "--", "-", "---", "=", "/", ".."),
    *("/dev/full", "/proc/none", "file", "file/below", "None", "[]", "*", "-h", "--help", "@file"),
]
OPTIONS = {
    "list": [],
    "run": ["--quick", "--out", "--seed", "--epochs", "--data", "--backend", "--full", "--show"],
    "exercise": ["--solution"],
    "check": [*CHECK, "--classes", "--eval", "--no-jvp", "--zeros"],
    "data": ["--root"],
    "nonsense": ["--nonsense"],
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder with one file, no network, and no scripts that run."""
    (tmp_path / "file").write_text("--epochs")
    (tmp_path / "a.py").write_text("import minigrad as mg\ndef B(): return mg.Linear(3, 2)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/",))
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setattr(cli, "_run_script", lambda path, options: 0)
    verdict = {"report": "all ok", "right": True}
    monkeypatch.setattr("minigrad.gradcheck.command._verdict", lambda arguments: verdict)
    return tmp_path


def odd_arguments(number, options):
    """A reproducible list of up to six options and odd values."""
    chance = random.Random(number)
    argv = []
    for _ in range(chance.randrange(7)):
        option = chance.choice([*options, None, None])
        value = chance.choice([*ODD, None])
        if option and value is not None and chance.random() < 0.3:
            argv.append(f"{option}={value}")
        else:
            argv += [word for word in (option, value) if word is not None]
    return argv


@pytest.mark.parametrize("name", OPTIONS)
def test_no_arguments_of_the_command_give_a_traceback(name, place, capfd):
    for number in range(100):
        argv = [name, *odd_arguments(number, OPTIONS[name])]
        try:
            status = cli.main(argv)
        except SystemExit as error:
            status = error.code
        out, err = capfd.readouterr()
        assert status in (0, 1, 2), argv
        assert "Traceback" not in err, argv
        assert status != 2 or err, argv


def test_no_arguments_of_a_lesson_give_a_traceback(place, capfd, monkeypatch):
    options = OPTIONS["run"]
    hook = sys.excepthook
    monkeypatch.setattr(sys, "excepthook", hook)
    for number in range(300):
        argv = odd_arguments(number, options)
        with mg.backend.use("numpy"):
            try:
                lesson = start("05_first_network", "what it is", argv)
            except SystemExit as error:
                status = error.code
            else:
                status = 0
                assert lesson.out.is_dir(), argv
        _, err = capfd.readouterr()
        assert status in (0, 2), argv
        assert "Traceback" not in err, argv
        assert status != 2 or err, argv
