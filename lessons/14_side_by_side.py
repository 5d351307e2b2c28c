"""14 Side by side

Question: which way to learn is biased, which is noisy, and what does either cost?
You need: lessons 09, 11 and 12; mean and variance.
You will build: a map with every learning rule on it, and a fair race between them.
Time: 3 min on MNIST, 8 s with --quick
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
# | `N` | how many images are in a batch |
# | `R` | how many estimates we draw |

# %%

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.backend import to_device
from minigrad.compare.pairs import compared
from minigrad.diagnostics import quality
from minigrad.lesson import start
from minigrad.metrics.confidence import interval
from minigrad.rules import (
    SPSA,
    ActivityPerturbation,
    Backprop,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    LocalLosses,
    SyntheticGradients,
    TopLayerOnly,
    WeightPerturbation,
    Wrapper,
)

# %%

lesson = start("14_side_by_side", __doc__)
loss = mg.CrossEntropyLoss()


def coarse(images):
    """The same images with 7 x 7 pixels, so that thousands of estimates take seconds."""
    pixels = images.x.reshape(len(images), 7, 4, 7, 4).mean(axis=(2, 4))
    return mg.data.Dataset(pixels.reshape(-1, 49).astype("float64"), images.y, classes=10)


train, test = (coarse(images) for images in lesson.data())
part = len(train) * 5 // 6
train, held_out = train.take(slice(part)), train.take(slice(part, None))
x, y = to_device(train.x[:64]), to_device(train.y[:64])


def network(seed=lesson.seed):
    return mg.models.mlp((49, 12, 12, 10), "tanh", seed=seed, dtype="float64")


def learn(net, rule, lr, steps, seed, batch=64):
    """Plain descent; lr falls to 0 along a line. (seed, step) fixes the batch of a step."""
    optimizer = mg.SGD(net, lr)
    for step in range(steps):
        chosen = np.random.default_rng((seed, step)).integers(len(train), size=batch)
        value = rule.estimate(net, loss, to_device(train.x[chosen]), to_device(train.y[chosen]))
        if not value < 20:
            return net  # lost
        optimizer.lr = lr * (1 - step / steps)
        optimizer.step()
    return net


net = learn(network(), Backprop(), 1.0, 100, lesson.seed)  # no longer new, not yet good
n = sum(param.size for param in net.params.values())
print(f"\nn = {n} parameters; the loss on 64 images is {loss.forward(net.forward(x), y):.3f}")

# %% [markdown]
# ## 1. Two ways to be wrong
#
# Think of darts. The bull's eye is g, each dart is one ĝ. The darts may fly in a tight group beside
# the bull's eye: that is *bias*. They may fly all around it: that is *variance*. In numbers,
#
#     bias² = |E[ĝ] - g|²        variance = E|ĝ - E[ĝ]|²        E|ĝ - g|² = bias² + variance
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
    bias2 = interval([one.bias2 for one in found])
    variance = float(np.mean([one.variance for one in found]))
    return bias2["mean"], bias2["low"], bias2["high"], variance


exact = measured(Backprop(), 2)
print(f"backprop: bias² {exact[0]:g}, variance {exact[3]:g}")
lesson.expect("backprop: bias²", exact[0], equal=0)
lesson.expect("backprop: variance", exact[3], equal=0)

# %% [markdown]
# ## 2. Noisy: random directions
#
# The forward gradient of lesson 11 draws a direction v, measures the slope d = g · v, and says ĝ =
# d v. Its mean is g. Its variance is (n + 1)/K for normal v and (n - 1)/K for signs ±1. Lines are
# this theory, dots are measured.

# %%

R = 6 if lesson.quick else 60
counts, found, theory = (1, 4, 16), {}, {"normal": n + 1, "rademacher": n - 1}
print(f"\n{'':36}{'bias²':>8}{'95 % interval':>20}{'variance':>10}{'theory':>8}")
for kind, top in theory.items():
    for K in counts:
        name = f"forward gradient, {kind}, K = {K}"
        found[name] = bias2, low, high, variance = measured(WeightPerturbation(K, kind), R)
        print(f"{name:36}{bias2:8.2f}{low:10.2f} to {high:6.2f}{variance:10.1f}{top / K:8.1f}")
        # |ĝ|² is about d² n, and d² has √(2/K) of its mean as standard deviation
        off = abs(variance * K / top - 1) / np.sqrt(2 / K / (8 * R))
        lesson.expect(f"{name}: variance, off by standard errors", off, at_most=4)
        lesson.expect(
            f"{name}: |bias²| / half its interval", 2 * abs(bias2) / (high - low), at_most=3
        )
lesson.record("bias², its interval, and variance", found)

# %%

grid = np.geomspace(1, 16, 50)
lines = {f"{kind}: theory": (grid, top / grid) for kind, top in theory.items()}
points = {
    f"{kind}: theory": (counts, [found[f"forward gradient, {kind}, K = {K}"][3] for K in counts])
    for kind in theory
}
few, many = points["normal: theory"][1][0], points["normal: theory"][1][-1]
title = f"Sixteen times the directions: {few / many:.0f} times less variance"
options = {"xlabel": "K", "ylabel": "variance / |g|²", "logx": True}
figure = plots.curves(lines, title, dots=("measured", points), **options)
figure.axes[0].minorticks_off()
figure.axes[0].set_xticks(counts, counts)
lesson.save(figure, "variance")

# %% [markdown]
# Look at the intervals of bias², too. Where the noise is large they are wide: it hides what the
# mean is. To see no bias is not to know that there is none. Here theory says that it is 0.
#
# ## 3. Biased: finite differences
#
# The oldest way to measure a gradient moves one parameter at a time by a small ε, and looks at the
# loss. One-sided: (L(θ + ε) - L(θ)) / ε. Central: (L(θ + ε) - L(θ - ε)) / 2ε. No chance is in it,
# so its variance is 0. But the loss is curved, so it has a bias. By Taylor's series the first is
# off by a multiple of ε, the second by a multiple of ε². We do it for the 130 parameters of the
# last layer.


# %%
class OneByOne(mg.rules.Rule):
    """Finite differences, parameter by parameter, in the last layer."""

    def __init__(self, epsilon, central):
        self.epsilon, self.central = epsilon, central

    def estimate(self, model, loss, x, target):
        value, leaf = loss.forward(model.forward(x), target), model.layers[-1]
        for _, other in model.leaves():
            other.grads = {}
        for name, param in leaf.params.items():
            leaf.grads[name] = grad = 0 * param
            for place in np.ndindex(param.shape):
                kept, ends = float(param[place]), []
                for side in (1, -1):
                    param[place] = kept + side * self.epsilon
                    ends.append(loss.forward(model.forward(x), target))
                param[place] = kept
                slope = (ends[0] - ends[1]) / 2 if self.central else ends[0] - value
                grad[place] = slope / self.epsilon
        return value


# %%

epsilons, biases, orders = 10.0 ** np.arange(-3 if lesson.quick else -8, 0), {}, {}
for name in ("one-sided", "central"):
    rules = [OneByOne(epsilon, name == "central") for epsilon in epsilons]
    # one estimate is enough: the next would be the same, so all of its error is bias
    last = [quality(rule, net, loss, x, y, 1).layers["5"] for rule in rules]
    biases[name] = epsilons, [np.sqrt(one.error) for one in last]
    orders[name] = np.log10(biases[name][1][-2] / biases[name][1][-3])
lesson.record("bias of finite differences", {name: line[1] for name, line in biases.items()})
lesson.expect("one-sided: order of the bias in ε", orders["one-sided"], equal=1, tolerance=0.05)
lesson.expect("central: order of the bias in ε", orders["central"], equal=2, tolerance=0.05)
times = [10**order for order in orders.values()]
title = f"ε ten times shorter: bias {times[0]:.0f} times smaller, central {times[1]:.0f} times"
options = {"xlabel": "ε", "ylabel": "bias / |g|", "logx": True}
lesson.save(plots.curves(biases, title, **options), "differences")

# %% [markdown]
# (If ε is very small the difference of two losses drowns in rounding, see lesson 11.) SPSA puts
# both together: a finite difference, along a random direction. It has the noise of the forward
# gradient and the bias of a finite difference.
#
# ## 4. A bias that learns
#
# Synthetic gradients (DNI, lesson 09) guess g by a small module for each hidden layer. The module
# learns. Let θ stand still, and let the modules see one batch after the other. Then only their
# guess changes. A module that gets the label (cDNI) can know more than one that does not.

# %%

moments = np.unique(np.geomspace(1, 200 if lesson.quick else 3000, 12).astype(int))
taught, lines = {}, {}


def teach(rule, step):
    """A rule looks at one batch, and θ stays."""
    chosen = np.random.default_rng((lesson.seed, step)).integers(len(train), size=64)
    rule.estimate(net, loss, to_device(train.x[chosen]), to_device(train.y[chosen]))


for name, conditioned in (("synthetic gradient, with the label", True), ("DNI, without", False)):
    taught[name] = rule = SyntheticGradients(net, conditioned, lr=0.01, seed=lesson.seed)
    seen = []
    for step in range(moments[-1] + 1):
        if step in moments:
            seen.append(quality(rule, net, loss, x, y, 2).total)
        teach(rule, step)
    lines[name] = moments, [one.bias2 for one in seen]
    print(f"{name}: bias² {seen[0].bias2:.3f}, after {moments[-1]} batches {seen[-1].bias2:.3f}")
    lesson.expect(f"{name}: variance", max(one.variance for one in seen), equal=0)
    if conditioned:
        left = seen[-1].bias2 / seen[0].bias2
        lesson.expect(f"{name}: bias² falls to a share of", left, at_most=0.5)
lesson.record("bias² of synthetic gradients", {name: line[1] for name, line in lines.items()})
(first, last), (start, without) = ([line[1][0], line[1][-1]] for line in lines.values())
title = f"Guesses learn: bias² {first:.2f}, then {last:.2f}; without the label {without:.2f}"
if last > 0.7 * first:
    title = "Too few batches for a guess to get better"
options = {"xlabel": "batches that the modules have seen", "ylabel": "bias² / |g|²", "logx": True}
lesson.save(plots.curves(lines, title, log=False, **options), "guess")

# %% [markdown]
# ## 5. All of them on one map
#
# Now every rule gets its place: bias² to the right, variance upwards. Some have a matrix that was
# drawn once, in the place of the weights (FA, DFA: lesson 13). That matrix is part of the rule, so
# we do not draw it again: it makes a bias, not noise. These two have a second place, "own θ": at
# the θ to which they themselves have led from the same start. Local losses have a small network of
# their own on each layer; it learns first, as the modules did. `rule.cost` says what a step costs.
# A forward pass is 1.

# %%

local = LocalLosses(net, lr=0.01, seed=lesson.seed)
for step in range(moments[-1]):
    teach(local, step)
RULES = {
    "backprop": Backprop(),
    "forward gradient, K = 1": WeightPerturbation(1),
    "forward gradient, K = 4": WeightPerturbation(4),
    "forward gradient, K = 16": WeightPerturbation(16),
    "SPSA": SPSA(),
    "noise on activities, K = 1": ActivityPerturbation(1),
    "noise on activities, K = 16": ActivityPerturbation(16),
    "synthetic gradient, new": SyntheticGradients(net, seed=lesson.seed),
    "synthetic gradient, taught": taught["synthetic gradient, with the label"],
    "feedback alignment (FA)": FeedbackAlignment(seed=lesson.seed),
    "direct feedback (DFA)": DirectFeedbackAlignment(seed=lesson.seed),
    "local losses": local,
    "top layer alone": TopLayerOnly(net),
}

# %%

places = {}
print(f"\n{'':29}{'cost':>6}{'bias²':>9}{'variance':>10}")
for name, rule in RULES.items():
    random = isinstance(rule, WeightPerturbation | ActivityPerturbation)
    place = places[name] = found.get(name.replace("t, K", "t, normal, K")) or measured(
        rule, R if random else 2
    )
    words = ("biased" if place[1] > 0 else "no bias seen", "noisy" if place[3] > 0.05 else "steady")
    print(f"{name:29}{rule.cost:6.1f}{place[0]:9.3f}{place[3]:10.2f}  {', '.join(words)}")
    if not random:
        lesson.expect(f"{name}: variance", place[3], equal=0)
for name in ("feedback alignment (FA)", "direct feedback (DFA)"):
    own = learn(network(), RULES[name], 1.0, 100, lesson.seed)
    places[f"{name}, own θ"] = place = measured(RULES[name], 2, own)
    print(f"{f'{name}, own θ':35}{place[0]:9.3f}{place[3]:10.2f}")
both = [name for name, place in places.items() if place[1] <= 0 and place[3] <= 0.05]
title = f"{len(both)} rules have neither bias nor noise"
if both == ["backprop"]:
    title = "Only backprop has neither bias nor noise"
lesson.record("bias², its interval, and variance, of every rule", places)
lesson.expect("rules with neither bias nor noise: backprop among them", "backprop" in both, equal=1)
lesson.save(plots.plane(places, title), "plane")
floor = {name: [place[0]] for name, place in places.items() if place[3] == 0 < place[0]}
title = f"Without noise: bias² from {min(floor.values())[0]:.2f} to {max(floor.values())[0]:.2f}"
lesson.save(plots.intervals(floor, title, "bias² / |g|²"), "floor")

# %% [markdown]
# The bars show where the true bias² may be. A bar that begins at 0 means: no bias was found, and a
# bias as large as the bar's end may hide in the noise. The rules on the floor have no noise, since
# nothing in them is drawn anew. Those near bias² 1 know little of the lower layers at this θ.
#
# ## 6. What a larger batch mends
#
# So far the batch stood still. In a training it is drawn as well, and that is noise for every rule,
# for backprop too. `Drawn` draws N images of a thousand, and asks a rule for its estimate on those.
# Now g is the gradient of all thousand.


# %%
class Drawn(Wrapper):
    """Another rule's estimate on N examples that are drawn from the batch."""

    def __init__(self, rule, N, seed=0):
        super().__init__(rule)
        self.N, self.rng = N, np.random.default_rng(seed)

    def estimate(self, model, loss, x, target):
        chosen = to_device(self.rng.integers(len(x), size=self.N), like=x)
        return self.rule.estimate(model, loss, x[chosen], target[chosen])


