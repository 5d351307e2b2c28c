"""The tables of README.md and docs/performance.md are those of docs/performance.json."""

import json
import re

import pytest
from benchmarks import command, options, pages, table
from conftest import ROOT

pytestmark = pytest.mark.on_host
HEAD = {
    "minigrad": "1.2.3",
    "versions": {"python": "3.9", "numpy": "2.0"},
    "backend": "numpy",
    "device": "a machine",
    "blas": "a BLAS",
    "threads": 2,
    "repeats": 3,
    "load_before": 0.0,
    "peak_gflops": 99.6,
    "when": "2026-01-01 00:00:00",
}


def row(name, ours=2.0, counts=True):
    found = {"minigrad": [ours, 2 * ours, 3 * ours], "PyTorch plain": [4.0, 4.0, 4.0]}
    return {
        "name": name,
        "counts": counts,
        "median_ms": {"minigrad": 2 * ours, "PyTorch plain": 4.0, "JAX jit": 12.34},
        "gflops": 12.345,
        "ratios": {"PyTorch": table.ratio(*found.values())},
        "best": {"PyTorch": "PyTorch plain", "JAX": "JAX jit"},
        "memory_mib": {"minigrad": 1.4, "PyTorch": None},
    }


def point(series, value, us=1.0):
    return {"series": series, "value": value, "us": us, "gflops": 1.0, "kib": 2.0}


# ------------------------------------------------------------------ the pages


@pytest.mark.parametrize("path", pages.PAGES, ids=lambda path: path.name)
def test_a_page_has_the_tables_of_the_kept_run(path):
    """To mend it: python -m tests.benchmarks --pages docs/performance.json"""
    page = path.read_text(encoding="utf-8")
    assert page == pages.filled_in(page, table.read(pages.KEPT))


def test_every_table_of_the_kept_run_is_on_a_page():
    names = [[name for _, name, _ in pages.MARKED.findall(p.read_text())] for p in pages.PAGES]
    assert names == [["short"], ["speed", "growth", "load"]]
    found = table.read(pages.KEPT)
    assert {"rows", "growth", "load"} <= set(found)
    assert pages.KEPT.stat().st_size < 50_000


def test_the_readmes_table_says_how_far_it_holds():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"<!-- table short -->\n(.*?)<!-- end of table -->", readme, re.DOTALL)
    found = table.read(pages.KEPT)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + found["summary"]["workloads"]
    assert pages.ONLY_HERE in " ".join(text.split())
    assert f"numpy {found['versions']['numpy']}" in text
    assert f"load average before it {found['load_before']:.1f}" in " ".join(text.split())
    assert f"mean of {found['summary']['workloads']} ratios" in text


def test_a_page_keeps_what_is_not_marked_and_a_wrong_name_is_an_error():
    found = HEAD | {"rows": [row("a")], "summary": table.summary([row("a")])}
    page = "before\n<!-- table short -->\nold\n<!-- end of table -->\nafter\n"
    new = pages.filled_in(page, found)
    assert new == page.replace("old", pages.short(found))
    assert pages.filled_in(new, found) == new
    growth = page.replace("short", "growth")
    assert pages.filled_in(growth, found) == growth  # such a run has not been made
    with pytest.raises(ValueError, match="no table is called 'shrot'"):
        pages.filled_in(page.replace("short", "shrot"), found)


# ------------------------------------------------------------------ the tables


