"""Diagnostics: how good a gradient is, how steep the loss is, and what a network has become.

    quality = mg.diagnostics.quality(rule, net, loss, x, y, replicates=16)
    print(quality)                                  cosine, bias², variance, ... of each layer

No function here changes anything: parameters, gradients, statistics, random streams and the state
of rules are as before, also after an error. They work on copies.
"""

from minigrad.diagnostics.measures import Measures
from minigrad.diagnostics.quality import Quality, quality

__all__ = [
    "Measures",
    "Quality",
    "quality",
]
