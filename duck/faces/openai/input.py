"""Reads requests of the Responses API. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from duck import errors
from duck.faces.asking import Attachment, Prompt
from duck.faces.openai import fields
from duck.faces.openai.messages import Message, joined, read_messages

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A request for a response. `previous_response_id` is None if it continues none; `instructions` and `metadata` are echoed."""

    prompt: Prompt
    previous_response_id: str | None
    instructions: str | None
    metadata: Mapping[str, Any]


def read(body: Mapping[str, Any]) -> Creation:
    """Reads a request's body. Raises `DuckError` 400 that names the field."""
    _refuse_unsupported(body)
    given = body.get("input")
    if isinstance(given, str):
        items = [Message(role="user", text=given)]
    else:
        read_items = [_read(item, f"input[{index}]") for index, item in enumerate(fields.sequence(body, "input"))]
        items = [item for item in read_items if item]
    instructions = fields.text(body, "instructions")
    prompt = read_messages(items, "input")
    prompt["system"] = joined((instructions, prompt["system"]))
    return Creation(
        prompt=Prompt(
            **prompt,
            repeats_system=True,
            inputs=fields.mapping(body, "inputs"),
            user=fields.text(body, "user"),
            streams=fields.flag(body, "stream"),
        ),
        previous_response_id=fields.text(body, "previous_response_id") or None,
        instructions=instructions or None,
        metadata=fields.mapping(body, "metadata"),
    )


def _read(item: Any, place: str) -> Message | None:
    """The message of an item, None for a model's reasoning."""
    if not isinstance(item, dict):
        raise errors.invalid_field(place, "must be an object")
    if item.get("type") == "reasoning":
        return None
    if item.get("type") not in (None, "message"):
        raise errors.invalid_field(place, "must be of type message: an app has its own tools and cannot call yours")
    role = item.get("role")
    if role not in _ROLES:
        raise errors.invalid_field(f"{place}.role", f"must be one of {', '.join(_ROLES)}")
    content = item.get("content")
    if isinstance(content, str):
        return Message(role=_ROLES[role], text=content)
    if not isinstance(content, list) or not content:
        raise errors.invalid_field(f"{place}.content", "must be a text or a list of parts")
    parts = [_part(part, f"{place}.content[{index}]") for index, part in enumerate(content)]
    return Message(
        role=_ROLES[role],
        text=joined(part for part in parts if isinstance(part, str)),
        attachments=tuple(part for part in parts if isinstance(part, Attachment)),
    )


def _part(part: Any, place: str) -> str | Attachment:
    if not isinstance(part, dict):
        raise errors.invalid_field(place, "must be an object with a type")
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return fields.text(part, "text", f"{place}.text")
        case "refusal":
            return fields.text(part, "refusal", f"{place}.refusal")
        case "input_image":
            return fields.image(part.get("image_url"), f"{place}.image_url")
        case "input_file":
            name = "file_data" if part.get("file_data") is not None else "file_url"
            if part.get(name) is None:
                raise errors.invalid_field(
                    place, "must have file_data or file_url: Duck stores no files that a file_id could name"
                )
            return fields.file(part[name], part.get("filename"), f"{place}.{name}")
    raise errors.invalid_field(f"{place}.type", "must be input_text, input_image, input_file, output_text or refusal")


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    fields.refuse_tools(body, "tools")
    reasons = {
        "background": "an app's run cannot go on in the background",
        "prompt": "an app has its own prompt",
        "conversation": "conversations are continued by previous_response_id",
    }
    for name, reason in reasons.items():
        if body.get(name):
            raise fields.refuse(name, reason)
    text_format = fields.mapping(fields.mapping(body, "text"), "format", "text.format")
    if text_format.get("type", "text") != "text":
        raise fields.refuse("text.format", "an app answers in text of its own form")
