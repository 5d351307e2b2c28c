"""The processes of all blocks: they are started, watched and ended."""

from __future__ import annotations

import math
import multiprocessing
import time
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from minigrad.arguments import diverged
from minigrad.asynchronous.place import Place, Plan, connected
from minigrad.asynchronous.presses import Presses
from minigrad.asynchronous.saving import Saver
from minigrad.asynchronous.snapshots import Snapshots
from minigrad.asynchronous.spawning import no_interrupt, pickled, without_main
from minigrad.asynchronous.worker import main
from minigrad.progress import Bar
from minigrad.rules.synthetic.blocks import Block

PATIENCE = 10.0  # seconds that Ctrl-C waits for a state of all blocks, if there is a checkpoint


class WorkerError(RuntimeError):
    """The process of a block failed or was killed. All other processes have been ended, too."""


class Team:
    """One process for each block, and the channels between neighbours.

    events  what the blocks did when, {block: array}, of those that have done all their steps
    """

    def __init__(self, snapshots: Snapshots, plan: Plan, saver: Saver | None = None):
        self.snapshots = snapshots
        self.blocks = snapshots.blocks
        self.loss = snapshots.loss
        self.rule = snapshots.rule
        self.optimizer = snapshots.optimizer
        self.history = snapshots.history
        self.plan = plan
        self.saver = saver
        self.events: dict[int, np.ndarray] = {}
        self.processes: list[Any] = []
        self.pipes: list[Connection] = []
        self._asking = False  # whether a state that was asked for has not come yet
        self._kits = [pickled(self._kit(i), block) for i, block in enumerate(self.blocks)]
        self._context = multiprocessing.get_context("spawn")
        # Kept in an attribute: their semaphores must live as long as the run.
        train = snapshots.sets[0]
        self.places = connected(self._context, self.blocks, train, min(plan.batch_size, len(train)))
        self.stop = self.places[0].stop
        self.progress = self.places[0].progress
        snapshots.started = self.places[0].started

    def _start(self) -> None:
        """Start all processes. In __init__ nothing is started: `end` must see what there is."""
        kits: list[Connection] = []
        try:
            with without_main(), no_interrupt():
                for place in self.places:
                    kits.append(self._start_one(place))
            # The kits are large. As arguments they would fill the pipe of a process that is killed
            # before it reads them, and this process would wait for ever.
            for pipe, content in zip(kits, self._kits, strict=True):
                with suppress(OSError):  # the process has ended: `work` sees it
                    pipe.send_bytes(content)
                pipe.close()
        finally:
            for pipe in kits:
                pipe.close()  # a process that waits for its kit sees that none comes

    def _start_one(self, place: Place) -> Connection:
        """Start the process of one block. Its kit goes into the pipe that this gives."""
        ours, theirs = self._context.Pipe(duplex=False)
        kit, to_process = self._context.Pipe(duplex=False)
        self.pipes.append(ours)
        process = self._context.Process(
            target=main,
            args=(place, self.plan, kit, theirs),
            daemon=True,
            name=f"minigrad {_name(self.blocks[place.number], place.number)}",
        )
        self.processes.append(process)
        try:
            process.start()
        except BaseException:
            to_process.close()
            raise
        finally:
            theirs.close()  # else the end of a process would not be seen
            kit.close()
        return to_process

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

    def work(self, bar: Bar, presses: Presses) -> None:
        """Start the processes, and wait until all have done their steps.

        It returns earlier if the loss is not finite: `history.stopped` then says so. After Ctrl-C
        it raises KeyboardInterrupt; with a checkpoint, only after a last state of all blocks.
        """
        top = len(self.blocks) - 1
        shown = 0
        until = math.inf  # when to wait no longer for the state of an interrupted run
        self._start()
        while len(self.events) <= top:
            open_pipes = [pipe for i, pipe in enumerate(self.pipes) if i not in self.events]
            ready = wait(open_pipes, timeout=0.1)
            for i, pipe in enumerate(self.pipes):
                if pipe in ready:
                    self._receive(i)
            if self.progress[top] > shown:
                bar.update(self.places[0].last_loss.value, self.progress[top] - shown)
                shown = self.progress[top]
            if self.saver is not None:
                self._save(self.saver, presses)
            if self.history.stopped is not None:
                return
            if presses.count and until == math.inf:
                asked = self.saver is not None and min(self.progress) >= 0 and self._ask()
                until = time.monotonic() + (PATIENCE if asked else 0)
            over = not self._asking or time.monotonic() > until or presses.count > 1
            if until < math.inf and over:
                raise KeyboardInterrupt

    def _receive(self, i: int) -> None:
        """Take one message of block i."""
        try:
            kind, *content = self.pipes[i].recv()
        except (EOFError, OSError):
            raise self._died(i) from None
        if kind == "error":
            message, trace = content
            raise WorkerError(
                f"{_name(self.blocks[i], i)} failed in step {self._step(i)}: {message}\n\n{trace}"
            )
        if kind == "diverged":
            step, value = content
            self.history.stopped = diverged(value, step, self.snapshots.epoch(step))
        else:
            self._keep(i, kind, content)

    def _keep(self, i: int, kind: str, content: list[Any]) -> None:
        """Keep what a message has of block i's state."""
        if kind == "state":
            step, state = content
            self.snapshots.add(step, i, state)
        elif kind == "done":
            rest, self.events[i] = content
            self.snapshots.add(self.snapshots.last, i, rest)

    def _ask(self) -> bool:
        """Ask the blocks for their states after one of the next steps."""
        if not self._asking:
            self._asking = True
            self.places[0].asked.value = 1
        return True

    def _save(self, saver: Saver, presses: Presses) -> None:
        """Put the states that are whole into the history, and into the file if that is due."""
        if saver.time_has_come():
            self._ask()
        place = self.places[0]
        for step in self.snapshots.news():
            if not self.snapshots.record(step, presses) or self.history.stopped is not None:
                return
            asked = step == place.cut.value and not place.asked.value
            if asked or saver.due(step):
                saver.write(step)
            if asked:
                self._asking = False
            self.snapshots.forget()

    def made(self) -> int:
        """How many steps the top block has made, with those before this run."""
        return self.plan.before + max(0, self.progress[len(self.blocks) - 1])

    def _step(self, i: int) -> int:
        """The step that block i is working on."""
        return self.plan.before + max(0, self.progress[i]) + 1

    def _died(self, i: int) -> WorkerError:
        self.processes[i].join(5)
        code = self.processes[i].exitcode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return WorkerError(
            f"the process of {_name(self.blocks[i], i)} ended in step {self._step(i)} ({how}) "
            "without a message; the other processes have been ended"
        )

    def end(self, presses: Presses) -> None:
        """End all processes. None is left afterwards, and no pipe is open.

        They get 5 seconds to end by themselves. Then they are terminated, and at last killed. After
        Ctrl-C the next of these ways is taken at once. Whole states that they still send are kept.
        """
        self.stop.value = 1
        for patience, how in ((5, "ask"), (2, "terminate"), (2, "kill")):
            with suppress(KeyboardInterrupt):  # where Ctrl-C is not counted
                self._end_within(patience, how, presses)
        for process in self.processes:
            if process.pid is not None:
                process.join()
        for pipe in self.pipes:
            pipe.close()

    def _end_within(self, patience: float, how: str, presses: Presses) -> None:
        alive = [p for p in self.processes if p.pid is not None and p.is_alive()]
        if how != "ask":
            for process in alive:
                getattr(process, how)()
        until = time.monotonic() + patience
        before = presses.count
        unread = dict(enumerate(self.pipes))
        while time.monotonic() < until and presses.count == before:
            # A process may be sending: it cannot end before its message has been read.
            ready = wait(list(unread.values()), timeout=0.1) if unread else []
            for i, pipe in list(unread.items()):
                if pipe not in ready:
                    continue
                try:
                    kind, *content = pipe.recv()
                except Exception:  # its end, or a message that was cut off
                    del unread[i]
                else:
                    self._keep(i, kind, content)
            if not unread:
                for process in alive:
                    process.join(0.05)
                if not any(process.is_alive() for process in alive):
                    return


def _name(block: Block, i: int) -> str:
    return f"block {i + 1} (layers {block.start} to {block.stop - 1})"
