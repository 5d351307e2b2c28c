"""The table of cases: every public layer and loss, with shapes that are small and all different.

A new layer gets one line here and all tests of test_layers.py with it; test_cases.py fails
while it has none. `twin` is the same function in PyTorch, given the layer after its forward.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import minigrad as mg


def away_from_zero(rng, shape):
    """Random numbers of either sign, none within 0.1 of zero, no two equal: no kinks, no ties."""
    size = int(np.prod(shape))
    values = rng.permutation(np.linspace(0.1, 2.0, size)) * rng.choice([-1, 1], size)
    return values.reshape(shape)


def batch_norm_settings(m):
    return m.num_features, m.eps, m.momentum, "gamma" in m.params, m.track_running_stats


def torch_twin(layer):
    """The torch.nn module of the same name and settings, with the layer's weights, in float64."""
    import torch
    from torch import nn

    arguments = {
        mg.Linear: lambda m: (m.in_features, m.out_features, "b" in m.params),
        mg.MaxPool2d: lambda m: (m.kernel_size, m.stride, m.padding, 1, False, m.ceil_mode),
        mg.AvgPool2d: lambda m: (
            m.kernel_size,
            m.stride,
            m.padding,
            m.ceil_mode,
            m.count_include_pad,
            m.divisor_override,
        ),
        mg.BatchNorm1d: batch_norm_settings,
        mg.BatchNorm2d: batch_norm_settings,
        mg.LayerNorm: lambda m: (
            m.normalized_shape,
            m.eps,
            "gamma" in m.params,
            "beta" in m.params,
        ),
        mg.LeakyReLU: lambda m: (m.negative_slope,),
        mg.GELU: lambda m: (m.approximate,),
        mg.Softplus: lambda m: (m.beta, m.threshold),
        mg.Softmax: lambda m: (1 if m.dim is None else m.dim,),
        mg.LogSoftmax: lambda m: (1 if m.dim is None else m.dim,),
        mg.Flatten: lambda m: (m.start_dim, m.end_dim),
    }
    if isinstance(layer, mg.Residual):
        return Plus(layer.has_shortcut, *[torch_twin(inner) for inner in layer.layers])
    if isinstance(layer, mg.Subsample):
        return Taken(layer.out_channels - layer.in_channels, *layer.stride)
    if isinstance(layer, mg.Sequential):
        return nn.Sequential(*[torch_twin(inner) for inner in layer.layers])
    if isinstance(layer, mg.Dropout):
        return Times(1.0 if not hasattr(layer.cache, "shape") else to_torch(layer.cache))
    if isinstance(layer, mg.Conv2d):
        module = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            bias="b" in layer.params,
        )
    else:
        find = arguments.get(type(layer), lambda m: ())
        module = getattr(nn, type(layer).__name__)(*find(layer))
    state = mg.to_torch_state_dict(layer)
    module.double().load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
    return module


def to_torch(array):
    import torch

    return torch.from_numpy(mg.backend.to_host(array))


def torch_jvp(function, at, along):
    """PyTorch's tangent by forward mode, or by the Jacobian where it has no forward mode."""
    import torch

    try:
        return torch.func.jvp(function, (at,), (along,))[1]
    except NotImplementedError:
        jacobian = torch.autograd.functional.jacobian(function, at)
        return (jacobian * along).flatten(jacobian.ndim - at.ndim).sum(dim=-1)


def Times(mask):
    """A module that multiplies by a constant."""
    from torch import nn

    class Module(nn.Module):
        def forward(self, x):
            return x * mask

    return Module()


def Plus(has_shortcut, *modules):
    """y = s(x) + f(x) in PyTorch. If there is a shortcut s, it is the last module."""
    from torch import nn

    class Module(nn.Sequential):
        def forward(self, x):
            f = list(self)
            s = f.pop()(x) if has_shortcut else x
            y = x
            for module in f:
                y = module(y)
            return s + y

    return Module(*modules)


