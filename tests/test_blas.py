"""OpenBLAS's threads sleep soon, also where NumPy was there first, unless the user says else."""

import sys
import threading

import pytest
from conftest import python

from minigrad import blas

pytestmark = pytest.mark.on_host
CODE = """
    import os
    os.environ.pop("OPENBLAS_THREAD_TIMEOUT", None)
    os.environ |= {given}
    import numpy as np
    a = np.arange(640_000, dtype="float64").reshape(800, 800)
    before = a @ a
    import minigrad
    from minigrad import blas
    libraries = list(blas._libraries())
    print([library.openblas_thread_timeout() for library in libraries])
    print(os.environ.get(blas.VARIABLE), np.array_equal(a @ a, before), blas.sleep_soon())
"""


def openblas_with_threads():
    """Whether NumPy here has the OpenBLAS that this is for."""
    found = list(blas._libraries()) if sys.platform.startswith("linux") else []
    return bool(found) and hasattr(found[0], "openblas_thread_timeout")


@pytest.mark.skipif(not openblas_with_threads(), reason="NumPy has another BLAS")
@pytest.mark.parametrize("given", [None, "26"])
def test_the_library_has_the_number_and_still_computes(given):
    code = CODE.format(given={blas.VARIABLE: given} if given else {})
    done = python(code, MINIGRAD_THREADS="2", OPENBLAS_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    number = given or str(blas.TURNS)
    assert done.stdout.split("\n")[:2] == [f"[{number}]", f"{number} True 0"]


class Library:
    """A library with these functions. It notes what is called."""

    def __init__(self, parallel, *names):
        self.called = []
        self.openblas_get_parallel = lambda: parallel
        for name in names:
            setattr(self, name, lambda name=name: self.called.append(name))


ALL = ("openblas_read_env", "openblas_thread_timeout", "blas_thread_shutdown_")


@pytest.mark.parametrize(
    ("library", "obeys"),
    [
        (Library(1, *ALL), True),
        (Library(2, *ALL), False),  # OpenMP's threads
        (Library(0, *ALL), False),  # no threads
        (Library(1, *ALL[:2]), False),
        (object(), False),
    ],
)
def test_it_starts_anew_only_what_has_threads_of_its_own(library, obeys, monkeypatch):
    monkeypatch.delenv(blas.VARIABLE, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(blas, "_libraries", lambda: iter([library]))
    assert blas.sleep_soon() == obeys
    if obeys:
        assert library.called == ["openblas_read_env", "blas_thread_shutdown_"]
    else:
        assert not getattr(library, "called", [])
    assert blas.sleep_soon() == 0  # the variable is set now


@pytest.mark.parametrize(("platform", "count"), [("darwin", 1), ("win32", 1), ("linux", 2)])
def test_elsewhere_and_beside_other_threads_nothing_happens(platform, count, monkeypatch):
    monkeypatch.delenv(blas.VARIABLE, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(threading, "active_count", lambda: count)
    monkeypatch.setattr(blas, "_libraries", lambda: pytest.fail("it looked for libraries"))
    assert blas.sleep_soon() == 0
    assert blas.VARIABLE not in blas.os.environ


def test_without_a_list_of_files_there_is_no_library(monkeypatch):
    monkeypatch.setattr(blas, "MAPS", "/no/such/file")
    assert list(blas._libraries()) == []
