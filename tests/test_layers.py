"""Every layer of the table against differences, PyTorch, its own transpose, and its contract."""

import numpy as np
import pytest
from cases import LAYERS, layer_cases, torch_twin

import minigrad as mg
from minigrad.backend import to_device, to_host


def random_like(rng, array):
    return to_device(rng.standard_normal(array.shape).astype(array.dtype), like=array)


def evaluated(case, rng, dtype="float64"):
    """(layer, x, y, dy) at a point, with a random upstream gradient."""
    layer, x = case.layer(dtype), case.x(rng, dtype)
    y = layer.forward(x, case.train)
    return layer, x, y, random_like(rng, y)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("case", **layer_cases)
def test_differences_and_transpose(case, seed):
    report = mg.gradcheck.check(
        case.layer(seed=seed), case.x(np.random.default_rng(seed)), train=case.train, seed=seed
    )
    assert report, report
    assert not any("kink" in row.detail for row in report.rows), report


@pytest.mark.parametrize("case", **layer_cases)
def test_backward_is_pytorchs(case, rng):
    torch = pytest.importorskip("torch")
    layer, x, y, dy = evaluated(case, rng)
    twin = torch_twin(layer).train(case.train)
    x_t = torch.from_numpy(to_host(x)).requires_grad_()
    y_t = twin(x_t)
    y_t.backward(torch.from_numpy(to_host(dy)))
    pairs = {"y": (y, y_t.detach().numpy()), "dx": (layer.backward(dy), x_t.grad.numpy())}
    ours = {
        n: a
        for p, leaf in layer.leaves()
        for n, a in {f"{p}{k}": leaf.grads[k] for k in leaf.params}.items()
    }
    theirs = [parameter.grad.numpy() for parameter in twin.parameters()]
    assert len(ours) == len(theirs)
    for (name, grad), their in zip(ours.items(), theirs, strict=True):
        turn = name.rpartition(".")[2] == "W" and grad.ndim == 2
        pairs[f"d{name}"] = (grad, their.T if turn else their)
    report = mg.gradcheck.compare(pairs, rtol=1e-10)
    assert report, report


@pytest.mark.parametrize("case", **layer_cases)
def test_jvp_is_pytorchs(case, rng):
    torch = pytest.importorskip("torch")
    layer, x, y, _ = evaluated(case, rng)
    twin = torch_twin(layer).train(case.train)
    for module in twin.modules():  # running statistics cannot be written under torch.func
        if getattr(module, "track_running_stats", False) and case.train:
            module.running_mean = module.running_var = module.num_batches_tracked = None
    values = {name: p.detach() for name, p in twin.named_parameters()}
    buffers = dict(twin.named_buffers())
    moved = dict(zip(layer.params, values, strict=True))  # our name -> PyTorch's
    params_dot = {name: random_like(rng, array) for name, array in layer.params.items()}
    tangents = {}
    for ours, theirs in moved.items():
        tangent = to_host(params_dot[ours])
        turn = ours.rpartition(".")[2] == "W" and tangent.ndim == 2
        tangents[theirs] = torch.from_numpy(np.ascontiguousarray(tangent.T if turn else tangent))
    x_dot = random_like(rng, x)

    def f(x, params):
        return torch.func.functional_call(twin, (params, buffers), (x,))

    at, along = torch.from_numpy(to_host(x)), torch.from_numpy(to_host(x_dot))
    _, y_dot = torch.func.jvp(f, (at, values), (along, tangents))
    report = mg.gradcheck.compare(
        {"y_dot": (layer.jvp(x_dot, params_dot or None), y_dot.numpy())}, rtol=1e-10
    )
    assert report, report


