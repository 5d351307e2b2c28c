"""fit(capture=True) on a GPU: the same numbers as ordinary steps, bit for bit."""

import os
import re
from itertools import product

import numpy as np
import pytest
from conftest import NO_GPU
from test_capture import (
    Counts,
    Halved,
    Looks,
    assign,
    calling,
    freeze,
    load,
    same,
    same_states,
    setting,
    smaller,
)

import minigrad as mg
from minigrad import capture
from minigrad.backend import current, to_host
from minigrad.capture.cublas import Products
from minigrad.capture.cuda import Cuda

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.on_host,
    pytest.mark.skipif(NO_GPU is not None, reason=str(NO_GPU)),
]


@pytest.fixture(autouse=True)
def cp():
    with mg.backend.use("cupy"):
        yield current()


@pytest.fixture
def loops(monkeypatch):
    """The loops of all calls of fit(capture=True)."""
    made = []
    monkeypatch.setattr(
        capture.CapturedLoop, "_device", lambda loop: made.append(loop), raising=True
    )
    return made


# An emulated GPU is slow: see tests/test_capture_emulated.py
D, H = (20, 6) if "EMULATED_CUDA" in os.environ else (784, 64)


def data(shape=(D,), n=70, dtype="float32"):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((n, *shape)).astype(dtype)
    return mg.data.Dataset(x, rng.integers(0, 10, n))


def dense(dtype="float32"):
    return mg.models.mlp((D, 100, 10), seed=1, dtype=dtype)


def normed(dtype="float32"):
    layers = []
    for i, size in enumerate((D, H, H)):
        layers += [mg.Linear(size, H, seed=i, dtype=dtype), mg.BatchNorm1d(H, dtype=dtype)]
        layers.append(mg.ReLU())
    return mg.Sequential(*layers, mg.Linear(H, 10, seed=9, dtype=dtype))


def lenet(dtype="float32"):
    return mg.models.lenet(seed=2, dtype=dtype)


def pooled(dtype="float32"):
    """The layers that the other networks do not have."""
    return mg.Sequential(
        mg.Conv2d(1, 4, 3, stride=2, padding=1, seed=1, dtype=dtype),
        mg.BatchNorm2d(4, dtype=dtype),
        mg.LeakyReLU(),
        mg.AvgPool2d(3, 2, padding=1),
        mg.Residual(mg.Conv2d(4, 4, 3, padding="same", seed=2, dtype=dtype), mg.GELU()),
        mg.MaxPool2d(2, padding=1),
        mg.Flatten(),
        mg.LayerNorm(64, dtype=dtype),
        mg.Linear(64, 10, seed=3, dtype=dtype),
        mg.Tanh(),
    )


def steps(optimizer):
    return mg.StepLR(optimizer, 3, 0.7, per="step")


def train(make=dense, optimizer=None, schedule=None, model=None, shape=(D,), **options):
    dtype = options.pop("dtype", "float32")
    model = make(dtype) if model is None else model
    optimizer = optimizer(model) if optimizer else mg.SGD(model, lr=0.05, momentum=0.9)
    options = {"epochs": 3, "batch_size": 8, "progress": False} | options
    loss = options.pop("loss", None) or mg.CrossEntropyLoss()
    rule = options.pop("rule", None) or mg.rules.Backprop()
    rule = rule if isinstance(rule, mg.rules.Rule) else rule(model)
    if schedule:
        options["schedule"] = schedule(optimizer)
    return mg.fit(model, loss, rule, optimizer, data(shape, dtype=dtype), **options), model


SGD = lambda net: mg.SGD(net, lr=0.05)  # noqa: E731
ADAM = lambda net: mg.Adam(net, lr=1e-3)  # noqa: E731


def synthetic(**options):
    return lambda model: mg.rules.SyntheticGradients(model, **options)


IMAGES = {"shape": (1, 28, 28)}


RUNS = {
    "sgd": {"optimizer": SGD},
    "momentum": {},
    "batch norm": {"make": normed, "optimizer": ADAM, "schedule": steps},
    "lenet": {"make": lenet, **IMAGES},
    "other layers": {"make": pooled, "optimizer": ADAM, **IMAGES},
    "float64": {"make": normed, "dtype": "float64", "schedule": steps},
    "lenet float64": {"make": lenet, "dtype": "float64", **IMAGES},
    "full batch": {"batch_size": 70, "epochs": 20},
    "in order": {"shuffle": False},
    "smoothing": {"loss": mg.CrossEntropyLoss(label_smoothing=0.1)},
    "own rule": {"rule": Halved(mg.rules.Backprop())},
    "synthetic": {"make": normed, "rule": synthetic(), "optimizer": ADAM, "schedule": steps},
    "bp-lambda": {"make": normed, "rule": synthetic(mode="bp-lambda", hidden=(20,), warm_up=3)},
    "unlocked": {"make": normed, "rule": synthetic(mode="unlocked"), "optimizer": ADAM},
    "synthetic lenet": {"make": lenet, "rule": synthetic(input_shape=(1, 28, 28)), **IMAGES},
}


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_a_captured_run_is_the_ordinary_run(loops, options):
    same(train(capture=True, **options), train(**options))
    assert loops[0].captured.recordings == 1


