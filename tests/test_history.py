"""A saved History comes back exactly, and what `save` did not write is refused in one sentence."""

import json
import math
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import History

pytestmark = pytest.mark.on_host
GOOD = History(
    epoch=[1, 3],
    train_loss=[0.5, math.nan],
    train_accuracy=[0.8, 0.1],
    test_loss=[math.inf, -math.inf],
    test_accuracy=[0.7, math.nan],
    train_clean_accuracy=[0.8, 0.1],
    test_clean_accuracy=[0.0, 1.0],
    seconds=[0.0, 1.5],
    step_loss=[2.0, 1.0, 0.5],
    settings={"batch_size": 4, "schedule": None},
    stopped="interrupted in epoch 4, after step 3",
    metrics={"train_mae": [0.5, math.nan], "test_f1": [0.1, 0.2]},
    best_epoch=3,
    ended="the weights are those of epoch 3",
)


def same(a, b):
    """Whether two histories are equal, kinds included; NaN equals NaN."""
    return repr(a) == repr(b)


def test_a_history_comes_back(tmp_path):
    path = tmp_path / "history.json"
    GOOD.save(path)
    assert same(History.load(path), GOOD)
    assert same(History.from_dict(GOOD.as_dict(), "here"), GOOD)
    History().save(path)
    assert same(History.load(path), History())


def test_a_history_from_a_dict_shares_nothing_with_it():
    content = GOOD.as_dict()
    content["settings"]["more"] = [1]
    history = History.from_dict(content, "here")
    content["epoch"].append(9)
    content["settings"]["more"].append(2)
    assert history.epoch == [1, 3]
    assert history.settings["more"] == [1]


def test_files_without_the_later_lists_load(tmp_path):
    content = GOOD.as_dict()
    for name in ("validation_loss", "validation_accuracy", "validation_clean_accuracy"):
        del content[name]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(content))
    assert same(History.load(path), GOOD)
    for name in ("metrics", "best_epoch", "ended"):
        del content[name]
    path.write_text(json.dumps(content))
    assert same(History.load(path), replace(GOOD, metrics={}, best_epoch=None, ended=None))


@st.composite
def histories(draw):
    """Any history that a run can give."""
    epoch = sorted(draw(st.sets(st.integers(1, 10**6), max_size=4)))
    n = len(epoch)
    losses = st.lists(st.floats(), min_size=n, max_size=n)
    fraction = st.one_of(st.floats(0, 1), st.just(math.nan))
    accuracies = st.lists(fraction, min_size=n, max_size=n)
    lists = {"epoch": epoch}
    for kind in ("train", "test", "validation"):
        given = kind == "train" or draw(st.booleans())
        lists[f"{kind}_loss"] = draw(losses) if given else []
        lists[f"{kind}_accuracy"] = draw(accuracies) if given else []
        lists[f"{kind}_clean_accuracy"] = draw(accuracies) if given else []
    seconds = st.floats(0, allow_infinity=False)
    values = st.one_of(st.none(), st.booleans(), st.integers(), st.text())
    return History(
        **lists,
        seconds=draw(st.lists(seconds, min_size=n, max_size=n)),
        step_loss=draw(st.lists(st.floats(), max_size=9)),
        settings=draw(st.dictionaries(st.text(), values, max_size=4)),
        stopped=draw(st.one_of(st.none(), st.text())),
        metrics=draw(st.dictionaries(st.text(), losses, max_size=2)),
        best_epoch=draw(st.one_of(st.none(), st.integers(1, 10**6))),
        ended=draw(st.one_of(st.none(), st.text())),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories())
def test_every_history_comes_back_exactly(history, tmp_path):
    path = tmp_path / "history.json"
    history.save(path)
    assert same(History.load(path), history)


