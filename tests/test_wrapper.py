"""Rules that wrap other rules: gradient clipping, written from the docstring of Wrapper alone."""

import math

import numpy as np
import pytest
from cases import rule_cases

import minigrad as mg
from minigrad.backend import to_device, to_host


class Clipped(mg.rules.Wrapper):
    """The whole gradient, shortened to a length of at most `limit`."""

    def __init__(self, rule, limit):
        super().__init__(rule)
        self.limit = limit

    def estimate(self, model, loss, x, target):
        value = super().estimate(model, loss, x, target)
        squares = sum(float((to_host(g).astype("float64") ** 2).sum()) for g in grads_of(model))
        factor = min(1.0, self.limit / math.sqrt(squares)) if squares else 1.0
        for _, layer in model.leaves():
            layer.grads = {name: factor * grad for name, grad in layer.grads.items()}
        return value


class Counting(mg.rules.Wrapper):
    """A wrapper with a state of its own."""

    def __init__(self, rule):
        super().__init__(rule)
        self.count = 0

    def estimate(self, model, loss, x, target):
        self.count += 1
        return super().estimate(model, loss, x, target)

    def state_dict(self):
        return super().state_dict() | {"count": self.count}

    def load_state_dict(self, model, state):
        state = dict(state)
        count = int(state.pop("count"))
        super().load_state_dict(model, state)
        self.count = count


class Spy(mg.rules.Rule):
    """Writes down how it is called."""

    cost = 7.0

    def __init__(self):
        self.calls = []

    def estimate(self, model, loss, x, target):
        self.calls.append("estimate")
        return 1.5

    def end_epoch(self):
        self.calls.append("end_epoch")

    def rescale(self, factor):
        self.calls.append(factor)

    def state_dict(self):
        return {"calls": len(self.calls)}

    def load_state_dict(self, model, state):
        assert model == "the model"
        assert state == {"calls": 4}
        self.calls.append("load")


def grads_of(model):
    return [grad for _, layer in model.leaves() for grad in layer.grads.values()]


def length(model):
    return math.sqrt(sum(float((to_host(g).astype("float64") ** 2).sum()) for g in grads_of(model)))


def network(dtype="float64", seed=0):
    return mg.models.mlp((4, 6, 5, 3), "tanh", dtype=dtype, seed=seed)


def batches(count):
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield to_device(rng.standard_normal((6, 4))), to_device(rng.integers(0, 3, 6))


def train(rule, model, optimizer, steps):
    found = []
    for x, y in steps:
        found.append(rule.estimate(model, mg.CrossEntropyLoss(), x, y))
        optimizer.step()
    return found


@pytest.mark.on_host
def test_everything_reaches_the_wrapped_rule():
    spy = Spy()
    rule = mg.rules.Wrapper(mg.rules.Wrapper(spy))
    assert rule.estimate(None, None, None, None) == 1.5
    rule.end_epoch()
    rule.rescale(0.25)
    assert rule.cost == 7
    assert rule.state_dict() == {"rule/rule/calls": 3}
    rule.load_state_dict("the model", {"rule/rule/calls": 4})
    assert spy.calls == ["estimate", "end_epoch", 0.25, "load"]
    assert repr(rule) == "Wrapper(rule=Wrapper(rule=Spy()))"
    assert repr(Clipped(spy, 1)) == "Clipped(rule=Spy(), limit=1)"


@pytest.mark.on_host
def test_a_wrapper_takes_a_rule_and_its_own_state_only():
    with pytest.raises(TypeError, match=r"rule must be a Rule, got <class .*; write Clipped\("):
        Clipped(mg.rules.Backprop, 1.0)
    with pytest.raises(KeyError, match=r"Clipped keeps nothing of its own, got \['steps'\]"):
        Clipped(mg.rules.Backprop(), 1.0).load_state_dict(None, {"steps": 3})
    with pytest.raises(KeyError, match="Backprop keeps nothing"):
        Clipped(mg.rules.Backprop(), 1.0).load_state_dict(None, {"rule/steps": 3})


@pytest.mark.parametrize("case", **rule_cases)
def test_clipping_works_around_every_rule(case):
    """The same direction, at most the limit long; and nothing else is different."""
    model, twin = network(), network()
    rule, plain = Clipped(case.make(model), 0.05), case.make(twin)
    assert rule.cost == plain.cost
    lengths = []
    for x, y in batches(9):
        values = [
            r.estimate(m, mg.CrossEntropyLoss(), x, y) for r, m in ((rule, model), (plain, twin))
        ]
        assert values[0] == values[1]
        lengths.append(length(twin))
        factor = min(1.0, 0.05 / lengths[-1]) if lengths[-1] else 1.0
        assert model.grads.keys() == twin.grads.keys()
        for key, grad in twin.grads.items():
            np.testing.assert_allclose(
                to_host(model.grads[key]), factor * to_host(grad), rtol=1e-12
            )
        rule.end_epoch()
        plain.end_epoch()
    assert max(lengths) > 0.05


