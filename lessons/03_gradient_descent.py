"""03 Gradient descent

Question: the gradient says which way is down; how far should one go?
You need: lesson 01.
You will build: descent on a parabola and in a ravine, momentum, and a law for the step size.
Time: 3 s
Source: the course notebook "DS 4420: Backprop", its demo after C. Chan, STA 663; Polyak 1964;
Nesterov 1983; Kingma, Ba 2015.
"""

# %% [markdown]
# # 03 Gradient descent
#
# The gradient points uphill, and only here: a step away the ground may be different. Everything
# in this lesson is about the length of the step. On a parabola one can work out what happens
# exactly, and what one learns there explains most of what happens in a network.
#
# | name | shape | meaning |
# |---|---|---|
# | `x` | number, later (2,) | where we are |
# | `f(x)`, `grad(x)` | number, like x | height there, and its slope |
# | `alpha` | number | the step size, or learning rate `lr` |

# %%

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.lesson import start

lesson = start("03_gradient_descent", __doc__, on_host=True)


def f(x):
    return x**2


def grad(x):
    return 2 * x


# %% [markdown]
# ## 1. On a parabola
#
# x ← x - α f'(x) = x - 2α x = (1 - 2α) x: every step multiplies x by the same number. With
# α = 0.95 that is -0.9, and x jumps from side to side; with α = 0.1 it is 0.8, and x crawls.


# %%
def descend(alpha, x=1.0, steps=10):
    """x_0 ... x_steps of gradient descent on f."""
    xs = [x]
    for _ in range(steps):
        x = x - alpha * grad(x)
        xs.append(x)
    return np.array(xs)


k = np.arange(11)
large, small = descend(0.95), descend(0.1)
lesson.expect("step 0.95: |x_k - (-0.9)^k|", abs(large - (-0.9) ** k).max(), at_most=1e-12)
lesson.expect("step 0.1: |x_k - 0.8^k|", abs(small - 0.8**k).max(), at_most=1e-12)
figure = plots.on_a_curve(
    f,
    {"step 0.95 oscillates": large, "step 0.1 crawls": small},
    "The same slope, two step sizes",
)
lesson.save(figure, "step_size")

# %% [markdown]
# |1 - 2α| < 1 is what it takes to converge: α below 1 here. In general it is α < 2/L with L the
# largest second derivative (here 2). On a parabola, whose second derivative is the same everywhere,
# α = 1/L = 0.5 is best: one step, and x is at the bottom.

# %%

for alpha in (0.3, 0.5, 0.95, 0.99, 1.01):
    print(f"step {alpha:4}: after 10 steps x = {descend(alpha)[-1]:+.4f}")
lesson.expect("|x| after 200 steps of 0.99", abs(descend(0.99, steps=200)[-1]), at_most=0.02)
lesson.expect("|x| after 200 steps of 1.01", abs(descend(1.01, steps=200)[-1]), at_least=50)

# %% [markdown]
# ## 2. Momentum, and a sign that makes no noise
#
# Momentum steps along a running mean of the gradients: v ← β v + (1 - β) g. It starts at v = 0, so
# at first v is too small. Adam divides it by (1 - β^k) after k steps, which makes up for that. The
# course notebook divides by (1 + β^k) instead: a sign error, and nothing crashes. (The line that
# updates v is missing from its text altogether; as printed v stays 0, and x does not move.)


# %%
def descend_with_momentum(correction, alpha=0.95, beta=0.9, x=1.0, steps=10):
    """x_0 ... x_steps with a running mean of the gradients, divided by correction(beta, k)."""
    xs, v = [x], 0.0
    for k in range(1, steps + 1):
        v = beta * v + (1 - beta) * grad(x)
        x = x - alpha * v / correction(beta, k)
        xs.append(x)
    return np.array(xs)


sequences = {
    "no correction": descend_with_momentum(lambda beta, k: 1),
    "corrected: 1 - β^k": descend_with_momentum(lambda beta, k: 1 - beta**k),
    "wrong sign: 1 + β^k": descend_with_momentum(lambda beta, k: 1 + beta**k),
}
known = [
    [1, 0.81, 0.4851, 0.1005, -0.2647, -0.5431, -0.6905, -0.6919, -0.5618, -0.3379, -0.0722],
    [1, -0.9, -0.9, -0.269, 0.3271, 0.6259, 0.6071, 0.3708, 0.0523, -0.2304, -0.4026],
    [1, 0.9, 0.711, 0.4549, 0.162, -0.1318, -0.3901, -0.5808, -0.681, -0.6807, -0.5845],
]
for (name, xs), expected in zip(sequences.items(), known, strict=True):
    print(f"{name:20}", " ".join(f"{x:+.4f}" for x in xs))
    lesson.expect(f"{name}: largest difference", abs(xs - expected).max(), at_most=1e-4)
