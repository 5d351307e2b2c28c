"""Rules that send the error down without the transposed weights."""

import math

import numpy as np
import pytest
from reference.given_directions import Residual, close, gradients, linear

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.rules import (
    Backprop,
    DirectFeedbackAlignment,
    DirectRandomTargetProjection,
    FeedbackAlignment,
    SignSymmetric,
)
from minigrad.rules.feedback.weights import sent_through


def mlp(sizes=(4, 6, 5, 3), seed=0, **options):
    return mg.models.mlp(sizes, "tanh", dtype="float64", seed=seed, **options)


def batch(shape=(4,), n=6, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, *shape)), np.arange(n) % 3
    return mg.CrossEntropyLoss(), to_device(x), to_device(y)


def conv(*arguments, **options):
    return mg.Conv2d(*arguments, dtype="float64", **options)


def convnet():
    return mg.Sequential(
        conv(1, 2, 3, padding=1, seed=0),
        mg.ReLU(),
        mg.MaxPool2d(2),
        mg.Sequential(conv(2, 3, (2, 3), seed=1), mg.Tanh()),
        mg.Flatten(),
        linear(18, 3, 2),
    )


NETS = {  # a network, the shape of an example, the weights that send a gradient down
    "mlp": (mlp, (4,), ["3.W", "5.W"]),
    "batch norm": (lambda: mlp(batch_norm=True), (4,), ["4.W", "7.W"]),
    "convnet": (convnet, (1, 8, 8), ["3.0.W", "5.W"]),
    "resnet": (
        lambda: mg.models.resnet(
            1, (2, 4), in_channels=1, classes=3, size=6, shortcut="convolution", dtype="float64"
        ),
        (1, 6, 6),
        None,
    ),
    "places": (
        lambda: mg.Sequential(
            linear(4, 3, 0), mg.Tanh(), linear(3, 2, 1), mg.Flatten(), linear(10, 3, 2)
        ),
        (5, 4),
        ["2.W", "4.W"],
    ),
}
every_net = pytest.mark.parametrize("name", NETS)
each_rule = pytest.mark.parametrize(
    "make",
    [
        FeedbackAlignment,
        DirectFeedbackAlignment,
        DirectRandomTargetProjection,
        SignSymmetric,
    ],
)


def host(arrays):
    return {key: to_host(array) for key, array in arrays.items()}


@every_net
def test_with_the_weights_themselves_it_is_backprop(name):
    make, shape, names = NETS[name]
    model, parts = make(), batch(shape)
    _, expected = gradients(Backprop(), model, *parts)
    expected = host(expected)
    weights = sent_through(model)
    assert names is None or list(weights) == names
    aligned, signs = FeedbackAlignment(), SignSymmetric("fixed")
    aligned.feedback = dict(weights)
    signs.feedback = {key: abs(W) for key, W in weights.items()}
    for rule in (aligned, signs):
        _, found = gradients(rule, model, *parts)
        assert found.keys() == expected.keys()
        assert all(np.array_equal(to_host(g), expected[key]) for key, g in found.items())


@pytest.mark.parametrize("name", sorted(NETS.keys() - {"resnet"}))  # these are chains
def test_each_layers_own_formula_for_dw_is_used(name):
    """Down the chain by hand: dW from the layer itself, dx from a twin whose weights are B."""
    make, shape, _ = NETS[name]
    model, twin, (loss, x, y) = make(), make(), batch(shape)
    rule = FeedbackAlignment(seed=3)
    value, found = gradients(rule, model, loss, x, y)
    found = host(found)
    for key, B in rule.feedback.items():
        twin.params[key][...] = B
    twin_layers = [layer for _, layer in mg.rules.chain.chain(twin)]
    layers = [layer for _, layer in mg.rules.chain.chain(model)]
    assert value == loss.forward(model.forward(x), y)
    dy = loss.backward()
    for layer, other in zip(layers[::-1], twin_layers[::-1], strict=True):
        layer.backward(dy)
        other.cache = layer.cache
        dy = other.backward(dy)
    close(found, host(model.grads), 1e-12, 1e-14)
    assert all(B.shape == model.params[key].shape for key, B in rule.feedback.items())


