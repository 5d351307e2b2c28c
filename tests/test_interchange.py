"""To PyTorch and back: names, shapes, statistics, and the same outputs."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.interchange import start_as_torch

torch = pytest.importorskip("torch")


def net(seed):
    return mg.Sequential(
        mg.Conv2d(1, 3, 3, stride=2, padding=1, seed=seed),
        mg.BatchNorm2d(3),
        mg.ReLU(),
        mg.MaxPool2d(2),
        mg.Flatten(),
        mg.Linear(12, 5, seed=seed),
        mg.BatchNorm1d(5),
        mg.Tanh(),
        mg.Linear(5, 2, seed=seed + 1),
    )


def twin():
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2, padding=1),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 5),
        nn.BatchNorm1d(5),
        nn.Tanh(),
        nn.Linear(5, 2),
    )


def outputs(ours, theirs, rng):
    x = rng.standard_normal((6, 1, 8, 8)).astype("float32")
    theirs.eval()
    with torch.no_grad():
        return to_host(ours.forward(to_device(x), False)), theirs(torch.from_numpy(x)).numpy()


def test_there_and_back(rng):
    model, theirs = net(0), twin()
    x = to_device(rng.standard_normal((6, 1, 8, 8)).astype("float32"))
    model.forward(x)  # moves the running statistics
    state = mg.to_torch_state_dict(model)
    assert state.keys() == theirs.state_dict().keys()
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
    np.testing.assert_allclose(*outputs(model, theirs, rng), rtol=1e-4, atol=1e-6)
    back = net(7)
    mg.from_torch_state_dict(back, theirs.state_dict())
    ours, again = model.state_dict(), back.state_dict()
    assert all(np.array_equal(ours[k], again[k]) for k in ours)


def test_from_pytorchs_own_start(rng):
    model, theirs = net(0), twin()
    mg.from_torch_state_dict(model, theirs.state_dict())
    np.testing.assert_allclose(*outputs(model, theirs, rng), rtol=1e-4, atol=1e-6)


def test_by_order_for_models_with_names_of_their_own(rng):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1 = torch.nn.Linear(784, 32)
            self.fc2 = torch.nn.Linear(32, 10)

        def forward(self, x):
            return self.fc2(torch.sigmoid(self.fc1(x.flatten(1))))

    theirs, model = Net(), mg.models.ds4420_mlp(seed=0)
    with pytest.raises(KeyError, match='by="order"'):
        mg.from_torch_state_dict(model, theirs.state_dict())
    mg.from_torch_state_dict(model, theirs.state_dict(), by="order")
    x = rng.random((3, 1, 28, 28), dtype="float32")
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(to_host(model.forward(to_device(x))), expected, rtol=1e-4, atol=1e-6)


def test_what_does_not_fit_is_refused():
    model = net(0)
    before, state = model.state_dict(), mg.to_torch_state_dict(net(1))
    with pytest.raises(KeyError, match="missing"):
        mg.from_torch_state_dict(model, {k: v for k, v in state.items() if k != "0.bias"})
    with pytest.raises(KeyError, match="entries"):
        mg.from_torch_state_dict(model, {"a": state["0.bias"]}, by="order")
    with pytest.raises(ValueError, match="name"):
        mg.from_torch_state_dict(model, state, by="shape")
    with pytest.raises(ValueError, match="expected shape"):
        mg.from_torch_state_dict(model, state | {"0.bias": state["0.bias"][:-1]})
    after = model.state_dict()
    assert all(np.array_equal(before[k], after[k]) for k in before)


@pytest.mark.on_host
def test_the_start_that_pytorch_would_draw():
    """Bit for bit: weights, then biases, in the order in which the layers were made."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(1101)
    twin = torch.nn.Sequential(
        torch.nn.Conv2d(2, 30, (5, 3)),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(90, 50),
        torch.nn.Linear(50, 4, bias=False),
    )
    model = mg.Sequential(
        mg.Conv2d(2, 30, (5, 3)),
        mg.ReLU(),
        mg.Flatten(),
        mg.Linear(90, 50),
        mg.Linear(50, 4, bias=False),
    )
    start_as_torch(model, 1101)
    ours = mg.to_torch_state_dict(model)
    for name, tensor in twin.state_dict().items():
        np.testing.assert_array_equal(ours[name], tensor.numpy(), err_msg=name)


@pytest.mark.parametrize("layer", [mg.BatchNorm1d(3), mg.Linear(3, 2, dtype="float64")])
def test_a_start_that_is_not_known_is_refused(layer):
    with pytest.raises(TypeError, match="knows Linear and Conv2d in float32, got"):
        start_as_torch(mg.Sequential(layer), 0)
