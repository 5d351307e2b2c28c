"""11 Forward gradients

Question: can one find the way down without a backward pass?
You need: lessons 01 and 03; mean and variance; the eigenvalues of a symmetric matrix.
You will build: a slope that comes along with the value, a gradient of such slopes, its largest η.
Time: 10 s on one core, 6 s with --quick
Source: Baydin et al. 2022, "Gradients without backpropagation"; Rike, Førland 2022, whose program
is a case study: `minigrad run forward_descent`.
"""

# %% [markdown]
# # 11 Forward gradients
#
# Backprop goes through a network twice: forward for the loss, then backward for the gradient. Here
# we never go backward. We ask a smaller question: how steep is it in *one* direction? That answer
# comes along with the loss. From such answers we make a gradient.
#
# | name | meaning |
# |---|---|
# | $θ$, $L$, $∇L$ | n parameters, the loss, its gradient; on a surface the place (x, y), f, ∇f |
# | $v$, $d$ | a direction: how fast each parameter moves; the slope along it, $d = ∇L · v$ |
# | $z_dot$ | how fast z moves, if θ moves with the speed v |
# | $g$, $η$ | a forward gradient, n numbers: $d v$ or the mean of K of them; the learning rate |

# %%
import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device
from minigrad.diagnostics.limits import limits_on_the_way
from minigrad.functions import Beale, at, descend
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate
from minigrad.plots.slopes import mean_of_draws
from minigrad.rules import Backprop, ForwardGradient

lesson = start("11_forward_gradients", __doc__)
quick, seed, rng = lesson.quick, lesson.seed, np.random.default_rng(lesson.seed)
loss, batch = mg.CrossEntropyLoss(), lesson.data()[0].take(64)
images, labels = to_device(batch.x.astype("float64")), to_device(batch.y)

# %% [markdown]
# ## 1. A slope that comes along
#
# Rosenbrock's surface has the height $f(x, y) = (1 - x)² + 100 (y - x²)²$. We stand at (-1, 0) and
# move with the speed v = (1, 2): each second x grows by 1 and y by 2. How fast does f change?
# Compute f in small steps, and beside each step write its derivative by time:
#
# | value | speed |
# |---|---|
# | $s = x²$ | $s_dot = 2 x x_dot$ |
# | $r = y - s$ | $r_dot = y_dot - s_dot$ |
# | $a = 1 - x$ | $a_dot = -x_dot$ |
# | $f = a² + 100 r²$ | $f_dot = 2 a a_dot + 200 r r_dot$ |
#
# The last speed is the slope d. It must be $∇f · v$. Its name is Jacobian-vector product, or *jvp*.
# In the graph, speeds are the tangents of lesson 01, and the arrows show the local derivatives.

# %%
x, y, x_dot, y_dot = -1.0, 0.0, 1.0, 2.0
s, s_dot = x**2, 2 * x * x_dot
r, r_dot = y - s, y_dot - s_dot
a, a_dot = 1 - x, -x_dot
f, f_dot = a**2 + 100 * r**2, 2 * a * a_dot + 200 * r * r_dot
slope = np.array([-2 * a - 400 * x * r, 200 * r])  # ∇f, by hand as in lesson 01
print(f"\nslope: {f_dot:g} by speeds, {slope @ [x_dot, y_dot]:g} by ∇f · v with ∇f = {slope}")
edges = [("x", "s", 2 * x), ("y", "r", 1), ("s", "r", -1), ("x", "a", -1)]
edges += [("r", "f", 200 * r), ("a", "f", 2 * a)]
values = {"x": x, "y": y, "s": s, "r": r, "a": a, "f": f}
tangents = {"x": x_dot, "y": y_dot, "s": s_dot, "r": r_dot, "a": a_dot, "f": f_dot}
title = f"Value and tangent go forward together: d = {f_dot:g}"
figure = plots.graph(edges, {"value": values, "tangent": tangents}, title)
lesson.save(figure, "speeds")

