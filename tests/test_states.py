"""A saved state that does not fit is refused, and what was to load it is as it was."""

import copy
import pickle
import re

import numpy as np
import pytest
from cases import layer_cases, optimizer_cases, rule_cases, schedule_cases
from test_every_rule import batches, network, train, with_batch_norm

import minigrad as mg

NAN = float("nan")
INF = float("inf")


def bits(state):
    """What two states that are the same have in common: {name: (dtype, shape, bytes)}."""
    arrays = {key: np.asarray(value) for key, value in state.items()}
    return {key: (a.dtype, a.shape, a.tobytes()) for key, a in arrays.items()}


def same(a, b):
    """Two states, bit for bit, with their kinds."""
    return bits(a) == bits(b)


def damaged(state):
    """(what is done, the damaged state), for every entry and every kind of damage."""
    for name, value in state.items():
        rest = {key: item for key, item in state.items() if key != name}
        yield f"{name} removed", rest
        array = np.asarray(value)
        number = array.dtype.kind in "fiu"
        wrongs = {
            "none": None,
            "text": "x",
            "a list": [],
            "an object": np.array([None], object),
            "of another shape": np.stack([array, array]),
            "a bool": True,
            "complex": np.ones(array.shape, "complex128"),
        }
        if number and array.size:
            wrongs["a number as text"] = array.astype(str)
            wrongs["of another dtype"] = array.astype("float16")
            floats = array.astype("float64") if array.dtype.kind in "iu" else array.copy()
            for bad in (NAN, INF, -INF, -5):
                floats = floats.copy()
                floats.reshape(-1)[-1] = bad
                wrongs[f"with {bad}"] = floats
        for what, wrong in wrongs.items():
            yield f"{name} {what}", rest | {name: wrong}
    yield "another entry", state | {"another": np.zeros(3)}
    yield "another number", state | {"another/0/entry": 1.0}
    yield "a name that is no text", state | {7: 1}
    yield "empty", {}


def why_refused(load, state):
    """The error's text; None if the state was taken."""
    try:
        load(state)
    except (KeyError, ValueError, TypeError) as error:
        return str(error)
    return None


def check_all(load, now, state, legitimate):
    """Each damage is refused with one sentence and changes nothing, or is legitimate."""
    before = now()
    unchanged = bits(before)
    taken = 0
    for what, wrong in damaged(state):
        error = why_refused(load, wrong)
        if error is None:
            assert any(re.fullmatch(pattern, what) for pattern in legitimate), f"{what} was taken"
            taken += 1
            load(before)
        else:
            assert len(error) > 15, f"{what}: {error}"
            assert len(error) < 500, f"{what}: {error}"
            assert "\\n" not in error
        assert bits(now()) == unchanged, what
    for wrong in (None, 3, [1], "state"):
        assert why_refused(load, wrong), wrong
    return taken


# ------------------------------------------------------------------ optimisers


@pytest.mark.parametrize("case", **optimizer_cases)
def test_an_optimiser_refuses_what_does_not_fit(case):
    model = network()
    optimizer = case.optimizer(model)
    train(mg.rules.Backprop(), model, optimizer, batches(3))
    state = optimizer.state_dict()
    alone = len(optimizer.state_names) == 1
    check_all(
        optimizer.load_state_dict,
        optimizer.state_dict,
        state,
        # A mean may be negative; a number may come in any float dtype; a parameter without a state
        # has had no gradient yet.
        [
            r".*\.(m|b|velocity|step) with -5",
            "lr of another dtype",
            *(rf".*\.{name} removed" for name in optimizer.state_names if alone),
        ],
    )


