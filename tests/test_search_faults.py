"""Searches under faults: damaged files, full disks, processes that die, and one that is killed."""

import enum
import inspect
import json
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import warnings

import numpy as np
import pytest
from conftest import ROOT

import minigrad as mg
from minigrad import asynchronous, search
from minigrad.search import cluster, parcel, record, workers

joblib = pytest.importorskip("joblib")
pytestmark = pytest.mark.on_host
AXES = {"lr": [0.1, 0.01]}
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs.jsonl"


def fake(seed, lr):
    return {"validation_loss": lr + seed}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def script(code, *arguments):
    """A process that runs this code, not yet waited for."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


# What is written can be read.


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tag", 2, "'tag' is missing or not a str: 2"),
        ("seed", True, "'seed' is missing or not a int: True"),
        ("settings", {"lr": [1]}, r"the setting 'lr' must be a number or a text, got \[1\]"),
        ("results", {"a": "1.5"}, "the result 'a' must be a number, got '1.5'"),
        ("results", {"a": 10**400}, "the result 'a' is larger than any float"),
        ("error", 3, "'error' must be a text"),
        ("fingerprint", {"run": 3}, "'fingerprint' must be texts by name"),
    ],
)
def test_a_damaged_line_is_named_and_the_advice_repairs_the_file(out, field, value, message):
    first = search.grid(fake, AXES, seeds=range(3), out=out)
    rows = lines(out)
    rows[2][field] = value
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = out.read_bytes()
    for use in (
        lambda: search.grid(fake, AXES, seeds=range(3), out=out),
        lambda: search.Results.load(out),
    ):
        with pytest.raises(
            ValueError, match=rf"line 3 of .* {message}.*\. Delete line 3 in a text"
        ):
            use()
    assert out.read_bytes() == before
    content = before.splitlines(keepends=True)
    del content[2]  # as the message says
    out.write_bytes(b"".join(content))
    again = search.grid(fake, AXES, seeds=range(3), out=out)
    assert [row["results"] for row in again.rows] == [row["results"] for row in first.rows]


@pytest.mark.parametrize("line", [b'{"settings": ' + b"[" * 100_000, b'{"settings": NaN}', b"\xff"])
def test_lines_that_are_no_json_are_refused_with_a_sentence(out, line):
    search.grid(fake, AXES, out=out)
    out.write_bytes(line + b"\n" + out.read_bytes())
    with pytest.raises(ValueError, match=r"line 1 of .* is not a run: .*Delete line 1"):
        search.grid(fake, AXES, out=out)


def test_zeros_after_a_power_cut_do_not_count(out):
    search.grid(fake, AXES, out=out)
    content = out.read_bytes()
    for rest in (b"\0" * 200, content[:40] + b"\0" * 100):
        out.write_bytes(content + rest)
        with pytest.warns(UserWarning, match="cut off in mid-write"):
            assert len(search.grid(fake, AXES, out=out).rows) == 2
        assert out.read_bytes() == content


@pytest.mark.parametrize(
    "change", [{"tag": 2}, {"seed": "0"}, {"status": "odd"}, {"results": {"a": None}}, {"error": 1}]
)
def test_a_row_that_could_not_be_read_again_is_not_written(out, change):
    search.grid(fake, AXES, out=out)
    before = out.read_bytes()
    opened = record.Record(out, ["lr"])
    with pytest.raises(ValueError, match="must be|is missing or not"):
        opened.append(opened.rows[0] | change)
    opened.close()
    assert out.read_bytes() == before


class Kind(enum.IntEnum):
    small = 1


class Rate(float):
    pass


def test_settings_become_what_the_file_gives_back(out):
    axes = {"lr": [Rate(2.0), Rate(0.5)], "n": [Kind.small, np.int8(3)], "b": [np.bool_(True)]}
    got = []

    def run(seed, lr, n, b):
        got.extend([type(lr), type(n), type(b)])
        return {"validation_loss": lr * n}

    first = search.grid(run, axes, out=out)
    assert set(got) == {float, int, bool}
    assert search.grid(None, axes, out=out).rows == first.rows


@pytest.mark.parametrize(
    "options",
    [
        {"axes": {"lr": [10**5000]}},
        {"axes": {"lr": [1, 2j]}},
        {"axes": {"lr": [object()]}},
        {"axes": {"lr": [np.float32("nan")]}},
        {"seeds": [10**5000]},
        {"seeds": [2**128]},
    ],
)
def test_what_a_file_cannot_hold_is_refused_before_anything_is_written(out, options):
    with pytest.raises(ValueError, match="the setting 'lr' must be|the seeds must be below"):
        search.grid(fake, **{"axes": AXES, "out": out} | options)
    assert not out.exists()


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Final(BaseException):
    pass


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_nothing_that_a_run_raises_or_returns_stops_the_others(out, n_jobs):
    def run(seed, kind):
        if kind == "memory":
            raise MemoryError
        if kind == "silent":
            raise Silent
        if kind == "final":
            raise Final("at last")
        if kind == "exit":
            sys.exit(3)
        if kind == "huge":
            return {"a": 10**5000}
        if kind == "array":
            np.empty(2**58)
        return {"a": 1.0}

    kinds = ["memory", "silent", "final", "exit", "huge", "array", "fine"]
    results = search.grid(run, {"kind": kinds}, out=out, n_jobs=n_jobs)
    assert [row["status"] for row in results.rows] == ["failed"] * 6 + ["done"]
    errors = [row["error"].split(":")[0] for row in results.failed]
    assert errors[:5] == ["MemoryError", "Silent", "Final", "SystemExit", "OverflowError"]
    assert "MemoryError" in errors[5]
    assert len(search.Results.load(out).failed) == 6
    assert str(results)


# A full disk.


def test_a_full_disk_leaves_whole_lines_and_says_the_true_cause(out):
    resource = pytest.importorskip("resource")
    search.grid(fake, AXES, out=out)
    before = out.read_bytes()
    process = script(
        f"""
        import resource
        from minigrad import search
        resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 100}, resource.RLIM_INFINITY))
        def run(seed, lr):
            return {{"validation_loss": lr + seed}}
        search.grid(run, {AXES!r}, seeds=(0, 1), out={str(out)!r}, stale="use")
        """
    )
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    last = told.strip().splitlines()[-1]
    assert "File too large" in last
    assert "make room, and make the same call again" in last
    assert str(out) in last
    assert out.read_bytes() == before
    assert len(search.grid(fake, AXES, seeds=(0, 1), out=out).rows) == 4
    assert resource


def test_a_new_file_is_forced_to_the_disk_with_its_name(out, monkeypatch):
    synced = []
    monkeypatch.setattr(record, "sync_folder", synced.append)
    search.grid(fake, AXES, out=out)
    assert out.parent in synced


# Processes that die.


@POSIX
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed (SIGKILL), as the system does when"),
        ("os._exit(3)", "ended itself with exit code 3, as os._exit does"),
        ("os._exit(0)", "ended itself with exit code 0, as os._exit does"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed or was ended by a signal (SIGSEGV)"),
    ],
)
def test_a_process_that_dies_is_a_failure_of_its_run_and_the_others_go_on(out, how, reason):
    def run(seed, lr):
        if seed == 1:
            time.sleep(0.1)
            exec(how, {"os": os, "signal": signal})
        if seed == 0:
            time.sleep(1.5)  # it is at work while the other process dies, and is not disturbed
        return {"validation_loss": lr, "pid": os.getpid()}

    started = time.perf_counter()
    results = search.grid(run, {"lr": [1.0]}, seeds=range(6), out=out, n_jobs=2)
    assert time.perf_counter() - started < 60
    (failed,) = results.failed
    assert failed["seed"] == 1
    assert failed["error"].startswith("WorkerDied: ")
    assert reason in failed["error"]
    written = lines(out)
    assert sorted(row["seed"] for row in written) == list(range(6))
    assert failed["threads"] == 1
    assert search.Results.load(out).failed == [failed]
    again = search.grid(fake, {"lr": [1.0]}, seeds=range(6), out=out, stale="use", n_jobs=2)
    assert not again.failed
    assert len(lines(out)) == 7


@POSIX
def test_all_runs_may_kill_their_process(out):
    def run(seed, lr):
        os.kill(os.getpid(), signal.SIGKILL)

    results = search.grid(run, AXES, seeds=range(3), out=out, n_jobs=2)
    assert len(results.failed) == 6


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:  # a zombie has ended
        return file.read().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")
@pytest.mark.parametrize("busy", [True, False])
def test_no_process_outlives_a_killed_search(tmp_path, busy):
    """Neither in the middle of a run, nor idle."""
    process = script(
        """
        import os, sys, time
        from minigrad import search
        folder, busy = sys.argv[1], sys.argv[2] == "True"
        def run(seed, lr):
            open(os.path.join(folder, f"{os.getpid()}.pid"), "w").close()
            time.sleep(600 if busy or seed == 0 else 0.5)
            return {"validation_loss": lr}
        search.grid(run, {"lr": [1.0]}, seeds=range(2), out=os.path.join(folder, "r"), n_jobs=2)
        """,
        tmp_path,
        busy,
    )
    until = time.monotonic() + 60
    while len(list(tmp_path.glob("*.pid"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.8)  # if not busy, one of them has nothing to do now
    pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert len(pids) == 2
    assert all(map(_alive, pids))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 8
    while any(map(_alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    left = [pid for pid in pids if _alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert not left


def test_no_process_is_left_after_a_search(out):
    def run(seed, lr):
        return {"pid": os.getpid()}

    results = search.grid(run, AXES, seeds=range(3), out=out, n_jobs=2)
    for pid in {row["results"]["pid"] for row in results.rows}:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_processes_of_blocks_inside_processes_of_runs(out, n_jobs):
    """`asynchronous.fit` in a search starts processes of its own, from those of joblib, too."""
    train, _ = mg.data.load("digits")
    train = train.take(60)

    def run(seed, lr):
        model = mg.models.mlp((784, 8, 10), seed=seed)
        arguments = model, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(model, lr), train
        options = {"epochs": 1, "batch_size": 30, "progress": False}
        history, _ = asynchronous.fit(*arguments, **options, interfaces=[2])
        return history

    results = search.grid(run, AXES, out=out, n_jobs=n_jobs)
    assert not results.failed

    def plain(seed, lr):
        model = mg.models.mlp((784, 8, 10), seed=seed)
        arguments = model, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(model, lr), train
        return mg.fit(*arguments, epochs=1, batch_size=30, progress=False)

    expected = search.grid(plain, AXES, out=out.with_name("plain"))
    assert [row["results"] for row in results.rows] == [row["results"] for row in expected.rows]


@POSIX
@pytest.mark.slow
def test_a_worker_of_a_cluster_that_dies_is_a_failure_of_its_run(out):
    distributed = pytest.importorskip("distributed", reason='needs pip install "minigrad[cluster]"')

    def run(seed, lr):
        if seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if seed == 2:
            sys.exit(3)
        return {"validation_loss": lr}

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as local, distributed.Client(local):
        results = search.grid(run, {"lr": [1.0]}, seeds=range(5), out=out, executor="dask")
    assert [row["status"] for row in results.rows] == ["done", "failed", "failed", "done", "done"]
    assert results.rows[1]["error"].startswith("WorkerDied: each of the workers")
    assert len(lines(out)) == 5


def test_a_run_that_waited_for_a_worker_that_died_is_tried_again(monkeypatch):
    """Dask gives up all runs of a worker that has died, not only the one that killed it."""
    distributed = pytest.importorskip("distributed", reason='needs pip install "minigrad[cluster]"')
    from distributed.scheduler import KilledWorker

    class Future:
        def __init__(self, dies, row):
            self.dies, self.row = dies, row

        def result(self):
            if self.dies:
                raise KilledWorker("run", None, 4)
            return self.row

    asked = []  # the seeds, as they come

    class Client:
        def submit(self, work, run, settings, seed, *more, pure):
            asked.append(seed)
            innocent = seed == 2 and asked.count(2) > 1
            return Future(seed in (1, 2) and not innocent, f"row of {seed}")

        def cancel(self, futures):
            assert futures == []

    monkeypatch.setattr(distributed, "as_completed", list)
    monkeypatch.setattr(cluster, "died", lambda task, *more: f"died: {task['seed']}")
    todo = [{"settings": {}, "seed": seed} for seed in range(4)]
    rows = list(cluster.carried_out(Client(), None, todo, 1))
    assert rows == ["row of 0", "row of 3", "died: 1", "row of 2"]
    assert asked == [0, 1, 2, 3, 1, 2]


# Large arrays go to the processes in a file that they share.


def test_runs_share_large_arrays_and_cannot_change_each_others(out, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = np.arange(2.0**18)
    small = np.ones((3, 2), order="F")

    def run(seed, lr):
        sums = float(data.sum()), float(small.sum())
        data[:] = 7
        small[:] = 7
        files = [name for name in os.listdir(tmp_path) if name.startswith("minigrad-search")]
        return {"data": sums[0], "small": sums[1], "files": len(files)}

    left = tmp_path / "minigrad-search.999999999.0123abcd.part"
    left.write_bytes(b"of a search that was killed")
    results = search.grid(run, AXES, seeds=range(2), out=out, n_jobs=2)
    expected = {"data": float(np.arange(2.0**18).sum()), "small": 6.0, "files": 1}
    assert [row["results"] for row in results.rows] == [expected] * 4
    assert list(tmp_path.glob("minigrad-search*")) == []
    assert data[3] == 3


def test_without_room_for_a_file_arrays_go_with_each_run(monkeypatch):
    data = np.arange(2.0**18)

    def full(*args):
        raise OSError("full")

    with monkeypatch.context() as patch:
        patch.setattr(parcel.os, "open", full)
        packed = parcel.Parcel(lambda: data)
    np.testing.assert_array_equal(packed.open()(), data)
    packed.remove()
    packed = parcel.Parcel(lambda: data)
    opened = packed.open()()
    assert opened.flags.writeable
    np.testing.assert_array_equal(opened, data)
    packed.remove()


# The whole: a search that is killed again and again.

SEARCH = """
    import math, sys, time
    from minigrad import search
    out, n_jobs = sys.argv[1], int(sys.argv[2])
    def run(seed, lr, decay):
        time.sleep(0.02)
        if decay == 3:
            return {"validation_loss": math.nan}
        return {"validation_loss": lr / (seed + 1) + decay / 3, "seed": seed}
    print("ready", flush=True)
    results = search.grid(
        run, {"lr": [0.1, 0.2, 1 / 3], "decay": [0, 1, 3]}, seeds=range(8), out=out, n_jobs=n_jobs
    )
    print(results.best())
