"""Server-Sent Events, as Dify's own API sends them. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from collections.abc import Mapping
from typing import ClassVar

from duck.events import Event
from duck.formats import json


class Sse:
    """Writes each event as one `data` line: JSON has no line's end of its own, so that one is enough.

    `numbered` events have ids. An `EventSource` calls again after every end, and tells then which id it has seen last.
    """

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/event-stream"}
    # A comment: Dify's own `event: ping` without data breaks the readers in several SDKs.
    keep_alive: ClassVar[bytes] = b": ping\n\n"

    def __init__(self, *, numbered: bool = False) -> None:
        self._number = 0 if numbered else None

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def event(self, event: Event) -> bytes:
        """The event and an empty line."""
        if self._number is None:
            return b"data: " + json.encode(event) + b"\n\n"
        self._number += 1
        return b"id: %d\ndata: %s\n\n" % (self._number, json.encode(event))

    def tail(self) -> bytes:
        """Nothing."""
        return b""
