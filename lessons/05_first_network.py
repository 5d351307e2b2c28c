"""05 A first network

Question: what does one wrong line do to a digit reader that seems to work?
You need: lessons 01 and 03.
You will build: a 784-32-10 network that reads digits, with a softmax too many and without, trained
by full-batch descent, and then by mini-batches.
Time: 3 min on MNIST, 5 s on the embedded digits
Source: the course notebook "DS 4420: Backprop", its MNIST classifier; Bottou 2010 for mini-batches.
"""

# %% [markdown]
# # 05 A first network
#
# The course notebook "DS 4420: Backprop" trains a network with one hidden layer on all 60,000
# MNIST digits at once, a thousand steps of plain gradient descent, and gets 76 % of the test digits
# right. It could have had 94 %. Nothing crashed; the loss fell smoothly. One line was one too many.
# We run both, side by side, from the same start, and learn where to look when a net works, but
# not well.
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

lesson = start("05_first_network", __doc__)
train, test = lesson.data(n_quick=1000)
steps = lesson.epochs(usual=1000 if lesson.mnist else 200, quick=150)
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
#
# And how does it pull? The gradient of the right digit's logit is p - 1 with one softmax: the more
# the digit is missed, the stronger the pull, up to 1. Through a second softmax it is multiplied by
# the first one's Jacobian, diag(p) - p pᵀ, whose row for that digit has p as a factor: the *rarer*
# the net gives the digit a chance, the *weaker* the pull. Below, a wrong digit's logit is s, all
# others are 0.

# %%

header = ("wrong digit's s", "p of the right", "its gradient", "with two softmaxes")
print("\n" + "".join(f"{word:>20}" for word in header))
softmax, pull = mg.Softmax(dtype="float64"), {}
for s in (0.0, 2.0, 4.0, 8.0, 16.0):
    z, target = np.zeros((1, 10)), to_device(np.array([3]))
    z[0, 7] = s
    z = to_device(z)
    loss.forward(z, target)
    one = float(loss.backward()[0, 3])
    p = softmax.forward(z)
    loss.forward(p, target)
    two = float(softmax.backward(loss.backward())[0, 3])
    pull[s] = abs(one), abs(two)
    print(f"{s:20g}{float(p[0, 3]):20.1e}{one:20.4f}{two:20.1e}")
lesson.expect("pull on a digit without a chance, one softmax", pull[16.0][0], at_least=0.99)
lesson.expect("pull on a digit without a chance, two", pull[16.0][1], at_most=1e-5)

# %% [markdown]
# ## 2. Training on all images at once
#
# Rule and optimiser are separate things: `Backprop` fills in the gradients, `SGD` takes the step.
# (`lesson.fit` is `mg.fit`. On Ctrl-C it also ends the lesson and keeps what was measured. With
# --resume it goes on where it was; `collects` names the lists that the callbacks fill.)


# %%
def read(model, images):
    """The digit that the model reads in each image."""
    return to_host(model.predict(to_device(images)).argmax(axis=1))


