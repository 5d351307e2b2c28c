"""The gist of synthetic gradients

Question: a program reaches 90 % with synthetic gradients; do its modules predict anything?
You need: lesson 09.
You will build: a well-known script with all its bugs; a measurement of what each of them does.
Time: 2 min on one core on MNIST, 5 s on the embedded digits with --quick
Source: the gist "Trains an MNIST classifier using Synthetic Gradients" (greydanus 2017).
"""

# %% [markdown]
# # A case study: the gist of synthetic gradients
#
# In lesson 09 a module predicts the gradient at the output of a layer. Many people first met this
# idea in a script of a hundred lines, which reads MNIST's digits. It prints a falling loss, reaches
# 90 %, and closes with a picture: true and synthetic gradients, side by side, alike. We rewrite it
# with its bugs, and measure what each of them does.
#
# | name | shape | meaning |
# |---|---|---|
# | `x`, `y` | (N, 784), (N,) | the N = 10 images of a batch, and their labels |
# | `h`, `z` | (N, 100), (N, 10) | hidden layer and logits |
# | `p` | | the network's parameters: `W1`, `b1`, `W2`, `b2` |
# | `S` | (100, 78400) for `W1` | a module: one matrix for each parameter of the network |
# | `dW`, `dW_hat` | as the parameter | its true gradient, and the estimate that it moves by |
# | `LR`, `SLR` | | the learning rates of the network and of the modules |

# %%

from itertools import count
from types import SimpleNamespace

import numpy as np

import minigrad as mg
from minigrad import plots
from minigrad.diagnostics import cosine
from minigrad.kernels.parts import pieces
from minigrad.lesson import start
from minigrad.metrics.confidence import estimate as mean_of
from minigrad.threads import one_blas_thread

lesson = start("synthetic_gist", __doc__)
train, test = lesson.data(n_quick=600)
loss = mg.CrossEntropyLoss()
full = lesson.mnist and not lesson.quick
flat = mg.data.Dataset(train.x.reshape(-1, 784), train.y)
test_x = test.x.reshape(-1, 784)
LR, SLR, EVERY, BATCH = 2e-2 if lesson.mnist else 5e-3, 1e-4, 10, 10  # the digits have more ink
steps = 400 if lesson.quick else 7000
seeds = range(lesson.seed, lesson.seed + (2 if lesson.quick else 4))


def off(found, expected):
    """The largest difference, relative to the largest number expected."""
    return abs(found - expected).max() / abs(expected).max()


# %% [markdown]
# ## 1. The gist, as written
#
# The network is 784-100-10. The modules map activations straight to the *gradients of the
# parameters*: $dW1 = h S$, with S of shape (100, 78400). So there are 7,860,100 parameters in the
# modules, for 79,510 in the network. Every tenth step the true gradients are computed, and the
# modules learn. In all steps the network moves by predictions alone.
#
# What is not as it should be is marked `bug`. We keep all of it, but for what a rewrite in Python 3
# loses: changes in place that work by luck, and a printed loss of the modules that contains SLR.

# %%


def gist_start(seed, modules):
    """The network's parameters p, and a module S for each of them."""
    rng, p, S = np.random.default_rng(seed), {}, {}
    for i, (n_in, n_out) in enumerate(((784, 100), (100, 10)), 1):
        scale = np.float32(n_out**-0.5)  # bug: 1/√n_in was meant
        p[f"W{i}"] = scale * rng.standard_normal((n_in, n_out), dtype="float32")
        p[f"b{i}"] = scale * rng.standard_normal(n_out, dtype="float32")
    for k, v in p.items() if modules else ():
        scale = np.float32(0.01 * v.size**-0.5)
        S[k] = scale * rng.standard_normal((v.shape[-1], v.size), dtype="float32")
    return p, S


def gist_forward(p, x, relu=True):
    """h and the logits, with a ReLU on both (bug: none belongs on logits)."""
    h = np.maximum(x @ p["W1"] + p["b1"], 0)
    z = h @ p["W2"] + p["b2"]
    return h, np.maximum(z, 0) if relu else z


# %%


def gist_backward(p, x, y, h, z, mask=False):
    """The loss, and the true gradients as the gist computes them."""
    value = loss.forward(z, y)
    dz = loss.backward()
    if mask:  # bug: the ReLU on the logits asks for this, the gist leaves it out
        dz = dz * (z > 0)
    dh = dz @ p["W2"].T * (h > 0)
    return value, {"W1": x.T @ dh, "b1": dh.sum(axis=0), "W2": h.T @ dz, "b2": dz.sum(axis=0)}


