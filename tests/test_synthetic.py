"""SyntheticGradients: every mode against a plain reference; with exact modules, backprop."""

import copy

import numpy as np
import pytest
from reference.plain_sweep import CLASSES, Plain

import minigrad as mg
from minigrad import data
from minigrad.backend import to_device, to_host
from minigrad.rules import GradientModule, Module, SyntheticGradients

SIZES, N = (4, 6, 5, CLASSES), 7
OPTIMIZERS = {"sgd": lambda net: mg.SGD(net, 0.05), "adam": lambda net: mg.Adam(net, 0.01)}


def network(kind="tanh", seed=0, dtype="float64"):
    """4-6-5-3 in three blocks; batch norm's scales and shifts are random, too."""
    activation, batch_norm = ("relu", True) if kind == "bn-relu" else ("tanh", False)
    model = mg.models.mlp(SIZES, activation, batch_norm=batch_norm, dtype=dtype, seed=seed)
    randomise([leaf for _, leaf in model.leaves() if "gamma" in leaf.params], seed)
    return model


def convnet(dtype="float64"):
    """Images (1, 6, 5); images at the first interface, features at the second."""
    return mg.Sequential(
        mg.Conv2d(1, 3, 3, padding=1, dtype=dtype, seed=0),
        mg.BatchNorm2d(3, dtype=dtype),
        mg.ReLU(),
        mg.MaxPool2d(2),
        mg.Conv2d(3, 2, 2, dtype=dtype, seed=1),
        mg.Flatten(),
        mg.Tanh(),
        mg.Linear(4, CLASSES, dtype=dtype, seed=2),
    )


def randomise(layers, seed):
    """Parameters of either sign, none near zero."""
    rng = np.random.default_rng(seed + 100)
    for layer in layers:
        for array in layer.params.values():
            values = rng.uniform(0.3, 0.8, array.shape) * rng.choice([-1, 1], array.shape)
            array[...] = to_device(values.astype(array.dtype))


def batches(count, seed=0, shape=(4,), dtype="float64"):
    rng = np.random.default_rng(seed + 200)
    for _ in range(count):
        x, y = rng.standard_normal((N, *shape)).astype(dtype), rng.integers(0, CLASSES, N)
        yield to_device(x), to_device(y)


def make(model, optimizer="adam", start=0, **options):
    """A rule whose modules start at random, not at zero."""
    rule = SyntheticGradients(model, optimizer=OPTIMIZERS[optimizer], **options)
    for i, module in enumerate([*rule.modules, *rule.inputs]):
        randomise([leaf for _, leaf in module.net.leaves()], start + i)
    return rule


def trained(rule, model, optimizer, steps):
    """The losses of these steps."""
    loss, values = mg.CrossEntropyLoss(), []
    for x, y in steps:
        values.append(rule.estimate(model, loss, x, y))
        optimizer.step()
    return values


def on_host(state):
    return {key: to_host(value).copy() for key, value in state.items()}


def same(a, b):
    """Two dicts of arrays or numbers, bit for bit."""
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def pattern(seed, p, count):
    """Which blocks are drawn: the second of two streams from the seed, a number a block."""
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[1])
    return [(rng.random(3) < p).tolist() for _ in range(count)]


def plain_step(plain, t, x, y, options, mistake=None):
    """Step t, from 0, of the reference."""
    if t < options.get("warm_up", 0):
        return plain.locked(x, y, still=True)
    given = {key: options[key] for key in ("mixture", "every") if key in options}
    if "update_probability" in options:
        t -= options.get("warm_up", 0)
        given["drawn"] = pattern(options["seed"], options["update_probability"], t + 1)[t]
    if mistake:
        given |= {"drawn": [True] * 3} if mistake == "all are drawn" else {"mistake": mistake}
    return getattr(plain, options["mode"].replace("-", "_"))(x, y, **given)


