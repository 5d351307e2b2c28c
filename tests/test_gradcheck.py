"""The checker must fail where a derivative is wrong, and say which one, where and by how much."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device, to_host


class Faulty(mg.Linear):
    """A Linear layer (4, 3) with one fault put in."""

    def __init__(self, fault, dtype="float64"):
        super().__init__(4, 3, dtype=dtype, seed=0)
        self.fault = fault

    def backward(self, dy):
        dx = super().backward(dy)
        for name, grad in self.grads.items():
            self.grads[name] = self.fault(f"d{name}", grad)
        return self.fault("dx", dx)

    def jvp(self, x_dot, params_dot=None):
        return self.fault("y_dot", super().jvp(x_dot, params_dot))


def fault_in(which, change):
    return lambda name, array: change(array) if name == which else array


def transposed_values(array):
    return array.T.reshape(array.shape)  # the right numbers in the wrong places


CHANGES = {
    "0.1 % off": lambda a: 1.001 * a,
    "0.1 % small": lambda a: 0.999 * a,
    "missing 1/N": lambda a: 5 * a,
    "all zero": lambda a: 0 * a,
    "wrong sign": lambda a: -a,
    "transposed": transposed_values,
}


@pytest.fixture
def x(rng):
    return to_device(rng.standard_normal((5, 4)))


def test_the_faultless_layer_passes(x):
    assert mg.gradcheck.check(Faulty(lambda name, array: array), x)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("which", ["dx", "dW", "db", "y_dot"])
def test_negative_controls(which, change, x):
    if change == "transposed" and which == "db":
        pytest.skip("a vector is its own transpose")
    report = mg.gradcheck.check(Faulty(fault_in(which, CHANGES[change])), x)
    assert not report
    assert report[which].verdict == "WRONG"
    assert report["<dy, y_dot>"].verdict == "WRONG"  # the transpose test sees each of them too
    others = {"dx", "dW", "db", "y_dot"} - {which}
    assert all(report[name].verdict == "ok" for name in others)
    if change.startswith("0.1 %"):
        assert report[which].max_rel == pytest.approx(1e-3, rel=0.1)


def test_the_same_fault_in_both_directions_is_still_seen(x):
    """The identity cannot see an error made alike in backward and jvp; differences can."""
    report = mg.gradcheck.check(Faulty(lambda name, array: 1.001 * array), x)
    assert report["<dy, y_dot>"].verdict == "ok"
    assert {row.verdict for row in report.rows[:-1]} == {"WRONG"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_wrong_entry_is_found_and_shown(dtype, x):
    def change(array):
        changed = array.copy()
        changed[2, 1] += 0.01
        return changed

    report = mg.gradcheck.check(Faulty(fault_in("dW", change), dtype), x)
    row = report["dW"]
    assert row.verdict == "WRONG"
    assert row.max_abs == pytest.approx(0.01, rel=1e-5)
    assert "1 of 12 entries; at [2, 1] got" in row.detail
    assert "at [2, 1]" in str(report)
    assert "2 of 5 not ok" in str(report)  # dW, and the transpose


def test_a_right_layer_passes_when_only_some_entries_are_tried(rng):
    layer = mg.Sequential(mg.Linear(60, 40, seed=0), mg.Tanh(), mg.Linear(40, 30, seed=1))
    x = to_device(rng.standard_normal((3, 60)))
    for entries in (1, 10, 2399, 2400):
        report = mg.gradcheck.check(layer, x, entries=entries)
        assert report, report


def test_one_wrong_entry_among_many_is_found_along_a_direction():
    layer = mg.Linear(60, 40, seed=0)
    rng = np.random.default_rng(0)
    whole = layer.backward

    def wrong(dy):
        dx = whole(dy)
        layer.grads["W"] = layer.grads["W"].copy()
        layer.grads["W"][17, 23] += 0.01
        return dx

    layer.backward = wrong
    report = mg.gradcheck.check(layer, to_device(rng.standard_normal((3, 60))), entries=10)
    assert report["dW"].verdict == "WRONG"
    assert "right at the 10 entries tried, wrong along a random" in report["dW"].detail


def test_shapes_that_differ_are_wrong_not_broadcast(x):
    report = mg.gradcheck.check(Faulty(fault_in("db", lambda a: a.sum().reshape(1))), x)
    assert report["db"].verdict == "WRONG"
    assert "shape (1,) instead of (3,)" in report["db"].detail
    assert not mg.gradcheck.compare({"a": (np.ones((3, 1)), np.ones(3))})


def test_a_reference_that_is_nearly_zero_proves_nothing():
    """With an upstream gradient of ones softmax's dx is zero, and so is a backward that forgot."""
    dead = mg.Sequential(mg.ReLU(), mg.Linear(3, 2, dtype="float64", seed=0))
    x = to_device(-np.ones((2, 3)))
    report = mg.gradcheck.check(dead, x)
    assert report["dx"].verdict == "VOID"
    assert not report
    zeros = mg.gradcheck.compare({"dx": (np.zeros(3), np.zeros(3))})
    assert zeros["dx"].verdict == "VOID"
    assert not zeros


