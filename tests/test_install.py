"""Every way to install it: the lessons, the exercises, the solutions and the digits come along."""

import configparser
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from minigrad import cli, data, printing, resources
from minigrad.data.known import mnist, places

pytestmark = pytest.mark.on_host
slow = pytest.mark.slow  # builds and installs
packed = pytest.mark.xdist_group("install")  # one process builds, for all tests here

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
WHOLE = {  # folder of the repository: what must be installed of it
    "lessons": [path.name for path in (ROOT / "lessons").glob("*.py")],
    "lessons/cases": [path.name for path in (ROOT / "lessons/cases").glob("*.py")],
    "lessons/projects": [path.name for path in (ROOT / "lessons/projects").glob("*.py")],
    "lessons/exercises": [path.name for path in (ROOT / "lessons/exercises").glob("*.py")],
    "lessons/solutions": [path.name for path in (ROOT / "lessons/solutions").glob("*.py")],
    "data": ["digits.npz"],
}


def done(*command, cwd=None, status=0, **environment):
    """What a command printed; it must end with this status."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MINIGRAD"))}
    ran = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=inherited | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=300,
        check=False,
    )
    assert ran.returncode == status, ran.stdout
    return ran.stdout


def pip(python, *arguments, **options):
    """Run pip without a network: everything that minigrad needs is here already."""
    return done(python, "-m", "pip", *arguments, **options)


def test_setup_names_every_folder_of_the_package():
    """`packages` is a list, since lessons/ and data/ are in it: a new folder must be added."""
    listed = SETUP["options"]["packages"].split()
    folders = {path.parent for path in (ROOT / "minigrad").rglob("__init__.py")}
    inside = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    beside = {"minigrad._" + name.replace("/", ".") for name in WHOLE}
    assert sorted(listed) == sorted(inside | beside)
    places = dict(line.split(" = ") for line in SETUP["options"]["package_dir"].split("\n")[1:])
    assert places == {"minigrad._" + name.replace("/", "."): name for name in WHOLE}


def test_the_package_says_that_it_has_types():
    assert (ROOT / "minigrad" / "py.typed").is_file()
    assert "py.typed" in SETUP["options.package_data"]["minigrad"]


# ------------------------------------------------------------------ built once


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """A copy of the repository, as somebody clones it: building leaves the original as it is."""
    copy = tmp_path_factory.mktemp("source") / "minigrad"
    copy.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    unwanted = shutil.ignore_patterns("__pycache__", "*-ubyte*", "results")
    for name in ("minigrad", "lessons", "data"):
        shutil.copytree(ROOT / name, copy / name, ignore=unwanted)
    return copy


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Makes a virtual environment that sees NumPy and all, but no minigrad."""

    def make(name):
        home = tmp_path_factory.mktemp(name)
        venv.create(home, with_pip=False, symlinks=os.name != "nt")
        python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
        site = Path(
            done(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")[:-1]
        )
        here = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        # as a folder alone, so that an editable minigrad, a .pth file there, is not read
        (site / "here.pth").write_text("\n".join(dict.fromkeys(here)))
        return python

    return make


@pytest.fixture(scope="session")
def archives(source, tmp_path_factory):
    """(wheel, sdist), built once."""
    pytest.importorskip("setuptools", "68")
    out = tmp_path_factory.mktemp("dist")
    build = "import sys, setuptools.build_meta as b; print(b.build_{}(sys.argv[1]))"
    for kind in ("sdist", "wheel"):
        done(sys.executable, "-c", build.format(kind), out, cwd=source)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def names_in(archive):
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            return file.namelist()
    with tarfile.open(archive) as file:
        return [name.partition("/")[2] for name in file.getnames()]


@slow
@packed
def test_both_archives_hold_everything(archives):
    wheel, sdist = map(names_in, archives)
    files = [*(ROOT / "minigrad").rglob("*.py"), *(ROOT / "minigrad/live/page").rglob("*.*")]
    package = [path.relative_to(ROOT).as_posix() for path in files]
    assert {*package, "minigrad/py.typed"} <= {*wheel}
    assert {*package, "minigrad/py.typed", "setup.cfg", "README.md"} <= {*sdist}
    for folder, files in WHOLE.items():
        assert {f"minigrad/_{folder}/{name}" for name in files} <= {*wheel}
        assert {f"{folder}/{name}" for name in files} <= {*sdist}
    assert not [name for name in (*wheel, *sdist) if "ubyte" in name or "__pycache__" in name]


# ------------------------------------------------------------------ each way


def installed_wheel(make, source, archives, tmp_path):
    python = make("wheel")
    pip(sys.executable, *TO(python), "--no-index", archives[0])
    return [python], {}


def installed_sdist(make, source, archives, tmp_path):
    python = make("sdist")
    pip(sys.executable, *TO(python), "--no-build-isolation", archives[1])
    return [python], {}


def installed_editable(make, source, archives, tmp_path):
    python = make("editable")
    pip(sys.executable, *TO(python), "--no-build-isolation", "-e", source)
    return [python], {}


def installed_target(make, source, archives, tmp_path):
    folder = tmp_path / "target"
    pip(sys.executable, "install", "-q", "--no-deps", "--target", folder, archives[0])
    return [make("target")], {"PYTHONPATH": str(folder)}


def installed_read_only(make, source, archives, tmp_path):
    python = make("readonly")
    pip(sys.executable, *TO(python), "--no-compile", archives[0])
    for path in [python.parent.parent, *python.parent.parent.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444)
    return [python], {}


def not_installed(make, source, archives, tmp_path):
    """A clone, and its folder in PYTHONPATH."""
    return [make("clone")], {"PYTHONPATH": str(source)}


def TO(python):
    """Install into another interpreter's environment."""
    return ["--python", str(python), "install", "-q", "--no-deps"]


WAYS = [
    installed_wheel,
    installed_sdist,
    installed_editable,
    installed_target,
    installed_read_only,
    not_installed,
]


@slow
@packed
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_everything_runs_however_it_was_installed(way, environment, source, archives, tmp_path):
    python, variables = way(environment, source, archives, tmp_path)
    free = tmp_path / "free"
    free.mkdir()

    def run(*arguments, status=0):
        return done(*python, *arguments, cwd=free, status=status, **variables)

    where = run("-c", "import minigrad; print(minigrad.__file__)")
    assert str(ROOT / "minigrad") not in where
    assert "09 Synthetic gradients" in run("-m", "minigrad")
    out = run("-m", "minigrad", "run", "01", "--quick")
    assert "14 of 14 expectations met" in out
    assert (free / "results" / "01_gradients_by_hand" / "results.json").is_file()
    out = run("-m", "minigrad", "exercise", "01")
    assert "my_01.py" in out
    assert "0 of 3 exercises right" in run("my_01.py", status=1)
    run("-m", "minigrad", "exercise", "01", "--solution")
    assert "3 of 3 exercises right" in run("solution_01.py")
    code = "import minigrad as mg; print(len(mg.data.load('digits')[0]))"
    assert run("-c", code).strip() == "1437"
    script = Path(python[0]).with_name("minigrad")
    if way in (installed_wheel, installed_sdist, installed_editable):
        assert "minigrad " in done(script, "--version")


@slow
@packed
def test_an_installed_copy_does_not_depend_on_the_folder_it_was_built_in(
    environment, archives, source, tmp_path
):
    (python,), _ = installed_wheel(environment, source, archives, tmp_path)
    code = (
        "from minigrad import resources\n"
        f"for folder in {list(WHOLE)}:\n"
        "    print(*[path.name for path in resources.files(folder)])"
    )
    lines = done(python, "-I", "-c", code).splitlines()
    for line, names in zip(lines, WHOLE.values(), strict=True):
        assert set(names) <= {*line.split()}


# ------------------------------------------------------------------ poor surroundings

NOBODY = """
import pwd

def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = nobody
"""


def as_nobody(code, cwd, **variables):
    """Run code as a user with neither HOME nor an entry in the list of users."""
    kept = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    kept = {k: v for k, v in kept.items() if not k.startswith("MINIGRAD")}
    return subprocess.run(
        [sys.executable, "-c", NOBODY + code],
        cwd=cwd,
        env=kept | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(os.name != "posix", reason="a list of users is POSIX's")
@pytest.mark.parametrize("named", [False, True])
def test_data_are_loaded_without_a_home_folder(named, tmp_path):
    variables = {"MINIGRAD_DATA": str(tmp_path / "nothing here")} if named else {}
    code = "import minigrad as mg; print(mg.data.load('auto')[0].source)"
    ran = as_nobody(code, tmp_path, **variables)
    assert ran.returncode == 0, ran.stderr
    assert "embedded digits" in ran.stdout


@pytest.mark.skipif(os.name != "posix", reason="a list of users is POSIX's")
def test_a_download_without_a_home_folder_asks_for_a_folder(tmp_path):
    code = "from minigrad import cli; raise SystemExit(cli.main(['data', 'mnist']))"
    ran = as_nobody(code, tmp_path)
    assert ran.returncode == 2
    assert "no home folder" in ran.stderr
    assert "--root FOLDER" in ran.stderr


def test_a_lesson_runs_without_a_home_folder_and_with_a_cache_that_cannot_be_written(tmp_path):
    """Matplotlib then keeps its cache in a temporary folder."""
    (tmp_path / "a file").write_text("")
    script = str(ROOT / "lessons" / "03_gradient_descent.py")
    code = f"""
import runpy, sys
sys.argv = ["02", "--quick", "--out", "out"]
runpy.run_path({script!r}, run_name="__main__")
"""
    ran = as_nobody(code, tmp_path, MPLCONFIGDIR=str(tmp_path / "a file" / "below"))
    assert ran.returncode == 0, ran.stderr
    assert "expectations met" in ran.stdout


ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "the locale C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def printed(encoding, *command, cwd, status=0):
    """What a command writes, as bytes, to an output of this encoding."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MINIGRAD", "PYTHONIO"))}
    ran = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env=kept | {"PYTHONPATH": str(ROOT)} | ENCODINGS[encoding],
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == status, ran.stderr.decode(errors="replace")
    return ran.stdout


SCRIPT = """
import sys, runpy
import numpy as np
import minigrad as mg
from minigrad import cli

class η(mg.ReLU):
    pass

print("σ ≤ 1")
print(mg.gradcheck.check(η(dtype="float64"), np.eye(3) + 0.5))
cli.main([])
cli.main(["exercise", "05"])
for script in ("my_05.py", {lesson!r}):
    sys.argv = [script, "--quick", "--out", "out"]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        print("status", end.code)
"""


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_an_output_cannot_show_is_written_in_plain_letters(encoding, tmp_path):
    """A student's own prints, a report, the command, an exercise and a lesson.

    test_lessons.py runs every lesson with an output in ASCII, every solution with one in cp1252.
    """
    script = tmp_path / "script.py"
    lesson = str(ROOT / "lessons" / "01_gradients_by_hand.py")
    script.write_text(SCRIPT.format(lesson=lesson), encoding="utf-8")
    out = printed(encoding, script, cwd=tmp_path)
    for words in (b"sigma <= 1", b"all ok", b"my_05.py", b"status 1", b"<= 1e-09"):
        assert words in out
    assert b"14 of 14 expectations met" in out
    results = (tmp_path / "out" / "results.json").read_text(encoding="utf-8")
    assert "≤ 1e-09" in [e["bound"] for e in json.loads(results)["expectations"]]


def test_every_sign_of_the_sources_has_a_plain_form():
    for folder in ("minigrad", "lessons"):
        for path in (ROOT / folder).rglob("*.py"):
            for character in set(path.read_text(encoding="utf-8")):
                assert printing.plain(character).isascii()
                assert "?" not in printing.plain(character) or character == "?", character
    assert printing.plain("∂L/∂θ ≤ ½ ‖ŷ − y‖²") == "dL/dtheta <= 1/2 ||y - y||^2"
    assert printing.plain("犬") == "?"


def test_a_file_name_of_any_bytes_is_printed_in_the_locale_c(tmp_path):
    code = r"import minigrad; print(b'\xff'.decode('utf-8', 'surrogateescape') + '\u2264')"
    assert printed("the locale C", "-c", code, cwd=tmp_path) == b"\xff<=\n"


def test_a_stream_in_utf8_is_left_as_it_is(tmp_path):
    code = (
        "import sys; before = sys.stdout.errors; import minigrad; print(before, sys.stdout.errors)"
    )
    kept = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=kept, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "strict strict\n"


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path, monkeypatch, capsys):
    from minigrad.lesson import start

    blocked = tmp_path / "results"
    blocked.mkdir()

    def refuse(dir):
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # root may write everywhere
    with pytest.raises(SystemExit) as caught:
        start("03_gradient_descent", "", ["--out", str(blocked)])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert f"cannot write to the folder {blocked} (Permission denied)" in err
    assert "as in --out" in err


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_current_folder_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(AssertionError, match=r"(?s)cannot write to the folder.*--out"):
        done(sys.executable, ROOT / "lessons/01_gradients_by_hand.py", cwd=tmp_path)


class TestExercise:
    def test_it_is_copied_and_never_overwritten(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert cli.main(["exercise", "5"]) == 0
        original = resources.find("lessons/exercises", "05_first_network.py")
        copy = tmp_path / "my_05.py"
        assert copy.read_bytes() == original.read_bytes()
        copy.write_text("mine")
        assert cli.main(["exercise", "first_network"]) == 2
        assert "is here already" in capsys.readouterr().err
        assert copy.read_text() == "mine"
        assert cli.main(["exercise", "05", "--solution"]) == 0
        assert (tmp_path / "solution_05.py").is_file()
        assert "answers" in capsys.readouterr().out

    def test_an_unknown_lesson_is_refused(self, capsys):
        assert cli.main(["exercise", "all"]) == 2
        assert "no lesson 'all'; there are 01_" in capsys.readouterr().err

    def test_a_folder_that_cannot_be_written_is_an_error(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)

        def refuse(*arguments, **options):
            raise PermissionError(13, "Permission denied", "my_05.py")

        monkeypatch.setattr("builtins.open", refuse)
        assert cli.main(["exercise", "5"]) == 2
        err = capsys.readouterr().err
        assert "cannot write my_05.py (Permission denied): change to a folder" in err


def test_mnist_is_looked_for_where_the_user_says_first(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    monkeypatch.setattr(places, "cache_folder", lambda: None)
    assert mnist.folders() == [tmp_path, resources.folder("data")]
    assert "digits" in data.load("auto")[0].source