# %% [markdown]
# In a network each layer has such a pair of lines. B images x, their labels t, probabilities p:
#
# | value | speed |
# |---|---|
# | $z = x W1 + b1$ | $z_dot = x W1_dot + b1_dot$ |
# | $h = relu(z)$ | $h_dot = z_dot ∘ [z > 0]$ |
# | $o = h W2 + b2$ | $o_dot = h_dot W2 + h W2_dot + b2_dot$ |
# | $L = cross-entropy(o, t)$ | $d = 1/B Σ (p - onehot(t)) · o_dot$ |
#
# The price: where the value has one product, h W2, the speed has two, h_dot W2 and h W2_dot. So a
# slope costs two forward passes beside the one for the value. Backprop costs as much and gives the
# slope along *every* v. But backprop must keep what each layer has seen. Going forward, a layer can
# forget at once: `minigrad run without_backward` measures the memory.
#
# ## 2. A gradient out of slopes
#
# Draw v at random: each coordinate normal, with mean 0 and variance 1. Go along v as far as its
# slope says: $g = d v$. Coordinate i is $gᵢ = d vᵢ = Σⱼ ∂ⱼL vⱼ vᵢ$. On average $vⱼ vᵢ$ is 1 for
# j = i and 0 for every other j. So on average only $∂ᵢL$ remains:
#
# $$ E[g] = ∇L $$
#
# A single g is often far off. But it never points uphill: $g · ∇L = d² ≥ 0$.

# %%
v = rng.standard_normal((20_000, 2))
d = v @ slope  # a slope for each direction
g = d[:, None] * v
error = estimate(g[:, 0] - slope[0])
uphill = (g @ slope < -1e-9).sum()
print(f"\nmean of g {g.mean(axis=0).round(1)}, ∇f {slope}; {uphill} of {len(g)} point uphill")
words = error.says("is above", "is below", "cannot be told from")
title = f"Each draw is off. The mean of {len(g):,} {words} ∂f/∂x"
lesson.save(mean_of_draws(g[:, 0], slope[0], title, "estimate of ∂f/∂x"), "mean")
clouds = {f"forward gradient, K = {K}": g.reshape(-1, K, 2).mean(axis=1)[:500] for K in (1, 4, 16)}
lesson.save(plots.cloud(clouds, slope, "Means of K directions, 500 each"), "cloud")

# %% [markdown]
# ## 3. How large is the error?
#
# The mean of K directions has a Kth of the variance. But the more parameters, the less a random
# direction has to do with the gradient. Of all coordinates together, in units of $‖∇L‖²$, the
# variance is $(n + 1)/K$. It is $(n - 1)/K$ if v has the fixed length √n (each coordinate 1 or -1,
# say): then $E[‖g‖²] = E[d² ‖v‖²] = n E[d²] = n ‖∇L‖²$ for K = 1; take $‖E[g]‖² = ‖∇L‖²$ off. With
# K directions at right angles it is $n/K - 1$: nothing is left at K = n.

# %%
sizes, lines, dots, off = np.array([4, 16, 64, 256]), {}, {}, []
for K in (1, 4, 16):
    label = f"forward gradient, K = {K}"
    lines[label], dots[label] = (sizes, (sizes + 1) / K), (sizes, [])
    for n in sizes:
        gradient = np.linspace(1, 3, n)
        v = rng.standard_normal((500, K, n))
        g = ((v @ gradient)[..., None] * v).mean(axis=1)
        errors = ((g - gradient) ** 2).sum(axis=1) / (gradient @ gradient)
        dots[label][1].append(errors.mean())
        off.append(abs(errors.mean() - (n + 1) / K) / (errors.std() / np.sqrt(len(errors))))
title = f"Lines: (n + 1)/K. Dots: measured, at most {max(off):.1f} standard errors off"
options = {"xlabel": "n, the number of parameters", "logx": True, "dots": ("measured", dots)}
lesson.save(plots.curves(lines, title, ylabel="variance / ‖∇L‖²", **options), "variance")

