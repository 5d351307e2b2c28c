"""11 Forward gradients

Question: can one find the way down without a backward pass?
You need: lessons 01 and 03; mean, variance, trace and eigenvalues.
You will build: a slope that travels forward with the value, a gradient made of such slopes, and the
law that says how large a step it allows.
Time: 1 min, 8 s with --quick
Source: the notebook "MNIST" of the project "forward_gradient" (Rike, Førland 2022), and its test on
Beale's function; Baydin et al. 2022, "Gradients without backpropagation".
"""

# %% [markdown]
# # 11 Forward gradients
#
# Backpropagation goes through a network twice: forward for the value, and then backward, through
# everything that was kept on the way, for the gradient. This lesson never goes backward. It asks a
# smaller question, how steep is it in *one* direction, and that answer comes along with the value.
#
# | name | shape | meaning |
# |---|---|---|
# | `x`, `y` | (64, 784), (64,) | images and their labels |
# | `W1` ... `b2` | (784, 32) ... (10,) | the parameters θ, n numbers in all |
# | `v` | like θ | a direction: how fast each parameter is to move |
# | `z_dot`, `h_dot`, ... | like z, h, ... | how fast everything else moves then |
# | `d` | number | the slope along v, d = ∇L · v |
# | `g` | like θ | the forward gradient, d v; or a mean of K of them |

# %%

import tracemalloc

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device, to_host
from minigrad.diagnostics import cosine, quality, stability
from minigrad.functions import Beale, Height, Ravine, Rosenbrock, at, descend
from minigrad.lesson import start
from minigrad.rules import Backprop, ForwardGradient, SyntheticGradients
from minigrad.rules.forward.finite_differences import default_epsilon

lesson = start("11_forward_gradients", __doc__)
loss = mg.CrossEntropyLoss()
batch = lesson.data()[0].take(64)
images, labels = batch.x.astype("float64"), batch.y
x, y = to_device(images), to_device(labels)


def flat(arrays):
    """All numbers of {name: array} in one row, on the host."""
    return np.concatenate([to_host(array).ravel() for array in arrays.values()])


def network(dtype="float64"):
    return mg.models.mlp((784, 32, 10), seed=lesson.seed, dtype=dtype)


# %% [markdown]
# ## 1. A slope that goes forward
#
# Let θ move with speed v. How fast does the loss move? Take the derivative of each line of the
# forward pass, and write it beside that line:
#
# | value | its speed |
# |---|---|
# | z = x W1 + b1 | z_dot = x W1_dot + b1_dot |
# | h = relu(z) | h_dot = z_dot ∘ [z > 0] |
# | o = h W2 + b2 | o_dot = h_dot W2 + h W2_dot + b2_dot |
# | L = cross-entropy(o, y) | d = 1/N Σ (p - onehot(y)) · o_dot |
#
# That is a *Jacobian-vector product*, or jvp: the chain rule from the input's side. Nothing is
# approximated. d must be ∇L · v, with the gradient by backprop; and what the loss does over a short
# piece of way in direction v.

# %%

net = network()
rng = np.random.default_rng(lesson.seed)
v = {name: rng.standard_normal(p.shape) for name, p in net.params.items()}
W1, b1, W2, b2 = (to_host(p) for p in net.params.values())
W1_dot, b1_dot, W2_dot, b2_dot = v.values()
rows = images.reshape(64, 784)
z, z_dot = rows @ W1 + b1, rows @ W1_dot + b1_dot
h, h_dot = np.maximum(z, 0), z_dot * (z > 0)
o, o_dot = h @ W2 + b2, h_dot @ W2 + h @ W2_dot + b2_dot
p = np.exp(o - o.max(axis=1, keepdims=True))
p /= p.sum(axis=1, keepdims=True)
d = float(((p - np.eye(10)[labels]) * o_dot).sum()) / 64

