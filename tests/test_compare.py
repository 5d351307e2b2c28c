"""`minigrad compare`: equal conditions for all rules, sentences from numbers, and going on."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from compare_example import example

import minigrad as mg
from minigrad.cli import main
from minigrad.compare import protocol, rules, training, work
from minigrad.compare.pairs import compared
from minigrad.compare.sentences import sentences
from minigrad.kernels import products

on_host = pytest.mark.on_host
OWN = """
import minigrad as mg

class Halved(mg.rules.Backprop):
    "dW_hat = dW / 2: right in direction, half as long."
    def __init__(self, factor=0.5):
        self.factor = factor
    def estimate(self, model, loss, x, target):
        value = super().estimate(model, loss, x, target)
        for _, layer in model.leaves():
            layer.grads = {name: self.factor * grad for name, grad in layer.grads.items()}
        return value

class Silent(mg.rules.Rule):
    "Does not say what it costs."
    def __init__(self, model, seed):
        self.seed = seed
    def estimate(self, model, loss, x, target):
        return mg.rules.Backprop().estimate(model, loss, x, target)

class Broken(mg.rules.Backprop):
    def estimate(self, model, loss, x, target):
        raise RuntimeError("not yet written")
"""


def blobs(n, seed):
    """Three classes around three points, in six dimensions."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    centres = 2 * np.random.default_rng(9).standard_normal((3, 6))
    return mg.data.Dataset((centres[y] + rng.standard_normal((n, 6))).astype("float32"), y)


SETS = blobs(70, 1), blobs(40, 2)


def small(seed):
    return mg.models.mlp((6, 8, 3), seed=seed)


def comparison(names=("backprop", "forward"), **options):
    usual = {"epochs": 2, "batch_size": 16, "seeds": 2, "rates": (0.003, 0.03), "n_jobs": 1}
    return mg.compare(names, small, SETS, **(usual | options))


