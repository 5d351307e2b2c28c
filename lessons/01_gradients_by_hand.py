"""01 Gradients by hand

Question: how does one weight, deep in a network, learn how it should change?
You need: the chain rule, matrix products.
You will build: the gradients of two small networks, by hand, by the library, by differences.
Time: 2 s
Source: the course notebook "DS 4420: Backprop": its toy network and the numbers that it prints.
"""

# %% [markdown]
# # 01 Gradients by hand
#
# A network is a function with many knobs, its weights. At its end stands one number, the loss `L`:
# how wrong the output is. To turn a knob the right way we need its *gradient*: how much `L` changes
# when that knob moves and all others stand still. We find it in four ways, and all four agree: by
# hand, from the library's layers, by a motion forwards through the network, and from differences.

# %%
import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.lesson import start

lesson = start("01_gradients_by_hand", __doc__, on_host=True)

# %% [markdown]
# ## 1. By hand
#
# | name | shape | meaning |
# |---|---|---|
# | `x` | (1, 3) | one example |
# | `y` | (1, 1) | its label: 0 or 1 |
# | `W_i` | (3, 2) | weights into the hidden layer |
# | `z_h`, `h` | (1, 2) | hidden layer before and after the sigmoid |
# | `W_o` | (2, 1) | weights into the output |
# | `z_o`, `y_hat` | (1, 1) | output before and after the sigmoid: a probability; ŷ in figures |
#
# The sigmoid is $σ(z) = 1/(1 + e^(-z))$, its slope $σ(z) (1 - σ(z))$. The loss is $L = -ln p$, with
# p the probability that the network gave to the true label: the binary cross-entropy. The notebook
# "DS 4420: Backprop" prints this network's gradients. From them we worked out its weights.

# %%
x = np.array([[1.0, 2.0, 0.5]])
y = np.array([[0.0]])
z_h_wanted = np.array([[0.88015906, 0.59157567]])
W_i = x.T @ z_h_wanted / (x @ x.T)  # the smallest W_i with x W_i = z_h
W_o = np.array([[-0.44046572], [-0.5402752]])


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


z_h = x @ W_i
h = sigmoid(z_h)
z_o = h @ W_o
y_hat = sigmoid(z_o)
L = float(-(y * np.log(y_hat) + (1 - y) * np.log(1 - y_hat))[0, 0])
print(f"probability {y_hat[0, 0]:.6f}, loss {L:.8f}")

# %% [markdown]
# Now backward, from the loss to `x`. At each number we ask: if it were a little larger, what would
# the loss do? The answer is the answer one step later, times the slope of the step between them.
# We write $dh = ∂L/∂h$ for the answer at `h`, of the same shape as `h`. The answer at a z, *before*
# a sigmoid, has a name of its own: `delta` or δ.
#
# The loss has the slope $(y_hat - y)/(y_hat (1 - y_hat))$ in `y_hat`. The sigmoid's slope is
# $y_hat (1 - y_hat)$. Multiplied they leave $δ_o = y_hat - y$. That is why the two go together.
# The slope from a weight to its z is the weight's input. So `dW_i` is `x` times `delta_h`.
# The weight of an input twice as large gets twice the blame. The weight of an input 0 gets none.

# %%
dy_hat = (y_hat - y) / (y_hat * (1 - y_hat))
delta_o = dy_hat * y_hat * (1 - y_hat)  # = y_hat - y
dW_o = h.T @ delta_o  # for each weight: its input times delta_o
dh = delta_o @ W_o.T  # back through the weights
delta_h = dh * h * (1 - h)  # back through the sigmoid
dW_i = x.T @ delta_h
print("delta_o  ", delta_o.ravel(), "= y_hat - y:", (y_hat - y).ravel())
print("dL/dW_o  ", dW_o.ravel())
print("dL/dW_i, a line for each hidden unit:")
print(dW_i.T)
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
# ## 2. The library's layers
#
# Each layer knows its own slope and nothing else. `forward` keeps what the slope needs. `backward`
# takes the loss's gradient at the layer's output and returns the one at its input. Open
# `minigrad/layers/linear.py`: it has the lines above. A network counts its layers from 0. So `0.W`
# is `W_i`, layer 1 is the first sigmoid, and `2.W` is `W_o`.

# %%

net = mg.models.ds4420_toy(dtype="float64")
net.load_state_dict({"0.W": W_i, "2.W": W_o})
bce = mg.BCELoss()
print("\nloss by the library:", bce.forward(net.forward(x), y))
dx = net.backward(bce.backward())
pairs = {"dW_i": (net.grads["0.W"], dW_i), "dW_o": (net.grads["2.W"], dW_o)}
pairs["dx"] = (dx, delta_h @ W_i.T)
same = mg.gradcheck.compare(pairs, rtol=1e-12, title="the library against our own lines")
print(same)

