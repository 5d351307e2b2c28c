"""Time per training step against PyTorch eager, as ratios in one run. Prints a table.

    python tests/benchmarks/speed.py [--threads 2] [--rounds 7] [--only LeNet] [--memory]

Both use the same number of threads, the same weights and the same batch: forward, loss, backward
and SGD step (a forward gradient: normal directions, torch.func.jvp, SGD). PyTorch is run at its
best: gradients set to None, no gradient where none is needed, the fastest of its plain and its
fused optimiser and of its two memory orders for images, no `.item()`. Rounds alternate between the
contestants; a round is the median of many steps, the table has the median of the rounds and the
spread of the ratio. Only ratios mean anything: absolute times change from machine to machine.
`sketch` is the same step written out in bare NumPy lines, with no layers and no checks: about the
least that NumPy can do it in. `--memory` prints each one's peak of memory in a LeNet step at 6000.

NumPy's OpenBLAS picks its kernels by the processor's name, and may not know a new one; the head
line says which it took. Haswell on a processor with AVX-512 is a mistake that costs nearly half:
OPENBLAS_CORETYPE=SKYLAKEX in the environment corrects it.
"""

from __future__ import annotations

import argparse
import copy
import functools
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="for NumPy's BLAS and for PyTorch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of times")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)  # a fresh process for each
    return parser.parse_args()


OPTIONS = arguments()
for variable in ("MINIGRAD_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(OPTIONS.threads)  # read when the libraries are loaded

import numpy as np  # noqa: E402
import torch  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from reference.torch_sweep import TorchSweep  # noqa: E402
from threadpoolctl import threadpool_info  # noqa: E402
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


def theirs(twin, loss, x, y, lr, fused=False):
    optimizer = torch.optim.SGD(twin.parameters(), lr=lr, fused=fused)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(twin(x), y).backward()
        optimizer.step()

    return step


def contestants(model, twin, loss, twin_loss, x, y, lr=0.1, sketch=None):
    """{name: step}, all from the same weights; PyTorch in each of its ways."""
    mg.from_torch_state_dict(model, twin.state_dict())
    steps = {"minigrad": ours(model, loss, x, y, lr)}
    if sketch is not None:
        steps["sketch"] = sketch
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    for fused in (False, True):
        steps[f"PyTorch fused={fused}"] = theirs(twin, twin_loss, x, y, lr, fused)
    if x.ndim == 4 and any(isinstance(part, nn.Conv2d) for part in twin):
        last = torch.channels_last
        turned = copy.deepcopy(twin).to(memory_format=last), x.to(memory_format=last)
        steps["PyTorch channels last"] = theirs(turned[0], twin_loss, turned[1], y, lr)
    return steps


def forward_contestants(model, twin, loss, twin_loss, x, y, directions=1):
    """A step of the forward gradient: draw normal directions, forward, jvp, scale, SGD."""
    mg.from_torch_state_dict(model, twin.state_dict())
    lr = 1e-6  # the weights hardly move: all rounds do the same
    rule, optimizer = mg.rules.ForwardGradient(directions), mg.SGD(model, lr)

    def step():
        rule.estimate(model, loss, x, y)
        optimizer.step()

    def torch_step(twin, x, y):
        params = {name: p.detach() for name, p in twin.named_parameters()}

        def value(params):
            return twin_loss(torch.func.functional_call(twin, params, (x,)), y)

        @torch.no_grad()
        def step():
            directions = {name: torch.randn_like(p) for name, p in params.items()}
            _, slope = torch.func.jvp(value, (params,), (directions,))
            for name, p in params.items():  # in place: faster than p - lr * slope * v
                p.add_(directions[name].mul_(-lr * slope))

        return step

    x_t, y_t, last = torch.from_numpy(x), torch.from_numpy(y), torch.channels_last
    steps = {"minigrad": step, "PyTorch": torch_step(twin, x_t, y_t)}
    if x.ndim == 4:
        turned = copy.deepcopy(twin).to(memory_format=last), x_t.to(memory_format=last)
        steps["PyTorch channels last"] = torch_step(*turned, y_t)
    return steps


def forward_mlp():
    x, y = rng.random((64, 784), dtype="float32"), rng.integers(0, 10, 64)
    twin = nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 1024), nn.ReLU()),
        *(nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)),
    )
    return mg.models.forward_mlp(seed=0), twin, mg.CrossEntropyLoss(), nn.CrossEntropyLoss(), x, y


