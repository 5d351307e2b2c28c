"""07 Deep networks

Question: what goes wrong with many layers, or with few examples, and what helps?
You need: lessons 01 to 06.
You will build: starts for deep networks, four remedies for learning by heart, batch normalisation.
Time: 1 min on MNIST or the embedded digits, on one core
Source: Hochreiter 1991; Krogh, Hertz 1992; LeCun et al. 1998, "Efficient backprop"; Glorot, Bengio
2010; Srivastava et al. 2014; He et al. 2015; Ioffe, Szegedy 2015; Yang et al. 2019.
"""

# %% [markdown]
# # 07 Deep networks
#
# Many layers can compute more than few. But signals must get through them all, and gradients must
# get back. And a large network can learn its examples by heart. We measure both and what helps.
#
# | name | shape | meaning |
# |---|---|---|
# | $h_l$ | (B, n) | output of hidden layer l = 1 ... L, of n units, for B images; $h_0$: images |
# | $z_l$ | (B, n) | $z_l = h_(l-1) W_l + b_l$ and $h_l = f(z_l)$, with the activation f |
# | $dh_l$ | (B, n) | the gradient of the loss for $h_l$ |
# | spread | | of an array: the root of its mean square, $√(E[a²])$; `E[...]` is a mean |
# | `c` | | of a start: each weight has mean 0 and spread $c/√n$, n the inputs of its unit |

# %%
import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate

lesson = start("07_deep_networks", __doc__)
train, test = lesson.data()
test = test.take(min(2000, len(test)))
seeds = range(lesson.seed, lesson.seed + (3 if lesson.quick else 6))
loss, backprop = mg.CrossEntropyLoss(), mg.rules.Backprop()


def some_images(seed, count):
    """Training images, drawn at random. Each seed has its own."""
    return train.take(np.random.default_rng(seed).permutation(len(train))[:count])


# %% [markdown]
# ## 1. The start
#
# A unit adds up n products, $z = Σᵢ hᵢ wᵢ$. With random weights of mean 0 most of them cancel:
#
# $$ E[z²] = n · (c²/n) · E[h²] = c² E[h²] $$
#
# So z is c times as large as h, for any n. ReLU then sets half of the z to 0, which takes away half
# of the mean square. Each layer multiplies the spread by $c/√2$. The way back has the same factor:
# dh goes through W as h does, and ReLU stops half of it. The start that keeps the spread is c = √2
# (He). Without ReLU it is c = 1 (LeCun). This library's own start has $c = 1/√3$, like PyTorch's.
# `mg.diagnostics.spreads` goes forward and back once, and notes the spread of each h and each dh.


# %%
L, STARTS = 20, {"c = 1/√3": 1 / np.sqrt(3), "c = 1": 1, "c = √2": np.sqrt(2), "c = 2": 2}


def network(depth, n, seed, c, activation="relu", **options):
    """`depth` hidden layers of n units. Each weight has mean 0 and spread c/√inputs; no biases."""
    net = mg.models.mlp((784, *[n] * depth, 10), activation, bias=False, seed=seed, **options)
    for layer in net.layers:
        if isinstance(layer, mg.Linear):  # W is from U(-1/√inputs, 1/√inputs): spread 1/√(3 inputs)
            layer.params["W"] *= float(c * np.sqrt(3))
    return net


def relative_spreads(net, seed):
    """(up, down), each (L,): the spreads of h and of dh, relative to where each way begins."""
    images = some_images(seed, 100)
    _, up, down = mg.diagnostics.spreads(net, loss, to_device(images.x), to_device(images.y))
    return up / up[0], down / down[-1]


def both_ways(c, **options):
    """(up, down), each (seeds, L), of untrained networks with L layers of 100 units."""
    runs = [relative_spreads(network(L, 100, seed, c, **options), seed) for seed in seeds]
    return np.swapaxes(runs, 0, 1)


