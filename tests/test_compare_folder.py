"""What a comparison refuses before its first step: folders, and networks that do not fit."""

import numpy as np
import pytest
from compare_example import example

import minigrad as mg
from minigrad.compare import command, figures, report, work

pytestmark = pytest.mark.on_host
X = np.zeros((30, 6), "float32")
SETS = mg.data.Dataset(X, np.arange(30) % 3), mg.data.Dataset(X, np.arange(30) % 3)


@pytest.mark.parametrize("resume", [False, True])
def test_results_without_their_runs_are_kept(tmp_path, resume):
    (tmp_path / "results.json").write_text('{"format": "minigrad compare 0"}')
    with pytest.raises(FileExistsError, match="has results, and not the runs"):
        work.begin(tmp_path, {}, resume)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "it").write_text("")
    with pytest.raises(OSError, match="cannot be the folder of a comparison: it is a file"):
        work.begin(tmp_path / "it", {}, False)


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(work, "replacing", full)
    with pytest.raises(OSError, match="nothing can be written into .*: No space left"):
        work.begin(tmp_path, {}, False)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((5, 3), r"cannot take these examples, each of shape \(6,\): .*5"),
        ((6, 2), r"must give 3 numbers for each example, .* it gives the shape \(2, 2\)"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_before_the_first_step(sizes, words):
    with pytest.raises(ValueError, match=words):
        mg.compare(["backprop"], lambda seed: mg.models.mlp(sizes, seed=seed), SETS, n_jobs=1)


def test_numbers_of_some_of_the_runs_say_so(monkeypatch):
    monkeypatch.setattr(report, "_drawn", lambda results: [])
    results = example()
    rule = results["rules"][1]
    rule["status"] = rule["runs"][0]["status"] = "diverged"
    rule["summary"]["test_accuracy"]["n"] = 2
    said = "diverged; 2 of 3 runs ended well"
    assert said in report.html(results)
    assert said in command.said(results)


def test_a_rate_is_drawn_by_what_it_is_chosen_by():
    """The accuracy. A rate with which the rule diverged has no point."""
    results = example()
    text = figures.rates(results)
    assert "validation accuracy (%)" in text
    results["rules"][0]["search"][0] |= {"status": "diverged", "validation_accuracy": None}
    results["rules"][0]["search"][0] |= {"validation_loss": None}
    assert figures.rates(results).count("<use") == text.count("<use") - 1


def test_long_names_and_many_rules_have_room():
    results = example()
    rule = results["rules"][0]
    results["rules"] = [rule | {"name": f"{i} {'long' * 20}"} for i in range(30)]
    text = figures.accuracies(results)
    assert "29 longlonglong…" in text
    assert "longlonglonglong" not in text
    width, height = (float(n) for n in text.split('viewBox="0 0 ')[1].split('"')[0].split())
    assert height > 30 * 11 * 1.3
    assert width == pytest.approx(72 * figures.SIZE[0], abs=1)


def test_one_rule_is_one(monkeypatch):
    monkeypatch.setattr(report, "_drawn", lambda results: [])
    results = example() | {"pairs": []}
    results["rules"] = results["rules"][:1]
    results["settings"]["epochs"] = 1
    text = report.html(results)
    assert "<h1>One learning rule</h1>" in text
    assert "1 epoch," in text
