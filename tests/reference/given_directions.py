"""Directions that a test chooses, and small networks to try all of them on."""

import itertools

import numpy as np

import minigrad as mg
from minigrad.backend import to_device, to_host


class Given:
    """In the place of a rule's DirectionSampler: the rows of a table, K a step, over parameters (or
    outputs) of these shapes. per_example: example n of the batch begins with the n-th row."""

    distribution, seed = "normal", 0

    def __init__(self, rows, shapes, per_step, per_example=False):
        self.rows, self.per_step, self.per_example = np.asarray(rows), per_step, per_example
        self.shapes = [tuple(shape) for shape in shapes]
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        self.places = [slice(a, b) for a, b in itertools.pairwise([0, *ends])]
        assert ends[-1] == self.rows.shape[1]

    def fill(self, arrays, step, k):
        self.fill_part(enumerate(arrays), step, k)

    def fill_part(self, numbered, step, k):
        first = (step - 1) * self.per_step + k
        for i, array in numbered:
            if self.per_example:
                rows = self.rows[(first + np.arange(len(array))) % len(self.rows)]
                values = rows[:, self.places[i]].reshape(len(array), *self.shapes[i])
            else:
                values = self.rows[first, self.places[i]].reshape(self.shapes[i])
            array[...] = to_device(values.astype(array.dtype))


def signs(n):
    """All 2^n vectors of ±1, in the rows."""
    return np.array(list(itertools.product((-1.0, 1.0), repeat=n)))


def basis(n):
    """√n times each unit vector: the mean of v vᵀ is 1."""
    return np.sqrt(n) * np.eye(n)


class Residual(mg.Sequential):
    """y = x + f(x): a composite layer with a forward of its own."""

    def forward(self, x, train=True):
        return x + super().forward(x, train)

    def backward(self, dy):
        return dy + super().backward(dy)

    def jvp(self, x_dot, params_dot=None):
        y_dot = super().jvp(x_dot, params_dot)
        return y_dot if x_dot is None else x_dot + y_dot


def linear(n, m, seed, **options):
    return mg.Linear(n, m, dtype="float64", seed=seed, **options)


NETS = {  # at most 10 parameters; the shape of an example
    "one layer": (lambda: linear(3, 2, 0), (3,)),
    "mlp": (lambda: mg.Sequential(linear(2, 2, 0), mg.Tanh(), linear(2, 1, 1)), (2,)),
    "no biases": (
        lambda: mg.Sequential(linear(2, 3, 0, bias=False), mg.ReLU(), linear(3, 1, 1, bias=False)),
        (2,),
    ),
    "nested": (
        lambda: mg.Sequential(mg.Sequential(linear(2, 2, 0), mg.Tanh()), linear(2, 1, 1)),
        (2,),
    ),
    "composite": (
        lambda: mg.Sequential(Residual(linear(2, 2, 0), mg.Sigmoid()), linear(2, 1, 1)),
        (2,),
    ),
    "dropout": (
        lambda: mg.Sequential(linear(2, 2, 0), mg.Tanh(), mg.Dropout(0.5), linear(2, 1, 1)),
        (2,),
    ),
    "images": (
        lambda: mg.Sequential(
            mg.Conv2d(1, 1, 2, dtype="float64", seed=0),
            mg.ReLU(),
            mg.MaxPool2d((1, 2)),
            mg.Flatten(),
            linear(2, 1, 1),
        ),
        (1, 3, 3),
    ),
    "batch norm": (
        lambda: mg.Sequential(
            linear(1, 2, 0),
            mg.BatchNorm1d(2, dtype="float64"),
            mg.ReLU(),
            linear(2, 1, 1, bias=False),
        ),
        (1,),
    ),
}


def make(name, n=5, seed=0):
    """A net of the table, a loss, and a batch of n."""
    build, shape = NETS[name]
    model, rng = build(), np.random.default_rng(seed + 50)
    x = to_device(rng.standard_normal((n, *shape)))
    if name == "one layer":
        return model, mg.CrossEntropyLoss(), x, to_device(rng.integers(0, 2, n))
    return model, mg.MSELoss(), x, to_device(rng.standard_normal((n, 1)))


def gradients(rule, model, *batch):
    """(the loss, {name: a copy of the rule's gradient on the host}), from one state of dropout."""
    model.reseed(3)
    value = rule.estimate(model, *batch)
    return value, {key: to_host(grad).copy() for key, grad in model.grads.items()}


def flat(grads):
    """All numbers of a gradient in one row."""
    return np.concatenate([grad.ravel() for grad in grads.values()])


def close(grads, expected, rtol=1e-12, atol=1e-12):
    assert grads.keys() == expected.keys()
    for key, grad in grads.items():
        assert grad.shape == expected[key].shape
        np.testing.assert_allclose(grad, expected[key], rtol, atol, err_msg=key)


def is_held(layer):
    """Whether evaluations of the layer are those of one function at present."""
    return layer.once("probe", object) is layer.once("probe", object)
