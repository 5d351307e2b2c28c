"""More runs that are resumed: what draws numbers, what is compared, and what errors may do."""

import itertools
import os
import shutil

import numpy as np
import pytest
from trainings import Stop, Training, data, differences

import minigrad as mg
from minigrad import loop

pytestmark = pytest.mark.on_host


class Noisy(mg.data.Dataset):
    """Each batch is noisy, with a generator of its own."""

    def batches(self, batch_size, rng=None):
        for x, y in super().batches(batch_size, rng):
            yield x + self.noise.standard_normal(x.shape).astype(x.dtype), y


class NoisyInCommon(mg.data.Dataset):
    """The noise of an epoch is drawn at its start, from the generator that all share."""

    def batches(self, batch_size, rng=None):
        noise = np.random.rand(len(self), 4).astype(self.x.dtype)  # noqa: NPY002
        for i, (x, y) in enumerate(super().batches(batch_size, rng)):
            more = np.random.rand(*x.shape).astype(x.dtype)  # noqa: NPY002
            yield x + noise[i : i + 1] + more, y


def made(cls, seed=1):
    plain = data(seed)
    noisy = cls(plain.x, plain.y, classes=3)
    object.__setattr__(noisy, "noise", np.random.default_rng(4))
    return noisy


def noisy(cls):
    np.random.seed(3)  # noqa: NPY002
    return Training(train=lambda: made(cls))


@pytest.mark.parametrize("cls", [Noisy, NoisyInCommon])
@pytest.mark.parametrize("where", ["at the end of an epoch", "in the callback", "in mid-epoch"])
def test_random_numbers_of_the_data_go_on_from_anywhere(cls, where, tmp_path):
    path = tmp_path / "a.npz"
    options = {}
    if where == "at the end of an epoch":  # the file is as after a kill at step 5

        def step_callback(step, loss):
            if step == 5:
                shutil.copy(path, tmp_path / "copy.npz")
                raise Stop

        options["step_callback"] = step_callback
    elif where == "in the callback":

        def callback(history):
            raise Stop

        options["callback"] = callback
    else:

        def stop(step, loss):
            if step == 6:
                raise Stop

        options["step_callback"] = stop
    unbroken = noisy(cls).fit()
    with pytest.raises(Stop):
        noisy(cls).fit(checkpoint=path, **options)
    if where == "at the end of an epoch":
        shutil.copy(tmp_path / "copy.npz", path)
    resumed = noisy(cls).fit(checkpoint=path, resume=True)
    assert differences(unbroken.state(), resumed.state()) == []


def test_random_numbers_of_the_other_sets_go_on(tmp_path):
    path = tmp_path / "a.npz"
    unbroken = Training().fit(validation=made(Noisy, 5))
    run = Training()
    with pytest.raises(Stop):
        run.fit(
            validation=made(Noisy, 5),
            checkpoint=path,
            step_callback=lambda step, loss: stop_at(7, step),
        )
    resumed = Training().fit(validation=made(Noisy, 5), checkpoint=path, resume=True)
    assert differences(unbroken.state(), resumed.state()) == []


def stop_at(last, step):
    if step == last:
        raise Stop


@pytest.mark.parametrize("schedule", [None, "StepLR", "ExponentialLR", "ExponentialLR steps"])
def test_a_learning_rate_that_the_callback_sets_goes_on(schedule, tmp_path):
    def callback_of(run):
        def callback(history):
            run.optimizer.lr = 0.01 * len(history.epoch)

        return callback

    path = tmp_path / "a.npz"
    unbroken = Training(schedule=schedule)
    unbroken.fit(callback=callback_of(unbroken))
    broken = Training(schedule=schedule)
    with pytest.raises(Stop):
        broken.fit(
            callback=callback_of(broken),
            checkpoint=path,
            step_callback=lambda step, loss: stop_at(6, step),
        )
    resumed = Training(schedule=schedule)
    resumed.fit(callback=callback_of(resumed), checkpoint=path, resume=True)
    assert differences(unbroken.state(), resumed.state()) == []


def test_a_longer_run_is_refused_before_anything_changes(tmp_path):
    path = tmp_path / "a.npz"
    Training().fit(checkpoint=path, epochs=4)
    other = Training()
    state = other.state()
    history = mg.History()
    with pytest.raises(ValueError, match="has 4 epochs done, this call asks for 2"):
        other.fit(checkpoint=path, epochs=2, resume=True, history=history)
    assert differences(state, other.state()) == []
    assert history == mg.History()


def test_a_file_without_a_history_changes_nothing(tmp_path):
    path = tmp_path / "a.npz"
    mg.save(path, Training().fit().model)
    other = Training()
    state = other.state()
    with pytest.raises(mg.CheckpointError, match="has no history"):
        mg.load(path, other.model, history=mg.History())
    assert differences(state, other.state()) == []


