"""fit, evaluate, History: means over whole sets, reproducible, interruptible, resumable."""

import json
import time

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import Dataset
from minigrad.history import write_json

rules = mg.rules


@pytest.fixture
def data(rng):
    """A small task that a linear net can learn: (train of 70, test of 33) examples."""
    W = rng.standard_normal((6, 3))
    x = rng.standard_normal((103, 6)).astype("float32")
    y = (x @ W).argmax(axis=1)
    whole = Dataset(x, y, classes=3)
    return whole.take(slice(70)), whole.take(slice(70, None))


def net(dtype="float32", seed=0):
    return mg.Sequential(
        mg.Linear(6, 8, dtype=dtype, seed=seed), mg.Tanh(), mg.Linear(8, 3, dtype=dtype, seed=1)
    )


def run(data, epochs=3, model=None, optimizer=None, **options):
    model = model or net()
    optimizer = optimizer or mg.SGD(model, 0.5, momentum=0.5)
    train, test = data
    settings = {"epochs": epochs, "batch_size": 16} | options
    history = mg.fit(
        model, mg.CrossEntropyLoss(), rules.Backprop(), optimizer, train, test, **settings
    )
    return history, model


def test_it_learns_and_records_each_epoch(data):
    history, model = run(data, epochs=20)
    assert history.train_accuracy[-1] > 0.9
    assert history.epoch == list(range(1, 21))
    for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds"):
        assert len(getattr(history, name)) == 20
        assert all(type(value) is float for value in getattr(history, name))
    assert len(history.step_loss) == 20 * 5
    assert history.stopped is None
    loss, accuracy = mg.evaluate(model, mg.CrossEntropyLoss(), data[1])
    assert (history.test_loss[-1], history.test_accuracy[-1]) == (loss, accuracy)
    loss, accuracy = mg.evaluate(model, mg.CrossEntropyLoss(), data[0])
    assert (history.train_loss[-1], history.train_accuracy[-1]) == (loss, accuracy)


def test_evaluate_keeps_nothing_for_derivatives(data):
    model, loss = net(), mg.CrossEntropyLoss()
    mg.evaluate(model, loss, data[1])
    for use in (lambda: model.backward(data[1].x), loss.backward):
        with pytest.raises(RuntimeError, match="call forward"):
            use()


@pytest.mark.parametrize("batch_size", [1, 7, 33, 1000])
def test_evaluate_weighs_examples_not_batches(data, batch_size):
    model, loss = net("float64"), mg.CrossEntropyLoss()
    test = data[1]
    whole = test.placed(model.params["0.W"])
    expected = loss.forward(model.forward(whole.x, False), whole.y)
    got, accuracy = mg.evaluate(model, loss, test, batch_size)
    assert got == pytest.approx(expected, rel=1e-12)
    right = mg.backend.to_host(model.forward(whole.x, False).argmax(axis=1) == whole.y)
    assert accuracy == right.mean()


def test_same_seed_same_curve_bit_for_bit(data):
    first, second = (run(data, seed=4)[0] for _ in range(2))
    other = run(data, seed=5)[0]
    assert first.step_loss == second.step_loss
    assert first.test_loss == second.test_loss
    assert first.step_loss != other.step_loss


def test_every_epoch_has_its_own_order_and_every_example_once(data):
    seen = []

    class Spy(rules.Backprop):
        def estimate(self, model, loss, x, target):
            seen.append(mg.backend.to_host(x)[:, 0])
            return super().estimate(model, loss, x, target)

    train, _ = data
    model = net()
    mg.fit(model, mg.CrossEntropyLoss(), Spy(), mg.SGD(model, 0.1), train, epochs=2, batch_size=16)
    first, second = np.concatenate(seen[:5]), np.concatenate(seen[5:])
    np.testing.assert_array_equal(np.sort(first), np.sort(train.x[:, 0]))
    np.testing.assert_array_equal(np.sort(first), np.sort(second))
    assert not np.array_equal(first, second)
    assert not np.isin(train.x[:16, 0], seen[0]).all()  # rows are shuffled, not batch starts
    seen.clear()
    mg.fit(
        model,
        mg.CrossEntropyLoss(),
        Spy(),
        mg.SGD(model, 0.1),
        train,
        epochs=1,
        batch_size=16,
        shuffle=False,
    )
    np.testing.assert_array_equal(np.concatenate(seen), train.x[:, 0])


