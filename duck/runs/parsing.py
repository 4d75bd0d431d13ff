"""JSON and lines from outside, of which nothing is taken for granted. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from duck.texts import Text

MAX_DEPTH = 100  # of nested JSON; far beyond any real input, far below what recursion bears
MAX_VALUES = 100_000  # of one JSON text: more would take longer to read than streams can wait, and hundreds of bytes each
_NUL = rb"\u0000"  # the only way in which JSON says it
_CONTAINERS = (dict, list)


class ParseError(ValueError):
    """What is wrong with a text; `text` says it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def json(text: bytes | str) -> Any:
    """The value that a JSON text stands for; of a name that an object has twice the last counts, as in Dify.

    Raises `ParseError`: no JSON (lone surrogates and numbers beyond a float are none, either), too much of it, or too deep.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if _has_more_values(data, MAX_VALUES):
        raise ParseError(Text("more than {count} values", count=f"{MAX_VALUES:,}"))
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ParseError(Text("not valid JSON: {reason}", reason=error)) from error
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_deep(value):
        raise ParseError(Text("nested deeper than {count} levels", count=MAX_DEPTH))
    return without_nul(value) if _NUL in data else value


def without_nul(value: Any) -> Any:
    """The value without the NUL characters in its texts, which Dify leaves out, too: its database cannot store them (C-R.4)."""
    match value:
        case str():
            return value.replace("\0", "")
        case list():
            return [without_nul(item) for item in value]
        case dict():
            return {without_nul(name): without_nul(item) for name, item in value.items()}
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


def _has_more_values(data: bytes, limit: int) -> bool:
    """Whether a JSON text holds more values, counted by the signs before them; those within strings do not count."""
    if _signs(data) <= limit:
        return False
    unescaped = data.replace(rb"\\", b"").replace(rb"\"", b"")
    if unescaped.count(b'"') > 4 * limit:  # a name and a value have two each
        return True
    return _signs(b"".join(unescaped.split(b'"')[::2])) > limit


def _signs(data: bytes) -> int:
    return sum(map(data.count, (b"[", b"{", b",")))


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
