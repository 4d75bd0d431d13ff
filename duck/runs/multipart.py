"""Splits a multipart body into parts. Names and texts stay bytes, because their charset is found out later. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from duck.errors import DuckError, invalid
from duck.texts import Text

MAX_PARTS = 1000  # as many as a form may have fields
MAX_HEAD = 8192  # bytes of a part's headers; a file name has 255 bytes at most, each escaped as three characters
MAX_BOUNDARY = 200  # characters; RFC 2046 allows 70

_BLOCK = 64 * 1024  # bytes
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_MAX_TYPE = 127  # characters, the most for a registered type (RFC 6838)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part. `filename` is None if the part is not a file. `mimetype` is "" if it is missing or invalid.

    `charset` is the one that the content type names, None without one.
    """

    name: bytes
    filename: bytes | None
    mimetype: str
    charset: str | None
    content: bytes


def parts(body: bytes, boundary: str) -> list[Part]:
    """The parts of a body. Raises `DuckError` 400 for a body that is broken or has too many parts."""
    if not 0 < len(boundary) <= MAX_BOUNDARY:
        raise _broken()
    decoder = _Decoder(boundary.encode("latin-1", "replace"), max_parts=MAX_PARTS)
    try:
        return [_part(head, content) for head, content in _sections(decoder, body)]
    except RequestEntityTooLarge as error:
        raise invalid(Text("More than {count} fields.", count=MAX_PARTS)) from error
    except ValueError as error:
        raise _broken() from error


class _Decoder(MultipartDecoder):
    """Werkzeug's decoder, for headers in any charset. It takes only UTF-8, so they are read as Latin-1, which keeps the bytes.

    Long headers are refused, because a few megabytes would take seconds to parse.
    """

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        if len(data) > MAX_HEAD:
            raise ValueError("the head of a part is too long")
        return super()._parse_headers(data.decode("latin-1").encode())


def _sections(decoder: MultipartDecoder, body: bytes) -> Iterator[tuple[Field | File, bytes]]:
    """The head and content of each part. The body is searched in blocks, so that other threads get a turn in between."""
    head: Field | File | None = None
    content: list[bytes] = []
    blocks: Iterator[bytes | None] = (body[start : start + _BLOCK] for start in range(0, len(body), _BLOCK))
    while not isinstance(event := decoder.next_event(), Epilogue):
        match event:
            case Field() | File():
                head, content = event, []
            case Data() if head:
                content.append(event.data)
                if not event.more_data:
                    yield head, b"".join(content)
            case NeedData():
                decoder.receive_data(next(blocks, None))


def _part(head: Field | File, content: bytes) -> Part:
    if head.name is None:
        raise invalid(Text("A part of the multipart body has no name."))
    filename = head.filename if isinstance(head, File) else None
    is_decoded = "filename*" in head.headers.get("content-disposition", "").lower()  # RFC 5987, as .NET sends it
    mimetype, options = parse_options_header(head.headers.get("content-type", ""))
    mimetype = mimetype.lower()
    return Part(
        name=head.name.encode("latin-1", "replace"),
        filename=None if filename is None else filename.encode("utf-8" if is_decoded else "latin-1", "replace"),
        mimetype=mimetype if len(mimetype) <= _MAX_TYPE and _TYPE.fullmatch(mimetype) else "",
        charset=options.get("charset"),
        content=content,
    )


def _broken() -> DuckError:
    return invalid(Text("The multipart body is broken. Let the client set the content type itself: it has to name the boundary."))
