"""fit(capture=True) without a GPU: when a step is recorded, kept, given up or refused.

The GPU's side is a pretended one here: a graph is the recorded Python code, run again on the same
arrays. tests/test_capture_gpu.py has the real one.
"""

import ast
import copy
import random
import re
import signal
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import capture
from minigrad.backend import to_host
from minigrad.kernels.recording import OnDevice, recorder, recording

PACKAGE = Path(mg.__file__).parent


@pytest.fixture(autouse=True)
def pretended(device):
    if device == "cupy":
        pytest.skip("tests/test_capture_gpu.py records on the GPU itself")


class Pretended:
    """A device for `Captured`. It says what was asked of it."""

    def __init__(self, model):
        self.model = model
        self.runs = 0

    running = own_memory = staticmethod(nullcontext)

    def new_memory(self):
        pass

    def record(self, work):
        before = self.model.state_dict()
        with recording(self):
            work()  # a real recording changes nothing on the GPU
        self.model.load_state_dict(before)
        self.kept[1][...] -= 1

        def graph():
            self.runs += 1
            with recording(self):
                work()

        return graph

    def dot(self, a, b, out=None):
        return a @ b if out is None else mg.backend.array_module(a).matmul(a, b, out=out)

    def keep(self, value, losses, count):
        self.kept = losses, count
        assert (value.shape, value.dtype) == ((), "float64")
        losses[int(to_host(count)[0]) % len(losses)] = value
        count += 1

    def copy(self, source, to):
        to[...] = source

    def one_place(self, a, b):
        one, other = (getattr(array, "_array", array) for array in (a, b))
        return one.ctypes.data == other.ctypes.data and one.strides == other.strides

    def host(self, array):
        return to_host(array)

    def wait(self):
        pass


@pytest.fixture
def loops(monkeypatch):
    """The loops of all calls of fit(capture=True); their devices are pretended ones."""
    made = []

    def device(loop):
        made.append(loop)
        return Pretended(loop.model)

    monkeypatch.setattr(capture.CapturedLoop, "_device", device)
    monkeypatch.setattr("minigrad.train.check_suitable", lambda *parts: None)
    return made


def data(n=30, features=6, seed=3):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, features)).astype("float32")
    return mg.data.Dataset(x, rng.integers(0, 3, n))


def net(norm=True, extra=()):
    layers = [mg.Linear(6, 5, seed=1), mg.ReLU(), *extra, mg.Linear(5, 3, seed=2)]
    return mg.Sequential(*layers[:1], *([mg.BatchNorm1d(5)] * norm), *layers[1:])


def train(model=None, optimizer=None, rule=None, loss=None, schedule=None, **options):
    model = model or net()
    optimizer = optimizer or mg.SGD(model, lr=0.1, momentum=0.9)
    options = {"epochs": 3, "batch_size": 8, "progress": False} | options
    parts = model, loss or mg.CrossEntropyLoss(), rule or mg.rules.Backprop(), optimizer, data()
    return mg.fit(*parts, schedule=schedule(optimizer) if schedule else None, **options), model


