"""When the states of all blocks are written to the run's checkpoint."""

from __future__ import annotations

import time

from minigrad.asynchronous.snapshots import Snapshots
from minigrad.checkpoint.run import RunFile


class Saver:
    """It writes the states after some steps to the checkpoint of a run."""

    def __init__(self, snapshots: Snapshots, file: RunFile):
        self.snapshots = snapshots
        self.file = file
        self.every = file.every

    def time_has_come(self) -> bool:
        """Whether a checkpoint is due because of the time since the last one."""
        seconds = self.every.seconds
        return seconds is not None and time.monotonic() - self.every.last >= seconds

    def due(self, step: int) -> bool:
        """Whether the state after this step is to be written."""
        steps = self.snapshots.steps
        epoch = step % steps == 0 and self.every.after_epoch(step // steps)
        return step == self.snapshots.last or epoch or self.every.after_step(step)

    def write(self, step: int) -> None:
        """Put the state after this step into the model, and write it."""
        history = self.snapshots.history
        stopped = history.stopped
        self.snapshots.put_back(step)
        history.stopped = None  # what stopped a run is no part of its file: it goes on from there
        try:
            self.file.save(history, self.snapshots.position(step))
        finally:
            history.stopped = stopped

    def write_last(self) -> None:
        """Write the last state, if the run has not diverged, and if it has been evaluated."""
        snapshots = self.snapshots
        diverged = (snapshots.history.stopped or "").startswith("diverged")
        for step in snapshots.whole()[-1:]:
            if snapshots.complete and not diverged:
                self.write(step)