def test_a_gradient_that_must_be_zero_can_be_named(x):
    """Batch norm takes a bias before it away again: its gradient is zero, and that is right."""
    net = mg.Sequential(mg.Linear(4, 3, seed=0), mg.BatchNorm1d(3))
    report = mg.gradcheck.check(net, x)
    assert [row.name for row in report.rows if row.verdict == "VOID"] == ["d0.b"]
    assert mg.gradcheck.check(net, x, zeros=["d0.b"])
    wrong = mg.Sequential(Faulty(fault_in("db", lambda a: a + 0.01)), mg.BatchNorm1d(3))
    assert not mg.gradcheck.check(wrong, x, zeros=["d0.b"])
    assert not mg.gradcheck.check(mg.Linear(4, 3, seed=0), x, zeros=["dW"])
    with pytest.raises(KeyError, match="zeros names"):
        mg.gradcheck.check(net, x, zeros=["d0.c"])


def test_a_forward_that_changes_x_is_found_first():
    class InPlace(mg.ReLU):
        def forward(self, x, train=True):
            x[...] = abs(x) - 1
            return super().forward(x)

    report = mg.gradcheck.check(InPlace(), to_device(np.array([[1.0, -2.0]])))
    assert [row.name for row in report.rows] == ["x"]
    assert "forward changed x itself" in report["x"].detail


@pytest.mark.parametrize("slope", [1e9, np.nan, -0.5, 1.5])
def test_a_slope_at_a_kink_must_lie_between_left_and_right(slope):
    class Sloped(mg.ReLU):
        def slope(self):
            y = self.recall()
            return np.where(mg.backend.to_host(y) == 0, slope, 1.0)

        def backward(self, dy):
            return dy * to_device(self.slope())

        def jvp(self, x_dot, params_dot=None):
            return x_dot * to_device(self.slope())

    x = to_device(np.array([[0.0, 1.0, 3.0]]))
    report = mg.gradcheck.check(Sloped(), x)
    assert report["dx"].verdict == "WRONG"
    assert "entries; at [0, 0]" in report["dx"].detail


def test_entries_that_kinks_hide_are_void_not_ok():
    """Half the pixels at relu's kink, as in a digit: no direction can check the others."""
    x = np.random.default_rng(0).standard_normal((4, 100))
    x[:, ::2] = 0
    report = mg.gradcheck.check(mg.ReLU(), to_device(x), entries=20)
    assert report["dx"].verdict == "VOID"
    assert "only 20 of 400 entries could be checked" in report["dx"].detail


def test_results_must_keep_the_layers_own_dtype():
    class Drifts(mg.Layer):
        def forward(self, x, train=True):
            self.cache = np.where(x > 0, 1.0, 0.1)  # two Python floats make a float64
            return self.cache * x

        def backward(self, dy):
            return self.cache * dy

        def jvp(self, x_dot, params_dot=None):
            return self.cache * x_dot

    with mg.backend.use("numpy"):
        report = mg.gradcheck.check(Drifts(), np.array([[1.0, -2.0, 0.5]]))
    assert report["dx"].verdict == "ok"
    assert report["dtype"].verdict == "WRONG"
    assert "y is float64 for x in float32" in report["dtype"].detail
    assert not report