"""


def _rows_by_run(content):
    """The whole lines of a file, by run. No run may be there twice."""
    found = {}
    for line in content.split(b"\n")[:-1]:
        row = json.loads(line)
        run = record.key(row)
        assert run not in found
        found[run] = line
    return found


@POSIX
@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_search_that_is_killed_again_and_again_loses_nothing(tmp_path, n_jobs):
    whole = tmp_path / "whole.jsonl"
    told, errors = script(SEARCH, whole, 1).communicate(timeout=120)
    assert len(lines(whole)) == 72, errors
    out = tmp_path / "killed.jsonl"
    random_ = random.Random(n_jobs)
    before = {}
    kills = 0
    for _ in range(6):
        process = script(SEARCH, out, n_jobs)
        assert process.stdout.readline() == "ready\n"
        size = len(before)
        aim = size + random_.randrange(0, 8)
        until = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < until:
            if out.exists() and out.read_bytes().count(b"\n") >= aim:
                break
            time.sleep(0.002)
        time.sleep(random_.random() * 0.03)
        kills += process.poll() is None
        process.kill()
        process.communicate()
        now = _rows_by_run(out.read_bytes()) if out.exists() else {}
        assert before.items() <= now.items()  # every line stays, byte for byte
        before = now
        if random_.random() < 0.5 and before:  # a write that was cut off
            with open(out, "ab") as file:
                line = next(iter(before.values()))
                file.write(line[: random_.randrange(1, len(line))])
    assert kills >= 5
    process = script(SEARCH, out, n_jobs)
    last, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    after = _rows_by_run(out.read_bytes())
    assert before.items() <= after.items()
    assert last.splitlines()[-1] == told.splitlines()[-1]
    expected = {record.key(row): row for row in search.Results.load(whole).rows}
    got = {record.key(row): row for row in search.Results.load(out).rows}
    assert got.keys() == expected.keys()
    for run, row in expected.items():
        assert got[run]["status"] == row["status"]
        for name, value in row["results"].items():
            mine = got[run]["results"][name]
            assert mine == value or (math.isnan(mine) and math.isnan(value))


def test_a_process_that_has_grown_is_replaced_in_silence():
    """loky does it between two runs. Its warning, in a thread, would make a reader wonder."""
    process_executor = parcel.joblibs("loky").process_executor
    source = inspect.getsource(process_executor).replace('"\n', "")
    assert "A worker stopped while some jobs" in source  # so it begins in this version
    pool = workers._new_pool(1)
    try:
        warnings.warn("A worker stopped while some jobs wait", UserWarning, stacklevel=1)
    finally:
        pool.shutdown(kill_workers=True)
