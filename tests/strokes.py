"""Ten digits as strokes, and a brush: what somebody draws with a mouse, for tests."""

import itertools

import numpy as np

# Each digit is drawn in a box of 10 x 14, x to the right, y down: strokes of points.
DIGITS = {
    0: "5,0 2,1 0,5 0,9 2,13 5,14 8,13 10,9 10,5 8,1 5,0",
    1: "4,2 6,0 6,14",
    2: "0,3 2,0 6,0 9,2 9,5 6,9 0,14 10,14",
    3: "1,1 4,0 8,1 9,3 7,6 4,7 8,8 10,11 7,14 3,14 0,12",
    4: "6,0 3,5 0,9 10,9 / 7,4 7,14",
    5: "9,0 2,0 1,6 5,5 9,7 9,11 6,14 2,14 0,12",
    6: "8,0 4,2 1,6 0,10 2,14 6,14 9,12 9,9 6,7 2,8 0,10",
    7: "0,0 9,0 6,6 4,14",
    8: "5,7 2,5 1,3 3,0 7,0 9,3 8,5 5,7 1,9 0,12 3,14 7,14 10,12 9,9 5,7",
    9: "9,4 7,0 3,0 0,3 1,6 4,7 8,6 9,4 9,9 8,14",
}
STROKES = {
    digit: [
        [tuple(map(int, point.split(","))) for point in stroke.split()]
        for stroke in strokes.split("/")
    ]
    for digit, strokes in DIGITS.items()
}


def drawn(digit, side=112, size=0.8, brush=0.12, at=(0.5, 0.5), slant=0.0):
    """The picture (side, side) of bytes: ink 255 on 0. `size` and `brush` are shares of the side.

    size  the height of the digit; brush: the width of a stroke, in heights
    """
    scale = size * side / 14
    row, column = np.mgrid[0:side, 0:side] + 0.5
    nearest = np.full((side, side), np.inf)
    for stroke in STROKES[digit]:
        points = (np.asarray(stroke, float) - (5, 7)) * scale
        points[:, 0] -= slant * points[:, 1]
        points += np.asarray(at) * side
        for a, b in itertools.pairwise(points):
            along = b - a
            t = ((column - a[0]) * along[0] + (row - a[1]) * along[1]) / (along @ along)
            t = np.clip(t, 0, 1)
            off = np.hypot(column - a[0] - t * along[0], row - a[1] - t * along[1])
            nearest = np.minimum(nearest, off)
    ink = np.clip(brush * size * side / 2 - nearest + 0.5, 0, 1)
    return (ink * 255).round().astype(np.uint8)
