"""`minigrad live --record race.html`: a race in one file, to be looked at without a server."""

from __future__ import annotations

import base64
import gzip
import math
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.files import replacing
from minigrad.live import inlining, protocol
from minigrad.live.catalogue import hello
from minigrad.live.race import Race
from minigrad.live.settings import Settings
from minigrad.progress import Bar

PAGE = Path(__file__).parent / "page"
FRAMES = 200  # steps that can be looked at
VIEWS = ("cosine", "recall", "weights", "regions", "units")
BUDGET = 450_000  # bytes of all views, packed; taken less often, if they have more
BYTES = re.compile(r"[A-Za-z0-9+/]{64,}={0,2}")


def write(path: Path, settings: Settings, steps: int, show: bool | None = None) -> Path:
    """Train for so many steps, and write the page. Ctrl-C: what was trained until then.

    show  whether there is a progress bar; None: in a terminal
    """
    inlining.page(PAGE, "")  # what is wrong with the page is said before the training
    with replacing(path) as file:  # so is a folder in which nothing can be written
        recording = record(Race(settings), steps, show)
        text = inlining.page(PAGE, packed(recording), styles=("recorded.css",))
        file.write(text.encode("utf-8"))
    return path


def chosen(steps: int, frames: int = FRAMES) -> list[int]:
    """The steps to look at, 0 and the last among them: close together where most changes."""
    found = {round(steps * (k / frames) ** 1.5) for k in range(frames + 1)}
    return sorted(found)


def record(
    race: Race, steps: int, show: bool | None = None, frames: int = FRAMES
) -> dict[str, Any]:
    """{hello, race, layer, frames, curves}: see page/recorded.js. `packed` makes it small."""
    if steps < 1:
        raise ValueError(f"--steps must be 1 or more, got {steps}")
    described = race.described()
    layers = described["hidden"] if described["plane"] else []
    found = []
    bar = Bar(steps, show)
    stopped = None
    try:
        for step in chosen(steps, frames):
            while race.done < step and race.running:
                race.round()
                bar.update(_loss(race))
            found.append(_frame(race, layers))
            if not race.running:
                break
    except KeyboardInterrupt:
        race.end_round()
        found.append(_frame(race, layers))
        stopped = f"interrupted: the recording ends at step {race.done}"
    finally:
        bar.close(stopped)
    curves = [_rounded(lane["points"]) for lane in race.frame()[0]["lanes"]]
    said = {**hello(), "presets": [], "tours": [], "recorded": True}
    return {
        "hello": said,
        "race": described,
        "layer": layers[0] if layers else None,
        "frames": found,
        "curves": curves,
    }


def _loss(race: Race) -> float:
    """The first lane's last loss, for the progress bar."""
    return float(race.lanes[0].losses[-1]) if race.lanes[0].losses else math.nan


def _frame(race: Race, layers: list[str]) -> dict[str, Any]:
    """How the race stands: of each lane the number of points so far, and all views."""
    for name in VIEWS:
        if name != "units":
            _look(race, name)
    race.add_points()
    units: dict[str, list[Any]] = {}
    for layer in layers:
        race.show_units(layer)
        _look(race, "units")
        units[layer] = [lane["views"].get("units") for lane in race.frame()[0]["lanes"]]
    lanes = []
    for k, lane in enumerate(race.frame()[0]["lanes"]):
        views = {name: view for name, view in lane["views"].items() if name != "units"}
        views |= {f"units/{layer}": of[k] for layer, of in units.items()}
        kept = {name: view for name, view in views.items() if view is not None}
        own = {name: lane[name] for name in ("status", "why", "lr")}
        lanes.append(own | {"points": len(lane["points"]["step"]), "views": kept})
    return {"step": race.done, "lanes": lanes}


def _look(race: Race, name: str) -> None:
    for k in range(len(race.lanes)):
        race.look(name, k)


# ------------------------------------------------------------------ made small


def packed(recording: dict[str, Any], budget: int = BUDGET) -> str:
    """The recording as text: JSON and bytes, each by gzip and in base64.

    While the bytes of the views are too many, the kind of view that has most of them is taken half
    as often.
    """
    every = dict.fromkeys(VIEWS, 1)
    while True:
        frames, blobs = _apart(recording["frames"], every)
        sizes = {kind: _size(parts) for kind, parts in blobs.items()}
        if sum(sizes.values()) <= budget:
            break
        largest = max(sizes, key=sizes.__getitem__)
        if every[largest] >= len(frames):
            break
        every[largest] *= 2
    place = 0
    places = {}
    for kind, parts in blobs.items():
        places[kind] = place
        place += sum(map(len, parts))
    for frame in frames:
        for lane in frame["lanes"]:
            for name, view in lane["views"].items():
                for value in view.values():
                    if isinstance(value, dict) and "bytes" in value:
                        value["bytes"][0] += places[name.split("/")[0]]
    said = protocol.write({**recording, "frames": frames}).encode("utf-8")
    joined = b"".join(part for parts in blobs.values() for part in parts)
    return "\n".join(_text(content) for content in (said, joined))


def _apart(
    frames: list[dict[str, Any]], every: dict[str, int]
) -> tuple[list[dict[str, Any]], dict[str, list[bytes]]]:
    """Frames in which the bytes of views are places; and these bytes, by kind of view.

    Bytes are differences from those of the same view before: most of them are 0.
    every  {kind: n}: each n-th frame has this kind of view, and so has the last
    """
    blobs: dict[str, list[bytes]] = {}
    lengths: dict[str, int] = {}
    before: dict[tuple[int, str, str], bytes] = {}
    seen: dict[tuple[int, str], Any] = {}
    found = []
    for i, frame in enumerate(frames):
        lanes = []
        for k, lane in enumerate(frame["lanes"]):
            views = {}
            for name, view in lane["views"].items():
                kind = name.split("/")[0]
                if (i % every[kind] and i + 1 < len(frames)) or seen.get((k, name)) == view["at"]:
                    continue
                seen[k, name] = view["at"]
                views[name] = dict(view)
                for field, value in view.items():
                    if not (isinstance(value, str) and BYTES.fullmatch(value)):
                        continue
                    own = base64.b64decode(value)
                    last = before.get((k, name, field), b"")
                    before[k, name, field] = own
                    length = lengths.get(kind, 0)
                    views[name][field] = {"bytes": [length, len(own)]}
                    blobs.setdefault(kind, []).append(_difference(own, last))
                    lengths[kind] = length + len(own)
            lanes.append({**lane, "views": _rounded(views)})
        found.append({"step": frame["step"], "lanes": lanes})
    return found, blobs


def _difference(own: bytes, last: bytes) -> bytes:
    """own - last, byte by byte, modulo 256. `own` if the lengths differ."""
    if len(own) != len(last):
        return own
    return (np.frombuffer(own, "uint8") - np.frombuffer(last, "uint8")).tobytes()


def _size(parts: list[bytes]) -> int:
    return len(zlib.compress(b"".join(parts), 4))


def _text(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def _rounded(found: Any) -> Any:
    """The same data with six digits of each number: more are not seen."""
    if isinstance(found, float):
        return float(f"{found:.6g}") if math.isfinite(found) else None
    if isinstance(found, dict):
        return {name: _rounded(value) for name, value in found.items()}
    if isinstance(found, list):
        return [_rounded(value) for value in found]
    return found
