"""Metrics against numbers worked out by hand, and where `evaluate` and `fit` keep them."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import metrics
from minigrad.backend import to_device, to_host
from minigrad.metrics.named import better, chosen

OUTPUT = [[0.1, 0.7, 0.2], [0.5, 0.5, 0.0], [0.3, 0.3, 0.4], [0.2, 0.1, 0.7]]
LABELS = [1, 1, 0, 2]  # right, a tie that the first class wins, wrong, right


def on(array, dtype="float32"):
    return to_device(np.array(array, dtype))


def test_accuracy_of_labels_and_of_shares():
    output = on(OUTPUT)
    assert metrics.accuracy(output, on(LABELS, "int64")) == 0.5
    assert metrics.accuracy(output, on(np.eye(3)[LABELS])) == 0.5
    soft = [[0.3, 0.4, 0.3], [0.6, 0.4, 0], [0, 0.9, 0.1], [0, 0, 1]]
    assert metrics.accuracy(output, on(soft)) == 0.75
    places = on(np.array(OUTPUT).T[None])  # (1, 3, 4): one example with four places
    assert metrics.accuracy(places, on([LABELS], "int64")) == 0.5


def test_accuracy_of_yes_and_no():
    p = on([[0.9], [0.5], [0.2], [0.6]])
    y = on([[1], [1], [0], [0]])
    assert metrics.accuracy(p, y, threshold=0.5) == 0.5  # 0.5 is not above 0.5
    assert metrics.accuracy(p - 0.5, y, threshold=0) == 0.5
    several = on([[1, 0, 1], [0, 0, 1]])
    assert metrics.accuracy(several * 4 - 2, several, threshold=0) == 1
    assert metrics.accuracy(several[:, 0], several[:, 1], threshold=0.5) == 0.5


def test_top_k_counts_ties_as_argmax_does():
    output = on(OUTPUT)
    y = on(LABELS, "int64")
    assert [metrics.top_k(k)(output, y) for k in (1, 2, 3)] == [0.5, 1.0, 1.0]
    assert metrics.top_k(1)(0 * output, y) == 0.25  # all equal: class 0 comes first
    assert metrics.top_k(2)(output * math.nan, y) == 0
    assert metrics.top_k(2)(on(np.array(OUTPUT).T[None]), on([LABELS], "int64")) == 1


def test_the_confusion_matrix_has_true_labels_in_its_rows():
    output = on(OUTPUT)
    expected = [[0, 0, 1], [1, 1, 0], [0, 0, 1]]
    for given in (output, output.argmax(axis=1)):
        matrix = metrics.confusion_matrix(given, on(LABELS, "int64"))
        assert type(matrix) is np.ndarray
        assert matrix.tolist() == expected
    assert metrics.confusion_matrix(output, on(np.eye(3)[LABELS])).tolist() == expected
    larger = metrics.confusion_matrix(on([0], "int64"), on([1], "int64"), classes=3)
    assert larger.tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    logits, yes = on([[2.0], [-1], [3], [-2]]), on([[1], [1], [0], [0]], "float32")
    with pytest.raises(ValueError, match=r"write confusion_matrix\(output > 0.5, y > 0.5\)"):
        metrics.confusion_matrix(logits, yes)
    with pytest.raises(TypeError, match="for yes and no write y > 0.5"):
        metrics.confusion_matrix(logits > 0, yes)
    assert metrics.confusion_matrix(logits > 0, yes > 0.5).tolist() == [[1, 1], [1, 1]]
    assert metrics.confusion_matrix(logits > 9, yes > 9).tolist() == [[4, 0], [0, 0]]
    np.testing.assert_array_equal(metrics.recall(matrix), [0, 0.5, 1])
    np.testing.assert_array_equal(metrics.precision(matrix), [0, 1, 0.5])
    np.testing.assert_array_equal(metrics.recall(larger), [math.nan, 0, math.nan])


def test_errors_and_r2():
    output = on([1, 2, 3, 6])
    y = on([1, 2, 4, 5])
    # mean 3, Σ (y - 3)² = 10, Σ (output - y)² = 2
    assert metrics.r2(output, y) == pytest.approx(0.8)
    assert metrics.mse(output, y) == 0.5
    assert metrics.rmse(output, y) == 0.5**0.5
    assert metrics.mae(output, y) == 0.5
    assert metrics.r2(y, y) == 1
    assert metrics.r2(0 * y + 3, y) == 0
    two = on(np.stack([[1, 2, 3, 6], [1, 2, 4, 5]], axis=1)), on(np.stack([[1, 2, 4, 5]] * 2, 1))
    assert metrics.r2(*two) == pytest.approx(0.9)  # the mean of 0.8 and 1


def test_r2_of_equal_targets_is_nan_not_a_rounding_error():
    assert math.isnan(metrics.r2(on([1, 2, 3]), on([0.1] * 3)))


WRONG = {
    "a list": (lambda: metrics.mae([1.0], on([1])), TypeError, "mae takes arrays, got list"),
    "a column": (lambda: metrics.mae(on([[1], [2]]), on([1, 2])), ValueError, r"reshape\(-1, 1\)"),
    "other sizes": (lambda: metrics.r2(on([1, 2]), on([1])), ValueError, "as many outputs as"),
    "no examples": (lambda: metrics.mse(on([]), on([])), ValueError, "one or more"),
    "one output": (
        lambda: metrics.accuracy(on([[1], [2]]), on([0, 1], "int64")),
        ValueError,
        "threshold=0.5\\) for probabilities",
    ),
    "float labels": (
        lambda: metrics.accuracy(on(OUTPUT), on(LABELS)),
        ValueError,
        "integer labels of shape",
    ),
    "a threshold for shares": (
        lambda: metrics.accuracy(on(OUTPUT), on(OUTPUT), threshold=0),
        ValueError,
        "targets that are 0 or 1, got 0 to 0.7",
    ),
    "k too large": (
        lambda: metrics.top_k(4)(on(OUTPUT), on(LABELS, "int64")),
        ValueError,
        "at least 4 classes",
    ),
    "k of no class": (lambda: metrics.top_k(0), ValueError, "k must be an integer"),
    "a label too large": (
        lambda: metrics.top_k(2)(on(OUTPUT), on([0, 1, 2, 3], "int64")),
        ValueError,
        r"must be in \[0, 3\), got 0 to 3",
    ),
    "an answer too large": (
        lambda: metrics.confusion_matrix(on([2], "int64"), on([0], "int64"), classes=2),
        ValueError,
        r"answers must be in \[0, 2\)",
    ),
    "no matrix": (lambda: metrics.recall([1, 2]), ValueError, r"of shape \(C, C\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_has_no_answer_is_an_error(name):
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.on_host
def test_names_of_metrics():
    def spread(output, y):
        return float(output.max() - output.min())

    assert list(chosen(["mae", spread, "top_3", metrics.top_k(2)])) == [
        *("mae", "spread", "top_3", "top_2")
    ]
    assert chosen({"worst": spread, "error": "mae"}) == {"worst": spread, "error": metrics.mae}
    assert chosen(None) == {}
    assert [better(f"validation_{name}") for name in ("loss", "r2", "top_5", "worst")] == [
        *("min", "max", "max", None)
    ]
    for wrong, message in (
        ("mae", "must be a list"),
        (["mea"], "no metric 'mea': there are accuracy, r2"),
        ([lambda output, y: 0], "give a dict"),
        ([metrics.top_k], "needs its k"),
        ({"loss": spread}, "'loss' is taken"),
        ({"accuracy": spread}, "'accuracy' is taken"),
        ({"two words": spread}, "one word"),
        ({"mae": 3}, "must be a function"),
        (["mae", "mae"], "two metrics 'mae'"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            chosen(wrong)


class Fixed(mg.Layer):
    """y = x: the data set's x are the outputs."""

    def forward(self, x, train=True):
        return x

    def backward(self, dy):
        return dy


