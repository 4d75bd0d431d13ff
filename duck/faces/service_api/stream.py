"""Streams as Dify's Service API sends them. Pure."""

from collections.abc import Mapping
from typing import ClassVar

from duck.streams import json
from duck.streams.format import Event, StreamFormat


class Stream(StreamFormat):
    """Writes each event as one `data` line, without an id."""

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/event-stream"}

    def keep_alive(self) -> bytes:
        """Dify's own, which has no data."""
        return b"event: ping\n\n"

    def event(self, event: Event) -> bytes:
        """The event and an empty line."""
        return b"data: %s\n\n" % json.encode(event)
