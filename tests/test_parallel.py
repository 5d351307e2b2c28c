"""Threads: they respect limits, change no result, lose no error; parts cover what they cut."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import parallel
from minigrad.backend import to_device

pytestmark = pytest.mark.on_host


@pytest.fixture(autouse=True)
def as_before():
    yield
    parallel.set_threads(None)


def python(code, **environment):
    """What a fresh process prints, with these variables alone among the limits."""
    inherited = {k: v for k, v in os.environ.items() if k not in parallel.LIMITS}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


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
    found = python("from minigrad import parallel; print(parallel.threads())", **environment)
    assert found.stdout.strip() == str(expected), found.stderr


def test_our_own_setting_limits_blas_too():
    code = """
        from threadpoolctl import threadpool_info
        import minigrad
        print(*[pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"])
    """
    assert set(python(code, MINIGRAD_THREADS="1").stdout.split()) <= {"1"}
    wrong = python("import minigrad", MINIGRAD_THREADS="two")
    assert "MINIGRAD_THREADS must be a number of threads, 1 or more; got 'two'" in wrong.stderr


@pytest.mark.parametrize("n", [0, -1, 1.5, "2"])
def test_bad_numbers_of_threads_are_refused(n):
    with pytest.raises((TypeError, ValueError), match="n must be"):
        parallel.set_threads(n)


def test_the_setting_is_not_changed_in_mid_pass():
    with (
        parallel.one_blas_thread(),
        pytest.raises(RuntimeError, match="a pass over a network is running"),
    ):
        parallel.set_threads(2)


@given(st.integers(0, 300), st.integers(0, 40))
def test_pieces_cover_everything_once(n, count):
    cut = parallel.pieces(n, count)
    assert [i for piece in cut for i in range(n)[piece]] == list(range(n))
    assert len(cut) <= max(count, 1)
    assert all(piece.start < piece.stop for piece in cut)


@given(st.integers(1, 3000), st.integers(1, 2**22))
def test_parts_fit_the_cache(n, bytes_each):
    cut = parallel.parts(n, bytes_each, np.empty(0))
    assert sum(part.stop - part.start for part in cut) == n
    longest = max(part.stop - part.start for part in cut)
    assert (longest - 1) * bytes_each <= parallel.CACHE  # give or take one


def test_parts_do_not_depend_on_the_number_of_threads():
    cuts = []
    for n in (1, 2, 5):
        parallel.set_threads(n)
        cuts.append(parallel.parts(1000, 2**16, np.empty(0)))
    assert cuts[0] == cuts[1] == cuts[2]
    assert len(cuts[0]) > 1


def test_each_uses_the_threads_and_keeps_the_order():
    parallel.set_threads(3)
    meet = threading.Barrier(3, timeout=30)  # breaks, and fails, where there are fewer threads

    def work(i):
        meet.wait()
        return i, threading.get_ident()

    results = parallel.each(work, [10, 20, 30])
    assert [i for i, _ in results] == [10, 20, 30]
    assert len({thread for _, thread in results}) == 3


def test_work_within_work_stays_on_its_thread():
    parallel.set_threads(2)

    def outer(_):
        inner = parallel.each(lambda _: threading.get_ident(), range(4))
        return threading.get_ident(), set(inner)

    assert all(inner == {own} for own, inner in parallel.each(outer, range(4)))


@pytest.mark.parametrize("bad", [0, 7])
def test_errors_come_through_and_blas_gets_its_threads_back(bad):
    parallel.set_threads(2)
    before = [blas.num_threads for blas in parallel._blas()]
    during = []

    def work(i):
        during.extend(blas.num_threads for blas in parallel._blas())
        if i == bad:
            raise ArithmeticError(f"item {i}")

    with pytest.raises(ArithmeticError, match=f"item {bad}"):
        parallel.each(work, range(8))
    assert set(during) <= {1}
    assert [blas.num_threads for blas in parallel._blas()] == before


@pytest.mark.parametrize("shape", [(64, 800, 500), (900, 64, 300), (300, 64, 900), (40, 3000, 90)])
def test_a_product_in_pieces_is_the_product(shape, rng):
    M, K, N = shape
    a, b = rng.standard_normal((M, K)), rng.standard_normal((N, K)).T
    plain = parallel.matmul(a, b)
    parallel.set_threads(2)
    with parallel.one_blas_thread():
        two = parallel.matmul(a, b)
    parallel.set_threads(1)
    with parallel.one_blas_thread():
        one = parallel.matmul(a, b)
    np.testing.assert_allclose(two, plain, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(one, two)


def test_element_wise_work_by_parts_keeps_the_order_in_memory(rng):
    x = rng.standard_normal((200, 12, 11, 10)).transpose(0, 3, 1, 2)
    y = parallel.by_batch(lambda x, z: 2 * x + z, x, x)
    np.testing.assert_array_equal(y, 3 * x)
    assert y.strides == x.strides
    assert y is not x


def test_scratch_is_reused_and_each_threads_own():
    like = np.empty(0, "float32")
    first = parallel.scratch("test", (5, 4), like)
    again = parallel.scratch("test", (10,), like)
    assert again.dtype == np.float32
    assert np.shares_memory(first, again)
    parallel.set_threads(2)
    meet = threading.Barrier(2, timeout=30)

    def work(_):
        meet.wait()
        return parallel.scratch("test", (5, 4), like)

    one, other = parallel.each(work, range(2))
    assert not np.shares_memory(one, other)


def trained(threads):
    """LeNet's parameters after three steps."""
    parallel.set_threads(threads)
    model, loss = mg.models.lenet(seed=0), mg.CrossEntropyLoss()
    rng = np.random.default_rng(0)
    x = to_device(rng.random((96, 1, 28, 28), dtype="float32"))
    y = to_device(rng.integers(0, 10, 96))
    optimizer = mg.SGD(model, 0.1)
    for _ in range(3):
        mg.rules.Backprop().estimate(model, loss, x, y)
        optimizer.step()
    return model.state_dict()


def test_training_gives_the_same_bits_for_any_number_of_threads():
    one, two, three = (trained(n) for n in (1, 2, 3))
    for key, array in one.items():
        np.testing.assert_array_equal(array, two[key], err_msg=key)
        np.testing.assert_array_equal(array, three[key], err_msg=key)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_threads_of_its_own():
    code = """
        import os, signal, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads about
        from minigrad import parallel
        parallel.set_threads(2)
        print(parallel.each(lambda i: i * i, range(4)), flush=True)
        child = os.fork()
        signal.alarm(30)
        if child == 0:
            print(parallel.each(lambda i: i + i, range(4)), flush=True)
            os._exit(0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    run = python(code)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split("\n")[:2] == ["[0, 1, 4, 9]", "[0, 2, 4, 6]"]
