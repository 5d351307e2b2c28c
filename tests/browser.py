"""A headless Chromium that a test talks to through two pipes: its DevTools protocol, no more."""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

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
            self._attach()
        except BaseException:
            self.close()
            raise

    def _attach(self):
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
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
        self.ask("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, expression):
        """The value of a JavaScript expression."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"]["value"]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.to)
        os.close(self.back)
        shutil.rmtree(self.profile, ignore_errors=True)