first_step = {name: abs(xs[1] - xs[0]) for name, xs in sequences.items()}
lesson.expect(
    "the wrong sign takes the smallest first step (it looks tamer)",
    first_step["wrong sign: 1 + β^k"] / min(first_step.values()),
    equal=1,
)
figure = plots.by_step(sequences, "The right correction (1 - β^k) looks the wildest")
lesson.save(figure, "momentum")

# %% [markdown]
# The corrected one leaps to -0.9 at once, as plain descent with 0.95 does: that *is* what a step
# of 0.95 means on the first gradient. The wrong sign makes that first step 19 times shorter, and
# so looks tamer in a plot. Looking better in one plot is not being right.
#
# PyTorch's and our `SGD` keep another v, undamped: v ← β v + g. With lr = α (1 - β) it is the
# uncorrected sequence, step for step. An optimiser wants nothing but parameters and gradients; here
# it gets a "layer" whose one parameter is x.


# %%
class Point(mg.Layer):
    """A layer that is nothing but its parameter: where we are."""

    def __init__(self, at):
        super().__init__("float64")
        self.params["x"] = np.array(at, float)

    @property
    def x(self):
        return self.params["x"]


def walk(optimizer, gradient, steps):
    """Every point on the way, (steps + 1, ...)."""
    point = optimizer.model
    path = [point.x.copy()]
    for _ in range(steps):
        point.grads = {"x": gradient(point.x)}
        optimizer.step()
        path.append(point.x.copy())
    return np.array(path)


path = walk(mg.SGD(Point([1.0]), lr=0.95 * 0.1, momentum=0.9), grad, 10)[:, 0]
difference = abs(path - sequences["no correction"]).max()
lesson.expect("SGD(lr=α(1-β), momentum=β) = no correction", difference, at_most=1e-12)

# %% [markdown]
# ## 3. A ravine
#
# Two dimensions bring the real trouble: f = ½ (x² + κ y²) is κ times steeper across than along.
# The step must be small enough for the steep side (α < 2/κ), and is then far too small for the
# flat one. Best for plain descent is α = 2/(1 + κ): both sides shrink by (κ - 1)/(κ + 1) a step.
# Momentum with μ = ((√κ - 1)/(√κ + 1))² does it by about √μ a step: √κ takes κ's place.

# %%

kappa = 25.0
curvature = np.array([1.0, kappa])


def ravine(x, y, kappa=kappa):
    return 0.5 * (x**2 + kappa * y**2)


def best_sgd(at, kappa):
    return mg.SGD(Point(at), lr=2 / (1 + kappa))


def best_momentum(at, kappa):
    root = np.sqrt(kappa)
    return mg.SGD(Point(at), lr=4 / (1 + root) ** 2, momentum=((root - 1) / (root + 1)) ** 2)


at, steps = [-10.0, 1.0], 40


def walk_ravine(optimizer, steps=steps):
    return walk(optimizer, lambda x: curvature * x, steps)


# %% [markdown]
# Two more: Nesterov's momentum takes the gradient one step ahead of where it is, which damps the
# swinging; its classic choice is lr = 1/κ and μ = (√κ - 1)/(√κ + 1). Adam divides the step of x and
# the step of y each by the size of its own gradients, so how steep either is hardly matters. Near
# the bottom its steps do not shrink by themselves. For Adam we try ten learning rates and take the
# best; the others have the constants that theory calls best.

# %%

adams = {lr: walk_ravine(mg.Adam(Point(at), lr=lr)) for lr in np.geomspace(0.1, 3, 10)}
lr = min(adams, key=lambda lr: ravine(*adams[lr][-1]))
walks = {
    f"SGD, lr {2 / (1 + kappa):.3f}": walk_ravine(best_sgd(at, kappa)),
    f"momentum {4 / 9:.2f}, lr {1 / 9:.3f}": walk_ravine(best_momentum(at, kappa)),
    f"Nesterov {2 / 3:.2f}, lr {1 / kappa:.3f}": walk_ravine(
        mg.SGD(Point(at), lr=1 / kappa, momentum=2 / 3, nesterov=True)
    ),
    f"Adam, lr {lr:.2f}, the best of ten": adams[lr],
}
heights = {name: float(ravine(*path[-1])) for name, path in walks.items()}
for name, height in heights.items():
    print(f"{name:28} after {steps} steps: f = {height:.1e}")
lesson.record(f"f after {steps} steps", heights)
plain, heavy = list(heights.values())[:2]
lesson.expect(f"f(SGD) / f(momentum) after {steps} steps", plain / heavy, at_least=10)
figure = plots.over_contours(
    ravine, walks, f"A ravine, {kappa:g} times steeper across than along", (-11, 6), (-2.3, 2.3)
)
lesson.save(figure, "ravine")

