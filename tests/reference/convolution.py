"""Convolution and max-pooling as loops over the output's pixels."""

import numpy as np


def plain_convolution(x, W, b, stride, padding, dy):
    """y, dx, dW, db by the sums in Conv2d's docstring, one output pixel at a time."""
    (ph, pw), (sh, sw), (KH, KW) = padding, stride, W.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    OH = (padded.shape[2] - KH) // sh + 1
    OW = (padded.shape[3] - KW) // sw + 1
    y = np.zeros((len(x), len(W), OH, OW))
    dpadded, dW, db = np.zeros_like(padded), np.zeros_like(W), np.zeros_like(b)
    dy = dy(y.shape)
    for n, o, i, j in np.ndindex(y.shape):
        at = n, slice(None), slice(i * sh, i * sh + KH), slice(j * sw, j * sw + KW)
        y[n, o, i, j] = b[o] + (W[o] * padded[at]).sum()
        dW[o] += padded[at] * dy[n, o, i, j]
        db[o] += dy[n, o, i, j]
        dpadded[at] += W[o] * dy[n, o, i, j]
    H, W_ = x.shape[2:]
    return dy, y, dpadded[:, :, ph : ph + H, pw : pw + W_], dW, db


def plain_max_pool(x, x_dot, kernel, stride, dy):
    """y, y_dot, dx: the first of the largest pixels of each window."""
    (KH, KW), (sh, sw) = kernel, stride
    OH, OW = (x.shape[2] - KH) // sh + 1, (x.shape[3] - KW) // sw + 1
    y, y_dot = np.zeros((*x.shape[:2], OH, OW)), np.zeros((*x.shape[:2], OH, OW))
    dx, dy = np.zeros_like(x), dy(y.shape)
    for n, c, i, j in np.ndindex(y.shape):
        window = x[n, c, i * sh : i * sh + KH, j * sw : j * sw + KW]
        k, l = np.unravel_index(window.argmax(), window.shape)  # the first of the largest
        y[n, c, i, j], y_dot[n, c, i, j] = window[k, l], x_dot[n, c, i * sh + k, j * sw + l]
        dx[n, c, i * sh + k, j * sw + l] += dy[n, c, i, j]
    return dy, y, y_dot, dx
