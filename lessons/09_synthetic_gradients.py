"""09 Synthetic gradients

Question: can a layer learn before it knows its gradient, from a prediction of it?
You need: lessons 01, 04 and 05; least squares, eigenvalues of a symmetric matrix.
You will build: a small module that predicts the gradient at a hidden layer; a network that learns
from its predictions, with and without the label.
Time: 2 min on one core on MNIST (--full: 4 min), 4 s on the embedded digits with --quick
Source: Jaderberg et al. 2016 (DNI), §2; Czarnecki et al. 2017.
"""

# %% [markdown]
# # 09 Synthetic gradients
#
# In backprop a layer waits. It has done its forward pass. Now all layers above do theirs. Then they
# go backward, one after another. Only then does the layer get its gradient. In a network of ten
# layers the first one waits for eighteen such passes.
#
# A *synthetic gradient* ends the waiting. Beside the layer sits a small *module*. It sees the
# layer's output h at once, and predicts what ∂L/∂h will be. The layer steps with the prediction.
# The true gradient comes later, and the module learns from it.
#
# | name | shape | meaning |
# |---|---|---|
# | `x`, `y` | (N, 784), (N,) | the N images of a batch, and their labels |
# | `h` | (N, 100) | output of block 1: relu(x W1 + b1) |
# | `z`, `p` | (N, 10) | output of block 2: logits h W2 + b2; p = softmax(z) |
# | `L` | | the loss: the mean cross-entropy of the N images |
# | `dh`, `dz` | as h, z | true gradients ∂L/∂h and ∂L/∂z |
# | `A`, `c` | (100, 100), (100,) | the parameters of the module |
# | `dh_hat` | (N, 100) | its prediction of dh: (h A + c)/N |
# | `η`, `slr` | | learning rates: η of the network, `slr` of the module |

# %%

from functools import partial

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device, to_host
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate
from minigrad.rules import Backprop, GradientModule, SyntheticGradients, split
from minigrad.rules.synthetic.best_linear import best_linear

lesson = start("09_synthetic_gradients", __doc__)
train, test = lesson.data(n_quick=600)
loss = mg.CrossEntropyLoss()
seeds = range(lesson.seed, lesson.seed + (2 if lesson.quick else 4))

# %% [markdown]
# ## 1. Who waits for whom
#
# Follow the numbers. At the left block 1 gets its gradient dh as message 4. At the right it gets
# dh_hat as message 2, whatever happens above. Block 2 sees the loss: it has its true gradient, and
# needs no module. It sends dh to the module when it is ready. (Here everything runs in one process,
# so nothing gets faster yet: that is lesson 10. Here we ask whether it can learn at all.)

# %%

names = ("block 1: W1, b1", "block 2: W2, b2")
lesson.save(plots.blocks(names, ("h", "z"), "What the blocks send", told=True), "blocks")

# %% [markdown]
# ## 2. A module with two numbers
#
# Take one hidden unit and N = 2 images. h is 1 for the first and 3 for the second. Say that N dh
# is -1 and 1. The module predicts N dh by a h + c, and steps down the mean of (a h + c - N dh)²/2.
# Why N dh? L is a mean, so dh has a factor 1/N. N dh has not: it is as large in any batch.

# %%

h, target, a, c, slr = np.array([1.0, 3.0]), np.array([-1.0, 1.0]), 0.0, 0.0, 0.2
print("\nstep       a       c   predicted N dh: -1 and 1 are true")
for step in range(301):
    error = a * h + c - target
    if step in (0, 1, 2, 10, 100, 300):
        print(f"{step:4} {a:7.3f} {c:7.3f}   {a + c:.3f} and {3 * a + c:.3f}")
    a, c = a - slr * (h * error).mean(), c - slr * error.mean()
toy = a, c

