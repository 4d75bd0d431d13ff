"""Dify's own paths and Dify's own clients, unchanged but for the base URL, with the real plugin."""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import httpx
import pytest
from dify_client import ChatClient, CompletionClient, DifyClient
from httpx_sse import connect_sse

from devhost import App, Call, Devhost, Pause, demo
from devhost.apps import Message, Step
from tests.e2e.conftest import DEADLINE_S, LIMITS, ROOT
from tests.service_api_calls import PATHS, validate
from tests.support import KEY

OWN = ("chatbot", "completion", "workflow", "human-input")  # apps with keys of their own
OTHERS = {alias: f"00000000-0000-4000-8000-0000000000b{number}" for number, alias in enumerate(OWN)}  # the same without
WAITING = "00000000-0000-4000-8000-0000000000c0"
NOBODYS = str(uuid.UUID(int=7))  # the id of nothing


def wait(call: Call) -> Iterator[Step]:
    """Says something, and nothing more until it is stopped."""
    message = Message(replace(call, conversation_id=str(uuid.uuid4())))
    yield message.event("message", id=message.id, answer="One", from_variable_selector=[])
    while True:
        yield Pause(0.05)


@pytest.fixture(scope="module")
def host() -> Iterator[Devhost]:
    demos = demo.apps(pace=0)
    apps = {**demos, **{OTHERS[alias]: demos[demo.IDS[alias]] for alias in OWN}, WAITING: App(mode="chat", script=wait)}
    keys = {**demo.app_keys(), "app-waiting": WAITING}
    names = ", ".join([demo.settings()["apps"], f"waiting={WAITING}", *(f"{name}-0={other}" for name, other in OTHERS.items())])
    settings = demo.settings() | {"api_key": KEY, "apps": names, "public_rate": "1000"}
    settings["public_apps"] = ", ".join([*OWN, *OTHERS.values()])
    with Devhost(ROOT, apps, settings, limits=LIMITS, app_keys=keys) as running:
        own = {name: f"app-demo-{name}" for name in OWN} | {"waiting": "app-waiting"}
        running.settings["service_api_url"] = running.api_url
        running.settings["app_keys"] = ", ".join(f"{name}={key}" for name, key in own.items())
        yield running
        assert running.runtime.starts == 1


def base(host: Devhost, app: str) -> str:
    return f"{host.url}/dify/{app}/v1"


def connect(host: Devhost, app: str = "chatbot", key: str = KEY) -> httpx.Client:
    return httpx.Client(base_url=base(host, app), headers={"Authorization": f"Bearer {key}"}, timeout=DEADLINE_S)


def client[C: DifyClient](kind: type[C], host: Devhost, app: str = "chatbot", key: str = KEY) -> C:
    """Dify's client, with another base URL."""
    made: C = kind(key)
    made.base_url = base(host, app)
    return made


# Every path of Dify's description: for a key holder with the app's own key, for one without, and for a guest

