"""Every loss of the table against differences, PyTorch and its contract; bad targets."""

import numpy as np
import pytest
from cases import loss_cases, torch_jvp

import minigrad as mg
from minigrad.backend import to_device, to_host

# PyTorch says of KLDivLoss that "batchmean" is the divergence, and "mean" is not.
torch_kl_warns = pytest.mark.filterwarnings("ignore:reduction. .mean. divides:UserWarning")


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("case", **loss_cases)
def test_differences_and_transpose(case, seed):
    output, target = case.batch(np.random.default_rng(seed))
    report = mg.gradcheck.check(case.make(), output, target, seed=seed)
    assert report, report


@torch_kl_warns
@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("case", **loss_cases)
def test_value_gradient_and_jvp_are_pytorchs(case, n, rng):
    torch = pytest.importorskip("torch")
    output, target = case.batch(rng, n=n)
    output_dot = to_device(rng.standard_normal(output.shape))
    loss, twin = case.make(), case.twin()
    value = loss.forward(output, target)
    at = torch.from_numpy(to_host(output)).requires_grad_()
    target_t = torch.from_numpy(to_host(target))
    theirs = twin(at, target_t)
    theirs.backward()
    theirs_dot = torch_jvp(
        lambda z: twin(z, target_t), at.detach(), torch.from_numpy(to_host(output_dot))
    )
    report = mg.gradcheck.compare(
        {
            "value": (value, theirs.item()),
            "gradient": (loss.backward(), at.grad.numpy()),
            "jvp": (loss.jvp(output_dot), theirs_dot.item()),
        },
        rtol=1e-10,
    )
    assert report, report
    assert type(value) is float
    assert type(loss.jvp(output_dot)) is float
    assert loss.jvp(None) == 0.0


def each_of_torch(case, output, target):
    """PyTorch's losses of the single examples: reduction="none", the sum over one's elements.

    They are scaled so that their mean is PyTorch's loss.
    """
    torch = pytest.importorskip("torch")
    target = torch.from_numpy(to_host(target))
    values = case.twin(reduction="none")(output, target).reshape(len(output), -1).sum(dim=1)
    at = output.detach()  # the scale does not depend on the output
    none = case.twin(reduction="none")(at, target)
    return values * (len(output) * case.twin()(at, target) / none.sum())


@torch_kl_warns
@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("case", **loss_cases)
def test_each_examples_loss_and_tangent_are_pytorchs(case, n, rng):
    torch = pytest.importorskip("torch")
    output, target = case.batch(rng, n=n)
    output_dot = to_device(rng.standard_normal(output.shape))
    loss = case.make()
    values = loss.each(output, target)
    at = torch.from_numpy(to_host(output).copy())
    theirs = each_of_torch(case, at, target)
    theirs_dot = torch_jvp(
        lambda z: each_of_torch(case, z, target),
        at,
        torch.from_numpy(to_host(output_dot).copy()),
    )
    values_dot = loss.each_jvp(output_dot)
    assert values.shape == values_dot.shape == (n,)
    np.testing.assert_allclose(to_host(values), theirs.numpy(), rtol=1e-12)
    np.testing.assert_allclose(to_host(values_dot), theirs_dot.numpy(), rtol=1e-10, atol=1e-15)
    # `each` counts as a forward: the other derivatives are those of this point
    gradient, tangent = to_host(loss.backward()), loss.jvp(output_dot)
    again = case.make()
    assert again.forward(output, target) == pytest.approx(float(to_host(values).mean()), rel=1e-12)
    np.testing.assert_array_equal(to_host(again.backward()), gradient)
    assert tangent == again.jvp(output_dot) == pytest.approx(to_host(values_dot).mean(), rel=1e-12)
    np.testing.assert_array_equal(to_host(again.each_jvp(output_dot)), to_host(values_dot))


@pytest.mark.parametrize("shape", [(4, 2, 3, 5), (4,)])
@pytest.mark.parametrize("loss", [mg.MSELoss, mg.BCELoss])
def test_an_examples_loss_is_the_mean_of_its_elements(loss, shape, rng):
    output, target = (to_device(rng.uniform(0.1, 0.9, shape)) for _ in range(2))
    output_dot, whole = to_device(rng.standard_normal(shape)), loss()
    values = whole.each(output, target)
    values_dot = whole.each_jvp(output_dot)
    assert values.shape == values_dot.shape == (4,)
    for i in range(4):
        one = loss()
        part = slice(i, i + 1)
        assert float(values[i]) == pytest.approx(one.forward(output[part], target[part]), rel=1e-12)
        assert float(values_dot[i]) == pytest.approx(one.jvp(output_dot[part]), rel=1e-12)


