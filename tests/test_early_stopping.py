"""Early stopping: when it ends a run, which weights are left, and that runs go on bit for bit."""

import math
import os
import signal

import numpy as np
import pytest
from trainings import Training, data, differences

import minigrad as mg
from minigrad.early_stopping import EarlyStopping

VALIDATION = (3, 9)  # seed, examples


def options(**more):
    """Those of `fit`, for a run that ends early: it monitors one of 9 validation examples."""
    return {
        "epochs": 30,
        "validation": data(*VALIDATION),
        "early_stopping": EarlyStopping(2),
    } | more


def follow(values, **arguments):
    """The best epoch, and the epoch after which it is over (None: never), for these values."""
    stopping = EarlyStopping(**arguments)
    model = mg.Linear(1, 1, seed=0)
    for epoch, value in enumerate(values, 1):
        stopping._measured(value, epoch, model)
        if stopping.over:
            return stopping.best_epoch, epoch
    return stopping.best_epoch, None


@pytest.mark.on_host
@pytest.mark.parametrize(
    ("values", "arguments", "expected"),
    [
        ([3, 2, 2, 1, 1, 1, 0], {"patience": 2}, (4, 6)),
        ([3, 2, 1], {"patience": 1}, (3, None)),
        ([3, 2.5, 2, 1.9], {"patience": 2, "min_delta": 0.75}, (3, None)),
        ([3, 2.5, 2.25, 2], {"patience": 2, "min_delta": 1}, (1, 3)),
        ([0.1, 0.3, 0.2], {"patience": 1, "monitor": "validation_accuracy"}, (2, 3)),
        ([0.1, 0.3, 0.2], {"patience": 1, "monitor": "train_f1", "mode": "max"}, (2, 3)),
        ([0.3, 0.1, 0.2], {"patience": 1, "monitor": "validation_accuracy", "mode": "min"}, (2, 3)),
        ([math.nan, 2, math.nan, 1], {"patience": 2}, (4, None)),
        ([math.nan, math.nan, 1], {"patience": 2}, (None, 2)),
        ([-3, -4, -3, -3], {"patience": 2}, (2, 4)),
    ],
)
def test_when_it_is_over(values, arguments, expected):
    assert follow(values, **arguments) == expected


def test_the_best_weights_come_back_with_the_running_statistics():
    seen = {}

    def keep(history):
        seen[history.epoch[-1]] = training.model.state_dict()

    training = Training()
    training.fit(**options(callback=keep))
    history = training.history
    best = int(np.argmin(history.validation_loss))
    assert history.best_epoch == history.epoch[best] < history.epoch[-1] == best + 3 < 30
    assert history.stopped is None
    assert history.ended == (
        f"validation_loss was best in epoch {best + 1}: {history.validation_loss[best]:.6g}, and "
        f"no better in the 2 evaluations after it; the weights are those of epoch {best + 1}"
    )
    now = training.model.state_dict()
    assert "1.running_mean" in now
    for name, array in seen[best + 1].items():
        assert array.tobytes() == now[name].tobytes(), name
    assert any(array.tobytes() != now[name].tobytes() for name, array in seen[best + 3].items())
    assert mg.evaluate(training.model, training.loss, data(*VALIDATION)) == (
        history.validation_loss[best],
        history.validation_accuracy[best],
    )


def test_a_run_with_a_bar_says_so(capsys):
    history = Training().fit(**options(progress=True)).history
    assert history.ended in capsys.readouterr().err
    quiet = Training().fit(**options(epochs=0)).history
    assert quiet.ended is None
    assert "was best" not in capsys.readouterr().err


def test_without_restore_the_weights_are_the_last_ones():
    training = Training().fit(**options(early_stopping=EarlyStopping(2, restore=False)))
    assert training.history.ended.endswith("the weights are the last ones")
    plain = Training().fit(epochs=training.history.epoch[-1], validation=data(*VALIDATION))
    assert differences(plain.model.state_dict(), training.model.state_dict()) == []


def test_after_the_last_epoch_the_best_weights_come_back_too():
    early = Training().fit(**options())
    patient = Training().fit(**options(epochs=early.history.epoch[-1], early_stopping=stop(99)))
    assert patient.history.best_epoch == early.history.best_epoch
    assert differences(early.model.state_dict(), patient.model.state_dict()) == []
    assert "and no better" not in patient.history.ended


