"""12 Forward networks

Question: can a network of two million weights learn without a backward pass, and at what price?
You need: lessons 03, 05 and 11.
You will build: noise on activities by hand; a fair comparison; a reader that never went backward.
Time: 7 min on one core on MNIST, 3 s on the embedded digits with --quick
Source: Baydin et al. 2022; noise on activities: Ren et al. 2023; the network: Rike, Førland 2022.
"""

# %% [markdown]
# # 12 Forward networks
#
# Lesson 11 had the forward gradient: draw a direction v for all weights at once, carry the tangent
# forward beside the activations, read the slope d of the loss at the end, and step by d v. Nothing
# runs backward. But its noise grows with the number of weights. Is there a better place for it?
#
# | name | shape | meaning |
# |---|---|---|
# | `n`, `N` | | the number of weights; of images in a batch |
# | `h`, `z` | (N, width) | what goes into a layer, and its output h W + b before the ReLU |
# | `v` | as all weights | noise on the weights: one direction for the whole batch |
# | `ε` | (N, width), for each layer | noise on the activities z: each image has its own |
# | `d_n` | (N,) | each image's slope: how fast its loss `L_n` rises along its noise |
# | `K`, η | | directions for an estimate; the learning rate |

# %%
from math import pi, sqrt

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device, to_host
from minigrad.lesson import start
from minigrad.rules import Backprop, DirectionSampler, ForwardGradient

