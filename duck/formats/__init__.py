"""How answers are written: one document as `json`, or a stream of events as `ndjson`, `sse`, `html` or `text`. Pure."""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from duck.events import Event
from duck.formats.html import Html
from duck.formats.ndjson import Ndjson
from duck.formats.sse import Sse
from duck.formats.text import Text


class StreamFormat(Protocol):
    """Writes one stream; made anew for each, so that it may remember what it wrote.

    `headers` go out with the response. `keep_alive` is what to write when nothing has happened for a while, empty where the
    format has no way to say nothing.
    """

    headers: ClassVar[Mapping[str, str]]

    @property
    def keep_alive(self) -> bytes:
        """What to write now."""
        ...

    def head(self) -> bytes:
        """What comes before the first event."""
        ...

    def event(self, event: Event) -> bytes:
        """One event; an error is one, too."""
        ...

    def tail(self) -> bytes:
        """What comes after the last event."""
        ...


# The types by which each format can be asked for; when the caller accepts several alike, the first format here wins.
MIMETYPES: Mapping[str, tuple[str, ...]] = {
    "json": ("application/json",),
    "ndjson": ("application/x-ndjson", "application/ndjson", "application/jsonl"),
    "sse": ("text/event-stream",),
    "html": ("text/html",),
    "text": ("text/plain",),
}
STREAMS: Mapping[str, type[StreamFormat]] = {"ndjson": Ndjson, "sse": Sse, "html": Html, "text": Text}
