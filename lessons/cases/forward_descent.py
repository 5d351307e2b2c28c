"""Forward gradients in a published notebook

Question: do the numbers of a notebook on forward gradients hold, and what do they say?
You need: lesson 11.
You will build: the notebook's test on Beale's function, its descents down two valleys, and the
comparison of learning rates that it leaves out.
Time: 1 min on one core, 5 s with --quick
Source: the notebook "MNIST" of the project "forward_gradient" (Rike, Førland 2022), and its test on
Beale's function; Baydin et al. 2022, "Gradients without backpropagation", Fig. 2.
"""

# %% [markdown]
# # Forward gradients in a published notebook
#
# The project "forward_gradient" was among the first to try forward gradients: d v, with a random
# direction v and the slope d along it (lesson 11). η is the learning rate, n the number of
# parameters, K the number of directions, H the matrix of second derivatives, λ its largest
# eigenvalue, tr H the sum of all.
#
# ## 1. Which point?
#
# The authors tested on Beale's function that the mean of many forward gradients is the gradient.
# Their caption says that they stood at (1.5, 0.1). Their code says (1.5, -0.1). They printed means
# of 10, 100 and 1000 samples: (-2.25, -0.01), (-3.67, -1.23) and (-3.38, -0.82), and for 1000 the
# spread (4.917, 3.600). We compute both gradients, and the spread of the theory: coordinate i has
# the variance $‖∇L‖² + (∂ᵢL)²$.

# %%

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device, to_host
from minigrad.diagnostics import stability
from minigrad.functions import Beale, Height, Rosenbrock, at, descend
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate
from minigrad.rules import Backprop, ForwardGradient

lesson = start("forward_descent", __doc__)
quick, seed = lesson.quick, lesson.seed
loss, batch = mg.CrossEntropyLoss(), lesson.data()[0].take(64)
images, labels = to_device(batch.x.astype("float64")), to_device(batch.y)


def draws(rule, point, count):
    """`count` estimates of Beale's gradient at one point, (count, 2)."""
    model, found = at(Beale(), point), []
    for _ in range(count):
        rule.estimate(model, Height(), None, None)
        found.append(to_host(model.grads["0.x"]).copy())
    return np.array(found)


# %%

code, caption = (draws(Backprop(), (1.5, y), 1)[0] for y in (-0.1, 0.1))
g = draws(ForwardGradient(seed=seed), (1.5, -0.1), 1000 if quick else 10_000)
print(f"\ngradient: {caption} at the caption's point, {code} at the code's")
variance = (code**2).sum() + code**2
for count in sorted({10, 100, 1000, len(g)}):
    mean, spread = g[:count].mean(axis=0), g[:count].std(axis=0)
    print(f"{count:6} samples: mean {mean.round(2)}, spread {spread.round(3)}")
print(f"        theory: mean {code.round(2)}, spread {np.sqrt(variance).round(3)}")


def off(samples, theory):
    """By how many of its standard errors the mean lies off, at worst."""
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    return float((abs(samples.mean(axis=0) - theory) / error).max())


published = np.array([-3.38, -0.82])
away = {
    name: float((abs(published - point) / np.sqrt(variance / 1000)).max())
    for name, point in {"the caption's point": caption, "the code's point": code}.items()
}
print("the printed mean of 1000 lies off, in standard errors:", end=" ")
print(", ".join(f"{value:.1f} from {name}" for name, value in away.items()))

# %% [markdown]
# What they printed fits the code's point. The caption has a sign wrong.
#
# ## 2. Two valleys
#
# Then they went down Beale's function and Rosenbrock's, as Baydin et al. do in their Fig. 2: from
# (0, 0.5), 1000 steps of η = 0.01; and from (-1, 0), 25,000 steps of η = 0.0005. Is that a good
# choice? Lesson 11's limit for K = 1, computed at the minimum, is just above both.
#
# (The notebook's helper `optimize` returns the parameters from *before* its last step, and its
# losses lag one behind. Here heights[t] is the height of path[t].)
#
# How far may the ends scatter? On the valley's floor a step of backprop takes a share r off the
# height. A forward gradient takes about r v², of mean r and variance 2 r². The slope across the
# valley kicks it along as well. At η λ = 1/2 that adds another r². So ln f scatters about
# backprop's with the variance 3 Σ r², and r can be read off from backprop's own heights. (Left out
# is where a path enters the valley. Chance decides that, too, and a shorter way ends lower.)

# %%

