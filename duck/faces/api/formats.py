"""The formats of answers: one document as `json`, or a stream as `ndjson`, `sse`, `html` or `text`. Pure."""

from collections.abc import Mapping

from duck.faces.api.text import Text
from duck.faces.page import Html
from duck.streams.format import StreamFormat
from duck.streams.ndjson import Ndjson
from duck.streams.sse import Sse

# The media types that ask for each format. If the caller accepts several equally, the first format here wins.
MIMETYPES: Mapping[str, tuple[str, ...]] = {
    "json": ("application/json",),
    "ndjson": ("application/x-ndjson", "application/ndjson", "application/jsonl"),
    "sse": ("text/event-stream",),
    "html": ("text/html",),
    "text": ("text/plain",),
}
STREAMS: Mapping[str, type[StreamFormat]] = {"ndjson": Ndjson, "sse": Sse, "html": Html, "text": Text}