def by_hand(net, x, y, down):
    """Gradients of an MLP of tanh: `down(l, dz above)` is what reaches h_l."""
    W = {i: to_host(net.params[f"{i}.W"]) for i in (1, 3, 5)}
    b = {i: to_host(net.params[f"{i}.b"]) for i in (1, 3, 5)}
    h = {0: to_host(x)}
    h[1] = np.tanh(h[0] @ W[1] + b[1])
    h[3] = np.tanh(h[1] @ W[3] + b[3])
    z = h[3] @ W[5] + b[5]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    e = dz = (p - np.eye(3)[to_host(y)]) / len(z)
    found = {}
    for layer, below in ((5, 3), (3, 1), (1, 0)):
        found |= {f"{layer}.W": h[below].T @ dz, f"{layer}.b": dz.sum(axis=0)}
        if below:
            dz = down(layer, dz, e) * (1 - h[below] ** 2)
    return found


def test_feedback_alignment_by_hand():
    model, (loss, x, y) = mlp(), batch()
    rule = FeedbackAlignment(2.0, seed=1)
    _, found = gradients(rule, model, loss, x, y)
    B = host(rule.feedback)
    close(found, by_hand(model, x, y, lambda l, dz, e: dz @ B[f"{l}.W"].T), 1e-12)
    assert {key: array.shape for key, array in B.items()} == {"3.W": (6, 5), "5.W": (5, 3)}
    assert abs(B["3.W"]).max() <= 2 / math.sqrt(6) < 2.3 * abs(B["3.W"]).max()


def test_direct_feedback_alignment_by_hand():
    model, (loss, x, y) = mlp(), batch()
    rule = DirectFeedbackAlignment(seed=1)
    _, found = gradients(rule, model, loss, x, y)
    B = host(rule.feedback)
    assert {key: array.shape for key, array in B.items()} == {"2": (3, 6), "4": (3, 5)}
    close(found, by_hand(model, x, y, lambda l, dz, e: e @ B[str(l - 1)]), 1e-12)


@pytest.mark.parametrize("as_probabilities", [False, True])
def test_direct_random_target_projection_by_hand(as_probabilities):
    model, (loss, x, y) = mlp(), batch()
    rule = DirectRandomTargetProjection(seed=1)
    onehot = np.eye(3)[to_host(y)]
    _, found = gradients(rule, model, loss, x, to_device(onehot) if as_probabilities else y)
    B = host(rule.feedback)
    close(found, by_hand(model, x, y, lambda l, dz, e: onehot @ B[str(l - 1)] / 6), 1e-12)


def test_one_hidden_layer_makes_both_alignments_one():
    model, parts = mlp((4, 6, 3)), batch()
    aligned, direct = FeedbackAlignment(seed=1), DirectFeedbackAlignment(seed=2)
    _, expected = gradients(aligned, model, *parts)
    expected = host(expected)
    direct.feedback["2"] = aligned.feedback["3.W"].T
    _, found = gradients(direct, model, *parts)
    close(found, expected, 1e-13)
    aligned.feedback["3.W"] = 1.1 * aligned.feedback["3.W"]
    with pytest.raises(AssertionError):
        close(gradients(aligned, model, *parts)[1], expected, 1e-3)


def test_images_get_the_error_in_their_own_shape():
    model, parts = convnet(), batch((1, 8, 8))
    rule = DirectFeedbackAlignment()
    gradients(rule, model, *parts)
    assert {k: B.shape for k, B in rule.feedback.items()} == {"1": (3, 128), "3": (3, 18)}


@each_rule
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_model_is_as_it_was(make, error):
    class Fails(mg.Tanh):
        def backward(self, dy):
            raise error("no")

    model = mg.Sequential(
        linear(4, 3, 0), Fails(), linear(3, 3, 1), mg.Tanh(), linear(3, 3, 2, bias=False)
    )
    before = [(leaf, leaf.params, dict(leaf.params)) for _, leaf in model.leaves()]
    values = model.state_dict()
    with pytest.raises(error):
        gradients(make(), model, *batch())
    for leaf, params, arrays in before:
        assert leaf.params is params
        assert all(params[key] is array for key, array in arrays.items())
    assert all(np.array_equal(array, values[key]) for key, array in model.state_dict().items())


def test_the_sizes_of_sign_symmetric_feedback():
    model, parts = mlp(), batch()
    W = to_host(model.params["3.W"])
    seen = {}

    def step(rule):
        """Feedback of a step, as the layer itself sees it."""
        layer = model.layers[3]
        backward = type(layer).backward

        def looks(self, dy):
            if self is layer:
                seen["B"] = to_host(self.params["W"]).copy()
            return backward(self, dy)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mg.Linear, "backward", looks)
            gradients(rule, model, *parts)
        return seen["B"]

    uniform = step(SignSymmetric("uniform", 3.0))
    np.testing.assert_allclose(uniform, np.sign(W) * 3 / math.sqrt(3 * 6), rtol=1e-12)
    for kind in ("fixed", "batchwise"):
        rule = SignSymmetric(kind, seed=4)
        first, second = step(rule), step(rule)
        assert np.array_equal(np.sign(first), np.sign(W))
        assert np.array_equal(first, second) == (kind == "fixed")
        assert abs(first).max() <= 1 / math.sqrt(6)
        assert abs(first).std() > 0.1 / math.sqrt(6)
        assert np.array_equal(step(SignSymmetric(kind, seed=4)), first)
        assert not np.array_equal(step(SignSymmetric(kind, seed=5)), first)
    model.params["3.W"][...] *= -1
    assert np.array_equal(step(SignSymmetric("uniform", 3.0)), -uniform)


