"""A softmax too many

Question: what does one wrong line do to a digit reader that seems to work?
You need: lessons 01 to 05.
You will build: a published network with a softmax too many and without, from the same start, and a
way to see where its loss stands still, and why.
Time: 3 min on MNIST, 7 s on the embedded digits
Source: the course notebook "DS 4420: Backprop", its MNIST classifier.
"""

# %% [markdown]
# # A softmax too many
#
# The course notebook "DS 4420: Backprop" trains a network with one hidden layer on all 60,000
# MNIST digits at once, a thousand steps of plain gradient descent with the learning rate 1. It gets
# 76 % of the test digits right. Nothing crashes, and the loss falls smoothly. But one line is one
# too many. We run both networks from the same start, and learn where to look when a network works,
# but not well. (How well it works depends on the start: on MNIST 84 % with seed 0 and 76 % with
# seed 1, after 1000 steps.)
#
# | name | shape | meaning |
# |---|---|---|
# | `x`, `y` | (N, 1, 28, 28), (N,) | images and labels |
# | `z` | (N, 10) | logits: one score for each digit |
# | `p` | (N, 10) | softmax(z): probabilities |
# | r | number | the right digit of an image |

# %%

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device, to_host
from minigrad.lesson import start

lesson = start("double_softmax", __doc__)
train, test = lesson.data(n_quick=1000)
steps = lesson.epochs(usual=1000 if lesson.mnist else 400, quick=150)
loss = mg.CrossEntropyLoss()
RIGHT, WRONG = "corrected (backprop)", "wrong: softmax twice"
models = {
    RIGHT: mg.models.ds4420_mlp(seed=lesson.seed),
    WRONG: mg.models.ds4420_mlp(double_softmax=True, seed=lesson.seed),
}
models[WRONG].summary(train.x.shape[1:])

# %% [markdown]
# ## 1. What the second softmax does
#
# `CrossEntropyLoss` takes logits. It contains the softmax: $L = -ln softmax(z)ᵣ$. The notebook's
# network ends in a softmax of its own. So the loss computes the softmax of a softmax.
#
# **The loss has a floor.** The second softmax gets numbers between 0 and 1. Let p be exactly right:
# 1 for the right digit and 0 for the nine others. The second softmax makes $e/(e + 9)$ of it, and
# $L = ln(1 + 9/e) = 1.4612$. No network can come below.
#
# **The pull is weak where it is needed.** With one softmax the gradient of the right digit's logit
# is $pᵣ - 1$. The more the digit is missed, the stronger is the pull, up to 1. With two it is
# multiplied by the first softmax's Jacobian, $diag(p) - p pᵀ$. Its row for that digit has $pᵣ$ as a
# factor. So the rarer the network gives the digit a chance, the weaker is the pull. Below, a wrong
# digit's logit is s, and all others are 0.

# %%

print("\n" + "".join(f"{w:>20}" for w in ("wrong logit s", "p of the right", "pull", "of two")))
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
    print(f"{s:20g}{float(p[0, 3]):20.1e}{-one:20.4f}{-two:20.1e}")

# %% [markdown]
# ## 2. Training
#
# Every step uses all images, as the notebook's do. The corrected network gets half as many steps.
# Now and then we count how many of the ten digits the network reads at all in 1000 test images.


# %%
def read(model, images):
    """The digit that the model reads in each image."""
    return to_host(model.predict(to_device(images)).argmax(axis=1))


