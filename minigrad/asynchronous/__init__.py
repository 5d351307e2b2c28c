"""Training with one process for each block, by synthetic gradients or by backprop."""

from minigrad.asynchronous.run import Run, WorkerError, fit
from minigrad.asynchronous.timeline import Timeline
from minigrad.asynchronous.timetable import timetable

__all__ = ["Run", "Timeline", "WorkerError", "fit", "timetable"]