# %%

all_x, all_y = to_device(train.x[:1000]), to_device(train.y[:1000])
sizes, lines = (16, 64, 256), {}
for name in ("backprop", "noise on activities, K = 1", "direct feedback (DFA)"):
    draws = [Drawn(RULES[name], N) for N in sizes]
    seen = [quality(rule, net, loss, all_x, all_y, 8 * R).total for rule in draws]
    lines[f"{name}: variance"] = sizes, [one.variance for one in seen]
    fall = np.polyfit(np.log(sizes), np.log([one.variance for one in seen]), 1)[0]
    lesson.expect(f"{name}: variance goes with N to the power", fall, equal=-1, tolerance=0.2)
biases = [one.bias2 for one in seen]
lines["direct feedback (DFA): bias²"] = sizes, biases
lesson.record("over the size of the batch", lines)
lesson.expect(
    "DFA: bias², largest batch / smallest", biases[-1] / biases[0], equal=1, tolerance=0.3
)
shrink = lines["direct feedback (DFA): variance"][1]
title = "A larger batch takes the noise away" + (
    ", and leaves the bias"
    if biases[-1] > 0.5 * biases[0] and shrink[-1] < 0.1 * shrink[0]
    else ": too few draws to see more"
)
options = {"xlabel": "N, images in a batch", "ylabel": "in units of |g|²", "logx": True}
figure = plots.curves(lines, title, outside=True, **options)
figure.axes[0].minorticks_off()
figure.axes[0].set_xticks(sizes, sizes)
lesson.save(figure, "batch")

