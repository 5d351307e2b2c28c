"""A lesson that was interrupted or killed goes on with --resume, and finds what it would have."""

import json
import re
import shlex
import signal
import subprocess
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import QUICKLY, ROOT, run_lesson

import minigrad as mg
from minigrad.lesson import Lesson, options_parser, start
from minigrad.lesson.folder import Folder
from minigrad.lesson.kept import Kept
from minigrad.lesson.notes import Notes

pytestmark = pytest.mark.on_host
LESSON = '''"""A small lesson: two trainings and a measurement.

KILL_AT=n kills it at the n-th moment at which it looks, counted over the whole lesson.
"""
import os, signal, sys
import numpy as np
import minigrad as mg
from minigrad.lesson import start

moments = 0
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it

def moment():
    global moments
    moments += 1
    if moments == int(os.environ.get("KILL_AT", 0)):
        sys.stdout.flush()
        os.kill(os.getpid(), getattr(signal, os.environ.get("SIGNAL", "SIGKILL")))

lesson = start("98_small", __doc__)
train, test = lesson.data()
train, test = train.take(60), test.take(50)

def measure(times, scale):
    moment()
    rng = np.random.default_rng(lesson.seed)
    return {"mean": scale * rng.standard_normal((times, 3)), "of": (times, float("nan"))}

def training(rate):
    seen, evaluations = [], []
    net = mg.Sequential(mg.Flatten(), mg.Linear(784, 8, seed=1), mg.BatchNorm1d(8), mg.ReLU(),
                        mg.Dropout(0.3, seed=2), mg.Linear(8, 10, seed=3))
    optimizer = mg.Adam(net, rate)
    rule = mg.rules.ForwardGradient(seed=4) if rate < 0.01 else mg.rules.Backprop()
    def look(step, value):
        if step % 2 == 0:
            seen.append((step, float(abs(net.params["1.W"]).sum())))
        moment()
    def evaluated(history):
        evaluations.append(net.state_dict()["1.b"])
        moment()
    history = lesson.fit(net, mg.CrossEntropyLoss(), rule, optimizer, train, test, epochs=3,
                         batch_size=20, schedule=mg.StepLR(optimizer, 1), every="2 steps",
                         step_callback=look, callback=evaluated, collects=[seen, evaluations])
    lesson.record(f"{rate}", [history.train_loss, history.test_accuracy, history.step_loss])
    lesson.record(f"{rate}: seen", seen)
    lesson.record(f"{rate}: evaluations", evaluations)
    lesson.record(f"{rate}: weights", net.state_dict())

training(0.01)
for scale in (0.1, 1.0):
    lesson.record(f"measured {scale}", lesson.kept(measure, 4, scale=scale))
training(0.002)
lesson.expect("moments", 1, at_least=int(os.environ.get("LEAST", 0)))
print("MOMENTS", moments)
lesson.finish()
'''
MOMENTS = 2 * (3 * 3 + 3) + 2
LONG = [next((ROOT / "lessons").glob(f"{n}_*.py")) for n in ("08", "09", "12")]


def run(path, *options, **environment):
    environment = {"MINIGRAD_THREADS": "1", "PYTHONPATH": str(ROOT)} | environment
    return run_lesson(path, *options, **environment)


def results(out):
    """What a lesson has measured, without times."""
    found = json.loads((out / "results.json").read_text())
    assert not found["interrupted"]
    assert not (out / "checkpoints").exists()
    return found["values"], found["expectations"], found["figures"]


