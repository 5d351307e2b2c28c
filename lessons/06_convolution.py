"""06 Convolution

Question: how can a network look for the same stroke everywhere in an image?
You need: lessons 01 and 05.
You will build: a convolution by loops and by one matrix product, its gradient, max pooling, LeNet.
Time: 3 min on MNIST, 1 min on the embedded digits, on one core
Source: LeCun et al. 1989; LeCun, Bottou, Bengio, Haffner 1998; im2col: Chellapilla et al. 2006.
"""

# %% [markdown]
# # 06 Convolution
#
# To the network of lesson 05 an image is a list of 784 numbers, and it has a weight of its own for
# each. What it learns about a stroke in one corner it does not know in the others. A convolution
# carries one small set of weights, a kernel, to every place of the image.
#
# | name | shape | meaning |
# |---|---|---|
# | `x` | (N, C, height, width) | N images with C channels; a digit has one channel, 28 x 28 |
# | `W`, `b` | (O, C, KH, KW), (O,) | O kernels of KH rows and KW columns, and a bias for each |
# | `y` | (N, O, OH, OW) | O feature maps; OH = height - KH + 1, OW = width - KW + 1 |
# | `dx`, `dW`, `db`, `dy` | like x, W, b, y | the gradients of the loss L: dx is $∂L/∂x$ |

# %%
import timeit
from functools import partial

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device, to_host
from minigrad.diagnostics.shifts import accuracy_by_shift
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate

lesson = start("06_convolution", __doc__)
train, test = lesson.data(n_quick=500)
rng = np.random.default_rng(lesson.seed)

# %% [markdown]
# ## 1. One kernel, one small image
#
# Lay the kernel over a window of the image. Multiply each weight by the pixel below it, and add.
# Write down the sum, move on by one pixel, and do it again:
#
# $$ y[i, j] = Σₖₗ W[k, l] · x[i + k, j + l] $$
#
# The kernel below takes the right half of its window minus the left half. So it answers where ink
# begins, from left to right. Count rows and columns from 0. At row 1, column 1 the window is 0 1
# over 0 1, and the sum is -0 + 1 - 0 + 1 = 2. (In mathematics the kernel is turned round first.)
#
# A sum of products is large where both have the same form: a kernel is a picture of what it looks
# for. On a digit we try three: the right side minus the left, the lower minus the upper, the mean.


# %%
def slide(kernel, image):
    """The feature map of one image (height, width) without channels."""
    (KH, KW), (height, width) = kernel.shape, image.shape
    y = np.zeros((height - KH + 1, width - KW + 1))
    for i, j in np.ndindex(y.shape):
        y[i, j] = (kernel * image[i : i + KH, j : j + KW]).sum()
    return y


small = np.array([[0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0]])
kernel = np.array([[-1, 1], [-1, 1]])
print(f"the image:\n{small}\nits feature map:\n{slide(kernel, small).astype(int)}")
edge = np.tile([-1.0, -1.0, 0.0, 1.0, 1.0], (5, 1)) / 10
hand = {"vertical edges": edge, "horizontal edges": edge.T, "blur": np.full((5, 5), 1 / 25)}
digit, kernels = test.x[test.y == 4][:1], np.stack([*hand.values()])  # (1, 1, 28, 28), (3, 5, 5)
by_loops = np.stack([slide(one, digit[0, 0]) for one in kernels])
title = "A kernel answers where the image looks like it"
figure = plots.feature_maps(digit, kernels, by_loops, title, captions=[*hand], numbers=True)
lesson.save(figure, "by_hand")

# %% [markdown]
# ## 2. Why share weights?
#
# The image has 20 pixels and the map 12 numbers. So this is a Linear layer with 20 · 12 weights.
# Most are 0, and the others are the same few. Send in 20 images that have one white pixel, and out
# come the rows of its matrix. And shift the image: the map shifts with it, but for the border. That
# is *equivariance*. A Linear layer whose weights are all its own has nothing of the kind.

