"""A run that is resumed from its checkpoint gives what the unbroken run gives, bit for bit."""

import itertools
import os
import random

import numpy as np
import pytest
from cases import OPTIMIZERS, RULES, SCHEDULES, layer_cases, rule_cases
from trainings import Training, data, differences

import minigrad as mg
from minigrad.backend import to_device

SCHEDULE_NAMES = [None, *(case.name for case in SCHEDULES)]
OPTIMIZER_NAMES = [case.name for case in OPTIMIZERS]
LONGER = max(len(OPTIMIZER_NAMES), len(SCHEDULE_NAMES))


def check(path, step, options=None, **arguments):
    """Run unbroken; run again, stop after `step`, resume with new objects: the same result."""
    options = options or {}
    unbroken = Training(**arguments).fit(**options)
    how = {"checkpoint": path} | options
    Training(**arguments).stopped_at(step, **how)
    resumed = Training(**arguments).fit(resume=True, **how)
    assert differences(unbroken.state(), resumed.state()) == []
    path.unlink()


@pytest.mark.parametrize("case", **rule_cases)
def test_every_rule_with_an_optimiser_and_a_schedule(case, tmp_path):
    """Each rule has another pair. The step is in mid-epoch, and in a window of WellTempered."""
    i = RULES.index(case)
    optimizer = OPTIMIZER_NAMES[i % len(OPTIMIZER_NAMES)]
    schedule = SCHEDULE_NAMES[i % len(SCHEDULE_NAMES)]
    check(tmp_path / "a.npz", 5, rule=case.name, optimizer=optimizer, schedule=schedule)


@pytest.mark.slow
@pytest.mark.on_host
@pytest.mark.parametrize("case", **rule_cases)
def test_every_rule_with_every_optimiser_and_every_schedule(case, tmp_path):
    """Each rule has other pairs. With MINIGRAD_SLOW=1 there are twice as many."""
    rounds = 2 if os.environ.get("MINIGRAD_SLOW") else 1
    steps = itertools.cycle([1, 4, 7, 12])  # after the first, at the ends of epochs, within one
    for shift in range(rounds):
        for optimizer, schedule in pairs(RULES.index(case) + shift * len(RULES)):
            check(
                tmp_path / "a.npz",
                next(steps),
                rule=case.name,
                optimizer=optimizer,
                schedule=schedule,
            )


def pairs(shift):
    """(optimiser, schedule): each of both at least once. Another shift gives other pairs."""
    for i in range(LONGER):
        j = (i + shift) % LONGER
        yield OPTIMIZER_NAMES[i % len(OPTIMIZER_NAMES)], SCHEDULE_NAMES[j % len(SCHEDULE_NAMES)]


@pytest.mark.on_host
def test_all_pairs_are_there():
    every = set(itertools.product(OPTIMIZER_NAMES, SCHEDULE_NAMES))
    assert {pair for shift in range(len(RULES)) for pair in pairs(shift)} == every
    for shift in range(LONGER):
        optimizers, schedules = zip(*pairs(shift), strict=True)
        assert set(optimizers) == set(OPTIMIZER_NAMES)
        assert set(schedules) == set(SCHEDULE_NAMES)


@pytest.mark.parametrize("shift", range(0, LONGER, 6))
def test_every_optimiser_and_every_schedule(shift, tmp_path):
    """Each with a few of the others. All pairs are in the test above, one rule or another."""
    for optimizer, schedule in pairs(shift):
        check(tmp_path / "a.npz", 6, optimizer=optimizer, schedule=schedule)


@pytest.mark.parametrize("case", **layer_cases)
def test_every_layer(case, tmp_path):
    def model():
        layer = case.layer("float32")
        out = layer.forward(to_device(np.ones((2, *case.shape[1:]), "float32")), train=False)
        size = int(np.prod(out.shape[1:]))
        return mg.Sequential(layer, mg.Flatten(), mg.Linear(size, 3, seed=1))

    def train():
        rng = np.random.default_rng(3)
        x = rng.standard_normal((8, *case.shape[1:])).astype("float32")
        return mg.data.Dataset(x, rng.integers(0, 3, 8), classes=3)

    unbroken = Training(model=model, train=train)
    how = {"checkpoint": tmp_path / "a.npz", "batch_size": 4}

    def fit(training, **options):
        training.history = mg.fit(
            training.model,
            training.loss,
            training.rule,
            training.optimizer,
            training.train,
            epochs=2,
            **options,
        )
        return training

    fit(unbroken, batch_size=4)

    def stop(step, loss):
        if step == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(Training(model=model, train=train), step_callback=stop, **how)
    assert how["checkpoint"].exists()
    resumed = fit(Training(model=model, train=train), resume=True, **how)
    assert differences(unbroken.state(), resumed.state()) == []