def test_a_parameter_known_by_two_names_is_one(x):
    class Aliased(mg.Layer):
        def __init__(self):
            super().__init__("float32")
            self.W = self.params["W"] = to_device(np.arange(12.0, dtype="float32").reshape(4, 3))

        def forward(self, x, train=True):
            self.cache = x
            return x @ self.W

        def backward(self, dy):
            self.grads["W"] = self.recall().T @ dy
            return dy @ self.W.T

        def jvp(self, x_dot, params_dot=None):
            y_dot = 0 if x_dot is None else x_dot @ self.W
            return y_dot if params_dot is None else y_dot + self.recall() @ params_dot["W"]

    layer = Aliased()
    report = mg.gradcheck.check(layer, x)
    assert report, report
    assert layer.W is layer.params["W"]
    assert layer.W.dtype == "float32"


def test_jvp_must_take_none_for_what_stands_still(x):
    class NeedsBoth(mg.Linear):
        def jvp(self, x_dot, params_dot=None):
            return x_dot @ self.params["W"] + self.recall() @ params_dot["W"] + params_dot["b"]

    report = mg.gradcheck.check(NeedsBoth(4, 3, seed=0), x)
    assert report["y_dot"].verdict == "ok"
    assert report["jvp(None)"].verdict == "WRONG"

    class DropsOne(mg.Linear):
        def jvp(self, x_dot, params_dot=None):
            if x_dot is None:
                return 0 * super().jvp(x_dot, params_dot)
            return super().jvp(x_dot, params_dot)

    assert mg.gradcheck.check(DropsOne(4, 3, seed=0), x)["jvp(None)"].verdict == "WRONG"


def test_the_identity_is_held_to_the_last_digits(x):
    report = mg.gradcheck.check(Faulty(fault_in("y_dot", lambda a: a * (1 + 1e-10))), x)
    assert report["y_dot"].verdict == "ok"
    assert report["<dy, y_dot>"].verdict == "WRONG"


def test_small_errors_show_in_large_batches(rng):
    """Rows that a moved entry does not touch add no noise to its difference."""
    layer = Faulty(fault_in("dx", lambda a: 1.0001 * a))
    x = to_device(rng.standard_normal((1000, 4)))
    assert mg.gradcheck.check(layer, x, entries=5000)["dx"].max_rel == pytest.approx(1e-4, rel=0.1)
    big = mg.Linear(30, 20, seed=0)
    report = mg.gradcheck.check(big, to_device(rng.standard_normal((500, 30))), entries=20)
    assert report, report


def test_differences_that_are_not_finite_prove_nothing():
    class Root(mg.Layer):
        def forward(self, x, train=True):
            self.cache = x
            with np.errstate(invalid="ignore"):
                return x**0.5

        def backward(self, dy):
            with np.errstate(invalid="ignore"):
                return dy * 0.5 * self.cache**-0.5

    report = mg.gradcheck.check(Root(), to_device(np.array([[4.0, -1.0]])), jvp=False)
    assert report["dx"].verdict == "VOID"


@pytest.mark.parametrize("method", ["forward", "backward", "jvp"])
def test_a_forgotten_return_is_named(method, x):
    layer = mg.Linear(4, 3, seed=0)
    whole = getattr(layer, method)

    def forgetful(*arguments):
        whole(*arguments)

    setattr(layer, method, forgetful)
    with pytest.raises(TypeError, match=rf"Linear: {method} returned None instead of an array"):
        mg.gradcheck.check(layer, x)


@pytest.mark.parametrize("value", [1.0, np.float64(1.0), np.arange(3)])
def test_parameters_must_be_arrays_of_floats(value, x):
    layer = mg.Linear(4, 3, seed=0)
    layer.params["b"] = value
    with pytest.raises(TypeError, match=r"params\['b'\] is .*make it an array"):
        mg.gradcheck.check(layer, x)


