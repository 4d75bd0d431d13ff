"""Server-Sent Events, as Dify's own API sends them. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from collections.abc import Mapping
from typing import ClassVar

from duck.streams import json
from duck.streams.format import Event, StreamFormat


class Sse(StreamFormat):
    """Writes each event as one `data` line: JSON has no line's end of its own, so that one is enough.

    Each has an id. Who calls again after the end of a stream, as `EventSource` does by itself, tells which it has seen last: so
    it is known that the app has run already.
    """

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/event-stream"}

    def __init__(self) -> None:
        self._number = 0

    def keep_alive(self) -> bytes:
        """A comment: Dify's own `event: ping` without data breaks the readers in several SDKs.

        Once there was an id, some of them take an empty line by itself for an event without data.
        """
        return b": ping\n" if self._number else b": ping\n\n"

    def event(self, event: Event) -> bytes:
        """The event and an empty line."""
        self._number += 1
        return b"id: %d\ndata: %s\n\n" % (self._number, json.encode(event))
