"""The CUDA kernels where there is no GPU: as C++, on the CPU, against their plain forms."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import NO_GPU, ROOT, WARNINGS_ARE_ERRORS

pytestmark = [pytest.mark.on_host, pytest.mark.slow]
FILES = {  # and which of their tests
    "test_together": "cupy",
    "test_device_draws": "cupy",
    "test_device_labels": "cupy",
    "test_device_launches": "cupy",
    "test_device_rules": "cupy",
    "test_device_kernels": "cupy and not float64",
}


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ compiles the kernels")
@pytest.mark.skipif(NO_GPU is None, reason="there is a GPU, which runs them itself")
@pytest.mark.parametrize("name", FILES)
def test_kernels_compute_their_plain_forms(name, compiled_kernels):
    """The tests of the device "cupy", with a `cupy` whose kernels the CPU runs."""
    path = [str(ROOT / "tests" / "standin" / "emulated"), str(ROOT)]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path),
        "EMULATED_CUDA": str(compiled_kernels),
    }
    options = ["-q", "-p", "no:cacheprovider", "-k", FILES[name], f"tests/{name}.py"]
    done = subprocess.run(
        [sys.executable, *WARNINGS_ARE_ERRORS, "-m", "pytest", *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
