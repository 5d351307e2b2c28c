"""All parameters in one launch on a GPU: the same numbers as one operation after the other.

Elsewhere both forms are the plain one, and the tests hold the rules of what may move together.
"""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernels
from minigrad.backend import to_device, to_host
from minigrad.kernels.device import table
from minigrad.kernels.updates import add_scaled_to_all, move_towards, scale_all, times
from minigrad.optim import clip_grad_norm
from minigrad.optim.together import plans_of

GROUPS = {"*.b": {"weight_decay": 0, "lr_factor": 0.5}}
OPTIMIZERS = {
    "SGD": lambda net: mg.SGD(net, 0.1),
    "decay": lambda net: mg.SGD(net, 0.1, weight_decay=0.01),
    "momentum": lambda net: mg.SGD(net, 0.1, 0.9, weight_decay=0.01, groups=GROUPS),
    "nesterov": lambda net: mg.SGD(net, 0.1, 0.9, nesterov=True),
    "steps": lambda net: mg.SGD(net, 0.1, 0.9, velocity="steps"),
    "nesterov steps": lambda net: mg.SGD(net, 0.1, 0.9, True, 0.01, "steps"),
    "Adam": lambda net: mg.Adam(net, 0.01),
    "inside": lambda net: mg.Adam(net, 0.01, eps_inside=True, weight_decay=0.1),
    "AdamW": lambda net: mg.AdamW(net, 0.01, groups=GROUPS),
    "RMSprop": lambda net: mg.RMSprop(net, 0.01, momentum=0.9, weight_decay=0.1),
    "centered": lambda net: mg.RMSprop(net, 0.01, centered=True),
    "both": lambda net: mg.RMSprop(net, 0.01, centered=True, momentum=0.9),
    "Adagrad": lambda net: mg.Adagrad(net, 0.1, 0.1, 0.01, 0.5),
}


def network(dtype="float32"):
    """A parameter of more than one block, one that lies otherwise than it looks, small ones."""
    return mg.Sequential(
        mg.Conv2d(2, 3, (2, 3), dtype=dtype, seed=0),
        mg.Flatten(),
        mg.Linear(36, 29, dtype=dtype, seed=1),
        mg.BatchNorm1d(29, dtype=dtype),
        mg.Linear(29, 1, dtype=dtype, seed=2),
    )


def fill(net, seed, order="C"):
    rng = np.random.default_rng(seed)
    for _, layer in net.leaves():
        layer.grads = {}
        for name, p in layer.params.items():
            grad = rng.standard_normal(p.shape).astype(p.dtype)
            if order == "F":  # its numbers lie in another order than the parameter's
                layer.grads[name] = to_device(np.ascontiguousarray(grad.T)).T
            else:
                layer.grads[name] = to_device(grad)


def trained(make, dtype, form, launches=None):
    """Parameters and state after steps in which everything is replaced once."""
    net = network(dtype)
    optimizer = make(net)
    average = mg.EMA(optimizer, 0.9)
    with kernels.use(form):
        for t in range(7):
            fill(net, t, "F" if t == 1 else "C")
            if t == 3:  # arrays of the same numbers in other places
                optimizer.load_state_dict(optimizer.state_dict())
                for name, p in list(net.params.items()):
                    net.params[name] = p.copy()
            net[2].frozen = t == 2
            if t == 4:
                net[0].grads = {}
            if t == 5:
                optimizer.lr = 0.02
            before = 0 if launches is None else len(launches)
            optimizer.step()
            if launches is not None and t in (0, 1):
                most = 2 if optimizer.groups else 1  # and one for the average
                assert len(launches) - before == most + (t == 1)
    found = optimizer.state_dict() | {f"param {k}": to_host(p) for k, p in net.params.items()}
    assert average.t == 7
    return found


@pytest.fixture
def launches(device, monkeypatch):
    """The names of the kernels that were launched; None where there are no kernels."""
    names = []
    launch = table.Table.launch
    monkeypatch.setattr(
        table.Table,
        "launch",
        lambda self, name, *args, **kw: (names.append(name), launch(self, name, *args, **kw)),
    )
    return names if device == "cupy" else None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_launch_gives_the_plain_steps_bit_for_bit(name, dtype, launches):
    fast = trained(OPTIMIZERS[name], dtype, "fast", launches)
    plain = trained(OPTIMIZERS[name], dtype, "plain")
    assert fast.keys() == plain.keys()
    for key, value in plain.items():
        np.testing.assert_array_equal(fast[key], value, err_msg=key)
    assert all(np.isfinite(value).all() for value in plain.values())