# ------------------------------------------------------------------ whose transpose is replaced


class Decayed(mg.Linear):
    """Its gradient depends on its own weights, so others in their place would be wrong."""

    def backward_params(self, dy):
        super().backward_params(dy)
        self.grads["W"] = self.grads["W"] + 0.1 * self.params["W"]

    def backward(self, dy):
        self.backward_params(dy)
        return mg.kernels.dot(dy, self.params["W"].T)


class Scaled(mg.Layer):
    """A layer of a student's own, y = 2 x M. It says what sends a gradient down."""

    sends_through = "M"

    def __init__(self, n, m, seed):
        super().__init__("float64")
        self.params["M"] = to_device(np.random.default_rng(seed).standard_normal((n, m)))

    def forward(self, x, train=True):
        self.cache = x
        return 2 * mg.kernels.dot(x, self.params["M"])

    def backward(self, dy):
        self.grads = {"M": 2 * mg.kernels.dot(self.cache.T, dy)}
        return 2 * mg.kernels.dot(dy, self.params["M"].T)


class Again(Decayed):
    """A class that changes backward says it again if it is still true."""

    sends_through = "W"

    def backward_params(self, dy):
        mg.Linear.backward_params(self, dy)

    def backward(self, dy):
        return mg.Linear.backward(self, dy)


def test_only_a_layer_that_says_so_is_replaced():
    plain = linear(3, 3, 5)
    plain.backward = plain.backward  # set on this object: no one knows what it does
    inside = [
        linear(4, 3, 0), Decayed(3, 3, dtype="float64"), Scaled(3, 3, 1), plain, linear(3, 3, 2),
        Again(3, 3, dtype="float64"), Residual(linear(3, 3, 3)), mg.Residual(linear(3, 3, 4)),
    ]  # fmt: skip
    model = mg.Sequential(*inside)
    assert list(sent_through(model)) == ["2.M", "4.W", "5.W", "7.0.W"]
    rule, parts = FeedbackAlignment(), batch()
    gradients(rule, model, *parts)
    assert set(rule.feedback) == {"2.M", "4.W", "5.W", "7.0.W"}
    for key, W in sent_through(model).items():
        rule.feedback[key] = W
    _, found = gradients(rule, model, *parts)
    found = host(found)
    close(found, host(gradients(Backprop(), model, *parts)[1]), 1e-13)


@each_rule
def test_what_cannot_be_trained_is_said(make):
    rule = make()
    loss, x, y = batch()
    one = mg.Sequential(linear(4, 3, 0))
    unsaid = mg.Sequential(linear(4, 3, 0), mg.Tanh(), Decayed(3, 3, dtype="float64"))
    both = (one, unsaid) if isinstance(rule, FeedbackAlignment | SignSymmetric) else (one,)
    for model in both:
        said = rule.why_not(model, loss)
        assert "would be backprop here" in said or "has no activation with parameters" in said
        with pytest.raises(ValueError, match="would be backprop|has no activation"):
            rule.estimate(model, loss, x, y)
    numbers = rule.why_not(mlp(), mg.MSELoss())
    if make is DirectRandomTargetProjection:
        assert "needs integer labels (N,)" in numbers
        assert "MSELoss has targets that are numbers" in numbers
        assert rule.why_not(mlp(), mg.BCEWithLogitsLoss()) is None
        with pytest.raises(TypeError, match=r"needs integer labels \(N,\), or a .*got float64 of"):
            rule.signal(loss, x, x[:, 0])
        rule.estimate(mlp(), mg.BCEWithLogitsLoss(), x, to_device(np.eye(3)[to_host(y)]))
    else:
        assert numbers is None
        assert math.isfinite(rule.estimate(mlp(), mg.MSELoss(), x, x[:, :3]))


