"""A training that is killed (SIGKILL) again and again, and resumed, ends as the unbroken one."""

import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pytest
from conftest import ROOT
from trainings import Training

pytestmark = [pytest.mark.on_host, pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")]
EPOCHS = 100  # 400 steps
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    "MINIGRAD_THREADS": "1",
}


def start(rule, path, *more):
    script = str(ROOT / "tests" / "killed_training.py")
    return subprocess.Popen(
        [sys.executable, script, rule, str(path), str(EPOCHS), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        text=True,
    )


def numbers(text):
    """The numbers of the steps in what a process has printed. The last line may be cut off."""
    return [int(step) for step in re.findall(r"^step (\d+)\n", text, re.MULTILINE)]


RULES = ["Backprop", "WellTempered", "WeightPerturbation", "SyntheticGradients half"]


@pytest.mark.parametrize("rule", RULES)
def test_killed_five_times_at_random_moments(rule, tmp_path, monkeypatch):
    """With dropout, batch norm, Adam and a schedule: 20 kills in all, the last digits equal."""
    monkeypatch.setenv("MINIGRAD_THREADS", "1")
    expected = Training(rule, "Adam", "ExponentialLR steps").fit(epochs=EPOCHS).digest()
    path = tmp_path / "run.npz"
    rng = np.random.default_rng(RULES.index(rule))
    seen = []
    for _ in range(5):
        process = start(rule, path)
        steps = rng.integers(1, 70)  # then killed, wherever it is
        for line in process.stdout:
            seen += numbers(line)
            steps -= len(numbers(line))
            if steps == 0:
                break
        time.sleep(rng.uniform(0, 0.02))  # perhaps while a file is written
        process.send_signal(signal.SIGKILL)
        seen += numbers(process.stdout.read())  # up to the kill: these may be in the checkpoint
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    process = start(rule, path)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert out.splitlines()[-1] == f"end {expected}"
    seen += numbers(out)
    assert set(seen) == set(range(1, 4 * EPOCHS + 1))
    backwards = sum(b <= a for a, b in pairwise(seen))
    assert backwards <= 5
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"], "nothing is left behind"
