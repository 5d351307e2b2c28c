"""Every kernel's fast form against its plain one, over one table; and the switch between them."""

import ast
import copy
import importlib
import inspect
import itertools
import pickle
import pkgutil

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernels, threads
from minigrad.backend import to_device, to_host
from minigrad.kernels import memory, parts, products
from minigrad.kernels.averages import spread_over_windows, window_sums
from minigrad.kernels.convolution import (
    convolve,
    convolve_jvp,
    convolve_with_tangent,
    gradients,
    image_gradient,
    kernel_gradients,
)
from minigrad.kernels.draws import draw_normals, draw_signs
from minigrad.kernels.elementwise import (
    masked,
    relu,
    relu_with_tangent,
    row_max,
    sigmoid,
    sigmoid_slope,
    tanh_slope,
)
from minigrad.kernels.erf import erf
from minigrad.kernels.losses import (
    binary_cross_entropy,
    binary_slope,
    cross_entropy,
    cross_entropy_gradient,
    cross_entropy_tangent,
)
from minigrad.kernels.normalization import (
    move_running,
    normalise,
    normalise_gradients,
    normalise_tangent,
    project,
    standardise,
)
from minigrad.kernels.pooling import from_winners, max_pool, max_pool_with_tangent, to_winners
from minigrad.kernels.products import (
    affine,
    affine_jvp,
    affine_with_tangent,
    matmul,
    sum_rows,
)
from minigrad.kernels.rectifiers import (
    gelu,
    gelu_slope,
    leaky,
    silu,
    silu_slope,
    softplus,
    softplus_slope,
)
from minigrad.kernels.rows import rows_by_number
from minigrad.kernels.updates import add_scaled
from minigrad.kernels.windows import col2im, im2col

for module in pkgutil.iter_modules(kernels.__path__):
    importlib.import_module(f"{kernels.__name__}.{module.name}")

SINGLE = 1e-5  # of the largest number: the bound in float32
DOUBLE = 1e-12  # in float64
LAYOUTS = ("contiguous", "every second", "transposed")


class Make:
    """Draws arrays: the same ones, in the same order, for both forms."""

    def __init__(self, dtype, layout):
        self.dtype, self.layout, self.rng = dtype, layout, np.random.default_rng(5)

    def __call__(self, *shape, layout=None):
        """Normal numbers of this shape, whose axes lie in memory as the layout says."""
        return self.laid(self.rng.standard_normal(shape), layout)

    def ties(self, *shape):
        """Small integers: windows with several largest numbers."""
        return self.laid(self.rng.integers(0, 4, shape))

    def laid(self, values, layout=None):
        values, layout = values.astype(self.dtype), layout or self.layout
        if layout == "every second" and values.ndim:
            wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), self.dtype)
            wide[..., ::2] = values
            return to_device(wide)[..., ::2]
        if layout == "transposed":
            return to_device(np.ascontiguousarray(values.T)).T
        return to_device(values)

    def seed(self):
        return self.rng.integers(2**63, size=3).astype(np.uint64)


CONVOLUTIONS = [  # channels in, out, kernel, stride, padding, image
    (1, 3, (3, 2), (1, 1), (0, 0), (6, 7)),
    (3, 2, (2, 3), (2, 1), (1, 2), (5, 4)),
    (9, 2, (3, 3), (2, 3), (0, 1), (6, 5)),
    (22, 16, (3, 3), (1, 1), (0, 0), (10, 10)),  # Winograd, where the tiles fit
    (16, 17, (2, 5), (1, 1), (1, 1), (9, 8)),  # and where they reach behind the image
]
POOLS = [  # window, stride, padding, ceil_mode, image
    ((2, 2), (2, 2), (0, 0), False, (6, 8)),
    ((3, 2), (1, 2), (0, 0), False, (7, 5)),
    ((2, 3), (3, 1), (0, 0), False, (6, 6)),
    ((3, 3), (3, 3), (1, 1), False, (6, 3)),
    ((4, 3), (3, 2), (2, 0), True, (5, 6)),
    ((2, 5), (3, 4), (1, 2), True, (2, 2)),
]


