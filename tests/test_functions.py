"""Surfaces against differences and PyTorch, a point on them as a network, and known descents."""

import inspect
import time

import numpy as np
import pytest
from test_layers import Scale

import minigrad as mg
from minigrad import functions
from minigrad.backend import to_device, to_host
from minigrad.functions import Beale, Height, Point, Ravine, Rosenbrock, Surface, at, descend
from minigrad.rules import Backprop, ForwardGradient, WellTempered

SURFACES = {
    "Beale": Beale,
    "Rosenbrock": Rosenbrock,
    "Ravine": Ravine,
    "Ravine in 5 dimensions": lambda: Ravine((3.0, 0.5, 0.0, 10.0, 2.0)),
    "Ravine in 1 dimension": lambda: Ravine([4]),
}
TWINS = {  # as a reader of the papers would write them
    "Beale": lambda x, y: (
        (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2
    ),
    "Rosenbrock": lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    "Ravine": lambda x, y: 0.5 * (x**2 + 25 * y**2),
    "Ravine in 5 dimensions": lambda a, b, c, d, e: (
        0.5 * (3 * a**2 + 0.5 * b**2 + 10 * d**2 + 2 * e**2) + 0 * c
    ),
    "Ravine in 1 dimension": lambda x: 2 * x**2,
}
surfaces = pytest.mark.parametrize("name", SURFACES)


def points(rng, surface, n=6, dtype="float64"):
    """Points in the drawn region, none near an axis, and their heights' upstream gradient."""
    low, high = np.array(surface.limits).T
    x = rng.uniform(low, high, (n, surface.n))
    return to_device(np.where(abs(x) < 0.1, 0.3, x).astype(dtype))


def random_like(rng, array):
    return to_device(rng.standard_normal(array.shape).astype(array.dtype), like=array)


# ------------------------------------------------------------------ surfaces


def test_every_surface_is_tested():
    own = {c for c in vars(functions).values() if inspect.isclass(c) and issubclass(c, Surface)}
    assert own - {Surface} == {type(make()) for make in SURFACES.values()}
    assert SURFACES.keys() == TWINS.keys()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 6])
@surfaces
def test_differences_transpose_and_dtype(name, n, seed):
    surface = SURFACES[name]()
    x = points(np.random.default_rng(seed), surface, n)
    report = mg.gradcheck.check(surface, x, seed=seed)
    assert report, report
    assert not any("kink" in row.detail for row in report.rows), report


@surfaces
def test_in_the_middle_of_a_net(name, rng):
    """Behind another layer, so that its dx and x_dot are really used, and below a loss."""
    surface, scale = SURFACES[name](), Scale()
    scale.params["a"] = to_device(rng.uniform(0.5, 1.5, surface.n))
    net, x = mg.Sequential(scale, surface), points(rng, surface)
    report = mg.gradcheck.check(net, x, loss=Height(), target=x)
    assert report, report


@surfaces
def test_value_gradient_and_jvp_are_pytorchs(name, rng):
    torch = pytest.importorskip("torch")
    surface, twin = SURFACES[name](), TWINS[name]
    x = points(rng, surface)
    y = surface.forward(x)
    dy, x_dot = random_like(rng, y), random_like(rng, x)
    at_t = torch.from_numpy(to_host(x)).requires_grad_()
    theirs = twin(*at_t.T)
    theirs.backward(torch.from_numpy(to_host(dy)))
    _, theirs_dot = torch.func.jvp(
        lambda x: twin(*x.T), (at_t.detach(),), (torch.from_numpy(to_host(x_dot)),)
    )
    gradient = at_t.grad.numpy() / to_host(dy)[:, None]
    used = np.arange(surface.n) != (2 if surface.n == 5 else -1)  # one curvature is 0
    report = mg.gradcheck.compare(
        {
            "y": (y, theirs.detach().numpy()),
            "dx": (to_host(surface.backward(dy))[:, used], at_t.grad.numpy()[:, used]),
            "y_dot": (surface.jvp(x_dot), theirs_dot.numpy()),
            "gradient": (to_host(surface.gradient(x))[:, used], gradient[:, used]),
        },
        rtol=1e-10,
    )
    assert report, report


