"""02 A tape that differentiates

Question: can a program find the gradients itself, and are they the same as those by hand?
You need: lesson 01.
You will build: an autograd tape in fifty lines, and with it the gradients of three networks.
Time: 2 s
Source: Linnainmaa 1970; Griewank, Walther 2008, "Evaluating Derivatives".
"""

# %% [markdown]
# # 02 A tape that differentiates
#
# In lesson 01 we wrote the backward pass line by line, each the reverse of a line of the forward
# pass. A program can do that for us. While it computes, it writes a *tape*, a list of *records*. A
# record has a value, the records that it was computed from (its *parents*), and for each parent a
# *share*: a function that takes the gradient at the record and gives this parent's part of it.
# Then we walk the tape from its end to its beginning. PyTorch's `autograd` works in this way.

# %%
import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.lesson import start

lesson = start("02_autograd_tape", __doc__, on_host=True)

# %% [markdown]
# ## 1. Records
#
# Each operation needs its own local derivatives and nothing else. The sum $a + b$ has the slopes 1
# and 1, the product $a b$ has the slopes b and a. With g for the gradient at the result, the shares
# are g and g, or $g b$ and $g a$. For a product of matrices they are the lines `delta @ W.T` and
# `x.T @ delta` of lesson 01. Python calls `__add__` for `a + b`, and `__matmul__` for `a @ b`.

# %%
tape = []


class Value:
    """One record of the tape."""

    def __init__(self, data, parents=()):
        self.data = np.asarray(data, float)
        self.grad = np.zeros_like(self.data)
        self.parents = parents  # pairs (parent, share)
        tape.append(self)

    def __add__(self, other):
        return Value(self.data + other.data, [(self, lambda g: g), (other, lambda g: g)])

    def __mul__(self, other):
        shares = [(self, lambda g: g * other.data), (other, lambda g: g * self.data)]
        return Value(self.data * other.data, shares)

    def __matmul__(self, other):
        shares = [(self, lambda g: g @ other.data.T), (other, lambda g: self.data.T @ g)]
        return Value(self.data @ other.data, shares)


# %% [markdown]
# The walk starts at the loss, whose gradient is 1. Section 2 says what `order` and `add` are for.


# %%
def walk(last, order, add=True):
    """Fill in the gradients of all records, by going through them in this order."""
    for record in tape:
        record.grad = np.zeros_like(record.data)
    last.grad = np.ones_like(last.data)
    for record in order:
        for parent, share in record.parents:
            arrived = share(record.grad)
            parent.grad = parent.grad + arrived if add else arrived


x = Value(3.0)
a = x * x
u = a * a
L = a + u
walk(L, reversed(tape))
names = {x: "x", a: "a = x·x", u: "u = a·a", L: "L = a + u"}
numbers = {"value": {names[r]: r.data for r in tape}, "gradient": {names[r]: r.grad for r in tape}}
edges = [(names[p], names[r], share(1.0)) for r in tape for p, share in r.parents]
lesson.save(plots.graph(edges, numbers, "The tape as a graph: a is used three times"), "tape")

# %% [markdown]
# The arrows show the local derivatives. By hand: $L = x² + x⁴$, so $dL/dx = 2x + 4x³ = 114$.
#
# ## 2. Add, and in the right order
#
# Two rules are easy to break. **Add:** `a` is used three times, and each use sends a share. Who
# overwrites `grad` keeps the last share alone. **Order:** a record may hand its gradient on only
# after all its shares have arrived. If we take the records nearest to `L` first, `a` comes before
# `u`, and what `u` sends to it comes too late. The tape has the right order by itself: whatever
# uses a record was computed after it. Parents before children is a *topological order*. We go
# through the tape from its end, in the reverse of one.


# %%
def nearest_first(last):
    order = [last]
    for record in order:  # it grows
        order += [parent for parent, _ in record.parents if parent not in order]
    return order


found = {}
for name, order, add in (
    ("back to front, added", reversed(tape), True),
    ("back to front, overwritten", reversed(tape), False),
    ("nearest first, added", nearest_first(L), True),
):
    walk(L, order, add)
    found[name] = float(x.grad)
    print(f"{name:27} dL/dx = {found[name]:g}")