def factors(ways):
    """The factor of one layer, up and down, for each seed."""
    return ways[0][:, -1] ** (1 / (L - 1)), ways[1][:, 0] ** (1 / (L - 1))


# %%
found = {name: both_ways(c) for name, c in STARTS.items()}
theory = {name: (c / np.sqrt(2), c / np.sqrt(2)) for name, c in STARTS.items()}
print("\nReLU, untrained: the factor of the spread in each layer")
for name in STARTS:
    up, down = (f"{f.mean:.3f} ± {f.half:.3f}" for f in map(estimate, factors(found[name])))
    print(f"  {name:9} theory {theory[name][0]:.3f}; up {up}, down {down}")
title = "ReLU, untrained: signals and gradients vanish, stay or explode"
lesson.save(plots.through_layers(found, theory, title), "spread")

# %% [markdown]
# ## 2. Depth
#
# A sigmoid is worse. Its slope h (1 - h) is at most 1/4, so each layer multiplies the spread of dh
# by at most about $c/4$. The first layers get next to no gradient. A larger learning rate is no way
# out: all layers share it, and the last one's gradient is as large as ever. We train networks of 1
# to 16 hidden layers. Before that we measure how much of the spread of dh is left in the first one.

# %%
DEPTHS = (1, 4, 8) if lesson.quick else (1, 2, 4, 8, 16)
KINDS = {"ReLU, c = 1/√3": ("relu", 1 / np.sqrt(3)), "sigmoid, c = 1": ("sigmoid", 1)}
KINDS["ReLU, c = √2"] = ("relu", np.sqrt(2))
passes = lesson.epochs(usual=20, quick=10)


def learn(net, seed):
    """Train on a thousand images. Returns the test accuracy in %."""
    sgd, images = mg.SGD(net, lr=0.02), some_images(seed, 500 if lesson.quick else 1000)
    options = {"epochs": passes, "batch_size": 20, "evaluate_every": passes, "seed": seed}
    return 100 * lesson.fit(net, loss, backprop, sgd, images, test, **options).test_accuracy[-1]


left, reads = {}, {}  # of each kind: (seeds, depths)
for name, (activation, c) in KINDS.items():
    nets = [(seed, [network(d, 64, seed, c, activation) for d in DEPTHS]) for seed in seeds]
    left[name] = [[relative_spreads(net, seed)[1][0] for net in row] for seed, row in nets]
    reads[name] = np.array([[learn(net, seed) for net in row] for seed, row in nets])
deepest = {name: values[:, -1] for name, values in reads.items()}
lead = {name: estimate(deepest["ReLU, c = √2"] - deepest[name]) for name in list(KINDS)[:2]}
for name, points in lead.items():
    print(f"{DEPTHS[-1]} layers: c = √2 reads {points} points more than {name}")
panels = {"spread of dh, first layer / last": left, "test accuracy (%)": reads}
sure = min(points.low for points in lead.values()) > 0
title = "Deep networks learn if gradients arrive" if sure else "Depth: too short to tell"
figure = plots.with_intervals(panels, DEPTHS, title, "hidden layers", log=list(panels)[:1])
lesson.save(figure, "depth")

# %% [markdown]
# ## 3. Learning by heart
#
# Now few images, 270,000 weights, and 30 % of the labels drawn at random. To get those right, a
# network must learn the image by heart. The *validation set* shows it: images with such labels that
# it does not learn from. The labels of the test images are right. Three remedies:
#
# - **Weight decay** adds $λ W$ to dW: each weight shrinks, unless the gradient holds it up.
# - **Dropout** sets each hidden number to 0 with probability p, anew in each step, and multiplies
#   the rest by $1/(1 - p)$. No unit can rely on another. Evaluation drops nothing.
# - **Early stopping** ends after eight epochs with no lower validation loss, with the best weights.

# %%
few, epochs = 200 if lesson.quick else 500, lesson.epochs(usual=40, quick=20)
WAYS = {"plain": {}, "weight decay": {"decay": 0.03}, "dropout": {"p": 0.5}}
WAYS["early stopping"] = {"early_stopping": mg.EarlyStopping(patience=8)}


