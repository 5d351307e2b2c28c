"""Files that keep a model or a whole run, and that are safe to load."""

from minigrad.checkpoint.error import CheckpointError
from minigrad.checkpoint.weights import load_weights, save_weights

__all__ = ["CheckpointError", "load_weights", "save_weights"]
