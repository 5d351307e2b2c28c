"""The files of layers read as a textbook: short, in one order, with the equation above the line."""

import ast
import inspect

import numpy as np
import pytest

import minigrad as mg
from minigrad import layers
from minigrad.backend import to_device

pytestmark = pytest.mark.on_host

CLASSES = [
    getattr(layers, name) for name in layers.__all__ if inspect.isclass(getattr(layers, name))
]
WITH_KERNELS = [mg.Linear, mg.Conv2d, mg.MaxPool2d, mg.BatchNorm1d, mg.ReLU]
TEXTBOOK = [*WITH_KERNELS, mg.Sigmoid, mg.Tanh, mg.Softmax, mg.LogSoftmax]
TEXTBOOK += [mg.LeakyReLU, mg.GELU, mg.SiLU, mg.Softplus, mg.AvgPool2d, mg.LayerNorm, mg.Residual]
TEXTBOOK += [mg.Subsample]


def methods(cls):
    """{name: its lines of code}, in the order of the file: no comments, no docstrings."""
    (tree,) = ast.parse(inspect.getsource(cls)).body
    lines = inspect.getsource(cls).splitlines()
    found = {}
    for part in tree.body:
        if isinstance(part, ast.FunctionDef):
            code = [line.strip() for line in lines[part.lineno - 1 : part.end_lineno]]
            found[part.name] = [x for x in code if x and not x.startswith(("#", '"""'))]
    return found


@pytest.mark.parametrize("cls", TEXTBOOK)
def test_forward_backward_and_jvp_are_short_and_in_this_order(cls):
    found = methods(cls)
    order = [name for name in found if name in ("forward", "backward", "jvp", "forward_jvp")]
    assert order == ["forward", "backward", "jvp", "forward_jvp"][: len(order)]
    around = {"__init__", "__repr__", "_check", "_check_number", "n"}
    assert sum(len(code) for name, code in found.items() if name not in around) <= 60
    assert sum(len(found[name]) for name in ("forward", "backward", "jvp")) <= 40


@pytest.mark.parametrize("cls", TEXTBOOK)
@pytest.mark.parametrize("name", ["forward", "backward", "jvp"])
def test_the_equation_stands_above_the_line(cls, name):
    source = inspect.getsource(getattr(cls, name))
    wanted = {"forward": "y", "backward": "dx", "jvp": "y_dot"}[name]
    comments = [line.strip() for line in source.splitlines() if line.strip().startswith("# ")]
    assert [line for line in comments if line.startswith(f"# {wanted}") and "=" in line], source


@pytest.mark.parametrize("cls", [mg.Linear, mg.Conv2d])
def test_backward_params_may_be_backward(cls, rng):
    """A class may say that its backward_params is its backward: that is no circle."""

    class Whole(cls):
        def backward_params(self, dy):
            self.backward(dy)

    shape = (5, 4) if cls is mg.Linear else (5, 4, 6, 7)
    layer, plain = (make(4, 3, 2, dtype="float64", seed=0) for make in (Whole, cls))
    x = to_device(rng.standard_normal(shape))
    dy = layer.forward(x)
    layer.backward_params(dy)
    plain.forward(x)
    plain.backward(dy)
    for name, grad in plain.grads.items():
        np.testing.assert_array_equal(layer.grads[name], grad)