# %%
matrix = np.array([slide(kernel, one.reshape(4, 5)).ravel() for one in np.eye(20)])  # (20, 12)
used = matrix[matrix != 0]
print(f"\na matrix of {matrix.size} weights, {used.size} not 0, {len(np.unique(used))} different")
moved, unlike = np.roll(small, 1, axis=1), {}  # one pixel to the right
for name, M in {"convolution": matrix, "Linear": rng.standard_normal((20, 12))}.items():
    before, after = ((x.ravel() @ M).reshape(3, 4) for x in (small, moved))
    unlike[name] = abs(after[:, 1:] - before[:, :-1]).max()
    print(f"{name}: map of the shifted image - shifted map, at most {unlike[name]:.2g}")
print(f"20 kernels of 5 x 5 for digits: {20 * 26} parameters; as Linear: {785 * 20 * 24**2:,}")

# %% [markdown]
# ## 3. im2col: one matrix product
#
# Loops are slow in Python. But each y is a dot product of a window and a kernel, and many dot
# products are one matrix product. Copy every window into a row of a matrix, `cols`, of shape
# (N·OH·OW, C·KH·KW): *image to columns*. The price is memory. In the figure the shaded pixel is in
# four windows, so it is copied four times. With channels and O kernels there are more letters:
#
# $$ y[n, o, i, j] = b[o] + Σ_c Σₖₗ W[o, c, k, l] · x[n, c, i + k, j + l] $$


# %%
def convolve(x, W, b):
    """(y, cols): a Linear layer on the windows."""
    O, C, KH, KW = W.shape
    windows = np.lib.stride_tricks.sliding_window_view(x, (KH, KW), axis=(2, 3))
    N, _, OH, OW = windows.shape[:4]  # (N, C, OH, OW, KH, KW), no copy yet
    cols = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, C * KH * KW)  # im2col
    y = cols @ W.reshape(O, -1).T + b  # (N·OH·OW, O)
    return y.reshape(N, OH, OW, O).transpose(0, 3, 1, 2), cols


off = {"one product": abs(convolve(digit, kernels[:, None], 0)[0][0] - by_loops).max()}
faster = min(timeit.repeat(lambda: [slide(one, digit[0, 0]) for one in kernels], number=1))
faster /= min(timeit.repeat(lambda: convolve(digit, kernels[:, None], 0), number=1))
print(f"\none product is {faster:.0f} times as fast as the loops")
title = "im2col: each window becomes a row, and one product does the rest"
lesson.save(plots.im2col(small, kernel, title, window=(1, 1), pixel=(1, 2)), "im2col")

# %% [markdown]
# ## 4. The gradient
#
# A weight is used at every place (n, i, j). Each use has its share in the gradient, its input times
# its dy, and dW is their sum. For cols it is a Linear layer's backward pass, dcols = dy W. But a
# pixel was *copied* into several windows. So its gradient is the *sum* of what comes back from each
# of them: col2im. The easy mistake is `=` for `+=`: the last window wins. We can switch it on.
#
# $$ dW[o, c, k, l] = Σₙᵢⱼ dy[n, o, i, j] · x[n, c, i + k, j + l],  db[o] = Σₙᵢⱼ dy[n, o, i, j] $$
#
# We compare with the library's layer. Finite differences check that one, as in lesson 01.


# %%
def col2im(dcols, shape, KH, KW, mistake):
    """dx, of x's shape: each window's share, added to the pixels that it was cut from."""
    (N, C, height, width), dx = shape, np.zeros(shape)
    OH, OW = height - KH + 1, width - KW + 1
    dwindows = dcols.reshape(N, OH, OW, C, KH, KW).transpose(0, 3, 1, 2, 4, 5)
    for k, l in np.ndindex(KH, KW):
        pixels = dx[:, :, k : k + OH, l : l + OW]  # a view: what stands at (k, l) in each window
        if mistake:
            pixels[...] = 0
        pixels += dwindows[..., k, l]
    return dx


