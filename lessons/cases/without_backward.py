"""Slopes without a backward pass: memory, differences, guesses

Question: what does a slope cost, can it be had from values alone, and must its direction be random?
You need: lessons 09 and 11.
You will build: a measurement of the memory, slopes by differences, and slopes along guesses.
Time: 20 s on one core, 3 s with --quick
Source: Baydin et al. 2022, "Gradients without backpropagation"; Spall 1992; Fournier et al. 2023.
"""

# %% [markdown]
# # Slopes without a backward pass: memory, differences, guesses
#
# Lesson 11 makes a gradient out of slopes: d v, with a direction v and the slope $d = ∇L · v$. θ
# are the parameters, n of them; η is the learning rate, K the number of directions.
#
# ## 1. What must be kept
#
# Backward needs the inputs of all layers once more, so they must be kept (PyTorch calls it the
# graph, others the tape). Going forward, value and speed leave a layer together, and the layer
# forgets both. We make networks deeper and deeper, and measure the memory beside the parameters.

# %%

import tracemalloc

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device
from minigrad.diagnostics import cosine, quality
from minigrad.functions import Height, Ravine, at
from minigrad.lesson import start
from minigrad.rules import Backprop, ForwardGradient, SyntheticGradients
from minigrad.rules.forward.finite_differences import default_epsilon

lesson = start("without_backward", __doc__)
quick, seed = lesson.quick, lesson.seed
loss, batch = mg.CrossEntropyLoss(), lesson.data()[0].take(64)
images, labels = to_device(batch.x.astype("float64")), to_device(batch.y)


def network(dtype="float64"):
    return mg.models.mlp((784, 32, 10), seed=seed, dtype=dtype)


# %%

many = to_device(np.random.default_rng(seed).standard_normal((2048, 64)).astype("float32"))
zeros = to_device(np.zeros(2048, "int64"))
depths, memory = (4, 16) if quick else (4, 16, 64), {}
print(f"\n{'':18}forward passes   MB beside the parameters, {depths} layers")
for name, rule in {"backprop": Backprop(), "forward gradient": ForwardGradient()}.items():
    memory[name] = []
    for depth in depths:
        deep = mg.models.mlp((64,) * depth + (10,), seed=seed)
        rule.estimate(deep, loss, many, zeros)  # the first step makes what later ones use again
        deep.drop_cache()
        tracemalloc.start()
        rule.estimate(deep, loss, many, zeros)
        memory[name].append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    print(f"{name:>18}{rule.cost:>11g}         " + "".join(f"{mb:7.1f}" for mb in memory[name]))

# %% [markdown]
# ## 2. Four ways to draw a direction
#
# Lesson 11 draws normal directions. There are others. The variance of the mean of K estimates, in
# units of $‖∇L‖²$:
#
# | v | variance |
# |---|---|
# | normal | $(n + 1)/K$ |
# | Rademacher: each coordinate is 1 or -1 | $(n - 1)/K$ |
# | a point of the sphere of radius √n | $(n - 1)/K$ |
# | orthonormal: K of those, at right angles to each other | $n/K - 1$ |
#
# n directions at right angles leave no error at all.

# %%

formulas = {
    "normal": lambda n, K: (n + 1) / K,
    "rademacher": lambda n, K: (n - 1) / K,
    "sphere": lambda n, K: (n - 1) / K,
    "orthonormal": lambda n, K: n / K - 1,
}
sizes, directions = ((4, 16), 160) if quick else ((4, 16, 64), 800)


