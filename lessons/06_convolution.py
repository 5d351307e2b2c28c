"""06 Convolution

Question: how can a network look for the same stroke everywhere in an image?
You need: lessons 01 and 05.
You will build: a convolution by loops and by one matrix product, its gradient, max pooling, LeNet.
Time: 1 min on MNIST, 9 s on the embedded digits
Source: LeCun et al. 1989; LeCun, Bottou, Bengio, Haffner 1998; for im2col Chellapilla, Puri, Simard
2006.
"""

# %% [markdown]
# # 06 Convolution
#
# To the network of lesson 05 an image is a list of 784 numbers. It has a weight of its own for each
# of them, and what it learns about a stroke in one corner it does not know in the others. A
# convolution carries one small set of weights, a kernel, to every place of the image.
#
# | name | shape | meaning |
# |---|---|---|
# | `x` | (N, C, H, W) | images with C channels; digits have one |
# | `W`, `b` | (O, C, KH, KW), (O,) | O kernels, and a bias for each |
# | `y` | (N, O, OH, OW) | O feature maps; OH = H - KH + 1, OW likewise |
# | `cols` | (N·OH·OW, C·KH·KW) | every window of x, as a row |
# | `dx`, `dW`, `db`, `dy`, `dcols` | like x, W, b, y, cols | the loss's gradients |

# %%

import timeit

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device, to_host
from minigrad.lesson import start

lesson = start("06_convolution", __doc__)
train, test = lesson.data(n_quick=1000)
rng = np.random.default_rng(lesson.seed)
digit = test.x[test.y == 4][:1].astype("float64")  # (1, 1, 28, 28)

# %% [markdown]
# ## 1. By hand, three times
#
# y[n, o, i, j] = b[o] + Σ W[o, c, k, l] · x[n, c, i + k, j + l], summed over c, k and l: the window
# of x at (i, j), times the kernel, added up. First word for word. (In mathematics a convolution
# turns the kernel round first, x[i - k, j - l]. A kernel that is learned does not care.)


# %%
def convolve_loops(x, W, b):
    """One loop for each letter."""
    (N, _, H, width), (O, _, KH, KW) = x.shape, W.shape
    y = np.zeros((N, O, H - KH + 1, width - KW + 1))
    for n, o, i, j in np.ndindex(y.shape):
        y[n, o, i, j] = b[o]
        for c, k, l in np.ndindex(W.shape[1:]):
            y[n, o, i, j] += W[o, c, k, l] * x[n, c, i + k, j + l]
    return y


step = np.array([-1.0, -1.0, 0.0, 1.0, 1.0]) / 10
kernels = {
    "vertical edges": np.tile(step, (5, 1)),  # the right side of the window minus the left
    "horizontal edges": np.tile(step[:, None], (1, 5)),  # the lower side minus the upper
    "blur": np.full((5, 5), 1 / 25),  # the window's mean
}
W, b = np.stack(list(kernels.values()))[:, None], np.zeros(3)
y = convolve_loops(digit, W, b)
print(f"x {digit.shape} and W {W.shape} make y {y.shape}")
title = "A kernel answers where the image looks like it"
figure = plots.feature_maps(digit, W[:, 0], y[0], title, captions=list(kernels), numbers=True)
lesson.save(figure, "by_hand")

# %% [markdown]
# So many loops are slow in Python. But each y is a dot product of a window and a kernel, and many
# dot products are one matrix product: with the windows as the rows of a matrix, `cols`, and the
# kernels as the columns of another, a convolution is a Linear layer. The name is im2col, image to
# columns. The price is memory: a pixel is copied into each window that has it, here up to 25.


# %%
def im2col(x, KH, KW):
    """Every window of x (N, C, H, W) as a row: (N·OH·OW, C·KH·KW)."""
    windows = sliding_window_view(x, (KH, KW), axis=(2, 3))  # (N, C, OH, OW, KH, KW), no copy yet
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1] * KH * KW)


def convolve(x, W, b):
    """(y, cols): one matrix product; cols is kept, since the gradient needs it."""
    (N, _, H, width), (O, _, KH, KW) = x.shape, W.shape
    cols = im2col(x, KH, KW)
    y = cols @ W.reshape(O, -1).T + b
    return y.reshape(N, H - KH + 1, width - KW + 1, O).transpose(0, 3, 1, 2), cols


