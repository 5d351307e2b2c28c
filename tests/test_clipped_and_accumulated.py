"""Clipping and accumulation of gradients, against PyTorch's and against one large batch."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.optim import clip_grad_norm, clip_grad_value
from minigrad.rules import AccumulatedGradients, Backprop, ClippedGradients


def network(dtype="float64", seed=0, tied=False):
    square = [mg.Linear(4, 4, dtype=dtype, seed=i) for i in (seed, 1)]
    layers = [square[0], mg.Tanh(), square[1]]
    if tied:
        layers[2].params["W"] = layers[0].params["W"]
    return mg.Sequential(*layers, mg.Tanh(), mg.Linear(4, 3, dtype=dtype, seed=2))


def batches(count, n=6, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x, y = rng.standard_normal((n, 4)).astype(dtype), rng.integers(0, 3, n)
        yield to_device(x), to_device(y)


def twin_of(model):
    torch = pytest.importorskip("torch")
    linear = [
        torch.nn.Linear(layer.in_features, layer.out_features).double() for layer in model[::2]
    ]
    twin = torch.nn.Sequential(linear[0], torch.nn.Tanh(), linear[1], torch.nn.Tanh(), linear[2])
    state = mg.to_torch_state_dict(model)
    twin.load_state_dict({key: torch.from_numpy(a) for key, a in state.items()})
    if model[2].params["W"] is model[0].params["W"]:
        linear[1].weight = linear[0].weight
    return torch, twin


def assert_equal(model, twin):
    for key, array in mg.to_torch_state_dict(model).items():
        theirs = twin.state_dict()[key].numpy()
        np.testing.assert_allclose(array, theirs, rtol=1e-10, atol=1e-10, err_msg=key)


CLIPS = {
    "norm": ({"max_norm": 0.1}, lambda u, p: u.clip_grad_norm_(p, 0.1)),
    "norm 1": (
        {"max_norm": 0.7, "norm_type": 1},
        lambda u, p: u.clip_grad_norm_(p, 0.7, norm_type=1),
    ),
    "norm 3": (
        {"max_norm": 0.1, "norm_type": 3},
        lambda u, p: u.clip_grad_norm_(p, 0.1, norm_type=3),
    ),
    "largest": (
        {"max_norm": 0.05, "norm_type": math.inf},
        lambda u, p: u.clip_grad_norm_(p, 0.05, norm_type=math.inf),
    ),
    "rarely": ({"max_norm": 0.5}, lambda u, p: u.clip_grad_norm_(p, 0.5)),
    "value": ({"clip_value": 0.03}, lambda u, p: u.clip_grad_value_(p, 0.03)),
}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", CLIPS)
def test_clipping_is_pytorchs(name, tied, frozen):
    """20 steps of momentum. A shared array counts once; a frozen layer does not."""
    model = network(tied=tied)
    torch, twin = twin_of(model)
    options, clip = CLIPS[name]
    rule = ClippedGradients(Backprop(), **options)
    optimizer = mg.SGD(model, 0.5, momentum=0.9)
    moving = list(twin.parameters())
    if frozen:
        model[4].frozen = True
        moving = [p for key, p in twin.named_parameters() if not key.startswith("4.")]
        for p in twin[4].parameters():
            p.requires_grad_(False)
    theirs = torch.optim.SGD(moving, 0.5, momentum=0.9)
    for x, y in batches(20):
        rule.estimate(model, mg.CrossEntropyLoss(), x, y)
        optimizer.step()
        theirs.zero_grad()
        output = twin(torch.from_numpy(to_host(x)))
        torch.nn.functional.cross_entropy(output, torch.from_numpy(to_host(y))).backward()
        norm = clip(torch.nn.utils, moving)
        if norm is not None:
            assert rule.norm == pytest.approx(float(norm), rel=1e-9)
        theirs.step()
        assert_equal(model, twin)


def test_the_functions_write_new_arrays():
    model = network("float32")
    (batch,) = batches(1, dtype="float32")
    Backprop().estimate(model, mg.CrossEntropyLoss(), *batch)
    grads = dict(model.grads)
    copies = {key: to_host(g).copy() for key, g in grads.items()}
    norm = clip_grad_norm(model, 1e-3)
    whole = np.concatenate([g.ravel() for g in copies.values()])
    assert norm == pytest.approx(np.linalg.norm(whole), rel=1e-6)
    assert clip_grad_norm(model, 1.0) == pytest.approx(1e-3, rel=2e-3)
    clip_grad_value(model, 1e-5)
    for key, g in model.grads.items():
        assert g.dtype == "float32"
        assert abs(to_host(g)).max() <= np.float32(1e-5)
        np.testing.assert_array_equal(to_host(grads[key]), copies[key])


def test_a_gradient_without_a_length():
    model = network()
    for layer in model:
        layer.grads = {name: 0 * p for name, p in layer.params.items()}
    assert clip_grad_norm(model, 1.0) == 0
    model[0].grads = {name: g + math.nan for name, g in model[0].grads.items()}
    assert math.isnan(clip_grad_norm(model, 1.0))
    for layer in model:
        layer.grads = {}
    assert clip_grad_norm(model, 1.0) == 0
    clip_grad_value(model, 1.0)


@pytest.mark.on_host
def test_errors_of_clipping():
    for options in ({}, {"max_norm": 1, "clip_value": 1}):
        with pytest.raises(ValueError, match="give one of max_norm and clip_value"):
            ClippedGradients(Backprop(), **options)
    for options in ({"max_norm": -1}, {"clip_value": math.nan}, {"max_norm": 1, "norm_type": 0}):
        with pytest.raises(ValueError, match=f"{list(options)[-1]} must be a number"):
            ClippedGradients(Backprop(), **options)
    with pytest.raises(TypeError, match="rule must be a Rule"):
        ClippedGradients(Backprop, 1.0)


@pytest.mark.on_host
@pytest.mark.parametrize(
    "rule",
    [ClippedGradients(Backprop(), max_norm=1.0), AccumulatedGradients(Backprop(), 2)],
)
def test_processes_refuse_them(rule):
    model = network("float32")
    x, y = next(batches(1, dtype="float32"))
    with pytest.raises(TypeError, match=f"do not call {type(rule).__name__}.estimate"):
        mg.asynchronous.fit(
            model,
            mg.CrossEntropyLoss(),
            rule,
            mg.SGD(model, 0.1),
            mg.data.Dataset(x, y, classes=3),
            epochs=1,
            batch_size=3,
        )


# ------------------------------------------------------------------ accumulation


@pytest.mark.parametrize("sizes", [(6, 6, 6), (6, 6, 2), (1,)])
def test_it_is_the_gradient_of_one_large_batch(sizes):
    models = network(), network()
    rule = AccumulatedGradients(Backprop(), len(sizes))
    optimizers = [mg.Adam(model, 0.05, weight_decay=0.1) for model in models]
    loss = mg.CrossEntropyLoss()
    for x, y in batches(50, n=sum(sizes)):
        at = 0
        for i, n in enumerate(sizes):
            value = rule.estimate(models[0], loss, x[at : at + n], y[at : at + n])
            assert value == loss.forward(models[0].forward(x[at : at + n]), y[at : at + n])
            assert bool(models[0].grads) == (i == len(sizes) - 1)
            optimizers[0].step()
            at += n
        Backprop().estimate(models[1], loss, x, y)
        optimizers[1].step()
        for key, array in models[0].state_dict().items():
            np.testing.assert_allclose(array, models[1].state_dict()[key], rtol=1e-9, atol=1e-11)


def test_it_is_pytorchs_way():
    """loss / k, backward k times, one step."""
    model = network(tied=True)
    torch, twin = twin_of(model)
    rule = ClippedGradients(AccumulatedGradients(Backprop(), 4), max_norm=0.1)
    optimizer = mg.SGD(model, 0.3, momentum=0.9)
    theirs = torch.optim.SGD(twin.parameters(), 0.3, momentum=0.9)
    for i, (x, y) in enumerate(batches(200)):
        rule.estimate(model, mg.CrossEntropyLoss(), x, y)
        optimizer.step()
        output = twin(torch.from_numpy(to_host(x)))
        loss = torch.nn.functional.cross_entropy(output, torch.from_numpy(to_host(y))) / 4
        loss.backward()
        if i % 4 == 3:
            torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.1)
            theirs.step()
            theirs.zero_grad()
        assert_equal(model, twin)


def test_sums_go_on_over_the_end_of_an_epoch():
    x, y = next(batches(1, n=15, dtype="float32"))
    ends = []
    for epochs in ([4], [1, 3]):
        model = network("float32")
        optimizer = mg.SGD(model, 0.1)
        rule = AccumulatedGradients(Backprop(), 4)
        history = None
        for more in epochs:
            history = mg.fit(
                model,
                mg.CrossEntropyLoss(),
                rule,
                optimizer,
                mg.data.Dataset(x, y, classes=3),
                epochs=more,
                batch_size=5,
                history=history,
                progress=False,
            )
        assert rule.state_dict() == {"count": 0}
        ends.append(model.state_dict())
    assert all(np.array_equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_another_number_of_batches_is_refused():
    model = network()
    rule = AccumulatedGradients(Backprop(), 5)
    for x, y in batches(3):
        rule.estimate(model, mg.CrossEntropyLoss(), x, y)
    state = rule.state_dict()
    with pytest.raises(ValueError, match=r"batches=3\) has sums of 1 to 2 batches.*a count of 3"):
        AccumulatedGradients(Backprop(), 3).load_state_dict(model, state)
    with pytest.raises(ValueError, match="batches must be an integer of at least 1"):
        AccumulatedGradients(Backprop(), 0)
