"""The inputs of a run: what is made of those that a request gives, by the app's form. Pure.

Dify drops inputs that it does not know, and words its refusals for developers: so all is checked here first.
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
        elif any(map(attachments.names_upload, value if isinstance(value, list) else [value])):
            faults.append(fault(name, attachments.NO_IDS))
        else:
            inputs[name] = value
    return inputs, faults


def _given_often(value: Sequence[str]) -> Text:
    return Text("given {count} times", count=len(value))


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
            return attachments.sent(variable, value, form)
        case Texts():
            if variable.control == "file-list":
                links = [text for text in value if text]
                return attachments.several(variable, links, form) if links or not variable.required else None
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
            return attachments.linked(variable, value, form)
        case "file-list" if isinstance(value, list):
            given = [file for file in value if file != {}]  # which Dify takes for none
            return attachments.several(variable, given, form) if given or not value else None
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
