"""Data from tables: what a CSV file gives, and the error for each way in which one can be wrong."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import data
from minigrad.data import from_csv

pytestmark = pytest.mark.on_host

HOUSES = "area,rooms,colour,price\n50,2,red,100.5\n75.5,3,blue,150.25\n40,1,red,90\n"
FLOWERS = "length,width,kind\n1,2,rose\n3,4,daisy\n5,6,rose\n"


@pytest.fixture
def csv(tmp_path):
    """csv(text) writes a file and gives its path."""

    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_numbers_to_values(csv):
    d = from_csv(csv(HOUSES), "price", features=["rooms", "area"])
    assert d.kind == "values"
    np.testing.assert_array_equal(d.x, np.array([[2, 50], [3, 75.5], [1, 40]], "float32"))
    np.testing.assert_array_equal(d.y, np.array([[100.5], [150.25], [90]], "float32"))
    assert (d.x.dtype, d.y.dtype) == ("float32", "float32")
    assert d.source.endswith("table.csv: price from rooms, area")


def test_texts_to_labels_and_whole_numbers_too(csv):
    d = from_csv(csv(FLOWERS), "kind")
    assert d.names == ("daisy", "rose")
    assert d.y.tolist() == [1, 0, 1]
    assert d.classes == 2
    d = from_csv(csv("a,b\n1,10\n2,9\n3,10\n4,-1\n"), "b")
    assert d.names == ("-1", "9", "10")  # by value
    assert d.y.tolist() == [2, 1, 2, 0]
    d = from_csv(csv("a,b\n1,10\n2,9\n"), "b", kind="values")
    assert d.y.tolist() == [[10], [9]]
    d = from_csv(csv("a,b\n1,1.5\n2,0.5\n3,1.50\n"), "b", kind="labels")
    assert (d.names, d.y.tolist()) == (("0.5", "1.5"), [1, 0, 1])


def test_several_targets_are_values(csv):
    d = from_csv(csv("a,b,c\n1,2,3\n4,5,6\n"), ["c", 0])
    assert d.y.tolist() == [[3, 1], [6, 4]]
    assert d.x.tolist() == [[2], [5]]


def test_columns_of_text_become_columns_of_0_and_1(csv):
    d = from_csv(csv(HOUSES), "price", one_hot=["colour"])
    assert d.x[:, 2:].tolist() == [[0, 1], [1, 0], [0, 1]]
    assert d.source.endswith("price from area, rooms, colour=blue, colour=red")
    values = {"colour": ["red", "green", "blue"]}
    d = from_csv(csv(HOUSES), -1, features=[2, "area"], one_hot=values)
    assert d.x.tolist() == [[1, 0, 0, 50], [0, 0, 1, 75.5], [1, 0, 0, 40]]
    with pytest.raises(ValueError, match=r"line 3, column 'colour': 'blue' is none of the values"):
        from_csv(csv(HOUSES), "price", one_hot={"colour": ["red", "green"]})


def test_a_second_file_has_the_labels_of_the_first(csv):
    train = from_csv(csv(FLOWERS), "kind")
    test = from_csv(csv("length,width,kind\n1,2,rose\n"), "kind", names=train.names)
    assert (test.names, test.y.tolist()) == (("daisy", "rose"), [1])
    with pytest.raises(ValueError, match=r"line 2, column 'kind': 'lily' is none of the names"):
        from_csv(csv("length,width,kind\n1,2,lily\n"), "kind", names=train.names)
    d = from_csv(csv("a,b\n1,7.0\n2,3\n"), "b", names=["3", "5", "7"])
    assert d.y.tolist() == [2, 0]


FORMS = {
    "BOM": ("\ufeff" + FLOWERS, {}),
    "CRLF": (FLOWERS.replace("\n", "\r\n"), {}),
    "old Mac": (FLOWERS.replace("\n", "\r"), {}),
    "no last line end": (FLOWERS[:-1], {}),
    "blank lines": (FLOWERS.replace("\n", "\n\n") + "\n\n", {}),
    "spaces": (FLOWERS.replace(",", " , "), {}),
    "quotes": (FLOWERS.replace("rose", '"rose"').replace("1", '"1"'), {}),
    "semicolons": (FLOWERS.replace(",", ";"), {"delimiter": ";"}),
    "tabs": (FLOWERS.replace(",", "\t"), {"delimiter": "\t"}),
    "UTF-16": (FLOWERS.encode("utf-16"), {"encoding": "utf-16"}),
    "exponents": (FLOWERS.replace("1,", "1e0,").replace("5,", "+.5E1,"), {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_same_table(csv, form):
    text, options = FORMS[form]
    d = from_csv(csv(text), "kind", **options)
    assert d.x.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert d.names == ("daisy", "rose")


def test_cells_may_have_commas_quotes_and_line_ends(csv):
    d = from_csv(csv('a,b\n1,"x, ""y"""\n2,"two\nlines"\n3,"x, ""y"""\n'), "b")
    assert d.names == ("two\nlines", 'x, "y"')
    with pytest.raises(ValueError, match=r"line 4, column 'a': 'z' is no number"):
        from_csv(csv('a,b\n2,"two\nlines"\nz,q\n'), "b")


