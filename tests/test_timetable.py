"""The timetable of blocks, calculated: locked blocks take turns, decoupled ones form a pipeline."""

import pytest

from minigrad.asynchronous import timetable

pytestmark = pytest.mark.on_host
MS = {"forward": 1e-3, "backward": 2e-3, "module": 0.5e-3}


def test_locked_blocks_take_turns():
    line = timetable(4, 10, locked=True, **MS)
    assert line.seconds == pytest.approx(10 * 4 * 3e-3)
    assert line.at_work == pytest.approx(1)
    assert line.overlap == pytest.approx(0)
    assert line.ahead == 0


def test_decoupled_blocks_form_a_pipeline():
    line = timetable(4, 10, locked=False, **MS)
    # the top block begins after three forward passes, and block 3 sets the pace of 3.5 ms
    assert line.seconds == pytest.approx(3e-3 + 9 * 3.5e-3 + 3e-3)
    assert line.at_work == pytest.approx((3 * 35 + 30) / 37.5)
    assert line.ahead == 0  # block 4 begins 3 ms after block 1, which needs 3.5 ms
    assert timetable(6, 10, locked=False, **MS).ahead == 1
    assert timetable(4, 10, locked=False, **MS).events[3][:, 0].max() == 1  # it has no module


def test_one_block_has_nobody_to_wait_for():
    both = [timetable(1, 5, locked, **MS).events[0] for locked in (True, False)]
    assert (both[0] == both[1]).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"blocks": 0}, "blocks must be"),
        ({"batches": 1.5}, "batches must be"),
        ({"forward": -1}, "takes 0 seconds or more"),
    ],
)
def test_what_cannot_be(given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        timetable(**{"blocks": 4, "batches": 2, "locked": True} | MS | given)
