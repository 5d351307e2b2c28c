"""The thread that trains: its orders, its pace, and how much of the time it keeps."""

import threading
import time

import pytest

from minigrad.backend import to_host
from minigrad.live import sets
from minigrad.live.budget import LOOKS, POINTS, RATE, Budget
from minigrad.live.race import NOTHING
from minigrad.live.settings import LaneSettings, Settings
from minigrad.live.worker import Worker

PLANE = Settings(data="moons", hidden=(6,), lanes=(LaneSettings(), LaneSettings("fa")))


@pytest.fixture
def worker():
    made = []

    def start(settings=PLANE, **attributes):
        worker = Worker(settings)
        vars(worker).update(attributes)
        worker.start()
        made.append(worker)
        return worker

    yield start
    for one in made:
        one.end()
        one.join(5)
        assert not one.is_alive()


def order(worker, act, *given):
    return worker.call(lambda worker: act(worker, *given)).result(10)


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def weights(worker):
    return to_host(worker.race.lanes[0].model.params["1.W"]).copy()


def test_play_pause_step_and_restart(worker):
    one = worker()
    assert one.race.done == 0
    order(one, Worker.single)
    assert [lane.why for lane in one.race.lanes] == [None, None]
    assert [lane.done for lane in one.race.lanes] == [1, 1]
    order(one, Worker.play, True)
    until(lambda: one.race.done > 20)
    order(one, Worker.play, False)
    done = one.race.done
    assert [lane.done for lane in one.race.lanes] == [done, done]
    assert one.frame()[0]["lanes"][1]["points"]["step"][-1] == done
    for _ in range(3):
        order(one, Worker.single)
    assert one.race.done == done + 3
    first = order(one, weights)
    order(one, Worker.restart)
    assert (one.race.number, one.race.done, one.playing) == (2, 0, False)
    for _ in range(done + 3):
        order(one, Worker.single)
    assert (order(one, weights) == first).all()
    order(one, Worker.restart, 7)
    assert one.race.settings.seed == 7
    assert order(one, Worker.restart_anew) == one.race.settings.seed


@pytest.mark.on_host
def test_a_race_that_cannot_be_made_is_an_error_at_the_start(monkeypatch):
    monkeypatch.setattr(sets.mnist, "find", lambda: None)
    one = Worker(Settings(data="mnist"))
    with pytest.raises(ValueError, match="MNIST is not on this computer"):
        one.start()
    one.join(5)
    assert not one.is_alive()


@pytest.mark.on_host
def test_errors_in_orders_are_answers(worker):
    one = worker()
    for act, given, said in (
        (Worker.set_rate, (2, 0.1), "there are lanes 0 to 1"),
        (Worker.set_rate, (0, -1.0), "lr must be a number"),
        (Worker.set_option, (0, "lr", 1), "options are directions and"),
        (Worker.set_option, (0, "directions", 2), "backprop has no directions"),
        (Worker.set_speed, (0,), "speed must be a number from"),
        (Worker.set_show, (["everything"],), "views are cosine"),
        (Worker.set_show, ([], "9"), "layer '9' has no hidden units"),
        (Worker.restart, (-1,), "seed must be a whole number"),
    ):
        with pytest.raises(ValueError, match=said):
            order(one, act, *given)
    with pytest.raises(ZeroDivisionError):
        order(one, lambda worker: 1 / 0)
    order(one, Worker.single)
    assert one.race.done == 1


class Slow:
    """A rule whose estimates wait until they are told."""

    def __init__(self, rule):
        self.rule = rule
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, *given):
        self.begun.release()
        assert self.go.acquire(timeout=10)
        return type(self.rule).estimate(self.rule, *given)


@pytest.mark.on_host
def test_an_order_waits_for_one_step_alone(worker):
    """A slider moved in lane 0's step acts before lane 1's step of the same round."""
    one = worker()
    slow = [Slow(lane.rule) for lane in one.race.lanes]
    for lane, rule in zip(one.race.lanes, slow, strict=True):
        lane.rule.estimate = rule
    one.call(lambda worker: worker.play(True))
    assert slow[0].begun.acquire(timeout=10)
    moved = one.call(lambda worker: worker.set_rate(1, 0.7))
    paused = one.call(lambda worker: worker.play(False))
    slow[0].go.release()
    moved.result(10)
    assert slow[1].begun.acquire(timeout=10)
    assert one.race.lanes[1].optimizer.lr == 0.7
    slow[1].go.release()
    paused.result(10)
    assert [lane.done for lane in one.race.lanes] == [1, 1]
    one.end()
    one.join(5)
    assert not one.is_alive()
    with pytest.raises(RuntimeError, match="the race has ended"):
        order(one, Worker.single)


@pytest.mark.on_host
def test_a_pace_is_kept_and_delays_no_order(worker):
    one = worker()
    order(one, Worker.set_speed, 50.0)
    since = time.monotonic()
    order(one, Worker.play, True)
    until(lambda: one.race.done >= 15)
    assert 0.26 < time.monotonic() - since < 1.5
    order(one, Worker.set_speed, 0.1)
    since = time.monotonic()
    done = one.race.done
    for _ in range(5):
        order(one, Worker.set_rate, 0, 0.2)
    order(one, Worker.play, False)
    assert time.monotonic() - since < 1
    assert one.race.done <= done + 1
    assert one.frame()[0]["speed"] == 0.1


