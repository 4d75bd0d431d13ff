"""The Service API that devhost plays, held against Dify's own description of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS30Validator

from devhost import App, Call, Devhost, Failure, Pause, demo
from devhost.apps import Message, Step
from tests.devhost.test_limits import eventually
from tests.support import sample

# "oneOf" is none there: whatever is an object fits all of the kinds of variables that it names.
API = json.loads((Path(__file__).parent / "service-api.openapi.json").read_text().replace('"oneOf"', '"anyOf"'))
PLUGIN = Path(__file__).parents[1] / "plugins/minimal"
GATED, STREAMING, FLOW = (
    "0b9a8c7d-1111-4222-8333-444455557781",
    "0b9a8c7d-1111-4222-8333-444455557782",
    "0b9a8c7d-1111-4222-8333-444455557783",
)
DEADLINE_S = 30


def gated(call: Call) -> Iterator[Step]:
    """A chat that says a word, and then none for as long as anybody reads."""
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
    }
    keys = {**demo.app_keys(), "app-gated": GATED, "app-breaking": STREAMING, "app-flow": FLOW}
    with Devhost(PLUGIN, apps, {"whom": "x"}, app_keys=keys) as running:
        yield running


@pytest.fixture
def client(host: Devhost) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=host.api_url, timeout=DEADLINE_S) as client:
        yield client


def key(alias: str) -> dict[str, str]:
    return {"Authorization": f"Bearer app-{alias}"}


def conforms(response: httpx.Response, path: str, method: str = "post") -> Any:
    """The answer, once it is one that Dify describes for this status."""
    described = API["paths"][path][method]["responses"][str(response.status_code)]
    if "$ref" in described:
        described = API["components"]["responses"][described["$ref"].rpartition("/")[2]]
    schema = described["content"]["application/json"].get("schema", {})
    document = response.json()
    OAS30Validator({**schema, "components": API["components"]}).validate(document)
    return document


def events(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.headers["Content-Type"].startswith("text/event-stream")
    blocks = response.text.removesuffix("\n\n").split("\n\n")
    assert blocks[0] == "event: ping"
    return [json.loads(block.removeprefix("data: ")) for block in blocks if block.startswith("data: ")]


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
def test_what_is_wrong_is_refused(
    client: httpx.Client, headers: dict[str, str], path: str, body: Any, status: int, code: str
) -> None:
    response = client.post(path, headers=headers, json=body)
    assert (response.status_code, response.json()["code"], response.json()["status"]) == (status, code, status)


def test_a_conversation_is_its_users_own(client: httpx.Client) -> None:
    body = {"query": "hi", "inputs": {}, "user": "ann"}
    conversation = client.post("/chat-messages", headers=key("demo-chatbot"), json=body).json()["conversation_id"]
    body["conversation_id"] = conversation
    assert "turn 2" in client.post("/chat-messages", headers=key("demo-chatbot"), json=body).json()["answer"]
    others = client.post("/chat-messages", headers=key("demo-chatbot"), json={**body, "user": "bob"})
    assert (others.status_code, others.json()["code"]) == (404, "not_found")


def test_an_upload_is_its_users_own(client: httpx.Client) -> None:
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
    assert client.post("/workflows/run", headers=key("demo-workflow"), json={"inputs": inputs, "user": "ann"}).status_code == 200
    assert client.post("/workflows/run", headers=key("demo-workflow"), json={"inputs": inputs, "user": "bob"}).status_code == 400


def test_an_upload_without_a_file_or_with_too_large_a_one(client: httpx.Client) -> None:
    assert client.post("/files/upload", headers=key("demo-chatbot"), data={"user": "ann"}).status_code == 400
    large = {"file": ("a.png", bytes(15_728_641), "image/png")}
    assert client.post("/files/upload", headers=key("demo-chatbot"), files=large, data={"user": "ann"}).status_code == 413


@pytest.mark.parametrize(
    ("alias", "path", "stop", "last"),
    [
        ("gated", "/chat-messages", "/chat-messages/{}/stop", "message_end"),
        ("flow", "/workflows/run", "/workflows/tasks/{}/stop", "workflow_finished"),
    ],
)
def test_a_run_ends_when_it_is_stopped_by_its_user(client: httpx.Client, alias: str, path: str, stop: str, last: str) -> None:
    body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": "streaming"}
    with client.stream("POST", path, headers=key(alias), json=body) as response:
        lines = response.iter_lines()
        first = json.loads(next(line for line in lines if line.startswith("data: "))[6:])
        address = stop.format(first["task_id"])
        for user in ("bob", "ann"):  # the first of whom stops nothing
            answer = conforms(client.post(address, headers=key(alias), json={"user": user}), stop.format("{task_id}"))
            assert answer == {"result": "success"}
        rest = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert [event["event"] for event in rest] == [last]
    assert client.post(address, headers=key(alias), json={"user": "ann"}).status_code == 200, "twice is no mistake"


def test_a_failure_in_mid_stream_breaks_the_connection(client: httpx.Client) -> None:
    body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": "streaming"}
    with (
        client.stream("POST", "/chat-messages", headers=key("breaking"), json=body) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        response.read()


def test_a_run_ends_when_its_client_leaves() -> None:
    left: list[bool] = []

    def script(_: Call) -> Iterator[Step]:
        try:
            yield sample("chat")[0]
            yield from [Pause(0.05)] * 1_000
        finally:
            left.append(True)

    with Devhost(PLUGIN, {GATED: App(mode="chat", script=script)}, {"whom": "x"}, app_keys={"app-one": GATED}) as host:
        body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": "streaming"}
        with httpx.stream("POST", f"{host.api_url}/chat-messages", headers=key("one"), json=body) as response:
            next(response.iter_lines())
        assert eventually(lambda: bool(left))
