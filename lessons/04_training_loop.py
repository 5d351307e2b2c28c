"""04 The whole loop

Question: how does a network find, from examples alone, where one class ends and the other begins?
You need: lessons 01 to 03.
You will build: a network and its whole training in plain NumPy, and then the same in one call.
Time: 3 s
Source: Bridle 1990 (softmax); Nair, Hinton 2010 (ReLU); Robbins, Monro 1951 (steps with noise).
"""

# %% [markdown]
# # 04 The whole loop
#
# Some points lie on a ring, class 0. Others lie on a smaller ring inside it, class 1. A network
# gets the two coordinates of a point and must say its class. Nobody tells it what a ring is. There
# are points to learn from, `train`, and as many others to try it on, `test`.
#
# | name | shape | meaning |
# |---|---|---|
# | `x` | (N, 2) | N points, two coordinates each |
# | `y` | (N,) | their labels: the number of the right class, 0 or 1 |
# | `Y` | (N, 2) | the same labels as rows: 1 at the right class, else 0 |
# | `W1`, `b1` | (2, H), (H,) | weights and biases into the H hidden units |
# | `a`, `h` | (N, H) | hidden units before and after ReLU, $h = max(a, 0)$ |
# | `W2`, `b2` | (H, 2), (2,) | weights and biases into the outputs |
# | `z` | (N, 2) | logits: a score for each class |
# | `p` | (N, 2) | probabilities of the classes |
# | η, `lr` | number | the learning rate, the factor of a step |

# %%
import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate

lesson = start("04_training_loop", __doc__, on_host=True)
epochs = lesson.epochs(usual=60, quick=40)
train, test = mg.data.circles(300, seed=lesson.seed)
x, y = train.x.astype("float64"), train.y
print(f"{len(x)} points; the first is {x[0].round(2)}, class {y[0]}")

# %% [markdown]
# ## 1. From scores to probabilities
#
# The network's last layer gives each class a score, its logit, which may be any number.
# Probabilities are above 0 and add up to 1. So we take the exponential, which is above 0, and
# divide by the sum. This is the *softmax*:
#
# $$ pⱼ = exp(zⱼ) / Σₖ exp(zₖ) $$
#
# If one number is added to all logits, no pⱼ changes: it cancels. We subtract the largest logit. So
# no exponential is too large for the computer.


# %%
def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


z_3 = np.array([[2.0, 1.0, -1.0]])  # one point, three classes
print("logits", z_3[0], "give probabilities", softmax(z_3)[0].round(3))

# %% [markdown]
# ## 2. The loss, and its gradient p - Y
#
# Let r be the right class. The loss is the *cross-entropy* $L = -ln pᵣ$. It is 0 if the network is
# sure and right. It grows without end as $pᵣ$ goes to 0.
#
# How does L change when one logit $zⱼ$ does? Put the softmax in. The logarithm makes the quotient a
# difference, and undoes the exponential:
#
# $$ L = -zᵣ + ln S,   S = Σₖ exp(zₖ) $$
#
# The first term has the slope -1 if j is the right class, else 0. That is $-Yⱼ$. The second needs
# the chain rule. The slope of $ln S$ in S is $1/S$. The slope of S in $zⱼ$ is $exp(zⱼ)$, since only
# one term of the sum has $zⱼ$ in it. Their product $exp(zⱼ)/S$ is the softmax again. Together:
#
# $$ ∂L/∂zⱼ = pⱼ - Yⱼ $$
#
# Descent moves against it: each wrong class goes down by its probability, the right one goes up by
# what it lacks, $1 - pᵣ$. To check it, we move one logit a little and look at the loss.


# %%
def cross_entropy(z, y):
    """The mean of -ln p of the right class."""
    return -np.log(softmax(z)[np.arange(len(y)), y]).mean()


by_formula = softmax(z_3)[0] - np.eye(3)[1]  # class 1 is the right one
by_differences = []
for move in 1e-5 * np.eye(3):
    up, down = cross_entropy(z_3 + move, [1]), cross_entropy(z_3 - move, [1])
    by_differences.append((up - down) / 2e-5)
