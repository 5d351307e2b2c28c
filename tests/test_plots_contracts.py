"""What every figure function promises: it draws where it is told, and never nothing in silence."""

import inspect

import numpy as np
import pytest

from minigrad import History, functions, plots, search
from minigrad.asynchronous import Timeline

pytestmark = pytest.mark.on_host
mpl = pytest.importorskip("matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")
NAN, INF = np.nan, np.inf
x = np.linspace(0.1, 1, 5)
row = np.array([1.0, 2.0, 0.5])
TABLE = search.Table(
    {"lr": [0.1, 1], "decay": [0, 1]}, "loss", *[np.ones((2, 2))] * 3, *[np.zeros((2, 2), int)] * 2
)
EVENTS = np.array([[0, 1, 0, 1, 1.0], [1, 1, 2, 3, 1]])
POINTS = np.array([[0.0, 0.0], [1.0, 0.5], [0.5, 1.0]])


def logits_at(points):
    return points - 0.5


def outputs_at(points):
    return np.maximum(points[:, 0] - 0.5, 0)


RUN = History(epoch=[1, 2], train_loss=[2.0, 1.0], train_accuracy=[0.1, 0.2], seconds=[0.1, 0.1])

CALLS = {
    "history": lambda **o: plots.history(RUN, "t", **o),
    "confusion": lambda **o: plots.confusion([[5, 1], [0, 3]], title="t", **o),
    "curves": lambda **o: plots.curves({"a": (x, x)}, "t", outside=True, **o),
    "blocks": lambda **o: plots.blocks(["1", "2"], ["h", "z"], "t", **o),
    "units": lambda **o: plots.units(np.eye(4), np.ones((4, 4)), (2, 2), **o),
    "plane": lambda **o: plots.plane({"a": (0.1, -1, 1.2, 50)}, "t", **o),
    "means": lambda **o: plots.means({"a": [1, 2, 4], "b": [0, -1]}, "t", "gradient", **o),
    "differences": lambda **o: plots.differences({"%": {"a": [x, 2 * x]}}, x, "t", **o),
    "against": lambda **o: plots.against({"a": ([-x, -x], [x, x])}, "t", "loss", "%", **o),
    "intervals": lambda **o: plots.intervals({"a": [1, 2]}, "t", "%", **o),
    "stacked": lambda **o: plots.stacked({"loss": {"a": (x, x)}}, "t", **o),
    "class_bars": lambda **o: plots.class_bars({"a": [0.5, 0.0]}, "t", **o),
    "proportional": lambda **o: plots.proportional(np.array([row, row]), row, "t", **o),
    "network": lambda **o: plots.network(
        [row, row[:2]], [None, row[:2]], [np.ones((3, 2))], [np.ones((3, 2))], ["x", "h"], "t", **o
    ),
    "graph": lambda **o: plots.graph([("w", "L", 2.0)], {"value": {"w": 1.0}}, "t", **o),
    "on_a_curve": lambda **o: plots.on_a_curve(lambda x: x**2, {"a": [1, 0.8]}, "t", **o),
    "by_step": lambda **o: plots.by_step({"sgd": [1, 0.5]}, "t", **o),
    "over_contours": lambda **o: plots.over_contours(
        lambda x, y: x**2 + y**2, {"SGD": np.ones((2, 2))}, "t", (-1, 1), (-1, 1), **o
    ),
    "digits": lambda **o: plots.digits(np.zeros((2, 1, 8, 8)), ["a", "b"], "t", **o),
    "errors": lambda **o: plots.errors({"a": {0: 0.5, 1: 0.6}}, "t", **o),
    "im2col": lambda **o: plots.im2col(np.eye(3), np.ones((2, 2)), "t", **o),
    "feature_maps": lambda **o: plots.feature_maps(
        np.eye(8), np.ones((2, 3, 3)), np.ones((2, 6, 6)), "t", **o
    ),
    "regions": lambda **o: plots.regions({"a": logits_at}, POINTS, [0, 1, 1], "t", grid=9, **o),
    "fields": lambda **o: plots.fields({"a": outputs_at}, POINTS, [0, 1, 1], "t", grid=9, **o),
    "gradients": lambda **o: plots.gradients({"true": np.ones((2, 4, 4))}, "t", **o),
    "beside": lambda **o: plots.beside({"a": {"u": (x, x)}, "b": {"u": (x, x)}}, "t", "y", **o),
    "timelines": lambda **o: plots.timelines({"a": Timeline([EVENTS])}, "t", **o),
    "interfaces": lambda **o: plots.interfaces(("lower", "top"), "t", **o),
    "bands": lambda **o: plots.bands({"loss": {"plain": [x, 2 * x]}}, x, "t", **o),
    "heat_map": lambda **o: plots.heat_map(TABLE, "t", **o),
    "histograms": lambda **o: plots.histograms({"a": x}, [0, 0.5, 1], "t", "x", **o),
    "surface_paths": lambda **o: plots.surface_paths(
        functions.Beale(), {"backprop": np.ones((3, 2))}, "t", **o
    ),
    "cloud": lambda **o: plots.cloud({"forward": np.ones((3, 2))}, (1, 2), "t", **o),
    "with_intervals": lambda **o: plots.with_intervals({"y": {"a": [x, x]}}, x, "t", "n", **o),
    "through_layers": lambda **o: plots.through_layers({"a": ([x], [x])}, {"a": (1, 2)}, "t", **o),
    "step_slider": lambda **o: plots.step_slider(lambda x: x**2, lambda a: [1, a], **o),
}
FUNCTIONS = [name for name in plots.__all__ if name not in ("COLOURS", "colour", "styled")]