params_dot = {name: to_device(array) for name, array in v.items()}
output, output_dot = net.forward_jvp(x, None, params_dot)
loss.forward(output, y)
jvp = loss.jvp(output_dot)
Backprop().estimate(net, loss, x, y)
product = float(flat(net.grads) @ flat(v))


def loss_at(distance):
    """The loss of a network that has gone this far in direction v."""
    moved = network()
    for name, param in moved.params.items():
        param += distance * params_dot[name]
    return loss.forward(moved.forward(x), y)


quotient = (loss_at(1e-6) - loss_at(-1e-6)) / 2e-6
found = {"by hand": d, "by the library": jvp, "∇L · v": product, "difference quotient": quotient}
print("\nthe slope along v")
for name, value in found.items():
    print(f"{name:>20}: {value:.10f}")
    bound = 1e-5 if name == "difference quotient" else 1e-12
    if name != "by hand":
        lesson.expect(f"slope {name} / by hand - 1", abs(value / d - 1), at_most=bound)

# %% [markdown]
# The price: where the forward pass of a layer has one product, x W, its speed has two, x_dot W and
# x W_dot. A slope costs two forward passes beside the one for the value. A gradient costs as much,
# dW = xᵀ dy and dx = dy Wᵀ, and tells more: the slope along *every* v.
#
# But backward needs all the layers' inputs once more, so they must be kept (PyTorch calls it the
# graph, others the tape). Going forward, value and speed leave a layer together, and the layer
# forgets both.

# %%

rng = np.random.default_rng(lesson.seed)
many = to_device(rng.standard_normal((2048, 64)).astype("float32"))
zeros = to_device(np.zeros(2048, "int64"))
depths = (4, 16) if lesson.quick else (4, 16, 64)
print(f"\n{'':18}forward passes   MB beside the parameters, {depths} layers")
for name, rule in {"backprop": Backprop(), "forward gradient": ForwardGradient()}.items():
    peaks = []
    for depth in depths:
        deep = mg.models.mlp((64,) * depth + (10,), seed=lesson.seed)
        rule.estimate(deep, loss, many, zeros)  # the first step makes what later ones use again
        deep.drop_cache()
        tracemalloc.start()
        rule.estimate(deep, loss, many, zeros)
        peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
        tracemalloc.stop()
    print(f"{name:>18}{rule.cost:>11g}         " + "".join(f"{peak:7.1f}" for peak in peaks))
    lesson.record(f"MB, {name}", peaks)
    if mg.backend.name() == "numpy":  # a GPU's memory is not seen by tracemalloc
        bound = {"at_least": 2} if name == "backprop" else {"at_most": 1.5}
        lesson.expect(f"{name}: memory, deepest / shallowest", peaks[-1] / peaks[0], **bound)

# %% [markdown]
# ## 2. A gradient out of slopes
#
# Draw v at random: every coordinate with mean 0 and variance 1, independent of the others. Step
# along v, as far as the slope says: g = d v = v (v · ∇L). On average that is the gradient,
#
#     E[g] = E[v vᵀ] ∇L = ∇L
#
# and no single g is. For normal v coordinate i has the variance |∇L|² + (∂_i L)². The notebook's
# authors tested this on Beale's function. Their caption says at (1.5, 0.1), their code (1.5, -0.1),
# and what they printed fits the code: means of 10, 100 and 1000 samples (-2.25, -0.01), (-3.67,
# -1.23), (-3.38, -0.82), and for 1000 the spread (4.917, 3.600).

# %%


def draws(rule, model, count):
    """`count` estimates of one gradient, (count, n)."""
    found = []
    for _ in range(count):
        rule.estimate(model, Height(), None, None)
        found.append(flat(model.grads))
    return np.array(found)


def off(samples, theory):
    """By how many of its standard errors the mean lies off, coordinate by coordinate."""
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    return abs(samples.mean(axis=0) - theory) / error