print("p - Y            ", by_formula.round(6))
print("from differences ", np.round(by_differences, 6))

# %% [markdown]
# ## 3. The network, forwards
#
# A hidden unit computes $a = x W1 + b1$ and then ReLU, $h = max(a, 0)$. Where a is 0 there is a
# straight line in the plane. On one side of it the unit is silent, h = 0. On the other side h grows
# with the distance from the line. The logits are weighted sums of what the units say.


# %%
def start_weights(H, seed):
    """[W1, b1, W2, b2] at random. With all weights equal, all units would stay equal."""
    rng = np.random.default_rng(seed)
    W1, W2 = rng.normal(0, 1, (2, H)), rng.normal(0, 1 / np.sqrt(H), (H, 2))
    return [W1, np.zeros(H), W2, np.zeros(2)]


def forward(weights, x):
    W1, b1, W2, b2 = weights
    a = x @ W1 + b1
    h = np.maximum(a, 0)
    return a, h, h @ W2 + b2


# %% [markdown]
# ## 4. And backwards
#
# The loss of a batch of B examples is the mean of theirs, so each example's gradient is divided by
# B. Then lesson 01's rules go back layer by layer. A weight's gradient is its input times the
# gradient at its output. ReLU has the slope 1 where $a > 0$, else 0.


# %%
def gradients(weights, x, y):
    """The loss, and its gradients [dW1, db1, dW2, db2]."""
    a, h, z = forward(weights, x)
    dz = (softmax(z) - np.eye(2)[y]) / len(x)  # (p - Y)/B
    da = dz @ weights[2].T * (a > 0)  # through W2, through ReLU
    return cross_entropy(z, y), [x.T @ da, da.sum(axis=0), h.T @ dz, dz.sum(axis=0)]


# %% [markdown]
# ## 5. The loop
#
# The gradient of all points is a mean. The mean over a few of them drawn at random, a *mini-batch*,
# is nearly the same and much cheaper. One pass through all points, in a new random order, is an
# *epoch*. Each step is lesson 03's, $W ← W - η dW$. At the end we *evaluate*: how many points does
# the network get right that it never saw?


# %%
def accuracy(weights, data):
    return float((forward(weights, data.x)[2].argmax(axis=1) == data.y).mean())


def training(weights, x, y, epochs, batch_size=20, lr=0.5, seed=0):
    """Changes the weights. Returns the loss of each step, and the weights before it."""
    losses, trail = [], []
    for epoch in range(1, epochs + 1):
        order = np.random.default_rng((seed, epoch)).permutation(len(x))
        for begin in range(0, len(x), batch_size):
            batch = order[begin : begin + batch_size]
            trail.append([weight.copy() for weight in weights])
            loss, grads = gradients(weights, x[batch], y[batch])
            for weight, gradient in zip(weights, grads, strict=True):
                weight -= lr * gradient
            losses.append(loss)
    return losses, [*trail, weights]


weights = start_weights(6, lesson.seed)
losses, trail = training(weights, x, y, epochs, seed=lesson.seed)
print(f"loss {np.mean(losses[:15]):.3f} in epoch 1, {np.mean(losses[-15:]):.3f} in epoch {epochs}")
print(f"test accuracy {accuracy(trail[0], test):.3f} before, {accuracy(weights, test):.3f} after")

# %% [markdown]
# ## 6. Look
#
# What class does the network give to each place? The paler a place, the less sure the network is.
# The black line is where the class changes. The dots are the points that it learns from.

# %%
pictures = {}
for n in [n for n in (0, 15, 60, 200, len(losses)) if n <= len(losses)]:
    name = f"step {n}: {100 * accuracy(trail[n], test):.0f} % right"
    pictures[name] = lambda points, n=n: forward(trail[n], points)[2]
title = "What the network says of each place, as it learns"
lesson.save(plots.regions(pictures, x, y, title), "regions")

# %% [markdown]
# The edges are straight pieces: they bend only where they cross the line of a hidden unit. Below is
# what each unit says. On its black line a is 0. We also note which class it speaks for: the one
# into whose logit it has more weight.

