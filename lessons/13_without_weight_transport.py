"""13 Without weight transport

Question: how can a network learn if the error comes back through random weights?
You need: lessons 01, 05 and 14; angles between vectors.
You will build: backprop with the wrong matrix in it, by hand, and a measurement of why it works.
Time: 3 min on MNIST, 8 s with --quick
Source: Lillicrap, Cownden, Tweed, Akerman 2016; Nøkland 2016; Frenkel, Lefebvre, Bol 2021; Liao,
Leibo, Poggio 2016; Bartunov et al. 2018.
"""

# %% [markdown]
# # 13 Without weight transport
#
# Backprop sends the error down through the same weights that the signal came up through. In a brain
# the way down would be other cells than the way up. How should they know those weights? That is the
# *weight transport problem*. In 2016 Lillicrap and others put fixed random numbers in their place,
# and the network learned all the same. This lesson does it again, and then finds out why.
#
# | name | shape | meaning |
# |---|---|---|
# | `x`, `y` | (N, 784), (N,) | N images, and their labels |
# | `W1`, `W2` | (784, H), (H, 10) | the weights of the two layers, H hidden units |
# | `h` | (N, H) | the hidden layer, tanh(x W1) |
# | `e` | (N, 10) | the error at the output, ∂L/∂output, with L the loss |
# | `B` | (H, 10) | random numbers, drawn once; they never change |
#
# Two vectors have an angle. At 0 degrees they point the same way. At 90 degrees one knows nothing
# of the other: this is what random vectors in many dimensions have. A step that is at less than 90
# degrees to the gradient still goes down, if it is short.

# %%

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device, to_host
from minigrad.compare.pairs import compared
from minigrad.diagnostics import cosine, quality
from minigrad.lesson import start
from minigrad.metrics.confidence import interval
from minigrad.rules import (
    Backprop,
    DirectFeedbackAlignment,
    DirectRandomTargetProjection,
    FeedbackAlignment,
    SignSymmetric,
    TopLayerOnly,
)

# %%

lesson = start("13_without_weight_transport", __doc__)
train, test = lesson.data(n_quick=1437)  # as many as the embedded digits are
loss = mg.CrossEntropyLoss()
seeds = [lesson.seed + i for i in range(3)]
rng = np.random.default_rng(lesson.seed)


def degrees(a, b):
    """The angle between two arrays, as vectors."""
    return float(np.degrees(np.arccos(np.clip(cosine(a, b), -1, 1))))


# %% [markdown]
# ## 1. One letter is changed
#
# Here is the backward pass of a network with one hidden layer, line by line. `*` is number by
# number.
#
# | backprop | feedback alignment (FA) |
# |---|---|
# | dW2 = hᵀ e | dW2 = hᵀ e |
# | dh = e W2ᵀ | dh = e Bᵀ |
# | dz = dh * (1 - h²) | dz = dh * (1 - h²) |
# | dW1 = xᵀ dz | dW1 = xᵀ dz |
#
# The top layer's gradient is the true one. Below it B stands in the place of W2. Another rule
# brings the error *directly* to each hidden layer, by a matrix of its own (DFA). With one hidden
# layer that is the same thing.

# %%

H = 32
net = mg.models.mlp((784, H, 10), "tanh", bias=False, seed=lesson.seed, dtype="float64")
W1, W2 = (to_host(net.params[name]) for name in ("1.W", "3.W"))
B = rng.uniform(-1, 1, (H, 10)) / np.sqrt(H)
x, y = train.x[:64].reshape(64, 784).astype("float64"), train.y[:64]

h = np.tanh(x @ W1)
p = np.exp(h @ W2)
p /= p.sum(axis=1, keepdims=True)
e = (p - np.eye(10)[y]) / 64
hand = {"3.W": h.T @ e, "1.W": x.T @ (e @ B.T * (1 - h**2))}


# %%

