"""The benchmark beside a busy core: what it makes of the times. It leaves nothing behind."""

import subprocess
from types import SimpleNamespace

import pytest
from benchmarks import load

from minigrad import threads

pytestmark = pytest.mark.on_host


def test_rounds_alternate_and_the_other_process_ends(monkeypatch, capsys, threads_as_before):
    others, rounds, used = [], [], []
    threads.set_threads(before := 2)
    start = subprocess.Popen

    def started(*arguments):
        others.append(start(*arguments))
        return others[-1]

    def mean_of(step, seconds):
        busy = bool(others) and others[-1].poll() is None
        rounds.append(busy)
        used.append(threads.threads())
        return 3e-3 if busy else 2e-3

    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr(load, "mean_of", mean_of)
    monkeypatch.setattr(load.ours, "step", lambda work: None)
    (row,) = load.run(SimpleNamespace(only="batch 1000", repeats=2, seconds=0.01))
    assert rounds == [False, True, True, False, True, True]
    assert used == [before, before, 1, before, before, 1]
    assert threads.threads() == before
    assert [other.poll() is None for other in others] == [False, False]
    assert row["ratio"] == pytest.approx({"median": 1.5, "low": 1.5, "high": 1.5})
    assert row["ratio_one"] == row["ratio"]
    assert row["ms"] == {"idle": [2.0, 2.0], "busy": [3.0, 3.0], "busy, one thread": [3.0, 3.0]}
    assert "lesson 08, LeNet, batch 1000" in capsys.readouterr().out


def test_a_mean_counts_all_steps():
    made = []
    assert 0 < load.mean_of(lambda: made.append(1), 0.01) < 0.01
    assert len(made) > 2
    assert load.mean_of(lambda: made.append(1), 0) > 0
