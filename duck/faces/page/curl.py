"""A command that calls an app, ready to be copied. Pure."""

import shlex
from typing import Any

from duck.runs.forms import Form, Variable
from duck.runs.run import Kind
from duck.streams import json

GREETING = "Hello"  # what a chat is asked
_TEXT = "…"
_FILE = "https://example.com/file.pdf"
_EXAMPLES: dict[str, Any] = {
    "checkbox": True,
    "file": _FILE,
    "file-list": [_FILE],
    "json_object": {},
    "number": 1,
}


def command(url: str, kind: Kind, name: str, format_name: str, form: Form | None, *, with_key: bool) -> str:
    """A call of the app that the route calls `name`. `url` is the endpoint's, with a slash at its end.

    It has an example for each input that the form requires.
    """
    inputs = {each.name: _example(each) for each in form.variables if _is_needed(each)} if form else {}
    body = {**({"query": GREETING} if kind == "chat" else {}), **({"inputs": inputs} if inputs or kind != "chat" else {})}
    lines = [
        f"curl {'' if format_name == 'json' else '-N '}{shlex.quote(f'{url}{kind}/{name}?format={format_name}')}",
        *(["-H 'Authorization: Bearer <key>'"] if with_key else []),
        "-H 'Content-Type: application/json'",
        f"-d {shlex.quote(json.encode(body).decode())}",
    ]
    return " \\\n  ".join(lines)


def _is_needed(variable: Variable) -> bool:
    return variable.required and not variable.hidden and variable.default in (None, "")


def _example(variable: Variable) -> Any:
    if variable.control == "select":
        return next(iter(variable.options), "")
    return _EXAMPLES.get(variable.control, _TEXT[: variable.max_length])