@each_rule
def test_wrong_feedback_is_refused(make):
    kind = {"kind": "fixed"} if make is SignSymmetric else {}
    rule, model, parts = make(**kind), mlp(), batch()
    rule.estimate(model, *parts)
    name = next(iter(rule.feedback))
    kept = rule.feedback[name]
    rule.feedback[name] = kept.astype("float32")
    rule.estimate(model, *parts)
    assert rule.feedback[name].dtype == np.dtype("float64")
    rule.feedback[name] = kept[:-1]
    with pytest.raises(ValueError, match=rf"feedback\['{name}'\] must have shape .* make a new"):
        rule.estimate(model, *parts)
    rule.feedback = {"7.W": kept}
    with pytest.raises(ValueError, match=r"feedback has \['7.W'\], and this model needs"):
        rule.estimate(model, *parts)
    with pytest.raises(ValueError, match="scale must be a number > 0"):
        make(scale=0.0)
    with pytest.raises(ValueError, match="seed must be an integer"):
        make(seed=-1)
    if make is SignSymmetric:
        with pytest.raises(ValueError, match="kind must be one of uniform, batchwise, fixed"):
            SignSymmetric("random")


@each_rule
def test_a_wrong_state_changes_nothing(make):
    kind = {"kind": "fixed"} if make is SignSymmetric else {}
    rule, model, parts = make(**kind), mlp(), batch()
    rule.estimate(model, *parts)
    state = rule.state_dict()
    key = next(key for key in state if key.startswith("feedback/"))
    for wrong in (
        {"feedback/9.W": state[key]},
        {key: state[key].astype("float32")},
        {key: state[key] * np.nan},
        {key: state[key].T},
        {key: state[key][:, :-1]},
        {"shapes": "3.W: (6, 5)"},
    ):
        with pytest.raises((KeyError, ValueError)):
            rule.load_state_dict(model, state | wrong)
        assert all(np.array_equal(a, state[k]) for k, a in rule.state_dict().items())
    new = make(**kind)
    rule.load_state_dict(model, new.state_dict())
    assert rule.feedback == {}
    if make is SignSymmetric:
        with pytest.raises(KeyError, match="keeps no sizes"):
            SignSymmetric().load_state_dict(model, state)


@each_rule
def test_convolutions_go_on_bit_for_bit(make):
    """A matrix that is loaded lies in memory as the one that was drawn."""
    kind = {"kind": "fixed"} if make is SignSymmetric else {}
    model = convnet()
    loss, x, y = batch((1, 8, 8))
    first, second = make(**kind, seed=1), make(**kind, seed=2)
    first.estimate(model, loss, x, y)
    for key, B in first.feedback.items():  # one's own may lie in any order
        first.feedback[key] = B.T.copy().T
    first.estimate(model, loss, x, y)
    second.load_state_dict(model, first.state_dict())
    grads = []
    for rule in (first, second):
        rule.estimate(model, loss, x, y)
        grads.append(host(model.grads))
    assert all(np.array_equal(grad, grads[1][key]) for key, grad in grads[0].items())
    assert any(grad.any() for grad in grads[0].values())


@pytest.mark.on_host
def test_a_cuda_graph_of_them_is_refused_in_a_true_sentence(monkeypatch):
    monkeypatch.setattr(np, "cuda", type("cuda", (), {"Stream": None}), raising=False)
    for rule in (FeedbackAlignment(), mg.rules.LocalLosses(mlp())):
        with pytest.raises(ValueError, match=f"does not record {type(rule).__name__}. Leave"):
            mg.capture.check_suitable(mlp(), rule)


# ------------------------------------------------------------------ they learn


def cosine(a, b):
    a, b = (to_host(v).ravel() for v in (a, b))
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.on_host
@pytest.mark.parametrize("make", [FeedbackAlignment, DirectFeedbackAlignment])
def test_the_weights_come_to_align_with_the_feedback(make):
    """The angle between the rule's gradient and the true one: 90 degrees, then far less."""
    train, test = mg.data.load_digits()
    model = mg.models.mlp((784, 40, 30, 10), "tanh", seed=0)
    rule, loss, optimizer = make(seed=1), mg.CrossEntropyLoss(), mg.Adam(model, 3e-3)
    probe = loss, train.x[:500], train.y[:500]

    def angles():
        _, true = gradients(Backprop(), model, *probe)
        true = host(true)
        _, found = gradients(rule, model, *probe)
        return [math.degrees(math.acos(cosine(found[key], true[key]))) for key in ("1.W", "3.W")]

    before = angles()
    mg.fit(model, loss, rule, optimizer, train, epochs=5, batch_size=50, progress=False)
    after = angles()
    assert all(70 < angle < 110 for angle in before), before
    assert all(angle < 65 for angle in after), after
    assert mg.evaluate(model, loss, test)[1] > 0.9
