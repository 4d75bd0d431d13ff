"""The inputs of a run: what is made of those that a request gives, by the app's form. Pure.

Dify drops inputs that it does not know, and words its refusals for developers: so all is checked here first.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from duck import files, parsing
from duck.files import File
from duck.forms import MEGABYTE, Form, Variable

_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


_NO_IDS = 'must be a link, {"type", "transfer_method": "remote_url", "url"}, or be sent as a multipart part'


class InputError(Exception):
    """What is wrong with one input."""


class Texts(tuple[str, ...]):
    """What a form or a query string says under one name: strings, which are to become what the app takes."""

    __slots__ = ()


class Files(tuple[File, ...]):
    """What a multipart body sends under one name."""

    __slots__ = ()


def check(form: Form, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The inputs that the app gets, and all that is wrong with those that were given, each by its name.

    `given` are values as JSON has them, `Texts` and `Files`; of the inputs only `File` and lists of it are no JSON.
    """
    inputs: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, value in given.items():
        try:
            checked = _value(_known(form, name), value, form)
        except InputError as error:
            faults[name] = f"inputs.{name}: {error}"
        else:
            inputs |= {} if checked is None else {name: checked}
    missing = [variable.name for variable in form.variables if variable.required and variable.name not in {*inputs, *faults}]
    return inputs, [*faults.values(), *(f"inputs.{name}: required" for name in missing)]


def check_files(form: Form | None, given: Any) -> tuple[list[Any], list[str]]:
    """The files of a request besides its inputs, as `File` and links, and what is wrong with them."""
    variable = form.files if form else Variable(name="files", control="file-list")
    if variable is None:
        return [], ["files: this app takes none"]
    try:
        if isinstance(given, str):
            given = _parsed(given) if given.lstrip().startswith("[") else [given]
        return _value(variable, given, form or Form(variables=())), []
    except InputError as error:
        return [], [f"files: {error}"]


