"""Every path of Dify's description of its Service API."""

import re
import uuid
from collections.abc import Iterator

import httpx
import pytest

from devhost import Devhost, demo
from devhost.service import ANSWERS, NO_PATH
from devhost.tests.service_api import API, conforms, error_of, key
from devhost.tests.support import DEADLINE_S, PLUGINS

CHAT, WORKFLOW, COMPLETION = "chatbot", "workflow", "completion"
STOP, CONVERSATION = "/workflows/tasks/{task_id}/stop", "/conversations/{conversation_id}"
NOBODYS = str(uuid.UUID(int=7))  # the id of nothing
# What an app of a suitable kind and one of another answer to a request that names things which do not exist.
TABLE = [
    ("post", "/chat-messages", CHAT, 400, "invalid_param", WORKFLOW, "not_chat_app"),
    ("post", "/chat-messages/{task_id}/stop", CHAT, 200, "", WORKFLOW, "not_chat_app"),
    ("post", "/completion-messages", COMPLETION, 400, "invalid_param", CHAT, "app_unavailable"),
    ("post", "/completion-messages/{task_id}/stop", COMPLETION, 200, "", CHAT, "app_unavailable"),
    ("post", "/workflows/run", WORKFLOW, 400, "invalid_param", CHAT, "not_workflow_app"),
    ("post", "/workflows/{workflow_id}/run", WORKFLOW, 404, "not_found", CHAT, "not_workflow_app"),
    ("post", STOP, WORKFLOW, 200, "", CHAT, "not_workflow_app"),
    ("get", "/workflows/run/{workflow_run_id}", WORKFLOW, 404, "not_found", CHAT, "not_workflow_app"),
    ("get", "/workflows/logs", WORKFLOW, 200, "", CHAT, "not_workflow_app"),
    ("get", "/workflow/{workflow_run_id}/events", WORKFLOW, 404, "not_found", CHAT, "not_workflow_app"),
    ("get", "/form/human_input/{form_token}", WORKFLOW, 404, "not_found", CHAT, "not_found"),
    ("post", "/form/human_input/{form_token}", WORKFLOW, 404, "not_found", CHAT, "not_found"),
    ("get", "/conversations", CHAT, 200, "", WORKFLOW, "not_chat_app"),
    ("delete", CONVERSATION, CHAT, 404, "not_found", WORKFLOW, "not_chat_app"),
    ("post", f"{CONVERSATION}/name", CHAT, 404, "not_found", WORKFLOW, "not_chat_app"),
    ("get", f"{CONVERSATION}/variables", CHAT, 404, "not_found", WORKFLOW, "not_chat_app"),
    ("put", f"{CONVERSATION}/variables/{{variable_id}}", CHAT, 404, "not_found", WORKFLOW, "not_chat_app"),
    ("get", "/messages", CHAT, 404, "not_found", WORKFLOW, "not_chat_app"),
    ("get", "/messages/{message_id}/suggested", CHAT, 404, "not_found", WORKFLOW, "not_chat_app"),
    ("post", "/messages/{message_id}/feedbacks", COMPLETION, 404, "not_found", WORKFLOW, "not_found"),
    ("post", "/files/upload", CHAT, 400, "no_file_uploaded", WORKFLOW, "no_file_uploaded"),
    ("get", "/files/{file_id}/preview", CHAT, 404, "file_not_found", WORKFLOW, "file_not_found"),
    ("get", "/end-users/{end_user_id}", CHAT, 404, "end_user_not_found", WORKFLOW, "end_user_not_found"),
    ("get", "/parameters", CHAT, 200, "", WORKFLOW, ""),
    ("get", "/info", CHAT, 200, "", WORKFLOW, ""),
    ("get", "/meta", CHAT, 200, "", WORKFLOW, ""),
    ("get", "/site", CHAT, 200, "", WORKFLOW, ""),
]
NEEDS_USER = [
    "/chat-messages",
    "/chat-messages/{task_id}/stop",
    "/completion-messages",
    "/completion-messages/{task_id}/stop",
    "/workflows/run",
    "/workflows/{workflow_id}/run",
    STOP,
    "/messages/{message_id}/feedbacks",
    "/form/human_input/{form_token}",
]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    apps, keys = demo.apps(pace=0), demo.app_keys()
    with (
        Devhost(PLUGINS / "minimal", apps, runs="remote", app_keys=keys) as host,  # without a plugin
        httpx.Client(base_url=host.api_url, timeout=DEADLINE_S) as client,
    ):
        yield client


def send(client: httpx.Client, method: str, path: str, app: str, user: str = "ann") -> httpx.Response:
    address = re.sub(r"\{\w+\}", NOBODYS, path)
    headers = key(f"demo-{app}") if app else {}
    query = {"user": user, "conversation_id": NOBODYS} if user else {}
    body = None if method == "get" else {"inputs": {}, "action": "x", "rating": "like", "name": "n", **query}
    return client.request(method.upper(), address, headers=headers, params=query, json=body)


def test_every_path_is_in_the_table() -> None:
    described = {(method, path) for path, methods in API["paths"].items() for method in methods}
    assert {(method, path) for method, path, *_ in TABLE} == described
    assert {(method.lower(), path.replace(":uuid", "")) for method, path, _ in ANSWERS} == described


@pytest.mark.parametrize(("method", "path", "app", "status", "code", "other", "refusal"), TABLE, ids=str)
def test_a_path_answers_as_dify_describes(
    client: httpx.Client, method: str, path: str, app: str, status: int, code: str, other: str, refusal: str
) -> None:
    response = send(client, method, path, app)
    assert (response.status_code, response.json().get("code", "")) == (status, code)
    conforms(response, path, method)
    foreign = send(client, method, path, other)
    assert foreign.json().get("code", "") == refusal
    conforms(foreign, path, method)
    assert error_of(send(client, method, path, "")) == (401, "unauthorized", "Access token is invalid")


@pytest.mark.parametrize("path", NEEDS_USER)
def test_who_changes_something_has_to_say_who_it_is(client: httpx.Client, path: str) -> None:
    app = next(app for method, other, app, *_ in TABLE if (method, other) == ("post", path))
    response = send(client, "post", path, app, user="")
    conforms(response, path)
    assert error_of(response) == (400, "invalid_param", "Arg user must be provided.")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/audio-to-text", (404, "not_found", NO_PATH)),
        ("POST", "/text-to-audio", (404, "not_found", NO_PATH)),
        ("DELETE", "/conversations/mine", (404, "not_found", NO_PATH)),
        ("GET", "/chat-messages", (405, "method_not_allowed", "The method is not allowed for the requested URL.")),
    ],
)
def test_what_dify_does_not_have(client: httpx.Client, method: str, path: str, expected: tuple[int, str, str]) -> None:
    assert error_of(client.request(method, path, headers=key("demo-chatbot"))) == expected


def test_an_end_user_is_told_of(client: httpx.Client) -> None:
    files = {"file": ("a.txt", b"text", "text/plain")}
    upload = client.post("/files/upload", headers=key("demo-chatbot"), files=files, data={"user": "ann"}).json()
    path, described = f"/end-users/{upload['created_by']}", "/end-users/{end_user_id}"
    about = conforms(client.get(path, headers=key("demo-chatbot")), described, "get")
    assert (about["app_id"], about["session_id"], about["is_anonymous"]) == (demo.IDS["chatbot"], "ann", False)
    assert client.get(path, headers=key("demo-agent")).status_code == 404, "another app's"
