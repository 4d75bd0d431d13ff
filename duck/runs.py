"""What a caller asks for: a `Run`, parsed and checked from a request."""

import codecs
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from werkzeug import Request
from werkzeug.exceptions import RequestEntityTooLarge

from duck.errors import DuckError, invalid
from duck.events import Kind
from duck.settings import canonical

Mode = Literal["blocking", "streaming"]

MAX_BODY = 10 * 1024 * 1024  # the daemon cuts bodies here without a word: one of this length is one that was cut
MAX_DEPTH = 100  # of nested JSON; far beyond any real input, far below what recursion bears
EMPTY_BODY = b"0\r\n\r\n"  # what a POST without a body arrives as: the daemon sends a chunked one that the SDK does not decode

_FIELDS = {"chat": {"query", "conversation_id"}, "workflow": set[str](), "completion": set[str]()}
_SHARED_FIELDS = {"inputs", "response_mode", "user", "files"}
_TYPES = "Send application/json, application/x-www-form-urlencoded or multipart/form-data."


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One invocation of an app.

    `mode` is how Dify shall run it, None where the caller leaves that to the format. `query` and `conversation_id` are for
    chats alone; an empty `conversation_id` starts one. All texts may be empty.
    """

    kind: Kind
    app_id: str
    inputs: Mapping[str, Any]
    query: str = ""
    conversation_id: str = ""
    mode: Mode | None = None
    user: str = ""


def parse(request: Request, kind: Kind, app_id: str) -> Run:
    """Reads a run from a request: from its body, or for a GET from its query string.

    Raises `DuckError`: 400 that lists every fault by its field, 413 for a body that the daemon has cut, 415 for another type.
    """
    fields = _query_fields(request, kind) if request.method in {"GET", "HEAD"} else _body_fields(request, kind)
    faults: list[str] = []
    inputs = _inputs(fields.get("inputs"), faults)
    mode = _mode(_text(fields, "response_mode", faults), faults)
    user = _text(fields, "user", faults)
    chat = _chat_fields(fields, faults) if kind == "chat" else {}
    if fields.get("files") not in (None, [], ""):
        faults.append("files: Dify takes none from plugins; give the app a file variable and send the file under inputs")
    if faults:
        raise invalid("; ".join(faults))
    return Run(kind=kind, app_id=app_id, inputs=inputs, mode=mode, user=user, **chat)


def _chat_fields(fields: Mapping[str, Any], faults: list[str]) -> dict[str, str]:
    query = _text(fields, "query", faults)
    if not query.strip() and isinstance(fields.get("query") or "", str):
        faults.append("query: required")
    conversation_id = _text(fields, "conversation_id", faults)
    if conversation_id and not canonical(conversation_id):
        faults.append("conversation_id: must be the UUID from an earlier answer, or empty to start a conversation")
    return {"query": query, "conversation_id": canonical(conversation_id) or ""}


def _mode(value: str, faults: list[str]) -> Mode | None:
    match value:
        case "blocking" | "streaming":
            return value
        case "":
            return None
    faults.append("response_mode: must be blocking or streaming")
    return None


def _inputs(value: Any, faults: list[str]) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if value is not None:
        faults.append('inputs: must be an object, like {"city": "Oslo"}')
    return {}


def _text(fields: Mapping[str, Any], name: str, faults: list[str]) -> str:
    value = fields.get(name)
    if isinstance(value, str):
        return value
    if value is not None:
        faults.append(f"{name}: must be a text")
    return ""


def _body_fields(request: Request, kind: Kind) -> dict[str, Any]:
    body = request.get_data()
    if len(body) >= MAX_BODY:
        raise DuckError(413, "file_too_large", "The body is too large: Dify passes on less than 10 MiB, files included.")
    if body in {b"", EMPTY_BODY}:
        return {}
    if request.is_json:
        return _json_object(body)
    request.max_form_memory_size = MAX_BODY  # the body is in memory already; Werkzeug's 500 kB would refuse a long text
    if request.mimetype == "application/x-www-form-urlencoded":
        return _form_fields(request, kind)
    if request.mimetype == "multipart/form-data":
        return _multipart_fields(request, kind)
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


def _form_fields(request: Request, kind: Kind) -> dict[str, Any]:
    if next(iter(request.form), "").lstrip().startswith("{"):
        raise invalid(
            "The body looks like JSON but was sent as a form. Send it with the header Content-Type: application/json "
            "(curl: -H 'Content-Type: application/json')."
        )
    return _named(request.form.lists(), kind)


def _multipart_fields(request: Request, kind: Kind) -> dict[str, Any]:
    try:
        parts = [*request.form, *request.files]
    except RequestEntityTooLarge as error:
        raise DuckError(413, "file_too_large", f"The form has more than {request.max_form_parts} parts.") from error
    if None in parts:
        raise invalid("A part of the multipart body has no name.")
    if not parts:
        raise invalid("The multipart body has no parts. Let the client set the content type itself: it has to name the boundary.")
    if files := [name for name, file in request.files.items(multi=True) if file.filename]:
        raise invalid("; ".join(f"{name}: files cannot be uploaded here; send a link to one in a JSON body" for name in files))
    return _named(request.form.lists(), kind)


def _query_fields(request: Request, kind: Kind) -> dict[str, Any]:
    return _named(((name, values) for name, values in request.args.lists() if name != "format"), kind)


def _named(pairs: Iterable[tuple[str, list[str]]], kind: Kind) -> dict[str, Any]:
    """The fields of a form or a query string.

    An input is there as `NAME`, where no field is called so, as `inputs.NAME`, or in a JSON text under `inputs`; the later of
    the three wins.
    """
    known = _FIELDS[kind] | _SHARED_FIELDS
    fields: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    dotted: dict[str, Any] = {}
    for name, values in pairs:
        if len(values) > 1:
            raise invalid(f"{name}: given {len(values)} times")
        _check([name, *values], name, MAX_DEPTH)
        if name in known:
            fields[name] = values[0]
        elif name.startswith("inputs."):
            dotted[name.removeprefix("inputs.")] = values[0]
        else:
            plain[name] = values[0]
    together = _json(fields["inputs"], "inputs") if fields.get("inputs") else {}
    return {**fields, "inputs": {**plain, **dotted, **together} if isinstance(together, dict) else together}
