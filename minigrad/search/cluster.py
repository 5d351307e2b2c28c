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

    Dask tries a run on another worker if its worker dies. After several workers have died, it gives
    up every run that they had been given, also those that were only waiting there. So such a run is
    tried once more, alone, when all others have ended. If workers die of it again, it has failed.
    """
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    started = time.perf_counter()

    def submit(task: dict[str, Any]) -> Any:
        arguments = run, task["settings"], task["seed"], threads_per_run, backend.name()
        return client.submit(carry_out_in_a_worker, *arguments, pure=False)

    tasks = {submit(task): task for task in todo}
    given_up = []
    try:
        for future in as_completed(list(tasks)):
            task = tasks.pop(future)
            try:
                row = future.result()
            except KilledWorker:
                given_up.append(task)
                continue
            yield row
        for task in given_up:
            future = submit(task)
            tasks[future] = task
            try:
                row = future.result()
            except KilledWorker:
                why = "each of the workers that were given this run ended; their logs say more"
                row = died(task, why, started, threads_per_run)
            del tasks[future]
            yield row
    finally:
        client.cancel(list(tasks))