layer = mg.Conv2d(3, 4, (3, 2), dtype="float64", rng=rng)
x, dy = rng.standard_normal((2, 3, 7, 6)), rng.standard_normal((2, 4, 5, 5))
print(checked := mg.gradcheck.check(layer, to_device(x)))
W, b = (to_host(layer.params[name]) for name in ("W", "b"))
y, cols = convolve(x, W, b)
off["layer"] = abs(to_host(layer.forward(to_device(x))) - y).max()
true_dx = layer.backward(to_device(dy))
rows = dy.transpose(0, 2, 3, 1).reshape(-1, 4)  # dy, in the order of the rows of cols
dW, db, dcols = (rows.T @ cols).reshape(W.shape), rows.sum(axis=0), rows @ W.reshape(4, -1)
verdicts, counts = {}, {}
for sign, mistake in {"+=": False, "=": True}.items():
    pairs = {"dx": (col2im(dcols, x.shape, 3, 2, mistake), true_dx)}
    pairs |= {"dW": (dW, layer.grads["W"]), "db": (db, layer.grads["b"])}
    print(report := mg.gradcheck.compare(pairs, 1e-10, f"\nwith {sign}, by hand and by the layer"))
    verdicts[sign] = [report[name].verdict for name in pairs]
    counts[sign] = col2im(np.ones((12, 4)), (1, 1, 4, 5), 2, 2, mistake)[0, 0].astype(int)
    print(f"if each window sends back ones, each pixel of the small image gets\n{counts[sign]}")

# %% [markdown]
# The mistake leaves y, dW and db alone. In a network only the layers *before* this one get wrong
# gradients. No error is raised, and every shape fits. Only a check sees it.
#
# ## 5. Max pooling
#
# Keep the largest of each 2 x 2 pixels: the stroke was here, give or take one pixel. Only the one
# that won has made y, so it gets all the gradient. In a tie any choice will do. Ours is the first.

# %%
x, y, dx = np.array([[1.0, 3, 0, 0], [3, 2, 0, 1]]), np.zeros((1, 2)), np.zeros((2, 4))
for j in range(2):
    window = x[:, 2 * j : 2 * j + 2]
    k, l = np.unravel_index(window.argmax(), (2, 2))  # of a tie the first
    y[0, j], dx[k, 2 * j + l] = window[k, l], 1
print(f"\nx:\n{x}\npooled: {y}\ndx for dy = 1:\n{dx}")
pool = mg.MaxPool2d(2)
off["pooling"] = abs(to_host(pool.forward(to_device(x[None, None]))) - y).max()
off["dx of pooling"] = abs(to_host(pool.backward(to_device(np.ones((1, 1, 1, 2))))) - dx).max()

# %% [markdown]
# ## 6. LeNet
#
# Nobody writes kernels by hand: they are learned. LeNet has two convolutions, each with ReLU and
# pooling, then two Linear layers. Its Dropout layers do nothing here: lesson 07 has them. An *MLP*
# has Linear layers alone, with ReLU between. Ours has nearly as many weights. Both learn the same
# digits, on MNIST 12,000. An MLP's epochs take far less time, so a second MLP gets more of them. "A
# convolutional network does not mind where a thing is", one hears. So we move the test digits up,
# down, left and right. LeNet's maps move along, but the Linear layer above has a weight for each
# place. Thin lines in the figure are single networks.

# %%
EPOCHS = lesson.epochs(usual=5 if lesson.mnist else 12, quick=3)
TIMES, BATCH, MOVED, RUNS = (4, 16, 100, 3) if lesson.quick else (12, 64, 2000, 4)
SEEDS, LONGER = range(lesson.seed, lesson.seed + RUNS), f"MLP with {TIMES} x the epochs"
mlp = partial(mg.models.mlp, (784, 500, 10))
plan = {"LeNet": (mg.models.lenet, EPOCHS), "MLP": (mlp, EPOCHS), LONGER: (mlp, TIMES * EPOCHS)}
few, shown = train.take(min(len(train), 12_000)), test.take(min(len(test), MOVED))
mg.models.lenet(seed=0).summary((1, 28, 28))
right, shifted, nets = {}, {}, {}  # accuracies, for each seed; the first in %
for name, (make, epochs) in plan.items():
    nets[name], runs = [make(seed=seed) for seed in SEEDS], []
    for seed, net in zip(SEEDS, nets[name], strict=True):
        parts = mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(net, lr=0.05, momentum=0.9)
        options = {"epochs": epochs, "evaluate_every": epochs, "batch_size": BATCH, "seed": seed}
        runs.append(lesson.fit(net, *parts, few, test, **options))
    right[name] = 100 * np.array([run.test_accuracy[-1] for run in runs])
    shifted[name] = np.array([accuracy_by_shift(net, shown, range(5))[0] for net in nets[name]])
    print(f"{name:24}{sum(runs[0].seconds):7.1f} s, test accuracies {right[name].round(2)} %")

