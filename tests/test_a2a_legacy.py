"""A2A 0.3 at the same address, checked by the SDK's own types of that version."""

from base64 import b64encode
from typing import Any

import pytest
from a2a.compat.v0_3 import types

from duck.faces.a2a import legacy, messages
from duck.state import State
from tests.a2a_calls import call, card, error, frames, message, post
from tests.openai_calls import App, Talk
from tests.support import KEY, Dify, NoSleepClock, http_error, json_of, sample
from tests.test_openai_streams import AT_ONCE, RECORDINGS, end_of, recording

SEND, STREAM = "message/send", "message/stream"
VERSIONS: list[str | None] = [None, "", "0.3", "0.3.0"]


@pytest.fixture(autouse=True)
def _no_sleep(state: State) -> None:
    state.clock = NoSleepClock()


def old(*parts: Any, **more: Any) -> dict[str, Any]:
    """The parameters of a message: texts are parts, too, "Hi" if there are none. `more` are fields of the message."""
    listed = [{"kind": "text", "text": part} if isinstance(part, str) else part for part in parts or ("Hi",)]
    return {"message": {"kind": "message", "messageId": "m", "role": "user", "parts": listed, **more}}


def ask(dify: Dify, method: str = SEND, params: Any = None, *, version: str | None = None, key: str | None = KEY) -> Any:
    return post(dify, call(method, old() if params is None else params), version=version, key=key)


def task_of(response: Any) -> types.Task:
    """The task of a message."""
    found = types.SendMessageResponse.model_validate(json_of(response)).root
    assert isinstance(found, types.SendMessageSuccessResponse)
    assert isinstance(found.result, types.Task)
    return found.result


def updates_of(response: Any) -> list[Any]:
    """The updates of a stream."""
    parsed = [types.SendStreamingMessageResponse.model_validate(document).root for document in frames(response)]
    assert all(isinstance(each, types.SendStreamingMessageSuccessResponse) for each in parsed)
    return [each.result for each in parsed if isinstance(each, types.SendStreamingMessageSuccessResponse)]


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("key", [KEY, None], ids=["holder", "guest"])
def test_a_run_as_updates_and_as_a_task(name: str, key: str | None, state: State) -> None:
    dify = recording(name, state)
    fails = isinstance(end_of(name, key), tuple) or name == AT_ONCE
    begun, *pieces, ended = updates_of(ask(dify, STREAM, key=key))
    whole = task_of(ask(dify, key=key))
    assert isinstance(begun, types.Task)
    assert isinstance(ended, types.TaskStatusUpdateEvent)
    assert ended.final
    assert ended.status.state == whole.status.state == (types.TaskState.failed if fails else types.TaskState.completed)
    assert begun.status.state == types.TaskState.working
    assert (ended.task_id, ended.context_id) == (begun.id, begun.context_id)
    text = ""
    for piece in pieces:
        assert isinstance(piece, types.TaskArtifactUpdateEvent)
        [part] = piece.artifact.parts
        assert isinstance(part.root, types.TextPart)
        text = text + part.root.text if piece.append else part.root.text
    answer = "".join(part.root.text for artifact in whole.artifacts or () for part in artifact.parts)  # type: ignore[union-attr]
    if fails or end_of(name, key) != "content_filter":
        assert text == answer
    if not fails and answer:
        assert ended.status.message
        assert "".join(part.root.text for part in ended.status.message.parts) == answer  # type: ignore[union-attr]
    if fails:
        assert ended.status.message
        assert whole.status.message
        assert ended.status.message.parts == whole.status.message.parts
        assert ended.status.message.role == types.Role.agent


@pytest.mark.parametrize("version", VERSIONS)
def test_a_request_without_a_version_is_one_of_0_3(version: str | None) -> None:
    assert task_of(ask(Talk(), version=version)).status.state == types.TaskState.completed


@pytest.mark.parametrize("method", [SEND, STREAM])
def test_a_context_goes_on_in_either_version(method: str) -> None:
    dify = Talk()
    context = task_of(ask(dify)).context_id
    ask(dify, method, old("Two", contextId=context)).get_data()
    post(dify, call("SendMessage", message("Three", contextId=context)))
    assert dify.conversations == [["Hi", "Two", "Three"]]


