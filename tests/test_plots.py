"""Figures: each function returns its figure, shows nothing, and leaves matplotlib as it was."""

import numpy as np
import pytest

from minigrad import History, functions, plots, search
from minigrad.asynchronous import Timeline

pytestmark = pytest.mark.on_host
mpl = pytest.importorskip("matplotlib")
x = np.linspace(0.1, 1, 5)
row = np.array([1.0, 2.0, 0.5])
DOWNHILL = np.array([[0.0, 0.5], [1.0, 0.2], [2.0, 0.2], [np.nan, np.nan]])
CLOUD = np.random.default_rng(0).standard_cauchy((200, 2))  # some of them far away
MAP = search.Table(
    {"lr": [1e-5, 10 ** (-10 / 3), 1], "decay": [0, 0.1], "momentum": [0]},
    "validation_loss",
    mean=np.array([2.3, 2.2, 0.5, 2.25, np.nan, np.nan]).reshape(3, 2, 1),
    spread=np.array([0.01, 0.02, 0.003, np.nan, np.nan, np.nan]).reshape(3, 2, 1),
    runs=np.array([3, 3, 3, 1, 2, 0]).reshape(3, 2, 1),
    diverged=np.array([0, 0, 0, 0, 1, 3]).reshape(3, 2, 1),
    failed=np.zeros((3, 2, 1), int),
)

RUN = History(
    epoch=[1, 2, 3],
    train_loss=[3.0, 2.0, 1.0],
    train_accuracy=[0.1, 0.2, 0.3],
    validation_loss=[3.0, 1.0, np.nan],
    validation_accuracy=[0.1, 0.3, 0.2],
    metrics={"train_top_2": [0.5, 0.5, 0.5], "train_lost": [np.nan] * 3},
    seconds=[0.1] * 3,
    settings={"loss": "CrossEntropyLoss(reduction='sum')"},
)
LONG = History(list(range(1, 101)), train_loss=[1.0] * 100, metrics={"train_r2": [0.5] * 100})
POINTS = np.array([[0.0, 0.0], [1.0, 0.5], [0.5, 1.0]])


def points_logits(points):
    return np.stack([points[:, 0], points[:, 1]], axis=1)


