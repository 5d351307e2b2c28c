"""Pages in tests: a browser, or a skip where there is none, and `minigrad live` as a process."""

import contextlib
import os
import re
import subprocess
import sys

import pytest
from browser import Browser, find


@contextlib.contextmanager
def started():
    """A browser. Where there is no Chromium the test is skipped, or fails if it must run."""
    command = find()
    if command is None:
        assert os.environ.get("MINIGRAD_BROWSER") != "required", "Chromium is not there"
        pytest.skip("there is no chromium (apt-get install chromium)")
    browser = Browser(command)
    try:
        yield browser
    finally:
        browser.close()


@contextlib.contextmanager
def served(*arguments):
    """The address of a page that `minigrad live` serves, in a process of its own."""
    for name in ("starlette", "uvicorn", "websockets"):
        pytest.importorskip(name, reason="pip install minigrad[live]")
    command = [sys.executable, "-u", "-m", "minigrad", "live", "--no-browser", *arguments]
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **out) as server:
        try:
            lines = (re.search(r"http://\S+", line) for line in server.stdout)
            yield next(filter(None, lines)).group()
        finally:
            server.kill()


@contextlib.contextmanager
def opened(address, width=1280, height=720, **how):
    """A browser that shows the live page, once its race is there. It may complain of nothing."""
    with started() as browser:
        browser.viewport(width, height, **how)
        browser.open(address)
        browser.until("window.minigrad?.state.race > 0")
        yield browser
        assert not browser.complaints()
