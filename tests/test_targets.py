"""Data sets with any targets: labels and values, lists, names; parts of them, and batches."""

from dataclasses import replace

import numpy as np
import pytest
from trainings import Stop, differences

import minigrad as mg
from minigrad import asynchronous
from minigrad.backend import to_device, to_host
from minigrad.data import Dataset, redraw_labels
from minigrad.data.sampling import balanced, stratified

N = 22


def x_of(shape=(4,), dtype="float32"):
    return np.random.default_rng(1).standard_normal((N, *shape)).astype(dtype)


def targets(kind):
    """(x, y, what fits them: a loss, and the network's last layers)."""
    rng = np.random.default_rng(2)
    x = x_of()
    if kind == "labels":
        return x, rng.integers(0, 3, N), mg.CrossEntropyLoss(), [mg.Linear(5, 3, seed=1)]
    if kind == "one number":
        return x, x[:, :1] ** 2, mg.MSELoss(), [mg.Linear(5, 1, seed=1)]
    if kind == "three numbers, float64":
        return x, x[:, :3].astype("float64"), mg.L1Loss(), [mg.Linear(5, 3, seed=1)]
    if kind == "numbers (N,)":
        loss, last = mg.HuberLoss(), [mg.Linear(5, 2, seed=1), Row()]
        return x, x[:, 0] + 1, loss, last
    if kind == "binary":
        y = (x[:, :1] > 0).astype("float32")
        return x, y, mg.BCEWithLogitsLoss(), [mg.Linear(5, 1, seed=1)]
    if kind == "multi-label":
        y = (x[:, :3] > 0).astype("float32")
        return x, y, mg.BCEWithLogitsLoss(), [mg.Linear(5, 3, seed=1)]
    y = rng.random((N, 3)).astype("float32")
    return x, y / y.sum(axis=1, keepdims=True), mg.CrossEntropyLoss(), [mg.Linear(5, 3, seed=1)]


class Row(mg.Layer):
    """y = Σ_j x_j: one number for each example, (N,)."""

    def forward(self, x, train=True):
        self.cache = x.shape
        return x.sum(axis=1)

    def backward(self, dy):
        xp = mg.backend.array_module(dy)
        return dy[:, None] * xp.ones(self.recall(), dy.dtype)

    def jvp(self, x_dot, params_dot=None):
        return x_dot.sum(axis=1)


class Run:
    """A training on one of the kinds of targets."""

    def __init__(self, kind):
        x, y, self.loss, last = targets(kind)
        self.train = Dataset(x, y)
        self.model = mg.Sequential(mg.Linear(4, 5, seed=0), mg.Tanh(), *last)
        self.optimizer = mg.Adam(self.model, 0.02)

    def fit(self, **options):
        fit = options.pop("fit", mg.fit)
        parts = self.model, self.loss, mg.rules.Backprop(), self.optimizer, self.train
        result = fit(*parts, **{"epochs": 4, "batch_size": 6, "progress": False} | options)
        self.history = getattr(result, "history", result)
        return self

    def state(self):
        found = {name: to_host(array) for name, array in self.model.state_dict().items()}
        found |= {"steps": np.array(self.history.step_loss)}
        return found | {"losses": np.array(self.history.train_loss)}


KINDS = ["labels", "one number", "three numbers, float64", "numbers (N,)", "binary", "multi-label"]


@pytest.mark.parametrize("kind", [*KINDS, "probabilities"])
def test_every_kind_of_target_is_trained_and_resumed(kind, tmp_path):
    def stop(step, loss):
        if step == 6:
            raise Stop

    unbroken = Run(kind).fit()
    assert unbroken.history.train_loss[-1] < unbroken.history.train_loss[0]
    how = {"checkpoint": tmp_path / "a.npz", "every": "1 step"}
    with pytest.raises(Stop):
        Run(kind).fit(step_callback=stop, **how)
    resumed = Run(kind).fit(resume=True, **how)
    assert differences(unbroken.state(), resumed.state()) == []
    changed = Run(kind)
    y = to_host(changed.train.y).copy()
    y[0] = y[1]
    y[1] = to_host(changed.train.y)[0]
    if (y != to_host(changed.train.y)).any():
        changed.train = Dataset(changed.train.x, y)
        with pytest.raises(ValueError, match="of another run: train was"):
            changed.fit(resume=True, **how)


