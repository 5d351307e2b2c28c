"""A lane as text: the lines of Python that do the same here, and its network in PyTorch."""

from __future__ import annotations

import base64
import io
import itertools
import math
from typing import Any

import numpy as np

from minigrad.interchange import to_torch_state_dict
from minigrad.live.orders import Order
from minigrad.live.protocol import whole
from minigrad.live.rules import POPULATION
from minigrad.live.sets import IN_THE_PLANE, MOST_TEST, SETS
from minigrad.live.settings import LaneSettings, Settings
from minigrad.live.worker import Worker

CHANGED = "# (In the race, rates or options were changed on the way. These are the last ones.)\n"
INLINE = 120  # a network with at most as many numbers has its weights in the text

# The rule of a lane as it is typed. {K} and {p} are its options, {seed} the race's.
RULES = {
    "backprop": "Backprop()",
    "well-tempered": "WellTempered(decay=0.9)",
    "cdni": "SyntheticGradients(net{p}, seed={seed})",
    "dni": "SyntheticGradients(net, conditioned=False{p}, seed={seed})",
    "fa": "FeedbackAlignment(seed={seed})",
    "dfa": "DirectFeedbackAlignment(seed={seed})",
    "drtp": "DirectRandomTargetProjection(seed={seed})",
    "sign": "SignSymmetric(seed={seed})",
    "local": "LocalLosses(net, seed={seed})",
    "ff": "ForwardForward({classes}, seed={seed})",
    "pc": "PredictiveCoding()",
    "forward": "WeightPerturbation({K}, seed={seed})",
    "activities": "ActivityPerturbation({K}, seed={seed})",
    "guided": "GuidedForwardGradient(mg.rules.SyntheticGradients(net, seed={seed}))",
    "differences": 'WeightPerturbation({K}, method="finite-difference", seed={seed})',
    "spsa": "SPSA(directions={K}, seed={seed})",
    "es": "EvolutionStrategies({population}, seed={seed})",
    "top-layer": "TopLayerOnly(net)",
}
OPTIMIZERS = {
    "sgd": "SGD(net, lr={lr})",
    "momentum": "SGD(net, lr={lr}, momentum=0.9)",
    "adam": "Adam(net, lr={lr})",
}
IN_TORCH = {
    "relu": "nn.ReLU()",
    "sigmoid": "nn.Sigmoid()",
    "tanh": "nn.Tanh()",
    "leakyrelu": "nn.LeakyReLU(0.01)",
    "gelu": "nn.GELU()",
    "silu": "nn.SiLU()",
    "softplus": "nn.Softplus()",
}


def rule_text(lane: LaneSettings, seed: int, classes: int) -> str:
    """The call that makes the lane's rule for `net`."""
    p = lane.update_probability
    given = {
        "K": lane.directions,
        "population": POPULATION * lane.directions,
        "p": "" if p == 1 else f", update_probability={p!r}",
    }
    return "mg.rules." + RULES[lane.rule].format(**given, seed=seed, classes=classes)


def data_lines(settings: Settings) -> list[str]:
    """The lines that make `train` and `test`."""
    name, noise, seed = settings.data, settings.data_noise, settings.seed
    if not SETS[name].plane:
        lines = [f'train, test = mg.data.load("{name}")']
        if name == "mnist":
            lines.append(f"test = test.take({MOST_TEST})")
    else:
        arms = ", arms=3" if name == "spirals3" else ""
        draw = name.removesuffix("3")
        lines = [
            f"train, test = mg.data.{draw}({IN_THE_PLANE}, noise={noise!r}, seed={seed}{arms})"
        ]
    if settings.label_noise:
        rng = f"np.random.default_rng({seed})"
        lines.append(f"train = mg.data.redraw_labels(train, {settings.label_noise!r}, {rng})")
    return lines


