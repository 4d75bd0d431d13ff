"""Reads requests of Chat Completions. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from duck import errors
from duck.faces.asking import Attachment, Prompt, Turn, mark
from duck.faces.openai import fields

MAX_MESSAGES = 5_000  # of one request
# A client's roles and what they are in Duck.
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: its role and text, and its files. `place` is where the request has it."""

    role: str
    place: str
    text: str
    attachments: tuple[Attachment, ...] = ()


def read_messages(messages: list[Message], name: str) -> dict[str, Any]:
    """Text, turns, system and attachments of a `Prompt`. The user's last messages in a row are one.

    Raises `DuckError` 400. `name` is the field that the messages are from.
    """
    if len(messages) > MAX_MESSAGES:
        raise errors.invalid_field(name, f"more than {MAX_MESSAGES} messages")
    said = [message for message in messages if message.role != "system"]
    last: list[Message] = []
    while said and said[-1].role == "user":
        last.insert(0, said.pop())
    if not last:
        raise errors.invalid_field(said[-1].place if said else name, "the last message must be the user's")
    text = joined(message.text for message in last)
    if not text.strip():
        raise errors.invalid_field(last[-1].place, "the last message has no text")
    turns: list[Turn] = []
    for role, group in groupby((message for message in said if message.text or message.attachments), attrgetter("role")):
        found = [*group]
        # Only messages of the user are one if they come in a row.
        turns += map(_turn, [found] if role == "user" else ([message] for message in found))
    return {
        "text": text,
        "turns": tuple(turns),
        "system": joined(message.text for message in messages if message.role == "system"),
        "attachments": tuple(attachment for message in last for attachment in message.attachments),
    }


def _turn(messages: list[Message]) -> Turn:
    files = tuple(attachment for message in messages for attachment in message.attachments)
    return Turn(role=messages[0].role, text=joined(message.text for message in messages), files=mark(files))


def joined(texts: Iterable[str]) -> str:
    """The texts as paragraphs."""
    return "\n\n".join(filter(None, texts))


def read_message(
    item: Any, place: str, roles: Mapping[str, str], read_part: Callable[[fields.Fields, str], str | Attachment]
) -> Message:
    """A message, whose content is a text or parts that `read_part` reads. Raises `DuckError` 400."""
    message = fields.item(item, place)
    role = roles.get(fields.text(message, "role", f"{place}.role"))
    if role is None:
        raise errors.invalid_field(f"{place}.role", f"must be one of {', '.join(roles)}")
    content = message.get("content")
    if content is None and role in {"assistant", "tool"}:
        content = fields.text(message, "refusal", f"{place}.refusal")
    if isinstance(content, str):
        return Message(role=role, place=place, text=content)
    if not isinstance(content, list) or not content:
        raise errors.invalid_field(f"{place}.content", "must be a text or a list of parts")
    places = [f"{place}.content[{index}]" for index in range(len(content))]
    parts = [read_part(fields.item(part, at), at) for part, at in zip(content, places, strict=True)]
    return Message(
        role=role,
        place=place,
        text=joined(part for part in parts if isinstance(part, str)),
        attachments=tuple(part for part in parts if isinstance(part, Attachment)),
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