def estimate(S, h):
    """dW_hat = 1/N Σ_n h_n S, flat. Plainly (h @ S).mean(axis=0); this is one row, not N."""
    return h.mean(axis=0) @ S


def learn(S, h, dW):
    """S ← S - SLR Σ_n h_nᵀ (h_n S - dW). Bugs: each image is taught the batch's gradient; no 1/N.

    Plainly S -= SLR * h.T @ (h @ S - dW). Here for some columns at a time, which stay in the cache.
    """
    for part in pieces(S.shape[1], -(-S.shape[1] // 8000)):
        S[:, part] -= (SLR * h).T @ (h @ S[:, part] - dW[part])


def gist_read(p):
    """The test digits as the network reads them; bug: without the ReLU that it was trained with."""
    return gist_forward(p, test_x, relu=False)[1].argmax(axis=1)


# %% [markdown]
# Two of these functions are written for speed. Do they compute what they say?

# %%

p, S = gist_start(lesson.seed, modules=True)
x, y = flat.x[:BATCH], flat.y[:BATCH]
h, z = gist_forward(p, x)
dW = gist_backward(p, x, y, h, z)[1]["W1"].ravel()
estimate_off = off(estimate(S["W1"], h), (h @ S["W1"]).mean(axis=0))
before, plain = S["W1"].copy(), SLR * h.T @ (h @ S["W1"] - dW)
learn(S["W1"], h, dW)
step_off = off(before - S["W1"], plain)
print(f"\nfast and plain: the estimates differ by {estimate_off:.0e}, the steps by {step_off:.0e}")
sizes = [sum(v.size for v in arrays.values()) for arrays in (p, S)]
print(f"parameters: {sizes[0]:,} in the network, {sizes[1]:,} in the modules")

# %% [markdown]
# Its author also chose a baseline: *stale*, no modules, the true gradient of every tenth step used
# for ten steps. We add a third way, `average`: section 3 says what it is.
# (`lesson.kept(f, a)` is f(a). With --resume it returns what an interrupted run has found already.)

# %%


def batches(seed):
    """Batches without end, each pass over the data in another order."""
    for epoch in count():
        yield from flat.batches(BATCH, np.random.default_rng((seed, epoch)))


def use(dW, kind, S, told, dW_hat, rho):
    """What the true gradients of every tenth step are used for."""
    for k in dW:
        if kind == "synthetic":
            learn(S[k], told[k], dW[k].ravel())
        elif kind == "stale":
            dW_hat[k] = dW[k]
        else:  # "average"
            dW_hat[k] += rho * (dW[k] - dW_hat[k])


# %%


def gist(kind, seed, mask=False, relu=True, rho=None):
    """Train: p, S, losses, accuracies; "synthetic": the last hundred true gradients of W1, too."""
    p, S = gist_start(seed, modules=kind == "synthetic")
    run = SimpleNamespace(p=p, S=S, losses=[], accuracy=[], recent=[])
    told = dW_hat = {k: np.zeros_like(v) for k, v in p.items()}
    for step, (x, y) in zip(range(steps), batches(seed), strict=False):
        if kind == "synthetic" or step % EVERY == 0:
            h, z = gist_forward(p, x, relu)
        if kind == "synthetic":
            told = {"W1": h, "b1": h, "W2": z, "b2": z}  # bug: W2 and b2 need no module
            dW_hat = {k: estimate(S[k], told[k]).reshape(v.shape) for k, v in p.items()}
        if step % EVERY == 0:
            value, dW = gist_backward(p, x, y, h, z, mask)
            use(dW, kind, S, told, dW_hat, rho)
            run.losses.append(value)
            if kind == "synthetic":
                run.recent = [*run.recent[-99:], dW["W1"].ravel()]
        for k in p:
            p[k] -= LR * dW_hat[k]
        if (step + 1) % (steps // 14) == 0:
            run.accuracy.append(float((gist_read(p) == test.y).mean()))
    run.late = float(np.mean(run.accuracy[-4:]))
    return run


# %%

runs, late = {}, {}
with one_blas_thread():  # one row times 31 MB: memory sets the pace, a second thread only waits
    for kind in ("synthetic", "stale"):
        runs[kind] = lesson.kept(gist, kind, lesson.seed)
        others = [lesson.kept(gist, kind, seed).late for seed in seeds[1:]]
        late[kind] = np.array([runs[kind].late, *others])
print(f"\ntest accuracy, mean of the last four of 14 evaluations in {steps} steps of {BATCH}")
for kind, found in late.items():
    print(f"{kind:>12}: " + " ".join(f"{value:.4f}" for value in found))
synthetic_stale = mean_of(late["synthetic"] - late["stale"])
words = ("synthetic is better", "stale is better")
print(f"synthetic - stale: {synthetic_stale}: {synthetic_stale.says(*words)}")

# %% [markdown]
# (Published after as many steps: 0.9039 and 0.8990.) It works, though nothing has been unlocked:
# every tenth step needs all of the true gradient. So what is wrong with it?
#
# ## 2. The plot
#
# The gist closes with two images of W2's gradient, true at the left, synthetic at the right, alike
# to the last pixel. It plots the same array twice. The third row is what belonged there.

# %%

run = runs["synthetic"]
fresh = [batch for _, batch in zip(range(100), batches(lesson.seed + 1), strict=False)]
x, y = fresh[0]
h, z = gist_forward(run.p, x)
dW2 = gist_backward(run.p, x, y, h, z)[1]["W2"]
dW2_hat = estimate(run.S["W2"], z).reshape(dW2.shape)
rows = {"left in the gist: true dW2": dW2, "right, 'synthetic': true dW2 once more": dW2}
rows |= {"what belonged there: synthetic dW2_hat": dW2_hat}
figure = plots.gradients(
    {label: v.T[None, :, :50] for label, v in rows.items()},
    f"A plot of one array twice; the cosine of dW2_hat and dW2 is {cosine(dW2_hat, dW2):.2f}",
    xlabel="from hidden units 1 to 50, into the ten logits",
)
lesson.save(figure, "gist_plot")

# %% [markdown]
# ## 3. The target
#
# A module is asked, for *each* of the ten images, for the gradient of all ten. The best answer
# would be a tenth of this image's own gradient and nine tenths of an average one. Does the module
# get there? Network and modules now stand still, and we draw fresh batches.

# %%


def estimates(run, batches):
    """The gradients of W1 in each of the batches, flat: estimated and true ones."""
    found = []
    for x, y in batches:
        h, z = gist_forward(run.p, x)
        dW = gist_backward(run.p, x, y, h, z)[1]["W1"]
        found.append((estimate(run.S["W1"], h), dW.ravel()))
    return [np.stack(side) for side in zip(*found, strict=True)]


def likeness(vectors):
    """The mean cosine of each with the next."""
    return np.mean([cosine(a, b) for a, b in zip(vectors, np.roll(vectors, 1, 0), strict=True)])


found, true = estimates(run, fresh)
own = np.mean([cosine(a, b) for a, b in zip(found, true, strict=True)])
r2 = 1 - ((found - true) ** 2).sum() / ((true - true.mean(axis=0)) ** 2).sum()
digits = (flat.take(np.flatnonzero(flat.y == digit)[:100]) for digit in range(10))
by_digit = [likeness(side) for side in estimates(run, [(digit.x, digit.y) for digit in digits])]
print(f"\ndW1 in 100 fresh batches: R² of the estimates {r2:.3f}")
print(f"cosine of an estimate with the true gradient of its own batch {own:.2f}")
print(f"{'cosines among':38}{'estimates':>10}{'true gradients':>16}")
print(f"{'one batch and the next':38}{likeness(found):10.2f}{likeness(true):16.2f}")
print(f"{'100 images of a digit, and of the next':38}{by_digit[0]:10.2f}{by_digit[1]:16.2f}")

# %% [markdown]
# Look at the two columns. The true gradients of two batches differ. The estimates hardly do,
# whether the module is shown ten other images or nothing but sevens. They say little about the
# batch in front of the module. What do they say then? Compare an estimate with the mean of the last
# K true gradients that the module was taught.
#
# There is a reason to. Let m be the mean h of a batch. One step of the module moves its estimate
# m S by about $ρ = SLR N ‖m‖²$ of the way to dW, whatever came before. That is a running average,
# which reaches back about 1/ρ updates.

# %%

Ks = [K for K in (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100) if len(run.recent) >= K]
means = [np.mean(run.recent[-K:], axis=0) for K in Ks]
memory = [float(np.mean([cosine(one, mean) for one in found[:20]])) for mean in means]
m = np.concatenate([gist_forward(run.p, x)[0] for x, _ in fresh]).mean(axis=0)
rho = SLR * BATCH * float((m**2).sum())
best = Ks[int(np.argmax(memory))]
print(f"\nclosest to the mean of the last {best} true gradients; 1/ρ = {1 / rho:.0f}")
figure = plots.curves(
    {"synthetic gradient with the mean of the last K true ones": (Ks, memory)},
    f"Cosine {max(memory):.2f} with the past at best, {own:.2f} with the own batch",
    xlabel="K",
    ylabel="cosine",
    log=False,
    floors={"synthetic gradient with the true one of its own batch": own},
)
lesson.save(figure, "memory")

# %%

mean = means[Ks.index(best)]
units = np.argsort(-(mean.reshape(784, 100) ** 2).sum(axis=0))[:6]
rows = {"true dW1 of a batch, into six hidden units": true[0], "synthetic dW1_hat": found[0]}
rows |= {f"mean of the last {best} true ones": mean}
alike = cosine(found[0], true[0]), cosine(found[0], mean)
figure = plots.gradients(
    {label: v.reshape(784, 100)[:, units].T.reshape(-1, 28, 28) for label, v in rows.items()},
    f"Cosine of dW1_hat with this batch's dW1 {alike[0]:.2f}, with the past {alike[1]:.2f}",
)
lesson.save(figure, "past")

# %% [markdown]
# If the estimate is a running average, we can do without modules: every tenth step let 79,510
# averages move by ρ towards the true gradient, and step along them. That is the third way.

# %%


def smooth(losses, factor=0.95):
    """The gist's exponential smoothing."""
    found = [losses[0]]
    for value in losses[1:]:
        found.append(factor * found[-1] + (1 - factor) * value)
    return found


runs["average"] = lesson.kept(gist, "average", lesson.seed, rho=rho)
others = [lesson.kept(gist, "average", seed, rho=rho).late for seed in seeds[1:]]
late["average"] = np.array([runs["average"].late, *others])
synthetic_average = mean_of(late["synthetic"] - late["average"])
print(f"\nrunning average without modules: {late['average'].mean():.4f} on average")
print(f"synthetic - average, test accuracy: {synthetic_average}")
labels = ("synthetic: 7.86 million parameters", "stale: each used 10 times", "running average")
figure = plots.curves(
    {
        label: (range(0, steps, EVERY), smooth(run.losses))
        for label, run in zip(labels, runs.values(), strict=True)
    },
    f"Test accuracy, synthetic - average: {synthetic_average}",
    ylabel=f"training loss, smoothed (seed {lesson.seed})",
)
lesson.save(figure, "gist_loss")

# %% [markdown]
# So these synthetic gradients *are* old ones. It is no wonder that they do about as well as the
# stale ones.
#
# ## 4. The ReLU on the logits
#
# It is said to kill classes: a logit below 0 has no gradient, so a digit whose logit is below 0 for
# all images never comes back. That is true if the ReLU is differentiated. But the gist forgot its
# derivative as well. We train the running average, which is quick, from several seeds: as written;
# with the derivative put right; and without that ReLU.

# %%

masked = "ReLU with its derivative"
VARIANTS = {"as written": {}, masked: {"mask": True}, "no ReLU on logits": {"relu": False}}
recalls, dead, accuracy = {}, {}, {name: [] for name in VARIANTS}
of_digit = [test.y == digit for digit in range(10)]
print(f"\n{'seed':>5} {'':26}{'test accuracy':>14}{'worst recall':>14}  dead logits")
for seed in seeds:
    for name, options in VARIANTS.items():
        run = lesson.kept(gist, "average", seed, rho=rho, **options)
        z, read = gist_forward(run.p, test_x, relu=False)[1], gist_read(run.p)
        recalls[seed, name] = [float((read[of] == d).mean()) for d, of in enumerate(of_digit)]
        # dead: above 0 for less than a twentieth of the digit's own images
        dead[seed, name] = [d for d, of in enumerate(of_digit) if (z[of, d] > 0).mean() < 0.05]
        accuracy[name].append(run.late)
        names = " ".join(map(str, dead[seed, name])) or "none"
        print(f"{seed:5} {name:26}{run.late:14.4f}{min(recalls[seed, name]):14.2f}  {names}")
died = {name: sum(len(dead[seed, name]) for seed in seeds) for name in VARIANTS}
lost = mean_of(np.subtract(accuracy["as written"], accuracy[masked]))
words = ("the bug helps", "the bug harms")
print(f"test accuracy, as written - derivative put right: {lost}: {lost.says(*words)}")

# %%

by_deaths = sorted(seeds, key=lambda seed: len(dead[seed, masked]))
middle = by_deaths[(len(seeds) - 1) // 2]
counted = [len(dead[middle, name]) for name in VARIANTS]
figure = plots.class_bars(
    {name: recalls[middle, name] for name in VARIANTS},
    "Dead logits: {} as written, {} with the derivative, {} without ReLU".format(*counted),
)
lesson.save(figure, "recall")
p = runs["synthetic"].p
differ = float((gist_forward(p, test_x)[1].argmax(axis=1) != gist_read(p)).mean())
print(f"the gist as written, evaluated with its ReLU: {100 * differ:.2f} % read differently")
repaired = None
if full:
    with one_blas_thread():
        repaired = lesson.kept(gist, "synthetic", lesson.seed, mask=True).late
    print(f"the gist itself: {late['synthetic'][0]:.4f}; derivative put right: {repaired:.4f}")

# %% [markdown]
# Two bugs cancel. With the derivative missing, the pull on a logit below 0 goes through, and hardly
# a digit dies. Who puts the derivative right, and nothing else, breaks the program from most
# starts: look at the middle rows. It also goes unnoticed that the evaluation leaves the ReLU out,
# as long as the largest logit is above 0, and so stays the largest.
#
# ## 5. What came after
#
# The gist's author later published a corrected notebook, with dh for the target. Its modules took
# steps beyond the limit of lesson 09, section 6: the loss that it prints for them goes from 0.0002
# to 1e113. The network trained on all the same, since RMSprop divides a gradient by its size, be it
# what it may. And the control run, which should have been backprop, took the synthetic branch, too.
#
# How far is the first gist from that limit? Its module steps by $SLR hᵀ (h S - dW)$, so the limit
# is 2/λ of hᵀ h.

# %%

limits = [2 / np.linalg.eigvalsh(h.T @ h).max() for h in (gist_forward(p, x)[0] for x, _ in fresh)]
print(f"\nlimit of SLR in 100 batches: {min(limits):.1e} to {max(limits):.1e}; SLR is {SLR:.0e}")

# %% [markdown]
# ## What to remember
#
# - A module learns what its target tells. Teach every image the gradient of its batch, and you get
#   a costly running average. Compare with the cheap thing that it might be.
# - Two bugs may hide each other. Measure what a bug does before you say it.
# - A comparison that cannot fail, like a plot of one array twice, says nothing.
# - A good baseline is half of an experiment: stale gradients were the gist's best idea.
#
# ## What this run must show

# %%

lesson.record({f"gist, {kind}: test accuracy": run.accuracy for kind, run in runs.items()})
lesson.record({f"gist, {kind}: by seed": found.tolist() for kind, found in late.items()})
lesson.record("cosine with the mean of the last K", {"K": Ks, "cosine": memory, "1/rho": 1 / rho})
lesson.record("ReLU on logits: test accuracy by seed", accuracy)
lesson.record("ReLU on logits: dead", {f"seed {s}, {name}": d for (s, name), d in dead.items()})
lesson.expect("the estimate, fast and plain, relative", estimate_off, at_most=1e-4)
lesson.expect("the step of S, fast and plain, relative", step_off, at_most=1e-2)
lesson.expect("R² of the gist's estimates", r2, at_most=0.1)
lesson.expect("cosine with the own batch's gradient", own, at_most=0.35)
lesson.expect("cosine of two batches' estimates", likeness(found), at_least=0.7)
lesson.expect("cosine with the past, at best", max(memory), at_least=0.5)
lesson.expect("SLR as a share of its lowest limit", SLR / min(limits), at_most=1)

# %%

if full:
    where = late["synthetic"].mean()
    lesson.expect("the gist: test accuracy (published .9039)", where, at_least=0.86, at_most=0.92)
    lesson.expect("the gist - stale: test accuracy", synthetic_stale.mean, equal=0, tolerance=0.015)
    lesson.expect("dead logits in all seeds, as written", died["as written"], at_most=1)
    lesson.expect("dead logits, derivative put right", died[masked], at_least=2)
    apart = late["synthetic"][0] - repaired
    lesson.expect("the gist - the gist, derivative put right", apart, at_least=0.03)
if not lesson.quick:
    apart = synthetic_average.mean
    lesson.expect("the gist - average", apart, equal=0, tolerance=0.02 if lesson.mnist else 0.01)
    lesson.expect("share read differently with the ReLU", differ, at_most=0.01)
lesson.expect("as written - derivative put right", lost.mean, at_least=0.03)
lesson.finish()