# %% [markdown]
# ## 3. Two outputs: the sum over paths
#
# Give the same hidden layer two outputs, $o = h V$: `V` is (2, 2) and `o` is (1, 2). No sigmoid
# comes after them. Two numbers are `wanted`, and $L = ½ Σₖ (oₖ - wantedₖ)²$. So at output k the
# answer is $δₖ = oₖ - wantedₖ$. If h₁ moves, both outputs move, and the loss moves by *both* paths.
# The chain rule adds them. The product `delta @ V.T` does that, for all j at once:
#
# $$ dhⱼ = Σₖ δₖ Vⱼₖ $$

# %%

V = np.array([[0.5, 1.5], [-1.0, 0.25]])
wanted = np.array([[1.0, 0.5]])


def loss_two(h):
    return 0.5 * float(((h @ V - wanted) ** 2).sum())


o = h @ V
delta = o - wanted
paths = V * delta  # row j, column k: what h_j gets through output k
dh_two = delta @ V.T
small = np.array([[1e-5, 0.0]])
quotient = (loss_two(h + small) - loss_two(h - small)) / 2e-5
print(f"\nh₁ through output 1: {paths[0, 0]:+.4f}, through output 2: {paths[0, 1]:+.4f}")
print(f"their sum {dh_two[0, 0]:+.4f}; by moving h₁ a little to either side {quotient:+.4f}")

two = mg.models.mlp((3, 2, 2), "sigmoid", bias=False, dtype="float64", seed=0)
two.load_state_dict({"1.W": W_i, "3.W": V})  # layer 0 makes a row of each x
mse = mg.MSELoss()  # the mean of two numbers (o - wanted)²: the same L
mse.forward(two.forward(x), wanted)
two.backward(mse.backward())

# %% [markdown]
# The first path alone says: a larger h₁ is better. The second says the opposite, and is stronger.
# Who forgets the second path turns the knob the wrong way.
#
# ## 4. Forwards instead of backwards
#
# Now we ask the reverse. Let t be time. At $t = 0$ one weight w, from x₂ to the first hidden unit,
# begins to move with speed 1. How fast does each number move? The speed of z is its *tangent*,
# $z_dot = dz/dt$ at $t = 0$. Tangents go with the values, from the weight to the loss: the tangent
# one step earlier, times the slope between them. Where paths meet, they are added. In the figure
# each arrow carries its slope.

# %%

h1 = h[0, 0]
nodes = {"w": W_i[1, 0], "z₁": z_h[0, 0], "h₁": h1, "o₁": o[0, 0], "o₂": o[0, 1], "L": loss_two(h)}
edges = [  # from, to, and the slope between them
    ("w", "z₁", x[0, 1]),
    ("z₁", "h₁", h1 * (1 - h1)),
    ("h₁", "o₁", V[0, 0]),
    ("h₁", "o₂", V[0, 1]),
    ("o₁", "L", delta[0, 0]),
    ("o₂", "L", delta[0, 1]),
]
tangent = dict.fromkeys(nodes, 0.0) | {"w": 1.0}
for begin, end, slope in edges:  # along the arrows
    tangent[end] += slope * tangent[begin]
gradient = dict.fromkeys(nodes, 0.0) | {"L": 1.0}
for begin, end, slope in reversed(edges):  # against the arrows
    gradient[begin] += slope * gradient[end]
numbers = {"value": nodes, "gradient": gradient, "tangent": tangent}
lesson.save(plots.graph(edges, numbers, "One weight's two paths to the loss"), "graph")
cuts = [["w"], ["z₁"], ["h₁"], ["o₁", "o₂"], ["L"]]
products = [sum(gradient[node] * tangent[node] for node in cut) for cut in cuts]
print("gradient times tangent, from w to L:", np.round(products, 6))

# %% [markdown]
# Cut the graph anywhere: gradient times tangent, summed over the cut, is the same number. At the
# weight it is the gradient, at the loss it is the tangent. So backward and forward must agree.
#
# `jvp` does this for whole arrays: Jacobian times vector. The Jacobian is the matrix of all slopes.
# Move all weights at once, to $W + t W_dot$, in any direction `W_dot`. Then the loss has the speed
# $L_dot = ⟨dW, W_dot⟩$, the sum of each gradient times its weight's speed. One `jvp` gives one
# number. Eight of them, each moving a single weight, give the whole gradient of the first network.
# One backward pass had all eight. That is why networks with millions of weights learn backwards.

# %%

