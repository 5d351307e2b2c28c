"""The command that measures rules on MNIST, on a few random images in its place."""

import json

import numpy as np
import pytest
from benchmarks import rules_on_mnist

import minigrad as mg


@pytest.fixture
def few(monkeypatch):
    def images(n, seed):
        rng = np.random.default_rng(seed)
        x = rng.random((n, 1, 28, 28), dtype=np.float32)
        return mg.data.Dataset(x, np.arange(n) % 10, classes=10)

    monkeypatch.setattr(mg.data, "load", lambda name: (images(70, 0), images(20, 1)))
    small = {"mlp": lambda s: mg.models.mlp((784, 6, 5, 10), "tanh", seed=s)}
    monkeypatch.setattr(rules_on_mnist, "MODELS", small)


@pytest.mark.on_host
def test_it_writes_every_run_and_keeps_those_that_are_there(few, tmp_path, capsys):
    file = tmp_path / "runs.json"
    asked = ["--epochs", "2", "--json", str(file)]
    rules_on_mnist.main(["--rules", ",".join(rules_on_mnist.RULES), *asked])
    runs = json.loads(file.read_text())
    assert [run["rule"] for run in runs] == list(rules_on_mnist.RULES)
    assert all(len(run["errors"]) == 2 and run["stopped"] is None for run in runs)
    runs[1]["errors"][-1] = 7.25
    file.write_text(json.dumps(runs))
    capsys.readouterr()
    rules_on_mnist.main(["--rules", "backprop,top", "--seeds", "2", *asked])
    assert [(run["rule"], run["seed"]) for run in json.loads(file.read_text())[-2:]] == [
        ("backprop", 1),
        ("top", 1),
    ]
    errors = [run["errors"][-1] for run in json.loads(file.read_text()) if run["rule"] == "top"]
    text = capsys.readouterr().out
    assert f"{np.mean(errors):.2f} ± {np.std(errors, ddof=1):.2f}" in text
    assert "1.62" in next(line for line in text.splitlines() if line.startswith("mlp     backprop"))
