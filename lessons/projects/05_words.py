"""Words: does a sentence praise or complain?

    python lessons/projects/05_words.py my.txt

Each line of my.txt has a class, a tab and a sentence. Without a file this script makes one: 1,200
reviews, put together at random from thirty words and invented names of dishes.
"""

# %%
import argparse
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad.backend import to_device

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("file", nargs="?", type=Path, help="lines of: class, tab, sentence")
options = parser.parse_args([] if mg.jupyter.in_notebook() else None)
THINGS = "soup fish bread wine waiter music garden bill cake coffee".split()
PRAISE = "fresh warm lovely tasty kind quick superb cheap pretty perfect".split()
COMPLAINT = "cold rude stale late salty loud dirty sour dull awful".split()

# %%
if options.file is None:
    print("no file was given: these reviews are made up")
    options.file = Path("results/words/reviews.txt")
    options.file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    text = ""
    for kind, other in [(PRAISE, COMPLAINT), (COMPLAINT, PRAISE)] * 600:
        remarks = []  # one to five; four of five are as the kind of the review says
        for fits in rng.random(rng.integers(1, 6)) < 0.8:
            thing = rng.choice([*THINGS, f"dish{rng.integers(10000)}"])
            remarks.append(f"the {thing} was {rng.choice(kind if fits else other)}")
        text += f"{'praise' if kind is PRAISE else 'complaint'}\t{' and '.join(remarks)}.\n"
    options.file.write_text(text, encoding="utf-8")

pairs = re.findall(r"^(.+?)\t(.+)$", options.file.read_text(encoding="utf-8"), re.MULTILINE)
if len(pairs) < 10:
    sys.exit(f"{options.file}: {len(pairs)} lines have a class, a tab and a sentence: too few")
kinds, sentences = np.random.default_rng(1).permutation(pairs).T
cut = len(sentences) * 4 // 5  # the last fifth is to test

# %% [markdown]
# Each word that is at least twice in the training part gets a number. 1 is any other word: rare
# ones teach the network what to do with a word that it has never seen. 0 is no word: it fills short
# sentences up, and does not count in the mean.

# %%
words = [re.findall(r"[\w']+", sentence.lower()) for sentence in sentences]
counts = Counter(word for sentence in words[:cut] for word in sentence)
number = {word: k for k, word in enumerate(sorted(w for w in counts if counts[w] > 1), start=2)}
T = max(len(sentence) for sentence in words[:cut])


def numbers(sentence):
    return [number.get(word, 1) for word in sentence[:T]] + [0] * (T - len(sentence))


class MeanOfWords(mg.Embedding):
    """y_n = 1/K_n Σ_t table[x_nt] over the K_n words of sentence n.  x (N, T), y (N, D)."""

    def forward(self, x, train=True):
        xp = mg.backend.array_module(x)
        share = (x > 0) / xp.maximum((x > 0).sum(axis=1, keepdims=True), 1)
        self.share = share[:, :, None].astype(self.dtype)  # 1/K_n for a word, 0 for no word
        return (self.share * super().forward(x, train)).sum(axis=1)

    def backward(self, dy):
        return super().backward(self.share * dy[:, None])

    def jvp(self, x_dot, params_dot=None):
        return (self.share * super().jvp(x_dot, params_dot)).sum(axis=1)


names, y = np.unique(kinds, return_inverse=True)
data = mg.data.Dataset([numbers(sentence) for sentence in words], y, names=names)
train, test = data.take(cut), data.take(slice(cut, None))
V, D, C = len(number) + 2, 8, len(names)
flat = mg.Embedding(V, D, seed=0), mg.Flatten(), mg.Linear(T * D, C, seed=1)
mean = MeanOfWords(V, D, seed=0), mg.Linear(D, C, seed=1)
for name, layers in {"each word at its place": flat, "mean of all words": mean}.items():
    net = mg.Sequential(*layers)
    model = net, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.Adam(net, lr=0.01)
    print(f"\n{name}\n{mg.fit(*model, train, test, epochs=10, batch_size=32)}")

for sentence in ("the gazpacho was superb", "a cold soup and what a rude waiter"):
    output = net.predict(to_device(np.array([numbers(sentence.split())])))
    print(f"{sentence}: {names[int(output.argmax())]}")
