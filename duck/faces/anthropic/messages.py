"""Reads requests of Anthropic's Messages API. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from duck import errors
from duck.faces import fields
from duck.faces.asking import Attachment, Prompt
from duck.faces.messages import Message, joined, read_messages
from duck.runs import files
from duck.runs.files import File

type Block = tuple[fields.Fields, str]  # a block of a message, and where the request has it

_ROLES = ("user", "assistant", "system")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_OWN_TOOLS = "an app has its own tools and cannot call yours"
_NO_FILE_ID = "Duck stores no files that a file_id could name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A request for a message. `conversation_id` is what the client names a conversation by, None if it does not."""

    prompt: Prompt
    conversation_id: str | None


def read(body: Mapping[str, Any]) -> Creation:
    """Reads a request's body. Raises `DuckError` 400 that names the field."""
    _refuse_unsupported(body)
    given = fields.sequence(body, "messages")
    of_system = [isinstance(item, dict) and item.get("role") == "system" for item in given]
    last = max((index for index, is_systems in enumerate(of_system) if not is_systems), default=0)
    messages = [
        message
        for index, item in enumerate(given)
        for message in _read_message(fields.item(item, f"messages[{index}]"), f"messages[{index}]", is_last=index == last)
    ]
    prompt = read_messages(messages, "messages")
    prompt["system"] = joined((_text(body.get("system"), "system"), prompt["system"]))
    return Creation(
        prompt=Prompt(
            **prompt,
            inputs=fields.mapping(body, "inputs"),
            user=fields.text(fields.mapping(body, "metadata"), "user_id", "metadata.user_id"),
            streams=fields.flag(body, "stream"),
        ),
        conversation_id=fields.text(body, "conversation_id") or None,
    )


def _read_message(message: fields.Fields, place: str, *, is_last: bool) -> list[Message]:
    """A message; results of tools in it are messages of their own. Raises `DuckError` 400."""
    role = fields.text(message, "role", f"{place}.role")
    if role not in _ROLES:
        raise errors.invalid_field(f"{place}.role", f"must be one of {', '.join(_ROLES)}")
    content = message.get("content")
    if role == "system":
        return [Message(role=role, place=place, text=_text(content, f"{place}.content"))]
    if isinstance(content, str):
        return [Message(role=role, place=place, text=content)]
    if not isinstance(content, list) or not (content or role == "assistant"):
        raise errors.invalid_field(f"{place}.content", "must be a text or a list of blocks")
    blocks = _blocks(content, f"{place}.content")
    if is_last:
        _refuse_tools_in(blocks)
    groups = [(is_result, [*group]) for is_result, group in groupby(blocks, _is_result)]
    parts = [_tool_results(group, place) if is_result else _said(role, group, place) for is_result, group in groups]
    return parts or [Message(role=role, place=place, text="")]


def _blocks(content: list[Any], place: str) -> list[Block]:
    return [(fields.item(block, f"{place}[{index}]"), f"{place}[{index}]") for index, block in enumerate(content)]


def _refuse_tools_in(blocks: list[Block]) -> None:
    for block, place in blocks:
        if block.get("type") in ("tool_result", "tool_use"):
            raise errors.invalid_field(place, _OWN_TOOLS)


def _is_result(block: Block) -> bool:
    return block[0].get("type") == "tool_result"


def _tool_results(blocks: list[Block], place: str) -> Message:
    return Message(role="tool", place=place, text=joined(_tool_result(block, at) for block, at in blocks))


def _tool_result(block: fields.Fields, place: str) -> str:
    """The text that a tool of the client's has given in an earlier turn. Its files become nothing, as all earlier ones."""
    content = block.get("content")
    if not isinstance(content, list):
        return fields.text(block, "content", f"{place}.content")
    found = [(each, at) for each, at in _blocks(content, f"{place}.content") if each.get("type") == "text"]
    return joined(fields.text(each, "text", f"{at}.text") for each, at in found)


def _said(role: str, blocks: list[Block], place: str) -> Message:
    parts = [_part(block, at, role) for block, at in blocks]
    return Message(
        role=role,
        place=place,
        text=joined(part for part in parts if isinstance(part, str)),
        attachments=tuple(part for part in parts if isinstance(part, Attachment)),
    )