PNG = b64encode(b"\x89PNG\r\n\x1a\n").decode()
READ: list[tuple[Any, Any]] = [
    (old("Hi", " there"), message("Hi", " there")),
    (old("Hi", {"kind": "data", "data": {"a": 1}}), message("Hi", {"data": {"a": 1}})),
    (
        old({"kind": "file", "file": {"uri": "https://x.example/a", "mimeType": "image/png", "name": "a.png"}}),
        message({"url": "https://x.example/a", "mediaType": "image/png", "filename": "a.png"}),
    ),
    (old({"kind": "file", "file": {"bytes": PNG, "name": "a.png"}}), message({"raw": PNG, "filename": "a.png"})),
    ({**old(), "configuration": {"blocking": False, "acceptedOutputModes": ["text"], "historyLength": 3}}, message()),
    ({**old(), "configuration": None, "metadata": {}}, message()),
    (old(contextId="c", taskId=None), message(contextId="c")),
]


@pytest.mark.parametrize(("given", "expected"), READ)
def test_a_message_says_the_same_as_in_1_0(given: Any, expected: Any) -> None:
    types.MessageSendParams.model_validate(given)
    assert messages.read(legacy.params(given)) == messages.read(expected)


WRONG: list[tuple[str, Any, int, str]] = [
    (SEND, {}, -32602, "message: required"),
    (SEND, {"message": []}, -32602, "message: must be an object"),
    (SEND, old(role="agent"), -32602, "message.role: "),
    (SEND, old(role="ROLE_USER"), -32602, "message.role: "),
    (SEND, old(messageId=None), -32602, "message.messageId: "),
    (SEND, old(parts="Hi"), -32602, "message.parts: "),
    (SEND, old(parts=[None]), -32602, "message.parts[0]: "),
    (SEND, old({"text": "Hi"}), -32602, "message.parts[0]: "),
    (SEND, old({"kind": "file", "file": "x"}), -32602, "message.parts[0]: "),
    (SEND, old({"kind": "file", "file": {}}), -32602, "message.parts[0]: "),
    (SEND, old({"kind": "data", "text": "Hi"}), -32602, "message.parts[0]: "),
    (STREAM, old(contextId="x"), -32602, "message.contextId: "),
    (SEND, {**old(), "configuration": {"pushNotificationConfig": {"url": "https://x.example"}}}, -32003, ""),
    (SEND, old(taskId="t"), -32001, ""),
    ("tasks/get", {"id": "t"}, -32001, ""),
    ("tasks/cancel", {"id": "t"}, -32001, ""),
    ("tasks/resubscribe", {"id": "t"}, -32001, ""),
    *((f"tasks/pushNotificationConfig/{name}", {"id": "t"}, -32003, "") for name in ("set", "get", "list", "delete")),
    ("agent/getAuthenticatedExtendedCard", {}, -32007, ""),
    ("tasks/list", {}, -32601, ""),
    ("message/nothing", {}, -32601, ""),
]


@pytest.mark.parametrize(("method", "params", "code", "told"), WRONG)
def test_what_is_wrong_is_an_error_of_the_protocol(method: str, params: Any, code: int, told: str) -> None:
    dify = Talk()
    response = ask(dify, method, params)
    id_, number, text = error(response)
    assert (id_, number) == (1, code)
    assert text.startswith(told)
    types.JSONRPCErrorResponse.model_validate(json_of(response))
    assert dify.calls == []


@pytest.mark.parametrize("method", [SEND, STREAM])
def test_a_run_that_fails_at_once_is_a_failed_task(method: str) -> None:
    failure = http_error(400, "provider_not_initialize", "Model gpt-4o credentials is not initialized.")
    response = ask(App("chat", stream=[failure], blocking=failure), method)
    status = updates_of(response)[-1].status if method == STREAM else task_of(response).status
    assert status.state == types.TaskState.failed
    assert status.message
    [part] = status.message.parts
    assert isinstance(part.root, types.TextPart)
    assert part.root.text.startswith("Model gpt-4o")


@pytest.mark.parametrize("app", ["talk", "other"])
def test_the_card_is_one_of_0_3_too(app: str) -> None:
    found = types.AgentCard.model_validate(json_of(card(app=app, dify=App("chat", stream=sample("chat")))))
    assert (found.url, found.preferred_transport) == (f"https://dify.example.com/e/abc/a2a/{app}", "JSONRPC")
    assert found.protocol_version == "0.3.0"
    if app == "talk":
        assert (found.security, found.security_schemes) == (None, None)
    else:
        assert found.security == [{"key": []}]
        assert found.security_schemes
        assert found.security_schemes["key"].root == types.HTTPAuthSecurityScheme(scheme="bearer", type="http")