DRAWN = {"mode": "sequential", "update_probability": 0.5, "seed": 3}
CASES = {
    "sequential": {"mode": "sequential"},
    "sequential-half": DRAWN,
    "sequential-not-scaled": {"mode": "sequential", "scaled": False},
    "sequential-not-told": {"mode": "sequential", "conditioned": False},
    "bp-lambda-0": {"mode": "bp-lambda", "mixture": 0.0},
    "bp-lambda-.3": {"mode": "bp-lambda", "mixture": 0.3},
    "bp-lambda-1": {"mode": "bp-lambda", "mixture": 1},
    "locked": {"mode": "locked"},
    "unlocked": {"mode": "unlocked", "input_hidden": (8,)},
    "unlocked-half": DRAWN | {"mode": "unlocked", "input_hidden": (8,), "seed": 5},
    "stale": {"mode": "stale", "every": 3},
    "no-backprop": {"mode": "no-backprop"},
    "warm-up": {"mode": "sequential", "warm_up": 2},
    "warm-up-half": DRAWN | {"warm_up": 2, "seed": 1},
    "warm-up-bp-lambda": {"mode": "bp-lambda", "warm_up": 3, "mixture": 0.3},
}


def compare(kind, optimizer, options, step=plain_step, seed=0):
    """Six steps of the rule and of the reference agree: loss, gradients, modules, weights."""
    model, loss = network(kind, seed), mg.CrossEntropyLoss()
    rule = make(model, optimizer, seed, **options)
    plain, sgd = Plain(rule, kind, optimizer), mg.SGD(model, 0.1)
    updates, last, rng = [0, 0, 0], [0, 0, 0], rule.state_dict()["rng"]

    def agree(arrays, expected, what):
        for (key, array), w in zip(arrays.items(), expected, strict=True):
            np.testing.assert_allclose(to_host(array), w, 1e-10, 1e-12, err_msg=f"{what} {key}")

    for t, (x, y) in enumerate(batches(6, seed)):
        if kind == "tanh":  # someone has looked at other gradients in between
            model.backward(model.forward(-x))
        value = rule.estimate(model, loss, x, y)
        expected, grads = step(plain, t, to_host(x), to_host(y), options)
        assert value == pytest.approx(expected, rel=1e-10)
        for i, (block, mine) in enumerate(zip(rule.blocks, grads, strict=True)):
            names = [key.rpartition(".")[2] for key in block.grads]
            assert set(names) == mine.keys()
            agree(block.grads, [mine[name] for name in names], f"step {t}, dW_hat of block {i}")
            if mine:
                updates[i] += 1
                last[i] = t + 1 if options["mode"] != "stale" else t - t % options["every"] + 1
        assert (rule.steps, rule.updates, rule.last_update) == (t + 1, updates, last)
        sgd.step()
        for module, mine in zip([*rule.modules, *rule.inputs], plain.M + plain.I, strict=True):
            agree(module.net.state_dict(), mine.p.values(), f"step {t}, module")
        for block, mine in zip(rule.blocks, plain.f, strict=True):
            names = [key.rpartition(".")[2] for key in block.params]
            agree(block.params, [mine.p[name] for name in names], f"step {t}, weights")
        for key, array in model.buffers.items():
            assert "tracked" not in key or int(to_host(array)) == t + 1  # one forward a step
    assert (rule.state_dict()["rng"] == rng) == ("update_probability" not in options)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", ["tanh", "bn-relu"])
@pytest.mark.parametrize("case", CASES)
def test_each_mode_is_the_plain_reference(case, kind, optimizer):
    for seed in (0, 7):
        compare(kind, optimizer, CASES[case], seed=seed)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "mistake",
    ["target after the update", "learns from the loss", "learns nothing", "all are drawn"],
)
def test_a_reference_with_a_mistake_does_not_agree(mistake, optimizer):
    """The comparison above can fail."""
    with pytest.raises(AssertionError):
        compare("tanh", optimizer, DRAWN, lambda *given: plain_step(*given, mistake))


# Backprop, bit for bit


class Exact(Module):
    """dh itself: a copy of the layers above goes forward and backward. Nothing to learn."""

    def __init__(self, model, after):
        self.model, self.after = model, after

    def predict(self, h, target):
        above = copy.deepcopy(mg.Sequential(*self.model.layers[self.after + 1 :]))
        loss = mg.CrossEntropyLoss()
        loss.forward(above.forward(h), target)
        return above.backward(loss.backward())

    def learn(self, dh):
        pass


