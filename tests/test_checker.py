"""What the checker looks at beside the table, what it says, and where it must not cry wolf."""

import numpy as np
import pytest
from test_hard_points import Pointwise

import minigrad as mg
from minigrad import kernels
from minigrad.backend import to_device, to_host


@pytest.fixture
def x(rng):
    return to_device(rng.standard_normal((5, 4)))


def tied(change=None):
    """tanh(x W) W: one matrix in two places."""
    first, second = (mg.Linear(4, 4, bias=False, dtype="float64", seed=i) for i in range(2))
    second.params["W"] = first.params["W"]
    if change is not None:
        whole = second.backward

        def backward(dy):
            dx = whole(dy)
            second.grads["W"] = change(second.grads["W"])
            return dx

        second.backward = backward
    return mg.Sequential(first, mg.Tanh(), second)


# ---------------------------------------------------------------- shared arrays


def test_tied_weights_are_checked_as_one(x):
    net = tied()
    report = mg.gradcheck.check(net, x)
    assert report, report
    assert [row.name for row in report.rows] == ["dx", "d0.W + d2.W", "y_dot", "<dy, y_dot>"]
    assert net.layers[0].params["W"] is net.layers[2].params["W"]


def test_the_gradient_of_a_tied_weight_is_the_sum_over_its_places(x):
    report = mg.gradcheck.check(tied(lambda g: 1.001 * g), x)
    assert report["d0.W + d2.W"].verdict == "WRONG"
    report = mg.gradcheck.check(tied(lambda g: 0 * g), x)
    assert report["d0.W + d2.W"].verdict == "WRONG"


@pytest.mark.on_host
def test_views_of_one_memory_are_named(x):
    net = mg.Sequential(mg.Linear(4, 4, seed=0), mg.Linear(4, 4, seed=1))
    net.layers[1].params["W"] = net.layers[0].params["W"].T
    report = mg.gradcheck.check(net, x)
    assert "0.W and 1.W are views of one memory" in str(report)
    assert "all ok" not in str(report)