KEPT = (404, "not_found")
RUN, STOP, STOPPED = (200, ""), (400, "stop_unavailable"), (200, "")
CHAT, FLOW, TEXT = "chatbot", "workflow", "completion"
INPUTS: dict[str, dict[str, str]] = {CHAT: {}, FLOW: {"text": "Rain."}, TEXT: {"topic": "rain"}}
CONVERSATION = "/conversations/{conversation_id}"
# The app; what comes with its own key, without it, and for a guest.
TABLE: dict[tuple[str, str], tuple[str, tuple[int, str], tuple[int, str], tuple[int, str]]] = {
    ("post", "/chat-messages"): (CHAT, RUN, RUN, RUN),
    ("post", "/completion-messages"): (TEXT, RUN, RUN, RUN),
    ("post", "/workflows/run"): (FLOW, RUN, RUN, RUN),
    ("post", "/workflows/{workflow_id}/run"): (FLOW, (404, "not_found"), KEPT, KEPT),
    ("post", "/chat-messages/{task_id}/stop"): (CHAT, STOPPED, STOP, STOPPED),
    ("post", "/completion-messages/{task_id}/stop"): (TEXT, STOPPED, STOP, STOPPED),
    ("post", "/workflows/tasks/{task_id}/stop"): (FLOW, STOPPED, STOP, STOPPED),
    ("get", "/parameters"): (CHAT, (200, ""), (200, ""), (200, "")),
    ("get", "/info"): (CHAT, (200, ""), (200, ""), (200, "")),
    ("get", "/meta"): (CHAT, (200, ""), (200, ""), (200, "")),
    ("get", "/site"): (CHAT, (200, ""), (200, ""), (200, "")),
    ("post", "/files/upload"): (CHAT, (201, ""), KEPT, KEPT),
    ("get", "/files/{file_id}/preview"): (CHAT, (404, "file_not_found"), KEPT, KEPT),
    ("get", "/conversations"): (CHAT, (200, ""), KEPT, KEPT),
    ("delete", CONVERSATION): (CHAT, (404, "not_found"), KEPT, KEPT),
    ("post", f"{CONVERSATION}/name"): (CHAT, (404, "not_found"), KEPT, KEPT),
    ("get", f"{CONVERSATION}/variables"): (CHAT, (404, "not_found"), KEPT, KEPT),
    ("put", f"{CONVERSATION}/variables/{{variable_id}}"): (CHAT, (404, "not_found"), KEPT, KEPT),
    ("get", "/messages"): (CHAT, (404, "not_found"), KEPT, KEPT),
    ("get", "/messages/{message_id}/suggested"): (CHAT, (404, "not_found"), KEPT, KEPT),
    ("post", "/messages/{message_id}/feedbacks"): (CHAT, (404, "not_found"), KEPT, KEPT),
    ("get", "/workflows/run/{workflow_run_id}"): (FLOW, (404, "not_found"), KEPT, KEPT),
    ("get", "/workflows/logs"): (FLOW, (200, ""), KEPT, KEPT),
    ("get", "/workflow/{workflow_run_id}/events"): (FLOW, (404, "not_found"), KEPT, KEPT),
    ("get", "/form/human_input/{form_token}"): (FLOW, (404, "not_found"), KEPT, KEPT),
    ("post", "/form/human_input/{form_token}"): (FLOW, (404, "not_found"), KEPT, KEPT),
    ("get", "/end-users/{end_user_id}"): (CHAT, (404, "end_user_not_found"), KEPT, KEPT),
}


def test_every_path_that_dify_describes_is_in_the_table() -> None:
    assert sorted(TABLE) == PATHS


def send(host: Devhost, method: str, path: str, app: str, key: str) -> httpx.Response:
    """A request that would be right, but for ids of what is not there."""
    address, options = re.sub(r"\{\w+\}", NOBODYS, path), dict[str, Any]()
    who = {"user": "ann", "conversation_id": NOBODYS}
    match method, path:
        case "post", "/files/upload":
            options = {"files": {"file": ("a.png", b"PNG", "image/png")}, "data": {"user": "ann"}}
        case "get", _:
            options = {"params": who}
        case "post", ("/chat-messages" | "/completion-messages" | "/workflows/run" | "/workflows/{workflow_id}/run"):
            options = {"json": {"query": "hi", "inputs": INPUTS[app.removesuffix("-0")], "user": "ann"}}
        case _:
            options = {"json": {"inputs": {}, "action": "x", "rating": "like", "name": "n", "value": "v", **who}}
    with connect(host, app, key) as dify:
        return dify.request(method.upper(), address, **options)


