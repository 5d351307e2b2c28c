"""15 The race

Question: what does an estimate of the gradient buy, if all rules may work equally long?
You need: lesson 14; mean, variance, standard error.
You will build: a fair race between all learning rules, and sentences that say what it shows.
Time: 1.5 min on MNIST or the embedded digits, 5 s with --quick, on one core
Source: Geman, Bienenstock, Doursat 1992; Student 1908; Holm 1979; Bottou 2010 for batches.
"""

# %% [markdown]
# # 15 The race
#
# Lesson 14 has measured how far each rule's estimate is from the true gradient. But nobody wants an
# estimate. One wants a network that reads digits. Does a rule with less error get there sooner? So
# now all rules train, and we count what they do.
#
# | name | meaning |
# |---|---|
# | `g` | the true gradient of the loss, by backprop |
# | `ĝ` | what a rule puts in its place |
# | `K` | how many random directions an estimate takes |
# | `N` | how many images are in a batch |
# | η | the learning rate |

# %%

import numpy as np

import minigrad as mg
from minigrad import plots, rules
from minigrad.backend import to_device
from minigrad.compare.told import told_apart
from minigrad.diagnostics import quality
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate

lesson = start("15_the_race", __doc__)
loss = mg.CrossEntropyLoss()


def coarse(images):
    """The same images with 7 x 7 pixels, so that a race takes seconds."""
    pixels = images.x.reshape(len(images), 7, 4, 7, 4).mean(axis=(2, 4))
    return mg.data.Dataset(pixels.reshape(-1, 49).astype("float64"), images.y, classes=10)


train, test = (coarse(images) for images in lesson.data())
part = len(train) * 5 // 6
train, held_out = train.take(slice(part)), train.take(slice(part, None))

# %% [markdown]
# Every training below begins with the network of this seed, and takes the same batches. The
# learning rate falls to 0 along a line, so that noise is averaged out in the end.


# %%
def network(seed):
    return mg.models.mlp((49, 12, 12, 10), "tanh", seed=seed, dtype="float64")


def learn(net, rule, eta, steps, seed):
    """Plain descent with the learning rate eta; (seed, step) fixes the batch of a step."""
    optimizer = mg.SGD(net, eta)
    for step in range(steps):
        chosen = np.random.default_rng((seed, step)).integers(len(train), size=64)
        value = rule.estimate(net, loss, to_device(train.x[chosen]), to_device(train.y[chosen]))
        if not value < 20:
            return net  # lost
        optimizer.lr = eta * (1 - step / steps)
        optimizer.step()
    return net


# %% [markdown]
# ## 1. A batch is noise, too
#
# In lesson 14 the batch stood still. In a training it is drawn, and that is noise for every rule,
# for backprop too. `Drawn` draws N images of a thousand, and asks a rule for its estimate on those.
# Now g is the gradient of all thousand.


# %%
class Drawn(rules.Wrapper):
    """Another rule's estimate on N examples that are drawn from the batch."""

    def __init__(self, rule, N, seed=0):
        super().__init__(rule)
        self.N, self.rng = N, np.random.default_rng(seed)

    def estimate(self, model, loss, x, target):
        chosen = to_device(self.rng.integers(len(x), size=self.N), like=x)
        return self.rule.estimate(model, loss, x[chosen], target[chosen])


# %%

sizes, R, lines, biases = (16, 64, 256), 48 if lesson.quick else 480, {}, {}
net = learn(network(lesson.seed), rules.Backprop(), 1.0, 100, lesson.seed)
x, y = to_device(train.x[:1000]), to_device(train.y[:1000])
for name, rule in {
    "backprop": rules.Backprop(),
    "noise on activities, K = 1": rules.ActivityPerturbation(1),
    "direct feedback (DFA)": rules.DirectFeedbackAlignment(seed=lesson.seed),
}.items():
    seen = [quality(Drawn(rule, N), net, loss, x, y, R).total for N in sizes]
    lines[f"{name}: variance"] = sizes, [one.variance for one in seen]
    biases[name] = [one.bias2 for one in seen]
dfa = biases["direct feedback (DFA)"]
lines["direct feedback (DFA): bias²"] = sizes, dfa
falls = {name: np.polyfit(np.log(sizes), np.log(v), 1)[0] for name, (_, v) in lines.items()}
still = abs(falls["direct feedback (DFA): bias²"]) < 0.2 and falls["backprop: variance"] < -0.8
title = "A larger batch takes the noise away"
title += ", and leaves the bias" if still else ": too few draws to see more"
options = {"xlabel": "N, images in a batch", "ylabel": "in units of |g|²", "logx": True}
figure = plots.curves(lines, title, outside=True, **options)
lesson.save(figure, "batch")

# %% [markdown]
# More directions, larger batches, smaller steps: all of them average noise away, at a price. None
# of them touches the bias. Which of the two is the smaller evil?
#
# ## 2. The rules of the race
#
# - **Equal work.** Every rule gets the same budget, counted in forward passes (`rule.cost` is what
#   a step costs). So a rule with K = 16 makes few good steps, and one with K = 1 makes many poor
#   ones.
# - **Each at its best learning rate.** A rate that suits one rule may ruin another. We try the same
#   list for all.
# - **Chosen on other images than those that count.** The rate with the lowest loss on images that
#   are held out is taken. The test digits are read once, at the end.
# - **Several seeds**, and the same ones for all rules. So two rules can be compared pair by pair.

