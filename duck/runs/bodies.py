"""What a request says, field by field: as JSON, as a form, as multipart with files, or in its query string."""

import codecs
import re
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from string import hexdigits
from typing import Any

from werkzeug import Request

from duck.errors import DuckError, invalid, invalid_field, invalid_fields
from duck.offload import offload
from duck.runs import charsets, fields, files, multipart, parsing
from duck.runs.fields import Files, Texts
from duck.runs.files import File
from duck.runs.multipart import Part
from duck.runs.parsing import ParseError
from duck.texts import Fault, Text

MAX_BODY = 10 * 1024 * 1024  # the daemon cuts bodies here without a word: one of this length is one that was cut
MAX_FIELDS = 1000  # of one request, inputs included; apps have a few dozen inputs
SMALL = 64 * 1024  # bytes of a body that is read in a few milliseconds
EMPTY_BODY = b"0\r\n\r\n"  # what a POST without a body arrives as: the daemon sends a chunked one that the SDK does not decode
CHARSET = "_charset_"  # the field in which a browser tells a form's, https://html.spec.whatwg.org/#attr-fe-name-charset

_QUERY = "duck.query"  # in the environ: what the query string says, which is read more than once
_FORM = re.compile(rb"[\w.%+-]+=")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_BYTES = {f"{high}{low}".encode(): bytes.fromhex(high + low) for high in hexdigits for low in hexdigits}
_PIECE = 8 * 1024  # bytes that are searched for escapes at a time: a millisecond


def read(request: Request, known: AbstractSet[str], own: AbstractSet[str] = frozenset()) -> dict[str, Any]:
    """The fields of a request: of its body, or for a GET of its query string.

    All fields of a form or a query string but the `known` ones, and all files that came with it, are under `inputs`: `Texts`,
    objects of texts, and `Files`. The face's `own` fields of a form may be repeated and are `Texts`, too.

    Raises `DuckError`: 400 for what cannot be read, 413 for a body that the daemon has cut, 415 for another type.
    """
    if request.method in {"GET", "HEAD"}:
        found = _named([(name, value) for name, value in query(request) if name != "format"], known, own)
    else:
        if stray := [name for name, _ in query(request) if fields.path(name)[0] in {*known, *own, "inputs"}]:
            raise invalid_fields([Fault(name, IN_THE_BODY) for name in stray])
        body = request.get_data()
        found = offload(len(body), lambda: _body_fields(request, body, known, own), small=SMALL)
    inputs = found.get("inputs")
    if len(found) + (len(inputs) if isinstance(inputs, dict) else 0) > MAX_FIELDS:
        raise _too_many()
    return found


IN_THE_BODY = Text("goes into the body, not into the URL of a POST")


def query(request: Request) -> list[tuple[str, str]]:
    """What a query string says, name by name. Raises `DuckError` 400 where that cannot be read."""
    text, environ = request.query_string, request.environ
    if _QUERY not in environ:
        environ[_QUERY] = offload(len(text), lambda: _decoded(_pairs(text), charsets.UTF_8, Text("must be UTF-8")), small=SMALL)
    pairs: list[tuple[str, str]] = environ[_QUERY]
    return pairs


def names_in_url(request: Request) -> set[str]:
    """The names of a query string, but for what is not the app's. Raises `DuckError` 400 where that cannot be read."""
    return {fields.path(name)[0] for name, _ in query(request)} - {"format"}


def query_value(request: Request, name: str) -> str | None:
    """What a query string says first under a name, None if it says nothing. Raises `DuckError` 400 where that cannot be read."""
    return next((value for other, value in query(request) if other == name), None)


def _too_many() -> DuckError:
    return invalid(Text("More than {count} fields.", count=MAX_FIELDS))


