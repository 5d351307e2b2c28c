"""A changed function is seen: its code, and what it refers to. What means nothing is not seen."""

import functools
import json
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest
from conftest import ROOT

import minigrad as mg
from minigrad import search
from minigrad.search.fingerprint import Fingerprint

pytestmark = pytest.mark.on_host
AXES = {"lr": [0.1, 0.01]}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs.jsonl"


def made(source, name="run", **given):
    """A function of a script with this text."""
    space = {"__name__": "a_script", **given}
    exec(textwrap.dedent(source), space)
    return space[name]


def parts(function):
    return Fingerprint(function).parts


BASE = """
    import math
    SCALE = 2.0
    CONFIG = {"hidden": [3, 4], "names": {"a", "b"}}

    class Own:
        size = 3

        def __init__(self):
            self.k = 5

        def value(self):
            return self.k * self.size

    own = Own()

    def inner(x):
        return x * SCALE

    def helper(x):
        return inner(x) + 1

    METHODS = {"one": (math.sqrt, lambda x: helper(x)), "two": helper}

    def run(seed, lr, n=4, *, m=5):
        total = sum(helper(x) for x in range(n))
        total = total + own.value() + METHODS["one"][1](lr) + CONFIG["hidden"][0]
        return {"validation_loss": total}
"""


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("total + own", "total - own", "run"),
        ("range(n)", "range(n + 1)", "run"),
        ("n=4", "n=3", "run(n=)"),
        ("m=5", "m=6", "run(m=)"),
        ("SCALE = 2.0", "SCALE = 2.5", "SCALE"),
        ("inner(x) + 1", "inner(x) + 2", "helper"),
        ("x * SCALE", "x / SCALE", "inner"),
        ("[3, 4]", "[4, 4]", "CONFIG"),
        ('{"a", "b"}', '{"a", "c"}', "CONFIG"),
        ("size = 3", "size = 4", "Own.size"),
        ("self.k = 5", "self.k = 6", "own.k"),
        ("self.k * self", "self.k + self", "Own.value"),
        ("math.sqrt", "math.exp", "METHODS"),
        ("lambda x: helper(x)", "lambda x: helper(2 * x)", "<lambda>"),
    ],
)
def test_what_changes_a_result_changes_the_fingerprint(old, new, named):
    assert BASE.count(old) == 1
    before, after = parts(made(BASE)), parts(made(BASE.replace(old, new)))
    assert before.keys() == after.keys()
    assert named in {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total = sum(", "# what is added up\n        total = sum(\n            "),
        ("return inner(x) + 1", '"""One more."""\n        return inner(x) + 1'),
        ("SCALE = 2.0", "SCALE = 2.0\n    OTHER = 7"),
        ("    own = Own()", "    class Unused:\n        pass\n\n    own = Own()"),
    ],
)
def test_what_changes_no_result_does_not(old, new):
    assert parts(made(BASE)) == parts(made(BASE.replace(old, new)))


def test_the_call_around_a_lambda_does_not_count():
    assert parts(made("run = lambda seed, lr: {'a': lr}; seeds = 3")) == parts(
        made("run = [lambda seed, lr: {'a': lr}][0]")
    )


def test_closures_partials_methods_and_objects_count():
    def outer(factor, data):
        def run(seed, lr):
            return {"a": factor * lr + data.sum()}

        return run

    data = np.arange(3.0)
    assert parts(outer(2, data)) == parts(outer(2, data.copy()))
    assert parts(outer(2, data)) != parts(outer(3, data))
    assert parts(outer(2, data)) != parts(outer(2, data + 1))
    assert parts(outer(2, data)) != parts(outer(2, data.astype("float32")))
    assert parts(outer(2, data)) != parts(outer(2, data.reshape(3, 1)))
    run = outer(2, data)
    assert parts(functools.partial(run, x=1)) != parts(functools.partial(run, x=2))
    assert parts(functools.partial(run, 1)) != parts(functools.partial(run, 2))
    assert parts(functools.lru_cache(run)) != parts(functools.lru_cache(outer(3, data)))

    class Run:
        __slots__ = ("k",)

        def __init__(self, k):
            self.k = k

        def __call__(self, seed, lr):
            return {"a": self.k}

        def method(self, seed, lr):
            return {"a": self.k}

    assert parts(Run(1)) == parts(Run(1))
    assert parts(Run(1)) != parts(Run(2))
    assert parts(Run(1).method) != parts(Run(2).method)