@pytest.mark.parametrize("case", **layer_cases)
def test_in_the_middle_of_a_net(case, rng):
    """With layers before and after, so that its dx and its x_dot are really used.

    20 entries of each array are moved; all of them are moved in the test above.
    """
    layer, x, y, _ = evaluated(case, rng)
    before, after = Scale(), Scale()
    net = mg.Sequential(before, layer, after)
    for scale, shape in ((before, x.shape[1:]), (after, y.shape[1:])):
        scale.params["a"] = to_device(rng.uniform(0.5, 1.5, shape))
    report = mg.gradcheck.check(net, x, train=case.train, entries=20)
    assert report, report


class Scale(mg.Layer):
    """y = a x, element by element: the layer around the tested one, simple to verify by eye."""

    def forward(self, x, train=True):
        self.cache = x
        return self.params["a"] * x

    def backward(self, dy):
        self.grads["a"] = (dy * self.recall()).sum(axis=0)
        return dy * self.params["a"]

    def jvp(self, x_dot, params_dot=None):
        y_dot = 0 if x_dot is None else x_dot * self.params["a"]
        return y_dot if params_dot is None else y_dot + params_dot["a"] * self.recall()


@pytest.mark.parametrize("case", **layer_cases)
def test_jvp_is_linear_and_takes_none_for_zero(case, rng):
    layer, x, _, _ = evaluated(case, rng)
    u, v = random_like(rng, x), random_like(rng, x)
    u_params = {name: random_like(rng, array) for name, array in layer.params.items()}
    pairs = {
        "2u - 3v": (layer.jvp(2 * u - 3 * v), 2 * layer.jvp(u) - 3 * layer.jvp(v)),
        "x alone": (layer.jvp(u), layer.jvp(u, {k: 0 * a for k, a in u_params.items()} or None)),
    }
    if u_params:
        both = layer.jvp(u, u_params)
        pairs["parts"] = (layer.jvp(u, None) + layer.jvp(None, u_params), both)
    report = mg.gradcheck.compare(pairs, rtol=1e-10)
    assert report, report


@pytest.mark.parametrize("case", **layer_cases)
def test_nothing_is_mutated(case, rng):
    layer, x, y, dy = evaluated(case, rng)
    x_dot = random_like(rng, x)
    params_dot = {name: random_like(rng, array) for name, array in layer.params.items()}
    held = {"x": x, "y": y, "dy": dy, "x_dot": x_dot} | layer.params
    held |= {f"{name}_dot": array for name, array in params_dot.items()}
    before = {name: to_host(array).copy() for name, array in held.items()}
    layer.backward(dy)
    layer.jvp(x_dot, params_dot or None)
    layer.backward_params(dy)
    for name, array in held.items():
        np.testing.assert_array_equal(to_host(array), before[name], err_msg=name, strict=True)


@pytest.mark.parametrize("case", **layer_cases)
def test_nothing_is_aliased(case, rng, device):
    if device != "numpy":
        pytest.skip("whether memory is shared can be asked of NumPy alone")
    layer, x, y, dy = evaluated(case, rng)
    dx = layer.backward(dy)
    arrays = {"x": x, "y": y, "dy": dy, "dx": dx} | {f"d{k}": g for k, g in layer.grads.items()}
    allowed = {("x", "y"), ("dy", "dx")} if case.view else set()
    names = list(arrays)
    shared = {
        (a, b)
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if np.shares_memory(arrays[a], arrays[b])
    }
    assert shared == allowed


@pytest.mark.parametrize("case", **layer_cases)
def test_grads_are_overwritten_and_like_params(case, rng):
    layer, x, y, dy = evaluated(case, rng)
    layer.backward(dy)
    first = {name: to_host(g).copy() for name, g in layer.grads.items()}
    layer.backward(2 * dy)
    layer.backward(dy)
    assert first.keys() == layer.params.keys()
    for name, grad in layer.grads.items():
        np.testing.assert_array_equal(to_host(grad), first[name])
        assert (grad.shape, grad.dtype) == (layer.params[name].shape, layer.params[name].dtype)
    for _, leaf in layer.leaves():
        leaf.grads = {}
    layer.backward_params(dy)
    assert layer.grads.keys() == first.keys()
    for name, grad in layer.grads.items():
        np.testing.assert_array_equal(to_host(grad), first[name])


