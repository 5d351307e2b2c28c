"""05 A first network

Question: how does a network learn to read digits, and how does one see how well it reads?
You need: lessons 01 to 04.
You will build: a 784-32-10 network that reads digits, trained by mini-batches and by full batches.
Time: 30 s on MNIST, 4 s on the embedded digits, on one core
Source: LeCun et al. 1998 for MNIST; Bottou 2010 for mini-batches; the course notebook "DS 4420:
Backprop" for the network's size.
"""

# %% [markdown]
# # 05 A first network
#
# The loop of lesson 04 does not care what its points are. Here a point is an image of a handwritten
# digit: 28 times 28 numbers from 0, paper, to 1, ink. There are ten classes. Everything else stays.
#
# | name | shape | meaning |
# |---|---|---|
# | `x` | (N, 1, 28, 28) | images; the 1 is their number of colours, and grey is one |
# | `y` | (N,) | labels, 0 to 9 |
# | `h` | (N, 32) | hidden units, ReLU(x W + b) with each image as a row of 784 numbers |
# | `z` | (N, 10) | logits: a score for each digit |
# | `B` | number | the examples in a mini-batch |
# | η, `lr` | number | the learning rate |

# %%

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device, to_host
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate

lesson = start("05_first_network", __doc__)
train, test = lesson.data(n_quick=1000)
passes = lesson.epochs(usual=10 if lesson.mnist else 40, quick=15)
loss = mg.CrossEntropyLoss()
captions = [f"label {label}" for label in train.y[:12]]
lesson.save(plots.digits(train.x[:12], captions, "The first images to learn from"), "digits")

# %% [markdown]
# ## 1. What the first loss must be
#
# A network that knows nothing gives each of the ten digits about the probability 1/10. Its loss is
# then about $-ln(1/10) = ln 10 = 2.303$. Work out this number before you train anything. If the
# first loss is far from it, look for the fault before you go on. With `--backend cupy` the net is
# on the GPU: `to_device` puts an array there, `to_host` brings it back.


# %%
def network(seed):
    return mg.models.mlp((784, 32, 10), seed=seed)  # Flatten, Linear, ReLU, Linear


def read(model, images):
    """The digit that the model reads in each image."""
    return to_host(model.predict(to_device(images)).argmax(axis=1))


model = network(lesson.seed)
model.summary(train.x.shape[1:])
first_loss = loss.forward(model.predict(to_device(train.x[:1000])), to_device(train.y[:1000]))
print(f"the first loss is {first_loss:.3f}; ln 10 is {np.log(10):.3f}")

# %% [markdown]
# ## 2. Training, and the test
#
# The network could learn its images by heart. So we look at images that no step has used, the test
# set. The gap between the two losses says how much of the learning was about these very images. In
# the figure the dotted line marks the epoch with the lowest training loss.


# %%
def fit(model, B, lr, passes, seed, every=1):
    """Lesson 04's loop. (`lesson.fit` is `mg.fit`; on Ctrl-C it also keeps what was measured.)"""
    return lesson.fit(
        model,
        loss,
        mg.rules.Backprop(),
        mg.SGD(model, lr=lr),
        train,
        test,
        epochs=passes,
        batch_size=B,
        evaluate_every=every,
        seed=seed,
    )


history = fit(model, 64, 0.1, passes, lesson.seed)
losses = history.train_loss, history.test_loss
shares = history.train_accuracy, history.test_accuracy
for name, values, right in zip(("training", "test"), losses, shares, strict=True):
    print(f"{name} set: loss {values[-1]:.3f}, {100 * right[-1]:.1f} % of the digits read right")
title = f"{100 * history.test_accuracy[-1]:.1f} % of the test digits are read right"
lesson.save(plots.history(history, title), "history")

# %% [markdown]
# ## 3. Few long looks, or many short ones?
#
# The exact gradient is the mean over all images. A mini-batch of B images gives that mean with
# noise. Means of B independent numbers scatter like $1/√B$: for half the noise one has to look at
# four times as many images. How large is it here? We draw mini-batches, and measure how far their
# gradient is from the exact one, as a share of the exact one's length. Before and after training.
# Training makes the exact gradient short: near the bottom the images' gradients nearly cancel.
# So the noise is a larger share of it.


