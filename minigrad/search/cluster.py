"""The runs of a search on a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

from minigrad import backend
from minigrad.search.task import carry_out_in_a_worker, died


def carried_out(
    client: Any, run: Callable[..., Any], todo: list[dict[str, Any]], threads_per_run: int
) -> Generator[dict[str, Any], None, None]:
    """The rows of these runs, each as soon as it ends.

    Dask tries a run on another worker if its worker dies. After several workers have died of it,
    the run has failed, and the others go on.
    """
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    started = time.perf_counter()
    tasks = {}
    for task in todo:
        arguments = run, task["settings"], task["seed"], threads_per_run, backend.name()
        tasks[client.submit(carry_out_in_a_worker, *arguments, pure=False)] = task
    try:
        for future in as_completed(list(tasks)):
            task = tasks.pop(future)
            try:
                row = future.result()
            except KilledWorker:
                why = "each of the workers that were given this run ended; their logs say more"
                row = died(task, why, started, threads_per_run)
            yield row
    finally:
        client.cancel(list(tasks))