fa, dfa = FeedbackAlignment(), DirectFeedbackAlignment()
fa.feedback["3.W"] = to_device(B)
dfa.feedback["2"] = to_device(B.T.copy())
batch = to_device(x.reshape(-1, 1, 28, 28)), to_device(y)
found = {}
for name, rule in {"FA": fa, "DFA": dfa}.items():
    rule.estimate(net, loss, *batch)
    found[name] = {key: to_host(grad).copy() for key, grad in net.grads.items()}
    off = max(abs(found[name][key] - hand[key]).max() / abs(hand[key]).max() for key in hand)
    lesson.expect(f"{name} - by hand, relative", off, at_most=1e-12)
Backprop().estimate(net, loss, *batch)
before = {key: degrees(hand[key], to_host(grad)) for key, grad in net.grads.items()}
print(f"\nangle to backprop's gradient: W2 {before['3.W']:.1f}, W1 {before['1.W']:.1f} degrees")
lesson.expect("W2: angle to backprop's gradient", before["3.W"], at_most=1e-3)
lesson.expect("W1: angle to backprop's, at the start", before["1.W"], equal=90, tolerance=25)

# %% [markdown]
# At the start W1's step is about as good as a random one. If it stayed so, nothing would be learned
# down there.
#
# ## 2. The angle falls
#
# Now let a network with two hidden layers learn by FA. Every now and then we stop and ask `quality`
# for the angle between FA's gradient and backprop's, layer by layer. We also look at the angle
# between the weights W and the B in their place.

# %%

PROBES = 14
probe = to_device(train.x[:256]), to_device(train.y[:256])
steps = 150 if lesson.quick else (1000 if lesson.mnist else 600)
moments = np.unique(np.geomspace(10, steps + 10, PROBES).astype(int) - 10)


def watched(seed):
    """The angles of FA's gradient in layers 1 and 3, and of W and B in 3 and 5: (moments, 4)."""
    net, found = mg.models.mlp((784, 64, 64, 10), "tanh", seed=seed), []
    rule = FeedbackAlignment(seed=seed)
    optimizer = mg.SGD(net, 0.1, momentum=0.9)
    for step in range(steps + 1):
        chosen = np.random.default_rng((seed, step)).integers(len(train), size=64)
        rule.estimate(net, loss, to_device(train.x[chosen]), to_device(train.y[chosen]))
        if step in moments:
            layers = quality(rule, net, loss, *probe, 1).layers
            weights = [degrees(net.params[key], B) for key, B in rule.feedback.items()]
            found.append([layers["1"].angle, layers["3"].angle, *weights])
        optimizer.step()
    return found


# %%

angles = np.array([lesson.kept(watched, seed) for seed in seeds])  # (seeds, moments, 4)
lesson.record("angles", angles)
first, last = angles[:, 0].mean(axis=0), angles[:, -1].mean(axis=0)
names = ("gradient, layer 1", "gradient, layer 2", "W and B, layer 2", "W and B, layer 3")
print(f"\n{'angles, mean of 3 seeds':24}{'at the start':>14}{f'{steps} steps later':>18}")
for i, name in enumerate(names):
    print(f"{name:24}{first[i]:14.1f}{last[i]:18.1f}")
    worst = angles[:, -1, i].max()
    lesson.expect(f"{name}: angle at the end, worst seed", worst, at_most=85)
panels = {
    "angle to backprop": {f"layer {i + 1}": angles[..., i] for i in (0, 1)},
    "angle of W and B": {f"layer {i + 2}": angles[..., i + 2] for i in (0, 1)},
}
highest = angles[:, -1, :2].max()
title = (
    f"It turns round by itself: {first[0]:.0f} degrees, then {last[0]:.0f}"
    if highest < 85
    else "Too few steps to see an angle fall"
)
figure = plots.bands(panels, moments, title, "step")
for ax in figure.axes:
    ax.axhline(90, color="black", linewidth=1, linestyle=":")
lesson.save(figure, "angles")

