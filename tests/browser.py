"""A headless Chromium that a test talks to through two pipes: its DevTools protocol, no more."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --hide-scrollbars "
    "--disable-dev-shm-usage --remote-debugging-pipe"
).split()

# Chromium reads commands from file 3 and writes answers to file 4.
PIPES = """
import os, sys
reads, writes = (os.dup(int(number)) for number in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
for number in (3, 4):
    os.set_inheritable(number, True)  # also where it had that number before
os.execv(sys.argv[3], sys.argv[3:])
"""


def find():
    """The command of Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


# key: (its code, its number, the text it writes)
KEYS = {
    " ": ("Space", 32, " "),
    "Enter": ("Enter", 13, "\r"),
    "Tab": ("Tab", 9, None),
    "Escape": ("Escape", 27, None),
    "End": ("End", 35, None),
    "Home": ("Home", 36, None),
    "ArrowLeft": ("ArrowLeft", 37, None),
    "ArrowUp": ("ArrowUp", 38, None),
    "ArrowRight": ("ArrowRight", 39, None),
    "ArrowDown": ("ArrowDown", 40, None),
    "?": ("Slash", 191, "?"),
}
SHIFT = 8


class Browser:
    """One page of a browser. `events` are what it has said of itself: [{"method", "params"}]."""

    def __init__(self, command):
        self.profile = tempfile.mkdtemp()
        theirs_in, self.to = os.pipe()
        self.back, theirs_out = os.pipe()

        start = [sys.executable, "-c", PIPES, str(theirs_in), str(theirs_out)]
        self.process = subprocess.Popen(
            [*start, command, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.events, self.rest, self.number, self.session = [], b"", 0, None
        try:
            self._attach(self.ask("Target.createTarget", url="about:blank")["targetId"])
        except BaseException:
            self.close()
            raise

    def _attach(self, target):
        found = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **params):
        """The result of a command."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def _next(self, seconds=60):
        until = time.monotonic() + seconds
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.back], [], [], max(0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            content = os.read(self.back, 1 << 20)
            assert content, "the browser has ended"
            self.rest += content
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def open(self, url):
        """Open an address, and wait until it has loaded."""
        since = len(self.events)
        if "errorText" in (found := self.ask("Page.navigate", url=url)):
            raise AssertionError(found["errorText"])
        if "loaderId" in found:  # not so where only the part after # has changed
            self._loaded(since)

    def reload(self):
        since = len(self.events)
        self.ask("Page.reload")
        self._loaded(since)

    def _loaded(self, since):
        while not any(event["method"] == "Page.loadEventFired" for event in self.events[since:]):
            self.events.append(self._next())

    def value(self, expression):
        """The value of a JavaScript expression. A promise is waited for."""
        found = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression, seconds=20):
        """Wait until an expression is true. Returns its value."""
        end = time.monotonic() + seconds
        while not (found := self.value(expression)):
            assert time.monotonic() < end, f"not so in {seconds} seconds: {expression}"
            time.sleep(0.01)
        return found

    @contextlib.contextmanager
    def tab(self, url):
        """Another tab, with an address in it. Within `with` everything is done there."""
        before = self.session
        self.session = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._attach(target)
        try:
            self.open(url)
            yield self.session
        finally:
            self.session = None
            self.ask("Target.closeTarget", targetId=target)
            self.session = before

    def viewport(self, width=1280, height=800, *, dark=False, touch=False, calm=False):
        """The window's size, a dark scheme, a finger for a mouse, reduced motion."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )
        self.ask("Emulation.setTouchEmulationEnabled", enabled=touch)
        features = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if calm else "no-preference",
        }
        given = [{"name": name, "value": value} for name, value in features.items()]
        self.ask("Emulation.setEmulatedMedia", features=given)

    def middle(self, selector):
        """Where the middle of an element is, after scrolling to it."""
        name = json.dumps(selector)
        self.value(f"document.querySelector({name}).scrollIntoView({{block: 'nearest'}})")
        found = f"document.querySelector({name}).getBoundingClientRect()"
        return self.value(f"(box => [box.x + box.width / 2, box.y + box.height / 2])({found})")

    def mouse(self, kind, x, y):
        """kind: "mousePressed", "mouseMoved" or "mouseReleased"."""
        button = {"button": "left", "clickCount": 1, "buttons": int(kind != "mouseReleased")}
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def click(self, selector):
        """A click of the mouse on the middle of an element."""
        x, y = self.middle(selector)
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.mouse("mousePressed", x, y)
        self.mouse("mouseReleased", x, y)

    def drag(self, points):
        """Draw a line with the mouse through [(x, y), ...]."""
        self.mouse("mousePressed", *points[0])
        for x, y in points[1:]:
            self.mouse("mouseMoved", x, y)
        self.mouse("mouseReleased", *points[-1])

    def swipe(self, points):
        """Draw a line with a finger through [(x, y), ...]."""

        def touch(kind, points):
            found = [{"x": x, "y": y} for x, y in points]
            self.ask("Input.dispatchTouchEvent", type=kind, touchPoints=found)

        touch("touchStart", points[:1])
        for point in points[1:]:
            touch("touchMove", [point])
        touch("touchEnd", [])

    def press(self, key, shift=False):
        """A key: a letter, or a name of KEYS."""
        code, number, text = KEYS.get(key, (f"Key{key.upper()}", ord(key[0].upper()), key))
        common = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        common["modifiers"] = SHIFT * shift
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.ask("Input.dispatchKeyEvent", **common, **down)
        self.ask("Input.dispatchKeyEvent", **common, type="keyUp")

    def write(self, text):
        """Text for the control that has the focus."""
        self.ask("Input.insertText", text=text)

    def picture(self, name, whole=False):
        """A picture of the page (`whole`: also of what lies below), where pictures are wanted."""
        folder = os.environ.get("MINIGRAD_BROWSER_PICTURES")
        if folder:
            found = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
            (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(found["data"]))

    def requests(self):
        """The addresses that the page has asked for so far."""
        sent = {
            "Network.requestWillBeSent": lambda of: of["request"]["url"],
            "Network.webSocketCreated": lambda of: of["url"],
        }
        return [
            sent[event["method"]](event["params"])
            for event in self.events
            if event["method"] in sent
        ]

    def complaints(self):
        """What the page has thrown, or written to its console as an error or a warning."""
        found = []
        for event in self.events:
            method, of = event["method"], event["params"]
            if method == "Runtime.exceptionThrown":
                found.append(str(of["exceptionDetails"].get("exception", of)))
            elif method == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
                found.append(of["entry"]["text"] + " " + of["entry"].get("url", ""))
            elif method == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning"):
                found.append(str([a.get("value", a.get("description")) for a in of["args"]]))
        return found

    def controls(self):
        """(role, name) of everything that a screen reader can work with."""
        roles = {"button", "slider", "spinbutton", "checkbox", "radio", "textbox", "combobox"}
        roles |= {"link", "switch", "tab", "menuitem", "listbox", "searchbox"}
        nodes = self.ask("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", "").strip())
            for node in nodes
            if not node.get("ignored") and node.get("role", {}).get("value") in roles
        ]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.to)
        os.close(self.back)
        shutil.rmtree(self.profile, ignore_errors=True)
