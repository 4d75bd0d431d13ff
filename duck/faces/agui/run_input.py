"""Reads a request for a run, AG-UI's `RunAgentInput`. Pure."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import dropwhile, groupby, takewhile
from operator import attrgetter
from typing import Any, Final

from duck import errors
from duck.faces import fields
from duck.faces.asking import Attachment, Prompt
from duck.faces.messages import MAX_MESSAGES, ROLES, Message, joined, read_message, read_messages
from duck.runs import files

MAX_ID = 1000  # characters of an id that is repeated in the answer
MAX_ANSWERS = 100  # messages of the assistant in a row whose ids are looked at: a run makes a few
INPUTS = "forwardedProps.inputs"  # where a request has the app's inputs
# Roles of messages that the app gets nothing of: it has its own tools, and has reasoned by itself.
_SKIPPED = ("tool", "reasoning", "activity")
_ROLES: Final = {**ROLES, **{role: role for role in _SKIPPED}}  # the latter for the sentence that names all of them
_NO_HANDLE = "Duck stores no files that a handle could name"
_KINDS: Mapping[str, files.FileKind] = {"image": "image", "audio": "audio", "video": "video", "document": "document"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInput:
    """What a client asks for.

    `answer_ids` are the ids of the assistant's messages to which the user has replied, the newest first: at most `MAX_ANSWERS`,
    up to the first one that has text.
    """

    thread_id: str
    run_id: str
    prompt: Prompt
    answer_ids: tuple[str, ...]


def read(body: Mapping[str, Any]) -> RunInput:
    """Reads a request's body. Raises `DuckError` 400 that names the field."""
    thread_id, run_id = (fields.text(body, name, required=True) for name in ("threadId", "runId"))
    for name, value in (("threadId", thread_id), ("runId", run_id)):
        if len(value) > MAX_ID:
            raise errors.invalid_field(name, f"longer than {MAX_ID} characters")
    if body.get("resume"):
        raise errors.invalid_field("resume", "an app's run is not interrupted, and cannot be resumed")
    given = body.get("forwardedProps")
    props = given if isinstance(given, dict) else {}  # any JSON value may stand there
    said = [
        _read(item, f"messages[{index}]")
        for index, item in enumerate(fields.sequence(body, "messages"))
        if not (isinstance(item, dict) and item.get("role") in _SKIPPED)
    ]
    if len(said) > MAX_MESSAGES:  # before they are merged
        raise errors.invalid_field("messages", f"more than {MAX_MESSAGES} messages")
    return RunInput(
        thread_id=thread_id,
        run_id=run_id,
        prompt=Prompt(
            **read_messages([*_merged(message for _, message in said)], "messages"),
            inputs=fields.mapping(props, "inputs", INPUTS),
            user=fields.text(props, "user", "forwardedProps.user"),
            streams=True,
        ),
        answer_ids=_answer_ids(said),
    )


def _read(item: Any, place: str) -> tuple[str, Message]:
    """The id of a message, and the message."""
    return fields.text(fields.item(item, place), "id", f"{place}.id"), read_message(item, place, _ROLES, _part)


def _merged(messages: Iterable[Message]) -> Iterator[Message]:
    """The messages, with one in place of several of the assistant in a row: a run may have answered in several."""
    for role, group in groupby(messages, attrgetter("role")):
        if role != "assistant":
            yield from group
            continue
        found = [*group]
        attachments = tuple(attachment for message in found for attachment in message.attachments)
        yield Message(role=role, place=found[-1].place, text=joined(each.text for each in found), attachments=attachments)


def _answer_ids(said: list[tuple[str, Message]]) -> tuple[str, ...]:
    latest = (each for each in reversed(said) if each[1].role != "system")
    answers = takewhile(lambda each: each[1].role == "assistant", dropwhile(lambda each: each[1].role == "user", latest))
    ids: list[str] = []
    for id_, message in itertools.islice(answers, MAX_ANSWERS):
        ids.append(id_)
        if message.text:
            break
    return tuple(ids)


def _part(part: fields.Fields, place: str) -> str | Attachment:
    match part.get("type"):
        case "text":
            return fields.text(part, "text", f"{place}.text")
        case "image" | "audio" | "video" | "document" as kind:
            return _media(part, place, _KINDS[kind])
        case "binary":
            return _binary(part, place)
    raise errors.invalid_field(f"{place}.type", f"must be text, {', '.join([*_KINDS][:-1])} or {[*_KINDS][-1]}")


def _media(part: fields.Fields, place: str, kind: files.FileKind) -> Attachment:
    source = fields.item(part.get("source"), f"{place}.source")
    if source.get("type") not in {"url", "data"}:
        raise errors.invalid_field(f"{place}.source.type", f"must be url or data: {_NO_HANDLE}")
    if source["type"] == "url":
        return fields.attachment(source.get("value"), place, "source.value", kind=kind)
    metadata = part.get("metadata")
    filename = metadata.get("filename") if isinstance(metadata, dict) else None
    url = _data_url(source, "value", f"{place}.source")
    return _attached(url, place, "source.value", kind, filename if isinstance(filename, str) else "")


def _binary(part: fields.Fields, place: str) -> Attachment:
    """A file as clients before AG-UI 1.0 send it: {mimeType, url or data, filename}."""
    mimetype = fields.text(part, "mimeType", f"{place}.mimeType")
    kind = _KINDS.get(mimetype.partition("/")[0], "document")
    if part.get("data") is None:
        return fields.attachment(part.get("url"), place, "url", kind=kind)
    return _attached(_data_url(part, "data", place), place, "data", kind, fields.text(part, "filename", f"{place}.filename"))


def _attached(url: str, place: str, name: str, kind: files.FileKind, filename: str) -> Attachment:
    # A document may be of any type, so its own type and name tell its kind.
    return fields.attachment(url, place, name, kind=None if kind == "document" else kind, filename=filename)


def _data_url(source: fields.Fields, name: str, place: str) -> str:
    """The `data:` URL of a file that is given by its base64 in the field `name`, and its type."""
    value = fields.text(source, name, f"{place}.{name}", required=True)
    if value[:5].lower() == "data:":
        return value
    # Parameters are left out: those of a recorded video may have a comma, which would end the type.
    mimetype = fields.text(source, "mimeType", f"{place}.mimeType", required=True).partition(";")[0].strip()
    if "," in mimetype:
        raise errors.invalid_field(f"{place}.mimeType", "must be a type such as image/png")
    return f"data:{mimetype};base64,{value}"
