"""Parses requests to Duck's own API. Pure."""

from collections.abc import Mapping
from typing import Any

from werkzeug import Request

from duck.callers.settings import canonical
from duck.errors import invalid_fields
from duck.faces.page import fields as page_fields
from duck.faces.page.fields import PageFields
from duck.runs import bodies
from duck.runs import inputs as checks
from duck.runs.run import Kind, Mode, Run, RunRequest
from duck.texts import Fault, Text

_FIELDS = {"chat": {"query", "conversation_id", "strict_conversation"}, "workflow": set[str](), "completion": set[str]()}
_SHARED_FIELDS = {"inputs", "response_mode", "user", "files"}


def parse(request: Request, kind: Kind, app_id: str) -> tuple[RunRequest, PageFields]:
    """Parses a request's body, or for a GET its query string. Returns the wanted run, and what else a page's form says.

    Raises `DuckError`: 400 if it cannot be parsed, 413 for a body that the daemon has cut, 415 for another content type.
    """
    fields = bodies.read(request, _FIELDS[kind] | _SHARED_FIELDS, page_fields.NAMES)
    of_page = page_fields.take(fields)
    faults: list[Fault] = []
    inputs = _inputs(fields.get("inputs"), faults)
    mode = _mode(_text(fields, "response_mode", faults), faults)
    user = _text(fields, "user", faults)
    chat = _chat_fields(fields, faults) if kind == "chat" else {}
    wanted = RunRequest(
        run=Run(kind=kind, app_id=app_id, inputs=inputs, mode=mode, user=user, **chat),
        unknown_fields=frozenset(fields) - _FIELDS[kind] - _SHARED_FIELDS,
        url_fields=frozenset(bodies.names_in_url(request)) if request.method == "POST" else frozenset(),
        files=None if fields.get("files") in (None, [], "", {}, [{}]) else fields["files"],
        faults=tuple(faults),
    )
    return wanted, of_page if request.method == "POST" else PageFields()  # a link could contain an invented conversation


def parse_stop(request: Request) -> tuple[str, str]:
    """The `task_id` of the run to stop, and its `user`, "" if none is given. Raises `DuckError` as `parse` does."""
    fields = bodies.read(request, {"task_id", "user"})
    faults: list[Fault] = []
    task_id, user = (_text(fields, name, faults) for name in ("task_id", "user"))
    if not task_id and not faults:
        faults.append(Fault("task_id", Text("required; each event of a run has it")))
    if faults:
        raise invalid_fields(faults)
    return task_id, user


def parse_form(request: Request) -> tuple[Mapping[str, Any], str, str]:
    """What was put into a form for people: inputs by name, the `action`, and the `user`. Raises `DuckError` as `parse` does."""
    fields = bodies.read(request, {"action", "user"})
    faults: list[Fault] = []
    inputs, action, user = _inputs(fields.get("inputs"), faults), *(_text(fields, name, faults) for name in ("action", "user"))
    if faults:
        raise invalid_fields(faults)
    return inputs, action, user


def _chat_fields(fields: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    query = _text(fields, "query", faults)
    if not query.strip() and isinstance(fields.get("query") or "", str):
        faults.append(Fault("query", checks.REQUIRED))
    conversation_id = _text(fields, "conversation_id", faults)
    if conversation_id and not canonical(conversation_id):
        faults.append(Fault("conversation_id", Text("must be the UUID from an earlier answer, or empty to start a conversation")))
    strict = _boolean(fields, "strict_conversation", faults)
    return {"query": query, "conversation_id": canonical(conversation_id) or "", "strict": strict}


def _mode(value: str, faults: list[Fault]) -> Mode | None:
    match value:
        case "blocking" | "streaming":
            return value
        case "":
            return None
    faults.append(Fault("response_mode", Text("must be blocking or streaming")))
    return None


def _inputs(value: Any, faults: list[Fault]) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if value not in (None, [], ""):  # as PHP writes an empty object
        faults.append(Fault("inputs", Text('must be an object, like {"city": "Oslo"}')))
    return {}


def _boolean(fields: Mapping[str, Any], name: str, faults: list[Fault]) -> bool:
    value = fields.get(name) or False
    if isinstance(value, str):
        value = checks.BOOLEANS.get(value.strip().lower())
    if isinstance(value, bool):
        return value
    faults.append(Fault(name, checks.NOT_BOOLEAN))
    return False


def _text(fields: Mapping[str, Any], name: str, faults: list[Fault]) -> str:
    value = fields.get(name)
    if isinstance(value, str):
        return value
    if value is not None:
        faults.append(Fault(name, Text("must be a text")))
    return ""
