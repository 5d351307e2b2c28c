"""Rule.why_not: it is None if and only if one step of training works; a refusal moves nothing."""

import functools
import math
import re

import numpy as np
import pytest
from cases import RULES, RuleCase, rule_cases

import minigrad as mg
from minigrad.backend import to_device


class NoDerivatives(mg.Layer):
    """A layer that a student has begun to write."""

    def forward(self, x, train=True):
        return 2 * x


class NoJvp(NoDerivatives):
    def backward(self, dy):
        return 2 * dy


class JvpAlone(NoDerivatives):
    def jvp(self, x_dot, params_dot=None):
        return 2 * x_dot


class OfTheBatch(mg.Loss):
    """A loss without `each`: of examples by themselves it knows nothing."""

    def forward(self, output, target):
        self.cache = output
        return float((output**2).sum())

    def backward(self):
        return 2 * self.cache

    def jvp(self, output_dot):
        return float((2 * self.cache * output_dot).sum())


def text_net():
    return mg.Sequential(
        mg.Embedding(9, 3, seed=0),
        mg.Flatten(),
        mg.Linear(12, 6, seed=1),
        mg.Tanh(),
        mg.Linear(6, 3, seed=2),
    )


def convnet():
    return mg.Sequential(
        mg.Conv2d(1, 2, 3, seed=0),
        mg.ReLU(),
        mg.MaxPool2d(2),
        mg.Flatten(),
        mg.Linear(18, 3, seed=1),
    )


def around(layer):
    """A network with this layer between others."""
    return lambda: mg.Sequential(
        mg.Linear(4, 5, seed=0), mg.Tanh(), layer(), mg.Linear(5, 3, seed=1)
    )


def first(layer):
    """A network with this layer before all parameters."""
    return lambda: mg.Sequential(
        layer(), mg.Linear(4, 5, seed=0), mg.Tanh(), mg.Linear(5, 3, seed=1)
    )


def frozen():
    model = mg.models.mlp((4, 6, 3), "tanh", seed=0)
    mg.freeze(model)
    return model


def frozen_batch_norm():
    """It has its running statistics alone, so one example is enough."""
    model = mg.models.mlp((4, 6, 5, 3), batch_norm=True, seed=0)
    names = [prefix for prefix, layer in model.leaves() if layer.buffers]
    mg.freeze(model, *(name.rstrip(".") for name in names))
    return model


MODELS = {  # name: (the model, the shape of an example)
    "frozen batch norm": (frozen_batch_norm, (4,)),
    "mlp": (lambda: mg.models.mlp((4, 6, 5, 3), "tanh", seed=0), (4,)),
    "batch norm": (lambda: mg.models.mlp((4, 6, 5, 3), batch_norm=True, seed=0), (4,)),
    "lenet": (lambda: mg.models.lenet(0.2, 0.2, seed=0), (1, 28, 28)),
    "convnet": (convnet, (1, 8, 8)),
    "text": (text_net, (4,)),
    "resnet": (
        lambda: mg.models.resnet(1, (2, 4), in_channels=1, classes=3, size=6, seed=0),
        (1, 6, 6),
    ),
    "one layer": (lambda: mg.Sequential(mg.Flatten(), mg.Linear(4, 3, seed=0)), (4,)),
    "not a Sequential": (lambda: mg.Linear(4, 3, seed=0), (4,)),
    "no parameters": (lambda: mg.Sequential(mg.Tanh()), (3,)),
    "all frozen": (frozen, (4,)),
    "no derivatives": (around(NoDerivatives), (4,)),
    "no jvp": (around(NoJvp), (4,)),
    "a jvp alone": (around(JvpAlone), (4,)),
    "no derivatives, first": (first(NoDerivatives), (4,)),
}
# What is to be seen in some of the cells. All others are as the step shows.
REFUSED = {
    ("ActivityPerturbation", "batch norm"): "BatchNorm1d makes each example's loss depend on",
    ("ActivityPerturbation", "resnet"): "BatchNorm2d makes each example's loss depend on",
    ("SyntheticGradients", "one layer"): "has no activation with parameters on both sides",
    ("SyntheticGradients", "not a Sequential"): "only a Sequential can be cut into blocks",
    ("WeightPerturbation", "no parameters"): "there is no direction to move in",
    ("Backprop", "a jvp alone"): "JvpAlone has no backward of its own yet, which Backprop needs",
    ("WeightPerturbation", "no jvp"): "NoJvp has no jvp of its own yet, which WeightPerturb",
    ("ForwardForward", "batch norm"): "BatchNorm1d makes each example's loss depend on",
    ("ForwardForward", "text"): "Embedding takes whole numbers, and ForwardForward writes a label",
    ("ForwardForward", "one layer"): "trains layers with an activation after them",
    ("PredictiveCoding", "a jvp alone"): "JvpAlone has no backward of its own yet",
    ("WellTempered", "no derivatives"): "NoDerivatives has no backward of its own yet",
}
MORE = [
    RuleCase("too many", lambda m: mg.rules.WeightPerturbation(999_999, "orthonormal")),
    RuleCase("sphere", lambda m: mg.rules.WeightPerturbation(2, "sphere")),
    RuleCase("differences", lambda m: mg.rules.WeightPerturbation(method="finite-difference")),
    RuleCase("guided", lambda m: mg.rules.GuidedForwardGradient(mg.rules.Backprop())),
    RuleCase(
        "guided by activities",
        lambda m: mg.rules.GuidedForwardGradient(mg.rules.ActivityPerturbation()),
    ),
    RuleCase("one example", lambda m: mg.rules.WellTempered(micro_batch_size=1)),
]