by_product, cols = convolve(digit, W, b)
print(f"cols {cols.shape} @ W {W.reshape(3, -1).T.shape} is {(len(cols), 3)}: y, in another order")
layer = mg.Conv2d(1, 3, 5, dtype="float64")
layer.load_state_dict({"W": W, "b": b})
by_layer = to_host(layer.forward(to_device(digit)))
lesson.expect("y: im2col - loops", abs(by_product - y).max(), at_most=1e-12)
lesson.expect("y: the layer - loops", abs(by_layer - y).max(), at_most=1e-12)

# %% [markdown]
# How much faster? We time 20 kernels, as LeNet has below. (The layer makes cols for a few images at
# a time, so that it stays in the cache. On a GPU, its time includes the way there and back.)


# %%
def milliseconds(work, images, repeats):
    """For one image; the fastest of several runs, as the others were disturbed."""
    return 1000 * min(timeit.repeat(lambda: work(images), number=1, repeat=repeats)) / len(images)


conv1 = mg.models.lenet(seed=lesson.seed).layers[0]
first = conv1.state_dict()  # W and b, on the host
times = {
    "loops": milliseconds(lambda x: convolve_loops(x, **first), test.x[:1], 1),
    "im2col": milliseconds(lambda x: convolve(x, **first), test.x[:64], 5),
    "layer": milliseconds(lambda x: to_host(conv1.forward(to_device(x))), test.x[:64], 5),
}
for name, value in times.items():
    print(
        f"  {name:7}{value:9.3f} ms an image, {times['loops'] / value:7.0f} x as fast as the loops"
    )
lesson.record("milliseconds an image", times)
lesson.expect("time of the loops / of im2col", times["loops"] / times["im2col"], at_least=10)

# %% [markdown]
# ## 2. The gradient
#
# A weight W[o, c, k, l] is used at all places (n, i, j). Each use has its share in the gradient,
# its input times its dy as ever, and dW is the sum of them:
#
# - dW[o, c, k, l] = Σ dy[n, o, i, j] · x[n, c, i + k, j + l] over n, i, j: one product, dyᵀ cols;
# - db[o] = Σ dy[n, o, i, j];
# - dcols = dy W, as in any Linear layer. A pixel was *copied* into several windows, so its gradient
#   is the *sum* of what comes back from each: col2im, the transpose of im2col.


# %%
def shares(dcols, shape, KH, KW):
    """For each place (k, l) in a window: which pixels of dx stand there, and what they get."""
    N, C, H, width = shape
    OH, OW = H - KH + 1, width - KW + 1
    dwindows = dcols.reshape(N, OH, OW, C, KH, KW).transpose(0, 3, 1, 2, 4, 5)
    for k, l in np.ndindex(KH, KW):
        yield np.s_[:, :, k : k + OH, l : l + OW], dwindows[..., k, l]


def col2im(dcols, shape, KH, KW):
    """dx, of x's shape: each window's share, added to the pixels that it was cut from."""
    dx = np.zeros(shape, dcols.dtype)
    for pixels, share in shares(dcols, shape, KH, KW):
        dx[pixels] += share
    return dx


def convolve_backward(dy, cols, W, shape, col2im=col2im):
    """(dx, dW, db)."""
    O, _, KH, KW = W.shape
    rows = dy.transpose(0, 2, 3, 1).reshape(-1, O)  # dy, in the order of the rows of cols
    dW, db = (rows.T @ cols).reshape(W.shape), rows.sum(axis=0)
    return col2im(rows @ W.reshape(O, -1), shape, KH, KW), dW, db


# %% [markdown]
# Against the layer: sizes that all differ, so that no two can be mixed up, and a random dy.

# %%

small = mg.Conv2d(3, 4, (3, 2), dtype="float64", rng=rng)
x, dy = rng.standard_normal((2, 3, 7, 6)), rng.standard_normal((2, 4, 5, 5))
W, b = small.state_dict().values()
dx, dW, db = convolve_backward(dy, convolve(x, W, b)[1], W, x.shape)
small.forward(to_device(x))
pairs = {"dx": (dx, small.backward(to_device(dy)))}
pairs |= {"dW": (dW, small.grads["W"]), "db": (db, small.grads["b"])}
print(report := mg.gradcheck.compare(pairs, rtol=1e-10, title="\nby hand against the layer"))
lesson.expect("gradients: by hand = the layer", bool(report), equal=1)

# %% [markdown]
# Two that agree may be wrong alike. The checker's differences know neither, but want a layer. Its
# jvp is the convolution itself, which is linear in x and in W.
#
# And here is the bug that is easily made: `=` for `+=`, so that overlapping windows overwrite each
# other. With ones everywhere, dx should count the windows that each pixel is in.


