"""Searches: every run once, none lost, the same results whoever does them."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from conftest import ROOT, STANDIN, python

import minigrad as mg
from minigrad import search, threads
from minigrad.search import record, task
from minigrad.search.results import short, significant

joblib = pytest.importorskip("joblib")
pytestmark = pytest.mark.on_host
AXES = {"lr": [0.1, 0.01], "decay": [0, 1e-3, 1e-2]}
NAN = math.nan


@pytest.fixture(autouse=True)
def ctrl_c_is_answered():
    """Also where the tests run in the background, with SIGINT ignored from the start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module", autouse=True)
def workers_go_home():
    yield
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "folder" / "runs.jsonl"


class Fake:
    """A run without a training, which counts its calls."""

    def __init__(self, **instead):
        self.calls, self.instead = [], instead

    def __call__(self, seed, lr, decay):
        self.calls.append((lr, decay, seed))
        return {"validation_loss": lr + decay + seed / 1000, "validation_accuracy": 1 - lr}


def trainer(rule=mg.rules.Backprop, epochs=1):
    """A run that trains on the digits."""
    train, _ = mg.data.load("digits")
    train, validation = train.split(300)

    def run(seed, lr, decay):
        model = mg.models.logistic(seed=seed)
        optimizer = mg.SGD(model, lr)
        return mg.fit(
            model,
            mg.CrossEntropyLoss(),
            rule(),
            optimizer,
            train,
            validation,
            epochs=epochs,
            batch_size=64,
            seed=seed,
            schedule=mg.ExponentialLR(optimizer, math.exp(-decay), per="step"),
            progress=False,
        )

    return run


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def measured(results):
    return [(row["settings"], row["seed"], row["status"], row["results"]) for row in results.rows]


