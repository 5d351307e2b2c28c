"""Blocks in processes: what they must not do silently, and what they refuse beforehand."""

import multiprocessing
import time

import numpy as np
import pytest

import minigrad as mg
from minigrad import asynchronous, threads
from minigrad.asynchronous import Timeline
from minigrad.asynchronous.channel import Channel
from minigrad.asynchronous.team import Team

pytestmark = pytest.mark.on_host


@pytest.fixture(autouse=True)
def no_process_is_left(threads_as_before):
    threads.set_threads(1)
    yield
    assert multiprocessing.active_children() == []


@pytest.fixture
def data(rng):
    y = rng.integers(0, 4, 40)
    x = rng.standard_normal((40, 12)) + 2 * np.eye(4, 12)[y]
    return mg.data.Dataset(x.astype("float32"), y, classes=4)


class Noise(mg.Layer):
    """y = x + noise in training, as a student writes it: the generator is in an attribute."""

    def __init__(self, seed=0):
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def forward(self, x, train=True):
        self.cache = True
        if not train:
            return x.copy()
        return x + self.rng.standard_normal(x.shape).astype(x.dtype) / 10

    def backward(self, dy):
        return dy.copy()


class Widening(mg.Layer):
    """Turns float32 into float64, in training only."""

    def forward(self, x, train=True):
        self.cache = True
        return x.astype("float64" if train else x.dtype)

    def backward(self, dy):
        return dy.astype("float32")


def make(*inside, rule="synthetic"):
    net = mg.Sequential(
        mg.Linear(12, 8, seed=0), mg.Tanh(), *inside, mg.Linear(8, 4, seed=1), mg.Tanh()
    )
    at = 1 + len(inside)
    if rule == "synthetic":
        return net, mg.rules.SyntheticGradients(net, interfaces=[at], seed=1), {}
    return net, mg.rules.Backprop(), {"interfaces": [at]}


def fit(net, rule, data, **options):
    """One epoch, with whatever `options` says otherwise."""
    loss = options.pop("loss", mg.CrossEntropyLoss())
    optimizer = options.pop("optimizer", None) or mg.SGD(net, 0.05)
    options = {"epochs": 1, "batch_size": 8} | options
    return asynchronous.fit(net, loss, rule, optimizer, data, **options)


def test_a_layer_with_a_random_stream_of_its_own_is_as_in_fit_also_in_a_second_run(data):
    ends = []
    for alone in (True, False):
        net, rule, _ = make(Noise(seed=3))
        optimizer, losses = mg.SGD(net, 0.05), []
        for seed in range(2):
            common = {"epochs": 1, "batch_size": 8, "seed": seed}
            arguments = net, mg.CrossEntropyLoss(), rule, optimizer, data
            if alone:
                losses += mg.fit(*arguments, **common).step_loss
            else:
                losses += asynchronous.fit(*arguments, lag=0, **common).history.step_loss
        ends.append((losses, net.state_dict()["3.W"]))
    assert ends[0][0] == ends[1][0]
    np.testing.assert_array_equal(ends[0][1], ends[1][1])


def test_an_output_of_another_dtype_is_refused_as_in_fit(data):
    """It was made float32 again on its way, without a word."""
    net, rule, options = make(Widening(), rule="backprop")
    with pytest.raises(TypeError, match="expected|computes in float32"):
        mg.fit(net, mg.CrossEntropyLoss(), rule, mg.SGD(net, 0.1), data, epochs=1, batch_size=8)
    with pytest.raises(asynchronous.WorkerError, match="an array of float32 .* got float64"):
        fit(net, rule, data, **options)


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros((2, 1), "float32"), ValueError, r"shape \(N, 3\) with N <= 4 .* got \(2, 1\)"),
        (np.zeros(3, "float32"), ValueError, "expected an array of shape"),
        (np.zeros((5, 3), "float32"), ValueError, "with N <= 4"),
        (np.zeros((2, 3)), TypeError, "expected an array of float32 .* got float64"),
        (np.zeros((2, 3), int), TypeError, "got int64"),
    ],
)
def test_a_channel_takes_only_what_it_was_made_for(array, error, message):
    """(2, 1) was spread out to (2, 3), float64 and int were cast."""
    channel = Channel(multiprocessing.get_context("spawn"), 4, (3,), "float32", slots=1)
    with pytest.raises(error, match=message):
        channel.put(array, lambda: None)
    assert channel.poll() is None
    channel.put(np.ones((2, 3), "float32"), lambda: pytest.fail("the slot is not free"))
    np.testing.assert_array_equal(channel.poll(), np.ones((2, 3)))


class Counting(mg.rules.Backprop):
    """Backprop that does something after each epoch."""

    def end_epoch(self):
        self.epochs = getattr(self, "epochs", 0) + 1


class Falling(mg.rules.SyntheticGradients):
    def rescale(self, factor):
        super().rescale(factor / 2)


@pytest.mark.parametrize(
    ("kind", "name"), [(Counting, "Counting.end_epoch"), (Falling, "Falling.rescale")]
)
def test_a_rule_with_methods_that_no_process_would_call_is_refused(kind, name, data):
    net, rule, options = make(rule="backprop")
    rule = kind(net, interfaces=[1]) if kind is Falling else kind()
    with pytest.raises(TypeError, match=f"processes do not call {name}"):
        fit(net, rule, data, **(options if kind is Counting else {}))


