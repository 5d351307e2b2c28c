"""Data sets in the plane: their equations."""

import numpy as np
import pytest

import minigrad as mg

pytestmark = pytest.mark.on_host
SETS = {
    "moons": mg.data.moons,
    "spirals": mg.data.spirals,
    "circles": mg.data.circles,
    "xor": mg.data.xor,
}


def clean(name, **options):
    """(x, y) without noise, train and test together."""
    parts = SETS[name](200, noise=0, seed=3, test=100, **options)
    return np.concatenate([p.x for p in parts]).astype("float64"), np.concatenate(
        [p.y for p in parts]
    )


def test_moons_are_half_circles():
    x, y = clean("moons")
    centre = np.where(y[:, None] == 0, [-1 / 3, -1 / 6], [1 / 3, 1 / 6])
    np.testing.assert_allclose(np.hypot(*(x - centre).T), 2 / 3, rtol=1e-6)
    assert ((x - centre)[y == 0, 1] >= -1e-6).all()
    assert ((x - centre)[y == 1, 1] <= 1e-6).all()


@pytest.mark.parametrize(("arms", "turns"), [(2, 1.0), (3, 1.5)])
def test_spirals_wind_around_the_origin(arms, turns):
    x, y = clean("spirals", arms=arms, turns=turns)
    r = np.hypot(*x.T)
    phi = np.arctan2(x[:, 1], x[:, 0])
    around = (phi / (2 * np.pi) - turns * r - y / arms) % 1
    np.testing.assert_allclose(np.minimum(around, 1 - around), 0, atol=1e-5)
    np.testing.assert_allclose((r**2).mean(), 1 / 2, atol=0.06)  # r² is uniform


def test_circles_have_two_radii():
    x, y = clean("circles")
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 0, 1, 0.5), rtol=1e-6)


def test_xor_is_the_sign_of_a_product():
    x, y = clean("xor")
    np.testing.assert_array_equal(y, x.prod(axis=1) < 0)
    assert (np.sign(x).mean(axis=0) < 0.3).all()  # all four quadrants


@pytest.mark.parametrize("name", list(SETS))
def test_a_set_is_drawn_from_its_seed(name):
    draw = SETS[name]
    train, test = draw(101, seed=1)
    assert (train.x.shape, train.x.dtype, train.y.dtype) == ((101, 2), "float32", "int64")
    assert (len(test), train.classes, train.kind) == (101, 2, "labels")
    assert abs(np.bincount(train.y)[0] - 50.5) < 1  # both classes equally often
    assert name in train.source
    again, fewer = draw(101, seed=1, test=7)
    np.testing.assert_array_equal(train.x, again.x)  # whatever the number of tests is
    assert len(fewer) == 7
    assert not np.array_equal(train.x, draw(101, seed=2)[0].x)
    assert not np.array_equal(train.x, test.x)
    assert np.abs(draw(1000, noise=0)[0].x).max() <= 1


@pytest.mark.parametrize(("name", "part"), [("moons", 1), ("spirals", 1 / 4), ("xor", 1)])
def test_noise_is_a_standard_deviation(name, part):
    still = SETS[name](5000, noise=0, seed=4)[0].x
    moved = SETS[name](5000, noise=0.2, seed=4)[0].x
    np.testing.assert_allclose((moved - still).std(axis=0), 0.2 * part, rtol=0.05)


def test_what_makes_no_sense_is_refused():
    for options in ({"n": 0}, {"noise": -1}, {"seed": -1}, {"test": 0}, {"n": 2.5}):
        with pytest.raises(ValueError, match=next(iter(options))):
            mg.data.moons(**options)
    with pytest.raises(ValueError, match="arms"):
        mg.data.spirals(arms=1)
    with pytest.raises(ValueError, match="turns"):
        mg.data.spirals(turns=0)


def test_a_network_learns_each():
    for name, draw in SETS.items():
        train, test = draw(300, noise=0.05, seed=0)
        net = mg.models.mlp((2, 32, 32, train.classes), "tanh", seed=0)
        history = mg.fit(
            net,
            mg.CrossEntropyLoss(),
            mg.rules.Backprop(),
            mg.Adam(net, 0.02),
            train,
            test,
            epochs=40,
            batch_size=50,
            progress=False,
        )
        assert history.test_accuracy[-1] > 0.9, name