# %% [markdown]
# Two images, two numbers: the prediction becomes exact. With more images than numbers the module
# learns what is best on average.
#
# ## 3. One step of a network, by hand
#
# In the network A is a matrix. Block 1 needs the first two lines; the module takes the others.
#
# $$ dh_hat = (h A + c)/N $$
# $$ dW1_hat = xᵀ (dh_hat ∘ [h > 0]) $$
# $$ dA = hᵀ (dh_hat - dh) $$
# $$ A ← A - slr dA $$
#
# The second line is the chain rule with dh_hat in the place of dh: [h > 0] is the derivative of
# relu, and ∘ multiplies element by element. The module's loss is 1/(2N) Σₙ ‖hₙ A + c - N dhₙ‖², so
# dA is the gradient of a Linear layer. c goes the same way, with the sum of dh_hat - dh.

# %%

net = mg.models.gist_mlp(seed=lesson.seed)
rule = SyntheticGradients(net, conditioned=False, optimizer=partial(mg.SGD, lr=slr))
x, y = to_device(train.x[:8]), to_device(train.y[:8])
rule.estimate(net, loss, x, y)  # a module starts at zero and predicts 0; here it learns something

params, module = net.state_dict(), rule.modules[0].trunk.state_dict()
images, A, c = train.x[:8].reshape(8, 784), module["0.W"], module["0.b"]
h = np.maximum(images @ params["1.W"] + params["1.b"], 0)
dh_hat = (h @ A + c) / 8
dW1_hat = images.T @ (dh_hat * (h > 0))
loss.forward(h @ params["3.W"] + params["3.b"], train.y[:8])
dh = loss.backward() @ params["3.W"].T
A_next = A - slr * h.T @ (dh_hat - dh)

rule.estimate(net, loss, x, y)  # the library's step
A_found = rule.modules[0].trunk.state_dict()["0.W"]
dW1_off, A_off = (
    float(abs(ours - found).max() / abs(found).max())
    for ours, found in ((dW1_hat, to_host(net.grads["1.W"])), (A_next, A_found))
)
print(f"\nby hand and by the library: dW1_hat differs by {dW1_off:.0e}, the next A by {A_off:.0e}")

# %% [markdown]
# ## 4. Told the label, or not
#
# For softmax and cross-entropy $N dz = p - y$, with y one-hot here. So the module's target is
#
# $$ N dh = (p - y) W2ᵀ $$
#
# **From h alone?** By least squares the best A is $(hᵀ h)⁻¹ hᵀ N dh = N (hᵀ h)⁻¹ (hᵀ dz) W2ᵀ$, and
# $hᵀ dz$ is dW2. Where block 2 has learned all that it can from h, dW2 is 0, and so is the best A:
# *nothing is left in h* from which dh could be predicted linearly.
#
# **From h and the label?** Then the module knows the part -y W2ᵀ exactly. Only p W2ᵀ is left to
# guess from h. Such a module is called *conditioned*, cDNI; one that sees h alone is a DNI.
#
# ## 5. Learning from predictions
#
# Five rules train the same networks on the same batches. *Stale* uses the true gradient of every
# tenth step for ten steps: predictions must be better than that. *Top layer alone* never moves
# block 1: a rule for block 1 must be better than that. Each η, for MNIST and for the digits, is the
# best of three, on images held out from training. `--full` tries the three again, with one seed.

# %%

TOLD, UNTOLD = "synthetic (cDNI), told the label", "DNI, not told the label"
STALE, ALONE = "stale: each gradient used 10 times", "top layer alone"
RULES = {  # name: rule, η on MNIST, η on the digits
    "backprop": (lambda net, seed: Backprop(), 0.2, 0.02),
    TOLD: (lambda net, seed: SyntheticGradients(net, conditioned=True, seed=seed), 0.1, 0.02),
    UNTOLD: (lambda net, seed: SyntheticGradients(net, conditioned=False, seed=seed), 0.05, 0.005),
    STALE: (lambda net, seed: SyntheticGradients(net, mode="stale"), 0.05, 0.02),
    ALONE: (lambda net, seed: SyntheticGradients(net, mode="no-backprop"), 0.2, 0.02),
}
size = {"epochs": lesson.epochs(8 if lesson.mnist else 60, quick=30)}
size |= {"batch_size": 32 if lesson.quick else 64, "evaluate_every": size["epochs"]}