def per_direction(many):
    """One of our steps with `many` directions, beside `many` steps with one each."""
    steps = {}
    for directions in (many, 1):
        parts = forward_contestants(*forward_mlp(), directions=directions)
        steps[directions] = parts["minigrad"]

    def one_each():
        for _ in range(many):
            steps[1]()

    return {"minigrad": steps[many], "PyTorch": one_each}  # under its name, to be compared with


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
    sketch = toy_sketch(model, x, y, 0.1)
    return contestants(model, twin, mg.BCELoss(), nn.BCELoss(), x, y, sketch=sketch)


def small():
    x, y = rng.random((10, 784), dtype="float32"), rng.integers(0, 10, 10)
    model = mg.models.gist_mlp(seed=0)
    twin = nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
    sketch = mlp_sketch(model, x, y, 0.1, "relu")
    return contestants(model, twin, mg.CrossEntropyLoss(), nn.CrossEntropyLoss(), x, y, 0.1, sketch)


def full_batch():
    x, y = rng.random((60000, 784), dtype="float32"), rng.integers(0, 10, 60000)
    x[x < 0.8] = 0  # as sparse as the digits are
    model = mg.models.ds4420_mlp(seed=0)
    twin = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.Sigmoid(), nn.Linear(32, 10))
    sketch = mlp_sketch(model, x, y, 0.1, "sigmoid")
    return contestants(model, twin, mg.CrossEntropyLoss(), nn.CrossEntropyLoss(), x, y, 0.1, sketch)


def lenet(n):
    x, y = rng.random((n, 1, 28, 28), dtype="float32"), rng.integers(0, 10, n)
    twin = nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0), nn.Linear(800, 500), nn.ReLU()),
        *(nn.Dropout(0), nn.Linear(500, 10)),
    )
    return mg.models.lenet(seed=0), twin, mg.CrossEntropyLoss(), nn.CrossEntropyLoss(), x, y


def convnet():
    x, y = rng.random((64, 1, 28, 28), dtype="float32"), rng.integers(0, 10, 64)
    twin = nn.Sequential(
        *(nn.Conv2d(1, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)),
    )
    return (
        mg.models.forward_convnet(seed=0),
        twin,
        mg.CrossEntropyLoss(),
        nn.CrossEntropyLoss(),
        x,
        y,
    )


def sweep(n):
    """A step of synthetic gradients, told the label, with Adam; and the same in PyTorch."""
    x, y = rng.random((n, 784), dtype="float32"), rng.integers(0, 10, n)
    model, loss = mg.models.dni_mlp(seed=0), mg.CrossEntropyLoss()
    rule, optimizer = mg.rules.SyntheticGradients(model, lr=1e-3), mg.Adam(model, 1e-3)

    def step():
        rule.estimate(model, loss, x, y)
        optimizer.step()

    x_t, y_t, steps = torch.from_numpy(x), torch.from_numpy(y), {"minigrad": step}
    for together in (False, True):
        for fused in (False, True):
            twin = TorchSweep(fused=fused, together=together)
            name = f"PyTorch fused={fused} together={together}"
            steps[name] = functools.partial(twin.step, x_t, y_t)
    return steps


