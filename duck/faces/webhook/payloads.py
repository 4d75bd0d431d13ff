"""What a sender has sent: a body of any content type, and its fields if it has some. Pure."""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from werkzeug import Request

from duck import errors, limits
from duck.errors import DuckError
from duck.runs import bodies, charsets, parsing
from duck.runs.fields import Files, Texts
from duck.runs.files import File
from duck.runs.parsing import ParseError
from duck.streams import json
from duck.texts import Text

_WRAPPED = "payload"  # the field of a form in which GitHub and Slack send JSON
FORMS = {"application/x-www-form-urlencoded", "multipart/form-data"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A body. `text` is all of it, None if it is no text. `value` is that of a JSON body.

    `fields` are the named parts of an object or a form: JSON values, `Texts`, `Files`, and objects of these.
    """

    body: bytes
    mimetype: str = ""
    text: str | None = None
    value: Any = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def with_value(self, value: Any) -> "Payload":
        """A copy with another JSON value."""
        if value is self.value:
            return self
        body = json.encode(value)
        return replace(self, body=body, text=body.decode(), value=value, fields=value if isinstance(value, Mapping) else {})

    @property
    def file(self) -> File:
        """The body as a file."""
        return File.from_content("", self.mimetype, self.body)


def body_of(request: Request) -> bytes:
    """The bytes of a request's body as they were sent. Raises `DuckError` 413 for too many, 415 for a content encoding."""
    body = request.get_data()
    if len(body) > limits.MAX_PAYLOAD:
        raise errors.too_large(len(body), limits.MAX_PAYLOAD)
    if body and request.content_encoding not in {None, "", "identity"}:
        raise DuckError(415, "unsupported_media_type", Text("Send the body as it is, without a Content-Encoding."))
    return b"" if body == bodies.EMPTY_BODY else body


def read(request: Request) -> Payload:
    """The body of a request. What cannot be parsed has no fields. Raises `DuckError` as `body_of` does."""
    body = body_of(request)
    payload = Payload(body=body, mimetype=request.mimetype, text=_text(request, body))
    if request.is_json or (request.mimetype != "multipart/form-data" and body.lstrip()[:1] in {b"{", b"["}):
        payload = _of_json(payload, request)
    if payload.value is None and request.mimetype in FORMS:
        payload = _of_form(payload, request)
    return payload


def _of_json(payload: Payload, request: Request) -> Payload:
    try:
        value = bodies.read_json_value(request)
    except DuckError:  # it is a text, then
        return payload
    return replace(payload, value=value, fields=value if isinstance(value, Mapping) else {})


def _of_form(payload: Payload, request: Request) -> Payload:
    try:
        fields = bodies.read(request, frozenset()).get("inputs")
    except DuckError:
        return payload
    if not isinstance(fields, Mapping):
        return payload
    match fields.get(_WRAPPED):
        case Texts((str() as wrapped,)) if isinstance(value := _parsed(wrapped), Mapping):
            return replace(payload, text=wrapped, value=value, fields={**value, **_without(fields, _WRAPPED)})
    if request.mimetype == "multipart/form-data":  # its text has boundaries and files in it
        payload = replace(payload, text=json.encode(plain(fields)).decode())
    return replace(payload, fields=fields)


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as JSON values, without files. A field that is given once is a text; one that is given more often is a list."""
    return {name: _plain(value) for name, value in fields.items() if not isinstance(value, Files)}


def _plain(value: Any) -> Any:
    return value if not isinstance(value, Texts) else value[0] if len(value) == 1 else list(value)


def _parsed(text: str) -> Any:
    try:
        return parsing.json(text)
    except ParseError:
        return None


def _without(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return {other: value for other, value in fields.items() if other != name}


def _text(request: Request, body: bytes) -> str | None:
    codec = charsets.codec(request.mimetype_params.get("charset"))
    try:
        return body.removeprefix(codecs.BOM_UTF8).decode(codec).replace("\0", "")
    except UnicodeDecodeError:
        return None
