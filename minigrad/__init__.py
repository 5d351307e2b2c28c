"""minigrad: see how networks learn.

Layers whose forward, backward and forward-mode derivative (jvp) are written by hand, in NumPy
or CuPy, and learning rules that fill in their gradients, all on the same network.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from minigrad import (
    backend,
    capture,
    data,
    kernels,
    metrics,
    models,
    moved,
    optim,
    printing,
    rules,
    threads,
)
from minigrad.checkpoint import (
    Checkpoint,
    CheckpointError,
    load,
    load_weights,
    save,
    save_weights,
)
from minigrad.early_stopping import EarlyStopping
from minigrad.evaluation import evaluate
from minigrad.history import History
from minigrad.interchange import from_torch_state_dict, to_torch_state_dict
from minigrad.layers import (
    GELU,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Subsample,
    Tanh,
    freeze,
    unfreeze,
)
from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Loss,
    MSELoss,
    MultiMarginLoss,
    NLLLoss,
    SmoothL1Loss,
)
from minigrad.optim import (
    EMA,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    ReduceLROnPlateau,
    RMSprop,
    SequentialLR,
    StepLR,
)
from minigrad.train import fit
from minigrad.version import __version__

if TYPE_CHECKING:  # imported when they are first used: see LATER
    from minigrad import asynchronous, compare, diagnostics, functions, gradcheck, search
    from minigrad import plots as plots

LATER = ("asynchronous", "compare", "diagnostics", "functions", "gradcheck", "plots", "search")

__all__ = [
    "EMA",
    "GELU",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Checkpoint",
    "CheckpointError",
    "Conv2d",
    "CosineAnnealingLR",
    "CrossEntropyLoss",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "ExponentialLR",
    "Flatten",
    "History",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LambdaLR",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LinearLR",
    "LogSoftmax",
    "Loss",
    "MSELoss",
    "MaxPool2d",
    "MultiMarginLoss",
    "MultiStepLR",
    "NLLLoss",
    "PolynomialLR",
    "RMSprop",
    "ReLU",
    "ReduceLROnPlateau",
    "Residual",
    "Sequential",
    "SequentialLR",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "StepLR",
    "Subsample",
    "Tanh",
    "__version__",
    "asynchronous",
    "backend",
    "capture",
    "compare",
    "data",
    "diagnostics",
    "evaluate",
    "fit",
    "freeze",
    "from_torch_state_dict",
    "functions",
    "gradcheck",
    "kernels",
    "load",
    "load_weights",
    "metrics",
    "models",
    "optim",
    "rules",
    "save",
    "save_weights",
    "search",
    "threads",
    "to_torch_state_dict",
    "unfreeze",
]

moved.install()
printing.degrade()


def __getattr__(name: str) -> ModuleType:
    """Modules that `import minigrad` leaves for later, and modules under their old names.

    `mg.mnist` is `mg.data.mnist`.
    """
    if name in LATER or f"minigrad.{name}" in moved.MOVED:
        return importlib.import_module(f"minigrad.{name}")
    raise AttributeError(f"module 'minigrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *LATER})