@surfaces
def test_float32_stays_float32_and_nothing_is_mutated(name, rng):
    surface = SURFACES[name]()
    x = points(rng, surface, dtype="float32")
    y = surface.forward(x)
    dy, x_dot = random_like(rng, y), random_like(rng, x)
    before = [to_host(a).copy() for a in (x, dy, x_dot)]
    results = y, surface.backward(dy), surface.jvp(x_dot), surface.heights(*x.T)
    assert [a.dtype for a in results] == 4 * ["float32"]
    for array, copy in zip((x, dy, x_dot), before, strict=True):
        np.testing.assert_array_equal(to_host(array), copy)
    exact = SURFACES[name]().forward(x.astype("float64"))
    np.testing.assert_allclose(to_host(y), to_host(exact), rtol=1e-4, atol=1e-4)


@surfaces
def test_start_and_minimum(name):
    surface = SURFACES[name]()
    lowest = to_device(np.array([surface.minimum]))
    assert to_host(surface.height(lowest)) == [0]
    assert not to_host(surface.gradient(lowest)).any()
    for (low, high), *inside in zip(surface.limits, surface.start, surface.minimum, strict=True):
        assert all(low < value < high for value in inside)


def test_heights_and_gradients_that_the_papers_have():
    assert float(Beale().heights(0, 0.5)) == 14.203125
    assert float(Rosenbrock().heights(-1, 0)) == 104
    assert float(Ravine((1, 25)).heights(1, 2)) == 50.5
    gradient = Beale().gradient(to_device(np.array([1.5, -0.1])))
    np.testing.assert_allclose(to_host(gradient), [-3.433947, -0.807885], rtol=1e-12)


@surfaces
def test_heights_of_a_grid_are_forwards(name, rng):
    surface = SURFACES[name]()
    x = points(rng, surface, 6)
    grid = [column.reshape(2, 3) for column in x.T]
    z = surface.heights(*grid)
    assert z.shape == (2, 3)
    np.testing.assert_array_equal(to_host(z).ravel(), to_host(surface.forward(x)))
    whole = surface.heights(*[to_device(np.full((2, 3), 2)) for _ in range(surface.n)])
    np.testing.assert_array_equal(to_host(whole), float(surface.heights(*surface.n * [2.0])))


def test_what_is_no_point_on_the_surface_is_refused():
    surface = Beale()
    with pytest.raises(RuntimeError, match="call forward"):
        surface.backward(to_device(np.ones(2)))
    with pytest.raises(RuntimeError, match="call forward"):
        surface.jvp(to_device(np.ones((2, 2))))
    for shape in [(2,), (4, 3), (2, 2, 2)]:
        with pytest.raises(ValueError, match=r"Beale expected x of shape \(N, 2\)"):
            surface.forward(to_device(np.ones(shape)))
    with pytest.raises(TypeError, match="float32 or float64"):
        surface.forward(to_device(np.ones((1, 2), int)))
    surface.forward(to_device(np.ones((3, 2))))
    with pytest.raises(ValueError, match=r"dy of y's shape \(3,\)"):
        surface.backward(to_device(np.ones((3, 1))))
    with pytest.raises(ValueError, match=r"x_dot of shape \(3, 2\)"):
        surface.jvp(to_device(np.ones((1, 2))))
    with pytest.raises(ValueError, match="has 2 coordinates, got 1; write heights"):
        surface.heights(to_device(np.ones((3, 2))))
    with pytest.raises(ValueError, match="number above 0"):
        Ravine((0.0, 0.0))
    with pytest.raises(ValueError, match="number above 0"):
        Ravine(())
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="curvature must be a number >= 0"):
            Ravine((1.0, bad))


class Parabola(Surface):
    start, minimum, limits = (1.0,), (0.0,), ((-2.0, 2.0),)

    def height(self, x):
        return x[..., 0] ** 2


def test_a_surface_of_ones_own_says_what_it_lacks():
    model = at(Parabola())
    model.forward(None)
    with pytest.raises(NotImplementedError, match="Parabola has no gradient"):
        model.backward(to_device(np.ones(1)))
    with pytest.raises(NotImplementedError, match="Surface has no height"):
        Surface().height(None)


# ------------------------------------------------------------------ a point, and its height