@pytest.mark.on_host
@pytest.mark.parametrize("step", range(1, 13))
def test_every_step(step, tmp_path):
    unbroken = Training(schedule="ExponentialLR steps").fit(evaluate_every=2)
    for every in (None, 1, "3 steps", "2 epochs"):
        how = {"checkpoint": tmp_path / "a.npz", "every": every, "evaluate_every": 2}
        Training(schedule="ExponentialLR steps").stopped_at(step, **how)
        resumed = Training(schedule="ExponentialLR steps").fit(resume=True, **how)
        assert differences(unbroken.state(), resumed.state()) == []
        (tmp_path / "a.npz").unlink()


def test_a_finished_run_is_given_back_without_training(tmp_path):
    path = tmp_path / "a.npz"
    first = Training("SyntheticGradients", schedule="StepLR").fit(checkpoint=path)
    again = Training("SyntheticGradients", schedule="StepLR")
    steps = []
    again.fit(checkpoint=path, resume=True, step_callback=lambda step, loss: steps.append(step))
    assert steps == []
    assert differences(first.state(), again.state()) == []


def test_a_finished_run_is_prolonged(tmp_path):
    path = tmp_path / "a.npz"
    Training().fit(checkpoint=path, epochs=2)
    longer = Training().fit(checkpoint=path, epochs=4, resume=True)
    assert longer.history.epoch == [1, 2, 3, 4]
    assert differences(longer.state(), Training().fit(epochs=4).state()) == []
    shorter = Training()
    state = shorter.state()
    with pytest.raises(ValueError, match="has 4 epochs done, this call asks for 3: ask for 4"):
        shorter.fit(checkpoint=path, epochs=3, resume=True)
    assert differences(shorter.state(), state) == []


def test_a_run_that_the_callback_ended_stays_ended(tmp_path):
    how = {"checkpoint": tmp_path / "a.npz", "resume": True}
    calls = []

    def enough(history):
        calls.append(len(history.epoch))
        return len(history.epoch) == 2

    first = Training().fit(callback=enough, **how)
    again = Training().fit(callback=enough, **how)
    assert first.history.epoch == again.history.epoch == [1, 2]
    assert calls == [1, 2]


def test_a_callback_that_failed_is_called_again(tmp_path):
    how = {"checkpoint": tmp_path / "a.npz", "resume": True}
    calls = []

    def fails(history):
        calls.append(history.epoch[-1])
        if len(calls) == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Training().fit(callback=fails, **how)
    resumed = Training().fit(callback=fails, **how)
    assert calls == [1, 2, 2, 3]
    assert differences(resumed.state(), Training().fit().state()) == []


def test_resume_without_a_file_begins(tmp_path):
    path = tmp_path / "new" / "a.npz"
    resumed = Training().fit(checkpoint=str(path), resume=True)
    assert differences(resumed.state(), Training().fit().state()) == []
    assert path.exists()


def test_a_file_is_not_overwritten_by_another_run(tmp_path):
    path = tmp_path / "a.npz"
    Training().fit(checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="resume=True goes on with it"):
        Training().fit(checkpoint=path)
    assert path.read_bytes() == before


DIFFERENT = [
    ("batch_size", {}, {"batch_size": 5}),
    ("shuffle", {}, {"shuffle": False}),
    ("seed", {}, {"seed": 1}),
    ("evaluate_every", {}, {"evaluate_every": 3}),
    ("another optimizer", {"optimizer": "Adam settings"}, {}),
    ("another rule", {"rule": "WellTempered"}, {}),
    ("another schedule", {"schedule": "ExponentialLR"}, {}),
    ("another model", {"model": lambda: mg.Sequential(mg.Linear(4, 3), mg.Tanh())}, {}),
    ("train was", {"train": lambda: data(7)}, {}),
    ("train was", {"train": lambda: data(n=20)}, {}),
]


