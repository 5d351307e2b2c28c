"""ForwardGradient with a guide: the projection of the gradient on what another rule proposes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.given_directions import NETS, close, flat, gradients, is_held, make

import minigrad as mg
from minigrad.backend import array_module, to_device, to_host
from minigrad.layers import Layer
from minigrad.rules import Backprop, ForwardGradient, Rule, SyntheticGradients, WellTempered


class Guess(Rule):
    """Proposes what it is given; layers whose prefix is left out get no gradient."""

    def __init__(self, values, left_out=()):
        self.values, self.left_out, self.calls = values, left_out, []

    def estimate(self, model, loss, x, target):
        self.calls.append("estimate")
        for prefix, leaf in model.leaves():
            names = [] if prefix in self.left_out else leaf.params
            leaf.grads = {name: to_device(self.values[prefix + name]) for name in names}
        return 7.0  # not the loss: what counts is what the model's output says

    def end_epoch(self):
        self.calls.append("end_epoch")

    def rescale(self, factor):
        self.calls.append(factor)


def guess_for(model, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return {k: scale * rng.standard_normal(p.shape) for k, p in model.params.items()}


@pytest.mark.parametrize("name", NETS)
def test_with_backprop_for_a_guide_it_is_the_gradient(name):
    model, *batch = make(name)
    value, expected = gradients(Backprop(), model, *batch)
    rule = ForwardGradient(guide=Backprop())
    ours, grads = gradients(rule, model, *batch)
    close(grads, expected)
    assert ours == pytest.approx(value, rel=1e-12)
    assert rule.derivatives == pytest.approx([np.linalg.norm(flat(expected))], rel=1e-12)
    if name == "batch norm":  # the guide's forward and the rule's own are one function
        assert int(to_host(model.buffers["1.num_batches_tracked"])) == 3 - 1


@given(st.integers(0, 10**6), st.sampled_from(sorted(NETS)), st.sampled_from([1e-6, 1.0, 1e6]))
def test_it_is_the_gradients_projection_on_any_guess(seed, name, scale):
    """And never uphill; the guess's length is of no matter."""
    model, *batch = make(name)
    value, gradient = gradients(Backprop(), model, *batch)
    values = guess_for(model, seed, scale)
    ours, grads = gradients(ForwardGradient(guide=Guess(values)), model, *batch)
    u, g = flat(values), flat(gradient)
    np.testing.assert_allclose(flat(grads), (g @ u) * u / (u @ u), rtol=1e-9, atol=1e-12)
    assert flat(grads) @ g >= 0
    assert ours == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("name", ["mlp", "images", "nested"])
def test_layers_that_the_guide_leaves_out_stay_out(name):
    model, *batch = make(name)
    _, gradient = gradients(Backprop(), model, *batch)
    values = guess_for(model, 3)
    first = next(prefix for prefix, leaf in model.leaves() if leaf.params)
    rule = ForwardGradient(guide=Guess(values, left_out=(first,)))
    rule.estimate(model, *batch)
    assert model.grads.keys() == {key for key in values if not key.startswith(first)}
    u, g = (
        np.concatenate([source[key].ravel() for key in model.grads])
        for source in (values, gradient)
    )
    ours = np.concatenate([to_host(grad).ravel() for grad in model.grads.values()])
    np.testing.assert_allclose(ours, (g @ u) * u / (u @ u), rtol=1e-10, atol=1e-14)
    before = model.state_dict()
    mg.SGD(model, 0.1).step()
    moved = {key for key, a in model.state_dict().items() if not np.array_equal(a, before[key])}
    assert moved == set(model.grads)


def test_a_guide_that_proposes_nothing_gives_nothing():
    model, *batch = make("mlp")
    value, _ = gradients(Backprop(), model, *batch)
    zeros = {key: np.zeros(p.shape) for key, p in model.params.items()}
    rule = ForwardGradient(guide=Guess(zeros))
    assert rule.estimate(model, *batch) == pytest.approx(value, rel=1e-12)
    assert not any(to_host(grad).any() for grad in model.grads.values())
    assert rule.derivatives == []
    everyone = [prefix for prefix, _ in model.leaves()]
    rule = ForwardGradient(guide=Guess(zeros, left_out=everyone))
    assert rule.estimate(model, *batch) == pytest.approx(value, rel=1e-12)
    assert model.grads == {}


def test_the_slope_along_the_unit_vector_is_clipped():
    model, *batch = make("mlp")
    _, gradient = gradients(Backprop(), model, *batch)
    length = np.linalg.norm(flat(gradient))
    rule = ForwardGradient(guide=Backprop(), clip=length / 4)
    _, grads = gradients(rule, model, *batch)
    np.testing.assert_allclose(flat(grads), flat(gradient) / 4, rtol=1e-10)
    assert rule.derivatives == pytest.approx([length], rel=1e-10)


def test_the_guide_hears_of_epochs_and_learning_rates():
    model, *batch = make("mlp")
    guide = Guess(guess_for(model, 0))
    rule = ForwardGradient(guide=guide)
    rule.estimate(model, *batch)
    rule.end_epoch()
    rule.rescale(0.25)
    assert guide.calls == ["estimate", "end_epoch", 0.25]
    without = ForwardGradient()
    without.end_epoch()
    without.rescale(0.5)


