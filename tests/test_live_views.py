"""What one looks at in the lanes of `minigrad live`, in a real browser, and a digit that is drawn.

The race is made once more in Python. What the page shows of it at a step is compared with the
networks themselves: pixels, numbers and words.
It is skipped where there is no Chromium. With MINIGRAD_BROWSER=required that is an error.
MINIGRAD_BROWSER_PICTURES names a folder for pictures of the page.
"""

import base64
import json
import re

import numpy as np
import pytest
from pages import opened, served
from strokes import STROKES

from minigrad import metrics
from minigrad.live import drawing
from minigrad.live.race import Race
from minigrad.live.settings import Settings

pytestmark = [pytest.mark.on_host, pytest.mark.slow]

DIGITS = "data=digits&hidden=16&lanes=backprop~lr:.1,ff~lr:.05"
PLANE = "data=moons&hidden=6&activation=tanh&label-noise=.1&lanes=backprop~lr:.5,top-layer~lr:.5"
PIXELS = """(canvas => {
    const {width, height} = canvas;
    const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    return [width, height, btoa(data.reduce((text, byte) => text + String.fromCharCode(byte), ""))];
})"""


@pytest.fixture(scope="module")
def address():
    with served(DIGITS) as found:
        yield found


@pytest.fixture(scope="module")
def page(address):
    with opened(address, 1280, 1000) as browser:
        yield browser


def look_at(page, *names):
    """Show these views and no others. Their files may still be on the way."""
    for name in ("regions", "units", "weights", "cosine", "recall", "draw"):
        if name in names:
            context = "minigrad.context"
            page.until(f"({context}.open('{name}'), {context}.isOpen('{name}'))")
        else:
            page.value(f"void minigrad.context.close('{name}')")


def train(page, steps, *names):
    """Train, and pause when all views are of the last step. Returns the same race in Python."""
    page.value("void minigrad.context.send({do: 'play', on: true})")
    page.until(f"minigrad.state.step >= {steps}")
    page.value("minigrad.context.send({do: 'play', on: false}).then(() => 0)")
    page.until("!minigrad.state.playing")
    shown = json.dumps(names)
    page.until(
        f"minigrad.state.lanes.every(lane => {shown}.every("
        "name => lane.views[name]?.at === minigrad.state.step))"
    )
    state = page.value("[minigrad.state.address, minigrad.state.step]")
    race = Race(Settings.from_text(state[0]))
    for _ in range(state[1]):
        race.round()
    return race


def pixels(page, lane, view, selector="canvas"):
    """(height, width, 4) of a canvas in a lane's card."""
    slot = f"document.querySelectorAll('.slot-{view}')[{lane}].querySelector('{selector}')"
    width, height, data = page.value(f"{PIXELS}({slot})")
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)


def told(page, lane, view, selector, part):
    """Words for screen readers come once a second at most: wait for these."""
    slot = f"document.querySelectorAll('.slot-{view}')[{lane}].querySelector('{selector}')"
    label = f"{slot}.getAttribute('aria-label')"
    page.until(f"({label} ?? '').includes({json.dumps(part)})", 5)
    return page.value(label)


def colours(page, which):
    """The table of 256 colours of paint.js, as bytes."""
    table = page.value(f"import('/page/paint.js').then(paint => [...paint.{which}])")
    return np.array(table, np.uint32).view(np.uint8).reshape(256, 4)


