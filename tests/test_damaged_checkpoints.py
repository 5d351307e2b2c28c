"""Damaged checkpoints are refused with one sentence, or read with the same contents."""

import json
import time
import traceback
import tracemalloc

import numpy as np
import pytest
from damaged import TRACE, damaged, misfits

from minigrad.checkpoint import CheckpointError, archive

pytestmark = pytest.mark.on_host
META = {"format": 1, "epoch": 3, "history": {"train_loss": [0.5, 0.25]}, "stream": 2**127 + 1}


def arrays():
    rng = np.random.default_rng(0)
    return {
        "model/0.W": rng.standard_normal((7, 5)).astype("f4"),
        "model/0.b": np.zeros(5, "f4"),
        "model/1.num_batches_tracked": np.array(17),
        "mask": np.array([True, False, True]),
        "optimizer/0.W.m": rng.standard_normal((7, 5)),
        "order": np.arange(50, dtype="u4"),
    }


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "run.npz"
    archive.write(path, arrays(), META)
    return path.read_bytes()


def put(path, content):
    """Write a file anew. (To write over a file makes some systems wait for the disk.)"""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def outcome(path):
    """("refused", the sentence) or ("read", the contents)."""
    try:
        meta, found = archive.read(path)
    except CheckpointError as error:
        return "refused", str(error)
    content = [(name, a.dtype.str, a.shape, a.tobytes()) for name, a in found.items()]
    return "read", (json.dumps(meta), content)


def is_one_sentence(text):
    return text.isprintable() and ". " not in text and len(text) < 600


def test_damaged_files_are_refused_or_read_the_same(good, tmp_path):
    path = tmp_path / "run.npz"
    path.write_bytes(good)
    original = outcome(path)
    assert original[0] == "read"
    files = list(damaged(good))
    assert len(files) >= 600
    assert len({name for name, _ in files}) > 500
    wrong = []
    refused = 0
    for name, content in files:
        put(path, content)
        start = time.process_time()
        try:
            kind, result = outcome(path)
        except Exception:
            wrong.append((name, traceback.format_exc(limit=-2)))
            continue
        refused += kind == "refused"
        if kind == "refused" and not (is_one_sentence(result) and str(path) in result):
            wrong.append((name, result))
        if kind == "read" and (kind, result) != original:
            wrong.append((name, "was read with other contents"))
        if time.process_time() - start > 1 + len(content) / 1e6:
            wrong.append((name, "took too long"))
        assert content == path.read_bytes(), "the file is left as it is"
    assert not wrong, f"{len(wrong)} of {len(files)}: {wrong[:5]}"
    assert refused >= 0.99 * len(files)
    assert not TRACE, "nothing in a file is run"


def test_damaged_files_are_refused_in_little_memory(good, tmp_path):
    """At most 40 bytes for each byte of the file: JSON of empty lists has the most."""
    path = tmp_path / "run.npz"
    wrong = []
    tracemalloc.start()
    for name, content in damaged(good):
        put(path, content)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        outcome(path)
        used = tracemalloc.get_traced_memory()[1] - before
        if used > 500_000 + 40 * len(content):
            wrong.append((name, used, len(content)))
    tracemalloc.stop()
    assert not wrong, wrong[:5]


def test_every_single_bit_counts(tmp_path):
    path = tmp_path / "run.npz"
    archive.write(path, {"0.W": np.arange(6, dtype="f4").reshape(2, 3)}, {"format": 1, "a": "b"})
    good = path.read_bytes()
    original = outcome(path)
    read = []
    with open(path, "r+b", buffering=0) as file:
        for at, byte in enumerate(good):
            for value in [*(byte ^ 1 << bit for bit in range(8)), byte]:
                file.seek(at)
                file.write(bytes([value]))
                kind, result = outcome(path)
                if kind == "refused":
                    assert is_one_sentence(result)
                else:
                    assert (kind, result) == original
                    if value != byte:
                        read.append((at, value))
    assert not read, "the form is fixed, so that each bit is checked"


def test_every_length_is_refused(good, tmp_path):
    path = tmp_path / "run.npz"
    path.write_bytes(good)
    with open(path, "r+b") as file:
        for length in reversed(range(len(good))):
            file.truncate(length)
            assert outcome(path)[0] == "refused", length


def test_a_list_that_is_large_in_memory_costs_a_small_multiple(good, tmp_path):
    """The worst JSON: 3 bytes of text give a list."""
    path = tmp_path / "run.npz"
    archive.write(path, {}, {"format": 1, "more": [[]] * 300_000})
    tracemalloc.start()
    archive.read(path)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 40 * path.stat().st_size


def test_a_file_that_says_it_is_huge_takes_no_time(good, tmp_path):
    """A sparse file of 100 GB: only its end is read."""
    path = tmp_path / "run.npz"
    path.write_bytes(good)
    with open(path, "r+b") as file:
        try:
            file.truncate(10**11)
        except OSError:
            pytest.skip("no sparse files here")
    start = time.process_time()
    assert outcome(path)[0] == "refused"
    assert time.process_time() - start < 1


def test_whole_files_with_other_contents_are_read(good, tmp_path):
    """They fit no model, which is for the caller to see."""
    path = tmp_path / "run.npz"
    files = list(misfits(good))
    assert len(files) > 30
    path.write_bytes(good)
    original = outcome(path)
    for name, content in files:
        put(path, content)
        kind, result = outcome(path)
        assert (name, kind) == (name, "read"), result
        assert result != original[1]