def test_labels_for_each_place():
    y = np.random.default_rng(0).integers(0, 3, (N, 2, 2))
    train = Dataset(x_of((1, 2, 2)), y, classes=3)
    assert train.kind == "labels"
    model = mg.Sequential(mg.Conv2d(1, 3, 1, seed=0))
    loss = mg.CrossEntropyLoss()
    parts = model, loss, mg.rules.Backprop(), mg.SGD(model, 0.5), train
    history = mg.fit(*parts, epochs=3, batch_size=8)
    assert history.train_loss[-1] < history.train_loss[0]
    noisy = redraw_labels(train, 0.5, np.random.default_rng(1))
    assert noisy.y.shape == noisy.clean_y.shape == y.shape


@pytest.mark.on_host
def test_values_have_no_classes_and_no_noise():
    values = Dataset(x_of(), x_of((2,)), source="here")
    assert (values.kind, values.classes, values.names, values.clean_y) == ("values", *[None] * 3)
    assert not values.noisy
    assert replace(values, y=values.y + 1).kind == "values"
    assert replace(values, y=np.zeros(N, int)).classes == 10
    with pytest.raises(ValueError, match="redraw_labels is for labels, and y is float32"):
        redraw_labels(values, 0.5, np.random.default_rng(0))
    assert np.isnan(mg.evaluate(mg.Linear(4, 2, seed=0), mg.MSELoss(), values)[1])


def test_words_stay_integers_and_other_layers_say_what_to_do():
    words = np.random.default_rng(0).integers(0, 50, (N, 3))
    train = Dataset(to_device(words), to_device((words > 25).any(axis=1).astype(int)), classes=2)
    model = mg.Sequential(mg.Embedding(50, 4, seed=0), mg.Flatten(), mg.Linear(12, 2, seed=1))
    assert train.placed(model.params["0.table"]).x.dtype == "int64"
    parts = mg.CrossEntropyLoss(), mg.rules.Backprop()
    history = mg.fit(model, *parts, mg.Adam(model, 0.05), train, epochs=5, batch_size=8)
    assert history.train_loss[-1] < history.train_loss[0]
    model = mg.Linear(3, 2, seed=0)
    with pytest.raises(TypeError, match=r"got x of int64; cast with x\.astype\('float32'\)"):
        mg.fit(model, *parts, mg.SGD(model, 0.1), train, epochs=1, batch_size=8)


class Table:
    """Like a table of pandas: an object with __array__."""

    def __init__(self, values, fails=False):
        self.values = values
        self.fails = fails

    def __array__(self, dtype=None, copy=None):
        if self.fails:
            raise RuntimeError("call detach() first")
        return self.values


@pytest.mark.on_host
def test_lists_and_tables_are_converted():
    data = Dataset([[0.0, 1.5], [1.0, 2.0]], [0, 1], names=["no", "yes"])
    assert (data.x.dtype, data.y.dtype) == ("float32", "int64")
    assert (data.classes, data.names) == (2, ("no", "yes"))
    assert Dataset([[3], [4]], [0.5, 1]).x.dtype == "int64"
    assert Dataset([[3], [4]], [0.5, 1]).y.dtype == "float32"
    assert Dataset(list(np.ones((2, 3))), (0, 1)).x.dtype == "float32"
    data = Dataset(Table(np.ones((2, 3))), Table(np.array([2, 3], "int32")))
    assert (data.x.dtype, data.y.dtype) == ("float64", "int32")  # as arrays, they keep theirs
    torch = pytest.importorskip("torch")
    data = Dataset(torch.ones((2, 3)), torch.tensor([1, 0]))
    assert (type(data.x), data.x.dtype, data.y.tolist()) == (np.ndarray, "float32", [1, 0])


def test_what_is_converted_goes_to_the_other_arrays(xp):
    data = Dataset(xp.ones((2, 3)), [0, 1], clean_y=[1, 1])
    assert {type(a) for a in (data.x, data.y, data.clean_y)} == {type(xp.ones(1))}
    placed = Dataset(np.ones((2, 3)), [[0.5], [1.0]]).placed(xp.ones(1, "float32"))
    assert (placed.x.dtype, placed.y.dtype) == ("float32", "float32")
    assert placed.placed(xp.ones(1, "float32")) is placed
    wide = placed.placed(xp.ones(1, "float64"))
    assert (wide.x.dtype, wide.y.dtype) == ("float64", "float64")


