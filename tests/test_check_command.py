"""`minigrad check` cannot be silenced: a verdict is the checker's, or there is none."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from conftest import ROOT

from minigrad.cli import main

pytestmark = pytest.mark.on_host

RIGHT = """
import minigrad as mg
class Mine(mg.Layer):
    def forward(self, x, train=True):
        {forward}
        return 2.0 * x
    def backward(self, dy):
        {backward}
        return {factor} * dy
    def jvp(self, x_dot, params_dot=None):
        return 2.0 * x_dot
"""


def written(tmp_path, forward="pass", backward="pass", factor=2.0, before="", after=""):
    path = tmp_path / "mine.py"
    body = RIGHT.format(forward=forward, backward=backward, factor=factor)
    path.write_text(textwrap.dedent(before) + body + textwrap.dedent(after))
    return path


def run(capfd, path, *options):
    status = main(["check", f"{path}:Mine", "--input", "4,3", *options])
    return status, *capfd.readouterr()


WAYS_OUT = {
    "sys.exit in forward": {"forward": "import sys; sys.exit(0)"},
    "sys.exit in backward": {"backward": "raise SystemExit(0)"},
    "os._exit in forward": {"forward": "import os; os._exit(0)"},
    "os._exit in the file": {"before": "import os; os._exit(0)\n"},
    "sys.exit in the file": {"before": "raise SystemExit(0)\n"},
    "sys.exit in __init__": {"after": "def Mine(): raise SystemExit(0)\n"},
    "an exception of no kind": {"forward": "raise BaseException('no')"},
    "KeyboardInterrupt": {"backward": "raise KeyboardInterrupt"},
    "all files closed": {"forward": "import os; os.closerange(0, 20)"},
    "a signal": {"forward": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"},
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_way_out_counts_as_checked(capfd, tmp_path, way):
    status, out, err = run(capfd, written(tmp_path, factor=3.0, **WAYS_OUT[way]))
    assert status == 2
    assert "ok" not in out
    assert "minigrad check: " in err


HIDING = {
    "stdout closed": "import sys; sys.stdout.close()\n",
    "stdout replaced": "import io, sys; sys.stdout = sys.stderr = io.StringIO()\n",
    "atexit": "import atexit, os; atexit.register(os._exit, 0)\n",
    "excepthook": "import sys, os; sys.excepthook = lambda *a: os._exit(0)\n",
    "print replaced": "import builtins; builtins.print = lambda *a, **k: None\n",
    "it prints": "print('all ok')\n",
    "it warns": "import warnings; warnings.warn('all ok')\n",
    "argv": "import sys; sys.argv[:] = []\n",
}


@pytest.mark.parametrize("way", HIDING)
@pytest.mark.parametrize("factor", [2.0, 3.0])
def test_what_the_file_does_does_not_change_the_verdict(capfd, tmp_path, way, factor):
    status, out, _ = run(capfd, written(tmp_path, before=HIDING[way], factor=factor))
    assert status == (0 if factor == 2 else 1)
    assert out.startswith("Mine: by hand against central differences")
    assert ("WRONG" in out) == (factor == 3)


FORGERIES = {
    "check": "import minigrad.gradcheck.check as c; c.check = lambda *a, **k: None\n",
    "the package's check": "import minigrad as mg; mg.gradcheck.check = lambda *a, **k: 1\n",
    "Report": "import minigrad as mg; mg.gradcheck.Report.__bool__ = lambda self: True\n",
    "a row": "import minigrad.gradcheck.compared as c; c.row_of.__code__ = c.decisions.__code__\n",
    "a layer": "import minigrad as mg; mg.Linear.backward = lambda self, dy: dy\n",
}


@pytest.mark.parametrize("way", FORGERIES)
def test_a_file_that_replaces_the_library_is_not_checked(capfd, tmp_path, way):
    status, out, err = run(capfd, written(tmp_path, before=FORGERIES[way], factor=3.0))
    assert status in (1, 2)
    assert "all ok" not in out
    if status == 2:
        assert "replaces parts of the library" in err or "could not be checked" in err


def test_an_endless_loop_ends(capfd, tmp_path):
    path = written(tmp_path, forward="while True: pass")
    status, out, err = run(capfd, path, "--time-limit", "4")
    assert (status, out) == (2, "")
    assert "no verdict after 4 s" in err
    assert "endless loop" in err
    assert run(capfd, path, "--time-limit", "0")[0] == 2


def test_an_import_within_forward_finds_the_students_files(capfd, tmp_path):
    (tmp_path / "my_helper.py").write_text("slope = 1.0\n")
    path = written(tmp_path, forward="import my_helper; x = x * my_helper.slope")
    assert run(capfd, path)[0] == 0


def command(path, *flags, **options):
    return subprocess.Popen(
        [sys.executable, *flags, "-m", "minigrad", "check", f"{path}:Mine", "--input", "4,3"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.parametrize("factor", [2.0, 3.0])
def test_without_asserts_the_verdict_is_the_same(tmp_path, factor):
    done = command(written(tmp_path, factor=factor), "-O")
    out, err = done.communicate(timeout=60)
    assert done.returncode == (0 if factor == 2 else 1), err
    assert ("WRONG" in out) == (factor == 3)


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal on POSIX")
def test_ctrl_c_ends_it(tmp_path):
    marker = tmp_path / "started"
    loop = f"open({str(marker)!r}, 'w').close(); import time; time.sleep(100)"
    process = command(written(tmp_path, forward=loop))
    deadline = time.monotonic() + 60
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted, not checked" in err
