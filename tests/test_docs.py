"""Every example of docs/design.md is one file that works: with the checker, and in a training.

The lesson's files stand for a teacher who has read that page and nothing else.
"""

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, WARNINGS_ARE_ERRORS

import minigrad as mg
from minigrad import cli, kernels, rules

pytestmark = pytest.mark.on_host
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
BLOCKS = {
    re.match(r"# (\w+\.py)\n", code)[1]: code
    for code in re.findall(r"```python\n(.*?)```", DESIGN, re.DOTALL)
}
NAMES = "docs/design.md docs/data.md docs/compare.md CONTRIBUTING.md CHANGELOG.md README.md"
NAMES += " docs/performance.md docs/build.md docs/live.md data/README.md"
PAGES = [ROOT / name for name in NAMES.split()]


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Writes an example to a file of its own in the current folder; returns it as a module."""

    def write(name):
        path = tmp_path / name
        path.write_text(BLOCKS[name], encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return write


def falls_back():
    """Whether a class that overrides `backward` loses the faster `backward_params`."""

    class Doubled(mg.Linear):
        def backward(self, dy):
            return 2 * super().backward(dy)

    layer = Doubled(2, 2, seed=0, dtype="float64")
    layer.forward(np.eye(2))
    layer.backward = lambda dy: layer.grads.update(called=True)
    layer.backward_params(np.eye(2))
    return "called" in layer.grads


needs_siblings = pytest.mark.skipif(not falls_back(), reason="no fallback to a plain sibling yet")
needs_wrapper = pytest.mark.skipif(not hasattr(rules, "Wrapper"), reason="no rules.Wrapper yet")


def data(n=60, seed=0):
    """Ten classes of eight features that a small network can learn."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 10
    centres = 2 * np.random.default_rng(99).standard_normal((10, 8))
    x = (centres[y] + 0.3 * rng.standard_normal((n, 8))).astype("float32")
    return mg.data.Dataset(x, y.astype("int64"), classes=10)


def train(net, rule=None, optimizer=None, epochs=20, **options):
    """The history of a training that must bring the loss down."""
    history = mg.fit(
        net,
        mg.CrossEntropyLoss(),
        rule or rules.Backprop(),
        optimizer or mg.SGD(net, 0.1),
        data(),
        epochs=epochs,
        batch_size=20,
        progress=False,
        **options,
    )
    assert history.train_loss[-1] < 0.8 * history.train_loss[0]
    return history


def network(*middle):
    return mg.Sequential(mg.Linear(8, 12, seed=0), *middle, mg.Linear(12, 10, seed=1))


def works_with_every_rule(make):
    """Backprop and synthetic gradients bring the loss down; forward gradients agree with it."""
    train(make())
    net = make()
    train(net, rules.SyntheticGradients(net, interfaces=[len(net.layers) - 2]), epochs=60)
    for options in ({}, {"mode": "finite-difference"}, {"perturb": "activities"}):
        for directions in (1, 8):
            net = make()
            rule = rules.ForwardGradient(directions, seed=1, **options)
            loss, one = mg.CrossEntropyLoss(), data(20)
            # along any direction the estimate's mean is the gradient: many of them agree with it
            total = {}
            for _ in range(40):
                rule.estimate(net, loss, one.x, one.y)
                for name, grad in flat(net).items():
                    total[name] = total.get(name, 0) + grad
            rules.Backprop().estimate(net, loss, one.x, one.y)
            exact = flat(net)
            a = np.concatenate([total[name].ravel() for name in exact])
            b = np.concatenate([exact[name].ravel() for name in exact])
            cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            assert cosine > 0.1, (options, directions, cosine)


def flat(net):
    return {
        prefix + name: np.asarray(grad, "float64").copy()
        for prefix, layer in net.leaves()
        for name, grad in layer.grads.items()
    }


