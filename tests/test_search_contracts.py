"""What a search must not do silently: lose a file, run the wrong thing, or stop halfway."""

import json
import math
import sys

import numpy as np
import pytest

from minigrad import search, threads
from minigrad.search import record

joblib = pytest.importorskip("joblib")
pytestmark = pytest.mark.on_host
AXES = {"lr": [0.1, 0.01]}


@pytest.fixture(scope="module", autouse=True)
def workers_go_home():
    yield
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs.jsonl"


def fake(seed, lr):
    return {"validation_loss": lr + seed}


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [("jobs", "n_jobs", 1), ("workers", "executor", None), ("threads", "threads_per_run", 1)],
)
def test_old_names_of_arguments_work_and_warn(out, old, new, value):
    with pytest.warns(DeprecationWarning, match=f"{old}= is now called {new}=") as caught:
        results = search.grid(fake, AXES, out=out, **{old: value})
    assert caught[0].filename == __file__
    assert len(results.rows) == 2


@pytest.mark.parametrize(
    "content",
    [
        "all my notes, on one line without an end",
        '{"lr": 0.1, "seed": 3}',
        '{"settings": {"lr": 1}}',
        "[1, 2]",
        "{'a': 1}",
    ],
)
def test_a_file_of_another_kind_is_refused_and_not_emptied(out, content):
    """Its last line has no end either, but it is no row that was cut off."""
    out.write_text(content)
    for use in (lambda: search.grid(fake, AXES, out=out), lambda: search.Results.load(out)):
        with pytest.raises(ValueError, match=r"line 1 of .*runs.jsonl is not a run"):
            use()
        assert out.read_text() == content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "odd"}, "'status' must be one of"),
        ({"results": {"loss": [1.0]}}, "the result 'loss' must be a number"),
        ({"results": {"loss": None}}, "the result 'loss' must be a number"),
    ],
)
def test_rows_that_would_fail_later_are_refused_when_they_are_read(out, change, message):
    row = {"settings": {"lr": 1}, "seed": 0, "tag": "", "status": "done", "results": {}}
    out.write_text(json.dumps(row | change) + "\n")
    with pytest.raises(ValueError, match=message):
        search.Results.load(out)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tag": 1}, 'tag must be text, such as "v2"; got 1'),
        ({"tag": None}, "tag must be text"),
        ({"out": None}, "out must be the path of a file"),
        ({"out": 3}, "out must be the path of a file"),
    ],
)
def test_a_tag_or_file_of_a_wrong_type_is_refused_before_the_first_run(out, options, message):
    """A tag that is no text was written, and the file could not be read any more."""
    with pytest.raises(TypeError, match=message):
        search.grid(fake, AXES, **{"out": out} | options)
    assert not out.exists()


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (3, r"run must be a function that trains one network, run\(seed, lr\); got 3"),
        ({"a": 1.0}, "run must be a function"),
        (lambda lr: {"a": 1.0}, r"by name, run\(seed, lr\); it is run\(lr\): .*'seed'"),
        (lambda seed, rate: {"a": 1.0}, r"run must take the seed and all settings .*'rate'"),
        (lambda seed, lr, decay: {"a": 1.0}, "run must take .*'decay'"),
    ],
)
def test_what_cannot_be_called_is_refused_instead_of_failing_in_every_run(out, run, message):
    with pytest.raises(TypeError, match=message):
        search.grid(run, AXES, out=out)
    assert out.read_text() == ""


def test_runs_may_take_more_than_they_are_given(out):
    def run(seed, lr, extra=2.0, *others, **more):
        return {"a": lr * extra}

    assert [row["results"]["a"] for row in search.grid(run, AXES, out=out).rows] == [0.2, 0.02]
    built_in = search.grid(dict, {"validation_loss": [1.0, 2.0]}, out=out.with_name("other"))
    assert not built_in.failed  # has no signature: it is called as it is


def test_large_integers_that_round_to_one_float_are_different_settings(out):
    values = [2**53, 2**53 + 1, 10**400]
    results = search.grid(lambda seed, n: {"last": n % 10}, {"n": values}, out=out)
    assert [row["settings"]["n"] for row in results.rows] == values
    assert [row["results"]["last"] for row in results.rows] == [2, 3, 0]
    assert record.key(results.rows[0] | {"settings": {"n": 2.0**53}}) == record.key(results.rows[0])


@pytest.mark.parametrize("code", [0, 3, "with words"])
def test_sys_exit_in_a_run_is_a_failure_of_that_run(out, code, capsys):
    def run(seed, lr):
        if lr == 0.1:
            sys.exit(code)
        return {"validation_loss": lr}

    results = search.grid(run, AXES, out=out)
    assert [row["status"] for row in results.rows] == ["failed", "done"]
    assert results.failed[0]["error"] == f"SystemExit: {code}"


def test_a_run_that_sets_threads_sets_them_for_itself_only(out, threads_as_before):
    threads.set_threads(3)

    def run(seed, lr):
        before = threads.threads()
        threads.set_threads(2)
        return {"before": before}

    here = search.grid(run, AXES, seeds=range(2), out=out)
    assert [row["results"]["before"] for row in here.rows] == [1] * 4
    assert threads.threads() == 3
    there = search.grid(run, AXES, seeds=range(3), out=out.with_name("two"), n_jobs=2)
    assert [row["results"]["before"] for row in there.rows] == [1] * 6


def test_threads_of_this_process_are_no_executor(out):
    with (
        joblib.parallel_config(backend="threading", n_jobs=2),
        pytest.raises(ValueError, match='cannot be threads of one process.*executor="loky"'),
    ):
        search.grid(fake, AXES, out=out)
    assert not out.exists()


def test_one_after_the_other_is_an_executor_and_leaves_the_threads_alone(out, threads_as_before):
    threads.set_threads(3)
    with joblib.parallel_config(backend="sequential", n_jobs=2):
        assert not search.grid(fake, AXES, out=out).failed
    assert threads.threads() == 3


def test_settings_that_are_arrays_or_bytes_are_refused_with_their_name(out):
    for values in ([np.ones(2)], np.ones((2, 2)), b"ab"):
        with pytest.raises(ValueError, match="the setting 'lr' must be"):
            search.grid(fake, {"lr": values}, out=out)
    (row,) = search.grid(fake, {"lr": [np.array(0.5)]}, out=out).rows
    assert row["settings"] == {"lr": 0.5}


def rows(*settings):
    return [
        {"settings": s, "seed": 0, "tag": "", "status": "done", "results": {"a": 1.0}}
        for s in settings
    ]


def test_results_of_different_settings_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match="a run has no setting 'decay': it has {'lr': 2}"):
        search.Results(rows({"lr": 1, "decay": 0}, {"lr": 2}))
    with pytest.raises(ValueError, match=r"a run has lr=2, which is none of .* axes: \[1\]"):
        search.Results(rows({"lr": 1}, {"lr": 2}), {"lr": [1]})


def test_a_table_says_which_setting_is_left_open():
    found = search.Results(rows({"lr": 1, "decay": 0}, {"lr": 2, "decay": 1}))
    with pytest.raises(ValueError, match=r"'decay' has several values .*where\(decay=0\)"):
        found.table("a").turned("lr")
    with pytest.raises(ValueError, match="no setting 'rate': the table has"):
        found.table("a").turned("rate")
    assert math.isnan(found.table("a").mean[0, 1])
