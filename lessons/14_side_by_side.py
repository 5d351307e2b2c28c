"""14 Side by side

Question: which way to learn is biased, which is noisy, and what does either cost?
You need: lessons 09, 11 and 13; mean and variance.
You will build: a map on which every learning rule has its place.
Time: 20 s on MNIST or the embedded digits, 4 s with --quick, on one core
Source: Geman, Bienenstock, Doursat 1992, for bias and variance; Baydin et al. 2022; Ren et al.
2023; Jaderberg et al. 2016; Spall 1992; Student 1908.
"""

# %% [markdown]
# # 14 Side by side
#
# You have met many ways to get a gradient. Some guess it, some measure it, some put a random matrix
# in its place. Which of them is good? This lesson gives each of them the same network and the same
# images. It asks two questions. Is the answer right on average? And how far does it jump about?
#
# | name | meaning |
# |---|---|
# | `θ`, n | the parameters of the network, and how many numbers they are |
# | `g` | the true gradient ∇L of the loss L at θ, by backprop |
# | `ĝ` | what a rule puts in its place: an estimate |
# | `E[ĝ]` | the mean of ĝ over all that chance could do |
# | `K` | how many random directions an estimate takes |
# | `R` | how many estimates we draw |

# %%

import numpy as np

import minigrad as mg
from minigrad import plots, rules
from minigrad.backend import to_device
from minigrad.diagnostics import quality
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate

lesson = start("14_side_by_side", __doc__)
loss = mg.CrossEntropyLoss()


def coarse(images):
    """The same images with 7 x 7 pixels, so that thousands of estimates take seconds."""
    pixels = images.x.reshape(len(images), 7, 4, 7, 4).mean(axis=(2, 4))
    return mg.data.Dataset(pixels.reshape(-1, 49).astype("float64"), images.y, classes=10)


