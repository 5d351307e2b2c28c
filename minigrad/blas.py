"""OpenBLAS, NumPy's library for products: its threads sleep soon when there is nothing to do.

After a product these threads ask for the next one in a loop, which keeps their cores busy: for 2^26
turns of the processor's clock, some 25 ms. On a machine that does nothing else this saves the time
of waking them. Beside another process it costs a multiple: they spend their share of a core on
waiting, and then the system lets the other process go first, while a product waits for its other
half. With 2^20 turns, some 0.4 ms, they sleep by then. (With 2^18 they slept between the products
of one step, too: on an idle machine it then took 5 to 10 percent longer.)
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

from minigrad.jupyter import in_notebook

VARIABLE = "OPENBLAS_THREAD_TIMEOUT"  # OpenBLAS reads it when it is loaded
TURNS = 20  # 2^20 turns. OpenBLAS takes 4 to 30
MAPS = "/proc/self/maps"  # on Linux: the files in this process's memory


def sleep_soon() -> int:
    """Let the threads of each OpenBLAS here sleep after 2^TURNS turns. Returns how many obeyed.

    NumPy has loaded it by now. So it has to read its environment again, and to start its threads
    anew, as it does after each fork. That is left out if the user has set the variable, off Linux,
    for a BLAS of another kind, and while other threads of Python may be at a product.
    """
    if VARIABLE in os.environ or not sys.platform.startswith("linux") or not _alone():
        return 0
    os.environ[VARIABLE] = str(TURNS)  # processes that begin later have it from the start
    return sum(map(_start_anew, _libraries()))


def _alone() -> bool:
    """Whether no other thread of Python can be at a product. A notebook's own threads never are."""
    return threading.active_count() == 1 or in_notebook()


def _libraries() -> Iterator[Any]:
    """The OpenBLAS libraries of this process. Their functions are called without the GIL's release:
    no thread of Python begins a product meanwhile."""
    try:
        with open(MAPS, encoding="utf-8", errors="replace") as file:
            paths = {line.split(maxsplit=5)[-1].strip() for line in file if "openblas" in line}
    except OSError:
        return
    for path in sorted(paths):
        try:
            yield ctypes.PyDLL(path)
        except OSError:  # a file that is no library, or is gone
            continue


def _start_anew(library: Any) -> bool:
    """Whether this library has read the variable again. Its threads begin with the next product."""
    kinds = (f"{a}openblas_get_parallel{b}" for a in ("", "scipy_") for b in ("", "64_", "_64"))
    own_threads = any(hasattr(library, name) and getattr(library, name)() == 1 for name in kinds)
    needed = ("openblas_read_env", "openblas_thread_timeout", "blas_thread_shutdown_")
    if not own_threads or not all(hasattr(library, name) for name in needed):
        return False
    library.openblas_read_env()
    library.blas_thread_shutdown_()
    return True
