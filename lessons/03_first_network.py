"""03 A first network

Question: can 784-32-10 read handwritten digits, and what does one wrong line do to it?
You need: lessons 01 and 02.
You will build: a digit reader by full-batch descent, with the seed's double softmax and without,
and then by mini-batches.
Time: 3 min on MNIST, 5 s on the embedded digits
Source: DS 4420, "Backprop": its MNIST classifier; Bottou 2010 for mini-batches.
"""

# %% [markdown]
# # 03 A first network
#
# The notebook trains a network with one hidden layer on all 60,000 digits at once, a thousand
# steps of plain gradient descent, and gets 76 % of the test digits right. It could have had 94 %.
# Nothing crashed; the loss fell smoothly. One line was one too many. We run both, side by side,
# from the same start, and learn what to look at when a network "works, but not well".
#
# | name | shape | meaning |
# |---|---|---|
# | `x` | (N, 1, 28, 28) | images, 0 to 1 |
# | `y` | (N,) | labels, 0 to 9 |
# | `h` | (N, 32) | hidden layer, σ(x W + b) |
# | `z` | (N, 10) | logits: one score for each digit |
# | `p` | (N, 10) | softmax(z): probabilities |

# %%

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device, to_host
from minigrad.lesson import start

lesson = start("03_first_network", __doc__)
train, test = lesson.data(n_quick=1000)
steps = lesson.epochs(usual=1000, quick=150)
loss = mg.CrossEntropyLoss()

# %% [markdown]
# ## 1. The network
#
# `CrossEntropyLoss` takes logits: it contains the softmax, L = -ln softmax(z)[y]. The notebook's
# network ends in a softmax of its own, so that the loss computes the softmax of a softmax.

# %%

corrected = mg.models.ds4420_mlp(seed=lesson.seed)
doubled = mg.models.ds4420_mlp(double_softmax=True, seed=lesson.seed)
corrected.summary(train.x.shape[1:])

# %% [markdown]
# What can that loss be at best? p is between 0 and 1. If p is exactly right, 1 for the digit and 0
# for the rest, the second softmax still gives only e/(e + 9), and L = ln(1 + 9/e) = 1.4612.
# And what does it say to a net that is sure and wrong? Logits s for a wrong digit, 0 else:

# %%

print(f"\n{'logit of a wrong digit':>24} {'gradient, corrected':>20} {'gradient, doubled':>18}")
softmax, sizes = mg.Softmax(dtype="float64"), {}
for s in (0.0, 2.0, 5.0, 10.0, 20.0):
    z, target = np.zeros((1, 10)), to_device(np.array([3]))
    z[0, 7] = s
    z = to_device(z)
    loss.forward(z, target)
    direct = to_host(loss.backward())
    loss.forward(softmax.forward(z), target)
    through = to_host(softmax.backward(loss.backward()))
    sizes[s] = np.linalg.norm(direct), np.linalg.norm(through)
    print(f"{s:24} {sizes[s][0]:20.6f} {sizes[s][1]:18.2e}")
lesson.expect("gradient on a confident error, corrected", sizes[20.0][0], at_least=1)
lesson.expect("gradient on a confident error, doubled", sizes[20.0][1], at_most=1e-6)

# %% [markdown]
# The surer it is, the less it learns from its error: the softmax's Jacobian diag(p) - p pᵀ
# vanishes where p is all on one digit. The corrected loss pulls with p - y, however sure the net.
#
# ## 2. A thousand steps, all images in each
#
# Rule and optimiser are separate things: `Backprop` fills in the gradients, `SGD` takes the step.

# %%


def read(model, images):
    """The digit that the model reads in each image."""
    return to_host(model.predict(to_device(images)).argmax(axis=1))


