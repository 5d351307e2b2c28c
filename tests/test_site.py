"""The site's own steps: links between pages, the API's names, and what leads nowhere is found."""

import importlib.util

import pytest
from conftest import ROOT

import minigrad as mg

pytestmark = pytest.mark.on_host
BUILD = ROOT / "docs" / "site" / "build.py"


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("site_build", BUILD)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def repository(build, tmp_path, monkeypatch):
    """A repository of a few files."""
    root = tmp_path / "repository"
    for name in ("docs", "lessons", "data"):
        (root / name).mkdir(parents=True)
    (root / "lessons" / "03_first.py").write_text("")
    (root / "data" / "README.md").write_text("")
    (root / "setup.cfg").write_text("")
    (root / "docs" / "picture.png").write_bytes(b"picture")
    monkeypatch.setattr(build, "ROOT", root)
    return root


@pytest.mark.parametrize(
    ("written", "linked"),
    [
        ("[the data](../data/README.md#mnist)", "[the data](../data/README.md#mnist)"),
        ("[lesson 05](../lessons/03_first.py)", "[lesson 05](../lessons/03_first.ipynb)"),
        ("[the set-up](../setup.cfg)", "the set-up"),
        ("[elsewhere](https://example.org/a.md)", "[elsewhere](https://example.org/a.md)"),
        ("[here](#below)", "[here](#below)"),
        ("[outside](../../secret.md)", "outside"),
        ("![a picture](picture.png)", "![a picture](picture.png)"),
    ],
)
def test_links_lead_to_pages_of_the_site(build, repository, tmp_path, written, linked):
    page = repository / "docs" / "page.md"
    page.write_text(f"See {written}.")
    known = {"data/README.md", "lessons/03_first.py"}
    source = tmp_path / "source"
    source.mkdir()
    assert build.relinked(page, known, source) == f"See {linked}."
    copied = source / "docs" / "picture.png"
    assert copied.exists() == written.startswith("!")


def test_the_api_has_every_public_name(build):
    for name, title in build.API.items():
        page = build.api_page(name, title)
        assert page.startswith(f"{title}\n{'=' * len(title)}\n")
        module = importlib.import_module(f"minigrad.{name}")
        for key in getattr(module, "__all__", ()):
            if isinstance(getattr(module, key), type):
                assert f".. autoclass:: minigrad.{name}.{key}\n" in page
    assert "autoclass:: minigrad.layers.Linear" in build.api_page("layers", "Layers")
    assert set(build.TOP) <= set(mg.__all__)


def test_what_leads_nowhere_is_found(build, tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="one">A</h1><a href="b.html#two">1</a><a href="b.html#three">2</a>'
        '<a href="c.html">3</a><a href="https://example.org/x">4</a><img src="no.png">'
        '<a href="#one">5</a><a href="folder/">6</a>'
    )
    (tmp_path / "b.html").write_text('<p id="two">B</p>')
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "index.html").write_text("")
    assert sorted(build.broken_links(tmp_path)) == [
        "a.html: b.html#three has no such place",
        "a.html: c.html leads nowhere",
        "a.html: no.png leads nowhere",
    ]


def test_every_page_of_the_documentation_is_in_the_index(build):
    """A page that no list of the index names is never found by a reader."""
    index = (BUILD.parent / "index.md").read_text(encoding="utf-8").splitlines()
    for path in (ROOT / "docs").glob("*.md"):
        assert f"docs/{path.stem}" in index
    for name in build.PAGES:
        assert name.removesuffix(".md") in index
    for name in build.API:
        assert f"api/{name}" in index


def test_without_notebooks_it_says_what_to_do(build, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    with pytest.raises(SystemExit, match="leave out --notebooks to make them"):
        build.write_sources(source, tmp_path, tmp_path)