def stop(patience, **more):
    return EarlyStopping(patience, **more)


def test_metrics_can_be_monitored():
    training = Training().fit(
        **options(metrics=["top_2"], early_stopping=stop(1, monitor="validation_top_2"))
    )
    values = training.history.metrics["validation_top_2"]
    assert training.history.best_epoch == 1 + int(np.argmax(values))
    assert len(values) == 1 + training.history.best_epoch


def test_one_object_serves_two_runs():
    stopping = EarlyStopping(2)
    first = Training().fit(**options(early_stopping=stopping))
    second = Training().fit(**options(early_stopping=stopping))
    assert differences(first.state(), second.state()) == []


def test_a_history_that_goes_on_forgets_what_ended_it():
    training = Training().fit(**options())
    more = Training().fit(epochs=1, history=training.history).history
    assert (more.best_epoch, more.ended) == (None, None)


def end_of(path, step=None, **more):
    """All that a run leaves; killed after a step, and resumed, if there is one."""
    how = {"checkpoint": path, "every": "1 step"}
    if step is not None:
        Training().stopped_at(step, **options(**how, **more))
        how["resume"] = True
    training = Training().fit(**options(**how, **more))
    path.unlink()
    return training.state()


def test_a_resumed_run_is_the_unbroken_one(tmp_path):
    """Killed after the first step, around the end of the best epoch, and after the last step."""
    unbroken = Training().fit(**options(metrics=["top_2"]))
    of_best = 4 * unbroken.history.best_epoch
    for step in (1, of_best - 1, of_best, of_best + 1, len(unbroken.history.step_loss)):
        resumed = end_of(tmp_path / "a.npz", step, metrics=["top_2"])
        assert differences(unbroken.state(), resumed) == []


def test_killed_after_the_stop_and_before_the_best_weights_are_back(tmp_path, monkeypatch):
    """The last checkpoint has the last weights. Who resumes it gets the best ones."""
    path = tmp_path / "a.npz"
    unbroken = Training().fit(**options())
    with monkeypatch.context() as patch:
        patch.setattr(EarlyStopping, "end", lambda self, model: os.kill(os.getpid(), signal.SIGINT))
        killed = Training().fit(**options(checkpoint=path))
    assert killed.history.ended is None
    assert differences(killed.model.state_dict(), unbroken.model.state_dict())
    for _ in range(2):  # a finished run's file gives the result again and again
        again = Training().fit(**options(checkpoint=path, resume=True))
        assert differences(again.state(), unbroken.state()) == []
    stopped = Training().fit(**options(checkpoint=path, resume=True, epochs=40))
    assert (
        stopped.history.epoch == unbroken.history.epoch
    )  # it has ended: more epochs change nothing


def test_a_run_with_more_epochs_goes_on_from_the_last_weights(tmp_path):
    path = tmp_path / "a.npz"
    unbroken = Training().fit(**options(early_stopping=stop(9), epochs=8))
    for epochs in (5, 8):
        resumed = Training().fit(
            **options(early_stopping=stop(9), epochs=epochs, checkpoint=path, resume=True)
        )
    assert differences(unbroken.state(), resumed.state()) == []


@pytest.mark.on_host
def test_another_call_is_another_run(tmp_path):
    path = tmp_path / "a.npz"
    Training().fit(**options(checkpoint=path, metrics=["top_2"]))
    for change, message in (
        ({"early_stopping": stop(3)}, "early_stopping was EarlyStopping.patience=2., now it is E"),
        ({"early_stopping": None}, "early_stopping was .* now it is None"),
        ({"metrics": None}, "metrics was .'top_2'., now it is None"),
    ):
        with pytest.raises(ValueError, match=message):
            Training().fit(
                **options(checkpoint=path, resume=True, **({"metrics": ["top_2"]} | change))
            )


@pytest.mark.on_host
def test_a_checkpoint_without_weights_that_fit_is_refused():
    stopping = EarlyStopping(2)
    model = mg.Linear(2, 2, seed=0)
    stopping._measured(1.0, 1, model)
    stopping._measured(2.0, 2, model)
    state = stopping.state_dict()
    other = EarlyStopping(2)
    other.load_state_dict(model, state)
    assert other.state_dict().keys() == state.keys()
    assert (other.best, other.best_epoch, other.bad) == (1.0, 1, 1)
    for wrong in (
        {"bad": 1, "best": 1.0, "best_epoch": 1},
        state | {"weights": {"W": np.ones((2, 2), "float32")}},
        state | {"bad": -1},
        {"bad": 0, "weights": state["weights"]},
    ):
        with pytest.raises((KeyError, ValueError)):
            other.load_state_dict(model, wrong)
        assert (other.best, other.best_epoch, other.bad) == (1.0, 1, 1)


