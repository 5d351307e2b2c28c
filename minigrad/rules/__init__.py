"""The learning rules: one way to get a gradient a file, all called in the same way."""

from minigrad.rules.backprop import Backprop
from minigrad.rules.base import Rule

__all__ = ["Backprop", "Rule"]
