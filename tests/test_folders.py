"""Pictures in folders, files of arrays: what becomes of each kind of file, and each clear error."""

import builtins
import io

import numpy as np
import pytest

import minigrad as mg
from minigrad import data, files
from minigrad.data.images import folders

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed: minigrad[images]")
pytestmark = pytest.mark.on_host

GREY = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)  # fifths


@pytest.fixture
def draw(tmp_path):
    """draw(name, pixels, mode) writes a picture and gives its path."""

    def write(name, pixels=GREY, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        image.save(path, **options)
        return path

    return write


def read(path, **options):
    return data.read_image(path, **({"size": None} | options))


# ------------------------------------------------------------------ single pictures


def test_levels_of_grey_are_from_0_to_1(draw):
    x = read(draw("a.png"))
    assert (x.shape, x.dtype) == ((1, 2, 3), "float32")
    np.testing.assert_allclose(x[0], GREY / 255, atol=1e-7)
    np.testing.assert_allclose(read(draw("a.png"), invert=True)[0], 1 - GREY / 255, atol=1e-7)


RED = np.zeros((2, 3, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
HALF = np.dstack([np.zeros((2, 3, 3), np.uint8), np.full((2, 3), 51, np.uint8)])  # black, 1/5 there


def palette(transparent):
    image = (
        Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P") if False else Image.new("P", (3, 1))
    )
    image.putpalette([255, 255, 255, 0, 0, 0, 255, 0, 0])
    image.putdata([0, 1, 2])
    if transparent:
        image.info["transparency"] = 1
    return image


FORMS = {
    "colour": (RED, {}, "a.png", [[[0.299] * 3] * 2], 2e-3),
    "colour kept": (RED, {"grayscale": False}, "a.bmp", [[[c] * 3] * 2 for c in (1, 0, 0)], 0),
    "grey as colour": (GREY, {"grayscale": False}, "a.png", [(GREY / 255).tolist()] * 3, 1e-7),
    "transparent": (HALF, {}, "a.png", [[[0.8] * 3] * 2], 3e-3),
    "palette": (palette(False), {}, "a.png", [[[1, 0, 0.299]]], 2e-3),
    "palette with a hole": (palette(True), {}, "a.png", [[[1, 1, 0.299]]], 2e-3),
    "16 bits": (GREY.astype(np.uint16) * 257, {}, "a.png", [(GREY / 255).tolist()], 1e-6),
    "black and white": (Image.fromarray(GREY > 127), {}, "a.png", [(GREY > 127).tolist()], 0),
    "CMYK": (Image.new("CMYK", (3, 2), (0, 0, 0, 255)), {}, "a.tif", [[[0] * 3] * 2], 5e-3),
    "GIF": (GREY, {}, "a.gif", [(GREY / 255).tolist()], 1e-7),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_pictures(draw, form):
    pixels, options, name, expected, atol = FORMS[form]
    x = read(draw(name, pixels), **options)
    np.testing.assert_allclose(x, np.array(expected, "float32"), atol=atol)
    assert x.dtype == "float32"


def test_photographs_stand_upright(draw):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by a quarter, clockwise
    x = read(draw("a.png", exif=exif.tobytes()))
    np.testing.assert_allclose(x[0], np.rot90(GREY, -1) / 255, atol=1e-7)


def test_a_smaller_picture_has_the_mean_of_the_larger(draw, rng):
    large = rng.integers(0, 256, (64, 96), dtype=np.uint8)
    x = data.read_image(draw("a.png", large), size=(4, 6))
    assert x.shape == (1, 4, 6)
    assert x.mean() == pytest.approx(large.mean() / 255, abs=0.02)
    assert 0 <= x.min() <= x.max() <= 1
    assert data.read_image(draw("a.png", large), size=5).shape == (1, 5, 5)


DAMAGED = {
    "cut": lambda whole: whole[: len(whole) // 2],
    "empty": lambda whole: b"",
    "no picture": lambda whole: b"hello, world",
    "flipped": lambda whole: whole[:20] + bytes([whole[20] ^ 255]) + whole[21:],
}


@pytest.mark.parametrize("ending", ["png", "jpg", "gif"])
@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_pictures_are_named_or_read(draw, damage, ending, rng):
    path = draw(f"a.{ending}", rng.integers(0, 256, (40, 40), dtype=np.uint8))
    path.write_bytes(DAMAGED[damage](path.read_bytes()))
    try:
        x = read(path)
    except ValueError as error:
        said = str(error)
    else:  # a byte of the pixels themselves, which no format checks
        said = f"{path}: cannot be read as a picture (" * (damage in ("flipped", "cut"))
        assert 0 <= x.min() <= x.max() <= 1
    assert said.startswith(f"{path}: cannot be read as a picture (")


def test_what_cannot_be_read(draw, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read(tmp_path / "none.png")
    with pytest.raises(ValueError, match="pixels are floating-point numbers"):
        read(draw("a.tif", np.ones((2, 3), np.float32)))
    with pytest.raises(ValueError, match="more than 16 bits"):
        read(draw("b.tif", np.full((2, 3), 70000, np.int32)))
    with pytest.raises(ValueError, match="have 32 bits, and none is above 255"):
        read(draw("c.tif", GREY.astype(np.int32)))  # it would be nearly black
    with pytest.raises(ValueError, match="like_mnist=True gives grey pictures of 28x28"):
        data.read_image(draw("a.png"), size=(32, 32), like_mnist=True)
    with pytest.raises(ValueError, match=r"a.png: nothing to see"):
        data.read_image(draw("a.png", np.full((50, 50), 200, np.uint8)), like_mnist=True)


def test_without_pillow_the_error_names_the_extra(draw, monkeypatch):
    path = draw("0/a.png")
    plain = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("PIL"):
            raise ImportError("no PIL")
        return plain(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    for call in (lambda: read(path), lambda: data.from_folder(path.parent.parent)):
        with pytest.raises(ImportError, match=r'pip install "minigrad\[images\]"'):
            call()


# ------------------------------------------------------------------ as MNIST's


def test_the_mnist_form_of_mnists_own_pictures_is_themselves(real_mnist):
    _, test = data.load("mnist", root=real_mnist)
    x = test.x[:200, 0]
    same = [np.abs(data.like_mnist(p) - p).mean() < 0.01 for p in x]
    assert np.mean(same) > 0.95  # the others are a pixel off


def stroke(height=120, width=70, thick=14):
    """A 7 in strong strokes, on a page with room around it."""
    page = np.zeros((300, 260))
    page[80 : 80 + thick, 100 : 100 + width] = 1
    for i in range(height):
        start = 100 + width - thick - int(i * (width - thick) / height)
        page[80 + i, start : start + thick] = 1
    return page


PAGES = {
    "pen on paper": lambda ink, shade: 0.9 - 0.7 * ink,
    "chalk on a board": lambda ink, shade: 0.2 + 0.6 * ink,
    "slanting light": lambda ink, shade: (0.9 - 0.35 * shade) * (1 - 0.7 * ink),
    "pencil": lambda ink, shade: 0.8 - 0.25 * ink,
    "MNIST's colours": lambda ink, shade: ink,
}


@pytest.mark.parametrize("page", PAGES)
def test_pages_of_all_kinds_become_white_on_black_and_centred(page, rng):
    ink = stroke()
    shade = np.mgrid[0:300, 0:260].sum(axis=0) / 560
    photo = PAGES[page](ink, shade) + 0.01 * rng.standard_normal(ink.shape)
    y = data.like_mnist(photo.clip(0, 1))
    assert (y.shape, y.dtype, y.max()) == ((28, 28), "float32", 1)
    assert not y[:, [0, 1, 2, 25, 26, 27]].any()
    rows = np.flatnonzero(y.sum(1))
    assert rows[-1] - rows[0] + 1 == 20
    for axis in (0, 1):
        middle = y.sum(axis) @ np.arange(28) / y.sum()
        assert abs(middle - 14) <= 0.5 + 1e-3
    ideal = data.like_mnist(ink)
    assert np.abs(y - ideal).mean() < 0.02


@pytest.mark.parametrize("x", [np.zeros((3, 5)), np.zeros((3, 28, 28)), np.full((9, 9), np.nan)])
def test_what_is_no_picture_of_a_digit(x):
    with pytest.raises(ValueError, match=r"one grey picture|NaN"):
        data.like_mnist(x)


# ------------------------------------------------------------------ folders


def test_subfolders_are_the_classes(draw, tmp_path):
    for name in ("10", "2", "1"):
        draw(f"set/{name}/b.png", np.full((4, 4), int(name), np.uint8))
    draw("set/2/a10.PNG", np.full((4, 4), 50, np.uint8))
    draw("set/2/a9.png", np.full((4, 4), 40, np.uint8))
    draw("set/2/more/c.png", np.full((4, 4), 60, np.uint8))
    d = data.from_folder(tmp_path / "set", size=(3, 2))
    assert d.names == ("1", "2", "10")
    assert d.classes == 3
    assert d.x.shape == (6, 1, 3, 2)
    assert d.y.tolist() == [0, 1, 1, 1, 1, 2]
    np.testing.assert_allclose(255 * d.x[:, 0, 0, 0], [1, 40, 50, 2, 60, 10], atol=1e-5)
    assert d.source == f"{tmp_path / 'set'}: 6 pictures"


def test_what_is_no_picture_is_left_out(draw, tmp_path):
    draw("set/a/1.png")
    for name in (".DS_Store", "a/Thumbs.db", "a/.1.png", ".hidden/1.png", "__MACOSX/a/1.png"):
        (tmp_path / "set" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "set" / name).write_bytes(b"\0")
    assert data.from_folder(tmp_path / "set").source.endswith(": 1 pictures")
    for name in ("notes.txt", "a/notes.txt", "a/label.csv"):
        (tmp_path / "set" / name).write_text("")
    source = data.from_folder(tmp_path / "set").source
    assert source.endswith("1 pictures; 3 files that are no pictures of a class left out")


def test_a_second_folder_has_the_labels_of_the_first(draw, tmp_path):
    for name in ("train/cat", "train/dog", "test/dog"):
        draw(f"set/{name}/1.png")
    with pytest.raises(ValueError, match=r"subfolders test, train, and these are no classes: read"):
        data.from_folder(tmp_path / "set")
    train = data.from_folder(tmp_path / "set" / "train")
    test = data.from_folder(tmp_path / "set" / "test", names=train.names)
    assert (test.names, test.y.tolist()) == (("cat", "dog"), [1])
    draw("set/test/cow/1.png")
    with pytest.raises(TypeError, match="names must be a list of texts"):
        data.from_folder(tmp_path / "set" / "test", names="cat")
    with pytest.raises(ValueError, match=r"cow is none of the names, \['cat', 'dog'\]"):
        data.from_folder(tmp_path / "set" / "test", names=train.names)


def linked(draw, root):
    draw("set/a/1.png")
    draw("set/b/1.png")
    (root / "a" / "up").symlink_to(root)
    (root / "b" / "up").symlink_to(root)


WRONG = {
    "a link to a folder above": (linked, "up is a link to a folder above it"),
    "a folder around the classes": (
        lambda draw, root: (draw("set/pets/cat/1.png"), draw("set/pets/dog/1.png")),
        r"one subfolder alone, pets, and in it there are folders.*from_folder\('.*set/pets'\)",
    ),
    "parts among others": (
        lambda draw, root: [draw(f"set/{name}/a/1.png") for name in ("train", "test", "new")],
        "the subfolders test, train, and these are no classes",
    ),
    "no folder": (lambda draw, root: None, "does not exist"),
    "a file": (lambda draw, root: root.write_text(""), "is a file"),
    "no subfolders": (lambda draw, root: draw("set/1.png"), "has no subfolders: put the pictures"),
    "an empty class": (
        lambda draw, root: (draw("set/a/1.png"), (root / "b").mkdir()),
        "b has no pictures: a class needs one",
    ),
    "a telephone's": (
        lambda draw, root: draw("set/a/1.png").rename(root / "a" / "1.HEIC"),
        "HEIC, as telephones write it, cannot be read: save it as JPEG",
    ),
    "damaged": (
        lambda draw, root: draw("set/a/1.png").write_bytes(b"no"),
        "1.png: cannot be read as a picture",
    ),
    "sizes": (
        lambda draw, root: (draw("set/a/1.png"), draw("set/a/2.png", GREY.T.copy())),
        "2.png has 3x2 pixels, .*1.png has 2x3: give a size for all",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_fault_is_a_clear_error(draw, tmp_path, case):
    make, words = WRONG[case]
    make(draw, tmp_path / "set")
    with pytest.raises((ValueError, NotADirectoryError), match=words):
        data.from_folder(tmp_path / "set", size=None)


def test_many_pictures_have_a_progress_bar(draw, tmp_path, capfd, monkeypatch):
    for i in range(3):
        draw(f"set/a/{i}.png")
    data.from_folder(tmp_path / "set", progress=True)
    assert "0/3" in capfd.readouterr().err
    data.from_folder(tmp_path / "set")
    assert capfd.readouterr().err == ""


def test_names_are_in_natural_order():
    names = ["b10", "b9", "a", "B1", "10", "9", "1a"]
    assert folders.natural(names) == ["1a", "9", "10", "a", "B1", "b9", "b10"]


def test_ones_own_digits(draw, tmp_path, rng):
    """A story: digits on paper, photographed, read from a folder by a net that knows others."""
    train, test = data.load("digits")
    net = mg.models.mlp((784, 32, 10), activation="relu", seed=0)
    centred = np.stack([data.like_mnist(p)[None] for p in train.x[:600, 0]])
    train = data.Dataset(centred, train.y[:600], names=train.names)
    options = {"epochs": 8, "batch_size": 20, "progress": False}
    mg.fit(
        net, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(net, 0.05, 0.9), train, **options
    )
    for i, (picture, label) in enumerate(zip(test.x[:60, 0], test.y, strict=False)):
        page = np.full((150, 120), 0.85) + 0.01 * rng.standard_normal((150, 120))
        page[20:104, 15:99] -= 0.6 * picture.repeat(3, axis=0).repeat(3, axis=1)
        draw(f"mine/{label}/{i}.jpg", (255 * page).clip(0, 255).astype(np.uint8), quality=90)
    mine = data.from_folder(tmp_path / "mine", like_mnist=True, names=train.names)
    _, accuracy = mg.evaluate(net, mg.CrossEntropyLoss(), mine)
    assert accuracy > 0.85
    plain = data.from_folder(tmp_path / "mine", names=train.names)
    assert mg.evaluate(net, mg.CrossEntropyLoss(), plain)[1] < 0.5


# ------------------------------------------------------------------ .npz


def labels(noisy=False):
    x = np.random.default_rng(3).random((6, 2), dtype="float32")
    y = np.array([0, 1, 2, 0, 1, 2])
    clean = np.roll(y, 1) if noisy else None
    return data.Dataset(x, y, clean_y=clean, source="here", names=["a", "ö", "c"])


@pytest.mark.parametrize(
    "dataset",
    [
        labels(),
        labels(noisy=True),
        data.Dataset(np.ones((3, 2)), np.ones((3, 4))),
        data.Dataset(np.ones((3, 2), "int64"), np.array([0, 14, 3]), classes=15),
    ],
)
def test_what_is_written_is_read_back(tmp_path, dataset):
    data.save_npz(tmp_path / "set.npz", dataset)
    again = data.from_npz(tmp_path / "set.npz")
    for name in ("x", "y", "clean_y"):
        one, two = getattr(dataset, name), getattr(again, name)
        assert (one is None) == (two is None)
        if one is not None:
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)
    assert (again.names, again.classes) == (dataset.names, dataset.classes)
    assert again.noisy == dataset.noisy
    assert again.source == (dataset.source or str(tmp_path / "set.npz"))


def test_files_as_others_write_them(tmp_path):
    path = tmp_path / "mnist.npz"
    x = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.savez_compressed(path, x_train=x, y_train=np.array([[3], [12]], np.uint8))
    d = data.from_npz(path, x="x_train", y="y_train")
    np.testing.assert_array_equal(d.x, (x / np.float32(255)).astype("float32"))
    assert (d.y.tolist(), d.y.dtype, d.classes) == ([3, 12], "int64", 13)
    with pytest.raises(ValueError, match="there is no array 'x' in the file, but 'x_train', 'y_tr"):
        data.from_npz(path)


def bytes_of(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


ARRAYS = bytes_of(lambda file: np.savez(file, x=np.ones((2, 2)), y=np.zeros(2, "int64")))
BAD = {
    "empty": (b"", "no .npz file|damaged"),
    "text": (b"a,b\n1,2\n", "no .npz file"),
    "cut": (ARRAYS[:-30], "damaged"),
    "one array": (bytes_of(lambda file: np.save(file, np.ones(3))), r"one array alone \(.npy\)"),
    "objects": (
        bytes_of(lambda file: np.savez(file, x=np.array([[1], None], object), y=np.zeros(2))),
        "the array 'x' has Python objects in it",
    ),
    "names as classes": (
        bytes_of(lambda file: np.savez(file, x=np.ones((2, 2)), y=[0, 1], classes=["a", "b"])),
        r"the array 'classes' must be one integer, .* got <U1 of shape \(2,\)",
    ),
    "flipped": (ARRAYS[:150] + bytes([ARRAYS[150] ^ 255]) + ARRAYS[151:], "damaged"),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_are_no_arrays(tmp_path, case):
    whole, words = BAD[case]
    (tmp_path / "set.npz").write_bytes(whole)
    with pytest.raises(ValueError, match=words) as caught:
        data.from_npz(tmp_path / "set.npz")
    assert str(tmp_path / "set.npz") in str(caught.value)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    data.save_npz(tmp_path / "set.npz", labels())

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        data.save_npz(tmp_path / "set.npz", data.Dataset(np.ones((1, 1)), np.ones(1)))
    assert len(data.from_npz(tmp_path / "set.npz")) == 6
    with pytest.raises(TypeError, match="save_npz takes a Dataset, got ndarray"):
        data.save_npz(tmp_path / "set.npz", np.ones(3))
