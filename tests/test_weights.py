"""A model's weights alone: to and from files, PyTorch's too, and only if all of them fit."""

import importlib
import json
import os
import sys

import numpy as np
import pytest
from conftest import python
from damaged import damaged, misfits

import minigrad as mg
from minigrad.backend import to_device, to_host
from minigrad.checkpoint import archive

safetensors = pytest.importorskip("safetensors.numpy")
SUFFIXES = [".npz", ".safetensors"]
on_both = pytest.mark.parametrize("suffix", SUFFIXES)


def net(seed, dtype="float32"):
    return mg.Sequential(
        mg.Conv2d(1, 3, 3, stride=2, padding=1, dtype=dtype, seed=seed),
        mg.BatchNorm2d(3, dtype=dtype),
        mg.ReLU(),
        mg.Flatten(),
        mg.Linear(48, 5, dtype=dtype, seed=seed),
        mg.Sequential(mg.Tanh(), mg.Linear(5, 5, bias=False, dtype=dtype, seed=seed + 1)),
    )


def twin(torch):
    nn = torch.nn
    inner = nn.Sequential(nn.Tanh(), nn.Linear(5, 5, bias=False))
    conv = nn.Conv2d(1, 3, 3, stride=2, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5), inner)


def trained(seed, dtype="float32"):
    """A net whose running statistics have moved."""
    model = net(seed, dtype)
    x = np.random.default_rng(seed).standard_normal((4, 1, 8, 8)).astype(dtype)
    model.forward(to_device(x))
    return model


def content(model):
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in model.state_dict().items()}


def refused(path, model, words, error=mg.CheckpointError, **options):
    """The one sentence with which a file is refused; the model stays as it was."""
    before = content(model)
    with pytest.raises(error, match=words) as caught:
        mg.load_weights(path, model, **options)
    text = str(caught.value)
    assert path.name in text
    assert text.isprintable()
    assert ". " not in text
    assert len(text) < 700
    assert content(model) == before
    return text


@on_both
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_there_and_back(tmp_path, suffix, dtype):
    path = tmp_path / f"net{suffix}"
    model, other = trained(0, dtype), trained(1, dtype)
    mg.save_weights(path, model)
    assert os.listdir(tmp_path) == [path.name]
    arrays = [id(array) for array in other.params.values()]
    mg.load_weights(str(path), other)
    assert content(other) == content(model)
    assert [id(array) for array in other.params.values()] == arrays, "in place, for optimisers"
    mg.save_weights(path, other)
    mg.load_weights(path, model)


@on_both
def test_a_layer_alone_and_a_net_without_parameters(tmp_path, suffix):
    path = tmp_path / f"net{suffix.upper()}"
    layer = mg.Linear(3, 2, seed=0)
    mg.save_weights(path, layer)
    other = mg.Linear(3, 2, seed=1)
    mg.load_weights(path, other)
    assert content(other) == content(layer)
    mg.save_weights(path, mg.Sequential(mg.ReLU()))
    mg.load_weights(path, mg.Sequential(mg.Tanh()))


