"""01 Gradients by hand

Question: how does one weight, deep in a network, learn how it should change?
You need: the chain rule, matrix products.
You will build: the gradients of a 3-2-1 network, by hand, by the library, by differences.
Time: 2 s
Source: the course notebook "DS 4420: Backprop": its toy network and the numbers that it prints.
"""

# %% [markdown]
# # 01 Gradients by hand
#
# A network is a function with many knobs. To turn the knobs the right way we need one number
# for each: how the loss changes when that knob moves, everything else held still. This lesson
# gets these numbers in four ways, and shows that all four agree:
#
# 1. by hand, with the chain rule, one line at a time;
# 2. from the library's layers, which do the same line by line;
# 3. from differences: move the knob a little, look at the loss;
# 4. forwards: push one direction through the network and see the loss's slope along it.

# %%

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.lesson import start

lesson = start("01_gradients_by_hand", __doc__, on_host=True)

# %% [markdown]
# ## The network, and its shapes
#
# | name | shape | meaning |
# |---|---|---|
# | `x` | (1, 3) | one example |
# | `W_i` | (3, 2) | weights into the hidden layer |
# | `z_h`, `h` | (1, 2) | hidden layer before and after the sigmoid |
# | `W_o` | (2, 1) | weights into the output |
# | `z_o`, `y_hat` | (1, 1) | output before and after the sigmoid: a probability |
#
# It is the network of the course notebook "DS 4420: Backprop", which prints the gradients of one
# example but not the weights. They can be worked out from what it prints: h is dL/dW_o divided by
# delta_o, z_h undoes the sigmoid of h, and W_o follows from dL/dW_i. W_i itself is free but for
# x W_i = z_h; we take the smallest that does it. So our numbers can be compared with printed ones.

# %%

x = np.array([[1.0, 2.0, 0.5]])
y = np.array([[0.0]])
z_h_wanted = np.array([[0.88015906, 0.59157567]])
W_i = x.T @ z_h_wanted / (x @ x.T)
W_o = np.array([[-0.44046572], [-0.5402752]])


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# %% [markdown]
# ## 1. By hand
#
# Forward: from x to the loss, the binary cross-entropy of the probability y_hat and the label y.

# %%

z_h = x @ W_i
h = sigmoid(z_h)
z_o = h @ W_o
y_hat = sigmoid(z_o)
loss = float(-(y * np.log(y_hat) + (1 - y) * np.log(1 - y_hat))[0, 0])
print(f"probability {y_hat[0, 0]:.6f}, loss {loss:.8f}")

# %% [markdown]
# Backward: the same path from the loss to x. At each step the question is "if this number were
# a little larger, what would the loss do?", and the answer is the answer one step later times
# the step's own slope. We call the answer for a number before its sigmoid delta.
#
# The loss's slope in y_hat is (y_hat - y) / (y_hat (1 - y_hat)), the sigmoid's is
# y_hat (1 - y_hat): multiplied they leave delta_o = y_hat - y. That is why the two go together.

# %%

dy_hat = (y_hat - y) / (y_hat * (1 - y_hat))
delta_o = dy_hat * y_hat * (1 - y_hat)  # = y_hat - y
dW_o = h.T @ delta_o  # each weight's share: its input times delta_o
dh = delta_o @ W_o.T  # back through the weights
delta_h = dh * h * (1 - h)  # back through the sigmoid, whose slope is h (1 - h)
dW_i = x.T @ delta_h
print("delta_o  ", delta_o.ravel(), "= y_hat - y:", (y_hat - y).ravel())
print("dL/dW_o  ", dW_o.ravel())
print("dL/dW_i, a line for each hidden unit:")
print(dW_i.T)

# %% [markdown]
# The notebook prints delta_o = 0.34093398, dL/dW_o = [0.24099095, 0.21946827] and, for the two
# hidden units, [-0.03111681, -0.06223362, -0.0155584] and [-0.0422445, -0.084489, -0.02112225].

# %%

printed_o = np.array([0.24099095, 0.21946827])
printed_i = np.array([[-0.03111681, -0.06223362, -0.0155584], [-0.0422445, -0.084489, -0.02112225]])
lesson.expect("delta_o", delta_o[0, 0], equal=0.34093398, tolerance=1e-6)
lesson.expect("loss", loss, equal=0.41693152, tolerance=1e-6)
error = max(abs(dW_o.ravel() - printed_o).max(), abs(dW_i.T - printed_i).max())
lesson.expect("largest difference to the printed gradients", error, at_most=1e-6)

