"""Metrics: numbers that say how good outputs are. A training measures them and lowers the loss.

Each is a function (output, y) -> number, with arrays of NumPy or CuPy. `fit` and `evaluate` compute
them over a whole set at once: for R², a mean over batches would be another number.
"""

from minigrad.metrics.classes import accuracy, confusion_matrix, precision, recall, top_k
from minigrad.metrics.values import mae, mse, r2, rmse

__all__ = [
    "accuracy",
    "confusion_matrix",
    "mae",
    "mse",
    "precision",
    "r2",
    "recall",
    "rmse",
    "top_k",
]