@pytest.mark.on_host
@on_both
def test_the_file_has_pytorchs_names_and_shapes(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    model = trained(0)
    mg.save_weights(path, model)
    state = mg.to_torch_state_dict(model)
    if suffix == ".npz":
        meta, found = archive.read(path)
        assert meta == {"format": 1, "kind": "weights", "version": mg.__version__}
        with np.load(path, allow_pickle=False) as arrays:
            assert arrays["4.weight"].shape == (5, 48)
    else:
        found = safetensors.load_file(path)
    assert found.keys() == state.keys()
    assert found["4.weight"].shape == (5, 48)
    for name, array in state.items():
        np.testing.assert_array_equal(found[name], array)


def outputs(model, theirs, torch):
    x = np.random.default_rng(5).standard_normal((6, 1, 8, 8)).astype("float32")
    theirs.eval()
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    return to_host(model.forward(to_device(x), False)), expected


def test_pytorch_loads_our_file(tmp_path):
    torch = pytest.importorskip("torch")
    load_file = importlib.import_module("safetensors.torch").load_file
    path = tmp_path / "net.safetensors"
    model, theirs = trained(0), twin(torch)
    mg.save_weights(path, model)
    theirs.load_state_dict(load_file(path))
    np.testing.assert_allclose(*outputs(model, theirs, torch), rtol=1e-4, atol=1e-6)


def test_we_load_pytorchs_file(tmp_path):
    torch = pytest.importorskip("torch")
    save_file = importlib.import_module("safetensors.torch").save_file
    path = tmp_path / "net.safetensors"
    model, theirs = net(0), twin(torch)
    theirs(torch.ones(3, 1, 8, 8))
    save_file(theirs.state_dict(), path)
    mg.load_weights(path, model)
    np.testing.assert_allclose(*outputs(model, theirs, torch), rtol=1e-4, atol=1e-6)


@pytest.mark.on_host
def test_pytorchs_half_precision_is_refused_with_what_to_do(tmp_path):
    torch = pytest.importorskip("torch")
    save_file = importlib.import_module("safetensors.torch").save_file
    path = tmp_path / "net.safetensors"
    state = twin(torch).state_dict()
    for kind in (torch.float16, torch.bfloat16):
        save_file({name: tensor.to(kind) for name, tensor in state.items()}, path)
        refused(path, net(0), "tensor.float")
    save_file({name: tensor.double() for name, tensor in state.items()}, path)
    refused(path, net(0), "is float64, and this model's is float32")


def tied(seed):
    model = mg.Sequential(mg.Linear(3, 3, seed=seed), mg.Tanh(), mg.Linear(3, 3, seed=seed))
    model[2].params["W"] = model[0].params["W"]
    return model


@on_both
def test_tied_weights(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    mg.save_weights(path, tied(0))
    model = tied(1)
    mg.load_weights(path, model)
    assert model[2].params["W"] is model[0].params["W"]
    assert content(model) == content(tied(0))
    free = mg.Sequential(mg.Linear(3, 3, seed=0), mg.Tanh(), mg.Linear(3, 3, seed=3))
    mg.save_weights(path, free)
    refused(path, model, "one array in this model")


def test_tied_weights_from_pytorch_which_saves_them_once(tmp_path):
    torch = pytest.importorskip("torch")
    save_model = importlib.import_module("safetensors.torch").save_model
    path = tmp_path / "net.safetensors"
    nn = torch.nn
    theirs = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    theirs[2].weight = theirs[0].weight
    save_model(theirs, path)
    assert len(safetensors.load_file(path)) == 3
    model = tied(1)
    mg.load_weights(path, model)
    weight = theirs[0].weight.detach().numpy()
    np.testing.assert_array_equal(to_host(model[2].params["W"]).T, weight)
    assert model[2].params["W"] is model[0].params["W"]


class Turned(mg.Layer):
    """A square parameter that is not transposed for PyTorch."""

    def __init__(self, array):
        super().__init__()
        self.params["V"] = array


def test_an_array_under_two_names_is_not_guessed_from_its_transpose(tmp_path):
    """ "W" is transposed in a file, and "V" is not: one cannot stand for the other."""
    path = tmp_path / "net.npz"
    model = mg.Sequential(mg.Linear(3, 3, bias=False, seed=0))
    model = mg.Sequential(*model.layers, Turned(model[0].params["W"]))
    mg.save_weights(path, model)
    mg.load_weights(path, model)
    arrays = mg.to_torch_state_dict(model)
    meta = {"format": 1, "kind": "weights"}
    archive.write(path, {"0.weight": arrays["0.weight"]}, meta)
    refused(path, model, "it lacks '1.V'")


@pytest.mark.on_host
def test_a_name_that_safetensors_keeps_for_itself(tmp_path):
    layer = mg.Linear(3, 2)
    layer.params["__metadata__"] = np.ones(2, "f4")
    with pytest.raises(ValueError, match="no parameter can have the name '__metadata__'"):
        mg.save_weights(tmp_path / "net.safetensors", layer)
    assert not os.listdir(tmp_path)


class Both(mg.Layer):
    """A layer with two parameters that would both be "weight" in PyTorch."""

    def __init__(self, seed):
        super().__init__()
        xp = mg.backend.current()
        rng = np.random.default_rng(seed)
        for name in ("W", "gamma"):
            self.params[name] = xp.asarray(rng.random((2, 3), dtype="float32"))


@on_both
def test_no_parameter_is_lost_behind_another_ones_name(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    model, other = mg.Sequential(Both(0)), mg.Sequential(Both(1))
    mg.save_weights(path, model)
    mg.load_weights(path, other)
    assert content(other) == content(model)
    assert mg.to_torch_state_dict(model).keys() == {"0.W", "0.gamma"}


def test_by_order_for_a_model_built_in_another_way(tmp_path):
    path = tmp_path / "net.npz"
    layers = [mg.Linear(4, 4, seed=0), mg.Tanh(), mg.Linear(4, 4, seed=1)]
    mg.save_weights(path, mg.Sequential(*layers))
    model = mg.Sequential(mg.Flatten(), mg.Linear(4, 4, seed=2), mg.Linear(4, 4, seed=3))
    refused(path, model, "it lacks '1.weight', '1.bias' and it has '0.bias', '0.weight'")
    mg.load_weights(path, model, by="order")
    for ours, theirs in ((1, 0), (2, 2)):
        for name, array in layers[theirs].params.items():
            np.testing.assert_array_equal(to_host(model[ours].params[name]), to_host(array))
    refused(path, mg.Linear(4, 4), "the model has 2 arrays, the file has 4", by="order")
    with pytest.raises(ValueError, match='by must be "name" or "order"'):
        mg.load_weights(path, model, by="shape")


def test_a_safetensors_file_has_no_order(tmp_path):
    path = tmp_path / "net.safetensors"
    safetensors.save_file({"b": np.ones((2, 3), "f4"), "a": np.ones(2, "f4")}, path)
    model = mg.Linear(3, 2)
    refused(path, model, "from_torch_state_dict", ValueError, by="order")
    d = safetensors.load_file(path)  # as the error says
    mg.from_torch_state_dict(model, {"weight": d["b"], "bias": d["a"]})
    assert (to_host(model.params["b"]) == 1).all()


@on_both
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["4.b", "1.running_mean"])
def test_numbers_that_are_not_finite_are_refused_unless_told(tmp_path, suffix, bad, name):
    path = tmp_path / f"net{suffix}"
    model = trained(0)
    state = model.state_dict()
    state[name][-1] = bad
    model.load_state_dict(state)
    mg.save_weights(path, model)  # nothing is lost: what was trained is saved
    other = trained(1)
    refused(path, other, "NaN or infinite numbers")
    mg.load_weights(path, other, finite=False)
    assert content(other) == content(model)


@on_both
def test_a_variance_below_0_is_refused_with_the_files_name(tmp_path, suffix):
    path = tmp_path / f"net{suffix}"
    model = trained(0)
    model.layers[1].buffers["running_var"][-1] = -1
    mg.save_weights(path, model)
    refused(path, trained(1), "1.running_var must not be negative")


def other_sizes():
    return {
        "another size": (mg.Linear(3, 4), r"'weight' has the shape \(2, 3\), .* \(4, 3\)"),
        "another input": (mg.Linear(2, 2), r"'weight' has the shape \(2, 3\), .* \(2, 2\)"),
        "no bias": (mg.Linear(3, 2, bias=False), "it has 'bias', which the model lacks"),
        "another layer": (mg.BatchNorm1d(2), "lacks 'running_mean', 'running_var', .*tracked"),
        "a net": (mg.Sequential(mg.Linear(3, 2)), "it lacks '0.weight', '0.bias' and it has"),
        "another dtype": (mg.Linear(3, 2, dtype="float64"), "is float32, .* model's is float64"),
        "many layers": (mg.models.lenet(), "and [0-9]+ more"),
    }


@on_both
@pytest.mark.parametrize("case", other_sizes())
def test_a_model_that_does_not_fit_stays_as_it_was(tmp_path, suffix, case):
    path = tmp_path / f"net{suffix}"
    mg.save_weights(path, mg.Linear(3, 2, seed=0))
    model, words = other_sizes()[case]
    refused(path, model, words)


def test_whole_files_with_other_contents_are_refused(tmp_path):
    """Each array missing, renamed, longer, of another type, not finite."""
    path = tmp_path / "net.npz"
    mg.save_weights(path, trained(0))
    files = list(misfits(path.read_bytes()))
    assert len(files) > 60
    model = trained(1)
    for name, changed in files:
        path.unlink()
        path.write_bytes(changed)
        assert refused(path, model, "does not fit this model"), name


@pytest.mark.on_host
def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "net.npz"
    mg.save_weights(path, mg.Sequential(mg.Linear(3, 2, seed=0), mg.BatchNorm1d(2)))
    good = path.read_bytes()
    model = mg.Sequential(mg.Linear(3, 2, seed=1), mg.BatchNorm1d(2))
    for _, bad in damaged(good):
        path.unlink()
        path.write_bytes(bad)
        if bad != good:
            refused(path, model, "net")


def header_of(good):
    length = int.from_bytes(good[:8], "little")
    return json.loads(good[8 : 8 + length]), good[8 + length :]


def with_header(header, numbers):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def damaged_safetensors(good):
    """(what was done, bytes): lengths, headers and numbers that are wrong."""
    rng = np.random.default_rng(0)
    header, numbers = header_of(good)
    for length in range(0, len(good), 7):
        yield f"cut to {length}", good[:length]
    for value in (0, 1, 2**24, 2**40, 2**63, 2**64 - 1):
        yield f"header of {value}", value.to_bytes(8, "little") + good[8:]
    for _ in range(200):
        at, bit = int(rng.integers(len(good))), int(rng.integers(8))
        yield f"bit {bit} of {at}", good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]
    yield "more", good + b"\0"
    yield "numbers lost", good[:-4]
    for field, values in {
        "dtype": ["F16", "BF16", "F64", "I32", "X", 1, None, []],
        "shape": [[2, 4], [-2, -3], [2**62, 4], [2.0, 3], "23", None, [[2], 3], [True, 6]],
        "data_offsets": [[0, 0], [0, 2**62], [-8, 16], [8, 0], [0], [0, 1, 2], None, "08"],
    }.items():
        for value in values:
            entry = header["0.weight"] | {field: value}
            yield f"{field} {value}", with_header(header | {"0.weight": entry}, numbers)
    yield "an array more", with_header(header | {"x": header["0.weight"]}, numbers)
    text = json.dumps(header).encode()
    yield "keys twice", with_header(text[:-1] + b", " + text[1:], numbers)
    yield "a field more", with_header(header | {"0.weight": header["0.weight"] | {"a": 1}}, numbers)
    yield "an entry of none", with_header(header | {"0.weight": None}, numbers)
    for text in (b"", b"{", b"[]", b"null", b"[" * 10**5, b"\xff", b'{"a": NaN}', b"9" * 10**5):
        yield f"header {text[:9]!r}", with_header(text, numbers)
    yield "text", b"hello" * 30
    yield "an npz", b"PK\3\4" + bytes(100)
    yield "a pickle", b"\x80\x04]\x94."


@pytest.mark.on_host
def test_damaged_safetensors_files_are_refused(tmp_path):
    """Bits of the header that mean nothing, as in "format", may be wrong. No number may."""
    path = tmp_path / "net.safetensors"
    saved = mg.Sequential(mg.Linear(3, 2, seed=0))
    mg.save_weights(path, saved)
    loaded = 0
    for _, bad in damaged_safetensors(path.read_bytes()):
        path.unlink()
        path.write_bytes(bad)
        model = mg.Sequential(mg.Linear(3, 2, seed=1))
        try:
            mg.load_weights(path, model)
        except mg.CheckpointError:
            refused(path, model, "net")
        else:
            loaded += 1
            assert content(model) == content(saved)
    assert loaded < 40


@pytest.mark.on_host
def test_what_the_library_refuses_is_a_checkpoint_error(tmp_path, monkeypatch):
    """Its own error is not derived from ValueError."""
    path = tmp_path / "net.safetensors"
    mg.save_weights(path, mg.Linear(3, 2))
    monkeypatch.setattr("minigrad.checkpoint.safetensors._check", lambda content: None)
    path.write_bytes(path.read_bytes()[:-1])
    refused(path, mg.Linear(3, 2), "is damaged")


@pytest.mark.on_host
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin", ".pkl", ".PT"])
@pytest.mark.parametrize("function", [mg.save_weights, mg.load_weights])
def test_pickles_are_refused_by_name(tmp_path, suffix, function):
    with pytest.raises(ValueError, match="are pickles.*use .safetensors"):
        function(tmp_path / f"net{suffix}", mg.Linear(3, 2))


@pytest.mark.on_host
@pytest.mark.parametrize("function", [mg.save_weights, mg.load_weights])
def test_wrong_arguments(tmp_path, function):
    for name in ("net", "net.h5", "net.npz.gz", ".npz"):
        with pytest.raises(ValueError, match=r"must end in .npz or .safetensors"):
            function(tmp_path / name, mg.Linear(3, 2))
    with pytest.raises(TypeError, match=r"\(path, model\) takes .* got a Linear and a PosixPath"):
        function(mg.Linear(3, 2), tmp_path / "net.npz")
    with pytest.raises(TypeError, match="got a str and a dict"):
        function("net.npz", {})


@pytest.mark.on_host
@on_both
def test_no_file(tmp_path, suffix):
    with pytest.raises(FileNotFoundError, match="net"):
        mg.load_weights(tmp_path / f"net{suffix}", mg.Linear(3, 2))


@pytest.mark.on_host
def test_other_checkpoints_are_not_weights(tmp_path):
    path = tmp_path / "run.npz"
    arrays = mg.to_torch_state_dict(mg.Linear(3, 2))
    archive.write(path, arrays, {"format": 1, "kind": "run"})
    refused(path, mg.Linear(3, 2), r"mg.load\(path, model\)")
    archive.write(path, arrays, {"format": 2, "kind": "weights", "version": "9.9"})
    refused(path, mg.Linear(3, 2), "format 2, .* reads format 1.*9.9")
    np.savez(path, **arrays)
    refused(path, mg.Linear(3, 2), "numpy.load")


@pytest.mark.on_host
def test_without_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    path = tmp_path / "net.safetensors"
    with pytest.raises(ImportError, match=r"pip install safetensors, or use .* \.npz"):
        mg.save_weights(path, mg.Linear(3, 2))
    path.touch()
    with pytest.raises(ImportError, match=r"pip install safetensors"):
        mg.load_weights(path, mg.Linear(3, 2))
    mg.save_weights(tmp_path / "net.npz", mg.Linear(3, 2))


@pytest.mark.on_host
def test_minigrad_does_not_import_the_library():
    done = python("import sys, minigrad; print('safetensors' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


@on_both
def test_a_failed_save_leaves_the_old_file(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"net{suffix}"
    mg.save_weights(path, net(0))
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        mg.save_weights(path, net(1))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_a_model_is_not_touched_if_the_device_has_no_memory(tmp_path, monkeypatch):
    path = tmp_path / "net.npz"
    mg.save_weights(path, net(0))
    model = net(1)
    before = content(model)
    calls = []

    def to_device_twice(array, like=None):
        calls.append(array)
        if len(calls) > 2:
            raise MemoryError("out of memory on the device")
        return to_device(array, like)

    monkeypatch.setattr("minigrad.backend.to_device", to_device_twice)
    with pytest.raises(MemoryError):
        mg.load_weights(path, model)
    assert content(model) == before
