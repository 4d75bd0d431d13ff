"""What a request says, field by field: as JSON, as a form, as multipart with files, or in its query string."""

import codecs
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from io import BytesIO
from typing import Any

from werkzeug import Request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from duck import parsing
from duck.errors import DuckError, invalid
from duck.files import File
from duck.inputs import Files, Texts

MAX_BODY = 10 * 1024 * 1024  # the daemon cuts bodies here without a word: one of this length is one that was cut
MAX_FIELDS = 1000  # of one request, inputs included: as many as Werkzeug allows parts; apps have a few dozen inputs
# What only a page's form says: which button has been pressed that says something by itself, and which boxes may be ticked; a
# browser does not send those that are not.
SAYS, OFF = "duck.say", "duck.off"
EMPTY_BODY = b"0\r\n\r\n"  # what a POST without a body arrives as: the daemon sends a chunked one that the SDK does not decode

_FORM = re.compile(rb"[\w.%+-]+=")
_TYPES = "Send application/json, application/x-www-form-urlencoded or multipart/form-data."


def read(request: Request, known: Collection[str]) -> dict[str, Any]:
    """The fields of a request: of its body, or for a GET of its query string.

    What a form or a query string says besides the `known` fields, and the files that came with it, are in it under `inputs`, as
    `Texts` and `Files`.

    Raises `DuckError`: 400 for what cannot be read, 413 for a body that the daemon has cut, 415 for another type.
    """
    if request.method in {"GET", "HEAD"}:
        fields = _query_fields(request, known)
    else:
        if stray := [name for name in query(request) if name in known or name.startswith("inputs.")]:
            raise invalid("; ".join(f"{name}: goes into the body, not into the URL of a POST" for name in stray))
        fields = _body_fields(request, known)
    inputs = fields.get("inputs")
    if len(fields) + (len(inputs) if isinstance(inputs, dict) else 0) > MAX_FIELDS:
        raise _too_many()
    return fields


def query(request: Request) -> MultiDict[str, str]:
    """What a query string says, bytes that are no UTF-8 still as `%FF`. Raises `DuckError` 400 where that cannot be read."""
    if request.query_string.count(b"&") >= MAX_FIELDS:
        raise _too_many()
    try:
        return request.args
    except UnicodeDecodeError as error:
        raise invalid("The query string is neither UTF-8 nor percent-encoded.") from error


def _too_many() -> DuckError:
    return invalid(f"More than {MAX_FIELDS} fields.")


def _body_fields(request: Request, known: Collection[str]) -> dict[str, Any]:
    body = request.get_data()
    if len(body) >= MAX_BODY:
        raise DuckError(413, "file_too_large", "The body is too large: Dify passes on less than 10 MiB, files included.")
    if body in {b"", EMPTY_BODY}:
        return {}
    if request.content_encoding not in {None, "", "identity"}:
        raise DuckError(415, "unsupported_media_type", "Send the body as it is, without a Content-Encoding.")
    if request.is_json:
        return _json_object(body)
    if request.mimetype == "application/x-www-form-urlencoded":
        if body.count(b"&") >= MAX_FIELDS:
            raise _too_many()
        request.max_form_memory_size = MAX_BODY  # the body is in memory already; Werkzeug's 500 kB would refuse a long text
        return _form_fields(request, known)
    if request.mimetype == "multipart/form-data":
        return _multipart_fields(request, known)
    raise DuckError(415, "unsupported_media_type", f"The content type is {request.mimetype or 'missing'}. {_TYPES}")


def _json_object(body: bytes) -> dict[str, Any]:
    hint = ". It looks like a form: leave the Content-Type to the client." if _FORM.match(body) else ""
    value = _json(body.removeprefix(codecs.BOM_UTF8), "the body", hint)
    if not isinstance(value, dict):
        raise invalid('The body must be a JSON object, like {"inputs": {}}.')
    return value


def _json(text: bytes | str, where: str, hint: str = "") -> Any:
    try:
        return parsing.json(text)
    except ValueError as error:
        raise invalid(f"{where}: {error}{hint}") from error


