"""The inputs of a run: checked against the app's form and converted to the types that it asks for. Pure.

Dify drops inputs that it does not know, and its error messages are for developers, so all inputs are checked here first.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from duck.runs import attachments, fields, parsing
from duck.runs.fields import Files, Texts
from duck.runs.files import File
from duck.runs.forms import Form, InputError, Variable
from duck.runs.parsing import ParseError
from duck.texts import Fault, Text

BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
_TEXTS = {"text-input", "paragraph"}


def check(form: Form, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """Returns the inputs for the app, and all faults of the given ones.

    `given` has JSON values, `Texts` and `Files`. The returned inputs are JSON values, `File`s and lists of `File`s.
    """
    inputs: dict[str, Any] = {}
    faults: dict[str, Fault] = {}
    for name, value in given.items():
        if fields.is_marketing(name) and isinstance(value, Texts) and not form.find(name):
            continue
        try:
            checked = _checked(_variable(form, name), value, form)
        except InputError as error:
            faults[name] = fault(name, error.text)
        else:
            inputs |= {} if checked is None else {name: checked}
    missing = [variable.name for variable in form.variables if variable.required and variable.name not in {*inputs, *faults}]
    return inputs, [*faults.values(), *(fault(name, REQUIRED) for name in missing)]


def wrong_input(form: Form) -> dict[str, Any]:
    """One input, by its name, that Dify must refuse for its type; empty if it would refuse no type for this form."""
    wrong = {**dict.fromkeys((*_TEXTS, "select"), 5), **dict.fromkeys(("number", "file", "file-list", "json_object"), "x")}
    return next(({variable.name: wrong[variable.control]} for variable in form.variables if variable.control in wrong), {})


def fault(name: str, text: str) -> Fault:
    """A fault of the input of this name."""
    return Fault(f"inputs.{name}", text)


REQUIRED = Text("required")


def check_files(form: Form | None, given: Any, *, takes_ids: bool = False) -> tuple[list[Any], list[Fault]]:
    """The files of a request besides its inputs, as `File`s, links and, with `takes_ids`, ids of uploads; and their faults."""
    variable = form.files if form else Variable(name="files", control="file-list")
    if variable is None:
        return [], [Fault("files", Text("this app takes none"))]
    try:
        if isinstance(given, str):
            given = _parsed_json(given) if given.lstrip().startswith("[") else [given]
        return _checked(variable, given, form or Form(variables=(), takes_ids=takes_ids)) or [], []
    except InputError as error:
        return [], [Fault("files", error.text)]


def unchecked(given: Mapping[str, Any], *, takes_ids: bool = False) -> tuple[dict[str, Any], list[Fault]]:
    """Like `check` without a form: Dify does most checks, and texts stay texts. One file is one value, several are a list."""
    inputs: dict[str, Any] = {}
    faults = []
    for name, value in given.items():
        if isinstance(value, Texts) and len(value) > 1:
            faults.append(fault(name, _repeated(value)))
        elif isinstance(value, Texts | Files):
            inputs[name] = value[0] if len(value) == 1 else list(value)
        elif not takes_ids and any(map(attachments.refers_to_upload, value if isinstance(value, list) else [value])):
            faults.append(fault(name, attachments.NO_IDS))
        else:
            inputs[name] = value
    return inputs, faults


def _repeated(value: Sequence[str]) -> Text:
    return Text("given {count} times", count=len(value))


def _variable(form: Form, name: str) -> Variable:
    if variable := form.find(name):
        return variable
    raise InputError(no_such_input(form, name))


def no_such_input(form: Form, name: str) -> Text:
    """The message for an input that the app does not have."""
    if name == "format":
        return Text("no such input; the response format goes into the URL, as ?format=")
    names = ", ".join(variable.name for variable in form.variables if not variable.hidden)
    return Text("no such input; this app takes {names}", names=names) if names else Text("no such input; this app takes none")


def _checked(variable: Variable, value: Any, form: Form) -> Any:
    """The value as the app gets it, None if it is empty. Raises `InputError`."""
    match value:
        case Files() if not variable.takes_files and all(file.is_blob for file in value):
            return _checked(variable, Texts(map(_blob_text, value)), form)
        case Files():
            return attachments.from_parts(variable, value, form)
        case Texts():
            if variable.control == "file-list":
                links = [text for text in value if text]
                return attachments.from_links(variable, links, form) if links or not variable.required else None
            if len(value) > 1:
                raise InputError(_repeated(value))
            return _from_text(variable, value[0], form)
        case None:
            return None
    return _from_json(variable, value, form)


def _blob_text(file: File) -> str:
    """The text in a JavaScript `Blob`, which may be JSON. Raises `InputError`."""
    try:
        return file.content.decode()
    except UnicodeDecodeError as error:
        raise InputError(Text("must be UTF-8")) from error


def _from_text(variable: Variable, text: str, form: Form) -> Any:
    """The value that a text in a form or a query string stands for."""
    if text.strip():
        match variable.control:
            case "number":
                return _number(text)
            case "checkbox":
                return _boolean(text)
            case "json_object":
                return _object(_parsed_json(text))
    return _from_json(variable, text, form)


def _from_json(variable: Variable, value: Any, form: Form) -> Any:
    """The value from a JSON body; Dify converts some by itself. A blank string is None, unless it is a text or an option."""
    is_blank = isinstance(value, str) and not value.strip() and variable.control not in _TEXTS
    if is_blank and value not in variable.options:
        return None
    match variable.control:
        case "text-input" | "paragraph" | "select":
            return _text(variable, value)
        case "number":
            return value if isinstance(value, int | float) else _checked_number(value)
        case "checkbox":
            return _json_boolean(value)
        case "json_object":
            return _object(value)
        case "file":
            return attachments.from_link(variable, value, form)
        case "file-list" if isinstance(value, list):
            given = [file for file in value if file != {}]  # Dify takes {} for no file
            return attachments.from_links(variable, given, form) if given or not value else None
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


def _checked_number(value: Any) -> Any:
    _number(value)
    return value


def _number(value: Any) -> float:
    """A number as Dify reads it from a text: `12` or `1.5`, but not `1e5`."""
    try:
        number = float(value) if "." in value else int(value)
        if math.isfinite(number):
            return number
    except (TypeError, ValueError, OverflowError):
        pass  # OverflowError: the daemon reads numbers as floats
    raise InputError(Text("must be a number"))


def _boolean(text: str) -> bool:
    flag = BOOLEANS.get(text.strip().lower())
    if flag is None:
        raise InputError(NOT_BOOLEAN)
    return flag


NOT_BOOLEAN = Text("must be true or false")


def _json_boolean(value: Any) -> Any:
    if isinstance(value, Mapping):
        raise InputError(NOT_BOOLEAN)
    return value


def _object(value: Any) -> Any:
    if value and not isinstance(value, Mapping):
        raise InputError(Text('must be a JSON object, like {"a": 1}'))
    return value


def _parsed_json(text: str) -> Any:
    try:
        return parsing.json(text)
    except ParseError as error:
        raise InputError(Text("must be a JSON object: {fault}", fault=error.text)) from error