@pytest.mark.parametrize("mode", ["sequential", "locked", "unlocked"])
def test_modules_and_counts_of_synthetic_gradients(mode):
    def run(**options):
        model = normed()
        rule = mg.rules.SyntheticGradients(model, mode=mode, hidden=(20,))
        train(model=model, rule=rule, schedule=steps, **options)
        return rule.state_dict()

    same_states(run(capture=True), run())


def test_the_plain_form_is_not_recorded():
    with (
        mg.kernels.use("plain"),
        pytest.raises(capture.CaptureError, match=r'with kernels\.use\("plain"\) no step can'),
    ):
        train(make=lenet, capture=True, **IMAGES)


class Own(mg.optim.Optimizer):
    """An optimiser that has no kernel of its own: it steps beside the graph."""

    def _update(self, param, grad, state):
        param -= self.lr * grad


@pytest.mark.parametrize(
    ("optimizer", "within"),
    [
        (lambda net: mg.SGD(net, 0.05, 0.9, nesterov=True, weight_decay=1e-3), True),
        (lambda net: mg.AdamW(net, 1e-3), True),
        (lambda net: mg.RMSprop(net, 1e-3, centered=True, momentum=0.5), True),
        (lambda net: mg.Adagrad(net, 1e-2, lr_decay=0.1), True),
        (lambda net: mg.SGD(net, 0.05, groups={"*.b": {"lr_factor": 2.0}}), True),
        (lambda net: mg.EMA(mg.Adam(net, 1e-3), 0.9).optimizer, False),
        (lambda net: Own(net, 0.05), False),
    ],
    ids=["nesterov", "adamw", "rmsprop", "adagrad", "groups", "average", "own"],
)
def test_every_optimiser_within_the_graph_or_beside_it(loops, optimizer, within):
    found = []
    options = {"make": normed, "optimizer": optimizer, "schedule": steps}

    def look(history):
        found.append(loops[0].captured.moves is not None)

    mine = train(capture=True, callback=look, **options)
    same(mine, train(**options))
    assert found == [within] * 3


def reload(optimizer):
    optimizer.load_state_dict(optimizer.state_dict())


def lower(optimizer):
    optimizer.lr *= 0.3


def decay(optimizer):
    optimizer.weight_decay = 0.01


@pytest.mark.parametrize(("change", "recordings"), [(reload, 2), (lower, 1), (decay, 2)])
def test_the_optimiser_may_change(loops, change, recordings):
    def run(**options):
        model = normed()
        made = []

        def make(net):
            made.append(mg.Adam(net, 1e-3))
            return made[0]

        return train(
            model=model, optimizer=make, callback=lambda history: change(made[0]), **options
        )

    same(run(capture=True, epochs=2), run(epochs=2))
    assert loops[0].captured.recordings == recordings


def test_on_a_stream_of_the_users_own(cp):
    """The stream does not wait for the default one, nor the other way round."""
    plain = train(make=normed)
    with cp.cuda.Stream(non_blocking=True):
        same(train(make=normed, capture=True), plain)


@pytest.mark.parametrize("change", [assign, freeze, setting, load, smaller])
@pytest.mark.parametrize("every_step", [False, True])
def test_what_the_step_depends_on_may_change(loops, change, every_step):
    def run(**options):
        model = normed()
        return train(model=model, **options, **calling(change, model, every_step))

    same(run(capture=True), run())
    assert loops[0].captured.recordings == (1 if change in (load, smaller) else 2)


def test_callbacks_see_the_weights_of_their_step():
    def run(**options):
        model = dense()
        seen = []
        train(model=model, step_callback=lambda *_: seen.append(model.state_dict()), **options)
        return seen

    for mine, other in zip(run(capture=True), run(), strict=True):
        same_states(mine, other)


def test_nothing_else_gets_the_memory_of_a_graph(cp):
    """Arrays of NaN in all memory that is free do no harm to a graph."""
    kept = []

    def callback(history):
        cp.get_default_memory_pool().free_all_blocks()
        for size in (1, 100, 10_000, 1_000_000):
            kept.extend(cp.full(size, np.nan, "float32") for _ in range(30))
        del kept[::2]

    plain = train(make=normed)
    same(train(make=normed, capture=True, callback=callback), plain)

    def on_its_stream(step, value):
        kept.append(cp.full(step * 1000, np.nan, "float32"))

    same(train(make=normed, capture=True, step_callback=on_its_stream), plain)


def test_a_thousand_steps_take_no_more_memory(cp, loops):
    used = []

    def look(history):
        pool = cp.get_default_memory_pool()
        captured = loops[0].captured
        used.append((pool.used_bytes(), captured.graph.bytes()))

    train(capture=True, optimizer=ADAM, epochs=125, evaluate_every=25, callback=look)
    assert len(used) == 5
    assert used[1:] == used[:1] * 4