def test_data_sets_rules_and_modules_count():
    train, test = mg.data.load("digits")

    def with_data(data):
        return lambda seed, lr: {"a": len(data)}

    again, _ = mg.data.load("digits")
    assert parts(with_data(train)) == parts(with_data(again))
    assert parts(with_data(train)) != parts(with_data(test))
    assert parts(with_data(train)) != parts(with_data(train.take(50)))
    rules = [mg.rules.ForwardGradient(K) for K in (1, 1, 16)]
    assert parts(with_data(rules[0])) == parts(with_data(rules[1]))
    assert parts(with_data(rules[0])) != parts(with_data(rules[2]))
    modules = []
    for size in (3, 3, 4):
        module = types.ModuleType("my_helpers")
        exec(f"SIZE = {size}\nOTHER = object()\ndef f(x):\n    return x * SIZE", vars(module))
        modules.append(made("def run(seed, lr):\n    return {'a': my.f(lr)}", my=module))
    assert parts(modules[0]) == parts(modules[1])
    assert parts(modules[0]) != parts(modules[2])


def test_odd_objects_do_no_harm():
    class Odd:
        def __getattr__(self, name):
            raise RuntimeError(name)

    odd = Odd()
    chain = None
    for _ in range(5000):
        chain = [chain]
    ring = []
    ring.append(ring)
    values = [odd, chain, ring, open, iter(()), np.random.default_rng(0), slice(3), np.float32(3)]
    values += [
        np.array([None, 1]),
        mg.models.mlp((4, 3), seed=0),
        sys,
        type(odd),
        1j,
        b"\0",
        "\ud800",
    ]

    def run(seed, lr):
        return {"a": len(values) + len(odd.name)}

    assert parts(run) == parts(run)

    class Link:
        def __init__(self, next):
            self.next = next

    link = None
    for _ in range(5000):
        link = Link(link)
    assert parts(lambda: link)


def test_a_large_graph_of_objects_has_few_parts_and_is_still_compared():
    class Node:
        def __init__(self, number):
            self.number = number

    def run_with(last):
        nodes = [Node(i) for i in range(300)]
        nodes[-1].number = last
        many = list(range(200_000))
        return lambda seed, lr: {"a": len(many) + len(nodes)}

    first, again, other = (parts(run_with(last)) for last in (1, 1, 2))
    assert first == again
    assert len(first) < 100
    assert {name for name in first if first[name] != other[name]} == {"other parts"}


