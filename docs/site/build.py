"""Build the site: the lessons with their figures, the pages of docs/, the API, a report, a race.

    python -m pip install -e ".[site]"
    python docs/site/build.py                 writes site/html; it needs no network
    python docs/site/build.py --notebooks F   with notebooks that were run before

Every link inside the site is checked. Exit status 1: one leads nowhere, or Sphinx warns.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")  # and docs/*.md
API = {
    "layers": "Layers",
    "losses": "Losses",
    "models": "Networks",
    "optim": "Optimisers and schedules",
    "rules": "Learning rules",
    "data": "Data",
    "metrics": "Metrics",
    "diagnostics": "Diagnostics",
    "gradcheck": "The gradient checker",
    "functions": "Functions to descend on",
    "plots": "Figures",
    "backend": "NumPy or CuPy",
}
TOP = ("fit", "evaluate", "save", "load", "History", "EarlyStopping")  # of minigrad itself
LEADING = (("a", "href"), ("img", "src"), ("link", "href"), ("script", "src"), ("iframe", "src"))
NEEDED = {
    "sphinx": "sphinx",
    "myst_nb": "myst-nb",
    "furo": "furo",
    "latex2mathml": "latex2mathml",
}  # {module: its package}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def main() -> int:
    """Build everything. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", default="site", help="(default site)")
    parser.add_argument("--notebooks", metavar="FOLDER", help="notebooks that have been run")
    parser.add_argument("--full", action="store_true", help="run the lessons in full: an hour")
    parser.add_argument("--quick", action="store_true", help="a shorter comparison, a shorter race")
    options = parser.parse_args()
    need(NEEDED)
    out = Path(options.out).resolve()
    source, html = out / "source", out / "html"
    for folder in (source, html):
        shutil.rmtree(folder, ignore_errors=True)
    source.mkdir(parents=True)
    notebooks = Path(options.notebooks).resolve() if options.notebooks else out / "notebooks"
    if options.notebooks is not None:
        chosen(notebooks)
    else:
        minigrad("notebooks", notebooks, "--execute", *([] if options.full else ["--quick"]))
    extra = demonstrations(out / "extra", options.quick)
    write_sources(source, notebooks, extra)
    status = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", source, html],
        check=False,
    ).returncode
    shutil.copytree(extra, html, dirs_exist_ok=True)
    broken = list(broken_links(html))
    for line in broken:
        print(line, file=sys.stderr)
    pages = sum(1 for _ in html.rglob("*.html"))
    print(f"{pages} pages in {html}; open {html / 'index.html'}")
    return 1 if status or broken else 0


def need(packages: dict[str, str]) -> None:
    """End here if one is missing: before lessons run for an hour."""
    missing = [name for module, name in packages.items() if find_spec(module) is None]
    if missing:
        raise SystemExit(f'the site needs {", ".join(missing)}: pip install -e ".[site]"')


def chosen(notebooks: Path) -> list[Path]:
    """The lessons' notebooks in a folder. SystemExit if there are none."""
    lessons = sorted(notebooks.glob("[0-9][0-9]_*.ipynb"))
    if not lessons:
        raise SystemExit(f"no notebooks in {notebooks}: leave out --notebooks to make them")
    return lessons


def minigrad(*words: object) -> None:
    """Run a command of minigrad; its failure ends the build."""
    subprocess.run([sys.executable, "-m", "minigrad", *map(str, words)], check=True)


def demonstrations(folder: Path, quick: bool) -> Path:
    """Pages that stand alone: a comparison's report, and a race that replays. Made once."""
    folder.mkdir(parents=True, exist_ok=True)
    report, race = folder / "report.html", folder / "race.html"
    if not report.exists():
        less = ("--rules", "backprop,dfa,forward", "--seeds", 2, "--epochs", 4) if quick else ()
        minigrad("compare", "--quick", "--out", folder.parent / "comparison", *less)
        shutil.copy(folder.parent / "comparison" / "report.html", report)
    if not race.exists():
        minigrad("live", "--record", race, "--steps", 60 if quick else 600)
    return folder