# %%
def col2im_overwriting(dcols, shape, KH, KW):
    """The same with a mistake made on purpose: the last window that has a pixel wins."""
    dx = np.zeros(shape, dcols.dtype)
    for pixels, share in shares(dcols, shape, KH, KW):
        dx[pixels] = share
    return dx


class ByHand(mg.Layer):
    """The functions above as a layer."""

    def __init__(self, W, b, col2im):
        super().__init__("float64")
        self.params, self.col2im = {"W": W, "b": b}, col2im

    def forward(self, x, train=True):
        y, cols = convolve(x, **self.params)
        self.cache = x, cols
        return y

    def backward(self, dy):
        x, cols = self.recall()
        dx, dW, db = convolve_backward(dy, cols, self.params["W"], x.shape, self.col2im)
        self.grads = {"W": dW, "b": db}
        return dx

    def jvp(self, x_dot, params_dot=None):
        y_dot = 0 if x_dot is None else convolve(x_dot, self.params["W"], 0)[0]
        return y_dot if params_dot is None else y_dot + convolve(self.recall()[0], **params_dot)[0]


for function, verdict in ((col2im, "ok"), (col2im_overwriting, "WRONG")):
    print(f"\nthe checker on the layer by hand, with {function.__name__}:")
    print(report := mg.gradcheck.check(ByHand(W, b, function), x))
    lesson.expect(f"{function.__name__}: dx {verdict}", report["dx"].verdict == verdict, equal=1)
    lesson.expect("  dW ok", report["dW"].verdict == "ok", equal=1)
    count = function(np.ones((16, 9)), (1, 1, 6, 6), 3, 3)[0, 0]
    print(f"windows of 3 x 3 that have each of 6 x 6 pixels:\n{count.astype(int)}")
    lesson.expect("  windows with an inner pixel", count[3, 3], equal=9 if verdict == "ok" else 1)

# %% [markdown]
# The bug leaves the forward pass, dW and db alone. In a net, only the layers *before* this one get
# wrong gradients. There is no error and no shape that does not fit: only a checker sees it.
#
# ## 3. Why share weights?
#
# A Linear layer that puts out as much as LeNet's first convolution has a weight from each pixel to
# each output. The convolution is such a layer, too: send in the 784 images that have one white
# pixel, and out come the rows of its matrix. (By jvp, which leaves the bias out.)

# %%

pixels = to_device(np.eye(784, dtype="float32").reshape(784, 1, 28, 28))
conv1.forward(pixels)
matrix = to_host(conv1.jvp(pixels)).reshape(784, -1)
outputs, used = matrix.shape[1], matrix[matrix != 0]
n_conv, n_linear = sum(array.size for array in first.values()), (784 + 1) * outputs
print(f"\nConv2d(1, 20, 5) has {n_conv} parameters, Linear(784, {outputs}) {n_linear:,}.")
print(f"The convolution as a matrix: of {matrix.size:,} weights {used.size:,} are not zero, and")
print(f"{len(np.unique(used))} of these are different ones")
lesson.expect("parameters of Conv2d(1, 20, 5)", n_conv, equal=520)
lesson.expect("parameters of Linear(784, 11520)", n_linear, equal=9_043_200)
lesson.expect("weights that are not zero, for each output", used.size / outputs, equal=25)
lesson.expect("different weights among them", len(np.unique(used)), at_most=500)

# %% [markdown]
# What the same weights everywhere give: shift the image, and the feature maps shift with it, but
# for the border. That is equivariance. Call a Linear layer's outputs a map of 24 x 24, and shift:


# %%
def shift(x, down, right):
    """The images (N, C, H, W) moved; zeros move in, what moves out is lost."""
    n, (H, width) = max(abs(down), abs(right)), x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (n, n), (n, n)))
    return padded[:, :, n - down : n - down + H, n - right : n - right + width]


linear = mg.Linear(784, 576, dtype="float64", rng=rng)
for name, net in {"Conv2d": layer, "Linear": mg.Sequential(mg.Flatten(), linear)}.items():
    maps, of_moved = (
        to_host(net.forward(to_device(x))).reshape(1, -1, 24, 24)
        for x in (digit, shift(digit, 2, 2))
    )
    difference = abs(of_moved[:, :, 2:, 2:] - maps[:, :, :-2, :-2]).max() / abs(maps).max()
    limit = {"at_most": 1e-12} if name == "Conv2d" else {"at_least": 0.1}
    lesson.expect(f"{name}: maps of the shifted image - shifted maps", difference, **limit)

