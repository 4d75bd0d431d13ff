"""Reads requests of Chat Completions. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from duck import errors
from duck.faces import fields
from duck.faces.asking import Attachment, Prompt
from duck.faces.messages import ROLES, read_message, read_messages

_ROLES = {**ROLES, "tool": "tool", "function": "tool"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A request of Chat Completions. `conversation_id` is what the client names a conversation by, None if it does not."""

    prompt: Prompt
    conversation_id: str | None
    includes_usage: bool


def read(body: Mapping[str, Any]) -> Completion:
    """Reads a request's body. Raises `DuckError` 400 that names the field."""
    _refuse_unsupported(body)
    messages = [
        read_message(item, f"messages[{index}]", _ROLES, _part) for index, item in enumerate(fields.sequence(body, "messages"))
    ]
    options = fields.mapping(body, "stream_options")
    return Completion(
        prompt=Prompt(
            **read_messages(messages, "messages"),
            inputs=fields.mapping(body, "inputs"),
            user=fields.text(body, "user"),
            streams=fields.flag(body, "stream"),
        ),
        conversation_id=fields.text(body, "conversation_id") or None,
        includes_usage=fields.flag(options, "include_usage", "stream_options.include_usage"),
    )


def _part(part: fields.Fields, place: str) -> str | Attachment:
    match part.get("type"):
        case "text":
            return fields.text(part, "text", f"{place}.text")
        case "refusal":
            return fields.text(part, "refusal", f"{place}.refusal")
        case "image_url":
            image = part.get("image_url")
            return fields.attachment(image.get("url") if isinstance(image, dict) else image, place, "image_url", kind="image")
        case "file":
            about = fields.mapping(part, "file", f"{place}.file")
            if (data := about.get("file_data")) is None:
                raise errors.invalid_field(f"{place}.file", "must have file_data: Duck stores no files that a file_id could name")
            name = fields.text(about, "filename", f"{place}.file.filename")
            return fields.attachment(data, place, "file.file_data", filename=name)
        case "input_audio":
            return _audio(fields.mapping(part, "input_audio", f"{place}.input_audio"), place)
    raise errors.invalid_field(f"{place}.type", "must be text, image_url, file, input_audio or refusal")


def _audio(about: Mapping[str, Any], place: str) -> Attachment:
    """Sound: {data, format}, the data in base64."""
    extension = fields.text(about, "format", f"{place}.input_audio.format")
    if not (extension.isascii() and extension.isalnum()):
        raise errors.invalid_field(f"{place}.input_audio.format", "must be the format of the sound, such as wav or mp3")
    data = fields.text(about, "data", f"{place}.input_audio.data", required=True)
    url = f"data:audio/{extension};base64,{data}"
    return fields.attachment(url, place, "input_audio.data", kind="audio", filename=f"audio.{extension}")


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    fields.refuse_tools(body, "tools", "tool_choice")
    fields.refuse_tools(body, "functions", "function_call")
    modalities = body.get("modalities")
    response_format = fields.mapping(body, "response_format")
    refused = {
        "n": ("an app gives one answer", body.get("n") not in (None, 1)),
        "logprobs": (_NO_PROBABILITIES, bool(body.get("logprobs"))),
        "top_logprobs": (_NO_PROBABILITIES, bool(body.get("top_logprobs"))),
        "audio": (_TEXT_ONLY, body.get("audio") is not None),
        "modalities": (_TEXT_ONLY, modalities not in (None, [], ["text"])),
        "response_format": ("an app answers in text of its own form", response_format.get("type") not in (None, "text")),
        "web_search_options": ("an app has its own tools", body.get("web_search_options") is not None),
    }
    for name, (reason, is_refused) in refused.items():
        if is_refused:
            raise errors.invalid_field(name, reason)


_NO_PROBABILITIES = "an app gives no probabilities"
_TEXT_ONLY = "an app answers in text"
