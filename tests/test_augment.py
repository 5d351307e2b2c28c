"""Augmentation, drop_last and sampling: how a training is fed. All of it resumes."""

import functools
import pickle
import shutil
import signal
import sys

import numpy as np
import pytest
from test_killed import start
from trainings import FED, Training, differences

import minigrad as mg
from minigrad import asynchronous
from minigrad.backend import to_device, to_host
from minigrad.checkpoint.reading import read
from minigrad.data import Dataset, augment
from minigrad.data.augment import Augmentation, described
from minigrad.search.fingerprint import Fingerprint

IMAGES = np.random.default_rng(0).random((12, 2, 5, 7)).astype("float32")


def generator(seed=3):
    return np.random.default_rng(seed)


# ------------------------------------------------------------------ the functions


def shifted(x, pixels, rng):
    """By the definition: x'[n, c, i, j] = x[n, c, i - a_n, j - b_n]."""
    a, b = rng.integers(-pixels, pixels + 1, (2, len(x)))
    y = np.zeros_like(x)
    for n, c, i, j in np.ndindex(x.shape):
        k, l = i - a[n], j - b[n]
        if 0 <= k < x.shape[2] and 0 <= l < x.shape[3]:
            y[n, c, i, j] = x[n, c, k, l]
    return y


def flipped(x, p, rng):
    drawn = rng.random(len(x))
    return np.stack([x[n, :, :, ::-1] if drawn[n] < p else x[n] for n in range(len(x))])


def noisy(x, std, rng):
    return x + np.asarray(std, x.dtype) * rng.standard_normal(x.shape, x.dtype)


EXACT = {
    "shift": (augment.shift(2), lambda x, rng: shifted(x, 2, rng)),
    "shift by most": (augment.shift(4), lambda x, rng: shifted(x, 4, rng)),
    "flip": (augment.flip(), lambda x, rng: flipped(x, 0.5, rng)),
    "flip most": (augment.flip(0.9), lambda x, rng: flipped(x, 0.9, rng)),
    "noise": (augment.noise(0.3), lambda x, rng: noisy(x, 0.3, rng)),
    "chain": (
        augment.chain(augment.flip(), augment.shift(1)),
        lambda x, rng: shifted(flipped(x, 0.5, rng), 1, rng),
    ),
}


@pytest.mark.parametrize("case", EXACT)
def test_by_the_definition_on_every_device(case, xp):
    """On a device the numbers are those of the host; the batch itself is not changed."""
    function, reference = EXACT[case]
    for dtype in ("float32", "float64"):
        x = xp.asarray(IMAGES.astype(dtype))
        y = function(x, generator())
        assert (type(y), y.shape, y.dtype) == (type(x), x.shape, x.dtype)
        np.testing.assert_allclose(
            to_host(y), reference(IMAGES.astype(dtype), generator()), rtol=1e-6, atol=1e-7
        )
        assert np.array_equal(to_host(x), IMAGES.astype(dtype))
        assert not np.array_equal(to_host(y), to_host(x))
        assert not np.array_equal(to_host(y), to_host(function(x, generator(4))))


def test_images_without_channels_and_of_integers(xp):
    for x in (IMAGES[:, 0], (9 * IMAGES).astype("int64")):
        for function in (augment.shift(1), augment.flip()):
            y = function(xp.asarray(x), generator())
            whole = function(xp.asarray(x.reshape(12, -1, 5, 7)), generator())
            assert y.dtype == x.dtype
            assert np.array_equal(to_host(y), to_host(whole).reshape(x.shape))


def crop(x, rng, size=3):
    return x


class Mine:
    def __call__(self, x, rng):
        return x


@pytest.mark.on_host
def test_each_says_its_settings():
    chain = augment.chain(augment.shift(2), [augment.flip(0.25), augment.noise(0.1)], crop)
    assert repr(chain) == "chain(shift(2), chain(flip(0.25), noise(0.1)), crop)"
    assert repr(pickle.loads(pickle.dumps(chain))) == repr(chain)
    assert described(functools.partial(crop, size=2)) == "partial(crop, size=2)"
    assert described(Mine()) == "Mine"
    assert described(lambda x, rng: x) == "<lambda>"


