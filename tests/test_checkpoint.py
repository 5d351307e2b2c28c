"""`mg.save` and `mg.load`: a whole training in one file, loaded safely or not at all."""

import copy
import math

import numpy as np
import pytest
from cases import rule_cases, schedule_cases
from damaged import damaged
from trainings import Training, differences, network

import minigrad as mg
from minigrad.backend import to_host
from minigrad.checkpoint import archive


def save(path, training, **options):
    mg.save(path, **training.parts(), history=training.history, **options)


def edited(path, change):
    """Write the file anew after `change(arrays, meta)`."""
    meta, arrays = archive.read(path)
    change(arrays, meta)
    archive.write(path, arrays, meta)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.npz"


@pytest.fixture
def saved(path):
    training = Training("SyntheticGradients", schedule="StepLR").fit()
    save(path, training)
    return training


def untouched(path, **options):
    """A new training that fails to load the file: it must be as it was. Returns the message."""
    new = Training("SyntheticGradients", schedule="StepLR")
    new.history = mg.History()
    state = new.state()
    caches = [layer.cache for layer in new.model.modules()]
    with pytest.raises(mg.CheckpointError) as error:
        mg.load(path, **new.parts(), history=new.history, **options)
    assert differences(state, new.state()) == []
    assert caches == [layer.cache for layer in new.model.modules()]
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("case", **rule_cases)
def test_everything_comes_back(case, path):
    training = Training(case.name, schedule="ExponentialLR steps").fit()
    save(path, training, extra={"best": 0.5, "names": ["a"], "found": np.arange(3)})
    new = Training(case.name, schedule="ExponentialLR steps")
    new.history = mg.History()
    found = mg.load(path, **new.parts(), history=new.history)
    assert differences(training.state(), new.state()) == []
    assert found.history == training.history
    assert found.extra["best"] == 0.5
    assert found.extra["names"] == ["a"]
    np.testing.assert_array_equal(found.extra["found"], np.arange(3))
    training.fit(history=training.history, epochs=2)
    new.fit(history=new.history, epochs=2)
    assert differences(training.state(), new.state()) == []


def test_parts_alone(path, saved):
    new = Training("SyntheticGradients", schedule="StepLR")
    found = mg.load(path, new.model)
    assert (
        differences(
            {k: v for k, v in saved.state().items() if k.startswith("model/")},
            {k: v for k, v in new.state().items() if k.startswith("model/")},
        )
        == []
    )
    assert new.optimizer.lr == 0.05
    assert found.said["optimizer"].startswith("Adam(betas=")
    assert found.versions["minigrad"] == mg.__version__
    assert mg.load(path).history == saved.history
    with pytest.raises(TypeError, match="give the model"):
        mg.load(path, rule=new.rule)


def test_a_part_that_was_not_saved_is_an_error(path):
    training = Training()
    mg.save(path, training.model)
    with pytest.raises(mg.CheckpointError, match="has no optimizer: it was saved without one"):
        mg.load(path, training.model, optimizer=training.optimizer)
    with pytest.raises(mg.CheckpointError, match="has no history"):
        mg.load(path, training.model, history=mg.History())


@pytest.mark.parametrize("case", **schedule_cases)
def test_a_schedule_made_before_or_after_loading_gives_the_same_rates(case, path):
    training = Training(schedule=case.name).fit()
    mg.save(path, training.model, optimizer=training.optimizer, schedule=training.schedule)
    rates = []
    for _ in range(5):
        rates.append(training.optimizer.lr)
        case.step(training.schedule)
    for when in ("given", "before", "after"):
        model = network()
        optimizer = mg.Adam(model, lr=0.05)
        if when == "after":
            mg.load(path, model, optimizer=optimizer)
            schedule = case.schedule(optimizer)
        else:
            schedule = case.schedule(optimizer)
            options = {"schedule": schedule} if when == "given" else {}
            mg.load(path, model, optimizer=optimizer, **options)
        again = []
        for _ in range(5):
            again.append(optimizer.lr)
            case.step(schedule)
        assert again == rates, when