def Taken(extra, down, right):
    """Each s-th pixel, and `extra` channels of zeros, in PyTorch."""
    from torch import nn

    class Module(nn.Module):
        def forward(self, x):
            return nn.functional.pad(x[:, :, ::down, ::right], (0, 0, 0, 0, 0, extra))

    return Module()


@dataclass(frozen=True)
class LayerCase:
    """How to make a layer, and an input for it.

    shape      x's, all numbers different; [0] is the batch
    single     whether it takes a batch of one in training
    view       whether y may be a view of x, and dx of dy
    sample     draws x
    """

    name: str
    make: Callable[..., mg.Layer]
    shape: tuple[int, ...]
    train: bool = True
    single: bool = True
    view: bool = False
    sample: Callable[..., np.ndarray] = away_from_zero

    def layer(self, dtype="float64", seed=3):
        """A fresh layer with random non-zero parameters and buffers."""
        layer = self.make(dtype)
        rng = np.random.default_rng(seed)
        for _, leaf in layer.leaves():
            for name, array in (leaf.params | leaf.buffers).items():
                if name == "num_batches_tracked":
                    continue
                low, high = (0.5, 2.0) if name == "running_var" else (-1.5, 1.5)
                values = rng.uniform(low, high, array.shape).astype(array.dtype)
                array[...] = mg.backend.to_device(values)
        return layer

    def x(self, rng, dtype="float64", shape=None):
        return mg.backend.to_device(self.sample(rng, shape or self.shape).astype(dtype))


def _dropout_net(d):
    return mg.Sequential(
        mg.Linear(4, 6, dtype=d, seed=0),
        mg.Sequential(mg.Tanh(dtype=d), mg.Dropout(0.3, seed=1)),
        mg.Linear(6, 3, dtype=d, seed=2),
    )


def _residual(d):
    f = mg.Linear(4, 6, dtype=d, seed=0), mg.Tanh(dtype=d), mg.Linear(6, 4, dtype=d, seed=2)
    return mg.Residual(*f)


def _residual_shortcut(d):
    f = (
        mg.Conv2d(2, 3, 3, stride=2, padding=1, bias=False, dtype=d, seed=0),
        mg.BatchNorm2d(3, dtype=d),
        mg.Tanh(),
    )
    s = mg.Sequential(
        mg.Conv2d(2, 3, 1, stride=2, bias=False, dtype=d, seed=1), mg.BatchNorm2d(3, dtype=d)
    )
    return mg.Residual(*f, shortcut=s)