# %% [markdown]
# ## 3. The networks of lesson 01
#
# Three more operations, and networks can be written as formulas. Sums need none of their own: to
# add up, multiply by a matrix of ones. First comes the 3-2-1 network for the label 0, with
# $L = -ln(1 - y_hat)$, then the one with two outputs. Beside each stands the chain rule by hand.


# %%
def sigmoid(a):
    h = 1 / (1 + np.exp(-a.data))
    return Value(h, [(a, lambda g: g * h * (1 - h))])


def exp(a):
    e = np.exp(a.data)
    return Value(e, [(a, lambda g: g * e)])


def log(a):
    return Value(np.log(a.data), [(a, lambda g: g / a.data)])


# %%

x_data = np.array([[1.0, 2.0, 0.5]])
W_data = x_data.T @ np.array([[0.88015906, 0.59157567]]) / (x_data @ x_data.T)
tape.clear()
x, W_i, W_o = Value(x_data), Value(W_data), Value([[-0.44046572], [-0.5402752]])
one, minus = Value([[1.0]]), Value([[-1.0]])
h = sigmoid(x @ W_i)
y_hat = sigmoid(h @ W_o)
L = minus * log(one + minus * y_hat)
walk(L, reversed(tape))
delta_o = y_hat.data  # y_hat - y, with y = 0
delta_h = delta_o @ W_o.data.T * h.data * (1 - h.data)
pairs = {"dW_o": (W_o.grad, h.data.T @ delta_o), "dW_i": (W_i.grad, x_data.T @ delta_h)}

tape.clear()
x, W_i, V = Value(x_data), Value(W_data), Value([[0.5, 1.5], [-1.0, 0.25]])
h = sigmoid(x @ W_i)
miss = h @ V + Value([[-1.0, -0.5]])  # output - wanted
L = (miss * miss) @ Value([[0.5], [0.5]])  # half of the sum of both squares
walk(L, reversed(tape))
delta_h = (V.data * miss.data).sum(axis=1) * h.data * (1 - h.data)  # the sum over paths
pairs |= {"dV": (V.grad, h.data.T @ miss.data), "dW_i (two)": (W_i.grad, x_data.T @ delta_h)}
print(by_hand := mg.gradcheck.compare(pairs, rtol=1e-12, title="\nthe tape against the chain rule"))

# %% [markdown]
# ## 4. Softmax and cross-entropy
#
# Now a network for C = 3 classes, and N = 5 examples at once. Its outputs z have the shape (N, C).
# The softmax makes probabilities of them: $p = e^z / Σⱼ e^zⱼ$, in each row. The loss is the mean of
# $-ln p = ln Σⱼ e^zⱼ - z$ at the true classes. The tape needs only `exp`, `log` and sums for it. By
# hand it is one line, $dz = (p - true)/N$, with `true` of shape (N, C): 1 at the true class and 0
# elsewhere. Lesson 04 derives it.

# %%

N, C, labels = 5, 3, np.array([0, 1, 2, 1, 1])
x_data = np.random.default_rng(lesson.seed).standard_normal((N, 4))
true = np.eye(C)[labels]
net = mg.models.mlp((4, 3, C), "sigmoid", dtype="float64", seed=lesson.seed)
tape.clear()
W1, b1, W2, b2 = (Value(np.atleast_2d(param)) for param in net.params.values())
rows, columns = Value(np.ones((N, 1))), Value(np.ones((C, 1)))
h = sigmoid(Value(x_data) @ W1 + rows @ b1)  # every example gets the bias
z = h @ W2 + rows @ b2
each = log(exp(z) @ columns) + z * Value(-true) @ columns
L = Value(np.full((1, N), 1 / N)) @ each
walk(L, reversed(tape))

softmax = mg.CrossEntropyLoss()
loss = softmax.forward(net.forward(x_data), labels)
net.backward(softmax.backward())
p = np.exp(z.data) / np.exp(z.data).sum(axis=1, keepdims=True)
pairs = {"dz by hand": (z.grad, (p - true) / N)}
for value, (name, grad) in zip((W1, b1, W2, b2), net.grads.items(), strict=True):
    pairs[f"d{name}"] = (value.grad.reshape(grad.shape), grad)
