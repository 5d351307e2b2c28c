"""`minigrad.compare(...)`: every rule on the same network, weights, batches and budget."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minigrad.arguments import check_flag
from minigrad.checks import positive_int
from minigrad.compare.results import save
from minigrad.compare.rules import RULES
from minigrad.data import Dataset

DEFAULT = tuple(
    name
    for name in ("backprop", "cdni", "dfa", "forward", "activities", "local", "ff")
    if name in RULES
)
RESULTS, REPORT = "results.json", "report.html"


def compare(
    rules: str | Iterable[str] | Mapping[str, Any] = DEFAULT,
    model: str | Callable[[int], Any] = "mlp",
    data: str | tuple[Dataset, Dataset] | None = None,
    *,
    epochs: int | None = None,
    seeds: int | Iterable[int] = 3,
    batch_size: int | None = None,
    optimizer: str = "adam",
    rates: Sequence[float] | None = None,
    reference: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    quick: bool = False,
    n_jobs: int | None = -1,
    executor: str | None = None,
    threads_per_run: int = 1,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Train one network by each of these rules, and say what differs. Returns the results.

    rules       names (`minigrad.compare.RULES`), FILE:NAME, or {name: function (model, seed)}
    model       "mlp", "deep", "logistic" or "lenet", FILE:NAME, or a function of the seed
    data        a name, as for `data.load`, or (train, test) with labels. None: "auto"
    epochs      of each training. None: 3, with quick 20
    seeds       how many (0, 1, ...), or a list: with each, all rules have the same first weights
                and the same batches. With one, no differences can be told
    batch_size  None: 64, with quick 32
    optimizer   "adam", or "sgd" (with momentum 0.9)
    rates       learning rates to try. None: six, on a logarithmic grid
    reference   the rule with which the others are compared. None: backprop, else the first one
    out         a folder for runs.jsonl, results.json and report.html. None: nothing is kept
    resume      go on with the comparison in that folder; begin if there is none. The results are
                those of an unbroken one
    quick       the embedded digits, and a small network: in less than a minute
    n_jobs, executor, threads_per_run
                who does the runs, as in `search.grid`. n_jobs=-1: a process for each core
    progress    the bar. None: shown if standard error is a terminal

    A rule's learning rate is the best on a validation part of the training set. Each rule has as
    many forward-equivalents for this search. (A step of backprop costs 3, see `Rule.cost`.) Then it
    trains with each seed, its estimate is compared with the true gradient on the way, and the test
    set is used once, at the end. See `minigrad.compare.results` for what is returned.
    """
    # Search and processes are imported here: the command that lists the lessons needs neither.
    from minigrad.compare import planning, running, work

    plan = planning.planned(
        rules, model, data, epochs, seeds, batch_size, optimizer, rates, reference, quick
    )
    check_flag("resume", resume)
    positive_int("threads_per_run", threads_per_run)
    subjects = planning.examined(plan)
    options: dict[str, Any] = {
        "n_jobs": n_jobs,
        "executor": executor,
        "threads_per_run": threads_per_run,
        "progress": progress,
    }
    if out is None:
        with tempfile.TemporaryDirectory(prefix="minigrad-compare-") as temporary:
            return running.carried_out(plan, subjects, Path(temporary), options)
    folder = Path(out)
    work.begin(folder, planning.asked(plan), resume)
    results = running.carried_out(plan, subjects, folder, options)
    save(results, folder / RESULTS)
    write_report(results, folder / REPORT)
    return results


def write_report(results: dict[str, Any], path: str | Path) -> bool:
    """Write the report. False, and a sentence on standard error, if this minigrad cannot."""
    try:
        report = importlib.import_module("minigrad.compare.report")
    except ImportError as error:
        print(f"no report was written: {error}", file=sys.stderr)
        return False
    report.write(results, path)
    return True
