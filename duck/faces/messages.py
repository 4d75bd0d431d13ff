"""Messages of a chat as clients of language models send them. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from duck import errors
from duck.faces import fields
from duck.faces.asking import Attachment, Turn, mark

MAX_MESSAGES = 5_000  # of one request
# A client's roles and what they are in Duck.
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


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
