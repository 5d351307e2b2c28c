"""Every block of a network in a process of its own: decoupled by synthetic gradients, or locked."""

from minigrad.asynchronous.run import Run, WorkerError, fit
from minigrad.asynchronous.timeline import Timeline

__all__ = ["Run", "Timeline", "WorkerError", "fit"]