def test_a_continued_run_is_the_whole_run(data):
    whole, _ = run(data, epochs=5)
    model = net()
    optimizer = mg.SGD(model, 0.5, momentum=0.5)
    history, _ = run(data, 2, model, optimizer)
    history, _ = run(data, 3, model, optimizer, history=history)
    assert history.step_loss == whole.step_loss
    assert history.test_loss == whole.test_loss
    assert history.epoch == whole.epoch


def test_evaluate_every_and_always_the_last(data):
    history, model = run(data, epochs=5, evaluate_every=2)
    assert history.epoch == [2, 4, 5]
    more, _ = run(data, 3, model, evaluate_every=2, history=mg.History(epoch=[5]))
    assert more.epoch == [5, 7, 8]
    assert len(history.test_loss) == len(history.seconds) == 3
    assert len(history.step_loss) == 25


def test_callbacks(data):
    epochs, steps = [], []
    history, _ = run(
        data,
        epochs=9,
        callback=lambda history: epochs.append(history.epoch[-1]) or len(epochs) == 2,
        step_callback=lambda step, loss: steps.append((step, loss)),
    )
    assert epochs == history.epoch == [1, 2]
    assert [step for step, _ in steps] == list(range(1, 11))
    assert [loss for _, loss in steps] == history.step_loss


def test_schedules_step_when_they_say(data):
    for per, expected in (("epoch", 0.5 * 0.9**3), ("step", 0.5 * 0.9**15)):
        model = net()
        optimizer = mg.SGD(model, 0.5)
        run(data, 3, model, optimizer, schedule=mg.ExponentialLR(optimizer, 0.9, per=per))
        assert optimizer.lr == pytest.approx(expected)


def test_rules_hear_of_each_epochs_end(data):
    class Counts(rules.Backprop):
        ends = 0

        def end_epoch(self):
            self.ends += 1

    rule, model = Counts(), net()
    mg.fit(model, mg.CrossEntropyLoss(), rule, mg.SGD(model, 0.1), data[0], epochs=3, batch_size=50)
    assert rule.ends == 3


def test_a_layer_that_a_rule_leaves_out_stays(data):
    class TopOnly(rules.Backprop):
        def estimate(self, model, loss, x, target):
            value = super().estimate(model, loss, x, target)
            model.layers[0].grads = {}
            return value

    model = net()
    before = model.state_dict()
    mg.fit(
        model, mg.CrossEntropyLoss(), TopOnly(), mg.SGD(model, 0.1), data[0], epochs=1, batch_size=9
    )
    after = model.state_dict()
    moved = {key for key in before if not np.array_equal(before[key], after[key])}
    assert moved == {"2.W", "2.b"}


def test_interrupt_ends_cleanly_with_what_was_measured(data, capsys):
    def interrupt(step, loss):
        if step == 12:
            raise KeyboardInterrupt

    history, _ = run(data, epochs=9, step_callback=interrupt)
    assert history.stopped == "interrupted in epoch 3, after step 12"
    assert history.epoch == [1, 2]
    assert len(history.step_loss) == 12
    assert len(history.train_loss) == len(history.test_loss) == len(history.seconds) == 2
    assert "interrupted in epoch 3" in capsys.readouterr().err


def test_a_run_that_was_stopped_cannot_be_continued(data):
    def interrupt(step, loss):
        raise KeyboardInterrupt

    history, model = run(data, step_callback=interrupt)
    with pytest.raises(ValueError, match="cannot be continued: the run was interrupted in epoch 1"):
        run(data, model=model, history=history)


def test_divergence_at_the_last_step_is_seen_in_the_evaluation(data):
    model = mg.Sequential(mg.Linear(6, 8, seed=0), mg.ReLU(), mg.Linear(8, 3, seed=1))
    history, _ = run(data, 1, model, mg.SGD(model, 1e30), batch_size=70)
    assert np.isfinite(history.step_loss).all()
    assert not np.isfinite(history.train_loss[-1])
    assert history.stopped.startswith("diverged: the loss was")