def learned(name, seed, train, test, eta=None):
    """A network trained by the rule of this name; the rule; the test accuracy in %."""
    make, on_mnist, on_digits = RULES[name]
    net = mg.models.gist_mlp(seed=seed)
    rule, sgd = make(net, seed), mg.SGD(net, lr=eta or (on_mnist if lesson.mnist else on_digits))
    history = lesson.fit(net, loss, rule, sgd, train, test, seed=seed, **size)
    return net, rule, 100 * history.test_accuracy[-1]


# %%

runs = {name: [learned(name, seed, train, test) for seed in seeds] for name in RULES}
accuracy = {name: np.array([right for _, _, right in found]) for name, found in runs.items()}
behind = {name: estimate(accuracy[name] - accuracy["backprop"]) for name in list(RULES)[1:]}
print(f"\ntest accuracy in %, mean of {len(seeds)} seeds; and how far from backprop, in points")
for name, right in accuracy.items():
    print(f"{name:36}{right.mean():7.2f}   {behind.get(name, '')}")
ahead = {}
for one, other in ((TOLD, UNTOLD), (TOLD, STALE), (TOLD, ALONE), (UNTOLD, ALONE)):
    ahead[one, other] = points = estimate(accuracy[one] - accuracy[other])
    print(f"{one} - {other}: {points}: {points.says('better', 'worse')}")
