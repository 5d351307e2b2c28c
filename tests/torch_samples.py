"""PyTorch's own samples: of its modules, its functions and its optimisers."""

import sys
import types
import unittest
import warnings

import pytest


def databases():
    """(module_db, op_db, optim_db). Their package imports `expecttest`, of which it uses nothing.

    It also reads the command line, and sets up loggers and seeds from it.
    """
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        if "expecttest" not in sys.modules:
            stub = types.ModuleType("expecttest")
            stub.TestCase = unittest.TestCase
            patch.setitem(sys.modules, "expecttest", stub)
        patch.setattr(sys, "argv", ["pytest"])
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
        from torch.testing._internal.common_modules import module_db
        from torch.testing._internal.common_optimizers import optim_db
    return module_db, op_db, optim_db
