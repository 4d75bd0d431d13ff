"""Newline-delimited JSON: each event on a line of its own, as Dify sent it. Pure."""

from collections.abc import Mapping
from typing import ClassVar

from duck.streams import json
from duck.streams.format import Event, StreamFormat


class Ndjson(StreamFormat):
    """Writes events as lines of JSON."""

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "application/x-ndjson"}

    def keep_alive(self) -> bytes:
        """A `ping` event."""
        return b'{"event":"ping"}\n'

    def event(self, event: Event) -> bytes:
        """The event and a newline."""
        return json.encode(event) + b"\n"