ROWS = {  # name: (what to time, steps a round, the ratio aimed at)
    "toy MLP 3-2-1, one sample": (toy, 500, 0.15),
    "784-100-10, batch 10": (small, 300, 0.35),
    "784-32-10, full batch 60,000": (full_batch, 8, 1.0),
    "LeNet, batch 64": (lambda: contestants(*lenet(64), 0.01), 30, 1.0),
    "LeNet, batch 6000": (lambda: contestants(*lenet(6000), 0.01), 1, 0.8),
    "ConvNet, batch 64": (lambda: contestants(*convnet(), 0.01), 6, 1.0),
    "forward gradient, MLP, batch 64": (lambda: forward_contestants(*forward_mlp()), 30, 0.5),
    "forward gradient, ConvNet, 64": (lambda: forward_contestants(*convnet()), 6, 1.0),
    "K = 16 / 16 x (K = 1), MLP": (lambda: per_direction(16), 3, 0.85),
    "cDNI sweep, batch 256": (lambda: sweep(256), 60, 0.6),
    "cDNI sweep, batch 16": (lambda: sweep(16), 200, 0.35),
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
    steps = make()
    for step in steps.values():
        round_of(step, max(2, n // 10))
    rounds = {name: [] for name in steps}
    for _ in range(OPTIONS.rounds):
        for name, step in steps.items():
            step()  # threads of the one before may still spin
            rounds[name].append(round_of(step, n))
    return rounds


def peak(who):
    """Print by how many MiB a LeNet step at 6000 raises this process's peak."""
    model, twin, loss, twin_loss, x, y = lenet(6000)
    if who == "minigrad":
        step = ours(model, loss, x, y, 0.01)
    else:
        step = theirs(twin, twin_loss, torch.from_numpy(x), torch.from_numpy(y), 0.01)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        step()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def memory():
    print("peak memory of three LeNet steps at batch 6000, above that of libraries and data, MiB")
    for who in ("minigrad", "PyTorch"):
        found = subprocess.run(
            [sys.executable, __file__, "--threads", str(OPTIONS.threads), "--peak-of", who],
            check=True,
            capture_output=True,
            text=True,
        )
        print(f"{who:10}{float(found.stdout):9.0f}")


def main():
    blas = {pool["architecture"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    print(
        f"NumPy {np.__version__} ({', '.join(sorted(map(str, blas)))} kernels), PyTorch "
        f"{torch.__version__}, {OPTIONS.threads} threads, {OPTIONS.rounds} rounds; "
        "milliseconds a step, ratios to PyTorch"
    )
    head = f"{'':30} {'PyTorch':>9} {'minigrad':>9} {'sketch':>9}"
    print(f"{head}   {'minigrad/PyTorch':>24} {'aim':>6} {'sketch/PyTorch':>15}")
    per_image = {}
    for name, (make, n, aim) in ROWS.items():
        if OPTIONS.only not in name:
            continue
        rounds = measure(make, n)
        medians = {kind: statistics.median(values) * 1e3 for kind, values in rounds.items()}
        best = min((kind for kind in medians if kind.startswith("PyTorch")), key=medians.get)
        ratios = sorted(a / b for a, b in zip(rounds["minigrad"], rounds[best], strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        sketch = ("-", "-")
        if "sketch" in medians:
            sketch = f"{medians['sketch']:.3f}", f"{medians['sketch'] / medians[best]:.2f}"
        print(
            f"{name:30} {medians[best]:9.3f} {medians['minigrad']:9.3f} {sketch[0]:>9}"
            f"   {spread:>24} {aim:6.2f} {sketch[1]:>15}",
            flush=True,
        )
        if name.startswith("LeNet"):
            per_image[int(name.split()[-1])] = medians["minigrad"]
    if len(per_image) == 2:
        ratio = (per_image[6000] / 6000) / (per_image[64] / 64)
        print(f"LeNet, minigrad: time per image at batch 6000 / at batch 64 = {ratio:.2f}")


if __name__ == "__main__":
    if OPTIONS.peak_of:
        peak(OPTIONS.peak_of)
    elif OPTIONS.memory:
        memory()
    else:
        main()
