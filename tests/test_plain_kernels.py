"""The whole table of layers, and the layers' own values, with the kernels in their plain forms."""

import pytest
import test_convolution
import test_forward_jvp
import test_layer_values
import test_layers
from cases import layer_cases

from minigrad import kernels

SAYS_HOW = {  # tests of what only the fast form does
    "test_memory_grows_with_the_activations_not_with_the_columns",
    "test_bias_gradients_of_large_batches_keep_their_digits",
    "test_value_and_tangent_have_the_same_bits_for_any_number_of_threads",
    "test_any_convolution_is_its_plain_form",  # hypothesis allows a test one module
    "test_softmax_does_not_see_a_shift_and_sums_to_one",
    "test_value_and_tangent_in_one_go_are_the_plain_ones",  # in test_kernels.py
}

parts = test_convolution.parts  # a fixture

for module in (test_layers, test_forward_jvp, test_layer_values, test_convolution):
    for name, check in vars(module).items():
        if name.startswith("test_") and name not in SAYS_HOW:
            globals()[name] = check


@pytest.fixture(autouse=True)
def _plain():
    with kernels.use("plain"):
        yield


@pytest.mark.parametrize("case", **layer_cases)
def test_differences_and_transpose(case):
    """At one point; `test_kernels.py` compares this form with the fast one, which is at three."""
    test_layers.test_differences_and_transpose(case, seed=1)


def test_the_names_left_out_exist():
    names = {name for m in (test_layer_values, test_convolution) for name in vars(m)}
    assert names >= SAYS_HOW


def test_the_plain_form_is_in_use():
    assert kernels.form() == "plain"
