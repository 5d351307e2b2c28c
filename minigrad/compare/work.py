"""The runs of a comparison are done: by processes or a cluster, each kept on disk as it ends."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from minigrad.compare.protocol import Plan
from minigrad.compare.training import carry_out
from minigrad.files import replacing
from minigrad.search.arguments import checked_jobs
from minigrad.search.record import Record
from minigrad.search.row import ENDED, key
from minigrad.search.sweep import carried_out

RUNS, ASKED, RESULTS = "runs.jsonl", "settings.json", "results.json"
SETTINGS = ["rule", "kind", "lr", "steps"]


class Work:
    """The runs in a folder: those that it has, and those that are still to do.

    total   forward-equivalents of all runs, for the bar
    n_jobs, executor, threads_per_run  as in `search.grid`
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        total: float,
        *,
        n_jobs: int | None,
        executor: str | None,
        threads_per_run: int,
        progress: bool | None,
    ):
        from tqdm import tqdm

        self.plan = plan
        self.jobs = checked_jobs(n_jobs, executor, threads_per_run)
        self.executor = executor
        self.threads_per_run = threads_per_run
        self.record = Record(folder / RUNS, SETTINGS)
        self.rows = {key(row): row for row in self.record.rows if row["status"] in ENDED}
        self.hidden = not (sys.stderr.isatty() if progress is None else progress)
        self.bar = tqdm(
            total=round(total),
            disable=self.hidden,
            unit="pass",  # a forward-equivalent
            unit_scale=True,
            smoothing=0,
            dynamic_ncols=True,
            leave=False,
        )

    def do(self, tasks: Sequence[dict[str, Any]], costs: dict[str, float]) -> list[dict[str, Any]]:
        """The rows of these runs {"settings", "seed", "tag"}, in their order.

        The longest are begun first, so that no process is alone with one at the end.
        """

        def work(task: dict[str, Any]) -> float:
            return costs[task["settings"]["rule"]] * task["settings"]["steps"]

        todo = [task for task in tasks if key(task) not in self.rows]
        todo.sort(key=work, reverse=True)
        done = sum(work(task) for task in tasks if key(task) in self.rows)
        if not self.hidden:
            self.bar.initial += round(done)  # what an earlier process did has not the speed of now
            self.bar.update(round(done))
        run = functools.partial(carry_out, self.plan)
        with closing(
            carried_out(run, todo, self.jobs, self.executor, self.threads_per_run)
        ) as rows:
            for row in rows:
                row = self.record.append(row | {"tag": ""})
                self.rows[key(row)] = row
                if not self.hidden:
                    self.bar.set_postfix_str(_words(row), refresh=False)
                    self.bar.update(round(work(row)))
        return [self.rows[key(task)] for task in tasks]

    def close(self) -> None:
        self.bar.close()
        self.record.close()


def _words(row: dict[str, Any]) -> str:
    """What came of a run, for the bar."""
    settings = row["settings"]
    accuracy = row["results"].get("validation_accuracy")
    found = row["status"] if accuracy is None else f"{100 * accuracy:.1f} %"
    return f"{settings['rule']} lr {settings['lr']:g}: {found}"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged: choose another folder, or delete this one")
    return found


def begin(folder: Path, asked: dict[str, Any], resume: bool) -> None:
    """The folder is of this comparison from here on.

    FileExistsError if it has another run and resume is False, or results without their runs;
    ValueError if that run was asked for something else; OSError if nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it is a file" if folder.exists() else error.strerror
        raise OSError(f"{folder} cannot be the folder of a comparison: {why}") from None
    path = folder / ASKED
    here = path.exists() or (folder / RUNS).exists()
    if here and not resume:
        raise FileExistsError(
            f"{folder} holds a comparison: --resume (resume=True) goes on with it, another folder "
            "begins a new one"
        )
    if path.exists():
        before = _read(path)
        changed = sorted(k for k in before.keys() | asked.keys() if before.get(k) != asked.get(k))
        if changed:
            said = "; ".join(
                f"{k} was {before.get(k)!r:.60}, now {asked.get(k)!r:.60}" for k in changed[:3]
            )
            raise ValueError(
                f"{folder} holds a comparison of something else ({said}): make the same call to go "
                "on with it, or choose another folder"
            )
        return
    if not here and (folder / RESULTS).exists():
        raise FileExistsError(
            f"{folder} has results, and not the runs that they are of: choose another folder"
        )
    try:
        with replacing(path) as file:
            file.write(json.dumps(asked, indent=1).encode())
    except OSError as error:
        raise OSError(f"nothing can be written into {folder}: {error.strerror or error}") from None
