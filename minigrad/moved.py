"""Modules that have moved: their old names still work, with a warning that gives the new one."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType

MOVED = {
    "minigrad.differences": "minigrad.gradcheck.numerical",
    "minigrad.compare.statistics": "minigrad.metrics.confidence",
    "minigrad.data.downloads": "minigrad.data.known.downloads",
    "minigrad.data.idx": "minigrad.data.known.idx",
    "minigrad.data.mnist": "minigrad.data.known.mnist",
    "minigrad.idx": "minigrad.data.known.idx",
    "minigrad.layers.random_streams": "minigrad.streams",
    "minigrad.layers.windows": "minigrad.kernels.windows",
    "minigrad.layers.winograd": "minigrad.kernels.winograd",
    "minigrad.mnist": "minigrad.data.known.mnist",
    "minigrad.moments": "minigrad.rules.well_tempered.moments",
    "minigrad.parallel": "minigrad.kernels.parallel",
    "minigrad.promises": "minigrad.gradcheck.contract",
    "minigrad.report": "minigrad.gradcheck.report",
    "minigrad.rules.activities": "minigrad.rules.forward.activities",
    "minigrad.rules.blocks": "minigrad.rules.synthetic.blocks",
    "minigrad.rules.differences": "minigrad.rules.forward.finite_differences",
    "minigrad.rules.directions": "minigrad.rules.forward.directions",
    "minigrad.rules.gates": "minigrad.rules.well_tempered.gates",
    "minigrad.rules.interfaces": "minigrad.rules.synthetic.interfaces",
    "minigrad.rules.modules": "minigrad.rules.synthetic.modules",
    "minigrad.rules.signal_to_noise": "minigrad.rules.well_tempered.signal_to_noise",
    "minigrad.rules.sweeps": "minigrad.rules.synthetic.sweeps",
    "minigrad.student": "minigrad.gradcheck.command",
}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module by its old name: the same module object, with a DeprecationWarning."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in MOVED:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        warnings.warn(
            f"{spec.name} has moved to {new}; import it from there", DeprecationWarning, 2
        )
        module = importlib.import_module(new)
        self._spec = module.__spec__  # Python replaces it after this call; exec_module undoes that
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def install() -> None:
    """Let Python look for old names, after it has looked for files."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