def same_states(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def same(a, b):
    (first, model), (second, other) = a, b
    assert first.step_loss == second.step_loss
    assert first.train_loss == second.train_loss
    same_states(model.state_dict(), other.state_dict())


def halving(optimizer):
    return mg.StepLR(optimizer, 2, 0.5, per="step")


@pytest.mark.parametrize("batch_size", [8, 10, 64])
def test_a_captured_run_is_the_ordinary_run(loops, batch_size):
    options = {"batch_size": batch_size, "schedule": halving, "epochs": 4}
    same(train(capture=True, **options), train(**options))
    (loop,) = loops
    batches = 30 // batch_size or 1  # those that are full
    assert loop.captured.recordings == 1
    assert loop.captured.cuda.runs == 4 * batches - 1


def test_a_batch_of_all_examples_is_not_copied(loops):
    train(capture=True, batch_size=30)
    captured = loops[0].captured
    assert captured.fixed
    assert captured.cuda.one_place(captured.x, loops[0].feeding.train.x)


def test_batches_of_all_examples_may_be_at_other_places(loops, monkeypatch):
    """As if every batch were changed before it is used."""
    batches = mg.data.Dataset.batches

    def moved(self, *arguments, **options):
        for x, y in batches(self, *arguments, **options):
            yield 1.5 * x, y.copy()

    monkeypatch.setattr(mg.data.Dataset, "batches", moved)
    same(train(capture=True, batch_size=30, epochs=6), train(batch_size=30, epochs=6))
    assert not loops[0].captured.fixed
    assert loops[0].captured.recordings == 1


@pytest.mark.parametrize(
    "loss",
    [
        mg.CrossEntropyLoss(label_smoothing=0.1),
        mg.CrossEntropyLoss(reduction="sum"),
        mg.MultiMarginLoss(),
    ],
)
def test_the_loss_stays_where_it_is(loops, loss):
    same(train(capture=True, loss=loss), train(loss=copy.deepcopy(loss)))


def test_losses_of_many_steps_come_in_order(loops, monkeypatch):
    """More steps than the GPU keeps losses, and a step_callback in the other run."""
    monkeypatch.setattr("minigrad.capture.step.LOOK", 4)
    monkeypatch.setattr("minigrad.capture.loop.LOOK", 4)
    seen = []
    plain = train(batch_size=2)
    same(train(batch_size=2, capture=True), plain)
    same(train(batch_size=2, capture=True, step_callback=lambda *row: seen.append(row)), plain)
    assert seen == list(enumerate(plain[0].step_loss, start=1))


def assign(model):
    model.params["0.W"] = model.params["0.W"].copy()


def freeze(model):
    mg.freeze(model, "1")


def setting(model):
    model[1].eps = 1e-3


def load(model):
    model.load_state_dict(model.state_dict())


def smaller(model):
    for array in model.params.values():
        array *= 0.5


def calling(change, model, every_step):
    """The option of `fit` that calls change(model) once: after step 5, or after the first epoch."""
    calls = []

    def callback(*_):
        calls.append(1)
        if len(calls) == (5 if every_step else 1):
            change(model)

    return {"step_callback" if every_step else "callback": callback}


@pytest.mark.parametrize(
    ("change", "recordings"), [(assign, 2), (freeze, 2), (setting, 2), (load, 1), (smaller, 1)]
)
@pytest.mark.parametrize("every_step", [False, True])
def test_what_the_step_depends_on_may_change(loops, change, recordings, every_step):
    def run(**options):
        model = net()
        return train(model, **options, **calling(change, model, every_step))

    same(run(capture=True), run())
    assert loops[0].captured.recordings == recordings


def test_other_kernels_are_recorded_anew(loops):
    with mg.kernels.use("fast"):
        train(capture=True, callback=lambda history: mg.kernels.use("plain") and None)
    assert loops[0].captured.recordings == 2


def test_a_layer_that_is_appended_is_an_error(loops):
    model = net()

    def append(history):
        model.layers = (*model.layers, mg.Linear(3, 3, seed=4))

    with pytest.raises(ValueError, match="other layers since this optimiser was made"):
        train(model, capture=True, callback=append)


def test_gradients_are_those_of_the_last_step(loops):
    """After an ordinary step (the last, smaller batch) the graph's gradients are in use again."""
    model, other = net(), net()
    seen = []

    def look(model):
        return lambda *_: seen.append({k: to_host(g).copy() for k, g in model.grads.items()})

    train(model, capture=True, step_callback=look(model))
    captured, seen = seen, []
    train(other, step_callback=look(other))
    for mine, yours in zip(captured, seen, strict=True):
        same_states(mine, yours)


def test_a_checkpoint_is_that_of_an_ordinary_run(loops, tmp_path):
    whole = train(epochs=4, checkpoint=tmp_path / "whole.npz")
    for captured in ([True, True], [True, False], [False, True]):
        path = tmp_path / f"{captured}.npz"
        options = {"checkpoint": path, "every": "3 steps", "resume": True, "epochs": 4}

        def stop(step, value):
            if step == 7:
                raise KeyboardInterrupt

        first, _ = train(capture=captured[0], step_callback=stop, **options)
        assert "interrupted in epoch 2, after step 7" in first.stopped
        assert len(first.step_loss) == 7
        same(train(capture=captured[1], **options), whole)


class Pressed(mg.SGD):
    """Ctrl-C is pressed while the parameters move."""

    at = 0

    def step(self):
        super().step()
        self.at += 1
        if self.at == 7:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_waits_for_the_end_of_the_step(loops):
    def run(**options):
        model = net()
        return train(model, Pressed(model, 0.1), **options)

    mine, plain = run(capture=True), run()
    same(mine, plain)
    assert mine[0].stopped == plain[0].stopped == "interrupted in epoch 2, after step 7"
    assert len(mine[0].step_loss) == 7


def test_a_loss_that_is_not_finite_ends_the_run(loops):
    def explode(history):
        for array in model.params.values():
            array *= np.float32(1e30)

    model = net(norm=False)
    history, _ = train(model, capture=True, callback=explode, batch_size=5)
    model = net(norm=False)
    plain, _ = train(model, callback=explode, batch_size=5)
    assert history.step_loss[:-1] == plain.step_loss[:-1]
    assert not np.isfinite(history.step_loss[-1])
    assert plain.stopped.startswith("diverged: the loss was")
    said = re.escape(plain.stopped) + r"\. It was seen after step 12, and the weights are .*"
    assert re.fullmatch(said, history.stopped)


class Counts(mg.rules.Backprop):
    def __init__(self):
        self.steps = 0

    def estimate(self, *parts):
        self.steps += 1
        return super().estimate(*parts)


class CountsInAList(mg.rules.Backprop):
    def __init__(self):
        self.steps = [np.int64(3)]

    def estimate(self, *parts):
        self.steps[0] += 1
        return super().estimate(*parts)


class Draws(mg.rules.Backprop):
    def estimate(self, *parts):
        random.random()
        return super().estimate(*parts)


class Halved(mg.rules.Wrapper):
    def estimate(self, model, loss, x, target):
        value = super().estimate(model, loss, x, target)
        for _, layer in model.leaves():
            layer.grads = {name: grad / 2 for name, grad in layer.grads.items()}
        return value / 2


class Looks(mg.rules.Backprop):
    def estimate(self, *parts):
        value = super().estimate(*parts)
        return value if value > 0 else -value


class OnTheHost(mg.MSELoss):
    def forward(self, x, target):
        return float(self.each(x, target).mean())

    def each(self, x, target):
        one_hot = target[:, None] == mg.backend.array_module(x).arange(3)
        return super().each(x, one_hot.astype(x.dtype))


def test_a_rule_of_ones_own(loops):
    same(
        train(rule=Halved(mg.rules.Backprop()), capture=True),
        train(rule=Halved(mg.rules.Backprop())),
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rule": Counts()}, r"Counts\.steps is another number after it"),
        ({"rule": CountsInAList()}, r"CountsInAList\.steps is another number after it"),
        ({"rule": Draws()}, r"the shared generator, of random or np\.random, draws"),
        ({"rule": Looks()}, r"in Looks a number of the step was looked at on the host"),
        ({"loss": OnTheHost()}, r"the loss is .*, a number on the host"),
        ({"dropout": True}, r"Dropout draws random numbers in each step"),
    ],
)
def test_what_a_graph_cannot_repeat_is_refused(loops, options, said):
    options = dict(options)
    model = net(extra=[mg.Dropout(0.5, seed=3)]) if options.pop("dropout", False) else net()
    with pytest.raises(capture.CaptureError, match=f"cannot record this step: .*{said}") as error:
        train(model, capture=True, **options)
    assert "eave capture out" in str(error.value)
    assert error.value.history.stopped.startswith("failed in epoch 1")
    assert recorder() is None