def convolutions(run):
    """A case that runs for each of the settings."""

    def case(m, N):
        found = []
        for C, O, size, stride, padding, image in CONVOLUTIONS:
            x, W, b = m(N, C, *image), m(O, C, *size), m(O, layout="contiguous")
            rows = mg.kernels.windows.channels_last(x, padding)
            OH, OW = mg.kernels.windows.output_size(rows.shape[1:3], size, stride)
            found += run(m, x, rows, W, b, (N, O, OH, OW), stride, padding)
        return found

    return case


def pools(run):
    def case(m, N):
        found = []
        for size, stride, padding, ceil_mode, image in POOLS:
            x = m.ties(N, 3, *image)
            y, winners = max_pool(x, size, stride, padding, ceil_mode)
            found += run(m, x, y, winners, (size, stride, padding), ceil_mode)
        return found

    return case


def convolve_case(m, x, rows, W, b, y_shape, stride, padding):
    return [*convolve(x, W, b, stride, padding), *convolve(x, W, None, stride, padding)]


def convolve_jvp_case(m, x, rows, W, b, y_shape, stride, padding):
    x_dot, W_dot = m(*x.shape), m(*W.shape)
    return [
        convolve_jvp(rows, x_dot, W, W_dot, b, stride, padding),
        convolve_jvp(rows, x_dot, W, None, None, stride, padding),
        convolve_jvp(rows, None, W, W_dot, b, stride, padding),
    ]


def kernel_gradients_case(m, x, rows, W, b, y_shape, stride, padding):
    return kernel_gradients(m(*y_shape), rows, W.shape[2:], stride)


def image_gradient_case(m, x, rows, W, b, y_shape, stride, padding):
    return [image_gradient(m(*y_shape), rows, W, stride, padding)]


def gradients_case(m, x, rows, W, b, y_shape, stride, padding):
    return gradients(m(*y_shape), rows, W, stride, padding)


def convolve_with_tangent_case(m, x, rows, W, b, y_shape, stride, padding):
    x_dot, W_dot = m(*x.shape), m(*W.shape)
    return [
        *convolve_with_tangent(x, x_dot, W, W_dot, b, 2 * b, stride, padding),
        *convolve_with_tangent(x, None, W, W_dot, None, None, stride, padding),
    ]


