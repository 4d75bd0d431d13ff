"""The inputs of a run: what is made of those that a request gives, by the app's form. Pure.

Dify drops inputs that it does not know, and words its refusals for developers: so all is checked here first.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from duck.runs import fields, files, parsing
from duck.runs.fields import Files, Texts
from duck.runs.files import File
from duck.runs.forms import MEGABYTE, Form, Variable
from duck.runs.parsing import ParseError
from duck.texts import Fault, Text

BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}


_TEXTS = {"text-input", "paragraph"}
_NO_IDS = Text('must be a link, {"type", "transfer_method": "remote_url", "url"}, or be sent as a multipart part')


class InputError(Exception):
    """What is wrong with one input; `text` says it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def check(form: Form, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The inputs that the app gets, and all that is wrong with those that were given.

    `given` are values as JSON has them, `Texts` and `Files`; of the inputs only `File` and lists of it are no JSON.
    """
    inputs: dict[str, Any] = {}
    faults: dict[str, Fault] = {}
    for name, value in given.items():
        if fields.is_marketing(name) and isinstance(value, Texts) and not form.find(name):
            continue
        try:
            checked = _value(_known(form, name), value, form)
        except InputError as error:
            faults[name] = fault(name, error.text)
        else:
            inputs |= {} if checked is None else {name: checked}
    missing = [variable.name for variable in form.variables if variable.required and variable.name not in {*inputs, *faults}]
    return inputs, [*faults.values(), *(fault(name, REQUIRED) for name in missing)]


def wrong_input(form: Form) -> dict[str, Any]:
    """An input that Dify must refuse for its type, empty where the form has none that it would."""
    wrong = {**dict.fromkeys((*_TEXTS, "select"), 5), **dict.fromkeys(("number", "file", "file-list", "json_object"), "x")}
    return next(({variable.name: wrong[variable.control]} for variable in form.variables if variable.control in wrong), {})


def fault(name: str, text: str) -> Fault:
    """What is wrong with the input of this name."""
    return Fault(f"inputs.{name}", text)


REQUIRED = Text("required")


def check_files(form: Form | None, given: Any) -> tuple[list[Any], list[Fault]]:
    """The files of a request besides its inputs, as `File` and links, and what is wrong with them."""
    variable = form.files if form else Variable(name="files", control="file-list")
    if variable is None:
        return [], [Fault("files", Text("this app takes none"))]
    try:
        if isinstance(given, str):
            given = _parsed(given) if given.lstrip().startswith("[") else [given]
        return _value(variable, given, form or Form(variables=())) or [], []
    except InputError as error:
        return [], [Fault("files", error.text)]


def unchecked(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The same without a form: Dify judges, and texts stay texts. A file that came alone is meant as one, several as a list."""
    inputs: dict[str, Any] = {}
    faults = []
    for name, value in given.items():
        if isinstance(value, Texts) and len(value) > 1:
            faults.append(fault(name, _given_often(value)))
        elif isinstance(value, Texts | Files):
            inputs[name] = value[0] if len(value) == 1 else list(value)
        elif any(map(_is_upload, value if isinstance(value, list) else [value])):
            faults.append(fault(name, _NO_IDS))
        else:
            inputs[name] = value
    return inputs, faults


def _given_often(value: Sequence[str]) -> Text:
    return Text("given {count} times", count=len(value))


def _is_upload(value: Any) -> bool:
    """Whether it names a file that somebody has uploaded. Ids must not be guessed: Dify takes all callers for one user."""
    return isinstance(value, Mapping) and value.get("transfer_method") in ("local_file", "tool_file")


def _known(form: Form, name: str) -> Variable:
    if variable := form.find(name):
        return variable
    raise InputError(no_such_input(form, name))


def no_such_input(form: Form, name: str) -> Text:
    """What to say of an input that the app does not have."""
    if name == "format":
        return Text("no such input; the response format goes into the URL, as ?format=")
    names = ", ".join(variable.name for variable in form.variables if not variable.hidden)
    return Text("no such input; this app takes {names}", names=names) if names else Text("no such input; this app takes none")


def _value(variable: Variable, value: Any, form: Form) -> Any:
    """The value as the app gets it, None for none. Raises `InputError`."""
    match value:
        case Files() if not variable.takes_files and all(file.is_blob for file in value):
            return _value(variable, Texts(map(_text_in, value)), form)
        case Files():
            return _sent(variable, value, form)
        case Texts():
            if variable.control == "file-list":
                links = [text for text in value if text]
                return _several(variable, links, form) if links or not variable.required else None
            if len(value) > 1:
                raise InputError(_given_often(value))
            return _from_text(variable, value[0], form)
        case None:
            return None
    return _from_json(variable, value, form)


def _text_in(file: File) -> str:
    """What JavaScript has sent as a `Blob`, and means as a text or as JSON."""
    try:
        return file.content.decode()
    except UnicodeDecodeError as error:
        raise InputError(Text("must be UTF-8")) from error


def _from_text(variable: Variable, text: str, form: Form) -> Any:
    """What a form or a query string means by a text."""
    if text.strip():
        match variable.control:
            case "number":
                return _number(text)
            case "checkbox":
                return _boolean(text)
            case "json_object":
                return _object(_parsed(text))
    return _from_json(variable, text, form)


def _from_json(variable: Variable, value: Any, form: Form) -> Any:
    """What a JSON body means by a value; Dify converts some by itself. A blank is none, but where a text is asked for."""
    is_blank = isinstance(value, str) and not value.strip() and variable.control not in _TEXTS
    if is_blank and value not in variable.options:
        return None
    match variable.control:
        case "text-input" | "paragraph" | "select":
            return _text(variable, value)
        case "number":
            return value if isinstance(value, int | float) else _given_number(value)
        case "checkbox":
            return _flag(value)
        case "json_object":
            return _object(value)
        case "file":
            return _linked(variable, value, form)
        case "file-list" if isinstance(value, list):
            given = [file for file in value if file != {}]  # which Dify takes for none
            return _several(variable, given, form) if given or not value else None
        case "file-list":
            raise InputError(Text("must be a list of files"))
    return value


def _text(variable: Variable, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(Text("must be a text"))
    if variable.control == "select" and value not in variable.options:
        options = ", ".join(variable.options)
        raise InputError(Text("one of {options}", options=options) if options else Text("has no options"))
    if variable.max_length and len(value) > variable.max_length:
        raise InputError(Text("at most {limit} characters, this has {count}", limit=variable.max_length, count=len(value)))
    return value


def _given_number(value: Any) -> Any:
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
    raise InputError(Text("must be a number"))


def _boolean(text: str) -> bool:
    flag = BOOLEANS.get(text.strip().lower())
    if flag is None:
        raise InputError(NO_FLAG)
    return flag


NO_FLAG = Text("must be true or false")


def _flag(value: Any) -> Any:
    if isinstance(value, Mapping):
        raise InputError(NO_FLAG)
    return value


def _object(value: Any) -> Any:
    if value and not isinstance(value, Mapping):
        raise InputError(Text('must be a JSON object, like {"a": 1}'))
    return value


def _parsed(text: str) -> Any:
    try:
        return parsing.json(text)
    except ParseError as error:
        raise InputError(Text("must be a JSON object: {fault}", fault=error.text)) from error


def _several(variable: Variable, values: Sequence[Any], form: Form) -> list[Any]:
    _count(variable, len(values))
    return [_linked(variable, value, form) for value in values]


def _count(variable: Variable, count: int) -> None:
    limit = variable.max_length if variable.control == "file-list" else 1
    if limit and count > limit:
        message = "takes one file, {count} were given" if limit == 1 else "takes at most {limit} files, {count} were given"
        raise InputError(Text(message, limit=limit, count=count))


def _linked(variable: Variable, value: Any, form: Form) -> Any:
    """A file that is given as a link, by its URL alone or as Dify has it; or one that stands there as a `data:` URL."""
    url, kind = value, None
    if isinstance(value, Mapping):
        if value.get("transfer_method") != "remote_url":
            raise InputError(_NO_IDS)
        url, kind = value.get("url") or value.get("remote_url"), value.get("type")
    name = files.name_in(url) if isinstance(url, str) else None
    if name is None and isinstance(url, str) and (file := _pasted(url)):
        return _uploaded(variable, [file], form)[0]
    if name is None:
        raise InputError(Text("must be a file: a link (http or https), a data: URL, or a multipart part"))
    if variable.file_methods and "remote_url" not in variable.file_methods:
        raise InputError(Text("takes no links: send the file as a multipart part"))
    if kind is None:
        return files.link(url, _kind_of_link(variable, name))
    if not isinstance(kind, str):
        raise InputError(Text("the type of a file must be a text"))
    if files.extension_of(name) not in variable.file_extensions if kind == "custom" else _refuses(variable, kind):
        raise _refusal(variable, name)
    return value


def _pasted(text: str) -> File | None:
    try:
        return File.pasted(text)
    except ValueError as error:
        raise InputError(Text("is a data: URL that cannot be read: {reason}", reason=error.args[0])) from error


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


def _sent(variable: Variable, sent: Sequence[File], form: Form) -> Any:
    """Files that came with the request: one, or a list."""
    if not variable.takes_files:
        names = ", ".join(form.file_names)
        raise InputError(
            Text("takes no file; files go to {names}", names=names)
            if names
            else Text("takes no file; this app takes none at all")
        )
    checked = _uploaded(variable, sent, form)
    _count(variable, len(checked))
    return checked if variable.control == "file-list" else checked[0]


def _uploaded(variable: Variable, sent: Iterable[File], form: Form) -> list[File]:
    if variable.file_methods and "local_file" not in variable.file_methods:
        raise InputError(Text("takes links only"))
    return [_admitted(variable, file, form) for file in sent]


def _admitted(variable: Variable, file: File, form: Form) -> File:
    if not file.content:
        raise InputError(Text("{name} is empty", name=file.name))
    if file.kind == "custom" or _refuses(variable, file.kind):
        if variable.file_types and not _takes_ending(variable, file.name):
            raise _refusal(variable, file.name)
        file = replace(file, link_kind="custom")
    limit = form.sizes.get(file.kind)
    if limit is not None and len(file.content) > limit:
        size, most = f"{len(file.content) / MEGABYTE:.1f}", f"{limit / MEGABYTE:g}"
        raise InputError(Text("{name} has {size} MB, at most {most} are allowed", name=file.name, size=size, most=most))
    return file


def _takes_ending(variable: Variable, name: str) -> bool:
    return "custom" in variable.file_types and files.extension_of(name) in variable.file_extensions


def _refusal(variable: Variable, name: str) -> InputError:
    """A file that the variable does not take, by its kind or by what its name ends with."""
    takes = [kind for kind in variable.file_types if kind != "custom"]
    takes += [f".{ending}" for ending in variable.file_extensions if "custom" in variable.file_types]
    name = name or Text("the link")
    if not takes:
        return InputError(Text("takes no files; {name} was given", name=name))
    return InputError(Text("takes files of these kinds: {kinds}; {name} is none of them", kinds=", ".join(takes), name=name))
