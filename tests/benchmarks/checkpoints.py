"""What checkpoints cost: the time and the size of one, and their share of a run of LeNet.

    python -m tests.benchmarks --checkpoints
    python tests/benchmarks/checkpoints.py [--folder FOLDER] [--examples 20000] [--rounds 15]

One save of LeNet with Adam's moments, in milliseconds, with and without the time that the disk
needs (fsync). The file's size beside that of its arrays. Then LeNet learns for three epochs with
the usual checkpoints (after each epoch, and each minute), and the time of saving is counted.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad.checkpoint import archive
from minigrad.checkpoint.run import RunFile


def parts(examples):
    model = mg.models.lenet(seed=0)
    optimizer = mg.Adam(model, lr=1e-3)
    rng = np.random.default_rng(0)
    x = rng.random((examples, 1, 28, 28), dtype="float32")
    data = mg.data.Dataset(x, rng.integers(0, 10, examples))
    return model, optimizer, data


def milliseconds(work, rounds):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return f"median {statistics.median(times):.1f} ms, {min(times):.1f} to {max(times):.1f}"


def one_save(folder, rounds):
    model, optimizer, data = parts(64)
    loss, rule = mg.CrossEntropyLoss(), mg.rules.Backprop()
    mg.fit(model, loss, rule, optimizer, data, epochs=1, batch_size=64, progress=False)
    path = folder / "one.npz"
    saved = {"optimizer": optimizer, "rule": rule, "loss": loss}
    print("save:                ", milliseconds(lambda: mg.save(path, model, **saved), rounds))
    print("load:                ", milliseconds(lambda: mg.load(path, model, **saved), rounds))
    real = os.fsync
    os.fsync = lambda descriptor: None
    print("save without the disk:", milliseconds(lambda: mg.save(path, model, **saved), rounds))
    os.fsync = real
    _, arrays = archive.read(path)
    size = sum(array.nbytes for array in arrays.values())
    print(f"{path.stat().st_size:,} bytes for {len(arrays)} arrays of {size:,} bytes")


def share(folder, examples):
    model, optimizer, data = parts(examples)
    spent = []
    real = RunFile.write

    def write(*arguments):
        start = time.perf_counter()
        real(*arguments)
        spent.append(time.perf_counter() - start)

    RunFile.write = write
    start = time.perf_counter()
    mg.fit(
        model,
        mg.CrossEntropyLoss(),
        mg.rules.Backprop(),
        optimizer,
        data,
        epochs=3,
        batch_size=64,
        checkpoint=folder / "run.npz",
    )
    seconds = time.perf_counter() - start
    RunFile.write = real
    print(
        f"LeNet, 3 epochs of {examples:,}: {seconds:.1f} s, {len(spent)} checkpoints in "
        f"{sum(spent):.3f} s, {100 * sum(spent) / seconds:.2f} % of the run"
    )


def main(argv=()):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="where to write; default: a temporary folder")
    parser.add_argument("--examples", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        one_save(Path(folder), options.rounds)
        share(Path(folder), options.examples)


if __name__ == "__main__":
    main(sys.argv[1:])