@pytest.mark.parametrize("name", ["numpy", "cupy"])
def test_a_history_gives_its_last_and_best_values_on_the_whole_sets(out, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", STANDIN)
    with mg.backend.use(name):
        _check_a_history(out, name)


def _check_a_history(out, name):
    run = trainer(epochs=2)
    results = search.grid(run, {"lr": [0.1], "decay": [1e-3]}, seeds=[3], out=out)
    (row,) = results.rows
    with task.limited(1):  # as many threads as each run of the search has
        history = run(3, 0.1, 1e-3)
    got = row["results"]
    for kind, kept in (("train", "train"), ("validation", "test")):
        losses, accuracies = (getattr(history, f"{kept}_{k}") for k in ("loss", "accuracy"))
        assert (got[f"{kind}_loss"], got[f"{kind}_accuracy"]) == (losses[-1], accuracies[-1])
        assert got[f"best_{kind}_loss"] == min(losses)
        assert got[f"best_{kind}_accuracy"] == max(accuracies)
    assert (got["epochs"], got["steps"]) == (2, len(history.step_loss))
    assert row["status"] == "done"
    assert row["backend"] == name
    assert row["versions"]["minigrad"] == mg.__version__


def test_two_jobs_give_what_one_gives_bit_for_bit(out, tmp_path):
    run = trainer()
    one = search.grid(run, AXES, seeds=range(2), out=out, n_jobs=1)
    two = search.grid(run, AXES, seeds=range(2), out=tmp_path / "two.jsonl", n_jobs=2)
    assert measured(one) == measured(two)
    assert len(two.rows) == 12
    assert repr(one) == repr(two)
    assert one.best() == two.best()


def test_every_combination_and_seed_is_one_run_in_order(out):
    run = Fake()
    results = search.grid(
        run, {"lr": np.array([0.1, 1]), "decay": (0, 1e-3)}, seeds=(5, 2), out=out
    )
    expected = [(lr, d, s) for lr in (0.1, 1) for d in (0, 1e-3) for s in (5, 2)]
    assert run.calls == expected
    written = lines(out)
    assert [(*row["settings"].values(), row["seed"]) for row in written] == expected
    assert results.rows == written
    assert results.axes == {"lr": [0.1, 1], "decay": [0, 1e-3]}
    assert {type(v) for v in results.axes["lr"]} == {float}


def test_what_is_in_the_file_is_not_done_again(out):
    first = search.grid(Fake(), AXES, seeds=(0, 1), out=out)
    before = out.read_bytes()
    again = search.grid(None, AXES, seeds=(0, 1), out=out)
    assert again.rows == first.rows
    assert out.read_bytes() == before
    more = Fake()
    search.grid(more, {"lr": [0.01, 3.0], "decay": [0.0]}, seeds=(1, 2), out=out)
    assert more.calls == [(0.01, 0, 2), (3, 0, 1), (3, 0, 2)]
    loaded = search.Results.load(out)
    assert loaded.axes == {"lr": [0.01, 0.1, 3], "decay": [0, 1e-3, 1e-2]}
    assert len(loaded.rows) == 15


def test_another_tag_is_another_experiment(out):
    search.grid(Fake(), AXES, out=out, tag="v1")
    run = Fake()
    results = search.grid(run, AXES, out=out, tag="v2")
    assert len(run.calls) == 6
    assert {row["tag"] for row in results.rows} == {"v2"}
    with pytest.raises(ValueError, match=r"several tags: choose one of \['v1', 'v2'\]"):
        search.Results.load(out)
    assert search.Results.load(out, tag="v2").rows == results.rows
    with pytest.raises(ValueError, match="no runs with the tag 'v3'"):
        search.Results.load(out, tag="v3")


@pytest.mark.parametrize("cut", [1, 2, 30, -1])
def test_a_line_that_was_cut_off_is_done_again(out, cut):
    first = search.grid(Fake(), AXES, out=out)
    content = out.read_bytes()
    last = content.splitlines(keepends=True)[-1]
    keep = len(content) - cut if cut > 0 else len(content) - len(last) + 1  # or one byte of it
    out.write_bytes(content[:keep])
    run = Fake()
    if cut == 1:  # but for its line's end it is whole
        again = search.grid(run, {"lr": [7, *AXES["lr"]], "decay": AXES["decay"]}, out=out)
        assert [lr for lr, _, _ in run.calls] == [7, 7, 7]
        assert again.rows[3:] == first.rows
    else:
        with pytest.warns(UserWarning, match="cut off in mid-write") as caught:
            again = search.grid(run, AXES, out=out)
        assert caught[0].filename == __file__
        assert run.calls == [(0.01, 1e-2, 0)]
        assert measured(again) == measured(first)
    assert len(lines(out)) == len(run.calls) + (6 if cut == 1 else 5)


def test_loading_a_cut_file_warns_and_changes_nothing(out):
    search.grid(Fake(), AXES, out=out)
    out.write_bytes(out.read_bytes()[:-9])
    before = out.read_bytes()
    with pytest.warns(UserWarning, match="cut off in mid-write") as caught:
        assert len(search.Results.load(out).rows) == 5
    assert caught[0].filename == __file__
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    "line", ["half a li", "[1]", '{"settings": {}}', '{"settings": 1, "seed": 0, "tag": ""}']
)
def test_what_is_no_run_is_refused(out, line):
    search.grid(Fake(), AXES, out=out)
    written = out.read_text().splitlines()
    out.write_text("\n".join([written[0], line, *written[1:], ""]))
    before = out.read_bytes()
    for use in (
        lambda: search.grid(Fake(), AXES, out=out),
        lambda: search.Results.load(out),
    ):
        with pytest.raises(ValueError, match=r"line 2 of .*runs.jsonl is not a run"):
            use()
    assert out.read_bytes() == before


def test_a_file_with_other_settings_is_refused(out):
    search.grid(Fake(), AXES, out=out)
    before = out.read_bytes()
    with pytest.raises(ValueError, match=r"settings \['decay', 'lr'\], this search has \['lr'\]"):
        search.grid(lambda seed, lr: {"validation_loss": 1.0}, {"lr": [1]}, out=out)
    assert out.read_bytes() == before


def test_a_failure_stops_no_other_run_and_is_tried_again(out, capsys):
    class Failing(Fake):
        def __call__(self, seed, lr, decay):
            if decay == 1e-3:
                raise ZeroDivisionError(f"no {decay}\nat all")
            return super().__call__(seed, lr, decay)

    results = search.grid(Failing(), AXES, out=out)
    assert [row["status"] for row in results.rows] == ["done", "failed", "done"] * 2
    assert [row["error"] for row in results.failed] == ["ZeroDivisionError: no 0.001\nat all"] * 2
    assert "in __call__" in results.failed[0]["traceback"]
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "failed: lr=0.1, decay=1e-3, seed=0: ZeroDivisionError: no 0.001"
    assert len(told) == 2
    assert told[0] in str(results)
    run = Fake()
    assert all(row["status"] == "done" for row in search.grid(run, AXES, out=out, stale="use").rows)
    assert run.calls == [(0.1, 1e-3, 0), (0.01, 1e-3, 0)]
    assert not search.Results.load(out).failed