# %%
pictures = {}
for k, (to_0, to_1) in enumerate(weights[2]):
    name = f"unit {k + 1}, for class {int(to_1 > to_0)}"
    pictures[name] = lambda points, k=k: forward(weights, points)[1][:, k]
title = "What each hidden unit sees: the darker, the more it says"
lesson.save(plots.fields(pictures, x, y, title, columns=3), "units")

# %% [markdown]
# ## 7. How many units does it take?
#
# Two units cannot enclose a ring. Look at the place where both are silent, a wedge without end. If
# the net says class 1 there, class 1 has no end. If not, one unit must speak for class 1, and it
# speaks the louder, the farther away: class 1 has no end either. Three lines can close a place in.
# We train nets with H = 1, 2, 3 and 6, each from five starts. `A ± B` is a mean and its *95 %
# interval*, by Student's t: how far the mean of n runs may be from the mean of very many.

# %%
found = {H: [] for H in (1, 2, 3, 6)}
for H, rights in found.items():
    for start_seed in range(lesson.seed, lesson.seed + 5):
        net = start_weights(H, start_seed)
        training(net, x, y, epochs, seed=start_seed)
        rights.append(100 * accuracy(net, test))
    print(f"H = {H}: {min(rights):.0f} to {max(rights):.0f} % of the test points right")
third = estimate(np.subtract(found[3], found[2]))
print(f"the third unit brings {third} percentage points:", third.says("it pays", "it does harm"))

# %% [markdown]
# ## 8. `mg.fit` is this loop
#
# The library has the same pieces with names. We give it the same first weights. (`lesson.fit` is
# `mg.fit`; on Ctrl-C it also keeps what the lesson has measured.)

# %%

net = mg.Sequential(mg.Linear(2, 6, dtype="float64"), mg.ReLU(), mg.Linear(6, 2, dtype="float64"))
net.load_state_dict(dict(zip(net.params, start_weights(6, lesson.seed), strict=True)))
history = lesson.fit(
    net,  # forward and backward of each layer
    mg.CrossEntropyLoss(),  # softmax and -ln p; its backward is (p - Y)/B
    mg.rules.Backprop(),  # fills in the gradients
    mg.SGD(net, lr=0.5),  # takes the step W ← W - η dW
    train,  # what to learn from
    test,  # evaluated after each epoch, never learned from
    epochs=epochs,  # passes through the training set
    batch_size=20,  # B
    seed=lesson.seed,  # of the orders
)
apart = np.abs(np.subtract(history.step_loss, losses))
print("step      by hand            mg.fit")
for step in (0, 1, len(losses) // 2, len(losses) - 1):
    print(f"{step:4}  {losses[step]:.15f}  {history.step_loss[step]:.15f}")
print(f"largest difference of {len(losses)} losses: {apart.max():.0e}")

# %% [markdown]
# The rule says where down is, the optimiser how far to go. Later lessons exchange the rule alone.
#
# ## What to remember
#
# - Softmax and cross-entropy together have the gradient $p - Y$, divided by the batch's size.
# - The loop: draw a batch, forward, backward, step. Then look at points never seen.
# - A ReLU unit has a straight line: silent on one side, louder and louder on the other.
# - `mg.fit` is this loop.
#
# ## Exercises (copy `lessons/exercises/04_training_loop.py`, fill it in, run it)
#
# 1. With logits (0, 1000) and class 0 right, `cross_entropy` above is infinite: p is rounded to 0.
#    Write it so that it gives 1000.
# 2. Put a second hidden layer into the network and write its gradients.
# 3. Choose the weights of three hidden units yourself, so that they enclose the inner ring.
#
# ## What this run must show

# %%

lesson.expect("p - Y against differences", abs(by_formula - by_differences).max(), at_most=1e-8)
lesson.expect("test accuracy of 6 units", accuracy(weights, test), at_least=0.94)
lesson.expect("two units: best of five starts (%)", max(found[2]), at_most=82)
lesson.expect("what the third unit brings, low end (points)", third.low, at_least=15)
lesson.expect("largest difference between mg.fit and this loop", apart.max(), at_most=1e-9)
lesson.record({"step losses": losses, "test accuracy (%), by hidden units": found})
lesson.finish()
