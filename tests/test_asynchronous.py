"""A process for each block: the same numbers in lock-step, overlap without, and a clean end."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from conftest import ROOT

import minigrad as mg
from minigrad import asynchronous, threads
from minigrad.asynchronous.channel import Channel, shared, view
from minigrad.asynchronous.timeline import KINDS, Timeline
from minigrad.asynchronous.worker import Stopped

pytestmark = pytest.mark.on_host
STEPS = 12


@pytest.fixture
def data(rng):
    """Eleven batches of 8 and one of 5, with something to learn."""
    y = rng.integers(0, 4, 93)
    x = rng.standard_normal((93, 12)) + 2 * np.eye(4, 12)[y]
    return mg.data.Dataset(x.astype("float32"), y, classes=4)


@pytest.fixture(autouse=True)
def ctrl_c_is_answered():
    """Also where the tests run in the background, with SIGINT ignored from the start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def nobody_is_left(threads_as_before):
    threads.set_threads(1)
    yield
    assert multiprocessing.active_children() == []


def make(kind="synthetic", hidden=(16, 14), seed=0, lr=0.01, **options):
    net = mg.models.mlp((12, *hidden, 4), batch_norm=True, seed=seed)
    rule = mg.rules.Backprop()
    if kind == "synthetic":
        rule = mg.rules.SyntheticGradients(net, seed=1, lr=lr, **options)
    return net, mg.CrossEntropyLoss(), rule, mg.Adam(net, lr)


def states(net, rule, optimizer):
    flat = {"net": net, "rule": rule, "optimizer": optimizer}
    return {f"{k}/{n}": v for k, what in flat.items() for n, v in what.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key], err_msg=key)


CASES = {
    "synthetic": {},
    "half of the updates": {"update_probability": 0.5},
    "hidden layers, not told the label": {"hidden": (6,), "conditioned": False},
    "backprop": {"kind": "backprop"},
}


@pytest.mark.parametrize(
    ("case", "per"), [*((case, "epoch") for case in CASES), ("synthetic", "step")]
)
def test_in_lock_step_it_is_the_same_run_bit_for_bit(case, per, data):
    """Weights, running statistics, modules, Adam's state, losses, history, counts: all of it."""
    runs = []
    lock_step = {} if case == "backprop" else {"lag": 0}
    for fit, extra in ((mg.fit, {}), (asynchronous.fit, lock_step)):
        net, loss, rule, optimizer = make(**CASES[case])
        at = [1] if per == "epoch" else [7, 15]
        schedule = mg.MultiStepLR(optimizer, at, per=per)
        common = {"epochs": 2, "batch_size": 8, "seed": 5, "schedule": schedule}
        found = fit(net, loss, rule, optimizer, data, data, **common, **extra)
        history = getattr(found, "history", found)
        runs.append((states(net, rule, optimizer), history, schedule.t, optimizer.lr))
    (state, history, t, lr), (state2, history2, t2, lr2) = runs
    assert_same(state, state2)
    assert (t, lr) == (t2, lr2)
    for name in ("epoch", "train_loss", "train_accuracy", "test_loss", "step_loss"):
        assert getattr(history, name) == getattr(history2, name), name
    assert len(history2.seconds) == 2
    assert min(history2.seconds) > 0


def test_a_run_can_be_continued_by_either(data):
    """State goes there and back: one epoch alone, then one in processes, is two alone."""
    ends = []
    for second in (mg.fit, asynchronous.fit):
        net, loss, rule, optimizer = make()
        mg.fit(net, loss, rule, optimizer, data, epochs=1, batch_size=8, seed=3)
        extra = {"lag": 0} if second is asynchronous.fit else {}
        second(net, loss, rule, optimizer, data, epochs=1, batch_size=8, seed=4, **extra)
        ends.append(states(net, rule, optimizer))
    assert_same(*ends)


