"""The layers. Each is a function whose derivative is written by hand, in both directions."""

from minigrad.layers.activations import ReLU, Sigmoid, Tanh
from minigrad.layers.base import Layer
from minigrad.layers.conv import Conv2d
from minigrad.layers.dropout import Dropout
from minigrad.layers.embedding import Embedding
from minigrad.layers.freezing import freeze, unfreeze
from minigrad.layers.holding import holding
from minigrad.layers.layer_norm import LayerNorm
from minigrad.layers.linear import Linear
from minigrad.layers.normalization import BatchNorm1d, BatchNorm2d
from minigrad.layers.pooling import AvgPool2d, MaxPool2d
from minigrad.layers.rectifiers import GELU, LeakyReLU, SiLU, Softplus
from minigrad.layers.reshape import Flatten
from minigrad.layers.residual import Residual
from minigrad.layers.sequential import Sequential
from minigrad.layers.softmax import LogSoftmax, Softmax
from minigrad.layers.subsample import Subsample

__all__ = [
    "GELU",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MaxPool2d",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Subsample",
    "Tanh",
    "freeze",
    "holding",
    "unfreeze",
]
