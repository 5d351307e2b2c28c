"""Captured steps without a GPU: g++ compiles the kernels, a list of launches is the graph."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import NO_GPU, ROOT, WARNINGS_ARE_ERRORS

pytestmark = [
    pytest.mark.on_host,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="g++ compiles the kernels"),
    pytest.mark.skipif(NO_GPU is None, reason="there is a GPU, which runs them itself"),
]
# A few of them: each launch takes a while here
CHOSEN = "adamw or reload or sequential or Synchronises or Uploads"


def test_a_graph_repeats_what_it_must(compiled_kernels):
    """The tests of a GPU, on an emulated one that repeats launches with the arguments they had."""
    path = [str(ROOT / "tests" / "standin" / "emulated"), str(ROOT)]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path),
        "EMULATED_CUDA": str(compiled_kernels),
    }
    options = ["-q", "-p", "no:cacheprovider", "-p", "graphs", "-k", CHOSEN]
    done = subprocess.run(
        [
            sys.executable,
            *WARNINGS_ARE_ERRORS,
            "-m",
            "pytest",
            *options,
            "tests/test_capture_gpu.py",
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
