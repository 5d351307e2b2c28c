"""Residual networks: their sizes, the same network in PyTorch, and that they learn."""

import numpy as np
import pytest
from cases import torch_jvp
from trainings import Training, differences

import minigrad as mg
from minigrad.asynchronous.suitable import blocks_of
from minigrad.backend import to_device, to_host

SHORTCUTS = ["identity", "convolution"]


def small(shortcut="identity", dtype="float64", **options):
    """Of three stages. The images have odd sides."""
    given = {"in_channels": 2, "classes": 3, "size": 9} | options
    return mg.models.resnet(1, (3, 4, 6), shortcut=shortcut, dtype=dtype, seed=0, **given)


@pytest.mark.on_host
def test_resnet20_has_the_published_number_of_parameters():
    """He et al. 2015, table 6: 0.27 M, 20 layers with weights."""
    counts = [mg.models.resnet20(shortcut=s, seed=0).summary((3, 32, 32)) for s in SHORTCUTS]
    assert [summary.parameters for summary in counts] == [269_722, 272_474]
    with_weights = [row for row in counts[0].rows if row.name.startswith(("Conv2d", "Linear"))]
    assert len(with_weights) == 20
    shapes = {row.name: row.shape for row in counts[0].rows}
    assert shapes["Residual-7"] == (16, 32, 32)
    assert shapes["Residual-13"] == (32, 16, 16)
    assert shapes["Residual-19"] == (64, 8, 8)
    assert shapes["AvgPool2d-21"] == (64, 1, 1)
    assert len(mg.models.resnet(2, (4, 8), size=7, seed=0)[3:-3]) == 8  # 4 blocks, a ReLU each


@pytest.mark.on_host
def test_convolutions_start_as_he_et_al_say():
    model = mg.models.resnet20(seed=0)
    for prefix, leaf in model.leaves():
        if isinstance(leaf, mg.Conv2d):
            W = leaf.params["W"]
            assert W.dtype == np.float32
            assert abs(W.std() / np.sqrt(2 / W[0].size) - 1) < 4 / np.sqrt(2 * W.size), prefix
    again = mg.models.resnet20(seed=0).state_dict()
    assert all(np.array_equal(array, again[key]) for key, array in model.state_dict().items())


@pytest.mark.on_host
def test_its_arguments_are_checked():
    with pytest.raises(ValueError, match="n must be an integer of at least 1"):
        mg.models.resnet(0)
    with pytest.raises(ValueError, match="channels needs at least one number"):
        mg.models.resnet(channels=())
    with pytest.raises(ValueError, match='"identity" or "convolution", got \'A\''):
        mg.models.resnet(shortcut="A")
    with pytest.raises(ValueError, match="out_channels must be at least in_channels, 16"):
        mg.models.resnet(channels=(16, 8))


