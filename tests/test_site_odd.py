"""The site asks nothing of the network; what is missing is said before anything long begins."""

import sys

import pytest
from test_site import build

__all__ = ["build"]
pytestmark = pytest.mark.on_host


def test_what_is_loaded_from_another_computer_is_found(build, tmp_path):
    (tmp_path / "a.html").write_text(
        '<link rel="stylesheet" href="https://example.org/a.css"><script src="//example.org/b.js">'
        '</script><link rel="canonical" href="https://example.org/a.html">'
        '<img src="data:image/png;base64,AA=="><a href="https://example.org">1</a>'
        '<script src="gone.js"></script>'
    )
    assert list(build.broken_links(tmp_path)) == [
        "a.html: https://example.org/a.css is loaded from another computer",
        "a.html: //example.org/b.js is loaded from another computer",
        "a.html: gone.js leads nowhere",
    ]


def test_what_is_missing_is_said_first(build, tmp_path, monkeypatch):
    def late(*words):
        pytest.fail("it has begun")

    monkeypatch.setattr(build, "minigrad", late)
    monkeypatch.setattr(build, "demonstrations", late)
    monkeypatch.setattr(build, "NEEDED", {})
    given = ["build.py", "--out", str(tmp_path / "site"), "--notebooks", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", given)
    with pytest.raises(SystemExit, match="no notebooks in"):
        build.main()
    monkeypatch.setattr(build, "NEEDED", {"sphinx_of_nobody": "sphinx"})
    monkeypatch.setattr(sys, "argv", given[:3])
    with pytest.raises(SystemExit, match="the site needs sphinx: pip install"):
        build.main()