def write_sources(source: Path, notebooks: Path, extra: Path) -> None:
    """All pages as Sphinx reads them, in the folders in which they are in the repository."""
    shutil.copy(HERE / "conf.py", source)
    (source / "_static").mkdir()
    shutil.copy(HERE / "site.css", source / "_static")
    (source / "lessons" / "cases").mkdir(parents=True)
    lessons = chosen(notebooks)
    cases = [path for path in sorted(notebooks.glob("*.ipynb")) if path not in lessons]
    for notebook in lessons:
        shutil.copy(notebook, source / "lessons")
    for notebook in cases:
        shutil.copy(notebook, source / "lessons" / "cases")
    written = [*PAGES, *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
    known = {*written, *(f"lessons/{path.stem}.py" for path in lessons)}
    known |= {f"lessons/cases/{path.stem}.py" for path in cases}
    for name in written:
        page = source / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(relinked(ROOT / name, known, source), encoding="utf-8")
    (source / "api").mkdir()
    for name, title in API.items():
        (source / "api" / f"{name}.rst").write_text(api_page(name, title), encoding="utf-8")
    (source / "api" / "training.rst").write_text(top_page(), encoding="utf-8")
    index = (HERE / "index.md").read_text(encoding="utf-8")
    for word, paths in (("LESSONS", lessons), ("CASES", cases)):
        folder = "lessons/cases" if word == "CASES" else "lessons"
        index = index.replace(word, "\n".join(f"{folder}/{path.stem}" for path in paths))
    (source / "index.md").write_text(index, encoding="utf-8")


def relinked(path: Path, known: set[str], source: Path) -> str:
    """A page's text. Its links lead to pages of the site; what the site has not got is text."""

    def link(found: re.Match[str]) -> str:
        picture, words, target = found.groups()
        if urlsplit(target).scheme or target.startswith("#"):
            return found.group()
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve()
        name = place.relative_to(ROOT).as_posix() if place.is_relative_to(ROOT) else ""
        if picture and place.is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(place, source / name)
            return found.group()
        if name not in known:
            return words
        if name.startswith("lessons/"):
            file = file.removesuffix(".py") + ".ipynb"
        return f"[{words}]({file}{'#' + anchor if anchor else ''})"

    return LINK.sub(link, path.read_text(encoding="utf-8"))


def api_page(name: str, title: str) -> str:
    """The page of a module: all names of its __all__, or all public ones that it defines."""
    module = importlib.import_module(f"minigrad.{name}")
    public = getattr(module, "__all__", None) or [
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    lines = [title, "=" * len(title), "", f".. module:: minigrad.{name}", ""]
    for key in public:
        lines += directive(f"minigrad.{name}", key, getattr(module, key))
    return "\n".join(lines)


def top_page() -> str:
    import minigrad as module

    lines = ["Training", "========", ""]
    for key in TOP:
        lines += directive("minigrad", key, getattr(module, key))
    return "\n".join(lines)


def directive(module: str, key: str, value: object) -> list[str]:
    """How autodoc shows a name. A module, a number or a table is left out."""
    if isinstance(value, type):
        return [f".. autoclass:: {module}.{key}", "   :members:", ""]
    if callable(value):
        return [f".. autofunction:: {module}.{key}", ""]
    return []


class Links(HTMLParser):
    """The links and the anchors of a page, and which of the links a browser loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: set[str] = set()
        self.anchors: set[str] = {"", "top"}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name == "id":
                self.anchors.add(value)
            elif value and (tag, name) in LEADING:
                self.links.append(value)
                if tag != "a" and dict(attrs).get("rel") not in ("canonical", "author"):
                    self.loaded.add(value)


def broken_links(html: Path) -> Iterator[str]:
    """A line for each link between the pages that leads nowhere, and for each one that leaves them
    for a style sheet, a script or a picture: the site needs no network."""
    pages = {}
    for path in html.rglob("*.html"):
        parser = Links()
        parser.feed(path.read_text(encoding="utf-8"))
        pages[path] = parser
    for path, parser in pages.items():
        for link in parser.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in parser.loaded and parts.scheme != "data":
                    yield f"{path.relative_to(html)}: {link} is loaded from another computer"
                continue
            place = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if place.is_dir():
                place /= "index.html"
            if not place.exists():
                yield f"{path.relative_to(html)}: {link} leads nowhere"
            elif place in pages and unquote(parts.fragment) not in pages[place].anchors:
                yield f"{path.relative_to(html)}: {link} has no such place"


if __name__ == "__main__":
    sys.exit(main())
