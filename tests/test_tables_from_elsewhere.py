"""Tables as other programs write them: what could be read in two ways is an error, not a guess."""

import numpy as np
import pytest

from minigrad.data import from_csv

pytestmark = pytest.mark.on_host


@pytest.fixture
def csv(tmp_path):
    def write(text):
        path = tmp_path / "table.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


GERMAN = {"delimiter": ";", "decimal": ","}
UNCLEAR = {
    "points between thousands": (
        "a;b\n1,5;0,5\n1.234;2,5\n",
        GERMAN,
        "line 3, column 'a': '1.234'",
    ),
    "in the target": ("a;b\n1,5;0,5\n2;1.234\n", GERMAN, "line 3, column 'b': '1.234' has a point"),
    "both": ("a;b\n1.234,5;2,5\n", GERMAN, "'1.234,5' has a point, and decimal=',' is given"),
    "commas between thousands": ('a,b\n"1,234",5.5\n', {}, "if commas separate thousands, take"),
    "in a target of whole numbers": (
        'a,b\n1,"1,234,567"\n2,"9"\n',
        {"kind": "values"},
        "thousands",
    ),
    "numbers of columns": ("0,1,2\n5.5,6.5,1\n", {"target": -1}, "as pandas does for columns with"),
    "all text": ("p,x\ne,x\np,b\n", {"target": 0, "one_hot": [1]}, "neither in the first row nor"),
    "a typing error": ("a,b\n1,10.5\n2,12O.5\n", {}, "'12O.5' is no number, but '10.5' is one"),
    "a note for Excel": ("sep=;\na;b\n1;2\n", GERMAN, "'sep=' is a note for Excel: delete"),
    "0 for a header": ("a,b\n1,2\n", {"header": 0}, "header must be True, False or None, got 0"),
    "a seventh digit": (
        "t,b\n1700000000,1.5\n1700000010,2.5\n",
        {},
        "column 't': float32 keeps about 7 digits.* from 1700000000 to 1700000010 differ only",
    ),
    "in the values": ("a,b\n1,1700000000.5\n2,1700000002.5\n", {}, "column 'b': float32 keeps"),
    "too large": ("a,b\n1,1e39\n2,1.5\n", {}, "line 2, column 'b': the number is too large"),
    "an old Excel file": (bytes.fromhex("d0cf11e0a1b11ae1"), {}, "an old Excel file: save"),
    "UTF-16 without a mark": (
        "a,b\n".encode("utf-16-le"),
        {"encoding": "utf-16"},
        "not utf-16: ",
    ),
    "no value among texts": ("a,b\n1,cat\n2,nan\n", {}, "line 3, column 'b': no value; missing="),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_is_unclear_is_an_error(csv, case):
    text, options, message = UNCLEAR[case]
    with pytest.raises(ValueError, match=message):
        from_csv(csv(text), **{"target": "b", **options})


def test_the_advice_works(csv):
    pandas = "0,1,2\n5.5,6.5,1\n"
    assert len(from_csv(csv(pandas), -1, header=True)) == 1
    assert len(from_csv(csv(pandas), -1, header=False)) == 2
    mushrooms = "p,x\ne,x\np,b\n"
    assert from_csv(csv(mushrooms), 0, one_hot=[1], header=False).y.tolist() == [1, 0, 1]
    assert from_csv(csv(mushrooms), "p", one_hot=["x"]).y.tolist() == [0, 1]
    mixed = "a,b\n1,10.5\n2,x\n"
    assert from_csv(csv(mixed), "b", kind="labels").names == ("10.5", "x")
    gaps = "a,b\n1,cat\n2,NaN\n3,dog\n"
    assert from_csv(csv(gaps), "b", missing="drop").names == ("cat", "dog")
    assert from_csv(csv(gaps), "b", names=["cat", "dog", "NaN"]).y.tolist() == [0, 2, 1]


def test_minus_nan_is_no_number_either(csv):
    """C writes it so. Whole numbers beside it are still labels."""
    dataset = from_csv(csv("a,b\n1,1\n2,-nan\n3,0\n"), "b", missing="drop")
    assert dataset.y.tolist() == [1, 0]


def test_decimal_commas_are_numbers_in_the_first_row_too(csv):
    dataset = from_csv(csv("1,5;2,5\n3,5;4,5\n"), -1, **GERMAN)
    assert dataset.x[:, 0].tolist() == [1.5, 3.5]


def test_large_numbers_that_float32_can_tell_apart_are_read(csv):
    rows = [f"{1_700_000_000 + 86_400 * day},{day / 2}" for day in range(300)]
    dataset = from_csv(csv("t,b\n" + "\n".join(rows)), "b")
    assert len(np.unique(dataset.x)) == 300
    assert len(from_csv(csv("id,b\n99999999,0.5\n99999999,1.5\n"), "b")) == 2
