"""PyTorch's own sample inputs for its losses, driven through ours: all that both have.

The samples come from the tests of PyTorch: of its modules and of its functions. A single example
without a batch axis becomes a batch of one. Samples with reduction="none" are compared with `each`.
"""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from cases import torch_jvp
from torch_samples import databases

import minigrad as mg
from minigrad.backend import to_device, to_host

pytestmark = pytest.mark.filterwarnings("ignore:reduction. .mean. divides:UserWarning")
FUNCTIONS = {
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "CrossEntropyLoss": "cross_entropy",
    "HuberLoss": "huber_loss",
    "KLDivLoss": "kl_div",
    "L1Loss": "l1_loss",
    "MSELoss": "mse_loss",
    "MultiMarginLoss": "multi_margin_loss",
    "NLLLoss": "nll_loss",
    "SmoothL1Loss": "smooth_l1_loss",
}
LABELS = ("CrossEntropyLoss", "MultiMarginLoss", "NLLLoss")


def sums_are_not_one(options, target, theirs):
    return target.dtype.kind == "f" and bool((abs(target.sum(axis=1) - 1) > 1e-3).any())


def nothing_counts(options, target, theirs):
    return bool(np.isnan(theirs).all())


def target_is_nan(options, target, theirs):
    return not options.get("log_target") and bool(np.isnan(target).any())


# What cannot be expressed: {reason: (the losses, how it is recognised, the error)}
REASONS = {
    "probabilities whose sum is not 1 are taken for a mistake": (
        ("CrossEntropyLoss",),
        sums_are_not_one,
        "their sum over the classes is 1",
    ),
    "the mean of no labels is an error here, NaN in PyTorch": (
        ("CrossEntropyLoss", "NLLLoss"),
        nothing_counts,
        "no label of this batch counts",
    ),
    "this sample's target is NaN, a logarithm of a number below 0": (
        ("KLDivLoss",),
        target_is_nan,
        "probabilities >= 0 as target, got nan",
    ),
}


@cache
def samples():
    """{name of a loss: [(options, output, target)]}, as PyTorch's tensors in float64."""
    torch = pytest.importorskip("torch")
    module_db, op_db, _ = databases()
    found = {name: [] for name in FUNCTIONS}
    options = {"device": "cpu", "dtype": torch.float64, "requires_grad": False}
    torch.manual_seed(0)
    for info in module_db:
        if (name := info.module_cls.__name__) in found:
            for sample in info.module_inputs_func(info, training=True, **options):
                found[name].append((sample.constructor_input.kwargs, *sample.forward_input.args))
    for info in op_db:
        for name, function in FUNCTIONS.items():
            if info.name == f"nn.functional.{function}":
                for sample in info.sample_inputs(**options):
                    found[name].append((sample.kwargs, sample.input, *sample.args))
    return found


def batched(name, output, target):
    """The same with a batch axis, as arrays: () becomes (1, 1), and (C,) with a label (1, C)."""
    x, t = output.numpy(), target.numpy()
    if name in LABELS and x.ndim < 2:
        return x.reshape(1, -1), t.reshape(1, -1) if t.dtype.kind == "f" else t.reshape(1)
    return (x, t) if x.ndim else (x.reshape(1, 1), t.reshape(1, 1))


def compared(name, options, output, target):
    """The outcome of one sample: "agrees", a reason, or what differs."""
    torch = pytest.importorskip("torch")
    options = {k: v for k, v in options.items() if v is not None}
    x, t = batched(name, output, target)
    none = options.get("reduction") == "none"
    given = {k: v.numpy() if hasattr(v, "numpy") else v for k, v in options.items()}
    twin = getattr(torch.nn, name)(**options)
    ours = getattr(mg, name)(**given | ({"reduction": "sum"} if none else {}))
    at = output.clone().requires_grad_()
    theirs = twin(at, target)
    along = np.random.default_rng(0).standard_normal(x.shape)
    along_t = torch.from_numpy(along.copy()).reshape(output.shape)
    theirs_dot = torch_jvp(lambda z: twin(z, target), at.detach(), along_t)
    for reason, (names, holds, error) in REASONS.items():
        if name in names and holds(options, t, theirs.detach().numpy()):
            with pytest.raises(ValueError, match=error):
                ours.forward(to_device(x), to_device(t))
            return reason
    theirs.sum().backward()
    value = ours.forward(to_device(x), to_device(t))
    found = {
        "value": (value, theirs.detach().numpy().sum()),
        "gradient": (to_host(ours.backward()), at.grad.numpy().reshape(x.shape)),
        "jvp": (ours.jvp(to_device(along)), theirs_dot.numpy().sum()),
    }
    values, values_dot = ours.each(to_device(x), to_device(t)), ours.each_jvp(to_device(along))
    if none:  # with reduction="sum" they are N times the example's own
        found["each"] = to_host(values) / len(x), by_example(theirs.detach().numpy(), len(x))
        found["each_jvp"] = to_host(values_dot) / len(x), by_example(theirs_dot.numpy(), len(x))
    else:
        found["each"] = to_host(values).mean(), theirs.item()
        found["each_jvp"] = to_host(values_dot).mean(), theirs_dot.item()
    for what, (mine, torchs) in found.items():
        if not np.allclose(mine, torchs, rtol=1e-9, atol=1e-9, equal_nan=True):
            return f"{what}: {mine} instead of {torchs} for {options}, {tuple(output.shape)}"
    return "agrees"


def by_example(values, n):
    return values.reshape(n, -1).sum(axis=1)


@cache
def outcomes(name, device):
    return [compared(name, *sample) for sample in samples()[name]]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_samples_agree(name, device):
    found = Counter(outcomes(name, device))
    assert [outcome for outcome in found if outcome not in ("agrees", *REASONS)] == []
    assert found["agrees"] > 0


def test_few_samples_are_left_out_and_each_reason_is_needed(device):
    torch = pytest.importorskip("torch")
    if not torch.__version__.startswith("2.13."):
        pytest.skip("the reasons were found with the samples of PyTorch 2.13")
    found = Counter(outcome for name in FUNCTIONS for outcome in outcomes(name, device))
    assert {reason for reason in found if reason != "agrees"} == REASONS.keys()
    assert (found["agrees"], found.total()) == (344, 361)