@pytest.mark.parametrize("lr", [NAN, -5, INF, "0.1", True, np.array([0.1]), None, np.array(True)])
def test_a_learning_rate_is_a_number_not_below_0(lr):
    optimizer = mg.Adam(network(), 0.1)
    with pytest.raises((TypeError, ValueError), match="lr must be a number"):
        optimizer.load_state_dict({"lr": lr})
    with pytest.raises((TypeError, ValueError), match="lr must be a number"):
        optimizer.lr = lr
    assert optimizer.lr == 0.1
    with pytest.raises(KeyError, match="lr is missing"):
        optimizer.load_state_dict({})


def test_numbers_may_be_arrays_without_axes():
    model = network()
    optimizer = mg.Adam(model, 0.1)
    train(mg.rules.Backprop(), model, optimizer, batches(2))
    state = optimizer.state_dict()
    optimizer.load_state_dict({name: np.asarray(value) for name, value in state.items()})
    assert same(optimizer.state_dict(), state)
    assert type(optimizer.lr) is float
    assert type(optimizer.state["1.W"]["t"]) is int
    optimizer.lr = np.float64(0.2)
    assert type(optimizer.lr) is float


def test_moments_that_are_not_finite_are_taken_if_one_says_so():
    model = network()
    optimizer = mg.Adam(model, 0.1)
    train(mg.rules.Backprop(), model, optimizer, batches(2))
    state = optimizer.state_dict()
    state["1.W.m"][0, 0] = NAN
    with pytest.raises(ValueError, match=r"1\.W\.m has numbers that are NaN or infinite"):
        optimizer.load_state_dict(state)
    optimizer.load_state_dict(state, finite=False)
    assert same(optimizer.state_dict(), state)


def test_a_shared_array_has_one_state():
    net = mg.Sequential(mg.Linear(3, 3, seed=0), mg.Tanh(), mg.Linear(3, 3, seed=1))
    net[2].params["W"] = net[0].params["W"]
    optimizer = mg.SGD(net, 0.1, momentum=0.9)
    v = np.ones((3, 3), "float32")
    optimizer.load_state_dict({"lr": 0.1, "0.W.velocity": v, "2.W.velocity": v})
    assert list(optimizer.state) == ["0.W"]
    with pytest.raises(ValueError, match=r"0\.W and 2\.W are one array"):
        optimizer.load_state_dict({"lr": 0.1, "0.W.velocity": v, "2.W.velocity": 2 * v})


@pytest.mark.on_host
def test_an_optimisers_copy_has_its_rate_and_settings():
    optimizer = mg.SGD(network(), 0.1, momentum=0.9)
    schedule = mg.ExponentialLR(optimizer, 0.5)
    schedule.step()
    assert "lr=0.05" in repr(optimizer)
    for twin in (
        copy.copy(optimizer),
        copy.deepcopy(optimizer),
        pickle.loads(pickle.dumps(optimizer)),
        optimizer.twin(network()),
    ):
        assert repr(twin) == repr(optimizer)
        assert twin.current_schedule is None
    assert optimizer.current_schedule is schedule
    other, twin = copy.deepcopy((optimizer, schedule))
    assert other.current_schedule is twin
    other, twin = pickle.loads(pickle.dumps((optimizer, schedule)))
    assert other.current_schedule is twin
    copy.copy(schedule)
    assert optimizer.current_schedule is schedule


# ------------------------------------------------------------------ schedules


class Warm(mg.optim.Schedule):
    """A student's own, with a function and a state of its own."""

    def __init__(self, optimizer, shape=lambda t: min(1, (t + 1) / 10), per="step"):
        super().__init__(optimizer, per)
        self.shape = shape
        self.lowest = 9.0

    def factor(self, t):
        return self.shape(t)

    def step(self):
        super().step()
        self.lowest = min(self.lowest, self.optimizer.lr)

    def state_dict(self):
        return super().state_dict() | {"lowest": self.lowest}

    def load_state_dict(self, state):
        own = dict(state)
        lowest = own.pop("lowest")
        super().load_state_dict(own)
        self.lowest = lowest


