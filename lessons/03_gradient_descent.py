"""03 Gradient descent

Question: the gradient says which way is down; how far should one go?
You need: lesson 01.
You will build: descent on a parabola and in a ravine, momentum, and a law for the learning rate.
Time: 3 s
Source: "DS 4420: Backprop", after C. Chan, STA 663; Polyak 1964; Nesterov 1983; Kingma, Ba 2015.
"""

# %% [markdown]
# # 03 Gradient descent
#
# The gradient points uphill at the place where we stand. A step away the ground may be different.
# This lesson is about the length of the step. On a parabola one can work out what happens exactly.
# That explains much of what happens in a network. We stand at x, a number at first. `f(x)` is the
# height there, `grad(x)` its slope $f'(x)$. A step goes to $x - η f'(x)$. η is the *learning rate*,
# `lr` in code. This way to go down is *gradient descent*, `SGD` in the library.

# %%
import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.lesson import start

lesson = start("03_gradient_descent", __doc__, on_host=True)

# %% [markdown]
# ## 1. On a parabola
#
# For $f(x) = x²$ a step is $x ← x - 2η x = (1 - 2η) x$: it always multiplies x by the same number.
# With $η = 0.95$ that is -0.9: x jumps from side to side. With $η = 0.1$ it is 0.8: x crawls.


# %%
def f(x):
    return x**2


def grad(x):
    return 2 * x


def descend(lr, x=1.0, steps=10):
    """x at each step of gradient descent on f, the start included."""
    xs = [x]
    for _ in range(steps):
        x = x - lr * grad(x)
        xs.append(x)
    return np.array(xs)


paths = {"SGD, η = 0.95, oscillates": descend(0.95), "SGD, η = 0.1, crawls": descend(0.1)}
lesson.save(plots.on_a_curve(f, paths, "The same slope, two learning rates"), "step_size")
for lr in (0.3, 0.5, 0.95, 0.99, 1.01):
    print(f"η = {lr:4}: after 10 steps x = {descend(lr)[-1]:+.4f}")

# %% [markdown]
# It converges if $|1 - 2η| < 1$: η below 1 here. The second derivative $f''$ is the *curvature*.
# Call it C, or the largest one if there are several. In general the edge is $η < 2/C$. Our parabola
# has $C = 2$ everywhere. There $η = 1/C = 0.5$ is best: one step, and x is at the bottom.
#
# ## 2. Momentum, and a sign that makes no noise
#
# Momentum steps along a running mean m of the gradients g: $m ← β m + (1 - β) g$, with β just below
# 1. It starts at $m = 0$, so at first m is too small. After k steps the weights of all gradients in
# m sum to $1 - β^k$. Divide m by that, and the mean is right from the first step on. The course
# notebook divides by $1 + β^k$ instead: a sign error, and nothing crashes.


# %%
def descend_with_momentum(correction, lr=0.95, beta=0.9, x=1.0, steps=10):
    """As `descend`, along a running mean of the gradients, divided by correction(beta, k)."""
    xs, m = [x], 0.0
    for k in range(1, steps + 1):
        m = beta * m + (1 - beta) * grad(x)
        x = x - lr * m / correction(beta, k)
        xs.append(x)
    return np.array(xs)


sequences = {
    "no correction": descend_with_momentum(lambda beta, k: 1),
    "momentum over 1 - β^k": descend_with_momentum(lambda beta, k: 1 - beta**k),
    "wrong sign, 1 + β^k": descend_with_momentum(lambda beta, k: 1 + beta**k),
}
for name, xs in sequences.items():
    print(f"{name:21}", " ".join(f"{x:+.4f}" for x in xs))
lesson.save(plots.by_step(sequences, "The right correction looks the wildest"), "momentum")

# %% [markdown]
# The corrected one leaps to -0.9 at once, as plain descent does: that *is* what $η = 0.95$ means on
# the first gradient. The wrong sign makes that first step 19 times shorter, and so looks tamer.
# Looking better in one plot is not being right.
#
# PyTorch's and our `SGD` keep a velocity u without the factor $1 - β$: $u ← μ u + g$, with μ below
# 1, and $x ← x - η u$. With $μ = β$ and η times $1 - β$ it is the uncorrected sequence. All that an
# optimiser wants is parameters and gradients. Here it gets a "layer" whose one parameter is x.


# %%
class Point(mg.Layer):
    """A layer that is nothing but its parameter: where we are."""

    def __init__(self, at):
        super().__init__("float64")
        self.params["x"] = np.array(at, float)


def walk(optimizer, gradient, steps):
    """Every point on the way, (steps + 1, ...)."""
    point = optimizer.model
    path = [point.params["x"].copy()]
    for _ in range(steps):
        point.grads = {"x": gradient(point.params["x"])}
        optimizer.step()
        path.append(point.params["x"].copy())
    return np.array(path)