FLAT = np.ones((4, 3), "float32")
RNG = generator()
WRONG = [
    (lambda: augment.shift(0), ValueError, "pixels must be an integer of at least 1"),
    (lambda: augment.shift(1.5), ValueError, "pixels must be an integer"),
    (lambda: augment.flip(1.5), ValueError, r"p must be in \[0, 1\], got 1.5"),
    (lambda: augment.flip("0.5"), TypeError, "p must be a number"),
    (lambda: augment.noise(-1), ValueError, "std must be a number >= 0"),
    (lambda: augment.noise(np.nan), ValueError, "std must be a number >= 0"),
    (lambda: augment.chain(), ValueError, "chain needs an augmentation"),
    (lambda: augment.chain(augment.flip), TypeError, r"got the class flip; make one, as flip\(\)"),
    (lambda: augment.chain("flip"), TypeError, "augment must be a function .* got str"),
    (lambda: augment.shift(2)(FLAT, RNG), ValueError, r"shift\(2\) is for images .* \(4, 3\)"),
    (lambda: augment.flip()(FLAT, RNG), ValueError, r"flip\(0.5\) is for images"),
    (lambda: augment.shift(5)(IMAGES, RNG), ValueError, r"images of 5 x 7 pixels out of sight"),
    (lambda: augment.noise(1)(FLAT.astype(int), RNG), TypeError, "got x of int64"),
    (lambda: augment.flip()(IMAGES, 0), TypeError, "rng must be a numpy.random.Generator"),
    (lambda: Augmentation()(IMAGES, RNG), NotImplementedError, r"no __call__\(x, rng\) yet"),
]