@pytest.mark.parametrize("who", ["own", "other", "guest"])
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_a_path_is_answered_passed_on_or_refused(host: Devhost, method: str, path: str, who: str) -> None:
    app, own, other, guest = TABLE[method, path]
    status, code = {"own": own, "other": other, "guest": guest}[who]
    response = send(host, method, path, f"{app}-0" if who == "other" else app, "public" if who == "guest" else KEY)
    document = response.json()
    assert (response.status_code, document.get("code", "")) == (status, code)
    validate(status, document, path, method)
    if (status, code) == KEPT and who != "own":
        assert ("app_keys" if who == "other" else "without a key") in document["message"]


# Dify's client


def test_a_chat_answers_in_both_modes_and_goes_on(host: Devhost) -> None:
    chat = client(ChatClient, host)
    first = chat.create_chat_message({}, "What is a duck?", "ann")
    assert (first.status_code, first.json()["mode"]) == (200, "chat")
    validate(200, first.json(), "/chat-messages", "post")
    second = chat.create_chat_message({}, "And a goose?", "ann", "streaming", first.json()["conversation_id"])
    assert second.headers["Content-Type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in second.text.splitlines() if line.startswith("data: ")]
    assert "turn 2" in "".join(event.get("answer", "") for event in events)
    assert events[-1]["event"] == "message_end"


@pytest.mark.parametrize(("app", "words"), [("chatbot-0", "turn 2"), ("chatflow", "turn 2"), ("agent", "picture number 2")])
def test_a_chat_without_a_key_of_its_own_goes_on(host: Devhost, app: str, words: str) -> None:
    chat = client(ChatClient, host, app)
    first = chat.create_chat_message({}, "What is a duck?", "ann").json()
    assert words in chat.create_chat_message({}, "More", "ann", conversation_id=first["conversation_id"]).json()["answer"]


@pytest.mark.parametrize("app", ["completion", "completion-0"])
def test_a_text_generator_answers_in_both_modes(host: Devhost, app: str) -> None:
    text = client(CompletionClient, host, app)
    assert "rain at daybreak" in text.create_completion_message({"topic": "rain"}, "blocking", "ann").json()["answer"]
    assert '"message_end"' in text.create_completion_message({"topic": "rain"}, "streaming", "ann").text


@pytest.mark.parametrize("app", ["workflow", "workflow-0"])
def test_a_workflow_answers_in_both_modes(host: Devhost, app: str) -> None:
    with connect(host, app) as dify:
        body = {"inputs": {"text": "Rain."}, "user": "ann"}
        answer = dify.post("/workflows/run", json=body).json()
        assert answer["data"]["status"] == "succeeded"
        validate(200, answer, "/workflows/run", "post")
        with connect_sse(dify, "POST", "/workflows/run", json={**body, "response_mode": "streaming"}) as stream:
            names = [json.loads(event.data)["event"] for event in stream.iter_sse() if event.event == "message"]
        assert (names[0], names[-1]) == ("workflow_started", "workflow_finished")


def test_a_file_is_uploaded_once_and_used_by_its_user_alone(host: Devhost) -> None:
    chat = client(ChatClient, host)
    stored = chat.file_upload("ann", {"file": ("duck.png", BytesIO(b"PNG"), "image/png")})
    assert stored.status_code == 201
    validate(201, stored.json(), "/files/upload", "post")
    files = [{"type": "image", "transfer_method": "local_file", "upload_file_id": stored.json()["id"]}]
    assert "duck.png" in chat.create_chat_message({}, "What is it?", "ann", files=files).json()["answer"]
    with connect(host) as dify:
        shown = dify.get(f"/files/{stored.json()['id']}/preview", params={"user": "ann"})
        assert (shown.status_code, shown.content, shown.headers["Content-Type"]) == (200, b"PNG", "image/png")
        assert "sandbox" in shown.headers["Content-Security-Policy"]
    others = chat.create_chat_message({}, "What is it?", "bob", files=files)
    assert (others.status_code, others.json()["code"]) == (400, "invalid_param")
    guest = client(ChatClient, host, key="public").create_chat_message({}, "What is it?", "ann", files=files)
    assert (guest.status_code, "files: must be a link" in guest.json()["message"]) == (400, True)
    without = client(ChatClient, host, "chatbot-0").create_chat_message({}, "What is it?", "ann", files=files)
    assert without.status_code == 400


def test_a_file_of_a_workflow_is_the_id_of_an_upload(host: Devhost) -> None:
    with connect(host, "workflow") as dify:
        sent = {"file": ("a.txt", b"Rain.", "text/plain")}
        stored = dify.post("/files/upload", files=sent, data={"user": "ann"}).json()
        doc = {"type": "document", "transfer_method": "local_file", "upload_file_id": stored["id"]}
        answer = dify.post("/workflows/run", json={"inputs": {"text": "Rain.", "doc": doc}, "user": "ann"}).json()
        assert answer["data"]["status"] == "succeeded"
        assert "a.txt" in json.dumps(answer)


def test_a_run_is_stopped_by_its_task(host: Devhost) -> None:
    with connect(host, "waiting") as dify:
        body = {"query": "hi", "user": "ann", "response_mode": "streaming"}
        with connect_sse(dify, "POST", "/chat-messages", json=body) as stream:
            events = (json.loads(event.data) for event in stream.iter_sse() if event.event == "message")
            task_id = next(events)["task_id"]
            stopped = dify.post(f"/chat-messages/{task_id}/stop", json={"user": "ann"})
            assert (stopped.status_code, stopped.json()) == (200, {"result": "success"})
            assert len([*events]) < 1000, "it ends"


def test_conversations_are_those_of_one_user(host: Devhost) -> None:
    chat = client(ChatClient, host)
    user, other = f"ann-{uuid.uuid4()}", f"bob-{uuid.uuid4()}"
    answer = chat.create_chat_message({}, "What is a duck?", user).json()
    listed = chat.get_conversations(user)
    validate(200, listed.json(), "/conversations", "get")
    assert [each["id"] for each in listed.json()["data"]] == [answer["conversation_id"]]
    assert chat.get_conversations(other).json()["data"] == []
    assert chat.rename_conversation(answer["conversation_id"], "Ducks", user).json()["name"] == "Ducks"
    assert chat.rename_conversation(answer["conversation_id"], "Geese", other).status_code == 404
    [message] = chat.get_conversation_messages(user, answer["conversation_id"]).json()["data"]
    assert message["query"] == "What is a duck?"
    assert chat.get_conversation_messages(other, answer["conversation_id"]).status_code == 404
    assert chat.message_feedback(answer["message_id"], "like", user).json() == {"result": "success"}
    assert chat.message_feedback(answer["message_id"], "like", other).status_code == 404
    with connect(host) as dify:
        path = f"/conversations/{answer['conversation_id']}"
        assert dify.request("DELETE", path, json={"user": other}).status_code == 404
        gone = dify.request("DELETE", path, json={"user": user})
        assert (gone.status_code, gone.content) == (204, b"")
    assert chat.get_conversations(user).json()["data"] == []


def test_who_names_no_user_is_the_holder_of_the_key(host: Devhost) -> None:
    with connect(host) as dify:
        answer = dify.post("/chat-messages", json={"query": "hi", "inputs": {}}).json()
        assert answer["conversation_id"] in [each["id"] for each in dify.get("/conversations").json()["data"]]


def test_logs_are_those_of_one_user(host: Devhost) -> None:
    with connect(host, "workflow") as dify:
        user = f"ann-{uuid.uuid4()}"
        run = dify.post("/workflows/run", json={"inputs": {"text": "Rain."}, "user": user}).json()["workflow_run_id"]
        logs = [dify.get("/workflows/logs", params={"created_by_end_user_session_id": name}).json() for name in (user, "eve")]
        assert [[each["workflow_run"]["id"] for each in log["data"]] for log in logs] == [[run], []]
        assert dify.get(f"/workflows/run/{run}").json()["status"] == "succeeded"


def test_a_person_fills_in_the_form_for_which_a_run_waits(host: Devhost) -> None:
    with connect(host, "human-input") as dify:
        body = {"inputs": {}, "user": "ann", "response_mode": "streaming"}
        with connect_sse(dify, "POST", "/workflows/run", json=body) as stream:
            paused = [json.loads(event.data) for event in stream.iter_sse() if event.event == "message"][-1]
        token = paused["data"]["reasons"][0]["form_token"]
        form = dify.get(f"/form/human_input/{token}")
        assert form.status_code == 200
        validate(200, form.json(), "/form/human_input/{form_token}", "get")
        values = {"comment": "Fine.", "level": "low", "evidence": []}
        filled = dify.post(f"/form/human_input/{token}", json={"inputs": values, "action": "approve", "user": "ann"})
        assert filled.status_code == 200
        with connect_sse(dify, "GET", f"/workflow/{paused['workflow_run_id']}/events", params={"user": "ann"}) as stream:
            names = [json.loads(event.data)["event"] for event in stream.iter_sse() if event.event == "message"]
        assert names[-1] == "workflow_finished"


def test_parameters_are_the_form(host: Devhost) -> None:
    given = client(DifyClient, host).get_application_parameters("ann").json()
    assert given["opening_statement"].startswith("Hello!")
    validate(200, given, "/parameters", "get")


def test_the_default_app_has_the_short_base_url(host: Devhost) -> None:
    chat = ChatClient(KEY)
    chat.base_url = f"{host.url}/v1"
    answer = chat.create_chat_message({}, "What is a duck?", "ann").json()
    assert "turn 1" in answer["answer"]
    assert chat.message_feedback(answer["message_id"], "like", "ann").json() == {"result": "success"}


# What goes wrong


def test_errors_are_difys(host: Devhost) -> None:
    wrong = client(ChatClient, host, key="a-wrong-key").create_chat_message({}, "hi", "ann")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthorized")
    blank = client(ChatClient, host).create_chat_message({}, "", "ann")
    assert (blank.status_code, blank.json()) == (400, {"code": "invalid_param", "message": "query: required", "status": 400})
    other = client(CompletionClient, host, "chatbot").create_completion_message({}, "blocking", "ann")
    assert (other.status_code, other.json()["code"]) == (400, "not_completion_app")
    assert "POST chat-messages" in other.json()["message"]
    late = client(ChatClient, host, "fails-midway").create_chat_message({}, "hi", "ann", "streaming")
    assert late.status_code == 200
    assert json.loads(late.text.strip().splitlines()[-1].removeprefix("data: "))["event"] == "error"


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/app/feedbacks", 404, "console"),
        ("GET", "/apps/annotations", 404, "console"),
        ("POST", "/apps/annotation-reply/enable", 404, "console"),
        ("GET", "/datasets", 404, "keys of their own"),
        ("GET", "/nothing", 404, "/dify/<app_id>/v1"),
        ("GET", "/chat-messages", 405, "POST"),
        ("DELETE", "/conversations", 405, "GET"),
        ("POST", "/messages", 405, "GET"),
        ("GET", "/conversations/a%20b/variables", 404, "no id"),
    ],
)
def test_what_is_not_there_says_why(host: Devhost, method: str, path: str, status: int, words: str) -> None:
    with connect(host) as dify:
        response = dify.request(method, path)
        assert response.status_code == status
        assert response.json().keys() == {"code", "message", "status"}
        assert words in response.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/messages", 400), ("GET", "/messages", 405), ("POST", "/messages/batches", 404), ("GET", "/messages/x", 404)],
)
def test_the_paths_of_anthropics_api_are_not_difys(host: Devhost, method: str, path: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "anthropic-version": "2023-06-01"}
    response = httpx.request(method, f"{host.url}/v1{path}", headers=headers)
    assert (response.status_code, response.json()["type"]) == (status, "error")