@pytest.mark.parametrize(
    "inner",
    [
        lambda: ForwardGradient(2, "rademacher", "finite-difference"),
        lambda: ForwardGradient(perturb="activities"),
        lambda: ForwardGradient(guide=Backprop()),
        lambda: WellTempered(Backprop(), micro_batch_size=2),
    ],
)
def test_a_guide_may_evaluate_the_network_as_often_as_it_likes(inner):
    """Dropout's mask stays, and running statistics move once."""
    model, loss, x, target = make("dropout", 6)
    model.reseed(3)
    expected = loss.forward(model.forward(x), target)
    model.reseed(3)
    value = ForwardGradient(guide=inner()).estimate(model, loss, x, target)
    if "micro_batch_size" not in repr(inner()):  # whose batches are not of the whole's size
        assert value == pytest.approx(expected, rel=1e-9)
    assert not any(is_held(leaf) for _, leaf in model.leaves())
    rule = inner()
    if getattr(rule, "perturb", "weights") == "weights":
        model, *batch = make("batch norm", 6)
        ForwardGradient(guide=rule).estimate(model, *batch)
        assert int(to_host(model.buffers["1.num_batches_tracked"])) == 1


def test_a_gradient_with_gaps_in_memory_is_taken(xp):
    """A custom layer may hand over a part of a larger array."""

    class Scale(Layer):
        def __init__(self):
            super().__init__("float64")
            self.params["a"] = xp.ones(3)

        def forward(self, x, train=True):
            self.cache = x
            return x * self.params["a"]

        def backward(self, dy):
            wide = array_module(dy).zeros(6)
            wide[::2] = (dy * self.cache).sum(axis=0)
            self.grads["a"] = wide[::2]
            return dy * self.params["a"]

        def jvp(self, x_dot, params_dot=None):
            y_dot = 0 if x_dot is None else x_dot * self.params["a"]
            return y_dot if params_dot is None else y_dot + self.cache * params_dot["a"]

    model = Scale()
    batch = mg.MSELoss(), xp.ones((2, 3)), xp.zeros((2, 3))
    _, expected = gradients(Backprop(), model, *batch)
    close(gradients(ForwardGradient(guide=Backprop()), model, *batch)[1], expected)


# ------------------------------------------------------------------ synthetic gradients


def synthetic(model, **options):
    return SyntheticGradients(model, lr=0.02, **options)


@pytest.mark.parametrize("mode", ["sequential", "unlocked", "no-backprop"])
def test_synthetic_gradients_learn_once_a_step_and_are_put_right(mode):
    model, twin = (mg.models.mlp((4, 6, 5, 3), "tanh", dtype="float64", seed=0) for _ in range(2))
    rng = np.random.default_rng(0)
    x, t = to_device(rng.standard_normal((7, 4))), to_device(rng.integers(0, 3, 7))
    guide, alone = synthetic(model, mode=mode), synthetic(twin, mode=mode)
    rule, loss = ForwardGradient(guide=guide), mg.CrossEntropyLoss()
    for step in range(1, 4):
        value = rule.estimate(model, loss, x, t)
        grads = {key: to_host(grad).copy() for key, grad in model.grads.items()}
        alone.estimate(twin, loss, x, t)
        u = {key: to_host(grad).copy() for key, grad in twin.grads.items()}
        assert guide.steps == alone.steps == step
        ours, theirs = guide.state_dict(), alone.state_dict()
        assert all(np.array_equal(ours[key], theirs[key]) for key in theirs)
        true, gradient = gradients(Backprop(), twin, loss, x, t)
        assert value == pytest.approx(true, rel=1e-12)
        assert grads.keys() == u.keys()
        g = np.concatenate([gradient[key].ravel() for key in u])
        expected = (g @ flat(u)) * flat(u) / (flat(u) @ flat(u))
        np.testing.assert_allclose(flat(grads), expected, rtol=1e-9, atol=1e-13)


def test_fit_with_synthetic_gradients_for_a_guide(tmp_path):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((15, 4)).astype("float32"), rng.integers(0, 3, 15)
    model = mg.models.mlp((4, 6, 3), seed=0)
    guide = synthetic(model, update_probability=0.5)
    rule, adam = ForwardGradient(guide=guide), mg.Adam(model, 0.01)
    history = mg.fit(
        model,
        mg.CrossEntropyLoss(),
        rule,
        adam,
        mg.data.Dataset(x, y, classes=3),
        epochs=2,
        batch_size=5,
        schedule=mg.ExponentialLR(adam, 0.5, per="step"),
    )
    assert guide.steps == rule.steps == len(history.step_loss) == 6
    assert guide.modules[0].optimizer.lr == pytest.approx(0.02 * 0.5**6)
    assert "guide=SyntheticGradients" in history.settings["rule"]
    np.savez(tmp_path / "rule.npz", **rule.state_dict())
    fresh = mg.models.mlp((4, 6, 3), seed=0)
    fresh.load_state_dict(model.state_dict())
    other = ForwardGradient(guide=synthetic(fresh, update_probability=0.5))
    with np.load(tmp_path / "rule.npz", allow_pickle=False) as file:
        other.load_state_dict(fresh, dict(file))
    batch = mg.CrossEntropyLoss(), to_device(x), to_device(y)
    for _ in range(4):
        values = [r.estimate(m, *batch) for r, m in ((rule, model), (other, fresh))]
        assert values[0] == values[1]
        assert model.grads.keys() == fresh.grads.keys()
        for key, grad in model.grads.items():
            np.testing.assert_array_equal(to_host(grad), to_host(fresh.grads[key]))


def test_it_costs_what_its_guide_costs_and_three_more():
    assert ForwardGradient(guide=Backprop()).cost == 6
    assert ForwardGradient(guide=ForwardGradient(5)).cost == 14
    assert np.isnan(ForwardGradient(guide=Guess({})).cost)