@pytest.mark.parametrize("case", **layer_cases)
def test_backward_belongs_to_the_last_forward(case, rng):
    layer, x, _, _ = evaluated(case, rng)
    x2 = case.x(rng)
    layer.reseed(5)
    dy = random_like(rng, layer.forward(x2, case.train))
    expected, x2_dot = to_host(layer.backward(dy)).copy(), random_like(rng, x2)
    y_dot = to_host(layer.jvp(x2_dot)).copy()
    layer.forward(x, case.train)
    layer.reseed(5)
    layer.forward(x2, case.train)
    np.testing.assert_array_equal(to_host(layer.backward(dy)), expected)
    np.testing.assert_array_equal(to_host(layer.jvp(x2_dot)), y_dot)


@pytest.mark.parametrize("case", **layer_cases)
def test_non_contiguous_input_gives_the_same(case, rng, xp):
    layer, x, _, dy = evaluated(case, rng)
    layer.reseed(5)
    y = layer.forward(x, case.train)
    dx, grads = layer.backward(dy), dict(layer.grads)
    wide = {name: xp.zeros((*a.shape[:-1], 2 * a.shape[-1])) for name, a in (("x", x), ("dy", dy))}
    wide["x"][..., ::2], wide["dy"][..., ::2] = x, dy
    layer.reseed(5)
    y2 = layer.forward(wide["x"][..., ::2], case.train)
    dx2 = layer.backward(wide["dy"][..., ::2])
    pairs = {"y": (y2, y), "dx": (dx2, dx)} | {k: (layer.grads[k], g) for k, g in grads.items()}
    report = mg.gradcheck.compare(pairs, rtol=1e-12)
    assert report, report


@pytest.mark.parametrize("case", **layer_cases)
def test_batch_of_one(case, rng):
    layer = case.layer()
    x = case.x(rng, shape=(1, *case.shape[1:]))
    if case.train and not case.single:
        with pytest.raises(ValueError, match="more than one value per channel"):
            layer.forward(x, train=True)
        return
    report = mg.gradcheck.check(layer, x, train=case.train)
    assert report, report


@pytest.mark.parametrize("case", **layer_cases)
def test_float32_in_float32_out(case, rng):
    exact = evaluated(case, np.random.default_rng(4))
    single = evaluated(case, np.random.default_rng(4), "float32")
    pairs = {}
    for kind, (layer, x, y, dy) in {"exact": exact, "single": single}.items():
        x_dot = random_like(np.random.default_rng(5), x)
        results = {"y": y, "dx": layer.backward(dy), "y_dot": layer.jvp(x_dot)} | layer.grads
        for name, array in results.items():
            assert array.dtype == ("float64" if kind == "exact" else "float32"), name
            pairs.setdefault(name, []).append(array)
    report = mg.gradcheck.compare({k: (b, a) for k, (a, b) in pairs.items()}, rtol=1e-2)
    assert report, report
    size = max(float(abs(to_host(a)).max()) for a, _ in pairs.values())
    for name, (a, b) in pairs.items():
        np.testing.assert_allclose(to_host(b), to_host(a), atol=1e-4 * size, err_msg=name)


@pytest.mark.parametrize("case", **layer_cases)
def test_forward_trains_unless_told_otherwise(case, rng):
    layer, x = case.layer(), case.x(rng)
    layer.reseed(1)
    y = to_host(layer.forward(x)).copy()
    layer.reseed(1)
    np.testing.assert_array_equal(y, to_host(layer.forward(x, True)))


@pytest.mark.parametrize("case", **layer_cases)
def test_derivatives_need_a_forward_first(case, rng):
    layer, x, y, dy = evaluated(case, rng)
    layer.drop_cache()
    for use in (lambda: layer.backward(dy), lambda: layer.jvp(x)):
        with pytest.raises(RuntimeError, match="call forward"):
            use()
    layer.reseed(0)
    layer.forward(x, case.train)
    layer.backward(dy)