def other_nets():
    """What else goes through channels: images, a stream of random numbers, float64, one cut."""
    images = mg.Sequential(
        mg.Conv2d(1, 3, 3, seed=0),
        mg.ReLU(),
        mg.MaxPool2d(2),
        mg.Flatten(),
        mg.Linear(3 * 2 * 2, 4, seed=1),
    )
    dropout = mg.Sequential(
        mg.Linear(36, 9, seed=0), mg.Tanh(), mg.Dropout(0.4, seed=2), mg.Linear(9, 4, seed=1)
    )
    return {
        "images": (images, (1, 6, 6), "float32"),
        "dropout": (dropout, (36,), "float32"),
        "float64, one cut": (mg.models.mlp((36, 5, 4), dtype="float64", seed=0), (36,), "float64"),
    }


@pytest.mark.parametrize("kind", other_nets())
def test_other_networks_are_the_same_in_lock_step_also_in_a_second_run(kind, rng):
    """A last batch of one; labels of another dtype; random streams go there and come back."""
    _, shape, dtype = other_nets()[kind]
    y = rng.integers(0, 4, 33).astype("uint8")
    data = mg.data.Dataset(rng.standard_normal((33, *shape)).astype(dtype), y, classes=4)
    ends = []
    for fit, extra in ((mg.fit, {}), (asynchronous.fit, {"lag": 0})):
        net = other_nets()[kind][0]
        rule = mg.rules.SyntheticGradients(net, input_shape=shape, seed=1)
        optimizer, losses = mg.SGD(net, 0.05, momentum=0.9), []
        for run in range(2):
            schedule = mg.ExponentialLR(optimizer, 0.5)
            common = {"epochs": 1, "batch_size": 8, "seed": run, "schedule": schedule}
            found = fit(net, mg.CrossEntropyLoss(), rule, optimizer, data, **common, **extra)
            losses += getattr(found, "history", found).step_loss
        ends.append((states(net, rule, optimizer), losses))
    assert ends[0][1] == ends[1][1]
    assert_same(ends[0][0], ends[1][0])


def test_backprop_can_be_cut_where_one_likes(data):
    net = mg.models.mlp((12, 4), seed=0)
    net = mg.Sequential(*net.layers, mg.Linear(4, 4, seed=1))
    with pytest.raises(ValueError, match="say where: interfaces="):
        mg.rules.split(net)
    twin = mg.Sequential(*mg.models.mlp((12, 4), seed=0).layers, mg.Linear(4, 4, seed=1))
    common = {"epochs": 1, "batch_size": 8}
    for model, fit, extra in ((twin, mg.fit, {}), (net, asynchronous.fit, {"interfaces": [1]})):
        optimizer, rule = mg.SGD(model, 0.1), mg.rules.Backprop()
        fit(model, mg.CrossEntropyLoss(), rule, optimizer, data, **common, **extra)
    assert_same(net.state_dict(), twin.state_dict())


def test_without_lock_it_learns_as_well_and_the_first_block_is_ahead(data):
    accuracy = {}
    for lag in (0, None):
        net, loss, rule, optimizer = make(hidden=(256, 256))
        run = asynchronous.fit(
            net, loss, rule, optimizer, data, epochs=20, batch_size=31, evaluate_every=20, lag=lag
        )
        accuracy[lag] = run.history.train_accuracy[-1]
        assert run.history.epoch == [20]
        assert len(run.history.step_loss) == 60
        assert rule.updates == [60, 60, 60]
        assert [len(e[e[:, 0] == KINDS.index("forward")]) for e in run.timeline.events] == [60] * 3
        assert run.history.settings["lag"] == lag
        # every activation is answered and learned from in the end
        assert [int((e[:, 0] == KINDS.index("module")).sum()) for e in run.timeline.events] == [
            120,
            120,
            0,
        ]
    assert accuracy[0] > 0.9
    assert accuracy[None] > 0.9
    assert run.timeline.ahead > 0.5  # it has stepped before the top begins on the same batch


