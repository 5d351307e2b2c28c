"""Processes and checkpoints: a run that was stopped goes on from one state of all its blocks."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import asdict

import numpy as np
import pytest
from conftest import ROOT, python

import minigrad as mg
from minigrad import asynchronous, threads
from minigrad.asynchronous.presses import Presses

pytestmark = pytest.mark.on_host
STEPS = 12  # in an epoch: eleven batches of 8 and one of 5


@pytest.fixture(autouse=True)
def no_process_is_left(threads_as_before):
    threads.set_threads(1)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
    assert multiprocessing.active_children() == []


def dataset(n=93):
    rng = np.random.default_rng(20)
    y = rng.integers(0, 4, n)
    x = rng.standard_normal((n, 12)) + 2 * np.eye(4, 12)[y]
    return mg.data.Dataset(x.astype("float32"), y, classes=4)


class Training:
    """A network with dropout and batch norm, Adam, and a schedule."""

    def __init__(self, kind="synthetic", per=None, **options):
        self.net = mg.Sequential(
            mg.Linear(12, 10, seed=0),
            mg.BatchNorm1d(10),
            mg.ReLU(),
            mg.Dropout(0.2, seed=3),
            mg.Linear(10, 9, seed=1),
            mg.Tanh(),
            mg.Dropout(0.1, seed=4),
            mg.Linear(9, 4, seed=2),
        )
        self.optimizer = mg.Adam(self.net, 0.01)
        self.schedule = mg.ExponentialLR(self.optimizer, 0.9, per=per) if per else None
        self.rule = mg.rules.Backprop()
        if kind != "backprop":
            self.rule = mg.rules.SyntheticGradients(self.net, seed=1, lr=0.01, **options)
        self.parts = {"model": self.net, "optimizer": self.optimizer, "rule": self.rule}
        if self.schedule:
            self.parts["schedule"] = self.schedule
        self.history = None

    def fit(self, by=asynchronous.fit, lag=0, data=None, **options):
        if by is asynchronous.fit and not isinstance(self.rule, mg.rules.Backprop):
            options["lag"] = lag
        options = {"epochs": 3, "batch_size": 8, "seed": 5, "progress": False} | options
        loss, data = mg.CrossEntropyLoss(), data or dataset()
        arguments = self.net, loss, self.rule, self.optimizer, data, dataset(30)
        found = by(*arguments, schedule=self.schedule, **options)
        self.history = getattr(found, "history", found)
        self.timeline = getattr(found, "timeline", None)
        return self

    def state(self):
        """Everything but the seconds and the settings."""
        state = {f"{k}/{n}": v for k, p in self.parts.items() for n, v in p.state_dict().items()}
        for i, layer in enumerate(self.net.modules()):
            state[f"streams/{i}"] = said(layer.rng_state())
        for name, value in asdict(self.history).items() if self.history else ():
            if name not in ("seconds", "settings"):
                state[f"history/{name}"] = value
        return state


def said(value):
    """A state of random streams as text; a generator by its numbers."""
    if isinstance(value, dict):
        return {key: said(inner) for key, inner in value.items()}
    bits = getattr(value, "bit_generator", None)
    return repr(bits.state if bits is not None else value)


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key], err_msg=key)


CASES = {
    "synthetic": {"per": "epoch"},
    "a rate for each step": {"per": "step"},
    "half of the updates, hidden layers": {
        "per": "step",
        "update_probability": 0.5,
        "hidden": (6,),
    },
    "backprop": {"kind": "backprop", "per": "epoch"},
}


@pytest.mark.parametrize("case", CASES)
def test_in_lock_step_a_resumed_run_is_the_unbroken_one_bit_for_bit(case, tmp_path):
    """From the middle of an epoch, from its end, and from before the first step."""
    path = tmp_path / "run.npz"
    unbroken = Training(**CASES[case]).fit(mg.fit).state()
    saved = Training(**CASES[case]).fit(checkpoint=path, every="4 steps", keep=99).state()
    assert_same(saved, unbroken)
    files = [tmp_path / f"run.earlier-{i}.npz" for i in range(1, 10)]
    steps = {}
    for file in files:
        history = mg.load(file, Training(**CASES[case]).net).history
        steps[len(history.step_loss)] = file
    assert list(steps) == list(range(0, 36, 4))
    for step in (16, 24) if case != "synthetic" else (0, 16, 24):  # 16: in epoch 2; 24: its end
        shutil.copy(steps[step], path)
        again = Training(**CASES[case]).fit(checkpoint=path, every="4 steps", resume=True)
        assert_same(again.state(), unbroken)
    shutil.copy(steps[16], path)  # the file is one of mg.fit's, too
    alone = Training(**CASES[case]).fit(mg.fit, checkpoint=path, resume=True)
    assert_same(alone.state(), unbroken)


class Shaky(mg.SGD):
    """Its steps are a little too long, or too short."""

    def __init__(self, model, lr):
        super().__init__(model, lr)
        self.rng = np.random.default_rng(0)

    def _update(self, param, grad, state):
        super()._update(param, grad * self.rng.uniform(0.9, 1.1), state)


def test_an_optimiser_that_draws_is_not_saved(tmp_path):
    """Each process would draw from a copy of its generator."""
    training = Training()
    training.optimizer = Shaky(training.net, 0.1)
    with pytest.raises(TypeError, match="Shaky draws random numbers, and each process"):
        training.fit(checkpoint=tmp_path / "run.npz")


def test_a_diverging_run_keeps_its_last_good_checkpoint(tmp_path):
    path = tmp_path / "run.npz"
    training = Training()
    training.optimizer = mg.SGD(training.net, 1e12)
    with pytest.warns(RuntimeWarning, match="no checkpoint was written"):
        training.fit(checkpoint=path, every="1 steps", epochs=50)
    assert training.history.stopped.startswith("diverged")
    saved = Training()
    saved.optimizer = mg.SGD(saved.net, 0.1)
    found = mg.load(path, saved.net, optimizer=saved.optimizer).history
    assert found.stopped.startswith("saved in epoch 1")
    assert found.step_loss == training.history.step_loss[: len(found.step_loss)]


def test_a_finished_run_is_given_back_without_a_step(tmp_path):
    path = tmp_path / "run.npz"
    first = Training(per="epoch").fit(checkpoint=path)
    written = path.stat().st_mtime_ns
    again = Training(per="epoch").fit(checkpoint=path, resume=True)
    assert_same(again.state(), first.state())
    assert again.timeline.seconds == 0
    assert path.stat().st_mtime_ns == written
    longer = Training(per="epoch").fit(checkpoint=path, resume=True, epochs=4)
    assert_same(longer.state(), Training(per="epoch").fit(mg.fit, epochs=4).state())
    assert min(events[:, 1].min() for events in longer.timeline.events) == 3 * STEPS + 1
    with pytest.raises(ValueError, match="has 4 epochs done, this call asks for 2"):
        Training(per="epoch").fit(checkpoint=path, resume=True, epochs=2)


@pytest.mark.parametrize("every", ["5 steps", "0.05 seconds"])
def test_blocks_that_run_freely_are_saved_after_the_same_step(every, tmp_path):
    """Every block, module and optimiser has made the steps that the history has."""
    path = tmp_path / "run.npz"
    big = dataset(600)
    Training().fit(lag=None, data=big, checkpoint=path, every=every, keep=999)
    files = [path, *tmp_path.glob("run.earlier-*.npz")]
    found = set()
    for file in files:
        training = Training()
        step = len(mg.load(file, **training.parts).history.step_loss)
        found.add(step)
        assert training.rule.steps == step
        assert training.rule.updates == [step] * 3
        assert training.rule.last_update == [step] * 3
        optimizer = training.optimizer.state_dict()
        modules = training.rule.state_dict()
        counts = [v for k, v in [*optimizer.items(), *modules.items()] if k.endswith(".t")]
        assert counts == ([step] * len(counts) if step else [])
    assert {0, 3 * 75} <= found
    if "steps" in every:
        assert found == set(range(0, 226, 5))
        middle = mg.load(tmp_path / "run.earlier-20.npz", Training().net).history
        shutil.copy(tmp_path / "run.earlier-20.npz", path)
        resumed = Training().fit(lag=None, data=big, checkpoint=path, every=every, resume=True)
        assert resumed.history.stopped is None
        assert resumed.history.epoch == [1, 2, 3]
        assert len(resumed.history.step_loss) == 225
        assert resumed.history.step_loss[:95] == middle.step_loss
        assert resumed.rule.updates == [225] * 3
    else:
        assert len(found) >= 3  # the first, the last, and one for the time


def test_the_rows_of_a_validation_set_are_those_of_fit(tmp_path):
    rows = []
    for by in (mg.fit, asynchronous.fit):
        history = Training().fit(by, validation=dataset(20), evaluate_every=2).history
        rows.append([history.epoch, history.validation_loss, history.validation_accuracy])
    assert rows[0] == rows[1]
    assert rows[0][0] == [2, 3]
    with pytest.raises(TypeError, match="validation must be"):
        Training().fit(validation=[1])


def test_every_says_which_epochs_are_saved_and_evaluation_is_apart_from_it(tmp_path):
    path = tmp_path / "run.npz"
    history = Training().fit(checkpoint=path, every=2, evaluate_every=1, keep=9, epochs=5).history
    assert history.epoch == [1, 2, 3, 4, 5]
    found = [mg.load(file, Training().net).history for file in sorted(tmp_path.glob("*.npz"))]
    assert sorted(len(h.epoch) for h in found) == [0, 2, 4, 5]
    assert [len(h.step_loss) // STEPS for h in found] == [len(h.epoch) for h in found]


def test_what_does_not_fit_is_refused_before_a_process_starts(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    Training().fit(checkpoint=path, epochs=1)
    monkeypatch.setattr("minigrad.asynchronous.run.Team", None)
    with pytest.raises(FileExistsError, match="resume=True goes on with it"):
        Training().fit(checkpoint=path)
    with pytest.raises(ValueError, match="another run: lag was 0, now it is any"):
        Training().fit(lag=None, checkpoint=path, resume=True)
    with pytest.raises(ValueError, match="another run: seed was 5, now it is 6"):
        Training().fit(seed=6, checkpoint=path, resume=True)
    for wrong in ({"resume": True}, {"every": 3}, {"keep": 2}):
        with pytest.raises(ValueError, match="give checkpoint="):
            Training().fit(**wrong)
    with pytest.raises(TypeError, match="resume must be True or False"):
        Training().fit(checkpoint=path, resume="no")


@pytest.mark.parametrize(("kind", "victim"), [("synthetic", 0), ("synthetic", 2), ("backprop", 1)])
def test_a_killed_worker_loses_the_steps_since_the_last_checkpoint_at_most(
    kind, victim, tmp_path, while_it_runs
):
    """The error has the history. The same call goes on, to what an unbroken run gives."""
    path = tmp_path / "run.npz"
    common = {"evaluate_every": 20, "checkpoint": path, "every": "25 steps"}
    thread = while_it_runs(lambda found: os.kill(found[victim].pid, signal.SIGKILL), steps=310)
    with pytest.raises(asynchronous.WorkerError, match="signal 9") as caught:
        Training(kind, per="epoch").fit(epochs=100_000, **common)
    thread.join()
    history = caught.value.history
    assert "failed after step" in history.stopped
    assert "WorkerError: the process of block" in history.stopped
    assert history.epoch == list(range(20, 1 + len(history.step_loss) // STEPS, 20))
    saved = mg.load(path, Training().net).history
    done, batch = divmod(len(saved.step_loss), STEPS)  # 300 steps are 25 epochs, 325 are not 27
    middle = f"saved in epoch {done + 1}, after step {len(saved.step_loss)}"
    assert saved.stopped == (middle if batch else None)
    assert saved.step_loss == history.step_loss
    assert saved.epoch == history.epoch
    epochs = 2 + done
    resumed = Training(kind, per="epoch").fit(epochs=epochs, resume=True, **common)
    unbroken = Training(kind, per="epoch").fit(mg.fit, epochs=epochs, evaluate_every=20)
    assert_same(resumed.state(), unbroken.state())


class Forgetful(mg.Layer):
    """Passes everything on, and has no memory left in its fifth step."""

    steps = 0

    def forward(self, x, train=True):
        self.steps += train
        if self.steps == 5:
            raise MemoryError("no room for a cache")
        return x.copy()

    def backward(self, dy):
        return dy.copy()


def test_a_block_without_memory_leaves_history_and_checkpoint(tmp_path):
    path = tmp_path / "run.npz"
    net = mg.Sequential(mg.Linear(12, 4, seed=0), mg.Tanh(), mg.Linear(4, 4, seed=1), Forgetful())
    common = {"epochs": 3, "batch_size": 31, "checkpoint": path, "every": "2 steps", "lag": 0}
    rule, optimizer = mg.rules.SyntheticGradients(net, interfaces=[1]), mg.SGD(net, 0.1)
    with pytest.raises(asynchronous.WorkerError, match="failed in step 5: MemoryError") as caught:
        asynchronous.fit(net, mg.CrossEntropyLoss(), rule, optimizer, dataset(), **common)
    history = caught.value.history
    assert history.stopped.startswith("failed after step 4 of the top block: WorkerError: block 2")
    assert "Traceback" not in history.stopped
    assert history.epoch == [1]
    assert len(history.step_loss) == 4
    assert len(mg.load(path, net).history.step_loss) == 4
    assert rule.updates == [4, 4]


@pytest.mark.parametrize("saved", [False, True])
def test_an_error_while_it_evaluates_has_the_history(saved, tmp_path, monkeypatch):
    """The epochs before it are there; so is what was trained."""
    from minigrad.asynchronous import snapshots

    measure, calls = snapshots.measure, []

    def failing(*arguments, **options):
        calls.append(True)
        if len(calls) > 1:
            raise MemoryError("no room for the outputs")
        return measure(*arguments, **options)

    monkeypatch.setattr(snapshots, "measure", failing)
    options = {"checkpoint": tmp_path / "run.npz"} if saved else {}
    training = Training()
    with pytest.raises(MemoryError, match="no room") as caught:
        training.fit(**options)
    history = caught.value.history
    assert history.epoch == [1]
    assert "failed after step" in history.stopped
    assert "MemoryError: no room" in history.stopped
    assert training.rule.steps >= (2 * STEPS if saved else 3 * STEPS)
    monkeypatch.undo()
    if saved:
        resumed = Training().fit(resume=True, **options)
        assert_same(resumed.state(), Training().fit(mg.fit).state())


@pytest.mark.parametrize("lag", [0, None])
def test_ctrl_c_saves_the_run_before_it_ends(lag, tmp_path, while_it_runs):
    """One state, after the last step: in the file, in the model and in what trains it."""
    path = tmp_path / "run.npz"
    thread = while_it_runs(lambda found: os.kill(os.getpid(), signal.SIGINT), steps=50)
    common = {"checkpoint": path, "every": "1 hour", "evaluate_every": 20, "lag": lag}
    stopped = Training(per="step").fit(epochs=100_000, **common)
    thread.join()
    assert stopped.history.stopped.startswith("interrupted after step")
    made = len(stopped.history.step_loss)
    assert made > 0
    loaded = Training(per="step")
    found = mg.load(path, **loaded.parts)
    assert found.history.step_loss == stopped.history.step_loss
    found.history.stopped = None  # it says whether the state is from the middle of an epoch
    stopped.history.stopped = None
    loaded.history = found.history
    assert_same(loaded.state(), stopped.state())
    if lag == 0:
        epochs = 1 + made // STEPS
        resumed = Training(per="step").fit(epochs=epochs, resume=True, **common)
        unbroken = Training(per="step").fit(mg.fit, epochs=epochs, evaluate_every=20)
        assert_same(resumed.state(), unbroken.state())


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_is_counted_and_comes_through_only_where_it_is_allowed():
    done = []

    def work():
        done.append("begun")
        press()
        done.append("not reached")

    with Presses() as presses:
        press()
        assert presses.count == 1
        assert not presses.allow(work)
        press()
        assert presses.allow(lambda: done.append("whole"))
        with pytest.raises(MemoryError):
            presses.allow(no_memory)
        press()
        assert presses.count == 4
    assert done == ["begun", "whole"]
    with pytest.raises(KeyboardInterrupt):
        press()


def no_memory():
    raise MemoryError


def test_ctrl_c_that_the_caller_handles_does_not_stop_a_run():
    seen = []
    signal.signal(signal.SIGINT, lambda *arguments: seen.append(True))
    with Presses() as presses:
        press()
        assert presses.allow(press)
    assert len(seen) == 2
    assert presses.count == 0


def test_a_run_in_a_thread_of_its_own_leaves_ctrl_c_alone(tmp_path):
    training = Training()
    thread = threading.Thread(target=lambda: training.fit(checkpoint=tmp_path / "run.npz"))
    thread.start()
    thread.join()
    assert training.history.epoch == [1, 2, 3]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_network_that_cannot_be_sent_leaves_no_file(tmp_path):
    """Otherwise the mended script would be told that there is a run already."""

    class Local(mg.Tanh):
        pass

    training = Training("backprop")
    training.net.layers = (*training.net.layers[:5], Local(), *training.net.layers[6:])
    training.optimizer = mg.Adam(training.net, 0.1)
    with pytest.raises(TypeError, match="cannot be sent to another process"):
        training.fit(checkpoint=tmp_path / "run.npz")
    assert list(tmp_path.iterdir()) == []


PRESSED = """
import os, random, signal, sys, threading, time
import minigrad as mg
from minigrad.asynchronous import team
from test_asynchronous_checkpoints import STEPS, Training, dataset