def a_batch(name, shape, n=4):
    """(x, labels)."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, (n, *shape)) if name == "text" else rng.standard_normal((n, *shape))
    x = x if name == "text" else x.astype("float32")
    return to_device(x), to_device(np.arange(n) % 3)


def state(model, optimizer=None):
    """Everything that a step may move, as text and arrays."""
    found = dict(model.state_dict())
    found |= {f"random/{i}": repr(layer.rng_state()) for i, layer in enumerate(model.modules())}
    if optimizer is not None:
        found |= {f"optimizer/{k}": v for k, v in optimizer.state_dict().items()}
    return found


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def why_not(case, model):
    """(the rule, or None if it cannot be made; why it cannot train the model)."""
    try:
        rule = case.make(model)
    except (TypeError, ValueError) as error:
        return None, str(error)
    return rule, rule.why_not(model, mg.CrossEntropyLoss())


@pytest.fixture
def given_shape(monkeypatch):
    """SyntheticGradients(m) of the table of cases gets the shape of an example, too."""
    make = mg.rules.SyntheticGradients

    def give(shape):
        monkeypatch.setattr(
            mg.rules, "SyntheticGradients", functools.partial(make, input_shape=shape)
        )

    return give


@pytest.mark.on_host
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("case", [*RULES, *MORE], ids=rule_cases["ids"])
def test_it_is_none_if_and_only_if_a_step_works(case, name, given_shape):
    make, shape = MODELS[name]
    given_shape(shape)
    model, (x, y) = make(), a_batch(name, shape)
    before = state(model)
    rule, reason = why_not(case, model)
    assert same(state(model), before)
    if (case.name, name) in REFUSED:
        assert REFUSED[case.name, name] in reason
    if rule is None:
        return
    asked = repr(rule.state_dict()), repr(rule.rng_state())
    rule.why_not(model, mg.CrossEntropyLoss())
    assert (repr(rule.state_dict()), repr(rule.rng_state())) == asked
    error = None
    try:
        for _ in range(8 if "half" in case.name else 1):  # that rule leaves blocks out
            assert math.isfinite(rule.estimate(model, mg.CrossEntropyLoss(), x, y))
    except (TypeError, ValueError, NotImplementedError) as found:
        error = found
    assert (reason is None) == (error is None), f"{case.name}, {name}: {reason}; {error}"
    if isinstance(error, ValueError) and "micro-batch" not in reason:
        assert str(error) == reason


@pytest.mark.parametrize("name", ["batch norm", "resnet"])
def test_fit_asks_before_anything_moves(name):
    make, shape = MODELS[name]
    model = make()
    optimizer = mg.SGD(model, 0.1, momentum=0.9)
    rule = mg.rules.AccumulatedGradients(
        mg.rules.ClippedGradients(mg.rules.ActivityPerturbation(), max_norm=1), 2
    )
    before = state(model, optimizer), rule.state_dict(), rule.rng_state()
    x, y = a_batch(name, shape, 8)
    dataset = mg.data.Dataset(x, y, classes=3)
    with pytest.raises(ValueError, match=r"BatchNorm\dd makes each example's loss depend on"):
        mg.fit(model, mg.CrossEntropyLoss(), rule, optimizer, dataset, epochs=1, batch_size=4)
    assert same(state(model, optimizer), before[0])
    assert (rule.state_dict(), rule.rng_state()) == before[1:]


@pytest.mark.on_host
def test_a_frozen_batch_norm_takes_one_example():
    model = frozen_batch_norm()
    x, y = a_batch("mlp", (4,), 5)
    parts = model, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(model, 0.1)
    dataset = mg.data.Dataset(x, y, classes=3)
    history = mg.fit(*parts, dataset, epochs=1, batch_size=4, progress=False)
    assert len(history.step_loss) == 2
    mg.unfreeze(model)
    with pytest.raises(ValueError, match="needs at least 2 examples in each batch"):
        mg.fit(*parts, dataset, epochs=1, batch_size=4, progress=False)


@pytest.mark.on_host
def test_the_loss_counts_too():
    model = mg.models.mlp((4, 6, 3), "tanh", seed=0)
    x, y = a_batch("mlp", (4,))
    numbers = to_device(np.ones((4, 3), "float32"))
    rules = {
        "activities": (mg.rules.ActivityPerturbation(), "OfTheBatch has no each_jvp(output_dot)"),
        "differences": (
            mg.rules.ActivityPerturbation(method="finite-difference"),
            "OfTheBatch has no each(output, target)",
        ),
        "weights": (mg.rules.WeightPerturbation(), None),
        "backprop": (mg.rules.Backprop(), None),
    }
    for name, (rule, expected) in rules.items():
        reason = rule.why_not(model, OfTheBatch())
        assert (reason is None) == (expected is None), name
        assert expected is None or reason.startswith(expected)
        assert rule.why_not(model) is None
        assert rule.why_not(model, mg.MSELoss()) is None
        if expected is None:
            assert math.isfinite(rule.estimate(model, OfTheBatch(), x, numbers))
        else:
            with pytest.raises(NotImplementedError):
                rule.estimate(model, OfTheBatch(), x, numbers)
    told, untold = (mg.rules.SyntheticGradients(model, c) for c in (True, False))
    labels = "needs integer labels (N,), and MSELoss has"
    assert labels in told.why_not(model, mg.MSELoss())
    for fit in (mg.fit, mg.asynchronous.fit):
        dataset = mg.data.Dataset(x, y, classes=3)
        with pytest.raises(ValueError, match=re.escape(labels)):
            fit(model, mg.MSELoss(), told, mg.SGD(model, 1), dataset, epochs=1, batch_size=2)
    with pytest.raises(TypeError, match=r"needs integer labels \(N,\), got float32"):
        told.estimate(model, mg.MSELoss(), x, numbers)
    assert untold.why_not(model, mg.MSELoss()) is None
    assert told.why_not(model, mg.CrossEntropyLoss()) is None

    class Changed(mg.CrossEntropyLoss):  # it does not inherit `each`
        def forward(self, output, target):
            return super().forward(output, target) + 1

    assert "Changed has no each_jvp" in mg.rules.ActivityPerturbation().why_not(model, Changed())
    assert mg.rules.WeightPerturbation().why_not(model, Changed()) is None


@pytest.mark.on_host
def test_methods_may_be_written_later_or_on_one_object():
    class Mine(NoDerivatives):
        pass

    model, rule = around(Mine)(), mg.rules.Backprop()
    assert "Mine has no backward" in rule.why_not(model)
    model[2].backward = lambda dy: 2 * dy
    assert rule.why_not(model) is None
    other = around(Mine)()
    assert "Mine has no backward" in rule.why_not(other)
    Mine.backward = NoJvp.backward
    assert rule.why_not(other) is None


@pytest.mark.on_host
def test_a_rule_of_ones_own_says_what_it_needs():
    class Alone(mg.rules.Backprop):
        def why_not(self, model, loss=None):
            if len(model) > 1:
                return "Alone trains one layer: give Sequential(layer)"
            return super().why_not(model, loss)

    class Duck:
        """No Rule, but it has what fit asks for."""

        def estimate(self, model, loss, x, target):
            return mg.rules.Backprop().estimate(model, loss, x, target)

        def end_epoch(self):
            pass

    model = mg.models.mlp((4, 3), seed=0)
    x, y = a_batch("mlp", (4,))
    optimizer = mg.SGD(model, 0.1)
    how = {"epochs": 1, "batch_size": 2, "progress": False}
    dataset = mg.data.Dataset(x, y, classes=3)
    with pytest.raises(ValueError, match="Alone trains one layer: give"):
        mg.fit(model, mg.CrossEntropyLoss(), Alone(), optimizer, dataset, **how)
    assert mg.fit(model, mg.CrossEntropyLoss(), Duck(), optimizer, dataset, **how).stopped is None
    assert mg.rules.Rule().why_not(model) is None


@pytest.mark.on_host
def test_another_model_is_refused():
    model, other = (mg.models.mlp((4, 6, 3), seed=s) for s in (0, 1))
    for kind in (mg.rules.SyntheticGradients, mg.rules.StaleGradients, mg.rules.TopLayerOnly):
        rule = kind(model)
        assert rule.why_not(model) is None
        assert "this rule's blocks are another model's" in rule.why_not(other)
    model.layers = (*model.layers, mg.Linear(3, 3, seed=0))
    assert "the model has other layers than when" in rule.why_not(model)