# %%
lead = {name: (right["LeNet"] - right[name]).round(2) for name in ("MLP", LONGER)}
less = {name: (100 * values - 100 * shifted["LeNet"]).round(2) for name, values in shifted.items()}
said = {name: estimate(values) for name, values in lead.items()}
for name, points in said.items():
    print(f"LeNet's lead over the {name}: {points} points;")
    print(f"  where the digits are moved by 2 pixels: {estimate(-less[name][:, 2])} points")
title = "LeNet or the longer MLP? " + said[LONGER].says("LeNet", "The MLP", "Too short to tell")
ends = {name: (points.low, points.high) for name, points in said.items()}
figure = plots.intervals(lead, title, "LeNet's lead, points of accuracy (95 %, Student's t)", ends)
figure.axes[0].axvline(0, color="black", linewidth=1, linestyle=":")
lesson.save(figure, "lead")
ends = [f"{name} {100 * values[:, 3].mean():.0f} %" for name, values in shifted.items()]
title = "Moved by 3 pixels: " + ", ".join(ends)
panels = {"test accuracy": shifted, "minus LeNet's, points": less}
lesson.save(plots.bands(panels, range(5), title, "pixels by which the digits move"), "shifted")
lenet = nets["LeNet"][0]
seen = to_host(mg.Sequential(*lenet.layers[:2]).predict(to_device(digit)))[0]
title = "LeNet's 20 kernels after training, and what they see in a 4"
lesson.save(plots.feature_maps(digit, to_host(lenet.params["0.W"])[:, 0], seen, title), "learned")

# %% [markdown]
# ## What to remember
#
# - A convolution is a Linear layer most of whose weights are 0, and the others shared.
# - What is used many times has a sum for its gradient: a weight over places, a pixel over windows.
# - The image moves, and the features move with it: equivariance. It is not invariance.
# - "It is better because of X": first ask what the other one does, given as much time.
#
# ## Exercises (copy `lessons/exercises/06_convolution.py`, fill it in, run it)
#
# 1. With stride 2 the window (i, j) begins at pixel (2i, 2j). Write col2im for any stride.
# 2. LeNet pooled by the mean, in 1998. Write MeanPool2d: who gets the gradient?
# 3. Teach the MLP by data what LeNet has by construction: add shifted copies to its digits.
#
# ## What this run must show

# %%
for name, difference in off.items():
    lesson.expect(f"{name}: by hand - the other way", difference, at_most=1e-6)
lesson.expect("time of the loops / of one product", faster, at_least=5)
lesson.expect("weights of the small convolution that are not 0", used.size, equal=48)
lesson.expect("map of the shifted image: convolution", unlike["convolution"], at_most=1e-12)
lesson.expect("map of the shifted image: Linear", unlike["Linear"], at_least=1)
lesson.expect("the layer passes its check", bool(checked), equal=1)
for sign, dx, n in (("+=", "ok", 4), ("=", "WRONG", 1)):
    lesson.expect(f"{sign}: dx {dx}, dW and db ok", verdicts[sign] == [dx, "ok", "ok"], equal=1)
    lesson.expect(f"{sign}: what an inner pixel gets", counts[sign][1, 2], equal=n)
if not lesson.quick and EPOCHS >= 5:
    lesson.expect("LeNet: accuracy, %", right["LeNet"].mean(), at_least=97.5)
    if lesson.mnist:
        lesson.expect("its lead, the low end", said[LONGER].low, at_least=0.5)
    lesson.expect("moved by 2 pixels: its lead", -less[LONGER][:, 2].mean(), at_least=8)
lesson.record({"test accuracy, %": right, "accuracy by shift": shifted, "LeNet's lead": lead})
lesson.finish()
