"""Embedding: a Linear layer on one-hot rows, whose x has no derivative."""

import numpy as np
import pytest
from cases import rule_cases

import minigrad as mg
from minigrad.backend import to_device, to_host

V, D = 6, 3


def one_hot(x):
    return (np.asarray(x)[..., None] == np.arange(V)).astype("float64")


def pair(x):
    """(an Embedding at x, a Linear layer at one-hot x) with the same weights."""
    embedding = mg.Embedding(V, D, dtype="float64", seed=0)
    linear = mg.Linear(V, D, bias=False, dtype="float64")
    linear.params["W"][...] = embedding.params["table"]
    return embedding, linear, embedding.forward(to_device(x)), linear.forward(to_device(one_hot(x)))


X = np.array([[0, 5, 5, 1], [2, 5, 0, 0]])


@pytest.mark.parametrize("form", ["fast", "plain"])
@pytest.mark.parametrize("dtype", ["int64", "uint8", "int32", "float32", "float64"])
def test_it_is_linear_on_one_hot_rows(form, dtype, rng):
    with mg.kernels.use(form):
        embedding, linear, y, expected = pair(X.astype(dtype))
        np.testing.assert_array_equal(to_host(y), to_host(expected))
        dy = to_device(rng.standard_normal(y.shape))
        dx = embedding.backward(dy)
        linear.backward(dy)
        assert not to_host(dx).any()
        assert (dx.shape, dx.dtype.kind) == (X.shape, "f")
        np.testing.assert_allclose(
            to_host(embedding.grads["table"]), to_host(linear.grads["W"]), rtol=1e-12
        )
        table_dot = to_device(rng.standard_normal((V, D)))
        y_dot = embedding.jvp(None, {"table": table_dot})
        np.testing.assert_array_equal(to_host(y_dot), to_host(linear.jvp(None, {"W": table_dot})))
        both = embedding.forward_jvp(to_device(X.astype(dtype)), None, {"table": table_dot})
        np.testing.assert_array_equal(to_host(both[1]), to_host(y_dot))
        # <dy, y_dot> = <dtable, table_dot>
        left = (to_host(dy) * to_host(y_dot)).sum()
        right = (to_host(embedding.grads["table"]) * to_host(table_dot)).sum()
        np.testing.assert_allclose(left, right, rtol=1e-12)


def test_numbers_that_do_not_appear_have_no_gradient():
    embedding, _, y, _ = pair(X)
    embedding.backward(y)
    assert not to_host(embedding.grads["table"])[[3, 4]].any()
    assert embedding.grads["table"].shape == (V, D)


WRONG = [
    (np.array([[0, 6]]), ValueError, "whole numbers from 0 to 5, got some from 0 to 6"),
    (np.array([[-1, 2]]), ValueError, "got some from -1 to 2"),
    (np.array([[0.5, 2.0]]), ValueError, "got some that are not whole"),
    (np.array([[np.nan, 2.0]]), ValueError, "whole numbers from 0 to 5, got some from nan"),
    (np.array([[True]]), TypeError, "got x of bool"),
    (np.array(3), ValueError, r"shape \(N, ...\), got \(\)"),
]


@pytest.mark.parametrize(("x", "error", "message"), WRONG)
def test_what_is_no_number_of_a_row_is_refused(x, error, message):
    with pytest.raises(error, match=message):
        mg.Embedding(V, D).forward(to_device(x))


@pytest.mark.on_host
def test_arguments_are_checked():
    for arguments in ((0, 3), (3, 0), (3.0, 2)):
        with pytest.raises(ValueError, match="must be an integer of at least 1"):
            mg.Embedding(*arguments)
    assert repr(mg.Embedding(10, 4)) == "Embedding(10, 4)"
    assert mg.Embedding(10, 4, seed=1).params["table"].dtype == np.dtype("float32")


def test_the_checker_says_what_it_can_check():
    model, x = words(), to_device(X.astype("float64"))
    with pytest.raises(TypeError, match=r"Embedding takes whole numbers.*check\(model\[1:\]"):
        mg.gradcheck.check(model, x)
    assert mg.gradcheck.check(model[1:], model[0].forward(x))


