"""Look inside one step, in a real browser: stepping, keys, a weight, what a rule does instead."""

import pytest
from pages import opened, served

pytestmark = [pytest.mark.on_host, pytest.mark.slow]
LINK = "data=moons&hidden=4&activation=tanh&lanes=backprop,fa,forward"


@pytest.fixture(scope="module")
def address():
    with served() as found:
        yield found


@pytest.fixture(scope="module")
def page(address):
    with opened(address, calm=True) as browser:
        browser.until("Boolean(minigrad.context.slot('inside'))")
        yield browser


def text(page, selector):
    return page.value(f"document.querySelector({selector!r}).innerText")


def go(page, link):
    race = page.value("minigrad.state.race")
    page.value(f"location.hash = '#{link}'")
    page.until(f"minigrad.state.race > {race} && minigrad.state.settings.data === 'moons'")


def show(page):
    page.value("minigrad.context.open('inside')")
    page.until("document.querySelector('.inside-count').innerText.includes('/')")


def test_a_large_network_is_refused_and_a_button_makes_it_small(page):
    page.value("minigrad.context.open('inside')")
    page.until("!!document.querySelector('.inside-refused button')")
    assert "784 inputs" in text(page, ".inside-refused")
    page.click(".inside-refused button")
    page.until("minigrad.state.settings.data === 'moons'")
    page.until("document.querySelectorAll('.inside-left .inside-cell').length === 15")


def test_stepping_by_keys_buttons_and_slider(page):
    go(page, LINK)
    show(page)
    page.until("document.querySelector('.inside-title').innerText === 'The example comes in'")
    assert text(page, ".inside-count").startswith("1 /")
    page.press("ArrowRight")
    assert text(page, ".inside-title") == "The hidden layer, unit 1: the sum"
    said = page.value("[...document.querySelectorAll('.inside-says-left .inside-line')].length")
    assert said == 1
    page.click(".inside-bar [aria-label='Next step']")
    assert text(page, ".inside-count").startswith("3 /")
    page.press("End")
    assert text(page, ".inside-title") == "Both ways give the same slope"
    slope, other = (
        page.value(f"document.querySelector('.inside-says-{side} .inside-value').innerText")
        for side in ("left", "right")
    )
    assert slope == other
    page.picture("inside-end")
    page.click(".inside-phase-backward")
    assert text(page, ".inside-title").startswith("Back from the loss")
    page.press(" ")  # a button has the focus: it is pressed
    assert text(page, ".inside-title").startswith("Back from the loss")
    page.press("ArrowLeft")
    assert text(page, ".inside-title") == "The loss"
    assert not page.value("minigrad.state.playing")


def test_it_plays_and_stops_at_the_end(page):
    page.value("document.querySelector('.inside-bar select').value = 'fast'")
    page.press("End")
    page.press("ArrowLeft")
    page.click(".inside-bar [aria-label='Play the steps']")
    page.until(
        "document.querySelector('.inside-title').innerText === 'Both ways give the same slope'"
    )
    page.until("!!document.querySelector('.inside-bar [aria-label=\"Play the steps\"]')")


def test_the_formula_s_numbers_are_those_of_the_picture(page):
    """Each cell of the picture says what the list of steps says."""
    page.value("document.querySelector('.inside details').open = true")
    page.until("document.querySelectorAll('.inside-list li').length > 20")
    said = page.value("document.querySelector('.inside-list').innerText")
    assert "∂L/∂z(2)1 = p1 − y1" in said
    cells = page.value(
        "[...document.querySelectorAll('.inside-left .inside-text.inside-gradient')]"
        ".map(cell => cell.textContent).filter(Boolean).length"
    )
    assert cells == 2 * 4 + 2  # z and h of each hidden unit, z of each output
    page.value("document.querySelector('.inside details').open = false")


def test_a_click_on_a_weight_compares_three_gradients(page):
    page.value("document.querySelector('.inside-left .inside-edge').onclick()")
    page.until("!document.querySelector('.inside-weight-card').hidden")
    page.until("document.querySelectorAll('.inside-ways tr').length === 3")
    values = page.value("[...document.querySelectorAll('.inside-ways td')].map(td => td.innerText)")
    assert len(set(values)) == 1
    assert "agree in" in text(page, ".inside-verdict")
    page.picture("inside-weight")
    page.click(".inside-weight-card [aria-label='Close the comparison']")


def test_what_feedback_alignment_does_instead(page):
    page.value(
        "(of => { of.value = '1'; of.onchange(); })(document.querySelector('.inside select'))"
    )
    page.until("!document.querySelector('.inside-instead').hidden")
    assert "fixed random numbers B" in text(page, ".inside-instead")
    page.click(".inside-instead button")
    page.until("document.querySelector('.inside-instead button').innerText === 'Show backprop'")
    page.press("End")
    assert text(page, ".inside-title") == "How far is it from the gradient?"
    page.picture("inside-alignment")


def test_the_loss_surface_has_each_lane_s_way(page):
    page.value("[...document.querySelectorAll('.inside-tabs button')].at(-1).click()")
    page.until("document.querySelectorAll('.inside-legend li').length === 3")
    assert page.value("document.querySelectorAll('.inside-way').length") == 3
    assert "two random directions" in text(page, ".inside-surface-words")
    page.value("minigrad.context.send({do: 'step'})")
    page.until("minigrad.state.step === 1")
    page.value("[...document.querySelectorAll('.inside-tabs button')].at(-1).click()")
    page.until("/hold \\d+ %/.test(document.querySelector('.inside-surface-words').innerText)")
    page.picture("inside-surface")
    page.value("document.querySelector('.inside-tabs button').click()")
    page.until("!document.querySelector('.inside-again').hidden")  # the network has moved on
    page.click(".inside-again")
    page.until("document.querySelector('.inside-note').innerText === 'at step 1'")


def test_another_example_and_closing(page):
    page.click(".inside-stepper [aria-label='Next example']")
    page.until("document.querySelector('.inside-example').innerText.startsWith('Example 2 ')")
    page.click(".inside-graph .inside-plane")
    page.until("!document.querySelector('.inside-example').innerText.startsWith('Example 2 ')")
    names = {name for role, name in page.controls() if role in ("button", "combobox", "slider")}
    assert {"Next step", "Previous step", "Step", "Direction", "What goes back"} <= names
    assert all(names)
    page.press("Escape")
    page.until("!minigrad.context.isOpen('inside')")