# %% [markdown]
# ## 2. The library's layers
#
# Each layer knows its own slope and nothing else. `forward` keeps what the slope needs,
# `backward` takes dy, the loss's gradient at the layer's output, and returns dx, the one at its
# input. Open `minigrad/layers/linear.py`: it is the lines above.

# %%

net = mg.models.ds4420_toy(dtype="float64")
net.load_state_dict({"0.W": W_i, "2.W": W_o})
bce = mg.BCELoss()
print("\nloss by the library:", bce.forward(net.forward(x), y))
dx = net.backward(bce.backward())
table = mg.gradcheck.compare(
    {
        "dW_i": (net.grads["0.W"], dW_i),
        "dW_o": (net.grads["2.W"], dW_o),
        "dx": (dx, delta_h @ W_i.T),
    },
    rtol=1e-12,
    title="the library against our own lines (expect 1e-16, the last digit)",
)
print(table)
lesson.expect("library = by hand", bool(table), equal=1)

# %%

figure = plots.network(
    values=[x[0], h[0], y_hat[0]],
    deltas=[None, delta_h[0], delta_o[0]],
    weights=[W_i, W_o],
    weight_gradients=[dW_i, dW_o],
    names=["x", "h = σ(x W_i)", "ŷ = σ(h W_o)"],
    title="A weight's gradient: the value on its left times the δ on its right",
)
lesson.save(figure, "network")

# %% [markdown]
# ## 3. Differences: the checker
#
# Anyone can make a sign error. The check needs no calculus: move one weight by h to either side,
# look at the loss, divide by 2h. `mg.gradcheck.check` does it for every weight and prints how far
# the derivative by hand is from that. Its last row needs no h at all; section 5 explains it.

# %%

print("\nthe checker on the right net:")
print(report := mg.gradcheck.check(net, x, y, bce))
lesson.expect("checker passes the net", bool(report), equal=1)

# %% [markdown]
# What does a mistake look like? Here is a sigmoid that forgot its own slope in `backward`.
# Gradients come from the loss down: d2.W is computed before the mistake and is right; d0.W and
# dx come after it and are wrong. jvp goes the other way and never meets it.


# %%
class ForgetfulSigmoid(mg.Sigmoid):
    """A sigmoid that passes the gradient through as if its slope were 1."""

    def backward(self, dy):
        return dy


wrong = mg.Sequential(net.layers[0], ForgetfulSigmoid(), *net.layers[2:])
print("\nthe checker on a net with a mistake made on purpose:")
print(report := mg.gradcheck.check(wrong, x, y, bce))
lesson.expect("checker fails the forgetful sigmoid", bool(report), equal=0)
for name, verdict in {"d2.W": "ok", "d0.W": "WRONG", "dx": "WRONG", "y_dot": "ok"}.items():
    met = report[name].verdict == verdict
    lesson.expect(f"and finds {name} {verdict}", met, equal=1)

# %% [markdown]
# Why does the checker insist on float64? The quotient has two errors: the step h is not infinitely
# small (an error that falls as h²), and two nearly equal losses are subtracted (digits lost, an
# error that grows as 1/h). Somewhere between lies the best h; in float32 even that one is poor.


# %%
def quotient(dtype, step):
    """(L(W + h) - L(W - h)) / 2h in the weight from x₂ to the first hidden unit."""
    twin = mg.models.ds4420_toy(dtype=dtype)
    twin.load_state_dict({"0.W": W_i.astype(dtype), "2.W": W_o.astype(dtype)})
    W, losses = twin.params["0.W"], []
    for moved in (W_i[1, 0] + step, W_i[1, 0] - step):
        W[1, 0] = moved
        losses.append(mg.BCELoss().forward(twin.forward(x.astype(dtype)), y.astype(dtype)))
    return (losses[0] - losses[1]) / (2 * step)


steps = 10.0 ** np.arange(-11, 0.1, 0.25)
errors = {
    dtype: [abs(quotient(dtype, step) / dW_i[1, 0] - 1) for step in steps]
    for dtype in ("float32", "float64")
}
near = (steps > 1e-6) & (steps < 1e-4)  # around the checker's h of 6e-6
typical = {dtype: float(np.median(np.array(error)[near])) for dtype, error in errors.items()}
print("\nrelative error for h about 1e-5:", {k: f"{v:.0e}" for k, v in typical.items()})
lesson.expect("difference quotient's error in float64", typical["float64"], at_most=1e-8)
lesson.expect("difference quotient's error in float32", typical["float32"], at_least=1e-4)
figure = plots.curves(
    {dtype: (steps, np.maximum(error, 1e-16)) for dtype, error in errors.items()},
    "The error of a difference quotient: too large a step, too few digits",
    xlabel="step h",
    ylabel="relative error",
    logx=True,
)
lesson.save(figure, "difference_error")