@pytest.mark.on_host
@pytest.mark.parametrize(
    ("rule", "layers", "said"),
    [
        (mg.rules.Backprop, [], "needs CuPy; this model is numpy's"),
    ],
)
def test_what_is_refused_before_the_first_step(rule, layers, said):
    with pytest.raises(ValueError, match=said):
        train(rule=rule(), capture=True)


def synthetic(**options):
    return lambda: mg.rules.SyntheticGradients(net(), **options)


@pytest.mark.parametrize(
    ("make", "layers", "said"),
    [
        (mg.rules.WeightPerturbation, (), "WeightPerturbation draws numbers or looks at them"),
        (lambda: mg.rules.ClippedGradients(mg.rules.Backprop(), 1.0), (), "ClippedGradients draws"),
        (lambda: mg.rules.AccumulatedGradients(mg.rules.Backprop(), 2), (), "Accumulated"),
        (synthetic(update_probability=0.5), (), "SyntheticGradients with update_probability=1"),
        (synthetic(mode="stale"), (), "StaleGradients draws"),
        (synthetic(), (), None),
        (mg.rules.Backprop, (mg.Dropout(0.5),), r"cannot record Dropout\(0.5\): it draws"),
        (mg.rules.Backprop, (mg.Dropout(0),), None),
        (lambda: Halved(mg.rules.Backprop()), (), None),
    ],
)
def test_rules_and_layers_that_are_refused(monkeypatch, xp, make, layers, said):
    monkeypatch.setattr(xp, "cuda", type("cuda", (), {"Stream": None}), raising=False)
    if said is None:
        capture.check_suitable(net(extra=layers), make())
    else:
        with pytest.raises(ValueError, match=said):
            capture.check_suitable(net(extra=layers), make())