def without_times(value):
    """The results without what no two runs have in common: seconds, and bytes of Python's own."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in ("seconds", "peak_bytes")}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def same_form(found, expected, where=""):
    """Both have the same keys, at every depth."""
    if isinstance(expected, dict):
        by_name = where.endswith(("layers", "versions"))
        if not by_name and expected and found:
            assert set(found) == set(expected), where
        for name in set(found) & set(expected):
            same_form(found[name], expected[name], f"{where}.{name}")
    elif isinstance(expected, list) and expected and found:
        same_form(found[0], expected[0], f"{where}[0]")


def test_the_results_have_the_documented_form(tmp_path):
    names = ["backprop", "forward", "cdni"]
    results = comparison(names, out=tmp_path / "a")
    same_form(results, example())
    assert mg.compare.load(tmp_path / "a/results.json") == results
    assert [rule["status"] for rule in results["rules"]] == ["done"] * 3
    backprop = results["rules"][0]
    for point in backprop["quality"]:
        assert point["total"]["cosine"] == pytest.approx(1, abs=1e-5)
        assert point["total"]["bias2"] == pytest.approx(0, abs=1e-8)
        assert list(point["layers"]) == ["1", "3"]
    assert results["rules"][1]["quality"][0]["total"]["variance"] > 10
    for rule in results["rules"]:
        for run in rule["runs"]:
            assert run["curve"]["step"][-1] == 8
            assert run["curve"]["examples"][-1] == 2 * 63
            assert run["forward_equivalents"] == 8 * rule["cost"]
            assert run["curve"]["validation_accuracy"][-1] == run["validation_accuracy"]
    host = results["backend"] == "numpy"
    assert (backprop["summary"]["launches"] is None) == host
    assert backprop["summary"]["peak_bytes"]["mean"] > 0
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no results of a comparison"):
        mg.compare.load(tmp_path / "b.json")


@on_host
def test_every_rule_sees_the_same_weights_batches_and_budget(monkeypatch):
    seen = {}
    tested = []

    class Watched(mg.rules.Backprop):
        def __init__(self, name, cost, model, seed):
            self.cost = cost
            first = {key: p.copy() for key, p in model.params.items()}
            self.log = seen.setdefault(name, {}).setdefault(seed, [])
            self.log.append(first)
            self.calls = 0

        def __deepcopy__(self, memo):
            return mg.rules.Backprop()

        def estimate(self, model, loss, x, target):
            self.calls += 1
            self.log.append(np.array(x))
            return super().estimate(model, loss, x, target)

    def evaluate(model, loss, dataset, **options):
        tested.append(len(dataset))
        return mg.evaluate(model, loss, dataset, **options)

    monkeypatch.setattr(training, "evaluate", evaluate)
    makes = {
        "backprop": lambda model, seed: Watched("backprop", 3.0, model, seed),
        "dear": lambda model, seed: Watched("dear", 12.0, model, seed),
    }
    results = comparison(makes, rates=(0.01,))
    for seed in (0, 1):
        a, b = seen["backprop"][seed], seen["dear"][seed]
        assert a[0].keys() == b[0].keys()
        assert all(np.array_equal(a[0][key], b[0][key]) for key in a[0])
        assert len(a) == len(b) == 1 + 8
        assert all(np.array_equal(x, y) for x, y in zip(a[1:], b[1:], strict=True))
    assert not np.array_equal(seen["dear"][0][1], seen["dear"][1][1])
    assert tested.count(len(SETS[1])) == 4  # two rules, two seeds: once each
    search = [rule["search"][0] for rule in results["rules"]]
    assert [trial["steps"] for trial in search] == [3, 1]  # 8 equivalents each
    assert results["settings"]["budget"] == 8


@on_host
def test_it_trains_as_fit_does():
    nets = small(0), small(0)
    loss = mg.CrossEntropyLoss()
    adams = [mg.Adam(net, 0.01) for net in nets]
    rule = mg.rules.WellTempered(window="epoch")
    fitted = mg.rules.WellTempered(window="epoch")
    mg.fit(
        nets[0], loss, fitted, adams[0], SETS[0], epochs=2, batch_size=16, seed=3, progress=False
    )

    class Watch:
        steps, seed = 0, 3

        def step(self, value):
            self.steps += 1

    assert training.trained(nets[1], rule, loss, adams[1], SETS[0], 16, 10, Watch())
    for name, array in nets[0].params.items():
        np.testing.assert_array_equal(array, nets[1].params[name])


@on_host
def test_the_search_gives_each_rule_the_same_work():
    results = comparison(["backprop", "differences", "top-layer"], epochs=30, seeds=1)
    for rule in results["rules"]:
        work = sum(trial["forward_equivalents"] for trial in rule["search"])
        assert work == pytest.approx(results["settings"]["budget"], rel=0.03)
        assert rule["lr"] in results["settings"]["rates"]


def interrupted(after):
    """A version of `Record.append` that is interrupted after so many runs."""
    count = []
    append = work.Record.append

    def wrapped(self, row):
        found = append(self, row)
        count.append(row)
        if len(count) == after:
            raise KeyboardInterrupt
        return found

    return wrapped


@on_host
@pytest.mark.parametrize("after", [2, 6])
def test_interrupted_and_resumed_it_has_the_same_results(after, tmp_path, monkeypatch):
    whole = comparison(out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(work.Record, "append", interrupted(after))
        with pytest.raises(KeyboardInterrupt):
            comparison(out=tmp_path / "parts")
    begun = (tmp_path / "parts/runs.jsonl").read_text().splitlines()
    assert len(begun) == after
    with pytest.raises(FileExistsError, match="resume"):
        comparison(out=tmp_path / "parts")
    with pytest.raises(ValueError, match="epochs was 2, now 5"):
        comparison(out=tmp_path / "parts", resume=True, epochs=5)
    found = comparison(out=tmp_path / "parts", resume=True)
    assert without_times(found) == without_times(whole)
    again = comparison(out=tmp_path / "parts", resume=True)  # every run is there
    assert again == found
    assert (tmp_path / "parts/runs.jsonl").read_text().splitlines()[:after] == begun


@on_host
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_and_resumed_by_the_command(tmp_path):
    command = [sys.executable, "-m", "minigrad", "compare", "--rules", "backprop,forward"]
    command += ["--quick", "--epochs", "2", "--seeds", "2", "--out"]
    subprocess.run(
        [*command, tmp_path / "whole", "--processes", "2"], check=True, capture_output=True
    )
    parts = [*command, tmp_path / "parts", "--processes", "2"]
    process = subprocess.Popen(parts, stderr=subprocess.DEVNULL)
    runs = tmp_path / "parts/runs.jsonl"
    while not runs.exists() or runs.read_bytes().count(b"\n") < 2:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    again = [*command, tmp_path / "parts", "--resume", "--processes", "1"]
    subprocess.run(again, check=True, capture_output=True)
    whole, parts = (
        mg.compare.load(tmp_path / name / "results.json") for name in ("whole", "parts")
    )
    assert without_times(whole) == without_times(parts)


@on_host
def test_rules_of_ones_own(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    names = ["backprop", f"{file}:Halved", f"{file}:Silent", f"{file}:Broken"]
    results = comparison(names, rates=(0.01,))
    _, halved, silent, broken = results["rules"]
    assert [rule["status"] for rule in results["rules"]] == ["done", "done", "done", "failed"]
    assert halved["quality"][0]["total"]["efficiency"] == pytest.approx(0.5, abs=1e-4)
    assert (silent["cost"], silent["cost_from"]) == (3.0, "assumed")
    assert "not yet written" in broken["why"]
    texts = [s["text"] for s in results["sentences"] if s["about"] == "trouble"]
    assert any("Silent does not say what its step costs" in text for text in texts)
    assert any("Broken failed" in text for text in texts)
    named = comparison([f"{file}:Halved(0.25)"], rates=(0.01,), seeds=1)["rules"][0]
    assert named["repr"] == "Halved(factor=0.25)"
    with pytest.raises(ValueError, match="has no 'Missing'; it defines Halved, Silent, Broken"):
        comparison([f"{file}:Missing"])


@on_host
def test_what_cannot_train_the_network_is_left_out_and_what_diverges_is_a_result():
    class Exploding(mg.rules.Backprop):
        def estimate(self, model, loss, x, target):
            value = super().estimate(model, loss, x, target)
            for _, layer in model.leaves():
                layer.grads = {name: np.full_like(grad, 1e38) for name, grad in layer.grads.items()}
            return value

    def normed(seed):
        return mg.models.mlp((6, 8, 3), batch_norm=True, seed=seed)

    rules = {
        "backprop": "backprop",
        "activities": "activities",
        "exploding": lambda m, s: Exploding(),
    }
    options = {"epochs": 2, "batch_size": 16, "seeds": 2, "rates": (1.0, 10.0), "n_jobs": 1}
    results = mg.compare(rules, normed, SETS, optimizer="sgd", **options)
    backprop, activities, exploding = results["rules"]
    assert backprop["status"] == "done"
    assert activities["status"] == "left out"
    assert "BatchNorm1d" in activities["why"]
    assert activities["runs"] == []
    assert exploding["status"] == "diverged"
    assert exploding["why"] == "it diverged with each of the 2 learning rates"
    assert json.dumps(results, allow_nan=False)
    with pytest.raises(ValueError, match="none of these rules can train this network"):
        mg.compare(["activities"], normed, SETS, **options)


@on_host
@pytest.mark.parametrize("kind", ["equal", "different"])
def test_simulated_comparisons(kind):
    """Of equal rules a difference is named in at most 5 % of 1,000 (and 3 sd of that count)."""
    rng = np.random.default_rng(5)
    names = list("abcde")
    truth = np.zeros(5) if kind == "equal" else np.array([0, 0, -0.1, -0.1, -0.1])
    common = 0.01 * rng.standard_normal((1000, 1, 3))
    exact = 0.8 + truth[:, None] + common + 0.003 * rng.standard_normal((1000, 5, 3))
    accuracies = np.round(exact * 1000) / 1000
    wrong = found = 0
    for each in accuracies:
        by_seed = {name: dict(enumerate(row)) for name, row in zip(names, each, strict=True)}
        pairs = compared(by_seed, "a", dict.fromkeys(names, "it"), 1000)
        for pair in pairs:
            assert pair["different"] == ("falls behind" in pair["sentence"])
        wrong += any(p["different"] for p, t in zip(pairs, truth[1:], strict=True) if t == 0)
        found += sum(p["different"] for p, t in zip(pairs, truth[1:], strict=True) if t < 0)
    assert wrong <= 1000 * (0.05 + 3 * (0.05 * 0.95 / 1000) ** 0.5)
    assert kind == "equal" or found > 0.9 * 3000


@on_host
def test_sentences_of_pairs():
    titles = {"a": "backprop", "b": "dfa"}
    clear = {"a": {0: 0.95, 1: 0.96, 2: 0.94}, "b": {0: 0.93, 1: 0.939, 2: 0.921}}
    (pair,) = compared(clear, "a", titles, 10_000)
    assert pair["sentence"] == "Dfa falls behind backprop by 2.0 ± 0.2 points."
    assert (pair["difference"], pair["n"]) == (pytest.approx(0.02), 3)
    equal = {"a": {0: 0.95, 1: 0.96}, "b": {0: 0.96, 1: 0.95}}
    (pair,) = compared(equal, "a", titles, 100)
    assert pair["sentence"] == (
        "Backprop and dfa cannot be told apart by 2 seeds: their means are equal, ± 13.2 points "
        "(p = 1.00)."
    )
    near = {"a": {0: 0.95, 1: 0.96}, "b": {0: 0.95, 1: 0.95}, "c": {0: 0.96, 1: 0.96}}
    assert [pair["sentence"] for pair in compared(near, "a", titles | {"c": "ff"}, 100)] == [
        "Backprop and dfa cannot be told apart by 2 seeds: the mean of dfa is lower by 0.5 ± 7.3 "
        "points (p = 1.00, corrected for 2 comparisons).",
        "Backprop and ff cannot be told apart by 2 seeds: the mean of backprop is lower by 0.5 ± "
        "7.3 points (p = 1.00, corrected for 2 comparisons).",
    ]
    assert compared({"a": {0: 0.5}, "b": {0: 0.6}}, "a", titles, 100) == []
    assert compared({"b": {0: 0.5, 1: 0.4}}, "a", titles, 100) == []


@on_host
@pytest.mark.parametrize("name", rules.RULES)
def test_the_cost_of_a_step_is_what_its_products_cost(name, monkeypatch):
    """Multiplications in one step over those of a forward pass, in a network of equal layers.

    The dx of its first layer is computed by no rule: a sixth of what backprop's dx costs. What
    depends on the batch size, as the similarities of local losses, is not in the cost.
    """
    count = [0]

    def dot(a, b, out=None):
        count[0] += a.shape[0] * a.shape[1] * b.shape[1]
        return np.matmul(a, b, out=out)

    model = mg.models.mlp((64, 64, 64, 64, 64, 64, 10), seed=0)
    rule = rules.RULES[name].make(model, 0)
    loss = mg.CrossEntropyLoss()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 64)).astype("float32")
    y = rng.integers(0, 10, 32)

    class Counting:
        matmul = staticmethod(dot)

        def __getattr__(self, name):
            return getattr(np, name)

    monkeypatch.setattr(products, "dot", dot)
    monkeypatch.setattr(products, "np", Counting())
    model.forward(x)
    forward = count[0]
    rule.estimate(model, loss, x, y)
    steps = 3
    count[0] = 0
    for _ in range(steps):
        rule.estimate(model, loss, x, y)
    assert np.isfinite(rule.cost)
    assert count[0] / steps / forward == pytest.approx(rule.cost, rel=0.25)


@on_host
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"names": "backprop,nonsense"}, "unknown rule 'nonsense': choose some of backprop"),
        ({"names": []}, "there is no rule to compare"),
        ({"names": "backprop,backprop"}, "each rule once"),
        ({"seeds": 0}, "seeds must be an integer of at least 1"),
        ({"epochs": 0}, "epochs must be an integer of at least 1"),
        ({"rates": (0.1, -1)}, "rates must be one or more numbers > 0"),
        ({"rates": "much"}, "rates must be numbers"),
        ({"optimizer": "magic"}, "optimizer must be one of adam, sgd"),
        ({"reference": "dni"}, "the reference must be one of the rules, backprop, forward"),
        ({"n_jobs": 0}, "n_jobs must be"),
    ],
)
def test_wrong_arguments_are_errors_before_the_first_step(arguments, words):
    with pytest.raises(ValueError, match=words):
        comparison(**arguments)


@on_host
def test_the_command(tmp_path, capsys):
    out = str(tmp_path / "found")
    quick = ["compare", "--quick", "--epochs", "1", "--seeds", "1", "--processes", "1"]
    small = [*quick, "--rules", "backprop,top-layer", "--rates", "0.001,0.01"]
    assert main([*small, "--out", out]) == 0
    said = capsys.readouterr().out
    assert "the top layer alone" in said
    assert "With one seed nothing can be said about chance" in said
    results = mg.compare.load(f"{out}/results.json")
    assert results["settings"]["data"] == "digits"
    assert results["settings"]["source"] == "the embedded digits, train"
    assert main([*small, "--out", out]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*small, "--out", out, "--resume"]) == 0
    assert mg.compare.load(f"{out}/results.json") == results
    capsys.readouterr()
    assert main(["compare", "--rules", "backprop,mine"]) == 2
    assert "unknown rule 'mine': choose some of backprop, well-tempered" in capsys.readouterr().err
    assert main([*quick, "--model", "lenet5"]) == 2
    assert "unknown model 'lenet5'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    help = " ".join(capsys.readouterr().out.split())
    assert "same budget of forward-equivalents" in help


@on_host
def test_models_by_name():
    for name in ("mlp", "deep", "logistic", "lenet"):
        net = protocol.by_name(name, (1, 28, 28), 10, 16, 0)
        assert net.forward(np.zeros((2, 1, 28, 28), "float32")).shape == (2, 10)
    with pytest.raises(ValueError, match="lenet is for images"):
        protocol.by_name("lenet", (1, 8, 8), 10, 16, 0)


def history_of(**options):
    net = small(0)
    args = net, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(net, 0.1), SETS[0]
    return mg.fit(*args, epochs=3, batch_size=16, progress=False, **options)


@on_host
def test_a_history_is_drawn_against_what_it_took():
    from minigrad.plots.training import effort

    history = history_of()
    assert effort(history) == [1, 2, 3]
    assert effort(history, "steps") == [5, 10, 15]
    assert effort(history, "examples") == [70, 140, 210]
    assert effort(history, "forward-equivalents", cost=3.0) == [15, 30, 45]
    assert effort(history, "seconds") == pytest.approx(np.cumsum(history.seconds))
    assert effort(history_of(drop_last=True), "examples") == [64, 128, 192]
    fig = mg.plots.history(history, against="forward-equivalents", cost=3)
    line = fig.axes[0].lines[0]
    assert line.get_xdata().tolist() == [15, 30, 45]
    assert fig.axes[0].get_xlabel() == "forward-equivalents"
    with pytest.raises(ValueError, match="against must be one of epochs, steps"):
        mg.plots.history(history, against="time")
    with pytest.raises(ValueError, match=r"give cost=rule\.cost"):
        mg.plots.history(history, against="forward-equivalents", cost=float("nan"))
    history.settings = {}
    with pytest.raises(ValueError, match="does not say how many steps"):
        mg.plots.history(history, against="steps")


@on_host
def test_sentences_follow_from_the_numbers():
    """The made-up results of the example: what is said of them, and what when they change."""
    results = example()

    def said(about):
        return [s["text"] for s in sentences(results) if s["about"] == about]

    assert "3 seeds" in said("protocol")[0]
    assert said("trouble") == [
        "Noise on activities is left out: Convolution has no jvp of its own yet: write it, or take "
        "another rule."
    ]
    assert said("accuracy")[0].startswith("direct feedback alignment falls behind backprop by 2.0")
    assert said("cost") == [
        "Backprop reaches 90 % on the validation set after at most 600 forward-equivalents.",
        "Direct feedback alignment reaches 90 % on the validation set after at most 600 "
        "forward-equivalents, about as many as backprop.",
        "Forward gradient does not reach 90 % on the validation set within 600 "
        "forward-equivalents.",
    ]
    exact, biased, noisy = said("quality")
    assert "The estimate by backprop is the gradient, or close to it" in exact
    assert "by direct feedback alignment is biased, with little noise: bias² 0.65" in biased
    assert "by forward gradient is noisy, and no bias can be seen through the noise" in noisy
    for run in results["rules"][2]["runs"]:
        for point in run["quality"]:
            point["total"]["bias2"] = 30 + run["seed"]
    assert "forward gradient is biased and noisy" in said("quality")[2]
    results["rules"][0]["lr_at_edge"] = "highest"
    assert "Backprop has the highest learning rate that was tried" in said("trouble")[0]
    results["rules"][0].update(status="diverged", why="1 of its 3 runs diverged")
    results["pairs"] = []
    assert said("accuracy") == [
        "The rules were to be compared with backprop, which diverged: choose another one with "
        "--reference."
    ]
