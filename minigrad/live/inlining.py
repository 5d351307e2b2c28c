"""The page as one file: scripts, styles and pictures of its folder are put into it."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path

# Whatever such a page is asked to do, nothing leaves the computer, and nothing comes from outside.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
# `from "./x.js"`, `import "./x.js"`, `import("./x.js")`
IMPORT = re.compile(r"""(\bfrom\s*|\bimport\s*\(\s*|\bimport\s*)(["'])(\.{1,2}/[^"']+)\2""")
STYLE = re.compile(r'<link\b[^>]*\brel="stylesheet"[^>]*\bhref="([^"]+)"[^>]*>')
ICON = re.compile(r'(<link\b[^>]*\brel="icon"[^>]*\bhref=")([^"]+)("[^>]*>)')
SCRIPT = re.compile(r"<script\b([^>]*)></script>")
SOURCE = re.compile(r'\bsrc="([^"]+)"')
COMMENT = re.compile(r"/\*.*?\*/|^\s*//[^\n]*", re.DOTALL | re.MULTILINE)


def page(folder: Path, recording: str, styles: tuple[str, ...] = ()) -> str:
    """index.html of `folder` with all that it needs, and `recording`, a text, in an element.

    styles  further files of styles
    ValueError for what cannot be inlined.
    """
    text = (folder / "index.html").read_text(encoding="utf-8")
    modules: dict[str, str] = {}
    text = STYLE.sub(lambda found: style(folder, _name(found[1])), text)
    text = ICON.sub(lambda found: found[1] + _picture(folder, _name(found[2])) + found[3], text)
    text = SCRIPT.sub(lambda found: _script(folder, found[1], modules), text)
    imports = {name: _data("text/javascript", code) for name, code in modules.items()}
    head = [
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}" />',
        f'<script type="importmap">{json.dumps({"imports": imports})}</script>',
        *(style(folder, name) for name in styles),
    ]
    begin, found, rest = text.partition("<head>")
    licences = _licences(folder)
    body, end, tail = rest.rpartition("</body>")
    if not found or not end:
        raise ValueError("index.html has no <head>, or no </body>")
    kept = f'<script type="text/plain" id="recording">{recording}</script>\n'
    return f"{begin}{licences}<head>{''.join(head)}{body}{kept}</body>{tail}"


def style(folder: Path, name: str) -> str:
    if not (folder / name).is_file():
        raise ValueError(f"there is no {name} in the page's folder")
    code = (folder / name).read_text(encoding="utf-8")
    if "</style" in code.lower():
        raise ValueError(f"{name} contains </style")
    bare = COMMENT.sub("", code)
    if re.search(r"@import|url\(\s*[\"']?(?!data:|#)", bare):
        raise ValueError(f"{name} asks for another file: put it into the style as data:")
    return f"<style>{code}</style>"


def _script(folder: Path, attributes: str, modules: dict[str, str]) -> str:
    source = SOURCE.search(attributes)
    if source is None:
        raise ValueError("a script without src cannot be told apart from one of somebody else")
    name = _name(source[1])
    if 'type="module"' in attributes:
        collect(folder, name, modules)
        return f'<script type="module">import "page/{name}";</script>'
    code = (folder / name).read_text(encoding="utf-8")
    return "<script>" + code.replace("</script", "<\\/script") + "</script>"


def collect(folder: Path, name: str, modules: dict[str, str]) -> None:
    """A module and all that it imports, {"page/name": code}: relative names become whole ones.

    A module in a data: URL has no folder, so "./x.js" means nothing there; "page/x.js" is found in
    the page's import map. Circles of imports stay what they are.
    """
    whole = f"page/{name}"
    if whole in modules:
        return
    path = folder / name
    if not path.is_file():
        raise ValueError(f"there is no {name} in the page's folder")
    code = path.read_text(encoding="utf-8")
    if "import.meta" in COMMENT.sub("", code):
        raise ValueError(f"{name} uses import.meta, which a page of one file does not have")
    here = Path(name).parent
    needed: list[str] = []

    def renamed(found: re.Match[str]) -> str:
        other = (folder / here / found[3]).resolve().relative_to(folder.resolve()).as_posix()
        needed.append(other)
        return f"{found[1]}{found[2]}page/{other}{found[2]}"

    modules[whole] = ""  # so that a circle ends
    modules[whole] = IMPORT.sub(renamed, code)
    for other in needed:
        collect(folder, other, modules)


def _name(address: str) -> str:
    """The file that an address of index.html means, below the folder "page"."""
    if not address.startswith("page/"):
        raise ValueError(f"index.html asks for {address}, which is not in the page's folder")
    return address.removeprefix("page/")


def _picture(folder: Path, name: str) -> str:
    if not name.endswith(".svg"):
        raise ValueError(f"{name} is no SVG")
    return _data("image/svg+xml", (folder / name).read_text(encoding="utf-8"))


def _data(kind: str, text: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


def _licences(folder: Path) -> str:
    """The licences of what others have written, in a comment: they ask for that."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((folder / "vendor").glob("*.txt"))]
    return "<!--\n" + "\n".join(texts).replace("--", "- -") + "\n-->\n"