def _body_fields(request: Request, body: bytes, known: AbstractSet[str], own: AbstractSet[str]) -> dict[str, Any]:
    if len(body) >= MAX_BODY:
        raise DuckError(413, "file_too_large", Text("The body is too large: Dify passes on less than 10 MiB, files included."))
    if body in {b"", EMPTY_BODY}:
        return {}
    if request.content_encoding not in {None, "", "identity"}:
        raise DuckError(415, "unsupported_media_type", Text("Send the body as it is, without a Content-Encoding."))
    declared = request.mimetype_params.get("charset")
    if request.is_json:
        return _json_object(body, charsets.codec(declared))
    if request.mimetype == "application/x-www-form-urlencoded":
        return _form_fields(body, declared, known, own)
    if request.mimetype == "multipart/form-data":
        return _multipart_fields(body, request.mimetype_params.get("boundary", ""), known, own)
    message = "The content type is {type}. Send application/json, application/x-www-form-urlencoded or multipart/form-data."
    if _looks_like_json(body):
        message = (
            "The body looks like JSON, but its content type is {type}. Send it with the header Content-Type: application/json."
        )
    raise DuckError(415, "unsupported_media_type", Text(message, type=request.mimetype or "missing"))


# JSON


def _json_object(body: bytes, codec: str) -> dict[str, Any]:
    if codec != charsets.UTF_8:
        try:
            body = body.decode(codec).encode()
        except UnicodeDecodeError as error:
            raise _about_body(NOT_AS_DECLARED) from error
    text = body.removeprefix(codecs.BOM_UTF8)
    try:
        value = parsing.json(text)
    except ParseError as error:
        raise _no_json(text, error) from error
    if not isinstance(value, dict):
        raise invalid(Text('The body must be a JSON object, like {"inputs": {}}.'))
    return value


def _no_json(body: bytes, error: ParseError) -> DuckError:
    """Why the body cannot be read; the most common reasons are named."""
    if not _is_utf_8(body):
        return _about_body(Text("JSON must be UTF-8, or in the charset that the Content-Type names"))
    if body.startswith(b"'"):
        return _about_body(_SINGLE_QUOTES)
    if _FORM.match(body):
        return _about_body(Text("{fault}. It looks like a form: leave the Content-Type to the client.", fault=error.text))
    return _about_body(error.text)


def _about_body(fault: str) -> DuckError:
    return invalid(Text("the body: {fault}", fault=fault))


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


_SINGLE_QUOTES = Text(
    "begins with a single quote. The Windows command line (cmd.exe) passes these on: put the JSON in double quotes, with a "
    'backslash before those within it, like -d "{\\"query\\": \\"hi\\"}"'
)
NOT_AS_DECLARED = Text("is not in the charset that the Content-Type names")


def _looks_like_json(body: bytes) -> bool:
    return body.lstrip(b" \t\r\n'").startswith((b"{", b"[{"))


# Forms and query strings


def _pairs(text: bytes) -> list[tuple[bytes, bytes]]:
    """The names and values of a form, as bytes."""
    if text.count(b"&") >= MAX_FIELDS:
        raise _too_many()
    pairs = (pair.partition(b"=") for pair in text.split(b"&") if pair)
    return [(_unescaped(name), _unescaped(value)) for name, _, value in pairs]


def _unescaped(text: bytes) -> bytes:
    """The text without its escapes. It is done piece by piece, so that other threads get a turn; urllib would take seconds."""
    text = text.replace(b"+", b" ")
    if b"%" not in text:
        return text
    pieces: list[bytes] = []
    start = 0
    while start < len(text):
        end = start + _PIECE
        if end < len(text) and (escape := text.rfind(b"%", end - 2, end)) >= 0:
            end = escape  # which is not cut in two
        parts = _ESCAPE.split(text[start:end])
        parts[1::2] = map(_BYTES.__getitem__, parts[1::2])
        pieces.append(b"".join(parts))
        start = end
    return b"".join(pieces)


def _decoded(pairs: Iterable[tuple[bytes, bytes]], codec: str, fault: Text | None = None) -> list[tuple[str, str]]:
    texts = []
    for raw_name, raw_value in pairs:
        name = _name(raw_name, codec, fault)
        texts.append((name, _text(raw_value, codec, name, fault)))
    return texts


def _name(raw: bytes, codec: str, fault: Text | None = None) -> str:
    """The name of a field: mostly ASCII, whatever its value is written in."""
    return raw.decode() if raw.isascii() else _text(raw, codec, "", fault)


