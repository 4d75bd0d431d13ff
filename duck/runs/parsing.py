"""Parses JSON and lines from outside, which may be malformed or hostile. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from duck.texts import Text

MAX_DEPTH = 100  # levels of nested JSON: far above any real input, far below the limit of recursion
MAX_VALUES = 100_000  # of one JSON text: more take longer to parse than streams can wait, and hundreds of bytes each
_NUL = rb"\u0000"  # JSON has no other way to write it
_CONTAINERS = (dict, list)


class ParseError(ValueError):
    """A text cannot be parsed. `text` says what is wrong with it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def json(text: bytes | str) -> Any:
    """The value of a JSON text. If an object has a name twice, the last one counts, as in Dify.

    Raises `ParseError` for text that is not JSON, has too many values, or is nested too deeply. Lone surrogates and numbers
    beyond a float are not JSON, either.
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
    """The value without the NUL characters in its texts. Dify drops them, too, because its database cannot store them."""
    match value:
        case str():
            return value.replace("\0", "")
        case list():
            return [without_nul(item) for item in value]
        case dict():
            return {without_nul(name): without_nul(item) for name, item in value.items()}
    return value


def lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines in blocks of bytes, without their line ends. A last line without an end is left out."""
    parts: list[bytes] = []  # of a line that has not ended yet
    for block in blocks:
        first, *more = block.split(b"\n")
        parts.append(first)
        for line in more:
            yield b"".join(parts)
            parts = [line]


def _has_more_values(data: bytes, limit: int) -> bool:
    """Whether a JSON text has more values than `limit`. Counts `[`, `{` and `,` outside of strings."""
    if _count_separators(data) <= limit:
        return False
    unescaped = data.replace(rb"\\", b"").replace(rb"\"", b"")
    if unescaped.count(b'"') > 4 * limit:  # a name and a value have two each
        return True
    return _count_separators(b"".join(unescaped.split(b'"')[::2])) > limit


def _count_separators(data: bytes) -> int:
    return sum(map(data.count, (b"[", b"{", b",")))


def _is_deep(value: Any) -> bool:
    """Whether a value is nested too deeply. Looks only at containers, level by level: a large document takes milliseconds."""
    level = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, _CONTAINERS)
        ]
    return bool(level)