def test_a_data_set_with_batches_of_its_own_is_refused(data):
    class Mirrored(mg.data.Dataset):
        def batches(self, batch_size, rng=None):
            for x, y in super().batches(batch_size, rng):
                yield -x, y

    net, rule, _ = make()
    with pytest.raises(TypeError, match="Mirrored makes its batches in a way of its own"):
        fit(net, rule, Mirrored(data.x, data.y, classes=4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"loss": mg.CrossEntropyLoss},
            "loss must be a Loss, got the class CrossEntropyLoss; make one",
        ),
        ({"loss": "cross entropy"}, "loss must be a Loss, got .*cross entropy"),
        ({"rule": mg.rules.Backprop}, "rule must be a Rule, got the class Backprop; make one"),
        ({"optimizer": mg.SGD}, "optimizer must be an Optimizer, got the class SGD; make one"),
        ({"schedule": mg.ExponentialLR}, "schedule must be a Schedule"),
        ({"net": [1]}, r"model must be a Layer, got list"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
        ({"seed": "0"}, "seed must be"),
        ({"seed": 1.5}, "seed must be"),
    ],
)
def test_arguments_of_a_wrong_type_are_named_before_any_process_starts(change, message, data):
    net, rule, _ = make()
    change = {"rule": rule, "net": net, "optimizer": mg.SGD(net, 0.1)} | change
    with pytest.raises((TypeError, ValueError), match=message):
        fit(change.pop("net"), change.pop("rule"), data, **change)


def test_a_rule_whose_layers_are_no_longer_the_models_is_refused(data):
    """Its processes would train the layers that were replaced."""
    net, rule, _ = make()
    net.layers = (*net.layers[:2], mg.Linear(8, 4, seed=5), mg.Tanh())
    with pytest.raises(ValueError, match="other layers since the rule was made"):
        fit(net, rule, data, optimizer=mg.SGD(net, 0.1))


def tied_net():
    net = mg.Sequential(
        mg.Linear(12, 12, seed=0),
        mg.Tanh(),
        mg.Linear(12, 12, seed=1),
        mg.Tanh(),
        mg.Linear(12, 4, seed=2),
    )
    net.layers[2].params["W"] = net.layers[0].params["W"]
    return net


def test_parameters_that_two_blocks_share_are_refused(data):
    """Each process would train its copy, and the last one would count. In one block they may be."""
    net = tied_net()
    optimizer = mg.SGD(net, 0.1, 0.9)
    common = {"optimizer": optimizer, "interfaces": [1]}
    with pytest.raises(ValueError, match=r"0.W and 2.W are one array in two blocks"):
        fit(net, mg.rules.Backprop(), data, **common)
    together = fit(net, mg.rules.Backprop(), data, **common | {"interfaces": [3]}).history
    assert net.layers[2].params["W"] is net.layers[0].params["W"]
    alone = tied_net()
    expected = mg.fit(
        alone,
        mg.CrossEntropyLoss(),
        mg.rules.Backprop(),
        mg.SGD(alone, 0.1, 0.9),
        data,
        epochs=together.epoch[-1],
        batch_size=together.settings["batch_size"],
        seed=together.settings["seed"],
    )
    assert together.step_loss == expected.step_loss
    for name, array in alone.state_dict().items():
        np.testing.assert_array_equal(net.state_dict()[name], array)


def test_the_old_name_of_an_argument_works_and_warns(data):
    net, rule, _ = make()
    with pytest.warns(DeprecationWarning, match="threads_each= is now called threads_per_process"):
        run = fit(net, rule, data, threads_each=1)
    assert run.history.settings["threads_per_process"] == 1


def test_ctrl_c_while_the_processes_end_leaves_none(data, monkeypatch):
    """A second Ctrl-C, say: the processes were left, or the whole run was lost."""
    net, rule, _ = make()
    original = Team.end
    pressed = []

    def interrupted(*arguments, **options):
        if len(pressed) < 2:
            pressed.append(True)
            raise KeyboardInterrupt
        return wait(*arguments, **options)

    def end(team, presses):
        monkeypatch.setattr("minigrad.asynchronous.team.wait", interrupted)
        original(team, presses)
        assert not any(process.is_alive() for process in team.processes)

    from minigrad.asynchronous.team import wait

    monkeypatch.setattr(Team, "end", end)
    monkeypatch.setattr(Team, "work", started_only)
    run = fit(net, rule, data, epochs=1000)
    assert run.history.epoch == []
    assert len(pressed) == 2


def started_only(team, bar, presses):
    """Instead of Team.work: start the processes, and stop at once."""
    team._start()


def test_an_error_while_processes_are_started_ends_those_that_run(data, monkeypatch):
    net, rule, _ = make()
    context = multiprocessing.get_context("spawn")
    start = context.Process.start

    def failing(process):
        if process.name.startswith("minigrad block 2"):
            raise OSError("no more processes")
        start(process)

    monkeypatch.setattr(context.Process, "start", failing)
    started = time.monotonic()
    with pytest.raises(OSError, match="no more processes"):
        fit(net, rule, data)
    assert time.monotonic() - started < 4  # they end by themselves: it waits for 5 s


def test_a_timeline_without_events_is_all_zero():
    for line in (Timeline([]), Timeline.of([]), Timeline.of([np.empty((0, 5))])):
        assert set(line.as_dict().values()) == {0.0}
    line = Timeline([np.array([[0, 1, 0.0, 2.0, 1.0]])])
    assert line.during(0.5, 1.5).seconds == 1
    with pytest.raises(ValueError, match="expected start < stop, got start=2 and stop=1"):
        line.during(2, 1)
