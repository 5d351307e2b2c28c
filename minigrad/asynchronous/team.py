"""The processes of a network's blocks: started, watched, ended, and their work brought back."""

from __future__ import annotations

import math
import multiprocessing
import time
from multiprocessing.connection import wait
from typing import Any

import numpy as np

from minigrad.asynchronous.channel import Channel, shared
from minigrad.asynchronous.spawning import no_interrupt, pickled, without_main
from minigrad.asynchronous.worker import Place, Plan, main
from minigrad.data import Dataset
from minigrad.history import History
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer
from minigrad.rules import Rule, SyntheticGradients
from minigrad.rules.synthetic.blocks import Block, shapes
from minigrad.train import Bar, diverged, record

SLOTS = 4  # batches that may wait between two blocks


class WorkerError(RuntimeError):
    """The process of a block failed or was killed; all others have been ended, too."""


class Team:
    """One process for each block, connected in a chain."""

    def __init__(
        self,
        model: Layer,
        blocks: list[Block],
        loss: Loss,
        rule: Rule,
        optimizer: Optimizer,
        train: Dataset,
        plan: Plan,
    ):
        self.model, self.blocks, self.loss, self.plan = model, blocks, loss, plan
        self.rule, self.optimizer = rule, optimizer
        self.snapshots: dict[int, dict[int, Any]] = {}  # epoch: {block: its state then}
        self.steps = -(-len(train) // plan.batch_size)  # of an epoch
        self.processes: list[Any] = []
        self.pipes: list[Any] = []
        self._kits = [pickled(self._kit(i), block) for i, block in enumerate(blocks)]
        self._context = multiprocessing.get_context("spawn")
        self._place(train)

    def _start(self) -> None:
        with without_main(), no_interrupt():
            for place, kit in zip(self.places, self._kits, strict=True):
                ours, theirs = self._context.Pipe(duplex=False)
                self.pipes.append(ours)
                process = self._context.Process(
                    target=main,
                    args=(place, self.plan, kit, theirs),
                    daemon=True,
                    name=f"minigrad {_name(self.blocks[place.number], place.number)}",
                )
                self.processes.append(process)
                process.start()
                theirs.close()

    def _kit(self, i: int) -> dict[str, Any]:
        """What block i's process works with."""
        block, net = self.blocks[i], getattr(self.rule, "decoupled", None)
        optimizer, names = self.optimizer.twin(block), block.keys()
        state = self.optimizer.state_dict()
        optimizer.load_state_dict(
            {"lr": self.optimizer.lr}
            | {
                f"{inner}.{kind}": state[f"{outer}.{kind}"]
                for inner, outer in names.items()
                for kind in optimizer.state_names
                if f"{outer}.{kind}" in state
            }
        )
        block.drop_grads()
        block.drop_cache()
        self.loss.cache = None
        return {
            "block": block,
            "optimizer": optimizer,
            "module": net.modules[i] if net and i < net.top else None,
            "loss": self.loss,
            "probability": net.probability if net else 1.0,
            "rng": net.rng if net else None,
        }

    def _place(self, train: Dataset) -> None:
        """What the processes share, and who is connected with whom."""
        context, plan, L = self._context, self.plan, len(self.blocks)
        rows = min(plan.batch_size, len(train))
        dtype = train.x.dtype
        up, down = [], []
        for shape in shapes(self.blocks, train.x.shape[1:])[:-1]:
            up.append(Channel(context, rows, shape, dtype, SLOTS))
            # Room for all that can be under way, so that no block waits to give an answer: else
            # two neighbours could wait for each other.
            down.append(Channel(context, rows, shape, dtype, SLOTS + 3))
        labels, x = shared(context, train.y), shared(context, train.x)
        self.stop, self.started = context.RawValue("b", 0), context.RawValue("d", 0.0)
        self.progress, self.last_loss = context.RawArray("q", [-1] * L), context.RawValue("d", 0.0)
        self.places = [  # kept: their semaphores must outlive the start
            Place(
                number=i,
                of=L,
                from_below=up[i - 1] if i else None,
                to_above=up[i] if i < L - 1 else None,
                from_above=down[i] if i < L - 1 else None,
                to_below=down[i - 1] if i else None,
                labels=labels,
                x=x if i == 0 else None,
                stop=self.stop,
                progress=self.progress,
                last_loss=self.last_loss,
                started=self.started,
            )
            for i in range(L)
        ]

    def work(self, bar: Bar, history: History) -> list[dict[str, Any]] | None:
        """Wait for all results; None if the run was stopped before, `history.stopped` says why."""
        results: dict[int, dict[str, Any]] = {}
        shown, L = 0, len(self.blocks)
        try:
            self._start()
            while len(results) < L:
                open_pipes = [p for i, p in enumerate(self.pipes) if i not in results]
                for pipe in wait(open_pipes, timeout=0.1):
                    i = self.pipes.index(pipe)
                    try:
                        kind, *content = pipe.recv()
                    except (EOFError, OSError):
                        raise self._died(i) from None
                    if kind == "error":
                        message, trace = content
                        raise WorkerError(
                            f"{_name(self.blocks[i], i)} failed in step {self._step(i)}: "
                            f"{message}\n\n{trace}"
                        )
                    if kind == "diverged":
                        step, value = content
                        epoch = 1 + (step - 1) // self.steps
                        history.stopped = diverged(value, step, epoch)
                        return None
                    if kind == "epoch":
                        epoch, state = content
                        self.snapshots.setdefault(epoch, {})[i] = state
                    else:
                        results[i] = content[0]
                if self.progress[L - 1] > shown:
                    bar.update(self.last_loss.value, self.progress[L - 1] - shown)
                    shown = self.progress[L - 1]
        except KeyboardInterrupt:
            steps = max(0, self.progress[L - 1])
            history.stopped = f"interrupted after step {steps} of the top block"
            return None
        return [results[i] for i in range(L)]

    def _step(self, i: int) -> int:
        """The step that block i is in."""
        return max(0, self.progress[i]) + 1

    def _died(self, i: int) -> WorkerError:
        self.processes[i].join(5)
        code = self.processes[i].exitcode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return WorkerError(
            f"the process of {_name(self.blocks[i], i)} ended in step {self._step(i)} ({how}) "
            "without a word; the run was stopped and the other processes ended"
        )

    def end(self) -> None:
        """No process is left after this."""
        self.stop.value = 1
        for patience, how in ((5, None), (2, "terminate"), (2, "kill")):
            alive = [p for p in self.processes if p.pid is not None and p.is_alive()]
            for process in alive if how else ():
                getattr(process, how)()
            until = time.monotonic() + patience
            heard = list(self.pipes) if alive else []
            while heard and time.monotonic() < until:  # a process may be waiting to be heard
                for pipe in wait(heard, timeout=0.1):
                    try:
                        pipe.recv_bytes()
                    except (EOFError, OSError):
                        heard.remove(pipe)
            for process in alive:
                process.join(max(0.0, until - time.monotonic()))
        for process in self.processes:
            if process.pid is not None:
                process.join()
        for pipe in self.pipes:
            pipe.close()

    def _whole(self) -> list[int]:
        """The epochs whose end all blocks have told of."""
        return sorted(e for e, states in self.snapshots.items() if len(states) == len(self.blocks))

    def restore(self) -> None:
        """The model as after the last epoch that all blocks have told of, if there is one."""
        for epoch in self._whole()[-1:]:
            self._load(epoch)

    def _load(self, epoch: int) -> None:
        for i, block in enumerate(self.blocks):
            block.load_state_dict(self.snapshots[epoch][i][0])

    def evaluate(self, history: History, train: Dataset, test: Dataset | None) -> None:
        """Extend the history by the epochs that all blocks have told of."""
        before = self.started.value
        try:
            for epoch in self._whole():
                states = self.snapshots[epoch]
                self._load(epoch)
                ended = max(clock for _, _, clock in states.values())
                history.step_loss += states[len(self.blocks) - 1][1]
                with np.errstate(over="ignore", invalid="ignore"):
                    record(history, self.model, self.loss, epoch, train, test, ended - before)
                before = ended
                if not math.isfinite(history.train_loss[-1]) and history.stopped is None:
                    step = len(history.step_loss)
                    history.stopped = diverged(history.train_loss[-1], step, epoch)
        except KeyboardInterrupt:
            history.stopped = history.stopped or f"interrupted while evaluating epoch {epoch}"
        finally:
            self.restore()

    def take_back(self, results: list[dict[str, Any]]) -> None:
        """Weights, optimiser states, modules and counts, as the processes left them."""
        flat: dict[str, Any] = {"lr": self.optimizer.lr}
        for block, result in zip(self.blocks, results, strict=True):
            block.load_state_dict(result["block"])
            for prefix, layer in block.leaves():
                if prefix in result["streams"]:
                    layer.generators = result["streams"][prefix]
            for inner, outer in block.keys().items():
                flat |= {
                    f"{outer}.{kind}": result["optimizer"][f"{inner}.{kind}"]
                    for kind in self.optimizer.state_names
                    if f"{inner}.{kind}" in result["optimizer"]
                }
        self.optimizer.load_state_dict(flat)
        if isinstance(self.rule, SyntheticGradients):
            net, steps = self.rule.decoupled, len(results[-1]["losses"])
            for i, result in enumerate(results):
                if i < net.top:
                    net.modules[i].load_state_dict(result["module"])
                if result["updates"]:
                    net.last_update[i] = net.steps + result["last_update"]
                net.updates[i] += result["updates"]
            net.steps += steps
            net.rng = results[0]["rng"]


def _name(block: Block, i: int) -> str:
    return f"block {i + 1} (layers {block.start} to {block.stop - 1})"
