"""A model's weights alone, in one file, with PyTorch's names and shapes.

suffix          format                               read in PyTorch by
.npz            `archive`, meta: {"format": 1,       numpy.load(path), torch.from_numpy
                "kind": "weights", "version": ...}
.safetensors    the library safetensors              safetensors.torch.load_file(path)

array           in minigrad                          in the file
Linear          0.W (in, out), 0.b (out,)            0.weight (out, in), 0.bias (out,)
Conv2d          0.W (out, in, KH, KW), 0.b (out,)    0.weight, 0.bias, same shapes
BatchNorm       0.gamma, 0.beta, and the buffers     0.weight, 0.bias, 0.running_mean, ...
LayerNorm       0.gamma, 0.beta                      0.weight, 0.bias, same shapes
Embedding       0.table (V, D)                       0.weight, same shape
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from minigrad.backend import Array
from minigrad.checkpoint import archive, safetensors
from minigrad.checkpoint.error import CheckpointError
from minigrad.interchange import is_turned, names_in_torch, to_torch_state_dict, turned
from minigrad.layers import Layer
from minigrad.version import __version__

FORMAT = 1
KIND = "weights"


def save_weights(path: str | Path, model: Layer) -> None:
    """Save a model's parameters and buffers to `path`, which ends in .npz or .safetensors.

    The file is written whole or not at all. A Linear layer's "0.W" (in, out) is "0.weight"
    (out, in) in the file, as in PyTorch, where an `nn.Sequential` of the same layers loads it:

        net.load_state_dict(safetensors.torch.load_file("net.safetensors"))
    """
    suffix = _suffix("save_weights", path, model)
    arrays = to_torch_state_dict(model)
    if suffix == ".npz":
        meta = {"format": FORMAT, "kind": KIND, "version": __version__}
        archive.write(path, arrays, meta)
    else:
        safetensors.write(path, arrays)


def load_weights(path: str | Path, model: Layer, *, by: str = "name", finite: bool = True) -> None:
    """Load a file from `save_weights`, or a safetensors file from PyTorch, into a model.

    model   its parameters and buffers are replaced. If one array does not fit, none is
    by      "name": "0.weight" goes to "0.W". "order": the n-th array goes to the model's n-th. A
            safetensors file does not keep the order
    finite  whether NaN and infinite numbers are refused

    Raises CheckpointError, with the file's name, if the file is damaged or does not fit.
    """
    suffix = _suffix("load_weights", path, model)
    if by not in ("name", "order"):
        raise ValueError(f'by must be "name" or "order", got {by!r}')
    if suffix == ".npz":
        arrays = _read_npz(path)
    elif by == "order":
        raise ValueError(
            f"{path}: a safetensors file keeps arrays sorted by name, not in the order of layers: "
            "d = safetensors.numpy.load_file(path), then mg.from_torch_state_dict(model, "
            "{'0.weight': d['conv1.weight'], ...}) with the names of both"
        )
    else:
        arrays = safetensors.read(path)
    try:
        model.load_state_dict(_fitting(model, arrays, by, finite))
    except ValueError as error:
        raise CheckpointError(f"{path} does not fit this model: {error}") from error


def _suffix(function: str, path: str | Path, model: Layer) -> str:
    """The path's suffix, if it is a format and the other arguments are right."""
    if not isinstance(path, str | os.PathLike) or not isinstance(model, Layer):
        raise TypeError(
            f"{function}(path, model) takes a file's name and a model, got a "
            f"{type(path).__name__} and a {type(model).__name__}"
        )
    suffix = Path(path).suffix.lower()
    if suffix in (".npz", ".safetensors"):
        return suffix
    if suffix in (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt"):
        raise ValueError(
            f"{path}: files that end in {suffix} are pickles, and to read a pickle is to run the "
            "program inside it: use .safetensors, which PyTorch has in safetensors.torch"
        )
    raise ValueError(f"{path}: the name of a file of weights must end in .npz or .safetensors")


def _read_npz(path: str | Path) -> dict[str, np.ndarray]:
    meta, arrays = archive.read(path)
    if meta.get("kind") != KIND:
        raise CheckpointError(
            f"{path} has more than weights ({meta.get('kind')!r:.40}): load it with "
            "mg.load(path, model)"
        )
    archive.check_format(path, meta["format"], FORMAT, meta.get("version"))
    return arrays


def _fitting(
    model: Layer, arrays: Mapping[str, np.ndarray], by: str, finite: bool
) -> dict[str, np.ndarray]:
    """The arrays with the model's names and shapes. ValueError if one does not fit."""
    own = {
        prefix + name: array
        for prefix, layer in model.leaves()
        for name, array in (layer.params | layer.buffers).items()
    }
    source = _by_order(model, arrays) if by == "order" else _by_name(model, own, arrays)
    state: dict[str, np.ndarray] = {}
    first: dict[int, str] = {}  # the first name of each array
    for ours, theirs in source.items():
        array = arrays[theirs]
        expected = own[ours].shape
        value = turned(ours, array)
        if value.shape != expected:
            in_file = expected[::-1] if is_turned(ours, len(expected)) else expected
            raise ValueError(
                f"{theirs!r} has the shape {array.shape}, and this model's has {in_file}; make the "
                "model with the sizes of the one that was saved"
            )
        if array.dtype != own[ours].dtype:
            raise ValueError(
                f"{theirs!r} is {array.dtype}, and this model's is {own[ours].dtype}; make the "
                "model with the dtype of the one that was saved"
            )
        if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(
                f"{theirs!r} has NaN or infinite numbers, so the training that gave it diverged; "
                "load an earlier file, or with finite=False if you mean it"
            )
        other = first.setdefault(id(own[ours]), ours)
        if not np.array_equal(value, state.get(other, value), equal_nan=value.dtype.kind == "f"):
            raise ValueError(
                f"{other} and {ours} are one array in this model, and two different ones in the "
                "file; make the model that was saved, without the tie"
            )
        state[ours] = value
    return state


def _by_order(model: Layer, arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """{name here: name in the file}, the n-th to the n-th."""
    names = [ours for ours, _ in names_in_torch(model)]
    if len(names) != len(arrays):
        raise ValueError(
            f"the model has {len(names)} arrays, the file has {len(arrays)}; make the model that "
            "was saved"
        )
    return dict(zip(names, arrays, strict=True))


def _by_name(
    model: Layer, own: Mapping[str, Array], arrays: Mapping[str, np.ndarray]
) -> dict[str, str]:
    """{name here: name in the file}. A file may have a shared array once, as PyTorch saves it."""
    pairs = dict(names_in_torch(model))
    source = {ours: theirs for ours, theirs in pairs.items() if theirs in arrays}

    def array_of(ours: str) -> tuple[int, bool]:
        """Which array this name has, and whether the file has its transpose."""
        return id(own[ours]), is_turned(ours, own[ours].ndim)

    in_file = {array_of(ours): theirs for ours, theirs in source.items()}
    for ours in pairs:
        if ours not in source and array_of(ours) in in_file:
            source[ours] = in_file[array_of(ours)]
    missing = [theirs for ours, theirs in pairs.items() if ours not in source]
    unknown = sorted(arrays.keys() - set(pairs.values()))
    faults = []
    if missing:
        faults.append(f"it lacks {_few(missing)}")
    if unknown:
        faults.append(f"it has {_few(unknown)}, which the model lacks")
    if faults:
        raise ValueError(f"{' and '.join(faults)}; make the model that was saved")
    return source


def _few(names: Iterable[str]) -> str:
    """The first names of a list, and how many there are."""
    names = list(names)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"{name!r:.60}" for name in names[:3]) + more
