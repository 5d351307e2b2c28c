"""The page of `minigrad live` in a real browser: a server trains, and a hand works the page.

It is skipped where there is no Chromium. With MINIGRAD_BROWSER=required that is an error.
MINIGRAD_BROWSER_PICTURES names a folder for pictures of the page.
"""

import time
from urllib.parse import urlsplit

import pytest
from pages import opened, served
from test_report_browser import contrast

pytestmark = [pytest.mark.on_host, pytest.mark.slow]

STATE = "minigrad.state"
SIZES = {"large": (1920, 1080), "projector": (1280, 720), "phone": (390, 844)}
SLIDER = ".lane[data-look='0'] input[type=range]"
# A lane that must run away, and one that must not.
WILD = "activation=leakyrelu&lanes=backprop~lr:.1,backprop~lr:10"


@pytest.fixture(scope="module")
def address():
    with served() as found:
        yield found


@pytest.fixture(scope="module")
def page(address):
    with opened(address) as browser:
        yield browser
        hosts = {urlsplit(request).netloc for request in browser.requests()}
        assert hosts == {urlsplit(address).netloc}


def steps(page):
    return page.value(f"{STATE}.step")


def pause(page):
    if page.value(f"{STATE}.playing"):
        page.click("#play")
        page.until(f"!{STATE}.playing")


def play(page, more=3):
    """Play until there are some more steps."""
    before = steps(page)
    if not page.value(f"{STATE}.playing"):
        page.click("#play")
    page.until(f"{STATE}.step >= {before + more}")


def step_to(page, step):
    """One step more, by its key. A frame may say the step before it has the points of it."""
    page.press("s")
    last = f"{STATE}.lanes.every(lane => lane.points.step.at(-1) == {step})"
    page.until(f"{STATE}.step == {step} && {last}")


def go(page, settings):
    """Open a link to other settings."""
    before = page.value(f"{STATE}.race")
    page.value(f"location.hash = {settings!r}")
    page.until(f"{STATE}.race > {before}")


def test_every_control_has_a_name(page):
    page.ask("Accessibility.enable")
    page.click("#set-up")
    controls = page.controls()
    page.press("Escape")
    assert page.value("document.getElementById('drawer').hidden")
    assert len(controls) > 15
    assert all(name for _, name in controls), controls


def test_play_pause_and_step(page):
    assert page.value("document.getElementById('play').textContent") == "Play"
    play(page)
    assert page.value("document.getElementById('play').textContent") == "Pause"
    pause(page)
    at = steps(page)
    page.click("#step")
    page.until(f"{STATE}.step == {at + 1}")
    step_to(page, at + 2)
    page.until(f"document.getElementById('count').textContent.replace(/\\D/g, '') == {at + 2}")


def test_restart_gives_the_same_again_and_a_new_seed_does_not(page):
    pause(page)

    def losses(key):
        before = page.value(f"{STATE}.race")
        page.press(key)
        page.until(f"{STATE}.race > {before} && {STATE}.step == 0")
        for at in (1, 2):
            step_to(page, at)
        return page.value(f"{STATE}.lanes.map(lane => lane.points.loss)")

    first, again, other = losses("r"), losses("r"), losses("n")
    assert first == again
    assert first != other


def test_every_preset_runs(page):
    names = page.value(f"{STATE}.hello.presets.map(preset => preset.title)")
    assert len(names) >= 5
    for name in names[:5]:
        before = page.value(f"{STATE}.race")
        page.click("#preset")
        page.value(
            f"[...document.querySelectorAll('.menu-item')]"
            f".find(item => item.textContent.startsWith({name!r})).click()"
        )
        page.until(f"{STATE}.race > {before}")
        # What one should see stays on the page.
        page.until(f"document.getElementById('goal').innerText.startsWith({name + '. '!r})")
        play(page)
        lanes = page.value(f"{STATE}.lanes.length")
        assert page.value("document.querySelectorAll('.lane').length") == lanes
        assert page.value(f"{STATE}.lanes.some(lane => lane.points.loss.length)")
        pause(page)
        page.picture(f"preset-{names.index(name)}")
    page.click("#goal button")
    page.until("document.getElementById('goal').hidden")


