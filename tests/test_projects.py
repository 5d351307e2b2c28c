"""The projects, end to end on real files: made by themselves, and given by a user."""

import runpy
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import ROOT
from test_known_sets import lay, sets  # noqa: F401  (a fixture)

import minigrad as mg
from minigrad import cli, data, metrics

pytestmark = pytest.mark.on_host
PROJECTS = {path.stem[3:]: path for path in sorted((ROOT / "lessons" / "projects").glob("*.py"))}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Runs a project in an empty folder; returns its variables. Without MNIST."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mg.data.mnist, "find", lambda root=None: None)

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        try:
            return runpy.run_path(str(PROJECTS[name]))
        finally:
            plt.close("all")

    return run


def is_figure(path):
    return path.suffix == ".png" and path.stat().st_size > 5000


def test_regression(project, tmp_path, capsys):
    found = project("regression")
    test = found["test"]
    best = metrics.r2(found["truth"](*test.x.T.astype("float64"))[:, None], test.y)
    assert 0.93 < found["r2"] < best < 0.99  # no network sees through the noise
    assert found["error"] < 0.25 * found["naive"]
    assert found["history"].best_epoch < found["history"].epoch[-1] < 300
    expected = found["truth"](*found["row"].astype("float64"))
    assert found["answer"] == pytest.approx(expected, abs=15)  # the noise of one house
    again, scaled = found["later"], found["scaled"]  # from the files, in other units
    np.testing.assert_array_equal(again.predict(scaled), found["net"].predict(scaled))
    assert is_figure(tmp_path / "results" / "regression" / "history.png")
    assert "no file was given" in capsys.readouterr().out


def test_regression_with_ones_own_file(project, tmp_path, capsys):
    x = np.random.default_rng(3).normal(size=(120, 2))
    rows = [f"{a:.3f},{3 * a - 2 * b + 7:.3f},{b:.3f}" for a, b in x]
    (tmp_path / "mine.csv").write_text("\n".join(["a,goal,b", *rows]))
    found = project("regression", "mine.csv", "goal")
    assert found["r2"] > 0.97
    out = capsys.readouterr().out
    assert "120 rows of mine.csv: goal from a, b" in out
    assert "made up" not in out


def test_own_digits(project, tmp_path):
    found = project("own_digits")
    assert len(found["mine"]) == 100
    assert {path.suffix for path in (tmp_path / "results").rglob("*.*g")} == {".png", ".jpg"}
    plain, shifted = (np.mean(shares) for shares in found["found"].values())
    assert 0.6 < plain < 0.8
    assert shifted > max(0.75, plain + 0.04)
    matrix = found["matrix"]
    assert np.trace(matrix) / 100 == pytest.approx(found["found"]["shifted"][0])
    assert matrix.sum(axis=1).tolist() == [10] * 10
    for name in ("confusion.png", "misread.png"):
        assert is_figure(tmp_path / "results" / "own_digits" / name)


def test_own_digits_from_ones_own_folder(project, tmp_path):
    """The test digits, four times as large, dark on white; no picture of a 9."""
    Image = pytest.importorskip("PIL.Image")
    digits = data.load("digits")[1].take(60)
    for i, (picture, label) in enumerate(zip(digits.x[:, 0], digits.y, strict=True)):
        if label < 9:
            (tmp_path / "mine" / str(label)).mkdir(parents=True, exist_ok=True)
            pixels = Image.fromarray((255 - 200 * picture.repeat(4, 0).repeat(4, 1)).astype("u1"))
            pixels.save(tmp_path / "mine" / str(label) / f"{i}.png")
    found = project("own_digits", "mine")
    assert len(found["mine"]) == (digits.y < 9).sum()
    assert min(found["found"]["shifted"]) > 0.85
    assert found["matrix"].shape == (10, 10)


def test_clothes(project, tmp_path, capsys):
    found = project("clothes")
    folder = tmp_path / "results" / "clothes"
    assert data.idx.read(folder / "t10k-images-idx3-ubyte.gz", axes=3).shape == (500, 28, 28)
    assert found["test"].names == mg.data.mnist_like.FASHION.names
    output = found["net"].predict(found["test"].x)
    assert (
        0.9 < metrics.accuracy(output, found["test"].y) < metrics.top_k(2)(output, found["test"].y)
    )
    recall = found["recall"]
    assert recall.min() > 0.7
    hardest = found["test"].names[recall.argmin()]
    line = capsys.readouterr().out.splitlines()[-5]
    assert line.startswith(hardest)
    assert f"{recall.min():.1%} found" in line
    assert is_figure(folder / "confusion.png")
    assert is_figure(folder / "clothes.png")


def test_clothes_from_the_files_of_fashion_mnist(project, sets, tmp_path):  # noqa: F811
    """Files of Fashion-MNIST's names and format, with few pictures of noise."""
    lay(tmp_path / "fashion-mnist", sets["fashion-mnist"])
    found = project("clothes", "fashion-mnist")
    assert "Fashion-MNIST, train, from" in found["train"].source
    assert found["matrix"].sum() == 10


def test_rare(project, tmp_path):
    found = project("rare")
    matrices = found["matrices"]
    accuracy = {name: np.trace(m.sum(0)) / m.sum() for name, m in matrices.items()}
    recall = {name: metrics.recall(m.sum(axis=0))[1] for name, m in matrices.items()}
    share = found["counts"].min() / found["counts"].sum()
    assert accuracy["never"] == pytest.approx(1 - share, abs=0.001)
    assert accuracy["plain"] > accuracy["never"] > 0.94  # and yet:
    assert recall["never"] == 0
    assert 0.2 < recall["plain"] < 0.5
    for name in ("weight", "balanced", "pos_weight"):
        each = [metrics.recall(m)[1] for m in matrices[name]]
        plain = [metrics.recall(m)[1] for m in matrices["plain"]]
        assert min(each) > max(plain) + 0.2  # for every seed
        assert accuracy[name] < accuracy["plain"]
        assert 0.75 < recall[name] < 0.95
    assert is_figure(tmp_path / "results" / "rare" / "confusion.png")