# %% [markdown]
# ## 4. How large may a step be?
#
# A network 784-32-10 has n = 25,450. A variance of 25,451 ‖∇L‖² sounds hopeless. But to go astray
# costs nothing where the ground is flat. What counts is how it bends along g. Let H be the matrix
# of second derivatives, λ its largest eigenvalue and tr H the sum of all. If H is the same
# everywhere, a step of η changes the loss by $-η g · ∇L + η²/2 gᵀ H g$. For normal v, on average,
#
# $$ E[g · ∇L] = ‖∇L‖² $$
# $$ E[gᵀ H g] = ‖∇L‖² tr H / K + (1 + 1/K) ∇Lᵀ H ∇L $$
#
# $∇Lᵀ H ∇L$ is at most $λ ‖∇L‖²$. So the loss falls on average, wherever one stands, if
#
# $$ η < 2 / (tr H / K + (1 + 1/K) λ) $$
#
# For K → ∞ that is backprop's limit, 2/λ. K = 1 costs a factor tr H/λ + 2. That is not n: it counts
# the steep directions. Try a bowl $f = 1/2 Σᵢ cᵢ xᵢ²$ of 60 dimensions. The steepest has c = 10,
# each next one 0.861 of that: λ = 10, tr H = 72, the factor is 9.2.

# %%
c, runs, steps = 10 * 0.86112 ** np.arange(60), 10 if quick else 40, 300
panels, ends = {}, {0.6: [], 1.5: []}
for K in (1, 4, 16):
    limit = 2 / (c.sum() / K + (1 + 1 / K) * c.max())
    panels[f"K = {K}, limit {limit:.3f}"] = series = {}
    for share in ends:
        x, heights = np.ones((runs, 60)), np.ones((steps + 1, runs))
        for t in range(1, steps + 1):
            v = rng.standard_normal((K, runs, 60))
            d = (v * c * x).sum(axis=2, keepdims=True)
            x = x - share * limit * (d * v).mean(axis=0)
            heights[t] = (c * x**2).sum(axis=1) / c.sum()
        ends[share].append(heights[-1])
        shown = np.flatnonzero((middle := np.median(heights, axis=1)) < 1e6)
        series[f"forward gradient, η = {share} of the limit, median"] = shown, middle[shown]
down = {share: np.mean(np.array(each) < 1) for share, each in ends.items()}
title = f"Runs that end lower: {down[0.6]:.0%} below the limit, {down[1.5]:.0%} above it"
lesson.save(plots.beside(panels, title, "f / f at the start", xlabel="step"), "stability")

# %% [markdown]
# (The law is about the mean, which the worst run leads: a few may come down above it.) In two
# dimensions the price is small. Beale's valley, η = 0.01, 1000 steps:

# %%
model, falls = at(Beale()), []
path, heights = descend(model, Backprop(), mg.SGD(model, 0.01), 1000)
for run in range(3 if quick else 10):
    model, rule = at(Beale()), ForwardGradient(seed=100 * seed + run)
    falls.append(descend(model, rule, mg.SGD(model, 0.01), 1000))
valley = estimate(np.log([fall.heights[-1] / heights[-1] for fall in falls]))
print(f"\nBeale: backprop comes to {heights[-1]:.1e}; ln(forward gradient's f / this) {valley}")
words = valley.says("end higher than", "end lower than", "cannot be told from")
title = f"{len(falls)} runs of forward gradients {words} backprop, at η = 0.01"
paths = {"forward gradient": falls[0].path, "backprop": path}
lesson.save(plots.surface_paths(Beale(), paths, title), "beale")

# %% [markdown]
# ## 5. The network
#
# Does the law hold for networks? We take 784-32-10, and one with a single layer, 784-10. They make
# 200 steps on the 64 images, with η a quarter of the law's limit at the start. On the way the limit
# is computed anew, and so is the length of the weights, ‖θ‖. (H is here without the bends of the
# network itself, the *Gauss-Newton* matrix: it does not mind that relu has a kink.)

# %%
every, runs, nets = 40 if quick else 20, 2 if quick else 4, {1: (784, 10), 2: (784, 32, 10)}
one, two = "one layer, forward gradient", "two layers, forward gradient"
ways = {one: (1, 1), two: (2, 1), "two layers, backprop": (2, 0)}  # layers, K