# %% [markdown]
# More directions, larger batches, smaller steps: all of them average noise away, at a price. None
# of them touches the bias. A small bias costs nothing at first, and shows in the end.
#
# ## 7. The race
#
# What does an estimate buy? Every rule gets the same budget, counted in forward passes. So a rule
# with K = 16 makes few good steps, and one with K = 1 makes many poor ones. The learning rate (lr)
# is what each likes best. We try the same list for all, on images that are held out. Then each runs
# again with other seeds, and reads the test digits once.

# %%

BUDGET = 150 if lesson.quick else 4500
lrs = 8.0 ** np.arange(-2, 2) if lesson.quick else 4.0 ** np.arange(-4, 3)
seeds = [lesson.seed + 1 + i for i in range(3 if lesson.quick else 5)]
RACERS = {
    "backprop": lambda net, seed: Backprop(),
    "forward gradient, K = 1": lambda net, seed: WeightPerturbation(1, seed=seed),
    "forward gradient, K = 16": lambda net, seed: WeightPerturbation(16, seed=seed),
    "SPSA": lambda net, seed: SPSA(seed=seed),
    "noise on activities, K = 1": lambda net, seed: ActivityPerturbation(1, seed=seed),
    "synthetic gradient": lambda net, seed: SyntheticGradients(net, lr=0.01, seed=seed),
    "feedback alignment (FA)": lambda net, seed: FeedbackAlignment(seed=seed),
    "direct feedback (DFA)": lambda net, seed: DirectFeedbackAlignment(seed=seed),
    "local losses": lambda net, seed: LocalLosses(net, lr=0.01, seed=seed),
    "top layer alone": lambda net, seed: TopLayerOnly(net),
}


