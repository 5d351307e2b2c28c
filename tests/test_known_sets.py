"""Fashion-MNIST, KMNIST and CIFAR-10: found, told apart, checked, downloaded only when asked.

The files here are small ones of the same formats, with hashes of their own.
"""

import gzip
import hashlib
import io
import os
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from test_mnist import IMAGES, content, flip, mirrors, put  # noqa: F401  (a fixture)

import minigrad as mg
from minigrad import cli, data, resources
from minigrad.data.known import cifar, mnist, mnist_like, places

pytestmark = pytest.mark.on_host


NOWHERE = "http://127.0.0.1:9/"


def sha256(whole):
    return hashlib.sha256(whole).hexdigest()


@pytest.fixture
def sets(monkeypatch, tmp_path):
    """{name: {file: unzipped bytes}}, 20 and 10 pictures each, in place of the real sets."""
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    rng = np.random.default_rng(1)
    contents = {}
    small = {}
    for known in (mnist.known(), *mnist_like.SETS):
        contents[known.name] = {}
        small[known.name] = {}
        for (split, kind), file in known.files.items():
            n = 20 if split == "train" else 10
            labels = rng.permutation(n) % (10 if file.zipped_sha256 else 7)
            array = labels if kind == "labels" else rng.integers(0, 256, (n, 28, 28))
            whole = content(array)
            contents[known.name][file.name] = whole
            small[known.name][split, kind] = file._replace(
                shape=array.shape,
                sha256=file.sha256 and sha256(whole),
                zipped_sha256=file.zipped_sha256 and sha256(gzip.compress(whole, mtime=0)),
                first=tuple(labels[: len(file.first)].tolist()),
            )
    monkeypatch.setattr(mnist, "FILES", small["mnist"])
    monkeypatch.setattr(mnist, "MIRRORS", (NOWHERE,))
    others = (replace(k, files=small[k.name], mirrors=(NOWHERE,)) for k in mnist_like.SETS)
    monkeypatch.setattr(mnist_like, "SETS", tuple(others))
    return contents


@pytest.fixture
def online(sets, mirrors, monkeypatch):  # noqa: F811
    """As `mirrors`, for all sets."""
    others = tuple(replace(known, mirrors=mnist.MIRRORS) for known in mnist_like.SETS)
    monkeypatch.setattr(mnist_like, "SETS", others)
    return mirrors


def lay(folder, contents, zipped=True, dotted=False):
    """The four files in a folder. The .gz files are the same bytes as the authors'."""
    folder.mkdir(parents=True)
    for name, whole in contents.items():
        name = name.replace("-idx", ".idx") if dotted else name
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(whole, mtime=0) if zipped else whole)
    return folder


def test_the_published_numbers_are_whole():
    for known in mnist_like.SETS:
        assert len(known.names) == 10
        for (split, kind), file in known.files.items():
            assert file.name == mnist.FILES[split, kind].name
            assert file.shape == mnist.FILES[split, kind].shape
            assert len(bytes.fromhex(file.zipped_sha256)) == 32
    assert len(bytes.fromhex(cifar.ARCHIVE_SHA256)) == 32
    batches = [batch for part in cifar.BATCHES.values() for batch in part]
    assert sum(batch.records for batch in batches) == 60000
    assert len({bytes.fromhex(batch.md5) for batch in batches}) == 6


WHERE = [
    ("fashion-mnist", "fashion-mnist", True, False),
    ("fashion-mnist", "FashionMNIST/raw", False, False),  # as torchvision unzips them
    ("fashion-mnist", "", False, True),  # train-images.idx3-ubyte, in the folder itself
    ("fashion-mnist", "", True, True),
    ("kmnist", "kmnist", False, False),
    ("kmnist", "", True, False),
    ("mnist", "mnist", True, False),
    ("mnist", "", False, True),
]


