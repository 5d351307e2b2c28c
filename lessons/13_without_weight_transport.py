"""13 Without weight transport

Question: how can a network learn if the error comes back through random weights?
You need: lessons 01, 05 and 06; angles between vectors.
You will build: backprop with the wrong matrix in it, by hand, and a measurement of why it works.
Time: 1.5 min on MNIST, 20 s on the embedded digits, 6 s with --quick, on one core
Source: Lillicrap and others 2016; Nøkland 2016; Liao 2016; Bartunov 2018; Frenkel 2021.
"""

# %% [markdown]
# # 13 Without weight transport
#
# Backprop sends the error down through the same weights that the signal came up through. In a brain
# the way down would be other cells than the way up. How should they know those weights? This is the
# *weight transport problem*. In 2016 Lillicrap and others put fixed random numbers in their place,
# and the network learned all the same. We do it again, and find out why.
#
# | name | shape | meaning |
# |---|---|---|
# | `W1`, `W2` | (784, H), (H, 10) | the weights of the two layers, H hidden units |
# | `h`, `z` | (N, H) | the hidden layer h = tanh(z), with z = x W1 for N images x (N, 784) |
# | `e` | (N, 10) | the error at the output, $∂L/∂output$, with L the loss |
# | `B` | (H, 10) | random numbers, drawn once; they never change |

# %%
import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device, to_host
from minigrad.compare.told import told_apart
from minigrad.diagnostics.alignment import alignment
from minigrad.diagnostics.vectors import angle
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate

lesson = start("13_without_weight_transport", __doc__)
train, test = lesson.data(n_quick=1437)  # as many as the embedded digits are
loss, SEEDS = mg.CrossEntropyLoss(), range(lesson.seed, lesson.seed + 3)

# %% [markdown]
# ## 1. The smallest network
#
# It has two numbers, w1 and w2. The output is w2 w1 x. It should be x. The mean of x² is 1. What
# is missing is $s = 1 - w2 · w1$, and the loss is s²/2. With the learning rate η backprop's steps
# are η s w2 for w1, and η s w1 for w2. *Feedback alignment* (FA) puts a random b in w2's place:
#
# $$ w1 ← w1 + η · s · b,   w2 ← w2 + η · s · w1 $$
#
# Multiply the first step by w1 and the second by b. Both are η s b w1. So w1²/2 and b w2 grow at
# the same rate, and w1²/2 - b w2 never changes, if steps are short. In the plane of w1 and w2 the
# network moves along a parabola. A network starts with small weights, so w1 is near 0, and w1² can
# only grow. Then b w2 must grow, until b and w2 have the same sign. From there FA's step for w1 has
# the sign of backprop's. That is all. The third path starts far from 0. There w2 alone learns.


# %%
def along(w1, w2, b, lr=0.01, count=4000):
    """The path (count, 2) of the two numbers by FA."""
    path = []
    for _ in range(count):
        path.append((w1, w2))
        s = 1 - w2 * w1
        w1, w2 = w1 + lr * s * b, w2 + lr * s * w1
    return np.array(path)


b, starts = 1.0, ((0.0, 0.0), (0.5, -1.0), (-1.5, -0.5))
paths = {f"from ({w1:g}, {w2:g})": along(w1, w2, b) for w1, w2 in starts}
title = f"Along parabolas: {sum(b * p[-1, 1] > 0 for p in paths.values())} of 3 end where b w2 > 0"
grid = np.r_[-2:-0.4:50j, np.nan, 0.4:2:50j]
lines = {name: path.T for name, path in paths.items()} | {"w1 w2 = 1: learned": (grid, 1 / grid)}
lesson.save(plots.curves(lines, title, "w1", "w2", log=False), "parabola")

