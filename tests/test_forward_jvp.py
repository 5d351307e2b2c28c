"""forward_jvp, over the table of layers: forward and jvp in one go, with nothing kept."""

import tracemalloc

import numpy as np
import pytest
from cases import layer_cases

import minigrad as mg
from minigrad.backend import to_device, to_host


def random_like(rng, array):
    return to_device(rng.standard_normal(array.shape).astype(array.dtype), like=array)


def moved(layer, x, rng, moving):
    """(x_dot, params_dot): the tangents of what moves, None for what does not."""
    params_dot = {name: random_like(rng, array) for name, array in layer.params.items()}
    return (
        random_like(rng, x) if moving in ("x", "both") else None,
        params_dot if params_dot and moving in ("parameters", "both") else None,
    )


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("moving", ["x", "parameters", "both", "nothing"])
@pytest.mark.parametrize("case", **layer_cases)
def test_forward_jvp_is_forward_then_jvp(case, moving, train, rng):
    alone = not train or (case.train and case.single)
    for n in (case.shape[0], 1) if alone else case.shape[:1]:
        fused, plain, earlier = case.layer(), case.layer(), case.x(rng)
        for layer in (fused, plain):  # the earlier point's cache, and its mask, are of no use
            layer.reseed(5)
            layer.forward(earlier, train)
        x = case.x(rng, shape=(n, *case.shape[1:]))
        x_dot, params_dot = moved(fused, x, rng, moving)
        held = [x, x_dot, *(params_dot or {}).values(), *fused.params.values()]
        held = [(array, to_host(array).copy()) for array in held if array is not None]
        y, y_dot = fused.forward_jvp(x, x_dot, params_dot, train)
        same(y, plain.forward(x, train))
        if x_dot is None and params_dot is None:
            assert y_dot is None
        else:
            same(y_dot, plain.jvp(x_dot, params_dot))
        for array, before in held:
            np.testing.assert_array_equal(to_host(array), before)
        assert all(leaf.cache is None for _, leaf in fused.leaves())
        with pytest.raises(RuntimeError, match="call forward"):
            fused.backward(y)
        state = plain.state_dict()  # running statistics have moved, and once only
        for name, array in fused.state_dict().items():
            np.testing.assert_array_equal(array, state[name], err_msg=name)


def same(ours, theirs, rtol=1e-12):
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_allclose(to_host(ours), to_host(theirs), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("case", **layer_cases)
def test_forward_jvp_of_views_and_in_a_net_is_the_same(case, rng, xp):
    layer, x = case.layer(), case.x(rng)
    x_dot, params_dot = moved(layer, x, rng, "both")
    layer.reseed(5)
    y, y_dot = layer.forward_jvp(x, x_dot, params_dot, case.train)
    wide = xp.zeros((*x.shape[:-1], 2 * x.shape[-1]))
    wide[..., ::2], wide[..., 1::2] = x, x_dot
    turned = {name: xp.ascontiguousarray(array.T).T for name, array in (params_dot or {}).items()}
    layer.reseed(5)
    views = layer.forward_jvp(wide[..., ::2], wide[..., 1::2], turned, case.train)
    net, named = mg.Sequential(layer), {f"0.{name}": array for name, array in turned.items()}
    net.layers[0].reseed(5)
    for ours in (views, net.forward_jvp(x, x_dot, named, case.train)):
        same(ours[0], y)
        same(ours[1], y_dot)


@pytest.mark.parametrize("moving", ["x", "parameters", "both", "nothing"])
@pytest.mark.parametrize("case", **layer_cases)
def test_forward_jvp_stays_in_float32(case, moving, rng):
    layer, x = case.layer("float32"), case.x(rng, "float32")
    x_dot, params_dot = moved(layer, x, rng, moving)
    for array in layer.forward_jvp(x, x_dot, params_dot, case.train):
        assert array is None or array.dtype == np.float32


@pytest.mark.on_host
@pytest.mark.parametrize("case", **layer_cases)
def test_forward_jvp_results_are_ones_own(case, rng):
    layer, x = case.layer(), case.x(rng)
    x_dot, params_dot = moved(layer, x, rng, "both")
    y, y_dot = layer.forward_jvp(x, x_dot, params_dot, case.train)
    assert not np.shares_memory(y, y_dot)
    assert not np.shares_memory(y, x_dot)
    assert not np.shares_memory(y_dot, x)
    if not case.view:
        assert not np.shares_memory(y, x)
        assert not np.shares_memory(y_dot, x_dot)


@pytest.mark.parametrize("case", **layer_cases)
def test_forward_jvp_names_what_does_not_fit(case, rng):
    layer, x = case.layer("float32"), case.x(rng, "float64")
    with pytest.raises(TypeError, match="float32.*float64"):
        layer.forward_jvp(x, x, None, case.train)
    if isinstance(layer, mg.Linear | mg.Conv2d | mg.MaxPool2d):
        x = case.x(rng, "float32")
        _, params_dot = moved(layer, x, rng, "both")
        for tangents in (None, params_dot):
            with pytest.raises(ValueError, match=r"x_dot of shape .*, got"):
                layer.forward_jvp(x, x[:1], tangents, case.train)


def test_a_new_forward_or_jvp_is_not_passed_over(xp):
    """A class derived from one with a fast forward_jvp gets the plain one, unless it writes one."""

    class Double(mg.Linear):
        def forward(self, x, train=True):
            return 2 * super().forward(x, train)

        def jvp(self, x_dot, params_dot=None):
            return 2 * super().jvp(x_dot, params_dot)

    class Tripled:
        def jvp(self, x_dot, params_dot=None):
            return 3 * super().jvp(x_dot, params_dot)

    class Triple(Tripled, mg.Linear):
        pass

    class Named(mg.Linear):
        pass

    assert Named.forward_jvp is mg.Linear.forward_jvp
    x = xp.ones((2, 4))
    y, y_dot = mg.Linear(4, 3, dtype="float64", seed=0).forward_jvp(x, x)
    for cls, factor, factor_dot in ((Double, 2, 2), (Triple, 1, 3), (Named, 1, 1)):
        ours, ours_dot = cls(4, 3, dtype="float64", seed=0).forward_jvp(x, x)
        same(ours, factor * y)
        same(ours_dot, factor_dot * y_dot)

    class Residual(mg.Sequential):
        def forward(self, x, train=True):
            return x + super().forward(x, train)

        def jvp(self, x_dot, params_dot=None):
            return x_dot + super().jvp(x_dot, params_dot)

    net = mg.Sequential(Residual(mg.Linear(4, 4, dtype="float64", seed=0)))
    y, y_dot = net.forward_jvp(x, x)
    same(y, net.forward(x))
    same(y_dot, net.jvp(x))
    assert float(abs(y - x).max()) > 0


def test_the_kink_has_the_tangent_zero(xp):
    x = xp.array([[-1.0, 0.0, 2.0]])
    y, y_dot = mg.ReLU().forward_jvp(x, 3 * xp.ones((1, 3)))
    np.testing.assert_array_equal(to_host(y), [[0, 0, 2]])
    np.testing.assert_array_equal(to_host(y_dot), [[0, 0, 3]])


@pytest.mark.on_host
def test_forward_jvp_keeps_no_layers_memory(rng):
    """The peak of twenty layers is that of two, but for forward's caches."""
    x, peaks = rng.standard_normal((500, 100)), []
    for depth in (2, 20):
        net = mg.Sequential(*[mg.Tanh() for _ in range(depth)])
        tracemalloc.start()
        net.forward_jvp(x, x)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