SURFACES = {"Beale": Beale(), "Rosenbrock": Rosenbrock()}
SETTINGS = {"Beale": (0.01, 1000, 10), "Rosenbrock": (0.0005, 25_000, 4)}


def staggered(name, steps, run):
    """The path down a surface by forward gradients, and the heights along it."""
    model, rule = at(SURFACES[name]), ForwardGradient(seed=1000 * seed + run)
    return descend(model, rule, mg.SGD(model, SETTINGS[name][0]), steps)


found = {}
for name, (eta, steps, runs) in SETTINGS.items():
    steps, runs = (1000, 2) if quick else (steps, runs)
    model, bottom = at(SURFACES[name]), at(SURFACES[name], SURFACES[name].minimum)
    law = stability(bottom, Height(), None, None, seed=seed)
    path, heights = descend(model, Backprop(), mg.SGD(model, eta), steps)
    falls = [lesson.kept(staggered, name, steps, run) for run in range(runs)]
    found[name] = path, heights, falls
    r = -np.diff(np.log(heights[300:]))  # by then it is in the valley
    logs = np.log([fall[1][-1] for fall in falls]) - np.log(heights[-1])
    found[name] += logs, float(np.sqrt(3 * (r**2).sum())), law.largest_lr(1) / eta
    print(f"\n{name}: λ = {law.largest:.0f}, limit for K = 1 {law.largest_lr(1):.5f}, η = {eta}")
    print(f"  f from {heights[0]:.1f} to {heights[-1]:.3g} by backprop in {steps} steps;")
    print(f"  ln(f by forward gradients / that) {estimate(logs)}; by theory ± {found[name][4]:.2f}")

# %%

panels, answers = {}, []
for name, (path, heights, falls, logs, *_) in found.items():
    answer = estimate(logs).says("higher", "lower", "not told apart from backprop")
    answers.append(f"{name} {answer}")
    title = f"{name}, {len(falls)} runs of forward gradients: {answer} after {len(path) - 1} steps"
    paths = {"forward gradient": falls[0][0], "backprop": path}
    lesson.save(plots.surface_paths(SURFACES[name], paths, title), name.lower())
    shown = np.unique(np.geomspace(1, len(path), 400).astype(int)) - 1
    forward = np.array([fall[1] for fall in falls])
    panels[f"step, {name}'s function"] = {
        "backprop": (shown, heights[shown]),
        "forward gradient, median": (shown, np.median(forward, axis=0)[shown]),
        "forward gradient, lowest": (shown, forward.min(axis=0)[shown]),
        "forward gradient, highest": (shown, forward.max(axis=0)[shown]),
    }
title = "Heights at the end: " + "; ".join(answers)
lesson.save(plots.beside(panels, title, "f"), "heights")

# %% [markdown]
# ## 3. The same learning rate for both?
#
# On MNIST the notebook gives both rules η = 0.0002. At such rates, in the paper, forward gradients
# even come out ahead. But backprop idles there: the authors' own report has it at 0.1. An estimate
# without bias cannot be faster than the gradient, on average and by small steps.
#
# We take 64 images and a network 784-32-10. From one start we try one η after the other, each twice
# the last, for 200 steps. The network bears an η if every run ends lower than it began, and if no
# loss on the way passes 5, about twice the start's. Beside it stands the limit of lesson 11's law
# at the start. The same for a network with one layer. (H is the Gauss-Newton matrix, see lesson
# 11.)

# %%

steps, runs = (60, 2) if quick else (200, 4)
etas = 2.0 ** np.arange(-9, 5)
nets = {"one layer": (784, 10), "two layers": (784, 32, 10)}
RULES = {"backprop": 0, "forward gradient, K = 1": 1}
if not quick:
    RULES["forward gradient, K = 4"] = 4


def last_loss(layers, K, eta, run):
    """The loss after so many steps. K = 0: backprop."""
    model = mg.models.mlp(nets[layers], seed=seed, dtype="float64")
    rule = ForwardGradient(K, seed=1000 * seed + run) if K else Backprop()
    optimizer = mg.SGD(model, eta)
    for _ in range(steps + 1):
        value = rule.estimate(model, loss, images, labels)
        if not value < 5:
            return 5.0
        optimizer.step()
    return float(value)


# %%

