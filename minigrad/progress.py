"""The progress bar of a training run."""

from __future__ import annotations

import sys
import time
import warnings
from contextlib import suppress
from typing import Any

from minigrad.history import History
from minigrad.jupyter import in_notebook


def bars(notebook: bool) -> Any:
    """tqdm's class; in a notebook the one with a widget, if widgets are installed."""
    if not notebook:
        from tqdm import tqdm

        return tqdm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are no widgets
        from tqdm.auto import tqdm as automatic

    return automatic


class Bar:
    """tqdm's progress bar with loss and speed. It is updated at most ten times a second."""

    def __init__(self, steps: int, show: bool | None, done: int = 0):
        """steps: of the whole run. done: steps of it that an earlier process has made."""
        notebook = in_notebook()  # its stderr is no terminal, but somebody looks at it
        hide = not (notebook or sys.stderr.isatty() if show is None else show)
        self.bar = bars(notebook)(
            total=steps, initial=done, disable=hide, unit="step", dynamic_ncols=True, leave=False
        )
        self.hidden = hide
        self.tail = ""  # the result of the last evaluation, as text
        self.written = 0.0  # the time of the last update
        self.pending = 0  # steps since the last update

    def update(self, value: float, steps: int = 1) -> None:
        if self.hidden:
            return
        self.pending += steps
        now = time.perf_counter()
        if now - self.written > 0.1:
            try:
                self.bar.set_postfix_str(f"loss {value:.4f}{self.tail}", refresh=False)
                self.bar.update(self.pending)
            except (OSError, ValueError):  # the terminal is gone: no reason to stop a training
                self.hidden = True
            self.written = now
            self.pending = 0

    def evaluated(self, history: History) -> None:
        for kind in ("validation", "test", "train"):
            for measured in ("accuracy", "loss"):  # the loss where accuracy has no meaning
                values = getattr(history, f"{kind}_{measured}")
                if values:
                    value = f"{kind} {measured} {values[-1]:.4f}"
                    self.tail = f", epoch {history.epoch[-1]}: {value}"
                    return

    def close(self, stopped: str | None) -> None:
        with suppress(OSError, ValueError):
            self.bar.update(self.pending)
            self.bar.close()
        if stopped:
            with suppress(OSError, ValueError):
                print(stopped, file=sys.stderr)