LAYERS = [
    LayerCase("Linear", lambda d: mg.Linear(4, 3, dtype=d, seed=0), (5, 4)),
    LayerCase("Linear no bias", lambda d: mg.Linear(4, 3, False, dtype=d, seed=0), (5, 4)),
    LayerCase("Linear places", lambda d: mg.Linear(4, 3, dtype=d, seed=0), (5, 2, 6, 4)),
    LayerCase("Conv2d", lambda d: mg.Conv2d(2, 3, 3, dtype=d, seed=0), (4, 2, 5, 6)),
    LayerCase(
        "Conv2d stride padding",
        lambda d: mg.Conv2d(3, 2, (2, 3), (2, 1), (0, 1), dtype=d, seed=0),
        (4, 3, 7, 5),
    ),
    LayerCase(
        "Conv2d stride leaves pixels out",
        lambda d: mg.Conv2d(1, 2, 2, stride=3, padding=1, bias=False, dtype=d, seed=0),
        (3, 1, 6, 4),
    ),
    LayerCase(
        "Conv2d kernel wider than the image",
        lambda d: mg.Conv2d(2, 5, 5, padding=2, dtype=d, seed=0),
        (6, 2, 4, 3),
    ),
    LayerCase(
        "Conv2d same",
        lambda d: mg.Conv2d(2, 3, (5, 3), padding="same", dtype=d, seed=0),
        (4, 2, 5, 6),
    ),
    LayerCase("MaxPool2d", lambda d: mg.MaxPool2d(2, dtype=d), (3, 2, 4, 6)),
    LayerCase("MaxPool2d overlap", lambda d: mg.MaxPool2d((3, 2), 1, dtype=d), (3, 2, 5, 4)),
    LayerCase("MaxPool2d gaps", lambda d: mg.MaxPool2d(2, (3, 2), dtype=d), (3, 2, 7, 5)),
    LayerCase(
        "MaxPool2d edges",
        lambda d: mg.MaxPool2d(3, 2, (1, 0), ceil_mode=True, dtype=d),
        (4, 2, 5, 6),
    ),
    LayerCase("AvgPool2d", lambda d: mg.AvgPool2d(2, dtype=d), (3, 2, 4, 6)),
    LayerCase("AvgPool2d overlap", lambda d: mg.AvgPool2d((3, 2), 1, 1, dtype=d), (3, 2, 5, 4)),
    LayerCase(
        "AvgPool2d edges",
        lambda d: mg.AvgPool2d(3, 2, (1, 0), True, False, dtype=d),
        (4, 2, 5, 6),
    ),
    LayerCase("BatchNorm1d", lambda d: mg.BatchNorm1d(3, dtype=d), (5, 3), single=False),
    LayerCase("BatchNorm1d eval", lambda d: mg.BatchNorm1d(3, dtype=d), (5, 3), train=False),
    LayerCase("BatchNorm1d places", lambda d: mg.BatchNorm1d(3, dtype=d), (4, 3, 5)),
    LayerCase(
        "BatchNorm1d plain",
        lambda d: mg.BatchNorm1d(3, 1e-3, None, False, dtype=d),
        (5, 3),
        single=False,
    ),
    LayerCase(
        "BatchNorm2d of the batch",
        lambda d: mg.BatchNorm2d(3, track_running_stats=False, dtype=d),
        (4, 3, 5, 2),
        train=False,
    ),
    LayerCase("BatchNorm2d", lambda d: mg.BatchNorm2d(3, dtype=d), (4, 3, 5, 2)),
    LayerCase("BatchNorm2d eval", lambda d: mg.BatchNorm2d(3, dtype=d), (4, 3, 5, 2), train=False),
    LayerCase("LayerNorm", lambda d: mg.LayerNorm(5, dtype=d), (4, 5)),
    LayerCase("LayerNorm images", lambda d: mg.LayerNorm((3, 5), 0.01, dtype=d), (4, 2, 3, 5)),
    LayerCase("LayerNorm no bias", lambda d: mg.LayerNorm(5, bias=False, dtype=d), (4, 3, 5)),
    LayerCase("LayerNorm plain", lambda d: mg.LayerNorm(5, 1e-5, False, dtype=d), (4, 3, 5)),
    LayerCase("Dropout", lambda d: mg.Dropout(0.4, dtype=d, seed=0), (5, 4)),
    LayerCase("Dropout eval", lambda d: mg.Dropout(0.4, dtype=d, seed=0), (5, 4), train=False),
    LayerCase("Flatten", lambda d: mg.Flatten(dtype=d), (4, 2, 3, 5), view=True),
    LayerCase("Flatten some", lambda d: mg.Flatten(1, -2, dtype=d), (4, 2, 3, 5), view=True),
    LayerCase("ReLU", lambda d: mg.ReLU(dtype=d), (4, 5)),
    LayerCase("ReLU images", lambda d: mg.ReLU(dtype=d), (4, 2, 3, 5)),
    LayerCase("Sigmoid", lambda d: mg.Sigmoid(dtype=d), (4, 5)),
    LayerCase("Tanh", lambda d: mg.Tanh(dtype=d), (4, 5)),
    LayerCase("LeakyReLU", lambda d: mg.LeakyReLU(0.2, dtype=d), (4, 5)),
    LayerCase("GELU", lambda d: mg.GELU(dtype=d), (4, 5)),
    LayerCase("GELU tanh", lambda d: mg.GELU("tanh", dtype=d), (4, 5)),
    LayerCase("SiLU", lambda d: mg.SiLU(dtype=d), (4, 5)),
    LayerCase("Softplus", lambda d: mg.Softplus(dtype=d), (4, 5)),
    LayerCase("Softplus beta", lambda d: mg.Softplus(2.0, 30.0, dtype=d), (4, 2, 3, 5)),
    LayerCase("Softmax", lambda d: mg.Softmax(dtype=d), (4, 5)),
    LayerCase("LogSoftmax", lambda d: mg.LogSoftmax(dtype=d), (4, 5)),
    LayerCase("Softmax dim", lambda d: mg.Softmax(1, dtype=d), (4, 5, 2, 3)),
    LayerCase("LogSoftmax dim", lambda d: mg.LogSoftmax(-2, dtype=d), (4, 5, 3)),
    LayerCase("Sequential", _dropout_net, (5, 4)),
    LayerCase("Residual", _residual, (5, 4)),
    LayerCase("Residual shortcut", _residual_shortcut, (4, 2, 5, 6)),
    LayerCase("Subsample", lambda d: mg.Subsample(2, 5, dtype=d), (4, 2, 5, 6)),
    LayerCase("Subsample gaps", lambda d: mg.Subsample(2, 2, (1, 3), dtype=d), (4, 2, 5, 7)),
]


