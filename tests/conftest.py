"""Every test runs on NumPy, on the strict stand-in for CuPy, and on CuPy where there is a GPU.

A test that has nothing to do with arrays on a device says so with `@on_host` and runs once.
"""

import importlib.util
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

import minigrad as mg
from minigrad import threads
from minigrad.data.known import mnist

os.environ.setdefault("MPLBACKEND", "Agg")
settings.register_profile("minigrad", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("minigrad")

ROOT = Path(__file__).resolve().parent.parent

# `python` with these options ends at a warning, as pytest does by setup.cfg. Matplotlib 3.10 calls
# pyparsing by names that pyparsing 3.3 deprecates; the option -W takes no regular expression.
OLD_NAMES = "enablePackrat leaveWhitespace oneOf parseString resetCache setName setParseAction"
OLD_ARGUMENTS = "endQuoteChar parseAll unquoteResults"
OTHERS = [f"'{name}' deprecated" for name in OLD_NAMES.split()]
OTHERS += [f"'{name}' argument is deprecated" for name in OLD_ARGUMENTS.split()]
CALLERS = ["matplotlib._mathtext", "matplotlib._fontconfig_pattern", "pyparsing.util"]
WARNINGS_ARE_ERRORS = ["-W", "error"]
for _message in OTHERS:
    for _module in CALLERS:
        WARNINGS_ARE_ERRORS += ["-W", f"ignore:{_message}:DeprecationWarning:{_module}"]


def python(code, **environment):
    """What a fresh process does, with these variables alone among the limits for threads."""
    inherited = {k: v for k, v in os.environ.items() if k not in threads.LIMITS}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


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


ALONE = {
    "test_asynchronous",
    "test_asynchronous_checkpoints",
    "test_parallel",
    "test_search",
    "test_search_faults",
    "test_threads",
}
# Each of these files drives one page, test after test.
PAGES = {
    "test_live_guide",
    "test_live_inside_page",
    "test_live_page",
    "test_live_record",
    "test_live_views",
    "test_report_browser",
}


def pytest_addoption(parser):
    words = "of each test function's cases only every N-th: each function runs, and time is short"
    parser.addoption("--sample", type=int, default=1, metavar="N", help=words)


def pytest_configure(config):
    if config.getoption("sample") > 1:
        config.pluginmanager.register(Sample(config.getoption("sample")))


class Sample:
    """--sample N. Of what -m and -k leave, the first case of each test function, and every N-th."""

    def __init__(self, every):
        self.every = every

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        seen, kept, left = Counter(), [], []
        for item in items:
            function = item.nodeid.partition("[")[0]
            (left if seen[function] % self.every else kept).append(item)
            seen[function] += 1
        config.hook.pytest_deselected(items=left)
        items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """With xdist, tests that count threads and processes, or interrupt them, run one by one.

    Those that share a lesson's quick run, or compiled kernels, are in one process, too. The longest
    test is the first: at the end one core would work on it, and the others wait.
    """
    for item in items:
        if item.path.stem in ALONE:
            item.add_marker(pytest.mark.xdist_group("threads and processes"))
        elif "compiled_kernels" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("compiled kernels"))
        elif "quick_lesson" in item.fixturenames:
            lesson = item.callspec.params["path"].stem
            item.add_marker(pytest.mark.xdist_group(f"lesson {lesson}"))
    items.sort(
        key=lambda item: getattr(item, "originalname", "") != "test_the_seeds_printed_losses"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With xdist, a process takes all cases of a test function, in the order of the files.

    xdist looks at all portions of work that it has handed out whenever a test is done. With a
    portion for each of twenty thousand cases, that took longer than many of the tests.
    """
    from xdist.scheduler import LoadGroupScheduling

    class ByFunction(LoadGroupScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            if file.rpartition("/")[2].removesuffix(".py") in PAGES:
                return file
            group = super()._split_scope(nodeid)
            return group.partition("[")[0] if group == nodeid else group

    config.option.loadscopereorder = False  # else the longest test, which is one case, comes last
    return ByFunction(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(autouse=True)
def device(request, monkeypatch):
    """The backend that this test runs on, by name."""
    name = getattr(request, "param", "numpy")
    if name == "standin":
        monkeypatch.setitem(sys.modules, "cupy", STANDIN)
    with mg.backend.use("cupy" if name != "numpy" else "numpy"):
        yield name


REAL_FSYNC = os.fsync


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk():
    """Thousands of small files are written: no test may lose power, and fsync takes milliseconds.

    What is no open file is still an error. Processes that a test starts do call the real one.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: os.fstat(descriptor) and None)
        yield


@pytest.fixture
def fsync(monkeypatch):
    """This test writes to the disk itself."""
    monkeypatch.setattr(os, "fsync", REAL_FSYNC)


@pytest.fixture
def xp(device):
    """The array module of the backend that this test runs on."""
    return mg.backend.current()


@pytest.fixture
def threads_as_before():
    """A test may set the number of threads."""
    yield
    threads.set_threads(None)


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


def run_lesson(path, *options, timeout=240, **environment):
    """What a lesson or a solution does in a process of its own, with warnings as errors."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MINIGRAD")}
    return subprocess.run(
        [sys.executable, *WARNINGS_ARE_ERRORS, str(path), *options],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
        env=inherited | environment,
        check=False,
    )


@pytest.fixture(scope="session")
def compiled_kernels(tmp_path_factory):
    """The folder for CUDA kernels that g++ has compiled: each of them once."""
    return tmp_path_factory.mktemp("kernels")


QUICKLY = ("--quick", "--data", "digits", "--out")


@pytest.fixture(scope="session")
def quick_lesson(tmp_path_factory):
    """quick_lesson(path): the quick run on the digits, its folder, its seconds. It is made once."""
    made = {}

    def quick(path):
        if path not in made:
            out = tmp_path_factory.mktemp(path.stem) / "out"
            started = time.monotonic()
            environment = {"MINIGRAD_THREADS": "1", "PYTHONPATH": str(ROOT)}
            environment["PYTHONIOENCODING"] = "ascii"  # it prints to a poor terminal, too
            done = run_lesson(path, *QUICKLY, str(out), **environment)
            made[path] = done, out, time.monotonic() - started
        return made[path]

    return quick


@pytest.fixture
def while_it_runs(monkeypatch):
    """while_it_runs(act, steps): act(processes) is called once all blocks have made these steps."""
    from minigrad.asynchronous.place import connected

    places = []

    def recording(*arguments):
        places[:] = connected(*arguments)
        return list(places)

    monkeypatch.setattr("minigrad.asynchronous.team.connected", recording)

    def start(act, steps):
        def watch():
            end = time.monotonic() + 60
            while time.monotonic() < end:
                if places and min(places[0].progress) >= steps:
                    found = multiprocessing.active_children()
                    found = [p for p in found if p.name.startswith("minigrad")]
                    act(sorted(found, key=lambda process: process.name))
                    return
                time.sleep(0.01)

        thread = threading.Thread(target=watch)
        thread.start()
        return thread

    return start
