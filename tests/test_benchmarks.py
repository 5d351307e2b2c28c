"""The benchmarks: FLOPs against a hand count, what is done with the times, and one short run."""

import contextlib
import json
import math
import os
import subprocess
import sys

import pytest
from benchmarks import command, nets, options, pages, table, timing
from benchmarks.workloads import WORKLOADS
from conftest import ROOT

pytestmark = pytest.mark.on_host


def test_flops_are_those_of_a_count_by_hand():
    assert nets.products(nets.SMALL, (784,)) == [2 * 784 * 100, 2 * 100 * 10]
    # 24 x 24 windows of 25 pixels for 20 kernels, 8 x 8 of 20 x 25 for 50
    convolutions = [2 * 24 * 24 * 25 * 20, 2 * 8 * 8 * 500 * 50]
    assert nets.products(nets.LENET, (1, 28, 28)) == [*convolutions, 2 * 800 * 500, 2 * 500 * 10]
    first, second = 2 * 784 * 100, 2 * 100 * 10
    assert nets.flops(nets.SMALL, (784,), 10, "backprop") == 10 * (2 * first + 3 * second)
    assert nets.flops(nets.SMALL, (784,), 10, "forward") == 10 * (2 * first + 3 * second)
    assert nets.flops(nets.SMALL, (784,), 10, "forward", 4) == 10 * (5 * first + 9 * second)
    modules = 2 * 2 * 110 * 100  # (h, label) 110 to 100: the product, and dW
    assert nets.flops(nets.SMALL, (784,), 10, "cdni") == 10 * (2 * first + 3 * second + modules)


def test_shapes_fit_from_part_to_part():
    for work in WORKLOADS:
        shape = work.shape
        for part, after in nets.shapes(work.net, shape):
            if part[0] in ("linear", "conv"):
                assert part[1] == shape[0], (work.name, part)
            shape = after
        assert shape in ((10,), (1,))
    assert len({work.name for work in WORKLOADS}) == len(WORKLOADS)
    assert sum(work.counts for work in WORKLOADS) == 11


def test_blocks_alternate_and_the_slow_way_of_a_library_is_dropped():
    calls, prepared = [], []

    class Step:
        def __init__(self, name):
            self.name = name

        @contextlib.contextmanager
        def within(self):
            prepared.append(self.name)
            yield

        def __call__(self):
            calls.append(self.name)

    names = ["minigrad", "PyTorch plain", "PyTorch fused"]
    seconds = {"minigrad": 2.0, "PyTorch plain": 9.0, "PyTorch fused": 3.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "block", lambda step, n, sync: (step(), seconds[step.name])[1])
        found = timing.measure({name: Step(name) for name in names}, 4, 1.0)
    assert {name: len(times) for name, times in found.items()} == dict(
        zip(names, (4, 2, 4), strict=True)
    )
    assert timing.best_of(found, "PyTorch") == "PyTorch fused"
    assert timing.best_of(found, "JAX") is None
    assert prepared[3:] == [*names, *names, *(2 * ["minigrad", "PyTorch fused"])]
    assert timing.ratio([2.0, 4.0, 3.0], [4.0, 4.0, 4.0]) == {"median": 0.75, "low": 0.5, "high": 1}


def test_the_mean_is_geometric_and_counts_what_counts():
    def row(name, ratio, counts=True):
        return {"name": name, "counts": counts, "ratios": {"PyTorch": {"median": ratio}}}

    rows = [
        row("a", 0.5),
        row("b", 2.0),
        row("c", 9.0, counts=False),
        {"name": "d", "counts": True, "ratios": {}},
    ]
    found = table.summary(rows)
    assert math.isclose(found["geometric_mean"], 1.0)
    assert found["worst"] == {"name": "b", "ratio": 2.0}
    assert found["workloads"] == 2
    assert table.summary([]) == {}


def test_a_short_run_from_end_to_end(tmp_path):
    """The smallest workload, beside PyTorch; and what the JSON has."""
    pytest.importorskip("torch")
    path = tmp_path / "found.json"
    arguments = [sys.executable, "-m", "tests.benchmarks", "--quick", "--only", "toy", "--sketch"]
    arguments += ["--threads", "2", "--json", str(path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        arguments,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "geometric mean of 1 ratios" in done.stdout
    found = json.loads(path.read_text())
    assert set(found) == {
        *("minigrad", "versions", "backend", "device", "blas", "threads", "repeats"),
        *("load_before", "peak_gflops", "when", "rows", "summary"),
    }
    assert found["threads"] == 2
    assert {"python", "numpy", "torch"} <= set(found["versions"])
    (row,) = found["rows"]
    assert row["name"] == "toy 3-2-1, one sample"
    assert row["flops"] == 2 * (2 * 3 * 2) + 3 * (2 * 2 * 1)
    assert len(row["blocks_ms"]["minigrad"]) == 2
    assert {"PyTorch", "sketch"} <= set(row["ratios"])
    assert row["ratios"]["PyTorch"]["low"] <= row["ratios"]["PyTorch"]["median"]
    assert row["disagreement"] < 1e-5
    assert {"PyTorch plain", "PyTorch fused, 1 thread"} <= set(row["blocks_ms"])
    assert found["summary"]["worst"]["name"] == row["name"]
    page = pages.markdown(table.read(path)).splitlines()
    assert f"minigrad {found['minigrad']}, python {found['versions']['python']}" in page[0]
    (cells,) = (line.split("|")[1:-1] for line in page if line.startswith("| toy"))
    assert float(cells[1]) == pytest.approx(row["median_ms"]["minigrad"], abs=6e-4)
    assert cells[3].split()[0] == f"{row['ratios']['PyTorch']['median']:.2f}"
    columns = next(line for line in page if line.startswith("| workload"))
    assert len(cells) == columns.count("|") - 1
    assert page[-1].startswith("Geometric mean of 1 ratios to PyTorch")


def test_wrong_options_end_with_a_sentence(capsys, monkeypatch):
    for variable in options.VARIABLES:
        monkeypatch.setenv(variable, "1")  # as it was, after the test
    with pytest.raises(SystemExit, match="must be 1 or more"):
        options.parsed(["--threads", "0"])
    assert command.main(options.parsed(["--only", "no such", "--threads", "1"])) == 2
    assert "no workload has 'no such' in its name" in capsys.readouterr().err


def test_a_peer_that_fails_is_left_out_and_one_that_computes_something_else_is_an_error(capsys):
    def broken():
        raise RuntimeError("not implemented")

    steps = {"minigrad": lambda: 2.0, "PyTorch plain": broken, "PyTorch fused": lambda: 2.00001}
    assert 0 < command.disagreement(steps, WORKLOADS[0]) < 1e-4
    assert list(steps) == ["minigrad", "PyTorch fused"]
    assert "without PyTorch plain: RuntimeError" in capsys.readouterr().err
    steps["JAX jit"] = lambda: 3.0
    with pytest.raises(ValueError, match="do not compute the same"):
        command.disagreement(steps, WORKLOADS[0])
