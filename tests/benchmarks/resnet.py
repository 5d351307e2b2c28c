"""ResNet-20 on MNIST by backprop, beside PyTorch eager: accuracy, and seconds of an epoch.

    python tests/benchmarks/resnet.py --backend cupy [--data FOLDER] [--epochs 2] [--examples 60000]

The network is the one that He et al. 2015, §4.2, wrote for CIFAR-10, for images of 28x28 with one
channel. (CIFAR-10 itself is nowhere at hand without a download.) Both begin with the same weights,
and take the same batches in the same order. Both use SGD with momentum 0.9 and weight decay 1e-4,
as the paper does, and an lr that falls from 0.1 to 0 from epoch to epoch. PyTorch is run at its
best: memory order of images last and first, the fused optimiser, no `.item()` in a step, and on a
GPU with TF32, its default for convolutions, and without. On a GPU minigrad computes in float32.

Each contestant first makes one step that is not timed. Seconds are of training alone.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import minigrad as mg

LR, MOMENTUM, DECAY, BATCH = 0.1, 0.9, 1e-4, 128


class Block(nn.Module):
    """ReLU(x + f(x)), with the paper's option A where the shape changes."""

    def __init__(self, C: int, O: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(C, O, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(O)
        self.conv2 = nn.Conv2d(O, O, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(O)
        self.extra = O - C

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.bn1(self.conv1(x)))
        if self.extra:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.extra))
        return torch.relu(x + self.bn2(self.conv2(h)))


def twin() -> nn.Sequential:
    """ResNet-20 in PyTorch."""
    stack = [nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    C = 16
    for O in (16, 32, 64):
        for block in range(3):
            stack.append(Block(C, O, 2 if O > 16 and block == 0 else 1))
            C = O
    return nn.Sequential(*stack, nn.AvgPool2d(7), nn.Flatten(), nn.Linear(64, 10))


def ours(options, train, test) -> tuple[list[float], list[float]]:
    """(test accuracies, seconds) of the epochs."""
    warm = mg.models.resnet20(in_channels=1, size=28, seed=1)
    run(warm, train.take(BATCH), None, 1)
    history = run(network(), train, test, options.epochs)
    return history.test_accuracy, history.seconds


def network() -> mg.Sequential:
    return mg.models.resnet20(in_channels=1, size=28, seed=0)


def run(model, train, test, epochs) -> mg.History:
    optimizer = mg.SGD(model, LR, momentum=MOMENTUM, weight_decay=DECAY)
    return mg.fit(
        model,
        mg.CrossEntropyLoss(),
        mg.rules.Backprop(),
        optimizer,
        train,
        test,
        epochs=epochs,
        batch_size=BATCH,
        schedule=mg.PolynomialLR(optimizer, epochs),
        progress=False,
    )


def theirs(options, train, test, last: bool) -> tuple[list[float], list[float]]:
    """The same in PyTorch. last: channels last in memory."""
    device = "cuda" if options.backend == "cupy" else "cpu"
    order = torch.channels_last if last else torch.contiguous_format
    model = twin()
    state = mg.to_torch_state_dict(network())
    names = model.state_dict().keys()
    pairs = zip(names, state.values(), strict=True)
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in pairs})
    model = model.to(device).to(memory_format=order)
    x, y = (torch.from_numpy(np.asarray(a)).to(device) for a in (train.x, train.y))
    x_test, y_test = (torch.from_numpy(np.asarray(a)).to(device) for a in (test.x, test.y))
    optimizer = torch.optim.SGD(
        model.parameters(), LR, momentum=MOMENTUM, weight_decay=DECAY, fused=True
    )
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, options.epochs)
    loss = nn.CrossEntropyLoss()

    def step(rows: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(model(x[rows].to(memory_format=order)), y[rows]).backward()
        optimizer.step()

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    before = {key: value.clone() for key, value in model.state_dict().items()}
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    step(torch.arange(min(BATCH, len(x)), device=device))  # the first step is slow
    model.load_state_dict(before)
    optimizer.state.clear()
    for group in optimizer.param_groups:
        group["lr"] = LR
    accuracies, seconds = [], []
    for epoch in range(1, options.epochs + 1):
        model.train()
        wait()
        start = time.perf_counter()
        rows = torch.from_numpy(np.random.default_rng((0, epoch)).permutation(len(x))).to(device)
        for i in range(0, len(x), BATCH):
            step(rows[i : i + BATCH])
        wait()
        seconds.append(time.perf_counter() - start)
        schedule.step()
        model.eval()
        with torch.no_grad():
            right = sum(
                int((model(a).argmax(dim=1) == b).sum())
                for a, b in zip(x_test.split(1000), y_test.split(1000), strict=True)
            )
        accuracies.append(right / len(x_test))
    return accuracies, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="numpy", choices=("numpy", "cupy"))
    parser.add_argument("--data", help="the folder with the four files of MNIST")
    parser.add_argument("--digits", action="store_true", help="the embedded digits instead")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--examples", type=int, default=60_000)
    options = parser.parse_args()
    mg.backend.use(options.backend)
    train, test = mg.data.load("digits" if options.digits else "mnist", root=options.data)
    torch.backends.cudnn.benchmark = True
    train = train.take(min(options.examples, len(train)))
    print(f"{train.source}: {len(train)} examples; {options.backend}; PyTorch {torch.__version__}")
    if options.backend == "cupy":
        print(torch.cuda.get_device_name())
    print(f"{'':38}{'test accuracy':>30}{'seconds per epoch':>26}")
    report("minigrad", *ours(options, train, test))
    for last in (False, True):
        for tf32 in (False, True) if options.backend == "cupy" else (False,):
            torch.backends.cudnn.allow_tf32 = tf32
            name = f"PyTorch, channels {'last' if last else 'first'}{', TF32' if tf32 else ''}"
            report(name, *theirs(options, train, test, last))


def report(name: str, accuracies: list[float], seconds: list[float]) -> None:
    right = " ".join(f"{100 * a:.2f} %" for a in accuracies)
    print(f"{name:38}{right:>30}{' '.join(f'{s:.2f}' for s in seconds):>26}", flush=True)


if __name__ == "__main__":
    main()