def test_a_slider_shows_at_once_and_acts_on_the_next_step(page):
    go(page, "data=moons&hidden=8&lanes=backprop~lr:.1,fa~lr:.1")
    pause(page)
    page.value(
        "window.shown = null; document.querySelector("
        f"\"{SLIDER}\").addEventListener('input', () => {{ const since = performance.now();"
        "requestAnimationFrame(() => { window.shown = performance.now() - since; }); })"
    )
    page.value(f'document.querySelector("{SLIDER}").focus()')
    for _ in range(5):
        page.press("ArrowRight")
    page.until("window.shown !== null")
    assert page.value("window.shown") < 100
    number = page.value("document.querySelector('.lane[data-look=\"0\"] input.number').value")
    assert float(number) > 0.15
    page.until(f"{STATE}.lanes[0].lr == {number}")
    assert page.value(f"{STATE}.lanes[1].lr") == 0.1
    page.until(f"location.hash.includes('lr:{number}') || location.hash.includes({number[1:]!r})")
    # The step after that is another one than with the rate of before.
    step_to(page, 1)
    step_to(page, 2)
    fast = page.value(f"{STATE}.lanes[0].points.loss")
    page.press("r")
    page.until(f"{STATE}.step == 0")
    step_to(page, 1)
    step_to(page, 2)
    assert page.value(f"{STATE}.lanes[0].points.loss") == fast


def test_a_wrong_number_is_told_at_its_control(page):
    pause(page)
    number = ".lane[data-look='0'] input.number"
    page.value(f'document.querySelector("{number}").select()')
    page.write("much")
    page.press("Enter")
    error = page.until("document.querySelector('.lane .error').textContent")
    assert "number" in error
    page.value(f'document.querySelector("{number}").select()')
    page.write("1e9")
    page.press("Enter")
    page.until("/from|to/.test(document.querySelector('.lane .error').textContent)")
    page.press("Escape")


def test_what_was_set_is_there_after_a_reload_and_after_going_back(page):
    go(page, "data=moons&hidden=6&seed=3&lanes=backprop~lr:.1,fa~lr:.2")
    pause(page)
    for at in (1, 2, 3):
        step_to(page, at)
    losses = page.value(f"{STATE}.lanes.map(lane => lane.points.loss)")
    text = page.value("location.hash")
    page.reload()
    page.until(f"window.minigrad && {STATE}.step == 3 && {STATE}.lanes[0].points.loss.length")
    assert page.value(f"{STATE}.lanes.map(lane => lane.points.loss)") == losses
    assert page.value("location.hash") == text
    go(page, "data=xor&hidden=6&lanes=backprop~lr:.1")
    page.value("history.back()")
    page.until(f"{STATE}.settings.data == 'moons' && {STATE}.settings.seed == 3")


def test_a_lane_leads_to_its_lesson(page):
    page.click("#explain")
    link = "document.querySelector('.lane a')"
    assert page.value(f"{link}.offsetHeight") > 0
    lesson = page.value(f"fetch({link}.href).then(answer => answer.text())")
    assert "01 Gradients by hand" in lesson[:40]
    page.click("#explain")


def test_two_tabs_see_one_race(page, address):
    go(page, "data=circles&hidden=6&lanes=backprop~lr:.1,fa~lr:.2")
    pause(page)
    with page.tab(address):
        page.until(f"window.minigrad && {STATE}.race > 0")
        assert page.value(f"{STATE}.settings.data") == "circles"
        page.click("#step")
        page.until(f"{STATE}.step == 1")
    page.until(f"{STATE}.step == 1")


def test_a_lane_that_diverged_says_so_and_the_others_go_on(page):
    go(page, WILD)
    page.click("#play") if not page.value(f"{STATE}.playing") else None
    page.until(f"{STATE}.lanes[1].status == 'diverged'")
    page.until("document.querySelectorAll('.lane')[1].textContent.includes('diverged')")
    assert "diverged" in page.value("document.getElementById('spoken').textContent")
    before = page.value(f"{STATE}.lanes[0].points.step.at(-1)")
    page.until(f"{STATE}.lanes[0].points.step.at(-1) > {before}")
    pause(page)


