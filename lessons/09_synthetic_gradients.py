"""09 Synthetic gradients

Question: can a layer learn before it knows its gradient, from a prediction of it?
You need: lessons 01, 04 and 05; least squares, eigenvalues of a symmetric matrix.
You will build: a module that predicts the gradient at a hidden layer, and networks that learn so.
Time: 1 min on one core on MNIST (--full: 3 min), 5 s on the embedded digits with --quick
Source: Jaderberg et al. 2016 (DNI), §2; Czarnecki et al. 2017.
"""

# %% [markdown]
# # 09 Synthetic gradients
#
# In backprop a layer waits. When it has done its forward pass, all layers above do theirs, and then
# go backward, one after another. In a network of ten layers the first waits for 18 such passes.
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
# | `dh`, `dz` | as h, z | true gradients ∂L/∂h, ∂L/∂z of the loss L, the mean cross-entropy |
# | `dh_hat` | (N, 100) | the prediction of dh: (h A + c)/N; `A` and `c` are the module's numbers |
# | `η`, `slr` | | learning rates: η of the network, `slr` of the module |

# %%
import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device, to_host
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate
from minigrad.rules import Backprop, SyntheticGradients, split
from minigrad.rules.synthetic.best_linear import best_linear

lesson = start("09_synthetic_gradients", __doc__)
train, test = lesson.data(n_quick=600)
loss = mg.CrossEntropyLoss()
seeds = range(lesson.seed, lesson.seed + (3 if lesson.quick else 4))

# %% [markdown]
# ## 1. Who waits for whom
#
# Follow the numbers. At the left block 1 gets its gradient dh as message 4. At the right it gets
# dh_hat as message 2, whatever happens above. Block 2 sees the loss, and needs no module. It sends
# dh to the module when it is ready. The label y is for section 4. This lesson asks whether block 1
# learns well from dh_hat. What to do with the time gained is for lesson 10.

# %%
names = ("block 1: W1, b1", "block 2: W2, b2")
lesson.save(plots.blocks(names, ("h", "z"), "What the blocks send", told=True), "blocks")

# %% [markdown]
# ## 2. A module with two numbers
#
# Take one hidden unit and N = 2 images. h is 1 for the first and 3 for the second. Say that N dh
# is -1 and 1. Why N dh? L is a mean, so dh has a factor 1/N; N dh is as large in any batch. The
# module predicts N dh by h A + c, here with two numbers A and c. Its loss is half the mean square
# of h A + c - N dh. Gradient descent with the learning rate slr = 0.2 makes the prediction exact:

# %%


def descend(h, N_dh, slr, steps):
    """A and c of a linear module after so many steps, and its loss before each of them."""
    A, c, losses = np.zeros((h.shape[1], N_dh.shape[1])), np.zeros(N_dh.shape[1]), []
    for _ in range(steps):
        error = h @ A + c - N_dh
        losses.append((error**2).sum() / (2 * len(h)))
        A, c = A - slr * h.T @ error / len(h), c - slr * error.mean(axis=0)
    return A, c, losses


h, N_dh = np.array([[1.0], [3.0]]), np.array([[-1.0], [1.0]])
print("\nsteps       A       c   predicted N dh: -1 and 1 are true")
for steps in (0, 1, 2, 10, 100, 300):
    A, c, _ = descend(h, N_dh, 0.2, steps)
    print(f"{steps:5} {A.item():7.3f} {c.item():7.3f}   {(h @ A + c).ravel().round(3)}")
toy_off = float(abs(h @ A + c - N_dh).max())

# %% [markdown]
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
# relu, and ∘ multiplies element by element. The third is the gradient of the module's loss,
# 1/(2N) Σₙ ‖hₙ A + c - N dhₙ‖². c goes the same way, with the sum of dh_hat - dh.

# %%
net, slr = mg.models.gist_mlp(seed=lesson.seed), 0.05
rule = SyntheticGradients(net, conditioned=False, optimizer=lambda net: mg.SGD(net, slr))
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
pairs = (dW1_hat, to_host(net.grads["1.W"])), (A_next, rule.modules[0].trunk.state_dict()["0.W"])
dW1_off, A_off = (float(abs(hand - found).max() / abs(found).max()) for hand, found in pairs)
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
# **From h and the label?** Then the module can learn the part -y W2ᵀ exactly: it is a linear
# function of y. Only p W2ᵀ is left to guess from h. Such a module is called *conditioned*, cDNI.
# One that sees h alone is a DNI. (The letters stand for decoupled neural interface.)
#
# ## 5. Learning from predictions
#
# Five rules train the same networks on the same batches. *Stale* uses the true gradient of every
# tenth step for ten steps. *Top layer alone* never moves block 1. Predictions that are no better
# than these two are worth nothing: see the last lines of the table. Modules learn by Adam. Each η
# was chosen on images held out: `--full` tries them again.