# %% [markdown]
# Nobody told the gradient to turn. And look at the lower picture: it is not B that moves, B is
# fixed. The *weights* turn towards B. They make the random matrix right.
#
# ## 3. Why
#
# Take the smallest network there is: numbers w1 and w2, output o = w2 w1 x, target x, and images x
# with mean square 1. Let s = 1 - w2 w1 be what is missing. Backprop's steps down the mean of (o -
# x)²/2 are s w2 for w1, and s w1 for w2. FA puts b in the place of w2:
#
#     w1 moves by s b            w2 moves by s w1
#
# Multiply the first by w1 and the second by b. Both are s b w1. So w1²/2 and b w2 grow *at the same
# rate*: w1²/2 - b w2 never changes. In the plane of w1 and w2 the network moves along a parabola,
# w2 = w1²/2b + constant. A network starts with small weights, so w1 starts near 0. From there w1²
# can only grow. Then b w2 must grow, until b and w2 have the same sign. And then FA's step for w1
# has the sign of backprop's. That is all. (The third path starts far from 0. There w1² falls first,
# and w2 may stay on the wrong side. It finds an answer all the same.)

# %%


def along(w1, w2, b, lr=0.01, count=4000):
    """The path (count, 2) of the two numbers by FA."""
    path = []
    for _ in range(count):
        path.append((w1, w2))
        s = 1 - w2 * w1
        w1, w2 = w1 + lr * s * b, w2 + lr * s * w1
    return np.array(path)


# %%

b, series, right = 1.0, {}, 0
for start_w1, start_w2 in ((0.0, 0.0), (0.5, -1.0), (-1.5, -0.5)):
    path = along(start_w1, start_w2, b)
    series[f"from ({start_w1:g}, {start_w2:g})"] = path.T
    right += int(b * path[-1, 1] > 0)
    change = np.ptp(path[:, 0] ** 2 / 2 - b * path[:, 1])
    name = f"from ({start_w1:g}, {start_w2:g}):"
    lesson.expect(f"{name} w1 w2 at the end", np.prod(path[-1]), equal=1, tolerance=1e-3)
    if abs(start_w1) < 1:
        lesson.expect(f"{name} b w2 at the end", b * path[-1, 1], at_least=0)
    lesson.expect(f"{name} w1²/2 - b w2 changes by", change, at_most=0.05)
title = f"Along parabolas: {right} of {len(series)} come to the side of b = {b:g}"
figure = plots.curves(series, title, "w1", "w2", log=False)
grid = np.linspace(0.4, 2, 100)
for side in (1, -1):
    figure.axes[0].plot(side * grid, side / grid, ":", color="0.5")
figure.axes[0].annotate("dotted: w1 w2 = 1, learned", (0.85, 1.3), fontsize=13)
lesson.save(figure, "parabola")

# %% [markdown]
# With whole layers it is the same thing, as long as the network is linear (no tanh) and the steps
# are short: |W1|²/2 - <W2, B> never changes. |W1|² is the sum of all squares in W1, and <W2, B> the
# sum of all products W2 B, number by number. When W1 grows, <W2, B> must grow with it, and that is
# what it means that W2 turns towards B. We measure both sides.

# %%

linear = mg.Sequential(
    mg.Flatten(),
    mg.Linear(784, 32, bias=False, seed=lesson.seed, dtype="float64"),
    mg.Linear(32, 10, bias=False, seed=lesson.seed + 1, dtype="float64"),
)
rule, optimizer, sides = FeedbackAlignment(seed=lesson.seed), mg.SGD(linear, 0.01), []
few = to_device(train.x[:500].astype("float64")), to_device(np.eye(10)[train.y[:500]])
count = 200 if lesson.quick else 1000
for _ in range(count):
    rule.estimate(linear, mg.MSELoss(), *few)
    W1, W2 = linear.params["1.W"], linear.params["2.W"]
    sides.append([float((W1**2).sum()) / 2, float((W2 * rule.feedback["2.W"]).sum())])
    optimizer.step()
