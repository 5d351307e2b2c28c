"""One run of a lesson: its options, what it expected and measured, and its figures."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from minigrad import backend, data
from minigrad.files import replacing
from minigrad.history import History, write_json
from minigrad.lesson.folder import AnotherRunError, Folder
from minigrad.lesson.kept import QUICK_SECONDS, SECONDS, Kept
from minigrad.train import fit


@dataclass(frozen=True)
class Expectation:
    """Something that the lesson's measurement must show, and whether it did."""

    name: str
    value: float
    bound: str
    met: bool


def word_for(slug: str) -> str:
    """What `minigrad run` calls it: "05" for the lesson 05_first_network; a case study's name."""
    return slug[:2] if slug[:2].isdecimal() else slug


class Lesson:
    """One run of a lesson: its options, what it expected and measured, and its figures.

    run     what it was told to do, see `lesson.folder.identity`
    folder  where it keeps what it has done, so that --resume can go on. None: it keeps nothing
    """

    def __init__(
        self,
        slug: str,
        options: argparse.Namespace,
        notebook: bool = False,
        run: dict[str, Any] | None = None,
        folder: Folder | None = None,
    ):
        self.slug = slug
        self.options = options
        self.notebook = notebook
        self.quick = options.quick
        self.seed = options.seed
        self.long = options.full
        self.out = Path(options.out or Path("results") / slug)
        self.expectations: list[Expectation] = []
        self.values: dict[str, Any] = {}
        self.figures: list[str] = []
        self.source = ""
        self.run = run
        self.folder = folder
        self.program = ["minigrad", "run", word_for(slug)]  # what starts this lesson
        self.terminated = False  # by SIGTERM
        path = folder.path if folder is not None else None
        self._done = Kept(path, QUICK_SECONDS if self.quick else SECONDS)
        self._shown: list[Any] = []  # a slider or an animation dies without a reference
        self._started = time.perf_counter()
        self._worked = _processor_seconds()

    def epochs(self, usual: int, quick: int) -> int:
        """How long to train: --epochs if given, else `quick` with --quick, else `usual`."""
        if self.options.epochs is not None:
            return self.options.epochs
        return quick if self.quick else usual

    def fit(
        self,
        *arguments: Any,
        by: Callable[..., Any] = fit,
        collects: Sequence[list[Any]] = (),
        **options: Any,
    ) -> Any:
        """Call `mg.fit` (or `by`) with the lesson's seed. With --resume it goes on where it was.

        collects: the lists to which the callbacks append.
        Ctrl-C during the training ends the lesson. It keeps what was measured so far.
        """
        result = self._done.training(by, arguments, {"seed": self.seed} | options, collects)
        history: History = getattr(result, "history", result)
        if history.stopped is not None and history.stopped.startswith("interrupted"):
            if self.notebook:
                raise KeyboardInterrupt(history.stopped)
            history.save(self.out / "history_interrupted.json")
            self.interrupt()
            self.end()
        return result

    def kept(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """function(*arguments, **options). With --resume: what it returned before, if it did.

        For what takes long and is no `fit`. The arguments are numbers and text. What it returns is
        plain data: numbers, text, arrays, lists, dicts. If it draws random numbers, then from a
        generator of its own: a result that was kept draws none.
        """
        return self._done.result(function, *arguments, **options)

    def interrupt(self) -> None:
        """Write what was measured so far, marked as interrupted, and say where."""
        self.write_results(interrupted=True)
        print(f"\n{self.slug}: interrupted; what was measured is in {self.out}", flush=True)
        if self.folder is not None:
            print(f"{self.command()}   goes on", flush=True)
        elif self.quick and not self.notebook:
            print("With --quick, only a run with --resume can be gone on with", flush=True)

    def end(self) -> NoReturn:
        """End the process after an interrupt, with the status that the signal gives it."""
        if self.terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        sys.exit(130)

    def command(self) -> str:
        """The command that goes on with this run."""
        usual = {"data": "auto", "backend": None, "seed": 0, "epochs": None, "out": None}
        words = list(self.program)
        for name, default in usual.items():
            value = getattr(self.options, name)
            if value != default:
                words += [f"--{name}", str(value)]
        words += [f"--{name}" for name in ("quick", "full", "show") if getattr(self.options, name)]
        return shlex.join([*words, "--resume"])

    def data(self, n_quick: int | None = None, **options: Any) -> tuple[data.Dataset, data.Dataset]:
        """(train, test) as --data asks; prints which. With --quick: the first `n_quick` of each."""
        try:
            train, test = data.load(self.options.data, **options)
        except (ValueError, OSError) as error:  # a damaged file, no network: no traceback is needed
            if self.notebook:
                raise
            sys.exit(f"{self.slug}: {error}")
        self.source = train.source
        if self.folder is not None:
            try:
                self.folder.uses(f"{train.source}, {len(train):,} and {len(test):,} examples")
            except AnotherRunError as error:
                print(f"{self.slug}: {error}", file=sys.stderr)
                sys.exit(2)
        print(f"data: {train.source}; {len(train):,} to train on, {len(test):,} to test on")
        if self.quick and n_quick is not None:
            train = train.take(min(n_quick, len(train)))
            test = test.take(min(n_quick, len(test)))
            print(f"--quick: the first {len(train):,} and {len(test):,} of them")
        return train, test

    @property
    def mnist(self) -> bool:
        """Whether the data are MNIST's (expectations differ from the digits')."""
        return self.source.startswith("MNIST")

    def expect(
        self,
        name: str,
        value: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        equal: float | None = None,
        tolerance: float = 0.0,
    ) -> bool:
        """State what the measurement must show; returns whether it does.

        A lesson with an unmet expectation goes on to its end and then exits with status 1. In a
        notebook, where a cell may be run again, it takes the place of the one of the same name.
        """
        value = float(value)
        if equal is not None:
            bound = f"= {equal:g}" + (f" ± {tolerance:g}" if tolerance else "")
            met = abs(value - equal) <= tolerance
        else:
            bounds = [("≥", at_least), ("≤", at_most)]
            bound = " and ".join(f"{sign} {limit:g}" for sign, limit in bounds if limit is not None)
            if not bound:
                raise ValueError(f"expect({name!r}) needs at_least, at_most or equal")
            met = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        if self.notebook:
            self.expectations = [e for e in self.expectations if e.name != name]
        self.expectations.append(Expectation(name, value, bound, met))
        return met

    def record(self, name: str | Mapping[str, Any], value: Any = None) -> None:
        """Keep a number, a list or an array for results.json. Or many of them: {name: value}."""
        self.values.update(name if isinstance(name, Mapping) else {name: value})

    def save(self, figure: Any, name: str, keep: Any = None) -> Path:
        """Write a figure to --out as a PNG. keep: a slider or an animation that belongs to it."""
        path = self.out / f"{name}.png"
        with replacing(path) as file:
            figure.savefig(file, format="png", dpi=110)
        if path.name not in self.figures:
            self.figures.append(path.name)
        self._shown.append((figure, keep))
        if self.notebook:
            from IPython.display import display

            display(figure)
        if not self.options.show:
            import matplotlib.pyplot as plt

            plt.close(figure)  # else the notebook shows it again when the cell ends
        print(f"figure: {path}")
        return path

    def finish(self) -> None:
        """Write results.json and print the table of expectations; exit with 1 if one is unmet."""
        seconds = self.write_results()
        if self.folder is not None:
            self.folder.remove()
        unmet = [e for e in self.expectations if not e.met]
        width = max((len(e.name) for e in self.expectations), default=0)
        print(f"\nexpected of {self.slug}:")
        for e in self.expectations:
            verdict = "met" if e.met else "NOT MET"
            print(f"  {e.name:{width}}  {e.value:<12.6g} {e.bound:<24} {verdict}")
        if self.options.show:
            _show()
        met = f"{len(self.expectations) - len(unmet)} of {len(self.expectations)} expectations met"
        print(f"{self.slug}: {met} in {seconds:.1f} s; results in {self.out}", flush=True)
        if unmet and not self.notebook:
            sys.exit(1)

    def write_results(self, interrupted: bool = False) -> float:
        """Write results.json: the options, the expectations, what was measured. Returns seconds."""
        seconds = time.perf_counter() - self._started
        content = {
            "lesson": self.slug,
            "options": vars(self.options),
            "run": self.run,
            "data": self.source,
            "backend": backend.name(),
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
            "seconds": seconds,
            "processor_seconds": _processor_seconds() - self._worked,
            "interrupted": interrupted,
            "expectations": [asdict(e) for e in self.expectations],
            "values": self.values,
            "figures": self.figures,
        }
        write_json(self.out / "results.json", content)
        return seconds


def _processor_seconds() -> float:
    """What this process and the finished ones that it began have used, of all cores."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _show() -> None:
    """Open a window for each figure, or say that there is no screen for it."""
    import matplotlib
    import matplotlib.pyplot as plt

    if matplotlib.get_backend().lower() in ("agg", "pdf", "ps", "svg", "template"):
        print("--show: no window can be opened here (no screen, or no GUI toolkit for matplotlib)")
    else:
        plt.show()
