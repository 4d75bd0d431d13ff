"""The fields of a request: from JSON, a form, a multipart body with files, or the query string."""

import codecs
import re
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from werkzeug import Request

from duck.errors import DuckError, invalid, invalid_field, invalid_fields
from duck.offload import offload
from duck.runs import charsets, fields, files, multipart, parsing, percent
from duck.runs.fields import Files, Texts
from duck.runs.files import File
from duck.runs.multipart import Part
from duck.runs.parsing import ParseError
from duck.texts import Fault, Text

MAX_BODY = 10 * 1024 * 1024  # bytes; the daemon silently cuts bodies here, so a body of this length has been cut
MAX_FIELDS = 1000  # of one request, with its inputs; apps have a few dozen inputs
SMALL = 64 * 1024  # bytes of a body that is parsed in a few milliseconds
EMPTY_BODY = b"0\r\n\r\n"  # the body of a POST without one: the daemon sends it chunked, and the SDK does not decode it
_NO_BODY = {b"", EMPTY_BODY}
CHARSET = "_charset_"  # the field in which browsers name a form's charset, https://html.spec.whatwg.org/#attr-fe-name-charset

_QUERY = "duck.query"  # in the environ: the parsed query string, which is read more than once
_FORM = re.compile(rb"[\w.%+-]+=")


def read(request: Request, known: AbstractSet[str], repeatable: AbstractSet[str] = frozenset()) -> dict[str, Any]:
    """The fields of a request: from its body, or for a GET from its query string.

    In a form or a query string all fields but the `known` ones are inputs, files included. They are returned under `inputs`, as
    `Texts`, objects of texts, and `Files`. The `repeatable` fields may be given several times and are `Texts`, too.

    Raises `DuckError`: 400 if it cannot be parsed, 413 for a body that the daemon has cut, 415 for another content type.
    """
    if request.method in {"GET", "HEAD"}:
        found = _merged([(name, value) for name, value in query(request) if name != "format"], known, repeatable)
    else:
        if stray := [name for name, _ in query(request) if fields.path(name)[0] in {*known, *repeatable, "inputs"}]:
            raise invalid_fields([Fault(name, IN_THE_BODY) for name in stray])
        body = request.get_data()
        found = offload(len(body), lambda: _body_fields(request, body, known, repeatable), small=SMALL)
    _refuse_many(found)
    return found


IN_THE_BODY = Text("goes into the body, not into the URL of a POST")


def read_json(request: Request) -> dict[str, Any]:
    """The fields of a body that is a JSON object, whatever its content type. Raises `DuckError` as `read` does."""
    found = {} if request.get_data() in _NO_BODY else _object(read_json_value(request))
    _refuse_many(found)
    return found


def read_json_value(request: Request) -> Any:
    """The JSON value of a body, whatever its content type. Raises `DuckError` as `read` does, also for no body."""
    body = request.get_data()
    if body in _NO_BODY:
        body = b""

    def parse() -> Any:
        _refuse_cut_or_encoded(request, body)
        return _json(body, charsets.codec(request.mimetype_params.get("charset")))

    return offload(len(body), parse, small=SMALL)


def query(request: Request) -> list[tuple[str, str]]:
    """The names and values of the query string. Raises `DuckError` 400 if it cannot be parsed."""
    text, environ = request.query_string, request.environ
    if _QUERY not in environ:
        environ[_QUERY] = offload(len(text), lambda: _decoded(_pairs(text), charsets.UTF_8, Text("must be UTF-8")), small=SMALL)
    pairs: list[tuple[str, str]] = environ[_QUERY]
    return pairs


def names_in_url(request: Request) -> set[str]:
    """The names in the query string, except `format`, which is not the app's. Raises `DuckError` 400 as `query` does."""
    return {fields.path(name)[0] for name, _ in query(request)} - {"format"}


def query_value(request: Request, name: str) -> str | None:
    """The first value of a name in the query string, None if there is none. Raises `DuckError` 400 as `query` does."""
    return next((value for other, value in query(request) if other == name), None)


def _refuse_many(found: Mapping[str, Any]) -> None:
    if sum(len(each) for each in (found, found.get("inputs")) if isinstance(each, Mapping)) > MAX_FIELDS:
        raise _too_many()


def _too_many() -> DuckError:
    return invalid(Text("More than {count} fields.", count=MAX_FIELDS))


def _refuse_cut_or_encoded(request: Request, body: bytes) -> None:
    if len(body) >= MAX_BODY:
        raise DuckError(413, "file_too_large", Text("The body is too large: Dify passes on less than 10 MiB, files included."))
    if body and request.content_encoding not in {None, "", "identity"}:
        raise DuckError(415, "unsupported_media_type", Text("Send the body as it is, without a Content-Encoding."))


def _body_fields(request: Request, body: bytes, known: AbstractSet[str], repeatable: AbstractSet[str]) -> dict[str, Any]:
    _refuse_cut_or_encoded(request, body)
    if body in _NO_BODY:
        return {}
    declared = request.mimetype_params.get("charset")
    if request.is_json:
        return _json_object(body, charsets.codec(declared))
    if request.mimetype == "application/x-www-form-urlencoded":
        return _form_fields(body, declared, known, repeatable)
    if request.mimetype == "multipart/form-data":
        return _multipart_fields(body, request.mimetype_params.get("boundary", ""), known, repeatable)
    message = "The content type is {type}. Send application/json, application/x-www-form-urlencoded or multipart/form-data."
    if _looks_like_json(body):
        message = (
            "The body looks like JSON, but its content type is {type}. Send it with the header Content-Type: application/json."
        )
    raise DuckError(415, "unsupported_media_type", Text(message, type=request.mimetype or "missing"))


# JSON