def test_pictures_of_digits(page):
    look_at(page, "weights", "recall", "cosine")
    race = train(page, 12, "weights", "recall", "cosine")
    table = colours(page, "signedColours()")
    for k, lane in enumerate(race.lanes):
        W = lane.model.params["1.W"].T.reshape(-1, 28, 28)
        levels = np.rint(W * (127 / np.abs(W).max())).astype(int)
        shown = pixels(page, k, "weights")
        columns = (shown.shape[1] + 1) // 29
        for unit in range(16):
            y, x = 29 * (unit // columns), 29 * (unit % columns)
            found = shown[y : y + 28, x : x + 28]
            np.testing.assert_array_equal(found, table[levels[unit] & 255])
        scale = page.value(f"document.querySelectorAll('.slot-weights .scale')[{k}].textContent")
        assert f"+{np.abs(W).max():.2g}" in scale
        assert scale.endswith(f"16 units, step {race.done}")
        words = told(page, k, "weights", "canvas", f"step {race.done}")
        assert "16 units of the first layer" in words

        output = lane.rule.outputs(lane.model, lane.test.x)
        recall = metrics.recall(metrics.confusion_matrix(output, lane.test.y))
        bars = f"document.querySelectorAll('.slot-recall')[{k}].querySelectorAll('.bar')"
        values = page.value(f"[...{bars}].map(bar => bar.dataset.value)")
        assert [v.split(": ")[0] for v in values] == [str(c) for c in range(10)]
        for value, share in zip(values, recall, strict=True):
            assert abs(int(value.split()[1]) - 100 * share) <= 0.51
        assert f"step {race.done}: 0: {values[0].split()[1]}" in told(
            page, k, "recall", ".bars", f"step {race.done}"
        )
    numbers = page.value(
        "[...document.querySelectorAll('.slot-cosine output')].map(output => output.textContent)"
    )
    # Backprop's estimate is the gradient. Forward-forward's gradients are of losses of its own.
    assert numbers[:3] == ["1.00", "1.00", "1.00"]
    assert told(page, 0, "cosine", "canvas", f"step {race.done}").endswith("scale from -1 to 1")
    page.value("document.querySelector('.slot-recall .bars').focus()")
    page.press("ArrowRight")
    page.press("ArrowRight")
    page.until("document.querySelector('.slot-recall .bar:nth-child(2)').matches('.chosen')", 5)
    x, y = page.middle(".slot-weights canvas")
    page.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    page.until("!document.querySelector('.weights-lens').hidden", 5)
    page.picture("views-digits")


def pen(page, digit):
    """The strokes of a digit on the pad: [[(x, y), ...], ...]"""
    at = "document.querySelector('.draw-pad').getBoundingClientRect()"
    page.value("document.querySelector('.draw-pad').scrollIntoView({block: 'nearest'})")
    left, top, side = page.value(f"(box => [box.x, box.y, box.width])({at})")
    for stroke in STROKES[digit]:
        points = np.array(stroke) / 14 * 0.7 + [0.25, 0.15]
        yield [(left + side * x, top + side * y) for x, y in points]


READ = "[...document.querySelectorAll('.draw-reading strong')].map(of => of.textContent)"


def test_a_drawing_is_read(page):
    look_at(page, "draw")
    race = train(page, 300)
    pad = "document.querySelector('.draw-pad').toDataURL()"
    empty = page.value(pad)
    for digit, touch in ((3, False), (0, False), (7, True)):
        page.click(".draw-buttons button:last-child")
        page.until(f"{READ}.every(text => text === '–')")
        for stroke in pen(page, digit):
            (page.swipe if touch else page.drag)(stroke)
        page.until(f"{READ}[0] === '{digit}'", 5)
    label = "document.querySelector('.draw-bars').getAttribute('aria-label')"
    page.until(f"{label}.includes('reads 7, probability ')", 5)
    page.picture("views-draw")
    seen = page.value(f"{PIXELS}(document.querySelector('.draw-seen'))")
    grey = np.frombuffer(base64.b64decode(seen[2]), np.uint8).reshape(28, 28, 4)[..., 0]
    assert abs(grey.sum() / 255 - 9 * drawing.INK * 640 / 16) < 2
    assert page.value("document.querySelector('.draw-pad').getAttribute('aria-label')").endswith(
        "1 stroke"
    )
    page.click(".draw-buttons button:first-child")  # undo takes the only stroke back
    page.until(f"{READ}.every(text => text === '–')")
    assert page.value(pad) == empty  # the frame is as thin as it was

    page.value("document.getElementById('draw-example').focus()")
    page.value("document.getElementById('draw-example').select()")
    page.write("17")
    page.press("Enter")
    page.until("document.querySelector('.draw-truth').textContent.includes('17')", 5)
    truth = page.value("document.querySelector('.draw-truth').textContent")
    assert f"it is a {race.test.y[17]}" in truth
    lane = race.lanes[0]
    said = lane.model.forward(lane.test.x[17:18], train=False).argmax()
    page.until(f"{READ}[0] === '{said}'", 5)


def test_a_set_in_the_plane(page):
    page.value(f"void minigrad.context.send({{do: 'address', text: '{PLANE}'}})")
    page.until("minigrad.state.plane && minigrad.state.step < 10", 5)
    look_at(page, "regions", "units", "weights")
    race = train(page, 20, "regions", "units", "weights")
    r = race.looking.reach
    middles = (np.arange(60) + 0.5) * (2 * r / 60) - r
    x1, x2 = np.meshgrid(middles, middles[::-1])
    grid = np.stack([x1.ravel(), x2.ravel()], axis=1).astype(np.float32)
    for k, lane in enumerate(race.lanes):
        z = lane.model.forward(grid, train=False).astype(float)
        label = z.argmax(axis=1).reshape(60, 60)
        shown = pixels(page, k, "regions").astype(int)
        # Class 0 is orange, class 1 blue: red is more or less than blue.
        np.testing.assert_array_equal(shown[..., 0] < shown[..., 2], label == 1)
        share = f"class 1 on {round(100 * (label == 1).mean())} %"
        assert share in told(page, k, "regions", ".probe", f"step {race.done}")
        # The surer, the stronger the colour.
        p = 1 / (1 + np.exp(-np.abs(z[:, 0] - z[:, 1]))).reshape(60, 60)
        strength = np.abs(shown[..., 0] - shown[..., 2])
        for c in (0, 1):
            if (label == c).sum() > 100:
                found = np.corrcoef(p[label == c], strength[label == c])[0, 1]
                assert found > 0.99, (k, c)

        h = np.tanh(grid @ lane.model.params["1.W"] + lane.model.params["1.b"])
        for unit in (0, 5):
            found = pixels(page, k, "units", f"button:nth-child({unit + 1}) canvas").astype(int)
            value = h[:, unit].reshape(60, 60)
            clear = np.abs(value) > 0.1 * np.abs(value).max()
            red = found[..., 0] > found[..., 2]  # red is positive, blue negative
            np.testing.assert_array_equal(red[clear], value[clear] > 0)
        told(page, k, "units", ".units", f"6 hidden units of {('backprop', 'the top layer')[k]}")
        told(page, k, "weights", ".over", "decision lines of 6 units")

    # A click asks every lane about a point.
    page.click(".slot-regions .probe")
    texts = "[...document.querySelectorAll('.slot-regions .told')].map(of => of.textContent)"
    page.until(f"{texts}.every(text => text.includes('%'))", 5)
    said = page.value(texts)
    z = race.lanes[0].model.forward(np.zeros((1, 2), np.float32), train=False).astype(float)
    p = np.exp(z[0]) / np.exp(z[0]).sum()
    shares = dict(re.findall(r"(\d): (\d+) %", said[0]))
    for c in (0, 1):
        assert abs(int(shares[str(c)]) - 100 * p[c]) < 2

    # Keys move the point. A unit is enlarged, in all lanes, by a click or by a key.
    page.value("document.querySelector('.slot-regions .probe').focus()")
    for _ in range(3):
        page.press("ArrowRight", shift=True)
    page.until(f"{texts}[0] !== {json.dumps(said[0])}", 5)
    page.value("document.querySelector('.units button').focus()")
    page.press("ArrowRight")
    page.press("Enter")
    large = "[...document.querySelectorAll('.slot-units .large')].filter(of => !of.hidden).length"
    page.until(f"{large} === 2", 5)
    page.picture("views-plane")
    page.press("Escape")
    page.until(f"{large} === 0", 5)