point = at(Beale(), (1.5, -0.1))
true = draws(Backprop(), point, 1)[0]
lesson.expect("∂f/∂x at (1.5, -0.1)", true[0], equal=-3.433947, tolerance=1e-6)
lesson.expect("∂f/∂y at (1.5, -0.1)", true[1], equal=-0.807885, tolerance=1e-6)
elsewhere = draws(Backprop(), at(Beale(), (1.5, 0.1)), 1)[0]
print(f"\ngradient at (1.5, -0.1): {true}; at the caption's (1.5, 0.1): {elsewhere}")
g = draws(ForwardGradient(seed=lesson.seed), point, 1000 if lesson.quick else 10_000)
variance = (true**2).sum() + true**2
for count in sorted({10, 100, 1000, len(g)}):
    spread = g[:count].std(axis=0)
    print(f"{count:6} samples: mean {g[:count].mean(axis=0).round(2)}, spread {spread.round(3)}")
print(f"        theory: mean {true.round(2)}, spread {np.sqrt(variance).round(3)}")
lesson.record("mean and spread of g", [g.mean(axis=0).tolist(), g.std(axis=0).tolist()])
lesson.expect("mean of g: off by standard errors", off(g, true).max(), at_most=4)
squares = off((g - true) ** 2, variance).max()
lesson.expect("variance of g: off by standard errors", squares, at_most=4)
clouds = {
    f"forward gradient, K = {K}": draws(
        ForwardGradient(K, seed=lesson.seed), point, 200 if lesson.quick else 500
    )
    for K in (1, 4, 16)
}
title = "Right on average: estimates at one point, from K directions each"
lesson.save(plots.cloud(clouds, true, title), "cloud")

# %% [markdown]
# A single g is a poor thing, too long or too short, and often far from the gradient's direction.
# One property it never loses: g · ∇L = d² ≥ 0, it never points uphill. The mean of K of them has a
# Kth of the variance.
#
# ## 3. How large is the error?
#
# The larger the number of dimensions, the less a random direction has to do with the gradient. Over
# all coordinates the variance, in units of |∇L|², is
#
# | v | variance |
# |---|---|
# | normal | (n + 1)/K |
# | Rademacher: every coordinate ±1 | (n - 1)/K |
# | a point of the sphere of radius √n | (n - 1)/K |
# | orthonormal: K of those, perpendicular to each other | n/K - 1 |
#
# The third, for K = 1: |g|² = d² |v|² = n d², so E|g|² = n |∇L|²; take |E[g]|² = |∇L|² off. A
# normal v has no fixed length, which costs a little more. n perpendicular directions leave no error
# at all. (`lesson.kept(f, a)` is f(a). With --resume it returns what an interrupted run has found.)

# %%

formulas = {
    "normal": lambda n, K: (n + 1) / K,
    "rademacher": lambda n, K: (n - 1) / K,
    "sphere": lambda n, K: (n - 1) / K,
    "orthonormal": lambda n, K: n / K - 1,
}
directions = 320 if lesson.quick else 1600


def errors(distribution, K, n):
    """Squared errors of estimates in n dimensions, relative to |∇L|²."""
    bowl = at(Ravine(np.linspace(1, 3, n)))  # from (1, ..., 1): the gradient is (1, ..., 3)
    rule, R = ForwardGradient(K, distribution), directions // K
    return quality(rule, bowl, Height(), None, None, R, lesson.seed).total.each["error"]


sizes, measured, worst = (4, 16, 64) if lesson.quick else (4, 16, 64, 256), {}, 0.0
print(f"\nvariance/|∇L|² measured (calculated)\n{'':12}{'K':>4}", end="")
print("".join(f"{f'n = {n}':>18}" for n in sizes))
for distribution, formula in formulas.items():
    for K in (1, 4, 16):
        line = f"{distribution:12}{K:4}"
        for n in sizes:
            if distribution == "orthonormal" and n < K:
                line += f"{'-':>18}"
                continue
            error = lesson.kept(errors, distribution, K, n)
            measured[distribution, K, n] = error.mean()
            line += f"{error.mean():9.3g} ({formula(n, K):6.4g})"
            if formula(n, K) > 0:
                worst = max(worst, off(error, formula(n, K)))
        print(line)