@surfaces
def test_a_point_on_a_surface_is_a_network(name, rng):
    surface = SURFACES[name]()
    model = at(surface, to_host(points(rng, surface, 1))[0] + 0.2)
    x = to_device(rng.standard_normal((3, 2)))  # whatever it is, it does not matter
    report = mg.gradcheck.check(model, x, loss=Height(), target=x, zeros=["dx"])
    assert report, report
    report = mg.gradcheck.check(model, x, zeros=["dx"])
    assert report, report


def test_point():
    point = Point((3, -4))
    assert point.params["x"].dtype == "float64"
    assert Point((3.0, -4.0), "float32").forward(None).dtype == "float32"
    with pytest.raises(RuntimeError, match="call forward"):
        point.backward(to_device(np.ones((1, 2))))
    with pytest.raises(RuntimeError, match="call forward"):
        point.jvp(None)
    for x in (None, "anything", to_device(np.ones((5, 3), "float32")), to_device(np.arange(3))):
        y = point.forward(x)
        np.testing.assert_array_equal(to_host(y), [[3, -4]])
        dx = point.backward(to_device(np.array([[0.5, 0.25]])))
        np.testing.assert_array_equal(to_host(point.grads["x"]), [0.5, 0.25])
        if hasattr(x, "dtype"):
            assert (dx.shape, dx.dtype) == (x.shape, x.dtype)
            assert not to_host(dx).any()
        else:
            assert dx is None
    np.testing.assert_array_equal(to_host(point.jvp(None)), [[0, 0]])
    still = point.jvp(to_device(np.ones((5, 3))), None)
    np.testing.assert_array_equal(to_host(still), [[0, 0]])
    x_dot = to_device(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(to_host(point.jvp(None, {"x": x_dot})), [[1, 2]])
    with pytest.raises(ValueError, match=r"dy of y's shape \(1, 2\)"):
        point.backward(to_device(np.ones((2, 2))))
    assert repr(point) == "Point([3.0, -4.0])"


def test_a_points_output_gradient_and_start_are_no_views():
    start = np.array([1.0, 2.0])
    point = Point(start)
    y, dy = point.forward(None), to_device(np.array([[5.0, 6.0]]))
    point.backward(dy)
    x = point.params["x"]
    x += 1
    dy *= 0
    assert start.tolist() == [1, 2]
    assert to_host(y).tolist() == [[1, 2]]
    assert to_host(point.grads["x"]).tolist() == [5, 6]


@pytest.mark.parametrize("start", [(), 3.0, [[1.0, 2.0]], (1.0, np.nan), (np.inf, 0.0)])
def test_a_point_is_n_finite_numbers(start):
    with pytest.raises(ValueError, match="Point expected n finite numbers"):
        Point(start)


def test_the_tangent_goes_from_point_to_height():
    model, loss = at(Beale(), (1.5, -0.1)), Height()
    loss.forward(model.forward(None), None)
    x_dot = to_device(np.array([0.3, -2.0]))
    expected = 0.3 * -3.433947 + 2 * 0.807885
    assert loss.jvp(model.jvp(None, {"0.x": x_dot})) == pytest.approx(expected, rel=1e-12)
    assert loss.jvp(model.jvp(None, None)) == 0
    _, y_dot = model.forward_jvp(None, None, {"0.x": x_dot})
    assert float(y_dot[0]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_height_is_the_mean(dtype, rng):
    loss = Height()
    y = to_device(rng.standard_normal(5).astype(dtype))
    y_dot, before = random_like(rng, y), to_host(y).copy()
    with pytest.raises(RuntimeError, match="call forward"):
        loss.backward()
    with pytest.raises(RuntimeError, match="call forward"):
        loss.jvp(None)
    value = loss.forward(y, None)
    assert type(value) is float
    assert value == pytest.approx(to_host(y).mean(dtype="float64"), rel=1e-15)
    assert loss.forward(y) == loss.forward(y, "no target") == value
    dy, each = loss.backward(), loss.each(y, None)
    assert dy.dtype == each.dtype == dtype
    np.testing.assert_array_equal(to_host(dy), np.full(5, 0.2, dtype))
    np.testing.assert_array_equal(to_host(each), to_host(y))
    np.testing.assert_array_equal(to_host(loss.each_jvp(y_dot)), to_host(y_dot))
    assert loss.jvp(None) == 0.0
    assert loss.jvp(y_dot) == pytest.approx(to_host(y_dot).mean(dtype="float64"), rel=1e-15)
    each *= 0
    np.testing.assert_array_equal(to_host(y), before)
    if dtype == "float64":
        report = mg.gradcheck.check(Height(), y, target=y)
        assert report, report


def test_height_takes_heights_only():
    loss = Height()
    for shape in [(3, 1), (), (0,)]:
        with pytest.raises(ValueError, match=r"heights of shape \(N,\)"):
            loss.forward(to_device(np.ones(shape)), None)
        with pytest.raises(ValueError, match=r"heights of shape \(N,\)"):
            loss.each(to_device(np.ones(shape)), None)
    loss.forward(to_device(np.ones(3)), None)
    with pytest.raises(ValueError, match=r"tangents of shape \(3,\)"):
        loss.jvp(to_device(np.ones((3, 1))))


def test_at():
    model = at(Rosenbrock())
    assert list(model.params) == ["0.x"]
    assert to_host(model.params["0.x"]).tolist() == [-1, 0]
    assert to_host(at(Rosenbrock(), [2, 3], "float32").forward(None)) == np.float32(101)
    for start in [(1.0,), (1.0, 2.0, 3.0), 1.0]:
        with pytest.raises(ValueError, match="surface over 2 coordinates"):
            at(Rosenbrock(), start)
    again = at(Rosenbrock(), (5, 5))
    again.load_state_dict(model.state_dict())
    assert to_host(again.params["0.x"]).tolist() == [-1, 0]


# ------------------------------------------------------------------ descents


def test_beale_by_gradient_descent():
    model = at(Beale())
    path, heights = descend(model, Backprop(), mg.SGD(model, 0.01), 1000)
    assert (path.shape, heights.shape) == ((1001, 2), (1001,))
    assert type(path) is type(heights) is np.ndarray
    assert path[0].tolist() == [0, 0.5]
    assert heights[0] == 14.203125
    assert (np.diff(heights) < 0).all()
    assert heights[-1] == pytest.approx(5.56e-5, rel=1e-3)
    np.testing.assert_allclose(path[-1], [2.98156, 0.49536], atol=5e-6)
    np.testing.assert_array_equal(to_host(model.params["0.x"]), path[-1])


@pytest.mark.on_host
def test_rosenbrock_by_gradient_descent_in_seconds():
    model = at(Rosenbrock())
    began = time.perf_counter()
    path, heights = descend(model, Backprop(), mg.SGD(model, 5e-4), 25_000)
    assert time.perf_counter() - began < 10  # 0.6 s; a laptop that is busy may take its time
    assert heights[0] == 104
    assert heights[-1] == pytest.approx(5.32e-6, rel=1e-3)
    np.testing.assert_allclose(path[-1], [0.99769, 0.99539], atol=6e-6)


def by_hand(gradient, step, x, steps):
    """A descent in plain NumPy."""
    path = [np.array(x)]
    for _ in range(steps):
        path.append(path[-1] + step(gradient(path[-1])))
    return np.array(path)


def test_each_point_of_the_path_is_the_one_after_its_step():
    surface, beale = at(Beale(), (1.5, -0.1)), Beale()
    path, heights = descend(surface, Backprop(), mg.SGD(surface, 0.02), 20)

    def gradient(x):
        return to_host(beale.gradient(to_device(x)))

    expected = by_hand(gradient, lambda g: -0.02 * g, [1.5, -0.1], 20)
    np.testing.assert_allclose(path, expected, rtol=1e-13)
    np.testing.assert_array_equal(heights, to_host(beale.height(to_device(path))))


class Momentum:
    """Steps of SGD with momentum, written again."""

    def __init__(self, lr, momentum, nesterov):
        self.lr, self.momentum, self.nesterov, self.v = lr, momentum, nesterov, 0.0

    def __call__(self, g):
        self.v = self.momentum * self.v + g
        return -self.lr * (g + self.momentum * self.v if self.nesterov else self.v)


@pytest.mark.parametrize("nesterov", [False, True])
def test_with_momentum(nesterov):
    model, h = at(Ravine((1.0, 25.0)), (-10.0, 1.0)), np.array([1.0, 25.0])
    optimizer = mg.SGD(model, 0.04, momentum=0.6, nesterov=nesterov)
    path, heights = descend(model, Backprop(), optimizer, 60)
    expected = by_hand(lambda x: h * x, Momentum(0.04, 0.6, nesterov), [-10.0, 1.0], 60)
    np.testing.assert_allclose(path, expected, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(heights, (path**2 * h).sum(axis=1) / 2, rtol=1e-14)
    assert heights[-1] < 1e-3 * heights[0]


def test_with_adam():
    model, h = at(Ravine((1.0, 25.0)), (-10.0, 1.0)), np.array([1.0, 25.0])
    path, heights = descend(model, Backprop(), mg.Adam(model, 0.5), 60)
    m, v, x, expected = 0.0, 0.0, np.array([-10.0, 1.0]), [[-10.0, 1.0]]
    for t in range(1, 61):
        m, v = 0.9 * m + 0.1 * h * x, 0.999 * v + 0.001 * (h * x) ** 2
        x = x - 0.5 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        expected.append(x)
    np.testing.assert_allclose(path, expected, rtol=1e-9)
    np.testing.assert_allclose(abs(path[1] - path[0]), 0.5, rtol=1e-8)  # however steep it is
    assert heights[-1] < 0.05 * heights[0]


def test_with_a_well_tempered_rule():
    """Going straight down a slope, gradients agree and pass; across a ravine they are held back."""
    model = at(Ravine((1.0, 25.0)), (-10.0, 1.0))
    rule = WellTempered(Backprop(), window=6)
    path, _ = descend(model, rule, mg.SGD(model, 1.97 / 25), 11)
    plain = at(Ravine((1.0, 25.0)), (-10.0, 1.0))
    untempered, _ = descend(plain, Backprop(), mg.SGD(plain, 1.97 / 25), 11)
    np.testing.assert_array_equal(path[:7], untempered[:7])  # the first window is not gated
    snr = to_host(rule.snr["0.x"])
    assert snr[0] > 1 > snr[1]
    first, ungated = abs(path[7] - path[6]), abs(untempered[7] - untempered[6])
    assert first[0] == ungated[0]
    assert first[1] < 0.5 * ungated[1]


def test_forward_gradients_arrive_where_backprop_does():
    ends = []
    for seed in range(2):
        model = at(Beale())
        rule = ForwardGradient(seed=seed)
        ends.append(descend(model, rule, mg.SGD(model, 0.01), 1000).heights[-1])
    assert len(set(ends)) == 2
    assert 3e-5 < min(ends) < max(ends) < 1.2e-4


@pytest.mark.parametrize(
    "options", [{}, {"mode": "finite-difference"}, {"perturb": "activities"}], ids=str
)
def test_every_way_to_a_forward_gradient_takes_a_point_for_a_network(options):
    model = at(Beale())
    rule = ForwardGradient(directions=4, seed=1, **options)
    _, heights = descend(model, rule, mg.SGD(model, 0.01), 200)
    assert heights[-1] < 0.05 * heights[0]


def test_as_many_orthonormal_directions_as_dimensions_give_the_gradient():
    paths = []
    for rule in (Backprop(), ForwardGradient(directions=2, distribution="orthonormal", seed=0)):
        model = at(Beale())
        paths.append(descend(model, rule, mg.SGD(model, 0.01), 100).path)
    np.testing.assert_allclose(paths[1], paths[0], rtol=1e-10)


def test_a_schedule_moves_after_each_step():
    model = at(Ravine((1.0, 1.0)), (1.0, -2.0))
    optimizer = mg.SGD(model, 0.5)
    told, rule = [], Backprop()
    rule.rescale = told.append
    path, _ = descend(model, rule, optimizer, 3, mg.ExponentialLR(optimizer, 0.5))
    shares = np.array([1, 0.5, 0.5 * 0.75, 0.5 * 0.75 * 0.875])
    np.testing.assert_array_equal(path, np.outer(shares, [1, -2]))
    assert optimizer.lr == 0.5**4
    assert told == [0.5, 0.25, 0.125]


def test_a_second_descent_goes_on_from_the_first():
    whole, parts = at(Beale()), at(Beale())
    once = descend(whole, Backprop(), mg.SGD(whole, 0.01, momentum=0.5), 30)
    optimizer = mg.SGD(parts, 0.01, momentum=0.5)
    first = descend(parts, Backprop(), optimizer, 10)
    second = descend(parts, Backprop(), optimizer, 20)
    np.testing.assert_array_equal(np.concatenate([first.path, second.path[1:]]), once.path)
    np.testing.assert_array_equal(np.concatenate([first.heights, second.heights[1:]]), once.heights)
    assert descend(parts, Backprop(), optimizer, 0).path.tolist() == [once.path[-1].tolist()]


def test_in_float32():
    model = at(Beale(), dtype="float32")
    path, heights = descend(model, Backprop(), mg.Adam(model, 0.05), 300)
    assert path.dtype == heights.dtype == model.params["0.x"].dtype == "float32"
    assert heights[-1] < 1e-2


class Counted(Backprop):
    calls = 0

    def estimate(self, *args):
        self.calls += 1
        return super().estimate(*args)


@pytest.mark.parametrize("steps", [30, 400])
def test_a_descent_that_blows_up_ends_there(steps):
    """At lr > 2/h each step multiplies x by 1 - lr h = -9: |x| > 10^154, and x² is no number."""
    model, rule = at(Ravine((1.0,)), (1.0,)), Counted()
    path, heights = descend(model, rule, mg.SGD(model, 10.0), steps)
    assert (path.shape, heights.shape) == ((steps + 1, 1), (steps + 1,))
    if steps == 30:
        assert np.isfinite(heights).all()
        return
    last = int(np.ceil(np.log10(np.finfo("float64").max) / 2 / np.log10(9)))
    np.testing.assert_allclose(path[:last, 0], (-9.0) ** np.arange(last), rtol=1e-12)
    assert np.isfinite(heights[:last]).all()
    assert (heights[last:] == np.inf).all()
    assert np.isfinite(path[last]).all()
    assert rule.calls == last + 1  # and no more: the last one saw that it was over
    assert np.isnan(path[last + 1 :]).all()


@pytest.mark.parametrize("surface", [Beale(), Rosenbrock()])
def test_where_the_height_is_nan_it_counts_as_infinite(surface):
    model = at(surface)
    path, heights = descend(model, Backprop(), mg.SGD(model, 1.0), 100)
    assert not np.isnan(heights).any()
    assert heights[-1] == np.inf
    first = int(np.argmax(heights == np.inf))
    assert first < 20
    assert np.isnan(path[first + 1 :]).all()
    assert np.isfinite(path[:first]).all()


def test_what_does_not_belong_together_is_refused():
    model, other = at(Beale()), at(Beale())
    with pytest.raises(ValueError, match=r"steps another model.*SGD\(model"):
        descend(model, Backprop(), mg.SGD(other, 0.1), 1)
    with pytest.raises(ValueError, match="another optimiser's"):
        descend(model, Backprop(), mg.SGD(model, 0.1), 1, mg.StepLR(mg.SGD(model, 0.1), 3))
    with pytest.raises(ValueError, match="steps must be an integer"):
        descend(model, Backprop(), mg.SGD(model, 0.1), -1)
    linear = mg.Linear(2, 2, dtype="float64", seed=0)
    for wrong in (linear, mg.Sequential(linear), mg.Sequential(Point((1, 2)), linear, Beale())):
        with pytest.raises(TypeError, match=r"at\(surface\)"):
            descend(wrong, Backprop(), mg.SGD(wrong, 0.1), 1)
    alone = mg.SGD(model.layers[0], 0.1)  # the same point, whatever stands around it
    assert descend(model, Backprop(), alone, 1).heights[1] < 14


def test_one_trip_to_the_host_a_step(device):
    if device != "standin":
        pytest.skip("the stand-in counts its transfers")
    import cupy

    model = at(Ravine())
    optimizer, before = mg.Adam(model, 0.1), cupy.transfers
    descend(model, Backprop(), optimizer, 10)
    assert cupy.transfers - before == 10 + 2  # and the path and its heights at the end


def test_docstrings_give_equation_shapes_and_derivatives():
    for item in (Beale, Rosenbrock, Ravine, Surface, Point, Height):
        text = inspect.getdoc(item)
        assert not [word for word in ("Shapes:", "Backward:", "Jvp:") if word not in text]
        assert len(text.splitlines()) <= 15
        if issubclass(item, Surface) and item is not Surface:
            assert "Source:" in text
