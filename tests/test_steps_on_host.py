"""Optimisers' steps on the host: joined small parameters, pieces of large ones. And `level`."""

import copy

import numpy as np
import pytest
from test_together import OPTIMIZERS, fill, network

import minigrad as mg
from minigrad import kernels
from minigrad.backend import to_host
from minigrad.kernels import steps
from minigrad.kernels.elementwise import relu
from minigrad.kernels.memory import level

pytestmark = pytest.mark.on_host


def run(make, form, change, n=6, dtype="float32"):
    net = network(dtype)
    optimizer = make(net)
    with kernels.use(form):
        for t in range(n):
            fill(net, t)
            change(net, optimizer, t)
            optimizer.step()
    return optimizer.state_dict() | {f"{k} p": to_host(p).copy() for k, p in net.params.items()}


def same(make, change, **options):
    fast, plain = (run(make, form, change, **options) for form in kernels.FORMS)
    assert fast.keys() == plain.keys()
    for key, value in plain.items():
        np.testing.assert_array_equal(fast[key], value, err_msg=key)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_pieces_and_joined_parameters_give_the_plain_steps(name, dtype, monkeypatch):
    monkeypatch.setattr(steps, "PIECE", 100)  # 36 x 29 is cut, the joined ones are, too
    same(OPTIMIZERS[name], lambda *_: None, dtype=dtype)


def test_a_parameter_that_is_replaced_or_left_out_in_every_other_step():
    def change(net, optimizer, t):
        net[3].grads = {} if t % 2 else net[3].grads
        if t in (2, 4):
            net[4].params["W"] = net[4].params["W"].copy()
        if t == 3:
            optimizer.load_state_dict(optimizer.state_dict())

    same(OPTIMIZERS["Adam"], change)
    same(OPTIMIZERS["momentum"], change)


def test_a_parameter_without_c_order():
    def change(net, optimizer, t):
        if t == 0:
            net[2].params["W"] = np.asfortranarray(net[2].params["W"])

    same(OPTIMIZERS["Adam"], change)


def test_momentum_that_begins_after_weight_decay_alone():
    def change(net, optimizer, t):
        optimizer.momentum = 0.9 * (t > 2)

    same(lambda net: mg.SGD(net, 0.1, weight_decay=0.1), change)


def test_small_parameters_share_a_long_array_and_copies_do_not():
    net = network()
    optimizer = mg.Adam(net, 0.01)
    for t in range(3):
        fill(net, t)
        optimizer.step()
    m = [optimizer.state[name]["m"] for name in ("2.b", "3.gamma", "3.beta")]
    assert m[0].base is m[1].base is m[2].base is not None
    other, theirs = copy.deepcopy((net, optimizer))
    before = optimizer.state_dict()
    fill(other, 3)
    theirs.step()
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_level_is_a_constant_array_in_the_same_order():
    x = np.zeros((8, 50, 60), "float32")
    for view in (x, x.transpose(0, 2, 1), x.transpose(2, 1, 0)):
        found = level(0.5, view)
        assert found.shape == view.shape
        assert found.strides == view.strides
        assert (found == 0.5).all()
        assert not found.flags.writeable
    assert level(0.5, x[:, ::2]) == 0.5  # gaps
    assert level(0.5, x[:1, :5, :6].transpose(0, 2, 1)) == 0.5  # small, and not in order


def test_relu_of_what_is_not_finite():
    x = np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0, 2] * 20, "float32")
    y, on = relu(x)
    np.testing.assert_array_equal(y[:6], [np.nan, np.nan, np.inf, 0, 0, 2])
    assert on[:6].tolist() == [False, False, True, False, False, True]