def full_batch(model, steps, seen):
    """The notebook's training. `seen` gets (step, how many digits the network reads)."""

    def look(step, value):
        if step % max(1, steps // 200) == 0:
            seen.append((step, len(set(read(model, test.x[:1000]).tolist()))))

    rule, optimizer = mg.rules.Backprop(), mg.SGD(model, lr=1.0)
    return lesson.fit(
        *(model, loss, rule, optimizer, train, test),
        epochs=steps,
        batch_size=len(train),
        evaluate_every=max(1, steps // 10),
        step_callback=look,
        collects=[seen],
    )


# %%

seen = {RIGHT: [], WRONG: []}
right = full_batch(models[RIGHT], steps // 2, seen[RIGHT])
wrong = full_batch(models[WRONG], steps, seen[WRONG])
runs = {RIGHT: right, WRONG: wrong}
for name, history in runs.items():
    print(f"\n{name}: {len(history.step_loss)} steps in {sum(history.seconds):.1f} s")
    print("  step   train loss   test accuracy")
    rows = zip(history.epoch, history.train_loss, history.test_accuracy, strict=True)
    for epoch, train_loss, accuracy in rows:
        print(f"  {epoch:4}   {train_loss:10.4f}   {accuracy:13.4f}")
    history.save(lesson.out / f"history_{name.split()[0].strip(':')}.json")
print(f"\nloss of step {steps}: {wrong.step_loss[-1]:.5f} with two softmaxes")
floor = np.log(1 + 9 / np.e)
figure = plots.curves(
    {name: (range(len(h.step_loss)), h.step_loss) for name, h in runs.items()},
    "One softmax too many",
    floors={"lowest possible with two softmaxes: 1.4612": floor},
)
lesson.save(figure, "loss")

# %% [markdown]
# ## 3. Where the loss stands still
#
# The loss of the wrong network comes to levels: it nearly stands still and then moves on. To see
# them we look at how much it falls per step, averaged over some steps. We call it a level where
# this rate is smallest, and less than half of the fastest fall that follows.
#
# Our guess from the table above: a digit that is not read has little probability on its images, so
# little pull to get any. It takes long to be found. When it is, the loss falls to the next level.
# So each level should end when one more digit is read. Does it? And do all digits end a level?


# %%
def rate_of_fall(values, width):
    """(steps, -dL/dstep), averaged over 2 width + 1 steps."""
    mean = np.convolve(values, np.ones(2 * width + 1) / (2 * width + 1), mode="valid")
    return width + 1 + np.arange(len(mean) - 2), (mean[:-2] - mean[2:]) / 2


def levels(steps, rate):
    """[(where the loss falls slowest, where it falls fastest after that)]"""
    inner = rate[1:-1]
    slow = np.flatnonzero((inner <= rate[:-2]) & (inner < rate[2:])) + 1
    fast = np.flatnonzero((inner >= rate[:-2]) & (inner > rate[2:])) + 1
    pairs = [(i, fast[fast > i].min()) for i in slow if (fast > i).any()]
    return [(int(steps[i]), int(steps[j])) for i, j in pairs if 2 * rate[i] < rate[j]]


places, rate = rate_of_fall(wrong.step_loss, max(5, steps // 100))
stands = levels(places, rate)
counts = {name: np.array(pairs).T for name, pairs in seen.items()}
when, read_now = counts[WRONG][:, counts[WRONG][0] >= steps // 10]  # past the first turmoil
found_at = when[1:][np.diff(np.maximum.accumulate(read_now)) > 0]
ends = [found_at[(found_at > slow) & (found_at <= fast)] for slow, fast in stands]
marks = [int(step) for found in ends for step in found]

# %%

for (slow, fast), found in zip(stands, ends, strict=True):
    print(
        f"a level around step {slow}; the loss falls fastest again at step {fast}; digits that",
        end=" ",
    )
    print(f"were not read before are read from steps {found.tolist()}")
others = [int(step) for step in found_at if step not in marks]
print(f"digits found while the loss showed no level: at steps {others}")
ended = sum(len(found) > 0 for found in ends)
told = f"{ended} of {len(stands)} levels of the loss end as more digits are read"
if not stands:
    told = f"The loss has no level in {steps} steps"
lines = range(len(wrong.step_loss)), wrong.step_loss
figure = plots.stacked(
    {
        "loss": {WRONG: lines},
        "fall per step": {WRONG: (places, rate)},
        "digits read, of 10": counts,
    },
    told,
    floors={"lowest possible: 1.4612": floor},
    marks=marks,
)
lesson.save(figure, "plateaus")

# %% [markdown]
# Accuracy is one number; recall is ten: of all sevens, how many were read as seven?

# %%

recalls, never = {}, {}
for name, model in models.items():
    predicted = read(model, test.x)
    recalls[name] = [float((predicted[test.y == digit] == digit).mean()) for digit in range(10)]
    never[name] = sorted(set(range(10)) - set(predicted.tolist()))
    print(f"{name} " + (f"never reads {never[name]}" if never[name] else "reads all ten digits"))
title = f"Recall of each digit, after {steps // 2} steps (corrected) and {steps} (wrong)"
lesson.save(plots.class_bars(recalls, title), "recall")

# %% [markdown]
# How strong is the pull on the images of the digit that the wrong network reads worst, at its end?

# %%

worst = int(np.argmin(recalls[WRONG]))
hard = test.take(np.flatnonzero(test.y == worst)).placed(models[WRONG].params["1.W"])
p = models[WRONG].forward(hard.x, train=False)
loss.forward(p, hard.y)
dz = len(hard) * to_host(models[WRONG].layers[-1].backward(loss.backward()))
chance = float(to_host(p)[:, worst].mean())
two = float(abs(dz[:, worst]).mean())
print(f"\nimages of {worst}: the right digit has p = {chance:.3f} on average; its pull is")
print(f"{two:.3f} through two softmaxes, and would be {1 - chance:.3f} through one")

# %% [markdown]
# ## 4. Two more wrong lines
#
# **Gradients that are never set to zero** are added up from step to step. Each step then goes along
# the sum of all gradients so far. That is a momentum of 1: nothing ever slows it down.
#
# **MSELoss after a softmax** has no floor: a sure and right network has the loss 0. But it has the
# same plateau. A sure and wrong network has no pull, because the softmax's Jacobian is 0 there.


# %%
class Accumulating(mg.rules.Rule):
    """Backprop's gradients, added to those of all steps before."""

    def __init__(self):
        self.sums = {}

    def estimate(self, model, loss, x, target):
        value = mg.rules.Backprop().estimate(model, loss, x, target)
        for name, grad in model.grads.items():
            self.sums[name] = self.sums.get(name, 0) + grad
            model.grads[name] = self.sums[name]
        return value

    def state_dict(self):
        return {name: to_host(total) for name, total in self.sums.items()}

    def load_state_dict(self, model, state):
        self.sums = {name: to_device(total) for name, total in state.items()}


def after(rule, momentum=0.0, steps=400):
    """The losses of full-batch steps of 0.1 on 500 embedded digits, with two softmaxes."""
    net = mg.models.ds4420_mlp(double_softmax=True, seed=lesson.seed)
    data = mg.data.load("digits")[0].take(500)
    descent = mg.SGD(net, 0.1, momentum=momentum)
    options = {"epochs": steps, "batch_size": 500, "evaluate_every": steps}
    return np.array(lesson.fit(net, loss, rule, descent, data, **options).step_loss)


# %%

plain = after(mg.rules.Backprop())
summed = after(Accumulating())
heavy = after(mg.rules.Backprop(), momentum=1.0)
apart = float(abs(summed[:30] - heavy[:30]).max())
print(f"after 400 steps of 0.1: loss {plain[-1]:.3f}; with gradients that add up {summed[-1]:.3f}")
print(f"SGD(momentum=1) has the same first 30 losses to {apart:.0e}")
mse, aim, sizes = mg.MSELoss(), np.eye(10)[[3]], {}
for name, digit in (("sure and right", 3), ("sure and wrong", 7)):
    value = mse.forward(softmax.forward(to_device(20 * np.eye(10)[[digit]])), to_device(aim))
    sizes[name] = float(np.linalg.norm(to_host(softmax.backward(mse.backward()))))
    print(f"softmax and MSELoss, {name}: loss {value:.0e}, gradient {sizes[name]:.0e}")

# %% [markdown]
# ## What to remember
#
# - A loss from logits contains the softmax. A second one puts a floor under the loss, 1.4612, and
#   takes the pull away from just those digits that need it most.
# - A falling loss proves little. Know its first value (ln 10) and the lowest possible one, and look
#   at each class.
# - A lower loss does not make a wrong line right: gradients that add up may lower it, too.
#
# ## What this run must show

# %%

full = not lesson.quick and steps >= (1000 if lesson.mnist else 400)
lesson.expect("pull on a digit without a chance, one softmax", pull[16.0][0], at_least=0.99)
lesson.expect("pull on a digit without a chance, two", pull[16.0][1], at_most=1e-5)
lesson.expect("first loss (ln 10)", right.step_loss[0], equal=np.log(10), tolerance=0.1)
lesson.expect("two softmaxes: lowest loss", min(wrong.step_loss), at_least=floor)
ahead = right.test_accuracy[-1] - wrong.test_accuracy[-1]
lesson.expect("corrected, in half the steps, is ahead in test accuracy by", ahead, at_least=0.03)
lesson.expect("gradients that add up against momentum 1", apart, at_most=1e-4)
lesson.expect(
    "softmax and MSELoss, sure and wrong: gradient", sizes["sure and wrong"], at_most=1e-6
)
if full:
    lesson.expect("levels that end without a new digit", len(stands) - ended, equal=0)
    lesson.expect("corrected: test accuracy", right.test_accuracy[-1], at_least=0.92)
    lesson.expect("corrected: worst recall", min(recalls[RIGHT]), at_least=0.8)
    lesson.expect("two softmaxes: worst recall", min(recalls[WRONG]), at_most=0.6)
if full and lesson.mnist:
    bounds = {"at_least": 0.68, "at_most": 0.90}
    lesson.expect("two softmaxes: test accuracy", wrong.test_accuracy[-1], **bounds)
    bounds = {"at_least": 1.58, "at_most": 1.78}
    lesson.expect("two softmaxes: loss at step 900", wrong.step_loss[900], **bounds)
    lesson.expect("levels of the loss", len(stands), at_least=1)

# %%

lesson.record({f"{name}, step losses": history.step_loss for name, history in runs.items()})
lesson.record({f"{name}, recall": values for name, values in recalls.items()})
lesson.record({f"{name}, never read": digits for name, digits in never.items()})
lesson.record("digits read", {name: pairs.tolist() for name, pairs in counts.items()})
lesson.record({"levels (slowest, fastest after)": stands, "digits that end them, at steps": marks})
lesson.record("pull on the digit read worst, two softmaxes and one", [two, 1 - chance])
lesson.finish()
