"""Reads fields of requests whose protocol is not Dify's. All functions raise `DuckError` 400 that names the field. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from duck import errors
from duck.faces.asking import Attachment
from duck.runs import files
from duck.runs.files import File

type Fields = Mapping[str, Any]


def text(fields: Fields, name: str, place: str = "", *, required: bool = False) -> str:
    """The text of a field, "" if it is missing or null."""
    value = "" if fields.get(name) is None else fields[name]
    if not isinstance(value, str):
        raise errors.invalid_field(place or name, "must be a text")
    if required and not value.strip():
        raise errors.invalid_field(place or name, "required")
    return value


def flag(fields: Fields, name: str, place: str = "") -> bool:
    """A field that is true or false; false if it is missing or null."""
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise errors.invalid_field(place or name, "must be true or false")
    return bool(value)


def item(value: Any, place: str) -> Fields:
    """An item of a list that must be an object."""
    if not isinstance(value, dict):
        raise errors.invalid_field(place, "must be an object")
    return value


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


def refuse_tools(fields: Fields, name: str, choice: str) -> None:
    """Refuses tools of the client's: an app has its own, and calls none of the client's. The field `choice` may be `none`."""
    if fields.get(choice) == "none":
        return
    if fields.get(name):
        raise errors.invalid_field(name, f"an app has its own tools and cannot call yours. Send none, or {choice} none")
    if fields.get(choice) not in (None, "auto"):
        raise errors.invalid_field(choice, "an app has its own tools and cannot call yours")


def attachment(value: Any, place: str, name: str, *, kind: files.FileKind | None = None, filename: str = "") -> Attachment:
    """The file of the part at `place`, whose field `name` is a link or a `data:` URL, or base64 if there is a `filename`."""
    if not isinstance(value, str) or not value.strip():
        raise errors.invalid_field(f"{place}.{name}", _NO_FILE)
    if (name_in_link := files.name_in(value)) is not None:
        return Attachment(value=value, kind=kind or files.kind_of(filename or name_in_link), place=place)
    try:
        found = File.from_text(value) or (File.from_base64(value) if filename else None)
    except ValueError as error:
        raise errors.invalid_field(f"{place}.{name}", f"is a data: URL that cannot be read: {error}") from error
    if found is None:
        raise errors.invalid_field(f"{place}.{name}", _NO_FILE)
    if filename:
        found = File.received(filename, found.mimetype if value[:5].lower() == "data:" else "", found.content)
    return Attachment(value=found, kind=kind or found.kind, place=place)


_NO_FILE = "must be a link (http or https) or a data: URL"
