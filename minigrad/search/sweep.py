"""A grid of settings, searched: which runs there are, who does them, what is done already."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from minigrad import backend
from minigrad import threads as our_threads
from minigrad.checks import positive_int
from minigrad.search.record import ENDED, Record, key
from minigrad.search.results import LOSS, Results, why_failed
from minigrad.search.task import carry_out, carry_out_in_a_worker, limited


def grid(
    run: Callable[..., Any],
    axes: Mapping[str, Sequence[Any]],
    *,
    seeds: Iterable[int] = (0,),
    out: str | Path,
    jobs: int | None = None,
    workers: str | None = None,
    threads: int = 1,
    tag: str = "",
    progress: bool | None = None,
) -> Results:
    """Do run(seed=seed, **settings) for every combination of settings and every seed.

    run       trains one network and returns numbers by name, {"validation_loss": 0.3, ...}, or
              fit's History, whose test set is the validation set: its last and its best_ values
    axes      {"lr": [0.1, 0.01], "momentum": [0, 0.9]}
    out       a file of one JSON line a run. The same call goes on where it was interrupted: runs
              in the file are not done again, unless they failed
    tag       the experiment's version: runs in the file with another tag do not count
    jobs      runs at a time; 1, the default: in this process; -1: as many as cores allow
    workers   joblib's name for who does them: "loky" (processes here), "dask" (a cluster); None:
              what joblib.parallel_config around the call says
    threads   of each run. More than one may change the last bits of results; `jobs` does not
    progress  the bar; None shows it where standard error is a terminal

    A run has "diverged" where a number is not finite, "failed" where it raised: no other stops.
    """
    axes = _checked_axes(axes)
    seeds = _checked_seeds(seeds)
    combinations = [dict(zip(axes, v, strict=True)) for v in itertools.product(*axes.values())]
    plan = [
        {"settings": settings, "seed": seed, "tag": tag}
        for settings in combinations
        for seed in seeds
    ]
    jobs = _checked_jobs(jobs, workers, positive_int("threads", threads))
    with closing(Record(out, list(axes))) as record:
        known = {key(row): row for row in record.rows}
        known = {k: row for k, row in known.items() if row["status"] in ENDED}
        ended = {key(r): known[key(r)] for r in plan if key(r) in known}
        todo = [r for r in plan if key(r) not in known]
        bar = _Bar(len(plan), ended, axes, progress)
        try:
            # closing: after an error here, no worker goes on
            with closing(_carried_out(run, todo, jobs, workers, threads)) as rows:
                for row in rows:
                    row = record.append(row | {"tag": tag})
                    ended[key(row)] = row
                    bar.update()
        except KeyboardInterrupt:
            bar.close()
            print(
                f"interrupted: {len(ended)} of {len(plan)} runs are in {out}: call it again",
                file=sys.stderr,
            )
            raise
        finally:
            bar.close()
    results = Results([ended[key(r)] for r in plan], axes)
    for row in results.failed:
        print(why_failed(row), file=sys.stderr)
    return results


def _carried_out(
    run: Callable[..., Any],
    todo: list[dict[str, Any]],
    jobs: int | None,
    workers: str | None,
    n: int,
) -> Iterator[dict[str, Any]]:
    """The rows of these runs, each as soon as it ends."""
    if not todo:
        return
    if jobs == 1:
        with limited(n):
            for r in todo:
                yield carry_out(run, r["settings"], r["seed"])
        return
    import joblib

    # batch_size: joblib would hand out, and back, short runs by the dozen.
    options = {"return_as": "generator_unordered", "batch_size": 1, "n_jobs": jobs}
    work = joblib.delayed(carry_out_in_a_worker)
    tasks = (work(run, r["settings"], r["seed"], n, backend.name()) for r in todo)
    config = {"backend": workers} if workers is not None else {}
    if _is_loky(workers):
        # Libraries other than BLAS, PyTorch's say, read their limits when a worker starts.
        config = {"backend": "loky", "inner_max_num_threads": n}
    with joblib.parallel_config(**config) if config else nullcontext():
        pool = joblib.Parallel(**options)
    yield from pool(tasks)


def _is_loky(workers: str | None) -> bool:
    """Whether processes on this machine do the work."""
    from joblib import parallel

    if workers is not None:
        return workers == "loky"
    return isinstance(parallel.get_active_backend()[0], parallel.LokyBackend)


def _checked_jobs(jobs: int | None, workers: str | None, n: int) -> int | None:
    """How many runs at a time; None: as many as the cluster has workers."""
    if jobs is None and workers is None and "joblib" not in sys.modules:
        return 1  # nobody can have asked joblib for more
    if jobs != -1 and jobs is not None:
        positive_int("jobs", jobs)
    if jobs == 1:
        return 1
    import joblib

    if not _is_loky(workers):
        return jobs
    if jobs is None:
        jobs = joblib.parallel.get_active_backend()[1] or 1
    if jobs < 0:
        return max(1, min(our_threads.threads(), joblib.cpu_count()) // n)
    if n > 1 and jobs * n > joblib.cpu_count():
        raise ValueError(
            f"{jobs} jobs with {n} threads each are more than the {joblib.cpu_count()} cores here "
            f"can do at a time: take jobs={max(1, joblib.cpu_count() // n)}, or fewer threads"
        )
    return jobs


def _checked_axes(axes: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The axes with Python's own numbers, which JSON gives back as they were."""
    if not isinstance(axes, Mapping) or not axes:
        raise ValueError(f'axes must be settings by name, {{"lr": [0.1, 0.01]}}; got {axes!r}')
    result = {}
    for name, values in axes.items():
        if not isinstance(name, str) or name == "seed":
            raise ValueError(f"a setting needs a name other than 'seed', got {name!r}")
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise ValueError(f"the setting {name!r} must be a list of values, got {values!r}")
        result[name] = [v.item() if hasattr(v, "item") else v for v in values]
        for v in result[name]:
            if not isinstance(v, str | int | float | None) or v in (math.inf, -math.inf) or v != v:
                raise ValueError(
                    f"the setting {name!r} must be finite numbers, strings, True, False or None, "
                    f"got {v!r}; give it a name and let `run` look it up"
                )
        if not result[name] or len(set(result[name])) < len(result[name]):
            raise ValueError(f"the setting {name!r} needs values, each once; got {result[name]}")
    return result


