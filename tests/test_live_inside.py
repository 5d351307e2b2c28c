"""Look inside one step: its formulas' numbers are those that the library computes."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad.compare.rules import RULES as COMPARED
from minigrad.live.inside import ORDERS
from minigrad.live.inside.backward import Backward
from minigrad.live.inside.forward import Forward
from minigrad.live.inside.look import Subject, looked_into
from minigrad.live.inside.small import Passes, Small, TooLarge
from minigrad.live.inside.surface import Plane, directions, near, surface
from minigrad.live.inside.text import number, plain
from minigrad.live.inside.weight import compared
from minigrad.live.race import Race
from minigrad.live.settings import Settings
from minigrad.live.trail import MOST, Trail, flat
from minigrad.rules import Backprop, WeightPerturbation

pytestmark = pytest.mark.on_host
CLASSES = ["a", "b", "c"]


def subject(sizes=(2, 4, 3), activation="tanh", twice=False, rule=None, seed=3, bias=True):
    """A small network with random weights, one example, and a rule."""
    net = mg.models.mlp(sizes, activation, seed=seed, bias=bias)
    rng = np.random.default_rng(seed)
    for p in net.params.values():
        p[...] = rng.standard_normal(p.shape)
    if twice:
        net = mg.Sequential(*net.layers, mg.Softmax())
    rule = rule(net) if rule else Backprop()
    x = rng.standard_normal(sizes[0])
    return Subject(net, mg.CrossEntropyLoss(), rule, x, 1, CLASSES)


def wide(of):
    """The network in float64, its loss, and the example as a batch."""
    net = mg.Sequential(*of.model.layers)
    params = {name: p.astype("float64") for name, p in net.params.items()}
    sizes = [p.shape for name, p in params.items() if name.endswith("W")]
    act = type(net.layers[2]).__name__.lower()
    made = mg.models.mlp((sizes[0][0], *(s[1] for s in sizes)), act, dtype="float64", seed=0)
    if isinstance(net.layers[-1], mg.Softmax):
        made = mg.Sequential(*made.layers, mg.Softmax())
    made.params = params
    return made, mg.CrossEntropyLoss(), of.x[None], np.array([of.y])


CASES = [(name, twice) for name in mg.models.ACTIVATIONS for twice in (False, True)]


@pytest.mark.parametrize(("activation", "twice"), CASES)
def test_each_line_is_the_library_s_number(activation, twice):
    """Σ of the products in a formula = the value beside it; the values are those of the layers."""
    for seed, sizes in enumerate([(2, 4, 3), (2, 8, 5, 2), (3, 3)]):
        of = subject(sizes, activation, twice, seed=seed)
        net = Small(of.model, of.loss)
        rng = np.random.default_rng(seed)
        v = {name: rng.standard_normal(p.shape) for name, p in of.model.params.items()}
        passes = Passes(net, of.x, of.y, v)
        forward = Forward(passes, CLASSES, "")
        backward = Backward(passes, forward)
        lines = [
            line
            for step in [*forward.steps(), *backward.steps()]
            for line in (*step.left.lines, *step.right.lines)
        ]
        assert sum(bool(line.products) for line in lines) > len(lines) / 2
        for line in lines:
            if line.products:
                found = sum(map(math.prod, line.products))
                assert found == pytest.approx(line.value, rel=1e-12, abs=1e-12), line
        assert backward.slopes.keys() >= {k for k in passes.values if k[0] in "Wbzh"}


@pytest.mark.parametrize(("activation", "twice"), CASES)
def test_gradients_and_slope_are_backprop_s(activation, twice):
    of = subject((2, 6, 4, 3), activation, twice)
    net, loss, x, y = wide(of)
    Backprop().estimate(net, loss, x, y)
    rng = np.random.default_rng(0)
    v = {name: rng.standard_normal(p.shape) for name, p in net.params.items()}
    small = Small(of.model, of.loss)
    passes = Passes(small, of.x, of.y, v)
    for stage, (name, grad) in enumerate(net.grads.items()):
        layer = stage // 2 + 1
        for index, true in np.ndenumerate(grad):
            key = f"{name[-1]}{layer}." + ".".join(str(i + 1) for i in index)
            assert passes.gradients[key] == pytest.approx(float(true), rel=1e-12, abs=1e-15)
    slope = sum(float((net.grads[name] * v[name]).sum()) for name in v)
    assert passes.tangents["L"] == pytest.approx(slope, rel=1e-10)
    above, below = small.quotient(of.x, of.y, v, 1e-6)
    assert (above - below) / 2e-6 == pytest.approx(slope, rel=1e-5, abs=1e-8)
    assert passes.values["L"] == pytest.approx(loss.forward(net.forward(x), y), rel=1e-14)


RULES = {
    "feedback alignment": lambda net: mg.rules.FeedbackAlignment(seed=5),
    "signs": lambda net: mg.rules.SignSymmetric(),
    "direct": lambda net: mg.rules.DirectFeedbackAlignment(seed=5),
    "label": lambda net: mg.rules.DirectRandomTargetProjection(seed=5),
    "top layer": lambda net: mg.rules.TopLayerOnly(net),
    "modules": lambda net: mg.rules.SyntheticGradients(net, seed=5),
    "modules without labels": lambda net: mg.rules.SyntheticGradients(
        net, conditioned=False, seed=5
    ),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("trained", [False, True])
def test_what_a_rule_sends_is_what_it_estimates(name, trained):
    """The drawn way of a rule ends in the gradients that its `estimate` gives."""
    of = subject((2, 5, 4, 3), "tanh", rule=RULES[name])
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((20, 2)).astype("float32"), rng.integers(0, 3, 20)
    if trained:  # modules have learned something, and matrices are drawn
        optimizer = mg.SGD(of.model, 0.1)
        for _ in range(30):
            of.rule.estimate(of.model, of.loss, x, y)
            optimizer.step()
    drawn = looked_into(of, backward="rule")
    assert drawn["backward"] == "rule"
    of.rule.estimate(of.model, of.loss, of.x[None].astype("float32"), np.array([of.y]))
    slopes = drawn["numbers"]["gradient"]
    for layer, prefix in enumerate(("1.", "3.", "5."), 1):
        for kind in "Wb":
            grad = of.model.grads.get(prefix + kind)
            for index in np.ndindex(of.model.params[prefix + kind].shape):
                key = f"{kind}{layer}." + ".".join(str(i + 1) for i in index)
                if grad is None:
                    assert key not in slopes
                else:
                    assert slopes[key] == pytest.approx(float(grad[index]), rel=1e-4, abs=1e-6)


def test_the_next_direction_is_the_rule_s():
    """Slope times direction is what the next estimate of a forward gradient will be."""
    of = subject(rule=lambda net: WeightPerturbation(seed=4))
    drawn = looked_into(of, "rule")
    assert drawn["direction"] == "rule"
    assert drawn["steps"][-1]["title"] == "What this rule makes of it"
    of.rule.estimate(of.model, of.loss, of.x[None].astype("float32"), np.array([of.y]))
    numbers = drawn["numbers"]["tangent"]
    found = numbers["L"] * numbers["W1.2.3"]
    assert found == pytest.approx(float(of.model.grads["1.W"][1, 2]), rel=1e-4)


@pytest.mark.parametrize("name", ["backprop", *RULES, "forward"])
def test_nothing_of_the_training_changes(name):
    make = RULES | {
        "backprop": lambda net: Backprop(),
        "forward": lambda net: WeightPerturbation(2, seed=1),
    }
    of = subject(rule=make[name])

    def state():
        rule = {k: str(v) for k, v in of.rule.state_dict().items()}
        params = {k: p.copy() for k, p in of.model.params.items()}
        streams = str(of.rule.rng_state())
        return rule, params, streams, of.loss.cache, len(of.model.grads)

    before = state()
    looked_into(of, "rule", "rule")
    found = compared(of.model, of.loss, of.rule, of.x, of.y, "W1.1.2")
    after = state()
    assert before[0] == after[0]
    assert before[2:] == after[2:]
    for key, p in before[1].items():
        np.testing.assert_array_equal(p, after[1][key])
    assert (len(found["estimates"]) == 40) == (name == "forward")


def test_one_weight_three_ways():
    of = subject()
    found = compared(of.model, of.loss, of.rule, of.x, of.y, "W1.2.3")
    assert found["difference"] == pytest.approx(found["backprop"], rel=1e-6)
    assert found["estimates"] == [pytest.approx(found["backprop"], rel=1e-5)]
    assert "agree in" in found["words"][0]
    assert found["words"][1] == "The rule gives what backprop gives."
    top = subject(rule=lambda net: mg.rules.TopLayerOnly(net))
    found = compared(top.model, top.loss, top.rule, top.x, top.y, "W1.2.3")
    assert found["estimates"] == [0.0]
    assert "learns nothing" in found["words"][1]


def test_a_kink_is_said():
    of = subject((2, 1, 2), "relu")
    of.model.params["1.W"][...] = [[1.0], [0.0]]
    of.model.params["1.b"][...] = -1.0
    found = compared(of.model, of.loss, of.rule, np.array([1.0, 0.5]), 0, "W1.1.1")
    assert "passes a bend" in found["words"][0]


def test_a_diverged_or_saturated_network_is_json():
    of = subject()
    for p in of.model.params.values():
        p[...] *= 200
    json.dumps(looked_into(of), allow_nan=False)
    json.dumps(compared(of.model, of.loss, of.rule, of.x, of.y, "b1.1"), allow_nan=False)
    of.model.params["1.W"][0, 0] = np.nan
    with pytest.raises(ValueError, match="diverged"):
        looked_into(of)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [((64, 4, 3), "64 inputs"), ((2, 9, 3), "9 units"), ((2, 4, 4, 4, 3), "hidden layers")],
)
def test_a_large_network_is_refused_with_a_setting(sizes, words):
    of = subject(sizes)
    with pytest.raises(TooLarge, match=words):
        Small(of.model, of.loss)


def raced(*hidden):
    """A race after five steps, as orders see it, without a thread."""
    race = Race(Settings(data="spirals3", hidden=hidden, activation="tanh"))
    for _ in range(5):
        race.round()
    return SimpleNamespace(race=race)


def ask(worker, name, **fields):
    order = ORDERS[name]
    return order.then(order.act(worker, **{k: order.fields[k](v) for k, v in fields.items()}))


def test_the_orders():
    of, large = raced(4), raced(30)
    given = {"lane": 0, "direction": "random:3", "backward": "backprop"}
    found = ask(of, "inside", example=403, **given)
    assert (found["example"], found["examples"], found["step"]) == (3, 400, 5)
    assert found["y"] == of.race.train.y[3]
    assert found["classes"] == ["0", "1", "2"]
    found = ask(large, "inside", example=0, **given)
    assert not found["small"]
    assert found["settings"]["hidden"] == [4]
    assert ask(of, "inside_weight", lane=0, example=0, key="b1.2")["symbol"] == "b^{(1)}_{2}"
    for bad in ("W1.9.1", "W1.0.1", "W1.-1.1", "W1.1", "b9.1", "x.1", "Wx"):
        with pytest.raises(ValueError, match="no weight"):
            ask(of, "inside_weight", lane=0, example=0, key=bad)
    for bad in ("W1.9.1", "W1.0.1", "W1.-1.1", "W1.1", "b9.1", "Wx"):
        with pytest.raises(ValueError, match="no weight"):
            ask(of, "inside", example=0, **given | {"direction": bad})
    assert ask(of, "surface", without=[])["small"]
    assert not ask(large, "surface", without=[])["small"]
    with pytest.raises(ValueError, match="no lane is left"):
        ask(of, "surface", without=[0])
    with pytest.raises(ValueError, match="a list"):
        ask(of, "surface", without="0")
    with pytest.raises(ValueError, match="there are lanes 0 to 0"):
        ask(of, "inside", example=0, **given | {"lane": 4})


def test_numbers_as_text():
    said = {0: "0", 1: "1", -1: "−1", 0.5: "0.500", -0.0123: "−0.0123", 12.345: "12.3"}
    said |= {
        0.9999: "1.00",
        999.6: "1000",
        1234.5: "1234",
        2.5e-5: "2.5·10^{−5}",
        3e7: "3.0·10^{7}",
    }
    assert {value: number(value) for value in said} == said
    assert plain("[∂L|∂z^{(1)}_{2}] = e^{−z_{1}}") == "∂L/∂z(1)2 = e^(−z1)"


@pytest.mark.parametrize("name", COMPARED)
def test_every_rule_can_be_looked_into(name):
    of = subject((3, 4, 3), rule=lambda net: COMPARED[name].make(net, 0))
    drawn = looked_into(of, "rule", "rule")
    assert (drawn["instead"] is None) == (name == "backprop")
    assert "way of its own" not in json.dumps(drawn)
    found = compared(of.model, of.loss, of.rule, of.x, of.y, "W2.1.1")
    json.dumps(found, allow_nan=False)
    assert found["estimates"]


def ways(lrs=(0.1, 0.02)):
    """Two networks that go from the same weights, and the examples."""
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((30, 2)).astype("float32"), rng.integers(0, 3, 30)
    found = []
    for lr in lrs:
        of = subject()
        trail = Trail(of.model)
        optimizer = mg.SGD(of.model, lr)
        for step in range(1, 21):
            of.rule.estimate(of.model, of.loss, x, y)
            optimizer.step()
            trail.add(step, of.model)
        found.append((of, trail))
    return found, x.astype("float64"), y


def test_the_surface_is_the_loss():
    found, x, y = ways()
    trails = [trail.places for _, trail in found]
    of = found[0][0]
    net = Small(of.model, of.loss)
    given = surface(Plane(net, x, y, trails))
    json.dumps(given, allow_nan=False)
    assert given["share"] > 0.9
    left, right, low, high = given["range"]
    for way in given["ways"]:
        assert way[0] == (0, 0)
        for a, b in way:
            assert left < a < right
            assert low < b < high
    start = trails[0][0][1]
    u, v, _ = directions(start, [near(way) for way in trails])
    np.testing.assert_allclose([u @ u, v @ v, u @ v], [1, 1, 0], atol=1e-12)
    theta = start + left * u + high * v  # the corner at the top left
    at = 0
    wide = Small(of.model, of.loss)
    for p in wide.model.params.values():
        p[...] = theta[at : at + p.size].reshape(p.shape)
        at += p.size
    corner = wide.loss.forward(wide.model.forward(x), y)
    assert given["loss"][0][0] == pytest.approx(corner, abs=1e-6)
    for (of, _), end in zip(found, given["ends"], strict=True):
        true = of.loss.forward(of.model.forward(x.astype("float32")), y)
        assert end == pytest.approx(true, abs=1e-5)


def test_a_surface_before_the_first_step_and_after_divergence():
    of = subject()
    net = Small(of.model, of.loss)
    x, y = np.zeros((2, 2)), np.array([0, 1])
    start = Trail(of.model).places
    given = surface(Plane(net, x, y, [start, []]))
    assert given["share"] == 0
    assert given["ends"][1] is None
    away = [*start, (1, start[0][1] + 1e30), (2, start[0][1] * np.nan)]
    with np.errstate(over="ignore", invalid="ignore"):
        given = surface(Plane(net, x, y, [away]))
    json.dumps(given, allow_nan=False)
    assert given["ways"] == [[(0.0, 0.0)]]


def test_a_trail_keeps_few_places():
    of = subject()
    trail = Trail(of.model)
    for step in range(1, 5 * MOST):
        trail.add(step, of.model)
    steps = [step for step, _ in trail.places]
    assert steps == list(range(0, steps[-1] + 1, trail.every))
    assert MOST / 2 <= len(steps) <= MOST
    assert trail.until(5000, of.model)[-1][0] == 5000
    np.testing.assert_array_equal(trail.places[0][1], flat(of.model))
    assert Trail(mg.models.mlp((64, 30, 3), seed=0)).places == []