lesson.expect("variance: off by standard errors, at worst", worst, at_most=5)
complete = max(measured["orthonormal", K, K] for K in (4, 16))
lesson.expect("variance of n orthonormal directions", complete, at_most=1e-20)

lines, dots, grid = {}, {}, np.geomspace(4, 256, 61)
for distribution, K in (("normal", 1), ("normal", 4), ("normal", 16), ("orthonormal", 16)):
    label = f"{distribution}, K = {K}"
    over = np.concatenate([[16.2], grid[grid > 16.2]]) if distribution == "orthonormal" else grid
    lines[label] = over, formulas[distribution](over, K)
    there = [n for n in sizes if formulas[distribution](n, K) > 0 and n > over[0] - 1]
    dots[label] = there, [measured[distribution, K, n] for n in there]
figure = plots.curves(
    lines,
    "Error grows with n and falls with K; perpendicular v leave none at n = K",
    xlabel="n, the number of parameters",
    ylabel="variance / |∇L|²",
    logx=True,
    dots=("measured", dots),
)
lesson.save(figure, "variance")

# %% [markdown]
# How far g points in the gradient's direction follows: their cosine is about √(K/(K + n + 1)), in
# the root mean square. Our network has 25,450 parameters; a hundred directions would make it 0.06.

# %%


def put(net, numbers):
    """Set all parameters to these, (n,)."""
    for param in net.params.values():
        mine, numbers = numbers[: param.size], numbers[param.size :]
        param[...] = to_device(mine.reshape(param.shape))


def gradient(net):
    """The gradient by backprop on the 64 images, (n,)."""
    Backprop().estimate(net, loss, x, y)
    return flat(net.grads)


theta = flat(net.params)
n = theta.size
print(f"\n{'cosine with the gradient':28}measured  calculated")
for K in (1, 4, 16):
    R = 48 // K if lesson.quick else 192 // K
    found = quality(ForwardGradient(K), net, loss, x, y, R, lesson.seed)
    squares = found.total.each["cosine"] ** 2
    found, theory = np.sqrt(np.mean(squares)), np.sqrt(K / (K + n + 1))
    print(f"n = {n:,}, K = {K:2}           {found:8.4f}  {theory:8.4f}")
    # cos² is a mean of K squared normals over n: its relative variance is 2/K for one g
    bound = 4 * np.sqrt(2 / K / len(squares))
    lesson.expect(f"cos² / calculated, K = {K}", (found / theory) ** 2, equal=1, tolerance=bound)

# %% [markdown]
# ## 4. How large a step?
#
# A variance of 25,451 |∇L|² sounds hopeless. It is not, because most of that error does no
# harm: in a direction in which the ground is flat, it costs nothing to be carried along. What
# counts is the curvature. Let H be the Hessian, λ its largest eigenvalue, tr H the sum of all. With
# normal v
#
#     E[gᵀ H g] = |∇L|² tr H / K + (1 + 1/K) ∇Lᵀ H ∇L
#
# and a step of lr changes the loss by -lr |∇L|² + lr²/2 E[gᵀ H g] on average, which is below 0
# wherever one stands, if
#
#     lr < 2 / (tr H / K + (1 + 1/K) λ)
#
# For K → ∞ that is backprop's 2/λ. So the price of K = 1 is a factor tr H/λ + 2. Not n, but the
# *effective rank* tr H/λ: the number of directions in which it is steep. Take 60 dimensions, the
# steepest with curvature 10, each next one with 0.861 of that: tr H = 72, and tr H/λ = 7.2.

# %%

