"""devhost's Service API, validated with Dify's own description of it."""

import json
import re
import threading
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from devhost import App, Call, Devhost, Failure, Pause, demo, say
from devhost.apps import Message, Mode, Step
from devhost.dify import Dify
from devhost.tests.service_api import Added, add, conforms, error_of, events, key, upload
from devhost.tests.support import PLUGINS, eventually, sample
from devhost.wire import Reply

PLUGIN = PLUGINS / "minimal"
GATED, STREAMING, FLOW, CHATFLOW = (
    "0b9a8c7d-1111-4222-8333-444455557781",
    "0b9a8c7d-1111-4222-8333-444455557782",
    "0b9a8c7d-1111-4222-8333-444455557783",
    "0b9a8c7d-1111-4222-8333-444455557784",
)
DEADLINE_S = 30


def gated(call: Call) -> Iterator[Step]:
    """A chat that sends a word, and then nothing for a long time."""
    message = Message(call)
    yield message.event("message", id=message.id, answer="One", from_variable_selector=[])
    yield from [Pause(0.05)] * 1_000
    yield message.end("One")


@pytest.fixture(scope="module")
def host() -> Iterator[Devhost]:
    apps = {
        **demo.apps(pace=0),
        GATED: App(mode="chat", script=gated),
        STREAMING: App(mode="chat", script=[sample("chat")[0], Failure("it breaks")]),
        FLOW: App(mode="workflow", script=[sample("workflow")[0], *[Pause(0.05)] * 1_000]),
        CHATFLOW: App(mode="advanced-chat", script=[sample("advanced-chat")[0], *[Pause(0.05)] * 1_000]),
    }
    keys = {**demo.app_keys(), "app-gated": GATED, "app-breaking": STREAMING, "app-flow": FLOW, "app-chatflow": CHATFLOW}
    with Devhost(PLUGIN, apps, runs="remote", app_keys=keys) as running:  # without a plugin
        yield running


@pytest.mark.parametrize(
    ("alias", "path", "body"),
    [
        ("demo-chatbot", "/chat-messages", {"query": "hi", "inputs": {}}),
        ("demo-chatflow", "/chat-messages", {"query": "hi", "inputs": {}}),
        ("demo-completion", "/completion-messages", {"inputs": {"topic": "rain"}}),
        ("demo-completion-today", "/completion-messages", {"inputs": {"topic": "rain"}}),
        ("demo-workflow", "/workflows/run", {"inputs": {"text": "Rain."}}),
    ],
)
def test_each_kind_of_app_answers_in_both_modes(client: httpx.Client, alias: str, path: str, body: dict[str, Any]) -> None:
    body = {**body, "user": "ann"}
    answer = conforms(client.post(path, headers=key(alias), json=body), path)
    streamed = events(client.post(path, headers=key(alias), json={**body, "response_mode": "streaming"}))
    assert streamed[-1]["event"] in {"message_end", "workflow_finished"}
    if path != "/workflows/run":
        assert "".join(event.get("answer", "") for event in streamed) == answer["answer"]


def test_parameters_and_info(client: httpx.Client) -> None:
    for alias in demo.IDS:
        conforms(client.get("/parameters", headers=key(f"demo-{alias}")), "/parameters", "get")
    info = conforms(client.get("/info", headers=key("demo-chatbot")), "/info", "get")
    assert (info["name"], info["mode"]) == ("Chatbot", "chat")


@pytest.mark.parametrize(
    ("headers", "path", "body", "status", "code"),
    [
        ({}, "/chat-messages", {}, 401, "unauthorized"),
        ({"Authorization": "Basic app-demo-chatbot"}, "/chat-messages", {}, 401, "unauthorized"),
        (key("of-nobody"), "/chat-messages", {}, 401, "unauthorized"),
        (key("demo-workflow"), "/chat-messages", {"user": "a"}, 400, "not_chat_app"),
        (key("demo-chatbot"), "/workflows/run", {"user": "a"}, 400, "not_workflow_app"),
        (key("demo-chatbot"), "/completion-messages", {"user": "a"}, 400, "app_unavailable"),
        (key("demo-chatbot"), "/chat-messages", {"query": "hi", "inputs": {}}, 400, "invalid_param"),
        (key("demo-chatbot"), "/chat-messages", {"query": "", "inputs": {}, "user": "a"}, 400, "invalid_param"),
        (key("demo-chatbot"), "/chat-messages", [], 400, "invalid_param"),
        (key("demo-workflow"), "/workflows/run", {"inputs": {}, "user": "a"}, 400, "invalid_param"),
        (key("demo-agent"), "/chat-messages", {"query": "a fox", "inputs": {}, "user": "a"}, 400, "invalid_param"),
        (
            key("demo-chatbot"),
            "/chat-messages",
            {"query": "hi", "inputs": {}, "user": "a", "files": [{"transfer_method": "local_file", "upload_file_id": "x"}]},
            400,
            "invalid_param",
        ),
    ],
)
def test_an_invalid_request_is_refused(
    client: httpx.Client, headers: dict[str, str], path: str, body: Any, status: int, code: str
) -> None:
    response = client.post(path, headers=headers, json=body)
    assert (response.status_code, response.json()["code"], response.json()["status"]) == (status, code, status)