@pytest.mark.parametrize(("name", "below", "zipped", "dotted"), WHERE)
def test_files_are_found_under_their_usual_names(sets, tmp_path, name, below, zipped, dotted):
    folder = lay(tmp_path / "root" / below, sets[name], zipped, dotted)
    train, test = data.load(name, root=tmp_path / "root")
    pixels = np.frombuffer(sets[name][IMAGES][16:], np.uint8).reshape(-1, 1, 28, 28)
    np.testing.assert_array_equal(train.x, (pixels / np.float32(255)).astype("float32"))
    assert train.y.tolist() == list(sets[name]["train-labels-idx1-ubyte"][8:])
    known = {k.name: k for k in (mnist.known(), *mnist_like.SETS)}[name]
    assert train.names == test.names == known.names
    assert train.source == f"{known.title}, train, from {folder}"


def test_all_sets_lie_in_one_root(sets, tmp_path):
    lay(tmp_path / "root", sets["mnist"])
    for name in ("fashion-mnist", "kmnist"):
        lay(tmp_path / "root" / name, sets[name])
    for name in ("mnist", "fashion-mnist", "kmnist", "Fashion_MNIST"):
        title = name.split("_")[0].lower()[:5]
        assert data.load(name, root=tmp_path / "root")[0].source.lower().startswith(title)


@pytest.mark.parametrize("name", ["fashion-mnist", "kmnist"])
def test_another_set_under_mnists_names_is_called_by_its_name(sets, tmp_path, name):
    root = lay(tmp_path / "root", sets[name])
    with pytest.raises(ValueError, match="this is") as caught:
        data.load("mnist", root=root)
    assert f"mg.data.load({name!r}, root={str(root)!r})" in str(caught.value)
    assert "delete" not in str(caught.value).lower()
    assert len(data.load(name, root=root)[0]) == 20  # the advice works
    lay(root / "mnist", sets["mnist"])
    assert len(data.load("mnist", root=root)[0]) == 20  # MNIST beside it is found


@pytest.mark.parametrize(
    ("name", "real"), [("kmnist", "fashion-mnist"), ("fashion-mnist", "mnist")]
)
def test_another_set_in_the_folder_of_one_is_called_by_its_name(sets, tmp_path, name, real):
    folder = lay(tmp_path / name, sets[real], zipped=False)
    with pytest.raises(ValueError, match="this is") as caught:
        data.load(name, root=tmp_path)
    assert f"mg.data.load({real!r}, root={str(folder)!r})" in str(caught.value)
    assert len(data.load(real, root=folder)[0]) == 20


def test_a_download_never_writes_over_another_set(sets, tmp_path):
    root = lay(tmp_path / "root", sets["fashion-mnist"], zipped=False)
    before = {path: path.read_bytes() for path in root.iterdir()}
    with pytest.raises(OSError, match="it has Fashion-MNIST under the same names"):
        mnist.download(root)
    assert {path: path.read_bytes() for path in root.iterdir()} == before


def test_the_advice_for_unknown_content_keeps_the_file(sets, online, tmp_path):
    serve(online, sets["mnist"])
    unknown = sets["mnist"] | {IMAGES: flip(sets["mnist"][IMAGES])}
    root = put(tmp_path / "root", unknown)
    with pytest.raises(ValueError, match="Move it to another folder if you need it") as caught:
        data.load("mnist", root=root)
    assert "delete" not in str(caught.value).lower()
    (root / f"{IMAGES}.gz").rename(tmp_path / "moved.gz")
    assert cli.main(["data", "mnist", "--root", str(root)]) == 0


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros(10), "it must have 1 labels of each class"),
        (np.arange(10), "its first labels are not"),
        (np.arange(1, 11), "label 10 at 9: labels are 0 to 9"),
    ],
)
def test_wrong_labels_are_found_without_a_hash_of_the_content(
    sets, tmp_path, labels, words, zipped
):
    wrong = {"t10k-labels-idx1-ubyte": content(labels)}
    root = lay(tmp_path / "fashion-mnist", sets["fashion-mnist"] | wrong, zipped)
    with pytest.raises(ValueError, match=words):
        data.load("fashion-mnist", root=root)