curvature = 10 * 0.86112 ** np.arange(60)
bowl, panels = Ravine(curvature), {}
runs, steps = (3, 200) if lesson.quick else (9, 300)


def course(K, lr, run):
    """f / f at the start after each step."""
    model, rule = at(bowl), ForwardGradient(K, seed=1000 * lesson.seed + run)
    heights = descend(model, rule, mg.SGD(model, lr), steps).heights
    return heights / heights[0]


print(f"\nf / f at the start after {steps} steps, {runs} runs")
for K in (1, 4) if lesson.quick else (1, 4, 16):
    limit = 2 / (curvature.sum() / K + (1 + 1 / K) * curvature.max())
    panels[f"K = {K}, limit {limit:.3f}"] = series = {}
    for factor in (0.6, 1.5):
        falls = [lesson.kept(course, K, float(factor * limit), run) for run in range(runs)]
        ends, median = [fall[-1] for fall in falls], np.median(falls, axis=0)
        print(
            f"K = {K:2}, lr {factor} of the limit: median {median[-1]:8.2g}, "
            f"from {min(ends):.2g} to {max(ends):.2g}"
        )
        name = f"K = {K}, {factor} of the limit: median f / f at the start"
        lesson.expect(name, median[-1], **({"at_most": 0.1} if factor < 1 else {"at_least": 10}))
        shown = np.flatnonzero(median < 1e6)
        series[f"forward gradient, {factor} of the limit, median"] = shown, median[shown]
title = "Below the limit f comes down, above it f explodes"
figure = plots.beside(panels, title, "f / f at the start", xlabel="step")
lesson.save(figure, "stability")

# %% [markdown]
# The law is about the mean, and a mean is led by its worst run. Where one dimension is much steeper
# than all others a single run may come down even at 1.5 of the limit: now and then chance steps
# right to the bottom of that one.
#
# Now the network, on its 64 images. tr H = E[vᵀ H v] for Rademacher v; λ by repeated multiplication
# with H; and H v is the difference of two gradients, at θ + εv and at θ - εv.

# %%

found = stability(net, loss, x, y, samples=40, steps=30, seed=lesson.seed)
trace, steepest, rank = found.trace, found.largest, found.rank
print(f"\nthe network: n = {n:,}, λ = {steepest:.2f}, tr H = {trace:.1f} or {rank:.1f} λ")
lesson.record("trace and largest eigenvalue", [trace, steepest])
lesson.expect("effective rank tr H/λ of the network", rank, at_most=n / 100)


# %% [markdown]
# Near this θ, then, a forward gradient should bear a tenth of backprop's lr. We take 200 steps from
# the same start with one lr after the other, each twice the last, until the loss ends above the
# start's. A run whose loss passes 10 is given up.

# %%

lrs = 2.0 ** np.arange(-7 if lesson.quick else -9, 2)
steps = 60 if lesson.quick else 200
ends, largest = {}, {}
for name, K in {"backprop": 0, "forward gradient, K = 1": 1, "forward gradient, K = 4": 4}.items():
    ends[name] = []
    for lr in lrs:
        put(net, theta)
        rule = ForwardGradient(K, seed=lesson.seed) if K else Backprop()
        optimizer = mg.SGD(net, lr)
        for _ in range(steps):
            value = rule.estimate(net, loss, x, y)
            if not value < 10:
                break
            optimizer.step()
        ends[name].append(min(value, 10))
        if not value < np.log(10):
            break
    largest[name] = lrs[len(ends[name]) - 2]
    print(f"{name:>24}: largest lr that learns {largest[name]:.4f}, loss {min(ends[name]):.3f}")