# %%

BUDGET = 150 if lesson.quick else 4500
etas = 8.0 ** np.arange(-2, 2) if lesson.quick else 4.0 ** np.arange(-4, 3)
seeds = [lesson.seed + 1 + i for i in range(3 if lesson.quick else 5)]
RACERS = {
    "backprop": lambda net, seed: rules.Backprop(),
    "forward gradient, K = 1": lambda net, seed: rules.WeightPerturbation(1, seed=seed),
    "forward gradient, K = 16": lambda net, seed: rules.WeightPerturbation(16, seed=seed),
    "SPSA": lambda net, seed: rules.SPSA(seed=seed),
    "noise on activities, K = 1": lambda net, seed: rules.ActivityPerturbation(1, seed=seed),
    "synthetic gradient": lambda net, seed: rules.SyntheticGradients(net, lr=0.01, seed=seed),
    "feedback alignment (FA)": lambda net, seed: rules.FeedbackAlignment(seed=seed),
    "direct feedback (DFA)": lambda net, seed: rules.DirectFeedbackAlignment(seed=seed),
    "local losses": lambda net, seed: rules.LocalLosses(net, lr=0.01, seed=seed),
    "top layer alone": lambda net, seed: rules.TopLayerOnly(net),
}


def race(name, eta, seed, searching):
    """Spend the budget: the loss on the images held out, or the % of test digits read right."""
    model = network(seed)
    rule = RACERS[name](model, seed)
    learn(model, rule, eta, int(BUDGET / rule.cost), seed)
    value, right = mg.evaluate(model, loss, held_out if searching else test)
    return (value if np.isfinite(value) else np.inf) if searching else 100 * right


# %% [markdown]
# (`lesson.kept(f, a)` is f(a). With --resume it returns what an interrupted run has found already.)

# %%

read, chosen = {}, {}
print(f"\nafter {BUDGET:,} forward passes, {len(seeds)} seeds")
print(f"{'':29}{'η':>8}{'steps':>8}{'accuracy, %':>13}  95 % interval")
for name, make in RACERS.items():
    values = [lesson.kept(race, name, float(eta), lesson.seed, 1) for eta in etas]
    chosen[name] = eta = float(etas[int(np.argmin(values))])
    read[name] = [lesson.kept(race, name, eta, seed, 0) for seed in seeds]
    found, steps = estimate(read[name]), int(BUDGET / make(network(0), 0).cost)
    end = "  (η: an end of the list)" if eta in (etas[0], etas[-1]) else ""
    print(f"{name:29}{eta:8.3g}{steps:8,}{found.mean:13.2f}  ± {found.half:.2f}{end}")

# %% [markdown]
# ## 3. Who is ahead?
#
# A rule is compared with backprop seed by seed. Student's t says whether the differences are too
# large for chance. With nine comparisons one of them may look large by chance alone; Holm's
# correction asks more of each for that. The sentences are computed. "Cannot be told apart" does not
# say equal: it says that so few seeds cannot tell.

# %%

shares = {name: {seed: v / 100 for seed, v in zip(seeds, read[name], strict=True)} for name in read}
ahead, behind = told_apart(shares, "backprop", len(test))
title = f"Equal budgets: {len(behind)} of {len(read) - 1} rules fall behind backprop"
if ahead:
    title += f", {len(ahead)} are ahead"
ends = {name: [(e := estimate(values)).low, e.high] for name, values in read.items()}
xlabel = f"test digits read right, %, after {BUDGET:,} forward passes"
lesson.save(plots.intervals(read, title, xlabel, ends), "race")

# %% [markdown]
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
# - Directions, batches and small steps average noise away. They do not touch a bias.
# - A biased rule may be ahead for a while. Noise has to be waited out.
# - Compare at equal cost, each rule at its own learning rate, with several seeds.
# - Choose on other data than those that count.
#
# ## Exercises (copy `lessons/exercises/15_the_race.py`, fill it in, run it)
#
# 1. The oldest rule: finite differences, one parameter after the other. Its bias falls with ε².
# 2. How many steps may a rule make, and which rate is best? Choose without a look at the test set.
# 3. Two rules, a few seeds: is one of them ahead?
#
# ## What this run must show

# %%

for name in ("backprop", "noise on activities, K = 1", "direct feedback (DFA)"):
    fall = falls[f"{name}: variance"]
    lesson.expect(f"{name}: variance goes with N to the power", fall, equal=-1, tolerance=0.2)
lesson.expect("DFA: bias², largest batch / smallest", dfa[-1] / dfa[0], equal=1, tolerance=0.3)
mean = {name: float(np.mean(values)) for name, values in read.items()}
for name in ("forward gradient, K = 1", *(() if lesson.quick else ("top layer alone",))):
    least = 25 if lesson.quick else 5
    lesson.expect(f"backprop - {name}: points", mean["backprop"] - mean[name], at_least=least)
lesson.record("over the size of the batch", lines)
found = {name: [chosen[name], read[name]] for name in read}
lesson.record("the race: rate and accuracies", found)
lesson.finish()