def test_a_schedule_that_was_not_given_is_saved_with_its_optimiser(path):
    training = Training(schedule="ExponentialLR").fit()
    mg.save(path, training.model, optimizer=training.optimizer)
    new = Training(schedule="ExponentialLR")
    mg.load(path, new.model, optimizer=new.optimizer)
    assert (new.schedule.t, new.schedule.start) == (3, 0.05)
    other = Training(schedule="StepLR")
    state = other.state()
    with pytest.raises(mg.CheckpointError, match="saved schedule is ExponentialLR"):
        mg.load(path, other.model, optimizer=other.optimizer)
    assert differences(state, other.state()) == []
    mg.save(path, training.model, optimizer=mg.Adam(training.model, 0.1))
    mg.load(path, new.model, optimizer=new.optimizer)


def test_a_schedule_of_another_kind_begins_anew(path):
    training = Training(schedule="StepLR").fit()
    mg.save(path, training.model, optimizer=training.optimizer, schedule=training.schedule)
    model = network()
    optimizer = mg.Adam(model, lr=0.05)
    mg.load(path, model, optimizer=optimizer)
    schedule = mg.ExponentialLR(optimizer, gamma=0.5)
    assert (schedule.t, schedule.start) == (0, training.optimizer.lr)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["model/0.W", "model/1.running_mean", "optimizer/0.W.m"])
def test_numbers_that_are_not_finite_are_refused_unless_told(name, value, path, saved):
    def change(arrays, meta):
        arrays[name].flat[1] = value

    edited(path, change)
    message = untouched(path)
    assert "NaN or infinite" in message
    assert "with finite=False if you mean it" in message
    new = Training("SyntheticGradients", schedule="StepLR")
    mg.load(path, **new.parts(), finite=False)


def test_a_model_that_is_not_finite_is_not_saved_unless_told(path):
    training = Training()
    mg.save(path, training.model)
    before = path.read_bytes()
    training.model.params["0.W"][0, 0] = math.nan
    with pytest.raises(ValueError, match=r"0\.W of the model has NaN.*finite=False"):
        mg.save(path, training.model)
    assert path.read_bytes() == before
    mg.save(path, training.model, finite=False)
    mg.load(path, training.model, finite=False)


def flat(arrays, name, change):
    arrays[name] = change(arrays[name])