def test_decimal_commas(csv):
    text = "a;b\n1,5;0,25\n-2;1e-1\n"
    d = from_csv(csv(text), "b", delimiter=";", decimal=",")
    assert d.x.tolist() == [[1.5], [-2]]
    np.testing.assert_array_equal(d.y, np.array([[0.25], [0.1]], "float32"))
    for column in "ab":
        with pytest.raises(ValueError, match=r"'\d,\d+' is no number: .* give decimal=','"):
            from_csv(csv(text), column, delimiter=";")


def test_the_first_row_is_data_if_it_is_numbers(csv):
    d = from_csv(csv("1,2,3.5\n4,5,6.5\n"), 2)
    assert d.x.tolist() == [[1, 2], [4, 5]]
    iris = "5.1,3.5,setosa\n7.0,3.2,versicolor\n"
    with pytest.raises(ValueError, match=r"numbers and texts, '5.1', '3.5', 'setosa': say header="):
        from_csv(csv(iris), -1)
    assert len(from_csv(csv(iris), -1, header=False)) == 2
    d = from_csv(csv("2019,2020,y\n1,2,0\n"), "y", header=True)
    assert d.x.tolist() == [[1, 2]]
    with pytest.raises(ValueError, match=r"target is 'y', but the file has no names .* 0 to 1"):
        from_csv(csv("1,2\n"), "y")


def test_missing_values(csv):
    text = "a,b,c\n1,2,x\n,3,y\n4,NA,x\n5,6,\n7,8,y\n"
    with pytest.raises(ValueError, match=r"line 3, column 'a': no value; missing='drop'"):
        from_csv(csv(text), "c")
    d = from_csv(csv(text), "c", missing="drop")
    assert d.x.tolist() == [[1, 2], [7, 8]]
    assert d.y.tolist() == [0, 1]
    assert d.source.endswith("; 3 rows with missing values left out")
    numbers = text.replace("x", "0.5").replace("y", "?")
    d = from_csv(csv(numbers), "c", missing="drop")
    assert (d.x.tolist(), d.y.tolist()) == ([[1, 2]], [[0.5]])
    with pytest.raises(ValueError, match=r"line 2, column 'b': no value"):
        from_csv(csv("a,b\n1,nan\n2,3\n"), "b")
    with pytest.raises(ValueError, match="no rows of data, 2 rows with missing values left out"):
        from_csv(csv("a,b\n,1\n,2\n"), "b", missing="drop")