def test_lanes_are_added_and_removed(page):
    go(page, "data=moons&hidden=6&lanes=backprop~lr:.1,fa~lr:.2")
    page.click("#add")
    page.value("document.querySelector('.menu:not([hidden]) .menu-item:not(:disabled)').click()")
    page.until(f"{STATE}.lanes.length == 3")
    page.click(".lane[data-look='1'] header button")
    page.until(f"{STATE}.lanes.length == 2")


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits(page, name, dark):
    width, height = SIZES[name]
    if not dark and name == "large":
        go(page, "lanes=backprop,cdni,activities,forward~lr:.01,top-layer,fa")
        play(page, 60)
        pause(page)
    page.viewport(width, height, dark=dark, touch=name == "phone")
    page.until(f"innerWidth == {width}")
    page.until(f"document.documentElement.scrollWidth <= {width}")  # drawn anew in this size
    page.picture(f"page-{name}-{'dark' if dark else 'light'}")
    boxes = page.value(
        "[...document.querySelectorAll('.plot, .lane h2, .lane input')].map(node => "
        "{ const box = node.getBoundingClientRect(); return [box.left, box.right]; })"
    )
    assert all(left >= 0 and right <= width for left, right in boxes)
    if name == "projector":
        assert page.value("parseFloat(getComputedStyle(document.body).fontSize)") >= 18
    if name == "phone":
        small = page.value(
            "[...document.querySelectorAll('button, select')].filter(node => node.offsetHeight"
            " && node.offsetHeight < 44).map(node => node.id || node.textContent)"
        )
        assert not small
    if (name, dark) == ("phone", True):
        page.viewport(1280, 720)


@pytest.mark.parametrize("dark", [False, True])
def test_letters_stand_out(page, dark):
    page.viewport(1280, 720, dark=dark)
    colour = "getComputedStyle({}).color"
    card = page.value("getComputedStyle(document.querySelector('.lane')).backgroundColor")
    letters = page.value(
        f"[...document.querySelectorAll('.lane h2, dt, .slider label, .menu-about, h2 small')]"
        f".map(node => {colour.format('node')})"
    )
    assert len(set(letters)) >= 7
    assert min(contrast(found, card) for found in letters) >= 4.5
    # A button that was just clicked is under the pointer still.
    page.click("#explain")
    look = "getComputedStyle(document.getElementById('explain'))"
    both = page.value(f"[{look}.color, {look}.backgroundColor]")
    assert contrast(*both) >= 4.5
    page.click("#explain")
    page.viewport(1280, 720)


def test_keys(page):
    pause(page)
    page.value("document.activeElement.blur()")
    page.press("?", shift=True)
    page.until("document.getElementById('help').open")
    page.press("Escape")
    page.until("!document.getElementById('help').open")
    page.press(" ")
    page.until(f"{STATE}.playing")
    page.press(" ")
    page.until(f"!{STATE}.playing")
    page.press("l")
    page.until("document.getElementById('log').checked")
    page.press("l")
    page.press("x")
    page.until("document.querySelector('#units input:checked').value == 'cost'")
    page.press("x")
    page.press("x")
    # Tab reaches the transport, the curves' switches and each lane's slider.
    page.value("document.activeElement.blur()")
    reached = set()
    for _ in range(60):
        page.press("Tab")
        reached.add(page.value("document.activeElement.id || document.activeElement.className"))
    assert {"play", "step", "restart", "preset", "data", "speed", "log", "explain"} <= reached
    assert page.value(
        "[...document.querySelectorAll('.lane input')].every(input => input.tabIndex == 0)"
    )


def test_a_frame_costs_the_page_little(page):
    assert page.value(f"{STATE}.lanes.length") == 6
    play(page, 10)
    since = time.monotonic()
    page.value("minigrad.timings.length = 0")
    page.until("minigrad.timings.length >= 20")
    pause(page)
    times = sorted(page.value("minigrad.timings"))
    # Others may have the processor for a while: the quicker ones say what a frame costs.
    assert times[len(times) // 4] < 8, (times, time.monotonic() - since)