def _json_object(body: bytes, codec: str) -> dict[str, Any]:
    return _object(_json(body, codec))


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(Text('The body must be a JSON object, like {"inputs": {}}.'))
    return value


def _json(body: bytes, codec: str) -> Any:
    if codec != charsets.UTF_8:
        try:
            body = body.decode(codec).encode()
        except UnicodeDecodeError as error:
            raise _about_body(_NOT_AS_DECLARED) from error
    text = body.removeprefix(codecs.BOM_UTF8)
    try:
        return parsing.json(text)
    except ParseError as error:
        raise _invalid_json(text, error) from error


def _invalid_json(body: bytes, error: ParseError) -> DuckError:
    """The error for a body that is not valid JSON. It names the most common reasons."""
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
_NOT_AS_DECLARED = Text("is not in the charset that the Content-Type names")


def _looks_like_json(body: bytes) -> bool:
    return body.lstrip(b" \t\r\n'").startswith((b"{", b"[{"))


# Forms and query strings


def _pairs(text: bytes) -> list[tuple[bytes, bytes]]:
    """The names and values of a form, as bytes."""
    if text.count(b"&") >= MAX_FIELDS:
        raise _too_many()
    pairs = (pair.partition(b"=") for pair in text.split(b"&") if pair)
    return [(percent.decode(name), percent.decode(value)) for name, _, value in pairs]


def _decoded(pairs: Iterable[tuple[bytes, bytes]], codec: str, fault: Text | None = None) -> list[tuple[str, str]]:
    texts = []
    for raw_name, raw_value in pairs:
        name = _name(raw_name, codec, fault)
        texts.append((name, _text(raw_value, codec, name, fault)))
    return texts


def _name(raw: bytes, codec: str, fault: Text | None = None) -> str:
    """Decodes the name of a field: mostly ASCII, even if its value is in another charset."""
    return raw.decode() if raw.isascii() else _text(raw, codec, "", fault)


def _text(raw: bytes, codec: str, name: str, fault: Text | None = None) -> str:
    """Decodes the value of the field `name`, or its name if `name` is "". Raises `DuckError` 400 if it is not in this charset."""
    try:
        return raw.decode(codec)
    except UnicodeDecodeError as error:
        fault = fault or (charsets.NOT_UTF_8 if codec == charsets.UTF_8 else _NOT_AS_DECLARED)
        raise (invalid_field(name, fault) if name else invalid(Text("the name of a field: {fault}", fault=fault))) from error


def _form_fields(body: bytes, declared: str | None, known: AbstractSet[str], repeatable: AbstractSet[str]) -> dict[str, Any]:
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
    form_charset = next((value.decode("latin-1") for name, value in pairs if name == CHARSET.encode()), None)
    return _merged(_decoded(pairs, charsets.codec(declared or form_charset)), known, repeatable)


# Multipart


def _multipart_fields(body: bytes, boundary: str, known: AbstractSet[str], repeatable: AbstractSet[str]) -> dict[str, Any]:
    parts = multipart.parts(body, boundary)
    form_charset = next((part.content.decode("latin-1") for part in parts if part.name == CHARSET.encode()), None)
    pairs: list[tuple[str, str]] = []
    sent: dict[str, list[File]] = {}
    for part in parts:
        codec = charsets.codec(part.charset or form_charset)
        name = _name(part.name, codec)
        base = fields.path(name)[0]
        if part.filename is None or (part.filename == files.BLOB.encode() and base in known and base != "files"):
            pairs.append((name, _part_text(part, codec, name)))
        elif part.filename or part.content:  # browsers send an empty part if no file was chosen
            sent.setdefault(name, []).append(File.received(charsets.file_name(part.filename), part.mimetype, part.content))
    return _merged(pairs, known, repeatable, sent)


def _part_text(part: Part, codec: str, name: str) -> str:
    """The text of a part that is not a file. A JSON string gives the text in it."""
    text = _text(part.content, codec, name)
    if part.mimetype != "application/json":
        return text
    try:
        value = parsing.json(text)
    except ParseError:
        return text
    return value if isinstance(value, str) else text


# Forms, query strings and multipart


def _merged(
    pairs: Iterable[tuple[str, str]],
    known: AbstractSet[str],
    repeatable: AbstractSet[str],
    sent: Mapping[str, Collection[File]] | None = None,
) -> dict[str, Any]:
    """Merges the fields of a form or a query string with the files in `sent`. The rules are in `fields`."""
    cleaned = [(name.replace("\0", ""), value.replace("\r\n", "\n").replace("\0", "")) for name, value in pairs]
    found, plain, prefixed = fields.split(((name, value) for name, value in cleaned if name not in {*repeatable, CHARSET}), known)
    request: dict[str, Any] = {**found}
    for name, value in cleaned:
        if name in repeatable:
            request[name] = Texts((*request.get(name, ()), value))
    uploads: dict[str, Files] = {}
    for name, received in (sent or {}).items():
        first, *keys = fields.path(name)
        base = keys[0] if first == "inputs" and keys else first
        uploads[base] = Files((*uploads.get(base, ()), *received))
    if both := sorted({*plain, *prefixed, *found} & uploads.keys()):
        raise invalid_fields([Fault(name, Text("given as a text and as a file")) for name in both])
    request |= {name: uploads.pop(name) for name in known & uploads.keys()}
    json_inputs = request.get("inputs") or {}
    if isinstance(json_inputs, str):
        try:
            json_inputs = parsing.json(json_inputs)
        except ParseError as error:
            raise invalid_field("inputs", error.text) from error
    if json_inputs == []:  # as PHP writes an empty object
        json_inputs = {}
    inputs = {**plain, **prefixed, **uploads, **json_inputs} if isinstance(json_inputs, dict) else json_inputs
    return {**request, "inputs": inputs}