@pytest.mark.on_host
def test_ctrl_c_and_divergence_leave_the_last_weights():
    training = Training()

    def press(step, loss):
        if step == 9:
            before.update(training.model.state_dict())
            os.kill(os.getpid(), signal.SIGINT)

    before = {}
    training.fit(**options(step_callback=press))
    assert training.history.stopped.startswith("interrupted in epoch 3")
    assert training.history.ended is None
    assert training.history.best_epoch in (1, 2)
    assert differences(before, training.model.state_dict()) == []

    diverging = Training(optimizer="SGD")
    diverging.optimizer.lr = 1e30
    diverging.fit(**options())
    assert diverging.history.stopped.startswith("diverged")
    assert diverging.history.ended is None


@pytest.mark.on_host
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"patience": 0}, "patience must be an integer of at least 1"),
        ({"patience": 2.5}, "patience must be an integer"),
        ({"min_delta": -1}, "min_delta must be a number >= 0"),
        ({"monitor": 3}, "monitor must be the name of a list"),
        ({"monitor": "train_f1"}, 'Give mode="max" or mode="min"'),
        ({"mode": "best"}, 'mode must be "min", "max" or None'),
        ({"restore": "no"}, "restore must be True or False"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises((TypeError, ValueError), match=message):
        EarlyStopping(**({"patience": 2} | wrong))


@pytest.mark.on_host
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"validation": None}, "give validation=, or choose another monitor"),
        ({"early_stopping": stop(2, monitor="validation_mae")}, r'give metrics=\["mae"\]'),
        ({"early_stopping": stop(2, monitor="loss")}, "cannot look at loss"),
        ({"early_stopping": 3}, "must be an EarlyStopping.patience=5., got 3"),
        ({"early_stopping": EarlyStopping}, "got the class EarlyStopping"),
    ],
)
def test_what_is_not_measured_is_an_error_before_the_first_step(wrong, message):
    steps = []
    with pytest.raises((TypeError, ValueError), match=message):
        Training().fit(**options(step_callback=lambda *step: steps.append(step), **wrong))
    assert steps == []


@pytest.mark.on_host
def test_accuracy_of_numbers_cannot_be_monitored():
    x = np.ones((4, 2), "float32")
    net = mg.Linear(2, 1, seed=0)
    values = mg.data.Dataset(x, np.ones((4, 1), "float32"))
    with pytest.raises(ValueError, match="accuracy has no meaning for this loss"):
        mg.fit(
            *(net, mg.MSELoss(), mg.rules.Backprop(), mg.SGD(net, 0.1), values),
            epochs=1,
            batch_size=2,
            early_stopping=stop(2, monitor="train_accuracy"),
        )


@pytest.mark.on_host
def test_a_repr_makes_the_object_again():
    for made in (
        EarlyStopping(3),
        EarlyStopping(3, "train_f1", 0.5, False, "max"),
        EarlyStopping(3, "train_loss"),
    ):
        again = eval(repr(made))
        assert vars(again) == vars(made)


@pytest.mark.on_host
@pytest.mark.xdist_group("threads and processes")
def test_processes_refuse_it_and_take_metrics():
    net = mg.Sequential(mg.Linear(4, 5, seed=0), mg.Tanh(), mg.Linear(5, 3, seed=1))
    parts = (net, mg.CrossEntropyLoss(), mg.rules.Backprop(), mg.SGD(net, 0.1), data())
    how = {"epochs": 1, "batch_size": 11, "interfaces": [1]}
    with pytest.raises(ValueError, match="nothing can stop it early"):
        mg.asynchronous.fit(*parts, **how, early_stopping=stop(2))
    history = mg.asynchronous.fit(*parts, **how, metrics=["top_2"]).history
    value = mg.evaluate(net, mg.CrossEntropyLoss(), data(), metrics=["top_2"])["top_2"]
    assert history.metrics == {"train_top_2": [value]}
