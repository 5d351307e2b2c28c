"""Every test runs on NumPy, on the strict stand-in for CuPy, and on CuPy where there is a GPU.

A test that has nothing to do with arrays on a device says so with `@on_host` and runs once.
"""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import minigrad as mg
from minigrad import mnist

os.environ.setdefault("MPLBACKEND", "Agg")
settings.register_profile("minigrad", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("minigrad")

ROOT = Path(__file__).resolve().parent.parent


def load_standin():
    """The module tests/standin/cupy, under the name that `import cupy` would find."""
    path = ROOT / "tests" / "standin" / "cupy" / "__init__.py"
    spec = importlib.util.spec_from_file_location("cupy", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STANDIN = load_standin()


def why_no_gpu():
    try:
        with mg.backend.use("cupy"):
            return None
    except mg.backend.BackendError as error:
        return str(error)


NO_GPU = why_no_gpu()
BACKENDS = ["numpy", "standin"]
if NO_GPU is None:
    BACKENDS.append(pytest.param("cupy", marks=pytest.mark.gpu))


def pytest_generate_tests(metafunc):
    if metafunc.definition.get_closest_marker("on_host") is None:
        metafunc.parametrize("device", BACKENDS, indirect=True)


@pytest.fixture(autouse=True)
def device(request, monkeypatch):
    """The backend that this test runs on, by name."""
    name = getattr(request, "param", "numpy")
    if name == "standin":
        monkeypatch.setitem(sys.modules, "cupy", STANDIN)
    with mg.backend.use("cupy" if name != "numpy" else "numpy"):
        yield name


@pytest.fixture
def xp(device):
    """The array module of the backend that this test runs on."""
    return mg.backend.current()


@pytest.fixture
def rng():
    return np.random.default_rng(20)


@pytest.fixture(scope="session")
def real_mnist():
    """The folder with MNIST's four files; skips where there is none."""
    folder = mnist.find()
    if folder is None:
        pytest.skip("MNIST is not on disk (MINIGRAD_DATA, data/ or the user cache)")
    return folder
