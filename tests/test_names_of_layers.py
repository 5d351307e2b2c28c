"""Names that layers' arguments had before, and the class attribute that marks an activation."""

import pytest

import minigrad as mg

pytestmark = pytest.mark.on_host


@pytest.mark.parametrize("name", ["BatchNorm1d", "BatchNorm2d"])
def test_the_old_name_of_num_features_works_and_warns(name):
    make = getattr(mg, name)
    layer = make(3)
    assert layer.num_features == make(num_features=3).num_features == 3
    with pytest.warns(DeprecationWarning, match="argument n is now called num_features") as seen:
        assert make(n=4).num_features == 4
    assert seen[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="attribute n is now called num_features") as seen:
        assert layer.n == 3
    assert seen[0].filename == __file__
    assert repr(layer) == f"{name}(3)"
    with pytest.raises(ValueError, match="num_features must be an integer of at least 1, got None"):
        make()
    with pytest.raises(TypeError, match="give num_features alone"):
        make(3, n=3)


def test_the_class_says_whether_it_is_an_activation():
    marked = {item for item in vars(mg).values() if getattr(item, "is_activation", False)}
    assert marked == {mg.ReLU, mg.Sigmoid, mg.Tanh, mg.LeakyReLU, mg.GELU, mg.SiLU, mg.Softplus}
    assert {cls.__name__.lower(): cls for cls in marked} == mg.models.ACTIVATIONS
    assert not mg.Layer.is_activation

    class MyReLU(mg.ReLU):
        pass

    assert MyReLU.is_activation
    with pytest.raises(ValueError, match=r"one of \['gelu', .*'silu', .*'tanh'\], got 'swish'"):
        mg.models.mlp((2, 3), "swish")
