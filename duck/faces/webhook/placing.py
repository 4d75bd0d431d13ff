"""Maps a delivery to the inputs of an app. Pure."""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from duck.faces import asking
from duck.faces.webhook import payloads
from duck.faces.webhook.payloads import Payload
from duck.runs.fields import Files, Texts
from duck.runs.forms import Form, Variable
from duck.runs.run import Kind, Run, RunRequest
from duck.streams import json
from duck.texts import Fault, Text

WHOLE = ("payload", "body")  # variables that get all of the body
HEADERS, QUERY = "headers", "query_params"
_PRIVATE = re.compile(r"signature|hmac|secret|token|authorization|api-key|password|cookie")  # what lets somebody in, by its name
_PLATFORM = {"dify-hook-id", "dify-hook-url"}  # the latter has a capability in it
_NATIVE = {"number": (int, float), "checkbox": (bool,), "json_object": (dict, list), "file": (dict,), "file-list": (dict, list)}


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A body and what came with it. The `headers` have no secrets in them, and names in lower case."""

    payload: Payload
    headers: Mapping[str, str]
    query: Mapping[str, Any]

    @functools.cached_property
    def fields(self) -> Mapping[str, Any]:
        """The named parts of the query string and of the body. If both have a name, the body's wins."""
        return {**self.query, **self.payload.fields}


def public_headers(headers: Iterable[tuple[str, str]], secrets: Iterable[str]) -> dict[str, str]:
    """The headers that an app may read: without keys, cookies and signatures, and without any that has one of the `secrets`."""
    secrets = [*filter(None, secrets)]
    named = {name.lower(): value for name, value in headers}
    return {
        name: value
        for name, value in named.items()
        if name not in _PLATFORM and not _PRIVATE.search(name) and not any(secret in value for secret in secrets)
    }


def place(delivery: Delivery, form: Form, kind: Kind, app_id: str, *, guest: bool) -> RunRequest:
    """The run that a delivery asks for. What the app has no input for is left out; guests fill no hidden inputs."""
    variables = [variable for variable in form.variables if not (guest and variable.hidden)]
    found = {variable.name: _given(variable, delivery) for variable in variables}
    inputs = {name: value for name, value in found.items() if value is not None}
    run = Run(kind=kind, app_id=app_id, inputs=inputs)
    if kind == "chat":
        query = _question(delivery)
        return RunRequest(run=replace(run, query=query), drops_unknown=True, faults=() if query else (_NOTHING_ASKED,))
    if not inputs and (variable := asking.variable_for_text([*filter(asking.takes_text, variables)])):
        given = _whole(variable, delivery.payload)
        run = replace(run, inputs={} if given is None else {variable.name: given})
    return RunRequest(run=run, drops_unknown=True)


def _given(variable: Variable, delivery: Delivery) -> Any:
    """The value for a variable, None if the delivery has none."""
    if variable.name in WHOLE:
        return _whole(variable, delivery.payload)
    if variable.name in {HEADERS, QUERY}:
        return _converted(variable, delivery.headers if variable.name == HEADERS else payloads.plain(delivery.query))
    return _converted(variable, delivery.fields.get(variable.name))


def _whole(variable: Variable, payload: Payload) -> Any:
    if variable.takes_files and payload.body:
        return Files((payload.file,))
    if variable.control == "json_object" and (payload.value is not None or payload.fields):
        return payload.value if payload.value is not None else payloads.plain(payload.fields)
    return Texts((payload.text,)) if payload.text else None


def _converted(variable: Variable, value: Any) -> Any:
    """A value as forms send it, where the variable does not take it as JSON has it: senders know nothing of the app's types."""
    match value:
        case None | Texts() | Files():
            return value
        case str():
            return Texts((value,))
        case bool() if variable.control != "checkbox":
            return Texts(("true" if value else "false",))
    if isinstance(value, _NATIVE.get(variable.control, ())):
        return value
    return Texts((json.encode(value).decode(),))


def _question(delivery: Delivery) -> str:
    """What a chat is asked: what the sender calls so, else the whole body."""
    named = payloads.plain({name: delivery.fields[name] for name in asking.TEXT_NAMES if name in delivery.fields}).values()
    texts = (text for text in named if isinstance(text, str) and text.strip())
    return next(texts, delivery.payload.text or "").strip()


_NOTHING_ASKED = Fault("query", Text("the body is empty, or no text: a chat is asked what the body says"))