lesson.record("loss by lr", {"lr": lrs.tolist()} | ends)
once = "forward gradient, K = 1"
fall = [np.log(10) - ends[name][0] for name in ("backprop", once)]
# a step's fall is about lr d², whose standard deviation is √2 of its mean
bound = 4 * np.sqrt(2 / steps)
ratio = fall[1] / fall[0]
lesson.expect("smallest lr: fall, forward / backprop", ratio, equal=1, tolerance=bound)
price = largest["backprop"] / largest[once]
lesson.expect("largest lr, backprop / forward", price, at_least=rank / 2, at_most=n / 16)
figure = plots.curves(
    {name: (lrs[: len(end)], end) for name, end in ends.items()},
    "At equal lr they do the same; but how large may lr be?",
    xlabel="lr",
    ylabel=f"loss after {steps} steps",
    logx=True,
)
lesson.save(figure, "learning_rates")

# %% [markdown]
# Where forward gradients work at all, one cannot tell them from backprop: on average they do the
# same. It is tempting to conclude that they are as good. At lr 0.0002 the paper's even come out
# ahead, and the notebook, too, gives 0.0002 to both. But backprop idles there: its authors' report
# has it at 0.1. An estimate without bias cannot be faster than the gradient, on average and by
# small steps. Before you compare, give each the lr that is best for it.
#
# And the price here is higher than tr H/λ + 2, if far from n = 25,450. The law has H fixed. But a
# step has the length lr |d| |v|, with |v| = √n = 160: long enough to leave the ground for which H
# was computed.
#
# ## 5. Down two valleys
#
# Beale's function and Rosenbrock's, as in the paper's Fig. 2: from (0, 0.5), 1000 steps of 0.01;
# and from (-1, 0), 25,000 steps of 0.0005. At their minima (lesson 03: a ravine) λ is 49 and 1002,
# and tr H hardly more, so the limits of K = 1 are 0.0136 and 0.00067. Well chosen!
#
# (The notebook's helper `optimize` returns the parameters from *before* its last step, and its
# losses lag one behind. Here heights[t] is the height of path[t].)
#
# How far may the ends scatter? On the valley's floor a step of backprop takes a share r off the
# height, a forward gradient's about r v², of mean r and variance 2 r². The slope across the valley
# kicks it along as well: at lr λ = 1/2 that adds another r². So ln f scatters about backprop's with
# the variance 3 Σ r², and r can be read off from backprop's own heights.

# %%


def staggered(name, lr, steps, run):
    """The path down a surface by forward gradients, and the heights along it."""
    model, rule = at(SURFACES[name]), ForwardGradient(seed=1000 * lesson.seed + run)
    return descend(model, rule, mg.SGD(model, lr), steps)


SURFACES = {"Beale": Beale(), "Rosenbrock": Rosenbrock()}
panels = {}
for name, lr, steps, runs in (("Beale", 0.01, 1000, 10), ("Rosenbrock", 0.0005, 25_000, 3)):
    if lesson.quick:
        steps, runs = 1000, runs // 3
    surface = SURFACES[name]
    model = at(surface)
    path, heights = descend(model, Backprop(), mg.SGD(model, lr), steps)
    falls = [lesson.kept(staggered, name, lr, steps, run) for run in range(runs)]
    forward = np.array([heights for _, heights in falls])
    last = forward[:, -1]
    r = -np.diff(np.log(heights[300:]))  # by then it is in the valley
    scatter = np.sqrt(3 * (r**2).sum())
    print(f"\n{name}: f = {heights[0]:.1f}, after {steps} steps of backprop {heights[-1]:.3g}")
    print(f"  of forward gradients, {runs} runs: {last.min():.3g} to {last.max():.3g}")
    lesson.record(
        f"{name}: heights at the end", {"backprop": heights[-1], "forward": last.tolist()}
    )
    if lesson.quick:  # too short for Rosenbrock's valley
        lesson.expect(f"{name}: f / f at the start", last.max() / heights[0], at_most=0.1)
    else:
        apart = abs(np.log(last / heights[-1])).max() / scatter
        lesson.expect(f"{name}: |ln f - backprop's| / its scatter", apart, at_most=4)
        known = 5.56e-5 if name == "Beale" else 5.32e-6
        lesson.expect(f"{name}: backprop's f", heights[-1], equal=known, tolerance=known / 500)
    figure = plots.surface_paths(
        surface,
        {"forward gradient": falls[0][0], "backprop": path},
        f"{name}: forward gradients stagger down the same valley",
    )
    lesson.save(figure, name.lower())
    shown = np.unique(np.geomspace(1, steps + 1, 400).astype(int)) - 1
    panels[f"step, {name}'s function"] = {
        "backprop": (shown, heights[shown]),
        "forward gradient, median": (shown, np.median(forward, axis=0)[shown]),
        "forward gradient, lowest": (shown, forward.min(axis=0)[shown]),
        "forward gradient, highest": (shown, forward.max(axis=0)[shown]),
    }