@pytest.mark.parametrize("answer", [None, {}, {"a": "b"}, {"a": [1.0]}, {1: 1.0}, {"a": 1j}, 0.3])
def test_a_run_must_return_numbers_by_name(out, answer, capsys):
    results = search.grid(lambda seed, lr: answer, {"lr": [1]}, out=out)
    assert results.rows[0]["error"].startswith("TypeError: run must return ")
    with pytest.raises(ValueError, match="1 failed; TypeError"):
        results.best()


def test_numbers_come_back_as_they_were(out):
    values = {
        "a": np.float32(0.1),
        "b": np.int64(2**60),
        "c": True,
        "d": 1 / 3,
        "inf": np.inf,
        "-inf": -np.inf,
        "nan": np.float64(NAN),
    }
    (row,) = search.grid(lambda seed, lr: values, {"lr": [1]}, out=out).rows
    assert row["status"] == "diverged"
    (text,) = out.read_text().splitlines()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    (loaded,) = search.Results.load(out).rows
    for got in (row["results"], loaded["results"]):
        assert math.isnan(got.pop("nan"))
        assert got == {k: v for k, v in values.items() if k != "nan"}
        assert type(got["b"]) is int


def test_a_diverged_training_is_done_and_worse_than_all_others(out, capsys):
    results = search.grid(trainer(), {"lr": [1e38, 0.1], "decay": [0.0]}, seeds=(0, 1), out=out)
    assert [row["status"] for row in results.rows] == ["diverged"] * 2 + ["done"] * 2
    assert math.isnan(results.rows[0]["results"]["validation_loss"])
    assert results.rows[0]["results"]["epochs"] == 0
    assert results.best().settings == {"lr": 0.1, "decay": 0}
    assert results.best("validation_accuracy").settings == {"lr": 0.1, "decay": 0}
    again = search.grid(None, {"lr": [1e38, 0.1], "decay": [0.0]}, seeds=(0, 1), out=out)
    assert not again.failed


def test_a_training_that_diverges_late_has_a_best_value_but_no_last_one(out):
    history = mg.History(
        epoch=[1, 2],
        train_loss=[0.5, NAN],
        train_accuracy=[0.8, 0.1],
        test_loss=[0.6, 0.2],
        test_accuracy=[0.7, 0.1],
        stopped="diverged: the loss was nan at step 9, epoch 2",
    )
    (row,) = search.grid(lambda seed, lr: history, {"lr": [1]}, out=out).rows
    assert row["status"] == "diverged"
    got = row["results"]
    assert math.isnan(got["validation_loss"])
    assert math.isnan(got["train_accuracy"])
    assert (got["best_train_loss"], got["best_train_accuracy"]) == (0.5, 0.8)
    assert (got["best_validation_loss"], got["epochs"]) == (0.2, 2)


@pytest.mark.parametrize("caught", ["not", "by fit", "by the run", "and then an error"])
def test_ctrl_c_keeps_what_is_done_and_not_the_run_in_flight(out, caught, capsys):
    train, _ = mg.data.load("digits")
    calls = []

    def interrupted(step, loss):
        signal.raise_signal(signal.SIGINT)

    def run(seed, lr, decay):
        calls.append(lr)
        if len(calls) < 4:
            return {"validation_loss": lr}
        try:
            if caught != "by fit":
                signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if caught == "not":
                raise
            return {"validation_loss": 1.0} if caught == "by the run" else None
        model = mg.models.logistic(seed=0)
        history = mg.fit(
            model,
            mg.CrossEntropyLoss(),
            mg.rules.Backprop(),
            mg.SGD(model, 0.1),
            train.take(100),
            epochs=1,
            batch_size=50,
            step_callback=interrupted,
        )
        return {"validation_loss": history.step_loss[-1]}

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        search.grid(run, AXES, out=out)
    assert signal.getsignal(signal.SIGINT) is handler
    assert f"interrupted: 3 of 6 runs are in {out}" in capsys.readouterr().err
    assert len(lines(out)) == 3
    again = Fake()
    search.grid(again, AXES, out=out, stale="use")
    assert [lr for lr, _, _ in again.calls] == [0.01] * 3