def _form_fields(request: Request, known: Collection[str]) -> dict[str, Any]:
    if next(iter(request.form), "").lstrip().startswith("{"):
        raise invalid(
            "The body looks like JSON but was sent as a form. Send it with the header Content-Type: application/json "
            "(curl: -H 'Content-Type: application/json')."
        )
    return _named(request.form.lists(), known)


def _multipart_fields(request: Request, known: Collection[str]) -> dict[str, Any]:
    body = request.get_data()
    parser = FormDataParser(
        stream_factory=lambda *_, **__: BytesIO(),  # no temporary file for what is in memory already
        max_form_memory_size=MAX_BODY,
        max_form_parts=MAX_FIELDS,
        silent=False,
    )
    try:
        _, form, files = parser.parse(BytesIO(body), request.mimetype, len(body), request.mimetype_params)
    except RequestEntityTooLarge as error:
        raise _too_many() from error
    except ValueError as error:
        raise invalid(
            "The multipart body is broken. Let the client set the content type itself: it has to name the boundary."
        ) from error
    if None in {*form, *files}:
        raise invalid("A part of the multipart body has no name.")
    sent = {name: parts for name, parts in files.lists() if any(part.filename for part in parts)}
    return _named(form.lists(), known, {name: _received(parts) for name, parts in sent.items()})


def _received(parts: Iterable[FileStorage]) -> Files:
    """The files of parts of one name, without the empty ones that a browser sends where none was chosen."""
    named = [(part, part.filename) for part in parts if part.filename]
    return Files(File.received(name, part.mimetype, part.read()) for part, name in named)


def _query_fields(request: Request, known: Collection[str]) -> dict[str, Any]:
    return _named(((name, values) for name, values in query(request).lists() if name != "format"), known)


def _sound(pairs: Iterable[tuple[str, list[str]]], known: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """The same, with the lines' ends that people have typed: forms send each as CRLF.

    Raises `DuckError` for what Dify cannot store, and for a known field that is there more than once.
    """
    for name, values in pairs:
        if any("\0" in text for text in (name, *values)):
            raise invalid(f"{name}: {parsing.HAS_NUL}")
        if name in known and len(values) > 1:
            raise invalid(f"{name}: given {len(values)} times")
        yield name, [text.replace("\r\n", "\n") for text in values]


def _named(
    pairs: Iterable[tuple[str, list[str]]], known: Collection[str], sent: Mapping[str, Files] | None = None
) -> dict[str, Any]:
    """The fields of a form or a query string, and the files `sent` along.

    An input is there as `NAME`, where no field is called so, as `inputs.NAME`, or in a JSON text under `inputs`; the later of
    the three wins. A file is there as `NAME` or `inputs.NAME`.
    """
    given = dict(_sound(pairs, known))
    fields: dict[str, Any] = {name: values[0] for name, values in given.items() if name in known}
    others = {name: Texts(values) for name, values in given.items() if name not in known and name not in {SAYS, OFF}}
    dotted = {name.removeprefix("inputs."): texts for name, texts in others.items() if name.startswith("inputs.")}
    plain = {name: texts for name, texts in others.items() if not name.startswith("inputs.")}
    unticked = {name: Texts(("false",)) for name in given.get(OFF, ())}
    if SAYS in given:
        fields["query"] = given[SAYS][0]
    uploads: dict[str, Files] = {}
    for name, files in (sent or {}).items():
        if name in known:
            fields[name] = files
        else:
            uploads[name.removeprefix("inputs.")] = files
    if both := sorted({*plain, *dotted} & uploads.keys()):
        raise invalid("; ".join(f"{name}: given as a text and as a file" for name in both))
    together = fields.get("inputs") or {}
    if isinstance(together, str):
        together = _json(together, "inputs")
    return {
        **fields,
        "inputs": {**unticked, **plain, **dotted, **uploads, **together} if isinstance(together, dict) else together,
    }