@pytest.fixture
def small(tmp_path):
    """Runs the small lesson, always on the digits and in the same folder."""
    script = tmp_path / "98_small.py"
    script.write_text(LESSON)
    out = tmp_path / "out"

    def go(*options, **environment):
        arguments = ("--data", "digits", "--out", str(out), *options)
        return run(script, *arguments, **environment)

    go.script = script
    go.out = out
    return go


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """What the small lesson finds if nothing happens."""
    folder = tmp_path_factory.mktemp("unbroken")
    (folder / "98_small.py").write_text(LESSON)
    done = run(folder / "98_small.py", "--data", "digits", "--out", str(folder / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"MOMENTS {MOMENTS}" in done.stdout
    return results(folder / "out")


def test_what_is_kept_costs_no_number(small, unbroken):
    assert small("--quick").returncode == 0  # with --quick nothing is kept
    assert results(small.out) == unbroken


@pytest.mark.parametrize("moment", [1, 9, 11, 12, 13, 20])
def test_a_lesson_that_was_killed_goes_on(small, unbroken, moment):
    killed = small("--resume", KILL_AT=str(moment))
    assert killed.returncode == -signal.SIGKILL
    assert (small.out / "checkpoints" / "run.json").exists()
    done = small("--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "98_small: goes on with the interrupted run in " in done.stdout
    assert int(re.search(r"MOMENTS (\d+)", done.stdout)[1]) <= MOMENTS - moment + 3
    goes_on = re.findall(r"training (\d) goes on after step (\d+)", done.stdout)
    assert len(goes_on) == (moment not in (13, 14))  # then no training was at work
    assert results(small.out) == unbroken


def test_a_lesson_that_is_killed_again_and_again_comes_to_its_end(small, unbroken):
    kills = 0
    while small("--resume", KILL_AT="7").returncode == -signal.SIGKILL:
        kills += 1
    assert 3 <= kills <= MOMENTS
    assert results(small.out) == unbroken


@pytest.mark.parametrize(("name", "moment"), [("SIGINT", 5), ("SIGINT", 13), ("SIGTERM", 16)])
def test_ctrl_c_and_sigterm_say_how_to_go_on(small, unbroken, name, moment):
    done = small(KILL_AT=str(moment), SIGNAL=name)
    assert done.returncode in ((130, -signal.SIGINT) if name == "SIGINT" else (-signal.SIGTERM,))
    *_, told, last = done.stdout.strip().splitlines()
    assert told == f"98_small: interrupted; what was measured is in {small.out}"
    command = f"python {small.script} --data digits --out {small.out} --resume"
    assert last == f"{command}   goes on"
    assert "Traceback" not in done.stderr
    assert json.loads((small.out / "results.json").read_text())["interrupted"] is True
    assert run(*shlex.split(command)[1:]).returncode == 0
    assert results(small.out) == unbroken


def test_after_an_error_the_lesson_says_how_to_go_on(small, unbroken):
    text = small.script.read_text()
    small.script.write_text(text.replace("scale * rng", "(1 / (scale < 1)) * scale * rng"))
    done = small()
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert done.stderr.strip().endswith("--resume   goes on from before the error")
    small.script.write_text(text)
    done = small("--resume")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "the text of the lesson has changed. Make both the same, or leave out" in done.stderr


REFUSED = {  # what --resume is given beside, or what run.json has: what is said
    "--seed 3": "--seed was 0, now it is 3",
    "--epochs 2": "--epochs was not given, now it is 2",
    "--quick": "--quick was not given, now it is given",
    "--full --seed 1": "--seed was 0, now it is 1; --full was not given, now it is given",
}
CHANGED = {
    "backend": ("cupy", "the backend was cupy, now it is numpy"),
    "version": ("0.1.0", "the version of minigrad was 0.1.0, now it is"),
    "data": ("MNIST, 9 examples", "the data were MNIST, 9 examples, now they are the embedded"),
    "options": (None, "--seed was not given, now it is 0"),
}


def test_another_run_is_refused(small, unbroken):
    assert small(KILL_AT="5").returncode == -signal.SIGKILL
    folder = small.out / "checkpoints"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def refuses(message, *options):
        done = small("--resume", *options)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert f"--resume cannot go on with the run in {small.out}: {message}" in done.stderr
        assert done.stderr.endswith("Make both the same, or leave out --resume to begin anew\n")

    for options, message in REFUSED.items():
        refuses(message, *options.split())
    for name, (value, message) in CHANGED.items():
        (folder / "run.json").write_text(json.dumps(json.loads(before["run.json"]) | {name: value}))
        refuses(message)
    (folder / "run.json").write_bytes(before["run.json"])
    assert before == {file.name: file.read_bytes() for file in folder.iterdir()}
    assert small("--resume").returncode == 0  # the advice
    assert results(small.out) == unbroken


def test_without_resume_a_lesson_begins_anew(small, unbroken):
    removed = "98_small: begins anew, the interrupted run that was here is removed"
    assert small("--seed", "3", KILL_AT="20").returncode == -signal.SIGKILL
    done = small(KILL_AT="12")
    assert f"{removed} (--seed was 3, now it is 0)" in done.stdout
    done = small()
    assert done.returncode == 0, done.stderr
    assert f"{removed} (--resume would have gone on with it)" in done.stdout
    assert f"MOMENTS {MOMENTS}" in done.stdout
    assert results(small.out) == unbroken


@pytest.mark.parametrize("least", [0, 2])
def test_a_lesson_that_is_done_is_not_done_again(small, least):
    status = 1 if least else 0
    assert small(LEAST=str(least)).returncode == status
    done = small("--resume", KILL_AT="1")
    assert done.stdout == f"98_small: done already; results in {small.out}\n"
    assert done.returncode == status
    for options in (["--seed", "1"], ["--quick"]):
        assert small("--resume", *options, KILL_AT="1").returncode == -signal.SIGKILL
        Folder(small.out, {}).remove()


def test_the_command_that_goes_on_has_the_options(tmp_path):
    options = ["--data", "digits", "--seed", "3", "--full", "--out", str(tmp_path / "a b")]
    lesson = Lesson("05_first_network", options_parser("03_x", None).parse_args(options))
    words = ["--data", "digits", "--seed", "3", "--out", str(tmp_path / "a b"), "--full"]
    assert shlex.split(lesson.command()) == ["minigrad", "run", "05", *words, "--resume"]


def test_every_lesson_takes_resume():
    told = " ".join(options_parser("05_first_network", None).format_help().split())
    assert "--resume go on with a run that was interrupted or killed" in told


class TestKept:
    def test_what_is_damaged_is_made_anew(self, tmp_path, capsys):
        Kept(tmp_path).result(pow, 2, 5)
        (file,) = tmp_path.iterdir()
        file.write_bytes(file.read_bytes()[:-30])
        assert Kept(tmp_path).result(pow, 2, 5) == 32
        told = capsys.readouterr().out
        assert f"{file} is damaged: " in told
        assert "It is removed, and this part of the lesson begins anew" in told
        assert Kept(tmp_path).result(pow, 2, 5) == 32
        assert capsys.readouterr().out == ""

    def test_a_result_is_computed_once(self, tmp_path):
        calls = []

        def found(name, K, *, rho=None):
            calls.append(name)
            return SimpleNamespace(a=np.arange(K), b=(1.5, None), c={"rho": rho})

        for _ in range(2):
            kept = Kept(tmp_path)
            for name in ("one two", "one_two", "η"):
                run = kept.result(found, name, 3, rho=0.1)
                assert run.b == [1.5, None]  # a list, computed or read
                assert run.c == {"rho": 0.1}
                np.testing.assert_array_equal(run.a, [0, 1, 2])
        assert calls == ["one two", "one_two", "η"]
        kept.result(found, "one two", 4, rho=0.1)
        assert len(calls) == 4
        assert Kept(None).result(found, "one two", 4).b == [1.5, None]
        assert len(calls) == 5

    def test_what_cannot_be_kept_is_refused(self, tmp_path):
        kept = Kept(tmp_path)
        with pytest.raises(TypeError, match="its arguments are numbers and text; got array"):
            kept.result(len, np.ones(3))
        with pytest.raises(TypeError, match="a set, and cannot be saved"):
            kept.result(set)
        with pytest.raises(ValueError, match="two functions <lambda> are kept"):
            kept.result(lambda: kept.result(lambda: 1))
        assert list(tmp_path.iterdir()) == []

    def test_a_training_in_a_result_is_refused(self, tmp_path):
        kept = Kept(tmp_path)

        def train():
            return kept.training(mg.fit, (), {})

        with pytest.raises(ValueError, match="a training within train: it keeps itself"):
            kept.result(train)


BOTH = {"step_callback": len, "callback": len}


class TestNotes:
    def history(self, steps, epochs):
        return mg.History(epoch=list(range(1, epochs + 1)), step_loss=[0.0] * steps)

    def called(self, path, steps=4):
        items = []
        notes = Notes(path, [items])
        assert notes.restore(None, BOTH)
        step = notes.after_step(lambda step, value: items.append((step, np.float32(value))))
        evaluated = notes.after_evaluation(lambda history: items.append("evaluated"))
        for n in range(1, steps + 1):
            step(n, n / 2)
            if n % 2 == 0:
                evaluated(self.history(n, n // 2))
        return items

    def test_the_lists_are_as_they_were_at_the_checkpoint(self, tmp_path):
        all_items = self.called(tmp_path / "a")
        for steps, length in ((4, 6), (3, 4), (2, 3), (1, 1), (0, 0)):
            items = []
            notes = Notes(tmp_path / "a", [items])
            assert notes.restore(self.history(steps, steps // 2), BOTH)
            assert [tuple(i) if i != "evaluated" else i for i in items] == all_items[:length]
        assert (tmp_path / "a").read_bytes() == b""  # later lines are gone

    @pytest.mark.parametrize("name", ["step_callback", "callback"])
    def test_one_callback_is_enough(self, name, tmp_path):
        items = []
        for found in ([], [1, 2, 3]):
            del items[:]
            notes = Notes(tmp_path / "a", [items])
            assert notes.restore(self.history(3, 3) if found else None, {name: len})
            assert items == found
            callback = notes.callbacks({name: lambda *a: items.append(len(items) + 1)})[name]
            for n in (1, 2, 3):
                callback(*((self.history(n, n),) if name == "callback" else (n, 0.0)))

    def test_a_callback_that_has_answered_is_not_asked_again(self, tmp_path):
        items = []
        for _ in range(2):
            notes = Notes(tmp_path / "a", [items])
            notes.restore(self.history(5, 1) if items else None, {"callback": len})
            del items[1:]
            evaluated = notes.after_evaluation(lambda history: items.append(1) or True)
            assert evaluated(self.history(5, 1)) is True
            assert items == [1]

    def test_a_line_that_the_machine_has_lost_is_missed(self, tmp_path):
        self.called(tmp_path / "a")
        content = (tmp_path / "a").read_bytes()
        for lost in (1, len(content.splitlines()[-1]) + 2, len(content)):
            (tmp_path / "a").write_bytes(content[: len(content) - lost])
            items = []
            whole = Notes(tmp_path / "a", [items]).restore(self.history(4, 2), BOTH)
            assert whole == (lost == 1)  # the last evaluation's callback is called again
            assert bool(items) == whole


def test_a_lesson_in_a_notebook_or_with_quick_writes_no_checkpoints(tmp_path):
    lesson = start("05_first_network", "", ["--quick", "--out", str(tmp_path / "a")])
    assert lesson.folder is None
    assert list((tmp_path / "a").iterdir()) == []
    lesson = start("05_first_network", "", ["--out", str(tmp_path / "b")])
    assert lesson.folder is not None
    lesson.finish()
    assert [file.name for file in (tmp_path / "b").iterdir()] == ["results.json"]


@pytest.mark.slow
@pytest.mark.parametrize("path", LONG, ids=lambda path: path.stem)
def test_a_lesson_that_is_killed_at_random_moments_finds_the_same(path, quick_lesson, tmp_path):
    done, whole, seconds = quick_lesson(path)
    assert done.returncode == 0, done.stdout + done.stderr
    rng = np.random.default_rng(int(path.stem[:2]))
    killed = tmp_path / "killed"
    for _ in range(3):
        with suppress(subprocess.TimeoutExpired):  # then it is killed
            run(path, *QUICKLY, str(killed), "--resume", timeout=rng.uniform(0.15, 0.4) * seconds)
            break
    done = run(path, *QUICKLY, str(killed), "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert without_times(results(killed)) == without_times(results(whole))


TIMES = re.compile(
    "seconds|minutes|cost|MB|asynchronous|blocks? at work|block 1( is)? ahead|free|memory"
)


def without_times(found):
    """Values and expectations; what is a time, or depends on who was first, is left out."""
    values, expectations, figures = found
    return _timeless(values), [e for e in expectations if not TIMES.search(e["name"])], figures


def _timeless(values):
    return {
        name: _timeless(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if not TIMES.search(name)
    }