@pytest.mark.parametrize("case", **loss_cases)
def test_each_keeps_the_dtype_and_mutates_nothing(case, rng):
    output, target = case.batch(rng, "float32")
    before = [to_host(output).copy(), to_host(target).copy()]
    loss = case.make()
    values = loss.each(output, target)
    kept = to_host(values).copy()
    assert values.dtype == loss.each_jvp(output).dtype == "float32"
    loss.backward()
    np.testing.assert_array_equal(to_host(values), kept)
    np.testing.assert_array_equal(to_host(output), before[0])
    np.testing.assert_array_equal(to_host(target), before[1])


@pytest.mark.parametrize("loss", [mg.CrossEntropyLoss, mg.NLLLoss])
def test_an_example_with_a_bad_label_has_no_loss(loss):
    values = loss().each(to_device(np.zeros((4, 3))), to_device(np.array([0, 3, -1, 2])))
    np.testing.assert_array_equal(np.isnan(to_host(values)), [False, True, True, False])


def test_each_is_stable_where_the_mean_is():
    z = np.array([[1e4, -1e4], [-1e4, 1e4]], "float32")
    values = mg.CrossEntropyLoss().each(to_device(z), to_device(np.array([0, 0])))
    np.testing.assert_array_equal(to_host(values), [0, 2e4])
    p = to_device(np.array([[0.0], [1.0]]))
    np.testing.assert_array_equal(to_host(mg.BCELoss().each(p, 1 - p)), [100, 100])


@pytest.mark.parametrize("case", **loss_cases)
def test_nothing_is_mutated_and_dtype_is_kept(case, rng):
    output, target = case.batch(rng, "float32")
    before = [to_host(output).copy(), to_host(target).copy()]
    loss = case.make()
    loss.forward(output, target)
    first = to_host(loss.backward()).copy()
    loss.jvp(output)
    np.testing.assert_array_equal(to_host(loss.backward()), first)
    np.testing.assert_array_equal(to_host(output), before[0])
    np.testing.assert_array_equal(to_host(target), before[1])
    assert first.dtype == "float32"


@pytest.mark.parametrize("case", **loss_cases)
def test_derivatives_need_a_forward_first(case):
    loss = case.make()
    with pytest.raises(RuntimeError, match="call forward"):
        loss.backward()
    with pytest.raises(RuntimeError, match="call forward"):
        loss.jvp(to_device(np.ones((2, 3))))
    with pytest.raises(RuntimeError, match="call forward"):
        loss.jvp(None)
    with pytest.raises(RuntimeError, match="call forward"):
        loss.each_jvp(to_device(np.ones((2, 3))))


@pytest.mark.on_host
def test_a_loss_that_is_not_written_says_what_it_lacks():
    loss = mg.Loss()
    for method, arguments in (
        ("forward", (0, 0)),
        ("backward", ()),
        ("jvp", (0,)),
        ("each", (0, 0)),
        ("each_jvp", (0,)),
    ):
        with pytest.raises(NotImplementedError, match=rf"Loss has no {method}\("):
            getattr(loss, method)(*arguments)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_is_stable_at_ten_thousand(dtype):
    torch = pytest.importorskip("torch")
    z = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [0, 0, 0], [-1e4, -1e4, -1e4]], dtype)
    t = np.array([0, 1, 2, 1])
    loss = mg.CrossEntropyLoss()
    z_t = torch.from_numpy(z).requires_grad_()
    value = torch.nn.functional.cross_entropy(z_t, torch.from_numpy(t))
    value.backward()
    assert loss.forward(to_device(z), to_device(t)) == pytest.approx(value.item(), rel=1e-6)
    np.testing.assert_allclose(to_host(loss.backward()), z_t.grad.numpy(), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bce_at_zero_and_one_is_pytorchs(dtype):
    torch = pytest.importorskip("torch")
    p = np.array([[0.0, 1.0, 0.0, 1.0, 1e-30, 0.5]], dtype)
    t = np.array([[0.0, 1.0, 1.0, 0.0, 1.0, 0.25]], dtype)
    loss = mg.BCELoss()
    p_t = torch.from_numpy(p).requires_grad_()
    value = torch.nn.functional.binary_cross_entropy(p_t, torch.from_numpy(t))
    value.backward()
    assert loss.forward(to_device(p), to_device(t)) == pytest.approx(value.item(), rel=1e-6)
    np.testing.assert_allclose(to_host(loss.backward()), p_t.grad.numpy(), rtol=1e-5)


def test_first_loss_of_a_fresh_net_is_log_c(rng):
    net, loss = mg.models.ds4420_mlp(seed=0), mg.CrossEntropyLoss()
    x = to_device(rng.random((500, 784), dtype="float32"))
    target = to_device(rng.integers(0, 10, 500))
    assert loss.forward(net.forward(x), target) == pytest.approx(np.log(10), abs=0.15)


def test_double_softmax_cannot_fall_below_its_floor():
    p = to_device(np.eye(10)[[3, 3]])  # the best that a softmax can do: all on the right class
    target = to_device(np.array([3, 3]))
    value = mg.CrossEntropyLoss().forward(p, target)
    assert value == pytest.approx(np.log(1 + 9 / np.e), rel=1e-12)
    assert value == pytest.approx(1.4612, abs=5e-5)


@pytest.mark.parametrize("loss", [mg.CrossEntropyLoss, mg.NLLLoss])
@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [2, 7]])
def test_labels_out_of_range_are_refused(loss, labels):
    with pytest.raises(ValueError, match=r"labels must be in \[0, 3\), got"):
        loss().forward(to_device(np.zeros((2, 3))), to_device(np.array(labels)))


