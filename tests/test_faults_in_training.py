"""Whatever ends a run: the history is there, the checkpoint is whole, nothing half done goes on."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from conftest import ROOT
from trainings import Training, differences

import minigrad as mg
from minigrad import loop
from minigrad.interrupts import CtrlC

pytestmark = pytest.mark.on_host
ERRORS = [ValueError, MemoryError, SystemExit, OSError, GeneratorExit]


class Fault:
    """Raises an error at the n-th call of `function`, and counts."""

    def __init__(self, error, n):
        self.error = error
        self.left = n

    def __call__(self):
        self.left -= 1
        if self.left == 0:
            raise self.error


def planted(training, place, fault):
    """Options for `fit`. Something of the training raises at the fault's call."""

    def before(method):
        def called(*arguments, **options):
            fault()
            return method(*arguments, **options)

        return called

    def after(method):
        def called(*arguments, **options):
            result = method(*arguments, **options)
            fault()
            return result

        return called

    if place == "callback":
        return {"callback": lambda history: fault()}
    if place == "step_callback":
        return {"step_callback": lambda step, loss: fault()}
    if place == "rule":
        training.rule.estimate = before(training.rule.estimate)
    elif place == "rule, afterwards":
        training.rule.estimate = after(training.rule.estimate)
    elif place == "end of an epoch":
        training.rule.end_epoch = before(training.rule.end_epoch)
    elif place == "layer":
        training.model.layers[4].forward = before(training.model.layers[4].forward)
    elif place == "layer, backwards":
        training.model.layers[4].backward = before(training.model.layers[4].backward)
    elif place == "loss":
        training.loss.forward = before(training.loss.forward)
    elif place == "optimiser":
        training.optimizer._update = before(training.optimizer._update)
    elif place == "schedule":
        training.schedule.step = before(training.schedule.step)
    elif place == "data":
        original = training.train.batches

        def batches(*arguments):
            for batch in original(*arguments):
                fault()
                yield batch

        object.__setattr__(training.train, "batches", batches)
    return {}


PLACES = [
    "callback",
    "step_callback",
    "rule",
    "rule, afterwards",
    "end of an epoch",
    "layer",
    "layer, backwards",
    "loss",
    "optimiser",
    "schedule",
    "data",
]


def make():
    return Training("WellTempered", "Adam", "ExponentialLR steps")


@pytest.fixture(scope="module")
def unbroken():
    return make().fit().state()


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_an_error_anywhere_leaves_history_and_checkpoint(place, error, n, tmp_path, unbroken):
    path = tmp_path / "a.npz"
    check_error(error, place, n, path, unbroken)


@pytest.mark.parametrize("error", ERRORS)
def test_any_error_leaves_history_and_checkpoint(error, tmp_path, unbroken):
    path = tmp_path / "a.npz"
    check_error(error, "layer", 7, path, unbroken)


def check_error(error, place, n, path, unbroken):
    training = make()
    fault = Fault(error("my fault"), n)
    options = planted(training, place, fault)
    history = mg.History()
    options |= {"checkpoint": path, "every": "1 step", "history": history}
    if error is KeyboardInterrupt:
        training.fit(**options)
        assert history.stopped.startswith("interrupted ")
    else:
        with pytest.raises(error, match="my fault") as raised:
            training.fit(**options)
        assert raised.value.history is history
        assert history.stopped.startswith("failed ")
        assert f"{error.__name__}: my fault" in history.stopped
    assert len({len(getattr(history, k)) for k in ("epoch", "train_loss", "test_loss")}) == 1
    with pytest.raises(ValueError, match="cannot be continued"):
        make().fit(history=history)
    resumed = make().fit(checkpoint=path, resume=True, history=history)
    assert resumed.history is history
    assert differences(unbroken, resumed.state()) == []


def test_an_error_in_the_evaluation(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    fault = Fault(MemoryError("too large"), 2)

    def measure(*arguments, **options):
        fault()
        return measure.real(*arguments, **options)

    measure.real = loop.measure
    monkeypatch.setattr(loop, "measure", measure)
    with pytest.raises(MemoryError) as raised:
        make().fit(checkpoint=path)
    assert raised.value.history.epoch == [1]
    resumed = make().fit(checkpoint=path, resume=True)
    assert differences(make().fit().state(), resumed.state()) == []


def test_a_step_that_fails_leaves_the_parameters_of_the_step_before(tmp_path):
    """The rule has moved running statistics and random numbers: this state is not saved."""
    path = tmp_path / "a.npz"
    training = make()
    options = planted(training, "rule, afterwards", Fault(ValueError("late"), 6))
    with pytest.raises(ValueError, match="late") as raised:
        training.fit(checkpoint=path, every="1 step", **options)
    stopped = raised.value.history.stopped
    assert stopped == "failed in epoch 2, after step 5, within a step: ValueError: late"
    at_5 = make().stopped_at(5)
    new = make()
    mg.load(path, **new.parts())
    assert differences(new.state(), at_5.state()) == []


def test_a_full_disk_is_told_and_the_run_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    real = os.fsync
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) in (3, 5):  # each file that is written needs two
            raise OSError(28, "No space left on device")
        return real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(RuntimeWarning, match=r"no checkpoint was written.*No space left"):
        training = make().fit(checkpoint=path)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    assert differences(make().fit(checkpoint=path, resume=True).state(), training.state()) == []


