"""Runs a notebook in a kernel of its own, and keeps what it shows."""

from __future__ import annotations

import atexit
import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

WIDGET = "application/vnd.jupyter.widget-view+json"


class Run(NamedTuple):
    """What became of a notebook: its seconds, and why it did not run as its lesson expects."""

    seconds: float
    fault: str | None


def executed(found: Any, folder: Path, slug: str) -> Run:
    """Run the notebook in `folder`. Its outputs are kept in it, also those before an error.

    The lesson writes its results to folder/results/<slug>. They say whether what it expected was
    measured.
    """
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    class ThisPython(AsyncKernelManager):
        """The kernel is this Python, whatever the user has installed as "python3"."""

        kernel_spec = KernelSpec(**get_kernel_dict())

    started = time.perf_counter()
    client = NotebookClient(
        found,
        timeout=None,
        kernel_name="python3",
        kernel_manager_class=ThisPython,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns of its own connection
        resources={"metadata": {"path": str(folder)}},
    )
    environment = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    fault = None
    try:
        client.execute(env=environment)
    except CellExecutionError as error:
        fault = f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        fault = "its process ended"
    except RuntimeError as error:  # it ended before it could be asked anything
        fault = f"no process could be started: {error}"
        # nbclient would ask this process to end when Python does, and there is none.
        atexit.unregister(getattr(client, "_cleanup_kernel", None))  # type: ignore[arg-type]
    for cell in found.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _passing(output)]
            cell.metadata.pop("execution", None)  # times, other in each run
    return Run(time.perf_counter() - started, fault or _unmet(folder / "results" / slug))


def _passing(output: Any) -> bool:
    """Whether an output was only for the time of the run: a progress bar."""
    if output.get("output_type") == "stream":
        return output.name == "stderr" and "\r" in output.text
    return WIDGET in output.get("data", {})


def _unmet(out: Path) -> str | None:
    """What the lesson expected and did not measure, or None."""
    try:
        results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    except OSError:
        return f"it wrote no results to {out}"
    unmet = [each["name"] for each in results["expectations"] if not each["met"]]
    return f"not as expected: {', '.join(unmet)}" if unmet else None
