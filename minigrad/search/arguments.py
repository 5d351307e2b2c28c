"""The arguments of a search, checked before its first run."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from minigrad import threads
from minigrad.checks import positive_int
from minigrad.search.reuse import STALE
from minigrad.search.row import plain


def check_run(run: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """TypeError unless run(seed=..., **settings) can be called: else every run would fail."""
    call = f"run({', '.join(['seed', *settings])})"
    if not callable(run):
        raise TypeError(f"run must be a function that trains one network, {call}; got {run!r:.100}")
    try:
        signature = inspect.signature(run)
    except (TypeError, ValueError):  # a function written in C may not tell its arguments
        return
    try:
        signature.bind(seed=0, **settings)
    except TypeError as error:
        raise TypeError(
            f"run must take the seed and all settings by name, {call}; "
            f"it is run{signature}: {error}"
        ) from None


def check_file(out: Any, tag: Any, stale: Any) -> None:
    """TypeError unless `out` names a file and `tag` is text; ValueError for a wrong `stale`."""
    if not isinstance(out, str | os.PathLike):
        raise TypeError(f'out must be the path of a file, "runs.jsonl"; got {out!r:.100}')
    if not isinstance(tag, str):
        raise TypeError(f'tag must be text, such as "v2"; got {tag!r:.100}')
    if not isinstance(stale, str) or stale not in STALE:
        raise ValueError(f"stale must be one of {', '.join(map(repr, STALE))}; got {stale!r:.100}")


def checked_axes(axes: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The axes, with Python's numbers in the place of NumPy's: as a file gives them back."""
    if not isinstance(axes, Mapping) or not axes:
        raise ValueError(f'axes must be settings by name, {{"lr": [0.1, 0.01]}}; got {axes!r}')
    result = {}
    for name, values in axes.items():
        if not isinstance(name, str) or name == "seed":
            raise ValueError(f"a setting needs a name other than 'seed', got {name!r}")
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise ValueError(f"the setting {name!r} must be a list of values, got {values!r}")
        result[str(name)] = [_plain(name, value) for value in values]
        if not result[name] or len(set(result[name])) < len(result[name]):
            raise ValueError(f"the setting {name!r} needs values, each once; got {result[name]}")
    return result


def _plain(name: str, value: Any) -> Any:
    try:
        return plain(value)
    except (TypeError, ValueError):
        # `repr` fails for integers of thousands of digits, for which JSON fails, too.
        shown = "a huge integer" if isinstance(value, int) else f"{value!r:.100}"
    raise ValueError(
        f"the setting {name!r} must be finite numbers, strings, True, False or None, "
        f"got {shown}; give it a name and let `run` look it up"
    )


def checked_seeds(seeds: Iterable[int]) -> list[int]:
    """The seeds as a list of different integers."""
    if not isinstance(seeds, Iterable):
        raise ValueError(f"seeds must be a list, (0, 1, 2) or range(3); got {seeds!r}")
    seeds = [positive_int("each of the seeds", seed, least=0) for seed in seeds]
    if any(seed >= 2**128 for seed in seeds):  # JSON cannot hold integers of any size
        raise ValueError("each of the seeds must be below 2**128")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be one or more integers, each once; got {seeds}")
    return seeds


def checked_jobs(n_jobs: int | None, executor: str | None, threads_per_run: int) -> int | None:
    """How many runs at a time. None: as many as the cluster has workers."""
    if n_jobs is not None and n_jobs != -1:
        positive_int("n_jobs", n_jobs)
    if executor is None and (n_jobs == 1 or (n_jobs is None and "joblib" not in sys.modules)):
        return 1  # joblib is not imported: no joblib.parallel_config asks for more
    import joblib

    active, configured = _active(executor)
    if isinstance(active, joblib.parallel.SequentialBackend) or n_jobs == 1:
        return 1
    if isinstance(active, joblib.parallel.ThreadingBackend):
        raise ValueError(
            "the runs of a search cannot be threads of one process: its settings, the number of "
            'threads among them, are common to all; use executor="loky", which starts processes'
        )
    if not isinstance(active, joblib.parallel.LokyBackend):
        return n_jobs
    if multiprocessing.current_process().daemon:
        return 1  # such a process may start no others
    if n_jobs is None:
        n_jobs = configured or 1
    if n_jobs < 0:
        return max(1, min(threads.threads(), joblib.cpu_count()) // threads_per_run)
    if threads_per_run > 1 and n_jobs * threads_per_run > joblib.cpu_count():
        raise ValueError(
            f"{n_jobs} jobs with {threads_per_run} threads each need more than the "
            f"{joblib.cpu_count()} cores of this machine: take "
            f"n_jobs={max(1, joblib.cpu_count() // threads_per_run)}, or fewer threads_per_run"
        )
    return n_jobs


def is_loky(executor: str | None) -> bool:
    """Whether the runs are done by processes on this machine."""
    from joblib import parallel

    return isinstance(_active(executor)[0], parallel.LokyBackend)


def dask_client(executor: str | None) -> Any:
    """The client of the Dask cluster that does the runs. None if something else does them."""
    active = _active(executor)[0]
    if type(active).__name__ != "DaskDistributedBackend":
        return None
    active.effective_n_jobs(-1)  # TimeoutError, with advice, if the cluster has no workers
    return active.client


def _active(executor: str | None) -> tuple[Any, int | None]:
    """joblib's object for this executor, and the n_jobs of joblib.parallel_config."""
    import joblib
    from joblib import parallel

    known = sorted({*parallel.BACKENDS, *parallel.EXTERNAL_BACKENDS} - {"threading"})
    if executor is not None and executor not in known:
        raise ValueError(f"executor must be None or one of {known}, got {executor!r}")
    config = joblib.parallel_config(backend=executor) if executor is not None else nullcontext()
    with config:
        return parallel.get_active_backend()
