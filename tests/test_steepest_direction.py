"""The largest eigenvalue of a Hessian that has one below 0 of about the same size."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.diagnostics import hessian_product, stability


@pytest.mark.parametrize("seed", range(4))
def test_a_linear_net_at_zero_is_a_saddle(seed):
    """L = (w1 w2 - 1)² has the Hessian [[0, -2], [-2, 0]] at 0: its eigenvalues are 2 and -2."""
    net = mg.Sequential(*(mg.Linear(1, 1, bias=False, dtype="float64") for _ in range(2)))
    for param in net.params.values():
        param[...] = 0
    one = to_device(np.ones((3, 1)))
    found = stability(net, mg.MSELoss(), one, one, samples=1, seed=seed)
    assert found.largest == pytest.approx(2, rel=1e-6)


@pytest.mark.on_host
@pytest.mark.parametrize(("sizes", "scale", "seed"), [((4, 2, 3), 1, 5), ((2, 3, 3, 2), 0.01, 10)])
def test_a_network_with_steep_ways_down(sizes, scale, seed, rng):
    net, loss = mg.models.mlp(sizes, "tanh", seed=seed, dtype="float64"), mg.CrossEntropyLoss()
    for param in net.params.values():
        param *= scale
    x = to_device(rng.standard_normal((6, sizes[0])))
    y = to_device(rng.integers(0, sizes[-1], 6))
    columns = []
    for name, param in net.params.items():
        for unit in np.eye(param.size):
            found = hessian_product(net, loss, x, y, {name: to_device(unit.reshape(param.shape))})
            columns.append(np.concatenate([to_host(array).ravel() for array in found.values()]))
    eigenvalues = np.linalg.eigvalsh(np.array(columns))
    assert -eigenvalues[0] > eigenvalues[-1] / 3
    for start in range(3):
        found = stability(net, loss, x, y, samples=1, seed=start)
        assert found.largest == pytest.approx(eigenvalues[-1], rel=1e-5)
