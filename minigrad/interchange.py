"""To and from PyTorch: the same networks under PyTorch's names and shapes, as plain arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minigrad.layers import Conv2d, Layer, Linear

TORCH_NAMES = {"W": "weight", "b": "bias", "gamma": "weight", "beta": "bias"}


def to_torch_state_dict(model: Layer) -> dict[str, np.ndarray]:
    """The model's state with PyTorch's names and shapes, as NumPy arrays.

    "0.W" (in, out) becomes "0.weight" (out, in); kernels, biases and batch-norm statistics keep
    their shapes. `{k: torch.from_numpy(v) for k, v in d.items()}` is ready for an
    `nn.Sequential` of the same layers.
    """
    state = model.state_dict()
    return {theirs: _turned(ours, state[ours]) for ours, theirs in _names(model)}


def from_torch_state_dict(model: Layer, d: Mapping[str, Any], by: str = "name") -> None:
    """Take over PyTorch's state: arrays, or tensors on the CPU.

    by="name" matches "0.weight" with "0.W"; by="order" matches the n-th entry with the n-th,
    for PyTorch models that name their layers ("conv1.weight"). Everything is checked first.
    """
    names = list(_names(model))
    if by == "name":
        pairs = [(ours, theirs) for ours, theirs in names]
        missing = [theirs for _, theirs in pairs if theirs not in d]
        unknown = sorted(d.keys() - {theirs for _, theirs in pairs})
        if missing or unknown:
            raise KeyError(
                f"the state does not fit the model: missing {missing}, unknown {unknown}"
                + ('; by="order" matches entries in order' if len(d) == len(names) else "")
            )
    elif by == "order":
        if len(d) != len(names):
            raise KeyError(f"the model has {len(names)} entries, the state {len(d)}: {list(d)}")
        pairs = [(ours, theirs) for (ours, _), theirs in zip(names, d, strict=True)]
    else:
        raise ValueError(f'by must be "name" or "order", got {by!r}')
    model.load_state_dict({ours: _turned(ours, np.asarray(d[theirs])) for ours, theirs in pairs})


def start_as_torch(model: Layer, seed: int) -> None:
    """The weights that `torch.manual_seed(seed)` and the same layers, made in order, would have.

    Bit for bit, without PyTorch, for Linear and Conv2d layers in float32: PyTorch draws each
    number of U(-a, a) as 24 bits u of a Mersenne Twister, and rounds 2a u/2^24 - a once.
    """
    random = np.random.RandomState(seed % 2**32)
    state = model.state_dict()
    for prefix, layer in model.leaves():
        if not layer.params:
            continue
        if not isinstance(layer, Linear | Conv2d) or layer.dtype != np.float32:
            raise TypeError(f"start_as_torch knows Linear and Conv2d in float32, got {layer!r}")
        turned = {name: _turned(name, state[prefix + name]) for name in layer.params}
        bound = np.float32(1 / np.sqrt(turned["W"][0].size))
        for name, array in turned.items():
            u = (random.randint(0, 2**32, array.size, "uint32") & 0xFFFFFF) / 2.0**24
            drawn = (u * float(bound + bound) - float(bound)).astype(np.float32)
            state[prefix + name] = _turned(name, drawn.reshape(array.shape))
    model.load_state_dict(state)


def _names(model: Layer) -> Iterator[tuple[str, str]]:
    """(our name, PyTorch's name) of each parameter and buffer, in order."""
    for prefix, layer in model.leaves():
        for name in layer.params | layer.buffers:
            yield prefix + name, prefix + TORCH_NAMES.get(name, name)


def _turned(name: str, array: np.ndarray) -> np.ndarray:
    """A Linear layer's W is (in, out) here and (out, in) there; all else is alike."""
    turn = array.ndim == 2 and name.rpartition(".")[2] == "W"
    return np.ascontiguousarray(array.T) if turn else array
