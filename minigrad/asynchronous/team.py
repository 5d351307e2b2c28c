"""The processes of a network's blocks: started, watched, ended, and their work brought back."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import Any

from minigrad.asynchronous.channel import Channel, shared
from minigrad.asynchronous.worker import Place, Plan, main
from minigrad.data import Dataset
from minigrad.history import History
from minigrad.layers import Layer
from minigrad.losses import Loss
from minigrad.optim import Optimizer
from minigrad.rules import Rule, SyntheticGradients
from minigrad.rules.blocks import Block, input_shape_of, shapes
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
        kits = [_pickled(self._kit(i), block) for i, block in enumerate(blocks)]
        context = multiprocessing.get_context("spawn")
        places = self._kept = self._places(context, train)  # their semaphores must stay alive
        self.pipes = []
        try:
            with _without_main():
                for place, kit in zip(places, kits, strict=True):
                    ours, theirs = context.Pipe(duplex=False)
                    process = context.Process(
                        target=main,
                        args=(place, plan, kit, theirs),
                        daemon=True,
                        name=f"minigrad {_name(blocks[place.number], place.number)}",
                    )
                    process.start()
                    theirs.close()
                    self.processes.append(process)
                    self.pipes.append(ours)
        except BaseException:
            self.end()
            raise

    def _kit(self, i: int) -> dict[str, Any]:
        """What block i's process works with."""
        block, net = self.blocks[i], getattr(self.rule, "net", None)
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

    def _places(self, context: Any, train: Dataset) -> list[Place]:
        plan, L = self.plan, len(self.blocks)
        rows = min(plan.batch_size, len(train))
        input_shape = input_shape_of(self.blocks, train.x.shape[1:])
        dtype = train.x.dtype
        up, down = [], []
        for shape in shapes(self.blocks, input_shape)[:-1]:
            up.append(Channel(context, rows, shape, dtype, SLOTS))
            # Room for all that can be under way, so that no block waits to give an answer: else
            # two neighbours could wait for each other.
            down.append(Channel(context, rows, shape, dtype, SLOTS + 3))
        labels, x = shared(context, train.y), shared(context, train.x)
        self.stop, self.started = context.RawValue("b", 0), context.RawValue("d", 0.0)
        self.progress, self.last_loss = context.RawArray("q", [-1] * L), context.RawValue("d", 0.0)
        return [
            Place(
                number=i,
                of=L,
                inbox=up[i - 1] if i else None,
                outbox=up[i] if i < L - 1 else None,
                answers=down[i] if i < L - 1 else None,
                replies=down[i - 1] if i else None,
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
            history.stopped = f"interrupted after step {self.progress[L - 1]} of the top block"
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
        if getattr(self, "stop", None) is not None:
            self.stop.value = 1
        for patience, end in ((5, None), (2, "terminate"), (2, "kill")):
            for process in self.processes:
                if end is not None and process.is_alive():
                    getattr(process, end)()
            for pipe in self.pipes:  # a process may be waiting to be heard
                with suppress(EOFError, OSError):
                    while pipe.poll():
                        pipe.recv_bytes()
            for process in self.processes:
                process.join(patience)
        for pipe in self.pipes:
            pipe.close()

    def evaluate(self, history: History, train: Dataset, test: Dataset | None) -> None:
        """Extend the history by the epochs that all blocks have ended; load the last into the
        model."""
        before = self.started.value
        for epoch in sorted(self.snapshots):
            states = self.snapshots[epoch]
            if len(states) < len(self.blocks):
                break
            for i, block in enumerate(self.blocks):
                block.load_state_dict(states[i][0])
            ended = max(clock for _, _, clock in states.values())
            record(history, self.model, self.loss, epoch, train, test, ended - before)
            before = ended
            history.step_loss = states[len(self.blocks) - 1][1]

    def take_back(self, results: list[dict[str, Any]]) -> None:
        """Weights, optimiser states, modules and counts, as the processes left them."""
        flat: dict[str, Any] = {"lr": self.optimizer.lr}
        for block, result in zip(self.blocks, results, strict=True):
            block.load_state_dict(result["block"])
            for inner, outer in block.keys().items():
                flat |= {
                    f"{outer}.{kind}": result["optimizer"][f"{inner}.{kind}"]
                    for kind in self.optimizer.state_names
                    if f"{inner}.{kind}" in result["optimizer"]
                }
        self.optimizer.load_state_dict(flat)
        if isinstance(self.rule, SyntheticGradients):
            net, steps = self.rule.net, len(results[-1]["losses"])
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


def _pickled(kit: dict[str, Any], block: Block) -> bytes:
    """The kit as bytes; TypeError for what another process could not find again."""
    buffer = io.BytesIO()
    try:
        with _without_main():
            pickle.Pickler(buffer).dump(kit)
    except Exception as error:
        raise TypeError(
            f"layers {block.start} to {block.stop - 1}, or what goes with them, cannot go to "
            f"another process ({error}). Classes must stand in a module that it can import, not in "
            "the script itself, and not in a function"
        ) from error
    return buffer.getvalue()


@contextmanager
def _without_main() -> Iterator[None]:
    """While this lasts, new processes do not run the script of this one again.

    `spawn` would import it, to find what is defined there; a lesson would then begin anew in each.
    """
    import types

    original = sys.modules["__main__"]
    empty = types.ModuleType("__main__")
    empty.__spec__ = None
    sys.modules["__main__"] = empty
    try:
        yield
    finally:
        sys.modules["__main__"] = original