# %%
def gradient(model, x, y):
    """All gradients of the batch in one row."""
    mg.rules.Backprop().estimate(model, loss, to_device(x), to_device(y))
    return np.concatenate([to_host(grad).ravel() for grad in model.grads.values()])


def noise(model, sizes, draws=50):
    """|g_B - g|/|g| for each B, as the root of its mean square over the draws."""
    rng = np.random.default_rng(lesson.seed)
    g = gradient(model, train.x, train.y)
    found = []
    for B in sizes:
        rows = [rng.integers(0, len(train), B) for _ in range(draws)]
        squares = [np.sum((gradient(model, train.x[i], train.y[i]) - g) ** 2) for i in rows]
        found.append(float(np.sqrt(np.mean(squares) / np.sum(g**2))))
    return found


# %%

sizes = [B for B in (4, 16, 64, 256, 1024) if len(train) > B]
noises = {
    "before training": noise(network(lesson.seed), sizes),
    "after training": noise(model, sizes),
}
for i, B in enumerate(sizes):
    off = " and ".join(f"{100 * values[i]:5.0f} % {name}" for name, values in noises.items())
    print(f"B = {B:4}, {100 * B / len(train):6.2f} % of the work: off by {off}")
lines = {name: (sizes, values) for name, values in noises.items()}
lines["1/√B, through the first point"] = (
    sizes,
    [noises["before training"][0] * 2 / B**0.5 for B in sizes],
)
title = "The noise in a mini-batch's gradient"
ylabel = "noise / length of the exact gradient"
lesson.save(plots.curves(lines, title, "B, images in a batch", ylabel, logx=True), "noise")

# %% [markdown]
# So a batch of 64 buys a rough gradient for a small share of the work. One pass through the data
# is one step with full batches, or N/64 steps with these. The arithmetic is the same. Which gets
# farther? Both get three passes, the best of three learning rates, and three starts.

# %%

N = len(train)
lowest = {64: [], N: []}
for B, values in lowest.items():
    for seed in range(lesson.seed, lesson.seed + 3):
        runs = [fit(network(seed), B, lr, 3, seed, every=3) for lr in (0.05, 0.2, 0.5)]
        values.append(min(run.train_loss[-1] for run in runs))
behind = estimate(np.subtract(lowest[N], lowest[64]))
print(f"after 3 passes: loss of full batches minus loss of mini-batches = {behind}:", end=" ")
print(behind.says("many short looks win", "few long looks win"))

# %% [markdown]
# And in the long run? Full batches get ten times as many passes. Where their loss jumps up, a step
# was too long for the ground there, as at the edge $η = 2/C$ of lesson 03.

# %%

full = fit(network(lesson.seed), N, 0.5, 10 * passes, lesson.seed, every=10 * passes)
jumps = int((np.diff(full.step_loss) > 0).sum())
lines = {
    f"all {N:,} images in each step, lr 0.5": (range(1, len(full.step_loss)), full.step_loss[1:]),
    "mini-batches of 64, lr 0.1": (history.epoch, history.train_loss),
}
ends = f"{history.train_loss[-1]:.2f} by mini-batches, {full.train_loss[-1]:.2f} by full batches"
print(f"training loss after {passes} and {10 * passes} passes: {ends}")
print(f"the loss of full batches went up in {jumps} of {len(full.step_loss) - 1} steps")
title = "The loss by passes through the data"
figure = plots.curves(lines, title, "passes", "training loss", logx=True, outside=True)
lesson.save(figure, "minibatch")

# %% [markdown]
# ## 4. Look at each digit
#
# Accuracy is one number. *Recall* is one for each class: of all sevens, what share was read as 7?

# %%