def _checked_seeds(seeds: Iterable[int]) -> list[int]:
    if not isinstance(seeds, Iterable):
        raise ValueError(f"seeds must be a list, (0, 1, 2) or range(3); got {seeds!r}")
    seeds = [positive_int("each of the seeds", seed, least=0) for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be some, each once; got {seeds}")
    return seeds


class _Bar:
    """How many runs have ended, and the best combination so far."""

    def __init__(
        self,
        total: int,
        ended: dict[str, dict[str, Any]],
        axes: dict[str, list[Any]],
        show: bool | None,
    ):
        from tqdm import tqdm

        self.hidden = not (sys.stderr.isatty() if show is None else show)
        self.ended, self.axes = ended, axes
        self.bar = tqdm(
            total=total,
            initial=len(ended),
            disable=self.hidden,
            unit="run",
            dynamic_ncols=True,
            leave=False,
        )

    def update(self) -> None:
        if self.hidden:
            return
        so_far = Results(self.ended.values(), self.axes)
        try:
            metric = LOSS if LOSS in so_far.metrics else so_far.metrics[0]
            self.bar.set_postfix_str(f"best {so_far.best(metric)}", refresh=False)
        except (IndexError, ValueError):  # nothing measured yet, or nothing that did not diverge
            pass
        self.bar.update()

    def close(self) -> None:
        self.bar.close()
