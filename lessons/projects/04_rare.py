"""A rare answer: why is a network that is right in 95 of 100 cases of no use?

    python lessons/projects/04_rare.py my.csv fails

my.csv is a table of numbers with names in its first line; the column `fails` has two different
values, one of them rare. Without a file this script makes one: 3,000 machines that do not exist.
"""

# %%
import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minigrad as mg
from minigrad import metrics, plots
from minigrad.backend import to_device, to_host

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("file", nargs="?", help="a CSV file, with names in its first line")
parser.add_argument("target", nargs="?", default="fails", help="the column to predict")
options = parser.parse_args([] if mg.jupyter.in_notebook() else None)
(out := Path("results/rare")).mkdir(parents=True, exist_ok=True)

# %%
if options.file is None:
    print("no file was given: these machines are made up")
    options.file = out / "machines.csv"
    rng = np.random.default_rng(0)
    fails = (rng.random((3000, 1)) < 0.05).astype(int)  # hotter and louder than the others
    machines = (60, 40, 100) + (8, 5, 12) * (rng.standard_normal((3000, 3)) + (1.5, 1.2, 0) * fails)
    head = "heat,noise,age,fails"
    np.savetxt(options.file, np.c_[machines, fails], "%.6g", ",", header=head, comments="")

table = mg.data.from_csv(options.file, options.target, kind="labels")
counts = np.bincount(table.y)
if len(counts) != 2:
    sys.exit(f"{options.target} has {len(counts)} different values; this script is for two")
rare = int(counts.argmin())
print(f"{counts[rare]} of {len(table)} rows of {options.file} are rare: {table.names[rare]}")

# %% [markdown]
# With weights each rare example counts for as many as there are others for it. Balanced: a batch
# has as many of the one as of the other. For BCEWithLogitsLoss the target is a number, 1 where the
# answer is the rare one, and the output is one logit.

# %%
train, test = mg.data.standardize(*table.split(len(table) // 3, stratified=True))
times = counts.max() / counts.min()
weight = [times if label == rare else 1 for label in (0, 1)]
is_rare = mg.data.Dataset(train.x, (train.y == rare)[:, None].astype("float32"))
WAYS = {
    "plain": (mg.CrossEntropyLoss(), train, None),
    "weight": (mg.CrossEntropyLoss(weight), train, None),
    "balanced": (mg.CrossEntropyLoss(), train, "balanced"),
    "pos_weight": (mg.BCEWithLogitsLoss(pos_weight=times), is_rare, None),
}


def answers(loss, part, sampling, seed):
    """Whether each example of the test set is rare, as a network says after its training."""
    net = mg.models.mlp((train.x.shape[1], 8, 1 if part is is_rare else 2), "tanh", seed=seed)
    model = net, loss, mg.rules.Backprop(), mg.Adam(net, lr=0.01)
    mg.fit(*model, part, epochs=5, batch_size=50, seed=seed, sampling=sampling)
    output = to_host(net.predict(to_device(test.x)))
    return output[:, 0] > 0 if part is is_rare else output.argmax(axis=1) == rare


found = {name: [answers(*way, seed) for seed in range(5)] for name, way in WAYS.items()}
found["never"] = [np.zeros(len(test), bool)]  # no network at all: the answer is never the rare one

# %%
matrices = {
    name: np.array([metrics.confusion_matrix(one, test.y == rare) for one in several])
    for name, several in found.items()
}
print(f"{'':12}{'accuracy':>15}{'recall, rare':>15}   (mean ± deviation over 5 seeds)")
for name, several in matrices.items():
    accuracy = [np.trace(matrix) / matrix.sum() for matrix in several]
    recall = [metrics.recall(matrix)[1] for matrix in several]
    columns = [f"{np.mean(v):7.3f} ± {np.std(v):.3f}" for v in (accuracy, recall)]
    print(f"{name:12}{columns[0]:>15}{columns[1]:>15}")
figure, axes = plt.subplots(1, 2, figsize=(15, 6), layout="constrained")
for ax, name in zip(axes, ("plain", "weight"), strict=True):
    plots.confusion(matrices[name].mean(axis=0), ["usual", "rare"], name, ax=ax)
figure.savefig(out / "confusion.png")
