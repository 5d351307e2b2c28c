"""Threads respect limits, lose no error, and give BLAS's back."""

import os
import threading
import time

import numpy as np
import pytest
from conftest import python

import minigrad as mg
from minigrad import threads

pytestmark = [pytest.mark.on_host, pytest.mark.usefixtures("threads_as_before")]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"MINIGRAD_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"OPENBLAS_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "many", "MKL_NUM_THREADS": "2"}, 2),
        ({}, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
    ],
)
def test_limits_are_respected(environment, expected):
    found = python("from minigrad import threads; print(threads.threads())", **environment)
    assert found.stdout.strip() == str(expected), found.stderr


def test_our_own_setting_limits_blas_too():
    code = """
        from threadpoolctl import threadpool_info
        import minigrad
        print(*[pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"])
    """
    done = python(code, MINIGRAD_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"1"}
    wrong = python("import minigrad", MINIGRAD_THREADS="two")
    assert "MINIGRAD_THREADS must be a number of threads, 1 or more; got 'two'" in wrong.stderr


@pytest.mark.parametrize("n", [0, -1, 1.5, "2"])
def test_bad_numbers_of_threads_are_refused(n):
    with pytest.raises((TypeError, ValueError), match="n must be"):
        threads.set_threads(n)


def test_the_setting_is_not_changed_in_mid_pass():
    with (
        threads.one_blas_thread(),
        pytest.raises(RuntimeError, match="a pass over a network is running"),
    ):
        threads.set_threads(2)


def test_each_uses_the_threads_and_keeps_the_order():
    threads.set_threads(3)
    meet = threading.Barrier(3, timeout=30)  # breaks, and fails, where there are fewer threads

    def work(i):
        meet.wait()
        return i, threading.get_ident()

    results = threads.each(work, [10, 20, 30])
    assert [i for i, _ in results] == [10, 20, 30]
    assert len({thread for _, thread in results}) == 3


def test_work_within_work_stays_on_its_thread():
    threads.set_threads(2)

    def outer(_):
        inner = threads.each(lambda _: threading.get_ident(), range(4))
        return threading.get_ident(), set(inner)

    assert all(inner == {own} for own, inner in threads.each(outer, range(4)))


@pytest.mark.parametrize("bad", [0, 7])
def test_errors_come_through_and_blas_gets_its_threads_back(bad):
    threads.set_threads(2)
    before = [blas.num_threads for blas in threads._blas()]
    during = []

    def work(i):
        during.extend(blas.num_threads for blas in threads._blas())
        if i == bad:
            raise ArithmeticError(f"item {i}")

    with pytest.raises(ArithmeticError, match=f"item {bad}"):
        threads.each(work, range(8))
    assert set(during) <= {1}
    assert len(during) >= len(threads._blas())
    assert [blas.num_threads for blas in threads._blas()] == before


@pytest.mark.parametrize("number", [1, 2])
def test_what_was_begun_after_an_error_is_nothing(number):
    """All stop at the first error, or Ctrl-C: what nobody had begun stays undone."""
    threads.set_threads(number)
    for error in (ArithmeticError, KeyboardInterrupt):
        done = []

        def work(i, error=error, done=done):
            if i == 1:
                raise error
            time.sleep(0.002)
            done.append(i)

        with pytest.raises(error):
            threads.each(work, range(50))
        time.sleep(0.01)
        assert len(done) < 5
        assert threads.each(lambda i: i, [1, 2, 3]) == [1, 2, 3]


def test_numpys_error_settings_hold_on_every_thread():
    threads.set_threads(3)
    meet = threading.Barrier(3, timeout=30)

    def work(_):
        meet.wait()
        return np.geterr()["over"]

    with np.errstate(over="raise"):
        assert threads.each(work, range(3)) == ["raise"] * 3


def test_a_diverging_run_ends_cleanly_on_several_threads():
    threads.set_threads(2)
    rng = np.random.default_rng(0)
    x, y = rng.random((96, 1, 28, 28), dtype="float32"), rng.integers(0, 10, 96)
    model = mg.models.lenet(seed=0)
    data, rule = mg.data.Dataset(x, y), mg.rules.Backprop()
    optimizer = mg.SGD(model, 1e16)
    history = mg.fit(
        model, mg.CrossEntropyLoss(), rule, optimizer, data, epochs=3, batch_size=96, progress=False
    )
    assert history.stopped.startswith("diverged")


def test_a_pass_limits_blas_and_gives_its_threads_back():
    threads.set_threads(2)
    before = [blas.num_threads for blas in threads._blas()]
    seen = []

    class Look(mg.Layer):
        def forward(self, x, train=True):
            seen.extend(blas.num_threads for blas in threads._blas())
            raise ArithmeticError("in mid-pass")

    with pytest.raises(ArithmeticError):
        mg.Sequential(mg.MaxPool2d(1), Look()).forward(np.zeros((1, 1, 2, 2)))
    assert set(seen) <= {1}
    assert [blas.num_threads for blas in threads._blas()] == before
    with pytest.raises(ArithmeticError):
        mg.Sequential(mg.ReLU(), Look()).forward(np.zeros((1, 2)))
    assert seen[len(before) :] == before  # without layers for images, BLAS is left alone


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_threads_of_its_own():
    code = """
        import os, signal, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads about
        from minigrad import threads
        threads.set_threads(2)
        print(threads.each(lambda i: i * i, range(4)), flush=True)
        child = os.fork()
        signal.alarm(30)
        if child == 0:
            print(threads.each(lambda i: i + i, range(4)), flush=True)
            os._exit(0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    run = python(code)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split("\n")[:2] == ["[0, 1, 4, 9]", "[0, 2, 4, 6]"]