grown = np.array(sides) - sides[0]
print(f"\n|W1|²/2 has grown by {grown[-1, 0]:.4f}, <W2, B> by {grown[-1, 1]:.4f}")
lesson.record("growth of |W1|²/2 and <W2, B>", grown)
ratio = grown[-1, 0] / grown[-1, 1]
lesson.expect("growth of |W1|²/2 / of <W2, B>", ratio, equal=1, tolerance=0.05)
lesson.expect("<W2, B> grows by", grown[-1, 1], at_least=0.001)
figure = plots.curves(
    {"|W1|²/2": (range(count), grown[:, 0]), "<W2, B>": (range(count), grown[:, 1])},
    f"The two sides grow together: {grown[-1, 0]:.3f} and {grown[-1, 1]:.3f}",
    ylabel="growth since the start",
    log=False,
)
lesson.save(figure, "sides")

# %% [markdown]
# ## 4. Who else can do it
#
# Is it B that matters, or that B *stays*? A control tells: `Restless` draws a new B in each step.
# Then W has nothing to turn to. The other rules:
#
# - *sign-symmetric*: B has the signs of W, and one size for all. It knows half of W.
# - *DFA*: the error goes straight to each hidden layer, past the layers between.
# - *DRTP*: the same, with the label in the place of the error. No layer need wait for the output.
# - *top layer alone*: nothing below learns. To learn below must be better than this.
#
# All have the same settings (Adam, lr 0.002). They were not searched for.


# %%
class Restless(FeedbackAlignment):
    """Feedback alignment with another B in each step."""

    def estimate(self, model, loss, x, target):
        self.seed += 1
        self.feedback = {}
        return super().estimate(model, loss, x, target)


RULES = {
    "backprop": lambda net, seed: Backprop(),
    "sign-symmetric": lambda net, seed: SignSymmetric(seed=seed),
    "FA": lambda net, seed: FeedbackAlignment(seed=seed),
    "DFA": lambda net, seed: DirectFeedbackAlignment(seed=seed),
    "DRTP": lambda net, seed: DirectRandomTargetProjection(seed=seed),
    "control: a new B each step": lambda net, seed: Restless(seed=1000 * seed),
    "top layer alone": lambda net, seed: TopLayerOnly(net),
}

# %%

EPOCHS = lesson.epochs(usual=2 if lesson.mnist else 15, quick=4)


def convolutions(seed):
    start = np.random.default_rng(seed)
    return mg.Sequential(
        *(mg.Conv2d(1, 8, 5, stride=2, rng=start), mg.ReLU()),
        *(mg.Conv2d(8, 16, 5, stride=2, rng=start), mg.ReLU()),
        *(mg.Flatten(), mg.Linear(256, 10, rng=start)),
    )


def accuracy(name, hidden, seed):
    """The share of test digits read right; hidden: how many hidden layers, 0 for convolutions."""
    sizes = (784, *[64] * hidden, 10)
    net = mg.models.mlp(sizes, "tanh", seed=seed) if hidden else convolutions(seed)
    rule, optimizer = RULES[name](net, seed), mg.Adam(net, 0.002)
    data = train if hidden else train.take(min(len(train), 12_000))
    for epoch in range(EPOCHS):
        for x, y in data.batches(64, np.random.default_rng((seed, epoch))):
            rule.estimate(net, loss, to_device(x), to_device(y))
            optimizer.step()
    return mg.evaluate(net, loss, test)[1]


def errors(read, title):
    """A figure: the test errors of the seeds in per cent, and the interval of their mean."""
    rows = {name: [100 * (1 - v) for v in values.values()] for name, values in read.items()}
    ends = {name: [interval(row)[end] for end in ("low", "high")] for name, row in rows.items()}
    return plots.intervals(rows, title, "test error, %", ends)


def trained(names, hidden):
    """{rule: {seed: accuracy}}"""
    return {n: {s: lesson.kept(accuracy, n, hidden, s) for s in seeds} for n in names}


# %%

read = trained(RULES, 2)
print(f"\ntwo hidden layers, {EPOCHS} epochs, {len(seeds)} seeds: test digits read right")
for name, values in read.items():
    found = interval([100 * value for value in values.values()])
    print(f"{name:28}{found['mean']:7.2f} % ± {found['half']:.2f}")
for pair in compared(read, "top layer alone", {n: n for n in read}, len(test)):
    print(pair["sentence"])