def test_ctrl_c_ends_the_workers_and_the_same_call_goes_on(out):
    code = f"""
        import os, signal, sys, time
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from minigrad import search
        def run(seed, lr):
            time.sleep(0.05 if seed < 4 else 60)
            return {{"validation_loss": lr, "pid": os.getpid()}}
        search.grid(run, {{"lr": [1.0, 2.0]}}, seeds=range(6), out={str(out)!r}, n_jobs=2)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not (out.exists() and len(lines(out)) >= 4) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "interrupted: 4 of 12 runs are in" in told
    assert told.rstrip().endswith("KeyboardInterrupt")
    written = lines(out)
    assert len(written) == 4
    for pid in {row["results"]["pid"] for row in written}:
        _ends(pid)
    results = search.grid(
        lambda seed, lr: {"validation_loss": lr},
        {"lr": [1, 2]},
        seeds=range(6),
        out=out,
        n_jobs=2,
        stale="use",
    )
    assert [row["status"] for row in results.rows] == ["done"] * 12
    assert len(lines(out)) == 12


def test_a_worker_that_dies_is_a_failure_of_its_run_alone(out):
    def run(seed, lr):
        if seed == 60:
            os._exit(1)
        return {"validation_loss": lr}

    results = search.grid(run, {"lr": [1.0]}, seeds=range(120), out=out, n_jobs=2)
    assert [row["seed"] for row in results.failed] == [60]
    assert results.failed[0]["error"].startswith("WorkerDied: ")
    assert sorted(row["seed"] for row in lines(out)) == list(range(120))


def test_an_error_in_the_search_itself_leaves_the_threads_as_they_were(
    out, monkeypatch, threads_as_before
):
    def full(self, row):
        raise OSError("full")

    threads.set_threads(3)
    monkeypatch.setattr(record.Record, "append", full)
    with pytest.raises(OSError, match="full") as error:
        search.grid(Fake(), AXES, out=out)
    assert threads.threads() == 3
    assert error.traceback  # holds the frames: nothing was put right by their going


def _ends(pid):
    """This process is gone, or about to go."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail(f"worker {pid} lives on")


def test_each_run_is_on_disk_as_soon_as_it_ends(out):
    def run(seed, lr):
        return {"before": len(out.read_bytes().splitlines())}

    results = search.grid(run, {"lr": [1]}, seeds=range(4), out=out)
    assert [row["results"]["before"] for row in results.rows] == [0, 1, 2, 3]


def test_one_search_at_a_time_writes_to_a_file(out):
    pytest.importorskip("fcntl")

    def run(seed, lr, decay):
        with pytest.raises(RuntimeError, match="another search is writing"):
            search.grid(Fake(), AXES, out=out)
        return {"validation_loss": 1.0}

    assert not search.grid(run, AXES, out=out).failed
    assert len(lines(out)) == 6


def test_a_full_disk_is_said_and_the_half_line_does_not_stay(out, monkeypatch):
    search.grid(Fake(), {"lr": [0.1], "decay": AXES["decay"]}, out=out)
    before = out.read_bytes()
    opened = record.Record(out, ["lr", "decay"])

    class Full:
        def __init__(self, file):
            self.truncate = file.truncate
            self.fileno = file.fileno
            self.file = file

        def write(self, line):
            return self.file.write(line[:20])

    file, opened._file = opened._file, Full(opened._file)
    with pytest.raises(OSError, match="is it full"):
        opened.append(opened.rows[0] | {"seed": 9})
    file.close()
    assert out.read_bytes() == before
    search.grid(Fake(), AXES, out=out)
    assert len(lines(out)) == 6


def limits(seed, lr):
    """How many threads minigrad uses here, and BLAS, and what other libraries are told."""
    from threadpoolctl import threadpool_info

    blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    return {
        "ours": threads.threads(),
        "blas": max(blas, default=1),
        "omp": int(os.environ.get("OMP_NUM_THREADS", "0")),
        "pid": os.getpid(),
    }


