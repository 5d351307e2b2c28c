"""The forward-gradient seed's optimisers, written here with torch.func.jvp: the same weights,
batches and directions give the same fifty steps."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import array_module, to_device, to_host
from minigrad.rules import DirectionSampler, ForwardGradient

torch = pytest.importorskip("torch")

STEPS, LR, DECAY = 50, 0.01, 1e-2
SGD = {
    "plain": {},
    "decay": {"k": DECAY},
    "momentum": {"mu": 0.9},
    "momentum and decay": {"mu": 0.9, "k": DECAY},
    "nesterov": {"mu": 0.7, "nesterov": True},
    "nesterov and decay": {"mu": 0.7, "nesterov": True, "k": DECAY},
    "clip": {"clip": 0.3},
    "everything": {"mu": 0.5, "nesterov": True, "k": DECAY, "clip": 0.3},
}
CLASSES = 3


def network():
    return mg.models.mlp((4, 6, CLASSES), "tanh", dtype="float64", seed=0)


def logits(params, x):
    """The same network on PyTorch's side."""
    h = torch.tanh(x @ params["1.W"] + params["1.b"])
    return h @ params["3.W"] + params["3.b"]


def batches():
    rng = np.random.default_rng(7)
    for _ in range(STEPS):
        yield rng.standard_normal((8, 4)), rng.integers(0, CLASSES, 8)


def on_torch(arrays):
    return {key: torch.from_numpy(to_host(array).copy()) for key, array in arrays.items()}


def directions(model, step, K, distribution="normal"):
    """Those that the rule with seed 5 draws in this step, on PyTorch's side."""
    draws, found = DirectionSampler(distribution, 5), []
    for k in range(K):
        v = {key: array_module(p).empty_like(p) for key, p in model.params.items()}
        draws.fill(list(v.values()), step, k)
        found.append(on_torch(v))
    return found


def forward_gradient(params, x, t, xis, clip=None):
    """(L, 1/K Σ d ξ, the d) by torch.func.jvp."""
    x, t, slopes = torch.from_numpy(x), torch.from_numpy(t), []
    grads = {key: torch.zeros_like(p) for key, p in params.items()}
    for xi in xis:
        value, d = torch.func.jvp(
            lambda p: torch.nn.functional.cross_entropy(logits(p, x), t), (params,), (xi,)
        )
        slopes.append(float(d))
        if clip is not None:
            d = d.clamp(-clip, clip)
        for key, grad in grads.items():
            grad += d * xi[key] / len(xis)
    return float(value), grads, slopes


def forward_sgd(model, K=1, mu=0.0, nesterov=False, k=0.0, clip=None):
    """The seed's ForwardSGD: after each step (L, d, θ, where the next gradient is taken)."""
    theta = on_torch(model.params)
    velocity = {key: torch.zeros_like(p) for key, p in theta.items()}
    at, lr = theta, LR
    for s, (x, t) in enumerate(batches(), 1):
        value, g, slopes = forward_gradient(at, x, t, directions(model, s, K), clip)
        velocity = {key: mu * velocity[key] - lr * g[key] for key in theta}
        theta = {key: theta[key] + velocity[key] for key in theta}
        at = {key: theta[key] + mu * velocity[key] for key in theta} if nesterov else theta
        lr = LR * math.exp(-k * s)
        yield value, slopes, theta, at


def forward_adam(model, K=1, k=0.0, beta1=0.9, beta2=0.999, eps=1e-8):
    """The seed's ForwardAdam: ε inside the root."""
    theta = on_torch(model.params)
    m, u = ({key: torch.zeros_like(p) for key, p in theta.items()} for _ in range(2))
    lr = LR
    for s, (x, t) in enumerate(batches(), 1):
        value, g, slopes = forward_gradient(theta, x, t, directions(model, s, K))
        m = {key: beta1 * m[key] + (1 - beta1) * g[key] for key in theta}
        u = {key: beta2 * u[key] + (1 - beta2) * g[key] ** 2 for key in theta}
        m_hat = {key: m[key] / (1 - beta1**s) for key in theta}
        u_hat = {key: u[key] / (1 - beta2**s) for key in theta}
        theta = {key: theta[key] - lr * m_hat[key] / torch.sqrt(u_hat[key] + eps) for key in theta}
        lr = LR * math.exp(-k * s)
        yield value, slopes, theta, theta