def race(name, lr, seed, searching):
    """Spend the budget: the loss on the images held out, or the share of test digits read right."""
    model = network(seed)
    rule = RACERS[name](model, seed)
    learn(model, rule, lr, int(BUDGET / rule.cost), seed)
    value, right = mg.evaluate(model, loss, held_out if searching else test)
    return (value if np.isfinite(value) else np.inf) if searching else right


# %%

read, chosen = {}, {}
print(f"\nafter {BUDGET:,} forward passes, {len(seeds)} seeds")
print(f"{'':29}{'lr':>8}{'steps':>8}{'accuracy, %':>13}  95 % interval")
for name, make in RACERS.items():
    values = [lesson.kept(race, name, float(lr), lesson.seed, 1) for lr in lrs]
    chosen[name] = lr = float(lrs[int(np.argmin(values))])
    read[name] = [100 * lesson.kept(race, name, lr, seed, 0) for seed in seeds]
    mean, steps = interval(read[name]), int(BUDGET / make(network(), 0).cost)
    end = "  (lr: an end of the list)" if lr in (lrs[0], lrs[-1]) else ""
    print(f"{name:29}{lr:8.3g}{steps:8,}{mean['mean']:13.2f}  ± {mean['half']:.2f}{end}")
shares = {name: {seed: v / 100 for seed, v in zip(seeds, read[name], strict=True)} for name in read}
pairs = compared(shares, "backprop", {name: name for name in read}, len(test))
for pair in pairs:
    print(pair["sentence"])
