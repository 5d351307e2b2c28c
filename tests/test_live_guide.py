"""Tours and texts on the page, in a real browser. See test_live_page.py."""

import json

import pytest
from test_live_page import address, page  # noqa: F401  (fixtures)

from minigrad.live.tours import ALL

pytestmark = [pytest.mark.on_host, pytest.mark.slow]
KICKER = "document.querySelector('.tours-kicker')?.textContent"


def text(page, selector):  # noqa: F811
    return page.value(f"document.querySelector({json.dumps(selector)}).textContent")


def test_a_tour_sets_up_plays_says_and_restores(page):  # noqa: F811
    tour = next(one for one in ALL if one.name == "two-softmaxes")
    now = "JSON.stringify([minigrad.state.settings, minigrad.context.isOpen('weights')])"
    page.until("minigrad.context.isOpen('weights')")
    before = page.value(now)
    page.press("t")
    page.until("document.querySelectorAll('.tours-choice').length === 5")
    page.click(f".tours-list li:nth-child({ALL.index(tour) + 1}) button")
    page.until("minigrad.state.lanes.length === 2 && minigrad.state.lanes[1].softmax_twice")
    page.until("document.activeElement.textContent === " + json.dumps(tour.steps[0].title))
    page.press("ArrowRight")
    page.until(f"{KICKER}.endsWith('step 2 of 7')")
    page.until("document.querySelectorAll('.tours-seen li').length === 2", 60)
    assert text(page, ".tours-seen li") == tour.steps[1].seen[0].sentence()
    page.until("!minigrad.state.playing")
    assert 100 <= page.value("minigrad.state.step") < 400
    assert page.value("document.querySelector('figure.tours-target #chart-accuracy') !== null")
    page.picture("tour")
    # Step 3 looks at recall, and hides nothing of the card that it points at.
    page.click(".tours-next")
    page.until("minigrad.context.isOpen('recall') && !minigrad.context.isOpen('weights')")
    page.until("document.querySelector('.tours-target')?.classList.contains('lane')")
    overlap = """(() => {
        const a = document.querySelector('.tours-panel').getBoundingClientRect();
        const b = document.querySelector('.tours-target').getBoundingClientRect();
        return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    })()"""
    assert not page.value(overlap)
    page.press("ArrowLeft")
    page.until(f"{KICKER}.endsWith('step 2 of 7')")
    page.press("Escape")
    page.until(f"{now} === {json.dumps(before)}")
    assert page.value("document.querySelector('.tours-panel').hidden")


def test_who_does_not_wait_sees_nothing_too_early(page):  # noqa: F811
    page.press("t")
    page.until("document.querySelectorAll('.tours-choice').length === 5")
    page.click(".tours-list li:nth-child(2) button")
    page.until(f"{KICKER}?.endsWith('step 1 of 7')")
    page.press("ArrowRight")
    page.until("minigrad.state.playing && minigrad.state.step > 2 && minigrad.state.step < 60")
    page.press("ArrowRight")  # step 3 looks at step 100 of the race, too
    page.until(f"{KICKER}.endsWith('step 3 of 7')")
    page.until("document.querySelectorAll('.tours-seen li').length === 2", 60)
    assert page.value("minigrad.state.step") >= 100
    race = page.value("minigrad.state.race")
    page.press("Escape")
    page.until("document.querySelector('.tours-panel').hidden")
    page.until(f"minigrad.state.race > {race}")  # the one before the tour is back


def test_the_text_of_a_lane(page):  # noqa: F811
    page.press("c")
    page.until("document.querySelector('.code-text code').textContent.includes('mg.fit(')")
    page.click(".code-copy")
    page.until("document.querySelector('.code-copy').textContent === 'Copied'")
    page.click(".code-tabs button:nth-child(2)")
    page.until("document.querySelector('.code-text code').textContent.includes('nn.Linear(')")
    page.picture("code")
    page.value("minigrad.context.close('code')")