MAIN = {"adam": lambda m: mg.Adam(m, 0.01), "momentum": lambda m: mg.SGD(m, 0.1, momentum=0.9)}
NETS = {
    "tanh": (network, (4,), [2, 4]),
    "bn-relu": (lambda: network("bn-relu"), (4,), [3, 6]),
    "images": (convnet, (1, 6, 5), [2, 6]),
}
EXACT = [{"mode": "sequential"}, {"mode": "locked"}]
EXACT += [{"mode": "bp-lambda", "mixture": mixture} for mixture in (0, 0.5, 1)]


def beside_backprop(net, main, options):
    """Twenty steps with exact modules: the losses and the weights, and backprop's."""
    build, shape, cuts = NETS[net]
    plain, model, steps = build(), build(), list(batches(20, shape=shape))
    modules = [Exact(model, after) for after in cuts]
    rule = SyntheticGradients(model, input_shape=shape, modules=modules, **options)
    assert [block.stop - 1 for block in rule.blocks[:-1]] == cuts
    expected = trained(mg.rules.Backprop(), plain, MAIN[main](plain), steps)
    got = trained(rule, model, MAIN[main](model), steps)
    return got, expected, model.state_dict(), plain.state_dict()


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("main", MAIN)
@pytest.mark.parametrize("options", EXACT, ids=lambda o: "-".join(map(str, o.values())))
def test_with_exact_modules_it_is_backprop_bit_for_bit(net, main, options):
    got, expected, weights, backprops = beside_backprop(net, main, options)
    assert got == expected
    assert same(weights, backprops)


@pytest.mark.parametrize("net", NETS)
def test_with_exact_modules_any_mixture_is_backprop(net):
    """But for rounding: 0.3 a + 0.7 a is not quite a."""
    options = {"mode": "bp-lambda", "mixture": 0.3}
    got, expected, weights, backprops = beside_backprop(net, "momentum", options)
    np.testing.assert_allclose(got, expected, rtol=1e-10)
    for key, array in backprops.items():
        np.testing.assert_allclose(weights[key], array, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["tanh", "bn-relu"])
def test_bp_lambda_is_backprop_at_one_and_the_sweep_at_zero(kind):
    runs = []
    for options in ({}, {"mixture": 1.0}, {"mode": "sequential"}, {"mixture": 0.0}):
        model = network(kind)
        rule = make(model, **{"mode": "bp-lambda"} | options) if options else mg.rules.Backprop()
        values = trained(rule, model, mg.Adam(model, 0.01), batches(6))
        modules = [module.state_dict() for module in rule.modules] if options else []
        runs.append((values, model.state_dict(), on_host(model.grads), modules))
    for a, b in (runs[:2], runs[2:]):
        assert a[0] == b[0]
        assert same(a[1], b[1])
        assert same(a[2], b[2])
    assert all(same(a, b) for a, b in zip(runs[2][3], runs[3][3], strict=True))
    assert runs[0][0][1:] != runs[2][0][1:]


@pytest.mark.parametrize("hidden", [(), (5,)])
@pytest.mark.parametrize("mode", ["sequential", "locked", "bp-lambda"])
@pytest.mark.parametrize("net", NETS)
def test_at_first_the_top_block_alone_has_a_gradient(net, mode, hidden):
    build, shape, _ = NETS[net]
    model, twin, loss = build(), build(), mg.CrossEntropyLoss()
    rule = SyntheticGradients(model, hidden=hidden, mode=mode, input_shape=shape, mixture=0)
    (batch,) = batches(1, shape=shape)
    value = rule.estimate(model, loss, *batch)
    assert value == mg.rules.Backprop().estimate(twin, loss, *batch)
    assert model.grads.keys() == model.params.keys()
    top = rule.blocks[-1].keys().values()
    for key, grad in on_host(model.grads).items():
        assert grad.any() == (key in top)
        if key in top:
            np.testing.assert_array_equal(grad, to_host(twin.grads[key]))


# Blocks that are left out


