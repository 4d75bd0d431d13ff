"""Files as values of an app's variables: parts of a multipart body, links, and `data:` URLs. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from duck.runs import files
from duck.runs.files import File
from duck.runs.forms import MEGABYTE, Form, InputError, Variable
from duck.texts import Text

NO_IDS = Text('must be a link, {"type", "transfer_method": "remote_url", "url"}, or be sent as a multipart part')

_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def from_parts(variable: Variable, sent: Sequence[File], form: Form) -> Any:
    """The files of a multipart body: one `File`, or a list for a file-list. Raises `InputError`."""
    if not variable.takes_files:
        names = ", ".join(form.file_names)
        raise InputError(
            Text("takes no file; files go to {names}", names=names)
            if names
            else Text("takes no file; this app takes none at all")
        )
    checked = _checked_files(variable, sent, form)
    _count(variable, len(checked))
    return checked if variable.control == "file-list" else checked[0]


def from_links(variable: Variable, values: Sequence[Any], form: Form) -> list[Any]:
    """The files in a list of links, as `from_link` returns them. Raises `InputError`."""
    _count(variable, len(values))
    return [from_link(variable, value, form) for value in values]


def from_link(variable: Variable, value: Any, form: Form) -> Any:
    """The file of a link: as Dify's API takes it, or a `File` if the link is a `data:` URL and so has the content in it.

    `value` is a URL, an object as Dify's API takes it, or a `File`. Raises `InputError`.
    """
    if isinstance(value, File):
        return _checked_files(variable, [value], form)[0]
    url, kind = value, None
    if form.takes_ids and isinstance(value, Mapping) and value.get("transfer_method") == "local_file":
        return _from_id(variable, value)
    if isinstance(value, Mapping):
        url, kind = _url_in(value), value.get("type")
    name = files.name_in(url) if isinstance(url, str) else None
    if name is None and isinstance(url, str) and (file := _file_in_text(url)):
        return _checked_files(variable, [file], form)[0]
    if name is None:
        raise InputError(Text("must be a file: a link (http or https), a data: URL, or a multipart part"))
    if variable.file_methods and "remote_url" not in variable.file_methods:
        raise InputError(Text("takes no links: send the file as a multipart part"))
    if kind is None:
        return files.link(url, _kind_of_link(variable, name))
    if not isinstance(kind, str):
        raise InputError(Text("the type of a file must be a text"))
    if files.extension_of(name) not in variable.file_extensions if kind == "custom" else _refuses_kind(variable, kind):
        raise _wrong_kind(variable, name)
    return value


def _url_in(value: Mapping[str, Any]) -> Any:
    if value.get("transfer_method") != "remote_url":
        raise InputError(NO_IDS)
    return value.get("url") or value.get("remote_url")


def _from_id(variable: Variable, value: Mapping[str, Any]) -> dict[str, Any]:
    """The file of an earlier upload. Dify checks whether it belongs to the user. Raises `InputError`."""
    upload_id, kind = value.get("upload_file_id"), value.get("type")
    if not isinstance(upload_id, str) or not _UUID.fullmatch(upload_id):
        raise InputError("upload_file_id must be the id of an upload")
    if variable.file_methods and "local_file" not in variable.file_methods:
        raise InputError(Text("takes links only"))
    if not isinstance(kind, str):
        raise InputError(Text("the type of a file must be a text"))
    if kind != "custom" and _refuses_kind(variable, kind):
        raise _wrong_kind(variable, upload_id)
    return {"type": kind, "transfer_method": "local_file", "upload_file_id": upload_id}


def kind_for(variable: Variable, kind: str, name: str) -> str | None:
    """The kind as which a variable takes a file of this kind and name; None if it does not take it."""
    if not variable.takes_files or (_refuses_kind(variable, kind) and not _takes_extension(variable, name)):
        return None
    return "custom" if _refuses_kind(variable, kind) else kind


def refers_to_upload(value: Any) -> bool:
    """Whether a value refers to an uploaded file by its id. Ids could be guessed, since to Dify all callers are one user."""
    return isinstance(value, Mapping) and value.get("transfer_method") in ("local_file", "tool_file")


def _count(variable: Variable, count: int) -> None:
    limit = variable.max_length if variable.control == "file-list" else 1
    if limit and count > limit:
        message = "takes one file, {count} were given" if limit == 1 else "takes at most {limit} files, {count} were given"
        raise InputError(Text(message, limit=limit, count=count))


def _file_in_text(text: str) -> File | None:
    try:
        return File.from_text(text)
    except ValueError as error:
        raise InputError(Text("is a data: URL that cannot be read: {reason}", reason=error.args[0])) from error


def _refuses_kind(variable: Variable, kind: str) -> bool:
    return bool(variable.file_types) and kind not in variable.file_types


def _kind_of_link(variable: Variable, name: str) -> str:
    """The most likely kind of a link's file: by its extension if that tells, else by what the variable takes."""
    likely, kinds = files.kind_of(name), [kind for kind in variable.file_types if kind != "custom"]
    if likely in kinds or not variable.file_types:
        return likely
    if _takes_extension(variable, name):
        return "custom"
    if likely != "custom" or not kinds:
        raise _wrong_kind(variable, name)
    return kinds[0]  # the link gives no hint


def _checked_files(variable: Variable, sent: Iterable[File], form: Form) -> list[File]:
    if variable.file_methods and "local_file" not in variable.file_methods:
        raise InputError(Text("takes links only"))
    return [_checked_file(variable, file, form) for file in sent]


def _checked_file(variable: Variable, file: File, form: Form) -> File:
    if not file.content:
        raise InputError(Text("{name} is empty", name=file.name))
    if file.kind == "custom" or _refuses_kind(variable, file.kind):
        if variable.file_types and not _takes_extension(variable, file.name):
            raise _wrong_kind(variable, file.name)
        file = replace(file, link_kind="custom")
    limit = form.sizes.get(file.kind)
    if limit is not None and len(file.content) > limit:
        size, most = f"{len(file.content) / MEGABYTE:.1f}", f"{limit / MEGABYTE:g}"
        raise InputError(Text("{name} has {size} MB, at most {most} are allowed", name=file.name, size=size, most=most))
    return file


def _takes_extension(variable: Variable, name: str) -> bool:
    return "custom" in variable.file_types and files.extension_of(name) in variable.file_extensions


def _wrong_kind(variable: Variable, name: str) -> InputError:
    """The error for a file that the variable takes neither by its kind nor by its extension."""
    takes = [kind for kind in variable.file_types if kind != "custom"]
    takes += [f".{extension}" for extension in variable.file_extensions if "custom" in variable.file_types]
    name = name or Text("the link")
    if not takes:
        return InputError(Text("takes no files; {name} was given", name=name))
    return InputError(Text("takes files of these kinds: {kinds}; {name} is none of them", kinds=", ".join(takes), name=name))