presses, path = int(sys.argv[1]), sys.argv[2]
random.seed(presses)
places = []
connected = team.connected

def recording(*arguments):
    places[:] = connected(*arguments)
    return list(places)

team.connected = recording

def press(trial):
    # While processes start; while they run; while the finished run is evaluated.
    steps = [0, random.randrange(1, 60), 6 * STEPS][trial % 3]
    time.sleep(random.uniform(0.3, 1.5) if steps == 0 else 0)
    while steps and not (places and min(places[0].progress) >= steps):
        time.sleep(0.005)
    for again in range(presses):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(random.uniform(0, random.choice([0.01, 0.4])))

for trial in range(6):  # each moment with and without a checkpoint
    signal.signal(signal.SIGINT, signal.default_int_handler)
    places.clear()
    saved = {"checkpoint": f"{path}/{trial}.npz", "every": "7 steps"} if trial % 2 else {}
    kind = "backprop" if (trial + presses) % 4 > 1 else "synthetic"
    training = Training(kind)
    thread = threading.Thread(target=press, args=(trial,))
    thread.start()
    epochs = 6 if trial % 3 == 2 else 100_000
    training.fit(epochs=epochs, lag=None, validation=dataset(9000), **saved)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    thread.join()
    history = training.history
    rows, steps = history.epoch, len(history.step_loss)
    print(rows == list(range(1, len(rows) + 1)), steps >= STEPS * len(rows))
    print(epochs == 6 or history.stopped.startswith("interrupted"))
    lists = [history.train_loss, history.validation_loss, history.test_accuracy, history.seconds]
    print({len(values) for values in lists} == {len(rows)})
    if saved:
        found = mg.load(saved["checkpoint"], **Training(kind).parts).history
        print(found.step_loss == history.step_loss[: len(found.step_loss)])
        print(found.epoch == rows[: len(found.step_loss) // STEPS])
    elif epochs == 6:
        print(steps == 6 * STEPS)
    elif steps == STEPS * len(rows) and rows:
        now = mg.evaluate(training.net, mg.CrossEntropyLoss(), dataset())[0]
        print(now == history.train_loss[-1])
    print(f"trial {trial}: {len(rows)} epochs, {steps} steps, {history.stopped}", file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("presses", [1, 2, 3])
def test_ctrl_c_at_any_moment_loses_no_epoch_that_was_evaluated(presses, tmp_path):
    """Once, twice, three times: while it starts, runs, evaluates, saves, and winds down."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRESSED, str(presses), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
    )
    print(done.stderr)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("trial") == 6
    assert set(done.stdout.split()) == {"True"}, done.stdout + done.stderr


KILLED = """
import hashlib, sys
from test_asynchronous_checkpoints import Training
from minigrad import asynchronous, threads
from minigrad.asynchronous.presses import Presses

if __name__ == "__main__":
    training = Training(sys.argv[1], per="step")
    training.fit(checkpoint=sys.argv[2], every="9 steps", resume=True, epochs=40, evaluate_every=5)
    print(hashlib.sha256(repr(sorted(training.state().items())).encode()).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["synthetic", "backprop"])
def test_a_run_whose_parent_is_killed_goes_on_in_a_new_process(kind, tmp_path, rng):
    """SIGKILL at random moments, until one gets through: the unbroken run, bit for bit."""
    digests = []
    for kills in (0, 4):
        path = tmp_path / f"{kills}.npz"
        for delay in [*rng.uniform(1.5, 3.5, kills), 100]:
            child = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", KILLED, kind, str(path)],
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
            )
            with child:
                try:
                    out, _ = child.communicate(timeout=delay)
                except subprocess.TimeoutExpired:
                    child.kill()
                    continue
            assert child.returncode == 0
            break
        digests.append(out)
    assert digests[0] == digests[1]


@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_a_process_that_is_killed_while_it_starts_is_an_error(seconds):
    """What it is given is larger than a pipe holds: nobody may wait until it has read that."""
    code = f"""
        import os, signal, threading, time
        import numpy as np
        import minigrad as mg
        from multiprocessing import active_children

        def kill():
            while not active_children():
                time.sleep(0.002)
            time.sleep({seconds})
            os.kill(active_children()[-1].pid, signal.SIGKILL)

        net = mg.models.mlp((784, 256, 128, 10), seed=0)
        data = mg.data.Dataset(np.ones((400, 784), "float32"), np.arange(400) % 10)
        rule = mg.rules.SyntheticGradients(net)
        threading.Thread(target=kill, daemon=True).start()
        try:
            mg.asynchronous.fit(net, mg.CrossEntropyLoss(), rule, mg.SGD(net, 0.1), data,
                                epochs=50, batch_size=8)
        except mg.asynchronous.WorkerError as error:
            print("killed by signal 9" in str(error))
    """
    done = python(code)
    assert done.stdout == "True\n", done.stderr