def compare(rule, optimizer, model, reference, k, momentum=0.0):
    """Step by step: the loss, the slopes, the parameters, and θ without the look-ahead."""
    schedule = mg.ExponentialLR(optimizer, math.exp(-k), per="step")
    loss, values = mg.CrossEntropyLoss(), []
    steps = zip(batches(), reference, strict=True)
    for s, ((x, t), (value, slopes, theta, at)) in enumerate(steps, 1):
        values.append(rule.estimate(model, loss, to_device(x), to_device(t)))
        optimizer.step()
        schedule.step()
        assert values[-1] == pytest.approx(value, rel=1e-9)
        np.testing.assert_allclose(rule.derivatives, slopes, rtol=1e-9, atol=1e-11)
        assert optimizer.lr == pytest.approx(LR * math.exp(-k * s), rel=1e-12)
        for key, p in model.params.items():
            ours = to_host(p)
            np.testing.assert_allclose(ours, at[key].numpy(), rtol=1e-9, atol=1e-9)
            if momentum:
                ours = ours - momentum * to_host(optimizer.state[key]["step"])
            np.testing.assert_allclose(ours, theta[key].numpy(), rtol=1e-9, atol=1e-9)
    assert len(values) == STEPS
    return values


@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("case", SGD)
def test_forward_sgd(case, K):
    options = {"mu": 0.0, "nesterov": False, "k": 0.0, "clip": None} | SGD[case]
    mu, nesterov, k = options["mu"], options["nesterov"], options["k"]
    model = network()
    reference = forward_sgd(network(), K, **options)
    rule = ForwardGradient(K, clip=options["clip"], seed=5)
    sgd = mg.SGD(model, LR, momentum=mu, nesterov=nesterov, velocity="steps")
    values = compare(rule, sgd, model, reference, k, mu if nesterov else 0.0)
    assert np.mean(values[-10:]) < 5  # no overflow: nothing else would say so


@pytest.mark.parametrize("options", [{}, {"K": 3}, {"k": DECAY}], ids=str)
def test_forward_adam(options):
    model = network()
    rule = ForwardGradient(options.get("K", 1), seed=5)
    adam = mg.Adam(model, LR, eps_inside=True)
    compare(rule, adam, model, forward_adam(network(), **options), options.get("k", 0.0))


@pytest.mark.parametrize(
    "other",
    [
        lambda m: mg.SGD(m, LR, momentum=0.7, nesterov=True),  # lr falls: no longer the same
        lambda m: mg.SGD(m, LR, momentum=0.7, velocity="steps"),
        lambda m: mg.SGD(m, LR, momentum=0.69, nesterov=True, velocity="steps"),
    ],
)
def test_other_optimisers_are_told_apart(other):
    """The comparison above can fail."""
    model, options = network(), SGD["nesterov and decay"]
    with pytest.raises(AssertionError):
        compare(
            ForwardGradient(seed=5), other(model), model, forward_sgd(network(), **options), DECAY
        )


def test_adam_with_its_epsilon_outside_is_told_apart():
    model = network()
    with pytest.raises(AssertionError):
        compare(ForwardGradient(seed=5), mg.Adam(model, LR), model, forward_adam(network()), 0.0)


@pytest.mark.parametrize("options", [{"regenerate": True}, {"mode": "finite-difference"}], ids=str)
def test_other_ways_to_the_same_slopes_go_the_same_way(options):
    """To the precision of their slopes."""
    ends = []
    for given in ({}, options):
        model = network()
        rule, sgd = ForwardGradient(2, seed=5, **given), mg.SGD(model, LR)
        for x, t in batches():
            rule.estimate(model, mg.CrossEntropyLoss(), to_device(x), to_device(t))
            sgd.step()
        ends.append(model.state_dict())
    for key, array in ends[0].items():
        np.testing.assert_allclose(ends[1][key], array, rtol=1e-5, atol=1e-6)
