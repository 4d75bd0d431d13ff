"""Calls of AG-UI's route, and the order that its events must have."""

from collections.abc import Iterable, Mapping
from typing import Any

from ag_ui.core import Event
from pydantic import TypeAdapter
from werkzeug import Response

from duck.dify.session import SessionGateway
from duck.faces.agui import serve
from tests.openai_calls import SETTINGS, assistant, events_of, user
from tests.support import KEY, Dify, json_of, make_request

EVENT: TypeAdapter[Any] = TypeAdapter(Event)
RUN: Mapping[str, Any] = {"threadId": "a thread", "runId": "a run"}
# What each event begins, goes on with, or ends: the kind of thing, and the field with its id.
_OPEN = {
    "TEXT_MESSAGE_START": ("message", "messageId"),
    "TOOL_CALL_START": ("call", "toolCallId"),
    "STEP_STARTED": ("step", "stepName"),
    "REASONING_START": ("span", "messageId"),
    "REASONING_MESSAGE_START": ("reasoning", "messageId"),
}
_GO_ON = {
    "TEXT_MESSAGE_CONTENT": ("message", "messageId"),
    "TOOL_CALL_ARGS": ("call", "toolCallId"),
    "REASONING_MESSAGE_CONTENT": ("reasoning", "messageId"),
}
_END = {
    "TEXT_MESSAGE_END": ("message", "messageId"),
    "TOOL_CALL_END": ("call", "toolCallId"),
    "STEP_FINISHED": ("step", "stepName"),
    "REASONING_MESSAGE_END": ("reasoning", "messageId"),
    "REASONING_END": ("span", "messageId"),
}


def post(
    dify: Dify, body: Any, *, app: str = "talk", key: str | None = KEY, settings: Mapping[str, Any] = SETTINGS, **options: Any
) -> Response:
    """One POST; `options` are those of `make_request`."""
    content = {"data": body} if isinstance(body, bytes) else {"json": body}
    request = make_request(path=f"/agui/{app}", key=key, **content, **options)
    return serve.run(request, app, settings, SessionGateway(dify))


def ask(dify: Dify, *messages: Any, app: str = "talk", key: str | None = KEY, **body: Any) -> Response:
    """A run for these messages, "Hi" if there are none."""
    return post(dify, {**RUN, "messages": numbered(*messages) or numbered(user("Hi")), **body}, app=app, key=key)


def numbered(*messages: Any) -> list[Any]:
    """The messages, each with an id of the client's if it has none."""
    return [{"id": f"no. {number}", **message} for number, message in enumerate(messages)]


def answer(response: Response) -> list[Any]:
    """The messages of the assistant in the answer, as a client sends them back."""
    found: dict[str, str] = {}
    for event in events_of(response):
        if event["type"] == "TEXT_MESSAGE_CONTENT":
            found[event["messageId"]] = found.get(event["messageId"], "") + event["delta"]
    return [{"id": id_, **assistant(text)} for id_, text in found.items()]


def refusal(response: Response) -> tuple[int, str, str]:
    """Status and code of an error, and what its message begins with up to a colon."""
    document = json_of(response)
    assert response.status_code == document["status"]
    return document["status"], document["code"], document["message"].partition(":")[0]


def verify(events: Iterable[Mapping[str, Any]]) -> None:
    """Fails unless the events of one run stand in an order that AG-UI's clients take.

    The rules are those of the client for JavaScript (`verifyEvents`). Three are added: a run that fails leaves nothing open, no
    text is empty, and each call of a tool gets one result, since a client runs calls without one.
    """
    open_: set[tuple[str, str]] = set()
    unanswered: set[str] = set()
    names: list[str] = []
    for event in events:
        EVENT.validate_python(event)
        name = event["type"]
        assert (names == []) == (name == "RUN_STARTED"), f"{name} after {names}"
        assert not {"RUN_FINISHED", "RUN_ERROR"} & {*names}, f"{name} after the end"
        names.append(name)
        if name in {"RUN_FINISHED", "RUN_ERROR"}:
            assert (open_, unanswered) == (set(), set()), name
        elif name == "TOOL_CALL_RESULT":
            assert ("call", event["toolCallId"]) not in open_
            unanswered.remove(event["toolCallId"])
        elif name in _OPEN:
            kind, field = _OPEN[name]
            assert (kind, event[field]) not in open_, f"{event} is open"
            open_.add((kind, event[field]))
            if kind == "call":
                unanswered.add(event[field])
        elif name in _GO_ON:
            kind, field = _GO_ON[name]
            assert (kind, event[field]) in open_, f"{event} is not open"
            assert event["delta"]
        elif name in _END:
            kind, field = _END[name]
            open_.remove((kind, event[field]))
    assert names[-1] in {"RUN_FINISHED", "RUN_ERROR"}