def test_rare_with_ones_own_file(project, tmp_path):
    """Words for answers, the rare one first in the alphabet."""
    rng = np.random.default_rng(0)
    rare = rng.random(300) < 0.1
    rows = [f"{rng.normal(3 * r):.3f},{'fault' if r else 'good'}" for r in rare]
    (tmp_path / "mine.csv").write_text("\n".join(["a,state", *rows]))
    found = project("rare", "mine.csv", "state")
    assert found["rare"] == 0
    assert metrics.recall(found["matrices"]["weight"].sum(axis=0))[1] > 0.75
    assert metrics.recall(found["matrices"]["pos_weight"].sum(axis=0))[1] > 0.75
    (tmp_path / "three.csv").write_text("a,state\n" + "1.5,x\n2.5,y\n3.5,z\n" * 4)
    with pytest.raises(SystemExit, match="state has 3 different values"):
        project("rare", "three.csv", "state")


def best_answers(words):
    """Majority vote of the remarks: no reader of such reviews can be better on average."""
    praise = "fresh warm lovely tasty kind quick superb cheap pretty perfect".split()
    complaint = "cold rude stale late salty loud dirty sour dull awful".split()
    return [sum((w in praise) - (w in complaint) for w in sentence) for sentence in words]


def test_words(project, capsys):
    found = project("words")
    net, test, numbers = found["net"], found["test"], found["numbers"]
    votes = np.array(best_answers(found["words"][found["cut"] :]))
    best = ((votes > 0) == (test.y == 1))[votes != 0].mean()
    clear = test.take(votes != 0)
    accuracy = metrics.accuracy(net.predict(clear.x), clear.y)
    assert best - 0.03 < accuracy <= best + 0.03
    assert best > 0.8
    out = capsys.readouterr().out
    assert out.endswith(
        "the gazpacho was superb: praise\na cold soup and what a rude waiter: complaint\n"
    )
    # what fills a sentence up does not count; a word that was never seen is the unknown word
    x = np.array([numbers("the soup was cold".split())])
    np.testing.assert_allclose(net.predict(x), net.predict(x[:, :4]), rtol=1e-6)
    assert numbers(["qwerty"])[:2] == [1, 0]
    assert len(numbers(["soup"] * 99)) == found["T"]
    assert np.isfinite(net.predict(0 * x)).all()


def test_the_mean_of_words_has_the_right_derivatives(project):
    """Its `backward` and `jvp` in float64, against central differences of the table."""
    MeanOfWords = project("words")["MeanOfWords"]
    rng = np.random.default_rng(0)
    layer = MeanOfWords(5, 3, dtype="float64", seed=0)
    x = np.array([[1, 2, 0, 0], [4, 4, 3, 1]])
    dy, table_dot = rng.standard_normal((2, 3)), rng.standard_normal((5, 3))
    layer.forward(x)
    layer.backward(dy)
    slope = (layer.jvp(None, {"table": table_dot}) * dy).sum()
    table, h = layer.params["table"], 1e-6
    sides = []
    for sign in (1, -1):
        layer.params["table"] = table + sign * h * table_dot
        sides.append((layer.forward(x) * dy).sum())
    assert slope == pytest.approx((sides[0] - sides[1]) / (2 * h), rel=1e-8)
    assert slope == pytest.approx((layer.grads["table"] * table_dot).sum(), rel=1e-12)


def test_words_of_ones_own_file(project, tmp_path):
    lines = ["warm\tsun and heat", "cold\tice and snow", "", "warm\tthe sun"] * 20
    (tmp_path / "mine.txt").write_text("\n".join(lines), encoding="utf-8")
    found = project("words", "mine.txt")
    assert metrics.accuracy(found["net"].predict(found["test"].x), found["test"].y) == 1
    (tmp_path / "no_tabs.txt").write_text("warm, sun\n" * 20)
    with pytest.raises(SystemExit, match=r"no_tabs.txt: 0 lines have a class, a tab"):
        project("words", "no_tabs.txt")


# ------------------------------------------------------------------ where they are found


def test_the_command_lists_and_runs_them(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["list"]) == 0
    out = capfd.readouterr().out
    for name in PROJECTS:
        assert f"\n  {name} " in out
        (chosen,) = cli.choose(name, everything=True)
        assert chosen.path == PROJECTS[name]
        with pytest.raises(ValueError, match="no lesson"):  # it has no exercises
            cli.choose(name)
    (tmp_path / "mine.txt").write_text("none")
    assert cli.main(["run", "words", "mine.txt"]) == 1
    assert "0 lines have a class" in capfd.readouterr().err
    assert len(cli.choose("all", everything=True)) == len(cli.lessons())


@pytest.mark.parametrize("path", PROJECTS.values(), ids=PROJECTS)
def test_they_have_one_form(path, project, capsys):
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert len(lines) < 95
    assert f"    python lessons/projects/{path.name} " in lines[2]
    with pytest.raises(SystemExit, match="0"):
        project(path.stem[3:], "--help")
    assert lines[0].removeprefix('"""') in capsys.readouterr().out