@dataclass(frozen=True)
class RuleCase:
    """How to make a learning rule for a model.

    batch_norm   whether it takes a model with batch norm; else it refuses with a sentence
    drops_cache  whether it leaves no layer's cache behind: it never needs a whole backward pass
    exact        whether repr(rule), evaluated, makes the rule: no argument is an object
    any_model    whether it needs nothing else of the model, the data and the loss
    """

    name: str
    make: Callable[[mg.Layer], mg.rules.Rule]
    batch_norm: bool = True
    drops_cache: bool = False
    exact: bool = False
    any_model: bool = True


RULES = [
    RuleCase("Backprop", lambda m: mg.rules.Backprop(), exact=True),
    RuleCase("Wrapper", lambda m: mg.rules.Wrapper(mg.rules.Backprop()), exact=True),
    RuleCase("WellTempered", lambda m: mg.rules.WellTempered(window=2), exact=True),
    RuleCase(
        "WellTempered decay",
        lambda m: mg.rules.WellTempered(
            mg.rules.WeightPerturbation(seed=1), decay=0.7, gate="wiener", per="neuron"
        ),
        drops_cache=True,
        exact=True,
    ),
    RuleCase(
        "WellTempered micro-batches",
        lambda m: mg.rules.WellTempered(micro_batch_size=2, per="layer", unbiased=True),
        exact=True,
    ),
    RuleCase(
        "WeightPerturbation",
        lambda m: mg.rules.WeightPerturbation(seed=1),
        drops_cache=True,
        exact=True,
    ),
    RuleCase(
        "WeightPerturbation several",
        lambda m: mg.rules.WeightPerturbation(3, "orthonormal", clip=0.5),
        drops_cache=True,
        exact=True,
    ),
    RuleCase(
        "WeightPerturbation differences",
        lambda m: mg.rules.WeightPerturbation(
            2,
            "rademacher",
            "finite-difference",
            scheme="one-sided",
            epsilon=1e-3,
            antithetic=True,
            regenerate=True,
        ),
        drops_cache=True,
        exact=True,
    ),
    RuleCase(
        "ActivityPerturbation",
        lambda m: mg.rules.ActivityPerturbation(2, seed=1),
        batch_norm=False,
        drops_cache=True,
        exact=True,
    ),
    RuleCase(
        "ActivityPerturbation differences",
        lambda m: mg.rules.ActivityPerturbation(
            method="finite-difference", layerwise=True, active=False
        ),
        batch_norm=False,
        drops_cache=True,
        exact=True,
    ),
    RuleCase(
        "GuidedForwardGradient",
        lambda m: mg.rules.GuidedForwardGradient(mg.rules.WeightPerturbation(2), clip=0.5),
        drops_cache=True,
        exact=True,
    ),
    RuleCase("SPSA", lambda m: mg.rules.SPSA(directions=2, seed=1), drops_cache=True, exact=True),
    RuleCase(
        "EvolutionStrategies",
        lambda m: mg.rules.EvolutionStrategies(6, seed=1),
        drops_cache=True,
        exact=True,
    ),
    RuleCase(
        "EvolutionStrategies plain",
        lambda m: mg.rules.EvolutionStrategies(3, 0.01, None, False, "rademacher"),
        drops_cache=True,
        exact=True,
    ),
    RuleCase("PredictiveCoding", lambda m: mg.rules.PredictiveCoding(4, 0.5), exact=True),
    RuleCase(
        "PredictiveCoding fixed",
        lambda m: mg.rules.PredictiveCoding(4, 1.0, fixed_predictions=True),
        exact=True,
    ),
    RuleCase(
        "ForwardForward",
        lambda m: mg.rules.ForwardForward(3, seed=1),
        batch_norm=False,
        drops_cache=True,
        exact=True,
        any_model=False,
    ),
    RuleCase(
        "ForwardForward hard",
        lambda m: mg.rules.ForwardForward(3, negatives="hard"),
        batch_norm=False,
        drops_cache=True,
        exact=True,
        any_model=False,
    ),
    RuleCase("FeedbackAlignment", lambda m: mg.rules.FeedbackAlignment(seed=1), exact=True),
    RuleCase(
        "DirectFeedbackAlignment", lambda m: mg.rules.DirectFeedbackAlignment(2.0), exact=True
    ),
    RuleCase(
        "DirectRandomTargetProjection",
        lambda m: mg.rules.DirectRandomTargetProjection(),
        exact=True,
    ),
    RuleCase("SignSymmetric", lambda m: mg.rules.SignSymmetric("batchwise"), exact=True),
    RuleCase("SignSymmetric fixed", lambda m: mg.rules.SignSymmetric("fixed"), exact=True),
    RuleCase("LocalLosses", lambda m: mg.rules.LocalLosses(m)),
    RuleCase("SyntheticGradients", lambda m: mg.rules.SyntheticGradients(m, lr=0.01)),
    RuleCase(
        "SyntheticGradients half",
        lambda m: mg.rules.SyntheticGradients(m, hidden=(7,), update_probability=0.5, seed=3),
    ),
    RuleCase(
        "SyntheticGradients unlocked",
        lambda m: mg.rules.SyntheticGradients(m, False, mode="unlocked", input_hidden=(8,)),
    ),
    RuleCase("SyntheticGradients locked", lambda m: mg.rules.SyntheticGradients(m, mode="locked")),
    RuleCase(
        "SyntheticGradients bp-lambda",
        lambda m: mg.rules.SyntheticGradients(m, mode="bp-lambda", mixture=0.3, warm_up=2),
    ),
    RuleCase("StaleGradients", lambda m: mg.rules.StaleGradients(m, every=2)),
    RuleCase("TopLayerOnly", lambda m: mg.rules.TopLayerOnly(m)),
    RuleCase(
        "ClippedGradients",
        lambda m: mg.rules.ClippedGradients(mg.rules.Backprop(), max_norm=0.3),
        exact=True,
    ),
    RuleCase(
        "ClippedGradients value",
        lambda m: mg.rules.ClippedGradients(mg.rules.WeightPerturbation(seed=1), clip_value=0.1),
        drops_cache=True,
        exact=True,
    ),
    RuleCase(
        "AccumulatedGradients",
        lambda m: mg.rules.AccumulatedGradients(mg.rules.Backprop(), 3),
        exact=True,
    ),
    RuleCase(
        "AccumulatedGradients half",
        lambda m: mg.rules.AccumulatedGradients(
            mg.rules.SyntheticGradients(m, update_probability=0.5, seed=3), 2
        ),
    ),
    RuleCase(
        "MicroBatches",
        lambda m: mg.rules.MicroBatches(mg.rules.Backprop(), 2),
        batch_norm=False,
        exact=True,
    ),
]