def test_a_conversation_belongs_to_its_user(client: httpx.Client) -> None:
    body = {"query": "hi", "inputs": {}, "user": "ann"}
    conversation = client.post("/chat-messages", headers=key("demo-chatbot"), json=body).json()["conversation_id"]
    body["conversation_id"] = conversation
    assert "turn 2" in client.post("/chat-messages", headers=key("demo-chatbot"), json=body).json()["answer"]
    others = client.post("/chat-messages", headers=key("demo-chatbot"), json={**body, "user": "bob"})
    assert (others.status_code, others.json()["code"]) == (404, "not_found")


def test_an_upload_belongs_to_its_user(client: httpx.Client) -> None:
    files = {"file": ("a.png", b"PNG", "image/png")}
    stored = conforms(
        client.post("/files/upload", headers=key("demo-chatbot"), files=files, data={"user": "ann"}), "/files/upload"
    )
    file = {"type": "image", "transfer_method": "local_file", "upload_file_id": stored["id"]}
    body = {
        "query": "What is it?",
        "inputs": {},
        "files": [file, {"transfer_method": "remote_url", "url": "https://x.example/b"}],
    }
    answer = client.post("/chat-messages", headers=key("demo-chatbot"), json={**body, "user": "ann"}).json()["answer"]
    assert "a.png, image/png, 3 bytes" in answer
    assert "https://x.example/b" in answer
    assert client.post("/chat-messages", headers=key("demo-chatbot"), json={**body, "user": "bob"}).status_code == 400
    inputs = {"text": "Rain.", "pics": [file]}
    of_another_app = client.post("/workflows/run", headers=key("demo-workflow"), json={"inputs": inputs, "user": "ann"})
    assert (of_another_app.status_code, of_another_app.json()["message"]) == (400, "Invalid upload file")
    picture = upload(client, "demo-workflow", "ann")
    for user, status in (("ann", 200), ("bob", 400)):
        body = {"inputs": {"text": "Rain.", "pics": [picture]}, "user": user}
        assert client.post("/workflows/run", headers=key("demo-workflow"), json=body).status_code == status


def test_an_upload_without_a_file_or_with_a_large_file_is_refused(client: httpx.Client) -> None:
    assert client.post("/files/upload", headers=key("demo-chatbot"), data={"user": "ann"}).status_code == 400
    large = {"file": ("a.png", bytes(15_728_641), "image/png")}
    assert client.post("/files/upload", headers=key("demo-chatbot"), files=large, data={"user": "ann"}).status_code == 413


@pytest.mark.parametrize(
    ("alias", "path", "stop", "last", "how"),
    [
        ("gated", "/chat-messages", "/chat-messages/{}/stop", "message_end", {}),
        ("flow", "/workflows/run", "/workflows/tasks/{}/stop", "workflow_finished", {"status": "stopped", "error": None}),
        (
            "chatflow",
            "/chat-messages",
            "/chat-messages/{}/stop",
            "workflow_finished",
            {"status": "failed", "error": "Aborted: User requested stop"},
        ),
    ],
)
def test_a_run_ends_when_it_is_stopped_by_its_user(
    client: httpx.Client, alias: str, path: str, stop: str, last: str, how: dict[str, Any]
) -> None:
    body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": "streaming"}
    with client.stream("POST", path, headers=key(alias), json=body) as response:
        lines = response.iter_lines()
        first = json.loads(next(line for line in lines if line.startswith("data: "))[6:])
        address = stop.format(first["task_id"])
        for user in ("bob", "ann"):  # another user stops nothing
            answer = conforms(client.post(address, headers=key(alias), json={"user": user}), stop.format("{task_id}"))
            assert answer == {"result": "success"}
        rest = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert [event["event"] for event in rest] == [last]
    assert {name: rest[0]["data"][name] for name in how} == how
    if last == "workflow_finished":
        theirs = sample("dify-1.16/workflow.service")[-1]["data"]
        assert rest[0]["data"].keys() == theirs.keys()
        assert rest[0]["data"]["created_by"]["user"] == "ann"
    assert client.post(address, headers=key(alias), json={"user": "ann"}).status_code == 200, "a second stop is no error"


