"""Data sets: what is loaded, in which form; bad input; batches; label noise."""

from dataclasses import replace

import numpy as np
import pytest

import minigrad as mg
from minigrad import data, resources
from minigrad.data import Dataset, mnist

nowhere = pytest.mark.usefixtures("no_mnist")


@pytest.fixture
def no_mnist(monkeypatch, tmp_path):
    """A machine without MNIST, where any download is a failure of the test."""
    monkeypatch.setattr(mnist, "folders", lambda root=None: [tmp_path])
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)

    def download(root=None):
        raise AssertionError("downloaded unasked")

    monkeypatch.setattr(mnist, "download", download)


def small(n=10, classes=3):
    rng = np.random.default_rng(0)
    return Dataset(rng.random((n, 2), dtype="float32"), np.arange(n) % classes, classes=classes)


@nowhere
@pytest.mark.on_host
@pytest.mark.parametrize("name", ["digits", "auto"])
def test_the_embedded_digits_are_shown_as_mnist(name):
    train, test = data.load(name)
    assert (len(train), len(test)) == (1437, 360)
    for part in (train, test):
        assert part.x.shape[1:] == (1, 28, 28)
        assert part.x.dtype == "float32"
        assert part.y.dtype == "int64"
        assert part.x.min() == 0
        assert part.x.max() == 1
        assert set(part.y) == set(range(10))
        assert not part.x[:, :, [0, 1, 26, 27]].any()  # the margin
        blocks = part.x[:, 0, 2:26, 2:26].reshape(-1, 8, 3, 8, 3)
        assert (blocks == blocks[:, :, :1, :, :1]).all()  # each pixel 3x3
    together = np.concatenate([train.x, test.x])
    assert len(np.unique(together.reshape(1797, -1), axis=0)) == 1797  # no digit in both
    assert "digits" in train.source
    assert ("no MNIST on disk" in train.source) == (name == "auto")


@pytest.mark.on_host
def test_the_digits_are_found_in_an_installed_package_too(monkeypatch, tmp_path):
    """An installed package has no repository around it, but copies of its folders inside it."""
    whole = resources.find("data", "digits.npz").read_bytes()
    monkeypatch.setattr(resources, "REPOSITORY", tmp_path)
    monkeypatch.setattr(resources, "PACKAGE", tmp_path / "minigrad")
    with pytest.raises(FileNotFoundError, match="install it again"):
        resources.find("data", "digits.npz")
    assert resources.files("lessons") == []
    inside = tmp_path / "minigrad" / "_data"
    inside.mkdir(parents=True)
    (inside / "digits.npz").write_bytes(whole)
    assert len(data.load("digits")[0]) == 1437


@pytest.mark.on_host
def test_real_mnist(real_mnist):
    train, test = data.load("mnist", root=real_mnist)
    assert train.x.shape == (60000, 1, 28, 28)
    assert test.x.shape == (10000, 1, 28, 28)
    assert train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(train.y).tolist()[:3] == [5923, 6742, 5958]
    assert float(train.x.mean(dtype="float64")) == pytest.approx(0.1307, abs=5e-5)
    assert float(train.x.std(dtype="float64")) == pytest.approx(0.3081, abs=5e-5)
    assert "MNIST, train" in train.source
    scaled, _ = data.load("auto", root=real_mnist, normalize=(0.1307, 0.3081))
    assert scaled.x.dtype == "float32"
    assert abs(float(scaled.x.mean(dtype="float64"))) < 1e-3
    assert abs(float(scaled.x.std(dtype="float64")) - 1) < 1e-3


@nowhere
@pytest.mark.on_host
def test_unknown_names_and_settings_are_refused():
    with pytest.raises(ValueError, match="unknown data set 'cifar': choose one of auto, mn"):
        data.load("cifar")
    with pytest.raises(ValueError, match="label_noise is a fraction"):
        data.load("digits", label_noise=1.5)
    with pytest.raises(ValueError, match="std > 0"):
        data.load("digits", normalize=(0.5, 0))