rule_cases = {"argvalues": RULES, "ids": lambda case: case.name.replace(" ", "-")}


@dataclass(frozen=True)
class LossCase:
    """How to make a loss, its output and target, and PyTorch's loss of the same name.

    curved   whether the gradient changes with the output
    """

    name: str
    kind: type[mg.Loss]
    output: Callable[..., np.ndarray]
    target: Callable[..., np.ndarray]
    options: dict[str, object] = field(default_factory=dict)
    curved: bool = True

    def make(self):
        return self.kind(**self.options)

    def batch(self, rng, dtype="float64", n=4):
        output, target = self.output(rng, n).astype(dtype), self.target(rng, n)
        if target.dtype.kind == "f":
            target = target.astype(dtype)
        return mg.backend.to_device(output), mg.backend.to_device(target)

    def twin(self, **options):
        import torch

        given = {
            name: torch.tensor(value, dtype=torch.float64) if isinstance(value, list) else value
            for name, value in (self.options | options).items()
        }
        return getattr(torch.nn, self.kind.__name__)(**given)


def _log_softmax(rng, n, *places):
    z = rng.standard_normal((n, 3, *places))
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def _numbers(rng, n):
    return rng.standard_normal((n, 3))


def _logits(rng, n):
    return 3 * rng.standard_normal((n, 3))