def im2col_case(m, N):
    found = []
    for C, size, stride in ((2, (3, 2), (2, 1)), (9, (2, 2), (1, 3))):
        cols = m(N * ((6 - size[0]) // stride[0] + 1) * ((7 - size[1]) // stride[1] + 1), 4)
        cols = mg.backend.current().empty((len(cols), C * size[0] * size[1]), m.dtype)
        found.append(im2col(m(N, 6, 7, C), size, stride, cols))
    return found


def col2im_case(m, N):
    dx = m(N, 7, 6, 3, layout="contiguous")
    col2im(m(N, 3, 2, 3, 2, 3), (2, 3), dx)
    return [dx]


def affine_jvp_case(m, N):
    x, x_dot, W, W_dot, b = m(N, 70), m(N, 70), m(70, 9), m(70, 9), m(9)
    return [
        affine_jvp(x, x_dot, W, W_dot, b),
        affine_jvp(x, x_dot, W, None, None),
        affine_jvp(x, None, W, W_dot, None),
    ]


def affine_with_tangent_case(m, N):
    x, x_dot, W, W_dot, b = m(N, 70), m(N, 70), m(70, 9), m(70, 9), m(9)
    return [
        *affine_with_tangent(x, x_dot, W, W_dot, b, 2 * b),
        *affine_with_tangent(x, x_dot, W, None, b, None),
        *affine_with_tangent(x, None, W, W_dot, None, None),
    ]


def standardise_case(m, N):
    x = m(2 * N, 5)
    running = standardise(x, 1e-5, m(5), m(5) ** 2)
    return [*running, *(standardise(x, 1e-5) if N else ())]


def project_case(m, N):
    if not N:
        return []  # no mean
    v, x_hat, scale = m(N, 5), m(N, 5), m(5)
    known = v.sum(axis=0), (v * x_hat).sum(axis=0)
    return [project(v, x_hat, scale), project(v, x_hat, scale, known)]


def normalise_case(m, N):
    x, gamma, beta = m(2 * N, 5), m(5), m(5)
    running = normalise(x, 1e-5, gamma, None, m(5), m(5) ** 2)
    if not N:
        return running  # no mean
    return [*running, *normalise(x, 1e-5, gamma, beta), *normalise(x, 1e-5, None, None)]


def normalise_gradients_case(m, N):
    if not N:
        return []
    dy, x_hat, gamma, inv_std = m(N, 5), m(N, 5), m(5), m(5)
    return itertools.chain(
        *(
            normalise_gradients(dy, x_hat, each, inv_std, from_batch)
            for each in (gamma, None)
            for from_batch in (True, False)
        )
    )


def normalise_tangent_case(m, N):
    if not N:
        return []
    x_dot, x_hat, gamma, inv_std, gamma_dot, beta_dot = m(N, 5), m(N, 5), m(5), m(5), m(5), m(5)
    return [
        normalise_tangent(x_dot, x_hat, gamma, inv_std, gamma_dot, beta_dot),
        normalise_tangent(x_dot, x_hat, None, inv_std, None, None),
        normalise_tangent(None, x_hat, gamma, inv_std, gamma_dot, None),
        normalise_tangent(x_dot, x_hat, gamma, inv_std, gamma_dot, beta_dot, from_batch=False),
    ]


def move_running_case(m, N):
    found = []
    for momentum in (0.1, None):
        running = {"running_mean": m(5), "running_var": m(5)}
        running["num_batches_tracked"] = to_device(np.array(3))
        move_running(running, m(5), m(5), momentum, 1.2)
        move_running(running, m(5), m(5), momentum, 1.2)
        found += running.values()
    return found


def labels(N):
    return to_device(np.arange(N) * 7 % 5)


def add_scaled_case(m, N):
    y, x = m(N, 3, 40), m(N, 3, 40)
    add_scaled(y, 0.3, x)
    return [y]


def draw(kernel):
    def case(m, N):
        out = [np.empty(n, m.dtype) for n in (N, 2 * N, 33 * N)]
        for array in out:
            kernel(m.seed(), array)
        return out

    return case


def max_pool_y(m, x, y, winners, window, ceil_mode):
    return [y]


GELUS = ("none", "tanh")
CASES = {
    "elementwise.relu": lambda m, N: relu(m(N, 5, 3)),
    "elementwise.masked": lambda m, N: [masked(m(N, 5, 3), m(N, 5, 3) > 0)],
    "elementwise.relu_with_tangent": lambda m, N: relu_with_tangent(m(N, 5, 3), m(N, 5, 3)),
    "elementwise.sigmoid": lambda m, N: [sigmoid(m(N, 5, 3)), sigmoid(1e4 * m(N, 3))],
    "elementwise.sigmoid_slope": lambda m, N: [sigmoid_slope(m(N, 5, 3), m(N, 5, 3))],
    "elementwise.tanh_slope": lambda m, N: [tanh_slope(m(N, 5, 3), m(N, 5, 3))],
    "rectifiers.leaky": lambda m, N: leaky(m(N, 5, 3), 0.1),
    "rectifiers.gelu": lambda m, N: [*gelu(20 * m(N, 5, 3), "none"), *gelu(m(N, 9), "tanh")],
    "rectifiers.gelu_slope": lambda m, N: [
        gelu_slope(m(N, 5, 3), m(N, 5, 3), m(N, 5, 3), approximate) for approximate in GELUS
    ],
    "rectifiers.silu": lambda m, N: silu(40 * m(N, 5, 3)),
    "rectifiers.silu_slope": lambda m, N: [silu_slope(m(N, 5, 3), m(N, 5, 3), m(N, 5, 3))],
    "rectifiers.softplus": lambda m, N: softplus(9 * m(N, 5, 3), 2.0, 10.0),
    "rectifiers.softplus_slope": lambda m, N: [
        softplus_slope(m(N, 5, 3), m(N, 5, 3), m(N, 5, 3) > 0)
    ],
    "elementwise.row_max": lambda m, N: [row_max(m(N, 5))],
    "erf.erf": lambda m, N: [erf(m(N, 5, 3)), erf(1e4 * m(N, 3))],
    "windows.im2col": im2col_case,
    "windows.col2im": col2im_case,
    "convolution.convolve": convolutions(convolve_case),
    "convolution.convolve_jvp": convolutions(convolve_jvp_case),
    "gradients_of_convolution.kernel_gradients": convolutions(kernel_gradients_case),
    "gradients_of_convolution.image_gradient": convolutions(image_gradient_case),
    "gradients_of_convolution.gradients": convolutions(gradients_case),
    "convolution.convolve_with_tangent": convolutions(convolve_with_tangent_case),
    "pooling.max_pool": pools(max_pool_y),
    "pooling.to_winners": pools(
        lambda m, x, y, winners, window, ceil_mode: [
            to_winners(m(*y.shape), winners, x.shape, *window)
        ]
    ),
    "pooling.from_winners": pools(
        lambda m, x, y, winners, window, ceil_mode: [from_winners(m(*x.shape), winners, *window)]
    ),
    "pooling.max_pool_with_tangent": pools(
        lambda m, x, y, winners, window, ceil_mode: max_pool_with_tangent(
            x, m(*x.shape), *window, ceil_mode
        )
    ),
    "averages.window_sums": pools(
        lambda m, x, y, winners, window, ceil_mode: [window_sums(m(*x.shape), *window, y.shape[2:])]
    ),
    "averages.spread_over_windows": pools(
        lambda m, x, y, winners, window, ceil_mode: [
            spread_over_windows(m(*y.shape), x.shape, *window)
        ]
    ),
    "rows.rows_by_number": lambda m, N: [
        rows_by_number(m(3 * N, 4), to_device(np.arange(3 * N) % 5 % 3), 6)
    ],
    "products.matmul": lambda m, N: [matmul(m(N, 70), m(70, 9)), matmul(m(70, N).T, m(70, 9))],
    "products.affine": lambda m, N: [
        affine(m(N, 70), m(70, 9), m(9)),
        affine(m(N, 70), m(70, 9), None),
    ],
    "products.sum_rows": lambda m, N: [sum_rows(m(N, 9)), sum_rows(m(350 * N, 2, 3), 2)],
    "products.affine_jvp": affine_jvp_case,
    "products.affine_with_tangent": affine_with_tangent_case,
    "losses.binary_cross_entropy": lambda m, N: [
        binary_cross_entropy(m(N, 3) ** 2 % 1, m(N, 3) ** 2 % 1)
    ],
    "losses.binary_slope": lambda m, N: [binary_slope(m(N, 3) ** 2 % 1, m(N, 3), 7)],
    "losses.cross_entropy": lambda m, N: cross_entropy(m(N, 5), labels(N)),
    "losses.cross_entropy_gradient": lambda m, N: [
        cross_entropy_gradient(m(N, 5), labels(N)) if N else m(N, 5)
    ],
    "losses.cross_entropy_tangent": lambda m, N: [
        cross_entropy_tangent(m(N, 5), labels(N), m(N, 5))
    ],
    "normalization.normalise": normalise_case,
    "normalization.normalise_gradients": normalise_gradients_case,
    "normalization.normalise_tangent": normalise_tangent_case,
    "normalization.move_running": move_running_case,
    "normalization.standardise": standardise_case,
    "normalization.project": project_case,
    "updates.add_scaled": add_scaled_case,
    "draws.draw_normals": draw(draw_normals),
    "draws.draw_signs": draw(draw_signs),
}
EXACT = {  # the same numbers, bit for bit, in any number of parts
    *("elementwise.relu elementwise.masked elementwise.relu_with_tangent".split()),
    *("elementwise.row_max windows.im2col pooling.max_pool pooling.from_winners".split()),
    *("pooling.max_pool_with_tangent draws.draw_normals draws.draw_signs".split()),
}
ON_HOST = {name for name in CASES if name.startswith("draws.")}


def run(name, form, dtype, layout="contiguous", N=4):
    with kernels.use(form):
        return [to_host(array) for array in CASES[name](Make(dtype, layout), N)]


@pytest.fixture(params=["one part", "many parts"])
def cut(request, monkeypatch, threads_as_before):
    """With a tiny cache every example is a part of its own, and every product is cut."""
    if request.param == "many parts":
        monkeypatch.setattr(memory, "CACHE", 1)
        for constant in ("DEVICE_CACHE", "WORTH_A_THREAD"):
            monkeypatch.setattr(parts, constant, 1)
        monkeypatch.setattr("minigrad.kernels.updates.WORTH_A_THREAD", 1)
        monkeypatch.setattr("minigrad.kernels.elementwise.WORTH_A_THREAD", 1)
        monkeypatch.setattr(products, "WORTH_A_PIECE", 1)
        threads.set_threads(2)


@pytest.mark.on_host
def test_every_kernel_has_a_plain_form_and_a_case():
    assert {f"minigrad.kernels.{name}" for name in CASES} == set(kernels.KERNELS)
    assert not [name for name, kernel in kernels.KERNELS.items() if "plain" not in kernel.forms]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("cut")
def test_fast_is_plain(name, dtype, device):
    if name in ON_HOST and device != "numpy":
        pytest.skip("a device has its own generator")
    for layout, N in itertools.product(LAYOUTS, (4, 1, 0)):
        with threads.one_blas_thread():
            fast, plain = (run(name, form, dtype, layout, N) for form in kernels.FORMS)
        assert len(fast) == len(plain)
        for ours, theirs in zip(fast, plain, strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), (layout, N)
            if name in EXACT:
                np.testing.assert_array_equal(ours, theirs, err_msg=f"{layout}, N = {N}")
            elif ours.size:
                bound = SINGLE if dtype == "float32" else DOUBLE
                size = abs(theirs).max()
                np.testing.assert_allclose(
                    ours, theirs, rtol=0, atol=bound * size, err_msg=f"{layout}, N = {N}"
                )


@pytest.mark.on_host
@pytest.mark.parametrize("form", kernels.FORMS)
@pytest.mark.parametrize("name", CASES)
def test_every_case_calls_its_kernel(name, form, monkeypatch):
    """A form that raises is noticed, and only where it is the one in use."""

    class Called(Exception):
        pass

    def raising(*args, **options):
        raise Called

    kernel = kernels.KERNELS[f"minigrad.kernels.{name}"]
    monkeypatch.setitem(kernel.forms, form, raising)
    kernel.turn(kernels.form())
    try:
        with pytest.raises(Called):
            run(name, form, "float64")
        other = "fast" if form == "plain" else "plain"
        run(name, other, "float64")
    finally:
        monkeypatch.undo()
        kernel.turn(kernels.form())


@pytest.mark.on_host
def test_a_plain_form_reads_at_a_glance():
    """It is at most twelve lines long, without its head."""
    for name, kernel in kernels.KERNELS.items():
        (tree,) = ast.parse(inspect.getsource(kernel.forms["plain"])).body
        assert tree.end_lineno - tree.body[0].lineno + 1 <= 12, name


@pytest.mark.on_host
def test_the_switch_holds_for_a_while_or_from_here_on():
    assert kernels.form() == "fast"
    a = np.ones((2, 2))
    with kernels.use("plain") as form:
        assert form == kernels.form() == "plain"
        assert matmul.func is matmul.forms["plain"]
        with kernels.use("fast"):
            assert matmul.func is matmul.fast
        assert kernels.form() == "plain"
        np.testing.assert_array_equal(matmul(a, b=a), 2 * a)
    assert kernels.form() == "fast"
    assert matmul.func is matmul.fast
    try:
        kernels.use("plain")
        assert kernels.form() == "plain"
    finally:
        kernels.use("fast")
    with pytest.raises(ValueError, match='"fast" or "plain", got \'slow\''):
        kernels.use("slow")
    assert kernels.form() == "fast"


@pytest.mark.on_host
def test_a_kernel_is_a_function_with_a_name():
    assert matmul.__name__ == "matmul"
    assert repr(matmul) == "<kernel minigrad.kernels.products.matmul>"
    assert matmul.__doc__.startswith("a b.")
    assert pickle.loads(pickle.dumps(matmul)) is matmul
    assert copy.deepcopy(matmul) is matmul


@pytest.mark.on_host
def test_a_kernel_without_a_plain_form_runs_its_fast_one(monkeypatch):
    monkeypatch.setattr(kernels.switch, "KERNELS", {})

    @kernels.kernel
    def double(x):
        return 2 * x

    with kernels.use("plain"):
        assert double(3) == 6


@pytest.mark.parametrize("make", [lambda d: mg.MaxPool2d(2), lambda d: mg.MaxPool2d(3, 1)])
def test_winners_of_the_other_form_are_refused(make, rng):
    """What one form kept is no use to the other: an error, not a wrong gradient."""
    layer = make("float64")
    x = to_device(rng.standard_normal((2, 2, 4, 4)))
    for form, other in (("fast", "plain"), ("plain", "fast")):
        with kernels.use(form):
            y = layer.forward(x)
        with kernels.use(other), pytest.raises(RuntimeError, match="call forward again"):
            layer.backward(y)
        with kernels.use(other), pytest.raises(RuntimeError, match="call forward again"):
            layer.jvp(x)


def losses(form, make, rule, lr, n):
    """The losses of a few steps from the same start, and the parameters after them."""
    rng = np.random.default_rng(0)
    x = to_device(rng.random((n, 1, 28, 28)))
    target = to_device(rng.integers(0, 10, n))
    model, loss = make(dtype="float64", seed=0), mg.CrossEntropyLoss()
    optimizer = mg.SGD(model, lr, momentum=0.9)
    with kernels.use(form):
        found = []
        for _ in range(4):
            found.append(rule.estimate(model, loss, x, target))
            optimizer.step()
    return found, model.state_dict()


@pytest.mark.parametrize(
    ("make", "rule", "lr"),
    [
        (mg.models.lenet, mg.rules.Backprop, 0.05),
        (mg.models.dni_mlp, mg.rules.Backprop, 0.05),
        (mg.models.forward_convnet, mg.rules.ForwardGradient, 1e-5),
        (mg.models.dni_mlp, mg.rules.ForwardGradient, 1e-5),
    ],
)
def test_whole_trainings_are_the_same(make, rule, lr, device):
    if device != "numpy" and rule is mg.rules.ForwardGradient:
        pytest.skip("one device is enough for the slow ones")
    fast, plain = (losses(form, make, rule(), lr, 6) for form in kernels.FORMS)
    assert fast[0][-1] != fast[0][0]
    np.testing.assert_allclose(fast[0], plain[0], rtol=1e-10)
    for key, array in fast[1].items():
        size = abs(plain[1][key]).max()
        np.testing.assert_allclose(array, plain[1][key], rtol=0, atol=1e-9 * size, err_msg=key)


def test_parts_on_a_device_are_computed_by_the_calling_thread(device, monkeypatch, rng):
    if device == "numpy":
        pytest.skip("NumPy's parts are shared out among threads")

    def refused(work, items, parallel=True):
        assert not parallel, "a device's arrays were handed to threads"
        return [work(item) for item in items]

    monkeypatch.setattr(parts, "each", refused)
    for constant in ("DEVICE_CACHE", "WORTH_A_THREAD"):
        monkeypatch.setattr(parts, constant, 1)
    net = mg.models.lenet(seed=0)
    x = to_device(rng.random((3, 1, 28, 28), dtype="float32"))
    y = net.forward(x)
    net.backward(y)
    net.forward_jvp(x, x, dict(net.params))
    mg.SGD(net, 0.1).step()
