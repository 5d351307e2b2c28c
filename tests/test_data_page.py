"""Every example on docs/data.md runs, in the order in which they stand there."""

import re

import numpy as np
import pytest
from conftest import ROOT

from minigrad import data
from minigrad.data.known import reading

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed: minigrad[images]")
pytestmark = pytest.mark.on_host
PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, text in re.findall(r"`(\w+\.csv)`:\n\n```text\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / name).write_text(text)
    digits = data.load("digits")[0]
    for picture, label in zip(digits.x[:20, 0], digits.y[:20], strict=True):
        (tmp_path / "digits" / str(label)).mkdir(parents=True, exist_ok=True)
        pixels = Image.fromarray((255 * (1 - picture)).astype(np.uint8))
        pixels.save(tmp_path / "digits" / str(label) / "photo.png")
    assert (tmp_path / "digits" / "7" / "photo.png").exists()
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 8
    for block in blocks:
        exec(compile(block, "docs/data.md", "exec"), names)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "labels 60 ('rose', 'daisy', 'lily') values (90, 1)"
    assert out[1] == re.search(r"print\(houses.source\)  # (.*)", PAGE)[1]
    assert out[2] == "('rose', 'daisy', 'lily') True"
    assert "(10, 1, 28, 28)" in out[3]


def test_the_table_has_every_set_and_its_licence():
    rows = dict(re.findall(r'^\| `"(.+?)"` \| .* \| (.+?) \|$', PAGE, re.MULTILINE))
    assert set(rows) == {*data.NAMES} - {"auto"}
    for name, about in reading.ABOUT.items():
        assert rows[name].split(";")[0] == about.licence.split(";")[0]


def test_every_function_of_data_is_on_the_page():
    of_the_library = {"idx", "load_digits", "redraw_labels", "mnist", "NAMES"}
    for name in set(data.__all__) - of_the_library:
        assert re.search(rf"(data\.|`|import ){name}\b", PAGE), name