def course(name, run):
    """(step, loss, limit / η, ‖θ‖) at every so many steps."""
    layers, K = ways[name]
    net = mg.models.mlp(nets[layers], seed=seed, dtype="float64")
    rule = ForwardGradient(K, seed=1000 * seed + run) if K else Backprop()
    options = {"share": 1 / 4, "every": every, "directions": K or None, "seed": seed}
    return limits_on_the_way(net, rule, loss, images, labels, **options)


panels, learn, lowest = {"limit / η": {}, "loss": {}}, {}, {}
for name in ways:
    found = [lesson.kept(course, name, run) for run in range(runs)]
    learn[name] = sum(rows[-1, 1] < rows[0, 1] for rows in found)
    lowest[name] = [rows[:, 2].min() for rows in found]
    step, value, margin, length = found[0].T
    panels["limit / η"][name], panels["loss"][name] = (step, margin), (step, value)
    print(f"{name:29} {learn[name]} of {runs} runs learn. The first: step {step[-1]:.0f}", end="")
    print(f", ‖θ‖ times {length[-1] / length[0]:.1f}, limit / η {margin[-1]:.2f}")
title = f"Runs that learn: {learn[one]} of {runs} with one layer, {learn[two]} with two"
lesson.save(plots.stacked(panels, title, floors={"η is at the limit": 1}), "limits")

# %% [markdown]
# Why does the law fail with two layers? It takes H as fixed. A step has the length $η |d| ‖v‖$, and
# ‖v‖ is about √n. Most of it goes where the ground is flat. That costs nothing as long as it stays
# flat. But such steps make the weights longer and longer. With two layers the slope along W1
# contains W2, and the slope along W2 contains W1. So longer weights make steeper ground: H grows,
# and the limit falls. With one layer the weights grow, too, but H hardly does. (On MNIST, seed
# 0, the law allows K = 1 a tenth of backprop's η. It bears a 64th: `minigrad run forward_descent`.)
#
# ## 6. A guess is better than chance
#
# v need not be random. Take a guess u at the gradient and go along it as far as its slope says:
# $g = (∇L · u) u / ‖u‖²$, the gradient's projection on u. It is the same for u, -u and 100 u, and
# never points uphill. But its mean is no longer the gradient. `minigrad run without_backward` takes
# lesson 09's synthetic gradients for guesses, and finds slopes without a jvp.
#
# ## What to remember
#
# - A jvp is the slope in one direction: exact, for two more forward passes. Nothing is kept.
# - $d v$ is right on average and wrong each time. Its variance is about $n ‖∇L‖² / K$.
# - What limits η is how the ground bends where chance leads, tr H/K, and not n.
# - With more than one layer the noise makes the weights longer, and so the ground steeper.
#
# ## Exercises (copy `lessons/exercises/11_forward_gradients.py`, fill it in, run it)
#
# 1. Let value and speed go forward through a network with tanh and a squared error.
# 2. Which η is the largest for a given H and K? The check looks whether the mean loss falls.
# 3. Make the estimate of section 6 from a guess u. What if u is 0?
#
# ## What this run must show

# %%
lesson.expect("slope of Rosenbrock's surface", f_dot, equal=slope @ [x_dot, y_dot])
lesson.expect("mean of g: uphill, times", uphill, equal=0)
lesson.expect("mean of g: off by 95 % intervals", abs(error.mean) / error.half, at_most=2)
lesson.expect("variance: off by standard errors, at worst", max(off), at_most=4)
lesson.expect("runs that come down at 0.6 of the limit", down[0.6], at_least=0.95)
lesson.expect("runs that come down at 1.5 of the limit", down[1.5], at_most=0.2)
lesson.expect("Beale: |ln(f / backprop's)|, mean", abs(valley.mean), at_most=0.5)
lesson.expect("one layer, limit / 4: runs that learn", learn[one], equal=runs)
lesson.expect("one layer: lowest limit / η", min(lowest[one]), at_least=3)
lesson.expect("two layers, limit / 4: runs that learn", learn[two], equal=0)
bound = 2 if quick else 1.5  # it was 4
lesson.expect("two layers: lowest limit / η, of all runs", max(lowest[two]), at_most=bound)
lesson.record({"runs that learn": learn, "lowest limit / η": lowest})
lesson.finish()