def _labels(rng, n):
    return rng.integers(0, 3, n)


def _some_labels(rng, n):
    """Labels of which 2 does not count. The first one does."""
    return np.arange(n) % 3


def _probabilities(rng, n):
    return np.exp(_log_softmax(rng, n))


def _inside(rng, n):
    return rng.uniform(0.1, 0.9, (n, 3))


def _targets(rng, n):
    return rng.random((n, 3))


def _images(rng, n):
    return rng.standard_normal((n, 3, 2, 2))


def _labels_of_places(rng, n):
    """Labels of which 1 does not count, (n, 2, 2). The first one does."""
    labels = rng.integers(0, 3, (n, 2, 2))
    labels[:, 0, 0] = 2
    return labels


W = [0.5, 2.0, 1.25]
CE, NLL = mg.CrossEntropyLoss, mg.NLLLoss
LOSSES = [
    LossCase("CrossEntropyLoss", CE, _numbers, _labels),
    LossCase("CrossEntropyLoss sum", CE, _numbers, _labels, {"reduction": "sum"}),
    LossCase("CrossEntropyLoss weight", CE, _numbers, _labels, {"weight": W}),
    LossCase("CrossEntropyLoss ignore", CE, _numbers, _some_labels, {"ignore_index": 2}),
    LossCase("CrossEntropyLoss smoothing", CE, _numbers, _labels, {"label_smoothing": 0.2}),
    LossCase("CrossEntropyLoss probabilities", CE, _numbers, _probabilities),
    LossCase(
        "CrossEntropyLoss places",
        CE,
        _images,
        _labels_of_places,
        {"weight": W, "ignore_index": 1, "label_smoothing": 0.1},
    ),
    LossCase("NLLLoss", NLL, _log_softmax, _labels, curved=False),
    LossCase(
        "NLLLoss weight ignore",
        NLL,
        _log_softmax,
        _some_labels,
        {"weight": W, "ignore_index": 2},
        curved=False,
    ),
    LossCase(
        "NLLLoss places",
        NLL,
        lambda r, n: _log_softmax(r, n, 2, 2),
        _labels_of_places,
        {"reduction": "sum"},
        curved=False,
    ),
    LossCase("MultiMarginLoss", mg.MultiMarginLoss, _numbers, _labels, curved=False),
    LossCase(
        "MultiMarginLoss squared",
        mg.MultiMarginLoss,
        _numbers,
        _labels,
        {"p": 2, "margin": 3.0, "weight": W},
    ),
    LossCase("BCELoss", mg.BCELoss, _inside, _targets),
    LossCase(
        "BCELoss weight sum", mg.BCELoss, _inside, _targets, {"weight": W, "reduction": "sum"}
    ),
    LossCase("BCEWithLogitsLoss", mg.BCEWithLogitsLoss, _logits, _targets),
    LossCase(
        "BCEWithLogitsLoss weights",
        mg.BCEWithLogitsLoss,
        _logits,
        _targets,
        {"weight": W, "pos_weight": [3.0, 1.0, 0.5]},
    ),
    LossCase("MSELoss", mg.MSELoss, _numbers, _numbers),
    LossCase("MSELoss sum", mg.MSELoss, _numbers, _numbers, {"reduction": "sum"}),
    LossCase("L1Loss", mg.L1Loss, _numbers, _numbers, curved=False),
    LossCase("HuberLoss", mg.HuberLoss, _numbers, _numbers),
    LossCase("HuberLoss delta", mg.HuberLoss, _logits, _logits, {"delta": 1.7}),
    LossCase("SmoothL1Loss", mg.SmoothL1Loss, _logits, _logits, {"beta": 2.5}),
    LossCase("KLDivLoss", mg.KLDivLoss, _log_softmax, _probabilities, curved=False),
    LossCase(
        "KLDivLoss batchmean",
        mg.KLDivLoss,
        _log_softmax,
        _log_softmax,
        {"reduction": "batchmean", "log_target": True},
        curved=False,
    ),
]