def full_batch(model, found):
    """The notebook's training: every image in every step, lr 1.

    Every tenth step `found` gets (step, how many of the ten digits are ever read).
    """

    def look(step, value):
        if step % 10 == 0:
            found.append((step, len(set(read(model, test.x[:1000]).tolist()))))

    return mg.fit(
        model,
        loss,
        mg.rules.Backprop(),
        mg.SGD(model, lr=1.0),
        train,
        test,
        epochs=steps,
        batch_size=len(train),
        evaluate_every=max(1, steps // 10),
        step_callback=look,
        seed=lesson.seed,
    )


found = {"corrected (backprop)": [], "wrong: softmax twice": []}
models = dict(zip(found, (corrected, doubled), strict=True))
runs = {name: full_batch(model, found[name]) for name, model in models.items()}
for name, history in runs.items():
    seconds = sum(history.seconds)
    print(f"\n{name}: {len(history.step_loss)} steps in {seconds:.1f} s")
    rows = zip(history.epoch, history.train_loss, history.test_accuracy, strict=True)
    print("  step   train loss   test accuracy")
    for epoch, train_loss, accuracy in rows:
        print(f"  {epoch:4}   {train_loss:10.4f}   {accuracy:13.4f}")
    lesson.record(f"{name}, step losses", history.step_loss)
    history.save(lesson.out / f"history_{name.split()[0].strip(':')}.json")

right, wrong = runs.values()
lesson.expect("first loss (ln 10)", right.step_loss[0], equal=np.log(10), tolerance=0.2)
lesson.expect("lowest loss of the double softmax", min(wrong.step_loss), at_least=1.4612)
full = not lesson.quick and steps >= 1000
if not full:
    lesson.expect("corrected: last loss", right.step_loss[-1], at_most=right.step_loss[0] - 0.3)
    ahead = right.test_accuracy[-1] - wrong.test_accuracy[-1]
    lesson.expect("corrected is ahead at the end by", ahead, at_least=0.0)
else:
    ahead = right.test_accuracy[1] - wrong.test_accuracy[1]
    lesson.expect("corrected is ahead at step 200 by", ahead, at_least=0.05)
    lesson.expect("corrected: test accuracy", right.test_accuracy[-1], at_least=0.93)
if full and lesson.mnist:
    lesson.expect("doubled: test accuracy", wrong.test_accuracy[-1], at_least=0.68, at_most=0.90)
    lesson.expect("doubled: loss at step 900", wrong.step_loss[900], at_least=1.58, at_most=1.78)

# %%

figure = plots.curves(
    {name: (range(len(h.step_loss)), h.step_loss) for name, h in runs.items()},
    "One softmax too many",
    floors={"lowest possible with two softmaxes: 1.4612": np.log(1 + 9 / np.e)},
)
lesson.save(figure, "loss")

# %% [markdown]
# ## 3. Look at each digit
#
# Why does the loss of the doubled net stand still and then move on? Count how many of the ten
# digits the net ever reads. A digit that is never read has hardly a gradient left to make itself
# heard, for on its images the net is sure, and wrong. When one is found, the loss falls a level.

# %%

name = "wrong: softmax twice"
figure = plots.stacked(
    {
        "loss": {name: (range(len(wrong.step_loss)), wrong.step_loss)},
        "digits ever read": {label: np.array(pairs).T for label, pairs in found.items()},
    },
    "A plateau is a digit not yet found",
    floors={"lowest possible: 1.4612": np.log(1 + 9 / np.e)},
)
lesson.save(figure, "plateaus")
lesson.record("digits ever read, every tenth step", found)

# %% [markdown]
# Accuracy is one number; recall is ten: of all sevens, how many were read as seven?

# %%

recalls = {}
for name, model in models.items():
    predicted = read(model, test.x)
    recalls[name] = [float((predicted[test.y == digit] == digit).mean()) for digit in range(10)]
    never = sorted(set(range(10)) - set(predicted.tolist()))
    print(f"{name}: never predicts {never or 'none of the digits'}")
    lesson.record(f"{name}, recall", recalls[name])
    lesson.record(f"{name}, never predicted", never)
lesson.save(plots.class_bars(recalls, "Recall of each digit: what one accuracy hides"), "recall")
if full:
    lesson.expect("corrected: worst recall", min(recalls["corrected (backprop)"]), at_least=0.8)
if full and lesson.mnist:
    lesson.expect("doubled: worst recall", min(recalls["wrong: softmax twice"]), at_most=0.6)

# %% [markdown]
# ## 4. Mini-batches
#
# A full-batch step looks at all images to make one small move. Most of what they say they say
# alike; 64 of them, drawn at random, say it nearly as well, and allow a thousand moves in the time
# of one. The price is noise, which a smaller step averages out.

# %%

minibatch = mg.models.ds4420_mlp(seed=lesson.seed)
few = mg.fit(
    minibatch,
    loss,
    mg.rules.Backprop(),
    mg.SGD(minibatch, lr=0.5),
    train,
    test,
    epochs=5 if lesson.quick else 10,
    batch_size=64,
    seed=lesson.seed,
)
for name, history in {"mini-batches of 64": few, "full batches": right}.items():
    print(
        f"{name}: test accuracy {history.test_accuracy[-1]:.4f} after {history.epoch[-1]} passes "
        f"over the data in {sum(history.seconds):.1f} s"
    )
lesson.record("mini-batch seconds / full-batch seconds", sum(few.seconds) / sum(right.seconds))
if lesson.mnist and not lesson.quick:
    lesson.expect("mini-batches: test accuracy", few.test_accuracy[-1], at_least=0.95)
else:
    least = 0.5 if lesson.quick else 0.93
    lesson.expect("mini-batches: test accuracy", few.test_accuracy[-1], at_least=least)
figure = plots.curves(
    {
        "full batch, lr 1 (backprop)": (right.epoch, right.test_loss),
        "mini-batches of 64, lr 0.5": (few.epoch, few.test_loss),
    },
    "The same gradient, many small looks instead of few long ones",
    xlabel="passes over the data",
    ylabel="test loss",
    logx=True,
)
lesson.save(figure, "minibatch")

# %% [markdown]
# Which digits does it still misread? Many would give a person pause, too.

# %%

predicted = read(minibatch, test.x)
missed = np.flatnonzero(predicted != test.y)[:18]
captions = [f"{test.y[i]} read as {predicted[i]}" for i in missed]
lesson.save(plots.digits(test.x[missed], captions, "Misread test digits"), "misread")

# %% [markdown]
# ## What to remember
#
# - A loss from logits contains the softmax. Two softmaxes are a floor at 1.4612 and a vanishing
#   gradient just where the net is sure and wrong.
# - A falling loss proves little. Know the first value (ln 10) and the lowest possible one, and look
#   at each class.
# - Mini-batches: noisier gradients, and far more of them for the same time.
#
# ## Exercises (`lessons/exercises/03_first_network.py`)
#
# 1. Keep the double softmax and forget to overwrite the gradients: add each step's to the sum of
#    all before. How far does the loss fall in 400 steps?
# 2. A softmax layer and MSELoss: which floor has that, and does it plateau as well?
# 3. Train on one image of each digit only. What accuracy do ten examples buy?

# %%

lesson.finish()