lesson = start("12_forward_networks", __doc__)
everything, test = lesson.data(n_quick=600)
train, validation = everything.split(len(everything) // 6, seed=lesson.seed)
loss = mg.CrossEntropyLoss()
full = lesson.mnist and not lesson.quick
BATCH = 64 if full else 16
ACTIVITIES = {"perturb": "activities"}


def fresh():
    """784-1024-1024-10, always from the same start; --quick takes a small one."""
    width = 64 if lesson.quick else 1024
    return mg.models.mlp((784, width, width, 10), seed=lesson.seed)


# %% [markdown]
# ## 1. One step by hand
#
# Noise goes up through the network as any tangent does. The tangent z_dot of a layer has two parts.
# One comes from below: it passes the ReLU where z > 0, and is multiplied by W. The other is the
# layer's *own* part. It is h V + c if the weights move along V and c (lesson 11). It is ε if the
# activities move. Then each image has a slope of its own, and from that an estimate:
#
# $$ d_n = ∂L_n/∂z_n · z_dot_n $$
# $$ dz_hat_n = d_n ε_n / N $$
# $$ dW_hat = hᵀ dz_hat $$
#
# In the first line z are the logits. The other two hold for each layer, with the same d_n. Nothing
# runs backward through the network: beside d_n a layer needs only what it has.

# %%
net = fresh()
x, y = to_device(train.x[:BATCH]), to_device(train.y[:BATCH])
p = net.state_dict()
h, z = [train.x[: len(x)].reshape(len(x), -1)], []  # each layer's input and output
for i in (1, 3, 5):
    z.append(h[-1] @ p[f"{i}.W"] + p[f"{i}.b"])
    h.append(np.maximum(z[-1], 0))
loss.forward(to_device(z[-1]), y)
error = len(x) * to_host(loss.backward())  # ∂L_n/∂z_n at the logits: softmax minus one-hot

drawn = [to_device(np.empty_like(a)) for a in z]
DirectionSampler("normal", lesson.seed).fill(drawn, step=1, k=0)  # as the rule draws it
noise = [to_host(a) for a in drawn]
z_dot = noise[0]
for i in (1, 2):
    z_dot = (z_dot * (z[i - 1] > 0)) @ p[f"{2 * i + 1}.W"] + noise[i]
d = (error * z_dot).sum(axis=1)
dW_hat = h[0].T @ (d[:, None] * noise[0]) / len(x)

ForwardGradient(1, seed=lesson.seed, **ACTIVITIES, active=False).estimate(net, loss, x, y)
apart = abs(to_host(net.grads["1.W"]) - dW_hat).max() / abs(dW_hat).max()
print(f"noise on activities: by hand and by the library, relative difference {apart:.1e}")

# %% [markdown]
# The library knows two refinements. `active` (the default): no noise where a ReLU is off, since
# ∂L/∂z is 0 there. `layerwise`: one layer is moved at a time, so that its d_n does not hear the
# noise of the others.
#
# ## 2. How good is one estimate?
#
# Neither kind of noise gives a bias. But how much do estimates scatter? We measure the variance,
# relative to |∇L|², and the cosine with ∇L, at the fresh weights. For noise on weights lesson 11
# has formulas: for K = 1 the variance is n + 1, and the cosine is about √(2/(π n)).


# %%
def measured(x, y, times, **options):
    """(variance / |∇L|², cosine with ∇L): means over some estimates. No bias: error = variance."""
    rule = ForwardGradient(1, seed=lesson.seed, **options)
    found = mg.diagnostics.quality(rule, net, loss, x, y, times, lesson.seed).total
    return found.error, found.cosine


n, units = sum(a.size for a in net.params.values()), sum(a.shape[1] for a in z)
times, spread = (8 if lesson.quick else 64), {}
print(f"\nn = {n:,} weights, {units:,} units, {len(x)} images")
print(f"{'noise on':26}{'variance':>12}{'cosine':>10}")
print(f"{'weights, by the formulas':26}{n + 1:12,}{sqrt(2 / (pi * n)):10.5f}")
for label, options in (
    ("weights", {}),
    ("activities, all units", ACTIVITIES | {"active": False}),
    ("activities, active units", ACTIVITIES),
    ("activities, layerwise", ACTIVITIES | {"layerwise": True}),
):
    spread[label], cosine = measured(x, y, times, **options)
    print(f"{label:26}{spread[label]:12,.0f}{cosine:10.5f}")

# %% [markdown]
# Noise on activities gives a much smaller variance, for two reasons. There are fewer units than
# weights, so the noise has fewer dimensions. And each image has its own noise, so the errors of N
# images average out. If all images share one v, its error stays, however large the batch:

# %%
sizes = [16, 64, 256] if lesson.quick else [16, 64, 256, 1024]
lines = {"forward gradient, noise on weights": [], "noise on activities": []}
for N in sizes:
    some = train.take(N).placed(x)
    for label, options in zip(lines, ({}, ACTIVITIES | {"layerwise": True}), strict=True):
        lines[label].append(measured(some.x, some.y, 16, **options)[0])
fall, stays = (values[0] / values[-1] for values in reversed(lines.values()))
title = f"{sizes[-1] // sizes[0]} times the images divide the variance\n"
title += f"by {fall:.1f} (noise on activities) or by {stays:.1f} (on weights)"
lines = {label: (sizes, values) for label, values in lines.items()}
labels = {"xlabel": "images in the batch", "ylabel": "variance / |∇L|²", "logx": True}
lesson.save(plots.curves(lines, title, **labels), "variance")

# %% [markdown]
# ## 3. Noise adds up: the spiral, and clipping
#
# Noise that changes nothing now stays in the weights. They walk at random, and grow. So the slopes
# d grow, and the next steps are longer still. To *clip* means to cut d off at ±1. That is a bias:
# large slopes count too little. But no step is then longer than η |v|, which is about η √n. In the
# figure a loss above 100 counts as 100. A run that is lost stops there.

# %%
ETA, series, last = (0.006 if lesson.quick else 2e-3), {}, {}
epochs = lesson.epochs(usual=1 if full else 10, quick=8)
for label, clip in (("forward gradient, clipped", 1), ("not clipped", None)):
    model, rule = fresh(), ForwardGradient(1, seed=lesson.seed, clip=clip)
    options = {"epochs": epochs, "batch_size": BATCH}
    history = lesson.fit(model, loss, rule, mg.SGD(model, ETA), train, **options)
    losses = np.nan_to_num(history.step_loss, nan=100).clip(max=100)
    first = len(losses) % 10  # left out: points are means of ten steps
    means = losses[first:].reshape(-1, 10).mean(axis=1)
    series[label], last[label] = (np.arange(first + 10, len(losses) + 1, 10), means), means[-1]
    print(f"η = {ETA:g}, {label}: the loss ends at {last[label]:.4g}")
ends = list(last.values())  # at most 100
title = f"The loss ends at {ends[0]:.3g} if slopes are clipped, else at {ends[1]:.3g}"
lesson.save(plots.curves(series, title, ylabel="training loss"), "clipping")

# %% [markdown]
# ## 4. A fair comparison
#
# Equal learning rates compare nothing: what is right for one method is far too small for another.
# So each method gets a few trials, each with twice the rate of the last, and all have the same
# budget, in *forward passes*. A step of backprop costs 3, of K directions 1 + 2K, of noise on
# activities 2 + K. In a trial the rate falls to 0 along a line. The best trial of a method counts.
# A run that is lost counts as 100 again. If the best trial is the first or the last on its line in
# the figure, another rate might be better still.

# %%
METHODS = {  # how the rule is made, the smallest rate
    "backprop": (Backprop, 0.128),
    "noise on activities": (
        lambda: ForwardGradient(1, **ACTIVITIES, layerwise=True),
        0.032 if full or lesson.quick else 0.008,
    ),
    "forward gradient, K = 1": (lambda: ForwardGradient(1, clip=1), 1e-3),
    "forward gradient, K = 16": (lambda: ForwardGradient(16, clip=1), 1.6e-2),
}
PASSES, TRIALS = (200, 2) if lesson.quick else (1800, 4)


def trained(rule, eta, epochs, data, batch_size=BATCH, every=1):
    """(network, history): plain descent, with a rate that falls to 0."""
    model = fresh()
    optimizer, steps = mg.SGD(model, eta), epochs * -(-len(data) // batch_size)
    options = {"epochs": epochs, "batch_size": batch_size, "evaluate_every": every}
    options["schedule"] = mg.LinearLR(optimizer, 1, 0, steps, per="step")
    return model, lesson.fit(model, loss, rule, optimizer, data, validation, **options)


# %%
tried, best = {}, {}
print(f"\n{'':26}{'η':>8}{'steps':>7}{'validation loss':>17}{'accuracy':>10}")
for method, (make, least) in METHODS.items():
    etas, losses = [least * 2**i for i in range(TRIALS)], []
    steps = max(1, round(PASSES / make().cost))
    epochs = -(-steps * BATCH // len(train))
    data = train.take(steps // epochs * BATCH)
    for eta in etas:
        history = trained(make(), eta, epochs, data, every=epochs)[1]
        value, right = (history.test_loss or [100])[-1], (history.test_accuracy or [0])[-1]
        losses.append(min(100, value))  # a run that was lost has none: 100
        if losses[-1] == min(losses):
            best[method] = [eta, len(history.step_loss), losses[-1], right]
    tried[method] = etas, losses
    eta, steps, value, accuracy = best[method]
    print(f"{method:26}{eta:8.3g}{steps:7,}{value:17.3f}{accuracy:10.4f}")
title = f"After {PASSES:,} forward passes: {min(best, key=lambda m: best[m][2])} is lowest"
labels = {"xlabel": "learning rate η", "ylabel": "validation loss", "logx": True}
lesson.save(plots.curves(tried, title, **labels), "search")

# %% [markdown]
# More directions cost more, and allow a larger rate. Does one make up for the other? (One seed.)
#
# ## 5. A digit reader without a backward pass
#
# How far does it go? We take noise on the activities, one direction, layer by layer. Backprop runs
# beside it, for three epochs only: compare how long each takes to come to the same error.

# %%
epochs, runs, read = lesson.epochs(usual=20, quick=12), {}, {}
for label, eta, longest in (("backprop", 0.1, 3), ("noise on activities", 0.05, epochs)):
    rule = METHODS[label][0]()
    model, history = trained(rule, eta, min(epochs, longest), train, 2 * BATCH)
    read[label] = 100 * mg.evaluate(model, loss, test)[1]
    errors = [100 * (1 - right) for right in history.test_accuracy]
    runs[label] = (seconds := np.cumsum(history.seconds)), errors
    length = f"{len(errors):3} epochs, {seconds[-1]:.2f} s"
    print(f"{label:20}{length}: {read[label]:.1f} % of the test digits read right")
title = f"No backward pass: {read['noise on activities']:.1f} % of the test digits read right"
lesson.save(plots.curves(runs, title, "seconds of training", "validation error, %"), "reader")

# %% [markdown]
# It needs more steps. But no layer ever sent anything down. A published notebook compares the two:
# `minigrad run forward_notebook`.
#
# ## What to remember
#
# - Noise on weights: no bias, but a variance of n |∇L|². So learning is slow.
# - Put the noise where there are few dimensions and an average over images: on the activities.
# - Noise that costs nothing now still adds up in the weights. Clipping ends the spiral.
# - Give each method its own rate, found by the same number of trials at the same price.
#
# ## Exercises (copy `lessons/exercises/12_forward_networks.py`, fill it in, run it)
#
# 1. Mend a published test loop: the mean loss over all images, whatever the batches.
# 2. Write noise on activities for one linear layer; its mean over all signs is the gradient.
# 3. Which K pays best? The largest stable rate, divided by what a step costs, is to be largest.
#
# ## What this run must show

# %%
usual = full and lesson.options.epochs is None  # else there are fewer bounds
lesson.expect("noise on activities: by hand and by the rule, relative", apart, at_most=1e-3)
off = abs(spread["weights"] / (n + 1) - 1) / sqrt(2 / times)
lesson.expect("weights: variance, off by standard errors", off, at_most=4)
gain = spread["weights"] / spread["activities, layerwise"]
lesson.expect("weights' variance / activities'", gain, at_least=100 if lesson.quick else 1000)
lesson.expect("activities: variance falls with the batch", fall, at_least=2 if lesson.quick else 3)
behind = best["forward gradient, K = 1"][2] - best["noise on activities"][2]
lesson.expect("K = 1 - activities: loss", behind, at_least=0.7 if usual else 0)
if usual:
    lesson.expect("not clipped / clipped: last loss", np.divide(*ends[::-1]), at_least=5)
    lesson.expect("noise on activities: accuracy, %", read["noise on activities"], at_least=95)
lesson.record({"variance / |∇L|²": spread, "rates and losses": tried, "best": best, "read": read})
lesson.finish()