CASES = {
    "labels": (mg.CrossEntropyLoss(), OUTPUT, LABELS, 0.5),
    "labels that are ignored": (mg.CrossEntropyLoss(ignore_index=0), OUTPUT, LABELS, 2 / 3),
    "hinge": (mg.MultiMarginLoss(), OUTPUT, LABELS, 0.5),
    "one-hot": (mg.CrossEntropyLoss(), OUTPUT, np.eye(3, dtype="float32")[LABELS], 0.5),
    "yes or no": (mg.BCELoss(), [[0.9], [0.1]], [[1.0], [1.0]], 0.5),
    "logits": (mg.BCEWithLogitsLoss(), [[0.4, -2], [0.1, 3]], [[1.0, 0.0], [0.0, 1.0]], 0.75),
    "greys": (mg.BCELoss(), [[0.9], [0.1]], [[0.3], [1.0]], math.nan),
    "numbers": (mg.MSELoss(), [[0.9], [0.1]], [[1.0], [1.0]], math.nan),
    "absolute": (mg.L1Loss(), OUTPUT, np.eye(3, dtype="float32")[LABELS], math.nan),
}


@pytest.mark.parametrize("name", CASES)
def test_accuracy_is_nan_where_it_has_no_meaning(name):
    loss, x, y, expected = CASES[name]
    y = np.asarray(y, "float32" if isinstance(np.asarray(y).ravel()[0], np.floating) else "int64")
    dataset = mg.data.Dataset(on(x), to_device(y))
    value, accuracy = mg.evaluate(Fixed(), loss, dataset, 3)
    assert math.isfinite(value)
    assert accuracy == pytest.approx(expected, nan_ok=True)