def test_the_tables_of_a_run(capsys, tmp_path):
    path = str(tmp_path / "run.json")
    record = table.Record(path, "", HEAD)
    record.keep([row("a"), row("b", 20.0, counts=False)])
    for kind, rows in (
        ("growth", [point("batch", 64), point("K", 1, 7.0), point("batch", 1)]),
        (
            "load",
            [
                {
                    "name": "c",
                    "median_ms": {"idle": 1.0, "busy": 20.0},
                    "ratio": {"median": 20.0, "low": 19.0, "high": 21.0},
                }
            ],
        ),
    ):
        table.Record(path, kind, HEAD, add=True).keep(rows)
    assert command.main(options.parser().parse_args(["--readme", path])) == 0
    short = capsys.readouterr().out
    assert "| a | 4.000 | 4.000 | 1.00 (0.50, 1.50) |" in short.splitlines()
    assert "| b |" not in short
    assert "Geometric mean of 1 ratios to PyTorch 1.00, worst 1.00 (a). Absolute times" in short
    assert command.main(options.parser().parse_args(["--markdown", path])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "| b | 40.0 | 4.000 | 10.00 (5.00, 15.00) | 12.3 | 12.3 | 1 / - |" in lines
    assert "| batch | 1 | 1.00 | - | - | 1 | 2.0 |" in lines
    assert "|  | 64 | 1.00 | - | - | 1 | 2.0 |" in lines
    assert "| K | 1 | 7.00 | - | - | 1 | 2.0 |" in lines
    assert "| c | 1.000 | 20.0 | 20.00 (19.00, 21.00) | - | - |" in lines
    assert max(len(line) for line in lines if line[:1] != "|") <= pages.WIDTH


def test_the_table_of_a_gpu_has_launches_and_captured_steps():
    one = row("a") | {"launches": {"minigrad": 51.0, "PyTorch": 16.0}}
    one["ratios"]["captured"] = {"median": 0.25, "low": 0.2, "high": 0.3}
    one["median_ms"] |= {table.CAPTURED: 0.12, table.GRAPH: 0.044}
    found = HEAD | {"backend": "cupy", "rows": [one, row("b")]}
    text = pages.speed(found | {"summary": table.summary(found["rows"])})
    cells = "4.000 | 4.000 | 1.00 (0.50, 1.50) | 51 / 16 | 12.3 | 1 / - | 0.120 | 0.25 (0.20, 0.30)"
    assert f"| a | {cells} | 0.044 |" in text.splitlines()
    assert "| b | 4.000 | 4.000 | 1.00 (0.50, 1.50) | - | 12.3 | 1 / - | - | - | - |" in text
    assert text.endswith("Geometric mean of 1 ratios of captured steps to PyTorch eager 0.25, "
                         "worst 0.25 (a).")  # fmt: skip
    assert "JAX" not in text


# ------------------------------------------------------------------ the file


def test_a_run_in_pieces_is_one_table(tmp_path):
    path = str(tmp_path / "run.json")
    table.Record(path, "", HEAD).keep([row("a"), row("b")])
    table.Record(path, "", HEAD, add=True).keep([row("b", 3.0), row("c")])
    table.Record(path, "growth", HEAD, add=True).keep([point("batch", 1)])
    table.Record(path, "growth", HEAD | {"when": "later"}, add=True).keep([point("K", 1)])
    found = table.read(path)
    assert [one["name"] for one in found["rows"]] == ["a", "b", "c"]
    assert found["rows"][1] == row("b", 3.0)
    assert found["summary"] == json.loads(json.dumps(table._short(table.summary(found["rows"]))))
    assert found["growth"]["rows"] == [point("batch", 1), point("K", 1)]
    assert found["growth"]["when"] == "later"
    assert len((tmp_path / "run.json").read_text().splitlines()) < 60
    table.Record(path, "", HEAD).keep([row("d")])  # without --add the file begins anew
    assert set(table.read(path)) == {*HEAD, "rows", "summary"}


def test_pieces_of_two_machines_are_no_table(tmp_path):
    path = str(tmp_path / "run.json")
    table.Record(path, "", HEAD).keep([row("a")])
    other = HEAD | {"threads": 1}
    with pytest.raises(ValueError, match="its threads is 2, here it is 1. Give the same --threads"):
        table.Record(path, "", other, add=True)
    table.Record(path, "growth", other, add=True)  # another table
    table.Record(path, "", other)
