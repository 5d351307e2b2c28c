"""The forward-gradient notebook

Question: can forward gradients come near backprop, as a notebook's table of test losses says?
You need: lesson 12.
You will build: the notebook's table, measured right; a loss on 16 images, a thousand times; the
spiral that its clipping ends, and a loss that hides it; what its steps cost.
Time: 8 min on MNIST (--full, the notebook's 50 epochs: 6.5 hours), 5 s on the digits with --quick
Source: the notebook "MNIST" of forward_gradient and its report (Rike, Førland 2022), after Baydin
et al. 2022.
"""

# %% [markdown]
# # The forward-gradient notebook
#
# The report compares backprop and forward gradients (one direction v, noise on the weights) with
# three optimisers on two networks, after 50 epochs. Forward gradients come to test losses of .27 to
# .67, backprop to 0.000 everywhere. That number should make one suspicious.

# %%

import time
from math import exp

import numpy as np

import minigrad as mg
from minigrad import plots, threads
from minigrad.backend import array_module, to_device, to_host
from minigrad.diagnostics import norm
from minigrad.lesson import start
from minigrad.rules import Backprop, ForwardGradient

lesson = start("forward_notebook", __doc__)
everything, test = lesson.data(n_quick=600)
train, validation = everything.split(len(everything) // 6, seed=lesson.seed)
loss = mg.CrossEntropyLoss()
full = lesson.mnist and not lesson.quick
usual = full and lesson.options.epochs is None  # else there are fewer bounds
BATCH = 64 if full else 16
x, y = to_device(train.x[:BATCH]), to_device(train.y[:BATCH])

# %%


def fresh(kind="MLP"):
    """The notebook's networks; --quick takes a small one for the first."""
    if kind == "ConvNet":
        return mg.models.forward_convnet(seed=lesson.seed)
    width = 64 if lesson.quick else 1024
    return mg.models.mlp((784, width, width, 10), seed=lesson.seed)


def forward(**options):
    """The rule, with the lesson's seed."""
    return ForwardGradient(1, seed=lesson.seed, **options)


# %% [markdown]
# ## 1. The table
#
# The cause: `batch_loss = []` stands *inside* the loop over test batches of 64. So only the last
# batch counts, and it has 10,000 mod 64 = 16 images.
#
# Here are the report's settings, with losses on the whole test set. The main run, forward gradient
# with SGD, takes 12 epochs. The others are shorter (see the column), and the ConvNet's are no more
# than a glimpse; `--full` trains all of them for 50 epochs. A decay k means that the learning rate
# is $η(t) = η(0) e^(-k t)$ in step t.

# %%


def sgd(eta, momentum=0):
    """The notebook's ForwardSGD: its velocity is a sum of steps."""
    return lambda net: mg.SGD(net, eta, momentum, nesterov=momentum > 0, velocity="steps")


def adam(eta, *betas, inside=False):
    return lambda net: mg.Adam(net, eta, betas=betas, eps_inside=inside)


FORWARD = "forward gradient"
TABLE = [  # net, rule, optimiser, how it is made, decay k, the report's loss
    ("MLP", FORWARD, "SGD", sgd(4.64e-4), 1e-5, 0.332),
    ("MLP", FORWARD, "Nesterov", sgd(3.2e-4, 0.367), 1e-5, 0.270),
    ("MLP", FORWARD, "Adam", adam(5e-4, 0.99, 0.999, inside=True), 5e-5, 0.283),
    ("MLP", "backprop", "SGD", sgd(0.1), 0, 0.0),
    ("MLP", "backprop", "Nesterov", sgd(0.1, 0.5), 0, 0.0),
    ("MLP", "backprop", "Adam", adam(1e-4, 0.9, 0.999), 0, 0.0),
    ("ConvNet", FORWARD, "SGD", sgd(3.98e-4), 1e-5, 0.548),
    ("ConvNet", FORWARD, "Nesterov", sgd(1e-4, 0.9), 1e-4, 0.559),
    ("ConvNet", FORWARD, "Adam", adam(2.5e-4, 0.9, 0.9999, inside=True), 1e-4, 0.669),
    ("ConvNet", "backprop", "SGD", sgd(0.1), 0, 0.0),
    ("ConvNet", "backprop", "Nesterov", sgd(0.01, 0.783), 0, 0.0),
    ("ConvNet", "backprop", "Adam", adam(2.36e-4, 0.9, 0.999), 0, 0.0),
]
OURS, BACKPROP = TABLE[0][:3], TABLE[3][:3]

# %%

MAIN = lesson.epochs(usual=50 if lesson.long else 12, quick=2)
OTHERS = lesson.epochs(usual=50 if lesson.long else 3, quick=1)
GLIMPSE = BATCH * (2 if lesson.quick else 100)  # images for the ConvNet


def run(net, rule, optimizer, epochs, *, k=0.0, data=train, on=validation, **options):
    """`fit` with the notebook's decay."""
    schedule = mg.ExponentialLR(optimizer, exp(-k), per="step")
    options = {"batch_size": BATCH, "schedule": schedule, "evaluate_every": epochs} | options
    return lesson.fit(net, loss, rule, optimizer, data, on, epochs=epochs, **options)


def listener(rule, slopes):
    """A callback that collects a rule's slope d."""
    return lambda step, value: slopes.append(float(rule.derivatives[0]))


def settings(row, rule):
    """(epochs, options) of a row of the table."""
    if row[0] == "ConvNet" and not lesson.long:
        return 1, {"data": train.take(slice(GLIMPSE)), "on": None}
    if row == OURS:
        return MAIN, {"step_callback": listener(rule, main_slopes), "collects": [main_slopes]}
    return OTHERS, {}


# %%

head = f"{'net':9}{'rule':18}{'optimiser':10}{'steps':>8}{'test loss':>11}{'accuracy':>10}"
print(f"\n{head}   report (50 epochs, 16 images)")
trained, tested, histories, main_slopes = {}, {}, {}, []
for *row, make, k, printed in TABLE:
    kind, name, optimiser = row = tuple(row)
    rule = forward(clip=None if optimiser == "Adam" else 1) if name == FORWARD else Backprop()
    trained[row] = net = fresh(kind)
    epochs, options = settings(row, rule)
    histories[row] = run(net, rule, make(net), epochs, k=k, **options)
    few = lesson.quick and kind == "ConvNet"
    tested[row] = mg.evaluate(net, loss, test.take(50) if few else test)
    steps = f"{len(histories[row].step_loss):,}"
    print(f"{kind:9}{name:18}{optimiser:10}{steps:>8}", end="")
    print(f"{tested[row][0]:11.4f}{tested[row][1]:10.4f}{printed:9.3f}")

# %% [markdown]
# What would the notebook have printed for our two SGD networks? We draw 16 test images, many times,
# and look at their mean loss.

# %%


def each_loss(net):
    """Each test image's loss."""
    batches = test.placed(x).batches(1000)
    return np.concatenate([to_host(loss.each(net.forward(a, train=False), b)) for a, b in batches])


rng, draws, marks, spreads = np.random.default_rng(lesson.seed), {}, {}, {}
orders = np.array([rng.permutation(len(test))[: len(test) // 16 * 16] for _ in range(8)])
for name, row in ((FORWARD, OURS), ("backprop", BACKPROP)):
    means = each_loss(trained[row])[orders].reshape(-1, 16).mean(axis=1)
    draws[f"{name}, 16 images"], marks[f"{name}, all {len(test):,}"] = means, tested[row][0]
    spreads[name] = low, middle, high = np.quantile(means, (0.05, 0.5, 0.95)).tolist()
    print(f"{name}: whole set {tested[row][0]:.4f}; 16 images, nine in ten times: ", end="")
    print(f"{low:.4f} to {high:.4f}, typically {middle:.4f}")
title = "A loss on 16 images is a draw, not a result"
options = {"ylabel": "share of the draws", "marks": marks, "logx": True}
lowest = max(2e-3, min(means.min() for means in draws.values()) / 2)
figure = plots.histograms(draws, np.geomspace(lowest, 4, 81), title, "mean loss", **options)
lesson.save(figure, "sixteen")

# %% [markdown]
# On MNIST backprop's typical draw lies below its mean: most images cost nothing, a few cost much,
# and 16 images seldom have one of those. After 50 epochs "0.000" is what one must expect to read.
#
# ## 2. Equal learning rates
#
# The notebook's first version gives both methods the same learning rate, as others did before, and
# finds the forward gradient as good as backprop. Of course: on average they are the same, and by
# small steps both follow one curve.

# %%

SMALL, LARGE = 4.64e-4, 0.1


def smooth(values, factor=0.98):
    """(steps, running mean), its start corrected as Adam's is."""
    mean, means = 0.0, []
    for t, value in enumerate(values, 1):
        mean = factor * mean + (1 - factor) * value
        means.append(mean / (1 - factor**t))
    return np.arange(1, len(means) + 1), means


series, both = {}, {}
for name, rule in (("backprop", Backprop()), (FORWARD, forward())):
    net = fresh()
    history = run(net, rule, mg.SGD(net, SMALL), lesson.epochs(usual=2, quick=1))
    series[f"{name}, η = {SMALL:g}"] = smooth(history.step_loss)
    both[name] = float(np.mean(history.step_loss[-100:]))
    print(f"{name}, η = {SMALL:g}: loss {both[name]:.3f} after {len(history.step_loss):,} steps")
series[f"backprop, η = {LARGE:g}"] = smooth(histories[BACKPROP].step_loss[: len(history.step_loss)])
net = fresh()
lost = run(net, forward(), mg.SGD(net, LARGE), 1)
print(f"{FORWARD}, η = {LARGE:g}: loss {lost.step_loss[-1]:.3g} in step {len(lost.step_loss):,}")
apart = abs(both["backprop"] - both[FORWARD])
title = f"At η = {SMALL:g} the two end {apart:.3f} apart"
lesson.save(plots.curves(series, title, ylabel="smoothed training loss"), "equal")

# %% [markdown]
# That only says that this rate is far too small for backprop. At the rate that suits backprop the
# forward gradient is lost at once: its steps are long, |v| = √n.
#
# ## 3. What clipping does, and a loss that hides it
#
# Lesson 12 showed the spiral of long steps, and how clipping ends it. The notebook's unclipped run
# looks different, for its loss cuts *probabilities* off, at ε = 2⁻²³. In a network that is lost p
# is 0 or 1 nearly everywhere. There the cut-off loss is flat, so d = 0, and lost it stays. (The
# report's unclipped run prints 12.953, 14.946, 10.960: 13/16, 15/16, 11/16 of 15.942, which is
# -ln ε. 16 images again.)

# %%


class ClampedLoss(mg.CrossEntropyLoss):
    """-ln of the softmax cut off to [ε, 1 - ε]: where it is cut off, its slope is 0."""

    def each(self, logits, target):
        xp, eps = array_module(logits), float(np.finfo("float32").eps)
        right = xp.exp(-super().each(logits, target))
        self._flat = (right < eps) | (right > 1 - eps)
        return -xp.log(xp.clip(right, eps, 1 - eps))

    def each_jvp(self, output_dot):
        return array_module(output_dot).where(self._flat, 0, super().each_jvp(output_dot))


# %%

CLIP, epochs = (0.006, 8) if lesson.quick else (2e-3, 1)  # the learning rate
CLIPS = {  # the loss, where d is cut off
    f"{FORWARD}, clipped": (loss, 1),
    "not clipped": (loss, None),
    "wrong: not clipped, cut-off loss": (ClampedLoss(), None),
}
series, slopes_of, last = {}, {}, {}
print(f"\n{f'η = {CLIP:g}':34}{'last loss':>10}{'|θ|':>10}{'largest |d|':>13}{'d = 0':>9}")
for label, (its_loss, clip) in CLIPS.items():
    net, rule, d = fresh(), forward(clip=clip), []
    options = {"step_callback": listener(rule, d), "collects": [d], "batch_size": BATCH}
    optimizer = mg.SGD(net, CLIP)
    history = lesson.fit(net, its_loss, rule, optimizer, train, epochs=epochs, **options)
    losses = np.nan_to_num(history.step_loss, nan=100).clip(max=100)
    series[label], last[label] = smooth(losses, 0.9), float(losses[-10:].mean())
    d = slopes_of[label] = abs(np.nan_to_num(d))
    with np.errstate(over="ignore"):  # in float32, of a network that is lost
        size = norm(net.params)
    print(f"{label:34}{last[label]:10.4g}{size:10.4g}{d.max():13.4g}{100 * (d == 0).mean():7.1f} %")
title = "clipped {:.3g}, not clipped {:.3g}, with a loss cut off {:.3g}".format(*last.values())
lesson.save(plots.curves(series, f"Last losses: {title}", ylabel="training loss"), "clipping")

# %%

slopes_of[f"clipped, η = {SMALL:g} (section 1)"] = np.abs(main_slopes)
del slopes_of["wrong: not clipped, cut-off loss"]
options = {"ylabel": "share of the steps", "marks": {"cut off here": 1.0}, "logx": True}
figure = plots.histograms(
    slopes_of,
    np.geomspace(1e-2, 1e3, 51),
    f"Slopes at η = {CLIP:g}, clipped and not",
    "|d|, before it is cut off",
    **options,
)
lesson.save(figure, "slopes")

# %% [markdown]
# ## 4. A grid that cannot tell
#
# The notebook searches learning rate and decay in a grid, and prints validation losses from 2.296
# to 2.308: ln 10 = 2.303, a network that has not moved, whatever the setting. A search tells
# something if its runs are long enough and its settings far enough apart. For a quarter of an
# epoch, clipped, that is about here (`--full`: the notebook's own grid, 10 epochs a run, not
# clipped):

# %%

for file in lesson.out.glob("*.jsonl"):
    file.unlink()  # of an earlier run
if lesson.long:
    GRID = {"eta": np.logspace(-5, -3, 6), "decay": np.logspace(-6, -4, 3)}
else:
    GRID = {"eta": [5e-4, 1e-3, 2e-3, 4e-3, 8e-3], "decay": [1e-5, 1e-3, 1e-2]}


def decay_trial(seed, eta, decay):
    net = fresh()
    data, epochs = (train, 10) if lesson.long else (train.take(len(train) // 4), 1)
    rule = forward(clip=None if lesson.long else 1)
    return run(net, rule, mg.SGD(net, eta), epochs, k=decay, data=data)


file, many = lesson.out / "decay.jsonl", threads.threads()
results = mg.search.grid(decay_trial, GRID, seeds=[lesson.seed], out=file, threads_per_run=many)
span = float(np.ptp(results.table().mean))
title = f"Validation losses: {span:.3f} apart" + (", as good as nothing" if span < 0.02 else "")
lesson.save(plots.heat_map(results, title, "eta", "decay", frame_best=span >= 0.02), "grid")

# %% [markdown]
# ## 5. What a step costs
#
# Baydin et al. print, for PyTorch on a GPU, R_f = 2.3 to 2.6: a forward gradient in forward passes;
# and R_b = 4.0 to 4.4 for backprop. Counted in products of matrices both are 3: going backward
# takes two products a layer, dy Wᵀ and xᵀ dy, and so do tangents, x_dot W and x W_dot. Ours,
# without the optimiser's step:

# %%


def milliseconds(work, times):
    """The shortest of some calls, after one to warm up: other programs only make it longer."""
    taken = []
    for _ in range(times + 1):
        started = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - started))
    return min(taken[1:])


RULES = {
    "backprop": Backprop(),
    "forward gradient": forward(),
    "the same, signs": forward(distribution="rademacher"),
    "noise on activities": forward(perturb="activities", layerwise=True),
}
costs, few = {}, 8 if lesson.quick else BATCH
for kind, often in (("MLP", 20), ("ConvNet", 5)):
    net, times = fresh(kind), 1 if lesson.quick else often
    alone = milliseconds(lambda net=net: loss.forward(net.forward(x[:few]), y[:few]), times)
    for label, rule in RULES.items():
        work = lambda net=net, rule=rule: rule.estimate(net, loss, x[:few], y[:few])  # noqa: E731
        costs[kind, label] = milliseconds(work, times) / alone
print(f"\n{'in forward passes':24}{'products':>9}{'MLP':>10}{'ConvNet':>10}")
for label, rule in RULES.items():
    cells = "".join(f"{costs[kind, label]:10.2f}" for kind in ("MLP", "ConvNet"))
    print(f"{label:24}{rule.cost:9.0f}{cells}")

# %% [markdown]
# On the MLP much of a step is *drawing* two million normal numbers; signs are drawn faster. The
# ConvNet has few weights and much arithmetic: there the tangent goes up along with the values, and
# nothing is kept. A cheaper step does not make up for the noise: lesson 12 compares at equal work.
#
# ## What to remember
#
# - A number measured on 16 images is a draw. Look at what a loop averages over.
# - At equal, small learning rates unbiased estimates all follow one curve. That says nothing.
# - A loss that is flat where a network is lost hides that it is lost.
# - A grid whose cells all say ln 10 has measured nothing.
#
# ## What this run must show

# %%

for name, (low, _, high) in spreads.items():
    ratio = {FORWARD: 1.1, "backprop": 5}[name] if usual else 1.01
    lesson.expect(f"{name}, 16 images: 95 % / 5 % of the draws", high / low, at_least=ratio)
if usual and not lesson.long:
    lesson.expect("forward gradient, SGD: test loss", tested[OURS][0], at_least=1.3, at_most=1.8)
    lesson.expect("forward gradient, SGD: accuracy", tested[OURS][1], at_least=0.65)
    for optimiser in ("SGD", "Nesterov", "Adam"):
        found = tested["MLP", "backprop", optimiser][0]
        lesson.expect(f"backprop, {optimiser}: test loss", found, at_most=0.25)
    lesson.expect("grid: largest - smallest validation loss", span, at_least=0.1)
if usual:
    lesson.expect("equal small rates: losses apart", apart, at_most=0.05)
    lesson.expect("steps to its end at the large rate", len(lost.step_loss), at_most=100)
    values = list(last.values())
    lesson.expect("clipped: last loss", values[0], at_most=2.2)
    lesson.expect("not clipped: last loss (at most 100)", values[1], at_least=10)
    lesson.expect("not clipped, cut-off loss: last loss", values[2], at_least=8, at_most=16)
lesson.record("test loss and accuracy", {" ".join(row): v for row, v in tested.items()})
lesson.record({"loss of 16 images, 5 %, median, 95 %": spreads, "last losses": last})
lesson.record("cost in forward passes", {" ".join(key): value for key, value in costs.items()})
lesson.finish()