@pytest.mark.parametrize("number", [1, 2])
def test_workers_keep_to_their_threads(out, number, monkeypatch, threads_as_before):
    monkeypatch.setenv("MINIGRAD_THREADS", "3")  # what the whole of this process may use
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    axes = {"lr": [1.0, 2.0]}
    results = search.grid(limits, axes, seeds=range(3), out=out, n_jobs=2, threads_per_run=number)
    for row in results.rows:
        got = row["results"]
        assert (got["ours"], got["blas"], got["omp"]) == (number, number, number)
        assert row["threads"] == number
        assert got["pid"] != os.getpid()


def test_this_process_keeps_to_its_threads_for_a_while(out, threads_as_before):
    threads.set_threads(3)
    (row,) = search.grid(limits, {"lr": [1]}, out=out, threads_per_run=2).rows
    got = row["results"]
    assert (got["ours"], got["blas"], got["pid"]) == (2, 2, os.getpid())
    assert threads.threads() == 3
    threads.set_threads(1)  # -1 is as many as minigrad may use
    (row,) = search.grid(limits, {"lr": [2]}, out=out, n_jobs=-1).rows
    assert row["results"]["pid"] == os.getpid()


def test_more_threads_than_cores_are_refused(out, monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 4)
    with pytest.raises(ValueError, match=r"3 jobs with 2 threads each .* 4 cores .* n_jobs=2"):
        search.grid(Fake(), AXES, out=out, n_jobs=3, threads_per_run=2)
    assert not out.exists()


def test_joblibs_configuration_says_how_many_jobs(out):
    with joblib.parallel_config(n_jobs=2):
        results = search.grid(limits, {"lr": [1.0]}, seeds=range(4), out=out)
    assert os.getpid() not in {row["results"]["pid"] for row in results.rows}
    (row,) = search.grid(limits, {"lr": [2.0]}, out=out).rows
    assert row["results"]["pid"] == os.getpid()


def test_workers_get_closures_data_and_failures_come_back(out, capsys):
    train, _ = mg.data.load("digits")
    noisy, _ = mg.data.load("digits", label_noise=0.5)
    factor = 3.0

    class Unpicklable(Exception):
        def __init__(self, a, b):
            super().__init__(f"{a} {b}")
            self.lock = b

    def run(seed, lr):
        if lr == 2:
            raise Unpicklable("not", open)
        plain = all(type(a) is np.ndarray for a in (train.x, train.y, train.clean_y))
        sum_ = float(train.x.sum(dtype=np.float64))
        return {"a": factor * lr, "plain": plain, "sum": sum_, "noise": noisy.noisy - train.noisy}

    results = search.grid(run, {"lr": [1.0, 2.0]}, out=out, n_jobs=2)
    got = results.rows[0]["results"]
    assert got["a"] == 3
    assert got["plain"] == got["noise"] == 1
    assert got["sum"] == float(train.x.sum(dtype=np.float64))
    assert results.rows[1]["error"].startswith("Unpicklable: not")


def test_a_data_set_from_a_memory_map_is_plain_and_keeps_its_labels(tmp_path):
    mapped = {}
    for name, values in (("x", np.ones((4, 2), "float32")), ("y", np.arange(4))):
        np.save(tmp_path / f"{name}.npy", values)
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    dataset = object.__new__(mg.data.Dataset)
    y = mapped["y"]
    dataset.__setstate__({"x": mapped["x"], "y": y, "clean_y": y, "source": "s", "classes": 10})
    assert {type(a) for a in (dataset.x, dataset.y, dataset.clean_y)} == {np.ndarray}
    assert not dataset.noisy
    assert np.shares_memory(dataset.x, mapped["x"])
    assert dataset.placed(np.ones(1, "float32")) is dataset


def test_workers_compute_on_the_backend_of_the_parent(out):
    """Here CuPy is not installed, and the worker must say so instead of taking NumPy."""
    code = f"""
        import sys
        sys.path.insert(0, {str(ROOT / "tests")!r})
        from conftest import STANDIN
        sys.modules["cupy"] = STANDIN
        import minigrad as mg
        mg.backend.use("cupy")
        def run(seed, lr):
            return {{"a": 1.0}}
        results = mg.search.grid(run, {{"lr": [1, 2]}}, out={str(out)!r}, n_jobs=2)
    """
    if mg.backend._load("auto") is not np:
        pytest.skip("CuPy runs here")
    done = python(code)
    assert done.returncode != 0
    assert "the backend 'cupy' was asked for" in done.stderr