class Own:
    name = "own"

    def schedule(self, optimizer):
        return Warm(optimizer)

    def step(self, schedule):
        schedule.step()


EVERY_SCHEDULE = [*schedule_cases["argvalues"], Own()]
every_schedule = pytest.mark.parametrize("case", EVERY_SCHEDULE, ids=lambda case: case.name)


@pytest.mark.on_host
@every_schedule
def test_a_schedule_refuses_what_does_not_fit(case):
    optimizer = mg.SGD(network(), 0.1)
    schedule = case.schedule(optimizer)
    case.step(schedule)
    state = schedule.state_dict()
    lr = optimizer.lr
    for name, wrong in [
        ("t", 1.5),
        ("t", 1.0),
        ("t", True),
        ("t", -1),
        ("t", NAN),
        ("t", "3"),
        ("t", 2**70),
        ("t", np.array([3])),
        ("start", NAN),
        ("start", -1),
        ("start", INF),
        ("start", "0.1"),
        ("start", True),
        ("start", np.array([0.1])),
        ("another", 3),
    ]:
        with pytest.raises((KeyError, ValueError, TypeError), match=r"...."):
            schedule.load_state_dict(state | {name: wrong})
        assert schedule.state_dict() == state
        assert optimizer.lr == lr
    for name in ("t", "start"):
        with pytest.raises(KeyError, match="t and start"):
            schedule.load_state_dict({key: v for key, v in state.items() if key != name})
    schedule.load_state_dict({key: np.asarray(value) for key, value in state.items()})
    assert schedule.state_dict() == state
    assert type(schedule.t) is int


@pytest.mark.on_host
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("steps", [0, 1, 4, 7])
@every_schedule
def test_a_schedule_made_before_or_after_loading_gives_the_same_rates(case, steps, when):
    model = network()
    optimizer = mg.SGD(model, 0.3)
    schedule = case.schedule(optimizer)
    for _ in range(steps):
        case.step(schedule)
    moments, saved = optimizer.state_dict(), optimizer.schedule_state()
    again = mg.SGD(network(), 0.7)
    other = case.schedule(again) if when == "before" else None
    again.load_state_dict(moments)
    again.load_schedule_state(saved)
    assert again.lr == optimizer.lr
    if when == "after":
        assert again.schedule_state() == saved  # it may be saved again before it is used
        other = case.schedule(again)
    assert again.current_schedule is other
    assert again.pending_schedule is None
    assert other.state_dict() == schedule.state_dict()
    for _ in range(9):
        assert again.lr == optimizer.lr
        case.step(schedule)
        case.step(other)


@pytest.mark.on_host
def test_another_schedule_begins_anew():
    optimizer = mg.SGD(network(), 0.4)
    schedule = mg.ExponentialLR(optimizer, 0.5)
    schedule.step()
    saved = optimizer.schedule_state()
    assert saved == {"said": "ExponentialLR(gamma=0.5, per='epoch')", "t": 1, "start": 0.4}
    again = mg.SGD(network(), 0.2)
    again.load_schedule_state(saved)
    other = mg.ExponentialLR(again, 0.9)
    assert (other.t, other.start, again.pending_schedule) == (0, 0.2, None)
    del other
    assert again.current_schedule is None  # the reference is weak
    assert again.schedule_state() is None
    later = mg.StepLR(again, 2)
    with pytest.raises(ValueError, match="the saved schedule is ExponentialLR.*has StepLR"):
        again.load_schedule_state(saved)
    assert (later.t, later.start, again.lr) == (0, 0.2, 0.2)
    last = mg.ExponentialLR(again, 0.5)
    again.load_schedule_state(saved)
    assert (last.t, again.lr) == (1, 0.2)
    again.load_schedule_state(None)
    assert (last.t, again.lr) == (1, 0.2)