def test_more_parameters_than_a_table_has_rows(launches):
    found = []
    for form in kernels.FORMS:
        net = mg.Sequential(*[mg.Linear(3, 3, seed=i) for i in range(40)])
        optimizer = mg.Adam(net, 0.01)
        with kernels.use(form):
            for t in range(2):
                fill(net, t)
                optimizer.step()
        found.append([to_host(p) for p in net.params.values()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert launches in (None, ["adam"] * 4)


class Halved(mg.Adam):
    """An optimiser of a student's own."""

    def _update(self, param, grad, state):
        super()._update(param, 0.5 * grad, state)


def test_an_update_of_ones_own_is_called(launches):
    net = network()
    own = Halved(net, 0.1)
    assert own.formula == ""
    assert mg.AdamW(net, 0.1).formula == mg.Adam(net, 0.1).formula == "adam"
    replaced = mg.SGD(net, 0.1)
    seen = []
    replaced._update = lambda param, grad, state: seen.append(state)
    for optimizer in (own, replaced):
        fill(net, 0)
        optimizer.step()
    assert len(seen) == len(net.params)
    assert not launches


def test_a_gradient_of_another_dtype_or_a_part_of_a_larger_array(xp):
    """Such a parameter moves by itself, the others together."""
    found = []
    for form in kernels.FORMS:
        net = network()
        wide = xp.zeros((29, 4), "float32")
        net[4].params["W"] = wide[:, ::4]
        optimizer = mg.Adam(net, 0.01)
        with kernels.use(form):
            for t in range(2):
                fill(net, t)
                net[2].grads["b"] = net[2].grads["b"].astype("float64")
                optimizer.step()
        found.append([to_host(p) for p in net.params.values()])
        assert {entry["t"] for entry in optimizer.state.values()} == {2}
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_momentum_that_begins_later():
    found = []
    for form in kernels.FORMS:
        net = network()
        optimizer = mg.SGD(net, 0.1)
        with kernels.use(form):
            for t in range(4):
                optimizer.momentum = 0.9 if t in (1, 2) else 0
                fill(net, t)
                optimizer.step()
        found.append(optimizer.state_dict() | {f"{k} p": to_host(p) for k, p in net.params.items()})
    for key, value in found[0].items():
        np.testing.assert_array_equal(value, found[1][key])


def test_copies_step_by_themselves():
    """They know no addresses of the original's arrays."""
    net = network()
    optimizer = mg.Adam(net, 0.01)
    fill(net, 0)
    optimizer.step()
    after_one = {name: to_host(p).copy() for name, p in net.params.items()}
    other, theirs = copy.deepcopy((net, optimizer))
    assert "together" not in str(vars(theirs))
    fill(other, 1)
    theirs.step()
    for name, p in net.params.items():
        np.testing.assert_array_equal(to_host(p), after_one[name])
        assert not np.array_equal(to_host(other.params[name]), after_one[name])
    if type(net.params["0.W"]) is np.ndarray:
        pickle.loads(pickle.dumps(optimizer)).step()


@pytest.mark.gpu
def test_numbers_in_device_memory(xp, device):
    """What a step needs that is recorded once and repeated: the launch is always the same."""
    if device != "cupy":
        return
    nets = [network(), network()]
    plain, recorded = (mg.AdamW(net, 0.01) for net in nets)
    for net, optimizer in zip(nets, (plain, recorded), strict=True):
        fill(net, 0)
        optimizer.step()
    (plan,) = plans_of(recorded)
    plan.kept = xp.zeros(8)
    grads = [net_grad for _, layer in nets[1].leaves() for net_grad in layer.grads.values()]
    for t in (2, 3):
        recorded.lr = plain.lr = 0.01 / t
        _, numbers = plan._numbers(recorded, t)
        plan.kept.set(np.array(numbers))
        plan.launch(recorded, grads)
        fill(nets[0], 0)
        plain.step()
    a, b = plain.state_dict(), recorded.state_dict()
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_averages_and_norms_of_many_arrays(dtype, xp):
    rng = np.random.default_rng(0)
    shapes = [(3, 2), (1025,), (), (0, 4), (40, 70)]
    values = [rng.standard_normal((2, *shape)).astype(dtype) for shape in shapes]
    found = []
    for form in kernels.FORMS:
        ys = [to_device(v[0].copy()) for v in values]
        xs = [to_device(v[1].copy()) for v in values]
        ys[4] = to_device(np.ascontiguousarray(values[4][0].T)).T
        with kernels.use(form):
            add_scaled_to_all(ys, 0.3, xs)
            scale_all(xs, -0.7)
            move_towards(ys, 0.1, xs)
            found.append([to_host(a).copy() for a in (*ys, *xs, *times(xs, 1.1))])
            assert times([], 2.0) == []
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_clipped_norm(factor, launches):
    norms, grads = [], []
    for form in kernels.FORMS:
        net = network()
        fill(net, 3)
        with kernels.use(form):
            norms.append(clip_grad_norm(net, 10 * factor))
        grads.append([to_host(g) for g in net.grads.values()])
    assert norms[0] == pytest.approx(norms[1], rel=1e-6)
    for a, b in zip(*grads, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    if launches is not None:
        assert launches == ["square_sums", "scale"][: len(launches)]
