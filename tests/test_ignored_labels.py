"""A label that does not count: losses, data sets, metrics, sampling and evaluation agree on it."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import asynchronous, metrics
from minigrad.backend import to_device, to_host
from minigrad.data import Dataset, from_npz, redraw_labels, save_npz
from minigrad.data.sampling import balanced, stratified

N = 60
C = 3
KEPT = np.arange(N) % 4 != 1  # every fourth label does not count


def labels(ignored=-100):
    return np.where(KEPT, np.random.default_rng(1).integers(0, C, N), ignored)


def data(ignored=-100, shape=(4,)):
    x = np.random.default_rng(2).normal(size=(N, *shape)).astype("float32")
    return Dataset(
        to_device(x), to_device(labels(ignored)), classes=C + (ignored == C), ignore_index=ignored
    )


def network(classes=C):
    return mg.Sequential(mg.Linear(4, 6, seed=0), mg.Tanh(), mg.Linear(6, classes, seed=1))


def outputs(ignored=-100):
    return to_device(
        np.random.default_rng(3).normal(size=(N, C + (ignored == C))).astype("float32")
    )


@pytest.mark.parametrize("ignored", [-100, C])
def test_metrics_are_those_of_the_labels_that_count(ignored):
    output, y = outputs(ignored), to_device(labels(ignored))
    rows = to_device(np.flatnonzero(KEPT), like=y)
    for metric in (metrics.accuracy, metrics.top_k(2), metrics.confusion_matrix):
        found = metric(output, y, ignore_index=ignored)
        assert np.array_equal(found, metric(output[rows], y[rows]))
    answers = output.argmax(axis=1)
    found = metrics.confusion_matrix(answers, y, classes=C + 1, ignore_index=ignored)
    assert found.sum() == KEPT.sum()
    places = output.T[None], y[None]  # one example, a label for each of its places
    assert metrics.accuracy(*places, ignore_index=ignored) == metrics.accuracy(
        output[rows], y[rows]
    )


def test_without_a_label_that_counts_there_is_no_share():
    output, y = outputs()[:2], to_device(np.array([-100, -100]))
    assert math.isnan(metrics.accuracy(output, y, ignore_index=-100))
    assert math.isnan(metrics.top_k(2)(output, y, ignore_index=-100))
    assert metrics.confusion_matrix(output, y, ignore_index=-100).sum() == 0


@pytest.mark.parametrize("ignored", [-100, 0, C])
def test_evaluate_agrees_with_itself_and_with_the_rows_that_count(ignored):
    net = network(C + (ignored == C))
    dataset = data(ignored)
    loss = mg.CrossEntropyLoss(ignore_index=ignored)
    kept = dataset.take(to_host(dataset.y) != ignored)
    expected, share = mg.evaluate(net, mg.CrossEntropyLoss(), Dataset(kept.x, kept.y))
    for batch_size in (7, 1000):
        found = mg.evaluate(net, loss, dataset, batch_size)
        assert found == (pytest.approx(expected, rel=1e-6), share)
        found = mg.evaluate(net, loss, dataset, batch_size, metrics=["accuracy", "top_1"])
        assert found["accuracy"] == found["top_1"] == share


def test_the_loss_alone_may_say_which_label_does_not_count():
    dataset = Dataset(data(0).x, data(0).y, classes=C)
    loss = mg.CrossEntropyLoss(ignore_index=0)
    found = mg.evaluate(network(), loss, dataset, metrics=["accuracy"])
    assert found["accuracy"] == mg.evaluate(network(), loss, dataset)[1]


def test_metrics_of_ones_own_get_the_label_if_they_ask_for_it():
    def all_of_them(output, y):
        return float((y == -100).sum())

    def asks(output, y, ignore_index=None):
        return float(ignore_index)

    loss = mg.CrossEntropyLoss(ignore_index=-100)
    found = mg.evaluate(network(), loss, data(), metrics=[all_of_them, asks])
    assert found["all_of_them"] == N - KEPT.sum()
    assert found["asks"] == -100


def fit(dataset, loss, **options):
    net = network()
    return mg.fit(
        *(net, loss, mg.rules.Backprop(), mg.SGD(net, 0.1), dataset),
        **{"epochs": 2, "batch_size": 20, "progress": False, **options},
    )


@pytest.mark.parametrize("sampling", [None, "balanced", "stratified"])
def test_it_is_trained_and_resumed(sampling, tmp_path):
    loss = mg.CrossEntropyLoss(ignore_index=-100)
    options = {"sampling": sampling, "metrics": ["top_2"], "validation": data()}
    whole = fit(data(), loss, **options)
    fit(data(), loss, **options, checkpoint=tmp_path / "run.npz", epochs=1)
    options |= {"checkpoint": tmp_path / "run.npz", "resume": True}
    assert fit(data(), loss, **options).step_loss == whole.step_loss
    assert whole.validation_accuracy[-1] == whole.train_accuracy[-1]


def test_the_first_thousand_may_not_count():
    """A set may be sorted: the trial before the first step looks at labels that count."""
    y = np.r_[np.full(1000, -100), np.arange(60) % C]
    x = np.random.default_rng(0).normal(size=(len(y), 4)).astype("float32")
    dataset = Dataset(to_device(x), to_device(y), classes=C, ignore_index=-100)
    loss = mg.CrossEntropyLoss(ignore_index=-100)
    stopping = mg.EarlyStopping(2, "train_accuracy")
    history = fit(dataset, loss, batch_size=len(y), metrics=["top_2"], early_stopping=stopping)
    assert len(history.train_accuracy) == 2


REFUSED = {
    "the loss would count them": (
        lambda: mg.evaluate(network(), mg.CrossEntropyLoss(), data()),
        r"ignore_index=-100 does not count, and the loss has ignore_index=None: give it the same",
    ),
    "the loss has another one": (
        lambda: fit(data(), mg.CrossEntropyLoss(ignore_index=0)),
        "train: in the data set the label ignore_index=-100",
    ),
    "in the validation set": (
        lambda: fit(
            Dataset(data().x, data().y * 0, classes=C),
            mg.CrossEntropyLoss(),
            validation=data(),
        ),
        "validation: in the data set",
    ),
    "a margin counts all": (
        lambda: mg.evaluate(network(), mg.MultiMarginLoss(), data()),
        "the loss has ignore_index=None",
    ),
    "of values": (
        lambda: Dataset(data().x, data().x, ignore_index=-100),
        "ignore_index is for labels",
    ),
    "another negative label": (
        lambda: Dataset(data().x, data().y - 1, ignore_index=-100),
        r"must be in \[0, 10\), got -101 to",
    ),
    "it is not said": (
        lambda: Dataset(data().x, data().y),
        "for a label that does not count, give ignore_index=-100",
    ),
    "no label to draw": (
        lambda: fit(
            Dataset(data().x, data().y * 0 - 1, ignore_index=-1),
            mg.CrossEntropyLoss(ignore_index=-1),
            sampling="balanced",
        ),
        "no label counts",
    ),
    "shares": (
        lambda: metrics.accuracy(outputs(), abs(outputs()), ignore_index=1),
        "ignore_index is a label",
    ),
    "yes or no": (
        lambda: metrics.accuracy(outputs(), outputs(), threshold=0.5, ignore_index=1),
        "ignore_index is for labels",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_agree_is_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.on_host
def test_its_type_is_checked():
    for wrong in (True, 1.0, "-100"):
        with pytest.raises(TypeError, match="ignore_index must be a label or None"):
            Dataset(np.zeros((2, 1), "float32"), np.zeros(2, int), ignore_index=wrong)


@pytest.mark.on_host
def test_samplings():
    y = labels()
    rng = np.random.default_rng(0)
    drawn = np.concatenate([balanced(y, rng, -100) for _ in range(50)])
    assert KEPT[drawn].all()
    counts = np.bincount(y[drawn], minlength=C)
    assert counts.sum() == 50 * N
    assert (counts == N * 50 / C).all()
    order = stratified(y, rng, -100)
    assert np.array_equal(np.sort(order), np.arange(N))
    assert {int(KEPT[part].sum()) for part in order.reshape(5, 12)} <= {8, 9, 10}


def test_parts_have_their_share(tmp_path):
    dataset = data()
    rest, part = dataset.split(20, stratified=True)
    for label in (-100, *range(C)):
        whole = int((dataset.y == label).sum())
        assert abs(int((part.y == label).sum()) - whole / 3) < 1
    assert rest.ignore_index == part.ignore_index == dataset.take(3).ignore_index == -100


def test_files_and_noise_keep_it(tmp_path):
    dataset = data()
    save_npz(tmp_path / "set.npz", dataset)
    again = from_npz(tmp_path / "set.npz")
    assert (again.ignore_index, again.classes) == (-100, C)
    assert np.array_equal(again.y, to_host(dataset.y))
    noisy = redraw_labels(dataset, 1.0, np.random.default_rng(0))
    assert np.array_equal(to_host(noisy.y) == -100, ~KEPT)
    assert noisy.noisy


@pytest.mark.on_host
@pytest.mark.xdist_group("threads and processes")
def test_processes_train_with_it(monkeypatch):
    def trained(fit):
        net = network()
        parts = net, mg.CrossEntropyLoss(ignore_index=-100), mg.rules.Backprop(), mg.SGD(net, 0.1)
        fit(*parts, data(), epochs=1, batch_size=20)
        return np.concatenate([net.params[name].ravel() for name in net.params])

    monkeypatch.setenv("MINIGRAD_THREADS", "1")
    assert np.array_equal(trained(asynchronous.fit), trained(mg.fit))