@pytest.mark.on_host
def test_at_a_slow_pace_every_round_is_shown_at_once(worker):
    one = worker()
    order(one, Worker.set_show, ["regions"])
    order(one, Worker.set_speed, 0.1)
    order(one, Worker.play, True)

    def shown():
        lanes = one.frame()[0]["lanes"]
        done = [lane["points"]["step"][-1:] for lane in lanes]
        return done == [[1], [1]] and [lane["views"]["regions"]["at"] for lane in lanes] == [1, 1]

    until(shown, 5)


@pytest.mark.on_host
@pytest.mark.parametrize("how", ["new", "paused", "closed", "slow", "over"])
def test_who_waits_uses_no_time(worker, how):
    one = worker(
        Settings(data="moons", hidden=(), lanes=(LaneSettings("cdni"),)) if how == "over" else PLANE
    )
    used = []
    one.call(lambda worker: used.append(time.thread_time())).result(10)
    if how == "slow":
        order(one, Worker.set_speed, 0.1)
    if how != "new":
        order(one, Worker.play, True)
    if how == "paused":
        order(one, Worker.play, False)
    if how == "closed":
        order(one, Worker.watch, False)
    done = one.race.done
    one.call(lambda worker: used.append(time.thread_time())).result(10)
    time.sleep(0.15)
    one.call(lambda worker: used.append(time.thread_time())).result(10)
    assert used[2] - used[1] < 0.015
    assert one.race.done <= done + 1
    if how == "closed":
        order(one, Worker.watch, True)
        until(lambda: one.race.done > done)


@pytest.mark.on_host
def test_views_come_as_they_are_asked_for(worker):
    one = worker()
    order(one, Worker.single)
    order(one, Worker.set_show, ["regions", "units"], "1")
    frame, known = one.frame()
    assert all(set(lane["views"]) == {"regions", "units"} for lane in frame["lanes"])
    assert all(lane["views"] == {} for lane in one.frame(known)[0]["lanes"])
    order(one, Worker.set_show, ["regions"])
    order(one, Worker.play, True)
    until(lambda: all(lane["views"] for lane in one.frame(known)[0]["lanes"]))
    assert set(one.frame(known)[0]["lanes"][0]["views"]) == {"regions"}
    order(one, Worker.load, Settings(data="xor", hidden=(3, 3)))
    frame, known = one.frame(known)
    assert frame["race"] == 2
    assert "regions" in frame["lanes"][0]["views"]
    assert one.playing
    assert one.frame(NOTHING)[0]["lanes"][0]["from"] == 0


@pytest.mark.on_host
def test_changed_is_told_of_points_and_orders(worker):
    told = threading.Semaphore(0)
    one = worker(changed=told.release)
    order(one, Worker.single)
    assert told.acquire(timeout=10)
    order(one, Worker.play, True)
    for _ in range(4):
        assert told.acquire(timeout=10)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.on_host
@pytest.mark.parametrize(
    "costs", [{POINTS: 0.003, "a": 0.02, "b": 0.1, "c": 0.0001}, {POINTS: 0.4}]
)
def test_training_keeps_its_time_however_much_is_shown(costs):
    clock = Clock()
    budget = Budget(clock)
    spent = dict.fromkeys(costs, 0.0)
    often = dict.fromkeys(costs, 0)
    training = 0.0
    while clock.now < 60:
        due = budget.due(costs)
        if not due:
            clock.now += 0.001
            training += 0.001
            continue
        since = clock.now
        clock.now += costs[due[0]]
        spent[due[0]] += costs[due[0]]
        often[due[0]] += 1
        budget.spent(due[0], since, len(costs) - 1)
    assert training > 0.8 * clock.now
    assert often[POINTS] / clock.now > (15 if costs[POINTS] < 0.005 else 0.15)
    assert all(count > 10 for name, count in often.items() if name != POINTS)


@pytest.mark.on_host
def test_one_long_measurement_is_no_long_pause():
    clock = Clock()
    budget = Budget(clock)
    for cost in [0.001] * 10 + [0.1]:
        since = clock.now
        clock.now += cost
        budget.spent(POINTS, since)
        clock.now += 1
    assert budget.due([POINTS]) == [POINTS]


@pytest.mark.on_host
def test_nothing_is_measured_more_often_than_it_can_be_seen(worker, monkeypatch):
    often = {"points": 0, "weights": 0}
    one = worker(show=frozenset({"weights"}))
    race = one.race
    add, look = race.add_points, race.look

    def counted(name, act, *given):
        often[name] += 1
        act(*given)

    monkeypatch.setattr(race, "add_points", lambda: counted("points", add))
    monkeypatch.setattr(race, "look", lambda name, lane: counted(name, look, name, lane))
    since = time.perf_counter()
    order(one, Worker.play, True)
    until(lambda: often["points"] >= 8 and often["weights"] >= 8)
    most = time.perf_counter() - since
    assert often["points"] <= RATE * most + 2
    assert often["weights"] <= LOOKS * len(race.lanes) * most + 2