@pytest.mark.parametrize("case", **rule_cases)
def test_a_clipped_run_goes_on_after_it_was_saved(case, tmp_path):
    model, fresh = network(), network(seed=5)
    make = lambda m: Counting(Clipped(case.make(m), 0.05))  # noqa: E731
    rule, optimizer = make(model), mg.SGD(model, 0.1)
    steps = list(batches(7))
    train(rule, model, optimizer, steps[:3])
    np.savez(tmp_path / "rule.npz", **rule.state_dict())
    fresh.load_state_dict(model.state_dict())
    other = make(fresh)
    with np.load(tmp_path / "rule.npz", allow_pickle=False) as file:
        other.load_state_dict(fresh, dict(file))
    assert other.count == 3
    unbroken = train(rule, model, optimizer, steps[3:])
    assert train(other, fresh, mg.SGD(fresh, 0.1), steps[3:]) == unbroken


@pytest.mark.parametrize("inside", [True, False])
def test_clipping_inside_and_outside_of_well_tempered(inside):
    """Inside, ρ is that of clipped gradients; outside, what is gated is clipped. Both are gated."""
    model = network()
    if inside:
        well = mg.rules.WellTempered(Clipped(mg.rules.Backprop(), 0.05))
        rule = well
    else:
        well = mg.rules.WellTempered()
        rule = Clipped(well, 0.05)
    optimizer = mg.SGD(model, 0.1)
    train(rule, model, optimizer, batches(4))
    assert math.isnan(well.fraction_below_one)
    rule.end_epoch()  # reaches WellTempered, though Clipped does not mention it
    assert 0 < well.fraction_below_one < 1
    train(rule, model, optimizer, batches(1))
    assert 0 < length(model) < 0.05 * (1 + 1e-12)
    if inside:
        gates = [to_host(gate) for gate in well._gates.values()]
        assert min(gate.min() for gate in gates) < 1


def test_a_schedule_reaches_modules_through_two_wrappers():
    """fit's schedule moves the modules' lr: Clipped(WellTempered(SyntheticGradients))."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((15, 4)).astype("float32"), rng.integers(0, 3, 15)
    model = network("float32")
    synthetic = mg.rules.SyntheticGradients(model, lr=0.02)
    rule = Clipped(mg.rules.WellTempered(synthetic), 0.1)
    adam = mg.Adam(model, 0.01)
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
    assert history.stopped is None
    assert synthetic.modules[0].optimizer.lr == pytest.approx(0.02 * 0.5**6)
    assert not math.isnan(rule.rule.fraction_below_one)  # end_epoch was heard, too
    assert history.settings["rule"].startswith("Clipped(rule=WellTempered(rule=SyntheticGradients(")


def test_a_clipped_guide_is_a_guide():
    model = network()
    rule = mg.rules.GuidedForwardGradient(Clipped(mg.rules.Backprop(), 1e-3))
    ((x, y),) = batches(1)
    rule.estimate(model, mg.CrossEntropyLoss(), x, y)
    grads = {key: to_host(grad).copy() for key, grad in model.grads.items()}
    mg.rules.Backprop().estimate(model, mg.CrossEntropyLoss(), x, y)
    for key, grad in grads.items():  # the projection does not depend on the guide's length
        np.testing.assert_allclose(grad, to_host(model.grads[key]), rtol=1e-9, atol=1e-12)


@pytest.mark.on_host
def test_the_docstrings_example_runs():
    """Halved, as the docstring of Wrapper has it."""
    text = mg.rules.Wrapper.__doc__
    lines = text[text.index("        class Halved") : text.index("    Epochs, schedules")]
    names = {"mg": mg}
    exec("\n".join(line[8:] for line in lines.rstrip().splitlines()), names)
    model, ((x, y),) = network(), batches(1)
    mg.rules.Backprop().estimate(model, mg.CrossEntropyLoss(), x, y)
    expected = {key: grad.copy() for key, grad in model.grads.items()}
    names["Halved"](mg.rules.Backprop()).estimate(model, mg.CrossEntropyLoss(), x, y)
    for key, grad in expected.items():
        np.testing.assert_array_equal(model.grads[key], grad / 2)