# %% [markdown]
# ## 2. One letter is changed
#
# In a network with one hidden layer the backward pass is, with ∘ for number by number,
#
# $$ dW2 = hᵀ e,   dh = e W2ᵀ,   dz = dh ∘ (1 - h²),   dW1 = xᵀ dz $$
#
# FA has $dh = e Bᵀ$, and the rest is the same. So the top layer's gradient is the true one. *Direct
# feedback alignment* (DFA) brings the error directly to each hidden layer, by a matrix of its own.
# With one hidden layer that is the same rule.
#
# Two vectors have an angle. At 90 degrees one knows nothing of the other, as random vectors in many
# dimensions. A step at less than 90 degrees to the gradient goes down, if it is short.

# %%
net = mg.models.mlp((784, 32, 10), "tanh", bias=False, seed=lesson.seed, dtype="float64")
W1, W2 = (to_host(net.params[name]) for name in ("1.W", "3.W"))
B = np.random.default_rng(lesson.seed).uniform(-1, 1, (32, 10)) / np.sqrt(32)
x, y = train.x[:64].reshape(64, 784).astype("float64"), train.y[:64]
h = np.tanh(x @ W1)
p = np.exp(h @ W2)
e = (p / p.sum(axis=1, keepdims=True) - np.eye(10)[y]) / 64
hand = {"3.W": h.T @ e, "1.W": x.T @ (e @ B.T * (1 - h**2))}
fa, dfa = mg.rules.FeedbackAlignment(), mg.rules.DirectFeedbackAlignment()
fa.feedback["3.W"], dfa.feedback["2"] = to_device(B), to_device(B.T.copy())
off = {}
for name, rule in {"FA": fa, "DFA": dfa, "backprop": mg.rules.Backprop()}.items():
    rule.estimate(net, loss, to_device(x.reshape(-1, 1, 28, 28)), to_device(y))
    found = {key: to_host(grad) for key, grad in net.grads.items()}
    off[name] = max(abs(found[key] - hand[key]).max() / abs(hand[key]).max() for key in hand)
first = {key: angle(hand[key], found[key]) for key in hand}  # found is backprop's, the last one
print(f"\nangle to backprop's gradient: W2 {first['3.W']:.1f}, W1 {first['1.W']:.1f} degrees")

# %% [markdown]
# ## 3. The angle falls
#
# At 90 degrees W1's step is as good as a random one. If it stayed so, nothing would be learned down
# there. Let a network with two hidden layers learn by FA. Now and then `alignment` measures the
# angle between FA's gradient and backprop's, and the angle between W and the B in its place.

# %%
steps = 150 if lesson.quick else (1000 if lesson.mnist else 600)
moments = np.unique(np.geomspace(10, steps + 10, 14).astype(int) - 10)


def watched(seed):
    """The angles of the gradients in layers 1 and 2; of W and B in layers 2 and 3."""
    net = mg.models.mlp((784, 64, 64, 10), "tanh", seed=seed)
    rule, optimizer = mg.rules.FeedbackAlignment(seed=seed), mg.SGD(net, 0.1, momentum=0.9)
    return np.hstack(alignment(net, rule, loss, optimizer, train, moments, seed))


angles = np.array([lesson.kept(watched, seed) for seed in SEEDS])  # (seeds, moments, 4)
names = ("gradient, layer 1", "gradient, layer 2", "W and B, layer 2", "W and B, layer 3")
fall = [estimate(angles[:, 0, i] - angles[:, -1, i]) for i in range(4)]
for i, name in enumerate(names):
    print(f"{name}: at last {angles[:, -1, i].mean():.1f} degrees, it has fallen by {fall[i]}")
title = "FA's gradient: " + fall[0].says("it turns to backprop's by itself", "it turns away")
parts = {"angle to backprop, degrees": (0, 1), "angle of W and B, degrees": (2, 3)}
panels = {label: {names[i]: angles[..., i] for i in part} for label, part in parts.items()}
figure = plots.bands(panels, moments, title, "step")
for ax in figure.axes:
    ax.axhline(90, color="black", linewidth=1, linestyle=":")
lesson.save(figure, "angles")