def test_a_failure_in_mid_stream_breaks_the_connection(client: httpx.Client) -> None:
    body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": "streaming"}
    with (
        client.stream("POST", "/chat-messages", headers=key("breaking"), json=body) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        response.read()


def test_a_run_ends_when_its_client_leaves(client: httpx.Client, added: Added) -> None:
    left = threading.Event()

    def script(_: Call) -> Iterator[Step]:
        try:
            yield sample("chat")[0]
            yield from [Pause(0.05)] * 1_000
        finally:
            left.set()

    body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": "streaming"}
    with client.stream("POST", "/chat-messages", headers=added(App(mode="chat", script=script)), json=body) as response:
        next(response.iter_lines())
    assert left.wait(DEADLINE_S)


# What an app's key allows


@pytest.fixture
def added(host: Devhost) -> Added:
    """Adds an app to the workspace and returns the header with its key."""

    return partial(add, host)


def test_the_web_page_of_an_app(client: httpx.Client, added: Added) -> None:
    for alias in demo.IDS:
        conforms(client.get("/site", headers=key(f"demo-{alias}")), "/site", "get")
    site = client.get("/site", headers=key("demo-completion")).json()
    assert (site["title"], site["description"], site["icon"]) == ("Haiku", "Writes three lines.", "🤖")
    site = conforms(client.get("/site", headers=added(App(mode="chat", site={"title": "Desk", "icon": "🦆"}))), "/site", "get")
    assert (site["title"], site["icon"], site["icon_type"]) == ("Desk", "🦆", "emoji")
    assert error_of(client.get("/site", headers=added(App(mode="chat", site=None))))[:2] == (403, "forbidden")


@pytest.mark.parametrize(("mode", "path"), [("workflow", "/workflows/run"), ("advanced-chat", "/chat-messages")])
@pytest.mark.parametrize("query", ["hi", ""])
def test_an_app_that_is_not_published_is_not_run(client: httpx.Client, added: Added, mode: Mode, path: str, query: str) -> None:
    headers = added(App(mode=mode, published=False))
    body = {"query": query, "inputs": {}, "user": "ann"}
    assert error_of(client.post(path, headers=headers, json=body)) == (400, "invalid_param", "Workflow not published")
    unavailable = (400, "app_unavailable", "App unavailable, please check your app configurations.")
    assert error_of(client.get("/parameters", headers=headers)) == unavailable
    assert client.get("/info", headers=headers).status_code == 200


def test_an_api_that_is_switched_off_forbids_everything(client: httpx.Client, added: Added) -> None:
    headers = added(App(mode="chat", script=say("Hi."), api_enabled=False))
    off = (403, "forbidden", "The app's API service has been disabled.")
    for path in ("/parameters", "/info", "/site"):
        assert error_of(client.get(path, headers=headers)) == off
    for path in ("/chat-messages", "/workflows/run", "/completion-messages", "/chat-messages/x/stop", "/files/upload"):
        assert error_of(client.post(path, headers=headers, json={})) == off


@pytest.mark.parametrize("mode", ["streaming", "blocking"])
def test_the_number_of_running_requests_is_limited(client: httpx.Client, added: Added, mode: str) -> None:
    headers = added(App(mode="chat", script=gated, blocking={"event": "message", "answer": "One"}, max_active_requests=1))
    app_id = headers["Authorization"].removeprefix("Bearer app-")
    body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": "streaming"}
    with client.stream("POST", "/chat-messages", headers=headers, json=body) as response:
        lines = response.iter_lines()
        assert next(lines) == "event: ping"
        refused = client.post("/chat-messages", headers=headers, json={**body, "response_mode": mode})
    assert error_of(refused) == (
        400,
        "invalid_param",
        f"Too many requests. Please try again later. The current maximum concurrent requests allowed for {app_id} is 1.",
    )
    again = {**body, "response_mode": "blocking"}
    assert eventually(lambda: client.post("/chat-messages", headers=headers, json=again).status_code == 200), (
        "the client has left"
    )
    assert client.post("/chat-messages", headers=headers, json=again).status_code == 200, "a blocking run ends with its answer"
    assert client.post("/chat-messages", headers=headers, json={**again, "query": ""}).status_code == 400
    assert client.post("/chat-messages", headers=headers, json=again).status_code == 200, "a refused run ends, too"


def test_a_run_that_sends_nothing_is_an_empty_stream(client: httpx.Client, added: Added) -> None:
    headers = added(App(mode="chat", max_active_requests=1))
    body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": "streaming"}
    assert [client.post("/chat-messages", headers=headers, json=body).text for _ in range(2)] == ["event: ping\n\n"] * 2


def test_a_plugin_is_not_counted() -> None:
    app_id = str(uuid.uuid4())
    dify = Dify({app_id: App(mode="chat", script=say("Hi."), max_active_requests=1)}, frozenset({"app"}), [])
    request = {"app_id": app_id, "query": "q", "inputs": {}, "response_mode": "streaming"}
    runs = [dify.answer("app", request) for _ in range(2)]
    assert [next(reply for reply in run if isinstance(reply, Reply)).event for run in runs] == ["response"] * 2


@pytest.mark.parametrize("mode", ["streaming", "blocking"])
def test_only_a_plugin_is_sent_an_error_after_a_failed_chatflow(client: httpx.Client, added: Added, mode: str) -> None:
    app = App(mode="advanced-chat", script=sample("advanced-chat.failed"))
    body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": mode}
    response = client.post("/chat-messages", headers=added(app), json=body)
    if mode == "streaming":
        assert events(response) == sample("advanced-chat.failed")[:-1]
    else:
        assert error_of(response) == (400, "invalid_param", sample("advanced-chat.failed")[-1]["message"])
    app_id = str(uuid.uuid4())
    replies = Dify({app_id: app}, frozenset({"app"}), []).answer("app", {**body, "app_id": app_id})
    [*_, last] = [reply for reply in replies if isinstance(reply, Reply)]
    if mode == "streaming":
        assert last.data == sample("advanced-chat.failed")[-1]


UNNAMED = '{"args":{"description":"[models] Error: …"},"error_type":"InvokeError","message":"[models] Error: …"}'


@pytest.mark.parametrize(
    ("code", "status", "message", "expected", "text"),
    [
        ("rate_limit_error", 429, "[models] Rate Limit Error, x", "completion_request_error", r"\[models\] Rate Limit Error, x"),
        ("completion_request_error", 400, "[models] Bad Request Error, x", "completion_request_error", r"\[models\] Bad .*"),
        ("invalid_param", 400, UNNAMED, "completion_request_error", r"req_id: [0-9a-f]{10} PluginInvokeError: \{.*\}"),
        ("provider_quota_exceeded", 400, "x", "provider_quota_exceeded", "x"),
        ("invalid_param", 400, "x", "invalid_param", "x"),
    ],
)
def test_a_models_error_reaches_a_blocking_caller(
    client: httpx.Client, added: Added, code: str, status: int, message: str, expected: str, text: str
) -> None:
    app = App(mode="chat", script=[{"event": "error", "code": code, "status": status, "message": message}])
    body = {"query": "hi", "inputs": {}, "user": "ann"}
    *answer, message_ = error_of(client.post("/chat-messages", headers=added(app), json=body))
    assert answer == [400, expected]
    assert re.fullmatch(text, message_)
    app_id = str(uuid.uuid4())
    request = {**body, "app_id": app_id, "response_mode": "blocking"}
    *_, reply = Dify({app_id: app}, frozenset({"app"}), []).answer("app", request)
    assert isinstance(reply, Reply)
    assert '"code": "invalid_param"' in reply.message
    assert '"status": 400' in reply.message


def test_a_link_that_cannot_be_fetched_is_refused_before_the_run(client: httpx.Client) -> None:
    link = {"type": "image", "transfer_method": "remote_url", "url": "https://nowhere.invalid/a.png"}
    refused = (400, "invalid_param", "Reached maximum retries (3) for URL https://nowhere.invalid/a.png")
    body = {"query": "hi", "inputs": {}, "user": "ann", "files": [link], "response_mode": "streaming"}
    assert error_of(client.post("/chat-messages", headers=key("demo-chatbot"), json=body)) == refused
    body = {"inputs": {"text": "t", "pics": [link]}, "user": "ann", "response_mode": "streaming"}
    assert error_of(client.post("/workflows/run", headers=key("demo-workflow"), json=body)) == refused
