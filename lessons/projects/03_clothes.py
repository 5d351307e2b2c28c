"""Clothes in IDX files: which ones does a network take for each other?

    python lessons/projects/03_clothes.py fashion-mnist

fashion-mnist/ has the four files of Fashion-MNIST (`minigrad data fashion-mnist` downloads them).
Without a folder this script writes files of that format, with 1,500 drawings of its own.
"""

# %%
import argparse
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad import metrics, plots
from minigrad.backend import to_device, to_host

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("folder", nargs="?", help="a folder with the files of Fashion-MNIST")
options = parser.parse_args([] if mg.jupyter.in_notebook() else None)
(out := Path("results/clothes")).mkdir(parents=True, exist_ok=True)

# %%
# Rectangles (top, bottom, left, right) in 28x28 pixels; those on the left are mirrored.
BODY, SLEEVE = (5, 22, 9, 19), (5, 21, 5, 9)
DRAWINGS = {
    "T-shirt/top": [BODY, (5, 10, 5, 9)],
    "Trouser": [(3, 6, 9, 19), (6, 25, 9, 13)],
    "Pullover": [BODY, SLEEVE],
    "Dress": [(3, 12, 11, 17), (12, 25, 9, 19)],
    "Coat": [(4, 26, 9, 13), SLEEVE],
    "Sandal": [(19, 21, 4, 24), (14, 19, 8, 10)],
    "Shirt": [(5, 22, 9, 13), (5, 18, 5, 9)],
    "Sneaker": [(15, 21, 4, 24), (12, 15, 15, 24)],
    "Bag": [(11, 23, 5, 23), (6, 11, 9, 11)],
    "Ankle boot": [(16, 22, 4, 24), (6, 16, 14, 24)],
}


def drawing(name, rng):
    """Bytes (28, 28): each edge is off by a pixel or two, and there is noise."""
    picture = np.zeros((28, 28))
    for rectangle in DRAWINGS[name]:
        top, bottom, left, right = np.add(rectangle, rng.normal(0, 1, 4).round().astype(int))
        picture[top:bottom, left:right] = 1
        if rectangle[3] < 14:
            picture[top:bottom, 28 - right : 28 - left] = 1
    picture = picture * rng.uniform(80, 220) + rng.normal(0, 30, (28, 28))
    return picture.clip(0, 255).astype("uint8")


def read(folder, part):
    x = mg.data.idx.read(folder / f"{part}-images-idx3-ubyte.gz", axes=3)
    y = mg.data.idx.read(folder / f"{part}-labels-idx1-ubyte.gz", axes=1)
    return mg.data.Dataset((x[:, None] / 255).astype("float32"), y, names=list(DRAWINGS))


if options.folder is None:
    print("no folder was given: this script draws clothes, easier ones than the real pictures")
    rng = np.random.default_rng(0)
    for part, n in (("train", 1000), ("t10k", 500)):
        y = rng.integers(0, 10, n).astype("uint8")
        x = np.stack([drawing(list(DRAWINGS)[k], rng) for k in y])
        mg.data.idx.write(out / f"{part}-images-idx3-ubyte.gz", x)
        mg.data.idx.write(out / f"{part}-labels-idx1-ubyte.gz", y)
    train, test = read(out, "train"), read(out, "t10k")
else:
    train, test = mg.data.load("fashion-mnist", root=options.folder)

# %%
net = mg.models.mlp((784, 64, 10), seed=0)
model = net, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.Adam(net, lr=0.002)
print(mg.fit(*model, train, test, epochs=10, batch_size=32, metrics=["top_2"]))

# %% [markdown]
# Each row of the matrix says what one kind was taken for. The kind's recall is the share that was
# found. Here are the five lowest.

# %%
matrix = metrics.confusion_matrix(to_host(net.predict(to_device(test.x))), test.y)
recall = metrics.recall(matrix)
for k in np.argsort(recall)[:5]:
    others = matrix[k] * (np.arange(10) != k)
    print(f"{test.names[k]:12} {recall[k]:6.1%} found; most others: {test.names[others.argmax()]}")
plots.confusion(matrix, test.names, "Clothes").savefig(out / "confusion.png")
chosen = [int(np.flatnonzero(test.y == k)[0]) for k in range(10)]
plots.digits(test.x[chosen], test.names, "One of each", 5).savefig(out / "clothes.png")