# %% [markdown]
# Nobody told it to turn. B is fixed, so it is the *weights* that make the random matrix right.
#
# ## 4. Why, with whole layers
#
# It is the law of section 1, if the network is linear (no tanh) and steps are short. |W1|² is the
# sum of all squares in W1, and <W2, B> that of all products of W2 and B, number by number. Then
# |W1|²/2 - <W2, B> never changes. When W1 grows, <W2, B> grows with it: W2 turns towards B.

# %%
layers = mg.models.mlp((784, 32, 10), bias=False, seed=lesson.seed, dtype="float64").layers
linear = mg.Sequential(*layers[:2], layers[3])  # without the activation
rule, optimizer = mg.rules.FeedbackAlignment(seed=lesson.seed), mg.SGD(linear, 0.01)
few = to_device(train.x[:500].astype("float64")), to_device(np.eye(10)[train.y[:500]])
sides = []
for _ in range(200 if lesson.quick else 1000):
    rule.estimate(linear, mg.MSELoss(), *few)
    W1, W2 = linear.params["1.W"], linear.params["2.W"]
    sides.append([float((W1**2).sum()) / 2, float((W2 * rule.feedback["2.W"]).sum())])
    optimizer.step()
grown = np.array(sides[-1]) - sides[0]
print(f"\n|W1|²/2 has grown by {grown[0]:.4f}, <W2, B> by {grown[1]:.4f}")

# %% [markdown]
# ## 5. Who else can do it
#
# Is it B that matters, or that B *stays*? `Restless` draws a new B in each step, so that W has
# nothing to turn to. All have the same settings (Adam, η = .002), which were not searched for.
#
# - *sign-symmetric*: B has the signs of W, and one size for all numbers.
# - *DFA*: the error goes straight to each hidden layer, past the layers between.
# - *DRTP*, direct random target projection: DFA with the label for the error. No layer must wait.
# - *top layer alone*: the other layers stay random. A rule that teaches them must beat this one.


# %%
class Restless(mg.rules.FeedbackAlignment):
    def estimate(self, *arguments):
        self.seed, self.feedback = self.seed + 1, {}
        return super().estimate(*arguments)


RULES = {
    "backprop": lambda net, seed: mg.rules.Backprop(),
    "sign-symmetric": lambda net, seed: mg.rules.SignSymmetric(seed=seed),
    "FA": lambda net, seed: mg.rules.FeedbackAlignment(seed=seed),
    "DFA": lambda net, seed: mg.rules.DirectFeedbackAlignment(seed=seed),
    "DRTP": lambda net, seed: mg.rules.DirectRandomTargetProjection(seed=seed),
    (NEW := "a new B each step"): lambda net, seed: Restless(seed=1000 * seed),
    (TOP := "top layer alone"): lambda net, seed: mg.rules.TopLayerOnly(net),
}


# %%
def convnet(seed):
    rng = np.random.default_rng(seed)
    low, high = (mg.Conv2d(*n, 5, stride=2, rng=rng) for n in ((1, 8), (8, 16)))
    return mg.Sequential(low, mg.ReLU(), high, mg.ReLU(), mg.Flatten(), mg.Linear(256, 10, rng=rng))


def accuracy(name, hidden, seed):
    """The share of test digits read right; hidden: how many hidden layers, 0 for convolutions."""
    net = mg.models.mlp((784, *[64] * hidden, 10), "tanh", seed=seed) if hidden else convnet(seed)
    rule, optimizer = RULES[name](net, seed), mg.Adam(net, 0.002)
    data = train if hidden else train.take(min(len(train), 12_000))
    for epoch in range(lesson.epochs(usual=2 if lesson.mnist else 15, quick=4)):
        for x, y in data.batches(64, np.random.default_rng((seed, epoch))):
            rule.estimate(net, loss, to_device(x), to_device(y))
            optimizer.step()
    return mg.evaluate(net, loss, test)[1]


def trained(names, hidden):
    return {n: {s: lesson.kept(accuracy, n, hidden, s) for s in SEEDS} for n in names}


