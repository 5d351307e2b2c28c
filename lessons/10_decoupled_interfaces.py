"""10 Decoupled interfaces

Question: can the blocks of a network learn without waiting for each other?
You need: lessons 07 (batch norm) and 09 (synthetic gradients).
You will build: a timetable of blocks that wait and of blocks that do not; a sweep of synthetic
gradients through four blocks; a network whose blocks learn at the same time, each in a process.
Time: 5 min on one core on MNIST, 11 s on the embedded digits with --quick
Source: Jaderberg et al. 2016, "Decoupled neural interfaces using synthetic gradients".
"""

# %% [markdown]
# # 10 Decoupled interfaces
#
# Cut a network into blocks. By backprop, block 1 does its forward pass, and then it waits for the
# forward and the backward passes of all blocks above. Only then does it get its gradient. The
# blocks are *locked*. Lesson 09 had one module that predicts a gradient. Put a module at each
# *interface*, the place between two blocks: now a block can step right after its forward pass.

# %%
from types import SimpleNamespace

import numpy as np

import minigrad as mg
from minigrad import plots, threads
from minigrad.backend import to_device, to_host
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate

lesson = start("10_decoupled_interfaces", __doc__)
everything, test = lesson.data(n_quick=600)
train, validation = everything.split(len(everything) // 12, seed=lesson.seed)
loss = mg.CrossEntropyLoss()
BATCH = 100 if lesson.mnist and not lesson.quick else 50
sizes = ["784 → 256", "256 → 256", "256 → 256", "256 → 10"]
lesson.save(plots.interfaces(sizes, "Wait for all blocks above, or for a module"), "blocks")

# %% [markdown]
# ## 1. A timetable
#
# How much time is there to gain? Give each of four blocks a worker. Say that in each block the
# forward pass takes 1 ms, the backward pass with the step 2 ms, and the module 0.5 ms. A piece of
# work begins when its worker is free and what it needs is there. In the figure the number on a bar
# is the batch.

# %%
WORK = {"forward": 1e-3, "backward": 2e-3, "module": 0.5e-3}  # seconds
WAITS = {"locked": True, "decoupled": False}
plan = {name: mg.asynchronous.timetable(4, 40, waits, **WORK) for name, waits in WAITS.items()}
for name, line in plan.items():
    print(f"{name:9}: 40 batches in {1e3 * line.seconds:.1f} ms, {line.at_work:.2f} blocks at work")
faster = plan["locked"].seconds / plan["decoupled"].seconds
figure = plots.timelines(
    {name: line.during(0, 0.025) for name, line in plan.items()},
    f"On paper: decoupled, four workers do 40 batches {faster:.1f} times as fast",
)
lesson.save(figure, "timetable")

# %% [markdown]
# Locked blocks take turns. Decoupled blocks form a pipeline: block 1 begins batch 2 while block 4
# works on batch 1. What comes back of batch 1 is too late for block 1. Its module learns from it.
#
# ## 2. One sweep by hand
#
# The network has batch norm and ReLU in blocks 1 to 3. B is the number of images in a batch.
#
# | name | shape | meaning |
# |---|---|---|
# | `h` | (B, 256) | output of a block; block 4 puts out the logits (B, 10) |
# | `told` | (B, 266) | what a module reads: h, and the label as a row with a single 1 |
# | `A`, `c` | (266, 256), (256,) | the module, a linear layer that begins at 0 |
# | `dh_hat` | (B, 256) | its prediction of ∂L/∂h: $dh_hat = (told A + c)/B$ |
# | `dW_hat` | as W | the block's gradient, by the chain rule within the block, from dh_hat |
# | `back` | (B, 256) | what the block above finds at its input: the module learns that |
#
# One *sweep* goes up through the blocks. Each block steps by its module. Block 4 sees the loss. A
# module's own gradient is $dA = toldᵀ (dh_hat - back)$, as in lesson 09.

# %%
net = mg.models.dni_mlp(seed=lesson.seed)
rule, optimizer = mg.rules.SyntheticGradients(net, seed=lesson.seed), mg.Adam(net, 1e-3)
batches = [(to_device(x), to_device(y)) for x, y in train.take(4 * BATCH).batches(BATCH)]
below = []  # in each step, the sum of |dW_hat| in blocks 1, 2 and 3
for x, y in batches[:3]:
    rule.estimate(net, loss, x, y)
    below.append([sum(float(abs(g).sum()) for g in b.grads.values()) for b in rule.blocks[:3]])
    print(f"step {len(below)}: sum of |dW_hat| in blocks 1, 2, 3:", np.round(below[-1], 1))
    optimizer.step()
x, y = batches[3]
h, sweep, backs = x, [], []
for block, module in zip(rule.blocks, rule.modules, strict=False):
    h = block.forward(h)
    told = np.hstack([to_host(h), np.eye(10, dtype="float32")[to_host(y)]])
    A, c = (to_host(module.trunk.params[name]) for name in ("0.W", "0.b"))
    dh_hat = (told @ A + c) / len(x)
    backs.append(to_host(block.backward(to_device(dh_hat))))
    sweep.append((told, dh_hat, to_host(next(iter(block.grads.values()))).copy()))
loss.forward(rule.blocks[3].forward(h), y)
backs.append(to_host(rule.blocks[3].backward(loss.backward())))

# %%
rule.estimate(net, loss, x, y)  # the same sweep, by the library
apart = []
for i, (told, dh_hat, dW_hat) in enumerate(sweep):
    dA = told.T @ (dh_hat - backs[i + 1])
    theirs = next(iter(rule.blocks[i].grads.values())), rule.modules[i].trunk.grads["0.W"]
    for a, b in zip((dW_hat, dA), theirs, strict=True):
        apart.append(abs(a - to_host(b)).max() / abs(a).max())
print(f"by hand and by the rule: relative differences up to {max(apart):.0e}")

# %% [markdown]
# In the first step all modules predict 0. Of the blocks only block 4 learns. Module 3 learns from
# block 4. Then module 2 learns from what block 3 makes of module 3's prediction, and so on down:
# in each step one more block moves. To learn from predictions is called *bootstrapping*.
#
# ## 3. The price
#
# We train five ways, each from three starts. The optimizer is Adam with a learning rate of 1e-3. It
# is divided by ten after 60 % of the run, and again after 80 %:
#
# - **backprop**: locked. **synthetic**: the sweep above;
# - **synthetic, p = 0.5**: p is the *update probability*. In each step a block is updated with this
#   probability, as if blocks came and went. The run is twice as long, so that a block gets as many
#   updates;
# - **dni**: not told the label. **top alone**: blocks 1 to 3 stay as they began. What is no better
#   than this has learned nothing below the top.

# %%
EPOCHS = lesson.epochs(usual=15 if lesson.long else 3 if lesson.mnist else 20, quick=4)
SEEDS = [lesson.seed + k for k in range(3)]
WAYS = {  # label: options of the rule; None: backprop
    "backprop": None,
    "synthetic": {},
    "synthetic, p = 0.5": {"update_probability": 0.5},
    "dni, not told the label": {"conditioned": False},
    "top alone": {"mode": "no-backprop"},
}


def run(label, seed, hidden=3, epochs=EPOCHS, by=mg.fit, **options):
    """Train a network: it, its rule, what `by` returns, and the test error in per cent."""
    net, way = mg.models.dni_mlp(hidden, seed=seed), WAYS[label]
    rule = mg.rules.SyntheticGradients(net, seed=seed, **(way or {}))
    rule, optimizer = mg.rules.Backprop() if way is None else rule, mg.Adam(net, 1e-3)
    ends = mg.MultiStepLR(optimizer, [max(1, round(part * epochs)) for part in (0.6, 0.8)])
    options |= {"epochs": epochs, "batch_size": BATCH, "seed": seed, "schedule": ends, "by": by}
    done = lesson.fit(net, loss, rule, optimizer, train, validation, **options)
    error = 100 * (1 - mg.evaluate(net, loss, test)[1])
    return SimpleNamespace(net=net, rule=rule, done=done, error=error)


runs = {k: [run(k, s, epochs=EPOCHS * (1 + ("p =" in k))) for s in SEEDS] for k in WAYS}

# %%
errors = {label: np.array([r.error for r in row]) for label, row in runs.items()}
less = {label: row - errors["backprop"] for label, row in errors.items() if label != "backprop"}
price = {label: estimate(row) for label, row in less.items()}
print(f"\nbackprop: test error {errors['backprop'].mean():.2f} %, mean of {len(SEEDS)} starts")
for label, row in price.items():
    print(f"{label:24}{errors[label].mean():6.2f} %, {row} points: {row.says('more', 'less')}")
drawn = list(less)[:2]  # the others are far away
figure = plots.intervals(
    {label: less[label] for label in drawn},
    "Not to wait: " + price["synthetic"].says("more errors", "fewer errors", "no price is seen"),
    f"test error - backprop's, in points (95 %, n = {len(SEEDS)})",
    {label: (price[label].low, price[label].high) for label in drawn},
)
lesson.save(figure, "price")

# %% [markdown]
# A published notebook made this comparison with an untrained network. What went wrong in it, and
# how near the sweep comes to backprop in a longer run: `minigrad run decoupled_notebook`.
#
# ## 4. Where it fails
#
# **Without the label.** Below a linear top, the gradient of one image is $(p - y) Wᵀ/B$, with the
# probabilities p and the label y as a row with a single 1. A module that knows y can have the part
# $-y Wᵀ$ exactly. One that does not know it can only learn by how much the top is wrong on average,
# for images with this h. Once the top has learned what h says, nothing of that is left.
#
# **In deep networks.** Each module learns from the one above. We try six blocks, and ask how good
# the predictions of their five modules are. 1 is perfect. *R², true* compares a prediction with the
# true gradient; *R², what it learns* compares it with `back`, which the module learns from. The
# cosine is that with the true gradient.

# %%
deep = {label: [run(label, s, hidden=5) for s in SEEDS] for label in ("backprop", "synthetic")}
deeper = np.array([b.error - a.error for a, b in zip(*deep.values(), strict=True)])
more = estimate(deeper - less["synthetic"])
print(f"\nsix blocks: synthetic - backprop {estimate(deeper)} points")
print(f"two more blocks change the price by {more}: {more.says('dearer', 'cheaper')}")
x, y = (to_device(a) for a in (validation.x[:1000], validation.y[:1000]))
trained = runs["synthetic"], runs["dni, not told the label"], deep["synthetic"]
reports = [[r.rule.report(loss, x, y).interfaces for r in row] for row in trained]
told, untold = (np.mean([row[-1].r2_true for row in report]) for report in reports[:2])
print(f"R² of the module below block 4: told the label {told:.2f}, not told {untold:.2f}")
kinds = {"R², true": "r2_true", "R², what it learns": "r2_bootstrapped", "cosine, true": "cosine"}
good = {k: np.array([[vars(m)[v] for m in row] for row in reports[2]]) for k, v in kinds.items()}
falls = estimate(good["R², true"][:, 4] - good["R², true"][:, 0])
figure = plots.bands(
    {"1 is perfect": good},
    range(1, 6),
    falls.says("From the top down, predictions get worse", "Lower modules predict better"),
    "module (5 is below the top block)",
)
lesson.save(figure, "modules")

# %% [markdown]
# ## 5. Does it really decouple?
#
# Each block gets a process of its own. It steps by its module and takes the next batch. The answer
# of the block above comes some batches later, and teaches the module then. We first run in
# *lock-step*: before each batch a block waits for that answer. This must give the sweep, to the
# last bit. Then the blocks run freely, and for comparison backprop runs in processes, too. Block 1
# is *ahead* if it has stepped with a batch before block 4 begins it. With fewer cores than blocks,
# a process also waits for a core while it works: its bars are longer then.

# %%
together, lines = {}, {}
if mg.backend.name() == "numpy":  # processes share the host's memory
    alike = {"lag": 0, "threads_per_process": threads.threads()}  # sums are then rounded alike
    ways = [] if lesson.quick else [(mg.fit, {}), (mg.asynchronous.fit, alike)]
    nets = [run("synthetic", lesson.seed, epochs=1, by=by, **o).net for by, o in ways]
    ends = [np.concatenate([v.ravel() for v in net.state_dict().values()]) for net in nets]
    if ends:  # --quick leaves this out
        bits = float(np.ptp(ends, axis=0).max())
        print(f"\nlock-step and sweep: the largest difference of a weight is {bits:g}")
    for label, n in (("backprop", 1), ("synthetic", EPOCHS)):
        found = run(label, lesson.seed, epochs=n, evaluate_every=n, by=mg.asynchronous.fit)
        line = found.done.timeline
        middle = np.median(line.events[0][:, 2])  # block 1 begins something: there is a bar
        lines[label] = line.during(middle, middle + 0.03)
        together[label] = line.as_dict() | {"error": found.error}
        print(f"{label:9}: {line.at_work:.2f} blocks at work at once, on {line.cores:.2f} cores")
    title = f"Synthetic: block 1 is ahead of block 4 in {100 * line.ahead:.0f} % of the batches"
    lesson.save(plots.timelines(lines, title), "timeline")
    print(f"test error: free {found.error:.2f} %, sweep {errors['synthetic'][0]:.2f} %")

# %% [markdown]
# ## What to remember
#
# - A block can learn without its true gradient, from something that points downhill on average.
# - Tell the module the label. Else it can only tell by how much the top is wrong on average.
# - Modules learn from modules: the deeper the network, the later the lowest one knows anything.
# - Blocks then work on different batches at once. That pays where each has a processor to itself.
#
# ## Exercises (copy `lessons/exercises/10_decoupled_interfaces.py`, fill it in, run it)
#
# 1. L blocks, update probability p: in which share of the steps does nothing happen? How many steps
#    does it take, on average, until each block was updated once?
# 2. Write a linear module that is told the label, with plain gradient descent: `predict`, `learn`.
# 3. BP(λ) adds λ times what comes from above and 1 - λ times what the module says. Write it.
#
# ## What this run must show

# %%
lesson.expect("sweep by hand and by the rule, relative", max(apart), at_most=1e-4)
lesson.expect("first step: sum of |dW_hat| below the top", sum(below[0]), equal=0)
lesson.expect("on paper: decoupled, times as fast", faster, equal=3.37, tolerance=0.01)
learned = (errors["top alone"] - errors["synthetic"]).mean()
lesson.expect("top alone - synthetic, points", learned, at_least=8 if lesson.quick else 1)
lesson.expect("R²: top module - lowest of five", falls.mean, at_least=0.3)
lesson.expect("R² below block 4: told - not told the label", told - untold, at_least=0.2)
if not lesson.quick and lesson.options.epochs is None:
    most = (2.3, 2.8, 2.8, 12, 18) if lesson.mnist else (2.5, 2.5, 2.5, 5, 7)
    for (label, row), bound in zip(errors.items(), most, strict=True):
        lesson.expect(f"{label}: test error, %", row.mean(), at_most=bound)
    lesson.expect("lowest module: cosine", good["cosine, true"][:, 0].mean(), at_least=0.15)
if lines:
    if ends:
        lesson.expect("lock-step and sweep: largest difference of a weight", bits, equal=0)
    lesson.expect("backprop: block 1 ahead, share", together["backprop"]["ahead"], equal=0)
    lesson.expect("synthetic: block 1 ahead, share", together["synthetic"]["ahead"], at_least=0.5)
lesson.record({"test error, %": errors, "six blocks: price": deeper, "asynchronous": together})
lesson.finish()