def test_a_network_learns_from_the_files(sets, tmp_path):
    """A story: the files of Fashion-MNIST as they come, a network, a training, names of classes."""
    train, test = data.load(
        "fashion-mnist", root=lay(tmp_path / "fashion-mnist", sets["fashion-mnist"])
    )
    net = mg.models.mlp((784, 32, len(train.names)), activation="relu", seed=0)
    parts = (net, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(net, 0.02), train, test)
    history = mg.fit(*parts, epochs=60, batch_size=5, progress=False)
    assert history.train_accuracy[-1] == 1
    read = train.names[int(net.forward(train.x[:1], train=False).argmax())]
    assert read == train.names[train.y[0]]


# ------------------------------------------------------------------ downloads


def serve(online, contents):
    online[0][1] = lambda name: (
        200,
        gzip.compress(contents[name.removesuffix(".gz")], mtime=0),
        0,
    )


def test_a_download_stays_zipped_in_a_subfolder(sets, online, tmp_path, capfd):
    fashion = sets["fashion-mnist"]
    serve(online, fashion)
    online[0][0] = lambda name: (200, gzip.compress(fashion[name.removesuffix(".gz")], 1), 0)
    root = tmp_path / "root"
    assert cli.main(["data", "fashion-mnist", "--root", str(root)]) == 0
    out = capfd.readouterr().out
    assert f"Fashion-MNIST, train: 20 images, checked, in {root / 'fashion-mnist'}" in out
    assert "licence: MIT\n" in out
    assert {path.name for path in (root / "fashion-mnist").iterdir()} == {
        f"{name}.gz" for name in fashion
    }
    asked = len(online[1])
    assert asked == 8  # another gzip than the published one is another file: the next mirror
    assert cli.main(["data", "fashion-mnist", "--root", str(root)]) == 0
    assert cli.main(["data", "fashion-mnist", "--root", str(root / "fashion-mnist")]) == 0
    assert len(online[1]) == asked


def test_nothing_is_downloaded_unasked(sets, tmp_path, capfd):
    data.load("auto", root=tmp_path)
    assert "downloading" not in capfd.readouterr().err
    with pytest.raises(ConnectionError, match="Without a network: put train-images") as caught:
        data.load("kmnist", root=tmp_path)
    assert str(tmp_path / "kmnist") in str(caught.value)
    assert list((tmp_path / "kmnist").iterdir()) == []


def test_unzipped_files_say_what_was_checked(sets, tmp_path, capfd):
    root = lay(tmp_path / "kmnist", sets["kmnist"], zipped=False)
    assert cli.main(["data", "kmnist", "--root", str(root)]) == 0
    assert "KMNIST, test: 10 images, shapes and labels checked, in" in capfd.readouterr().out


def test_the_help_says_whose_each_set_is(capsys):
    with pytest.raises(SystemExit):
        cli.main(["data", "--help"])
    out = capsys.readouterr().out
    for words in ("MIT", "CC BY-SA 4.0", "arXiv".lower(), "Krizhevsky", "LeCun", "cifar10"):
        assert words in out


# ------------------------------------------------------------------ CIFAR-10


@pytest.fixture
def batches(monkeypatch, tmp_path):
    """{name: bytes} of six small files of CIFAR-10's binary version, 2 records each."""
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "cache")
    rng = np.random.default_rng(2)
    contents = {}
    small = {}
    for split, part in cifar.BATCHES.items():
        for batch in part:
            records = rng.integers(0, 256, (2, 3073), dtype=np.uint8)
            records[:, 0] %= 10
            contents[batch.name] = records.tobytes()
        small[split] = tuple(
            cifar.Batch(b.name, 2, hashlib.md5(contents[b.name]).hexdigest()) for b in part
        )
    monkeypatch.setattr(cifar, "BATCHES", small)
    return contents