def errors(name, K, n):
    """‖g - ∇L‖²/‖∇L‖² of many estimates, in a bowl of n dimensions."""
    bowl = at(Ravine(np.linspace(1, 3, n)))
    found = quality(ForwardGradient(K, name), bowl, Height(), None, None, directions // K, seed)
    return found.total.each["error"]


off, rest = [], 0.0
print(f"\nvariance/‖∇L‖² measured (calculated)\n{'':12}{'K':>4}", end="")
print("".join(f"{f'n = {n}':>18}" for n in sizes))
for name, formula in formulas.items():
    for K in (1, 4):
        line = f"{name:12}{K:4}"
        for n in sizes:
            error, theory = lesson.kept(errors, name, K, n), formula(n, K)
            line += f"{error.mean():9.3g} ({theory:6.4g})"
            if theory > 0:
                off.append(abs(error.mean() - theory) / (error.std(ddof=1) / len(error) ** 0.5))
            else:
                rest = error.mean()
        print(line)

# %% [markdown]
# ## 3. Not even a jvp
#
# A slope can also be had from values alone: $(L(θ + εv) - L(θ)) / ε$. Or central: $(L(θ + εv) - L(θ
# - εv)) / (2ε)$. But how large is ε? The first errs by ε/2 times a second derivative, the second by
# ε² times a third. Both subtract numbers that are nearly equal. That loses about u L/ε, where u is
# 6e-8 in float32 and 1e-16 in float64. So there is a best ε in between. Rules with equal seeds take
# equal directions: what differs is how the slope is found.

# %%

epsilons = np.geomspace(1e-11, 1e-1, 11 if quick else 31)


def slopes(net, inputs, **options):
    """The slopes along 8 directions."""
    rule = ForwardGradient(8, seed=seed, **options)
    rule.estimate(net, loss, inputs, labels)
    return np.array(rule.derivatives)


lines, dots, ends = {}, {}, {}
print("\nmedian relative error of the slope along 8 directions, at the automatic ε")
for dtype in ("float32", "float64"):
    net, inputs = network(dtype), to_device(batch.x.astype(dtype))
    exact = slopes(net, inputs)
    for scheme in ("one-sided", "central"):
        how, name = {"mode": "finite-difference", "scheme": scheme}, f"{dtype}, {scheme}"
        *each, automatic = (
            float(np.median(abs(slopes(net, inputs, epsilon=epsilon, **how) / exact - 1)))
            for epsilon in [*epsilons, None]
        )
        lines[name], ends[name] = (epsilons, each), (each[0], each[-1])
        dots[name] = default_epsilon(list(net.params.values()), scheme), automatic
        print(f"{name:>19}: ε = {dots[name][0]:.1e}, error {automatic:.1e}, best {min(each):.1e}")
within = {name: dots[name][1] / min(lines[name][1]) for name in lines}
title = f"The automatic step errs at most {max(within.values()):.0f} times as much as the best one"
options = {"xlabel": "ε", "ylabel": "relative error of the slope", "logx": True, "outside": True}
figure = plots.curves(lines, title, dots=("the automatic step", dots), **options)
lesson.save(figure, "differences")

# %% [markdown]
# On the right the way is too long to be straight, on the left the difference drowns in rounding.
# The automatic ε is √u ‖θ‖/‖v‖, for central differences in float64 u^(1/3) ‖θ‖/‖v‖. In float32 both
# schemes find a slope to a few in a hundred or better. That is good enough along a direction that
# is random anyway. At the far left, in float32, θ + εv is θ again: slope 0, error 1. Where a line
# jumps up for longer ε it is relu: on the way some unit changes sides, and no formula with
# derivatives holds.
#
# ## 4. A guess is better than chance
#
# Along a guess u at the gradient: $g = (∇L · u) u / ‖u‖²$. It is the same for u, -u and 100 u, and
# never points uphill. Its cosine with the gradient is as large as the guess is good; a random
# direction's is about 1/√n. What it loses: on average it is no longer the gradient.
#
# Lesson 09's synthetic gradients are guesses. We also spoil them, times -10, and let them guess all
# the same. η is 1/8; for K = 1 it is 1/128.


# %%
class Spoilt(SyntheticGradients):
    """Synthetic gradients, turned round and ten times too long."""

    def estimate(self, model, loss, x, target):
        value = super().estimate(model, loss, x, target)
        for _, leaf in model.leaves():
            leaf.grads = {name: -10 * grad for name, grad in leaf.grads.items()}
        return value


# %%

along, spoilt = "forward gradient along a guess", "forward gradient along a spoilt guess"
chance, alone = "forward gradient, K = 1", "synthetic gradient, spoilt"
makers = {
    "backprop": lambda net: Backprop(),
    along: lambda net: ForwardGradient(guide=SyntheticGradients(net, seed=seed)),
    spoilt: lambda net: ForwardGradient(guide=Spoilt(net, seed=seed)),
    chance: lambda net: ForwardGradient(seed=seed),
    alone: lambda net: Spoilt(net, seed=seed),
}
steps, series, last, cosines = 100 if quick else 300, {}, {}, {}
print(f"\n{'':38}{'last loss':>10}{'cosine, mean':>14}{'smallest':>10}")
for name, make in makers.items():
    net, values, cosines[name] = network(), [], []
    rule, optimizer = make(net), mg.SGD(net, 1 / 128 if name == chance else 1 / 8)
    for _ in range(steps):
        Backprop().estimate(net, loss, images, labels)
        true = {key: grad.copy() for key, grad in net.grads.items()}
        values.append(rule.estimate(net, loss, images, labels))
        if not values[-1] < 10:
            break
        cosines[name].append(cosine(net.grads, true))
        optimizer.step()
    series[name], last[name] = (range(len(values)), values), values[-1]
    mean, least = np.mean(cosines[name]), min(cosines[name])
    print(f"{name:38}{values[-1]:10.3f}{mean:14.3f}{least:10.3f}")

# %%

del series[spoilt]  # lies on the other
title = f"Loss after {steps} steps: {last[along]:.3g} along a guess, {last[chance]:.3g} by chance"
lesson.save(plots.curves(series, title), "guess")

# %% [markdown]
# The spoilt guess leads down as the good one does: its slope turns it round and makes it short.
# Alone, it leads up.
#
# ## What to remember
#
# - Going forward, nothing is kept: the memory does not grow with the depth.
# - Directions at right angles are better than independent ones.
# - A slope by differences needs no derivative at all, but the right ε.
# - With the slope along it even a guess that is turned round leads down.
#
# ## What this run must show

# %%

n = sum(param.size for param in network().params.values())
if mg.backend.name() == "numpy":  # a GPU's memory is not seen by tracemalloc
    growth = {name: mb[-1] / mb[0] for name, mb in memory.items()}
    lesson.expect("backprop: memory, deepest / shallowest", growth["backprop"], at_least=2)
    lesson.expect("forward: memory, deepest / shallowest", growth["forward gradient"], at_most=1.5)
lesson.expect("variance: off by standard errors, at worst", max(off), at_most=4)
lesson.expect("variance of n directions at right angles", rest, at_most=1e-20)
for name, (_, automatic) in dots.items():
    bound = {"float32, one-sided": 0.05, "float32, central": 0.05, "float64, one-sided": 1e-4}
    lesson.expect(f"{name}: error at the automatic ε", automatic, at_most=bound.get(name, 1e-6))
    sides = min(ends[name]) / automatic
    lesson.expect(f"{name}: error at 1e-11 and 0.1 / automatic", sides, at_least=2)
lesson.expect("along a guess: smallest cosine", min(cosines[along]), at_least=0)
lesson.expect("along a guess: mean cosine · √n", np.mean(cosines[along]) * n**0.5, at_least=10)
same = last[spoilt] / last[along]
lesson.expect("last loss, along a spoilt guess / a guess", same, equal=1, tolerance=1e-3)
worse = last[along] / last[chance]
lesson.expect("last loss, along a guess / K = 1", worse, at_most=1 if quick else 0.5)
lesson.expect("loss of the spoilt guess itself", last[alone], at_least=3)
lesson.record({f"MB, {name}": mb for name, mb in memory.items()})
lesson.record({f"error of {name} differences": each for name, (_, each) in lines.items()})
lesson.record("last loss", last)
lesson.finish()