@pytest.mark.on_host
@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"said": 3},
        {"t": -1},
        {"t": 1.0},
        {"start": NAN},
        {"start": "0.1"},
        {"t": None},
        {"start": np.ones(2)},
    ],
)
def test_what_waits_for_a_schedule_is_checked(wrong):
    optimizer = mg.SGD(network(), 0.4)
    state = {"said": "ExponentialLR(gamma=0.5, per='epoch')", "t": 1, "start": 0.4}
    with pytest.raises((KeyError, ValueError, TypeError), match=r"...."):
        optimizer.load_schedule_state(state | wrong if wrong else {"t": 1})
    assert optimizer.pending_schedule is None


@pytest.mark.on_host
def test_a_rate_that_a_schedule_cannot_give_is_named():
    class Falling(mg.optim.Schedule):
        def factor(self, t):
            return 1 - t

    optimizer = mg.SGD(network(), 0.1)
    schedule = Falling(optimizer)
    schedule.step()
    with pytest.raises(ValueError, match="lr must be a number >= 0, got -0.1"):
        schedule.step()


# ------------------------------------------------------------------ layers


@pytest.mark.parametrize("case", **layer_cases)
def test_a_layer_refuses_what_does_not_fit(case):
    layer = case.layer()
    state = layer.state_dict()

    def load(given):
        layer.load_state_dict(given, finite=True)

    legitimate = [r"(?!.*(running_var|num_batches_tracked)).* with -5", *["empty"] * (not state)]
    check_all(load, layer.state_dict, state, legitimate)


def test_numbers_that_are_not_finite_are_refused_if_one_says_so():
    net = with_batch_norm()
    state = net.state_dict()
    state["0.W"][0, 0] = NAN
    before = net.state_dict()
    with pytest.raises(ValueError, match=r"0\.W: 1 of 24 numbers are NaN or infinite"):
        net.load_state_dict(state, finite=True)
    assert same(net.state_dict(), before)
    net.load_state_dict(state)
    assert same(net.state_dict(), state)
    for name in ("running_var", "num_batches_tracked"):
        wrong = {key: array.copy() for key, array in before.items()}
        wrong[f"1.{name}"] -= wrong[f"1.{name}"] + 1
        with pytest.raises(ValueError, match=f"1.{name} must not be negative"):
            net.load_state_dict(wrong)


# ------------------------------------------------------------------ rules

# What is taken although it was damaged, and why.
MEANINGLESS = {
    r"(guide/|rule/)*snr/.* with inf": "ρ = ∞: there is a signal and no noise",
    r"(guide/|rule/)*mean/.* with -5": "a mean may be negative",
    r"(guide/|rule/)*(weight|squares|batches)/.* of another dtype": "a number is a number",
    r"(rule/)*(module|input)/\d+/(optimizer/)?lr of another dtype": "a number is a number",
    r"(rule/)*(module|input)/\d+/(net|optimizer)/.*\.(W|b|gamma|beta|m|running_mean) with -5": (
        "these may be negative"
    ),
    r"feedback/.* with -5": "feedback may be negative",
    r"kept/.* with -5": "a gradient may be negative",
    r"total/.* with -5": "a gradient may be negative",
    r"seed removed": "that of GuidedForwardGradient is always 0: it says nothing",
}