by_layers = mg.gradcheck.compare(pairs, rtol=1e-12, title="\nthe tape against minigrad's layers")
print(by_layers)

# %% [markdown]
# Layers and tape are two programs that share no line, so each finds the mistakes of the other.
# minigrad's tests compare its layers with PyTorch's tape in this way.
#
# Differences cannot do it so well. $(L(w + s) - L(w - s))/(2s)$ has two errors. The step s is not
# infinitely small: that error falls as s². Two nearly equal losses are subtracted, and digits are
# lost: that error grows as 1/s. In between lies the best s. float32 has some 7 digits, float64 has
# some 16. In float32 even the best s is poor, so minigrad's checker takes its differences in
# float64. Where a curve is flat at 1, both losses were rounded to the same number.


# %%
def loss_at(w, dtype):
    """The loss of the last network with w for its first weight, computed in this dtype."""
    twin = mg.models.mlp((4, 3, C), "sigmoid", dtype=dtype, seed=lesson.seed)
    twin.params["1.W"][0, 0] = w
    return softmax.forward(twin.forward(x_data.astype(dtype)), labels)


steps, errors = 10.0 ** np.arange(-11, 0.1, 0.25), {}
w, dw = W1.data[0, 0], W1.grad[0, 0]
for dtype in ("float32", "float64"):
    up, down = ([loss_at(w + side * s, dtype) for s in steps] for side in (1, -1))
    errors[dtype] = (steps, abs(np.subtract(up, down) / (2 * steps) / dw - 1) + 1e-16)
best = {dtype: float(error.min()) for dtype, (_, error) in errors.items()}
print("\nerror at the best step:", ", ".join(f"{dtype} {e:.0e}" for dtype, e in best.items()))
title = "A large step is inexact, a small one loses digits"
figure = plots.curves(errors, title, "step s", "relative error", logx=True)
lesson.save(figure, "difference_error")

# %% [markdown]
# ## 5. What it costs, and what PyTorch does on top
#
# The walk visits each record once. A share costs about as much as its operation, and a product of
# matrices has two shares. So all gradients cost about two forward passes, however many weights
# there are. The price is memory: every record keeps its value until the walk is over. A layer by
# hand keeps one array.
#
# PyTorch has no list. Each tensor knows the operation that made it, and `loss.backward()` finds the
# order (exercise 2). It records only what leads to a parameter, and frees what is not needed any
# more. It never sets `grad` to zero by itself: two walks add up, so a training loop calls
# `zero_grad()`. Layers of minigrad overwrite. A `torch.autograd.Function` is one record with a
# forward and a backward by hand: it is what minigrad calls a layer.

# %%

kept = sum(record.data.size for record in tape)
by_layer = sum(np.size(layer.cache) for layer in net.layers[1:]) + p.size
print(f"{len(tape)} records keep {kept} numbers; layers and loss by hand keep {by_layer}")

# %% [markdown]
# ## What to remember
#
# - Write down what was computed, from what, and how a gradient goes back. The rest is one loop.
# - Shares are added, never overwritten, and in reverse topological order.
# - A tape gives the numbers of the chain rule by hand, to the last digits. Differences do not.
# - All gradients cost about two forward passes, and the memory for every value.
#
# ## Exercises (copy `lessons/exercises/02_autograd_tape.py`, fill it in, run it)
#
# 1. Teach the tape a new operation, tanh.
# 2. Find the order without a list: from the last record, by its parents alone.
# 3. Go forwards: a number that carries its tangent along. What do product and exp do to it?
#
# ## What this run must show

# %%

for way, gradient in zip(found, (114, 27, 6), strict=True):
    lesson.expect(f"dL/dx {way}", found[way], equal=gradient)
lesson.expect("tape = chain rule by hand, to 1e-12", bool(by_hand), equal=1)
lesson.expect("tape = minigrad's layers, to 1e-12", bool(by_layers), equal=1)
lesson.expect("loss: tape - minigrad", abs(L.data.item() - loss), at_most=1e-14)
lesson.expect("error of the best difference in float64", best["float64"], at_most=5e-9)
lesson.expect("error of the best difference in float32", best["float32"], at_least=5e-6)
lesson.finish()