X, Y = x_of(), np.arange(N) % 3
VALUES = Y.astype("float32")
NAN = np.where(Y == 2, np.nan, Y)
BAD = {
    "NaN": (lambda: Dataset(X, NAN), ValueError, "^y has NaN .* in 7 of 22 .* example 2"),
    "classes": (
        lambda: Dataset(X, VALUES, classes=3),
        ValueError,
        "classes is for labels",
    ),
    "clean_y": (lambda: Dataset(X, VALUES, Y), ValueError, "clean_y is for labels"),
    "names": (lambda: Dataset(X, VALUES, names=["a"]), ValueError, "names is for labels"),
    "two names": (lambda: Dataset(X, Y, None, "", 3, ["a", "b"]), ValueError, "expected 3 names"),
    "one text": (lambda: Dataset(X, Y, names="abc"), TypeError, "names must be a list of texts"),
    "numbers": (lambda: Dataset(X, Y, names=[0, 1, 2]), TypeError, "names must be a list of texts"),
    "the same": (lambda: Dataset(X, Y, names=["a", "a", "b"]), ValueError, "a name of its own"),
    "range": (lambda: Dataset(X, Y + 9), ValueError, r"in \[0, 10\), got 9 to 11; .* classes=12"),
    "below": (lambda: Dataset(X, Y - 1), ValueError, "got -1 to 1; for values"),
    "prices": (lambda: Dataset(X, 100 * Y), ValueError, r"for values, .*y\.astype\('float32'\)"),
    "column": (lambda: Dataset(X, Y[:, None]), ValueError, r"column of labels: write y\[:, 0\]"),
    "1-D": (lambda: Dataset(X[:, 0], VALUES), ValueError, r"of one number each, x\[:, None\]"),
    "clean shape": (lambda: Dataset(X, Y, Y[1:]), ValueError, r"clean_y must be labels like y"),
    "clean values": (lambda: Dataset(X, Y, VALUES), ValueError, "clean_y must be labels like y"),
    "text": (lambda: Dataset(X, ["a"] * N), TypeError, "y is text, as 'a'. Number the classes"),
    "x words": (lambda: Dataset(["a b"] * N, [0] * N), TypeError, "Number the words"),
    "too few names": (lambda: Dataset(X, Y, names=["a"]), ValueError, "give 3 names, one for each"),
    "x text": (
        lambda: Dataset([["1"]], [0]),
        TypeError,
        r"x is text.* numpy.asarray\(x, 'float32'\)",
    ),
    "objects": (lambda: Dataset(X, [None] * N), TypeError, "y has Python objects, as None"),
    "ragged": (lambda: Dataset([[1], [1, 2]], [0, 1]), ValueError, "x: NumPy makes no array of"),
    "fails": (lambda: Dataset(Table(X, True), Y), ValueError, r"Table: call detach\(\) first"),
    "uint16": (lambda: Dataset(X.astype("uint16"), Y), TypeError, "pixels / 255"),
    "complex": (lambda: Dataset(X, Y + 0j), TypeError, "integer y, labels, or floating-point y"),
    "take(-1)": (lambda: D.take(-1), ValueError, r"the last 1 write take\(slice\(-1, None\)\)"),
    "take(N + 1)": (lambda: D.take(23), ValueError, r"cannot take 23 .* of 22; .*take\(slice\(23"),
    "take(0.5)": (lambda: D.take(0.5), TypeError, r"for 50% of the 22 examples write take\(11\)"),
    "take(True)": (lambda: D.take(True), TypeError, "got True$"),
    "take(None)": (lambda: D.take(None), TypeError, "got None$"),
    "mask": (lambda: D.take(Y[1:] == 1), ValueError, "mask has 21 entries, the data set 22 exam"),
    "index": (
        lambda: D.take([3, 22, -23]),
        ValueError,
        "2 of 3 indices .* first 22",
    ),
    "floats": (lambda: D.take(np.array([1.0])), TypeError, "got ndarray of float64"),
    "table": (lambda: D.take([[1, 2]]), TypeError, r"shape \(1, 2\)"),
    "split(.2)": (lambda: D.split(0.2), ValueError, r"for 20% of the 22 examples write split\(4\)"),
    "split(4.0)": (lambda: D.split(4.0), ValueError, r"write split\(4\)$"),
    "split(True)": (lambda: D.split(True), ValueError, "takes a number of examples, .* got True$"),
    "split(0)": (lambda: D.split(0), ValueError, "cannot split 0 examples off 22"),
    "strata": (lambda: V.split(4, stratified=True), ValueError, "stratified=True looks at labels"),
    "sampling": (lambda: list(D.batches(4, RNG, sampling="fair")), ValueError, "'stratified', got"),
    "values": (lambda: list(V.batches(4, RNG, sampling="balanced")), ValueError, "looks at labels"),
    "no rng": (lambda: list(D.batches(4, sampling="balanced")), ValueError, "give a generator"),
}
D, V, RNG = Dataset(X, Y), Dataset(X, VALUES), np.random.default_rng(0)