FIGURES = {
    "history": lambda: plots.history(RUN, "t"),
    "history of a long run": lambda: plots.history(LONG),
    "confusion": lambda: plots.confusion([[5, 1], [0, 3]], ["cat", "dog"], "t"),
    "confusion of many": lambda: plots.confusion(np.eye(30)),
    "regions": lambda: plots.regions({"a": points_logits}, POINTS, [0, 1, 1], "t", grid=9),
    "fields": lambda: plots.fields({"a": lambda p: abs(p[:, 0])}, POINTS, [0, 1, 1], "t", grid=9),
    "means": lambda: plots.means({"a": [1, 2, 4], "b": [0, -1]}, "t", "gradient"),
    "differences": lambda: plots.differences({"%": {"a": [x, 2 * x]}}, x, "t"),
    "against": lambda: plots.against({"a": ([-x, -x], [x, x])}, "t", "loss", "%"),
    "curves": lambda: plots.curves({"backprop": (x, x), "b": (x, 2 * x)}, "t", floors={"f": 0.05}),
    "curves linear": lambda: plots.curves({"a": (x, -x)}, "t", log=False),
    "curves with dots": lambda: plots.curves(
        {"a": (x, x), "forward": (x, 2 * x)}, "t", dots=("measured", {"forward": (0.5, 0.9)})
    ),
    "blocks": lambda: plots.blocks(["1", "2", "3"], ["h1", "h2", "z"], "t", told=True),
    "plane": lambda: plots.plane({"backprop": (0, 0, 0, 0), "b": (0.1, -1, 1.2, 50)}, "t"),
    "intervals": lambda: plots.intervals(
        {"backprop": [1, 2, 4], "b": [3]}, "t", "%", {"backprop": (0, 5)}
    ),
    "stacked": lambda: plots.stacked({"loss": {"a": (x, x)}, "n": {"b": (x, x)}}, "t"),
    "class_bars": lambda: plots.class_bars({"a": [0.5, 0.0], "b": [1.0, 0.2]}, "t"),
    "class_bars names": lambda: plots.class_bars(
        {"a": np.ones(9), "b": np.ones(9)}, "t", names=[f"Ankle boot {i}" for i in range(9)]
    ),
    "proportional": lambda: plots.proportional(np.array([row, 2 * row]), row, "t"),
    "network": lambda: plots.network(
        [row, row[:2]], [None, row[:2]], [np.ones((3, 2))], [np.ones((3, 2))], ["x", "h"], "t"
    ),
    "graph": lambda: plots.graph(
        [("w", "z", 2.0), ("x", "z", None), ("z", "L", -1)],
        {"value": {"w": 1.0, "z": "(2, 3)"}, "gradient": {"L": 1}, "tangent": {}},
        "t",
    ),
    "on_a_curve": lambda: plots.on_a_curve(lambda x: x**2, {"a": [1, -0.9, 0.8]}, "t"),
    "by_step": lambda: plots.by_step({"sgd": [1, 0.5], "adam": [1, 0.2]}, "t"),
    "over_contours": lambda: plots.over_contours(
        lambda x, y: x**2 + 9 * y**2, {"SGD": np.array([[1, 1], [0.5, 0]])}, "t", (-1, 1), (-1, 1)
    ),
    "digits": lambda: plots.digits(np.zeros((7, 1, 8, 8)), list("abcdefg"), "t"),
    "digits none": lambda: plots.digits(np.zeros((0, 1, 8, 8)), [], "t"),
    "errors": lambda: plots.errors({"FA": {0: 0.9, 1: 0.8}, "b": {0: 0.7}}, "t"),
    "im2col": lambda: plots.im2col(np.eye(3, 4), np.ones((2, 2)), "t", (0, 1), (1, 1)),
    "feature_maps": lambda: plots.feature_maps(
        np.ones((1, 1, 8, 8)), np.ones((3, 3, 3)), np.zeros((3, 6, 6)), "t", columns=2
    ),
    "feature_maps with words": lambda: plots.feature_maps(
        np.eye(8), np.ones((2, 3, 3)), -np.ones((2, 6, 6)), "t", captions=["a", "b"], numbers=True
    ),
    "gradients": lambda: plots.gradients(
        {"true": np.ones((3, 4, 4)), "synthetic": np.zeros((3, 4, 4))}, "t", xlabel="unit"
    ),
    "gradients with captions": lambda: plots.gradients(
        {"true": np.ones((2, 4, 4))}, "t", captions=["cosine 0.10", "cosine 0.20"]
    ),
    "units": lambda: plots.units(np.eye(4), np.ones((4, 4)), (2, 2), "dW1"),
    "gradients wide": lambda: plots.gradients({"all zero": np.zeros((1, 10, 100))}, "t"),
    "beside": lambda: plots.beside({"a": {"u": (x, x)}, "b": {"u": (x, 2 * x)}}, "t", "loss"),
    "timelines": lambda: plots.timelines(
        {"a": Timeline([np.array([[0, 1, 0, 1, 1.0], [1, 1, 2, 3, 1]]), np.empty((0, 5))])}, "t"
    ),
    "interfaces": lambda: plots.interfaces(["784 to 256", "256 to 256", "256 to 10"], "t"),
    "bands": lambda: plots.bands(
        {"loss": {"plain": [x, 2 * x]}, "acc": {"a": [x], "b": [x]}}, x, "t", "epoch"
    ),
    "heat_map": lambda: plots.heat_map(MAP, "t"),
    "heat_map of one value": lambda: plots.heat_map(MAP.turned("lr", "decay"), "t", y="lr"),
    "heat_map of one setting": lambda: plots.heat_map(
        search.Table({"lr": [0.1, 1]}, "m", row[:2], row[:2], *np.array([[2, 2], [0, 0], [0, 0]])),
        "t",
    ),
    "heat_map of nothing": lambda: plots.heat_map(
        search.Table({"lr": [1]}, "m", *[np.full(1, np.nan)] * 2, *np.array([[0], [1], [1]])), "t"
    ),
    "histograms": lambda: plots.histograms(
        {"a": x, "b": [9.0]}, [0, 0.5, 1], "t", "snr", expected=("noise", [0.5, 0.5])
    ),
    "histograms with marks": lambda: plots.histograms(
        {"a": x}, [0.1, 1, 10], "t", "|d|", ylabel="share", marks={"mean": 0.5}, logx=True
    ),
    "surface_paths": lambda: plots.surface_paths(
        functions.Beale(), {"backprop": DOWNHILL, "lost": np.array([[0, 0.5], [1e200, 3]])}, "t"
    ),
    "cloud": lambda: plots.cloud({"forward gradient": CLOUD, "b": CLOUD[:9] / 2}, (1, -2), "t"),
    "cloud of one": lambda: plots.cloud({"forward gradient": CLOUD[:1]}, np.zeros(2), "t"),
    "with_intervals": lambda: plots.with_intervals(
        {"loss": {"a": [x, 2 * x], "b": [x]}, "left": {"b": [x, x]}}, x, "t", "layer", log=["loss"]
    ),
    "through_layers": lambda: plots.through_layers(
        {"c = 1": ([x / x[0], x / x[0]], [x / x[-1]])}, {"c = 1": (1, 2)}, "t"
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


def test_arrows_of_a_graph_go_to_the_right():
    """A node without parents stands one column before its first child."""
    ax = FIGURES["graph"]().axes[0]
    places = {text.get_text(): text.get_position()[0] for text in ax.texts}
    assert [places[node] for node in ("w", "x", "z", "L")] == [0, 0, 1, 2]
    assert places["2"] == 0.5
    edges = [("x", "h", 2), ("x", "h", 3), ("h", "u", None), ("w", "u", None)]
    words = plots.graph(edges, {"value": {"x": 1}}, "t").axes[0].texts
    places = {text.get_text(): text.get_position() for text in words}
    assert places["w"][0] == places["h"][0] == 1
    assert places["w"][1] < places["h"][1]
    assert places["2 + 3"][0] == 0.5


def test_names_are_written_as_people_write_them():
    assert [ax.get_ylabel() for ax in plots.history(LONG).axes] == ["loss", "R²"]
    ax = FIGURES["class_bars names"]().axes[0]
    assert [tick.get_text() for tick in ax.get_xticklabels()][8] == "Ankle boot 8"
    assert ax.get_xticklabels()[8].get_rotation() == 90


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


def test_im2col_shows_windows_as_rows_and_each_copy_of_a_pixel():
    import matplotlib.pyplot as plt

    image, kernel = np.arange(6.0).reshape(2, 3), np.array([[1.0, 0], [0, 10]])
    ax = plots.im2col(image, kernel, "t", pixel=(0, 1)).axes[0]
    words = [text.get_text() for text in ax.texts]
    start = words.index("cols (2, 4)")
    assert words[start - 8 : start] == ["0", "1", "3", "4", "1", "2", "4", "5"]
    assert words[-3:] == ["40", "51", "y (1, 2)"]
    assert sum(patch.get_alpha() is not None for patch in ax.patches) == 1 + 2  # and its copies
    plt.close(ax.figure)


def test_errors_are_those_of_accuracies_in_per_cent_with_students_t():
    import matplotlib.pyplot as plt

    ax = plots.errors({"FA": {0: 0.9, 1: 0.8}}, "t").axes[0]
    bar, dot, _ = (line.get_xdata() for line in ax.lines)
    assert dot == pytest.approx([15])
    assert bar == pytest.approx([15 - 12.706 * 5, 15 + 12.706 * 5], abs=0.01)
    plt.close(ax.figure)


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


def test_points_of_several_seeds_have_the_interval_of_their_mean():
    import matplotlib.pyplot as plt

    runs = {"a": [[1, 1], [100, 1]]}
    theory = {"log": {"a": [10, 1]}}
    panels = {"plain": runs, "log": runs}
    figure = plots.with_intervals(panels, [1, 2], "t", "n", log=["log"], theory=theory)
    t = 12.7062  # Student's, 95 %, one degree of freedom
    for ax, mean, low in zip(
        figure.axes, (50.5, 10), (50.5 - t * 49.5, 10 ** (1 - t)), strict=True
    ):
        (bars,) = ax.containers
        assert bars.lines[0].get_ydata() == pytest.approx([mean, 1])
        (first, second) = bars.lines[2][0].get_segments()
        assert first[0, 1] == pytest.approx(low, rel=1e-4)
        assert second[:, 1] == pytest.approx([1, 1])
    assert figure.axes[1].lines[-1].get_ydata().tolist()[:1] in ([10], [])
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


def test_a_heat_map_says_what_each_cell_came_to():
    import matplotlib.pyplot as plt

    figure = plots.heat_map(MAP, "t", x="lr", y="decay")
    ax = figure.axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("lr", "decay")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1e-5", "4.64e-4", "1"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0", "0.1"]
    drawn = {tuple(text.get_position()): text for text in ax.texts}
    words = {place: text.get_text() for place, text in drawn.items()}
    assert words == {
        (0, 0): "2.300\n± 0.010",
        (1, 0): "0.5000\n± 0.0030",
        (2, 0): "1/3 diverged",
        (0, 1): "2.200\n± 0.020",
        (1, 1): "2.250",
        (2, 1): "diverged",
    }
    # Light letters on the dark end of the colours, dark ones on the other and on the hatched cells.
    assert [drawn[place].get_color() for place in ((1, 0), (0, 0), (2, 0))] == [
        "white",
        "black",
        "black",
    ]
    hatched = {patch.get_xy() for patch in ax.patches if patch.get_hatch()}
    assert hatched == {(1.5, -0.5), (1.5, 0.5)}
    (frame,) = [patch for patch in ax.patches if not patch.get_fill()]
    assert frame.get_xy() == (0.5, -0.5)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["lowest mean of 3 seeds", "diverged"]
    np.testing.assert_array_equal(ax.images[0].get_array().filled(-1)[:, :2], MAP.mean[:2, :, 0].T)
    plt.close(figure)


def test_a_heat_map_has_two_settings():
    import matplotlib.pyplot as plt

    figure = plots.heat_map(MAP, "t", x="decay")
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("decay", "lr")
    plt.close(figure)
    with pytest.raises(ValueError, match=r"'decay' has several values too: .*where\(decay=0\)"):
        plots.heat_map(MAP, "t", x="lr", y="momentum")
    with pytest.raises(ValueError, match="no setting 'seed': the grid has"):
        plots.heat_map(MAP, "t", x="seed")
    with pytest.raises(ValueError, match="two settings"):
        plots.heat_map(MAP, "t", x="lr", y="lr")


def test_histograms_lose_nothing_beyond_the_last_edge():
    import matplotlib.pyplot as plt

    figure = plots.histograms({"a": [0.2, 0.7, 5.0, np.inf]}, [0, 0.5, 1], "t", "snr")
    (steps,) = figure.axes[0].patches
    assert steps.get_data().values.tolist() == [0.25, 0.75]
    plt.close(figure)


def test_marks_have_the_colour_of_what_they_mark():
    import matplotlib.pyplot as plt

    figure = plots.histograms(
        {"a": x, "backprop": x}, [0.1, 1, 10], "t", "loss", marks={"backprop, all": 0.3}, logx=True
    )
    (ax,) = figure.axes
    (mark,) = ax.lines
    assert list(mark.get_xdata()) == [0.3, 0.3]
    assert mark.get_color() == plots.colour("backprop")
    assert ax.get_xscale() == "log"
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["a", "backprop", "backprop, all"]
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


def test_one_colour_has_one_meaning():
    from minigrad.plots.style import CYCLE

    given = [*plots.COLOURS.values(), *CYCLE]
    assert len(set(given)) == len(given)
    assert plots.colour("test accuracy, backprop") == plots.COLOURS["backprop"]
    assert plots.colour("test accuracy", 2) == CYCLE[2]


def test_a_rule_has_its_colour_wherever_it_is_named():
    assert plots.colour("Backprop") == plots.colour("corrected (backprop)", 3)
    assert plots.colour("forward gradient, K = 4") == plots.COLOURS["forward"]
    rules = ("backprop", "well-tempered", "synthetic", "forward")
    assert len({plots.colour(rule) for rule in rules}) == 4
    assert plots.colour("something else") not in {plots.colour(rule) for rule in rules}


def test_paths_lie_on_the_surface_and_over_its_contours():
    import matplotlib.pyplot as plt

    surface = functions.Rosenbrock()
    path = np.array([[-1, 0], [0.5, 0.5], [9, 0.5], [1, 1], [1, -0.6], [0, 0]])
    figure = plots.surface_paths(surface, {"backprop": path}, "t", decades=4)
    side, above = figure.axes
    seen = np.array([[-1, 0], [0.5, 0.5], [np.nan, np.nan], [1, 1], [np.nan, np.nan], [0, 0]])
    line = above.lines[0]
    np.testing.assert_array_equal(line.get_xydata(), seen)
    assert line.get_color() == side.lines[0].get_color() == plots.colour("backprop")
    *where, height = side.lines[0].get_data_3d()
    np.testing.assert_array_equal(np.transpose(where), seen)
    low, high, valley = height[0], height[1], height[3]
    assert low - high == pytest.approx(np.log10(104 / 6.5), rel=1e-12)
    top = surface.heights(np.array([-1.5]), np.array([-0.5]))[0]
    assert low - valley == pytest.approx(np.log10(104 / (top * 1e-4)), rel=1e-12)
    marks = {line.get_label(): line.get_xydata().tolist() for line in above.lines}
    assert marks["start"] == [[-1, 0]]
    assert marks["minimum"] == [[1, 1]]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["backprop", "start", "minimum"]
    plt.close(figure)


def test_dots_have_the_colour_of_their_line_and_one_name():
    import matplotlib.pyplot as plt

    lines = {"a": (x, x), "b": (x, 2 * x), "backprop": (x, 3 * x)}
    dots = {"b": (x[:2], x[:2]), "backprop": (0.5, 0.9)}
    figure = plots.curves(lines, "t", dots=("measured", dots))
    drawn = figure.axes[0].lines
    assert [line.get_marker() for line in drawn] == 3 * ["None"] + 3 * ["o"]
    assert drawn[3].get_color() == drawn[1].get_color() != drawn[0].get_color()
    assert drawn[4].get_color() == plots.colour("backprop")
    np.testing.assert_array_equal(drawn[3].get_xydata(), np.stack([x[:2], x[:2]], axis=1))
    words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert words == ["a", "b", "backprop", "measured"]
    plt.close(figure)


def test_clouds_have_one_scale_their_mean_and_the_gradient():
    import matplotlib.pyplot as plt

    far = np.concatenate([np.tile([[1.0, 2.0], [3.0, 2.0]], (99, 1)), [[500.0, 0.0], [0.0, 5.0]]])
    figure = plots.cloud({"K = 1": far, "K = 4": far[:100] / 10}, (-3.0, 1.0), "t")
    one, four = figure.axes
    assert one.get_xlim() == four.get_xlim()
    assert np.ptp(one.get_xlim()) == pytest.approx(np.ptp(one.get_ylim()))
    for low, high in (one.get_xlim(), one.get_ylim()):
        assert -5 < low < high < 5
    for ax, points in ((one, far), (four, far[:100] / 10)):
        dots, mean = ax.lines[2:]
        np.testing.assert_array_equal(dots.get_xydata(), points)
        np.testing.assert_allclose(mean.get_xydata(), [points.mean(axis=0)])
        (arrow,) = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
        assert (tuple(arrow.xy), tuple(arrow.xyann)) == ((-3, 1), (0, 0))
    words = [[text.get_text() for text in ax.texts if text.get_text()] for ax in (one, four)]
    assert words == [["2 of 200 lie beyond"], []]
    plt.close(figure)


def test_means_are_drawn_with_their_standard_errors():
    import matplotlib.pyplot as plt

    values = [1.0, 2.0, 3.0, 6.0]
    figure = plots.means({"a": values, "b": [0.0, 1.0]}, "t", "gradient")
    (axes,) = figure.axes
    zero, bar, mean, dots = axes.lines[:4]
    error = np.std(values) / 2
    assert list(zero.get_xdata()) == [0, 0]
    np.testing.assert_allclose(bar.get_xdata(), [3 - error, 3 + error])
    assert list(mean.get_xdata()) == [3, 3]
    assert list(dots.get_xdata()) == values
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["mean ± standard error", "one mini-batch"]
    plt.close(figure)


def test_differences_have_the_interval_of_students_t():
    import matplotlib.pyplot as plt

    from minigrad.metrics.confidence import interval

    runs = np.array([[1.0, 0.0], [2.0, 1.0], [6.0, -1.0]])
    figure = plots.differences({"points": {"well-tempered minus backprop": runs}}, [1, 2], "t")
    (axes,) = figure.axes
    line = next(line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0])
    np.testing.assert_allclose(line.get_ydata(), [3, 0])
    assert line.get_label() == "well-tempered minus backprop: mean, 95 % (n = 3)"
    corners = axes.collections[0].get_paths()[0].vertices[:, 1]
    found = [interval(column) for column in runs.T]
    assert corners.min() == pytest.approx(min(f["low"] for f in found))
    assert corners.max() == pytest.approx(max(f["high"] for f in found))
    plt.close(figure)


def test_what_falls_with_time_is_drawn_to_the_right():
    import matplotlib.pyplot as plt

    loss, accuracy = np.array([[3.0, 2.0, 1.0]]), np.array([[10.0, 50.0, 90.0]])
    for given, turned in ((loss, True), (accuracy, False)):
        figure = plots.against({"backprop": (given, accuracy)}, "t", "x", "%")
        (axes,) = figure.axes
        assert axes.xaxis_inverted() == turned
        np.testing.assert_array_equal(
            axes.lines[1].get_xydata(), np.stack([given[0], accuracy[0]]).T
        )
        assert axes.lines[2].get_xdata() == given[0, :1]  # the ring
        plt.close(figure)


def test_an_arrow_that_passes_boxes_in_the_lower_half_goes_under_them():
    from matplotlib.patches import FancyArrowPatch

    edges = [("x", "s", 1), ("x", "a", 1), ("s", "r", 1), ("r", "f", 1), ("a", "f", 1)]
    figure = plots.graph(edges, {"value": {}, "tangent": dict.fromkeys("xsarf", 1.0)}, "t")
    (curve,) = [p for p in figure.axes[0].patches if isinstance(p, FancyArrowPatch)]
    assert curve.get_path().vertices[:, 1].min() < -0.5
