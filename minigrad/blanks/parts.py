"""The classes that one builds, in the order of the lessons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Part(NamedTuple):
    """A class with blanks.

    name    "linear": its file is 01_linear.py
    module  where the class is in the library: "minigrad.layers.linear"
    cls     the class's name
    lesson  the lesson that teaches it
    hints   {method that is taken out: what to keep in mind}
    left    members that are left out: faster forms of the same, which would give the answer away
    """

    name: str
    module: str
    cls: str
    lesson: str
    hints: Mapping[str, str]
    left: tuple[str, ...] = ()


LAYER = {
    "forward": "return y, and keep in self.cache what the derivatives need",
    "backward": "return dx",
    "jvp": "return y_dot. x_dot is None where x is constant, params_dot where the parameters are",
}

PARTS: tuple[Part, ...] = (
    Part(
        "linear",
        "minigrad.layers.linear",
        "Linear",
        "01_gradients_by_hand",
        LAYER | {"_gradients": "write dW into self.grads, and db if there is a bias"},
        ("forward_jvp",),
    ),
    Part(
        "sgd",
        "minigrad.optim.sgd",
        "SGD",
        "03_gradient_descent",
        {
            "_update": "change param in place. state is this parameter's dict, empty at its first "
            "step; self._begin(param) gives what it begins with. Do not change grad"
        },
        ("_numbers", "formula", "columns"),
    ),
    Part(
        "adam",
        "minigrad.optim.adam",
        "Adam",
        "03_gradient_descent",
        {"_update": "change param, m and v in place. state keeps t, m and v. Do not change grad"},
        ("_numbers", "formula", "columns", "_decay_flag"),
    ),
    Part(
        "relu",
        "minigrad.layers.activations",
        "ReLU",
        "04_training_loop",
        LAYER
        | {
            "forward": "return y. Keep in self.cache where x > 0. Where x is NaN, y is NaN",
            "backward": "return dx. self.recall() is what forward kept. Where x <= 0, dx is 0 even "
            "if dy is infinite or NaN",
        },
        ("forward_jvp",),
    ),
    Part(
        "cross_entropy",
        "minigrad.losses.classes",
        "CrossEntropyLoss",
        "04_training_loop",
        {
            "each": "return the losses of all examples (N,). self.is_plain(logits, target) is True "
            "for labels without weights and smoothing: begin with these. Else self.shares(logits, "
            "target) gives v and D",
            "backward": "return dz. D is None if the targets were plain labels",
            "each_jvp": "return the slope of each example's loss (N,)",
        },
    ),
    Part(
        "backprop",
        "minigrad.rules.backprop",
        "Backprop",
        "04_training_loop",
        {
            "estimate": "forward through the model and the loss, then backward. Return the loss. "
            "model.backward_params(dy) is backward without the dx that nobody needs"
        },
    ),
    Part(
        "conv2d",
        "minigrad.layers.conv",
        "Conv2d",
        "06_convolution",
        LAYER
        | {
            "forward": "return y. Keep x with the channels last, padded: (N, H + 2p, W + 2p, C). "
            "self._edges is the padding of each edge, (rows, columns) or pairs of them",
            "backward": "write the gradients by self._keep(dW, db), and return dx",
        },
        ("forward_jvp", "backward_params"),
    ),
    Part(
        "max_pool2d",
        "minigrad.layers.pooling",
        "MaxPool2d",
        "06_convolution",
        LAYER
        | {
            "forward": "return y. self.cache = r, x.shape, y.shape: the winner of each window, in "
            "a form of your own. What is outside the image never wins"
        },
        ("forward_jvp",),
    ),
    Part(
        "batch_norm1d",
        "minigrad.layers.normalization",
        "BatchNorm1d",
        "07_deep_networks",
        LAYER
        | {
            "forward": "return y in x's shape. self._rows(x) are rows (N, D). The last entry of "
            "self.cache is x.shape, then self._images(rows) is in x's shape. A training batch of "
            "one row: self._check_number. In training, with track_running_stats, the running "
            "statistics move once a step: self.once('running statistics', lambda: "
            "self._move_running(mean, var, N)), unless self.keeps_statistics",
            "backward": "write the gradients of those parameters that there are; return dx",
        },
    ),
    Part(
        "gradient_module",
        "minigrad.rules.synthetic.modules",
        "GradientModule",
        "09_synthetic_gradients",
        {
            "predict": "return dh_hat, and keep it. self._told(h, target) is h with the label "
            "beside it, the input of self.trunk. With self.scaled the trunk predicts N dh",
            "learn": "the gradient of the module's loss goes back through self.trunk, and through "
            "self.plane if there is one; then a step of self.optimizer. Without `scaled` the loss "
            "is the mean of (dh_hat - dh)²",
        },
    ),
    Part(
        "forward_gradient",
        "minigrad.rules.forward.weights",
        "WeightPerturbation",
        "11_forward_gradients",
        {
            "_one": "K = 1. Return (loss, {name: d v}). Iterating over `sample` gives one v, a "
            "dict of arrays. model.forward_jvp(x, None, v) gives output and tangent. "
            "self.clipped(d) cuts off the slope",
            "_one_by_one": "K slopes at one point. Return (loss, {name: mean of d_k v_k}). "
            "sample.mean_along(slope) calls slope(v) for each v, and takes the mean of slope v",
        },
    ),
)
BY_NAME = {part.name: part for part in PARTS}


def file_name(part: Part) -> str:
    """ "01_linear.py": the part's number is its place in PARTS."""
    return f"{PARTS.index(part) + 1:02}_{part.name}.py"