@pytest.mark.parametrize(("words", "parts", "options"), DIFFERENT)
def test_another_run_is_refused(words, parts, options, tmp_path):
    path = tmp_path / "a.npz"
    Training(schedule="StepLR").stopped_at(5, checkpoint=path)
    before = path.read_bytes()
    other = Training(**{"schedule": "StepLR"} | parts)
    state = other.state()
    with pytest.raises(ValueError, match=words):
        other.fit(checkpoint=path, resume=True, **options)
    assert differences(state, other.state()) == []
    assert path.read_bytes() == before


def test_another_lr_is_refused_and_the_one_reached_is_not(tmp_path):
    path = tmp_path / "a.npz"
    run = Training()
    run.stopped_at(5, checkpoint=path)
    other = Training()
    other.optimizer.lr = 0.001
    with pytest.raises(ValueError, match="lr was 0.05 at its start"):
        other.fit(checkpoint=path, resume=True)
    run.fit(checkpoint=path, resume=True)  # the same objects go on, too
    assert differences(run.state(), Training().fit().state()) == []


def test_the_same_objects_go_on_after_an_error_with_a_schedule(tmp_path):
    path = tmp_path / "a.npz"
    run = Training("WellTempered", schedule="ExponentialLR steps").stopped_at(9, checkpoint=path)
    run.fit(checkpoint=path, resume=True)
    unbroken = Training("WellTempered", schedule="ExponentialLR steps").fit()
    assert differences(run.state(), unbroken.state()) == []


class Augmented(mg.data.Dataset):
    """Its batches are noisy: it draws random numbers of its own."""

    def batches(self, batch_size, rng=None):
        for x, y in super().batches(batch_size, rng):
            noise = self.noise.standard_normal(x.shape).astype(x.dtype)
            yield x + to_device(noise, like=x), y


@pytest.mark.parametrize("step", [3, 4, 6])
def test_random_numbers_of_the_data_go_on(step, tmp_path):
    def train():
        plain = data()
        noisy = Augmented(plain.x, plain.y, classes=3)
        object.__setattr__(noisy, "noise", np.random.default_rng(4))
        return noisy

    if mg.backend.name() != "numpy":
        pytest.skip("a data set that is moved to a device is made anew, without the attribute")
    check(tmp_path / "a.npz", step, train=train)


class CommonNoise(mg.ReLU):
    """It draws from the generators that all of a program share."""

    def forward(self, x, train=True):
        noise = to_device(np.random.rand(*x.shape).astype(x.dtype), like=x)  # noqa: NPY002
        return super().forward(x + random.random() * noise, train)


def test_the_common_generators_go_on(tmp_path):
    def model():
        np.random.seed(3)  # noqa: NPY002
        random.seed(4)
        return mg.Sequential(mg.Linear(4, 5, seed=0), CommonNoise(), mg.Linear(5, 3, seed=1))

    check(tmp_path / "a.npz", 6, model=model)


def test_frozen_layers_stay_frozen(tmp_path):
    def freeze(history):
        run.model.layers[0].frozen = True

    path = tmp_path / "a.npz"
    run = Training()
    run.fit(callback=freeze)
    unbroken = run
    run = Training()

    def freeze_and_stop(history):
        freeze(history)
        if history.epoch[-1] == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run.fit(callback=freeze_and_stop, checkpoint=path)
    run = Training()
    run.fit(callback=freeze, checkpoint=path, resume=True)
    assert run.model.layers[0].frozen
    assert differences(unbroken.state(), run.state()) == []


def test_the_last_files_are_kept(tmp_path):
    path = tmp_path / "a.npz"
    Training().fit(checkpoint=path, keep=3)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert len(names) == 3
    assert names[0].startswith("a.earlier-")
    assert "a.npz" in names
    earlier = tmp_path / names[0]
    earlier.replace(path)
    resumed = Training().fit(checkpoint=path, keep=3, resume=True)
    assert differences(resumed.state(), Training().fit().state()) == []


