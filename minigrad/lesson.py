"""What the lesson scripts share: options, expectations, figures, results.json.

lesson = start("03_first_network", __doc__)
train, test = lesson.data()
...
lesson.expect("test accuracy", accuracy, at_least=0.93)
lesson.save(figure, "loss")
lesson.finish()
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import backend, data, printing
from minigrad.checks import positive_int
from minigrad.files import cause, replacing
from minigrad.history import History, write_json
from minigrad.train import fit


@dataclass(frozen=True)
class Expectation:
    """Something that the lesson's measurement must show, and whether it did."""

    name: str
    value: float
    bound: str
    met: bool


class Lesson:
    """One run of a lesson: its options, what it expected and measured, and its figures."""

    def __init__(self, slug: str, options: argparse.Namespace, notebook: bool = False):
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
        self._kept: list[Any] = []  # a slider or an animation dies without a reference
        self._started = time.perf_counter()

    def epochs(self, usual: int, quick: int) -> int:
        """How long to train: --epochs if given, else `quick` with --quick, else `usual`."""
        if self.options.epochs is not None:
            return self.options.epochs
        return quick if self.quick else usual

    def fit(self, *arguments: Any, by: Callable[..., Any] = fit, **options: Any) -> Any:
        """Call `mg.fit` (or `by`) with the lesson's seed.

        Ctrl-C during the training ends the lesson. It keeps what was measured so far.
        """
        result = by(*arguments, **({"seed": self.seed} | options))
        history: History = getattr(result, "history", result)
        if history.stopped is not None and history.stopped.startswith("interrupted"):
            if self.notebook:
                raise KeyboardInterrupt(history.stopped)
            history.save(self.out / "history_interrupted.json")
            self.interrupt()
            sys.exit(130)
        return result

    def interrupt(self) -> None:
        """Write what was measured so far, marked as interrupted, and say where."""
        self.write_results(interrupted=True)
        print(f"\n{self.slug}: interrupted; what was measured is in {self.out}", flush=True)

    def data(self, n_quick: int | None = None, **options: Any) -> tuple[data.Dataset, data.Dataset]:
        """(train, test) as --data asks; prints which. With --quick: the first `n_quick` of each."""
        try:
            train, test = data.load(self.options.data, **options)
        except (ValueError, OSError) as error:  # a damaged file, no network: no traceback is needed
            if self.notebook:
                raise
            sys.exit(f"{self.slug}: {error}")
        self.source = train.source
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

        A lesson with an unmet expectation goes on to its end and then exits with status 1.
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
        self.expectations.append(Expectation(name, value, bound, met))
        return met

    def record(self, name: str, value: Any) -> None:
        """Keep a number, a list or an array for results.json."""
        self.values[name] = value

    def save(self, figure: Any, name: str, keep: Any = None) -> Path:
        """Write a figure to --out as a PNG. keep: a slider or an animation that belongs to it."""
        path = self.out / f"{name}.png"
        with replacing(path) as file:
            figure.savefig(file, format="png", dpi=110)
        self.figures.append(path.name)
        self._kept.append((figure, keep))
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
            "data": self.source,
            "backend": backend.name(),
            "versions": {"python": platform.python_version(), "numpy": np.__version__},
            "seconds": seconds,
            "interrupted": interrupted,
            "expectations": [asdict(e) for e in self.expectations],
            "values": self.values,
            "figures": self.figures,
        }
        write_json(self.out / "results.json", content)
        return seconds


def options_parser(slug: str, doc: str | None) -> argparse.ArgumentParser:
    """The options that every lesson takes."""
    parser = argparse.ArgumentParser(
        prog=f"minigrad run {slug[:2]}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", choices=data.NAMES, default="auto", help="auto: MNIST if on disk, else digits")
    add("--backend", choices=backend.NAMES, help="where to compute (default: MINIGRAD_BACKEND)")
    add("--seed", type=_integer(0), default=0, help="of every random choice (default 0)")
    add("--epochs", type=_integer(1), help="passes over the data, where the lesson trains")
    add("--quick", action="store_true", help="a few seconds, for a first look")
    add("--full", action="store_true", help="the long version, where the lesson has one")
    add("--out", help="folder for figures and results.json (default results/<lesson>)")
    add("--show", action="store_true", help="open the figures in windows, some with sliders")
    return parser


def _integer(least: int) -> Any:
    def integer(text: str) -> int:
        try:
            return positive_int("value", int(text), least)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected an integer >= {least}") from error

    return integer


def start(
    slug: str, doc: str | None = None, argv: list[str] | None = None, on_host: bool = False
) -> Lesson:
    """Read the options from the command line (in a notebook: the defaults) and make the lesson.

    on_host: the lesson works in NumPy by hand. It stays on the CPU, whatever --backend says.
    """
    notebook = "ipykernel" in sys.modules
    if argv is None:
        argv = [] if notebook else sys.argv[1:]
    printing.guard()
    parser = options_parser(slug, doc)
    options = parser.parse_args(argv)
    try:
        if options.backend is not None:
            backend.use(options.backend)
        if backend.name() != "numpy" and on_host:
            print(f"{slug} works by hand, in NumPy: it stays on the CPU")
            backend.use("numpy")
    except (backend.BackendError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")
    if not (options.show or notebook):
        import matplotlib

        matplotlib.use("Agg")
    lesson = Lesson(slug, options, notebook)
    try:
        _claim(lesson.out, slug)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: argument --out: {error}\n")
    if not notebook:
        sys.excepthook = _interruptible(lesson)
    return lesson


def _claim(out: Path, slug: str) -> None:
    """Make the folder and try it before any training; it must not hold another lesson's results."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OSError(
            f"cannot write to the folder {out} ({cause(error)}); name one that you may write "
            f"to, as in --out {Path(tempfile.gettempdir()) / slug}"
        ) from error
    results = out / "results.json"
    try:
        found = str(json.loads(results.read_text(encoding="utf-8"))["lesson"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        raise ValueError(f"{results} is no lesson's; choose another folder") from None
    if found != slug:
        raise ValueError(f"{out} holds the results of {found:.50}; choose another folder")


def _show() -> None:
    """Open a window for each figure, or say that there is no screen for it."""
    import matplotlib
    import matplotlib.pyplot as plt

    if matplotlib.get_backend().lower() in ("agg", "pdf", "ps", "svg", "template"):
        print("--show: no window can be opened here (no screen, or no GUI toolkit for matplotlib)")
    else:
        plt.show()


def _interruptible(lesson: Lesson) -> Any:
    """A sys.excepthook: after Ctrl-C it writes what was measured and prints no traceback."""

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            return printing.hook(kind, error, trace)
        try:
            lesson.interrupt()
        except OSError as fault:  # Ctrl-C ends what the output is piped to, too
            printing.hook(type(fault), fault, fault.__traceback__)

    return hook
