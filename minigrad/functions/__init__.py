"""Test functions: surfaces over one or more variables, and descents on them.

    model = mg.functions.at(mg.functions.Beale())             # a point on a surface: a network
    path, heights = mg.functions.descend(model, mg.rules.Backprop(), mg.SGD(model, 0.01), 1000)

The network has one parameter: the coordinates of the point. Its loss is the height. Every rule and
every optimiser can train this network. A plot shows how the point moves.
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