def test_backprop_in_processes_keeps_the_order_of_backprop(data):
    """Forward upwards, backward downwards, step by step; the first block steps last."""
    net, loss, rule, optimizer = make("backprop")
    run = asynchronous.fit(net, loss, rule, optimizer, data, epochs=1, batch_size=8)
    forward, backward = KINDS.index("forward"), KINDS.index("backward")
    for below, above in zip(run.timeline.events[:-1], run.timeline.events[1:], strict=True):
        for step in range(1, STEPS + 1):
            own, other = below[below[:, 1] == step], above[above[:, 1] == step]
            starts = own[own[:, 0] == backward][:, 2].min()
            assert other[other[:, 0] == backward][0, 3] <= starts
            assert own[own[:, 0] == forward][0, 3] <= other[other[:, 0] == forward][0, 2]
    assert run.timeline.ahead == 0


@pytest.mark.parametrize(
    ("kind", "victim"), [("synthetic", 0), ("synthetic", 1), ("synthetic", 2), ("backprop", 1)]
)
def test_a_killed_process_is_an_error_that_names_it_and_nobody_is_left(
    kind, victim, data, while_it_runs
):
    pids = []

    def kill(processes):
        pids.extend(p.pid for p in processes)
        os.kill(processes[victim].pid, signal.SIGKILL)

    net, loss, rule, optimizer = make(kind)
    thread = while_it_runs(kill, steps=20)
    began = time.monotonic()
    with pytest.raises(asynchronous.WorkerError, match=rf"block {victim + 1} \(layers .*signal 9"):
        asynchronous.fit(net, loss, rule, optimizer, data, epochs=3000, batch_size=8)
    assert time.monotonic() - began < 40
    thread.join()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_an_error_in_a_block_comes_with_its_traceback(data):
    net, loss, rule, optimizer = make()
    for layer in net.modules():
        layer.min_batch = 1  # else the run is refused before it starts
    with pytest.raises(asynchronous.WorkerError) as caught:  # 93 = 4 * 23 + 1
        asynchronous.fit(net, loss, rule, optimizer, data, epochs=1, batch_size=23)
    assert "block 1 (layers 0 to 3) failed in step 5: ValueError: BatchNorm1d" in str(caught.value)
    assert "Traceback" in str(caught.value)


def test_a_diverging_run_ends_and_says_so(data):
    net, loss, rule, _ = make("backprop")
    optimizer = mg.SGD(net, lr=1e30)
    run = asynchronous.fit(net, loss, rule, optimizer, data, epochs=50, batch_size=8)
    assert run.history.stopped.startswith("diverged: the loss was")
    assert "epoch" in run.history.stopped


def test_ctrl_c_ends_the_run_cleanly_with_the_last_whole_epoch(data, while_it_runs):
    net, loss, rule, optimizer = make()
    before = net.state_dict()
    thread = while_it_runs(lambda found: os.kill(os.getpid(), signal.SIGINT), steps=5 * STEPS)
    run = asynchronous.fit(
        net, loss, rule, optimizer, data, epochs=3000, batch_size=8, evaluate_every=5
    )
    thread.join()
    assert run.history.stopped.startswith("interrupted after step")
    assert run.history.epoch
    assert run.history.epoch[-1] % 5 == 0
    assert run.history.train_accuracy[-1] == mg.evaluate(net, loss, data)[1]
    assert not np.array_equal(before["1.W"], net.state_dict()["1.W"])


def test_ctrl_c_while_it_evaluates_loses_nothing_of_the_run(data, monkeypatch):
    ends = []
    for interrupted in (False, True):
        net, loss, rule, optimizer = make()
        if interrupted:
            monkeypatch.setattr("minigrad.asynchronous.snapshots.measure", _raise_interrupt)
        run = asynchronous.fit(net, loss, rule, optimizer, data, epochs=2, batch_size=8, lag=0)
        ends.append(states(net, rule, optimizer))
    assert run.history.stopped == "interrupted while evaluating epoch 1"
    assert run.timeline.seconds > 0
    assert_same(*ends)


