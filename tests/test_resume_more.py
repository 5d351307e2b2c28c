"""More runs that are resumed: what draws numbers, what is compared, and what errors may do."""

import copy
import itertools
import os
import shutil
import sys

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


def test_a_symbolic_link_stays_a_link(tmp_path):
    """The checkpoint may be on another disk."""
    (tmp_path / "disk").mkdir()
    link = tmp_path / "a.npz"
    link.symlink_to(tmp_path / "disk" / "real.npz")
    for options in ({}, {"resume": True, "epochs": 4}):
        Training().fit(checkpoint=link, **options)
        assert link.is_symlink()
        assert mg.load(tmp_path / "disk" / "real.npz").history.epoch[-1] == options.get("epochs", 3)


@pytest.mark.parametrize("full", [False, True])
def test_earlier_files_without_hard_links(full, tmp_path, monkeypatch):
    """They are copied, whole or not at all."""

    def link(a, b):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "a.npz"
    Training().fit(checkpoint=path)
    if full:

        def copy_half(file, copy):
            copy.write(file.read(100))
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(shutil, "copyfileobj", copy_half)
        with pytest.warns(RuntimeWarning, match="No space left"):
            Training().fit(checkpoint=path, keep=2, resume=True, epochs=4)
    else:
        Training().fit(checkpoint=path, keep=2, resume=True, epochs=4)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == (["a.npz"] if full else ["a.earlier-1.npz", "a.npz"])
    for name in names:
        mg.load(tmp_path / name)


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


# --- what no state contains ---


class Own(mg.Tanh):
    """A layer of one's own. Its noise and its setting come from the cases below."""

    def __init__(self, **attributes):
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x, train=True):
        if train:
            x = x + np.asarray(self.noise(x), x.dtype)
        return super().forward(x, train)

    def noise(self, x):
        return self.rng.standard_normal(x.shape)


class Late(Own):
    """Its generator is made in the first forward."""

    def noise(self, x):
        if not hasattr(self, "rng"):
            self.rng = np.random.default_rng(3)
        return super().noise(x)


