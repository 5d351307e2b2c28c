"""Figures: each function returns its figure, shows nothing, and leaves matplotlib as it was."""

import numpy as np
import pytest

from minigrad import plots
from minigrad.asynchronous import Timeline

pytestmark = pytest.mark.on_host
mpl = pytest.importorskip("matplotlib")
x = np.linspace(0.1, 1, 5)
row = np.array([1.0, 2.0, 0.5])

FIGURES = {
    "curves": lambda: plots.curves({"backprop": (x, x), "b": (x, 2 * x)}, "t", floors={"f": 0.05}),
    "curves linear": lambda: plots.curves({"a": (x, -x)}, "t", log=False),
    "stacked": lambda: plots.stacked({"loss": {"a": (x, x)}, "n": {"b": (x, x)}}, "t"),
    "class_bars": lambda: plots.class_bars({"a": [0.5, 0.0], "b": [1.0, 0.2]}, "t"),
    "proportional": lambda: plots.proportional(np.array([row, 2 * row]), row, "t"),
    "network": lambda: plots.network(
        [row, row[:2]], [None, row[:2]], [np.ones((3, 2))], [np.ones((3, 2))], ["x", "h"], "t"
    ),
    "on_a_curve": lambda: plots.on_a_curve(lambda x: x**2, {"a": [1, -0.9, 0.8]}, "t"),
    "by_step": lambda: plots.by_step({"sgd": [1, 0.5], "adam": [1, 0.2]}, "t"),
    "over_contours": lambda: plots.over_contours(
        lambda x, y: x**2 + 9 * y**2, {"SGD": np.array([[1, 1], [0.5, 0]])}, "t", (-1, 1), (-1, 1)
    ),
    "digits": lambda: plots.digits(np.zeros((7, 1, 8, 8)), list("abcdefg"), "t"),
    "digits none": lambda: plots.digits(np.zeros((0, 1, 8, 8)), [], "t"),
    "feature_maps": lambda: plots.feature_maps(
        np.ones((1, 1, 8, 8)), np.ones((3, 3, 3)), np.zeros((3, 6, 6)), "t", columns=2
    ),
    "feature_maps with words": lambda: plots.feature_maps(
        np.eye(8), np.ones((2, 3, 3)), -np.ones((2, 6, 6)), "t", captions=["a", "b"], numbers=True
    ),
    "gradients": lambda: plots.gradients(
        {"true": np.ones((3, 4, 4)), "synthetic": np.zeros((3, 4, 4))}, "t", xlabel="unit"
    ),
    "gradients wide": lambda: plots.gradients({"all zero": np.zeros((1, 10, 100))}, "t"),
    "beside": lambda: plots.beside({"a": {"u": (x, x)}, "b": {"u": (x, 2 * x)}}, "t", "loss"),
    "timelines": lambda: plots.timelines(
        {"a": Timeline([np.array([[0, 1, 0, 1, 1.0], [1, 1, 2, 3, 1]]), np.empty((0, 5))])}, "t"
    ),
    "bands": lambda: plots.bands(
        {"loss": {"plain": [x, 2 * x]}, "acc": {"a": [x], "b": [x]}}, x, "t", "epoch"
    ),
    "histograms": lambda: plots.histograms(
        {"a": x, "b": [9.0]}, [0, 0.5, 1], "t", "snr", expected=("noise", [0.5, 0.5])
    ),
    "step_slider": lambda: plots.step_slider(lambda x: x**2, lambda a: [1, 1 - 2 * a])[0],
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_returned_and_settings_left_alone(name, tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: pytest.fail("a plot function showed itself"))
    before = dict(mpl.rcParams)
    figure = FIGURES[name]()
    assert dict(mpl.rcParams) == before
    assert isinstance(figure, mpl.figure.Figure)
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 500
    if name != "digits none":
        axes = [ax for ax in figure.axes if ax.axison and ax.get_xlabel()]
        sizes = [ax.xaxis.label.get_size() for ax in axes]
        assert all(size >= 14 for size in sizes)
    plt.close(figure)


def test_every_figure_function_is_tested():
    functions = {name for name in plots.__all__ if name not in ("COLOURS", "colour", "styled")}
    assert functions == {name.split()[0] for name in FIGURES}


def test_maps_of_one_figure_stand_below_their_kernels_and_white_is_zero():
    import matplotlib.pyplot as plt

    rng = np.random.default_rng(0)
    kernels, maps = rng.standard_normal((5, 3, 3)), rng.standard_normal((5, 6, 6))
    figure = plots.feature_maps(np.eye(8), kernels, maps, "t", columns=3)
    drawn = [ax for ax in figure.axes if ax.images]
    image, panels = drawn[0], drawn[1:]
    np.testing.assert_array_equal(image.images[0].get_array(), np.eye(8))
    assert len(panels) == 10
    for i in range(5):
        row, column = divmod(i, 3)
        above, below = (panels[row * 6 + column + n * (3, 2)[row]] for n in (0, 1))
        np.testing.assert_array_equal(above.images[0].get_array(), kernels[i])
        np.testing.assert_array_equal(below.images[0].get_array(), maps[i])
        for ax in (above, below):
            low, high = ax.images[0].get_clim()
            assert low == -high
            assert high == abs(ax.images[0].get_array()).max()
    plt.close(figure)


def test_gradients_share_one_scale_whose_middle_is_zero():
    import matplotlib.pyplot as plt

    true, estimate = np.full((2, 3, 5), -4.0), np.full((2, 3, 5), 0.5)
    figure = plots.gradients({"true": true, "synthetic": estimate}, "t")
    drawn = [ax for ax in figure.axes if ax.images]
    assert [ax.images[0].get_clim() for ax in drawn] == 4 * [(-4, 4)]
    for ax, image in zip(drawn, [*true, *estimate], strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), image)
    words = [[text.get_text() for text in ax.texts] for ax in drawn]
    assert words == [["true"], [], ["synthetic"], []]
    plt.close(figure)