# %%
TOLD, UNTOLD = "synthetic (cDNI), told the label", "DNI, not told the label"
STALE, ALONE = "stale: each used 10 times", "top layer alone"
RULES = {  # name: rule, η on MNIST, η on the digits
    "backprop": (lambda net, seed: Backprop(), 0.2, 0.02),
    TOLD: (lambda net, seed: SyntheticGradients(net, conditioned=True, seed=seed), 0.1, 0.02),
    UNTOLD: (lambda net, seed: SyntheticGradients(net, conditioned=False, seed=seed), 0.05, 0.005),
    ALONE: (lambda net, seed: SyntheticGradients(net, mode="no-backprop"), 0.2, 0.02),
    STALE: (lambda net, seed: SyntheticGradients(net, mode="stale"), 0.05, 0.02),
}
size = {"epochs": lesson.epochs(8 if lesson.mnist else 60, quick=30)}
size |= {"batch_size": 32 if lesson.quick else 64, "evaluate_every": size["epochs"]}


def learned(name, seed, train=train, test=test, eta=None):
    """A network trained by the rule of this name; the rule; the history."""
    make, on_mnist, on_digits = RULES[name]
    net = mg.models.gist_mlp(seed=seed)
    rule, sgd = make(net, seed), mg.SGD(net, lr=eta or (on_mnist if lesson.mnist else on_digits))
    return net, rule, lesson.fit(net, loss, rule, sgd, train, test, seed=seed, **size)


# %%
runs = {name: [learned(name, seed) for seed in seeds] for name in RULES}
right = {k: np.array([100 * run.test_accuracy[-1] for *_, run in runs[k]]) for k in RULES}
print(f"\n{'mean test accuracy':34}      %   minus backprop's, points")
for name in RULES:
    behind = "" if name == "backprop" else estimate(right[name] - right["backprop"])
    print(f"{name:34}{right[name].mean():7.2f}   {behind}")
for one, other in ((TOLD, STALE), (TOLD, UNTOLD), (UNTOLD, ALONE)):
    points = estimate(right[one] - right[other])
    print(f"{one} - {other}: {points}, {points.says('better', 'worse')}")