rng = np.random.default_rng(lesson.seed)
W_dot = {name: rng.standard_normal(W.shape) for name, W in net.params.items()}
L_dot = bce.jvp(net.jvp(None, W_dot))
inner = sum(float((net.grads[name] * W_dot[name]).sum()) for name in W_dot)
print(f"\nforwards, L_dot:        {L_dot:.15f}\nbackwards, <dW, W_dot>: {inner:.15f}")
eight = [
    bce.jvp(net.jvp(None, {"0.W": one[:6].reshape(3, 2), "2.W": one[6:].reshape(2, 1)}))
    for one in np.eye(8)
]

# %% [markdown]
# ## 5. Differences: the checker
#
# Anyone can make a sign error. The check needs no calculus: move one weight by a small step s to
# either side, look at the loss, divide by 2s. `mg.gradcheck.check` does it for every weight, for x,
# and for `jvp` (its row `y_dot`). Its last row compares `backward` with `jvp` and needs no s.
#
# What does a mistake look like? Below is a sigmoid that forgot its own slope in `backward`.
# Gradients come from the loss down: `d2.W` is computed before the mistake and is right; `d0.W` and
# `dx` come after it and are wrong. `jvp` goes the other way and never meets it. So backward and jvp
# disagree, and the last row says so.


# %%
class ForgetfulSigmoid(mg.Sigmoid):
    def backward(self, dy):
        return dy  # as if its slope were 1


right_report = mg.gradcheck.check(net, x, y, bce)
wrong = mg.Sequential(net.layers[0], ForgetfulSigmoid(), *net.layers[2:])
wrong_report = mg.gradcheck.check(wrong, x, y, bce)
print("\nthe checker on the right net:", right_report, sep="\n")
print("\nthe checker on a net with a mistake made on purpose:", wrong_report, sep="\n")

# %% [markdown]
# ## What to remember
#
# - A gradient is found from the loss backwards: the gradient at a layer's output, times its slope.
# - Where paths part, their gradients are added.
# - A weight's gradient is its input times the δ at its output.
# - backward and jvp use one matrix, the Jacobian, from its two sides. Each checks the other.
# - Never trust a derivative that no difference quotient has confirmed.
#
# ## Exercises (copy `lessons/exercises/01_gradients_by_hand.py`, fill it in, run it)
#
# 1. Write a LeakyReLU layer: $y = x$ for $x > 0$, else $a x$. Run `minigrad check` on it.
# 2. Give the layer a learned slope a: what is $da$?
# 3. Put biases into the hand-written network. Why are their gradients `delta_h` and `delta_o`?
#
# ## What this run must show

# %%

printed_o = np.array([0.24099095, 0.21946827])  # in the notebook, as are delta_o and the loss
printed_i = np.array([[-0.03111681, -0.06223362, -0.0155584], [-0.0422445, -0.084489, -0.02112225]])
off = max(abs(dW_o.ravel() - printed_o).max(), abs(dW_i.T - printed_i).max())
lesson.expect("delta_o", delta_o[0, 0], equal=0.34093398, tolerance=1e-7)
lesson.expect("loss", L, equal=0.41693152, tolerance=1e-8)
lesson.expect("largest difference to the printed gradients", off, at_most=1e-7)
lesson.expect("library = by hand", bool(same), equal=1)
lesson.expect("sum over paths - difference quotient", abs(dh_two[0, 0] - quotient), at_most=1e-9)
lesson.expect("the first path has the sign of the sum", paths[0, 0] * dh_two[0, 0] > 0, equal=0)
off = abs(two.grads["1.W"] - x.T @ (dh_two * h * (1 - h))).max()
lesson.expect("two outputs: library - by hand", off, at_most=1e-15)
off = max(abs(gradient["w"] - two.grads["1.W"][1, 0]), np.ptp(products))
lesson.expect("graph: dw - library's; spread over the cuts", off, at_most=1e-15)
lesson.expect("jvp - <dW, W_dot>", abs(L_dot - inner), at_most=1e-15)
off = abs(eight - np.concatenate([dW_i.ravel(), dW_o.ravel()])).max()
lesson.expect("eight jvps - one backward", off, at_most=1e-15)
lesson.expect("checker passes the net", bool(right_report), equal=1)
verdicts = [wrong_report[name].verdict for name in ("d2.W", "y_dot", "d0.W", "dx", "<dy, y_dot>")]
found = verdicts == ["ok", "ok", "WRONG", "WRONG", "WRONG"]
lesson.expect("forgetful sigmoid: d2.W and y_dot ok, the others WRONG", found, equal=1)
off = abs(dW_i.T / dW_i.T[:, :1] - x).max()
lesson.expect("dW_i is x times a number (largest deviation)", off, at_most=1e-9)
mg.SGD(net, lr=1.0).step()
lesson.expect("loss after a step downhill", bce.forward(net.forward(x), y), at_most=L - 0.1)
lesson.finish()