def test_a_run_that_diverges_keeps_the_last_whole_checkpoint(tmp_path):
    path = tmp_path / "a.npz"

    def fit(**options):
        training = Training(optimizer="SGD")
        training.optimizer.lr = 1e20
        with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="running_var"):
            return training.fit(checkpoint=path, every="1 step", **options)

    first = fit()
    assert first.history.stopped.startswith("diverged")
    assert all(np.isfinite(array).all() for array in mg.load(path).state["model"].values())
    again = fit(resume=True)
    assert again.history.stopped == first.history.stopped
    assert differences(again.state(), first.state()) == []


# --- Ctrl-C ---


def press(times=1):
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_waits_until_the_step_is_whole(tmp_path):
    """Between two parameters' updates, 20 times: never half a step."""
    states = [make().stopped_at(step).state() for step in range(1, 5)]
    for n in range(1, 21):
        training = make()
        updates = []
        real = training.optimizer._update

        def update(*arguments, real=real, updates=updates, n=n):
            real(*arguments)
            updates.append(1)
            if len(updates) == n:
                press(1 + n % 2)

        training.optimizer._update = update
        training.fit()
        assert training.history.stopped == f"interrupted in epoch 1, after step {(n + 7) // 8}"
        del training.history
        assert differences(training.state(), states[(n + 7) // 8 - 1]) == []


def test_ctrl_c_in_the_rule_lets_the_step_end():
    training = make()
    training.fit(**planted(training, "rule", press))
    assert training.history.stopped == "interrupted in epoch 1, after step 1"


def test_ctrl_c_twice_ends_a_step_that_hangs(tmp_path):
    path = tmp_path / "a.npz"
    training = make()
    calls = []

    def hang():
        calls.append(1)
        if len(calls) == 3:
            press()
            press()
            raise AssertionError("it went on")

    options = planted(training, "layer", hang)
    training.fit(checkpoint=path, every="1 step", **options)
    assert training.history.stopped == "interrupted in epoch 1, after step 2, within a step"
    assert len(training.history.step_loss) == 2
    resumed = make().fit(checkpoint=path, resume=True)
    assert differences(resumed.state(), make().fit().state()) == []


@pytest.mark.parametrize("presses", [1, 2, 3, 4])
def test_ctrl_c_at_the_end_loses_nothing(presses, tmp_path, monkeypatch):
    """While the last checkpoint is written, and while the bar is closed."""
    for where in ("write", "close"):
        training = make()
        path = tmp_path / f"{where}.npz"
        if where == "write":
            real = mg.checkpoint.run.write

            def write(*arguments, real=real, **options):
                real(*arguments, **options)
                if arguments[2].epoch[-1:] == [3]:
                    press(presses)

            monkeypatch.setattr(mg.checkpoint.run, "write", write)
        else:
            real = loop.Bar.close
            monkeypatch.setattr(loop.Bar, "close", lambda *a, r=real: (press(presses), r(*a)))
        training.fit(checkpoint=path)
        monkeypatch.undo()
        assert training.history.epoch == [1, 2, 3]
        assert training.history.stopped in (None, "interrupted after the last step, 12")
        resumed = make().fit(checkpoint=path, resume=True)
        assert differences(resumed.state(), make().fit().state()) == []


def test_the_handler_of_before_is_back_and_heard():
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        training = make()
        training.fit(step_callback=lambda step, loss: press() if step == 2 else None)
        assert training.history.stopped is None, "this handler does not end the run"
        assert heard == [signal.SIGINT]
        press()
        assert len(heard) == 2, "it is the handler again"
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_that_waits_is_heard_at_the_end_of_the_block():
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with CtrlC() as ctrl_c:
            ctrl_c.ending = True
            press(2)
            assert heard == []
        assert heard == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_the_old_handler_is_put_back_loses_nothing(monkeypatch):
    """signal.signal is a function in Python: a signal may come before it has returned."""
    training = make()
    real = signal.signal

    def late(number, handler):
        before = real(number, handler)
        if handler is signal.default_int_handler:
            monkeypatch.setattr(signal, "signal", real)
            raise KeyboardInterrupt
        return before

    monkeypatch.setattr(signal, "signal", late)
    training.fit()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert training.history.stopped is None
    assert differences(training.state(), make().fit().state()) == []


def test_fit_works_in_a_thread():
    training = make()
    thread = threading.Thread(target=training.fit)
    thread.start()
    thread.join()
    assert differences(training.state(), make().fit().state()) == []


def test_real_signals_at_random_moments():
    """A process gets one, two or three Ctrl-C at random moments: its history is never lost."""
    code = """
        import sys
        from trainings import Training
        training = Training("WellTempered", "Adam", "ExponentialLR steps")

        def begun(step, loss):
            if step == 9:
                print("ready", flush=True)

        training.fit(epochs=40000, evaluate_every=3, step_callback=begun)
        print(training.history.stopped, len(training.history.epoch), flush=True)
    """
    rng = np.random.default_rng(0)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    for trial in range(6):
        presses = 1 + trial % 3
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.05, 0.25))
        for _ in range(presses):
            time.sleep(rng.uniform(0, 0.01))
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
        if presses == 1:  # more of them may come after `fit`, and end the process
            assert process.returncode == 0, errors
        assert out.startswith("interrupted in epoch"), errors