ROWS = [
    # lr, decay, seed, status, loss, accuracy
    (0.1, 0, 0, "done", 1.0, 0.5),
    (0.1, 0, 1, "done", 3.0, 0.7),
    (0.1, 1, 0, "done", 0.1, 0.9),
    (0.1, 1, 1, "diverged", NAN, 0.9),
    (0.2, 0, 0, "done", 1.9, 0.6),
    (0.2, 0, 1, "done", 1.9, 0.5),
    (0.2, 1, 0, "failed", None, None),
    (0.2, 1, 1, "diverged", NAN, NAN),
]


def made(rows=ROWS):
    return search.Results(
        {
            "settings": {"lr": lr, "decay": decay},
            "seed": seed,
            "status": status,
            "results": {"validation_loss": loss, "validation_accuracy": accuracy}
            if loss is not None
            else {},
            "error": "E: e",
        }
        for lr, decay, seed, status, loss, accuracy in rows
    )


def test_tables_have_means_and_spreads_over_seeds():
    table = made().table()
    assert table.axes == {"lr": [0.1, 0.2], "decay": [0, 1]}
    np.testing.assert_array_equal(table.mean, [[2, NAN], [1.9, NAN]])
    np.testing.assert_allclose(table.spread, [[np.sqrt(2), NAN], [0, NAN]], rtol=1e-15)
    assert math.isnan(made([*ROWS[:1], (0.1, 0, 1, "failed", None, None)]).table().mean[0, 0])
    np.testing.assert_array_equal(table.runs, [[2, 1], [2, 0]])
    np.testing.assert_array_equal(table.diverged, [[0, 1], [0, 1]])
    np.testing.assert_array_equal(table.failed, [[0, 0], [0, 1]])
    assert str(table).splitlines() == [
        "validation_loss, lowest *",
        "   lr        decay=0                         decay=1",
        "  0.1    2.000 ± 1.4                 1 of 2 diverged",
        "  0.2  1.900 ± 0.0 *  1 of 2 diverged, 1 of 2 failed",
    ]


def test_the_best_is_by_the_mean_and_what_diverged_is_worst():
    best = made().best()
    assert (best.settings, best.mean, best.spread, best.runs) == (
        {"lr": 0.2, "decay": 0},
        1.9,
        0,
        2,
    )
    assert str(best) == "validation_loss 1.900 ± 0.0 at lr=0.2, decay=0 (mean of 2 seeds)"
    best = made().best("validation_accuracy")
    assert best.settings == {"lr": 0.1, "decay": 0}
    assert best.mean == pytest.approx(0.6)
    assert made().best("validation_accuracy", highest=False).settings == {"lr": 0.2, "decay": 0}
    assert made().best(highest=True).mean == 2
    with pytest.raises(ValueError, match="every combination diverged or failed"):
        made(ROWS[2:4] + ROWS[6:]).best()
    with pytest.raises(ValueError, match="no metric 'loss': the runs measured"):
        made().best("loss")
    with pytest.raises(ValueError, match="no runs"):
        made([]).table()


def test_a_part_of_the_grid():
    part = made().where(decay=0)
    assert len(part.rows) == 4
    assert part.axes == {"lr": [0.1, 0.2], "decay": [0]}
    assert part.table().mean.tolist() == [[2.0], [1.9]]
    for wrong in ({"decay": 5}, {"momentum": 0}):
        with pytest.raises(ValueError, match="no run has"):
            made().where(**wrong)


def test_a_table_turned_is_the_same_table():
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2, 1, 3)) for _ in range(5)]
    table = search.Table({"a": [1, 2], "b": [0], "c": [1, 2, 3]}, "m", *arrays)
    turned = table.turned("c", "a")
    assert list(turned.axes) == ["c", "a"]
    np.testing.assert_array_equal(turned.mean, arrays[0][:, 0].T)
    np.testing.assert_array_equal(turned.failed, arrays[4][:, 0].T)
    i, _, k = table.best
    assert turned.best == (k, i)