lesson.record("accuracy, two hidden layers", read)
mean = {name: float(np.mean(list(values.values()))) for name, values in read.items()}
lesson.expect("FA - top layer alone", mean["FA"] - mean["top layer alone"], at_least=0.01)
lesson.expect("DFA - top layer alone", mean["DFA"] - mean["top layer alone"], at_least=0.01)
gap = mean["control: a new B each step"] - mean["top layer alone"]
if not lesson.quick:  # a quick run may be too short: the top layer alone has hardly begun
    lesson.expect("control - top layer alone", gap, at_most=0.01)
lesson.expect("FA - control", mean["FA"] - mean["control: a new B each step"], at_least=0.05)
title = (
    "B must stay: drawn anew, nothing is learned below"
    if gap < 0.01 < mean["FA"] - mean["top layer alone"]
    else "Too short to tell what is learned below"
)
lesson.save(errors(read, title), "rules")

# %% [markdown]
# ## 5. Where it ends
#
# What of deeper networks? FA's error passes many random matrices on its way down. DFA's passes one,
# however deep the network is. And what of convolutions? There one small set of weights is used all
# over the image. It cannot turn to a B for each place.

# %%

depths = (1, 2) if lesson.quick else (1, 2, 4, 8)
names = ("backprop", "FA", "DFA", "DRTP")
deep = {hidden: read if hidden == 2 else trained(names, hidden) for hidden in depths}
runs = {
    name: [[100 * (1 - deep[hidden][name][seed]) for hidden in depths] for seed in seeds]
    for name in names
}
lesson.record("test error, %, by hidden layers", {"hidden layers": depths, **runs})
print(f"\n{'hidden layers':18}" + "".join(f"{hidden:>8}" for hidden in depths))
for name in names:
    print(f"{name:18}" + "".join(f"{error:8.2f}" for error in np.mean(runs[name], axis=0)))
rise = {name: np.diff(np.mean(runs[name], axis=0)[[0, -1]])[0] for name in names}
title = f"Error from {depths[0]} to {depths[-1]} hidden layers:\n" + ", ".join(
    f"{name} {rise[name]:+.1f}" for name in names
)
figure = plots.bands({"test error, %": runs}, depths, title, "hidden layers")
lesson.save(figure, "depth")

# %%

pictures = trained(names[:3], 0)
lesson.record("accuracy, convolutions", pictures)
print("\na network with two convolutions: test digits read right")
for name, values in pictures.items():
    found = interval([100 * value for value in values.values()])
    print(f"{name:28}{found['mean']:7.2f} % ± {found['half']:.2f}")
said = compared(pictures, "backprop", {n: n for n in pictures}, len(test))
for pair in said:
    print(pair["sentence"])
lost = [pair["b"] for pair in said if pair["different"] and pair["difference"] > 0]
words = f"{' and '.join(lost)} fall{'s' * (len(lost) == 1)} behind" if lost else "too few to tell"
lesson.save(errors(pictures, f"Convolutions: {words}"), "convolutions")
ahead = min(pair["difference"] for pair in said)
lesson.expect("convolutions: backprop is ahead by at least", ahead, at_least=-0.02)

# %% [markdown]
# Bartunov and others (2018) tried such rules on large pictures (ImageNet), and found them far
# behind backprop. So nobody trains large networks this way. What stays is an answer to the question
# of the beginning: a gradient need not be right to be of use.
#
# ## What to remember
#
# - A step at less than 90 degrees to the gradient goes down, if it is short.
# - Random feedback works since it is *fixed*: the weights turn towards it.
# - With one hidden layer FA and DFA are one rule. With more, DFA skips the layers between.
# - A control shows what matters: with a new B in each step nothing is learned below.
# - Deep networks and convolutions are the test. Look there before you believe a new rule.
#
# ## Exercises (copy `lessons/exercises/13_without_weight_transport.py`, fill it in, run it)
#
# 1. Write the backward pass of FA by hand, for a network with biases and a ReLU.
# 2. Where does the pair of numbers of section 3 come to rest, from w1 = 0, some w2 and some b?
# 3. How far from 90 degrees is the angle of two random vectors in n dimensions, typically?

# %%

lesson.finish()
