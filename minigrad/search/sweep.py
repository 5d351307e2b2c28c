"""A grid search: which runs there are, which of them the file has, and who does the others."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from minigrad import backend
from minigrad.checks import positive_int, renamed
from minigrad.search import cluster, workers
from minigrad.search.arguments import (
    check_file,
    check_run,
    checked_axes,
    checked_jobs,
    checked_seeds,
    dask_client,
    is_loky,
)
from minigrad.search.fingerprint import Fingerprint
from minigrad.search.record import Record
from minigrad.search.results import LOSS, Results, why_failed
from minigrad.search.reuse import taken
from minigrad.search.row import key
from minigrad.search.task import carry_out, carry_out_in_a_worker, limited


@renamed(jobs="n_jobs", workers="executor", threads="threads_per_run")
def grid(
    run: Callable[..., Any],
    axes: Mapping[str, Sequence[Any]],
    *,
    seeds: Iterable[int] = (0,),
    out: str | Path,
    n_jobs: int | None = None,
    executor: str | None = None,
    threads_per_run: int = 1,
    tag: str = "",
    stale: str = "refuse",
    progress: bool | None = None,
) -> Results:
    """Call run(seed=seed, **settings) for every combination of settings and every seed.

    run       trains one network. It returns numbers by name, {"validation_loss": 0.3, ...}, or
              fit's History: its last and best values count, its test set as the validation set
    axes      {"lr": [0.1, 0.01], "momentum": [0, 0.9]}
    out       a file with one line of JSON for each run. The same call, made again, does only the
              runs that are not in the file, and those that failed; also after a power cut
    tag       the version of the experiment: runs in the file with another tag do not count
    stale     runs in the file that another version of `run` made (its code, or what it refers to,
              see `minigrad.search.fingerprint`): "refuse", "use" them, or "redo" them
    n_jobs    how many runs at a time. 1: in this process. -1: as many as the cores allow. None:
              what a joblib.parallel_config around the call says, else 1
    executor  who does the runs: "loky" (processes on this machine), "dask" (a cluster), or None:
              what joblib.parallel_config says, else "loky"
    threads_per_run  2 or more may change the last digits of a result; n_jobs never does
    progress  the bar. None: shown if standard error is a terminal. False: nor is it said how many
              runs were taken from the file

    A run has "diverged" if a number is not finite, and "failed" if it raised, called sys.exit, or,
    with n_jobs of 2 or more, if its process was killed or ended itself. The others go on.
    """
    axes = checked_axes(axes)
    seeds = checked_seeds(seeds)
    check_file(out, tag, stale)
    combinations = [dict(zip(axes, v, strict=True)) for v in itertools.product(*axes.values())]
    plan = [
        {"settings": settings, "seed": seed, "tag": tag}
        for settings in combinations
        for seed in seeds
    ]
    positive_int("threads_per_run", threads_per_run)
    n_jobs = checked_jobs(n_jobs, executor, threads_per_run)
    with closing(Record(out, list(axes))) as record:
        function = Fingerprint(run) if run is not None else None
        parts = function.parts if function else None
        ended = taken(plan, record.rows, parts, stale, out, quiet=progress is False)
        todo = [r for r in plan if key(r) not in ended]
        if todo:
            check_run(run, combinations[0])
        bar = _Bar(len(plan), ended, axes, progress)
        try:
            # closing: after an error here, the workers stop
            with closing(carried_out(run, todo, n_jobs, executor, threads_per_run)) as rows:
                for row in rows:
                    if function and n_jobs == 1:
                        function.refresh()
                    row = record.append(row | {"tag": tag, "fingerprint": parts})
                    ended[key(row)] = row
                    bar.update()
        except KeyboardInterrupt:
            bar.close()
            print(
                f"interrupted: {len(ended)} of {len(plan)} runs are in {out}; make the same call "
                "again for the rest",
                file=sys.stderr,
            )
            raise
        finally:
            bar.close()
    results = Results([ended[key(r)] for r in plan], axes)
    for row in results.failed:
        print(why_failed(row), file=sys.stderr)
    return results


def carried_out(
    run: Callable[..., Any],
    todo: list[dict[str, Any]],
    n_jobs: int | None,
    executor: str | None,
    threads_per_run: int,
) -> Generator[dict[str, Any], None, None]:
    """The rows of these runs, each as soon as it ends."""
    if not todo:
        return
    if n_jobs == 1:
        for r in todo:
            with limited(threads_per_run):
                row = carry_out(run, r["settings"], r["seed"])
            yield row
        return
    if n_jobs is not None and is_loky(executor):
        yield from workers.carried_out(run, todo, n_jobs, threads_per_run)
        return
    client = dask_client(executor)
    if client is not None:
        yield from cluster.carried_out(client, run, todo, threads_per_run)
        return
    import joblib

    # batch_size=1: otherwise joblib hands out short runs by the dozen, and returns them so.
    options = {"return_as": "generator_unordered", "batch_size": 1, "n_jobs": n_jobs}
    work = joblib.delayed(carry_out_in_a_worker)
    tasks = (work(run, r["settings"], r["seed"], threads_per_run, backend.name()) for r in todo)
    config: dict[str, Any] = {"backend": executor} if executor is not None else {}
    with joblib.parallel_config(**config) if config else nullcontext():
        pool = joblib.Parallel(**options)
    yield from pool(tasks)


class _Bar:
    """The progress bar: how many runs have ended, and the best combination so far."""

    def __init__(
        self,
        total: int,
        ended: dict[str, dict[str, Any]],
        axes: dict[str, list[Any]],
        show: bool | None,
    ):
        from tqdm import tqdm

        self.hidden = not (sys.stderr.isatty() if show is None else show)
        self.ended = ended
        self.axes = axes
        self.bar = tqdm(
            total=total,
            initial=len(ended),
            disable=self.hidden,
            unit="run",
            dynamic_ncols=True,
            leave=False,
        )

    def update(self) -> None:
        """One more run has ended."""
        if self.hidden:
            return
        so_far = Results(self.ended.values(), self.axes)
        try:
            metric = LOSS if LOSS in so_far.metrics else so_far.metrics[0]
            self.bar.set_postfix_str(f"best {so_far.best(metric)}", refresh=False)
        except (IndexError, ValueError):  # no run has given a number yet, or all have diverged
            pass
        self.bar.update()

    def close(self) -> None:
        self.bar.close()
