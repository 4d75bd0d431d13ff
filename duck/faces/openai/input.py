"""Reads requests of the Responses API. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from duck import errors
from duck.faces import fields
from duck.faces.asking import Attachment, Prompt
from duck.faces.messages import ROLES, Message, joined, read_message, read_messages
from duck.streams import json

MAX_ECHOED = 16_384  # bytes of metadata, and characters of instructions: a stream repeats them three times


@dataclass(frozen=True, slots=True)
class Reference:
    """An item of an earlier answer, by its `id`. `place` is where the request has it."""

    id: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A request for a response. `instructions` and `metadata` are echoed.

    `previous_response_id` is None if the request continues from no response. `reference` is the last item of an answer that the
    input refers to in place of its text, None without one.
    """

    prompt: Prompt
    previous_response_id: str | None
    reference: Reference | None
    instructions: str | None
    metadata: Mapping[str, Any]


def read(body: Mapping[str, Any]) -> Creation:
    """Reads a request's body. Raises `DuckError` 400 that names the field."""
    _refuse_unsupported(body)
    given = body.get("input")
    if isinstance(given, str):
        items: list[Message | Reference] = [Message(role="user", place="input", text=given)]
    else:
        found = enumerate(fields.sequence(body, "input"))
        items = [_read(item, f"input[{index}]") for index, item in found if not _is_reasoning(item)]
    # A reference ends a message of the user, as the text would that it stands for.
    messages = [Message(role="assistant", place=item.place, text="") if isinstance(item, Reference) else item for item in items]
    instructions = fields.text(body, "instructions")
    prompt = read_messages(messages, "input")
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
        reference=next((item for item in reversed(items) if isinstance(item, Reference)), None),
        instructions=instructions if 0 < len(instructions) <= MAX_ECHOED else None,
        metadata=_metadata(body),
    )


def _metadata(body: Mapping[str, Any]) -> dict[str, Any]:
    metadata = fields.mapping(body, "metadata")
    if len(json.encode(metadata)) > MAX_ECHOED:
        raise errors.invalid_field("metadata", f"more than {MAX_ECHOED} bytes")
    return metadata


def _is_reasoning(item: Any) -> bool:
    """Whether an item is a model's reasoning, which clients send back and Duck skips."""
    return isinstance(item, dict) and item.get("type") == "reasoning"


def _read(item: Any, place: str) -> Message | Reference:
    kind = fields.item(item, place).get("type")
    if kind == "item_reference" or (kind is None and item.keys() == {"id"}):
        return Reference(fields.text(item, "id", f"{place}.id", required=True), place)
    if kind not in (None, "message"):
        raise errors.invalid_field(place, "must be of type message: an app has its own tools and cannot call yours")
    return read_message(item, place, ROLES, _part)


def _part(part: fields.Fields, place: str) -> str | Attachment:
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return fields.text(part, "text", f"{place}.text")
        case "refusal":
            return fields.text(part, "refusal", f"{place}.refusal")
        case "input_image":
            return fields.attachment(part.get("image_url"), place, "image_url", kind="image")
        case "input_file":
            name = "file_data" if part.get("file_data") is not None else "file_url"
            if part.get(name) is None:
                raise errors.invalid_field(
                    place, "must have file_data or file_url: Duck stores no files that a file_id could name"
                )
            return fields.attachment(part[name], place, name, filename=fields.text(part, "filename", f"{place}.filename"))
    raise errors.invalid_field(f"{place}.type", "must be input_text, input_image, input_file, output_text or refusal")


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    fields.refuse_tools(body, "tools", "tool_choice")
    reasons = {
        "background": "an app's run cannot go on in the background",
        "prompt": "an app has its own prompt",
        "conversation": "conversations are continued by previous_response_id",
    }
    for name, reason in reasons.items():
        if body.get(name):
            raise errors.invalid_field(name, reason)
    text_format = fields.mapping(fields.mapping(body, "text"), "format", "text.format")
    if text_format.get("type") not in (None, "text"):
        raise errors.invalid_field("text.format", "an app answers in text of its own form")
