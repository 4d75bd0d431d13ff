"""Newline-delimited JSON: each event as Dify sent it, on a line of its own. Pure."""

from collections.abc import Mapping
from typing import ClassVar

from duck.streams import json
from duck.streams.format import Event, StreamFormat


class Ndjson(StreamFormat):
    """Writes events as lines of JSON."""

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "application/x-ndjson"}

    def keep_alive(self) -> bytes:
        """An event that tells nothing."""
        return b'{"event":"ping"}\n'

    def event(self, event: Event) -> bytes:
        """The event and a line's end."""
        return json.encode(event) + b"\n"
