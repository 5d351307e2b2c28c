"""10 Decoupled interfaces

Question: can the blocks of a network learn without waiting for each other?
You need: lessons 07 (batch norm) and 09 (synthetic gradients).
You will build: a timetable of blocks that wait and of blocks that do not; a sweep of synthetic
gradients through four blocks; a network whose blocks learn at the same time, each in a process.
Time: 5 min on MNIST on one core, 4 s on the embedded digits with --quick
Source: Jaderberg et al. 2016, "Decoupled neural interfaces using synthetic gradients".
"""

# %% [markdown]
# # 10 Decoupled interfaces
#
# Cut a network into blocks. By backprop, block 1 does its forward pass, and then it waits: for the
# forward passes of all blocks above, and for their backward passes. Only then does it get its
# gradient. The blocks are *locked*: one works, the others wait.
#
# Lesson 09 had one module that predicts a gradient. Put such a module at each *interface*, the
# place between two blocks. Then each block can step as soon as it has done its forward pass.

# %%

from types import SimpleNamespace

import numpy as np

import minigrad as mg
from minigrad import plots, threads
from minigrad.asynchronous import Timeline
from minigrad.backend import to_device, to_host
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate

lesson = start("10_decoupled_interfaces", __doc__)
everything, test = lesson.data(n_quick=600)
train, validation = everything.split(len(everything) // 12, seed=lesson.seed)
loss = mg.CrossEntropyLoss()
BATCH = 100 if lesson.mnist and not lesson.quick else 50
SIZES = ["784 → 256", "256 → 256", "256 → 256", "256 → 10"]
figure = plots.blocks(SIZES, "A block waits for all blocks above, or for its module alone")
lesson.save(figure, "blocks")

# %% [markdown]
# ## 1. A timetable
#
# How much time is there to gain? We give each of four blocks a worker of its own, and invent a few
# numbers. The forward pass of a block takes 1 ms, its backward pass and step 2 ms. A module takes
# 0.5 ms, to predict and to learn. Each piece of work begins when its worker is free and what it
# needs is there.

# %%

FORWARD, BACKWARD, MODULE = range(3)  # kinds of work, as plots.timelines numbers them
SECONDS = [1e-3, 2e-3, 0.5e-3]


def timetable(batches, locked):
    """For each of four blocks rows (kind, batch, start, end, processor seconds)."""
    work, free = [[] for _ in SIZES], [0.0 for _ in SIZES]  # free: since when a worker is

    def do(i, kind, batch, ready):
        begin = max(free[i], ready)
        free[i] = begin + SECONDS[kind]
        work[i].append((kind, batch, begin, free[i], SECONDS[kind]))
        return free[i]

    for batch in range(1, batches + 1):
        ready = 0.0
        for i in range(4):
            ready = do(i, FORWARD, batch, ready)  # now the block above can begin
            if not locked and i < 3:
                do(i, MODULE, batch, ready)
            if not locked:
                do(i, BACKWARD, batch, ready)
        for i in (3, 2, 1, 0) if locked else ():
            ready = do(i, BACKWARD, batch, ready)
    return Timeline([np.array(rows) for rows in work])


# %%

plan = {"locked": timetable(40, locked=True), "decoupled": timetable(40, locked=False)}
for name, line in plan.items():
    print(f"{name:9}: 40 batches in {1e3 * line.seconds:.1f} ms, {line.at_work:.2f} blocks at work")
faster = plan["locked"].seconds / plan["decoupled"].seconds
figure = plots.timelines(
    {name: line.during(0, 0.025) for name, line in plan.items()},
    f"With a worker for each block, decoupled blocks are {faster:.1f} times as fast",
)
lesson.save(figure, "timetable")

# %% [markdown]
# Locked blocks take turns: on average one of them is at work. Decoupled blocks form a pipeline.
# While block 4 looks at batch 1, block 1 has learned from several later ones.
#
# ## 2. One sweep by hand
#
# Now the learning. The network is 784-256-256-256-10, with batch norm and ReLU in blocks 1 to 3.
# B is the number of images in a batch.
#
# | name | shape | meaning |
# |---|---|---|
# | `h` | (B, 256) | output of a block; block 4 puts out the logits (B, 10) |
# | `told` | (B, 266) | what a module reads: h, and the label as a row with one 1 |
# | `A`, `c` | (266, 256), (256,) | the module, a linear layer that begins at 0 |
# | `dh_hat` | (B, 256) | its prediction of the gradient: $dh_hat = (told A + c)/B$ |
# | `dW_hat` | as W | the block's gradient, by the chain rule within the block, from dh_hat |
# | `back` | as the block's input | what the block's backward pass finds at its input |
#
# One *sweep* goes up through the blocks. Only block 4 sees the loss. Each other block steps by its
# module. `back` of a block is what the module *below* learns: its gradient is
# $dA = toldᵀ (dh_hat - back)$.

# %%

net = mg.models.dni_mlp(seed=lesson.seed)
rule = mg.rules.SyntheticGradients(net, seed=lesson.seed)
optimizer = mg.Adam(net, 1e-3)
batches = [(to_device(x), to_device(y)) for x, y in train.take(4 * BATCH).batches(BATCH)]
below = []  # the size of dW_hat in blocks 1 to 3, at each step
for x, y in batches[:3]:
    rule.estimate(net, loss, x, y)
    below.append(sum(float(abs(g).sum()) for b in rule.blocks[:3] for g in b.grads.values()))
    optimizer.step()
print(f"\nsum of |dW_hat| below the top, steps 1 to 3: {', '.join(f'{s:.3g}' for s in below)}")

x, y = batches[3]
h, tolds, dh_hats, dW_hats, backs = x, [], [], [], []
for block, module in zip(rule.blocks, rule.modules, strict=False):
    h = block.forward(h)
    told = np.hstack([to_host(h), np.eye(10, dtype="float32")[to_host(y)]])
    A, c = (to_host(module.trunk.params[name]) for name in ("0.W", "0.b"))
    dh_hat = (told @ A + c) / len(x)
    backs.append(to_host(block.backward(to_device(dh_hat))))
    dW_hats.append(to_host(next(iter(block.grads.values()))).copy())
    tolds.append(told)
    dh_hats.append(dh_hat)
loss.forward(rule.blocks[3].forward(h), y)
backs.append(to_host(rule.blocks[3].backward(loss.backward())))

# %%


def off(found, expected):
    """The largest difference, relative to the largest number expected."""
    return abs(found - expected).max() / abs(expected).max()


rule.estimate(net, loss, x, y)
apart = {}
for i, module in enumerate(rule.modules):
    dA = tolds[i].T @ (dh_hats[i] - backs[i + 1])
    apart[f"block {i + 1}: dW_hat"] = off(dW_hats[i], to_host(next(iter(rule.blocks[i].grads.values()))))
    apart[f"module {i + 1}: dA"] = off(dA, to_host(module.trunk.grads["0.W"]))
print(f"by hand and by the rule: relative differences up to {max(apart.values()):.0e}")

# %% [markdown]
# At first all modules predict 0, and only block 4 learns. Then module 3 learns from block 4, module
# 2 from what block 3 makes of module 3's prediction, and so on down. This is called
# *bootstrapping*: a module learns from the prediction of another one. A wrong prediction is handed
# down, too.
#
# ## 3. The price
#
# What does it cost in accuracy? We train five ways, each from three starts, by Adam with η = 1e-3,
# and a tenth of it after 60 and after 80 % of the run:
#
# - **backprop**, the locked network;
# - **synthetic**: the sweep above;
# - **synthetic, p = 0.5**: in each step each block is updated with probability p only, as if blocks
#   came and went. It trains twice as long, so that a block gets as many updates;
# - **dni**: the modules do not get the label;
# - **top alone**: blocks 1 to 3 stay as they began. Who is no better has learned nothing there.

# %%

EPOCHS = lesson.epochs(usual=15 if lesson.long else 3 if lesson.mnist else 30, quick=6)
SEEDS = [lesson.seed + k for k in range(3)]


def synthetic(net, seed, **options):
    return mg.rules.SyntheticGradients(net, seed=seed, **options)


WAYS = {  # label: (the rule, how many times as long it trains)
    "backprop": (lambda net, seed: mg.rules.Backprop(), 1),
    "synthetic": (synthetic, 1),
    "synthetic, p = 0.5": (lambda net, seed: synthetic(net, seed, update_probability=0.5), 2),
    "dni: not told the label": (lambda net, seed: synthetic(net, seed, conditioned=False), 1),
    "top alone": (lambda net, seed: synthetic(net, seed, mode="no-backprop"), 1),
}


def run(label, seed, hidden=3, by=mg.fit, **options):
    """Train one network: the rule, what `by` returns, and the test error in per cent."""
    make, longer = WAYS[label]
    net = mg.models.dni_mlp(hidden, seed=seed)
    rule, optimizer = make(net, seed), mg.Adam(net, 1e-3)
    options = {"epochs": longer * EPOCHS, "batch_size": BATCH, "seed": seed} | options
    ends = [max(1, round(part * options["epochs"])) for part in (0.6, 0.8)]
    schedule = mg.MultiStepLR(optimizer, ends)
    done = lesson.fit(
        net, loss, rule, optimizer, train, validation, schedule=schedule, by=by, **options
    )
    return SimpleNamespace(rule=rule, done=done, error=100 * (1 - mg.evaluate(net, loss, test)[1]))


runs = {label: [run(label, seed) for seed in SEEDS] for label in WAYS}
errors = {label: np.array([r.error for r in row]) for label, row in runs.items()}

# %%

print(f"\ntest error in %, mean of {len(SEEDS)} starts, and the difference to backprop")
price = {label: estimate(row - errors["backprop"]) for label, row in errors.items()}
for label, row in errors.items():
    compared = price[label].says("worse", "better") if label != "backprop" else ""
    print(f"{label:24}{row.mean():7.2f}   {str(price[label]):36} {compared}")
others = list(WAYS)[1:]
figure = plots.intervals(
    {label: errors[label] - errors["backprop"] for label in others},
    price["synthetic"].says(
        "Not to wait costs accuracy",
        "Not to wait costs nothing: it is better",
        "What not to wait costs: too short to tell",
    ),
    f"test error - backprop's (points; 95 %, n = {len(SEEDS)})",
    {label: (price[label].low, price[label].high) for label in others},
)
lesson.save(figure, "price")