def by_heart(seed, decay=0.0, p=0.0, **options):
    rng = np.random.default_rng(seed)
    noisy = mg.data.redraw_labels(some_images(seed, 2 * few), 0.3, rng)
    own, validation = noisy.take(slice(few)), noisy.take(slice(few, None))
    net = mg.models.mlp((784, 256, 256, 10), rng=rng)
    net = mg.Sequential(net[:3], mg.Dropout(p, rng=rng), net[3:5], mg.Dropout(p, rng=rng), net[5])
    sgd = mg.SGD(net, 0.05, 0.9, weight_decay=decay, groups={"*.b": {"weight_decay": 0}})
    options |= {"epochs": epochs, "batch_size": 50, "seed": seed, "validation": validation}
    return lesson.fit(net, loss, backprop, sgd, own, test, **options)


runs = {name: [by_heart(seed, **options) for seed in seeds] for name, options in WAYS.items()}

# %%
plain = runs["plain"]
gap = estimate([100 * (h.train_accuracy[-1] - h.validation_accuracy[-1]) for h in plain])
end = estimate([h.validation_loss[-1] for h in plain])
words = end.says("above", "below", "not clearly apart from", than=np.log(10))
print(f"\nplain training gets {gap} points more labels right on its own images than on others")
print(f"its validation loss ends at {end.mean:.2f} ± {end.half:.2f}, {words} ln 10, a guess's loss")
sets = "train", "validation"
panels = {k: {s: [vars(h)[f"{s}_{k}"] for h in plain] for s in sets} for k in ("loss", "accuracy")}
title = gap.says("It learns by heart", "No learning by heart", "Too short to tell")
lesson.save(plots.bands(panels, plain[0].epoch, f"{title}: {gap} points apart"), "by_heart")
right = {k: [100 * h.test_accuracy[(h.best_epoch or 0) - 1] for h in v] for k, v in runs.items()}
gains = {name: np.subtract(right[name], right["plain"]) for name in list(WAYS)[1:]}
gain = {name: estimate(values) for name, values in gains.items()}
for name, points in gain.items():
    print(f"{name:14} {points} points: {points.says('better than plain', 'worse than plain')}")
better = ", ".join(name for name, points in gain.items() if points.low > 0)
ends = {name: (points.low, points.high) for name, points in gain.items()}
title = f"Better than plain: {better}" if better else "Too short to tell"
figure = plots.intervals(gains, title, "test accuracy above plain, points (95 %, t)", ends)
figure.axes[0].axvline(0, color="black", linewidth=1, linestyle=":")
lesson.save(figure, "remedies")

# %% [markdown]
# ## 4. Batch normalisation
#
# If the spread must be right in each layer, set it there. Before each activation, a unit has B
# numbers x, one for each image. Let μ be their mean and σ² their variance:
#
# $$ x_hat = (x - μ)/s,  s = √(σ² + ε),  y = γ x_hat + β $$
#
# γ and β are learned, ε = 0.00001 keeps s from 0. Let $dx_hat$ be the gradient for $x_hat$. The way
# to dx has a trap: μ and s depend on x too. If all B numbers move alike, μ moves with them. If each
# goes in proportion to its $x_hat$, s grows. Neither changes $x_hat$, so dx has neither part:
#
# $$ dx = (dx_hat - mean(dx_hat) - x_hat · mean(dx_hat · x_hat)) / s $$
#
# The means are over the batch. So a result depends on its company. In evaluation it must not: there
# μ and σ² are constants, running means of those in training, and $dx = dx_hat / s$.


# %%
def normalise(x, eps=1e-5):
    s = np.sqrt(x.var(axis=0) + eps)
    return (x - x.mean(axis=0)) / s, s


def normalise_backward(dx_hat, x_hat, s):
    return (dx_hat - dx_hat.mean(axis=0) - x_hat * (dx_hat * x_hat).mean(axis=0)) / s


