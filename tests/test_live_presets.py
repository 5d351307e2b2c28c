"""Each race that has a name shows what it says.

`python tests/test_live_presets.py` looks at all of them, from three starts; it takes minutes. The
tests look at those that are short.
"""

from dataclasses import replace

import numpy as np
import pytest

from minigrad.live import catalogue
from minigrad.live.presets import PRESETS, described
from minigrad.live.race import Race
from minigrad.live.settings import Settings

pytestmark = pytest.mark.on_host


class Seen:
    """A race at some steps: accuracies and losses of the lanes by the step."""

    def __init__(self, name, seed, *steps):
        race = Race(replace(PRESETS[name].settings, seed=seed))
        self.accuracy, self.loss = {}, {}
        for step in steps:
            while race.done < step:
                race.round()
            self.accuracy[step] = [lane.accuracy() for lane in race.lanes]
            self.loss[step] = [np.mean(lane.losses[-50:]) for lane in race.lanes]
        self.status = [lane.status for lane in race.lanes]


def five_ways(seed):
    a = Seen("five-ways", seed, 300).accuracy[300]
    assert a == sorted(a, reverse=True)
    assert (np.array(a) >= [0.95, 0.83, 0.7, 0.5, 0.3]).all()
    assert np.diff(a).max() < -0.04


def scale_trap(seed):
    seen = Seen("scale-trap", seed, 300)
    a = seen.accuracy[300]
    assert seen.status[4] == "diverged"
    assert a[0] > a[1] + 0.3
    assert a[3] > a[2] + 0.05
    assert a[5] > 0.3


def directions(seed):
    a = Seen("directions", seed, 600).accuracy[600]
    assert a[0] < 0.3
    assert a[1] > 0.6
    assert a[2] > 0.85


def double_softmax(seed):
    seen = Seen("double-softmax", seed, 300, 600)
    a, b = seen.accuracy[300], seen.accuracy[600]
    assert a[0] > a[2] > a[1]
    assert b[2] > b[1]
    assert min(seen.loss[600][1:]) > 1.46 > 0.2 > seen.loss[600][0]


def large_step(seed):
    seen = Seen("large-step", seed, 300)
    a = seen.accuracy[300]
    assert seen.status == ["running"] * 3 + ["diverged"]
    assert a[1] > 0.95
    assert max(a[0], a[2]) < 0.7


def moons(seed):
    seen = Seen("moons", seed, 300, 3000)
    first = seen.accuracy[300]
    assert first[0] > 0.95
    assert first[0] == max(first)
    assert min(seen.accuracy[3000]) > 0.95


def spirals(seed):
    seen = Seen("spirals", seed, 300, 3000)
    first = seen.accuracy[300]
    assert first[0] > 0.95
    assert max(first[1:]) < 0.85
    assert min(seen.accuracy[3000]) > 0.8


def circles(seed):
    a = Seen("circles", seed, 300).accuracy[300]
    assert min(a[:2]) > 0.9
    assert a[2] < 0.85


def xor(seed):
    seen = Seen("xor", seed, 300, 3000)
    assert seen.accuracy[300][0] > 0.9
    assert seen.accuracy[300][2] < 0.9 < seen.accuracy[3000][2]


def label_noise(seed):
    seen = Seen("label-noise", seed, 200, 1500)
    early, late = seen.accuracy[200], seen.accuracy[1500]
    assert late[0] < early[0] - 0.03
    assert seen.loss[1500][0] < seen.loss[200][0] - 0.3
    assert late[2] > max(early[2], late[0]) + 0.02


CLAIMS = {
    "five-ways": five_ways,
    "scale-trap": scale_trap,
    "directions": directions,
    "double-softmax": double_softmax,
    "large-step": large_step,
    "moons": moons,
    "spirals": spirals,
    "circles": circles,
    "xor": xor,
    "label-noise": label_noise,
}


@pytest.mark.parametrize("name", ["five-ways", "large-step", "circles"])
def test_what_a_preset_says_is_seen(name):
    CLAIMS[name](0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scale-trap", "double-softmax"])
def test_what_a_longer_preset_says_is_seen(name):
    CLAIMS[name](0)


def test_presets_are_plain_data_for_a_page():
    assert set(CLAIMS) == set(PRESETS)
    for found in described():
        assert Settings.from_dict(found["settings"]) == PRESETS[found["name"]].settings
        assert Settings.from_text(PRESETS[found["name"]].settings.to_text()).lanes
        assert found["about"].endswith(".")
    assert [found["name"] for found in catalogue.hello()["presets"]] == list(PRESETS)


if __name__ == "__main__":
    for name, claim in CLAIMS.items():
        for seed in (0, 1, 2):
            claim(seed)
            print(f"{name}, seed {seed}: seen", flush=True)
