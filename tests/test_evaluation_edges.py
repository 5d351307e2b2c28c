"""Where an accuracy, a metric or a set could be silently wrong: it is right, or an error."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import metrics
from minigrad.backend import to_device
from minigrad.data import Dataset


def on(array, dtype="float32"):
    return to_device(np.array(array, dtype))


@pytest.mark.parametrize("y", [[0, 1], [[1, 0], [0, 1]]])
def test_an_output_that_is_nan_is_never_right(y):
    """argmax takes NaN for the largest: a network that has diverged would know class 0."""
    output = on([[np.nan, 1], [0, 1]])
    y = on(y, "int64")
    assert metrics.accuracy(output, y) == metrics.top_k(1)(output, y) == 0.5
    assert metrics.accuracy(on([[np.nan], [1]]), on([[0], [1]]), threshold=0) == 0.5


def test_evaluate_says_so_too():
    net = mg.Sequential(mg.Linear(2, 2, seed=0))
    dataset = Dataset(on([[1, 1], [1, 1]]), on([0, 0], "int64"), classes=2)
    net.params["0.W"][...] = np.nan
    with np.errstate(invalid="ignore"):
        found = mg.evaluate(net, mg.CrossEntropyLoss(), dataset)
    assert np.isnan(found[0])
    assert found[1] == 0


SEVERAL = [[1, 1, 0], [0, 1, 0]]
NONE = [[0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("y", [SEVERAL, NONE])
@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.top_k(2), metrics.confusion_matrix])
def test_several_labels_for_an_example_have_no_argmax(metric, y):
    output = on([[0.9, 0.8, 0.1], [0.1, 0.9, 0.2]])
    for dtype in ("float32", "bool"):
        with pytest.raises(ValueError, match=r"of only 0 and 1, 1 have none or several"):
            metric(output, on(y, dtype))
    assert metrics.accuracy(output, on(SEVERAL), threshold=0.5) == 1  # as the error advises


@pytest.mark.parametrize("wrong", [-1, -100, 3])
def test_a_label_that_is_no_class_is_not_a_wrong_answer(wrong):
    for metric in (metrics.accuracy, metrics.top_k(1), metrics.confusion_matrix):
        with pytest.raises(ValueError, match=r"must be in \[0, 3\)"):
            metric(on(np.eye(3)), on([0, 1, wrong], "int64"))


def test_against_pytorch(rng):
    torch = pytest.importorskip("torch")
    output = rng.normal(size=(200, 7)).astype("float32")
    y = rng.integers(0, 7, 200)
    largest = torch.tensor(output).topk(3, dim=1).indices == torch.tensor(y)[:, None]
    assert metrics.top_k(3)(on(output), on(y, "int64")) == largest.any(dim=1).double().mean().item()
    right = torch.tensor(output).argmax(1) == torch.tensor(y)
    assert metrics.accuracy(on(output), on(y, "int64")) == right.double().mean().item()
    target = rng.normal(size=(200, 7)).astype("float32")
    pair = on(output), on(target)
    torches = torch.tensor(output).double(), torch.tensor(target).double()
    mse = torch.nn.functional.mse_loss(*torches).item()
    assert metrics.mse(*pair) == pytest.approx(mse, rel=1e-12)
    assert metrics.rmse(*pair) == pytest.approx(mse**0.5, rel=1e-12)
    mae = torch.nn.functional.l1_loss(*torches).item()
    assert metrics.mae(*pair) == pytest.approx(mae, rel=1e-12)
    rest = ((torches[0] - torches[1]) ** 2).mean(0) / torches[1].var(0, correction=0)
    assert metrics.r2(*pair) == pytest.approx(1 - rest.mean().item(), rel=1e-12)


class Mixed(Dataset):
    """It gives its examples in an order of its own, and leaves some out."""

    def batches(self, batch_size, rng=None):
        rows = np.random.default_rng(0).permutation(len(self))[:30]
        rows = to_device(rows, like=self.x)
        for start in range(0, len(rows), batch_size):
            here = rows[start : start + batch_size]
            yield self.x[here], self.y[here]


def test_metrics_see_the_targets_as_the_set_gives_them(rng):
    net = mg.Sequential(mg.Linear(4, 3, seed=0))
    x = rng.normal(size=(40, 4)).astype("float32")
    dataset = Mixed(to_device(x), to_device(rng.integers(0, 3, 40)), classes=3)
    loss = mg.CrossEntropyLoss()
    found = mg.evaluate(net, loss, dataset, batch_size=11, metrics=["accuracy", "top_2"])
    assert found["accuracy"] == mg.evaluate(net, loss, dataset)[1]
    x, y = next(dataset.batches(30))
    assert found["top_2"] == metrics.top_k(2)(net.forward(x), y)


def fit(dataset, loss, k, **options):
    net = mg.Sequential(mg.Linear(4, k, seed=0))
    return mg.fit(
        *(net, loss, mg.rules.Backprop(), mg.SGD(net, 0.1), dataset),
        **{"epochs": 2, "batch_size": 500, "progress": False, **options},
    )


def test_the_first_thousand_do_not_decide_what_can_be_monitored(rng):
    """These are 0 and 1, those behind them are not: accuracy has no meaning for the whole set."""
    y = np.r_[np.zeros(1000), np.full(10, 0.5)].astype("float32")[:, None]
    dataset = Dataset(to_device(rng.normal(size=(1010, 4)).astype("float32")), to_device(y))
    stopping = mg.EarlyStopping(2, "train_accuracy")
    with pytest.raises(ValueError, match="accuracy has no meaning for this loss"):
        fit(dataset, mg.BCEWithLogitsLoss(), 1, early_stopping=stopping)


@pytest.mark.parametrize("name", ["test", "validation"])
def test_classes_have_the_same_names_in_all_sets(name, rng):
    x = to_device(rng.normal(size=(6, 4)).astype("float32"))
    y = to_device(np.arange(6) % 2)
    train = Dataset(x, y, names=["cat", "dog"])
    with pytest.raises(ValueError, match=f"the {name} set names its classes 'dog', 'cat', the tr"):
        fit(train, mg.CrossEntropyLoss(), 2, **{name: Dataset(x, y, names=["dog", "cat"])})
    for other in (Dataset(x, y, names=train.names), Dataset(x, y)):
        assert fit(train, mg.CrossEntropyLoss(), 2, **{name: other}).stopped is None


@pytest.mark.on_host
def test_masked_arrays_have_no_hidden_values():
    x = np.ma.masked_array(np.ones((3, 2), "float32"), mask=[[0, 0], [1, 0], [0, 0]])
    with pytest.raises(ValueError, match=r"x is a masked array with 1 masked value"):
        Dataset(x, [0, 1, 0])
    whole = Dataset(np.ma.masked_array(np.ones((3, 2), "float32")), [0, 1, 0])
    assert type(whole.x) is np.ndarray


@pytest.mark.on_host
def test_the_advice_works_for_lists():
    x = np.ones((2, 1), "float32")
    with pytest.raises(TypeError, match=r"cast with numpy.asarray\(y, 'int64'\)"):
        Dataset(x, [True, False])
    assert Dataset(x, np.asarray([True, False], "int64")).kind == "labels"


@pytest.mark.on_host
def test_labels_before_noise_are_labels_too():
    x, y = np.ones((2, 1), "float32"), np.array([0, 1])
    with pytest.raises(ValueError, match=r"clean_y: labels must be in \[0, 2\), got 5 to 6"):
        Dataset(x, y, clean_y=y + 5, classes=2)
    with pytest.raises(TypeError, match="stratified must be True or False, got 'no'"):
        Dataset(x, y).split(1, stratified="no")