lesson.record("the race: lr and accuracies", {name: [chosen[name], read[name]] for name in read})
ahead, behind = (
    [pair["b"] for pair in pairs if pair["different"] and pair["difference"] * sign > 0]
    for sign in (-1, 1)
)
mean = {name: float(np.mean(values)) for name, values in read.items()}
for name in ("forward gradient, K = 1", "top layer alone"):
    lesson.expect(f"backprop - {name}: points", mean["backprop"] - mean[name], at_least=5)
title = f"Equal budgets: {len(behind)} of {len(pairs)} rules fall behind backprop"
if ahead:
    title += f", {len(ahead)} are ahead"
ends = {name: [interval(values)[end] for end in ("low", "high")] for name, values in read.items()}
xlabel = f"test digits read right, %, after {BUDGET:,} forward passes"
figure = plots.intervals(read, title, xlabel, ends)
lesson.save(figure, "race")

# %% [markdown]
# The sentences above are computed. "Cannot be told apart" does not say equal: it says that so few
# seeds cannot tell. A difference is named if it is too large for chance, by a paired t-test, and
# corrected for how many rules we look at (Holm).
#
# Is bias the smaller evil? A step that points only roughly down still goes down, and steps of the
# same kind add up. Noise does not add up: it has to be waited out, by small steps. A biased rule
# may even be ahead of backprop for a while. At the start the true gradient of the lower layers can
# be tiny, and a random matrix may send more down. Look at both races, with and without `--quick`.
#
# `minigrad compare --rules backprop,forward,cdni,dfa --model mlp` does all this for a network and
# data of your own, and for a rule of your own. It writes a report to look at.
#
# ## What to remember
#
# - Error = bias² + variance. A rule can have much of one and nothing of the other.
# - Directions, batches and small steps average noise away. They do not touch a bias.
# - A bias may be small (finite differences), may learn (synthetic gradients), or may stay.
# - Noise hides bias: give an interval, not only a number.
# - Compare at equal cost, each rule at its own lr, with several seeds.
#
# ## Exercises (copy `lessons/exercises/14_side_by_side.py`, fill it in, run it)
#
# 1. Compute bias² and variance from R estimates and g, so that both are right on average.
# 2. Which K is the smallest whose mean error is below that of a biased rule?
# 3. Write a rule that shrinks one without bias: ĝ times a. Which a makes the error smallest?

# %%

lesson.finish()