def _text(raw: bytes, codec: str, name: str, fault: Text | None = None) -> str:
    """The text that bytes stand for. Raises `DuckError` 400, with the `name` of the field, for what is none in this charset."""
    try:
        return raw.decode(codec)
    except UnicodeDecodeError as error:
        fault = fault or (charsets.NOT_UTF_8 if codec == charsets.UTF_8 else NOT_AS_DECLARED)
        raise (invalid_field(name, fault) if name else invalid(Text("the name of a field: {fault}", fault=fault))) from error


def _form_fields(body: bytes, declared: str | None, known: AbstractSet[str], own: AbstractSet[str]) -> dict[str, Any]:
    first = body.lstrip(b" \t\r\n")
    if first.startswith(b"'") and _looks_like_json(first):
        raise _about_body(_SINGLE_QUOTES)
    pairs = _pairs(body)
    if _looks_like_json(pairs[0][0]):
        raise invalid(
            Text(
                "The body looks like JSON but was sent as a form. Send it with the header Content-Type: application/json "
                "(curl: -H 'Content-Type: application/json')."
            )
        )
    told = next((value.decode("latin-1") for name, value in pairs if name == CHARSET.encode()), None)
    return _named(_decoded(pairs, charsets.codec(declared or told)), known, own)


# Multipart


def _multipart_fields(body: bytes, boundary: str, known: AbstractSet[str], own: AbstractSet[str]) -> dict[str, Any]:
    parts = multipart.parts(body, boundary)
    told = next((part.content.decode("latin-1") for part in parts if part.name == CHARSET.encode()), None)
    pairs: list[tuple[str, str]] = []
    sent: dict[str, list[File]] = {}
    for part in parts:
        codec = charsets.codec(part.charset or told)
        name = _name(part.name, codec)
        base = fields.path(name)[0]
        if part.filename is None or (part.filename == files.BLOB.encode() and base in known and base != "files"):
            pairs.append((name, _text_of(part, codec, name)))
        elif part.filename or part.content:  # a browser sends an empty one where none was chosen
            sent.setdefault(name, []).append(File.received(charsets.file_name(part.filename), part.mimetype, part.content))
    return _named(pairs, known, own, sent)


def _text_of(part: Part, codec: str, name: str) -> str:
    """What a part says that is no file; one of JSON that is a text, is that text."""
    text = _text(part.content, codec, name)
    if part.mimetype != "application/json":
        return text
    try:
        value = parsing.json(text)
    except ParseError:
        return text
    return value if isinstance(value, str) else text


# All of them


def _named(
    pairs: Iterable[tuple[str, str]],
    known: AbstractSet[str],
    own: AbstractSet[str],
    sent: Mapping[str, Collection[File]] | None = None,
) -> dict[str, Any]:
    """The fields of a form or a query string, and the files `sent` along; see `fields`."""
    lines = [(name.replace("\0", ""), value.replace("\r\n", "\n").replace("\0", "")) for name, value in pairs]
    found, plain, prefixed = fields.split(((name, value) for name, value in lines if name not in {*own, CHARSET}), known)
    request: dict[str, Any] = {**found}
    for name, value in lines:
        if name in own:
            request[name] = Texts((*request.get(name, ()), value))
    uploads: dict[str, Files] = {}
    for name, received in (sent or {}).items():
        first, *keys = fields.path(name)
        base = keys[0] if first == "inputs" and keys else first
        uploads[base] = Files((*uploads.get(base, ()), *received))
    if both := sorted({*plain, *prefixed, *found} & uploads.keys()):
        raise invalid_fields([Fault(name, Text("given as a text and as a file")) for name in both])
    request |= {name: uploads.pop(name) for name in known & uploads.keys()}
    together = request.get("inputs") or {}
    if isinstance(together, str):
        try:
            together = parsing.json(together)
        except ParseError as error:
            raise invalid_field("inputs", error.text) from error
    if together == []:  # as PHP writes an empty object
        together = {}
    inputs = {**plain, **prefixed, **uploads, **together} if isinstance(together, dict) else together
    return {**request, "inputs": inputs}