def test_a_number_on_the_device(xp):
    five = OnDevice(xp.full((), 5.0))
    for value, expected in [
        (five / 2, 2.5), (five * 2, 10), (2 * five, 10), (five + 1, 6), (1 + five, 6),
        (five - 1, 4), (1 - five, -4), (-five, -5), (five + five, 10), (five - five / 2, 2.5),
    ]:  # fmt: skip
        assert float(value.array) == expected
    assert (five != five) is False
    for look in (float, bool, int, lambda v: v < 1, lambda v: v >= 1, lambda v: v == 1):
        with pytest.raises(RuntimeError, match="looked at on the host"):
            look(five)


def products(path):
    """The lines of a file that multiply matrices by themselves, apart from plain forms."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and not node.name.endswith("_plain"):
            for part in ast.walk(node):
                operator = isinstance(part, ast.BinOp) and isinstance(part.op, ast.MatMult)
                called = part.func if isinstance(part, ast.Call) else None
                named = isinstance(called, ast.Attribute) and called.attr in ("matmul", "einsum")
                if operator or (named and ast.unparse(called) != "np.matmul"):
                    yield f"{path.name}:{part.lineno} {ast.unparse(part)}"


@pytest.mark.on_host
def test_all_products_of_layers_can_be_recorded():
    """`winograd` is for forward gradients, which are not recorded."""
    files = [p for name in ("kernels", "layers", "losses") for p in (PACKAGE / name).rglob("*.py")]
    known = {"recording.py", "winograd.py"}
    assert [line for p in files if p.name not in known for line in products(p)] == []


def test_dot_is_a_product(xp, rng):
    a, b = xp.asarray(rng.standard_normal((2, 3))), xp.asarray(rng.standard_normal((3, 4)))
    out = xp.empty((2, 4))
    assert mg.kernels.dot(a, b, out=out) is out
    for found in (out, mg.kernels.dot(a, b)):
        np.testing.assert_array_equal(to_host(found), to_host(a) @ to_host(b))