def test_a_layer_that_writes_no_gradient_is_told_where_constants_go(x):
    class Frozen(mg.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.grads = {}
            return dx

    report = mg.gradcheck.check(Frozen(4, 3, seed=0), x)
    assert report["dW"].verdict == "MISSING"
    assert "belongs into buffers" in report["dW"].detail


# ---------------------------------------------------------------- what nobody registered


class Scale(mg.Layer):
    """y = a x, with a where it does not belong."""

    def __init__(self, kind):
        super().__init__("float64")
        self.kind = kind
        a = to_device(np.array([2.0, 3.0, 4.0, 5.0]))
        if kind == "attribute":
            self.a = a
        else:
            getattr(self, kind)["a"] = a

    def scale(self):
        return self.a if self.kind == "attribute" else getattr(self, self.kind)["a"]

    def forward(self, x, train=True):
        self.x = x  # a cache under another name
        self.cache = x
        return x * self.scale()

    def backward(self, dy):
        if self.kind == "params":
            self.grads["a"] = (dy * self.x).sum(axis=0)
        return dy * self.scale()

    def jvp(self, x_dot, params_dot=None):
        y_dot = 0 if x_dot is None else x_dot * self.scale()
        return y_dot if params_dot is None else y_dot + params_dot["a"] * self.x


@pytest.mark.parametrize("kind", ["params", "buffers"])
def test_registered_arrays_give_no_warning(kind, x):
    report = mg.gradcheck.check(Scale(kind), x)
    assert report, report
    assert report.warnings == []
    assert str(report).endswith("all ok")


def test_an_array_that_nobody_registered_is_named(x):
    layer = Scale("attribute")
    layer.forward(x)  # that a cache is there before is no reason to warn of it
    report = mg.gradcheck.check(layer, x)
    assert report, "a constant is not called wrong"
    assert len(report.warnings) == 1
    assert "y depends on Scale.a (4,)" in report.warnings[0]
    assert 'params["a"]' in str(report)
    assert "all ok" not in str(report)
    np.testing.assert_array_equal(to_host(layer.a), [2, 3, 4, 5])


def test_in_a_net_too_and_an_array_of_no_effect_is_not(x):
    idle = mg.Tanh()
    idle.history = to_device(np.zeros(3))
    report = mg.gradcheck.check(mg.Sequential(Scale("attribute"), idle), x)
    assert len(report.warnings) == 1


@pytest.mark.parametrize("holder", [lambda b: [b], lambda b: (b,), lambda b: {"a": [b]}])
def test_layers_in_containers_are_refused(holder, x):
    layer = mg.Tanh()
    layer.blocks = holder(mg.Linear(4, 4))
    with pytest.raises(TypeError, match=r"Tanh holds layers of its own \(blocks\["):
        mg.gradcheck.check(layer, x)


# ---------------------------------------------------------------- what the report says


def test_the_report_says_what_was_looked_at(x):
    text = str(mg.gradcheck.check(mg.Linear(4, 3, seed=0), x))
    assert "entries compared: dx 20, dW 12, db 3, y_dot 15" in text
    assert "batches of 1, 5, 10 examples" in text
    assert "float32, fast kernels against plain" in text
    assert "batch of one" not in text


def test_a_batch_of_one_cannot_show_everything():
    report = mg.gradcheck.check(mg.Linear(4, 3, seed=0), to_device(np.ones((1, 4))))
    assert report, report
    assert "a batch of one, which cannot show a missing 1/N" in str(report)


def test_a_mode_that_cannot_be_checked_is_named():
    x = to_device(np.ones((1, 3)))
    report = mg.gradcheck.check(mg.BatchNorm1d(3), x, train=False)
    assert "not checked in training mode: BatchNorm1d in training needs more" in str(report)


def test_further_checks_wait_for_a_right_table(x):
    class Wrong(mg.ReLU):
        def backward(self, dy):
            return 2 * super().backward(dy)

    assert "once the table is right" in str(mg.gradcheck.check(Wrong(), x))


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize("train", [True, False])
def test_a_view_of_the_whole_input_is_no_fault(train):
    class Identity(mg.Layer):
        def forward(self, x, train=True):
            return x.reshape(len(x), -1)

        def backward(self, dy):
            return dy.reshape(len(dy), 2, -1)

        def jvp(self, x_dot, params_dot=None):
            return x_dot.reshape(len(x_dot), -1)

    x = to_device(np.random.default_rng(0).standard_normal((3, 2, 4)))
    report = mg.gradcheck.check(Identity(), x, train=train)
    assert report, report


def test_results_in_memory_that_is_not_theirs_are_found(x):
    class Bias(mg.Layer):
        def __init__(self):
            super().__init__("float64")
            self.params["b"] = to_device(np.ones((5, 4)))

        def forward(self, x, train=True):
            return x + self.params["b"]

        def backward(self, dy):
            self.grads["b"] = dy
            return dy.copy()

        def jvp(self, x_dot, params_dot=None):
            y_dot = 0 if x_dot is None else x_dot
            return y_dot if params_dot is None else y_dot + params_dot["b"]

    report = mg.gradcheck.check(Bias(), x)
    assert "db shares memory with dy" in str(report)

    class Constant(Bias):
        def forward(self, x, train=True):
            return self.params["b"]

        def backward(self, dy):
            self.grads["b"] = dy.copy()
            return 0 * dy

        def jvp(self, x_dot, params_dot=None):
            return 0 * x_dot if params_dot is None else params_dot["b"] + 0

    report = mg.gradcheck.check(Constant(), x, zeros=["dx"])
    assert "y shares memory with b" in str(report)


# ---------------------------------------------------------------- fast and plain


def test_a_fast_kernel_that_is_wrong_in_float32_is_found(x, monkeypatch):
    monkeypatch.setattr(kernels.switch, "KERNELS", {})  # this one is not the package's

    @kernels.kernel
    def twice(x):
        return 2 * x * (1.01 if x.dtype == "float32" else 1)

    @twice.plain
    def twice_plain(x):
        return 2 * x

    class Twice(mg.Layer):
        def forward(self, x, train=True):
            return twice(x)

        def backward(self, dy):
            return twice_plain(dy)

        def jvp(self, x_dot, params_dot=None):
            return twice_plain(x_dot)

    report = mg.gradcheck.check(Twice(), x)
    assert not report
    assert "in float32, fast kernels and plain ones differ" in report["y"].detail
    assert kernels.switch.form() == "fast"


# ---------------------------------------------------------------- right, and said to be so


WOLVES = {  # right derivatives that were told WRONG
    "log near 1e-5": (np.log, lambda x: 1 / x, 1e-5),
    "sqrt near 1e-5": (np.sqrt, lambda x: 0.5 / np.sqrt(x), 1e-5),
    "1/x near 1e-7": (lambda x: 1 / x, lambda x: -1 / x**2, 1e-7),
    "sin near 1e6": (np.sin, np.cos, 1e6),
}


@pytest.mark.on_host
@pytest.mark.parametrize("factor", [1.0, 1.001])
@pytest.mark.parametrize("name", WOLVES)
def test_no_step_suits_them_all(name, factor):
    f, slope, size = WOLVES[name]
    layer = Pointwise(f, lambda x: factor * slope(x))
    x = size * np.random.default_rng(0).uniform(1, 2, (3, 4))
    report = mg.gradcheck.check(layer, x)
    if factor == 1:
        assert report, report
    else:
        assert report["dx"].verdict == report["y_dot"].verdict == "WRONG"


@pytest.mark.on_host
def test_where_the_numerical_derivative_is_uncertain_the_table_says_so():
    """sin(1e15 x): its argument is rounded to 0.1, so no step shows its slope."""
    layer = Pointwise(lambda x: np.sin(1e15 * x), lambda x: 1e15 * np.cos(1e15 * x))
    report = mg.gradcheck.check(layer, np.random.default_rng(0).uniform(1, 2, (3, 4)))
    assert not report
    assert report["dx"].verdict == "UNDECIDED", report
    assert "too uncertain" in report["dx"].detail


@pytest.mark.parametrize("n", [1, 5])
def test_the_upstream_gradient_is_not_x(n):
    """x is often drawn by the same seed: dy = x made batch norm's dx nearly zero."""
    x = np.random.default_rng(0).standard_normal((8, 3))
    report = mg.gradcheck.check(mg.BatchNorm1d(3), to_device(x))
    assert report, report