# %% [markdown]
# ## 4. Max pooling
#
# After a ReLU, LeNet keeps the largest of each 2 x 2 pixels: the stroke was here, give or take one
# pixel. Only the winner has made y, so it gets the whole gradient: had one of the other three been
# a little different, y would be the same. In a tie any choice will do; ours is the first.

# %%

maps = np.maximum(by_layer, 0)  # (1, 3, 24, 24)
fours = maps.reshape(1, 3, 12, 2, 12, 2).transpose(0, 1, 2, 4, 3, 5).reshape(1, 3, 12, 12, 4)
pooled, winner = fours.max(axis=-1), fours.argmax(axis=-1, keepdims=True)  # argmax: the first
dpooled, dfours = rng.standard_normal(pooled.shape), np.zeros_like(fours)
np.put_along_axis(dfours, winner, dpooled[..., None], axis=-1)
dmaps = dfours.reshape(1, 3, 12, 12, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(maps.shape)

pool = mg.MaxPool2d(2)
difference = abs(to_host(pool.forward(to_device(maps))) - pooled).max()
lesson.expect("max pooling: the layer - by hand", difference, equal=0)
difference = abs(to_host(pool.backward(to_device(dpooled))) - dmaps).max()
lesson.expect("its gradient: the layer - by hand", difference, equal=0)

pool.forward(to_device(np.array([[[[1.0, 3.0], [3.0, 2.0]]]])))
tie = to_host(pool.backward(to_device(np.ones((1, 1, 1, 1)))))[0, 0]
print("\na tie: of [[1, 3], [3, 2]] the gradient goes to", tie.astype(int).tolist())
lesson.expect("the first of a tie takes all", tie[0, 1], equal=1)
tied = (fours == pooled[..., None]).sum(axis=-1) > 1
zero = (pooled[tied] == 0).mean()
print(f"{tied.mean():.0%} of the digit's {tied.size} windows are tied, {zero:.0%} of them at 0,")
print("where the ReLU lets no gradient through anyway")

# %% [markdown]
# ## 5. LeNet
#
# Two convolutions, each followed by ReLU and pooling, then two Linear layers. A weight is used once
# for each place of its layer's maps: where most weights are is not where most work is.

# %%

lenet = mg.models.lenet(seed=lesson.seed)
summary = lenet.summary((1, 28, 28))
lesson.expect("LeNet's parameters", summary.parameters, equal=431_080)
print("multiplications for one image:")
for (_, part), row in zip(lenet.leaves(), summary.rows, strict=True):
    if "W" in part.params:
        print(f"  {row.name:9} {part.params['W'].size * np.prod(row.shape[1:], dtype=int):12,}")

# %% [markdown]
# Beside it stands a network with one hidden layer and nearly as many parameters, trained alike. An
# epoch of it takes much less time; so there is also one that gets ten times as many epochs (three
# times with --quick).

# %%

epochs = lesson.epochs(usual=1 if lesson.mnist else 10, quick=5)
more_epochs = epochs * (3 if lesson.quick else 10)
full = not lesson.quick and epochs >= (1 if lesson.mnist else 10)
trained = full or epochs >= 5  # LeNet starts slowly: with --epochs 1 there is little to expect
nets = {
    f"LeNet, epochs: {epochs}": (lenet, epochs),
    f"MLP, epochs: {epochs}": (mg.models.mlp((784, 500, 10), seed=lesson.seed), epochs),
    f"MLP, epochs: {more_epochs}": (mg.models.mlp((784, 500, 10), seed=lesson.seed), more_epochs),
}
print(f"\n{'parameters':>30}   seconds   train accuracy   test accuracy")
for name, (net, passes) in nets.items():
    loss, optimizer = mg.CrossEntropyLoss(), mg.SGD(net, lr=0.05, momentum=0.9)
    options = {"epochs": passes, "batch_size": 64, "evaluate_every": passes}
    history = lesson.fit(net, loss, mg.rules.Backprop(), optimizer, train, test, **options)
    size, seconds = sum(array.size for array in net.params.values()), sum(history.seconds)
    (on_train,), (on_test,) = history.train_accuracy, history.test_accuracy
    print(f"{name:18}{size:12,} {seconds:9.1f} {on_train:16.4f} {on_test:15.4f}")
    history.save(lesson.out / f"history_{name.lower().replace(', epochs: ', '_')}.json")
    lesson.record(f"{name}: seconds, test accuracy", [seconds, on_test])
    if net is lenet and trained:
        least = 0.7 if not full else 0.97 if lesson.mnist else 0.9
        lesson.expect("LeNet: test accuracy", on_test, at_least=least)

# %% [markdown]
# What has it learned? The 20 kernels of its first layer, and what they make of the digit. Some are
# edges, many still look like noise: they have not gone far from their random start.

# %%

learned, seen = to_host(lenet.params["0.W"]), mg.Sequential(*lenet.layers[:2])
cosine = (learned * first["W"]).sum() / np.linalg.norm(learned) / np.linalg.norm(first["W"])
print(f"\ncosine between the learned kernels and their random start: {cosine:.2f}")
lesson.record("cosine between learned and initial kernels", cosine)
seen = to_host(seen.predict(to_device(digit.astype("float32"))))
title = "LeNet's 20 kernels after training, and what they see in a 4"
lesson.save(plots.feature_maps(digit, learned[:, 0], seen[0], title), "learned")

# %% [markdown]
# ## 6. Shifted digits
#
# All three have seen centred digits only. Now the test digits move: up, down, left and right, and
# we take the mean of the four accuracies. Some strokes leave the picture; we count the ink, too.

# %%

shifts, directions = range(6), ((-1, 0), (1, 0), (0, -1), (0, 1))
moved = {d: [shift(test.x, d * i, d * j) for i, j in directions[: 4 if d else 1]] for d in shifts}
accuracy = {
    name: [
        float(np.mean([to_host(net.predict(to_device(x)).argmax(axis=1)) == test.y for x in four]))
        for four in moved.values()
    ]
    for name, (net, _) in nets.items()
}
ink = [float(np.mean([x.sum() for x in four]) / test.x.sum()) for four in moved.values()]
print("\ntest accuracy, shifted by" + "".join(f"{d:8}" for d in shifts) + " pixels")
for name, values in (accuracy | {"ink left": ink}).items():
    print(f"{name:25}" + "".join(f"{value:8.4f}" for value in values))
lesson.record("test accuracy by shift", accuracy)
lesson.record("ink left by shift", ink)
figure = plots.curves(
    {name: (shifts, values) for name, values in accuracy.items()},
    "Shifted digits: a convnet loses less, but it loses",
    xlabel="shift of the test digits, in pixels",
    ylabel="test accuracy",
    log=False,
    floors={"guessing": 0.1},
)
lesson.save(figure, "shifted")

conv, mlp, longer = (np.array(values) for values in accuracy.values())
ahead = conv[3] / conv[0] - max(mlp[3] / mlp[0], longer[3] / longer[0])
if trained:
    lesson.expect("3 pixels: LeNet keeps more of its accuracy, by", ahead, at_least=0.02)
    lesson.expect("3 pixels: but LeNet loses, too; accuracy", conv[3], at_most=0.9)
made_up = (longer - mlp)[2] / (conv - mlp)[2]
print(f"\nwith {more_epochs} epochs the MLP makes up {made_up:.0%} of LeNet's lead at 2 pixels")
lesson.record("share of LeNet's lead made up by more epochs", made_up)
if full:
    lesson.expect("2 pixels: LeNet ahead of the MLP by", (conv - mlp)[2], at_least=0.03)
    lesson.expect("3 pixels: and of the one trained longer", (conv - longer)[3], at_least=0.03)
if full and lesson.mnist:
    lesson.expect("share of the lead made up by more epochs", made_up, at_least=0.3, at_most=0.95)

# %% [markdown]
# "A convolutional network does not mind where a thing is", one hears. The numbers say: it minds
# less. Its feature maps move with the image, but then comes a Linear layer with a weight for each
# place of the maps, and that one minds. And where the digits stay in the centre, the MLP that was
# trained longer reads them about as well as LeNet; on MNIST, it also makes up for much of the lead
# at 2 pixels. The rest of the lead is due to how LeNet is built: shared weights, pooling, depth.
# This experiment does not tell them apart.
#
# ## What to remember
#
# - A convolution is a Linear layer most of whose weights are zero, and the others shared.
# - Where something is used many times, its gradient is a sum: a weight's over all its places, a
#   pixel's over all its windows.
# - The image moves, and the features move with it: equivariance. It is not invariance.
# - "It is better because of X": first ask what the other one does, given as much time.
#
# ## Exercises (copy `lessons/exercises/06_convolution.py`, fill it in, run it)
#
# 1. With stride 2 the window (i, j) begins at pixel (2i, 2j). Write col2im for any stride.
# 2. LeNet pooled by the mean, in 1998. Write MeanPool2d: who gets the gradient?
# 3. Teach the MLP by data what LeNet has by construction: add shifted copies to its digits.

# %%

lesson.finish()
