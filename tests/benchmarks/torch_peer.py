"""A workload's step in PyTorch eager, in each of the ways that may be its best.

Gradients are set to None; no number is brought to the host; optimisers for each parameter alone,
for many (foreach) and in one kernel (fused); images in both orders in memory; small steps on one
thread, too. The blocks that a synthetic gradient trains are stepped one by one, and together
(`reference/torch_sweep.py`).
On a GPU, float32 means float32: TF32 is off. cuDNN measures which of its algorithms is fastest.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from reference.torch_sweep import TorchSweep

torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
torch.backends.cudnn.benchmark = True

MODULES = {
    "linear": lambda a, b, bias=True: nn.Linear(a, b, bias=bias),
    "conv": nn.Conv2d,
    "norm": nn.BatchNorm1d,
    "pool": nn.MaxPool2d,
    "flatten": nn.Flatten,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
}
WAYS = {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


ONE_THREAD = 5e8  # FLOPs: smaller steps are also tried on one thread


class Step:
    """A step, and the number of threads that PyTorch must have before a block of it."""

    def __init__(self, step, threads):
        self.step, self.threads = step, threads

    @contextlib.contextmanager
    def within(self):
        torch.set_num_threads(self.threads)
        yield

    def __call__(self):
        return self.step()


def network(net):
    return nn.Sequential(*[MODULES[part[0]](*part[1:]) for part in net])


def steps(work, state=None, device="cpu", threads=1):
    """{"PyTorch ...": step}. state: the weights to begin with, of `mg.to_torch_state_dict`."""
    found = _steps(work, state, device)
    if device != "cpu":
        return found
    limited = {name: Step(step, threads) for name, step in found.items()}
    if threads > 1 and work.flops < ONE_THREAD:
        again = _steps(work, state, device)  # with weights of their own
        limited |= {f"{name}, 1 thread": Step(step, 1) for name, step in again.items()}
    return limited


def _steps(work, state, device):
    x, y = (torch.from_numpy(a).to(device) for a in work.data())
    if work.rule == "cdni":
        return _sweeps(x, y, device)
    twin = network(work.net)
    if state is not None:
        twin.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()}, strict=False)
    twin = twin.to(device)
    loss = nn.BCELoss() if work.shape == (3,) else nn.CrossEntropyLoss()
    orders = {"": (twin, x)}
    if any(part[0] == "conv" for part in work.net):
        last = torch.channels_last
        turned = copy.deepcopy(twin).to(memory_format=last)
        orders[", channels last"] = (turned, x.to(memory_format=last))
    found = {}
    for order, (model, batch) in orders.items():
        if work.rule == "forward":
            found[f"PyTorch{order}"] = _forward(model, loss, batch, y, work)
            continue
        for way, options in WAYS.items():
            if order and way == "plain":
                continue  # the optimiser's ways are compared in the usual order
            model = copy.deepcopy(model)
            found[f"PyTorch {way}{order}"] = _backprop(model, loss, batch, y, work, options)
    return found


def _backprop(model, loss, x, y, work, options):
    optimizer = getattr(torch.optim, work.optimizer)(model.parameters(), lr=work.lr, **options)

    def step():
        optimizer.zero_grad(set_to_none=True)
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value

    return step


def graph(work, state):
    """The whole step as a CUDA graph. The first call records it."""
    kept = []

    def record():
        x, y = (torch.from_numpy(a).to("cuda") for a in work.data())
        model = network(work.net)
        model.load_state_dict({n: torch.from_numpy(a) for n, a in state.items()}, strict=False)
        loss = nn.BCELoss() if work.shape == (3,) else nn.CrossEntropyLoss()
        options = {"fused": True} | ({"capturable": True} if work.optimizer == "Adam" else {})
        step = _backprop(model.to("cuda"), loss, x, y, work, options)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            first = step().detach().clone()
            for _ in range(2):
                step()
        torch.cuda.current_stream().wait_stream(side)
        found = torch.cuda.CUDAGraph()
        with torch.cuda.graph(found):
            step()
        kept.extend((found, step))  # the graph reads x, y and the weights where they are
        return first

    return lambda: kept[0].replay() if kept else record()


def _forward(model, loss, x, y, work):
    """θ ← θ - lr/K Σ d_k v_k, with d_k the slope along v_k by torch.func.jvp."""
    params = {name: p.detach() for name, p in model.named_parameters()}

    def value(params):
        return loss(torch.func.functional_call(model, params, (x,)), y)

    @torch.no_grad()
    def step():
        for _ in range(work.directions):
            directions = {name: torch.randn_like(p) for name, p in params.items()}
            found, slope = torch.func.jvp(value, (params,), (directions,))
            for name, p in params.items():  # in place: faster than p - lr * slope * v
                p.add_(directions[name].mul_(-work.lr / work.directions * slope))
        return found

    return step


def _sweeps(x, y, device):
    found = {}
    for together in (False, True):
        for fused in (False, True):
            twin = TorchSweep(fused=fused, together=together)
            for part in (*twin.blocks, *twin.modules):
                part.to(device)  # in place: the optimisers keep their parameters
            how = "together" if together else "block by block"
            step = functools.partial(twin.step, x, y)
            found[f"PyTorch {how}{', fused' if fused else ''}"] = step
    return found
