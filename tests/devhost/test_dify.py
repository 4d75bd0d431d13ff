"""What comes of backwards calls."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from devhost import App, Call, Devhost, Failure
from devhost.apps import Step
from devhost.dify import Dify
from devhost.wire import Reply

HERE = Path(__file__).parent
APP = "00000000-0000-4000-8000-0000000000aa"
NEW = "3f1d0c7a-5b2e-4a90-8c61-7e4f2b9d1a55"
INTERNAL = Failure.http(500, "unknown", "Internal Server Error").text


def replies(app: App | None, /, kind: str = "app", permissions: str = "app", **request: Any) -> list[Reply]:
    """The replies to one call, with a query and streaming unless the request says otherwise."""
    dify = Dify({} if app is None else {APP: app}, frozenset(permissions.split()), [])
    defaults: dict[str, Any] = {"app_id": APP, "query": "q", "inputs": {}, "response_mode": "streaming"}
    return [reply for reply in dify.answer(kind, defaults | request) if isinstance(reply, Reply)]


def refusal(app: App | None, /, **request: Any) -> str:
    [reply] = replies(app, **request)
    assert (reply.event, reply.data) == ("error", None)
    return reply.message


def http(status: int, code: str, message: str) -> str:
    body = json.dumps({"code": code, "message": message, "status": status})
    return f"invoke app failed: request failed with status code: {status} and respond with: {body}\n"


CHAT = App(mode="chat", script=[{"event": "message"}], blocking={"event": "message"})


@pytest.mark.parametrize(
    ("app", "request_", "text"),
    [
        (None, {}, http(400, "invalid_param", "app not found")),
        (CHAT, {"app_id": "no uuid"}, http(400, "invalid_param", "app not found")),
        (CHAT, {"query": ""}, http(400, "invalid_param", "missing query")),
        (CHAT, {"query": None}, http(400, "invalid_param", "missing query")),
        (CHAT, {"conversation_id": "c1"}, http(500, "unknown", "Internal Server Error")),
        (App(mode="chat"), {"response_mode": "blocking"}, http(500, "unknown", "Internal Server Error")),
        (App(mode="completion", script=[Failure(INTERNAL)]), {}, http(500, "unknown", "Internal Server Error")),
        (App(mode="agent"), {}, http(400, "invalid_param", "unexpected app type")),  # type: ignore[arg-type]
        (None, {"kind": "fetch_app"}, "fetch app failed: data is nil"),
        (CHAT, {"permissions": ""}, "permission denied, you need to enable app access in plugin manifest"),
        (CHAT, {"permissions": "", "kind": "fetch_app"}, "permission denied, you need to enable app access in plugin manifest"),
        (CHAT, {"kind": "storage"}, "permission denied, you need to enable storage access in plugin manifest"),
    ],
)
def test_a_refused_call_is_a_text(app: App | None, request_: dict[str, Any], text: str) -> None:
    assert refusal(app, **request_) == text


def test_an_agent_refuses_to_block_in_the_words_of_the_sample() -> None:
    sample = json.loads((HERE.parent / "samples" / "agent-chat.blocking.json").read_text())
    assert refusal(App(mode="agent-chat"), response_mode="blocking") == sample["exception_message"]


def test_wrong_types_do_not_reach_dify() -> None:
    calls: list[Call] = []
    dify = Dify({APP: CHAT}, frozenset({"app"}), calls)
    [reply] = dify.answer("app", {"app_id": APP, "query": 1, "inputs": []})
    assert isinstance(reply, Reply)
    assert reply.message.startswith("unmarshal backwards invoke request failed: error decoding map: ")
    assert calls == []


def test_a_workflow_needs_no_query_and_a_streaming_run_gives_every_event() -> None:
    app = App(mode="workflow", script=[{"event": "workflow_started"}, {"event": "workflow_finished"}])
    assert replies(app, query="") == [
        Reply("response", "stream", {"event": "workflow_started"}),
        Reply("response", "stream", {"event": "workflow_finished"}),
    ]


def test_a_blocking_run_gives_one_struct() -> None:
    app = App(mode="chat", blocking=lambda call: {"answer": call.query})
    assert replies(app, response_mode="blocking") == [Reply("response", "struct", {"answer": "q"})]


def test_a_failure_in_the_middle_ends_the_call() -> None:
    app = App(mode="chat", script=[{"event": "message"}, Failure("read app failed: gone"), {"event": "message_end"}])
    assert replies(app) == [Reply("response", "stream", {"event": "message"}), Reply("error", "read app failed: gone")]


def test_calls_are_kept_as_dify_sees_them_and_an_id_may_be_spelled_in_capitals() -> None:
    calls: list[Call] = []
    dify = Dify({APP: CHAT}, frozenset({"app"}), calls)
    request: dict[str, Any] = {
        "app_id": APP.upper(),
        "query": "q",
        "conversation_id": None,
        "files": [],
        "response_mode": "streaming",
    }
    assert [*dify.answer("app", request)] == [Reply("response", "stream", {"event": "message"})]
    assert calls == [
        Call(app_id=APP.upper(), query="q", inputs={}, response_mode="streaming", conversation_id="", user=""),
    ]


def test_a_script_that_raises_is_a_stream_that_breaks(served: Devhost) -> None:
    def script(_: Call) -> Iterator[Step]:
        yield {"event": "message"}
        raise RuntimeError("boom")

    served.apps[NEW] = App(mode="chat", script=script)
    answer = httpx.get(f"{served.url}/chat?app={NEW}", timeout=30)
    assert answer.text == '{"event": "message"}\nException: read app failed: request failed: boom\n'
    assert served.calls[-1].app_id == NEW


def test_a_manifest_without_the_permission_is_enforced(witness: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plugin"
    shutil.copytree(witness, folder)
    manifest = folder / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("app: {enabled: true}", "app: {enabled: false}"))
    with Devhost(folder, apps={APP: CHAT}) as host:
        answer = httpx.get(f"{host.url}/chat?app={APP}", timeout=30)
    assert answer.text == "Exception: permission denied, you need to enable app access in plugin manifest\n"
    assert host.calls == []
