"""Whether this process is a notebook's: then its cells have no command line, and are looked at."""

from __future__ import annotations

import sys


def in_notebook() -> bool:
    """Whether the caller runs in a kernel of Jupyter (or Colab), and not only beside its libraries.

    A process that runs notebooks, as `minigrad notebooks --execute` does, imports them as well.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