@pytest.mark.on_host
@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said(case):
    make, error, message = BAD[case]
    with pytest.raises(error, match=message):
        make()


@pytest.mark.on_host
def test_the_advice_on_text_works():
    y = ["dog", "cat", "dog"]
    names, y = np.unique(y, return_inverse=True)
    data = Dataset(np.ones((3, 2)), y, names=names)
    assert data.names == ("cat", "dog")
    assert data.y.tolist() == [1, 0, 1]
    assert data.take(2).names == data.split(1)[0].names == data.names


def test_take_by_every_kind_of_index(xp):
    data = Dataset(xp.asarray(X), xp.asarray(Y))
    mask = Y == 1
    for which, expected in (
        (3, Y[:3]),
        (0, Y[:0]),
        (np.int64(N), Y),
        (slice(-2, None), Y[-2:]),
        ([5, -1], Y[[5, -1]]),
        ([], Y[:0]),
        (range(4), Y[:4]),
        (mask, Y[mask]),
        (mask.tolist(), Y[mask]),
        (xp.asarray(mask), Y[mask]),
        (xp.asarray(np.array([2, 4])), Y[[2, 4]]),
    ):
        assert to_host(data.take(which).y).tolist() == expected.tolist()


@pytest.mark.on_host
@pytest.mark.parametrize("name", ["test", "validation"])
def test_targets_of_another_shape_are_refused_before_the_first_step(name):
    train, other = Dataset(X, VALUES[:, None]), V
    model = mg.Linear(4, 1, seed=0)
    parts = model, mg.MSELoss(), mg.rules.Backprop(), mg.SGD(model, 0.1), train
    with pytest.raises(ValueError, match=rf"target of the {name} set must .* \(1,\), .* \(\)"):
        mg.fit(*parts, epochs=1, batch_size=8, **{name: other})
    soft = Dataset(X, np.eye(3, dtype="float32")[Y])  # but labels go with probabilities
    model = mg.Linear(4, 3, seed=0)
    parts = model, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(model, 0.1), soft
    assert len(mg.fit(*parts, epochs=1, batch_size=8, **{name: D}).step_loss) == 3


@pytest.mark.on_host
def test_one_number_for_each_example_says_how_to_make_a_column():
    model = mg.Linear(4, 1, seed=0)
    with pytest.raises(ValueError, match=r"make the target a column, y\[:, None\]$"):
        mg.evaluate(model, mg.MSELoss(), V)
    mg.evaluate(model, mg.MSELoss(), Dataset(X, VALUES[:, None]))
    y = np.arange(N) % 2  # labels: a column of integers would be refused
    for loss in (mg.BCEWithLogitsLoss(), mg.MSELoss()):
        with pytest.raises(ValueError, match=r"y\[:, None\]\.astype\('float32'\)$"):
            mg.evaluate(model, loss, Dataset(X, y))
        mg.evaluate(model, loss, Dataset(X, y[:, None].astype("float32")))
    with pytest.raises(ValueError, match="an output for each class .* BCEWithLogitsLoss"):
        mg.evaluate(model, mg.CrossEntropyLoss(), Dataset(X, y))


# ------------------------------------------------------------------ parts and batches