read = {2: trained(RULES, 2)}  # {hidden layers: {rule: {seed: accuracy}}}
better, _ = told_apart(read[2], TOP, len(test))
title = "Better than the top layer alone:\n" + (", ".join(better) or "too short to tell")
lesson.save(plots.errors(read[2], title), "rules")

# %% [markdown]
# ## 6. Where it ends
#
# In deeper networks FA's error passes many random matrices on its way down, and DFA's passes one.
# In a convolution few weights serve the whole image. Bartunov and others tried such rules on large
# pictures (ImageNet). They were far behind backprop. Still, a wrong gradient can be of use.

# %%
NAMES, DEPTHS = ("backprop", "FA", "DFA", "DRTP"), (1, 2) if lesson.quick else (1, 2, 4, 8)
read |= {hidden: trained(NAMES, hidden) for hidden in DEPTHS if hidden != 2}
errors = {n: [[100 - 100 * read[d][n][s] for d in DEPTHS] for s in SEEDS] for n in NAMES}
rise = {n: estimate([run[-1] - run[0] for run in runs]) for n, runs in errors.items()}
for name, more in rise.items():
    print(f"{name}: error {np.mean(errors[name], axis=0).round(2)} %; by depth it rises {more}")
words = ", ".join(f"{name} {more.mean:+.1f}" for name, more in rise.items())
title = f"Error in points, from {DEPTHS[0]} to {DEPTHS[-1]} hidden layers:\n{words}"
figure = plots.bands({"test error, %": errors}, DEPTHS, title, "hidden layers")
figure.axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1))
lesson.save(figure, "depth")
pictures = trained(NAMES[:3], 0)
_, worse = told_apart(pictures, "backprop", len(test))
title = "Convolutions: behind backprop: " + (", ".join(worse) or "too short to tell")
lesson.save(plots.errors(pictures, title), "convolutions")

# %% [markdown]
# ## What to remember
#
# - Random feedback works since it is *fixed*: the weights turn towards it.
# - With one hidden layer FA and DFA are one rule. With more, DFA skips the layers between.
# - A control shows what matters. Deep networks and convolutions are the test of a new rule.
#
# ## Exercises (copy `lessons/exercises/13_without_weight_transport.py`, fill it in, run it)
#
# 1. Write the backward pass of FA by hand, for a network with biases and a ReLU.
# 2. Where does the pair of numbers of section 1 come to rest, from w1 = 0, some w2 and some b?
# 3. How far from 90 degrees is the angle of two random vectors in n dimensions, typically?
#
# ## What this run must show

# %%
for name, path in paths.items():
    law = path[:, 0] ** 2 / 2 - b * path[:, 1]
    lesson.expect(f"{name}: w1 w2 at the end", path[-1].prod(), equal=1, tolerance=1e-3)
    lesson.expect(f"{name}: the law's error", np.ptp(law), at_most=0.02)
lesson.expect("FA and DFA - by hand, relative", max(off["FA"], off["DFA"]), at_most=1e-12)
lesson.expect("W1: angle to backprop's, at the start", first["1.W"], equal=90, tolerance=15)
for i, most in enumerate((60, 60, 80, 65)):
    lesson.expect(f"{names[i]}: angle at the end, worst seed", angles[:, -1, i].max(), at_most=most)
lesson.expect("growth of |W1|²/2 / <W2, B>", grown[0] / grown[1], equal=1, tolerance=0.03)
mean = {name: np.mean([*by_seed.values()]) for name, by_seed in read[2].items()}
for one, other, least in (("FA", TOP, 0.08), ("DFA", TOP, 0.08), ("FA", NEW, 0.25)):
    lesson.expect(f"{one} - {other}", mean[one] - mean[other], at_least=least)
lesson.record({"angles": angles, "growth of |W1|²/2 and <W2, B>": grown, "errors": errors})
lesson.record({"accuracy, two hidden layers": read[2], "accuracy, convolutions": pictures})
lesson.finish()