lines, dots, bears, limits, first = {}, {}, {}, {}, {}
print(f"\n{'':34}{'limit':>8}{'bears':>8}{'ratio':>7}")
for layers in nets:
    model = mg.models.mlp(nets[layers], seed=seed, dtype="float64")
    law = stability(model, loss, images, labels, 20, 30, "gauss-newton", seed)
    start_loss = loss.forward(model.forward(images), labels)
    for name, K in RULES.items():
        each = []
        for eta in etas:
            count = runs if K else 1
            each.append(
                [lesson.kept(last_loss, layers, K, float(eta), run) for run in range(count)]
            )
            if max(each[-1]) > start_loss:
                break
            bears[layers, K] = float(eta)
        limits[layers, K] = law.largest_lr(K or None)
        ratio = bears[layers, K] / limits[layers, K]
        print(f"{layers:11}{name:23}{limits[layers, K]:8.4f}{bears[layers, K]:8.4f}{ratio:7.2f}")
        if layers == "two layers":
            first[K] = start_loss - np.array(each[0])
            lines[name] = etas[: len(each)], [np.mean(ends) for ends in each]
            dots[name] = limits[layers, K], start_loss

# %%

ratio = estimate(first[1] / first[0][0])
price = bears["two layers", 0] / bears["two layers", 1]
law_price = limits["two layers", 0] / limits["two layers", 1]
print(f"\nat η = {etas[0]:.4f}: fall by K = 1 / fall by backprop {ratio}")
print(
    f"two layers: backprop bears {price:g} times the η of K = 1; by the law {law_price:.1f} times"
)
title = f"Two layers: backprop bears {price:g} times the η of K = 1, by the law {law_price:.1f}"
options = {"xlabel": "η", "ylabel": f"loss after {steps} steps", "logx": True}
figure = plots.curves(lines, title, **options, dots=("limit by the law at the start", dots))
lesson.save(figure, "learning_rates")

# %% [markdown]
# At the left the curves lie on each other: with equal and small η forward gradients do what
# backprop does. Nobody should conclude that they are as good. Compare each at its best η.
#
# Backprop bears about what the law says. So do forward gradients in the network with one layer.
# With two layers they bear much less: their steps make the weights longer, and the ground with them
# steeper (lesson 11, section 5).
#
# ## What to remember
#
# - Compute the number that a caption gives. A sign is easily lost.
# - A helper that returns the state before its last step is off by one, in the curve as in the end.
# - Two rules at one small η look alike. That says nothing about the rules.
#
# ## What this run must show

# %%

lesson.expect("∂f/∂x at (1.5, -0.1)", code[0], equal=-3.433947, tolerance=1e-6)
lesson.expect("∂f/∂y at (1.5, -0.1)", code[1], equal=-0.807885, tolerance=1e-6)
lesson.expect("mean of g: off by standard errors", off(g, code), at_most=4)
squares = off((g - code) ** 2, variance)
lesson.expect("variance of g: off by standard errors", squares, at_most=4)
lesson.expect("printed mean: off the code's point", away["the code's point"], at_most=2)
lesson.expect("printed mean: off the caption's point", away["the caption's point"], at_least=4)
for name, (_, heights, _, logs, scatter, margin) in found.items():
    lesson.expect(f"{name}: limit of the law / η", margin, at_least=1, at_most=1.5)
    if quick:  # too short for Rosenbrock's valley
        worst = float(np.exp(logs.max()) * heights[-1] / heights[0])
        lesson.expect(f"{name}: f / f at the start", worst, at_most=0.1)
    else:
        apart = abs(logs).max() / scatter
        lesson.expect(f"{name}: |ln f - backprop's| / its scatter", apart, at_most=4)
        known = 5.56e-5 if name == "Beale" else 5.32e-6
        lesson.expect(f"{name}: backprop's f", heights[-1], equal=known, tolerance=known / 500)
    lesson.record(f"{name}: ln of f, forward gradients' / backprop's", logs.tolist())
bound = 4 * np.sqrt(2 / steps / runs)  # a step's fall is about η d²: its sd is √2 of its mean
lesson.expect("smallest η: fall, forward / backprop", ratio.mean, equal=1, tolerance=bound)
shares = {key: bears[key] / limits[key] for key in bears}
lesson.expect("one layer, K = 1: bears / limit", shares["one layer", 1], at_least=1)
lesson.expect("two layers, K = 1: bears / limit", shares["two layers", 1], at_most=0.3)
lesson.expect(
    "two layers, backprop: bears / limit", shares["two layers", 0], at_least=0.3, at_most=1.5
)
lesson.record("bears", {f"{layers}, K = {K}": bears[layers, K] for layers, K in bears})
lesson.record("limits", {f"{layers}, K = {K}": limits[layers, K] for layers, K in limits})
lesson.finish()