def test_an_optimizer_or_schedule_of_another_model_is_refused(data):
    model, other = net(), net()
    with pytest.raises(ValueError, match=r"another model.*SGD\(model, lr=...\)"):
        run(data, model=model, optimizer=mg.SGD(other, 0.1))
    optimizer = mg.SGD(model, 0.1)
    schedule = mg.StepLR(mg.SGD(model, 0.1), 1)
    with pytest.raises(ValueError, match="schedule is another"):
        run(data, model=model, optimizer=optimizer, schedule=schedule)
    top = mg.SGD(model.layers[2], 0.1)  # a part of the model is no other model
    before = model.state_dict()
    run(data, model=model, optimizer=top)
    moved = {key for key, a in model.state_dict().items() if not np.array_equal(a, before[key])}
    assert moved == {"2.W", "2.b"}


def test_what_is_no_dataset_is_refused(data):
    with pytest.raises(TypeError, match=r"train must be a Dataset, got tuple"):
        run(((data[0].x, data[0].y), None))


def test_evaluation_is_in_evaluation_mode(data, rng):
    model = mg.Sequential(
        mg.Linear(6, 8, seed=0), mg.BatchNorm1d(8), mg.Dropout(0.5, seed=0), mg.Linear(8, 3, seed=1)
    )
    run(data, 2, model)
    state = model.state_dict()
    first, second = (mg.evaluate(model, mg.CrossEntropyLoss(), data[1], 10) for _ in range(2))
    assert first == second == pytest.approx(mg.evaluate(model, mg.CrossEntropyLoss(), data[1], 33))
    after = model.state_dict()
    assert all(np.array_equal(state[key], after[key]) for key in state)


def test_fit_keeps_nothing_for_derivatives(data):
    _, model = run(data)
    with pytest.raises(RuntimeError, match="call forward"):
        model.backward(data[0].x)


def test_seconds_are_those_of_training_alone(data, monkeypatch):
    slept = []

    def slow(*arguments, **options):
        slept.append(time.sleep(0.1))
        return {"loss": 1.0, "accuracy": 0.5, "clean_accuracy": 0.5}

    monkeypatch.setattr("minigrad.evaluation._evaluate", slow)
    history, _ = run(data, epochs=2, step_callback=lambda step, loss: time.sleep(0.004))
    assert len(slept) == 4
    assert all(0.02 <= seconds < 0.1 for seconds in history.seconds)


def test_seeds_do_not_share_their_orders(data):
    """Epoch 2 of seed 0 must not be epoch 1 of seed 1, as it would be from seed + epoch."""
    orders = {}
    for seed in (0, 1):
        seen = orders[seed] = []

        class Spy(rules.Backprop):
            def estimate(self, model, loss, x, target, seen=seen):
                seen.append(mg.backend.to_host(x)[:, 0].copy())
                return super().estimate(model, loss, x, target)

        model = net()
        mg.fit(
            model,
            mg.CrossEntropyLoss(),
            Spy(),
            mg.SGD(model, 0.1),
            data[0],
            epochs=2,
            batch_size=35,
            seed=seed,
        )
    assert not np.array_equal(orders[0][2], orders[1][0])


def test_divergence_ends_cleanly_and_says_so(data):
    model = mg.Sequential(mg.Linear(6, 8, seed=0), mg.ReLU(), mg.Linear(8, 3, seed=1))
    history, _ = run(data, 50, model, mg.SGD(model, 1e30))
    assert history.stopped.startswith("diverged: the loss was")
    assert not np.isfinite(history.step_loss[-1])


def test_quiet_where_there_is_no_terminal_and_a_bar_where_asked(data, capsys):
    run(data)
    assert capsys.readouterr() == ("", "")
    run(data, progress=True, step_callback=lambda step, loss: time.sleep(0.02))
    shown = capsys.readouterr().err
    assert "step/s, loss " in shown
    assert "test accuracy" in shown


def test_float64_models_get_float64_data(data):
    history, model = run(data, model=net("float64"))
    assert model.params["0.W"].dtype == "float64"
    assert len(history.step_loss) == 15