def test_an_optimiser_for_another_part_is_refused(tmp_path):
    def make(part):
        training = Training(optimizer="SGD")
        training.optimizer = mg.SGD(training.model[part], lr=0.05)
        return training

    path = tmp_path / "a.npz"
    make(slice(3, None)).stopped_at(5, checkpoint=path)
    with pytest.raises(ValueError, match="layers of the optimizer"):
        make(slice(0, None)).fit(checkpoint=path, resume=True)
    make(slice(3, None)).fit(checkpoint=path, resume=True)


def test_a_history_of_another_run_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    Training().stopped_at(5, checkpoint=path)
    other = Training().fit(seed=5)
    before = other.history.as_dict()
    with pytest.raises(ValueError, match="the losses in the history"):
        Training().fit(checkpoint=path, resume=True, history=other.history)
    assert other.history.as_dict() == before


def test_the_folder_may_change_in_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    Training().fit(
        checkpoint="a.npz",
        callback=lambda history: (
            os.chdir("elsewhere/../elsewhere") if history.epoch[-1] == 1 else None
        ),
    )
    monkeypatch.chdir(tmp_path)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    steps = []
    Training().fit(checkpoint="a.npz", resume=True, step_callback=lambda *a: steps.append(a))
    assert steps == []


# --- errors ---


class Silent(Exception):
    def __str__(self):
        raise ZeroDivisionError


class Closed(Exception):
    def __setattr__(self, name, value):
        raise TypeError("this object does not change")


class Slots(Exception):
    __slots__ = ()


class Key(KeyError):
    pass


ODD = [Silent, Closed, Slots, Key, StopIteration, RecursionError, UserWarning, StopAsyncIteration]


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("argument", [(), ("a\nb",)])
def test_errors_of_odd_kinds_keep_the_history(kind, argument, tmp_path):
    path = tmp_path / "a.npz"
    error = kind(*argument)

    def callback(history):
        if len(history.epoch) == 2:
            raise error

    with pytest.raises(kind) as raised:
        Training().fit(callback=callback, checkpoint=path)
    assert raised.value is error
    assert error.history.epoch == [1, 2]
    assert error.history.stopped.startswith(f"failed in epoch 2, after step 8: {kind.__name__}")
    assert "\n" not in error.history.stopped
    assert not error.history.stopped.endswith(": ")
    resumed = Training().fit(checkpoint=path, resume=True)
    assert differences(Training().fit().state(), resumed.state()) == []


@pytest.mark.parametrize("kind", [MemoryError, TypeError, KeyError, RecursionError, SystemExit])
@pytest.mark.parametrize("first", [None, Stop, KeyboardInterrupt])
def test_an_error_while_the_last_checkpoint_is_written(kind, first, tmp_path, monkeypatch):
    """The first error is raised; if there was none, this one. Both have the history."""
    real = mg.checkpoint.run.write
    calls = []

    def write(*arguments, **options):
        calls.append(1)
        if len(calls) > 1:
            raise kind("no room")
        real(*arguments, **options)

    monkeypatch.setattr(mg.checkpoint.run, "write", write)
    history = mg.History()

    def callback(_):
        if first is not None:
            raise first

    expected = Stop if first is Stop else kind
    with pytest.raises(expected) as raised:
        Training().fit(checkpoint=tmp_path / "a.npz", every=10, callback=callback, history=history)
    assert raised.value.history is history
    assert history.epoch[0] == 1
    assert expected.__name__ in history.stopped
    monkeypatch.undo()
    resumed = Training().fit(checkpoint=tmp_path / "a.npz", resume=True)
    assert differences(Training().fit().state(), resumed.state()) == []


@pytest.mark.parametrize("first", [False, True])
def test_an_error_at_the_very_end(first, monkeypatch):
    """A layer or the bar cannot be closed."""
    for owner, name in ((loop.Bar, "close"), (mg.Sequential, "drop_cache")):
        training = Training()

        def fails(*arguments):
            raise MemoryError("at the end")

        def callback(history, owner=owner, name=name, fails=fails):
            if history.epoch[-1] == 3:
                monkeypatch.setattr(owner, name, fails)
                if first:
                    raise Stop

        with pytest.raises(Stop if first else MemoryError) as raised:
            training.fit(callback=callback)
        monkeypatch.undo()
        assert raised.value.history.epoch == [1, 2, 3]
        assert raised.value.history.stopped.startswith("failed in" if first else "failed after")


class Gone:
    """A terminal that has been closed."""

    def __init__(self):
        self.open = True

    def write(self, text):
        if not self.open:
            raise OSError(5, "Input/output error")

    def flush(self):
        self.write("")

    def isatty(self):
        return True


@pytest.mark.filterwarnings("ignore::tqdm.TqdmWarning")
@pytest.mark.parametrize("interrupted", [False, True])
def test_a_terminal_that_is_closed_stops_nothing(interrupted, monkeypatch):
    terminal = Gone()
    monkeypatch.setattr("sys.stderr", terminal)
    count = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: next(count))

    def step_callback(step, loss):
        terminal.open = step < 3
        if step == 9 and interrupted:
            raise KeyboardInterrupt

    training = Training().fit(step_callback=step_callback, progress=True)
    monkeypatch.undo()
    assert training.history.epoch == ([1, 2] if interrupted else [1, 2, 3])
