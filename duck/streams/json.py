"""JSON, and a whole answer as one document of it. Pure."""

import json
from typing import Any

import orjson

CONTENT_TYPE = "application/json"


def encode(value: Any) -> bytes:
    """Compact UTF-8 JSON. Raises `TypeError` for what JSON has no way to say."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits: Go writes the float 1e20 as one
        return json.dumps(value, separators=(",", ":")).encode()


def document(value: Any) -> bytes:
    """The value, with a line's end for those who read it in a terminal."""
    return encode(value) + b"\n"


def pretty(value: Any) -> str:
    """The value for people to read."""
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    except TypeError:  # as above
        return json.dumps(value, indent=2, ensure_ascii=False)
