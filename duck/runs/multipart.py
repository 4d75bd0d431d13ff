"""A multipart body, part by part, as bytes: which charset a name or a text is in, is found out later. Pure."""

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
MAX_HEAD = 8192  # bytes of a part's head; a file name has 255 bytes at most, in three letters each
MAX_BOUNDARY = 200  # characters; RFC 2046 allows 70

_BLOCK = 64 * 1024  # bytes
_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_MAX_TYPE = 127  # characters, as registered ones may have (RFC 6838)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part. `filename` is None for one that is no file, `mimetype` is "" where it is not told or cannot be one.

    `charset` is what its content type names, if anything.
    """

    name: bytes
    filename: bytes | None
    mimetype: str
    charset: str | None
    content: bytes


def parts(body: bytes, boundary: str) -> list[Part]:
    """The parts of a body. Raises `DuckError` 400 for one that is broken, or has too many of them."""
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
    """Werkzeug's, for heads in any charset, which come as Latin-1: that gives the bytes back. It would refuse what is no UTF-8.

    To parse a head of some megabytes would take it seconds.
    """

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        if len(data) > MAX_HEAD:
            raise ValueError("the head of a part is too long")
        return super()._parse_headers(data.decode("latin-1").encode())


def _sections(decoder: MultipartDecoder, body: bytes) -> Iterator[tuple[Field | File, bytes]]:
    """The parts' heads, each with its content. The body is searched block by block: other threads get a turn between them."""
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
