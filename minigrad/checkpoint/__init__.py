"""Files that keep a model or a whole training, and that are safe to load."""

from minigrad.checkpoint.error import CheckpointError
from minigrad.checkpoint.reading import Checkpoint
from minigrad.checkpoint.saved import load, save
from minigrad.checkpoint.weights import load_weights, save_weights

__all__ = ["Checkpoint", "CheckpointError", "load", "load_weights", "save", "save_weights"]