def check(capsys, *arguments):
    status = cli.main(["check", *arguments])
    told = capsys.readouterr()
    assert status == 0, told.out + told.err
    assert "all ok" in told.out


# ------------------------------------------------------------------ one test for each example


def test_leaky_relu(example, capsys):
    module = example("leaky_relu.py")
    check(capsys, "leaky_relu.py:LeakyReLU", "--input", "4,3")
    check(capsys, "leaky_relu.py:LeakyReLU(0.2)", "--input", "4,2,3,5")
    works_with_every_rule(lambda: network(module.LeakyReLU()))


def test_scale(example, capsys):
    module = example("scale.py")
    check(capsys, "scale.py:Scale(3, 'float64')", "--input", "4,3")
    works_with_every_rule(lambda: network(module.Scale(12), mg.Tanh()))


@needs_siblings
def test_residual(example, capsys):
    module = example("residual.py")
    check(capsys, "residual.py:block", "--input", "4,3")

    def make():
        first = module.Residual(mg.Linear(8, 8, seed=3), mg.Tanh(), scale=0.1)
        return mg.Sequential(first, *network(mg.Tanh()).layers)

    works_with_every_rule(make)


def test_frozen(example):
    module = example("frozen.py")
    net = mg.Sequential(mg.Linear(8, 12, seed=0), mg.Tanh(), module.Frozen(12, 10, seed=1))
    before = net.state_dict()
    train(net)
    after = net.state_dict()
    np.testing.assert_array_equal(before["2.W"], after["2.W"])
    assert (before["0.W"] != after["0.W"]).any()


@pytest.mark.skipif(not hasattr(mg.Layer, "frozen"), reason="no attribute `frozen` yet")
def test_the_attribute_frozen():
    net = network(mg.Tanh())
    net.layers[0].frozen = True
    before = net.state_dict()
    train(net)
    np.testing.assert_array_equal(before["0.W"], net.state_dict()["0.W"])


@needs_siblings
def test_frozen_first(example):
    module = example("frozen.py")
    net = mg.Sequential(module.Frozen(8, 12, seed=0), mg.Tanh(), mg.Linear(12, 10, seed=1))
    before = net.state_dict()
    train(net)
    np.testing.assert_array_equal(before["0.W"], net.state_dict()["0.W"])


def test_gaussian_noise(example, capsys):
    module = example("gaussian_noise.py")
    check(capsys, "gaussian_noise.py:GaussianNoise", "--input", "4,3")
    check(capsys, "gaussian_noise.py:GaussianNoise", "--input", "4,3", "--eval")
    works_with_every_rule(lambda: network(module.GaussianNoise(0.1), mg.Tanh()))


def test_huber_loss(example, capsys):
    module = example("huber_loss.py")
    check(capsys, "huber_loss.py:HuberLoss", "--input", "4,3")
    x = np.array([[0.5, 3.0]])
    assert module.HuberLoss().forward(x, np.zeros((1, 2))) == pytest.approx((0.125 + 2.5) / 2)


def test_sign_gradient(example):
    module = example("sign_gradient.py")
    net = network(mg.Tanh())
    train(net, module.SignGradient(), mg.SGD(net, 0.01))
    assert {1.0, -1.0} >= {float(v) for v in np.unique(net.layers[0].grads["W"])} - {0.0}


@needs_wrapper
def test_clipped(example):
    module = example("clipped.py")
    net = network(mg.Tanh())
    rule = module.Clipped(rules.Backprop(), longest=0.01)
    one = data(20)
    rule.estimate(net, mg.CrossEntropyLoss(), one.x, one.y)
    length = np.sqrt(sum((grad**2).sum() for grad in flat(net).values()))
    assert length == pytest.approx(0.01, rel=1e-5)
    train(net, module.Clipped(rules.Backprop(), longest=1.0))
    net = network(mg.Tanh())
    inner = rules.WellTempered()
    train(net, module.Clipped(inner))
    assert inner.snr is not None  # the epoch's end has reached it