def test_a_loss_of_ones_own_is_read_by_its_targets():
    class Own(mg.Loss):
        def forward(self, output, target):
            self.cache = True
            return 1.0

        def backward(self):
            return None

    for y, expected in ((LABELS, 0.5), (np.eye(3, dtype="float32")[LABELS], math.nan)):
        dataset = mg.data.Dataset(on(OUTPUT), to_device(np.asarray(y)))
        assert mg.evaluate(Fixed(), Own(), dataset)[1] == pytest.approx(expected, nan_ok=True)


def test_metrics_are_of_the_whole_set_not_means_over_batches():
    x, y = on([[1], [2], [3], [6]]), on([[1], [2], [4], [5]])
    found = mg.evaluate(
        Fixed(),
        mg.MSELoss(),
        mg.data.Dataset(x, y),
        batch_size=3,
        metrics=["r2", "mae", lowest],
    )
    assert found == pytest.approx({"loss": 0.5, "r2": 0.8, "mae": 0.5, "lowest": 1})
    assert mg.evaluate(Fixed(), mg.MSELoss(), mg.data.Dataset(x, y), metrics=[]) == {"loss": 0.5}


def lowest(output, y):
    return output.min()  # an array without axes, on the device


def regression(n=20, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 3)).astype("float32")
    y = x @ np.array([[1], [-2], [0.5]], "float32")
    return mg.data.Dataset(to_device(x), to_device(y))


def run(epochs=3, history=None, test=True, **options):
    net = mg.Sequential(mg.Linear(3, 1, seed=0))
    options = {"epochs": epochs, "batch_size": 8, "progress": False} | options
    held_out = regression(6, 1)
    optimizer = mg.SGD(net, 0.1)
    return net, mg.fit(
        *(net, mg.MSELoss(), mg.rules.Backprop(), optimizer, regression()),
        held_out if test else None,
        history=history,
        **options,
    )


def test_fit_keeps_metrics_and_no_accuracy_of_numbers(tmp_path):
    net, history = run(metrics=["mae", lowest], evaluate_every=2)
    assert history.epoch == [2, 3]
    assert list(history.metrics) == ["train_mae", "train_lowest", "test_mae", "test_lowest"]
    last = mg.evaluate(net, mg.MSELoss(), regression(6, 1), metrics=["mae"])
    assert history.metrics["test_mae"][-1] == last["mae"]
    assert history.test_loss[-1] == last["loss"]
    assert history.train_accuracy == history.test_accuracy == history.test_clean_accuracy == []
    assert history.settings["metrics"] == ["mae", "lowest"]
    history.save(tmp_path / "history.json")
    assert mg.History.load(tmp_path / "history.json") == history