@dataclass(frozen=True)
class OptimizerCase:
    """How to make an optimiser: its class, and what it is given besides the model and lr."""

    name: str
    make: type[mg.optim.Optimizer]
    options: dict[str, object]

    def optimizer(self, model, lr=0.05):
        return self.make(model, lr=lr, **self.options)


DECAY_OF_WEIGHTS = {("*.b", "*.gamma", "*.beta"): {"weight_decay": 0}}

OPTIMIZERS = [
    OptimizerCase("SGD", mg.SGD, {}),
    OptimizerCase("SGD momentum", mg.SGD, {"momentum": 0.9}),
    OptimizerCase(
        "SGD Nesterov decay", mg.SGD, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.03}
    ),
    OptimizerCase("SGD steps", mg.SGD, {"momentum": 0.9, "velocity": "steps"}),
    OptimizerCase(
        "SGD groups",
        mg.SGD,
        {
            "momentum": 0.9,
            "weight_decay": 0.03,
            "groups": DECAY_OF_WEIGHTS | {"*.W": {"lr_factor": 0.5}},
        },
    ),
    OptimizerCase("Adam", mg.Adam, {}),
    OptimizerCase("Adam settings", mg.Adam, {"betas": (0.8, 0.95), "eps": 1e-3}),
    OptimizerCase("Adam inside", mg.Adam, {"eps_inside": True}),
    OptimizerCase("Adam decay", mg.Adam, {"weight_decay": 0.05, "groups": DECAY_OF_WEIGHTS}),
    OptimizerCase("AdamW", mg.AdamW, {}),
    OptimizerCase(
        "AdamW settings",
        mg.AdamW,
        {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.2, "groups": DECAY_OF_WEIGHTS},
    ),
    OptimizerCase("RMSprop", mg.RMSprop, {}),
    OptimizerCase("RMSprop momentum", mg.RMSprop, {"alpha": 0.9, "momentum": 0.8}),
    OptimizerCase(
        "RMSprop centered",
        mg.RMSprop,
        {"centered": True, "eps": 1e-3, "weight_decay": 0.05, "groups": {"*.b": {"lr_factor": 2}}},
    ),
    OptimizerCase("Adagrad", mg.Adagrad, {}),
    OptimizerCase(
        "Adagrad settings",
        mg.Adagrad,
        {
            "lr_decay": 0.01,
            "weight_decay": 0.01,
            "initial_accumulator_value": 0.01,
            "eps": 1e-3,
            "groups": DECAY_OF_WEIGHTS,
        },
    ),
]