def test_an_empty_batch_has_an_empty_output():
    embedding = mg.Embedding(V, D)
    y = embedding.forward(to_device(np.zeros((0, 4), "int64")))
    assert y.shape == (0, 4, D)
    embedding.backward(y)
    assert not to_host(embedding.grads["table"]).any()


def words(d="float64"):
    return mg.Sequential(
        mg.Embedding(V, D, dtype=d, seed=0),
        mg.Flatten(),
        mg.Linear(4 * D, 4, dtype=d, seed=1),
        mg.Tanh(),
        mg.Linear(4, 2, dtype=d, seed=2),
    )


def test_its_gradient_in_a_net_is_that_of_differences(rng):
    model, loss = words(), mg.CrossEntropyLoss()
    x, target = to_device(X), to_device(np.array([0, 1]))
    mg.rules.Backprop().estimate(model, loss, x, target)
    table, h = model.params["0.table"], 1e-6
    for k, d in ((0, 0), (5, 2), (3, 1)):
        values = []
        for sign in (1, -1):
            table[k, d] += sign * h
            values.append(loss.forward(model.forward(x), target))
            table[k, d] -= sign * h
        slope = (values[0] - values[1]) / (2 * h)
        assert float(model.grads["0.table"][k, d]) == pytest.approx(slope, abs=1e-9)


PLAIN = mg.models.mlp((4, 6, 5, 3), seed=0)
WITH_MODULES = ("SyntheticGradients", "LocalLosses")
RULES = [
    case
    for case in rule_cases["argvalues"]
    if not any(told in repr(case.make(PLAIN)) for told in WITH_MODULES)  # they have their own test
    and case.any_model
]


@pytest.mark.parametrize("dtype", ["int64", "float64"])
@pytest.mark.parametrize("case", RULES, ids=rule_cases["ids"])
def test_every_rule_trains_it(case, dtype):
    trained(words(), case.make, dtype, 8)


@pytest.mark.parametrize("rule", WITH_MODULES)
def test_rules_with_modules_train_it(rule):
    """They must be told the shape of an example. Their x is of floats."""
    trained(words(), lambda m: getattr(mg.rules, rule)(m, input_shape=(4,)), "float64", 20)


def trained(model, make, dtype, steps):
    rule, optimizer = make(model), mg.SGD(model, 0.1)
    before = model.state_dict()
    x = to_device(np.concatenate([X, X[:, ::-1]]).astype(dtype))
    target = to_device(np.array([0, 1, 0, 1]))
    for _ in range(steps):
        assert np.isfinite(rule.estimate(model, mg.CrossEntropyLoss(), x, target))
        optimizer.step()
    after = model.state_dict()
    assert (after["4.W"] != before["4.W"]).any()
    if not isinstance(rule, mg.rules.TopLayerOnly | mg.rules.StaleGradients):
        assert (after["0.table"] != before["0.table"]).any(axis=1)[[0, 1, 2, 5]].all()


def test_its_name_in_pytorch_and_its_table(capsys):
    torch = pytest.importorskip("torch")
    model = words()
    nn = torch.nn
    twin = nn.Sequential(
        nn.Embedding(V, D), nn.Flatten(), nn.Linear(4 * D, 4), nn.Tanh(), nn.Linear(4, 2)
    ).double()
    mg.from_torch_state_dict(model, twin.state_dict())
    with torch.no_grad():
        y = twin(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(to_host(model.forward(to_device(X))), y, rtol=1e-10)
    assert model.summary((4,)).rows[0].shape == (4, D)
    assert "Embedding-0" in capsys.readouterr().out


def test_a_data_set_of_words_is_learned(rng):
    """Whether word 3 is among the four: whole numbers as floats, as a Dataset has them."""
    x = rng.integers(0, V, (200, 4))
    data = mg.data.Dataset(x.astype("float32"), (x == 3).any(axis=1).astype("int64"))
    model = words("float32")
    history = mg.fit(
        *(model, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.Adam(model, 0.02)),
        *(data,),
        epochs=20,
        batch_size=20,
    )
    assert history.train_loss[-1] < 0.3 * history.train_loss[0]
