"""The processes of all blocks: they are started, watched and ended, and their results put back."""

from __future__ import annotations

import math
import multiprocessing
import time
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from minigrad.asynchronous.place import Plan, connected
from minigrad.asynchronous.spawning import no_interrupt, pickled, without_main
from minigrad.asynchronous.worker import main
from minigrad.data import Dataset
from minigrad.history import History
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer
from minigrad.rules import Rule, SyntheticGradients
from minigrad.rules.synthetic.blocks import Block
from minigrad.train import Bar, diverged, record


class WorkerError(RuntimeError):
    """The process of a block failed or was killed. All other processes have been ended, too."""


class Team:
    """One process for each block, and the channels between neighbours."""

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
        self.model = model
        self.blocks = blocks
        self.loss = loss
        self.rule = rule
        self.optimizer = optimizer
        self.plan = plan
        self.snapshots: dict[int, dict[int, Any]] = {}  # {epoch: {block: its state after it}}
        self.steps = -(-len(train) // plan.batch_size)  # in an epoch
        self.processes: list[Any] = []
        self.pipes: list[Connection] = []
        self._kits = [pickled(self._kit(i), block) for i, block in enumerate(blocks)]
        self._context = multiprocessing.get_context("spawn")
        # Kept in an attribute: their semaphores must live as long as the run.
        self.places = connected(self._context, blocks, train, min(plan.batch_size, len(train)))
        self.stop = self.places[0].stop
        self.started = self.places[0].started
        self.progress = self.places[0].progress
        self.last_loss = self.places[0].last_loss

    def _start(self) -> None:
        """Start all processes. In __init__ nothing is started: `end` must see what there is."""
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
        """The objects for the process of block i."""
        block = self.blocks[i]
        net = getattr(self.rule, "decoupled", None)
        names = block.keys()
        optimizer = self.optimizer.twin(block, names)
        state = self.optimizer.state_dict()
        optimizer.load_state_dict(
            {"lr": self.optimizer.lr}
            | {
                f"{inner}.{kind}": state[f"{outer}.{kind}"]
                for inner, outer in names.items()
                for kind in optimizer.state_names
                if f"{outer}.{kind}" in state
            },
            finite=False,
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

    def work(self, bar: Bar, history: History) -> list[dict[str, Any]] | None:
        """Start the processes and wait for their results.

        None if the run was stopped before its end; `history.stopped` says why.
        """
        results: dict[int, dict[str, Any]] = {}
        L = len(self.blocks)
        shown = 0
        try:
            self._start()
            while len(results) < L:
                open_pipes = [p for i, p in enumerate(self.pipes) if i not in results]
                ready = wait(open_pipes, timeout=0.1)
                for i, pipe in enumerate(self.pipes):
                    if pipe not in ready:
                        continue
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
                        states = self.snapshots.setdefault(epoch, {})
                        states[i] = state
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
        """The step that block i is working on."""
        return max(0, self.progress[i]) + 1

    def _died(self, i: int) -> WorkerError:
        self.processes[i].join(5)
        code = self.processes[i].exitcode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return WorkerError(
            f"the process of {_name(self.blocks[i], i)} ended in step {self._step(i)} ({how}) "
            "without a message; the other processes have been ended"
        )

    def end(self) -> None:
        """End all processes. None is left afterwards, and no pipe is open.

        They get 5 seconds to end by themselves. Then they are terminated, and at last killed. After
        Ctrl-C the next of these ways is taken at once, and KeyboardInterrupt is raised at the end.
        """
        self.stop.value = 1
        interrupt: KeyboardInterrupt | None = None
        for patience, how in ((5, "ask"), (2, "terminate"), (2, "kill")):
            try:
                self._end_within(patience, how)
            except KeyboardInterrupt as error:
                interrupt = error
        for process in self.processes:
            if process.pid is not None:
                process.join()
        for pipe in self.pipes:
            pipe.close()
        if interrupt is not None:
            raise interrupt

    def _end_within(self, patience: float, how: str) -> None:
        alive = [p for p in self.processes if p.pid is not None and p.is_alive()]
        if how != "ask":
            for process in alive:
                getattr(process, how)()
        until = time.monotonic() + patience
        unread = list(self.pipes) if alive else []
        while unread and time.monotonic() < until:
            # A process may be sending: it cannot end before its message has been read.
            ready = wait(unread, timeout=0.1)
            for pipe in [pipe for pipe in unread if pipe in ready]:
                try:
                    pipe.recv_bytes()
                except (EOFError, OSError):
                    unread.remove(pipe)
        for process in alive:
            process.join(max(0.0, until - time.monotonic()))

    def _whole(self) -> list[int]:
        """The epochs after which all blocks have sent their state."""
        return sorted(e for e, states in self.snapshots.items() if len(states) == len(self.blocks))

    def restore(self) -> None:
        """Set the model to its state after the last whole epoch, if there is one."""
        for epoch in self._whole()[-1:]:
            self._load(epoch)

    def _load(self, epoch: int) -> None:
        for i, block in enumerate(self.blocks):
            block.load_state_dict(self.snapshots[epoch][i][0])

    def evaluate(self, history: History, train: Dataset, test: Dataset | None) -> None:
        """Evaluate the model after each whole epoch, and extend the history."""
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
        """Set the model, optimiser and rule to the state that the processes ended with."""
        flat: dict[str, Any] = {"lr": self.optimizer.lr}
        for block, result in zip(self.blocks, results, strict=True):
            block.load_state_dict(result["block"])
            for prefix, layer in block.leaves():
                if prefix in result["streams"]:
                    layer.set_rng_state(result["streams"][prefix])
            for inner, outer in block.keys().items():
                flat |= {
                    f"{outer}.{kind}": result["optimizer"][f"{inner}.{kind}"]
                    for kind in self.optimizer.state_names
                    if f"{inner}.{kind}" in result["optimizer"]
                }
        self.optimizer.load_state_dict(flat, finite=False)  # a run may have diverged
        if isinstance(self.rule, SyntheticGradients):
            net = self.rule.decoupled
            steps = len(results[-1]["losses"])
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
