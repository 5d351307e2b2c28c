"""A batch in parts: they cover what they cut, and change no result."""

import platform
import threading

import numpy as np
import pytest
from conftest import python
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import threads
from minigrad.backend import to_device
from minigrad.kernels import memory, parts, products

pytestmark = [pytest.mark.on_host, pytest.mark.usefixtures("threads_as_before")]


@given(st.integers(0, 300), st.integers(0, 40))
def test_pieces_cover_everything_once(n, count):
    cut = parts.pieces(n, count)
    assert [i for piece in cut for i in range(n)[piece]] == list(range(n))
    assert len(cut) == min(max(count, 1), n)
    lengths = [piece.stop - piece.start for piece in cut]
    assert not n or max(lengths) - min(lengths) <= 1


@given(st.integers(1, 3000), st.integers(1, 2**22))
def test_parts_fit_the_cache(n, bytes_each):
    cut = parts.parts(n, bytes_each, np.empty(0))
    assert sum(part.stop - part.start for part in cut) == n
    longest = max(part.stop - part.start for part in cut)
    assert (longest - 1) * bytes_each <= memory.CACHE  # give or take one


def test_parts_do_not_depend_on_the_number_of_threads():
    cuts = []
    for n in (1, 2, 5):
        threads.set_threads(n)
        cuts.append(parts.parts(1000, 2**16, np.empty(0)))
    assert cuts[0] == cuts[1] == cuts[2]
    assert len(cuts[0]) > 1


@pytest.mark.parametrize("shape", [(64, 800, 500), (900, 64, 300), (300, 64, 900), (40, 3000, 90)])
def test_a_product_in_pieces_is_the_product(shape, rng):
    M, K, N = shape
    a, b = rng.standard_normal((M, K)), rng.standard_normal((N, K)).T
    plain = products.matmul(a, b)
    threads.set_threads(2)
    with threads.one_blas_thread():
        two = products.matmul(a, b)
    threads.set_threads(1)
    with threads.one_blas_thread():
        one = products.matmul(a, b)
    np.testing.assert_allclose(two, plain, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(one, two)


def test_element_wise_work_by_parts_keeps_the_order_in_memory(rng):
    x = rng.standard_normal((200, 12, 11, 10)).transpose(0, 3, 1, 2)
    y = parts.by_batch(lambda x, z: 2 * x + z, x, x)
    np.testing.assert_array_equal(y, 3 * x)
    assert y.strides == x.strides
    assert y is not x


def test_scratch_is_reused_and_each_threads_own():
    like = np.empty(0, "float32")
    first = memory.scratch("test", (5, 4), like)
    again = memory.scratch("test", (10,), like)
    assert again.dtype == np.float32
    assert np.shares_memory(first, again)
    threads.set_threads(2)
    meet = threading.Barrier(2, timeout=30)

    def work(_):
        meet.wait()
        return memory.scratch("test", (5, 4), like)

    one, other = threads.each(work, range(2))
    assert not np.shares_memory(one, other)


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