figure = plots.beside(panels, "On average a forward gradient is as fast, at this lr", "f")
lesson.save(figure, "heights")

# %% [markdown]
# ## 6. Not even a jvp
#
# A slope can also be had from values alone: (L(θ + εv) - L(θ)) / ε, or central, (L(θ + εv) -
# L(θ - εv)) / 2ε. But how large is ε? The first errs by ε/2 vᵀHv, the second by ε² and a third
# derivative. Both subtract numbers that are nearly equal, and lose about u L/ε, where u = 6e-8 in
# float32 and 1e-16 in float64. So there is a best ε in between. Rules with equal seeds take equal
# directions: what differs is how the slope is found.

# %%

epsilons = np.geomspace(1e-11, 1e-1, 11 if lesson.quick else 31)
lines, dots = {}, {}
print("\nmedian relative error of the slope along 8 directions, at the automatic ε")
for dtype in ("float32", "float64"):
    net, inputs = network(dtype), to_device(images.astype(dtype))

    def slopes(net=net, inputs=inputs, **options):
        rule = ForwardGradient(8, seed=lesson.seed, **options)
        rule.estimate(net, loss, inputs, y)
        return np.array(rule.derivatives)

    exact = slopes()
    for scheme in ("one-sided", "central"):
        how, name = {"mode": "finite-difference", "scheme": scheme}, f"{dtype}, {scheme}"
        *errors, automatic = (
            float(np.median(abs(slopes(epsilon=epsilon, **how) / exact - 1)))
            for epsilon in [*epsilons, None]
        )
        lines[name] = epsilons, errors
        dots[name] = default_epsilon(list(net.params.values()), scheme), automatic
        print(f"{name:>19}: ε = {dots[name][0]:.1e}, error {automatic:.1e}, best {min(errors):.1e}")
        lesson.record(f"error of {name} differences", {"step": epsilons.tolist(), "error": errors})
        bound = {"float32": 0.05, "float64": 1e-4 if scheme == "one-sided" else 1e-6}[dtype]
        lesson.expect(f"{name}: error at the automatic step", automatic, at_most=bound)
        sides = min(errors[0], errors[-1]) / automatic
        lesson.expect(f"{name}: error at 1e-11 and 0.1 / automatic", sides, at_least=2)
figure = plots.curves(
    lines,
    "A long step is not straight, a short one drowns in rounding",
    xlabel="ε",
    ylabel="relative error of the slope",
    logx=True,
    dots=("the automatic step", dots),
    outside=True,
)
lesson.save(figure, "differences")

# %% [markdown]
# The automatic ε is √u |θ|/|v|, for central differences in float64 u^(1/3) |θ|/|v|. In float32 both
# schemes find a slope to a few in a thousand, good enough along a direction that is random anyway.
# In float64 the automatic ε is some ten times shorter than the best, which costs digits that nobody
# needs. At the far left θ + εv is θ again, in float32: slope 0, error 1. The cliff of the fourth
# line is ReLU's: beyond it some unit changes sides on the way, and no formula with derivatives
# holds.
#
# ## 7. A guess is better than chance
#
# Nobody says that v must be random. Take any guess u at the gradient, and go along it as far as the
# slope says: g = (∇L · u) u / |u|². That is the gradient's projection on u. It is the same for u,
# -u and 100 u, and never points uphill. Its cosine with the gradient is as good as the guess, where
# a random direction has 1/√n. What it loses: on average it is no longer the gradient.
#
# Lesson 09's synthetic gradients are guesses. We spoil them, times -10, and let them guess all the
# same. lr is 1/8; for K = 1 half of the largest one that it bore.