for company in ([1.0, 5.0], [30.0, 60.0]):
    print(f"3 in the company of {company}: {normalise(np.array([3.0, *company]))[0][0]:+.2f}")
x, dx_hat = np.random.default_rng(lesson.seed).standard_normal((2, 8, 3))
layer = mg.BatchNorm1d(3, affine=False, dtype="float64")
x_hat, s = normalise(x)
pairs = {"y": (x_hat, layer.forward(to_device(x)))}
pairs["dx"] = normalise_backward(dx_hat, x_hat, s), layer.backward(to_device(dx_hat))
print(same := mg.gradcheck.compare(pairs, rtol=1e-9, title="by hand against the layer"))

# %% [markdown]
# In the twenty layers c does not matter now: s takes it out. Up, the spread stays. Down, it grows:
# s leaves the mean out, so it is smaller than the spread of z. For wide layers with ReLU the factor
# is $√(π/(π - 1)) = 1.21$. Still deeper networks have *residual blocks*: exercise 3.

# %%
NORM = "c = 1/√3, batch norm"
found[NORM] = both_ways(STARTS["c = 1/√3"], batch_norm=True)
theory[NORM] = (1, np.sqrt(np.pi / (np.pi - 1)))
up, down = factors(found[NORM])
print(f"\nbatch norm: the factor of dh is {down.mean():.3f}, in theory {theory[NORM][1]:.3f}")
shown = {name: found[name] for name in ("c = 1/√3", NORM, "c = √2", "c = 2")}
title = "With batch norm signals stay, and gradients grow slowly on the way back"
lesson.save(plots.through_layers(shown, theory, title), "batch_norm")
nets = [(s, network(DEPTHS[-1], 64, s, 1 / np.sqrt(3), batch_norm=True)) for s in seeds]
normed = estimate([learn(net, seed) for seed, net in nets] - deepest["ReLU, c = 1/√3"])
print(f"{DEPTHS[-1]} layers: with batch norm c = 1/√3 reads {normed} points more than without")

# %% [markdown]
# ## What to remember
#
# - L layers multiply a spread by the L-th power of a layer's factor. ReLU's start is c = √2.
# - A sigmoid's slope is at most 1/4: through many of them no gradient arrives.
# - A low training loss says nothing about other images. A validation set does.
# - Batch norm sets the spread in each layer. Its derivative goes through μ and s, too.
#
# ## Exercises (copy `lessons/exercises/07_deep_networks.py`, fill it in, run it)
#
# 1. A leaky ReLU multiplies what is below 0 by a. Which c keeps the spread?
# 2. Layer norm takes μ and σ² over the features of each example. Write it with its derivative.
# 3. A residual block is $y = x + α f(x)$: x goes on beside f. Which α nearly keeps the spread?
#
# ## What this run must show

# %%
for way, values in zip(("up", "down"), factors(found["c = √2"]), strict=True):
    lesson.expect(f"c = √2: factor {way}", values.mean(), equal=1, tolerance=0.03)
lesson.expect("batch norm: factor down", down.mean(), equal=theory[NORM][1], tolerance=0.02)
lesson.expect("batch norm by hand = the layer", bool(same), equal=1)
arrives = np.mean(left["sigmoid, c = 1"], axis=0)[-1] ** (1 / (DEPTHS[-1] - 1))
lesson.expect("sigmoid: factor of dh", arrives, at_least=0.2, at_most=0.25)
if lesson.options.epochs is None:  # with --epochs a run may be too short
    for name, points in {**lead, "no batch norm": normed}.items():
        lesson.expect(f"deepest networks: points more than {name}", points.mean, at_least=55)
    lesson.expect("by heart: points apart", gap.mean, at_least=15 if lesson.quick else 30)
lesson.record({"reads": reads, "left": left, "deepest": deepest, "right": right, "gains": gains})
lesson.finish()