@pytest.mark.parametrize("case", **rule_cases)
@pytest.mark.parametrize("make", [network, with_batch_norm])
def test_a_rule_refuses_what_does_not_fit(case, make, device):
    if make is with_batch_norm and (not case.batch_norm or device != "numpy"):
        pytest.skip("it refuses batch norm" if device == "numpy" else "once is enough")
    model = make()
    rule = case.make(model)
    train(rule, model, mg.SGD(model, 0.05), batches(5))
    state = rule.state_dict()
    legitimate = [*MEANINGLESS, *["empty"] * (not state)]
    check_all(lambda given: rule.load_state_dict(model, given), rule.state_dict, state, legitimate)
    for name in [name for name in state if name.split("/")[-1] == "rng"]:
        for wrong in ("{}", "[]", "3", "{", str(state[name]).replace("PCG64", "PCG65"), NAN):
            with pytest.raises((KeyError, ValueError)):
                rule.load_state_dict(model, state | {name: wrong})
            assert same(rule.state_dict(), state)
    arrays = {key: np.asarray(value) for key, value in state.items()}
    rule.load_state_dict(model, arrays)
    assert same(rule.state_dict(), state)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("module/9/net/0.0.W", np.zeros((3, 3))),
        ("module/x/net/0.0.W", np.zeros((3, 3))),
        ("module/0", 1),
        ("input/0/lr", 0.1),
        ("kept/0/W", np.zeros((3, 3))),
        ("frozen", [0]),
        ("updates", [1, 2]),
        ("updates", [1, 2, 3, 4]),
        ("last_update", [1.0, 2.0, 3.0]),
        ("last_update", [[1, 2, 3]]),
    ],
)
def test_a_rule_in_blocks_knows_its_parts(name, wrong):
    model = network()
    rule = mg.rules.SyntheticGradients(model)
    train(rule, model, mg.SGD(model, 0.05), batches(2))
    state = rule.state_dict()
    with pytest.raises((KeyError, ValueError), match=r"...."):
        rule.load_state_dict(model, state | {name: wrong})
    assert same(rule.state_dict(), state)


def test_a_state_that_fits_the_wrapper_but_not_the_rule_inside_changes_neither():
    model = network()
    rule = mg.rules.GuidedForwardGradient(
        mg.rules.WellTempered(mg.rules.SyntheticGradients(model), window=2)
    )
    train(rule, model, mg.SGD(model, 0.05), batches(3))
    state = rule.state_dict()
    other = mg.rules.GuidedForwardGradient(
        mg.rules.WellTempered(mg.rules.SyntheticGradients(model), window=2)
    )
    fresh = other.state_dict()
    last = [name for name in state if name.endswith(".v")][-1]
    with pytest.raises(ValueError, match="must not be negative"):
        other.load_state_dict(model, state | {last: state[last] - 1})
    assert same(other.state_dict(), fresh)
    other.load_state_dict(model, state)
    assert same(other.state_dict(), state)


def test_a_gate_that_raises_changes_nothing():
    model = network()
    rule = mg.rules.WellTempered(window=2)
    train(rule, model, mg.SGD(model, 0.05), batches(3))

    def broken(snr):
        raise ArithmeticError("no gate")

    other = mg.rules.WellTempered(gate=broken, window=2)
    before = other.state_dict()
    with pytest.raises(ArithmeticError):
        other.load_state_dict(model, rule.state_dict())
    assert same(other.state_dict(), before)


def test_a_rule_that_diverged_goes_back_where_it_was():
    """Its own state is not finite. It is as it was after an error, nevertheless."""
    model = network()
    rule = mg.rules.SyntheticGradients(model)
    train(rule, model, mg.SGD(model, 0.05), batches(2))
    good = rule.state_dict()
    rule.modules[0].net.params["0.0.W"][0, 0] = NAN
    before = rule.state_dict()
    with pytest.raises(ValueError, match="NaN or infinite"):
        rule.load_state_dict(model, before)
    assert same(rule.state_dict(), before)
    rule.load_state_dict(model, good)
    assert same(rule.state_dict(), good)
    rule.modules[0].load_state_dict(
        {k.removeprefix("module/0/"): v for k, v in before.items() if k.startswith("module/0/")}
    )
    assert same(rule.state_dict(), before)


@pytest.mark.on_host
def test_a_module_that_keeps_something_must_load_it():
    class Half(mg.rules.Module):
        def state_dict(self):
            return {"mine": 3}

    with pytest.raises(KeyError, match=r"Half has no load_state_dict\(state\) of its own"):
        Half().load_state_dict({"mine": 3})