@pytest.fixture(autouse=True)
def no_figure_is_left():
    yield
    plt.close("all")


def where(name):
    """Whether the function takes `ax` or `fig`."""
    parameters = inspect.signature(getattr(plots, name)).parameters
    return "ax" if "ax" in parameters else "fig"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_says_what_it_returns_and_where_it_draws(name):
    words = " ".join(inspect.getdoc(getattr(plots, name)).split())
    assert "Returns the figure." in words or "Returns (figure, slider)." in words
    parameter = inspect.signature(getattr(plots, name)).parameters[where(name)]
    assert parameter.default is None
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert f"{where(name)} " in words


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_draws_where_it_is_told_and_makes_no_other_figure(name):
    with plt.rc_context({"figure.constrained_layout.use": name != "step_slider"}):
        if where(name) == "ax":
            figure, axes = plt.subplots(1, 2, figsize=(14, 6))
            returned = CALLS[name](ax=axes[1])
            assert not axes[0].has_data()
            assert axes[1].has_data()
            assert axes[1].get_title() == "t"
            sizes = [axes[1].title.get_size(), axes[1].xaxis.label.get_size()]
            sizes += [tick.get_size() for tick in axes[1].get_xticklabels()]
            assert min(sizes) >= 14  # as in a figure of the function's own
        else:
            figure = plt.figure(figsize=(14, 6))
            returned = CALLS[name](fig=figure)
            assert figure.axes
    returned = returned[0] if isinstance(returned, tuple) else returned
    assert returned is figure
    assert plt.get_fignums() == [figure.number]
    figure.canvas.draw()


@pytest.mark.parametrize("name", [n for n in FUNCTIONS if where(n) == "fig" and n != "step_slider"])
def test_figures_of_several_axes_stand_side_by_side_in_subfigures(name):
    figure = plt.figure(figsize=(18, 8), layout="constrained")
    left, right = figure.subfigures(1, 2)
    assert CALLS[name](fig=left) is left
    assert CALLS[name](fig=right) is right
    assert plt.get_fignums() == [figure.number]
    figure.canvas.draw()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_wrong_place_to_draw_is_named(name):
    kind = "one axes" if where(name) == "ax" else "a figure or subfigure"
    with pytest.raises(TypeError, match=f"{where(name)} must be {kind} of matplotlib, got list"):
        CALLS[name](**{where(name): [1]})


def f(x, y):
    return x**2 + y**2


