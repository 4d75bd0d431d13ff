"""Reads requests of Chat Completions. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from duck import errors
from duck.faces.asking import Attachment, Prompt, Turn
from duck.faces.openai import fields

_SYSTEM = {"system", "developer"}
_ROLES = {**dict.fromkeys(_SYSTEM, "system"), "user": "user", "assistant": "assistant", "tool": "tool", "function": "tool"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A request of Chat Completions. `conversation_id` is what the client names a conversation by, None if it does not."""

    prompt: Prompt
    conversation_id: str | None
    includes_usage: bool


def read(body: Mapping[str, Any]) -> Completion:
    """Reads a request's body. Raises `DuckError` 400 that names the field."""
    _refuse_unsupported(body)
    prompt = read_messages(
        [_read(message, f"messages[{index}]") for index, message in enumerate(fields.sequence(body, "messages"))], "messages"
    )
    options = fields.mapping(body, "stream_options")
    return Completion(
        prompt=Prompt(
            **prompt,
            inputs=fields.mapping(body, "inputs"),
            user=fields.text(body, "user"),
            streams=fields.flag(body, "stream"),
        ),
        conversation_id=fields.text(body, "conversation_id") or None,
        includes_usage=fields.flag(options, "include_usage", "stream_options.include_usage"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: its role and text, and the files of a user's."""

    role: str
    text: str
    attachments: tuple[Attachment, ...] = ()


def read_messages(messages: list[Message], name: str) -> dict[str, Any]:
    """Text, turns, system and attachments of a `Prompt`. The user's last messages in a row are one. Raises `DuckError` 400."""
    said = [message for message in messages if message.role != "system"]
    last: list[Message] = []
    while said and said[-1].role == "user":
        last.insert(0, said.pop())
    if not last:
        raise errors.invalid_field(name, "the last message must be the user's")
    text = joined(message.text for message in last)
    if not text.strip():
        raise errors.invalid_field(name, "the last message has no text")
    turns: list[Turn] = []
    for message in said:
        if turns and turns[-1][0] == message.role == "user":
            turns[-1] = ("user", joined((turns[-1][1], message.text)))
        elif message.text:
            turns.append((message.role, message.text))
    return {
        "text": text,
        "turns": tuple(turns),
        "system": joined(message.text for message in messages if message.role == "system"),
        "attachments": tuple(attachment for message in last for attachment in message.attachments),
    }


def joined(texts: Iterable[str]) -> str:
    """The texts as paragraphs."""
    return "\n\n".join(filter(None, texts))


def _read(message: Any, place: str) -> Message:
    if not isinstance(message, dict):
        raise errors.invalid_field(place, "must be an object with role and content")
    role = message.get("role")
    if role not in _ROLES:
        raise errors.invalid_field(f"{place}.role", f"must be one of {', '.join(_ROLES)}")
    content = message.get("content")
    if content is None and role in {"assistant", "tool", "function"}:
        content = message.get("refusal") or ""
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
        case "text":
            return fields.text(part, "text", f"{place}.text")
        case "refusal":
            return fields.text(part, "refusal", f"{place}.refusal")
        case "image_url":
            image = part.get("image_url")
            return fields.image(image.get("url") if isinstance(image, dict) else image, f"{place}.image_url")
        case "file":
            about = fields.mapping(part, "file", f"{place}.file")
            if "file_data" not in about:
                raise errors.invalid_field(f"{place}.file", "must have file_data: Duck stores no files that a file_id could name")
            return fields.file(about["file_data"], about.get("filename"), f"{place}.file.file_data")
        case "input_audio":
            return fields.audio(fields.mapping(part, "input_audio", f"{place}.input_audio"), f"{place}.input_audio")
    raise errors.invalid_field(f"{place}.type", "must be text, image_url, file, input_audio or refusal")


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    fields.refuse_tools(body, "tools", "functions")
    n = body.get("n")
    if n is not None and n != 1:
        raise fields.refuse("n", "an app gives one answer")
    if body.get("logprobs"):
        raise fields.refuse("logprobs", "an app gives no probabilities")
    if body.get("top_logprobs"):
        raise fields.refuse("top_logprobs", "an app gives no probabilities")
    if body.get("audio") or "audio" in (body.get("modalities") or ()):
        raise fields.refuse("audio" if body.get("audio") else "modalities", "an app answers in text")
    response_format = fields.mapping(body, "response_format")
    if response_format.get("type", "text") != "text":
        raise fields.refuse("response_format", "an app answers in text of its own form")
    if body.get("web_search_options"):
        raise fields.refuse("web_search_options", "an app has its own tools")