def test_rmsprop(example):
    module = example("rmsprop.py")
    net = network(mg.Tanh())
    optimizer = module.RMSProp(net, 0.01)
    train(net, optimizer=optimizer)
    other = module.RMSProp(net, 0.5)
    other.load_state_dict(optimizer.state_dict())
    assert other.lr == 0.01
    np.testing.assert_array_equal(other.state["0.W"]["square"], optimizer.state["0.W"]["square"])


def test_warm_up(example):
    module = example("warm_up.py")
    net = network(mg.Tanh())
    optimizer = mg.SGD(net, 0.1)
    schedule = module.WarmUp(optimizer, length=10)
    train(net, optimizer=optimizer, schedule=schedule)
    assert optimizer.lr == pytest.approx(0.1)
    assert schedule.factor(0) == pytest.approx(0.1)


def test_noisy(example, tmp_path):
    module = example("noisy.py")

    def fit(epochs, **options):
        net = mg.models.mlp((8, 12, 10), activation="tanh", seed=0)
        rule = module.NoisyBackprop(seed=3)
        rng = np.random.default_rng(1)
        data = mg.data.Dataset(rng.random((40, 8), dtype="float32"), rng.integers(0, 10, 40))
        loss = mg.CrossEntropyLoss()
        optimizer = mg.SGD(net, 0.1)
        return mg.fit(net, loss, rule, optimizer, data, epochs=epochs, batch_size=8, **options)

    path = tmp_path / "run.npz"
    fit(2, checkpoint=path)
    assert fit(4, checkpoint=path, resume=True).step_loss == fit(4).step_loss


def test_label_mean(example):
    module = example("label_mean.py")
    net = mg.models.mlp((8, 12, 10), activation="tanh", seed=0)
    rule = module.rule(net, 12, 10)
    train(net, rule)
    assert abs(rule.modules[0].mean).max() > 0


def test_squared_distance(example):
    name = "example_squared_distance.squared_distances"
    try:
        module = example("squared_distance.py")
        rng = np.random.default_rng(0)
        a, b = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
        fast = module.squared_distances(a, b)
        with kernels.use("plain"):
            plain = module.squared_distances(a, b)
        np.testing.assert_allclose(fast, plain, rtol=1e-12)
    finally:
        kernels.KERNELS.pop(name, None)


def test_a_lesson(tmp_path):
    (tmp_path / "99_one_weight.py").write_text(BLOCKS["99_one_weight.py"], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *WARNINGS_ARE_ERRORS, "99_one_weight.py", "--quick", "--data", "digits"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 expectations met" in done.stdout
    results = tmp_path / "results" / "99_one_weight" / "results.json"
    assert json.loads(results.read_text())["figures"] == ["loss.png"]


def test_every_example_has_a_test():
    tested = {
        name.removeprefix("test_")
        for name, item in globals().items()
        if inspect.isfunction(item) and name.startswith("test_")
    }
    assert {name.removesuffix(".py") for name in BLOCKS} - {"99_one_weight"} <= tested


# ------------------------------------------------------------------ the pages


def test_the_changelog_begins_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(.*?)\]", text, re.MULTILINE)[1] == mg.__version__


@pytest.mark.parametrize("page", PAGES, ids=NAMES.split())
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_layout_is_the_packages():
    """Every folder of the package stands in the page's table, and nothing that is not there."""
    table = DESIGN.partition("    minigrad/\n")[2].partition("    lessons/")[0]
    named = set()
    for line in table.splitlines():
        if line.startswith("      ") and line[6] != " ":
            named |= {word.rstrip("/") for word in line[6:24].split()}
    package = {path.stem for path in (ROOT / "minigrad").iterdir()}
    folders = {path.parent.name for path in (ROOT / "minigrad").glob("*/__init__.py")}
    assert folders <= named <= package