square = ((-1, 1), (-1, 1))
layer = np.ones((3, 2))
WRONG = {
    "history no history": (lambda: plots.history([1]), "must be what mg.fit returned"),
    "history none": (lambda: plots.history(History()), "no epoch of this history"),
    "history NaN": (lambda: plots.history(History([1], train_loss=[NAN])), "no number"),
    "confusion shape": (lambda: plots.confusion([[1, 2]]), "C rows and C columns"),
    "confusion negative": (lambda: plots.confusion([[-1]]), "from -1 on"),
    "confusion NaN": (lambda: plots.confusion([[NAN]]), "matrix must be finite"),
    "confusion names": (lambda: plots.confusion([[1]], ["a", "b"]), "each of the 1 classes"),
    "with_intervals none": (lambda: plots.with_intervals({}, x, "t", "n"), "panels is empty"),
    "with_intervals shape": (
        lambda: plots.with_intervals({"y": {"a": [row]}}, x, "t", "n"),
        "'a' must have one entry for each of the 5 x",
    ),
    "with_intervals log": (
        lambda: plots.with_intervals({"y": {"a": [-x]}}, x, "t", "n", log=["y"]),
        "not above 0",
    ),
    "with_intervals panel": (
        lambda: plots.with_intervals({"y": {"a": [x]}}, x, "t", "n", log=["z"]),
        "got 'z'",
    ),
    "with_intervals theory": (
        lambda: plots.with_intervals({"y": {"a": [x]}}, x, "t", "n", theory={"y": {"b": x}}),
        "got 'b'",
    ),
    "through_layers none": (lambda: plots.through_layers({}, {}, "t"), "found is empty"),
    "curves none": (lambda: plots.curves({}, "t"), "series is empty"),
    "curves a list": (lambda: plots.curves([(x, x)], "t"), "series must be a dict .* got list"),
    "curves no points": (lambda: plots.curves({"a": ([], [])}, "t"), "'a' has no points"),
    "curves all NaN": (lambda: plots.curves({"a": (x, x * NAN)}, "t"), "'a' has no point that can"),
    "curves log": (lambda: plots.curves({"a": (x, -x)}, "t"), "none is finite with y > 0"),
    "curves logx": (lambda: plots.curves({"a": (-x, x)}, "t", logx=True), "and|with x > 0"),
    "curves lengths": (lambda: plots.curves({"a": (x, x[1:])}, "t"), "'a' needs as many x as y"),
    "curves floor": (
        lambda: plots.curves({"a": (x, x)}, "t", floors={"best": NAN}),
        "the level of 'best' must be finite",
    ),
    "curves dots": (
        lambda: plots.curves({"a": (x, x)}, "t", dots=("m", {"b": (1, 1)})),
        r"dots are for lines of the figure, \['a'\]; got 'b'",
    ),
    "means none": (lambda: plots.means({}, "t", "x"), "values is empty"),
    "means NaN": (lambda: plots.means({"a": [1, NAN]}, "t", "x"), "'a' must be finite"),
    "differences one run": (lambda: plots.differences({"p": {"a": [x]}}, x, "t"), "R >= 2"),
    "differences lengths": (lambda: plots.differences({"p": {"a": [x, x]}}, x[1:], "t"), "(R, 4)"),
    "differences none": (lambda: plots.differences({"p": {}}, x, "t"), "p is empty"),
    "against none": (lambda: plots.against({}, "t", "x", "y"), "runs is empty"),
    "against lengths": (
        lambda: plots.against({"a": ([x], [x[1:]])}, "t", "x", "y"),
        r"'a' needs as many x as y, got \(1, 5\) and \(1, 4\)",
    ),
    "stacked none": (lambda: plots.stacked({}, "t"), "panels is empty"),
    "stacked panel": (lambda: plots.stacked({"loss": {}}, "t"), "loss is empty"),
    "stacked NaN": (lambda: plots.stacked({"l": {"a": (x, x * NAN)}}, "t"), "'a' has no point"),
    "beside none": (lambda: plots.beside({}, "t", "y"), "panels is empty"),
    "beside log": (lambda: plots.beside({"p": {"a": (x, -x)}}, "t", "y"), "with y > 0"),
    "class_bars none": (lambda: plots.class_bars({}, "t"), "series is empty"),
    "class_bars empty": (lambda: plots.class_bars({"a": []}, "t"), "'a' has no values"),
    "class_bars NaN": (
        lambda: plots.class_bars({"a": [1, NAN]}, "t"),
        r"1 of 2 are NaN or infinite, the first at \(1,\)",
    ),
    "class_bars lengths": (
        lambda: plots.class_bars({"a": [1, 1], "b": [1]}, "t"),
        "'b' must have one entry for each of the 2 classes, got 1",
    ),
    "class_bars names": (
        lambda: plots.class_bars({"a": [1, 1]}, "t", names=["x"]),
        "names must have one entry for each of the 2 classes, got 1",
    ),
    "proportional NaN": (lambda: plots.proportional([row * NAN], row, "t"), "changes must be fin"),
    "proportional zero": (lambda: plots.proportional([row], row * 0, "t"), "x is zero everywhere"),
    "proportional lengths": (lambda: plots.proportional([row], row[1:], "t"), "x must have one"),
    "network NaN": (
        lambda: plots.network([row, x[:2] * NAN], [None] * 2, [layer], [layer], "ab", "t"),
        r"values\[1\] must be finite",
    ),
    "network shapes": (
        lambda: plots.network([row, x[:2]], [None] * 2, [layer.T], [layer], "ab", "t"),
        r"weights\[0\] must be of shape \(3, 2\), got \(2, 3\)",
    ),
    "network names": (
        lambda: plots.network([row, x[:2]], [None] * 2, [layer], [layer], "a", "t"),
        "names must have one entry for each of the 2 columns",
    ),
    "network one": (lambda: plots.network([row], [None], [], [], "a", "t"), "at least two columns"),
    "graph none": (lambda: plots.graph([], {"value": {}}, "t"), "edges is empty"),
    "graph order": (
        lambda: plots.graph([("h", "L", 1), ("w", "h", 1)], {"value": {}}, "t"),
        "an edge to 'h' comes after an edge from it",
    ),
    "graph node": (
        lambda: plots.graph([("w", "L", 1)], {"value": {"h": 1}}, "t"),
        r"value of 'h', which has no edge: \['w', 'L'\]",
    ),
    "graph NaN": (
        lambda: plots.graph([("w", "L", NAN)], {"value": {"w": 1}}, "t"),
        "a local derivative must be finite",
    ),
    "graph inf": (
        lambda: plots.graph([("w", "L", 1)], {"value": {"w": INF}}, "t"),
        "value of 'w' must be finite",
    ),
    "on_a_curve none": (lambda: plots.on_a_curve(abs, {}, "t"), "paths is empty"),
    "on_a_curve inf": (lambda: plots.on_a_curve(abs, {"a": [1, INF]}, "t"), "'a' must be finite"),
    "by_step empty": (lambda: plots.by_step({"a": []}, "t"), "'a' has no points"),
    "by_step NaN": (lambda: plots.by_step({"a": [NAN]}, "t"), "'a' has no point that can"),
    "over_contours NaN": (
        lambda: plots.over_contours(f, {"a": [[1, NAN]]}, "t", *square),
        "'a' must be finite",
    ),
    "over_contours f": (
        lambda: plots.over_contours(lambda x, y: -f(x, y), {"a": [[1, 1]]}, "t", *square),
        "f must be above 0",
    ),
    "digits captions": (
        lambda: plots.digits(np.zeros((3, 8, 8)), ["a"], "t"),
        "captions must have one entry for each of the 3 images, got 1",
    ),
    "digits NaN": (lambda: plots.digits(np.full((1, 8, 8), NAN), "a", "t"), "images must be fin"),
    "digits shape": (lambda: plots.digits(np.zeros((1, 3, 8, 8)), "a", "t"), "images must be of"),
    "errors none": (lambda: plots.errors({}, "t"), "accuracies is empty"),
    "errors no seed": (lambda: plots.errors({"a": {}}, "t"), "'a' is empty"),
    "errors NaN": (lambda: plots.errors({"a": {0: NAN}}, "t"), "'a' must be finite"),
    "im2col NaN": (lambda: plots.im2col(np.eye(3) * NAN, np.eye(2), "t"), "image must be finite"),
    "im2col shape": (lambda: plots.im2col(np.ones(3), np.eye(2), "t"), r"of shape \(H, W\)"),
    "im2col kernel": (lambda: plots.im2col(np.eye(3), np.eye(4), "t"), "does not fit"),
    "im2col many": (lambda: plots.im2col(np.eye(9), np.eye(2), "t"), "64 windows are too many"),
    "im2col window": (
        lambda: plots.im2col(np.eye(3), np.eye(2), "t", window=(2, 0)),
        r"window must be \(row, column\) within \(2, 2\), got \(2, 0\)",
    ),
    "im2col pixel": (lambda: plots.im2col(np.eye(3), np.eye(2), "t", pixel=(0, 3)), "pixel must"),
    "feature_maps NaN": (
        lambda: plots.feature_maps(np.eye(8), np.ones((1, 3, 3)), np.full((1, 6, 6), NAN), "t"),
        "maps must be finite",
    ),
    "feature_maps none": (
        lambda: plots.feature_maps(np.eye(8), np.ones((0, 3, 3)), np.ones((0, 6, 6)), "t"),
        "kernels has no values",
    ),
    "feature_maps captions": (
        lambda: plots.feature_maps(
            np.eye(8), np.ones((2, 3, 3)), np.ones((2, 6, 6)), "t", captions=["a"]
        ),
        "captions must have one entry for each of the 2 kernels",
    ),
    "feature_maps two images": (
        lambda: plots.feature_maps(
            np.ones((2, 1, 8, 8)), np.ones((1, 3, 3)), np.ones((1, 6, 6)), "t"
        ),
        "image must be one image",
    ),
    "regions none": (lambda: plots.regions({}, POINTS, [0, 1, 1], "t"), "panels is empty"),
    "regions NaN": (
        lambda: plots.regions({"a": lambda p: p * NAN}, POINTS, [0, 1, 1], "t"),
        "'a' must be finite",
    ),
    "regions classes": (
        lambda: plots.regions({"a": logits_at}, POINTS, [0, 1, 2], "t"),
        "'a' must have a logit for each of the 3 classes",
    ),
    "regions labels": (
        lambda: plots.regions({"a": logits_at}, POINTS, [0.0, 1.0, 1.0], "t"),
        "y must be labels from 0 to 5",
    ),
    "regions lengths": (
        lambda: plots.regions({"a": logits_at}, POINTS, [0, 1], "t"),
        "y must have one entry for each of the 3 points",
    ),
    "fields space": (
        lambda: plots.fields({"a": outputs_at}, np.ones((2, 3)), [0, 1], "t"),
        "x must be points of the plane",
    ),
    "fields negative": (
        lambda: plots.fields({"a": lambda p: -outputs_at(p)}, POINTS, [0, 1, 1], "t"),
        "'a' must not be below 0",
    ),
    "gradients none": (lambda: plots.gradients({}, "t"), "rows is empty"),
    "gradients NaN": (lambda: plots.gradients({"a": np.full((1, 2, 2), NAN)}, "t"), "'a' must be"),
    "gradients shapes": (
        lambda: plots.gradients({"a": np.ones((1, 2, 2)), "b": np.ones((1, 2, 3))}, "t"),
        r"shape of the first, \(1, 2, 2\); 'b' has \(1, 2, 3\)",
    ),
    "gradients captions": (
        lambda: plots.gradients({"a": np.ones((1, 2, 2))}, "t", captions=["b", "c"]),
        "captions must have one entry for each of the 1 columns, got 2",
    ),
    "units shapes": (lambda: plots.units(layer, layer, (2, 2)), r"\(4, units\), got \(3, 2\)"),
    "units none": (lambda: plots.units(0 * layer, layer, (1, 3)), "no unit has both"),
    "units NaN": (lambda: plots.units(layer * NAN, layer, (1, 3)), "true must be finite"),
    "blocks one": (lambda: plots.blocks(["a"], ["h"], "t"), "at least two blocks, got 1"),
    "blocks outputs": (lambda: plots.blocks(["a", "b"], ["h"], "t"), "each of the 2 blocks"),
    "interfaces one": (
        lambda: plots.interfaces(["lower"], "t"),
        "there is no interface in 1 blocks",
    ),
    "timelines none": (lambda: plots.timelines({}, "t"), "panels is empty"),
    "timelines empty": (
        lambda: plots.timelines({"a": Timeline([np.empty((0, 5))])}, "t"),
        "the timeline 'a' has no events; the run was stopped early",
    ),
    "timelines names": (
        lambda: plots.timelines({"a": Timeline([EVENTS])}, "t", ("one", "two")),
        "names must have one entry for each of the 1 blocks",
    ),
    "bands none": (lambda: plots.bands({"loss": {}}, x, "t"), "loss is empty"),
    "bands NaN": (
        lambda: plots.bands({"loss": {"a": [x, x * NAN]}}, x, "t"),
        "'a, run 2' has no point that can be drawn",
    ),
    "bands lengths": (
        lambda: plots.bands({"loss": {"a": [x[1:]]}}, x, "t"),
        r"'a' must be runs of shape \(R, 5\)",
    ),
    "heat_map type": (lambda: plots.heat_map([1], "t"), "results must be what .*got list"),
    "heat_map none": (lambda: plots.heat_map(search.Results([]), "t"), "there are no runs"),
    "histograms none": (lambda: plots.histograms({}, [0, 1], "t", "x"), "values is empty"),
    "histograms empty": (
        lambda: plots.histograms({"a": []}, [0, 1], "t", "x"),
        "'a' has no values",
    ),
    "histograms NaN": (
        lambda: plots.histograms({"a": [1, NAN]}, [0, 1], "t", "x"),
        "'a' has 1 NaN among 2 values",
    ),
    "histograms edges": (
        lambda: plots.histograms({"a": x}, [1, 0], "t", "x"),
        "edges must be two or more rising numbers",
    ),
    "histograms expected": (
        lambda: plots.histograms({"a": x}, [0, 1], "t", "x", expected=("e", [0.5, 0.5])),
        "the shares of 'e' must have one entry for each of the 1 bins",
    ),
    "surface_paths none": (
        lambda: plots.surface_paths(functions.Beale(), {}, "t"),
        "paths is empty",
    ),
    "surface_paths NaN": (
        lambda: plots.surface_paths(functions.Beale(), {"a": [[NAN, 1]]}, "t"),
        "'a' has no point that can be drawn",
    ),
    "surface_paths shape": (
        lambda: plots.surface_paths(functions.Beale(), {"a": [1, 2]}, "t"),
        r"'a' must be a path of shape \(T \+ 1, 2\), got \(2,\)",
    ),
    "cloud none": (lambda: plots.cloud({}, (1, 2), "t"), "estimates is empty"),
    "cloud inf": (lambda: plots.cloud({"a": [[1, INF]]}, (1, 2), "t"), "'a' must be finite"),
    "cloud true": (lambda: plots.cloud({"a": [[1, 2]]}, (1, NAN), "t"), "true must be finite"),
    "cloud shape": (lambda: plots.cloud({"a": [[1, 2, 3]]}, (1, 2), "t"), "must have two columns"),
    "plane none": (lambda: plots.plane({}, "t"), "points is empty"),
    "plane three": (lambda: plots.plane({"a": (0, 0, 0)}, "t"), "low, high, variance"),
    "plane NaN": (lambda: plots.plane({"a": (0, 0, 0, NAN)}, "t"), "'a' must be finite"),
    "intervals none": (lambda: plots.intervals({"a": []}, "t", "%"), "'a' has no values"),
    "intervals ends": (lambda: plots.intervals({"a": [1]}, "t", "%", {"b": (0, 1)}), "is of a row"),
    "intervals NaN": (lambda: plots.intervals({"a": [NAN]}, "t", "%"), "'a' must be finite"),
    "step_slider NaN": (
        lambda: plots.step_slider(lambda x: x**2, lambda a: [1, NAN]),
        r"descend\(start\) must be finite",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_data_that_cannot_be_drawn_is_an_error_that_names_it(name):
    draw, message = WRONG[name]
    with pytest.raises((TypeError, ValueError), match=message):
        draw()
    assert plt.get_fignums() == []  # nothing half drawn is left


def test_every_function_has_errors_in_the_table():
    assert {name.split()[0] for name in WRONG} == set(FUNCTIONS) == set(CALLS)


def test_a_line_may_have_gaps():
    """A run that diverged, a loss of zero on a log axis: the other points are drawn."""
    y = np.array([1.0, NAN, INF, 0.0, 2.0])
    figure = plots.curves({"a": (x, y)}, "t")
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), y)
    figure.canvas.draw()


def test_a_cloud_of_zeros_has_a_scale():
    figure = plots.cloud({"a": np.zeros((3, 2))}, (0, 0), "t")
    figure.canvas.draw()
    assert figure.axes[0].get_xlim() == (-1, 1)


def test_a_heat_map_of_equal_means_is_drawn():
    """The ends of its scale are the same number."""
    figure = plots.heat_map(TABLE, "t")
    figure.canvas.draw()
    assert [text.get_text() for text in figure.axes[0].texts] == 4 * ["1.000\n± 1.0"]