figure = plots.intervals(
    {name: accuracy[name] - accuracy["backprop"] for name in behind},
    f"Told the label: {behind[TOLD].mean:+.2f} points against backprop",
    f"test accuracy minus that of backprop, points (95 %, n = {len(seeds)})",
    {name: (points.low, points.high) for name, points in behind.items() if len(seeds) > 2},
)
lesson.save(figure, "accuracy")
if lesson.long:
    held_out = train.split(len(train) // 12, seed=lesson.seed + 100)
    for name in RULES:
        for eta in np.array([0.05, 0.1, 0.2]) / (1 if lesson.mnist else 10):
            right = learned(name, lesson.seed + 100, *held_out, eta)[2]
            print(f"{name:36} η = {eta:<6.3g} {right:.2f} % of the held-out images right")

# %% [markdown]
# How good are the predictions? R² is the share of the variance of dh that is predicted: 1 is all,
# 0 is nothing. Least squares finds the best R² of all linear modules in a network. Look at a fresh
# network first. p is nearly the same for all images there, so the label says all. Then look at what
# is left in h, without the label, after training.

# %%

some = train.take(slice(5000)).placed(runs[TOLD][0][0].params["1.W"])
nets = {"fresh network": [mg.models.gist_mlp(seed=seed) for seed in seeds]}
nets |= {name: [net for net, *_ in runs[name]] for name in ("backprop", UNTOLD, TOLD)}
print(f"\n{'R² in the networks of':36}{'best, not told':>15}{'best, told':>12}{'the module':>12}")
best, own = {}, {}
for name in nets:
    found = [[best_linear(net, loss, some.x, some.y, k) for net in nets[name]] for k in (None, 10)]
    best[name] = np.mean(found, axis=1)
    if name in (UNTOLD, TOLD):
        reports = [rule.report(loss, some.x, some.y) for _, rule, _ in runs[name]]
        own[name] = np.mean([report.interfaces[0].r2_true for report in reports])
    of_module = f"{own[name]:12.2f}" if name in own else ""
    print(f"{name:36}{best[name][0]:15.2f}{best[name][1]:12.2f}{of_module}")

net, rule, _ = runs[TOLD][0]
Backprop().estimate(net, loss, some.x, some.y)
true = to_host(net.grads["1.W"]).copy()
rule.estimate(net, loss, some.x, some.y)
lesson.save(plots.units(true, to_host(net.grads["1.W"]), (28, 28), "dW1"), "gradients")

# %% [markdown]
# A prediction need not be exact. It must tell images apart, and on the whole point downhill. And a
# DNI may end with a small R², as calculated, in a network that is far better than its top layer
# alone: what could be predicted was *used*, step by step, until little was left.
#
# ## 6. How fast may a module learn?
#
# Its loss is quadratic, with the Hessian $H = [h, 1]ᵀ [h, 1]/N$ for each column of A and c. As in
# lesson 03, plain descent multiplies the error along an eigenvector of H by 1 - slr λ. So it needs
#
# $$ slr < 2/λ $$
#
# with the largest λ. In section 2 the rows [h, 1] are [1, 1] and [3, 1]: H is [[5, 2], [2, 1]],
# λ is 3 + √8, and the limit is 0.34. Try `slr` 0.35 there. Now for the network, on one batch:

# %%

net = mg.models.gist_mlp(seed=lesson.seed, dtype="float64")
x, y = to_device(train.x[:128].astype("float64")), to_device(train.y[:128])
lower, top = split(net)
h = lower.forward(x)
loss.forward(top.forward(h), y)
dh = top.backward(loss.backward())
features = np.hstack([to_host(h), np.ones((len(h), 1))])
limit = 2 / np.linalg.eigvalsh(features.T @ features / len(h)).max()
curves, change = {}, {}
for factor in (0.5, 0.95, 1.05, 1.5):
    make = partial(mg.SGD, lr=factor * limit)
    module, values = GradientModule((100,), None, optimizer=make, dtype="float64"), []
    for _ in range(151):
        error = len(h) * to_host(module.predict(h, y) - dh)
        values.append((error**2).sum() / (2 * len(h)))
        module.learn(dh)
    change[factor] = np.log10(values[-1] / values[0])
    shown = [value for value in values if value < 1e3 * values[0]]
    curves[f"slr {factor} of the limit"] = range(len(shown)), shown
title = f"The limit 2/λ is {limit:.2f}: above it the loss ends 10^{change[1.05]:.0f} times as high"
lesson.save(plots.curves(curves, title, ylabel="the module's loss"), "stability")

# %% [markdown]
# The limit moves as h grows, and nobody computes it again: one reason to let modules learn by Adam.
#
# A well-known script lets its modules predict dW in the place of dh, and closes with a picture in
# which true and synthetic gradients look the same. `minigrad run synthetic_gist` shows that its
# gradients are an average of old ones, and that the picture is of one array, drawn twice.
#
# ## What to remember
#
# - A synthetic gradient is a prediction of dh from h. The chain rule does the rest, and the layer
#   need not wait.
# - The module's target is N dh = (p - y) W2ᵀ. It cannot be predicted linearly from h once block 2
#   has learned all it can. With the label it can in part, and that is enough to train with.
# - Compare with the cheap things: old gradients, and no gradient at all.
# - A linear module under plain descent needs slr < 2/λ, λ the largest of [h, 1]ᵀ [h, 1]/N.
#
# ## Exercises (copy `lessons/exercises/09_synthetic_gradients.py`, fill it in, run it)
#
# 1. Write the prediction and the step of a linear module that is told the label, by hand.
# 2. A module without c adds up its gradients over the batch, without 1/N. What limits its slr?
# 3. How much of N dh = (p - y) W2ᵀ does the label alone say? Predict it without a look at h.
#
# ## What this run must show

# %%

lesson.record({"test accuracy, %": accuracy, "R² of the best linear module": best, "own": own})
lesson.expect("two numbers: a - c after 300 steps", toy[0] - toy[1], equal=3, tolerance=1e-3)
lesson.expect("dW1_hat by hand and by the rule, relative", dW1_off, at_most=1e-5)
lesson.expect("the module's A after its step, relative", A_off, at_most=1e-5)
for factor, bounds in ((0.95, {"at_most": -0.1}), (1.05, {"at_least": 1})):
    lesson.expect(f"log10 of the loss's change at {factor} of the limit", change[factor], **bounds)
lesson.expect("fresh, told: R² of the best", best["fresh network"][1], at_least=0.97)
drop = best["fresh network"][0] - best["backprop"][0]
lesson.expect("backprop, not told: R² lost", drop, at_least=0.2)
lesson.finish()
