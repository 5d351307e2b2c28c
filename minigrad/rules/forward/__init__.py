"""Forward gradients: a gradient estimated from slopes along random directions, without backward."""

from minigrad.rules.forward.directions import Directions
from minigrad.rules.forward.rule import ForwardGradient

__all__ = ["Directions", "ForwardGradient"]