@pytest.mark.parametrize("mode", ["sequential", "unlocked"])
def test_a_block_left_out_does_not_move_and_teaches_no_one(mode):
    model, loss, count, seen = network("bn-relu"), mg.CrossEntropyLoss(), 40, set()
    rule, adam = make(model, mode=mode, update_probability=0.4, seed=2), mg.Adam(model, 0.01)
    parts = [*rule.modules, *rule.inputs]
    for on, (x, y) in zip(pattern(2, 0.4, count), batches(count), strict=True):
        # modules[i] is taught by the block above it, what predicts block i's output by block i
        taught = [*on[1:], *on[:2]][: len(parts)]
        weights = [on_host(block.params) for block in rule.blocks]
        modules = [module.state_dict() for module in parts]
        rule.estimate(model, loss, x, y)
        assert [block.grads != {} for block in rule.blocks] == on
        adam.step()
        assert [
            not same(w, on_host(b.params)) for w, b in zip(weights, rule.blocks, strict=True)
        ] == on
        assert [
            not same(m, part.state_dict()) for m, part in zip(modules, parts, strict=True)
        ] == taught
        seen.add(tuple(on))
    assert len(seen) == 8  # every choice has come up, none and all among them


def test_each_block_is_drawn_with_the_probability_asked_for():
    model, steps, p = network(), 600, 0.3
    rule = make(model, update_probability=p, seed=4)
    trained(rule, model, mg.SGD(model, 0.01), [next(batches(1))] * steps)
    five_sigma = 5 * np.sqrt(steps * p * (1 - p))
    assert all(abs(n - steps * p) < five_sigma for n in rule.updates)
    assert len(set(rule.updates)) == 3
    assert rule.updates == np.sum(pattern(4, p, steps), axis=0).tolist()


# Saved and loaded


@pytest.mark.parametrize("case", CASES)
def test_a_loaded_rule_goes_on_bit_for_bit(case, tmp_path):
    options = CASES[case] | {"hidden": (5,)}
    steps = list(batches(9))  # saved after the 4th: "stale" is in the middle of a period
    model = network("bn-relu")
    rule, adam = make(model, **options), mg.Adam(model, 0.01)
    trained(rule, model, adam, steps[:4])
    state, weights, moments = rule.state_dict(), model.state_dict(), adam.state_dict()
    np.savez(tmp_path / "rule.npz", **state)
    fresh = network("bn-relu", seed=9)
    other, again = make(fresh, start=5, **options | {"seed": 77}), mg.Adam(fresh, 1.0)
    fresh.load_state_dict(weights)
    again.load_state_dict(moments)
    with np.load(tmp_path / "rule.npz", allow_pickle=False) as file:
        loaded = dict(file)
    other.load_state_dict(fresh, loaded)
    assert same({k: np.array(v) for k, v in other.state_dict().items()}, loaded)
    for value in [*state.values(), *loaded.values()]:
        if getattr(value, "ndim", 0):  # both rules must have copies of their own
            value.fill(0)
    values = trained(rule, model, adam, steps[4:])
    assert np.isfinite(values).all()
    assert trained(other, fresh, again, steps[4:]) == values
    assert same(fresh.state_dict(), model.state_dict())
    assert same(other.state_dict(), rule.state_dict())
    assert state["steps"] == 4
    assert max(state["last_update"]) <= 4  # nor has the rule gone on in the state's lists


def test_a_state_made_with_other_settings_is_refused():
    rule, model = make(network()), network()
    others = {"mode": "locked", "conditioned": False, "hidden": (5,), "scaled": False}
    for name, value in (others | {"interfaces": [2]}).items():
        wrong = make(model, **{name: value})
        before = wrong.state_dict()
        with pytest.raises(ValueError, match=r"was made with mode='sequential', .*, not mode="):
            wrong.load_state_dict(model, rule.state_dict())
        assert same(wrong.state_dict(), before)
    with pytest.raises(ValueError, match="blocks are another model's"):
        rule.load_state_dict(model, rule.state_dict())


def refusals(case):
    """(what is missing from a state, the error or None, the rule's state before and after)."""
    model = network()
    rule = make(model, **CASES[case])
    trained(rule, model, mg.SGD(model, 0.1), batches(4))
    state = rule.state_dict()
    for missing in state:
        fresh = network()
        other, error = make(fresh, **CASES[case]), None
        before = other.state_dict()
        try:
            other.load_state_dict(fresh, {k: v for k, v in state.items() if k != missing})
        except KeyError as caught:
            error = caught
        yield missing, error, before, other.state_dict()


@pytest.mark.parametrize("case", ["sequential", "unlocked-half", "no-backprop"])
def test_an_incomplete_state_is_refused(case):
    for missing, error, before, after in refusals(case):
        assert error is not None, missing
        if "/" not in missing:
            assert str([missing]) in str(error)
            assert same(before, after)