@nowhere
@pytest.mark.on_host
def test_label_noise_is_a_fraction_redrawn_and_clean_labels_are_kept():
    clean, _ = data.load("digits")
    for fraction in (0.1, 0.5):
        train, test = data.load("digits", label_noise=fraction, seed=3)
        np.testing.assert_array_equal(train.clean_y, clean.y)
        wrong = (train.y != train.clean_y).mean()
        expected = 0.9 * fraction
        assert abs(wrong - expected) < 5 * np.sqrt(0.09 * fraction / len(train))
        assert (test.y != test.clean_y).any()
        np.testing.assert_array_equal(train.x, clean.x)
    again, _ = data.load("digits", label_noise=0.5, seed=3)
    other, _ = data.load("digits", label_noise=0.5, seed=4)
    np.testing.assert_array_equal(again.y, train.y)
    assert not np.array_equal(other.y, train.y)
    none, _ = data.load("digits", label_noise=0.0)
    np.testing.assert_array_equal(none.y, none.clean_y)


@nowhere
@pytest.mark.on_host
def test_redrawn_labels_are_exactly_as_many_as_asked():
    train, _ = data.load("digits")
    marked = replace(train, y=np.full(len(train), 11), clean_y=None, classes=12, names=None)
    noisy = data.redraw_labels(replace(marked, classes=12), 0.25, np.random.default_rng(0))
    drawn = round(0.25 * len(train))
    kept_by_chance = drawn - int((noisy.y != 11).sum())
    assert 0 <= kept_by_chance < 5 * np.sqrt(drawn / 12) + drawn / 12


BAD = [
    (lambda d: Dataset(d.x, d.y[:-1]), ValueError, r"got \(10, 2\) and \(9,\)"),
    (lambda d: Dataset(d.x[:, 0], d.y), ValueError, r"expected x of shape \(N, ...\)"),
    (lambda d: Dataset(d.x, d.y == 1), TypeError, "integer y"),
    (lambda d: Dataset((d.x * 255).astype("uint8"), d.y), TypeError, "floating-point x.*uint8"),
    (lambda d: Dataset(d.x, d.y + 1, classes=3), ValueError, r"in \[0, 3\), got 1 to 3"),
    (lambda d: Dataset(d.x, d.y - 1), ValueError, "got -1 to"),
    (lambda d: Dataset(iter(d.x), d.y), TypeError, r"x must be an array, .* list\(x\)"),
    (lambda d: d.split(10), ValueError, "cannot split 10"),
    (lambda d: list(d.batches(0)), ValueError, "batch_size"),
]


@pytest.mark.on_host
@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_bad_data_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(small())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_found_and_placed(value):
    d = small()
    x = d.x.copy()
    x[[3, 7]] = value
    with pytest.raises(ValueError, match="NaN or infinite values in 2 of 10 .* example 3"):
        Dataset(mg.backend.to_device(x), mg.backend.to_device(d.y))


def test_batches_shuffle_rows_and_keep_pairs(rng):
    d = small(25).placed(mg.backend.to_device(np.ones(1, "float32")))
    pairs = dict(zip(mg.backend.to_host(d.x)[:, 0], mg.backend.to_host(d.y), strict=True))
    xs, ys = zip(*d.batches(7, rng), strict=True)
    assert [len(y) for y in ys] == [7, 7, 7, 4]
    xs, ys = (np.concatenate([mg.backend.to_host(a) for a in part]) for part in (xs, ys))
    assert {float(x): int(y) for x, y in zip(xs[:, 0], ys, strict=True)} == pairs
    assert not np.array_equal(xs, mg.backend.to_host(d.x))


def test_data_moves_to_the_model_and_keeps_its_labels(xp):
    d = small()
    like = xp.ones(1, "float64")
    moved = d.placed(like)
    assert type(moved.x) is type(like)
    assert type(moved.y) is type(moved.clean_y) is type(like)
    assert moved.x.dtype == "float64"
    assert moved.placed(like) is moved
    assert d.placed(None) is d
    np.testing.assert_array_equal(mg.backend.to_host(moved.x), d.x)
    part = moved.take(np.array([1, 4]))
    np.testing.assert_array_equal(mg.backend.to_host(part.y), d.y[[1, 4]])


@pytest.mark.on_host
def test_split_is_without_overlap_and_from_its_seed():
    d = small(20)
    rest, part = d.split(5, seed=1)
    assert (len(rest), len(part)) == (15, 5)
    assert set(rest.x[:, 0]) | set(part.x[:, 0]) == set(d.x[:, 0])
    assert not np.array_equal(part.x, d.split(5, seed=2)[1].x)
    np.testing.assert_array_equal(part.x, d.split(5, seed=1)[1].x)
    assert len(d.take(4)) == 4
