"""A class that changes a plain method does not keep the faster sibling of the old one."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.layers.sequential import chain
from minigrad.rules import Backprop, ForwardGradient


def data(n=5, d=4, classes=3, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    x = to_device(rng.standard_normal((n, d)).astype(dtype))
    return x, to_device(rng.integers(0, classes, n))


class Frozen(mg.Linear):
    """A layer that does not learn: its backward gives dx, and no gradients."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.grads.clear()
        return dx


class Residual(mg.Sequential):
    """y = x + 0.1 f(x)."""

    def forward(self, x, train=True):
        return x + 0.1 * super().forward(x, train)

    def backward(self, dy):
        return dy + super().backward(0.1 * dy)

    def jvp(self, x_dot, params_dot=None):
        y_dot = super().jvp(x_dot, params_dot)
        y_dot = 0 if y_dot is None else 0.1 * y_dot
        return y_dot if x_dot is None else x_dot + y_dot


def residual(d=4):
    return Residual(
        mg.Linear(d, d, dtype="float64", seed=0),
        mg.Tanh(),
        mg.Linear(d, d, dtype="float64", seed=1),
    )


def test_a_frozen_first_layer_does_not_move():
    """It moved: Backprop called the inherited backward_params."""
    model = mg.Sequential(
        Frozen(4, 6, dtype="float64", seed=0), mg.Tanh(), mg.Linear(6, 3, dtype="float64", seed=1)
    )
    before, optimizer = model.state_dict(), mg.SGD(model, 0.1)
    for _ in range(3):
        Backprop().estimate(model, mg.CrossEntropyLoss(), *data())
        assert model.grads.keys() == {"2.W", "2.b"}
        optimizer.step()
    after = model.state_dict()
    assert all(np.array_equal(before[k], after[k]) == k.startswith("0.") for k in before)


@pytest.mark.parametrize("alone", [True, False])
def test_a_residual_block_has_the_gradients_of_its_own_backward(alone):
    """They were ten times too large in a net's first place."""
    block = residual()
    model = block if alone else mg.Sequential(block, mg.Linear(4, 3, dtype="float64", seed=2))
    x, y = data(classes=4 if alone else 3)
    loss = mg.CrossEntropyLoss()
    loss.forward(model.forward(x), y)
    model.backward(loss.backward())
    expected = {k: to_host(g).copy() for k, g in model.grads.items()}
    Backprop().estimate(model, loss, x, y)
    for key, grad in model.grads.items():
        np.testing.assert_array_equal(to_host(grad), expected[key])
    assert mg.gradcheck.check(model, x, y, loss)
    n = sum(param.size for param in model.params.values())
    ForwardGradient(n, "orthonormal").estimate(model, loss, x, y)  # n directions: the gradient
    for key, grad in model.grads.items():
        np.testing.assert_allclose(to_host(grad), expected[key], atol=1e-12)


class Own(mg.Layer):
    """A user's layer, whose backward calls its own backward_params, and forward forward_jvp."""

    def __init__(self):
        super().__init__("float64")
        self.params["W"] = to_device(np.random.default_rng(0).standard_normal((4, 3)))

    def forward(self, x, train=True):
        return self.forward_jvp(x, None, None, train)[0]

    def forward_jvp(self, x, x_dot, params_dot=None, train=True):
        self.cache = x
        y, y_dot = x @ self.params["W"], None
        if x_dot is not None or params_dot:
            y_dot = self.jvp(x_dot, params_dot)
        return y, y_dot

    def backward(self, dy):
        self.backward_params(dy)
        return dy @ self.params["W"].T

    def backward_params(self, dy):
        self.grads["W"] = self.recall().T @ dy

    def jvp(self, x_dot, params_dot=None):
        y_dot = 0 if x_dot is None else x_dot @ self.params["W"]
        return y_dot if params_dot is None else y_dot + self.recall() @ params_dot["W"]


