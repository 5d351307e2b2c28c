"""My own digits: can a network read them that has never seen my hand?

    python lessons/projects/02_own_digits.py digits

digits/ has the subfolders 0 to 9 with pictures of these digits: digits/7/photo.jpg.
Without a folder this script draws 100 digits with a wavering pen, on paper in slanting light.
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
parser.add_argument("folder", nargs="?", help="a folder with subfolders 0 to 9")
options = parser.parse_args([] if mg.jupyter.in_notebook() else None)
(out := Path("results/own_digits")).mkdir(parents=True, exist_ok=True)

# %%
# The corners of each digit's stroke, column and row: "41" is column 4, row 1.
STROKES = """20 01 05 26 45 41 20, 11 20 26, 01 10 30 41 42 06 46, 00 30 42 23 44 36 06,
30 04 44 32 36, 40 00 03 32 44 36 06, 30 02 05 26 45 33 04, 00 40 16,
23 01 20 41 23 05 26 45 23, 41 20 02 23 41 36 26""".split(",")


def draw(digit, rng):
    """Pixels (300, 240): the corners waver, the stroke cuts them short, the light falls off."""
    from PIL import Image, ImageDraw

    p = np.array([(int(column), int(row)) for column, row in STROKES[digit].split()], float)
    p += rng.normal((-2, -3), 0.15, p.shape)
    p[:, 0] -= rng.normal(0.15, 0.1) * p[:, 1]  # slanted
    p = p * rng.uniform(22, 32, 2) + rng.uniform((105, 135), (135, 165))
    for _ in range(2):
        cut = np.stack([3 * p[:-1] + p[1:], p[:-1] + 3 * p[1:]], axis=1) / 4
        p = np.concatenate([p[:1], cut.reshape(-1, 2), p[-1:]])
    paper = Image.new("L", (240, 300), 255)
    ImageDraw.Draw(paper).line([*map(tuple, p)], fill=60, width=16, joint="curve")
    pixels = np.asarray(paper) * np.linspace(1, 0.8, 240) + rng.normal(0, 5, (300, 240))
    return Image.fromarray(pixels.clip(0, 255).astype("uint8"))


if options.folder is None:
    print("no folder was given: these digits are drawn by this script")
    options.folder = out / "drawn"
    rng = np.random.default_rng(0)
    for i in range(100):
        path = options.folder / str(i % 10) / f"{i}.{'png' if i % 3 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(i % 10, rng).save(path)

# %% [markdown]
# `like_mnist` brings pictures of any size and light into the form of MNIST's. The embedded digits,
# which stand in where MNIST is not on disk, are larger and not centred: they need it, too.

# %%
mine = mg.data.from_folder(options.folder, like_mnist=True, names=list("0123456789"))
train, _ = mg.data.load("auto")
if len(train) < 10000:
    train = replace(train, x=np.stack([mg.data.like_mnist(x) for x in train.x])[:, None])
train = train.take(min(10000, len(train)))
print(f"to read: {mine.source}; to learn from: {len(train):,} of {train.source}")


def reading(augment, seed):
    net = mg.models.mlp((784, 64, 10), seed=seed)
    model = net, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.Adam(net, lr=0.002)
    mg.fit(*model, train, epochs=10, batch_size=32, seed=seed, augment=augment, evaluate_every=10)
    return to_host(net.predict(to_device(mine.x)))


found = {}
for name, augment in (("as they are", None), ("shifted", mg.data.augment.shift(2))):
    outputs = [reading(augment, seed) for seed in range(3)]
    found[name] = [metrics.accuracy(output, mine.y) for output in outputs]
    share = f"{np.mean(found[name]):.1%} ± {np.std(found[name]):.1%}"
    print(f"training pictures {name}: reads {share} of my digits (3 seeds)")

matrix = metrics.confusion_matrix(outputs[0], mine.y)
plots.confusion(matrix, mine.names, "My digits").savefig(out / "confusion.png")
missed = np.flatnonzero(outputs[0].argmax(axis=1) != mine.y)[:12]
captions = [f"{mine.y[i]} read as {outputs[0][i].argmax()}" for i in missed]
plots.digits(mine.x[missed], captions, "Misread").savefig(out / "misread.png")