def test_a_run_that_goes_on_with_other_metrics_is_filled_up_with_nan():
    history = run(epochs=1, metrics=["mae"], test=False)[1]
    run(epochs=1, metrics=["r2"], history=history)
    assert list(history.metrics) == ["train_mae", "train_r2", "test_r2"]
    gaps = {name: [math.isnan(v) for v in values] for name, values in history.metrics.items()}
    assert gaps == {
        "train_mae": [False, True],
        "train_r2": [True, False],
        "test_r2": [True, False],
    }
    labels = mg.data.Dataset(regression().x, to_device(np.arange(20) % 2))
    net = mg.models.mlp((3, 2), seed=0)
    mg.fit(
        *(net, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(net, 0.1), labels),
        epochs=1,
        batch_size=9,
        history=history,
    )
    assert [math.isnan(v) for v in history.train_accuracy] == [True, True, False]
    assert [math.isnan(v) for v in history.test_accuracy] == [True, True, True]
    again = mg.History.from_dict(history.as_dict(), "here")
    assert repr(again) == repr(history)


def test_accuracy_is_kept_where_it_is_asked_for():
    """Nielsen's quadratic cost on one-hot labels: an accuracy has a meaning there."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12, 4)).astype("float32")
    dataset = mg.data.Dataset(to_device(x), on(np.eye(3)[np.arange(12) % 3]))
    net = mg.Sequential(mg.Linear(4, 3, seed=0), mg.Sigmoid())
    history = mg.fit(
        *(net, mg.MSELoss(), mg.rules.Backprop(), mg.SGD(net, 1.0), dataset),
        epochs=2,
        batch_size=4,
        metrics=["accuracy"],
    )
    assert history.train_accuracy == history.metrics["train_accuracy"]
    assert all(0 <= value <= 1 for value in history.train_accuracy)
    expected = metrics.accuracy(net.forward(dataset.x, train=False), dataset.y)
    assert history.train_accuracy[-1] == expected


def broken(output, y):
    raise KeyError("no such column")


def a_matrix(output, y):
    return output


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([broken], r"'broken' failed: KeyError.*it was called with output \(20, 1\) and y \(20, 1"),
        ([a_matrix], "'a_matrix' failed: TypeError: its value must be a number"),
        (["top_2"], "'top_2' failed"),
        (["nonsense"], "no metric 'nonsense'"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_an_error_before_the_first_step(wrong, message):
    steps = []
    with pytest.raises(ValueError, match=message):
        run(metrics=wrong, step_callback=lambda step, loss: steps.append(step))
    assert steps == []


def test_a_trial_changes_nothing():
    """The run with metrics is the run without them, bit for bit."""
    for model in (run(metrics=["mae"])[0], run(metrics={"own": lowest})[0]):
        for name, array in run()[0].state_dict().items():
            assert to_host(array).tobytes() == model.state_dict()[name].tobytes()


@pytest.mark.on_host
def test_a_search_takes_a_history_without_accuracies():
    from minigrad.search.task import measured

    history = run(metrics=["r2"])[1]
    got = measured(history)
    assert math.isnan(got["validation_accuracy"])
    assert math.isnan(got["best_train_accuracy"])
    assert got["validation_loss"] == history.test_loss[-1]
    assert got["validation_r2"] == history.metrics["test_r2"][-1]
    assert got["train_r2"] == history.metrics["train_r2"][-1]


@pytest.mark.on_host
def test_the_progress_bar_shows_the_loss_where_there_is_no_accuracy(capsys):
    run(progress=True)
    assert "failed" not in capsys.readouterr().err
    from minigrad.progress import Bar

    bar = Bar(3, False)
    bar.evaluated(mg.History(epoch=[4], train_loss=[0.25]))
    assert bar.tail == ", epoch 4: train loss 0.2500"
    bar.close(None)


def test_a_metric_that_fails_later_ends_the_run_with_its_history():
    calls = []

    def brittle(output, y):
        calls.append(1)
        if len(calls) > 4:  # two sets in the trial, two after the first epoch
            raise RuntimeError("lost the file")
        return 1

    with pytest.raises(ValueError, match="'brittle' failed: RuntimeError: lost the file") as caught:
        run(metrics=[brittle])
    history = caught.value.history
    assert history.epoch == [1]
    assert history.metrics == {"train_brittle": [1.0], "test_brittle": [1.0]}
    assert history.stopped.startswith("failed in epoch 2, after step 6: ValueError: the metric")