losses = np.array([np.mean([run.step_loss for *_, run in runs[k]], axis=0) for k in RULES])
losses = losses[:, : losses.shape[1] // 30 * 30].reshape(len(RULES), -1, 30).mean(axis=2)
curves = {k: (30 * np.arange(1, len(y) + 1), y) for k, y in zip(RULES, losses, strict=True)}
lesson.save(plots.curves(curves, "Training loss, mean of all seeds", outside=True), "loss")
if lesson.long:
    parts = train.split(len(train) // 12, seed=99)
    etas = np.array([0.05, 0.1, 0.2]) / (1 if lesson.mnist else 10)
    for name, eta in ((name, eta) for name in RULES for eta in etas):
        print(name, f"η = {eta:g}: {learned(name, 99, *parts, eta)[2].test_accuracy[-1]:.4f}")

# %% [markdown]
# How good are the predictions? R² is the share of the variance of dh that is predicted: 1 is all,
# 0 is no better than a constant, below 0 is worse. Least squares finds the best R² of all linear
# modules. In the fresh network p is nearly the same for all images, so the label says all. What is
# left after training? How far from the best is a module that has to follow a moving network?
#
# The picture shows the part of dW1 and of dW1_hat that belongs to one hidden unit, for six units
# and one batch. A step along -dW1_hat goes downhill if its cosine with dW1 is above 0.

# %%
some = train.take(slice(5000)).placed(runs[TOLD][0][0].params["1.W"])
print(f"\n{'R² in the networks of':34}{'best, not told':>15}{'best, told':>12}{'the module':>12}")
best, own = {}, {}
for name in ("fresh network", "backprop", UNTOLD, TOLD):
    nets = [net for net, *_ in runs.get(name, ())] or [mg.models.gist_mlp(seed=s) for s in seeds]
    r2 = [[best_linear(net, loss, some.x, some.y, told) for told in (None, 10)] for net in nets]
    best[name] = np.mean(r2, axis=0)
    rules = [rule for _, rule, _ in runs[name]] if name in (UNTOLD, TOLD) else []
    own[name] = [rule.report(loss, some.x, some.y).interfaces[0].r2_true for rule in rules]
    of_module = f"{np.mean(own[name]):12.2f}" if rules else ""
    print(f"{name:34}{best[name][0]:15.2f}{best[name][1]:12.2f}{of_module}")

net, rule, _ = runs[TOLD][0]
Backprop().estimate(net, loss, some.x[:64], some.y[:64])
true = to_host(net.grads["1.W"]).copy()
rule.estimate(net, loss, some.x[:64], some.y[:64])
lesson.save(plots.units(true, to_host(net.grads["1.W"]), (28, 28), "dW1"), "gradients")

# %% [markdown]
# ## 6. How fast may a module learn?
#
# Its loss is quadratic, with the Hessian $H = [h, 1]ᵀ [h, 1]/N$ for each column of A and c. As in
# lesson 03, plain descent multiplies the error along an eigenvector of H by 1 - slr λ. So it needs
# $slr < 2/λ$ with the largest eigenvalue λ. In section 2 the rows [h, 1] are [1, 1] and [3, 1]: H
# is [[5, 2], [2, 1]], λ is 3 + √8, and the limit is 0.34. Now for the network, on one batch:

# %%
net = mg.models.gist_mlp(seed=lesson.seed, dtype="float64")
lower, top = split(net)
h = lower.forward(to_device(train.x[:128].astype("float64")))
loss.forward(top.forward(h), to_device(train.y[:128]))
N_dh, h = 128 * to_host(top.backward(loss.backward())), to_host(h)
features = np.hstack([h, np.ones((128, 1))])
limit = 2 / np.linalg.eigvalsh(features.T @ features / 128).max()
losses = {factor: descend(h, N_dh, factor * limit, 150)[2] for factor in (0.5, 0.95, 1.05, 1.5)}
curves = {f"slr = {k} · 2/λ": (range(150), values) for k, values in losses.items()}
figure = plots.curves(curves, f"One batch: 2/λ = {limit:.2f}", ylabel="the module's loss")
figure.axes[0].set_ylim(0.1 * losses[0.5][0], 100 * losses[0.5][0])
lesson.save(figure, "stability")

# %% [markdown]
# The limit moves as h grows, and nobody computes it again: one reason to let modules learn by Adam.
#
# A well-known script lets its modules predict dW in the place of dh; it closes with a picture of
# true and synthetic gradients that look the same. `minigrad run synthetic_gist` shows that they are
# an average of old gradients, and that the picture is of one array, drawn twice.
#
# ## What to remember
#
# - A synthetic gradient is a prediction of dh from h. The chain rule does the rest; nobody waits.
# - The module's target is N dh = (p - y) W2ᵀ. It cannot be predicted linearly from h once block 2
#   has learned all that it can. With the label it can in part. That is enough to train with.
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
lesson.record({"test accuracy, %": right, "R² of the best linear module": best, "own R²": own})
lesson.expect("two numbers: error of N dh after 300 steps", toy_off, at_most=1e-3)
lesson.expect("by hand and by the rule: dW1_hat and A", max(dW1_off, A_off), at_most=1e-5)
for factor, bounds in ((0.95, {"at_most": -0.4}), (1.05, {"at_least": 5})):
    change = np.log10(losses[factor][-1] / losses[factor][0])
    lesson.expect(f"log10 of the change of the loss at {factor} of the limit", change, **bounds)
lesson.expect("fresh network, told: best R²", best["fresh network"][1], at_least=0.97)
lost = (best["fresh network"] - best["backprop"])[0]
lesson.expect("not told: best R² lost in backprop's training", lost, at_least=0.25)
# points of test accuracy by which "told" is ahead, at least: with --quick, on the digits, on MNIST
bounds = ((-2, 5, 12, 2), (-0.8, 2, 8, 0), (-1.3, 3.5, 12, 0.5))
bounds = bounds[0 if lesson.quick else 1 + lesson.mnist] if lesson.options.epochs is None else ()
for other, bound in zip(("backprop", UNTOLD, ALONE, STALE), bounds, strict=False):
    lesson.expect(f"told - {other}", (right[TOLD] - right[other]).mean(), at_least=bound)
lesson.finish()