WRONG = {
    "epoch": (
        *("123", 1, None, {}, [None, 1], [0, 1], [1, 1], [2, 1], [1.0, 2.0], [True, 2]),
        *(["1", "2"], [1], [1, 2, 3], [], [1, 2**200], ["nan", 1], [[1], 2]),
    ),
    "train_loss": (
        *("nan", None, [None, 1.0], [1.0], [], [1.0] * 3, ["1.0", 1.0], ["NaN", 1.0]),
        *([True, 1.0], [[1.0], 1.0], [{}, 1.0], [10**400, 1.0], {"0": 1.0, "1": 2.0}),
    ),
    "train_accuracy": ([1.1, 0.5], [-0.1, 0.5], ["inf", 0.5], [80, 10], [0.5], [True, False]),
    "train_clean_accuracy": ([0.5], [], [2.0, 0.5], [None, None]),
    "test_loss": ([0.5], [], [0.5] * 3, ["x", 1.0]),
    "test_accuracy": ([0.5], [], [1.5, 0.5]),
    "test_clean_accuracy": ([], [0.5], [-1, 0]),
    "validation_loss": ([0.5], [0.5, 0.5]),  # the second: without its accuracies
    "validation_accuracy": ([0.5, 0.5],),
    "validation_clean_accuracy": ([0.5, 0.5],),
    "seconds": ([-1.0, 1.0], ["nan", 1.0], ["inf", 1.0], [1.0], [], [True, 1.0]),
    "step_loss": ("1", None, [None], ["1"], [[1.0]], [False], {}),
    "settings": (None, [], "x", 3, [["batch_size", 4]]),
    "stopped": (3, False, [], {}, ["interrupted"]),
    "metrics": (
        *(None, [], "x", [["train_mae", [1.0, 2.0]]], {"train_mae": 1.0}, {"a": [1.0]}, {"a": []}),
        *({"a": ["1.0", 1.0]}, {"a": [None, 1.0]}, {"a": {"0": 1.0}}, {"a": [10**400, 1.0]}),
    ),
    "best_epoch": (0, -1, "1", 1.0, True, [1], 2**200),
    "ended": (3, False, [], {}),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_what_save_did_not_write_is_refused(name, value, tmp_path):
    content = GOOD.as_dict() | {name: value}
    path = tmp_path / "history.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=re.escape(f"{path} is not a saved History: ")) as caught:
        History.load(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="^run 7 is not a saved History: "):
        History.from_dict(content, "run 7")


def test_every_field_is_checked():
    """A field that is added later needs its check too."""
    assert set(GOOD.as_dict()) == set(WRONG)


def text_of(**changed):
    return json.dumps(GOOD.as_dict() | changed)


TEXTS = {
    "a key twice": (text_of()[:-1] + ', "epoch": [1, 3]}', "the key 'epoch' is there twice"),
    "a key twice in the settings": (
        text_of().replace('"batch_size"', '"schedule": 1, "batch_size"'),
        "the key 'schedule' is there twice",
    ),
    "deep": ("[" * 100_000, "nested too deeply"),
    "deep settings": (
        text_of(settings={"a": 0}).replace('{"a": 0}', '{"a":' * 50_000 + "0" + "}" * 50_000),
        "nested too deeply",
    ),
    "a huge number": (text_of().replace("2.0", "1e400"), "1e400 is too large a number"),
    "many digits": (text_of().replace("2.0", "9" * 9999), ""),
    "an unknown key": (text_of(more=1), "it needs the keys"),
    "empty": ("", ""),
    "cut off": (text_of()[:-9], ""),
    "null": ("null", "it needs the keys"),
    "a number": ("1", "it needs the keys"),
    "a list": ("[]", "it needs the keys"),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_file_that_is_no_history_is_refused(kind, tmp_path):
    text, message = TEXTS[kind]
    path = tmp_path / "history.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(f"{path} is not a saved History: ")) as caught:
        History.load(path)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 600


def test_settings_nested_almost_too_deeply():
    nested = []
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(ValueError, match="nested too deeply"):
        History.from_dict(GOOD.as_dict() | {"settings": {"a": nested}}, "here")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_refused(encoding, tmp_path):
    path = tmp_path / "history.json"
    path.write_bytes('{"ö": 1}'.encode(encoding))
    with pytest.raises(ValueError, match="it is not UTF-8 text"):
        History.load(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_one_wrong_byte_is_refused_or_gives_a_history_that_can_be_saved(at, byte, tmp_path):
    path = tmp_path / "history.json"
    content = bytearray(text_of().encode())
    content[at % len(content)] = byte
    path.write_bytes(content)
    try:
        history = History.load(path)
    except ValueError as error:
        refused = str(error)
    else:
        history.save(path)
        assert same(History.load(path), history)
        return
    assert refused.startswith(f"{path} is not a saved History: ")


def test_what_a_run_saves_is_accepted(tmp_path):
    import numpy as np

    rng = np.random.default_rng(0)
    data = mg.data.Dataset(rng.random((8, 3), dtype="float32"), np.arange(8) % 2)
    model = mg.models.mlp((3, 2), seed=0)
    history = None
    for lr in (0.1, 1e38):  # the second run diverges
        history = mg.fit(
            model,
            mg.CrossEntropyLoss(),
            mg.rules.Backprop(),
            mg.SGD(model, lr),
            data,
            data,
            epochs=3,
            batch_size=4,
            evaluate_every=2,
            validation=data,
            history=history,
        )
        history.save(tmp_path / "history.json")
        assert same(History.load(tmp_path / "history.json"), history)