@pytest.mark.parametrize("case", ["sequential", "unlocked", "stale"])
def test_nothing_is_half_loaded(case):
    for missing, error, before, after in refusals(case):
        assert error is not None, missing
        assert same(before, after)


# In training


@pytest.mark.parametrize("case", CASES)
def test_a_step_costs_one_forward_and_no_dx_of_the_input(case):
    model, calls = network(), []
    rule = make(model, **CASES[case])
    for layer in model.layers:
        layer.forward = lambda *x, i=layer, go=layer.forward: calls.append(i) or go(*x)
    model.layers[1].backward = None
    trained(rule, model, mg.SGD(model, 0.1), batches(4))
    assert [calls.count(layer) for layer in model.layers] == [4] * 6


class Spy(GradientModule):
    """Keeps what it is given and gives, each with a copy from that moment."""

    def predict(self, h, target, train=True):
        dh_hat = super().predict(h, target, train)
        self.seen = [*getattr(self, "seen", []), *((a, to_host(a).copy()) for a in (h, dh_hat))]
        return dh_hat

    def learn(self, dh):
        self.seen.append((dh, to_host(dh).copy()))
        super().learn(dh)


@pytest.mark.parametrize("mode", ["sequential", "bp-lambda", "locked", "unlocked"])
@pytest.mark.parametrize("hidden", [(), (5,)])
def test_activations_and_gradients_are_not_changed_in_place(mode, hidden):
    model, ((x, y),) = convnet(), batches(1, shape=(1, 6, 5))
    modules = [Spy(shape, CLASSES, hidden, dtype="float64") for shape in ((3, 6, 5), (4,))]
    rule = SyntheticGradients(model, mode=mode, input_shape=(1, 6, 5), modules=modules)
    given = to_host(x).copy(), to_host(y).copy()
    for _ in range(2):
        rule.estimate(model, mg.CrossEntropyLoss(), x, y)
    for array, kept in [*modules[0].seen, *modules[1].seen, *zip((x, y), given, strict=True)]:
        np.testing.assert_array_equal(to_host(array), kept)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("hidden", [(), (5,)])
def test_float32_stays_float32(case, hidden):
    options = {k: np.float64(v) if type(v) is float else v for k, v in CASES[case].items()}
    model = convnet("float32")
    rule = SyntheticGradients(model, hidden=hidden, input_shape=(1, 6, 5), **options)
    trained(rule, model, mg.Adam(model, 0.01), batches(4, shape=(1, 6, 5), dtype="float32"))
    nets = [model, *(module.net for module in [*rule.modules, *rule.inputs])]
    for net in nets:
        for arrays in (net.params, net.grads):
            assert {str(array.dtype) for array in arrays.values()} <= {"float32"}