@pytest.mark.parametrize("case", **layer_cases)
def test_wrong_dtypes_are_named(case, rng):
    layer, x = case.layer("float32"), case.x(rng, "float64")
    with pytest.raises(TypeError, match="float32.*float64"):
        layer.forward(x, case.train)
    with pytest.raises(TypeError, match="expected a NumPy or CuPy array, got list"):
        layer.forward([[1.0, 2.0]], case.train)
    with pytest.raises(TypeError, match="int64"):
        layer.forward(x.astype("int64"), case.train)


@pytest.mark.parametrize("case", **layer_cases)
def test_state_survives(case, rng):
    layer, x, _, _ = evaluated(case, rng)
    state, twin = layer.state_dict(), case.make("float64")
    twin.load_state_dict(state)
    layer.reseed(1)
    twin.reseed(1)
    for train in (False, case.train):
        np.testing.assert_array_equal(
            to_host(layer.forward(x, train)), to_host(twin.forward(x, train))
        )
    assert all(type(array) is np.ndarray for array in state.values())


def test_the_table_has_no_equal_sizes():
    """A transposed matrix would go unnoticed in a square one."""
    for case in LAYERS:
        assert len(set(case.shape)) == len(case.shape), case.name


SHAPE_ERRORS = [
    (
        lambda: mg.Linear(784, 32, seed=0),
        (32, 28, 28),
        r"\(N, 784\) .*, got \(32, 28, 28\).*Flatten",
    ),
    (lambda: mg.Linear(784, 32, seed=0), (784,), r"\(N, 784\), got \(784,\)"),
    (lambda: mg.Conv2d(3, 4, 3, seed=0), (2, 1, 8, 8), r"\(N, 3, H >= 3, W >= 3\), got"),
    (lambda: mg.Conv2d(1, 4, 5, padding=1, seed=0), (2, 1, 2, 9), "H >= 3, W >= 3"),
    (lambda: mg.MaxPool2d(3), (2, 1, 2, 9), "H >= 3"),
    (lambda: mg.BatchNorm1d(5), (2, 6), r"\(N, 5\)"),
    (lambda: mg.BatchNorm2d(5), (2, 5), r"\(N, 5, H, W\)"),
    (lambda: mg.LayerNorm((3, 5)), (2, 5, 3), r"\(N, ..., 3, 5\), got"),
    (lambda: mg.LayerNorm(5), (5,), r"\(N, ..., 5\), got"),
    (lambda: mg.Softmax(), (2, 3, 4), r"\(N, C\)"),
    (lambda: mg.LogSoftmax(), (2,), r"\(N, C\)"),
]


@pytest.mark.parametrize(("make", "shape", "message"), SHAPE_ERRORS)
def test_wrong_shapes_say_what_was_expected(make, shape, message, xp):
    with pytest.raises(ValueError, match=message):
        make().forward(xp.ones(shape, "float32"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: mg.Linear(0, 3),
        lambda: mg.Linear(3, 2.5),
        lambda: mg.Conv2d(1, 2, 0),
        lambda: mg.Conv2d(1, 2, (3, 3, 3)),
        lambda: mg.Conv2d(1, 2, 3, stride=0),
        lambda: mg.Conv2d(1, 2, 3, padding=-1),
        lambda: mg.MaxPool2d(0),
        lambda: mg.Dropout(1.1),
        lambda: mg.Dropout(-0.1),
        lambda: mg.BatchNorm1d(True),
        lambda: mg.Linear(3, 2, rng=np.random.default_rng(0), seed=0),
    ],
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ValueError, match=r"."):
        make()


def test_bad_dtypes_are_refused():
    with pytest.raises(TypeError, match="float32 or float64"):
        mg.Linear(3, 2, dtype="float16")
    with pytest.raises(TypeError, match=r"numpy\.random\.Generator"):
        mg.Linear(3, 2, rng=np.random.RandomState(0))