def test_a_checkpoint_is_that_of_an_ordinary_run(tmp_path):
    options = {"make": normed, "optimizer": ADAM, "schedule": steps}
    whole = train(checkpoint=tmp_path / "whole.npz", **options)
    for captured in ([True, True], [True, False], [False, True]):
        path = tmp_path / f"{captured}.npz"
        options |= {"checkpoint": path, "every": "3 steps", "resume": True}

        def stop(step, value):
            if step == 12:
                raise KeyboardInterrupt

        train(capture=captured[0], step_callback=stop, **options)
        same(train(capture=captured[1], **options), whole)


def test_a_loss_that_is_not_finite_ends_the_run():
    def explode(history):
        for array in model.params.values():
            array *= np.float32(1e30)

    model = dense()
    history, _ = train(model=model, capture=True, callback=explode)
    model = dense()
    plain, _ = train(model=model, callback=explode)
    assert history.step_loss[:-1] == plain.step_loss[:-1]
    assert re.match(re.escape(plain.stopped) + r"\. It was seen after step 17", history.stopped)


class Synchronises(mg.Linear):
    def forward(self, x, train=True):
        if float(abs(x).max()) > 1e6:
            raise ValueError("too large")
        return super().forward(x, train)


class Uploads(mg.Linear):
    def forward(self, x, train=True):
        return super().forward(x + current().asarray(np.ones(x.shape, x.dtype)), train)


class OwnProduct(mg.Linear):
    def forward(self, x, train=True):
        self.cache = x
        return x @ self.params["W"] + self.params["b"]


class OwnDot(mg.Linear):
    def forward(self, x, train=True):
        self.cache = x
        return mg.kernels.dot(x, self.params["W"]) + self.params["b"]


@pytest.mark.parametrize(
    ("layer", "options", "said"),
    [
        (Synchronises, {}, r"Synchronises \(layer 1\) waits for the GPU"),
        (Uploads, {}, r"Uploads \(layer 1\) cannot be repeated: it brings an array"),
        (
            OwnProduct,
            {},
            r"OwnProduct \(layer 1\) multiplies matrices in a way .* write mg\.kernels\.dot",
        ),
        (mg.Linear, {"rule": Looks()}, "in Looks a number of the step was looked at"),
        (mg.Linear, {"rule": Counts()}, r"Counts\.steps is another number"),
        (mg.Linear, {"loss": mg.CrossEntropyLoss(np.ones(10))}, "CrossEntropyLoss cannot be rep"),
    ],
)
def test_what_a_graph_cannot_repeat_is_refused(layer, options, said):
    def run(layer, **options):
        model = mg.Sequential(mg.Linear(D, 9, seed=1), layer(9, 10, seed=2))
        return train(model=model, **options)

    with pytest.raises(capture.CaptureError, match=said) as error:
        run(layer, capture=True, **options)
    assert error.value.history.stopped.startswith("failed in epoch 1")
    same(run(OwnDot, capture=True), run(OwnProduct))  # and the GPU works as before


SIZES = [1, 2, 3, 10, 64, 129, 784]
SHAPES = [
    *product(SIZES[:5], SIZES[2:], SIZES[:5]),
    (129, 784, 256),
    (784, 10, 100),
    (6000, 25, 20),
]
ORDERS = ["cc", "ct", "tc", "tt", "gc", "cg"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_those_of_cupy(cp, dtype):
    """Of matrices in all orders (c, t: transposed, g: with gaps), in and out of a graph."""
    cuda = Cuda(cp)
    made = {}

    def make(shape, order):
        if (shape, order) not in made:
            rng = np.random.default_rng(shape)
            size = (
                shape if order == "c" else shape[::-1] if order == "t" else (shape[0], shape[1] + 1)
            )
            array = cp.asarray(rng.standard_normal(size).astype(dtype))
            made[shape, order] = {"c": array, "t": array.T, "g": array[:, :-1]}[order]
        return made[shape, order]

    pairs = [
        (make((n, k), order[0]), make((k, m), order[1])) for n, k, m in SHAPES for order in ORDERS
    ]
    pairs += [(a[0], b) for a, b in pairs[::5]] + [(a, b[:, 0]) for a, b in pairs[::5]]
    eager = [a @ b for a, b in pairs]
    cuda.new_memory()
    found = []
    with cuda.running():
        outside = [Products.dot(cuda.products, a, b) for a, b in pairs]
        with cuda.own_memory():
            outs = [cp.empty_like(y) for y in eager]
        graph = cuda.record(
            lambda: found.extend(
                mg.kernels.dot(a, b, out=y) for (a, b), y in zip(pairs, outs, strict=True)
            )
        )
        graph()
    wrong = {"outside": [], "in a graph": []}
    for (a, b), y, one, other in zip(pairs, eager, outside, found, strict=True):
        what = f"{a.shape} {a.strides} @ {b.shape} {b.strides}"
        for name, mine in (("outside", one), ("in a graph", other)):
            if not np.array_equal(to_host(mine), to_host(y)):
                wrong[name].append(what)
    assert wrong == {"outside": [], "in a graph": []}, f"of {len(pairs)}"