@pytest.mark.parametrize("per", ["step", "epoch"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_fit_moves_the_modules_learning_rates(per, wrapped):
    rng, model = np.random.default_rng(1), network(dtype="float32")
    x, y = rng.standard_normal((15, 4)).astype("float32"), rng.integers(0, CLASSES, 15)
    rule, adam, seen = SyntheticGradients(model, mode="unlocked", lr=0.02), mg.Adam(model, 0.3), []
    parts = [*rule.modules, *rule.inputs]
    mg.fit(
        model,
        mg.CrossEntropyLoss(),
        mg.rules.WellTempered(rule) if wrapped else rule,
        adam,
        data.Dataset(x, y, classes=CLASSES),
        epochs=2,
        batch_size=5,
        schedule=mg.optim.ExponentialLR(adam, 0.5, per=per),
        step_callback=lambda *_: seen.append([module.optimizer.lr for module in parts]),
    )
    seen.append([module.optimizer.lr for module in parts])
    moved = [1, 2, 3, 4, 5, 6, 6] if per == "step" else [0, 0, 0, 1, 1, 1, 2]
    assert seen == [[0.02 * 0.5**t] * 4 for t in moved]


def test_well_tempered_gates_what_the_blocks_make_of_it():
    runs = []
    for options in (None, {"gate": "none", "window": 2}):
        model = network()
        rule = make(model, **DRAWN)
        used = mg.rules.WellTempered(rule, **options) if options else rule
        values = trained(used, model, mg.Adam(model, 0.01), batches(8))
        runs.append((values, model.state_dict() | rule.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])
    rule = mg.rules.WellTempered(make(network(), **DRAWN), window=8)
    trained(rule, rule.rule.model, mg.Adam(rule.rule.model, 0.01), batches(8))
    assert 0 < rule.fraction_below_one < 1


@pytest.mark.on_host
def test_the_digits():
    """Test accuracy with seeds 0, 1, 2: .964-.975 by backprop, .944-.972, .719-.747."""
    (train, test), accuracy = data.load("digits"), {}
    for mode in ("backprop", "sequential", "no-backprop"):
        model = mg.models.mlp((784, 32, 32, 10), batch_norm=True, seed=0)
        rule, adam = mg.rules.Backprop(), mg.Adam(model, 0.003)
        if mode != "backprop":
            rule = SyntheticGradients(model, mode=mode, lr=0.003)
        options = {"epochs": 5, "batch_size": 50, "evaluate_every": 5}
        history = mg.fit(model, mg.CrossEntropyLoss(), rule, adam, train, test, **options)
        accuracy[mode] = history.test_accuracy[-1]
    assert accuracy["sequential"] > max(0.92, accuracy["backprop"] - 0.05)
    assert accuracy["no-backprop"] < 0.85


def test_in_the_warm_up_inputs_are_learned_too(rng):
    """And no block moves: I_i comes nearer to h_i, the network stays."""
    x, y = to_device(rng.standard_normal((9, 4))), to_device(rng.integers(0, 3, 9))
    net = mg.models.mlp((4, 7, 6, 3), "tanh", dtype="float64", seed=0)
    rule = mg.rules.SyntheticGradients(net, mode="unlocked", warm_up=30, lr=0.02)
    optimizer, before = mg.Adam(net, 0.1), net.state_dict()

    def distance():
        h, far = x, []
        for block, module in zip(rule.blocks, rule.inputs, strict=False):
            h = block.forward(h)
            far.append(float(abs(module.predict(x) - h).sum()))
        return far

    start = distance()
    for _ in range(30):
        rule.estimate(net, mg.CrossEntropyLoss(), x, y)
        assert net.grads == {}
        optimizer.step()
    assert all(after < 0.5 * first for after, first in zip(distance(), start, strict=True))
    assert same(before, net.state_dict())
    assert rule.updates == [0, 0, 0]


@pytest.mark.on_host
@pytest.mark.parametrize("mode", ["stale", "no-backprop"])
@pytest.mark.parametrize("option", [{"warm_up": 1}, {"modules": []}])
def test_modes_without_modules_take_none(mode, option):
    with pytest.raises(ValueError, match="has no modules: leave out warm_up and modules"):
        mg.rules.SyntheticGradients(mg.models.mlp((4, 3, 2)), mode=mode, **option)


@pytest.mark.on_host
def test_modules_must_be_modules():
    with pytest.raises(TypeError, match=r"must be of mg.rules.Module, got 1"):
        mg.rules.SyntheticGradients(mg.models.mlp((4, 3, 2)), modules=[1])


@pytest.mark.on_host
def test_the_repr_has_what_a_run_depends_on():
    def words(**options):
        return repr(mg.rules.SyntheticGradients(mg.models.mlp((4, 3, 2)), **options))

    assert "every=7" in words(mode="stale", every=7)
    assert "mixture=0.25" in words(mode="bp-lambda", mixture=0.25)
    assert "Adam(lr=0.003" in words(lr=0.003)
    assert "update_probability=0.5" in words(update_probability=0.5)
    assert "warm_up=4" in words(warm_up=4)


@pytest.mark.on_host
def test_a_stale_state_goes_with_its_period():
    states = [
        mg.rules.SyntheticGradients(mg.models.mlp((4, 3, 2)), mode="stale", every=k) for k in (5, 2)
    ]
    with pytest.raises(ValueError, match="every=5"):
        states[1].load_state_dict(states[1].model, states[0].state_dict())


@pytest.mark.on_host
def test_the_start_of_the_learning_rate_is_part_of_the_state():
    net = mg.models.mlp((4, 3, 2))
    saved, other = (mg.rules.SyntheticGradients(net, lr=lr) for lr in (1e-3, 1.0))
    other.load_state_dict(net, saved.state_dict())
    other.rescale(0.1)
    assert other.modules[0].optimizer.lr == pytest.approx(1e-4)
