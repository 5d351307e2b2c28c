"""IDX files and MNIST's four: every way in which a file can be wrong is one clear error."""

import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minigrad import data, resources
from minigrad.data.known import idx, mnist, places

pytestmark = pytest.mark.on_host


def content(array):
    """An IDX file's bytes, by the format's definition."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """MNIST in small: the same four names, 6 and 4 images of 28x28; returns name -> bytes."""
    rng = np.random.default_rng(0)
    contents, files = {}, {}
    for (split, kind), file in mnist.FILES.items():
        n = 6 if split == "train" else 4
        shape = (n, 28, 28) if kind == "images" else (n,)
        array = rng.integers(0, 256 if kind == "images" else 10, shape)
        contents[file.name] = content(array)
        digest = hashlib.sha256(contents[file.name]).hexdigest()
        files[split, kind] = mnist.IdxFile(file.name, shape, digest)
    monkeypatch.setattr(mnist, "FILES", files)
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "cache")
    return contents


def put(folder, contents, zipped=True):
    folder.mkdir(exist_ok=True)
    for name, whole in contents.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(whole))
        else:
            (folder / name).write_bytes(whole)
    return folder


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize("zipped", [True, False])
def test_files_are_read_gzipped_or_not_whatever_the_wrapping(tiny, tmp_path, zipped):
    folder = put(tmp_path / "data", tiny, zipped)
    train, test = data.load("mnist", root=folder)
    assert (train.x.shape, test.x.shape) == ((6, 1, 28, 28), (4, 1, 28, 28))
    expected = np.frombuffer(tiny[IMAGES][16:], np.uint8).reshape(6, 28, 28) / np.float32(255)
    np.testing.assert_array_equal(train.x[:, 0], expected.astype("float32"))
    assert train.y.tolist() == list(tiny[LABELS][8:])


def test_the_environment_comes_first_then_the_cache(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "REPOSITORY", tmp_path / "repository")
    assert mnist.find() is None
    cache = put(tmp_path / "cache", tiny)
    assert mnist.find() == cache
    named = put(tmp_path / "named", tiny)
    monkeypatch.setenv("MINIGRAD_DATA", str(named))
    assert mnist.find() == named
    (named / f"{LABELS}.gz").unlink()
    assert mnist.find() == cache  # a folder with three files is no MNIST
    assert mnist.find(tmp_path / "elsewhere") is None  # a root that is given is the only place


def flip(whole, at=-1):
    changed = bytearray(whole)
    changed[at] ^= 1
    return bytes(changed)


DAMAGE = {
    "truncated": (lambda w: w[:-10], "cut short"),
    "cut in the header": (lambda w: w[:9], "too few for the header"),
    "empty": (lambda w: b"", "0 bytes are too few"),
    "trailing bytes": (lambda w: w + b"\0\0", "bytes left over|more than"),
    "oversized": (lambda w: w + bytes(5000), "more than the 4,704 bytes expected"),
    "wrong magic": (lambda w: b"\0\0\x0d\x03" + w[4:], "magic number 0x00000d03"),
    "labels for images": (lambda w: b"\0\0\x08\x01" + w[4:], "magic number 0x00000801"),
    "huge header": (lambda w: w[:4] + b"\xff" * 12 + w[16:], "asks for"),
    "other shape": (lambda w: w[:4] + b"\0\0\0\x0c\0\0\0\x0e\0\0\0\x1c" + w[16:], "expected shape"),
    "bit flipped": (flip, "SHA-256 differs"),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_images_are_a_clear_error(tiny, tmp_path, damage, zipped):
    change, message = DAMAGE[damage]
    folder = put(tmp_path / "data", tiny | {IMAGES: change(tiny[IMAGES])}, zipped)
    with pytest.raises(ValueError, match=message) as caught:
        data.load("auto", root=folder)
    assert str(folder / IMAGES) in str(caught.value)


def test_labels_out_of_range_are_found(tiny, tmp_path):
    whole = tiny[LABELS][:-1] + bytes([10])
    with pytest.raises(ValueError, match="label 10 at 5: digits are 0 to 9"):
        data.load("mnist", root=put(tmp_path / "data", tiny | {LABELS: whole}))


def test_a_different_number_of_labels_is_found(tiny, tmp_path, monkeypatch):
    whole = content(np.arange(5))
    shapes = dict(mnist.FILES)
    shapes["train", "labels"] = mnist.IdxFile(LABELS, (5,), hashlib.sha256(whole).hexdigest())
    monkeypatch.setattr(mnist, "FILES", shapes)
    with pytest.raises(ValueError, match="6 images but 5 labels in train"):
        data.load("mnist", root=put(tmp_path / "data", tiny | {LABELS: whole}))


@pytest.mark.parametrize(
    "change", [lambda z: z[:-20], lambda z: z[:40] + b"\xff" * 30 + z[70:], lambda z: flip(z, -6)]
)
def test_damaged_gzip_is_a_clear_error(tiny, tmp_path, change):
    folder = put(tmp_path / "data", tiny)
    path = folder / f"{IMAGES}.gz"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match="damaged gzip file"):
        data.load("mnist", root=folder)


def test_a_gzip_bomb_is_not_unpacked(tiny, tmp_path):
    folder = put(tmp_path / "data", tiny | {IMAGES: tiny[IMAGES] + bytes(50_000_000)})
    with pytest.raises(ValueError, match="more than the 4,704 bytes"):
        data.load("mnist", root=folder)


SMALL = content(np.arange(24).reshape(2, 3, 4))


@pytest.mark.parametrize("length", range(len(SMALL)))
def test_every_truncation_is_a_value_error(length):
    with pytest.raises(ValueError, match=r"too few|cut short"):
        idx.parse(SMALL[:length], 3)


def test_no_images_are_a_valid_file_too():
    assert idx.parse(content(np.zeros((0, 3, 4))), 3).shape == (0, 3, 4)


@pytest.mark.parametrize("at", range(16))
@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_header_bit_is_a_value_error(at, bit):
    changed = bytearray(SMALL)
    changed[at] ^= 1 << bit
    with pytest.raises(ValueError, match=r"magic|after the header|asks for"):
        idx.parse(bytes(changed), 3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(whole=st.binary(max_size=60), zipped=st.booleans(), axes=st.integers(1, 3))
def test_random_bytes_are_an_array_or_a_value_error(whole, zipped, axes, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"\x1f\x8b" + whole if zipped else whole)
    try:
        result = idx.read(path, axes)
    except ValueError as error:
        result = str(error)
    assert str(path) in result if isinstance(result, str) else result.ndim == axes


@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
def test_written_files_are_read_back(tmp_path, name):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    idx.write(tmp_path / name, array)
    np.testing.assert_array_equal(idx.read(tmp_path / name, 3), array)
    assert idx.read_bytes(tmp_path / name) == SMALL
    with pytest.raises(TypeError, match="uint8"):
        idx.write(tmp_path / name, array.astype(float))
    with pytest.raises(FileNotFoundError):
        idx.read(tmp_path / "none", 3)


@pytest.fixture
def mirrors(monkeypatch):
    """Two mirrors on this machine; what each serves is a function name -> (status, bytes, cut)."""
    serve = [lambda name: (404, b"", 0), lambda name: (404, b"", 0)]
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            number, name = int(self.path[1]), self.path[3:]
            asked.append((number, name))
            status, body, cut = serve[number](name)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) - cut])

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(mnist, "MIRRORS", (f"{base}/0/", f"{base}/1/"))
    yield serve, asked
    server.shutdown()
    server.server_close()


def good(tiny):
    return lambda name: (200, gzip.compress(tiny[name.removesuffix(".gz")]), 0)


def test_mirrors_are_https_and_at_least_two():
    assert len(mnist.MIRRORS) >= 2
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in mnist.MIRRORS)


def test_download_unzips_checks_and_is_found_again(tiny, mirrors, tmp_path):
    serve, asked = mirrors
    serve[0] = good(tiny)
    train, _ = data.load("mnist")
    assert len(train) == 6
    assert len(asked) == 4
    names = {path.name for path in (tmp_path / "cache").iterdir()}
    assert names == set(tiny)
    data.load("auto")
    assert len(asked) == 4


BAD_MIRRORS = {
    "down": lambda whole: (503, b"", 0),
    "cut": lambda whole: (200, gzip.compress(whole), 30),
    "cut inside the gzip": lambda whole: (200, gzip.compress(whole)[:-30], 0),
    "other content": lambda whole: (200, gzip.compress(flip(whole)), 0),
    "a web page": lambda whole: (200, b"<html>sign in to the hotel's network</html>", 0),
    "a bomb": lambda whole: (200, gzip.compress(whole + bytes(10_000_000)), 0),
}


@pytest.mark.parametrize("kind", BAD_MIRRORS)
def test_a_bad_mirror_is_passed_over(tiny, mirrors, kind, tmp_path):
    serve, asked = mirrors
    serve[0] = lambda name: BAD_MIRRORS[kind](tiny[name.removesuffix(".gz")])
    serve[1] = good(tiny)
    assert mnist.download() == tmp_path / "cache"
    assert {number for number, _ in asked} == {0, 1}
    assert {path.name for path in (tmp_path / "cache").iterdir()} == set(tiny)
    data.load("mnist")


@pytest.mark.parametrize("kind", BAD_MIRRORS)
def test_no_good_mirror_says_how_to_do_it_by_hand_and_leaves_nothing(tiny, mirrors, kind, tmp_path):
    serve, _ = mirrors
    serve[0] = serve[1] = lambda name: BAD_MIRRORS[kind](tiny[name.removesuffix(".gz")])
    with pytest.raises(ConnectionError, match="MINIGRAD_DATA") as caught:
        data.load("mnist")
    assert f"{IMAGES}.gz" in str(caught.value)
    assert str(tmp_path / "cache") in str(caught.value)
    assert all(mirror in str(caught.value) for mirror in mnist.MIRRORS)
    assert list((tmp_path / "cache").iterdir()) == []


def test_files_put_there_by_hand_are_not_fetched_again(tiny, mirrors, tmp_path):
    serve, asked = mirrors
    serve[0] = good(tiny)
    folder = put(tmp_path / "here", {IMAGES: tiny[IMAGES]})
    mnist.download(folder)
    assert f"{IMAGES}.gz" not in {name for _, name in asked}
    assert len(asked) == 3
    data.load("mnist", root=folder)


def test_an_interrupted_download_leaves_nothing(tiny, mirrors, monkeypatch, tmp_path):
    mirrors[0][0] = good(tiny)

    def interrupt(path, size):
        raise KeyboardInterrupt

    monkeypatch.setattr(idx, "read_bytes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        mnist.download()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_download_is_fetched_again(tiny, mirrors, tmp_path):
    serve, asked = mirrors
    serve[0] = good(tiny)
    folder = mnist.download(tmp_path / "here")
    (folder / IMAGES).write_bytes(flip(tiny[IMAGES]))
    with pytest.raises(ValueError, match="minigrad data mnist"):
        data.load("mnist", root=folder)
    mnist.download(folder)
    data.load("mnist", root=folder)
    assert len(asked) == 5


def test_no_network_at_all(tiny, monkeypatch, tmp_path):
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:9/",))
    with pytest.raises(ConnectionError, match="Without a network: put"):
        data.load("mnist")
    assert "no MNIST on disk" in data.load("auto")[0].source


def test_what_a_named_folder_lacks_is_said(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "REPOSITORY", tmp_path / "repository")
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "nowhere"))
    assert f"{tmp_path / 'nowhere'} is no folder" in mnist.why_none()
    folder = put(tmp_path / "some", tiny)
    (folder / f"{LABELS}.gz").unlink()
    assert f"{folder} lacks {LABELS}[.gz];" in mnist.why_none(folder)