def unchecked(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The same without a form: Dify judges, and texts stay texts. A file that came alone is meant as one, several as a list."""
    inputs: dict[str, Any] = {}
    faults = []
    for name, value in given.items():
        if isinstance(value, Texts) and len(value) > 1:
            faults.append(f"inputs.{name}: given {len(value)} times")
        elif isinstance(value, Texts | Files):
            inputs[name] = value[0] if len(value) == 1 else list(value)
        elif any(map(_is_upload, value if isinstance(value, list) else [value])):
            faults.append(f"inputs.{name}: {_NO_IDS}")
        else:
            inputs[name] = value
    return inputs, faults


def _is_upload(value: Any) -> bool:
    """Whether it names a file that somebody has uploaded. Ids must not be guessed: Dify takes all callers for one user."""
    return isinstance(value, Mapping) and value.get("transfer_method") in ("local_file", "tool_file")


def _known(form: Form, name: str) -> Variable:
    if variable := form.find(name):
        return variable
    if name == "format":
        raise InputError("no such input; what is to come back goes into the URL, as ?format=")
    names = ", ".join(variable.name for variable in form.variables if not variable.hidden)
    raise InputError(f"no such input; this app takes {names or 'none'}")


def _value(variable: Variable, value: Any, form: Form) -> Any:
    """The value as the app gets it, None for none. Raises `InputError`."""
    match value:
        case Files():
            return _sent(variable, value, form)
        case Texts():
            if variable.control == "file-list":
                return _several(variable, [text for text in value if text])
            if len(value) > 1:
                raise InputError(f"given {len(value)} times")
            return _from_text(variable, value[0])
        case None:
            return None
    return _from_json(variable, value)


def _from_text(variable: Variable, text: str) -> Any:
    """What a form or a query string means by a text. An empty one is none, but where a text is asked for."""
    if variable.control in {"text-input", "paragraph"}:
        return _text(variable, text)
    if not text.strip():
        return None
    match variable.control:
        case "number":
            return _number(text)
        case "checkbox":
            return _boolean(text)
        case "json_object":
            return _object(variable, _parsed(text))
    return _from_json(variable, text)


def _from_json(variable: Variable, value: Any) -> Any:
    """What a JSON body means by a value; Dify converts some by itself."""
    read_ = _READERS.get(variable.control)
    return read_(variable, value) if read_ else value


def _text(variable: Variable, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError("must be a text")
    if variable.control == "select" and value not in variable.options:
        raise InputError(f"one of {', '.join(variable.options) or 'none at all'}")
    if variable.max_length and len(value) > variable.max_length:
        raise InputError(f"at most {variable.max_length} characters, this has {len(value)}")
    return value


def _json_number(_: Variable, value: Any) -> Any:
    is_unset = isinstance(value, str) and not value.strip()
    if not is_unset and not isinstance(value, int | float):
        _number(value)
    return value


def _number(value: Any) -> float:
    """A number as Dify reads it from a text: `12`, `1.5`, but no `1e5`."""
    try:
        number = float(value) if "." in value else int(value)
        if math.isfinite(number):
            return number
    except (TypeError, ValueError, OverflowError):
        pass  # beyond a float, as which the daemon reads numbers, there is none
    raise InputError("must be a number")


def _boolean(text: str) -> bool:
    flag = _BOOLEANS.get(text.strip().lower())
    if flag is None:
        raise InputError("must be true or false")
    return flag


def _flag(_: Variable, value: Any) -> Any:
    if isinstance(value, Mapping):
        raise InputError("must be true or false")
    return value


def _object(_: Variable, value: Any) -> Any:
    if value and not isinstance(value, Mapping):
        raise InputError('must be a JSON object, like {"a": 1}')
    return value


def _parsed(text: str) -> Any:
    try:
        return parsing.json(text)
    except ValueError as error:
        raise InputError(f"must be a JSON object: {error}") from error


def _file(variable: Variable, value: Any) -> Any:
    return None if value == "" and not variable.required else _linked(variable, value)


def _file_list(variable: Variable, value: Any) -> Any:
    if value == "" and not variable.required:
        return None
    if not isinstance(value, list):
        raise InputError("must be a list of files")
    return _several(variable, value)


def _several(variable: Variable, values: Sequence[Any]) -> list[Any]:
    _count(variable, len(values))
    return [_linked(variable, value) for value in values]


def _count(variable: Variable, count: int) -> None:
    limit = variable.max_length if variable.control == "file-list" else 1
    if limit and count > limit:
        raise InputError(f"takes {limit} file{'s' if limit > 1 else ''}, {count} were given")


def _linked(variable: Variable, value: Any) -> Any:
    """A file that is given as a link: by its URL alone, or as Dify has it."""
    url, kind = value, None
    if isinstance(value, Mapping):
        if value.get("transfer_method") != "remote_url":
            raise InputError(_NO_IDS)
        url, kind = value.get("url") or value.get("remote_url"), value.get("type")
    name = files.name_in(url) if isinstance(url, str) else None
    if name is None:
        raise InputError("must be a file: a link (http or https), or a multipart part")
    if variable.file_methods and "remote_url" not in variable.file_methods:
        raise InputError("takes no links: send the file as a multipart part")
    if kind is None:
        return files.link(url, _kind_of_link(variable, name))
    if not isinstance(kind, str):
        raise InputError("the type of a file must be a text")
    if files.extension_of(name) not in variable.file_extensions if kind == "custom" else _refuses(variable, kind):
        raise _refusal(variable, name)
    return value


def _refuses(variable: Variable, kind: str) -> bool:
    return bool(variable.file_types) and kind not in variable.file_types


def _kind_of_link(variable: Variable, name: str) -> str:
    """The kind that a link is most likely of: what it ends with may tell, else what the variable takes."""
    likely, kinds = files.kind_of(name), [kind for kind in variable.file_types if kind != "custom"]
    if likely in kinds or not variable.file_types:
        return likely
    if _takes_ending(variable, name):
        return "custom"
    if likely != "custom" or not kinds:
        raise _refusal(variable, name)
    return kinds[0]  # there is nothing to tell by


def _sent(variable: Variable, sent: Iterable[File], form: Form) -> Any:
    """Files that came with the request: one, or a list."""
    if not variable.takes_files:
        names = ", ".join(form.file_names)
        raise InputError(f"takes no file; {f'files go to {names}' if names else 'this app takes none at all'}")
    if variable.file_methods and "local_file" not in variable.file_methods:
        raise InputError("takes links only")
    checked = [_admitted(variable, file, form) for file in sent]
    _count(variable, len(checked))
    return checked if variable.control == "file-list" else checked[0]


def _admitted(variable: Variable, file: File, form: Form) -> File:
    if not file.content:
        raise InputError(f"{file.name} is empty")
    if file.kind == "custom" or _refuses(variable, file.kind):
        if variable.file_types and not _takes_ending(variable, file.name):
            raise _refusal(variable, file.name)
        file = replace(file, link_kind="custom")
    limit = form.sizes.get(file.kind)
    if limit is not None and len(file.content) > limit:
        raise InputError(f"{file.name} has {len(file.content) / MEGABYTE:.1f} MB, at most {limit / MEGABYTE:g} are allowed")
    return file


def _takes_ending(variable: Variable, name: str) -> bool:
    return "custom" in variable.file_types and files.extension_of(name) in variable.file_extensions


def _refusal(variable: Variable, name: str) -> InputError:
    """A file that the variable does not take, by its kind or by what its name ends with."""
    takes = [kind for kind in variable.file_types if kind != "custom"]
    takes += [f".{ending}" for ending in variable.file_extensions if "custom" in variable.file_types]
    return InputError(f"takes {', '.join(takes) or 'no'} files; {name or 'the link'} is none of them")


_READERS: Mapping[str, Callable[[Variable, Any], Any]] = {
    **dict.fromkeys(("text-input", "paragraph", "select"), _text),
    "number": _json_number,
    "checkbox": _flag,
    "file": _file,
    "file-list": _file_list,
    "json_object": _object,
}
