"""Local losses: each block learns by a head of its own."""

import numpy as np
import pytest
from reference.given_directions import gradients

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.rules import LocalLosses, SyntheticGradients, TopLayerOnly
from minigrad.rules.local import SimilarityLoss

kinds = pytest.mark.parametrize("kind", ["pred", "sim", "predsim"])


def mlp(seed=0):
    return mg.models.mlp((4, 6, 5, 3), "tanh", dtype="float64", seed=seed)


def convnet():
    return mg.Sequential(
        mg.Conv2d(1, 5, 3, dtype="float64", seed=0),
        mg.Tanh(),
        mg.Flatten(),
        mg.Linear(45, 3, dtype="float64", seed=1),
    )


def batch(shape=(4,), n=6, seed=0):
    rng = np.random.default_rng(seed)
    return to_device(rng.standard_normal((n, *shape))), to_device(np.arange(n) % 3)


def shaken(rule, seed=9):
    """The heads with other weights: those of pred start at zero."""
    rng = np.random.default_rng(seed)
    for head in rule.modules:
        for param in head.net.params.values():
            param[...] = to_device(rng.uniform(-0.5, 0.5, param.shape))
    return rule


def slope(value, array, index, h=1e-6):
    found = []
    for sign in (1, -1):
        array[index] += sign * h
        found.append(value())
        array[index] -= sign * h
    return (found[0] - found[1]) / (2 * h)


def local_loss(rule, i, x, y):
    """L_i by its definition, from the network and the head as they are."""
    h = x
    for block in rule.blocks[: i + 1]:
        h = block.forward(h)
    onehot = to_device(np.eye(3)[to_host(y)])
    value = 0
    for weight, layer, loss in rule.modules[i].parts:
        target = onehot if isinstance(loss, SimilarityLoss) else y
        value += weight * loss.forward(layer.forward(h), target)
    return value


@kinds
@pytest.mark.parametrize("net", ["mlp", "convnet"])
def test_a_blocks_gradient_is_that_of_its_local_loss(kind, net, rng):
    model, shape = (mlp(), (4,)) if net == "mlp" else (convnet(), (1, 5, 5))
    rule = shaken(LocalLosses(model, kind, beta=0.7, lr=0.0, input_shape=shape))
    x, y = batch(shape)
    value, found = gradients(rule, model, mg.CrossEntropyLoss(), x, y)
    assert value == pytest.approx(mg.CrossEntropyLoss().forward(model.forward(x), y), rel=1e-12)
    weights = [0.3, 0.7] if kind == "predsim" else [1.0]
    assert [part[0] for part in rule.modules[0].parts] == pytest.approx(weights)
    for i, block in enumerate(rule.blocks[:-1]):
        head = rule.modules[i].net
        for params, grads in ((block.params, block.grads), (head.params, head.grads)):
            for key, array in params.items():
                index = tuple(int(rng.integers(0, n)) for n in array.shape)
                expected = slope(lambda i=i: local_loss(rule, i, x, y), array, index)
                assert float(grads[key][index]) == pytest.approx(expected, rel=1e-5, abs=1e-9), key
    assert found.keys() == model.params.keys()


@kinds
def test_no_gradient_goes_from_block_to_block(kind):
    """The first block's gradient does not change with the layers above it; backprop's does."""
    model, parts = mlp(), (mg.CrossEntropyLoss(), *batch())
    rule = shaken(LocalLosses(model, kind, lr=0.0))
    _, before = gradients(rule, model, *parts)
    for name in ("3.W", "5.W"):
        model.params[name][...] *= -1.5
    _, after = gradients(rule, model, *parts)
    below = ("1.W", "1.b")
    assert all(np.array_equal(to_host(before[k]), to_host(after[k])) for k in below)
    assert not np.array_equal(to_host(before["3.W"]), to_host(after["3.W"]))


@pytest.mark.on_host
def test_it_is_no_synthetic_gradient():
    assert isinstance(TopLayerOnly(mlp()), SyntheticGradients)
    assert not isinstance(LocalLosses(mlp()), SyntheticGradients)


def test_the_head_begins_at_zero_and_learns_inside():
    model, (x, y) = mlp(), batch()
    rule = LocalLosses(model, "pred", lr=0.01)
    _, found = gradients(rule, model, mg.CrossEntropyLoss(), x, y)
    assert not to_host(found["1.W"]).any(), "nothing comes through a head of zeros"
    assert to_host(rule.modules[0].net.params["0.1.W"]).any()
    rule.rescale(0.5)
    assert rule.optimizer.lr == 0.005
    _, found = gradients(rule, model, mg.CrossEntropyLoss(), x, y)
    assert to_host(found["1.W"]).any()


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (5, 3, 4), (5, 1, 1)])
def test_the_gradient_of_similarity_matching(shape, rng):
    loss = SimilarityLoss()
    z = to_device(rng.standard_normal((6, *shape)))
    t = to_device(np.eye(3)[np.arange(6) % 3])
    loss.forward(z, t)
    dz = loss.backward()
    assert dz.shape == z.shape
    for _ in range(4):
        index = tuple(int(rng.integers(0, n)) for n in z.shape)
        expected = slope(lambda: loss.forward(z, t), z, index)
        assert float(dz[index]) == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.on_host