def test_bands_show_each_run_and_their_mean():
    import matplotlib.pyplot as plt

    figure = plots.bands({"loss": {"plain": [[1, 2], [3, 6]]}}, [2, 4], "t")
    drawn = [line.get_ydata().tolist() for line in figure.axes[0].lines]
    assert drawn == [[1, 2], [3, 6], [2, 4]]
    assert figure.axes[0].get_legend().get_texts()[0].get_text() == "plain, mean of 2"
    plt.close(figure)


@pytest.mark.parametrize(("x", "whole"), [([2, 4, 5], True), ([0.5, 1.0, 1.5], False)])
def test_epochs_have_no_fractions(x, whole):
    import matplotlib.pyplot as plt

    for figure in (
        plots.curves({"a": (x, x)}, "t", floors={"f": 1}),
        plots.stacked({"loss": {"a": (x, x)}}, "t", marks=x[:1]),
        plots.bands({"loss": {"a": [x]}}, x, "t"),
    ):
        figure.canvas.draw()
        ticks = figure.axes[-1].get_xticks()
        assert all(float(tick).is_integer() for tick in ticks) == whole
        plt.close(figure)


def test_histograms_lose_nothing_beyond_the_last_edge():
    import matplotlib.pyplot as plt

    figure = plots.histograms({"a": [0.2, 0.7, 5.0, np.inf]}, [0, 0.5, 1], "t", "snr")
    (steps,) = figure.axes[0].patches
    assert steps.get_data().values.tolist() == [0.25, 0.75]
    plt.close(figure)


def test_the_slider_moves_the_path():
    import matplotlib.pyplot as plt

    figure, slider = plots.step_slider(lambda x: x**2, lambda a: [1, 1 - 2 * a], start=0.1)
    line = figure.axes[0].lines[1]
    assert list(line.get_xdata()) == [1, 0.8]
    slider.set_val(1.05)
    np.testing.assert_allclose(line.get_xdata(), [1, -1.1])
    assert figure.axes[0].get_title() == "step size 1.05: diverges"
    plt.close(figure)


def test_a_rule_has_its_colour_wherever_it_is_named():
    assert plots.colour("Backprop") == plots.colour("corrected (backprop)", 3)
    assert plots.colour("forward gradient, K = 4") == plots.COLOURS["forward"]
    rules = ("backprop", "well-tempered", "synthetic", "forward")
    assert len({plots.colour(rule) for rule in rules}) == 4
    assert plots.colour("something else") not in {plots.colour(rule) for rule in rules}