def twin(shortcut, channels=(3, 4, 6)):
    """The same network, written in PyTorch as one writes it there, with names of its own."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Block(nn.Module):
        def __init__(self, C, O, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(C, O, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(O)
            self.conv2 = nn.Conv2d(O, O, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(O)
            self.extra = O - C
            if stride == 2 and shortcut == "convolution":
                conv = nn.Conv2d(C, O, 1, stride, bias=False)
                self.downsample = nn.Sequential(conv, nn.BatchNorm2d(O))
            elif stride == 2:
                self.downsample = lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.extra))
            else:
                self.downsample = lambda x: x

        def forward(self, x):
            h = torch.relu(self.bn1(self.conv1(x)))
            return torch.relu(self.downsample(x) + self.bn2(self.conv2(h)))

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, channels[0], 3, 1, 1, bias=False)
            self.bn = nn.BatchNorm2d(channels[0])
            steps = zip((channels[0], *channels), channels, (1, 2, 2), strict=False)
            self.blocks = nn.Sequential(*[Block(C, O, stride) for C, O, stride in steps])
            self.fc = nn.Linear(channels[-1], 3)

        def forward(self, x):
            h = self.blocks(torch.relu(self.bn(self.conv(x))))
            return self.fc(h.mean(dim=(2, 3)))

    return ResNet().double()


@pytest.fixture
def one_thread():
    """The network is tiny: PyTorch's threads only wait for each other."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("shortcut", "train"), [("identity", True), ("convolution", True), ("convolution", False)]
)
def test_it_is_the_same_in_pytorch(shortcut, train):
    """y, dx, all gradients, both jvps, and the running statistics that a batch leaves."""
    import torch

    torch.manual_seed(0)
    theirs, ours = twin(shortcut).train(train), small(shortcut)
    mg.from_torch_state_dict(
        ours, {key: tensor.numpy() for key, tensor in theirs.state_dict().items()}, by="order"
    )
    rng = np.random.default_rng(1)
    x, x_dot, dy = (rng.standard_normal(s) for s in ((5, 2, 9, 9), (5, 2, 9, 9), (5, 3)))
    x_t = torch.from_numpy(x).requires_grad_()
    y_t = theirs(x_t)
    y_t.backward(torch.from_numpy(dy))
    gradients = {key: p.grad.numpy() for key, p in theirs.named_parameters()}
    statistics = {key: tensor.numpy().copy() for key, tensor in theirs.state_dict().items()}
    dots = {key: torch.from_numpy(rng.standard_normal(g.shape)) for key, g in gradients.items()}

    def moved(t):
        """The network with all of (x, weights) moved by t."""
        params = {key: p.detach() + t * dots[key] for key, p in theirs.named_parameters()}
        for module in theirs.modules():
            if train and isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean = module.running_var = module.num_batches_tracked = None
        return torch.func.functional_call(
            theirs, params, (x_t.detach() + t * torch.from_numpy(x_dot),)
        )

    y_dot_t = torch_jvp(moved, torch.tensor(0.0).double(), torch.tensor(1.0).double()).numpy()

    close = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(
        to_host(ours.forward(to_device(x), train)), y_t.detach().numpy(), **close
    )
    np.testing.assert_allclose(to_host(ours.backward(to_device(dy))), x_t.grad.numpy(), **close)
    grads = [to_host(g) for g in ours.grads.values()]
    turned = [g.T if g.ndim == 2 else g for g in grads]
    for (key, expected), found in zip(gradients.items(), turned, strict=True):
        np.testing.assert_allclose(found, expected, **close, err_msg=key)
    for (key, expected), found in zip(
        statistics.items(), mg.to_torch_state_dict(ours).values(), strict=True
    ):
        np.testing.assert_allclose(found, expected, **close, err_msg=key)
    along = [d.numpy().T if d.ndim == 2 else d.numpy() for d in dots.values()]
    params_dot = {
        key: to_device(np.ascontiguousarray(d)) for key, d in zip(ours.params, along, strict=True)
    }
    y_dot = ours.jvp(to_device(x_dot), params_dot)
    np.testing.assert_allclose(to_host(y_dot), y_dot_t, **close)
    both = ours.forward_jvp(to_device(x), to_device(x_dot), params_dot, train)
    np.testing.assert_allclose(to_host(both[1]), y_dot_t, **close)


@pytest.mark.on_host
def test_it_learns_the_digits_in_seconds():
    """The digits as they were scanned, 8x8 pixels: more than 96 % right after 4 epochs."""
    train, test = (
        mg.data.Dataset(np.ascontiguousarray(d.x[:, :, 2:26:3, 2:26:3]), d.y)
        for d in mg.data.load("digits")
    )
    model = mg.models.resnet(1, (8, 16, 32), in_channels=1, size=8, seed=0)
    optimizer = mg.SGD(model, 0.05, momentum=0.9, weight_decay=1e-4)
    history = mg.fit(
        model,
        mg.CrossEntropyLoss(),
        mg.rules.Backprop(),
        optimizer,
        train,
        test,
        epochs=4,
        batch_size=32,
        schedule=mg.CosineAnnealingLR(optimizer, 4),
        progress=False,
    )
    assert history.test_accuracy[-1] > 0.96


class Images(Training):
    """A training of a small residual network."""

    def __init__(self):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((22, 2, 9, 9)).astype("float32")
        dataset = mg.data.Dataset(x, rng.integers(0, 3, 22), classes=3)
        super().__init__(model=lambda: small("convolution", "float32"), train=lambda: dataset)

    def fit(self, **options):
        self.history = mg.fit(
            self.model,
            self.loss,
            self.rule,
            self.optimizer,
            self.train,
            **{"epochs": 2, "batch_size": 6, "progress": False} | options,
        )
        return self


def test_a_run_goes_on_bit_for_bit(tmp_path):
    unbroken = Images().fit()
    how = {"checkpoint": tmp_path / "run.npz", "every": "1 step"}
    Images().stopped_at(5, **how)
    assert differences(unbroken.state(), Images().fit(resume=True, **how).state()) == []


@pytest.mark.on_host
def test_it_is_cut_between_blocks():
    model = small()
    blocks = blocks_of(model, mg.rules.Backprop(), None)
    assert [len(block) for block in blocks] == [3, 2, 2, 2, 3]
    assert {name for block in blocks for name in block.keys().values()} == set(model.params)
