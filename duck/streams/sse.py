"""Server-Sent Events, as Dify's own API sends them. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from collections.abc import Mapping
from typing import ClassVar

from duck.streams import json
from duck.streams.format import Event, StreamFormat


class Sse(StreamFormat):
    """Writes each event as one `data` line, since compact JSON has no line breaks.

    Each event has an id. `EventSource` connects again after the end of a stream, and sends the last id. So Duck knows that the
    app has already run.
    """

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/event-stream"}

    def __init__(self) -> None:
        self._number = 0

    def keep_alive(self) -> bytes:
        """A comment. Dify's own `event: ping` without data breaks the readers in several SDKs.

        After the first id, some of these take an empty line for an event without data, so none follows the comment then.
        """
        return b": ping\n" if self._number else b": ping\n\n"

    def event(self, event: Event) -> bytes:
        """The event and an empty line."""
        self._number += 1
        return b"id: %d\ndata: %s\n\n" % (self._number, json.encode(event))