def test_a_nan_in_the_output_is_not_blamed_on_the_labels():
    z = to_device(np.array([[np.nan, 0.0], [0.0, 1.0]]))
    assert np.isnan(mg.CrossEntropyLoss().forward(z, to_device(np.array([0, 1]))))


@pytest.mark.parametrize("loss", [mg.CrossEntropyLoss, mg.NLLLoss])
def test_targets_of_the_wrong_kind_are_refused(loss):
    z = to_device(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"labels of shape \(2,\)"):
        loss().forward(z, to_device(np.eye(3, dtype=int)[:2]))
    with pytest.raises(ValueError, match=r"shape \(N, C\)"):
        loss().forward(z[0], to_device(np.array([0])))
    with pytest.raises(TypeError, match="integer labels"):
        loss().forward(z, to_device(np.array([0.0, 1.0])))


@pytest.mark.parametrize("loss", [mg.BCELoss, mg.MSELoss])
def test_shapes_are_not_broadcast(loss):
    p = to_device(np.full((4, 1), 0.5))
    with pytest.raises(ValueError, match="one shape"):
        loss().forward(p, to_device(np.full(4, 0.5)))
    with pytest.raises(TypeError, match="one dtype"):
        loss().forward(p, to_device(np.full((4, 1), 0.5, "float32")))


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_bce_refuses_what_is_no_probability(value):
    with pytest.raises(ValueError, match="probabilities in"):
        mg.BCELoss().forward(to_device(np.array([[0.5, value]])), to_device(np.ones((1, 2))))


def test_losses_are_added_up_in_float64():
    """In float32, 1e9 + 1 is 1e9."""
    x = np.ones((4001, 1), "float32")
    x[0] = 2.0**15
    loss, target = mg.MSELoss(), to_device(np.zeros_like(x))
    exact = (2.0**30 + 4000) / 4001
    assert loss.forward(to_device(x), target) == pytest.approx(exact, rel=1e-12)
    assert loss.jvp(to_device(x)) == pytest.approx(2 * exact, rel=1e-12)


def test_a_nan_probability_is_a_nan_loss_not_a_missing_sigmoid():
    p = to_device(np.array([[0.5, np.nan]]))
    assert np.isnan(mg.BCELoss().forward(p, to_device(np.ones((1, 2)))))


def test_one_trip_to_the_host_a_step(device):
    """The loss is the only thing that a training step brings back from the device."""
    if device != "standin":
        pytest.skip("the stand-in counts its transfers")
    import cupy

    net = mg.Sequential(
        mg.Flatten(),
        mg.Linear(4, 3, seed=0),
        mg.BatchNorm1d(3),
        mg.ReLU(),
        mg.Dropout(0.2, seed=0),
        mg.Linear(3, 2, seed=1),
    )
    optimizers = [mg.SGD(net, 0.1, momentum=0.9), mg.Adam(net, 0.1)]
    x, t = to_device(np.ones((6, 4), "float32")), to_device(np.array([0, 1] * 3))
    before = cupy.transfers
    for optimizer in optimizers:
        mg.rules.Backprop().estimate(net, mg.CrossEntropyLoss(), x, t)
        optimizer.step()
    assert cupy.transfers - before == len(optimizers)
