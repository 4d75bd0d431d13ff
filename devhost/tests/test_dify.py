"""The replies to backwards calls."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from devhost import App, Call, Devhost, Failure
from devhost.apps import Mode, Step, fold, say
from devhost.dify import Dify
from devhost.run import Replies, Run
from devhost.tests.support import HTTP, SAMPLES, sample
from devhost.wire import END, Reply

APP = "00000000-0000-4000-8000-0000000000aa"
FAILED = Reply("error", "read app failed: gone")
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


A_TEXT = {"user_input_form": [{"text-input": {"variable": "t"}}]}
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
        (App(mode="completion", script=say("Hi.")), {}, http(500, "unknown", "Internal Server Error")),
        (
            App(mode="completion", script=say("Hi."), form=A_TEXT),
            {"inputs": {"t": 1}},
            http(500, "unknown", "Internal Server Error"),
        ),
        (App(mode="completion", script=say("Hi.")), {"response_mode": "blocking"}, http(500, "unknown", "Internal Server Error")),
        (App(mode="chat", form=A_TEXT), {"query": "", "inputs": {"t": 1}}, http(400, "invalid_param", "missing query")),
        (App(mode="advanced-chat", form=A_TEXT), {"query": "", "inputs": {"t": 1}}, http(400, "invalid_param", "missing query")),
        (App(mode="workflow", published=False), {}, http(400, "invalid_param", "unexpected app type")),
        (App(mode="advanced-chat", published=False), {}, http(400, "invalid_param", "unexpected app type")),
        (App(mode="advanced-chat", published=False), {"query": ""}, http(400, "invalid_param", "missing query")),
        (App(mode="workflow", published=False), {"kind": "fetch_app"}, "fetch app failed: data is nil"),
        (App(mode="agent"), {}, http(400, "invalid_param", "unexpected app type")),  # type: ignore[arg-type]
        (None, {"kind": "fetch_app"}, "fetch app failed: data is nil"),
        (CHAT, {"permissions": ""}, "permission denied, you need to enable app access in plugin manifest"),
        (CHAT, {"permissions": "", "kind": "fetch_app"}, "permission denied, you need to enable app access in plugin manifest"),
        (CHAT, {"kind": "storage"}, "permission denied, you need to enable storage access in plugin manifest"),
    ],
)
def test_a_refused_call_is_a_text(app: App | None, request_: dict[str, Any], text: str) -> None:
    assert refusal(app, **request_) == text


WRONG: dict[str, tuple[dict[str, Any], Any, str]] = {  # for each control: what it needs, a value of a wrong type, and Dify's text
    "text-input": ({}, 5, "(type 'text-input') x in input form must be a string"),
    "paragraph": ({}, 5, "(type 'paragraph') x in input form must be a string"),
    "select": ({"options": ["a"]}, 5, "(type 'select') x in input form must be a string"),
    "number": ({}, "x", "x in input form must be a valid number"),
    "file": ({}, "x", "x in input form must be a file"),
    "file-list": ({}, "x", "x in input form must be a list of files"),
    "json_object": ({}, "x", "x in input form must be a dict"),
}
KINDS: dict[Mode, str | None] = {
    "chat": "missing query",
    "agent-chat": "missing query",
    "advanced-chat": "missing query",
    "workflow": None,
    "completion": "Internal Server Error",
}


@pytest.mark.parametrize("control", WRONG)
@pytest.mark.parametrize("mode", KINDS)
def test_a_call_without_a_query_and_with_an_input_of_a_wrong_type_shows_the_kind_and_starts_no_run(
    mode: Mode, control: str
) -> None:
    """As measured with 16 apps of Dify 1.16: the query is checked first, then the inputs, and then a run is made."""
    needed, wrong, text = WRONG[control]
    app = App(mode=mode, script=say("It ran."), form={"user_input_form": [{control: {"variable": "x", **needed}}]})
    dify = Dify({APP: app}, frozenset({"app"}), [])
    call = {"app_id": APP, "inputs": {"x": wrong}, "response_mode": "blocking"}
    answers = [reply for reply in dify.answer("app", call) if isinstance(reply, Reply)]
    code = (500, "unknown") if mode == "completion" else (400, "invalid_param")
    assert answers == [Reply("error", http(*code, KINDS[mode] or text))]
    assert (dify.calls, [call.inputs for call in dify.refused]) == ([], [{"x": wrong}])


def test_an_agent_refuses_blocking_mode_in_the_words_of_the_sample() -> None:
    sample = json.loads((SAMPLES / "agent-chat.blocking.json").read_text())
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


@pytest.mark.parametrize(
    ("mode", "stream", "answer"),
    [
        ("chat", "chat", "chat.blocking"),
        ("advanced-chat", "advanced-chat", "advanced-chat.blocking"),
        ("workflow", "workflow", "workflow.blocking"),
        ("workflow", "workflow.failed", "workflow.blocking.failed"),
        ("workflow", "workflow.paused", "workflow.blocking.paused"),
        ("completion", "completion", "completion.blocking"),
    ],
)
def test_a_blocking_answer_follows_from_the_stream(mode: Mode, stream: str, answer: str) -> None:
    expected = json.loads((SAMPLES / f"{answer}.json").read_text())
    [reply] = replies(App(mode=mode, script=sample(stream), for_plugins=True), response_mode="blocking")
    if "elapsed_time" in reply.data.get("data", {}):  # the two runs of the samples took different times
        reply.data["data"]["elapsed_time"] = expected["data"]["elapsed_time"]
        reply.data["data"]["finished_at"] = expected["data"]["finished_at"]
    assert (reply.event, reply.message, reply.data) == ("response", "struct", expected)


@pytest.mark.parametrize(
    ("mode", "stream", "text"),
    [
        (
            "advanced-chat",
            sample("advanced-chat.failed"),
            http(400, "invalid_param", sample("advanced-chat.failed")[-1]["message"]),
        ),
        ("chat", sample("chat")[:-1], INTERNAL),
        ("workflow", sample("workflow")[:-1], INTERNAL),
        ("chat", [Failure("gone")], "gone"),
        ("chat", [{"event": "error", "code": "internal_server_error", "status": 500, "message": "m"}], INTERNAL),
        (
            "chat",
            [{"event": "error", "code": "rate_limit_error", "status": 429, "message": "m"}],
            http(400, "invalid_param", "m"),
        ),
    ],
)
def test_a_run_that_fails_fails_blocking_too(mode: Mode, stream: list[Step], text: str) -> None:
    assert refusal(App(mode=mode, script=stream), response_mode="blocking") == text


def test_a_blocking_caller_gets_a_replaced_message() -> None:
    stream = sample("chat")
    stream.insert(1, {**stream[0], "event": "message_replace", "answer": "No.", "reason": "output_moderation"})
    answer = fold("chat", stream)
    assert isinstance(answer, dict)
    assert answer["answer"] == "No." + "".join(event["answer"] for event in stream[2:-1])


def test_a_simple_chat_is_one_line() -> None:
    app = App(mode="chat", script=say("{query}? {city}, {nobody} {}."))
    stream = [reply.data for reply in replies(app, inputs={"city": "Oslo"})]
    assert [event["event"] for event in stream] == ["message"] * 5 + ["message_end"]
    assert [event["answer"] for event in stream[:-1]] == ["q?", " Oslo,", " {nobody}", " {}.", ""]
    theirs = sample("dify-1.16/chat.service")
    assert [event.keys() for event in stream] == [theirs[0].keys()] * 5 + [theirs[-1].keys()]
    assert stream[-1]["metadata"]["usage"].keys() == theirs[-1]["metadata"]["usage"].keys()
    assert len({(event["conversation_id"], event["message_id"], event["task_id"]) for event in stream}) == 1
    [reply] = replies(app, inputs={"city": "Oslo"}, response_mode="blocking", conversation_id=NEW)
    assert (reply.data["answer"], reply.data["conversation_id"]) == ("q? Oslo, {nobody} {}.", NEW)


def test_a_completion_of_one_line_has_no_conversation() -> None:
    stream = [reply.data for reply in replies(App(mode="completion", script=say("Hi."), for_plugins=True), query="")]
    theirs = sample("dify-1.16/completion.service")
    assert [event.keys() for event in stream] == [theirs[0].keys()] * 2 + [theirs[-1].keys()]


def test_a_plugin_with_the_permission_stores_values() -> None:
    dify = Dify({}, frozenset({"storage"}), [], storage_size=2)

    def ask(opt: str, key: str, **more: str) -> Any:
        [reply] = dify.answer("storage", {"opt": opt, "key": key, **more})
        assert isinstance(reply, Reply)
        return reply.data["data"] if reply.event == "response" else reply.message

    missing = "load data failed, please check if the key is correct or you have not set it"
    assert (ask("exist", "k"), ask("get", "k")) == (False, missing)
    assert (ask("set", "k", value=b"\x00v".hex()), ask("exist", "k"), ask("get", "k")) == ("ok", True, "0076")
    assert (ask("del", "k"), ask("exist", "k"), ask("get", "k")) == ("ok", False, missing)


def test_a_plugins_storage_is_limited() -> None:
    dify = Dify({}, frozenset({"storage"}), [], storage_size=4)

    def set_(key: str, value: bytes) -> Reply | Any:
        [reply] = dify.answer("storage", {"opt": "set", "key": key, "value": value.hex()})
        return reply

    full = Reply("error", "save data failed: allocated size is greater than max storage size")
    done = Reply("response", "struct", {"data": "ok"})
    assert [set_("a", b"123"), set_("b", b"12"), set_("a", b"12"), set_("b", b"12")] == [done, full, done, done]


def test_a_failure_in_the_middle_ends_the_call() -> None:
    app = App(mode="chat", script=[{"event": "message"}, Failure("read app failed: gone"), {"event": "message_end"}])
    assert replies(app) == [Reply("response", "stream", {"event": "message"}), FAILED]


def test_calls_are_kept_as_dify_sees_them_and_an_id_may_be_spelled_in_capitals() -> None:
    calls: list[Call] = []
    dify = Dify({APP: CHAT}, frozenset({"app"}), calls)
    request: dict[str, Any] = {
        "app_id": APP.upper(),
        "query": "q",
        "inputs": {},
        "conversation_id": None,
        "files": [],
        "response_mode": "streaming",
    }
    assert [*dify.answer("app", request)][1:] == [Reply("response", "stream", {"event": "message"})]
    assert calls == [
        Call(app_id=APP.upper(), query="q", inputs={}, response_mode="streaming", conversation_id="", user=""),
    ]


def test_a_script_that_raises_is_a_stream_that_breaks(served: Devhost) -> None:
    def script(_: Call) -> Iterator[Step]:
        yield {"event": "message"}
        raise RuntimeError("boom")

    served.apps[NEW] = App(mode="chat", script=script)
    answer = HTTP.get(f"{served.url}/chat?app={NEW}", timeout=30)
    assert answer.text == '{"event": "message"}\nException: read app failed: request failed: boom\n'
    assert served.calls[-1].app_id == NEW


def test_the_end_of_a_call_comes_although_its_error_has_ended_the_session() -> None:
    def slow_to_close() -> Replies:
        try:
            yield FAILED
        finally:
            time.sleep(0.1)

    async def run() -> list[Reply]:
        sent: list[Reply] = []
        over = asyncio.Event()

        def send(reply: Reply, _paused_s: float) -> None:
            sent.append(reply)
            asyncio.get_running_loop().call_soon(end)

        def end() -> None:
            call.cancel()
            over.set()

        async def drain() -> None:
            raise AssertionError("one reply is not too much for the plugin")

        call = Run(slow_to_close(), send, drain)
        await over.wait()
        return sent

    assert asyncio.run(run()) == [FAILED, END]