class Halved(Own):
    """Its gradient is half of what it was: each pass through backward shows."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["W"] *= 0.5
        return dx


class Quartered(Halved):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["W"] *= 0.5
        return dx


class Doubled(Own):
    def forward(self, x, train=True):
        return 2 * super().forward(x, train)


class HalfMixin:
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["W"] *= 0.5
        return dx


class Mixed(HalfMixin, Own):
    pass


class MixedTwice(HalfMixin, Halved):
    pass


SHARES = [(Own, 1), (Halved, 0.5), (Quartered, 0.25), (Mixed, 0.5), (MixedTwice, 0.25)]


@pytest.mark.parametrize(("make", "share"), SHARES)
def test_every_way_in_gives_the_gradients_of_the_changed_backward(make, share):
    """No method calls itself without end, and none is carried out twice."""
    x, _ = data()
    dy = to_device(np.random.default_rng(1).standard_normal((5, 3)))
    layer = make()
    expected = share * (to_host(x).T @ to_host(dy))
    for use in (layer.backward, layer.backward_params, mg.Sequential(layer).backward_params):
        layer.forward(x)
        layer.grads = {}
        use(dy)
        np.testing.assert_allclose(to_host(layer.grads["W"]), expected, rtol=1e-12)


def test_a_class_may_bring_a_fast_method_for_its_changed_backward():
    class FastAgain(Halved):
        def backward_params(self, dy):
            self.grads["W"] = 7 * (self.recall().T @ dy)

    x, _ = data()
    layer = FastAgain()
    layer.forward(x)
    layer.backward_params(x[:, :3])
    np.testing.assert_array_equal(to_host(layer.grads["W"]), 7 * to_host(x.T @ x[:, :3]))


def test_a_changed_forward_is_the_one_of_forward_jvp():
    x, _ = data()
    layer = Doubled()
    y = to_host(layer.forward(x))
    np.testing.assert_array_equal(y, 2 * to_host(Own().forward(x)))
    np.testing.assert_array_equal(to_host(layer.forward_jvp(x, x)[0]), y)
    np.testing.assert_array_equal(to_host(layer(x)), y)


def test_classes_that_meet_in_a_third_keep_the_order_of_python():
    class Jvp(mg.Linear):
        def jvp(self, x_dot, params_dot=None):
            return 3 * super().jvp(x_dot, params_dot)

    class Forward(mg.Linear):
        def forward(self, x, train=True):
            return 2 * super().forward(x, train)

    class Both(Jvp, Forward):
        pass

    x, _ = data()
    layer, plain = (c(4, 3, dtype="float64", seed=0) for c in (Both, mg.Linear))
    y, y_dot = layer.forward_jvp(x, x)
    np.testing.assert_array_equal(to_host(y), 2 * to_host(plain.forward(x)))
    np.testing.assert_array_equal(to_host(y_dot), 3 * to_host(plain.jvp(x)))


def test_a_method_that_is_set_on_one_object_counts_as_well():
    """It was passed by in a net's first place."""
    x, y = data()
    model = mg.Sequential(Own(), mg.Tanh())
    loss, layer = mg.CrossEntropyLoss(), model[0]
    Backprop().estimate(model, loss, x, y)
    expected = to_host(model.grads["0.W"]).copy()
    plain = layer.backward

    def half(dy):
        dx = plain(dy)
        layer.grads["W"] *= 0.5
        return dx

    layer.backward = half
    Backprop().estimate(model, loss, x, y)
    np.testing.assert_array_equal(to_host(model.grads["0.W"]), 0.5 * expected)
    seen, forward = [], layer.forward
    layer.forward = lambda *arguments: seen.append(1) or forward(*arguments)
    layer.forward_jvp(x, x)
    assert seen


def test_the_library_s_own_layers_keep_their_fast_methods():
    for layer in (mg.Linear, mg.Conv2d, mg.Sequential):
        assert layer.backward_params is not mg.Layer.backward_params
        assert layer.forward_jvp is not mg.Layer.forward_jvp


def test_layers_with_changed_methods_can_be_copied():
    x, _ = data()
    layer = Frozen(4, 3, dtype="float64", seed=0)
    layer.forward(x)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        twin.backward_params(to_device(np.ones((5, 3))))
        assert twin.grads == {}
    assert Frozen.backward.__name__ == "backward"


def test_a_net_with_methods_of_its_own_is_not_taken_apart():
    """With a backward alone of its own it was: perturbed activities passed its backward by."""

    class Clipped(mg.Sequential):
        def backward(self, dy):
            return super().backward(dy.clip(-1e-3, 1e-3))

    net = Clipped(mg.Linear(4, 4, dtype="float64", seed=0), mg.Tanh())
    assert not net.is_chain
    assert mg.Sequential().is_chain
    assert not residual().is_chain
    plain = mg.Sequential(mg.Sequential(mg.Tanh()), mg.Tanh())
    plain[0].forward = lambda x, train=True: x + 1
    assert not plain[0].is_chain
    assert [prefix for prefix, _ in chain(plain)] == ["0.", "1."]
    with pytest.raises(TypeError, match="of its own"):
        mg.rules.SyntheticGradients(
            Clipped(*mg.models.mlp((4, 5, 3), seed=0).layers), input_shape=(4,)
        )


class Smooth(mg.MSELoss):
    """L + 1: a loss with a forward of its own, made of its base's."""

    def forward(self, x, target):
        return super().forward(x, target) + 1


class SmoothEntropy(mg.CrossEntropyLoss):
    def forward(self, logits, target):
        return super().forward(logits, target) + 1


@pytest.mark.parametrize(
    ("loss", "plain", "target"),
    [
        (Smooth(), mg.MSELoss(), "numbers"),
        (SmoothEntropy(), mg.CrossEntropyLoss(), "labels"),
    ],
)
@pytest.mark.on_host
def test_a_loss_with_another_forward_has_not_the_old_loss_of_each_example(loss, plain, target):
    """The loss of each example was its base's."""
    x, y = data(classes=4)
    target = y if target == "labels" else x + 2
    assert loss(x, target) == plain(x, target) + 1
    with pytest.raises(NotImplementedError, match=r"Smooth.*has no each\(output, target\)"):
        loss.each(x, target)
    with pytest.raises(NotImplementedError, match=r"each_jvp\(output_dot\)"):
        loss.each_jvp(x)
    assert loss.jvp(x) == plain.jvp(x)