# %%
class Spoilt(SyntheticGradients):
    """Synthetic gradients, turned round and ten times too long."""

    def estimate(self, model, loss, x, target):
        value = super().estimate(model, loss, x, target)
        for _, leaf in model.leaves():
            leaf.grads = {name: -10 * grad for name, grad in leaf.grads.items()}
        return value


net, steps, series, cosines = network(), 100 if lesson.quick else 300, {}, {}
along, spoilt = "forward gradient along a guess", "forward gradient along a spoilt guess"
rules = {
    "backprop": Backprop(),
    along: ForwardGradient(guide=SyntheticGradients(net, seed=lesson.seed)),
    spoilt: ForwardGradient(guide=Spoilt(net, seed=lesson.seed)),
    once: ForwardGradient(seed=lesson.seed),
    "synthetic gradient, spoilt": Spoilt(net, seed=lesson.seed),
}
print(f"\n{'':38}{'last loss':>10}{'cosine, mean':>14}{'smallest':>10}")
for name, rule in rules.items():
    put(net, theta)
    optimizer = mg.SGD(net, largest[once] / 2 if name == once else 0.125)
    values, cosines[name] = [], []
    for _ in range(steps):
        true = gradient(net)
        values.append(rule.estimate(net, loss, x, y))
        if not values[-1] < 10:
            break
        cosines[name].append(cosine(flat(net.grads), true))
        optimizer.step()
    mean, least = np.mean(cosines[name]), min(cosines[name])
    print(f"{name:38}{values[-1]:10.3f}{mean:14.3f}{least:10.3f}")
    series[name] = range(len(values)), values
lesson.record("loss with a guess", {name: values for name, (_, values) in series.items()})
last = {name: values[-1] for name, (_, values) in series.items()}
lesson.expect("along a guess: smallest cosine", min(cosines[along]), at_least=0)
lesson.expect("along a guess: mean cosine · √n", np.mean(cosines[along]) * n**0.5, at_least=10)
same = last[spoilt] / last[along]
lesson.expect("last loss, along a spoilt guess / a guess", same, equal=1, tolerance=1e-3)
worse = last[along] / last[once]
lesson.expect("last loss, along a guess / K = 1", worse, at_most=1 if lesson.quick else 0.5)
lesson.expect("loss of the spoilt guess itself", last["synthetic gradient, spoilt"], at_least=3)
del series[spoilt]  # lies on the other
figure = plots.curves(series, "With the slope along it even a bad guess leads down")
lesson.save(figure, "guess")

# %% [markdown]
# ## What to remember
#
# - A jvp is the slope in one direction. It comes along with the forward pass, exact, at the price
#   of two more, and nothing is kept.
# - d v is right on average and wrong each time: its variance is about n |∇L|²/K.
# - What limits the step is the curvature that chance leads into, tr H/K, and not n.
# - At an lr small enough all gradients without bias look alike. Compare at each one's best.
# - A slope by differences needs no derivative at all, but the right ε. A direction need not be
#   random.
#
# ## Exercises (copy `lessons/exercises/11_forward_gradients.py`, fill it in, run it)
#
# 1. Let value and speed go forward through a network with tanh and a squared error.
# 2. Which lr is the largest for a given H and K? The check draws forward gradients and looks
#    whether the mean loss falls.
# 3. From a guess u, and a function that gives the slope along any direction, make the estimate of
#    section 7. What if u is 0?

# %%

lesson.finish()