def test_no_super_init_is_named(x):
    class Bare(mg.Layer):
        def __init__(self):
            self.slope = 2.0

        def forward(self, x, train=True):
            return self.slope * x

    with pytest.raises(AttributeError, match=r"let its __init__ begin with super\(\).__init__\(\)"):
        mg.gradcheck.check(Bare(), x)


def test_a_layer_of_layers_must_be_a_sequential(x):
    class Residual(mg.Layer):
        def __init__(self):
            super().__init__()
            self.inner = mg.Linear(4, 4, seed=0)

    with pytest.raises(TypeError, match=r"holds layers of its own \(inner\).*Sequential"):
        mg.gradcheck.check(Residual(), x)

    class Better(mg.Sequential):
        def forward(self, x, train=True):
            return x + super().forward(x, train)

        def backward(self, dy):
            return dy + super().backward(dy)

        def jvp(self, x_dot, params_dot=None):
            inner = super().jvp(x_dot, params_dot)
            return inner if x_dot is None else x_dot + inner

    net = Better(mg.Linear(4, 5, seed=0), mg.Tanh(), mg.Linear(5, 4, seed=1))
    report = mg.gradcheck.check(mg.Sequential(mg.Linear(4, 4, seed=2), net), x)
    assert report, report


@pytest.mark.parametrize("rtol", [0, -1, float("nan"), 1])
def test_tolerances_that_pass_everything_or_nothing_are_refused(rtol, x):
    with pytest.raises(ValueError, match="rtol must lie between 0 and 1"):
        mg.gradcheck.check(mg.Linear(4, 3), x, rtol=rtol)
    with pytest.raises(ValueError, match="rtol must lie between 0 and 1"):
        mg.gradcheck.compare({"a": (1, 1)}, rtol=rtol)


def test_integers_are_taken_as_numbers_and_losses_left_alone():
    assert mg.gradcheck.check(mg.Linear(2, 3, seed=0), to_device(np.array([[1, 2], [3, 5]])))
    loss, target = mg.CrossEntropyLoss(), to_device(np.array([0, 1]))
    loss.forward(to_device(np.ones((2, 3), "float32")), target)
    assert mg.gradcheck.check(loss, to_device(np.array([[1.0, 2, 4], [0, 2, 5]])), target)
    assert loss.backward().dtype == "float32"


def test_nan_never_passes(x):
    report = mg.gradcheck.check(Faulty(fault_in("dW", lambda a: a * np.nan)), x)
    assert report["dW"].verdict == "WRONG"


def test_a_kink_is_left_out_and_reported():
    layer = mg.ReLU()
    report = mg.gradcheck.check(layer, to_device(np.array([[0.0, 1.0, -2.0, 3.0]])))
    assert report["dx"].verdict == "ok"
    assert "1 of 4 entries at a kink" in report["dx"].detail


def test_a_kink_within_reach_of_h_is_no_error():
    x = to_device(np.array([[1e-6, 1.0, -1e-6, -3.0]]))  # h is 6e-6
    report = mg.gradcheck.check(mg.ReLU(), x)
    assert report["dx"].verdict == "ok", report
    assert report["dx"].detail == ""


