"""Forward-forward: its gradient, its evaluation, and what it needs of a model."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.rules import AccumulatedGradients, Backprop, ClippedGradients, ForwardForward

CE = mg.CrossEntropyLoss()


def network(seed=0, dtype="float64"):
    return mg.models.mlp((6, 5, 4, 3), "tanh", dtype=dtype, seed=seed)


def batch(n=7, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 6)), rng.integers(0, 3, n)


def scores(model, x, labels, threshold=0.2, temperature=0.02):
    """s_l of each layer with an activation, written out: [(N,), ...]."""
    p = {name: to_host(array) for name, array in model.params.items()}
    h = np.concatenate([np.eye(3)[labels], x[:, 3:]], axis=1)
    found = []
    for layer in ("1.", "3."):
        h = h / (np.sqrt((h**2).mean(axis=1, keepdims=True)) + 1e-8)
        h = np.tanh(h @ p[layer + "W"] + p[layer + "b"])
        found.append(((h**2).mean(axis=1) - threshold) / temperature)
    return found


class Told(ForwardForward):
    """Its wrong labels are those that a test gives."""

    wrong = None

    def _wrong(self, model, x, target):
        return to_device(self.wrong, like=target)


def test_each_layer_has_the_gradient_of_its_own_loss():
    """Central differences of L_l by the parameters of layer l alone."""
    model, (x, y) = network(), batch()
    rule = Told(3, 0.3, 0.5, label=1.0)
    rule.wrong = (y + 1) % 3
    value = rule.estimate(model, CE, to_device(x), to_device(y))
    grads = {name: to_host(grad).copy() for name, grad in model.grads.items()}
    assert set(grads) == {"1.W", "1.b", "3.W", "3.b"}

    def losses():
        pairs = zip(*(scores(model, x, t, 0.3, 0.5) for t in (y, rule.wrong)), strict=True)
        return [(np.log1p(np.exp(-a)) + np.log1p(np.exp(b))).mean() / 2 for a, b in pairs]

    assert value == pytest.approx(sum(losses()), rel=1e-12)
    for name, grad in grads.items():
        param, number = model.params[name], 0 if name.startswith("1.") else 1
        for index in [(0,) * grad.ndim, tuple(k - 1 for k in grad.shape)]:
            found = []
            for sign in (1, -1):
                param[index] += sign * 1e-6
                found.append(losses()[number])
                param[index] -= sign * 1e-6
            assert grad[index] == pytest.approx((found[0] - found[1]) / 2e-6, abs=1e-8)


def test_the_outputs_are_the_goodness_of_each_label():
    model, (x, _) = network(), batch()
    found = to_host(ForwardForward(3).outputs(model, to_device(x)))
    each = [scores(model, x, np.full(7, c))[1] for c in range(3)]  # without the first layer
    np.testing.assert_allclose(found, np.stack(each, axis=1), rtol=1e-10)
    assert found.shape == (7, 3)
    one = mg.Sequential(*model.layers[:3])
    alone = to_host(ForwardForward(3).outputs(one, to_device(x)))
    each = [scores(model, x, np.full(7, c))[0] for c in range(3)]
    np.testing.assert_allclose(alone, np.stack(each, axis=1), rtol=1e-10)


def test_fit_and_evaluate_measure_the_outputs_of_the_rule():
    x, y = batch(40)
    train = mg.data.Dataset(x.astype("float32"), y, classes=3)
    model = network(dtype="float32")
    for rule in (
        ForwardForward(3, seed=1),
        ClippedGradients(AccumulatedGradients(ForwardForward(3), 2), max_norm=1),
    ):
        history = mg.fit(
            *(model, CE, rule, mg.Adam(model, 0.01), train, train),
            epochs=2,
            batch_size=10,
            metrics=["top_2"],
            progress=False,
        )
        found = to_host(rule.outputs(model, to_device(x.astype("float32"))))
        assert history.train_accuracy[-1] == (found.argmax(axis=1) == y).mean()
        assert history.train_loss[-1] == pytest.approx(CE(found, y), rel=1e-6)
        assert history.test_loss == history.train_loss
        value, accuracy = mg.evaluate(model, CE, train, 7, rule=rule)
        assert value == pytest.approx(history.train_loss[-1], rel=1e-6)
        assert accuracy == history.train_accuracy[-1]
        named = mg.evaluate(model, CE, train, metrics=["top_2"], rule=rule)
        assert named["top_2"] == history.metrics["train_top_2"][-1]
    plain = mg.evaluate(model, CE, train)
    assert plain != (value, accuracy)
    assert mg.evaluate(model, CE, train, rule=Backprop()) == plain


@pytest.mark.parametrize("negatives", ["random", "hard"])
def test_wrong_labels_are_wrong_and_as_likely_as_they_should_be(negatives):
    model = network()
    x = np.repeat(batch(1)[0], 3000, axis=0)
    y = np.zeros(3000, int)
    rule = ForwardForward(3, temperature=0.01, negatives=negatives, seed=5)
    wrong = to_host(rule._wrong(model, to_device(x), to_device(y)))
    assert set(np.unique(wrong)) == {1, 2}
    share = 0.5
    if negatives == "hard":
        s = to_host(rule.outputs(model, to_device(x[:1])))[0]
        share = 1 / (1 + np.exp(s[2] - s[1]))
        assert abs(share - 0.5) > 0.05
    assert (wrong == 1).mean() == pytest.approx(share, abs=5 * np.sqrt(0.25 / 3000))


def test_images_keep_their_shape_and_x_is_not_changed():
    model = mg.Sequential(
        mg.Conv2d(1, 2, 3, dtype="float64", seed=0), mg.ReLU(), mg.Flatten(),
        mg.Linear(8, 5, dtype="float64", seed=1), mg.ReLU(),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    x, y = to_device(rng.standard_normal((6, 1, 4, 4))), to_device(rng.integers(0, 3, 6))
    before = to_host(x).copy()
    rule = ForwardForward(3)
    assert rule.why_not(model, CE) is None
    assert np.isfinite(rule.estimate(model, CE, x, y))
    assert abs(to_host(model.grads["0.W"])).max() > 0
    np.testing.assert_array_equal(to_host(x), before)
    told = to_host(rule.labelled(x, y)).reshape(6, -1)
    np.testing.assert_array_equal(told[:, :3], np.eye(3)[to_host(y)])
    np.testing.assert_array_equal(told[:, 3:], before.reshape(6, -1)[:, 3:])


def test_labels_that_do_not_count_are_left_out():
    model, (x, y) = network(), batch()
    rule = Told(3)
    rule.wrong = (y[:5] + 1) % 3
    value = rule.estimate(model, CE, to_device(x[:5]), to_device(y[:5]))
    kept = {name: to_host(grad).copy() for name, grad in model.grads.items()}
    y[5:] = -100
    loss = mg.CrossEntropyLoss(ignore_index=-100)
    assert rule.estimate(model, loss, to_device(x), to_device(y)) == value
    for name, grad in kept.items():
        np.testing.assert_array_equal(to_host(model.grads[name]), grad)
    with pytest.raises(ValueError, match=r"no label of this batch counts \(ignore_index=-100\)"):
        rule.estimate(model, loss, to_device(x[5:]), to_device(y[5:]))
    assert rule.steps == 2


@pytest.mark.on_host
def test_it_says_what_it_needs():
    why = lambda *layers, **how: ForwardForward(3).why_not(  # noqa: E731
        mg.Sequential(*layers), how.get("loss", CE)
    )
    linear = lambda a, b: mg.Linear(a, b, seed=0)  # noqa: E731
    assert why(linear(4, 5), mg.ReLU()) is None
    assert "x has 2: give classes=" in why(linear(2, 5), mg.ReLU())
    assert "BatchNorm1d makes each example's" in why(linear(4, 5), mg.BatchNorm1d(5), mg.ReLU())
    assert "takes whole numbers" in why(mg.Embedding(9, 3, seed=0), mg.Flatten(), mg.ReLU())
    assert "an activation after them" in why(linear(4, 3))
    assert "MSELoss has targets like its output" in why(linear(4, 5), mg.ReLU(), loss=mg.MSELoss())
    model, (x, y) = network(), batch()
    with pytest.raises(TypeError, match=r"integer labels \(N,\), got float64 of shape \(7, 6\)"):
        ForwardForward(3).estimate(model, CE, x, x)
    with pytest.raises(ValueError, match=r"labels must be in \[0, 2\), got 0 to 2; give Forward"):
        ForwardForward(2).estimate(model, CE, x, y)
    flat = mg.Sequential(mg.Flatten(), mg.Conv2d(1, 1, 1, seed=0), mg.ReLU())
    with pytest.raises(ValueError, match="at least classes=10 numbers for each example, got 6"):
        ForwardForward().outputs(flat, x)
    for options, message in [
        ({"classes": 1}, "classes must be an integer of at least 2"),
        ({"negatives": "soft"}, "negatives must be one of random, hard"),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"threshold": -1}, "threshold must be a number >= 0"),
        ({"label": 0}, "label must be above 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            ForwardForward(**options)
    with pytest.raises(TypeError, match="rule must be a Rule"):
        mg.evaluate(model, CE, mg.data.Dataset(x.astype("float32"), y, classes=3), rule=3)


@pytest.mark.on_host
def test_it_learns_the_digits():
    train, test = mg.data.load("digits")
    net = mg.models.mlp((train.x[0].size, 60, 60, 10), seed=0)
    parts = net, CE, ForwardForward(negatives="hard"), mg.Adam(net, 0.001), train, test
    history = mg.fit(*parts, epochs=7, batch_size=20, progress=False, evaluate_every=7)
    assert history.test_accuracy[-1] > 0.8