class Counting(Own):
    def noise(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return 1 / self.calls


class CountingInABuffer(Own):
    def __init__(self):
        super().__init__()
        self.buffers["calls"] = np.zeros(1)

    def noise(self, x):
        self.buffers["calls"] += 1
        return 1 / self.buffers["calls"]


class Centred(Own):
    def noise(self, x):
        self.mean = 0.9 * getattr(self, "mean", np.zeros(5)) + 0.1 * x.mean(axis=0)
        return -self.mean


class BySize(Own):
    def noise(self, x):
        rng = self.rngs.setdefault(len(x), np.random.default_rng(4))
        return rng.standard_normal(x.shape)


class Drawing(Own):
    def noise(self, x):
        return self.draw(size=x.shape)


class Helper:
    def __init__(self):
        self.rng = np.random.default_rng(2)

    def __call__(self, size):
        return self.rng.standard_normal(size)


class Nested(Own):
    def noise(self, x):
        return self.rngs[0][0].standard_normal(x.shape)


GLOBAL = np.random.default_rng(7)


class FromAGlobal(Own):
    def noise(self, x):
        return GLOBAL.standard_normal(x.shape)


class Parted(mg.Sequential):
    """A network with a forward of its own."""

    def __init__(self, *layers):
        super().__init__(*layers)
        self.gain = 0.5

    def forward(self, x, train=True):
        return super().forward(x * np.asarray(self.gain, x.dtype), train)

    def backward(self, dy):
        return super().backward(dy) * np.asarray(self.gain, dy.dtype)


def around(layer):
    return mg.Sequential(mg.Linear(4, 5, seed=0), layer, mg.Linear(5, 3, seed=1))


def tied():
    rng = np.random.default_rng(1)
    hidden = [mg.Linear(5, 5, seed=3) for _ in range(2)]
    hidden[1].params["W"] = hidden[0].params["W"]
    first = Own(rng=rng)
    second = Own(rngs={"a": rng}, rng=np.random.default_rng(2))  # it shares one generator
    net = mg.Sequential(hidden[0], first, mg.Sequential(second, hidden[1]))
    net.layers[0].frozen = True
    return Parted(mg.Linear(4, 5, seed=0), net, mg.Linear(5, 3, seed=1))


EXACT = {
    "late": lambda: around(Late()),
    "none": lambda: around(Own(rng=np.random.default_rng(1))),
    "buffer": lambda: around(CountingInABuffer()),
    "tied": tied,
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("step", [1, 4, 6])
def test_layers_of_ones_own_go_on(name, step, tmp_path):
    unbroken = Training(model=EXACT[name]).fit()
    Training(model=EXACT[name]).stopped_at(step, checkpoint=tmp_path / "a.npz")
    resumed = Training(model=EXACT[name]).fit(checkpoint=tmp_path / "a.npz", resume=True)
    assert differences(unbroken.state(), resumed.state()) == []


def from_a_closure():
    rng = np.random.default_rng(3)

    class Closed(Own):
        def noise(self, x):
            return rng.standard_normal(x.shape)

    return Closed()


HIDDEN = {
    "Nested.rngs[0][0]": lambda: Nested(rngs=[[np.random.default_rng(1)]]),
    "Drawing.draw.rng": lambda: Drawing(draw=Helper()),
    "Drawing.draw.__self__": lambda: Drawing(draw=np.random.default_rng(1).standard_normal),
    "FromAGlobal.noise (GLOBAL)": FromAGlobal,
    "Closed.noise (rng)": from_a_closure,
}
CHANGING = {
    "Counting.calls": Counting,
    "Centred.mean": Centred,
    "BySize.rngs": lambda: BySize(rngs={}),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_generator_that_is_not_saved_is_told(name, tmp_path):
    """`mg.save` says it, and `fit` before the first step."""
    run = Training(model=lambda: around(HIDDEN[name]()))
    with pytest.warns(UserWarning, match="does not contain the random generators") as said:
        run.fit(epochs=0, checkpoint=tmp_path / "a.npz")
    with pytest.warns(UserWarning, match="does not contain the random generators") as also:
        mg.save(tmp_path / "b.npz", run.model)
    assert also[0].filename == __file__
    for warning in (said, also):
        assert [str(w.message).count(name) for w in warning] == [1]


@pytest.mark.parametrize("name", CHANGING)
def test_an_attribute_that_changes_and_is_not_saved_is_told_once(name, tmp_path):
    run = Training(model=lambda: around(CHANGING[name]()))
    with pytest.warns(UserWarning, match="these attributes change") as said:
        run.fit(checkpoint=tmp_path / "a.npz")
    assert [str(w.message).count(name) for w in said] == [1]


class Halving(mg.SGD):
    """It counts its steps in an attribute."""

    def __init__(self, model, lr):
        super().__init__(model, lr)
        self.t = 0

    def step(self):
        self.t += 1
        super().step()


class Averaging(mg.rules.Wrapper):
    def __init__(self, rule):
        super().__init__(rule)
        self.value = 0.0

    def estimate(self, model, loss, x, target):
        self.value = 0.5 * self.value + super().estimate(model, loss, x, target)
        return self.value


class Saved(Averaging):
    def state_dict(self):
        return super().state_dict() | {"value": self.value}

    def load_state_dict(self, model, state):
        state = dict(state)
        value = float(state.pop("value"))
        super().load_state_dict(model, state)
        self.value = value


@pytest.mark.parametrize("name", ["optimizer.t", "rule.value", "loss.w", None])
def test_other_parts_that_change_are_told(name, tmp_path):
    def make():
        run = Training()
        if name == "optimizer.t":
            run.optimizer = Halving(run.model, 0.1)
        elif name == "loss.w":
            run.loss = Weighted(0.1)
            run.loss.grows = True
        else:
            run.rule = Averaging(run.rule) if name else Saved(run.rule)
        return run

    path = tmp_path / "a.npz"
    if name is not None:
        with pytest.warns(UserWarning, match=rf"these attributes change.*'{name}'"):
            make().fit(checkpoint=path)
        return
    make().stopped_at(5, checkpoint=path)
    resumed = make().fit(checkpoint=path, resume=True)
    assert differences(make().fit().state(), resumed.state()) == []


class Weighted(mg.CrossEntropyLoss):
    grows = False

    def __init__(self, w):
        super().__init__()
        self.w = w

    def forward(self, output, target):
        self.w += self.grows
        return super().forward(output, target)


class Scaled(mg.data.Dataset):
    def batches(self, batch_size, rng=None):
        for x, y in super().batches(batch_size, rng):
            yield x * self.scale, y


def scaled(scale):
    plain = data()
    new = Scaled(plain.x, plain.y, classes=3)
    object.__setattr__(new, "scale", np.float32(scale))
    return new


def one_pixel(value):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1500, 4)).astype("float32")
    x[1, 2] = value
    return mg.data.Dataset(x, rng.integers(0, 3, 1500), classes=3)


def with_loss(w):
    run = Training()
    run.loss = Weighted(w)
    return run


SETTINGS = {
    "Own.sigma": lambda v: Training(model=lambda: around(Own(sigma=v, noise=lambda x: 0))),
    "Own.mask": lambda v: Training(
        model=lambda: around(Own(mask=np.full(3, v), noise=lambda x: 0))
    ),
    "BatchNorm1d.momentum": lambda v: Training(
        model=lambda: around(mg.BatchNorm1d(5, momentum=v / 10))
    ),
    "Parted.gain": lambda v: Training(model=lambda: parted(v)),
    "loss.w": with_loss,
    "train.scale": lambda v: Training(train=lambda: scaled(v)),
    "train was": lambda v: Training(train=lambda: one_pixel(v)),
}


def parted(gain):
    net = Parted(mg.Linear(4, 3, seed=0), mg.Tanh())
    net.gain = gain
    return net


@pytest.mark.parametrize("name", SETTINGS)
def test_a_changed_setting_is_refused(name, tmp_path):
    path = tmp_path / "a.npz"
    make = SETTINGS[name]
    broken = make(1.0).stopped_at(3, checkpoint=path, epochs=2)
    other = make(2.0)
    state = other.state()
    with pytest.raises(ValueError, match=name):
        other.fit(checkpoint=path, resume=True, epochs=2)
    assert differences(state, other.state()) == []
    unbroken = make(1.0).fit(epochs=2)
    for again in (broken, make(1.0)):  # the same objects, and new ones
        again.fit(checkpoint=path, resume=True, epochs=2)
        assert differences(unbroken.state(), again.state()) == []
        Training.stopped_at(make(1.0), 3, checkpoint=tmp_path / "b.npz", epochs=2)
        (tmp_path / "b.npz").replace(path)


# --- all or nothing ---


class At:
    """Raises an error at the n-th line of the package that is executed."""

    def __init__(self, n, error):
        self.left = n
        self.error = error

    def __call__(self, frame, event, argument):
        return self.line if f"{os.sep}minigrad{os.sep}" in frame.f_code.co_filename else None

    def line(self, frame, event, argument):
        if event == "line":
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                raise self.error
        return self.line


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_an_error_at_any_line_of_load_changes_everything_or_nothing(error, tmp_path, monkeypatch):
    """At 60 lines at random, and at the last 60."""
    path = tmp_path / "a.npz"

    def make():
        training = Training("WellTempered", schedule="ExponentialLR steps")
        training.history = mg.History()
        return training

    saved = make().fit()
    mg.save(path, **saved.parts(), history=saved.history)
    read = mg.checkpoint.saved.read(path)
    monkeypatch.setattr(mg.checkpoint.saved, "read", lambda path: copy.deepcopy(read))

    def load(training, n):
        at = At(n, error("planted"))
        before = sys.gettrace()
        sys.settrace(at)
        try:
            mg.load(path, **training.parts(), history=training.history)
        except (error, mg.CheckpointError):
            pass
        finally:
            sys.settrace(before)
        return -at.left

    lines = load(make(), 0)
    rng = np.random.default_rng(0)
    whole = make().state(), saved.state()
    for n in [*rng.integers(1, lines, 60), *range(lines - 60, lines)]:
        training = make()
        load(training, n)
        assert [] in [differences(state, training.state()) for state in whole], n
