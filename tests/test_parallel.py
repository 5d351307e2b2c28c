"""Threads: they respect limits, change no result, lose no error; parts cover what they cut."""

import os
import platform
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import parallel, threads
from minigrad.backend import to_device

pytestmark = pytest.mark.on_host


@pytest.fixture(autouse=True)
def as_before():
    yield
    threads.set_threads(None)


def python(code, **environment):
    """What a fresh process prints, with these variables alone among the limits."""
    inherited = {k: v for k, v in os.environ.items() if k not in threads.LIMITS}
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


@given(st.integers(0, 300), st.integers(0, 40))
def test_pieces_cover_everything_once(n, count):
    cut = parallel.pieces(n, count)
    assert [i for piece in cut for i in range(n)[piece]] == list(range(n))
    assert len(cut) == min(max(count, 1), n)
    lengths = [piece.stop - piece.start for piece in cut]
    assert not n or max(lengths) - min(lengths) <= 1


@given(st.integers(1, 3000), st.integers(1, 2**22))
def test_parts_fit_the_cache(n, bytes_each):
    cut = parallel.parts(n, bytes_each, np.empty(0))
    assert sum(part.stop - part.start for part in cut) == n
    longest = max(part.stop - part.start for part in cut)
    assert (longest - 1) * bytes_each <= parallel.CACHE  # give or take one


def test_parts_do_not_depend_on_the_number_of_threads():
    cuts = []
    for n in (1, 2, 5):
        threads.set_threads(n)
        cuts.append(parallel.parts(1000, 2**16, np.empty(0)))
    assert cuts[0] == cuts[1] == cuts[2]
    assert len(cuts[0]) > 1


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


@pytest.mark.parametrize("shape", [(64, 800, 500), (900, 64, 300), (300, 64, 900), (40, 3000, 90)])
def test_a_product_in_pieces_is_the_product(shape, rng):
    M, K, N = shape
    a, b = rng.standard_normal((M, K)), rng.standard_normal((N, K)).T
    plain = parallel.matmul(a, b)
    threads.set_threads(2)
    with threads.one_blas_thread():
        two = parallel.matmul(a, b)
    threads.set_threads(1)
    with threads.one_blas_thread():
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
    threads.set_threads(2)
    meet = threading.Barrier(2, timeout=30)

    def work(_):
        meet.wait()
        return parallel.scratch("test", (5, 4), like)

    one, other = threads.each(work, range(2))
    assert not np.shares_memory(one, other)


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


def trained(number, model):
    """Parameters after three steps on 96 images."""
    threads.set_threads(number)
    rng, loss = np.random.default_rng(0), mg.CrossEntropyLoss()
    x = to_device(rng.random((96, 1, 28, 28), dtype="float32"))
    y = to_device(rng.integers(0, 10, 96))
    optimizer = mg.SGD(model, 0.1)
    for _ in range(3):
        mg.rules.Backprop().estimate(model, loss, x, y)
        optimizer.step()
    return model.state_dict()


def test_training_gives_the_same_bits_for_any_number_of_threads():
    one, two, three = (trained(n, mg.models.lenet(seed=0)) for n in (1, 2, 3))
    for key, array in one.items():
        np.testing.assert_array_equal(array, two[key], err_msg=key)
        np.testing.assert_array_equal(array, three[key], err_msg=key)


def test_a_layer_of_one_part_gives_the_same_bits_too(rng):
    """BLAS, left to its own threads, may add up in another order."""
    x = rng.standard_normal((1, 50, 8, 8)).astype("float32")
    found = []
    for n in (1, 2):
        threads.set_threads(n)
        layer = mg.Conv2d(50, 64, 5, seed=0)
        y = layer.forward(x)
        found.append((y, layer.backward(y), layer.grads["W"]))
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries keep memory or not")
def test_steps_after_the_first_need_no_fresh_memory():
    """Arrays of up to 2.9 MB: hundreds of page faults if they were handed back."""
    code = """
        import resource
        import numpy as np
        import minigrad as mg
        net, loss = mg.models.lenet(seed=0), mg.CrossEntropyLoss()
        x, y = np.ones((64, 1, 28, 28), "float32"), np.zeros(64, "int64")
        def faults(steps):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(steps):
                mg.rules.Backprop().estimate(net, loss, x, y)
            return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / steps
        faults(5)
        print(faults(20))
    """
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 200


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