def test_missing_parts_are_named(x):
    class Half(mg.Layer):
        def forward(self, x, train=True):
            self.cache = x
            return 2 * x

        def backward(self, dy):
            return 2 * dy

    report = mg.gradcheck.check(Half(), x)
    assert report["y_dot"].verdict == "MISSING"
    assert not report
    assert mg.gradcheck.check(Half(), x, jvp=False)

    class Forgetful(mg.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            del self.grads["b"]
            return dx

    assert mg.gradcheck.check(Forgetful(4, 3), x)["db"].verdict == "MISSING"


def test_broken_promises_are_reported(x):
    class Accumulates(mg.Linear):
        def backward(self, dy):
            old = self.grads.get("W", 0)
            dx = super().backward(dy)
            self.grads["W"] = self.grads["W"] + old
            return dx

    report = mg.gradcheck.check(Accumulates(4, 3, seed=0), x)
    assert "a second backward gave another result" in str(report)

    class Updates(mg.Linear):
        def backward(self, dy):
            dx = super().backward(dy)
            self.params["W"] -= 0.1 * self.grads["W"]
            return dx

    assert "changed W itself" in str(mg.gradcheck.check(Updates(4, 3, seed=0), x))

    class Scales(mg.Linear):
        def backward(self, dy):
            dy *= 2
            return super().backward(dy)

    assert "changed dy itself" in str(mg.gradcheck.check(Scales(4, 3, seed=0), x))


def test_what_cannot_be_checked_is_an_error(x):
    class Random(mg.Layer):
        def __init__(self):
            super().__init__()
            self.rng = np.random.default_rng(0)

        def forward(self, x, train=True):
            return x * self.rng.random()

    with pytest.raises(ValueError, match=r"reseed\(seed\)"):
        mg.gradcheck.check(Random(), x)

    class Narrow(mg.Layer):
        def forward(self, x, train=True):
            return x.astype("float32")

    with pytest.raises(TypeError, match="float64 into float32"):
        mg.gradcheck.check(Narrow(), x)
    with pytest.raises(ValueError, match="a loss needs its target"):
        mg.gradcheck.check(mg.CrossEntropyLoss(), x)


def test_the_subject_is_left_as_it_was(x):
    net = mg.Sequential(
        mg.Linear(4, 5, bias=False, seed=0),
        mg.BatchNorm1d(5),
        mg.Dropout(0.2, seed=3),
        mg.Linear(5, 2, seed=1),
    )
    x32 = x.astype("float32")
    net.forward(x32)
    net.backward(to_device(np.ones((5, 2), "float32")))
    state, grads = net.state_dict(), {k: to_host(g).copy() for k, g in net.grads.items()}
    target = to_device(np.array([0, 1, 1, 0, 1]))
    assert mg.gradcheck.check(net, x, target, mg.CrossEntropyLoss())
    after = net.state_dict()
    assert state.keys() == after.keys()
    assert all(np.array_equal(state[k], after[k]) for k in state)
    assert all(a.dtype == state[k].dtype for k, a in after.items())
    assert all(np.array_equal(to_host(net.grads[k]), g) for k, g in grads.items())
    net.backward(to_device(np.ones((5, 2), "float32")))  # its linearisation is still there


def test_float32_differences_would_not_do():
    """Why the checker insists on float64: the same quotient in float32 misses by per cents."""
    rng = np.random.default_rng(0)
    x, W, dy = (rng.standard_normal(s) for s in ((5, 4), (4, 3), (5, 3)))
    h, errors = 1e-5, {}
    for dtype in ("float32", "float64"):
        xd, Wd, dyd = (a.astype(dtype) for a in (x, W, dy))
        step = np.zeros_like(Wd)
        step[2, 1] = h
        up, down = ((dyd * (xd @ (Wd + s))).sum() for s in (step, -step))
        errors[dtype] = abs(float(up - down) / (2 * h) - (x.T @ dy)[2, 1]) / abs((x.T @ dy)[2, 1])
    assert errors["float64"] < 1e-9
    assert errors["float32"] > 1e-3


def test_report_reads_as_a_table(x):
    report = mg.gradcheck.check(mg.Linear(4, 3, seed=0), x)
    text = str(report)
    assert text == repr(report)
    assert text.splitlines()[0] == "Linear: by hand against central differences"
    assert text.endswith("all ok")
    with pytest.raises(KeyError, match="no row 'dV'"):
        report["dV"]
    assert not mg.gradcheck.Report("empty", [])


def test_compare_takes_plain_numbers():
    assert mg.gradcheck.compare({"loss": (0.5, 0.5 + 1e-9), "grad": ([1.0, 2.0], [1.0, 2.0])})
    report = mg.gradcheck.compare({"loss": (0.5, 0.6)})
    assert "1 of 1 entries: got 0.5, expected 0.6" in str(report)