def test_arguments_without_a_checkpoint_are_refused():
    for options in ({"resume": True}, {"every": 2}, {"keep": 2}):
        with pytest.raises(ValueError, match="are for a checkpoint"):
            Training().fit(**options)


@pytest.mark.parametrize(
    "every", [0, -1, 1.5, "", "often", "0 steps", "1.5 epochs", "steps 3", [1]]
)
def test_every_is_checked(every, tmp_path):
    with pytest.raises(ValueError, match="every"):
        Training().fit(checkpoint=tmp_path / "a.npz", every=every)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error_before_the_first_step(tmp_path):
    (tmp_path / "file").touch()
    run = Training()
    state = run.state()
    with pytest.raises(OSError, match="file"):
        run.fit(checkpoint=tmp_path / "file" / "a.npz")
    assert differences(state, run.state()) == []


@pytest.mark.on_host
@pytest.mark.parametrize("name", ["test", "validation"])
def test_a_history_that_goes_on_with_other_sets_has_nan_where_there_was_none(name, tmp_path):
    run = Training()
    arguments = run.model, run.loss, run.rule, run.optimizer, run.train
    how = {"epochs": 1, "batch_size": 6}
    history = mg.fit(*arguments, **how)
    mg.fit(*arguments, history=history, **how, **{name: data(3)})
    mg.fit(*arguments, history=history, **how)
    accuracies = getattr(history, f"{name}_accuracy")
    assert [np.isnan(value) for value in accuracies] == [True, False, True]
    assert len(history.train_loss) == 3
    history.save(tmp_path / "history.json")
    assert mg.History.load(tmp_path / "history.json").epoch == [1, 2, 3]


@pytest.mark.on_host
def test_a_history_from_the_middle_of_an_epoch_says_so(tmp_path):
    """Otherwise fit(history=...) would make the whole epoch again, on weights from its middle."""
    path = tmp_path / "a.npz"
    Training().stopped_at(6, checkpoint=path)
    new = Training()
    history = mg.load(path, **new.parts()).history
    assert history.stopped == "saved in epoch 2, after step 6"
    with pytest.raises(ValueError, match="cannot be continued: the run was saved in epoch 2"):
        new.fit(history=history)
    Training().fit(checkpoint=path, resume=True)
    assert mg.load(path, **new.parts()).history.stopped is None


@pytest.mark.on_host
@pytest.mark.parametrize("resume", [True, False])
def test_earlier_checkpoints_are_not_removed_by_a_run_that_begins(resume, tmp_path):
    path = tmp_path / "a.npz"
    Training().fit(checkpoint=path, keep=3)
    path.unlink()
    names = sorted(file.name for file in tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match=r"rename the last one to a\.npz to go on"):
        Training().fit(checkpoint=path, keep=3, resume=resume)
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    (tmp_path / names[-1]).rename(path)
    resumed = Training().fit(checkpoint=path, keep=3, resume=True)
    assert differences(resumed.state(), Training().fit().state()) == []


@pytest.mark.on_host
def test_fit_says_whether_it_goes_on(tmp_path, capsys):
    path = tmp_path / "a.npz"
    how = {"checkpoint": path, "resume": True, "progress": None}
    Training().stopped_at(6, **how)
    assert f"{path} is not there yet: the run begins" in capsys.readouterr().err
    Training().fit(**how)
    said = capsys.readouterr().err
    assert f"{path}: the run goes on in epoch 2, after 2 of its steps" in said
    Training().fit(**how | {"progress": False})
    assert capsys.readouterr().err == ""


@pytest.mark.on_host
def test_an_interrupted_run_says_how_to_go_on(tmp_path, capsys):
    def interrupt(step, loss):
        if step == 6:
            raise KeyboardInterrupt

    path = tmp_path / "a.npz"
    run = Training().fit(checkpoint=path, step_callback=interrupt)
    assert run.history.stopped == "interrupted in epoch 2, after step 6"
    assert f"; resume=True goes on with {path}" in capsys.readouterr().err


@pytest.mark.on_host
def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"is a folder: name a file in it"):
        Training().fit(checkpoint=tmp_path)
