"""Test functions: surfaces over two variables or more, and descents on them.

    model = mg.functions.at(mg.functions.Beale())             # a point on a surface: a network
    path, heights = mg.functions.descend(model, mg.rules.Backprop(), mg.SGD(model, 0.01), 1000)

The point is the network's one parameter, and the loss is the height: every rule and every
optimiser takes it for a network like any other, with the difference that one can see it move.
"""

from minigrad.functions.descent import Descent, descend
from minigrad.functions.point import Height, Point, at
from minigrad.functions.surfaces import Beale, Ravine, Rosenbrock, Surface

__all__ = [
    "Beale",
    "Descent",
    "Height",
    "Point",
    "Ravine",
    "Rosenbrock",
    "Surface",
    "at",
    "descend",
]
