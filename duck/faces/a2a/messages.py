"""Reads the messages of A2A's clients. All raise `DuckError` 400 that names the field. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from duck import errors
from duck.faces import fields, jsonrpc
from duck.faces.a2a import failures
from duck.faces.asking import Attachment
from duck.runs import bodies, files
from duck.runs.files import File

MAX_PARTS = 1000  # of one message
_CONTENTS = ("text", "data", "url", "raw")
_STANDARD = str.maketrans("-_", "+/")  # base64 of URLs as the standard one


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a client says: text, inputs and files. `context_id` is the context that it continues, None if it begins one."""

    text: str
    inputs: Mapping[str, Any]
    attachments: tuple[Attachment, ...]
    context_id: str | None


def read_call(body: Any) -> tuple[str, Mapping[str, Any]]:
    """Method and parameters of a request. Raises `RpcError`."""
    if not isinstance(body, dict):
        raise failures.error(jsonrpc.INVALID_REQUEST, "The body must be one JSON-RPC request. Batches are not supported.")
    method, params = body.get("method"), body.get("params")
    if body.get("jsonrpc") != "2.0" or not isinstance(method, str):
        wanted = 'The body must be a JSON-RPC request: {"jsonrpc": "2.0", "id": …, "method": …, "params": …}.'
        raise failures.error(jsonrpc.INVALID_REQUEST, wanted)
    if body.get("id") is not None and jsonrpc.id_of(body) is None:
        most = jsonrpc.MAX_IDENTIFIER
        raise failures.error(jsonrpc.INVALID_REQUEST, f"The id must be a text of at most {most} characters, or a number.")
    if params is not None and not isinstance(params, dict):
        raise failures.error(jsonrpc.INVALID_PARAMS, "params must be an object.")
    return method, params or {}


def read(params: Mapping[str, Any]) -> Message:
    """Reads the parameters of `SendMessage`. Raises `RpcError` for what cannot be, else `DuckError` 400."""
    message = _object(params.get("message"), "message")
    if not fields.text(message, "messageId", "message.messageId"):
        raise errors.invalid_field("message.messageId", "required")
    if message.get("role") != "ROLE_USER":
        raise errors.invalid_field("message.role", "must be ROLE_USER")
    parts = message.get("parts")
    if not isinstance(parts, list) or not parts:
        raise errors.invalid_field("message.parts", "must be a list of at least one part")
    if len(parts) > MAX_PARTS:
        raise errors.invalid_field("message.parts", f"more than {MAX_PARTS} parts")
    if fields.text(message, "taskId", "message.taskId"):
        raise failures.no_task()
    configuration = params.get("configuration")
    if configuration is not None and _object(configuration, "configuration").get("taskPushNotificationConfig"):
        raise failures.no_push()
    texts, inputs, attachments = _read_parts(parts)
    if not (texts or inputs or attachments):
        raise errors.invalid_field("message.parts", "must have a text, data or a file")
    return Message(
        text="\n\n".join(texts),
        inputs=inputs,
        attachments=tuple(attachments),
        context_id=fields.text(message, "contextId", "message.contextId") or None,
    )


def _read_parts(parts: list[Any]) -> tuple[list[str], dict[str, Any], list[Attachment]]:
    """Texts that are not blank, inputs and files."""
    texts: list[str] = []
    inputs: dict[str, Any] = {}
    attachments: list[Attachment] = []
    for index, item in enumerate(parts):
        place = f"message.parts[{index}]"
        part = _object(item, place)
        given = [name for name in _CONTENTS if part.get(name) is not None]
        match given:
            case ["text"]:
                if (text := fields.text(part, "text", f"{place}.text")).strip():
                    texts.append(text)
            case ["data"]:
                inputs |= _object(part["data"], f"{place}.data")
            case ["url"] | ["raw"]:
                attachments.append(_file(part, given[0], place))
            case _:
                raise errors.invalid_field(place, "must have one of text, data, url and raw")
    if len(inputs) > bodies.MAX_FIELDS:
        raise errors.invalid_field("message.parts", f"more than {bodies.MAX_FIELDS} inputs")
    return texts, inputs, attachments


def _file(part: Mapping[str, Any], name: str, place: str) -> Attachment:
    """The file of a part: a link, or its content in base64."""
    value = fields.text(part, name, f"{place}.{name}")
    filename = fields.text(part, "filename", f"{place}.filename")
    media_type = fields.text(part, "mediaType", f"{place}.mediaType").partition(";")[0].strip().lower()
    if name == "url":
        if (name_in_link := files.name_in(value)) is None:
            raise errors.invalid_field(f"{place}.url", "must be a link (http or https)")
        return Attachment(value=value, kind=files.kind_of(filename or name_in_link, media_type), place=place)
    try:
        decoded = File.from_base64(value.translate(_STANDARD) if value.isascii() else value)
    except ValueError as fault:
        raise errors.invalid_field(f"{place}.raw", "must be base64") from fault
    file = File.from_content(filename, media_type, decoded.content)
    return Attachment(value=file, kind=file.kind, place=place)


def _object(value: Any, place: str) -> dict[str, Any]:
    if value is None:
        raise errors.invalid_field(place, "required")
    if not isinstance(value, dict):
        raise errors.invalid_field(place, "must be an object")
    return value
