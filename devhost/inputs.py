"""Validates and converts the inputs of a run by the app's form, as Dify 1.16 does. Pure."""

import mimetypes
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from devhost.files import file_value

type Value = dict[str, Any]
type Find = Callable[[str], Value | None]

UNREACHABLE = ".invalid"  # links to hosts with this suffix cannot be fetched

BOOLEANS: dict[object, bool] = dict.fromkeys(("true", "1", "yes", "on", 1), True)
BOOLEANS |= dict.fromkeys(("false", "0", "no", "off", 0), False)


def no_upload(file_id: str) -> None:
    """Finds no upload: plugins' runs have none, since files that a plugin uploads are tool files."""


def prepare(
    inputs: Mapping[str, Any], form: Iterable[Mapping[str, Value]], find: Find, uploads: Find = no_upload, *, basic: bool
) -> dict[str, Any]:
    """The inputs as the app gets them: a value for each variable of the form, None if it is not set, and no other inputs.

    `form` is a `user_input_form`. Its `default`s apply in chatflows and workflows, but not in `basic` apps. `find` returns the
    tool file with an id, as workflows contain it, or None; `uploads` does the same for uploads of the run's user.

    Raises `ValueError` with Dify's text if Dify answers 400, and `TypeError` if it answers 500.
    """
    pairs = [pair for item in form for pair in item.items() if pair[0] != "external_data_tool"]  # its value is no input
    values = {about["variable"]: _value(control, about, inputs.get(about["variable"]), basic=basic) for control, about in pairs}
    finds = find, uploads
    for control, about in pairs:
        value = values[about["variable"]]
        if control == "file" and value is not None:
            values[about["variable"]] = _checked_file(value, about, finds, strict=True)
        elif control == "file-list" and value is not None:
            values[about["variable"]] = [_checked_file(item, about, finds, strict=False) for item in value if _names_file(item)]
        elif isinstance(value, str):
            values[about["variable"]] = value.replace("\0", "")
    dicts = {about["variable"] for control, about in pairs if control in {"file", "json_object"}}
    if wrong := [name for name, value in values.items() if isinstance(value, dict) and name not in dicts]:
        raise ValueError(f"Invalid input type for {wrong}")
    return values


def _value(control: str, about: Value, value: Any, *, basic: bool) -> Any:
    name, required = about["variable"], about.get("required")
    if value is None and required:
        raise ValueError(f"{name} is required in input form")
    if value is None and not basic:
        value = about.get("default")
    if value is None or (control in {"file", "file-list"} and value == "" and not required):
        return None
    if control == "number":
        return _number(value, name)
    if control == "checkbox" and isinstance(value, str | int | float):
        return BOOLEANS.get(value.strip().lower() if isinstance(value, str) else value, value)
    _validate(control, about, value, f"{name} in input form must be")
    return value


def _validate(control: str, about: Value, value: Any, must: str) -> None:
    limit = about.get("max_length")
    match control:
        case "text-input" | "paragraph" | "select" if not isinstance(value, str):
            raise ValueError(f"(type '{control}') {must} a string")
        case "text-input" | "paragraph" if limit and len(value) > limit:
            raise ValueError(f"{must} less than {limit} characters")
        case "select" if value not in about["options"]:
            raise ValueError(f"{must} one of the following: {about['options']}")
        case "file" if not isinstance(value, dict):
            raise ValueError(f"{must} a file")
        case "file-list" if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ValueError(f"{must} a list of files")
        case "file-list" if limit and len(value) > limit:
            raise ValueError(f"{must} less than {limit} files")
        case "json_object" if value and not isinstance(value, dict):
            raise ValueError(f"{must} a dict")


def _number(value: Any, name: str) -> float | None:
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str):
        raise TypeError("neither a number nor a string")
    try:
        return (float(value) if "." in value else int(value)) if value.strip() else None
    except ValueError as error:
        raise ValueError(f"{name} in input form must be a valid number") from error


def _checked_file(value: Value, about: Value, finds: tuple[Find, Find], *, strict: bool) -> Value:
    file, named = _file_of(value, *finds), value.get("type") or "custom"
    if strict and named != file["type"] and value.get("type"):
        raise ValueError("Detected file type does not match the specified type. Please verify the file.")
    if not _is_allowed(file, about, named):
        raise ValueError(f"File validation failed for file: {file['filename']}")
    return file if named == "custom" else {**file, "type": named}


def check_link(url: str) -> None:
    """Raises `ValueError` with Dify's text if a link cannot be fetched: Dify fetches every link before the run."""
    if (urlsplit(url).hostname or "").endswith(UNREACHABLE):
        raise ValueError(f"Reached maximum retries (3) for URL {url}")


def _names_file(item: Value) -> bool:
    """Whether an item of a list names a file. Dify drops other items, such as `{}`."""
    method = item.get("transfer_method")
    return bool(item.get("url") or item.get("remote_url") if method == "remote_url" else method)


def _file_of(value: Value, find: Find, uploads: Find) -> Value:
    """The file that an input names. A linked file is not fetched: its type follows from its name."""
    match value.get("transfer_method"):
        case "remote_url":
            url = str(value.get("url") or value.get("remote_url") or "")
            if not url:
                raise ValueError("Invalid file url")
            check_link(url)
            name = unquote(PurePosixPath(urlsplit(url).path).name)
            mime_type, extension = mimetypes.guess_type(name)[0] or "", PurePosixPath(name).suffix or ".bin"
            return file_value("remote_url", name, extension, mime_type, size=-1, remote_url=url, url=url)
        case "tool_file":
            if file := find(str(value.get("tool_file_id"))):
                return file
            raise ValueError(f"ToolFile {value.get('tool_file_id')} not found")
        case "local_file":
            if file := uploads(str(value.get("upload_file_id"))):
                return file
            raise ValueError("Invalid upload file")
    raise ValueError("transfer_method is required in file mapping")


def _is_allowed(file: Value, about: Value, named: str) -> bool:
    """Whether the variable accepts the file. Its restrictions apply to uploads and links; tool files are always accepted."""
    types, methods = about.get("allowed_file_types"), about.get("allowed_file_upload_methods")
    if file["transfer_method"] == "tool_file":
        return True
    fits = file["extension"] in about["allowed_file_extensions"] if named == "custom" else not types or named in types
    return fits and (not methods or file["transfer_method"] in methods)