def test_settings_are_readable():
    texts = {10 ** (-10 / 3): "4.64e-4", 1e-5: "1e-5", 0.01: "0.01", 1000: "1000", 0: "0"}
    texts |= {12345: "12345", 1e6: "1e6", -0.002: "-2e-3", "relu": "relu", None: "None"}
    texts |= {0.125: "0.125", -1.5: "-1.5", np.inf: "inf"}
    assert {value: short(value) for value in texts} == texts
    assert short(True) == "True"


def test_means_have_four_digits():
    texts = {2.30258: "2.303", 0.12: "0.1200", 1424.2: "1424", 0: "0.000", 1e-9: "1e-09"}
    texts |= {2e7: "2e+07", -14.254: "-14.25", 99999: "99999"}
    assert {value: significant(value, 4) for value in texts} == texts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axes": {}}, "axes must be settings by name"),
        ({"axes": [1]}, "axes must be settings by name"),
        ({"axes": {"lr": []}}, "'lr' needs values, each once"),
        ({"axes": {"lr": [1, 1.0]}}, "'lr' needs values, each once"),
        ({"axes": {"lr": 0.1}}, "'lr' must be a list"),
        ({"axes": {"lr": "ab"}}, "'lr' must be a list"),
        ({"axes": {"seed": [1]}}, "other than 'seed'"),
        ({"axes": {"lr": [(1, 2)]}}, "'lr' must be finite numbers, strings"),
        ({"axes": {"lr": [NAN]}}, "'lr' must be finite numbers, strings"),
        ({"axes": {"lr": [np.inf]}}, "'lr' must be finite numbers, strings"),
        ({"seeds": 3}, "seeds must be a list"),
        ({"seeds": []}, "seeds must be one or more integers, each once"),
        ({"seeds": [1, 1]}, "seeds must be one or more integers, each once"),
        ({"seeds": [-1]}, "each of the seeds must be"),
        ({"n_jobs": 0}, "n_jobs must be"),
        ({"n_jobs": -2}, "n_jobs must be"),
        ({"threads_per_run": 0}, "threads_per_run must be"),
        ({"executor": "dsk"}, "executor must be None or one of .*'dask', 'loky'"),
        ({"executor": "dsk", "n_jobs": 1}, "executor must be"),
        ({"executor": "threading", "n_jobs": 2}, "executor must be"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(out, options, message):
    with pytest.raises(ValueError, match=message):
        search.grid(Fake(), **{"axes": AXES, "out": out} | options)
    assert not out.exists()


def test_the_bar_counts_runs_and_names_the_best(out, capsys):
    axes = {"lr": [0.1, 0.01], "decay": [0]}
    search.grid(Fake(), {"lr": [0.1], "decay": [0]}, out=out)
    assert capsys.readouterr().err == ""

    def run(seed, lr, decay):
        time.sleep(0.15)  # the bar is written ten times a second at most
        return {"validation_loss": lr}

    search.grid(run, axes, out=out, progress=True, stale="use")
    told = capsys.readouterr().err
    assert "1/2" in told
    assert "2/2" in told
    assert "best validation_loss 0.01000 at lr=0.01, decay=0" in told


def test_minigrad_starts_without_joblib_and_dask():
    done = python("""
        import sys, minigrad, minigrad.plots
        print(*{"joblib", "dask", "distributed"} & sys.modules.keys())
    """)
    assert done.stdout.strip() == "", done.stderr


@pytest.fixture
def cluster():
    pytest.importorskip("dask", reason='needs pip install "minigrad[cluster]"')
    distributed = pytest.importorskip("distributed", reason='needs pip install "minigrad[cluster]"')
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as local,
        distributed.Client(local) as client,
    ):
        yield client


def test_the_same_call_on_a_dask_cluster(out, tmp_path, cluster):
    def run(seed, lr, decay):
        return trainer()(seed, lr, decay)

    here = search.grid(run, AXES, out=out)
    there = search.grid(run, AXES, out=tmp_path / "dask.jsonl", executor="dask")
    assert measured(there) == measured(here)
    assert repr(there) == repr(here)
    with joblib.parallel_config(backend="dask"):
        found = search.grid(limits, {"lr": [1.0, 2.0]}, seeds=range(3), out=tmp_path / "limits")
    workers = set(cluster.run(os.getpid).values())
    assert {row["results"]["pid"] for row in found.rows} <= workers
    assert {(row["results"]["ours"], row["results"]["blas"]) for row in found.rows} == {(1, 1)}
