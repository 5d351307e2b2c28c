"""The old place of the random streams: see `minigrad.streams`."""

from __future__ import annotations

from minigrad.streams import RandomStreams, prepared_model, run, streams_of

__all__ = ["RandomStreams", "prepared_model", "run", "streams_of"]
