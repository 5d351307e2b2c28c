"""Weights to and from PyTorch, with PyTorch's names and shapes, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minigrad.layers import Conv2d, Layer, Linear

TORCH_NAMES = {
    "W": "weight",
    "b": "bias",
    "gamma": "weight",
    "beta": "bias",
    "table": "weight",
}


def to_torch_state_dict(model: Layer) -> dict[str, np.ndarray]:
    """The model's parameters and buffers as NumPy arrays, with PyTorch's names and shapes.

    A Linear layer's "0.W" (in, out) becomes "0.weight" (out, in). All other arrays keep their
    shapes. With d this dict, an `nn.Sequential` of the same layers can load
    `{k: torch.from_numpy(v) for k, v in d.items()}`.
    """
    state = model.state_dict()
    return {theirs: turned(ours, state[ours]) for ours, theirs in names_in_torch(model)}


def from_torch_state_dict(model: Layer, d: Mapping[str, Any], by: str = "name") -> None:
    """Load a PyTorch state into the model. If one array does not fit, none is loaded.

    model  its parameters and buffers are replaced
    d      {name: array, or tensor on the CPU}
    by     "name": "0.weight" goes to "0.W". "order": the n-th entry of `d` goes to the model's
           n-th array. Use it if the PyTorch layers have names of their own, as "conv1.weight"
    """
    names = list(names_in_torch(model))
    if by == "name":
        pairs = names
        missing = [theirs for _, theirs in pairs if theirs not in d]
        unknown = sorted(d.keys() - {theirs for _, theirs in pairs})
        if missing or unknown:
            raise KeyError(
                f"the state does not fit the model: missing {missing}, unknown {unknown}"
                + ('; by="order" matches entries in order' if len(d) == len(names) else "")
            )
    elif by == "order":
        if len(d) != len(names):
            raise KeyError(f"the model has {len(names)} entries, the state has {len(d)}: {list(d)}")
        pairs = [(ours, theirs) for (ours, _), theirs in zip(names, d, strict=True)]
    else:
        raise ValueError(f'by must be "name" or "order", got {by!r}')
    model.load_state_dict({ours: turned(ours, np.asarray(d[theirs])) for ours, theirs in pairs})


def start_as_torch(model: Layer, seed: int) -> None:
    """Give the model the weights that PyTorch draws after `torch.manual_seed(seed)`.

    PyTorch's model must have the same layers, made in the same order. The weights are equal bit
    for bit. PyTorch itself is not needed. Only Linear and Conv2d layers in float32 may have
    parameters. PyTorch draws a number from U(-a, a) in this way: a Mersenne Twister gives 24 bits
    u. The number is 2a u/2^24 - a, rounded once.
    """
    random = np.random.RandomState(seed % 2**32)
    state = model.state_dict()
    for prefix, layer in model.leaves():
        if not layer.params:
            continue
        if not isinstance(layer, Linear | Conv2d) or layer.dtype != np.float32:
            raise TypeError(f"start_as_torch knows Linear and Conv2d in float32, got {layer!r}")
        theirs = {name: turned(name, state[prefix + name]) for name in layer.params}
        bound = np.float32(1 / np.sqrt(theirs["W"][0].size))
        for name, array in theirs.items():
            # u/2^24, then 2a u/2^24 - a with a = bound
            u = (random.randint(0, 2**32, array.size, "uint32") & 0xFFFFFF) / 2.0**24
            drawn = (u * float(bound + bound) - float(bound)).astype(np.float32)
            state[prefix + name] = turned(name, drawn.reshape(array.shape))
    model.load_state_dict(state)


def names_in_torch(model: Layer) -> Iterator[tuple[str, str]]:
    """(our name, PyTorch's name) of each parameter and buffer, in order.

    A layer that has both "W" and "gamma" would have "weight" twice. It keeps its own names.
    """
    for prefix, layer in model.leaves():
        names = list(layer.params | layer.buffers)
        theirs = [TORCH_NAMES.get(name, name) for name in names]
        if len(set(theirs)) < len(names):
            theirs = names
        for ours, other in zip(names, theirs, strict=True):
            yield prefix + ours, prefix + other


def turned(name: str, array: np.ndarray) -> np.ndarray:
    """A Linear layer's W, transposed: (in, out) here, (out, in) in PyTorch. Others unchanged."""
    return np.ascontiguousarray(array.T) if is_turned(name, array.ndim) else array


def is_turned(name: str, ndim: int) -> bool:
    """Whether PyTorch has the transpose of the parameter with this name of ours."""
    return ndim == 2 and name.rpartition(".")[2] == "W"
