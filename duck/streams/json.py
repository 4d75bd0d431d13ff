"""Encodes JSON. Pure."""

import json
from typing import Any

import orjson

CONTENT_TYPE = "application/json"


def encode(value: Any) -> bytes:
    """The value as compact UTF-8 JSON. Raises `TypeError` for a value that JSON cannot represent."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits: Go writes the float 1e20 as an integer
        return json.dumps(value, separators=(",", ":")).encode()


def document(value: Any) -> bytes:
    """The value as compact UTF-8 JSON, with a newline for terminals."""
    return encode(value) + b"\n"


def pretty(value: Any) -> str:
    """The value as indented JSON, for people."""
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    except TypeError:  # as above
        return json.dumps(value, indent=2, ensure_ascii=False)
