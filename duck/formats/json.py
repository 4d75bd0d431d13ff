"""One JSON document. Pure."""

from typing import Any

import orjson

CONTENT_TYPE = "application/json"


def document(value: Any) -> bytes:
    """Compact UTF-8 JSON, with a line's end for those who read it in a terminal."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
