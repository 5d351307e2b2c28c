"""Right layers and losses at hard points: none is called wrong, and hardly any is left undecided.

One point is one entry of one array, compared with its numerical derivative. A part of the points
is looked at always, all of them (more than 10,000) with MINIGRAD_SLOW=1.
"""

import os
from collections import Counter

import numpy as np
import pytest
from cases import LAYERS

import minigrad as mg
from minigrad.backend import to_device

pytestmark = pytest.mark.on_host
WHOLE = os.environ.get("MINIGRAD_SLOW") == "1"
SEEDS = range(2) if WHOLE else range(1)
SHARE = 1 if WHOLE else 5
FLAT = (mg.Sigmoid, mg.Tanh, mg.Softmax, mg.Sequential)  # far from 0 their derivatives are 0


class Pointwise(mg.Layer):
    """y = f(x), element by element."""

    def __init__(self, f, slope):
        super().__init__("float64")
        self.f = f
        self.slope = slope

    def forward(self, x, train=True):
        self.cache = x
        return self.f(x)

    def backward(self, dy):
        return dy * self.slope(self.recall())

    def jvp(self, x_dot, params_dot=None):
        return x_dot * self.slope(self.recall())


def signs(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


def about(size):
    """Numbers of either sign of this size."""
    return lambda rng, shape: size * rng.uniform(0.5, 2, shape) * signs(rng, shape)


def near_and_far(rng, shape):
    """Every second number saturates an exponential, the others do not."""
    x = rng.standard_normal(shape)
    x.reshape(-1)[::2] = 40 * np.sign(x.reshape(-1)[::2])
    return x


def at_the_kink(rng, shape):
    """Every third number is 0, and every fourth within reach of a step."""
    x = rng.standard_normal(shape)
    x.reshape(-1)[::3] = 0
    x.reshape(-1)[1::4] *= 1e-7
    return x


HARD = {
    "tiny": about(1e-30),
    "small": about(1e-9),
    "denormal": about(1e-310),
    "large": about(1e6),
    "huge": about(1e30),
    "mixed": lambda rng, shape: 10.0 ** rng.uniform(-30, 30, shape) * signs(rng, shape),
    "mixed a little": lambda rng, shape: 10.0 ** rng.uniform(-6, 6, shape) * signs(rng, shape),
    "kinks": at_the_kink,
    "ties": lambda rng, shape: rng.integers(-2, 3, shape).astype(float),
    "saturated": near_and_far,
    "far from zero": lambda rng, shape: 1e4 + rng.standard_normal(shape),
}

FUNCTIONS = {  # (f, its derivative, hard points)
    "log": (np.log, lambda x: 1 / x, (1e-300, 1e-30, 1e-5, 1.0, 1e30, 1e300)),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x), (1e-300, 1e-30, 1e-5, 1.0, 1e30)),
    "1/x": (lambda x: 1 / x, lambda x: -1 / x**2, (1e-100, 1e-7, 1.0, 1e7, 1e30)),
    "sin": (np.sin, np.cos, (1e-30, 1e-5, 1.0, 1e3, 1e6, 1e9)),
    "exp": (np.exp, np.exp, (1e-30, 1.0, 30.0, 300.0)),
    "x cubed": (lambda x: x**3, lambda x: 3 * x**2, (1e-30, 1e-5, 1.0, 1e30)),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2, (1e-30, 1e-5, 1.0, 5.0)),
    "abs": (abs, np.sign, (1e-300, 1e-30, 1e-7, 1.0, 1e30)),
    "softplus": (lambda x: np.logaddexp(0, x), lambda x: 1 / (1 + np.exp(-x)), (1e-9, 1.0, 20.0)),
}


def points(report):
    """How many entries the table compares, and how many of them are undecided.

    A row that is nearly zero proves nothing: all its entries count as undecided.
    """
    counts = Counter()
    for row in report.rows:
        counts["compared"] += row.checked
        if row.verdict == "VOID":
            counts["undecided"] += row.checked
        else:
            counts["undecided"] += row.undecided
    return counts


def faults(report):
    return [str(row) for row in report.rows if row.verdict in ("WRONG", "MISSING")]


def layer_reports():
    pairs = [(case, kind) for case in LAYERS for kind in HARD]
    for case, kind in pairs[::SHARE]:
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            shape = (1, *case.shape[1:]) if case.single and seed % 2 else case.shape
            x = HARD[kind](rng, shape)
            layer = case.layer("float32" if seed % 2 else "float64", seed=seed)
            if isinstance(layer, FLAT) and abs(x).max() > 100:
                x.reshape(-1)[::2] = rng.standard_normal(x.reshape(-1)[::2].shape)
            entries = 20 if layer.params else 1000 if WHOLE else 40
            with np.errstate(all="ignore"):
                report = mg.gradcheck.check(
                    layer, to_device(x), train=case.train, seed=seed, entries=entries
                )
            yield f"{case.name}, {kind}, seed {seed}", report


def function_reports():
    for name, (f, slope, sizes) in FUNCTIONS.items():
        for size in sizes:
            for seed in SEEDS:
                x = size * np.random.default_rng(seed).uniform(1, 2, (3, 4))
                with np.errstate(all="ignore"):
                    report = mg.gradcheck.check(Pointwise(f, slope), to_device(x), seed=seed)
                yield f"{name} at {size}, seed {seed}", report


def loss_batches(rng, n):
    labels = rng.integers(0, 3, n)
    for size in (1e-30, 1e-5, 1.0, 6.0):
        z = size * rng.standard_normal((n, 3))
        yield mg.CrossEntropyLoss(), z, labels
        yield mg.NLLLoss(), -abs(z), labels
        yield mg.MSELoss(), z, size * rng.standard_normal((n, 3))
    yield mg.MSELoss(), 1e30 * z, z
    for p in (1e-9, 1e-5, 0.5):
        edge = p * rng.uniform(0.5, 1, (n, 3))
        yield mg.BCELoss(), edge, rng.random((n, 3))
        yield mg.BCELoss(), 1 - 100 * edge if p < 0.1 else 1 - edge, rng.random((n, 3))


def loss_reports():
    for seed in SEEDS:
        for n in (1, 5):
            rng = np.random.default_rng(seed)
            for loss, output, target in loss_batches(rng, n):
                with np.errstate(all="ignore"):
                    report = mg.gradcheck.check(
                        loss, to_device(output), to_device(target), seed=seed
                    )
                yield f"{loss}, batch of {n}, seed {seed}", report


@pytest.mark.slow
def test_none_is_called_wrong_and_few_are_undecided():
    counts = Counter()
    cried = {}
    for name, report in [*function_reports(), *loss_reports(), *layer_reports()]:
        counts += points(report)
        if faults(report):
            cried[name] = faults(report)
    assert cried == {}
    print(dict(counts))
    assert counts["compared"] >= (10_000 if WHOLE else 1_000)
    assert counts["undecided"] <= 0.02 * counts["compared"], counts
