"""`python -m tests.pictures`: the pictures of the live page in the README and in docs/live.md.

A race is trained step by step, a headless Chromium draws it, Pillow puts the frames together. The
settings, the seed and the steps are fixed, so the pictures show the same race each time.
"""

import argparse
import base64
import io
import socket
import sys
import threading
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from browser import Browser, find  # noqa: E402

from minigrad import threads  # noqa: E402
from minigrad.live.server import Server  # noqa: E402
from minigrad.live.serving import UntilCtrlC, config  # noqa: E402
from minigrad.live.settings import Settings  # noqa: E402

RACE = (
    "data=spirals&hidden=16,16&activation=tanh&optimizer=adam&lanes=backprop~lr:.01,"
    "cdni~lr:.01,dfa~lr:.01,forward~lr:.01,top-layer~lr:.01"
)
DIGITS = (
    "lanes=backprop,cdni~lr:.03,dfa,activities~lr:.03,forward~lr:.003,top-layer"  # the first tour
)
SIZE = 1280, 1150
SMALL = 960, 810  # of the animation
STEPS = 2800
FRAMES = 30
POINT = 10  # steps between two points of the curves
LIMIT = 1_500_000  # bytes
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"


class Page:
    """A server in this process, and a browser that looks at its race."""

    def __init__(self, address, views, size=SIZE, dark=False):
        command = find()
        if command is None:
            raise SystemExit("there is no chromium (apt-get install chromium)")
        threads.set_threads(1)
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        self.server = Server(Settings.from_text(address), port)
        self.serving = UntilCtrlC(config(self.server))
        self.thread = threading.Thread(target=self.serving.run, args=([listening],), daemon=True)
        self.thread.start()
        self.browser = Browser(command)
        self.browser.viewport(*size, dark=dark, calm=True)
        self.browser.open(f"http://127.0.0.1:{port}/?token={self.server.token}")
        self.browser.until("window.minigrad && minigrad.state.race > 0")
        for view in ("regions", "units", "weights", "cosine", "recall"):
            what = "open" if view in views else "close"
            self.browser.value(f"minigrad.context.{what}('{view}')")
        self.browser.until("minigrad.state.lanes.length > 0")

    def run(self, until):
        """Train until this step, and wait until the page shows it."""

        def act(worker):
            race = worker.race
            while race.done < until:
                race.round()
                if race.done % POINT == 0:
                    race.add_points()
            race.measure(worker.show)

        self.server.worker.call(act).result()
        self.browser.until(f"minigrad.state.step === {until}")
        self.browser.value(DRAWN)

    def picture(self):
        self.browser.value("document.activeElement.blur()")
        found = self.browser.ask("Page.captureScreenshot", format="png")
        return Image.open(io.BytesIO(base64.b64decode(found["data"]))).convert("RGB")

    def close(self):
        complaints = self.browser.complaints()
        self.browser.close()
        self.serving.should_exit = self.serving.force_exit = True
        self.server.worker.end()
        self.thread.join(timeout=5)
        if complaints:
            raise SystemExit(f"the page complains: {complaints}")


def still(path, address, views, until, **options):
    """One picture of a race after this many steps."""
    page = Page(address, views, **options)
    try:
        page.run(until)
        save_still(page.picture(), path)
    finally:
        page.close()


def save_still(image, path):
    """A PNG with all its colours: with a palette two lanes would get the same one."""
    image.convert("RGB").save(path, optimize=True)


def moving(path, last, address, views, steps, frames):
    """An animation of a race; its last frame is kept as a picture, too."""
    page = Page(address, views)
    try:
        found = []
        for k in range(1, frames + 1):
            # more frames at the start, where most happens
            page.run(max(k, round(steps * (k / frames) ** 1.7 / POINT)) * POINT)
            found.append(page.picture())
            print(f"\r{k} of {frames} frames", end="", flush=True)
        print()
    finally:
        page.close()
    save_still(found[-1], last)
    for quality in (85, 75, 65, 55, 45):
        size = save_moving(found, path, quality)
        if size < LIMIT:
            return
    raise SystemExit(f"{path} has {size} bytes: make fewer frames")


def save_moving(found, path, quality):
    """An animated WebP that plays twice and stays at its last frame. Returns its size."""
    first, *others = (image.resize(SMALL, Image.Resampling.LANCZOS) for image in found)
    durations = [140] * len(others) + [4000]
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=durations,
        loop=2,
        quality=quality,
        method=4,
        minimize_size=True,
    )
    size = path.stat().st_size
    print(f"{path}: {size / 1e6:.2f} MB, quality {quality}")
    return size


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="(default docs)")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    out = given.out
    views = ["regions"]
    moving(out / "live.webp", out / "live.png", RACE, views, given.steps, given.frames)
    still(out / "live-digits.png", DIGITS, ["weights", "cosine"], 330, size=(1280, 1300))


if __name__ == "__main__":
    main()