@pytest.mark.on_host
@pytest.mark.parametrize(("make", "error", "message"), WRONG)
def test_what_is_wrong_is_said(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ------------------------------------------------------------------ in a training


class Seen(mg.rules.Backprop):
    """It keeps the batches."""

    def __init__(self):
        self.batches = []

    def estimate(self, model, loss, x, target):
        self.batches.append((to_host(x).copy(), to_host(target).copy()))
        return super().estimate(model, loss, x, target)


def fit(train, rule=None, **options):
    model = mg.Sequential(mg.Flatten(), mg.Linear(70, 3, seed=0))
    parts = model, mg.CrossEntropyLoss(), rule or mg.rules.Backprop(), mg.SGD(model, 0.1)
    history = mg.fit(*parts, train, **{"epochs": 1, "batch_size": 5} | options)
    return model, history


def images(n=12):
    return Dataset(to_device(IMAGES[:n]), to_device(np.arange(n) % 3), classes=3)


def test_every_batch_is_changed_and_the_data_are_not():
    """Also if the function writes into its x, which may be a part of the data set."""
    calls = []

    def doubled(x, rng):
        calls.append(float(rng.random()))
        x *= 2
        return x

    train, rule = images(), Seen()
    model, history = fit(train, rule, augment=doubled, shuffle=False, epochs=2)
    assert np.array_equal(np.concatenate([x for x, _ in rule.batches[:3]]), 2 * IMAGES)
    assert np.array_equal(to_host(train.x), IMAGES)
    assert len(set(calls)) == len(calls) == 6, "each batch has numbers of its own"
    assert history.train_loss[-1] == mg.evaluate(model, mg.CrossEntropyLoss(), train)[0]
    assert history.settings["augment"] == "doubled"


def test_the_numbers_do_not_depend_on_the_device():
    rule = Seen()
    fit(images(), rule, augment=[augment.shift(1), augment.noise(0.1)], seed=5)
    order = np.random.default_rng((5, 1)).permutation(12)
    for i, (x, _) in enumerate(rule.batches):
        rng = np.random.default_rng(np.random.SeedSequence((5, 1), spawn_key=(i,)))
        expected = noisy(shifted(IMAGES[order[5 * i : 5 * i + 5]], 1, rng), 0.1, rng)
        np.testing.assert_allclose(x, expected, rtol=1e-6, atol=1e-7)


def test_drop_last_and_sampling_reach_the_batches():
    rule = Seen()
    _, history = fit(images(), rule, drop_last=True, epochs=2)
    assert [len(y) for _, y in rule.batches] == [5, 5, 5, 5]
    assert len(history.step_loss) == 4
    rule, train = Seen(), Dataset(IMAGES, np.array([0, 1] + [2] * 10), classes=3)
    _, history = fit(train, rule, sampling="balanced")
    labels = np.concatenate([y for _, y in rule.batches])
    assert np.bincount(labels).tolist() == [4, 4, 4]
    assert history.settings["sampling"] == "balanced"


@pytest.mark.on_host
def test_the_defaults_leave_no_settings(tmp_path):
    """So a checkpoint of an earlier version, which does not know them, goes on."""
    _, history = fit(images(), checkpoint=tmp_path / "a.npz")
    assert set(history.settings) == set(
        "batch_size shuffle seed rule loss optimizer schedule examples".split()
    )
    _, run = read(tmp_path / "a.npz")
    assert set(run["settings"]) == {
        *("batch_size shuffle seed evaluate_every train test validation".split()),
        "layers of the optimizer",
    }


@pytest.mark.on_host
def test_drop_last_is_advised_where_it_helps():
    model = mg.Sequential(mg.Flatten(), mg.Linear(70, 3, seed=0), mg.BatchNorm1d(3))
    parts = model, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(model, 0.1), images(11)
    with pytest.raises(ValueError, match="the last batch has 1: .*, or drop_last=True, or leave"):
        mg.fit(*parts, epochs=1, batch_size=5)
    assert len(mg.fit(*parts, epochs=1, batch_size=5, drop_last=True).step_loss) == 2


class Own(Dataset):
    def batches(self, batch_size, rng=None):
        return super().batches(batch_size, rng)


class HandsOn(Dataset):
    def batches(self, batch_size, rng=None, **options):
        return super().batches(batch_size, rng, **options)


X, Y = FLAT, np.arange(4) % 3
REFUSED = [
    ({"augment": "shift"}, TypeError, "augment must be a function .* such as .* got str"),
    ({"augment": lambda x: x}, TypeError, "augment must be a function .* got <lambda>"),
    ({"augment": []}, ValueError, "chain needs an augmentation"),
    ({"augment": lambda x, rng: None}, TypeError, "an array like x, .* got NoneType"),
    ({"augment": lambda x, rng: x[:, 1:]}, TypeError, r"got numpy.ndarray of float32, shape \(4, "),
    (
        {"augment": lambda x, rng: x + rng.random(x.shape)},
        TypeError,
        r"of float64, .* cast with \.astype\(x\.dtype\), here float32",
    ),
    ({"drop_last": "no"}, TypeError, "drop_last must be True or False"),
    ({"drop_last": True, "batch_size": 5}, ValueError, "leaves no batch: .* 4 examples, fewer"),
    ({"sampling": "even"}, ValueError, "sampling must be None or one of 'balanced', 'stratified'"),
    ({"sampling": "balanced", "shuffle": False}, ValueError, "leave out shuffle=False"),
    ({"sampling": "balanced", "train": Dataset(X, X)}, ValueError, "looks at labels"),
    ({"drop_last": True, "train": Own(X, Y)}, TypeError, "Own makes its batches .* leave out drop"),
]


@pytest.mark.on_host
@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_what_does_not_fit_is_refused(options, error, message):
    model = mg.Linear(3, 3, seed=0)
    options = {"train": Dataset(X, Y), "epochs": 1, "batch_size": 4} | options
    parts = model, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(model, 0.1)
    before = model.state_dict()
    with pytest.raises(error, match=message):
        mg.fit(*parts, **options)
    assert all(np.array_equal(a, before[name]) for name, a in model.state_dict().items())
    mg.fit(*parts, **options | {"train": HandsOn(X, Y)} | OFF | {"drop_last": True})


OFF = {"augment": None, "sampling": None, "shuffle": True, "batch_size": 3}


@pytest.mark.on_host
@pytest.mark.parametrize(
    "option", [{"augment": augment.flip()}, {"drop_last": True}, {"sampling": "balanced"}]
)
def test_processes_refuse_what_they_would_not_do(option):
    run = Training()
    parts = run.model, run.loss, run.rule, run.optimizer, run.train
    with pytest.raises(ValueError, match=f"plain batches, without {next(iter(option))}: leave"):
        asynchronous.fit(*parts, epochs=1, batch_size=6, **option)


# ------------------------------------------------------------------ resumed


def common(x, rng):
    """It draws from its own generator, and from the one that all of a program share."""
    more = np.random.rand(*x.shape).astype(x.dtype)  # noqa: NPY002
    return x + to_device(more * rng.standard_normal(x.shape, x.dtype), like=x)


RESUMED = {
    "noise": {"augment": augment.noise(0.2)},
    "in order": {"augment": augment.noise(0.2), "shuffle": False},
    "own": {"augment": [common, augment.noise(0.1)]},
    "drop_last": {"drop_last": True},
    "balanced": {"sampling": "balanced"},
    "all": FED | {"sampling": "stratified"},
}


@pytest.mark.parametrize("case", RESUMED)
def test_a_run_that_is_resumed_is_the_unbroken_one(case, tmp_path):
    """In mid-epoch, at an epoch's end, and from the first step on."""
    options = RESUMED[case]

    def made():
        np.random.seed(3)  # noqa: NPY002
        return Training()

    unbroken = made().fit(**options).state()
    plain = Training().fit().state()
    assert differences(unbroken, plain), "it has an effect"
    for step in (2, 3, 5) if case == "own" else (5,):
        how = {"checkpoint": tmp_path / "a.npz"} | options
        made().stopped_at(step, **how)
        np.random.seed(9)  # noqa: NPY002
        assert differences(Training().fit(resume=True, **how).state(), unbroken) == [], step
        (tmp_path / "a.npz").unlink()


def test_images_are_moved_and_mirrored_in_a_run_that_is_resumed(tmp_path):
    how = {"augment": [augment.shift(2), augment.flip()], "epochs": 3}

    def stop(step, loss):
        if step == 5:
            raise ZeroDivisionError

    unbroken, _ = fit(images(), **how)
    how |= {"checkpoint": tmp_path / "a.npz"}
    with pytest.raises(ZeroDivisionError):
        fit(images(), step_callback=stop, **how)
    assert how["checkpoint"].exists()
    resumed, _ = fit(images(), resume=True, **how)
    for name, array in unbroken.state_dict().items():
        assert np.array_equal(to_host(array), to_host(resumed.state_dict()[name])), name


@pytest.mark.on_host
@pytest.mark.parametrize(
    "change",
    [
        {"augment": None},
        {"augment": augment.noise(0.2)},
        {"drop_last": False},
        {"sampling": None},
        {"sampling": "stratified"},
    ],
)
def test_another_run_is_refused(change, tmp_path):
    for before, after in ((FED, FED | change), (FED | change, FED)):
        path = tmp_path / "b.npz"
        Training().stopped_at(2, checkpoint=path, **before)
        with pytest.raises(ValueError, match=f"of another run: {next(iter(change))} was"):
            Training().fit(checkpoint=path, resume=True, **after)
        path.unlink()


@pytest.mark.on_host
def test_a_continued_run_is_the_whole_run():
    run = Training()
    history = run.fit(epochs=1, **FED).history
    run.fit(epochs=2, history=history, **FED)
    assert differences(run.state(), Training().fit(epochs=3, **FED).state()) == []


@pytest.mark.on_host
def test_a_search_sees_the_settings_of_an_augmentation():
    def parts(function):
        return Fingerprint(lambda: function).parts

    for make in (augment.shift, lambda p: augment.chain(augment.flip(), augment.shift(p))):
        assert parts(make(2)) == parts(make(2)) != parts(make(3))


@pytest.mark.on_host
def test_an_epoch_of_another_seed_has_other_numbers():
    histories = [Training().fit(augment=augment.noise(1.0), seed=s, shuffle=False) for s in (0, 1)]
    first, second = (run.history.step_loss for run in histories)
    assert not set(first) & set(second)


class Stateful:
    def __init__(self):
        self.rng = generator()

    def __call__(self, x, rng):
        return x + self.rng.standard_normal(x.shape).astype(x.dtype)


@pytest.mark.on_host
def test_a_generator_that_is_not_saved_is_named(tmp_path):
    own = generator()

    def drawing(x, rng):
        return x + own.standard_normal(x.shape).astype(x.dtype)

    for function, place in ((drawing, r"augment drawing \(own\)"), (Stateful(), "Stateful.rng")):
        path = tmp_path / f"{described(function)}.npz"
        with pytest.warns(UserWarning, match=f"generators in .*{place}.*augment\\(x, rng\\)"):
            Training().fit(checkpoint=path, augment=[function, augment.noise(0.1)])
    Training().fit(augment=drawing)  # without a checkpoint there is nothing to warn of


class Fading:
    """An augmentation that counts: what goes on would begin anew with it."""

    def __init__(self, std):
        self.std = std
        self.calls = 0

    def __call__(self, x, rng):
        self.calls += 1
        return x + (self.std / self.calls * rng.standard_normal(x.shape)).astype(x.dtype)

    def __repr__(self):
        return "Fading()"


@pytest.mark.on_host
def test_an_augmentation_that_keeps_a_state_is_named(tmp_path):
    path = tmp_path / "run.npz"
    with pytest.warns(UserWarning, match=r"change in the training.*'augment Fading\(\).calls'"):
        Training().fit(checkpoint=path, augment=Fading(0.1))
    with pytest.raises(ValueError, match=r"augment Fading\(\).std was 0.1 at its start, now it is"):
        Training().fit(checkpoint=path, augment=Fading(0.2), resume=True)


@pytest.mark.on_host
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_run_that_is_killed_in_mid_epoch_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGRAD_THREADS", "1")
    expected = Training("Backprop", "Adam", "ExponentialLR steps").fit(epochs=100, **FED).digest()
    process = start("Backprop", tmp_path / "run.npz", "fed")
    for line in process.stdout:
        if line == "step 44\n":  # the second of an epoch of 3
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    shutil.copy(tmp_path / "run.npz", tmp_path / "copy.npz")
    _, run = read(tmp_path / "copy.npz")
    assert run["position"]["batch"] > 0, "in mid-epoch"
    out, errors = start("Backprop", tmp_path / "run.npz", "fed").communicate(timeout=120)
    assert out.splitlines()[-1] == f"end {expected}", errors
    assert "step 1\n" not in out, "it went on, it did not begin anew"
