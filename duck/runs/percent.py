"""Percent-decoding of forms. Pure."""

import re
from string import hexdigits

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_BYTES = {f"{high}{low}".encode(): bytes.fromhex(high + low) for high in hexdigits for low in hexdigits}
_PIECE = 8 * 1024  # bytes that are decoded at a time, in a millisecond


def decode(text: bytes) -> bytes:
    """The text with its escapes decoded, in pieces, so that other threads get a turn. urllib would take seconds."""
    text = text.replace(b"+", b" ")
    if b"%" not in text:
        return text
    pieces: list[bytes] = []
    start = 0
    while start < len(text):
        end = start + _PIECE
        if end < len(text) and (escape := text.rfind(b"%", end - 2, end)) >= 0:
            end = escape  # so that it is not cut in two
        parts = _ESCAPE.split(text[start:end])
        parts[1::2] = map(_BYTES.__getitem__, parts[1::2])
        pieces.append(b"".join(parts))
        start = end
    return b"".join(pieces)