# %% [markdown]
# Adam scales x and y, and this ravine lies along x. Turn a ravine by 45 degrees: now x is as steep
# as y, and there is nothing to scale. Plain descent and momentum do not know which way the axes
# lie: they end as high as before. We take κ = 400, which makes the difference plain.

# %%

turn = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
straight = np.diag([1.0, 400.0])
turned = turn @ straight @ turn.T


def best_height(H, at, make, rates):
    """The lowest ½ xᵀ H x after 200 steps, of all the learning rates."""
    ends = [walk(make(Point(at), lr), lambda x: H @ x, 200)[-1] for lr in rates]
    return min(float(0.5 * end @ H @ end) for end in ends)


def momentum(point, lr):
    return mg.SGD(point, lr, momentum=((20 - 1) / (20 + 1)) ** 2)


ends = {
    name: [best_height(H, x, make, rates) for H, x in ((straight, at), (turned, turn @ at))]
    for name, make, rates in (
        ("momentum", momentum, [4 / (1 + 20) ** 2]),
        ("Adam, the best of ten", mg.Adam, np.geomspace(0.1, 3, 10)),
    )
}
for name, (along, across) in ends.items():
    print(f"{name:22} f along the axes {along:.0e}, turned {across:.0e}")
lesson.record("f after 200 steps, along the axes and turned", ends)
along, across = ends["momentum"]
lesson.expect("momentum: f turned / f along", across / along, equal=1, tolerance=1e-3)
along, across = ends["Adam, the best of ten"]
lesson.expect("Adam: f turned / f along", across / along, at_least=100)

# %% [markdown]
# Where is the border? At α = 2/κ, whatever the flat direction would like.

# %%

for factor in (0.99, 1.01):
    end = walk_ravine(mg.SGD(Point(at), lr=factor * 2 / kappa), 1000)[-1]
    print(f"step {factor} · 2/κ: f = {ravine(*end):.1e} after 1000 steps")
    if factor < 1:
        lesson.expect("f at 0.99 · 2/κ after 1000 steps", ravine(*end), at_most=1e-6)
    else:
        lesson.expect("f at 1.01 · 2/κ after 1000 steps", ravine(*end), at_least=1e6)

# %% [markdown]
# ## 4. How many steps does steepness cost?
#
# We count the steps until the distance to the bottom has shrunk a millionfold, for κ from 4 to
# 4000. On doubly logarithmic paper plain descent is a line of slope 1, momentum one of slope ½.

# %%


def steps_needed(make, kappa, shrink=1e-6, limit=200_000):
    scale, optimizer = np.array([1.0, kappa]), make([1.0, 1.0], kappa)
    point = optimizer.model
    for step in range(1, limit):
        point.grads = {"x": scale * point.x}
        optimizer.step()
        if np.hypot(*point.x) < shrink * np.sqrt(2):
            return step
    return limit


kappas = np.geomspace(4, 400 if lesson.quick else 4000, 7)
needed = {
    "SGD": [steps_needed(best_sgd, kappa) for kappa in kappas],
    "momentum": [steps_needed(best_momentum, kappa) for kappa in kappas],
}
for name, counts in needed.items():
    slope = np.polyfit(np.log(kappas[2:]), np.log(counts[2:]), 1)[0]
    wanted = 1.0 if name == "SGD" else 0.5
    lesson.expect(f"slope of log steps over log κ, {name}", slope, equal=wanted, tolerance=0.1)
    lesson.record(f"steps, {name}", counts)
figure = plots.curves(
    {name: (kappas, counts) for name, counts in needed.items()},
    "Steps for a millionfold reduction",
    xlabel="κ, how much steeper across than along",
    ylabel="steps",
    logx=True,
)
lesson.save(figure, "condition")

# %% [markdown]
# With `--show` the last figure has a slider: find the best step, the slowest, and the edge.

# %%

if lesson.options.show or lesson.notebook:
    figure, slider = plots.step_slider(f, descend)
    lesson.save(figure, "slider", keep=slider)

# %% [markdown]
# ## What to remember
#
# - A step size is judged by the curvature L: convergence needs α < 2/L. On a parabola 1/L is best:
#   one step. In a ravine the best lies just below 2/L.
# - The steepest direction sets the limit, the flattest the time: their ratio κ is the difficulty.
# - Momentum turns κ into √κ. Adam helps where the steep directions are coordinates.
# - A wrong sign can look like an improvement. Check against something that you know.
#
# ## Exercises (copy `lessons/exercises/03_gradient_descent.py`, fill it in, run it)
#
# 1. Which step size needs the fewest steps on f(x) = 3x² + 2x? Predict it, then measure.
# 2. Let the step size fall exponentially, α_k = 0.1 e^(-ck). Find a c for which descent from x = 1
#    never gets below 0.5, however long it runs. Why does it stop short of the bottom?
# 3. Start Adam at lr 1 in the ravine: its first step has length 1 in *both* directions. Why?

# %%

lesson.finish()