# %% [markdown]
# ## 3. A ravine
#
# Two dimensions bring the real trouble: $f = ½ (x² + κ y²)$ is κ times steeper across than along.
# η must be small enough for the steep side ($η < 2/κ$), and is then far too small for the flat one.
# Best for plain descent is $η = 2/(1 + κ)$: both sides shrink by $(κ - 1)/(κ + 1)$ a step.
# Momentum with $μ = ((√κ - 1)/(√κ + 1))²$ does it by about $√μ$ a step: √κ takes κ's place.
#
# Two more. *Nesterov's* momentum takes the gradient one step ahead of where it is, which damps the
# swinging; its classic choice is $η = 1/κ$ and $μ = (√κ - 1)/(√κ + 1)$. *Adam* keeps two running
# means for each coordinate, m of g and v of g², both corrected as above. It goes by $η m/(√v + ε)$,
# with a tiny ε. So it divides each coordinate's step by the size of its own gradients, and how
# steep x or y is hardly matters. For Adam we take the best of ten learning rates. The others have
# the constants that theory calls best.

# %%
kappa, at, steps, rates = 25.0, [-10.0, 1.0], 40, np.geomspace(0.1, 3, 10)


def ravine(x, y):
    return 0.5 * (x**2 + kappa * y**2)


def slope(x):
    return np.array([1.0, kappa]) * x


def best_sgd(at, kappa):
    return mg.SGD(Point(at), lr=2 / (1 + kappa))


def best_momentum(at, kappa):
    root = np.sqrt(kappa)
    return mg.SGD(Point(at), lr=4 / (1 + root) ** 2, momentum=((root - 1) / (root + 1)) ** 2)


ahead = mg.SGD(Point(at), lr=1 / kappa, momentum=(5 - 1) / (5 + 1), nesterov=True)  # √κ = 5
adams = {lr: walk(mg.Adam(Point(at), lr=lr), slope, steps) for lr in rates}
lr = min(adams, key=lambda lr: ravine(*adams[lr][-1]))

# %%
walks = {
    "SGD": walk(best_sgd(at, kappa), slope, steps),
    "momentum": walk(best_momentum(at, kappa), slope, steps),
    "Nesterov": walk(ahead, slope, steps),
    f"Adam, η = {lr:.2f}, the best of ten": adams[lr],
}
heights = {name: float(ravine(*path[-1])) for name, path in walks.items()}
for name, height in heights.items():
    print(f"{name:31} after {steps} steps: f = {height:.1e}")
title = f"A ravine, {kappa:g} times steeper across than along: {steps} steps"
lesson.save(plots.over_contours(ravine, walks, title, (-11, 3), (-2.3, 2.3)), "ravine")
border = [walk(mg.SGD(Point(at), lr=c * 2 / kappa), slope, 1000)[-1] for c in (0.99, 1.01)]
below, above = (float(ravine(*end)) for end in border)
print(f"SGD, 1 % below η = 2/κ: f = {below:.0e} after 1000 steps; 1 % above: {above:.0e}")

# %% [markdown]
# Adam's steps are hardly longer than η. Forty of them are few for so long a way. So we take 200
# steps, and $κ = 400$. Adam scales x and y, and the ravine lies along x. Turn it by 45 degrees: now
# x is as steep as y, and there is nothing to scale. The others do not know which way the axes lie.

# %%

turn = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
straight = np.diag([1.0, 400.0])  # H, the second derivatives: f = ½ xᵀ H x
ravines = [(straight, at), (turn @ straight @ turn.T, turn @ at)]


def lowest(H, optimizers):
    """The lowest f after 200 steps, of all these."""
    ends = [walk(optimizer, lambda x: H @ x, 200)[-1] for optimizer in optimizers]
    return min(float(0.5 * end @ H @ end) for end in ends)


ends = {
    "SGD": [lowest(H, [best_sgd(x, 400.0)]) for H, x in ravines],
    "momentum": [lowest(H, [best_momentum(x, 400.0)]) for H, x in ravines],
    "Adam": [lowest(H, [mg.Adam(Point(x), lr) for lr in rates]) for H, x in ravines],
}
for name, (along, turned) in ends.items():
    print(f"{name:9} after 200 steps: f along the axes {along:.0e}, turned {turned:.0e}")

# %% [markdown]
# ## 4. How many steps does steepness cost?
#
# We count the steps until the distance to the bottom has shrunk a millionfold. On doubly
# logarithmic paper $κ^a$ is a line of slope a. For large κ theory says 1 for SGD, ½ for momentum.