train = coarse(lesson.data()[0])
train = train.take(slice(len(train) * 5 // 6))
x, y = to_device(train.x[:64]), to_device(train.y[:64])

# %% [markdown]
# The network is small, 49-12-12-10. We train it for a hundred steps, so that it is no longer new
# and not yet good. From here on its parameters θ stand still.


# %%
def batch(step):
    """64 images; the seed and the step fix which."""
    chosen = np.random.default_rng((lesson.seed, step)).integers(len(train), size=64)
    return to_device(train.x[chosen]), to_device(train.y[chosen])


def learned(rule):
    """The network after a hundred steps by this rule, always from the same start."""
    net = mg.models.mlp((49, 12, 12, 10), "tanh", seed=lesson.seed, dtype="float64")
    optimizer = mg.SGD(net, 1.0)
    for step in range(100):
        rule.estimate(net, loss, *batch(step))
        optimizer.lr = 1 - step / 100
        optimizer.step()
    return net


net = learned(rules.Backprop())
n = sum(param.size for param in net.params.values())
print(f"\nn = {n} parameters; the loss on 64 images is {loss.forward(net.forward(x), y):.3f}")

# %% [markdown]
# ## 1. Two ways to be wrong
#
# Think of darts. The bull's eye is g, each dart is one ĝ. The darts may fly in a tight group beside
# the bull's eye: that is *bias*. They may fly all around it: that is *variance*. In numbers,
#
# $$ bias² = |E[ĝ] - g|² $$
# $$ variance = E|ĝ - E[ĝ]|² $$
# $$ E|ĝ - g|² = bias² + variance $$
#
# We divide all three by |g|². A rule that always says 0 then has bias² 1 and variance 0. So an
# error above 1 is worse than to say nothing, if you only get one dart.
#
# `quality` throws R darts from one θ and one batch, and compares them with g. The mean of R darts
# is itself a bit off. So it takes variance/R off bias², and bias² may come out a little below 0. We
# call it eight times. Student's t makes an interval of the eight answers: it has the true value in
# 95 of 100 cases.


# %%
def measured(rule, R, model=net):
    """(bias², low, high, variance), from eight times R estimates, in units of |g|²."""
    found = [quality(rule, model, loss, x, y, R, seed).total for seed in range(8)]
    bias2 = estimate([one.bias2 for one in found])
    return bias2.mean, bias2.low, bias2.high, float(np.mean([one.variance for one in found]))


exact = measured(rules.Backprop(), 2)
print(f"backprop: bias² {exact[0]:g}, variance {exact[3]:g}")

# %% [markdown]
# ## 2. Noisy: random directions
#
# The forward gradient of lesson 11 draws a direction v, measures the slope d = g · v, and says ĝ =
# d v. Its mean is g. Its variance is (n + 1)/K for normal v and (n - 1)/K for signs ±1, which are
# called Rademacher. Lines are this theory, dots are measured. n is large, so the two lines are one.

# %%

R = 6 if lesson.quick else 60
counts, found, theory = (1, 4, 16), {}, {"normal": n + 1, "rademacher": n - 1}
print(f"\n{'':36}{'bias²':>8}{'95 % interval':>20}{'variance':>10}{'theory':>8}")
for kind, top in theory.items():
    for K in counts:
        name = f"forward gradient, {kind}, K = {K}"
        found[name] = bias2, low, high, variance = measured(rules.WeightPerturbation(K, kind), R)
        print(f"{name:36}{bias2:8.2f}{low:10.2f} to {high:6.2f}{variance:10.1f}{top / K:8.1f}")

# %%

grid = np.geomspace(1, 16, 50)
lines = {f"{kind}: theory": (grid, top / grid) for kind, top in theory.items()}
points = {
    f"{kind}: theory": (counts, [found[f"forward gradient, {kind}, K = {K}"][3] for K in counts])
    for kind in theory
}
fall = points["normal: theory"][1][0] / points["normal: theory"][1][-1]
title = f"Sixteen times the directions: {fall:.0f} times less variance"
options = {"xlabel": "K", "ylabel": "variance / |g|²", "logx": True}
figure = plots.curves(lines, title, dots=("measured", points), **options)
figure.axes[0].minorticks_off()
figure.axes[0].set_xticks(counts, counts)
lesson.save(figure, "variance")

# %% [markdown]
# Where the noise is large the intervals of bias² are wide, too: it hides what the mean is. To see
# no bias is not to know that there is none. Here theory says that it is 0. By chance one interval
# in twenty misses it.
#
# ## 3. Biased: a bias that learns
#
# Synthetic gradients (lesson 09) guess g by a small module for each hidden layer. In a guess there
# is no chance, so its variance is 0. All of its error is bias. The module learns. Let θ stand
# still, and let the modules see one batch after the other. Then only their guess changes. A module
# that gets the label can know more than one that does not (DNI). Does the label help?

# %%

moments = np.unique(np.geomspace(1, 200 if lesson.quick else 3000, 12).astype(int))
taught, lines = {}, {}
for name, conditioned in (("synthetic gradient, with the label", True), ("DNI, without", False)):
    taught[name] = rule = rules.SyntheticGradients(net, conditioned, lr=0.01, seed=lesson.seed)
    seen = []
    for step in range(moments[-1] + 1):
        if step in moments:
            seen.append(quality(rule, net, loss, x, y, 2).total)
        rule.estimate(net, loss, *batch(step))  # the modules learn, and θ stays
    lines[name] = moments, [one.bias2 for one in seen]
    print(f"{name}: bias² {seen[0].bias2:.3f}, after {moments[-1]} batches {seen[-1].bias2:.3f}")
(first, last), (start_at, without) = ([line[1][0], line[1][-1]] for line in lines.values())
title = f"bias² with the label: from {first:.2f} to {last:.2f}\n"
title += f"without the label: from {start_at:.2f} to {without:.2f}"
options = {"xlabel": "batches that the modules have seen", "ylabel": "bias² / |g|²", "logx": True}
lesson.save(plots.curves(lines, title, log=False, **options), "guess")

# %% [markdown]
# ## 4. All of them on one map
#
# Now every rule gets its place: bias² to the right, variance upwards. Some have a matrix that was
# drawn once, in the place of the weights (FA, DFA: lesson 13). That matrix is part of the rule, so
# we do not draw it again: it makes a bias, not noise. These two have a second place, "own θ": at
# the θ to which they themselves have led from the same start. Local losses have a small network of
# their own on each layer; it learns first, as the modules did. SPSA moves all parameters a little
# along a random direction, and divides the difference of two losses by the distance. `rule.cost`
# says what a step costs. A forward pass is 1.

# %%

local = rules.LocalLosses(net, lr=0.01, seed=lesson.seed)
for step in range(moments[-1]):
    local.estimate(net, loss, *batch(step))
RULES = {
    "backprop": rules.Backprop(),
    "forward gradient, K = 1": rules.WeightPerturbation(1),
    "forward gradient, K = 4": rules.WeightPerturbation(4),
    "forward gradient, K = 16": rules.WeightPerturbation(16),
    "SPSA": rules.SPSA(),
    "noise on activities, K = 1": rules.ActivityPerturbation(1),
    "noise on activities, K = 16": rules.ActivityPerturbation(16),
    "synthetic gradient, new": rules.SyntheticGradients(net, seed=lesson.seed),
    "synthetic gradient, taught": taught["synthetic gradient, with the label"],
    "feedback alignment (FA)": rules.FeedbackAlignment(seed=lesson.seed),
    "direct feedback (DFA)": rules.DirectFeedbackAlignment(seed=lesson.seed),
    "local losses": local,
    "top layer alone": rules.TopLayerOnly(net),
}
NOISY = (rules.WeightPerturbation, rules.ActivityPerturbation)  # they draw anew each time

# %%

places = {}
print(f"\n{'':29}{'cost':>6}{'bias²':>9}{'variance':>10}")
for name, rule in RULES.items():
    known = found.get(name.replace("t, K", "t, normal, K"))  # from section 2
    place = places[name] = known or measured(rule, R if isinstance(rule, NOISY) else 2)
    words = ("biased" if place[1] > 0 else "no bias seen", "noisy" if place[3] > 0.05 else "steady")
    print(f"{name:29}{rule.cost:6.1f}{place[0]:9.3f}{place[3]:10.2f}  {', '.join(words)}")
for name in ("feedback alignment (FA)", "direct feedback (DFA)"):
    places[f"{name}, own θ"] = place = measured(RULES[name], 2, learned(RULES[name]))
    print(f"{f'{name}, own θ':35}{place[0]:9.3f}{place[3]:10.2f}")
both = [name for name, place in places.items() if place[1] <= 0 and place[3] <= 0.05]
title = f"{len(both)} rules have neither bias nor noise"
if both == ["backprop"]:
    title = "Only backprop has neither bias nor noise"
lesson.save(plots.plane(places, title), "plane")
floor = {name: [place[0]] for name, place in places.items() if place[3] == 0 < place[0]}
low, high = min(floor.values())[0], max(floor.values())[0]
title = f"Without noise: bias² from {low:.2f} to {high:.2f}"
lesson.save(plots.intervals(floor, title, "bias² / |g|²"), "floor")

# %% [markdown]
# The bars show where the true bias² may be. A bar that begins at 0 means: no bias was found, and a
# bias as large as the bar's end may hide in the noise. The rules on the floor have no noise, since
# nothing in them is drawn anew. Those near bias² 1 know little of the lower layers at this θ.
#
# More directions average noise away, at a price. They do not touch a bias. What that is worth in a
# training is the question of lesson 15.
#
# ## What to remember
#
# - Error = bias² + variance. A rule can have much of one and nothing of the other.
# - Directions average noise away. They do not touch a bias.
# - A bias may learn (synthetic gradients), or may stay (a random matrix).
# - Noise hides bias: give an interval, not only a number.
#
# ## Exercises (copy `lessons/exercises/14_side_by_side.py`, fill it in, run it)
#
# 1. Compute bias² and variance from R estimates and g, so that both are right on average.
# 2. Which K is the smallest whose mean error is below that of a biased rule?
# 3. Write a rule that shrinks one without bias: ĝ times a. Which a makes the error smallest?
#
# ## What this run must show

# %%

lesson.expect("backprop: bias²", exact[0], equal=0)
for kind, top in theory.items():
    for K in counts:
        name = f"forward gradient, {kind}, K = {K}"
        bias2, low, high, variance = found[name]
        # |ĝ|² is about d² n, and d² has √(2/K) of its mean as standard deviation
        off = abs(variance * K / top - 1) / np.sqrt(2 / K / (8 * R))
        lesson.expect(f"{name}: variance, off by standard errors", off, at_most=4)
        lesson.expect(f"{name}: |bias²| / interval", abs(bias2) / (high - low), at_most=1.5)
lesson.expect("with the label: bias² falls to a share of", last / first, at_most=0.5)
taught_bias2 = places["synthetic gradient, taught"][0]
lesson.expect("synthetic gradient, taught: bias²", taught_bias2, at_most=0.3)
steady = [place[3] for name, place in places.items() if not isinstance(RULES.get(name), NOISY)]
lesson.expect("rules that draw nothing: largest variance", max(steady), equal=0)
own = max(places[name][0] for name in places if "own θ" in name)
lesson.expect("FA, DFA at their own θ: bias²", own, at_most=0.95)
lesson.expect("rules with neither bias nor noise", len(both), equal=1)
lesson.record({"bias², its interval, and variance": found, "of every rule": places})
lesson.record("bias² of synthetic gradients", {name: line[1] for name, line in lines.items()})
lesson.finish()