WRONG = {
    "empty": ("", {}, "the file is empty"),
    "a header alone": ("a,kind\n", {}, "no rows of data"),
    "no such column": (FLOWERS, {"target": "price"}, "no column has the name 'price'. The columns"),
    "no such feature": (FLOWERS, {"features": ["size"]}, "features: no column has the name 'size'"),
    "number": (FLOWERS, {"target": 3}, "target is column 3, and there are 3 columns"),
    "twice": (FLOWERS, {"features": [0, "length"]}, "a column is named twice"),
    "both": (FLOWERS, {"features": ["kind"]}, "'kind' is among the features and is the target"),
    "no feature": ("b\n1\n", {"target": "b"}, "one column alone, 'b'"),
    "two of a name": ("a,a,kind\n1,2,x\n", {"features": ["a"]}, "two columns have the name 'a'"),
    "pandas' numbers": (",a,kind\n0,1,x\n", {}, r"column 0 has no name.*features=\["),
    "one column": (FLOWERS.replace(",", ";"), {}, "one column alone.*give delimiter=';'"),
    "tabs": ("a\tb,kind\n1\t2,x\n", {"target": 1}, r"'1\\t2' is no number.*give delimiter='\\t'"),
    "a short row": (FLOWERS + "7,8\n", {}, "line 5: 2 cells, but the first row has 3: '7', '8'"),
    "a long row": (FLOWERS + "7,8,9,\n", {}, "line 5: 4 cells"),
    "text": (FLOWERS + "tall,8,rose\n", {}, r"line 5, column 'length': 'tall' is no .*one_hot=\["),
    "underscores": (FLOWERS + "20_19,8,rose\n", {}, "'20_19' is no number"),
    "infinite": (FLOWERS + "inf,8,rose\n", {}, "line 5, column 'length': the value is infinite"),
    "too large": (FLOWERS + "1e300,8,rose\n", {}, "too large for float32"),
    "one_hot of the target": (FLOWERS, {"one_hot": ["kind"]}, "'kind' is none of the features"),
    "a quotation mark": (FLOWERS + '7,8,"rose\n', {}, "line 5: .*a quotation mark too many"),
    "Latin-1": (FLOWERS.replace("rose", "Tül").encode("latin-1"), {}, "encoding='cp1252'"),
    "UTF-16": (FLOWERS.encode("utf-16"), {}, "give encoding='utf-16'"),
    "Excel": (b"PK\x03\x04rest", {}, "an Excel file"),
    "kind": (FLOWERS, {"kind": "classes"}, 'kind must be "labels", "values" or None'),
    "missing": (FLOWERS, {"missing": "skip"}, 'missing must be "error" or "drop"'),
    "header": (FLOWERS, {"header": "no"}, "header must be True, False or None"),
    "a value twice": (FLOWERS, {"one_hot": {0: ["1", "1"]}}, "each may be there once"),
    "decimal": (FLOWERS, {"decimal": ";"}, 'decimal must be "." or ","'),
    "delimiter": (FLOWERS, {"delimiter": ", "}, "delimiter must be one character"),
    "texts as values": (FLOWERS, {"kind": "values"}, "line 2, column 'kind': 'rose' is no number"),
    "many labels": (FLOWERS, {"target": [0, 1], "kind": "labels"}, "labels are one column"),
    "names of values": (FLOWERS, {"names": ["a"], "kind": "values"}, "names are for labels"),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_fault_is_a_clear_error(csv, case):
    text, options, message = WRONG[case]
    path = csv(text)
    with pytest.raises(ValueError, match=message) as caught:
        from_csv(path, **({"target": "kind"} | options))
    if "line" in message or "file" in message:
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": "length"}, "features must be a list of columns, got 'length'"),
        ({"one_hot": "kind"}, r"one_hot must be a list of columns, got 'kind': write \['kind'\]"),
        ({"one_hot": {"length": "12"}}, "the values of 'length' must be a list of texts"),
        ({"target": 1.5}, "target must be a column, by name or number, or a list, got 1.5"),
        ({"target": None}, "target must be a column"),
        ({"target": [True]}, "target: a column is a name or a number, got True"),
        ({"names": [0, 1]}, r"names must be a list of texts, got \[0, 1\]"),
        ({"names": "rose"}, "names must be a list of texts"),
    ],
)
def test_arguments_of_another_type_are_refused(csv, options, message):
    with pytest.raises(TypeError, match=message):
        from_csv(csv(FLOWERS), **({"target": "kind"} | options))


def test_many_different_whole_numbers_may_be_a_regression(csv):
    rows = [f"{i},{100 + i}" for i in range(50)]
    path = csv("a,price\n" + "\n".join(rows))
    with pytest.raises(ValueError, match=r"50 different whole numbers in 50 rows: .*kind='values'"):
        from_csv(path, "price")
    assert from_csv(path, "price", kind="values").y[-1] == 149
    assert from_csv(path, "price", kind="labels").classes == 50


def test_a_file_of_several_parts(csv, monkeypatch):
    monkeypatch.setattr("minigrad.data.csv.table.CHUNK", 4)
    rows = [f"{i},{'rgb'[i % 3]},{i / 2}" for i in range(10)]
    path = csv("\n".join(["a,colour,y", *rows]))
    d = from_csv(path, "y", one_hot=["colour"])
    assert d.x[:, 0].tolist() == list(range(10))
    assert d.y[:, 0].tolist() == [i / 2 for i in range(10)]
    assert d.x[:, 1:].argmax(1).tolist() == ["bgr".index("rgb"[i % 3]) for i in range(10)]
    path = csv("\n".join(["a,colour,y", *rows, "x,r,1"]))
    with pytest.raises(ValueError, match=r"line 12, column 'a': 'x'"):
        from_csv(path, "y", one_hot=["colour"])


def test_a_regression_from_a_table(csv, rng):
    """A story: y = 3 a - 2 b + 1, read, scaled, and found again."""
    a = 100 + 20 * rng.standard_normal(200)
    b = rng.standard_normal(200) / 50
    y = 3 * (a - 100) / 20 - 2 * 50 * b + 1
    lines = [f"{p:.6f};{q:.6f};{r:.6f}".replace(".", ",") for p, q, r in zip(a, b, y, strict=True)]
    path = csv("\n".join(["a;b;y", *lines]))
    everything = from_csv(path, "y", delimiter=";", decimal=",")
    train, test = data.standardize(*everything.split(50))
    net = mg.Sequential(mg.Linear(2, 1, seed=0))
    options = {"epochs": 30, "batch_size": 10, "progress": False}
    history = mg.fit(
        net, mg.MSELoss(), mg.rules.Backprop(), mg.SGD(net, 0.05), train, test, **options
    )
    assert history.test_loss[-1] < 1e-3