def _raise_interrupt(*arguments, **options):
    raise KeyboardInterrupt


def test_ctrl_c_while_processes_are_made_ends_them(data, monkeypatch):
    net, loss, rule, optimizer = make()
    from minigrad.asynchronous import spawning

    original = spawning.without_main

    def interrupted():
        os.kill(os.getpid(), signal.SIGINT)  # is held back until all have been made
        return original()

    before = net.state_dict()
    monkeypatch.setattr(
        "minigrad.asynchronous.team.no_interrupt", _then(spawning.no_interrupt, interrupted)
    )
    run = asynchronous.fit(net, loss, rule, optimizer, data, epochs=2, batch_size=8)
    assert run.history.stopped == "interrupted after step 0 of the top block"
    assert run.history.epoch == []
    assert_same(before, net.state_dict())
    numbers = run.timeline.as_dict()
    assert set(numbers.values()) == {0.0}


def _then(outer, inner):
    """outer(), and within it inner() at once."""

    @contextmanager
    def both():
        with outer(), inner():
            yield

    return both


SCRIPT = """
import multiprocessing, threading, time
import numpy as np
import minigrad as mg
from minigrad import asynchronous

x = np.random.default_rng(0).standard_normal((40, 12)).astype("float32")
data = mg.data.Dataset(x, np.arange(40) % 4, classes=4)
net = mg.models.mlp((12, 8, 4), seed=0)
rule = mg.rules.SyntheticGradients(net)

def tell():
    while len(multiprocessing.active_children()) < 2:
        time.sleep(0.05)
    print(*[p.pid for p in multiprocessing.active_children()], flush=True)

threading.Thread(target=tell, daemon=True).start()
run = asynchronous.fit(net, mg.CrossEntropyLoss(), rule, mg.Adam(net, 0.01), data,
                       epochs=EPOCHS, batch_size=8, progress=False)
print("ended", run.history.epoch)
"""


