"""What a step asks of a device: one thread, and no waits but for the loss."""

import sys

import numpy as np
import pytest
from cases import optimizer_cases
from conftest import STANDIN

import minigrad as mg
from minigrad import threads
from minigrad.kernels import parts

pytestmark = pytest.mark.on_host


@pytest.fixture(autouse=True)
def standin(device, monkeypatch):
    """These tests count and refuse, which only the stand-in does."""
    monkeypatch.setitem(sys.modules, "cupy", STANDIN)
    with mg.backend.use("cupy"):
        yield


def batch(shape=(6, 4), classes=3):
    x = np.linspace(-1, 1, int(np.prod(shape)), dtype="float32").reshape(shape)
    return STANDIN.asarray(x), STANDIN.asarray(np.arange(shape[0]) % classes)


def net():
    """A small one with normalisation, dropout and convolution; its parts are shared out."""
    return mg.Sequential(
        mg.Conv2d(1, 4, 3, seed=0),
        mg.BatchNorm2d(4),
        mg.ReLU(),
        mg.MaxPool2d(2),
        mg.Flatten(),
        mg.Dropout(0.2, seed=0),
        mg.Linear(36, 3, seed=1),
    )


# ------------------------------------------------------------------ threads


@pytest.mark.parametrize("number", [1, 2])
def test_a_device_array_in_shared_work_is_an_error(number, threads_as_before):
    """With one thread, too: a program must not depend on the number of threads."""
    threads.set_threads(number)
    x, _ = batch()
    with pytest.raises(RuntimeError, match=r"parts\.share|did not make it"):
        threads.each(lambda i: mg.Tanh().forward(x[i : i + 1]), range(6))
    y = threads.each(lambda i: mg.Tanh().forward(x[i : i + 1]), range(6), parallel=False)
    same = parts.share(lambda i: mg.Tanh().forward(x[i : i + 1]), range(6), like=x)
    for one, other in zip(y, same, strict=True):
        np.testing.assert_array_equal(STANDIN.asnumpy(one), STANDIN.asnumpy(other))
    assert threads.each(lambda i: mg.backend.array_module(np.ones(1)), range(2)) == [np, np]


def test_the_standin_refuses_another_threads_array(threads_as_before):
    threads.set_threads(2)
    x, _ = batch()
    with threads.one_blas_thread():
        job = threads._executor().submit(lambda: x + 1)
        with pytest.raises(RuntimeError, match="did not make it"):
            job.result()


@pytest.mark.parametrize("rule", [mg.rules.Backprop(), mg.rules.ForwardGradient(2)])
def test_a_step_on_a_device_stays_on_its_thread(rule, monkeypatch, threads_as_before):
    threads.set_threads(2)
    for constant in ("DEVICE_CACHE", "WORTH_A_THREAD"):
        monkeypatch.setattr(parts, constant, 1)
    monkeypatch.setattr("minigrad.kernels.products.WORTH_A_PIECE", 1)
    monkeypatch.setattr("minigrad.kernels.updates.WORTH_A_THREAD", 1)
    model = net()
    optimizer = mg.Adam(model, 0.01)
    rule.estimate(model, mg.CrossEntropyLoss(), *batch((6, 1, 8, 8)))
    optimizer.step()


# ------------------------------------------------------------------ waits


@pytest.mark.parametrize("case", **optimizer_cases)
def test_a_step_of_backprop_waits_for_the_loss_only(case):
    model = net()
    optimizer = case.optimizer(model)
    loss, (x, y) = mg.CrossEntropyLoss(), batch((6, 1, 8, 8))
    with STANDIN.counted() as counts:
        mg.rules.Backprop().estimate(model, loss, x, y)
        with STANDIN.no_sync():
            optimizer.step()
    assert (counts.syncs, counts.transfers) == (1, 1)
