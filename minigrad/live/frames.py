"""What a tab knows of a race, and what it is told next: only what is new to it."""

from __future__ import annotations

from typing import Any

from minigrad.live.measuring import hidden
from minigrad.live.race import NOTHING
from minigrad.live.worker import Worker


class Cursor:
    """How far a tab knows the race, and what it shows.

    race   number and edition of the message "race" that the tab has
    show   names of the views that the tab shows
    layer  the layer whose units it shows; None: the first hidden one
    """

    def __init__(self) -> None:
        self.race = (0, 0)
        self.show: frozenset[str] = frozenset()
        self.layer: str | None = None
        self._known = NOTHING

    def look(self, show: frozenset[str], layer: str | None) -> None:
        """The tab shows other views. All that there are come along with the next frame."""
        self.show = show
        self.layer = layer
        self._known = self._known._replace(stamp=0)

    def frame(self, worker: Worker) -> dict[str, Any]:
        """The message "frame", with the views that this tab shows."""
        message, self._known = worker.frame(self._known)
        # A network that came since then may not have the layer.
        layer = self.layer if self.layer in hidden(worker.race.lanes[0]) else None
        for lane in message["lanes"]:
            lane["views"] = {
                name: view
                for name, view in lane["views"].items()
                if name in self.show and _is_of(layer, view)
            }
        return message


def _is_of(layer: str | None, view: Any) -> bool:
    """Not the units of a layer that another tab shows."""
    return view is None or layer is None or view.get("layer", layer) == layer