def test_a_plain_script_needs_no_main_guard(tmp_path):
    """A lesson is a script from top to bottom; `spawn` alone would run it again in each process."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("EPOCHS", "2"))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "ended [1, 2]"
    assert done.stderr == ""


def test_no_process_outlives_a_killed_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("EPOCHS", "1000000"))
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        time.sleep(2)
        parent.kill()
    assert len(pids) == 2
    end = time.monotonic() + 15
    while time.monotonic() < end and any(_alive(pid) for pid in pids):
        time.sleep(0.1)
    assert not any(_alive(pid) for pid in pids)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Doubled(mg.rules.Backprop):
    """A rule that is no longer backprop; processes know nothing of what it adds."""

    def estimate(self, model, loss, x, target):
        return 2 * super().estimate(model, loss, x, target)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rule": "locked"}, TypeError, "in the mode 'sequential'"),
        ({"rule": "another"}, ValueError, "made for another model"),
        ({"rule": "backprop", "lag": 0}, ValueError, "with Backprop.. each block waits"),
        ({"rule": "derived"}, TypeError, "do not call Doubled.estimate: .* or by Backprop"),
        ({"interfaces": [3]}, ValueError, "interfaces= is for Backprop"),
        ({"optimizer": "a part's"}, ValueError, "must be one of the whole model"),
        ({"optimizer": "nested"}, ValueError, "must be one of the whole model"),
        ({"epochs": 0}, ValueError, "epochs must be"),
        ({"batch_size": 0}, ValueError, "batch_size must be"),
        ({"lag": -1}, ValueError, "lag must be"),
        ({"threads_per_process": 0}, ValueError, "threads_per_process must be"),
        ({"evaluate_every": 0}, ValueError, "evaluate_every must be"),
    ],
)
def test_wrong_options_are_refused_before_any_process_starts(change, error, message, data):
    net, loss, rule, optimizer = make()
    options = {"epochs": 1, "batch_size": 8} | change
    rules = {
        "locked": lambda: mg.rules.SyntheticGradients(net, mode="locked"),
        "another": lambda: mg.rules.SyntheticGradients(make()[0]),
        "backprop": mg.rules.Backprop,
        "derived": Doubled,
    }
    optimizers = {"a part's": net.layers[4:], "nested": [net]}
    rule = rules.get(options.pop("rule", None), lambda: rule)()
    if (kind := options.pop("optimizer", None)) is not None:
        optimizer = mg.Adam(mg.Sequential(*optimizers[kind]), 0.1)
    with pytest.raises(error, match=message):
        asynchronous.fit(net, loss, rule, optimizer, data, **options)


def test_a_layer_that_no_other_process_can_import_is_refused(data):
    class Local(mg.Tanh):
        pass

    net = mg.Sequential(mg.Linear(12, 8, seed=0), Local(), mg.Linear(8, 4, seed=1))
    rule = mg.rules.SyntheticGradients(net)
    with pytest.raises(
        TypeError, match=r"layers 0 to 1.*Write your classes and functions in a file"
    ):
        asynchronous.fit(
            net, mg.CrossEntropyLoss(), rule, mg.Adam(net, 0.1), data, epochs=1, batch_size=8
        )


class TestChannel:
    def test_arrays_come_out_as_they_went_in_also_smaller_ones(self, rng):
        context = multiprocessing.get_context("spawn")
        channel = Channel(context, 5, (2, 3), "float32", slots=2)
        for n in (5, 3, 1, 5, 5):
            array = rng.standard_normal((n, 2, 3)).astype("float32")
            assert channel.poll() is None
            channel.put(array, lambda: None)
            array2 = channel.get(lambda: None)
            np.testing.assert_array_equal(array, array2)

    def test_order_is_kept_and_a_full_one_waits(self):
        channel = Channel(multiprocessing.get_context("spawn"), 1, (1,), "float64", slots=2)

        def nothing_to_wait_for():
            raise Stopped

        for value in (1.0, 2.0):
            channel.put(np.full((1, 1), value), nothing_to_wait_for)
        with pytest.raises(Stopped):
            channel.put(np.full((1, 1), 3.0), nothing_to_wait_for)
        assert [float(channel.poll()[0, 0]) for _ in range(2)] == [1.0, 2.0]
        with pytest.raises(Stopped):
            channel.get(nothing_to_wait_for)

    def test_shared_arrays(self, rng):
        array = rng.standard_normal((4, 3))
        np.testing.assert_array_equal(
            view(shared(multiprocessing.get_context("spawn"), array)), array
        )


def test_the_numbers_of_a_time_line():
    """Two blocks: 0-2 and 4-6; 1-3 and 4-5. Both at work in 1-2 and 4-5."""
    first = np.array([[0, 1, 10.0, 12.0, 2.0], [1, 2, 14.0, 16.0, 1.0]])
    second = np.array([[0, 1, 11.0, 13.0, 1.0], [1, 2, 14.0, 15.0, 1.0]])
    line = Timeline.of([first, second])
    assert line.seconds == 6
    assert line.at_work == pytest.approx(7 / 6)
    assert line.cores == pytest.approx(5 / 6)
    assert line.overlap == pytest.approx(2 / 6)
    part = line.during(1.5, 4.5)  # half a second of both; alone 2-3; both from 4 on
    assert part.seconds == 3
    assert part.overlap == pytest.approx(1 / 3)
    assert part.at_work == pytest.approx(3 / 3)
    assert part.cores == pytest.approx((0.5 + 0.75 + 0.25 + 0.5) / 3)
    chain = Timeline.of([first[:1], np.array([[0, 1, 12.0, 13.0, 1.0]])])
    assert chain.overlap == 0
    assert chain.at_work == 1