# %% [markdown]
# ## 4. One step: who changes, and how much?
#
# Gradient descent subtracts lr times the gradient. dL/dW_i is the outer product of x and delta_h,
# so each hidden unit's weights change in proportion to x: an input twice as large gets twice the
# blame, and an input of 0 gets none. The notebook shows it in a second run, from other weights (it
# prints them before and after a step at lr 1): the changes of each unit are as 1 : 2 : 0.5 as well.

# %%

before = np.array([[0.3103, 0.1507, -0.0837], [0.4570, -0.4705, 0.1860]])
after = np.array([[0.3674, 0.2648, -0.0552], [0.4885, -0.4074, 0.2018]])
print("the notebook's second run: each unit's changes, divided by its first:")
print(((after - before) / (after - before)[:, :1]).round(2), "and x is", x[0])

old = net.state_dict()["0.W"]
mg.rules.Backprop().estimate(net, bce, x, y)
mg.SGD(net, lr=1.0).step()
change = (net.state_dict()["0.W"] - old).T
print("our step at lr 1:\n", change)
ratio = change / change[:, :1]
lesson.expect("change is x times a number (largest deviation)", abs(ratio - x).max(), at_most=1e-9)
better = bce.forward(net.forward(x), y)
lesson.expect("loss after the step", better, at_most=loss)
figure = plots.proportional(change, x[0], "A step changes each weight in proportion to its input")
lesson.save(figure, "proportional_step")

# %% [markdown]
# ## 5. Forwards instead of backwards
#
# `backward` asks: given the loss, what was each weight's part in it? `jvp` (Jacobian times vector)
# asks the reverse: if the weights move in this one direction, W_dot, how fast does the loss move?
# It goes with the values, from x to the loss: z_dot = x W_dot, h_dot = h (1 - h) z_dot, and so on.
# (It could be computed in the same pass and keep nothing; here `forward` goes first and keeps its
# point, so that many directions can share one pass.) Both are the same Jacobian J, applied from
# the one side or the other, and so <dy, J v> = <Jᵀ dy, v>. Here: move the weights to W + t W_dot,
# with t a small number; then the loss's slope by t is dL/dt = <dW, W_dot>.

# %%

net.load_state_dict({"0.W": W_i, "2.W": W_o})
bce.forward(net.forward(x), y)
net.backward(bce.backward())
rng = np.random.default_rng(lesson.seed)
W_dot = {name: rng.standard_normal(W.shape) for name, W in net.params.items()}
L_dot = bce.jvp(net.jvp(None, W_dot))
inner = sum(float((net.grads[name] * W_dot[name]).sum()) for name in W_dot)
print(f"\nforwards, the loss's slope along W_dot: {L_dot:.15f}")
print(f"backwards, <dW, W_dot>:                 {inner:.15f}")
lesson.expect("jvp - <dW, W_dot>", abs(L_dot - inner), at_most=1e-15)

# %% [markdown]
# One jvp gives one number. Eight directions, each moving a single weight, rebuild the whole
# gradient; one backward pass had all eight at once. That is why networks with millions of
# weights learn backwards. What can be done with a *few* forward directions is a later lesson's.

# %%

rebuilt = {name: np.zeros_like(W) for name, W in net.params.items()}
for name, W in net.params.items():
    for place in np.ndindex(W.shape):
        one = {other: np.zeros_like(V) for other, V in net.params.items()}
        one[name][place] = 1.0
        rebuilt[name][place] = bce.jvp(net.jvp(None, one))
table = mg.gradcheck.compare(
    {f"d{name}": (rebuilt[name], net.grads[name]) for name in rebuilt},
    rtol=1e-12,
    title="\neight jvps against one backward pass",
)
print(table)
lesson.expect("eight jvps = one backward", bool(table), equal=1)

# %% [markdown]
# ## What to remember
#
# - A gradient is found from the loss backwards: gradient at a layer's output, times its slope.
# - A weight's gradient is its input times the delta at its output.
# - Never trust a derivative that no difference quotient has confirmed, in float64.
# - backward and jvp are one matrix used from its two sides; each checks the other.
#
# ## Exercises (copy `lessons/exercises/01_gradients_by_hand.py`, fill it in, run it)
#
# 1. Write a LeakyReLU layer: y = x for x > 0, else a x. Run `minigrad check` on it.
# 2. Give the layer a learned slope a: what is da?
# 3. Put biases into the hand-written network. What are their gradients? Why are they delta_h and
#    delta_o?

# %%

lesson.finish()