def packed(contents):
    """The archive, as its author packs it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, whole in contents.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(whole)
            archive.addfile(member, io.BytesIO(whole))
    return file.getvalue()


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin", "cifar10", "archive"])
def test_cifar_is_read_from_its_files_and_from_its_archive(batches, tmp_path, below):
    folder = tmp_path / "root" / below.replace("archive", "")
    folder.mkdir(parents=True)
    if below == "archive":
        (folder / "cifar-10-binary.tar.gz").write_bytes(packed(batches))
    else:
        for name, whole in batches.items():
            (folder / name).write_bytes(whole)
    train, test = data.load("cifar10", root=tmp_path / "root")
    assert (train.x.shape, test.x.shape) == ((10, 3, 32, 32), (2, 3, 32, 32))
    third = np.frombuffer(batches["data_batch_2.bin"], np.uint8)[:3073]
    assert train.y[2] == third[0]
    green = third[1 + 1024 : 1 + 2048].reshape(32, 32)
    np.testing.assert_array_equal(train.x[2, 1], (green / np.float32(255)).astype("float32"))
    assert train.names[3] == "cat"
    assert [path for path in tmp_path.rglob("*.bin") if below == "archive"] == []


DAMAGE = {
    "cut short": (lambda w: w[:-1], r"expected 6,146 bytes, 2 records of 3,073, got 6,145"),
    "too long": (lambda w: w + b"\0", "got more than 6,146"),
    "bit flipped": (flip, "its MD5 differs"),
}


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_batches_are_a_clear_error(batches, tmp_path, damage, archive):
    change, words = DAMAGE[damage]
    batches["data_batch_4.bin"] = change(batches["data_batch_4.bin"])
    if archive:
        (tmp_path / "cifar-10-binary.tar.gz").write_bytes(packed(batches))
    else:
        for name, whole in batches.items():
            (tmp_path / name).write_bytes(whole)
    with pytest.raises(ValueError, match=f"data_batch_4.bin: .*{words}"):
        data.load("cifar10", root=tmp_path)


@pytest.mark.parametrize("change", [lambda w: w[:-400], lambda w: b"no archive"])
def test_a_damaged_archive_is_a_clear_error(batches, tmp_path, change):
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(change(packed(batches)))
    with pytest.raises(ValueError, match="a damaged archive"):
        data.load("cifar10", root=tmp_path)
    del batches["test_batch.bin"]
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(packed(batches))
    with pytest.raises(ValueError, match="it has no file cifar-10-batches-bin/test_batch.bin"):
        data.load("cifar10", root=tmp_path)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("it ran",)


def test_pickles_are_never_loaded(batches, monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(cifar, "MIRRORS", (NOWHERE,))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_1", "test_batch"):
        (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ConnectionError, match=r"put cifar-10-binary.tar.gz, the binary version"):
        data.load("cifar10", root=tmp_path)
    assert not (tmp_path / "it ran").exists()
    assert f"{folder} is the version in pickles, which may run code" in capfd.readouterr().err


def test_cifar_is_downloaded_and_checked(batches, mirrors, monkeypatch, tmp_path, capfd):  # noqa: F811
    whole = packed(batches)
    monkeypatch.setattr(cifar, "MIRRORS", mnist.MIRRORS)
    monkeypatch.setattr(cifar, "ARCHIVE_SHA256", sha256(whole))
    monkeypatch.setattr(resources, "REPOSITORY", tmp_path / "repository")
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    mirrors[0][0] = lambda name: (200, flip(whole), 0)
    mirrors[0][1] = lambda name: (200, whole, 0)
    assert cli.main(["data", "cifar10"]) == 0
    assert "CIFAR-10, train: 10 images, checked, in" in capfd.readouterr().out
    assert len(mirrors[1]) == 2
    assert [p.name for p in (tmp_path / "cache/cifar10").iterdir()] == ["cifar-10-binary.tar.gz"]
    assert len(data.load("cifar-10")[1]) == 2
    assert len(mirrors[1]) == 2