def test_the_value_of_similarity_matching():
    """Labels: 1 for the same class, -1/(C - 1) for another."""
    onehot = np.eye(4)[[0, 1, 1, 3]]
    loss = SimilarityLoss()
    assert loss.forward(5 + 2 * onehot, onehot) == pytest.approx(0, abs=1e-12)
    same = np.equal.outer([0, 1, 1, 3], [0, 1, 1, 3])
    z = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    S = np.corrcoef(z)
    expected = ((S - np.where(same, 1, -1 / 3)) ** 2).mean()
    assert loss.forward(z, onehot) == pytest.approx(expected, rel=1e-6)
    images = np.random.default_rng(0).standard_normal((4, 5, 3, 2))
    S = np.corrcoef(images.reshape(4, 5, -1).std(axis=2, ddof=1))
    expected = ((S - np.where(same, 1, -1 / 3)) ** 2).mean()
    assert loss.forward(images, onehot) == pytest.approx(expected, rel=1e-6)
    z[2] = 7.0  # a row of equal numbers has no direction
    loss.forward(z, onehot)
    dz = loss.backward()
    assert not dz[2].any()
    assert 0 < abs(dz).max() < 1


@pytest.mark.on_host
@kinds
def test_the_blocks_learn(kind):
    train, test = mg.data.load_digits()
    accuracy = {}
    for name in ("local", "top"):
        model = mg.models.mlp((784, 20, 20, 10), "tanh", seed=0)
        rule = LocalLosses(model, kind) if name == "local" else TopLayerOnly(model)
        loss, optimizer = mg.CrossEntropyLoss(), mg.Adam(model, 2e-3)
        mg.fit(model, loss, rule, optimizer, train, epochs=4, batch_size=50, progress=False)
        accuracy[name] = mg.evaluate(model, loss, test)[1]
    assert accuracy["local"] > accuracy["top"] + 0.2, accuracy
    report = rule.report(loss, train.x[:50], train.y[:50])
    assert report.interfaces == []


@pytest.mark.on_host
def test_the_report_compares_with_the_true_gradient():
    model, (x, y) = mlp(), batch()
    rule = shaken(LocalLosses(model, "pred", lr=0.0))
    before = rule.state_dict()
    report = rule.report(mg.CrossEntropyLoss(), x, y)
    assert [interface.after for interface in report.interfaces] == [2, 4]
    assert all(-1 <= interface.cosine <= 1 for interface in report.interfaces)
    after = rule.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)


@pytest.mark.on_host
def test_what_it_cannot_do_is_said():
    model, (x, y) = mlp(), batch()
    rule = LocalLosses(model)
    assert "needs integer labels (N,), and MSELoss has targets" in rule.why_not(model, mg.MSELoss())
    ignoring = mg.CrossEntropyLoss(ignore_index=-100)
    assert "counts every label" in rule.why_not(model, ignoring)
    assert "another model's" in rule.why_not(mlp(1), mg.CrossEntropyLoss())
    with pytest.raises(TypeError, match=r"needs integer labels \(N,\), got float64 of shape"):
        rule.estimate(model, mg.CrossEntropyLoss(), x, np.eye(3)[y])
    for wrong, said in [
        ({"loss": "cosine"}, "loss must be one of pred, sim, predsim"),
        ({"beta": 1.5}, "beta must be from 0 to 1"),
        ({"interfaces": [9]}, "interfaces must be numbers of layers"),
    ]:
        with pytest.raises(ValueError, match=said):
            LocalLosses(model, **wrong)
    places = mg.Sequential(
        *(mg.Linear(4, 4, seed=0), mg.Tanh(), mg.Linear(4, 3, seed=0)),
    )
    with pytest.raises(ValueError, match="takes the number of labels from the model's output"):
        LocalLosses(places, input_shape=(2, 4))
    other = LocalLosses(model, "pred")
    with pytest.raises(ValueError, match="the state was made with"):
        other.load_state_dict(model, rule.state_dict())


@pytest.mark.on_host
def test_its_cost_counts_the_heads():
    """A: 6 and 5 inputs, 3 labels. The network: 4-6-5-3."""
    own = 4 * 6 + 6 + 6 * 5 + 5 + 5 * 3 + 3
    assert LocalLosses(mlp(), "pred").cost == 2 + 3 * (7 * 3 + 6 * 3) / own
    assert LocalLosses(mlp(), "sim").cost == 2 + 3 * (36 + 25) / own