predicted = read(model, test.x)
recall = np.array([(predicted[test.y == digit] == digit).mean() for digit in range(10)])
worst, best = int(recall.argmin()), int(recall.argmax())
low, high = (f"of the {d}s {100 * recall[d]:.0f} %" for d in (worst, best))
title = f"Recall: {low} are found, {high}"
lesson.save(plots.class_bars({"trained by backprop": recall}, title), "recall")
missed = np.flatnonzero(predicted != test.y)
captions = [f"{test.y[i]} read as {predicted[i]}" for i in missed[:18]]
title = (
    f"{len(missed)} of {len(test):,} test digits are misread; here are the first {len(captions)}"
)
lesson.save(plots.digits(test.x[missed[:18]], captions, title), "misread")

# %% [markdown]
# ## 5. What the hidden units see
#
# Each hidden unit has a weight for each pixel. Drawn as an image, they show what it looks for: ink
# on red raises the unit, ink on blue lowers it. Look for pieces of strokes.
#
# Some weights still have their random start. Where no training image has ink, x is 0, and so is the
# gradient $xᵀ da$. And a unit that is silent on all images gets no gradient, because ReLU has the
# slope 0 there: it may never learn anything.

# %%

W = to_host(model.params["1.W"])
moved = np.abs(W - to_host(network(lesson.seed).params["1.W"])).max(axis=1)
empty = train.x.reshape(len(train), 784).max(axis=0) == 0
print(f"{empty.sum()} pixels never have ink; their weights have moved by {moved[empty].max():g},")
print(f"those of the others by up to {moved[~empty].max():.2f}")
silent = (train.x.reshape(len(train), 784) @ W + to_host(model.params["1.b"]) <= 0).all(axis=0)
print(f"{silent.sum()} of 32 hidden units are silent on every training image")
images = W.T.reshape(4, 8, 28, 28)
rows = {f"units {8 * i + 1} to {8 * i + 8}": row for i, row in enumerate(images)}
lesson.save(plots.gradients(rows, "The weights of each hidden unit, as an image"), "units")

# %% [markdown]
# ## 6. A network that works, but not well
#
# `CrossEntropyLoss` takes logits: it contains the softmax. A network that ends in a softmax of its
# own has two. It still trains, but its loss cannot fall below 1.4612. And digits that it misses get
# almost no gradient. `minigrad run double_softmax` takes such a published network apart. The figure
# is from there, on MNIST with seed 0. At a dotted line the loss leaves a level, and the network
# begins to read one more digit:
#
# ![Loss of a net with two softmaxes, and how many digits it reads](figures/plateaus.png)
#
# ## What to remember
#
# - Know the first loss before you train, ln 10 for ten classes; and look at each class.
# - Judge by examples that no step has used.
# - A mini-batch's gradient is noisy, like $1/√B$, and cheap. For the same few passes through the
#   data, many cheap steps get farther.
#
# ## Exercises (copy `lessons/exercises/05_first_network.py`, fill it in, run it)
#
# 1. Forget to overwrite the gradients: add each step's to the sum of all before. What is that?
# 2. Precision: of all images that are read as 7, what share are sevens?
# 3. Train on one image of each digit only. What accuracy do ten examples buy?
#
# ## What this run must show

# %%

steepness = noises["before training"][0] / noises["before training"][-1]
steepness /= np.sqrt(sizes[-1] / sizes[0])
lesson.expect("first loss (ln 10)", first_loss, equal=np.log(10), tolerance=0.05)
lesson.expect(
    "noise before training, B = 4 to the largest / 1/√B", steepness, equal=1, tolerance=0.15
)
lesson.expect("after 3 passes full batches are behind by, low end", behind.low, at_least=1)
louder = min(np.divide(noises["after training"], noises["before training"]))
lesson.expect("noise after / before training, least", louder, at_least=1)
lesson.expect("weights of pixels without ink: largest move", moved[empty].max(), equal=0)
if not lesson.quick:
    lesson.expect("test accuracy", history.test_accuracy[-1], at_least=0.94)
    lesson.expect(
        "recall of the digit read worst", recall.min(), at_least=0.9 if lesson.mnist else 0.75
    )
lesson.record({"noise": noises, "B": sizes, "loss after 3 passes": list(lowest.values())})
lesson.record({"full batch, step losses": full.step_loss, "recall": recall.tolist()})
lesson.record("seconds, mini-batches and full batches", [sum(history.seconds), sum(full.seconds)])
lesson.finish()
