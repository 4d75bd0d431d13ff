"""What a request says, field by field: as JSON, as a form, as multipart with files, or in its query string."""

import codecs
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import orjson
from werkzeug import Request
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from duck.errors import DuckError, invalid
from duck.files import File
from duck.inputs import Files, Texts

MAX_BODY = 10 * 1024 * 1024  # the daemon cuts bodies here without a word: one of this length is one that was cut
MAX_DEPTH = 100  # of nested JSON; far beyond any real input, far below what recursion bears
EMPTY_BODY = b"0\r\n\r\n"  # what a POST without a body arrives as: the daemon sends a chunked one that the SDK does not decode

_TYPES = "Send application/json, application/x-www-form-urlencoded or multipart/form-data."


def read(request: Request, known: Collection[str]) -> dict[str, Any]:
    """The fields of a request: of its body, or for a GET of its query string.

    What a form or a query string says besides the `known` fields, and the files that came with it, are in it under `inputs`, as
    `Texts` and `Files`.

    Raises `DuckError`: 400 for what cannot be read, 413 for a body that the daemon has cut, 415 for another type.
    """
    return _query_fields(request, known) if request.method in {"GET", "HEAD"} else _body_fields(request, known)


def _body_fields(request: Request, known: Collection[str]) -> dict[str, Any]:
    body = request.get_data()
    if len(body) >= MAX_BODY:
        raise DuckError(413, "file_too_large", "The body is too large: Dify passes on less than 10 MiB, files included.")
    if body in {b"", EMPTY_BODY}:
        return {}
    if request.is_json:
        return _json_object(body)
    request.max_form_memory_size = MAX_BODY  # the body is in memory already; Werkzeug's 500 kB would refuse a long text
    if request.mimetype == "application/x-www-form-urlencoded":
        return _form_fields(request, known)
    if request.mimetype == "multipart/form-data":
        return _multipart_fields(request, known)
    raise DuckError(415, "unsupported_media_type", f"The content type is {request.mimetype or 'missing'}. {_TYPES}")


def _json_object(body: bytes) -> dict[str, Any]:
    value = _json(body.removeprefix(codecs.BOM_UTF8), "the body")
    if not isinstance(value, dict):
        raise invalid('The body must be a JSON object, like {"inputs": {}}.')
    return value


def _json(text: bytes | str, where: str) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise invalid(f"{where}: not valid JSON: {error}") from error
    _check(value, where, MAX_DEPTH)
    return value


def _check(value: Any, where: str, depth: int) -> None:
    """Refuses what Dify's database or its workers cannot take."""
    if depth == 0 and isinstance(value, dict | list):
        raise invalid(f"{where}: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        if "\0" in value:
            raise invalid(f"{where}: holds a NUL character, which Dify cannot store")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check(name, where, depth - 1)
            _check(inner, where, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, where, depth - 1)


def _form_fields(request: Request, known: Collection[str]) -> dict[str, Any]:
    if next(iter(request.form), "").lstrip().startswith("{"):
        raise invalid(
            "The body looks like JSON but was sent as a form. Send it with the header Content-Type: application/json "
            "(curl: -H 'Content-Type: application/json')."
        )
    return _named(request.form.lists(), known)


def _multipart_fields(request: Request, known: Collection[str]) -> dict[str, Any]:
    try:
        parts = [*request.form, *request.files]
    except RequestEntityTooLarge as error:
        raise DuckError(413, "file_too_large", f"The form has more than {request.max_form_parts} parts.") from error
    if None in parts:
        raise invalid("A part of the multipart body has no name.")
    if not parts:
        raise invalid("The multipart body has no parts. Let the client set the content type itself: it has to name the boundary.")
    sent = {name: files for name, files in request.files.lists() if any(file.filename for file in files)}
    return _named(request.form.lists(), known, {name: _received(files) for name, files in sent.items()})


def _received(parts: Iterable[FileStorage]) -> Files:
    """The files of parts of one name, without the empty ones that a browser sends where none was chosen."""
    named = [(part, part.filename) for part in parts if part.filename]
    return Files(File.received(name, part.mimetype, part.read()) for part, name in named)


def _query_fields(request: Request, known: Collection[str]) -> dict[str, Any]:
    return _named(((name, values) for name, values in request.args.lists() if name != "format"), known)


def _named(
    pairs: Iterable[tuple[str, list[str]]], known: Collection[str], sent: Mapping[str, Files] | None = None
) -> dict[str, Any]:
    """The fields of a form or a query string, and the files `sent` along.

    An input is there as `NAME`, where no field is called so, as `inputs.NAME`, or in a JSON text under `inputs`; the later of
    the three wins. A file is there as `NAME` or `inputs.NAME`.
    """
    fields: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    dotted: dict[str, Any] = {}
    for name, values in pairs:
        _check([name, *values], name, MAX_DEPTH)
        if name in known:
            if len(values) > 1:
                raise invalid(f"{name}: given {len(values)} times")
            fields[name] = values[0]
        elif name.startswith("inputs."):
            dotted[name.removeprefix("inputs.")] = Texts(values)
        else:
            plain[name] = Texts(values)
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
    return {**fields, "inputs": {**plain, **dotted, **uploads, **together} if isinstance(together, dict) else together}
