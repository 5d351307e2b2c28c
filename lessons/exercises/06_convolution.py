"""Exercises of lesson 06. Copy this file, fill in what says TODO(you), and run your copy:

    minigrad exercise 06        (copies this file to my_06.py)
    python my_06.py
    minigrad check "my_06.py:MeanPool2d(2)" --input 2,3,6,4     shows what is wrong with a layer

Answers: lessons/solutions/06_convolution.py
"""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import expect, grade

MOVES = [(0, 0), (-2, 0), (2, 0), (0, -2), (0, 2)]  # (down, right), in pixels


def col2im(dcols, shape, kernel, stride):
    """Exercise 1: dx (N, C, height, width), of this shape, from dcols (N·OH·OW, C·KH·KW).

    kernel is (KH, KW); the window (i, j) begins at pixel (stride · i, stride · j).
    """
    raise NotImplementedError("TODO(you): start from the lesson's; how large are OH and OW now?")


class MeanPool2d(mg.Layer):
    """Exercise 2: y[n, c, i, j] = the mean of k x k pixels. k divides height and width."""

    def __init__(self, k):
        super().__init__()
        self.k = k

    def forward(self, x, train=True):
        raise NotImplementedError("TODO(you): return y, and keep in self.cache what you need below")

    def backward(self, dy):
        raise NotImplementedError("TODO(you): return dx")

    def jvp(self, x_dot, params_dot=None):
        raise NotImplementedError("TODO(you): return y_dot; is the mean linear in x?")


def with_shifts(train):
    """Exercise 3: a data set with each of train's images five times, moved by each of MOVES."""
    raise NotImplementedError("TODO(you): mg.data.Dataset(x, y); zeros move in, as in the lesson")


# ---------------------------------------------------------------- what your answers must do


def check_1(answers):
    rng = np.random.default_rng(0)
    for stride in (1, 2, 3):
        with mg.backend.use("numpy"):
            layer = mg.Conv2d(2, 4, (3, 2), stride=stride, dtype="float64", rng=rng)
        x = rng.standard_normal((2, 2, 8, 7))
        dy = rng.standard_normal(layer.forward(x).shape)
        expected = layer.backward(dy)
        dcols = dy.transpose(0, 2, 3, 1).reshape(-1, 4) @ layer.params["W"].reshape(4, -1)
        got = answers.col2im(dcols, x.shape, (3, 2), stride)
        table = mg.gradcheck.compare({"dx": (got, expected)}, rtol=1e-9)
        expect(table, f"with stride {stride}\n{table}")
    return "dx agrees with the layer's for strides 1, 2 and 3"


def check_2(answers):
    x = np.arange(8.0).reshape(1, 1, 2, 4)
    y = answers.MeanPool2d(2).forward(x)
    expected = np.array([[[[2.5, 4.5]]]])
    expect(np.shape(y) == expected.shape, f"for x {x.shape} y should be {expected.shape}")
    expect(np.allclose(y, expected), f"of 0 1 2 3 above 4 5 6 7 the means are 2.5 and 4.5, not {y}")
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 9))
    report = mg.gradcheck.check(answers.MeanPool2d(3), x)
    expect(report, f"the checker says\n{report}")
    return "all pixels of a window get the same share"


def moved(x, down, right):
    """The images moved, by way of a larger one."""
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return padded[:, :, 2 - down : 30 - down, 2 - right : 30 - right]


def check_3(answers):
    train, test = mg.data.load("digits")
    more = answers.with_shifts(train)
    expect(len(more) == 5 * len(train), f"expected {5 * len(train)} images, got {len(more)}")
    own = {image.tobytes(): int(label) for image, label in zip(more.x, more.y, strict=True)}
    for move in MOVES:
        found = [own.get(image.tobytes()) for image in moved(train.x, *move)]
        expect(None not in found, f"some images moved by {move} are not there")
        expect(found == train.y.tolist(), f"some images moved by {move} have another's label")
    rows = {"as they are": (train, 10), "with shifted ones": (more, 2)}  # equally many steps
    accuracy = {}
    with mg.backend.use("numpy"):
        for name, (data, epochs) in rows.items():
            net, loss = mg.models.mlp((784, 100, 10), seed=0), mg.CrossEntropyLoss()
            optimizer = mg.SGD(net, 0.05, momentum=0.9)
            options = {"epochs": epochs, "batch_size": 64, "evaluate_every": epochs}
            mg.fit(net, loss, mg.rules.Backprop(), optimizer, data, **options)
            accuracy[name] = [
                np.mean([net.predict(moved(test.x, *m)).argmax(axis=1) == test.y for m in moves])
                for moves in (MOVES[:1], MOVES[1:])
            ]
    still, shifted = zip(*accuracy.values(), strict=True)
    expect(
        shifted[1] > shifted[0] + 0.1, f"on shifted digits {shifted[0]:.2f}, then {shifted[1]:.2f}"
    )
    return (
        f"with as many steps, accuracy goes from {shifted[0]:.2f} to {shifted[1]:.2f} on digits "
        f"shifted by 2 pixels, and from {still[0]:.2f} to {still[1]:.2f} on the others"
    )


CHECKS = {"1": check_1, "2": check_2, "3": check_3}

if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], CHECKS))
