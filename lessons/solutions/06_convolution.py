"""Answers to the exercises of lesson 06."""

import sys

import numpy as np

import minigrad as mg
from minigrad.exercises import checks_of, grade

MOVES = [(0, 0), (-2, 0), (2, 0), (0, -2), (0, 2)]  # (down, right), in pixels


def col2im(dcols, shape, kernel, stride):
    """Exercise 1: the pixels at (k, l) of all windows are `stride` apart; the sum is the same.

    Rows and columns that no window reaches, at the lower and right edge, keep their 0.
    """
    (N, C, H, W), (KH, KW) = shape, kernel
    OH, OW = (H - KH) // stride + 1, (W - KW) // stride + 1
    dwindows = dcols.reshape(N, OH, OW, C, KH, KW).transpose(0, 3, 1, 2, 4, 5)
    dx = np.zeros(shape, dcols.dtype)
    for k, l in np.ndindex(KH, KW):
        down = slice(k, k + stride * (OH - 1) + 1, stride)
        right = slice(l, l + stride * (OW - 1) + 1, stride)
        dx[:, :, down, right] += dwindows[..., k, l]
    return dx


class MeanPool2d(mg.Layer):
    """Exercise 2: every pixel of the window gets 1/k² of dy; the layer is linear, so jvp is it."""

    def __init__(self, k):
        super().__init__()
        self.k = k

    def mean(self, x):
        N, C, H, W = x.shape
        return x.reshape(N, C, H // self.k, self.k, W // self.k, self.k).mean(axis=(3, 5))

    def forward(self, x, train=True):
        return self.mean(x)

    def backward(self, dy):
        return (dy / self.k**2).repeat(self.k, axis=2).repeat(self.k, axis=3)

    def jvp(self, x_dot, params_dot=None):
        return self.mean(x_dot)


def with_shifts(train):
    """Exercise 3: what a net sees moved in training, it reads moved.

    A convolution's maps move with the image before it has seen anything. The MLP has to see each
    shift, and one has to know beforehand which shifts will come.
    """
    padded = np.pad(train.x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    x = [padded[:, :, 2 - down : 30 - down, 2 - right : 30 - right] for down, right in MOVES]
    return mg.data.Dataset(np.concatenate(x), np.tile(train.y, len(MOVES)))


if __name__ == "__main__":
    sys.exit(grade(sys.modules[__name__], checks_of(__file__)))