# %%
def steps_needed(make, kappa):
    path = walk(make([1.0, 1.0], kappa), lambda x: [1.0, kappa] * x, 50 + int(8 * kappa))
    return int(np.argmax(np.hypot(*path.T) < 1e-6 * np.hypot(*path[0])))  # the first


kappas = np.geomspace(4, 400 if lesson.quick else 4000, 7)
best = {"SGD": best_sgd, "momentum": best_momentum}
counts = {name: [steps_needed(make, kappa) for kappa in kappas] for name, make in best.items()}
powers = {n: np.polyfit(np.log(kappas[2:]), np.log(c[2:]), 1)[0] for n, c in counts.items()}
series = {f"{name}: κ to the {a:.2f}": (kappas, counts[name]) for name, a in powers.items()}
label = "κ, how much steeper across than along"
figure = plots.curves(series, "Steps for a millionfold reduction", label, "steps", logx=True)
lesson.save(figure, "condition")
if lesson.options.show or lesson.notebook:  # find the best η, the slowest, and the edge
    figure, slider = plots.step_slider(f, descend)
    lesson.save(figure, "slider", keep=slider)

# %% [markdown]
# ## What to remember
#
# - A learning rate is judged by the curvature C: convergence needs $η < 2/C$. On a parabola 1/C is
#   best: one step. In a ravine the best lies just below 2/C.
# - The steepest direction sets the limit, the flattest the time: their ratio κ is the difficulty.
# - Momentum turns κ into √κ. Adam helps where the steep directions are coordinates.
# - A wrong sign can look like an improvement. Check against something that you know.
#
# ## Exercises (copy `lessons/exercises/03_gradient_descent.py`, fill it in, run it)
#
# 1. Which η needs the fewest steps on $f(x) = 3x² + 2x$? Predict it, then measure.
# 2. Let η fall: $0.1 e^(-c k)$ at step k. Find a c with which $x = 1$ never gets below 0.5. Why?
# 3. Start Adam with $η = 1$ in the ravine: its first step has length 1 in *both* directions. Why?
#
# ## What this run must show

# %%

k = np.arange(11)
lesson.expect("η = 0.95: |x_k - (-0.9)^k|", abs(descend(0.95) - (-0.9) ** k).max(), at_most=1e-12)
lesson.expect("η = 0.1: |x_k - 0.8^k|", abs(descend(0.1) - 0.8**k).max(), at_most=1e-12)
lesson.expect("|x| after 200 steps of η = 0.99", abs(descend(0.99, steps=200)[-1]), at_most=0.02)
lesson.expect("|x| after 200 steps of η = 1.01", abs(descend(1.01, steps=200)[-1]), at_least=50)
known = [
    [1, 0.81, 0.4851, 0.1005, -0.2647, -0.5431, -0.6905, -0.6919, -0.5618, -0.3379, -0.0722],
    [1, -0.9, -0.9, -0.269, 0.3271, 0.6259, 0.6071, 0.3708, 0.0523, -0.2304, -0.4026],
    [1, 0.9, 0.711, 0.4549, 0.162, -0.1318, -0.3901, -0.5808, -0.681, -0.6807, -0.5845],
]
for (name, xs), expected in zip(sequences.items(), known, strict=True):
    lesson.expect(f"{name}: largest difference", abs(xs - expected).max(), at_most=1e-4)
_, right, wrong = (xs[1] - xs[0] for xs in sequences.values())
lesson.expect("first step, corrected / wrong sign", right / wrong, equal=19, tolerance=1e-9)
undamped = walk(mg.SGD(Point([1.0]), lr=0.95 * 0.1, momentum=0.9), grad, 10)[:, 0]
off = abs(undamped - sequences["no correction"]).max()
lesson.expect("SGD(lr=η(1-β), momentum=β) - no correction", off, at_most=1e-12)
plain, heavy = list(heights.values())[:2]
lesson.expect(f"f(SGD) / f(momentum) after {steps} steps", plain / heavy, at_least=1e8)
lesson.expect("f at 0.99 · 2/κ after 1000 steps", below, at_most=1e-15)
lesson.expect("f at 1.01 · 2/κ after 1000 steps", above, at_least=1e17)
for name, (along, turned) in ends.items():
    bounds = {"at_least": 5000} if name == "Adam" else {"equal": 1, "tolerance": 1e-3}
    lesson.expect(f"{name}: f turned / f along", turned / along, **bounds)
lesson.expect("along the axes: f(SGD) / f(Adam)", ends["SGD"][0] / ends["Adam"][0], at_least=1e6)
lesson.expect("power of κ, SGD", powers["SGD"], equal=1, tolerance=0.01)
lesson.expect("power of κ, momentum", powers["momentum"], equal=0.5, tolerance=0.05)
lesson.record({f"f after {steps} steps": heights, "f along and turned": ends, "steps": counts})
lesson.finish()
