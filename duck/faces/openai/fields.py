"""Reads the fields of OpenAI's requests. All raise `DuckError` 400 that names the field. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from duck import errors
from duck.errors import DuckError
from duck.faces.asking import Attachment
from duck.runs import files
from duck.runs.files import File

type Fields = Mapping[str, Any]


def text(fields: Fields, name: str, place: str = "", *, required: bool = False) -> str:
    """The text of a field, "" if it is missing or null."""
    value = fields.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value.strip()):
        raise errors.invalid_field(place or name, "must be a text" if value is not None and value != "" else "required")
    return value


def flag(fields: Fields, name: str, place: str = "") -> bool:
    """A field that is true or false; false if it is missing or null."""
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise errors.invalid_field(place or name, "must be true or false")
    return bool(value)


def mapping(fields: Fields, name: str, place: str = "") -> dict[str, Any]:
    """A field that is an object, {} if it is missing or null."""
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise errors.invalid_field(place or name, "must be an object")
    return value or {}


def sequence(fields: Fields, name: str) -> Sequence[Any]:
    """A field that must be a list with something in it."""
    value = fields.get(name)
    if not isinstance(value, list) or not value:
        raise errors.invalid_field(name, "must be a list of at least one item")
    return value


def refuse(name: str, reason: str) -> DuckError:
    """The error for a field that an app cannot follow."""
    return errors.invalid_field(name, reason)


def refuse_tools(fields: Fields, *names: str) -> None:
    """Refuses tools of the client's: an app has its own, and calls none of the client's."""
    for name in names:
        if fields.get(name) and fields.get("tool_choice") != "none":
            raise refuse(name, "an app has its own tools and cannot call yours. Send none, or tool_choice none")
    for name in ("tool_choice", "function_call"):
        if fields.get(name) not in (None, "none", "auto"):
            raise refuse(name, "an app has its own tools and cannot call yours")


def image(url: Any, place: str) -> Attachment:
    """An image by its link or `data:` URL."""
    return _attachment(url, place, "image")


def file(data: Any, name: Any, place: str) -> Attachment:
    """A file as a `data:` URL, in base64, or by its link."""
    return _attachment(data, place, None, name if isinstance(name, str) else "")


def audio(part: Fields, place: str) -> Attachment:
    """Sound: {data, format}, the data in base64."""
    form = part.get("format")
    if not isinstance(form, str) or not form.isalnum():
        raise errors.invalid_field(f"{place}.format", "must be the format of the sound, such as wav or mp3")
    data = part.get("data")
    url = f"data:audio/{form};name=audio.{form};base64,{data}" if isinstance(data, str) else data
    return _attachment(url, f"{place}.data", "audio")


def _attachment(value: Any, place: str, kind: files.FileKind | None, name: str = "") -> Attachment:
    if not isinstance(value, str) or not value.strip():
        raise errors.invalid_field(place, "must be a link (http or https) or a data: URL")
    if (of_link := files.name_in(value)) is not None:
        return Attachment(value=value, kind=kind or files.kind_of(name or of_link), place=place)
    try:
        found = File.from_text(value) or (File.from_text(f"data:;base64,{value}") if name else None)
    except ValueError as error:
        raise errors.invalid_field(place, f"is a data: URL that cannot be read: {error}") from error
    if found is None:
        raise errors.invalid_field(place, "must be a link (http or https) or a data: URL")
    found = File.received(name, found.mimetype if value[:5].lower() == "data:" else "", found.content) if name else found
    return Attachment(value=found, kind=kind or found.kind, place=place)
