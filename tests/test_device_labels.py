"""Features with the label beside them: on a GPU in one launch."""

import numpy as np
import pytest

from minigrad import kernels
from minigrad.backend import to_device, to_host
from minigrad.rules import GradientModule


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("N", "D"), [(1, 1), (7, 5), (70, 33), (0, 4)])
@pytest.mark.parametrize("whole", ["int64", "int32"])
def test_the_label_is_beside_the_features(N, D, dtype, whole):
    rng = np.random.default_rng(0)
    h, target = rng.standard_normal((N, 2 * D)).astype(dtype), rng.integers(0, 3, N).astype(whole)
    module = GradientModule((D,), 3, dtype=dtype, rng=rng)
    for gaps in (False, True):
        inputs = to_device(h)[:, ::2] if gaps else to_device(h[:, :D].copy())
        for form in kernels.FORMS:
            with kernels.use(form):
                y = module._told(inputs, to_device(target))
            assert y.dtype == dtype
            np.testing.assert_array_equal(to_host(y)[:, :D], to_host(inputs))
            np.testing.assert_array_equal(to_host(y)[:, D:], np.eye(3)[target])