def _part(block: fields.Fields, place: str, role: str) -> str | Attachment:
    kind = block.get("type")
    match kind:
        case "text":
            return fields.text(block, "text", f"{place}.text")
        case "image":
            return _image(fields.mapping(block, "source", f"{place}.source"), place)
        case "document":
            title = fields.text(block, "title", f"{place}.title")
            return _document(fields.mapping(block, "source", f"{place}.source"), place, title)
    if role == "assistant" and isinstance(kind, str) and kind.endswith(_SKIPPED):
        return ""
    raise errors.invalid_field(f"{place}.type", "must be text, image or document")


# What the types of other blocks in a model's answers end with: they are no text of it.
_SKIPPED = ("thinking", "tool_use", "tool_result")


def _image(source: fields.Fields, place: str) -> Attachment:
    match source.get("type"):
        case "url":
            return _linked(source, place, "image")
        case "base64":
            media_type = _media_type(source, place)
            if not media_type.startswith("image/"):
                raise errors.invalid_field(f"{place}.source.media_type", "must be the type of an image, such as image/png")
            return Attachment(value=_decoded(source, place, media_type), kind="image", place=place)
    raise errors.invalid_field(f"{place}.source.type", f"must be base64 or url: {_NO_FILE_ID}")


def _document(source: fields.Fields, place: str, title: str) -> Attachment:
    match source.get("type"):
        case "url":
            return _linked(source, place, "document")
        case "base64":
            file = _decoded(source, place, _media_type(source, place))
        case "text":
            content = fields.text(source, "data", f"{place}.source.data", required=True)
            file = File.from_content("", "text/plain", content.encode())
        case _:
            raise errors.invalid_field(f"{place}.source.type", f"must be base64, text or url: {_NO_FILE_ID}")
    if title:
        extension = files.extension_of(file.name)
        name = title if files.extension_of(title) == extension else f"{title}.{extension}"
        file = File.received(name, file.mimetype, file.content)
    return Attachment(value=file, kind=file.kind, place=place)


def _linked(source: fields.Fields, place: str, kind: files.FileKind) -> Attachment:
    url = fields.text(source, "url", f"{place}.source.url", required=True)
    if files.name_in(url) is None:
        raise errors.invalid_field(f"{place}.source.url", "must be a link (http or https)")
    return Attachment(value=url, kind=kind, place=place)


def _media_type(source: fields.Fields, place: str) -> str:
    media_type = fields.text(source, "media_type", f"{place}.source.media_type").lower()
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise errors.invalid_field(f"{place}.source.media_type", "must be the type of the file, such as application/pdf")
    return media_type


def _decoded(source: fields.Fields, place: str, media_type: str) -> File:
    data = fields.text(source, "data", f"{place}.source.data", required=True)
    try:
        return File.from_base64(data, media_type)
    except ValueError as error:
        raise errors.invalid_field(f"{place}.source.data", "must be base64") from error


def _text(value: Any, place: str) -> str:
    """A text, given as such or as blocks of text; "" if it is missing or null. Raises `DuckError` 400."""
    if isinstance(value, list):
        return joined(_texts(_blocks(value, place)))
    if value is not None and not isinstance(value, str):
        raise errors.invalid_field(place, "must be a text or a list of blocks of text")
    return value or ""


def _texts(blocks: list[Block]) -> Iterator[str]:
    for block, place in blocks:
        if block.get("type") != "text":
            raise errors.invalid_field(f"{place}.type", "must be text")
        yield fields.text(block, "text", f"{place}.text")


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    choice = fields.mapping(body, "tool_choice").get("type")
    fields.refuse_tools({"tools": body.get("tools"), "tool_choice": choice}, "tools", "tool_choice")
    if body.get("mcp_servers"):
        raise errors.invalid_field("mcp_servers", "an app has its own tools")
    if fields.mapping(body, "output_config").get("format") is not None:
        raise errors.invalid_field("output_config.format", _OWN_FORM)
    if body.get("output_format") is not None:
        raise errors.invalid_field("output_format", _OWN_FORM)


_OWN_FORM = "an app answers in text of its own form"
