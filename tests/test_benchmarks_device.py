"""`python -m tests.benchmarks --backend cupy` on the stand-in: every kind of step gets to its end.

There are no graphs here, and no PyTorch on a GPU: minigrad's own steps are measured, and counted.
"""

import json
import sys

import pytest
from benchmarks import command, options, pages, table
from benchmarks.workloads import WORKLOADS
from conftest import STANDIN

import minigrad as mg

pytestmark = pytest.mark.on_host


@pytest.fixture(autouse=True)
def standin(monkeypatch):
    """The benchmark's `device` is imported anew, with this CuPy, and is gone after the test."""
    monkeypatch.setitem(sys.modules, "cupy", STANDIN)
    monkeypatch.delitem(sys.modules, "benchmarks.device", raising=False)
    for variable in options.VARIABLES:
        monkeypatch.setenv(variable, "1")
    with mg.backend.use("cupy"):
        yield
    sys.modules.pop("benchmarks.device", None)
    sys.modules["benchmarks"].__dict__.pop("device", None)


def test_every_kind_of_step_ends_and_has_its_launches(tmp_path, monkeypatch, capsys):
    small = [work.of(batch=min(work.batch, 2)) for work in WORKLOADS]
    small = list({(str(work.net), work.rule): work for work in small}.values())
    monkeypatch.setattr(command, "WORKLOADS", small)
    path = str(tmp_path / "gpu.json")
    given = ["--backend", "cupy", "--only", " ", "--quick", "--seconds", "0", "--json", path]
    assert command.main(options.parsed(given)) == 0, capsys.readouterr()
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["name"] for row in found["rows"]] == [work.name for work in small]
    assert all(row["launches"]["minigrad"] > 5 for row in found["rows"])
    assert found["device"] == "a stand-in"
    text = pages.markdown(table.read(path))
    assert text.count("\n| ") == 1 + len(small)
    assert text.endswith("Nothing to compare with.")
    printed = capsys.readouterr()
    assert "FAILED" not in printed.out
    assert "not captured" in printed.err


def test_memory_and_growth_are_measured_on_a_device(capsys):
    with_memory = options.parsed("--backend cupy --only toy --quick".split())
    with_memory.no_memory = False
    assert command.main(with_memory) == 0
    assert "0 / -" in capsys.readouterr().out
    given = ["--backend", "cupy", "--growth", "--quick", "--only", "784-100-10: 1", "--no-capture"]
    assert command.main(options.parsed(given)) == 0
    assert "batch, 784-100-10" in capsys.readouterr().out