def python_text(
    settings: Settings, lane: LaneSettings, sizes: tuple[int, ...], epochs: int = 1
) -> str:
    """A script that trains as the lane does, with the same weights, batches and numbers.

    sizes   of the layers, from the numbers of an example to the classes
    epochs  how long: `fit` trains whole epochs
    """
    seed = settings.seed
    head = ["import minigrad as mg", ""]
    if settings.label_noise:
        head = ["import numpy as np", "", *head]
    net = [f'net = mg.models.mlp({sizes}, "{settings.activation}", seed={seed})']
    if lane.softmax_twice:
        net.append("net = mg.Sequential(*net.layers, mg.Softmax())  # the loss has one, too")
    lines = [
        *head,
        *data_lines(settings),
        *net,
        f"rule = {rule_text(lane, seed, sizes[-1])}",
        f"optimizer = mg.{OPTIMIZERS[settings.optimizer].format(lr=repr(lane.lr))}",
        "history = mg.fit(",
        "    net, mg.CrossEntropyLoss(), rule, optimizer, train, test,",
        f"    epochs={epochs}, batch_size={settings.batch_size}, seed={seed},",
        ")",
        "print(history)",
    ]
    return "\n".join(lines) + "\n"


def torch_text(
    settings: Settings,
    lane: LaneSettings,
    sizes: tuple[int, ...],
    weights: dict[str, np.ndarray],
    file: str,
) -> str:
    """A script that makes the lane's network in PyTorch. `net(x)` gives what the lane's gives.

    weights  by PyTorch's names; few of them are written into the text, others come from `file`
    """
    layers = ["nn.Flatten()"]
    for k, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        layers += [IN_TORCH[settings.activation]] if k else []
        layers.append(f"nn.Linear({n_in}, {n_out})")
    layers += ["nn.Softmax(dim=1)"] if lane.softmax_twice else []
    lines = ["import torch", "from torch import nn", ""]
    few = sum(array.size for array in weights.values()) <= INLINE
    if not few:
        lines[:0] = ["import numpy as np"]
    if lane.rule == "ff":
        lines.append("# Forward-forward answers by the goodness of its layers, not by net(x).")
    lines += ["net = nn.Sequential(", *(f"    {layer}," for layer in layers), ")"]
    if few:
        lines.append("weights = {")
        for name, array in weights.items():
            lines.append(f'    "{name}": {_numbers(array)},')
        lines += ["}", "state = {name: torch.tensor(array) for name, array in weights.items()}"]
    else:
        lines.append(f'weights = np.load("{file}")')
        lines.append("state = {name: torch.from_numpy(weights[name]) for name in weights}")
    lines += ["net.load_state_dict(state)", "net.eval()"]
    return "\n".join(lines) + "\n"


def _numbers(array: np.ndarray) -> str:
    """Lists of the shortest numbers that are these float32."""
    if array.ndim > 1:
        return "[" + ", ".join(_numbers(row) for row in array) + "]"
    return "[" + ", ".join(str(number) for number in array) + "]"


def weights_file(weights: dict[str, np.ndarray]) -> bytes:
    """The content of an .npz file."""
    content = io.BytesIO()
    np.savez(content, **weights)  # type: ignore[arg-type]
    return content.getvalue()


def file_name(number: int, rule: str) -> str:
    """The name of a lane's file of weights."""
    return f"lane_{number + 1}_{rule}.npz"


def code(worker: Worker, lane: int) -> dict[str, Any]:
    """Both texts of a lane, and the name of the file that the second one loads, or None."""
    found = worker.race.lane(lane)
    settings = worker.race.settings
    weights = to_torch_state_dict(found.model)
    matrices = [array for array in weights.values() if array.ndim == 2]
    sizes = (matrices[0].shape[1], *(array.shape[0] for array in matrices))
    in_epoch = math.ceil(len(found.train) / settings.batch_size)
    epochs = max(1, math.ceil(found.done / in_epoch))
    file = file_name(lane, found.settings.rule)
    python = python_text(settings, found.settings, sizes, epochs)
    if worker.race.edition:
        python += CHANGED
    torch = torch_text(settings, found.settings, sizes, weights, file)
    loads = f'"{file}"' in torch
    return {"python": python, "pytorch": torch, "file": file if loads else None}


def weights(worker: Worker, lane: int) -> dict[str, Any]:
    """The file of weights that the text for PyTorch loads."""
    found = worker.race.lane(lane)
    content = weights_file(to_torch_state_dict(found.model))
    name = file_name(lane, found.settings.rule)
    return {"file": name, "data": base64.b64encode(content).decode()}


ORDERS = {"code": Order(code, {"lane": whole}), "weights": Order(weights, {"lane": whole})}