def full_batch(model, found):
    """The notebook's training: every image in every step, lr 1.

    Now and then `found` gets (step, how many of the ten digits the net reads in test images).
    """

    def look(step, value):
        if step % max(1, steps // 100) == 0:
            found.append((step, len(set(read(model, test.x[:1000]).tolist()))))

    return lesson.fit(
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
        collects=[found],
    )


found = {"corrected (backprop)": [], "wrong: softmax twice": []}
models = dict(zip(found, (corrected, doubled), strict=True))
runs = {name: full_batch(model, found[name]) for name, model in models.items()}
for name, history in runs.items():
    print(f"\n{name}: {len(history.step_loss)} steps in {sum(history.seconds):.1f} s")
    print("  step   train loss   test accuracy")
    rows = zip(history.epoch, history.train_loss, history.test_accuracy, strict=True)
    for epoch, train_loss, accuracy in rows:
        print(f"  {epoch:4}   {train_loss:10.4f}   {accuracy:13.4f}")
    lesson.record(f"{name}, step losses", history.step_loss)
    history.save(lesson.out / f"history_{name.split()[0].strip(':')}.json")

right, wrong = runs.values()
floor = np.log(1 + 9 / np.e)
lesson.expect("first loss (ln 10)", right.step_loss[0], equal=np.log(10), tolerance=0.2)
lesson.expect("doubled: lowest loss", min(wrong.step_loss), at_least=floor)
ahead = right.test_accuracy[-1] - wrong.test_accuracy[-1]
lesson.expect("corrected is ahead in test accuracy by", ahead, at_least=0.03)
full = not lesson.quick and steps >= (1000 if lesson.mnist else 200)
if full:
    lesson.expect("corrected: test accuracy", right.test_accuracy[-1], at_least=0.93)
if full and lesson.mnist:
    lesson.expect("doubled: test accuracy", wrong.test_accuracy[-1], at_least=0.68, at_most=0.90)
    lesson.expect("doubled: loss at step 900", wrong.step_loss[900], at_least=1.58, at_most=1.78)

# %%

figure = plots.curves(
    {name: (range(len(h.step_loss)), h.step_loss) for name, h in runs.items()},
    "One softmax too many",
    floors={"lowest possible with two softmaxes: 1.4612": floor},
)
lesson.save(figure, "loss")

# %% [markdown]
# ## 3. Look at each digit
#
# Why does the loss of the doubled net stand still and then move on? Count how many of the ten
# digits the net reads at all. A digit that it does not read has little probability on its images,
# and so, as the table above says, little pull to get any: it takes long to be found. When one is,
# the loss falls to the next level. On MNIST:
#
# ![Loss of the doubled net, and the number of digits that it reads](figures/plateaus.png)
#
# After 1000 steps it still never reads a 5. The corrected net reads all ten after 20.

# %%

name = "wrong: softmax twice"
counts = {label: np.array(pairs).T for label, pairs in found.items()}
steps_seen, digits_read = counts[name][:, counts[name][0] >= steps // 10]  # past the first turmoil
found_at = steps_seen[1:][np.diff(np.maximum.accumulate(digits_read)) > 0]
figure = plots.stacked(
    {
        "loss": {name: (range(len(wrong.step_loss)), wrong.step_loss)},
        "digits read, of 10": counts,
    },
    "Each level of the loss is one more digit found",
    floors={"lowest possible: 1.4612": floor},
    marks=found_at,
)
lesson.save(figure, "plateaus")
lesson.record("digits read", {label: pairs.tolist() for label, pairs in counts.items()})

# %% [markdown]
# Accuracy is one number; recall is ten: of all sevens, how many were read as seven?

# %%

recalls = {}
for name, model in models.items():
    predicted = read(model, test.x)
    recalls[name] = [float((predicted[test.y == digit] == digit).mean()) for digit in range(10)]
    never = sorted(set(range(10)) - set(predicted.tolist()))
    print(f"{name}: " + (f"never reads {never}" if never else "reads every digit sometimes"))
    lesson.record(f"{name}, recall", recalls[name])
    lesson.record(f"{name}, never read", never)
lesson.save(plots.class_bars(recalls, "Recall of each digit: what one accuracy hides"), "recall")
if full:
    lesson.expect("corrected: worst recall", min(recalls["corrected (backprop)"]), at_least=0.8)
    lesson.expect("doubled: worst recall", min(recalls["wrong: softmax twice"]), at_most=0.6)

# %% [markdown]
# How strong is the pull on the images of the digits that it reads worst, now, in the trained net?

# %%

worst = np.argsort(recalls["wrong: softmax twice"])[:1]
hard = test.take(np.flatnonzero(np.isin(test.y, worst))).placed(doubled.params["1.W"])
p = doubled.forward(hard.x, train=False)
loss.forward(p, hard.y)
dz = len(hard) * to_host(doubled.layers[-1].backward(loss.backward()))
chance = to_host(p)[np.arange(len(hard)), to_host(hard.y)]
two = float(abs(dz[np.arange(len(hard)), to_host(hard.y)]).mean())
print(
    f"\nimages of {worst[0]}: the right digit has p = {chance.mean():.3f} on average; its pull is"
)
print(f"{two:.3f} through two softmaxes, and would be {1 - chance.mean():.3f} through one")
lesson.record("pull on the digit read worst, two softmaxes and one", [two, 1 - chance.mean()])

# %% [markdown]
# ## 4. Mini-batches
#
# A full-batch step looks at all images to make one small move. Most of what they say they say
# alike: 64 of them, drawn at random, say it nearly as well. One pass over the data is then not one
# move but hundreds, for the same arithmetic. The price is noise, which a smaller step averages out.

# %%

passes = min(10, steps)
minibatch = mg.models.ds4420_mlp(seed=lesson.seed)
few = lesson.fit(
    minibatch,
    loss,
    mg.rules.Backprop(),
    mg.SGD(minibatch, lr=0.5),
    train,
    test,
    epochs=passes,
    batch_size=64,
)
same = right.step_loss[min(passes, steps - 1)]
print(f"\nafter {passes} passes over the data: train loss {few.train_loss[-1]:.3f} by mini-batches")
print(f"of 64, {same:.3f} by full batches; by mini-batches the test accuracy is already")
print(f"{few.test_accuracy[-1]:.4f}, after {sum(few.seconds):.1f} s; by full batches it is")
print(f"{right.test_accuracy[-1]:.4f} after {steps} passes and {sum(right.seconds):.1f} s")
lesson.record("seconds, mini-batches and full batches", [sum(few.seconds), sum(right.seconds)])
ratio = few.train_loss[-1] / same
lesson.expect("after as many passes, mini-batch loss / full-batch loss", ratio, at_most=0.9)
if full and lesson.mnist:
    lesson.expect("mini-batches: test accuracy", few.test_accuracy[-1], at_least=0.95)
figure = plots.curves(
    {
        "full batch, lr 1 (backprop)": (range(1, steps), right.step_loss[1:]),
        "mini-batches of 64, lr 0.5": (few.epoch, few.train_loss),
    },
    "Many quick looks instead of few long ones",
    xlabel="passes over the data",
    ylabel="training loss",
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
# - A loss from logits contains the softmax. A second one puts a floor under the loss, 1.4612, and
#   takes the pull away from just those digits that need it most.
# - A falling loss proves little. Know its first value (ln 10) and the lowest possible one, and look
#   at each class.
# - Mini-batches: noisier gradients, and far more of them for the same arithmetic.
#
# ## Exercises (copy `lessons/exercises/05_first_network.py`, fill it in, run it)
#
# 1. Keep the double softmax and forget to overwrite the gradients: add each step's to the sum of
#    all before. How far does the loss fall in 400 steps of 0.1, and why further than without?
# 2. A softmax layer and MSELoss: does that loss have a floor, and does it plateau as well?
# 3. Train on one image of each digit only. What accuracy do ten examples buy?

# %%

lesson.finish()
