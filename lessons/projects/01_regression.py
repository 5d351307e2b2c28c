"""A number from a table: what does a house cost?

    python lessons/projects/01_regression.py my.csv price

my.csv is a table of numbers with names in its first line; `price` is the column to predict.
Without a file this script makes one: 500 houses that do not exist.
"""

# %%
import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad import metrics, plots
from minigrad.backend import to_device, to_host

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("file", nargs="?", help="a CSV file, with names in its first line")
parser.add_argument("target", nargs="?", default="price", help="the column to predict")
options = parser.parse_args([] if mg.jupyter.in_notebook() else None)
(out := Path("results/regression")).mkdir(parents=True, exist_ok=True)


# %%
def truth(area, age, distance):
    """The price of a house that does not exist, without noise."""
    return 50 + 2.2 * area * np.exp(-distance / 20) + 60 * np.exp(-age / 15)


if options.file is None:
    print("no file was given: these houses are made up")
    options.file = out / "houses.csv"
    rng = np.random.default_rng(0)
    houses = rng.uniform((40, 0, 0), (200, 80, 30), (500, 3)).round(2)
    houses = np.c_[houses, truth(*houses.T) + 15 * rng.standard_normal(500)]
    head = "area,age,distance,price"
    np.savetxt(options.file, houses, "%.2f", ",", header=head, comments="")
table = mg.data.from_csv(options.file, options.target, kind="values")
print(f"{len(table)} rows of {table.source}")

# %% [markdown]
# Three parts: to learn from, to stop by, and to judge by. All are scaled by the mean and the
# deviation of the first. So is the target: a network's first outputs are about 1 in size.
# %%
rest, test = table.split(len(table) // 5, seed=1)
train, validation = rest.split(len(rest) // 5, seed=1)
mean, unit = float(train.y.mean()), float(train.y.std())
parts = mg.data.standardize(train, validation, test)
parts = [replace(part, y=(part.y - mean) / unit) for part in parts]
sizes = (train.x.shape[1], 32, 1)
net = mg.models.mlp(sizes, "tanh", seed=0)
model = net, mg.MSELoss(), mg.rules.Backprop(), mg.Adam(net, lr=0.01)
stopping = mg.EarlyStopping(patience=20)
also = {"validation": parts[1], "metrics": ["r2"], "early_stopping": stopping}
history = mg.fit(*model, parts[0], epochs=300, batch_size=32, **also)
print(history)
plots.history(history, "A number from a table").savefig(out / "history.png")


# %%
def predict(net, x):
    """The answers in the unit of the target."""
    return to_host(net.predict(to_device(x))) * unit + mean


found = predict(net, parts[2].x)
r2, error = metrics.r2(found, test.y), metrics.mae(found, test.y)
naive = metrics.mae(np.full_like(test.y, mean), test.y)
print(f"test: R² {r2:.3f}; mean error {error:.4g}, and {naive:.4g} if one always says the mean")

# %% [markdown]
# In another program, later: weights and scale come from files. The new row, whose target nobody
# knows, is made of the middle values of the columns.

# %%
mg.save_weights(out / "net.npz", net)
mg.data.save_npz(out / "train.npz", train)
later = mg.models.mlp(sizes, "tanh", seed=1)
mg.load_weights(out / "net.npz", later)
row = np.median(table.x, axis=0)
_, scaled = mg.data.standardize(mg.data.from_npz(out / "train.npz"), row[None])
answer = float(predict(later, scaled)[0, 0])
print(f"a new row, {row}: {answer:.4g}")
