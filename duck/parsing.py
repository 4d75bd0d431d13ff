"""JSON and lines from outside, of which nothing is taken for granted. Pure."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

MAX_DEPTH = 100  # of nested JSON; far beyond any real input, far below what recursion bears
HAS_NUL = "holds a NUL character, which Dify cannot store"

# In valid JSON a NUL is there in no other way: escaped, and not as a backslash before `u0000`.
_ESCAPE = rb"\u0000"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_CONTAINERS = (dict, list)


def json(text: bytes | str) -> Any:
    """The value that a JSON text stands for; of a name that an object has twice the last counts, as in Dify.

    Raises `ValueError`, with what is wrong: no JSON (lone surrogates and numbers beyond a float are none, either), or what Dify's
    database or its workers cannot take.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error}") from error
    if _ESCAPE in data and _NUL.search(data):
        raise ValueError(HAS_NUL)
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_deep(value):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return value


def lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines that blocks of bytes add up to, each without its end; what has none at the end is left out."""
    parts: list[bytes] = []  # of a line whose end is still to come
    for block in blocks:
        first, *more = block.split(b"\n")
        parts.append(first)
        for line in more:
            yield b"".join(parts)
            parts = [line]


def _is_deep(value: Any) -> bool:
    """Level by level, and of each only what can hold another: a large document takes milliseconds."""
    level = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, _CONTAINERS)
        ]
    return bool(level)