def test_it_is_the_same_in_every_process():
    code = textwrap.dedent(BASE) + textwrap.dedent("""
        import abc, dataclasses, enum, json, threading, typing
        class Abstract(abc.ABC):
            lock = threading.Lock()
            @property
            @abc.abstractmethod
            def size(self): ...
        @dataclasses.dataclass
        class Data(Abstract):
            k: int = 3
            many: list = dataclasses.field(default_factory=list)
            size = 3
        class Color(enum.Enum):
            red = 1
            blue = object()
        class Pair(typing.NamedTuple):
            a: int
            b: str = "b"
        things = [Data(), Data, Color.red, Color, Pair(1)]
        things += [object(), iter([]), open, dict, int.__add__]
        base = run
        def run(seed, lr):
            return base(seed, len(things) + len({"a", "b", "c"}))
        from minigrad.search.fingerprint import Fingerprint
        print(json.dumps(Fingerprint(run).parts))
    """)
    got = []
    for seed, option in ((1, "-B"), (2, "-OO")):
        done = subprocess.run(
            [sys.executable, option, "-c", code],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        got.append(json.loads(done.stdout))
    assert got[0] == got[1]
    assert len(got[0]) > 10


def test_a_changed_function_is_refused_and_the_advice_works(out, capsys):
    first = made("F = 2\ndef run(seed, lr):\n    return {'validation_loss': F * lr}")
    second = made("F = 3\ndef run(seed, lr):\n    return {'validation_loss': F * lr}")
    search.grid(first, AXES, seeds=(0, 1), out=out)
    assert capsys.readouterr().err == ""
    before = out.read_bytes()
    with pytest.raises(
        ValueError, match=r"4 of these 6 runs .* changed in F\. Nothing was run\."
    ) as e:
        search.grid(second, AXES, seeds=(0, 1, 2), out=out)
    assert out.read_bytes() == before
    for advice in ('tag="v2"', 'stale="redo"', 'stale="use"'):
        assert advice in str(e.value)

    used = search.grid(second, AXES, seeds=(0, 1, 2), out=out, stale="use", progress=False)
    assert [row["results"]["validation_loss"] for row in used.rows[:3]] == [0.2, 0.2, 0.1 * 3]
    assert "4 runs in" in capsys.readouterr().err
    tagged = search.grid(second, AXES, seeds=(0, 1), out=out, tag="v2")
    assert [row["results"]["validation_loss"] for row in tagged.rows] == [0.1 * 3] * 2 + [0.03] * 2
    capsys.readouterr()
    redone = search.grid(second, AXES, seeds=(0, 1), out=out, stale="redo")
    assert 'are done anew (stale="redo")' in capsys.readouterr().err
    assert [row["results"] for row in redone.rows] == [row["results"] for row in tagged.rows]
    lines = len(out.read_bytes().splitlines())
    again = search.grid(second, AXES, seeds=(0, 1), out=out)  # now they are of this function
    assert again.rows == redone.rows
    assert len(out.read_bytes().splitlines()) == lines
    assert search.Results.load(out, tag="").where(lr=0.1).rows[0]["results"] == {
        "validation_loss": 0.1 * 3
    }


def test_it_is_said_what_was_taken_from_the_file(out, capsys):
    def run(seed, lr):
        return {"validation_loss": lr}

    search.grid(run, AXES, out=out)
    search.grid(run, AXES, seeds=(0, 1), out=out)
    told = capsys.readouterr().err
    assert (
        told == f"2 of 4 runs were taken from {out}; another tag= or another file does them anew\n"
    )
    search.grid(run, AXES, seeds=(0, 1), out=out, progress=False)
    assert capsys.readouterr().err == ""


def test_rows_of_an_older_minigrad_are_used_with_a_message(out, capsys):
    def run(seed, lr):
        return {"validation_loss": lr}

    search.grid(run, AXES, out=out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    for row in rows:
        del row["fingerprint"]
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = search.grid(lambda seed, lr: {"other": 1}, AXES, out=out, progress=False)
    assert results.rows == rows
    assert "2 of the runs" in capsys.readouterr().err


def test_rows_of_another_python_say_so(out):
    def run(seed, lr):
        return {"validation_loss": lr}

    search.grid(run, AXES, out=out)
    row = json.loads(out.read_text().splitlines()[0])
    row["versions"]["python"] = "3.4.5"
    row["fingerprint"]["run"] = "0"
    out.write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match=r"Python 3\.4 made them and this is Python 3\."):
        search.grid(run, AXES, out=out)


def test_what_the_runs_themselves_change_is_no_change_of_the_function(out):
    """A list that counts the calls, a model that is trained, a cache."""
    calls = []
    cache = {}

    class Counting:
        def __init__(self):
            self.number = 0

        def __call__(self, seed, lr):
            self.number += 1
            calls.append(lr)
            if lr < 0.05:  # not in the first run
                cache[lr] = seed
            return {"validation_loss": lr}

    run = Counting()
    first = search.grid(run, AXES, seeds=(0,), out=out)
    more = search.grid(run, AXES, seeds=(0, 1), out=out)
    assert run.number == 4
    assert more.rows[0] == first.rows[0]
    search.grid(Counting(), AXES, seeds=(0, 1), out=out)
    parts = json.loads(out.read_text().splitlines()[-1])["fingerprint"]
    assert {name for name, digest in parts.items() if digest is None} == {
        "run.number",
        "calls",
        "cache",
    }


def test_stale_is_checked(out):
    with pytest.raises(ValueError, match="stale must be one of 'refuse', 'use', 'redo'; got True"):
        search.grid(lambda seed, lr: {"a": 1.0}, AXES, out=out, stale=True)
    assert not out.exists()