def test_history_survives_saving(data, tmp_path):
    history, _ = run(data)
    history.step_loss += [float("nan"), float("inf")]
    path = tmp_path / "new" / "history.json"
    history.save(path)
    json.loads(path.read_text(), parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
    back = mg.History.load(path)
    assert back.step_loss[:-2] == history.step_loss[:-2]
    assert np.isnan(back.step_loss[-2])
    assert back.step_loss[-1] == float("inf")
    assert back.settings == history.settings
    assert back.settings["batch_size"] == 16
    assert [p.name for p in path.parent.iterdir()] == ["history.json"]
    assert path.stat().st_mode & 0o044 == (tmp_path / "new").stat().st_mode & 0o044
    assert back.settings["optimizer"].startswith("SGD(lr=0.5, momentum=0.5")


@pytest.mark.on_host
@pytest.mark.parametrize("text", ["", "[1, 2]", '{"epoch": []}', "{", "null", "number"])
def test_what_is_no_history_is_refused(text, tmp_path):
    path = tmp_path / "history.json"
    if text in ("null", "number"):
        mg.History().save(path)
        broken = {"null": "null", "number": '["x"]'}[text]
        text = path.read_text().replace('"epoch": []', f'"epoch": {broken}')
    path.write_text(text)
    with pytest.raises(ValueError, match=r"history\.json is not a saved History"):
        mg.History.load(path)


@pytest.mark.on_host
def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "results.json"
    write_json(path, {"a": np.float32(1.5), "b": np.arange(2), "c": (1, None)})
    with pytest.raises(TypeError):
        write_json(path, {"a": 1, "b": object()})
    assert json.loads(path.read_text()) == {"a": 1.5, "b": [0, 1], "c": [1, None]}
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    "options",
    [{"epochs": -1}, {"epochs": 1.5}, {"batch_size": 0}, {"evaluate_every": 0}],
)
def test_bad_settings_are_refused(data, options):
    with pytest.raises(ValueError, match="must be an integer"):
        run(data, **options)


def test_empty_sets_are_refused(data):
    empty = data[0].take(0)
    with pytest.raises(ValueError, match="train set is empty"):
        run((empty, None))
    with pytest.raises(ValueError, match="test set is empty"):
        run((data[0], empty))
    with pytest.raises(ValueError, match="empty data set"):
        mg.evaluate(net(), mg.CrossEntropyLoss(), empty)


def test_zero_epochs_measure_nothing(data):
    history, _ = run(data, epochs=0)
    assert history.epoch == history.step_loss == []


class Plain:
    """A rule by the contract's two methods alone."""

    def estimate(self, model, loss, x, target):
        return mg.rules.Backprop().estimate(model, loss, x, target)

    def end_epoch(self):
        pass


@pytest.mark.on_host
def test_a_rule_without_learning_rates_needs_no_rescale(data):
    model = net()
    optimizer = mg.SGD(model, 0.1)
    schedule = mg.StepLR(optimizer, 1)
    mg.fit(
        model,
        mg.CrossEntropyLoss(),
        Plain(),
        optimizer,
        data[0],
        epochs=1,
        batch_size=8,
        schedule=schedule,
    )
    assert optimizer.lr == pytest.approx(0.01)


@pytest.mark.on_host
def test_a_rule_used_again_begins_at_its_own_learning_rate(data):
    """A new schedule is at its start in the first epoch already, for the modules, too."""
    model = net()
    rule, seen = mg.rules.SyntheticGradients(model, lr=1e-2), []
    for _ in range(2):
        optimizer = mg.SGD(model, 0.1)
        mg.fit(
            model,
            mg.CrossEntropyLoss(),
            rule,
            optimizer,
            data[0],
            epochs=2,
            batch_size=8,
            schedule=mg.StepLR(optimizer, 1),
            step_callback=lambda step, value: seen.append(rule.modules[0].optimizer.lr),
        )
    steps = len(seen) // 4
    expected = [lr for lr in (1e-2, 1e-3) for _ in range(steps)] * 2
    assert seen == pytest.approx(expected)