CHANGES = {
    "a shape": lambda a, m: flat(a, "model/0.W", lambda w: w[:, :-1].copy()),
    "a dtype": lambda a, m: flat(a, "model/0.W", lambda w: w.astype("float64")),
    "integers": lambda a, m: flat(a, "model/0.W", lambda w: w.astype("int32")),
    "a moment's shape": lambda a, m: flat(a, "optimizer/0.W.v", lambda w: w[:-1].copy()),
    "a moment below 0": lambda a, m: flat(a, "optimizer/0.W.v", lambda w: w - 1),
    "a variance below 0": lambda a, m: flat(a, "model/1.running_var", lambda w: w - 9),
    "a count below 0": lambda a, m: flat(a, "model/1.num_batches_tracked", lambda w: w - 99),
    "a missing array": lambda a, m: a.pop("model/0.W"),
    "a missing parameter": lambda a, m: (a.pop("model/0.W"), m["model"].pop("0.W")),
    "an array too many": lambda a, m: a.update({"model/9.W": np.zeros(2)}),
    "a parameter too many": lambda a, m: (
        a.update({"model/9.W": np.zeros(2, "float32")}),
        m["model"].update({"9.W": {"__array__": "model/9.W"}}),
    ),
    "an array named twice": lambda a, m: m["model"].update({"0.b": {"__array__": "model/0.W"}}),
    "a learning rate of NaN": lambda a, m: m["optimizer"].update(lr={"__float__": "nan"}),
    "a learning rate of -5": lambda a, m: m["optimizer"].update(lr=-5.0),
    "a learning rate of text": lambda a, m: m["optimizer"].update(lr="0.1"),
    "a learning rate of True": lambda a, m: m["optimizer"].update(lr=True),
    "no learning rate": lambda a, m: m["optimizer"].pop("lr"),
    "a schedule at -1": lambda a, m: m["schedule"].update(t=-1),
    "a schedule at 1.5": lambda a, m: m["schedule"].update(t=1.5),
    "a schedule's start": lambda a, m: m["schedule"].update(start={"__float__": "inf"}),
    "a schedule without t": lambda a, m: m["schedule"].pop("t"),
    "Adam's t": lambda a, m: m["optimizer"].update({"0.W.t": -3}),
    "a rule's count": lambda a, m: m["rule"].update(steps=-1),
    "a rule's list": lambda a, m: m["rule"].update(updates=[1]),
    "a rule's generator": lambda a, m: m["rule"].update(rng="{}"),
    "a module's weights": lambda a, m: flat(a, "rule/module/0/net/0.0.W", lambda w: w + np.nan),
    "no random numbers": lambda a, m: m["random"].clear(),
    "random numbers of another layer": lambda a, m: m["random"].update(
        {"model 0 Linear": {"a": 1}}
    ),
    "a frozen layer": lambda a, m: m.update(frozen=[1000]),
    "frozen text": lambda a, m: m.update(frozen="all"),
    "statistics of a layer": lambda a, m: m.update(statistics=[1000]),
    "statistics of text": lambda a, m: m.update(statistics="all"),
    "no state of the model": lambda a, m: m.pop("model"),
    "another optimiser": lambda a, m: m["said"].update(optimizer="SGD()"),
    "another model": lambda a, m: m["said"].update(model="Sequential()"),
    "no words": lambda a, m: m.pop("said"),
    "a list for words": lambda a, m: m.update(said=[]),
    "another format": lambda a, m: m.update(format=99),
    "another kind": lambda a, m: m.update(kind="weights"),
    "a history of text": lambda a, m: m["history"].update(epoch=["1"]),
    "a history that is short": lambda a, m: m["history"].update(epoch=[1]),
    "no versions": lambda a, m: m.pop("versions"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_does_not_fit_changes_nothing(change, path, saved):
    edited(path, CHANGES[change])
    untouched(path)


def test_strict_false_loads_into_parts_with_other_settings(path):
    training = Training().fit()
    save(path, training)
    other = Training()
    other.model.layers[3].p = 0.1
    with pytest.raises(mg.CheckpointError, match=r"another model: it has 3: Dropout\(0.3\)"):
        mg.load(path, other.model)
    mg.load(path, other.model, strict=False)
    np.testing.assert_array_equal(
        to_host(other.model.params["0.W"]), to_host(training.model.params["0.W"])
    )


def test_the_file_can_be_read_with_numpy_alone(path, saved):
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["model/0.W"], to_host(saved.model.params["0.W"]))
        assert b'"format"' in file["meta"].tobytes()


def test_arrays_outside_of_params_and_buffers_are_named(path):
    class Shift(mg.ReLU):
        def __init__(self):
            super().__init__()
            self.by = mg.backend.to_device(np.ones(3, "float32"))

    with pytest.warns(UserWarning, match=r"neither in params nor in buffers: \['1.by'\]"):
        mg.save(path, mg.Sequential(mg.Linear(4, 3), Shift()))


@pytest.mark.parametrize(
    "extra", [{"a": object()}, {"a": {1: 2}}, {"a": np.array([object()])}, {"a": 1j}, {"a": {1}}]
)
def test_what_cannot_be_saved_is_a_type_error_and_the_file_stays(extra, path):
    training = Training()
    mg.save(path, training.model)
    before = path.read_bytes()
    with pytest.raises((TypeError, ValueError), match="extra/a"):
        mg.save(path, training.model, extra=extra)
    assert path.read_bytes() == before


def test_a_missing_file(path):
    with pytest.raises(FileNotFoundError):
        mg.load(path, network())


def test_shared_generators_stay_shared(path):
    class Noise(mg.ReLU):
        def __init__(self, rng):
            super().__init__()
            self.rng = rng

        def forward(self, x, train=True):
            noise = mg.backend.to_device(self.rng.standard_normal(x.shape).astype(x.dtype))
            return super().forward(x + noise, train)

    def make():
        rng = np.random.default_rng(3)
        return mg.Sequential(
            mg.Linear(4, 3, seed=0), Noise(rng), mg.Linear(3, 3, seed=1), Noise(rng)
        )

    x = mg.backend.to_device(np.ones((2, 4), "float32"))
    first = make()
    first.forward(x)
    mg.save(path, first)
    second = make()
    mg.load(path, second)
    for _ in range(3):
        np.testing.assert_array_equal(to_host(first.forward(x)), to_host(second.forward(x)))
    assert second.layers[1].rng is second.layers[3].rng


def test_a_rule_that_cannot_be_copied_is_loaded_or_left_alone(path, tmp_path):
    class Logging(mg.rules.Backprop):
        def __init__(self):
            self.file = open(tmp_path / "log", "w")  # noqa: SIM115

        def __repr__(self):
            return "Logging()"

    model = network()
    rule = Logging()
    with pytest.raises(TypeError):
        copy.deepcopy(rule)
    optimizer = mg.Adam(model, 0.1)
    mg.save(path, model, rule=rule, optimizer=optimizer)
    model.params["0.W"][...] = 0
    mg.load(path, model, rule=rule, optimizer=optimizer)
    assert to_host(model.params["0.W"]).any()
    edited(path, lambda arrays, meta: meta["optimizer"].update(lr=-1.0))
    model.params["0.W"][...] = 0
    with pytest.raises(mg.CheckpointError):
        mg.load(path, model, rule=rule, optimizer=optimizer)
    assert not to_host(model.params["0.W"]).any()
    rule.file.close()


def why_refused(path, training):
    """The error's sentence, or None if the file was loaded."""
    try:
        mg.load(path, **training.parts())
    except mg.CheckpointError as error:
        return str(error)
    return None


@pytest.mark.on_host
@pytest.mark.timeout(600)
def test_no_damaged_file_changes_a_training(path):
    """A thousand damaged files: refused, with nothing changed, or loaded with the same contents."""
    Training("SyntheticGradients", schedule="StepLR").stopped_at(5, checkpoint=path)
    good = path.read_bytes()
    new = Training("SyntheticGradients", schedule="StepLR")
    mg.load(path, **new.parts())
    right = new.state()
    new = Training("SyntheticGradients", schedule="StepLR")
    state = new.state()
    refused = 0
    for name, content in damaged(good):
        path.unlink()
        path.write_bytes(content)
        sentence = why_refused(path, new)
        if sentence is None:
            assert differences(right, new.state()) == [], name
            new = Training("SyntheticGradients", schedule="StepLR")
        else:
            refused += 1
            assert "\n" not in sentence
            assert differences(state, new.state()) == [], name
    assert refused > 300


@pytest.mark.on_host
def test_arguments_of_the_wrong_kind_are_told(path):
    net = network()
    optimizer = mg.Adam(net, 0.1)
    for call in (mg.save, mg.load):
        with pytest.raises(TypeError, match="path must be the name of a file, got Sequential"):
            call(net, path)
        with pytest.raises(TypeError, match="model must be of the kind Layer, got Adam"):
            call(path, optimizer)
        with pytest.raises(TypeError, match="optimizer must be of the kind Optimizer"):
            call(path, optimizer=net)
    with pytest.raises(ValueError, match="nothing to save"):
        mg.save(path)
    assert not path.exists()