@dataclass(frozen=True)
class ScheduleCase:
    """How to make a schedule: its class, and what it is given besides the optimiser."""

    name: str
    make: type[mg.optim.Schedule]
    options: dict[str, object]

    def schedule(self, optimizer):
        return self.make(optimizer, **self.options)

    def step(self, schedule):
        schedule.step()


class SequenceCase(ScheduleCase):
    """Its options hold (class, options) in place of schedules: those need the optimiser."""

    def schedule(self, optimizer):
        inner = [make(optimizer, **options) for make, options in self.options["schedulers"]]
        return self.make(optimizer, inner, self.options["milestones"])


class PlateauCase(ScheduleCase):
    """It is given a value that is never better than the first."""

    def step(self, schedule):
        schedule.step(0.0 if schedule.mode == "max" else 1.0)


def halved(t):
    """A function for LambdaLR."""
    return 0.5**t


SCHEDULES = [
    ScheduleCase("StepLR", mg.StepLR, {"step_size": 2, "gamma": 0.3}),
    ScheduleCase("StepLR steps", mg.StepLR, {"step_size": 5, "per": "step"}),
    ScheduleCase("MultiStepLR", mg.MultiStepLR, {"milestones": [1, 3], "gamma": 0.5}),
    ScheduleCase("MultiStepLR steps from 0", mg.MultiStepLR, {"milestones": [0, 3], "per": "step"}),
    ScheduleCase("ExponentialLR", mg.ExponentialLR, {"gamma": 0.7}),
    ScheduleCase("ExponentialLR steps", mg.ExponentialLR, {"gamma": 0.97, "per": "step"}),
    ScheduleCase("CosineAnnealingLR", mg.CosineAnnealingLR, {"T_max": 4}),
    ScheduleCase(
        "CosineAnnealingLR steps",
        mg.CosineAnnealingLR,
        {"T_max": 7, "eta_min": 0.01, "per": "step"},
    ),
    ScheduleCase("LinearLR", mg.LinearLR, {}),
    ScheduleCase(
        "LinearLR steps",
        mg.LinearLR,
        {"start_factor": 0.1, "end_factor": 0.9, "total_iters": 4, "per": "step"},
    ),
    ScheduleCase("PolynomialLR", mg.PolynomialLR, {"total_iters": 4}),
    ScheduleCase(
        "PolynomialLR steps", mg.PolynomialLR, {"total_iters": 9, "power": 2, "per": "step"}
    ),
    ScheduleCase("LambdaLR", mg.LambdaLR, {"lr_lambda": halved}),
    ScheduleCase("LambdaLR steps", mg.LambdaLR, {"lr_lambda": halved, "per": "step"}),
    SequenceCase(
        "SequentialLR",
        mg.SequentialLR,
        {
            "schedulers": [
                (mg.LinearLR, {"start_factor": 0.5, "total_iters": 2, "per": "step"}),
                (mg.CosineAnnealingLR, {"T_max": 6, "eta_min": 0.001, "per": "step"}),
            ],
            "milestones": [3],
        },
    ),
    PlateauCase("ReduceLROnPlateau", mg.ReduceLROnPlateau, {"patience": 0, "factor": 0.5}),
    PlateauCase(
        "ReduceLROnPlateau settings",
        mg.ReduceLROnPlateau,
        {
            "mode": "max",
            "patience": 1,
            "threshold": 0.1,
            "threshold_mode": "abs",
            "cooldown": 1,
            "min_lr": 0.001,
            "eps": 1e-6,
            "metric": "train_accuracy",
        },
    ),
]

layer_cases = {"argvalues": LAYERS, "ids": lambda case: case.name.replace(" ", "-")}
loss_cases = {"argvalues": LOSSES, "ids": lambda case: case.name.replace(" ", "-")}
optimizer_cases = {"argvalues": OPTIMIZERS, "ids": lambda case: case.name.replace(" ", "-")}
schedule_cases = {"argvalues": SCHEDULES, "ids": lambda case: case.name.replace(" ", "-")}