def test_a_stratified_part_has_the_share_of_each_class(xp):
    y = np.repeat([0, 1, 2, 5], [50, 25, 17, 8])
    data = Dataset(xp.asarray(np.arange(100, dtype="float32")[:, None]), xp.asarray(y))
    for n, expected in (
        (20, [10, 5, 3, 2]),  # shares 10, 5, 3.4, 1.6
        (10, [5, 2, 2, 1]),  # shares 5, 2.5, 1.7, 0.8: 1.7 and 0.8 are rounded up
        (2, [1, 1, 0, 0]),  # shares 1, 0.5, 0.34, 0.16
        (99, [49, 25, 17, 8]),  # shares 49.5, 24.75, 16.83, 7.92
    ):
        rest, part = data.split(n, seed=3, stratified=True)
        assert np.bincount(to_host(part.y), minlength=6)[[0, 1, 2, 5]].tolist() == expected
        together = np.concatenate([to_host(rest.x), to_host(part.x)])[:, 0]
        assert sorted(together.tolist()) == list(range(100))
    first, second = (to_host(data.split(20, s, stratified=True)[1].x) for s in (3, 4))
    assert not np.array_equal(first, second)


def test_drop_last(xp):
    data = Dataset(xp.asarray(X), xp.asarray(Y))
    for rng in (None, np.random.default_rng(0)):
        assert [len(y) for _, y in data.batches(6, rng, drop_last=True)] == [6, 6, 6]
    assert [len(y) for _, y in data.batches(11, None, True)] == [11, 11]
    assert list(data.batches(23, None, True)) == []


IMBALANCED = np.repeat([0, 1, 4], [70, 20, 7])


def test_balanced_batches(xp):
    x = np.arange(97, dtype="float32")[:, None]
    data = Dataset(xp.asarray(x), xp.asarray(IMBALANCED))
    for batch_size in (10, 200):  # also if all are one batch
        batches = list(data.batches(batch_size, np.random.default_rng(1), sampling="balanced"))
        found_x, y = (np.concatenate([to_host(b[i]) for b in batches]) for i in (0, 1))
        assert sorted(np.bincount(y)[[0, 1, 4]]) == [32, 32, 33]
        assert (IMBALANCED[found_x[:, 0].astype(int)] == y).all(), "x and y stay together"
        assert len(y) == 97
        assert len(set(y[:10])) == 3, "the order is random"


@pytest.mark.on_host
def test_balanced_sampling_draws_every_example_of_a_class_equally_often():
    rng = np.random.default_rng(0)
    counts = sum(np.bincount(balanced(IMBALANCED, rng), minlength=97) for _ in range(400))
    expected = 400 * 97 / 3 / np.bincount(IMBALANCED)[IMBALANCED]
    assert (abs(counts - expected) < 5 * np.sqrt(expected)).all()


@pytest.mark.on_host
def test_a_stratified_order_has_every_example_once_and_even_batches():
    drawn = stratified(IMBALANCED, np.random.default_rng(0))
    assert sorted(drawn) == list(range(97))
    for start in range(0, 97 - 24, 24):
        counts = np.bincount(IMBALANCED[drawn[start : start + 24]], minlength=5)[[0, 1, 4]]
        assert (abs(counts - 24 * np.array([70, 20, 7]) / 97) <= 2).all(), counts
    assert not np.array_equal(drawn, stratified(IMBALANCED, np.random.default_rng(1)))


# ------------------------------------------------------------------ in processes


@pytest.mark.on_host
@pytest.mark.xdist_group("threads and processes")
@pytest.mark.parametrize("kind", ["three numbers, float64", "words"])
def test_processes_train_on_values_and_on_words(kind, monkeypatch):
    def made():
        if kind != "words":
            return Run(kind)
        run = Run("labels")
        words = np.random.default_rng(0).integers(0, 9, (N, 2))
        run.train = Dataset(words, words[:, 0] % 3, classes=3)
        inside = mg.Linear(8, 5, seed=1), mg.Tanh(), mg.Linear(5, 3, seed=2)
        run.model = mg.Sequential(mg.Embedding(9, 4, seed=0), mg.Flatten(), *inside)
        run.optimizer = mg.Adam(run.model, 0.02)
        return run

    monkeypatch.setenv("MINIGRAD_THREADS", "1")
    apart = made().fit(fit=asynchronous.fit, epochs=2)
    assert differences(apart.state(), made().fit(epochs=2).state()) == []
