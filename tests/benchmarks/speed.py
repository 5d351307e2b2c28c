"""Time per training step against PyTorch eager, as ratios in one run. Prints a table.

    python tests/benchmarks/speed.py [--threads 2] [--rounds 7] [--only toy]

Both use the same number of threads, the same weights and the same batch, forward, loss, backward
and SGD step. PyTorch is run at its best: gradients set to None, the faster of its plain and its
fused optimiser, no `.item()`. Rounds alternate between the contestants; a round is the median of
many steps, the table has the median of the rounds and the spread of the ratio. Only ratios mean
anything: absolute times change from machine to machine. `sketch` is the same step written out in
bare NumPy lines, with no layers and no checks: about the least that NumPy can do it in.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="for NumPy's BLAS and for PyTorch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    return parser.parse_args()


OPTIONS = arguments()
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(OPTIONS.threads)  # read when the libraries are loaded

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

import minigrad as mg  # noqa: E402

torch.set_num_threads(OPTIONS.threads)
rng = np.random.default_rng(0)


def ours(model, loss, x, y, lr):
    rule, optimizer = mg.rules.Backprop(), mg.SGD(model, lr)

    def step():
        rule.estimate(model, loss, x, y)
        optimizer.step()

    return step


def theirs(twin, loss, x, y, lr, fused):
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.SGD(twin.parameters(), lr=lr, fused=fused)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(twin(x), y).backward()
        optimizer.step()

    return step


def toy_sketch(model, x, y, lr):
    W_i, W_o = model.params["0.W"].copy(), model.params["2.W"].copy()

    def step():
        h = 1 / (1 + np.exp(-(x @ W_i)))
        p = 1 / (1 + np.exp(-(h @ W_o)))
        value = -float((y * np.log(p) + (1 - y) * np.log(1 - p)).sum())
        delta_o = p - y
        delta_h = (delta_o @ W_o.T) * (h * (1 - h))
        W_o[...] -= lr * (h.T @ delta_o)
        W_i[...] -= lr * (x.T @ delta_h)
        return value

    return step


def mlp_sketch(model, x, y, lr, activation):
    x = x.reshape(len(x), -1)
    W, b, V, c = (a.copy() for a in model.params.values())
    rows = np.arange(len(x))

    def step():
        h = x @ W
        h += b
        h = np.maximum(h, 0) if activation == "relu" else 1 / (1 + np.exp(-h))
        z = h @ V
        z += c
        p = np.exp(z - np.ascontiguousarray(z.T).max(axis=0)[:, None])
        p /= p.sum(axis=1, keepdims=True)
        value = -float(np.log(p[rows, y]).mean())
        p[rows, y] -= 1
        p /= len(x)
        dh = p @ V.T
        dh *= (h > 0) if activation == "relu" else h * (1 - h)
        for param, grad in ((V, h.T @ p), (c, p.sum(0)), (W, x.T @ dh), (b, dh.sum(0))):
            param -= lr * grad
        return value

    return step


def toy():
    x, y = np.array([[1, 2, 0.5]], "float32"), np.zeros((1, 1), "float32")
    model = mg.models.ds4420_toy(seed=0)
    twin = nn.Sequential(
        nn.Linear(3, 2, bias=False), nn.Sigmoid(), nn.Linear(2, 1, bias=False), nn.Sigmoid()
    )
    return model, twin, mg.BCELoss(), nn.BCELoss(), x, y, toy_sketch(model, x, y, 0.1)


def small():
    x, y = rng.random((10, 784), dtype="float32"), rng.integers(0, 10, 10)
    model = mg.models.gist_mlp(seed=0)
    twin = nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
    sketch = mlp_sketch(model, x, y, 0.1, "relu")
    return model, twin, mg.CrossEntropyLoss(), nn.CrossEntropyLoss(), x, y, sketch


def full_batch():
    x, y = rng.random((60000, 784), dtype="float32"), rng.integers(0, 10, 60000)
    x[x < 0.8] = 0  # as sparse as the digits are
    model = mg.models.ds4420_mlp(seed=0)
    twin = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.Sigmoid(), nn.Linear(32, 10))
    sketch = mlp_sketch(model, x, y, 0.1, "sigmoid")
    return model, twin, mg.CrossEntropyLoss(), nn.CrossEntropyLoss(), x, y, sketch


ROWS = {  # name: (what to time, steps a round, the ratio aimed at)
    "toy MLP 3-2-1, one sample": (toy, 500, 0.15),
    "784-100-10, batch 10": (small, 300, 0.35),
    "784-32-10, full batch 60,000": (full_batch, 8, 1.0),
}


def round_of(step, n):
    times = []
    for _ in range(n):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def measure(make, n):
    """{contestant: [median time of each round]}, the rounds of all interleaved."""
    model, twin, loss, twin_loss, x, y, sketch = make()
    mg.from_torch_state_dict(model, twin.state_dict())
    steps = {
        "minigrad": ours(model, loss, x, y, 0.1),
        "sketch": sketch,
        "plain": theirs(twin, twin_loss, x, y, 0.1, fused=False),
        "fused": theirs(twin, twin_loss, x, y, 0.1, fused=True),
    }
    for step in steps.values():
        round_of(step, max(3, n // 10))
    rounds = {name: [] for name in steps}
    for _ in range(OPTIONS.rounds):
        for name, step in steps.items():
            rounds[name].append(round_of(step, n))
    return rounds


def main():
    print(
        f"NumPy {np.__version__}, PyTorch {torch.__version__}, {OPTIONS.threads} threads, "
        f"{OPTIONS.rounds} rounds; milliseconds a step, ratios to PyTorch"
    )
    head = f"{'':30} {'PyTorch':>9} {'minigrad':>9} {'sketch':>9}"
    print(f"{head}   {'minigrad/PyTorch':>24} {'aim':>6} {'sketch/PyTorch':>15}")
    for name, (make, n, aim) in ROWS.items():
        if OPTIONS.only not in name:
            continue
        rounds = measure(make, n)
        best = min(("plain", "fused"), key=lambda kind: statistics.median(rounds[kind]))
        ratios = sorted(a / b for a, b in zip(rounds["minigrad"], rounds[best], strict=True))
        medians = {kind: statistics.median(values) * 1e3 for kind, values in rounds.items()}
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(
            f"{name:30} {medians[best]:9.3f} {medians['minigrad']:9.3f} {medians['sketch']:9.3f}"
            f"   {spread:>24} {aim:6.2f} {medians['sketch'] / medians[best]:15.2f}"
        )


if __name__ == "__main__":
    main()
