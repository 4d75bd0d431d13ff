"""AG-UI's route: what a request may say, what becomes of it, and how a thread goes on."""

import itertools
import re
from base64 import b64encode
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from ag_ui.core import RunAgentInput
from hypothesis import strategies as st

from duck import routes
from duck import state as states
from duck.faces.api import serve as api
from duck.faces.messages import MAX_MESSAGES
from duck.faces.tokens import Signer
from duck.state import State
from tests.agui_calls import RUN, answer, ask, numbered, post, refusal
from tests.fuzzing import JSON
from tests.openai_calls import OTHER, SETTINGS, App, Talk, assistant, chat, events_of, user
from tests.support import APP, KEY, NoSleepClock, body_of, http_error, json_of, make_request, sample

HELLO = [user("Hi"), assistant("No. 1"), user("More")]
REPLAY = "Conversation so far:\n\nuser: Hi\n\nassistant: No. 1\n\n----\n\nMore"
PNG = b64encode(b"\x89PNG\r\n\x1a\n").decode()
FILES = {
    "user_input_form": [
        {"text-input": {"variable": "city"}},
        *(
            {"file-list": {"variable": kind, "allowed_file_types": [kind]}}
            for kind in ("image", "audio", "video", "document", "custom")
        ),
    ]
}
FILES["user_input_form"][-1]["file-list"]["allowed_file_extensions"] = [".zip"]  # type: ignore[index]


@pytest.fixture(autouse=True)
def _no_waiting(state: State) -> None:
    state.clock = NoSleepClock()


def url(value: Any, kind: str = "image", **more: Any) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "url", "value": value, **more}}


def data(value: Any, mimetype: Any = "image/png", kind: str = "image", **more: Any) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "data", "value": value, "mimeType": mimetype}, **more}


def binary(**fields: Any) -> dict[str, Any]:
    return {"type": "binary", **fields}


# What a request may say

FIELDS: list[tuple[dict[str, Any], str | None]] = [
    ({"threadId": None}, "threadId"),
    ({"threadId": " "}, "threadId"),
    ({"threadId": 1}, "threadId"),
    ({"runId": None}, "runId"),
    ({"runId": []}, "runId"),
    ({"resume": [{"interruptId": "i", "status": "resolved"}]}, "resume"),
    ({"resume": "x"}, "resume"),
    ({"resume": []}, None),
    ({"resume": None}, None),
    ({"tools": [{"name": "f", "description": "F", "parameters": {}}]}, None),
    ({"context": [{"description": "a", "value": "b"}], "state": {"a": 1}, "parentRunId": "p", "protocolVersion": "1.0"}, None),
    ({"forwardedProps": None}, None),
    ({"forwardedProps": [1]}, None),
    ({"forwardedProps": {"command": {}, "inputs": None, "user": None}}, None),
    ({"forwardedProps": {"inputs": {"city": "Rome"}, "user": "me"}}, None),
    ({"forwardedProps": {"inputs": []}}, "forwardedProps.inputs"),
    ({"forwardedProps": {"inputs": {"city": 5}}}, "forwardedProps.inputs.city"),
    ({"forwardedProps": {"inputs": {"town": "Rome"}}}, "forwardedProps.inputs.town"),
    ({"forwardedProps": {"user": 1}}, "forwardedProps.user"),
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "Hi"}, "messages"),
    ({"messages": [user("Hi")] * (MAX_MESSAGES + 1)}, "messages"),
    ({"threadId": "t" * 1001}, "threadId"),
    ({"runId": "r" * 1001}, "runId"),
    ({"messages": [{"id": "a", "role": "assistant", "content": "A"}] * MAX_MESSAGES + [user("Hi")]}, "messages"),
]


@pytest.mark.parametrize(("body", "field"), FIELDS, ids=repr)
def test_the_fields_of_a_request(body: dict[str, Any], field: str | None) -> None:
    dify = Talk()
    response = post(dify, {**RUN, "messages": numbered(user("Hi")), **body})
    if field is None:
        assert (response.status_code, len(dify.calls)) == (200, 1)
    else:
        assert (refusal(response), dify.calls) == ((400, "invalid_param", field), [])


MESSAGES: list[tuple[list[Any], str]] = [
    ([5], "messages[0]"),
    ([{"role": 1, "content": "Hi"}], "messages[0].role"),
    ([{"content": "Hi"}], "messages[0].role"),
    ([user("Hi"), {"role": "robot", "content": "Hi"}], "messages[1].role"),
    ([{**user("Hi"), "id": 1}], "messages[0].id"),
    ([user(None)], "messages[0].content"),
    ([user([])], "messages[0].content"),
    ([user(" ")], "messages[0]"),
    ([user("Hi"), assistant("No. 1")], "messages[1]"),
    ([assistant("No. 1"), {"role": "tool", "toolCallId": "c", "content": "4"}], "messages[0]"),
    ([{"role": "system", "content": "Be short."}], "messages"),
    ([{"role": "activity", "activityType": "PLAN", "content": {}}], "messages"),
    ([user([5])], "messages[0].content[0]"),
    ([user([{"text": "Hi"}])], "messages[0].content[0].type"),
    ([user([{"type": "input_text", "text": "Hi"}])], "messages[0].content[0].type"),
    ([user([{"type": "text", "text": 5}])], "messages[0].content[0].text"),
    ([user(["Hi", {"type": "image"}][1:])], "messages[0].content[0].source"),
    ([user([{"type": "image", "source": {"type": "file", "value": "f"}}])], "messages[0].content[0].source.type"),
    ([user([{"type": "image", "source": {}}])], "messages[0].content[0].source.type"),
    ([user([url("ftp://x.example/a.png")])], "messages[0].content[0].source.value"),
    ([user([url(None)])], "messages[0].content[0].source.value"),
    ([user([url("data:image/png")])], "messages[0].content[0].source.value"),
    ([user([data("?")])], "messages[0].content[0].source.value"),
    ([user([data(5)])], "messages[0].content[0].source.value"),
    ([user([data("")])], "messages[0].content[0].source.value"),
    ([user([data(PNG, None)])], "messages[0].content[0].source.mimeType"),
    ([user([data(PNG, 5)])], "messages[0].content[0].source.mimeType"),
    ([user([data(PNG, "a,b")])], "messages[0].content[0].source.mimeType"),
    ([user([binary()])], "messages[0].content[0].url"),
    ([user([binary(id="f", mimeType="image/png")])], "messages[0].content[0].url"),
    ([user([binary(mimeType=5, url="https://x.example/a.png")])], "messages[0].content[0].mimeType"),
    ([user([binary(data=PNG)])], "messages[0].content[0].mimeType"),
    ([user([binary(data="?", mimeType="image/png")])], "messages[0].content[0].data"),
    ([user([binary(data=PNG, mimeType="image/png", filename=5)])], "messages[0].content[0].filename"),
    ([user([{"type": "text", "text": "Look"}, url("https://x.example/a.png")])], "messages[0].content[1]"),  # it takes none
]


@pytest.mark.parametrize(("messages", "field"), MESSAGES, ids=[field for _, field in MESSAGES])
def test_what_is_wrong_with_a_message_is_told_by_its_place(messages: list[Any], field: str) -> None:
    dify = Talk()
    assert refusal(post(dify, {**RUN, "messages": messages})) == (400, "invalid_param", field)
    assert dify.calls == []


def test_all_faults_of_the_inputs_are_told_at_once() -> None:
    document = json_of(ask(Talk(), forwardedProps={"inputs": {"city": 5, "town": "Rome"}}))
    assert document["message"].count("forwardedProps.inputs.") == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"null", b"\xff"])
def test_a_body_that_is_no_object(body: bytes) -> None:
    assert refusal(post(Talk(), body))[:2] == (400, "invalid_param")


ROUND: list[Any] = [
    {"role": "developer", "content": "Be short."},
    user([{"type": "text", "text": "What time"}, {"type": "text", "text": "is it?"}]),
    {"role": "reasoning", "content": "Hm."},
    {
        "role": "assistant",
        "content": "Let me look.",
        "toolCalls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "toolCallId": "c", "content": "4"},
    {"role": "activity", "activityType": "PLAN", "content": {"a": 1}},
    {"role": "assistant", "toolCalls": []},
    assistant("It is four."),
    {"role": "system", "content": "Be polite."},
    user("And"),
    user("now?"),
    {"role": "activity", "activityType": "PLAN", "content": {"a": 1}},
]


def test_all_kinds_of_messages() -> None:
    RunAgentInput.model_validate({**RUN, "messages": numbered(*ROUND)})
    dify = Talk()
    assert ask(dify, *ROUND).status_code == 200
    said = "user: What time\n\nis it?\n\nassistant: Let me look.\n\nIt is four."
    assert dify.conversations == [[f"Be short.\n\nBe polite.\n\nConversation so far:\n\n{said}\n\n----\n\nAnd\n\nnow?"]]


def test_a_run_always_streams_and_has_the_inputs() -> None:
    dify = Talk()
    ask(dify, forwardedProps={"inputs": {"city": "Rome"}})
    assert [(call["response_mode"], call["inputs"]) for call in dify.calls] == [("streaming", {"city": "Rome"})]


LINK = "https://x.example/a"
PARTS: list[tuple[dict[str, Any], str, str]] = [
    (url(f"{LINK}.png"), "image", f"{LINK}.png"),
    (url(LINK), "image", LINK),
    (url(LINK, "audio", mimeType="audio/wav"), "audio", LINK),
    (url(LINK, "video"), "video", LINK),
    (url(f"{LINK}?x", "document"), "document", f"{LINK}?x"),
    (data(PNG), "image", "file.png"),
    (url(f"data:image/png;base64,{PNG}"), "image", "file.png"),
    (data(f"data:image/png;base64,{PNG}"), "image", "file.png"),
    (data(PNG, 'video/webm;codecs="vp8,opus"', "video"), "video", "file.webm"),
    (data(PNG, "audio/mpeg", "audio", metadata={"filename": "song.mp3"}), "audio", "song.mp3"),
    (data(PNG, "application/pdf", "document", metadata={"filename": 5}), "document", "file.pdf"),
    (data(PNG, "application/pdf", "document", metadata="x"), "document", "file.pdf"),
    (data(PNG, "application/octet-stream", "document", metadata={"filename": "a.zip"}), "custom", "a.zip"),
    (binary(mimeType="image/png", url=LINK), "image", LINK),
    (binary(url=LINK), "document", LINK),
    (binary(mimeType="audio/mpeg", data=PNG, filename="song.mp3"), "audio", "song.mp3"),
    (binary(mimeType="application/pdf", data=PNG), "document", "file.pdf"),
]


@pytest.mark.parametrize(("part", "variable", "name"), PARTS)
def test_a_file_goes_to_the_variable_for_its_kind(part: dict[str, Any], variable: str, name: str) -> None:
    dify = Talk(form=FILES)
    response = ask(dify, user([{"type": "text", "text": "Look"}, part]))
    assert response.status_code == 200, json_of(response)
    [call] = dify.calls
    inputs = {each: value for each, value in call["inputs"].items() if value}
    assert [*inputs] == [variable]
    [given] = inputs[variable]
    if name.startswith("https:"):
        assert given == {"type": variable, "transfer_method": "remote_url", "url": name}
    else:
        assert [uploaded[0] for uploaded in dify.uploaded] == [name]


# Who calls, and how


@pytest.mark.parametrize(
    ("app", "key", "expected"),
    [
        ("talk", "a-wrong-key", (401, "unauthorized")),
        ("private", None, (401, "unauthorized")),
        ("private", KEY, (200, "")),
        ("talk", None, (200, "")),
        ("talk", "public", (200, "")),
        ("default", KEY, (200, "")),
        (APP.upper(), KEY, (200, "")),
        ("gone", KEY, (404, "app_not_found")),
    ],
)
def test_who_may_call_which_app(app: str, key: str | None, expected: tuple[int, str]) -> None:
    settings = {"api_key": KEY, "default_app": {"app_id": APP}, "apps": f"talk={APP}, private={OTHER}", "public_apps": "talk"}
    response = post(Talk(), {**RUN, "messages": [user("Hi")]}, app=app, key=key, settings=settings)
    assert (response.status_code, json_of(response)["code"] if response.status_code > 200 else "") == expected
    assert response.headers.get("WWW-Authenticate") == ('Bearer realm="Duck"' if expected[0] == 401 else None)


def test_a_page_of_another_site_needs_a_key() -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://other.example"}
    assert refusal(post(Talk(), b"{", key=None, headers=headers))[:2] == (403, "forbidden")
    assert post(Talk(), {**RUN, "messages": [user("Hi")]}, headers=headers).status_code == 200


def test_a_page_of_a_listed_origin_may_read_the_answer() -> None:
    settings = {"api_key": KEY, "apps": f"talk={APP}", "allowed_origins": "https://shop.example"}
    response = post(Talk(), {**RUN, "messages": [user("Hi")]}, settings=settings, headers={"Origin": "https://shop.example"})
    assert response.headers["Access-Control-Allow-Origin"] == "https://shop.example"


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("HEAD", 405), ("PUT", 405), ("DELETE", 405)])
def test_other_methods_are_told_of_those_that_there_are(method: str, status: int) -> None:
    response = api.unknown(make_request(method, "/agui/talk"), {"api_key": KEY})
    assert (response.status_code, response.headers["Allow"]) == (status, "OPTIONS, POST")


@pytest.mark.parametrize("path", ["/agui", "/agui/", "/agui/talk/", "/agui/talk/x"])
def test_there_are_no_other_paths(path: str) -> None:
    assert routes.pattern_of(path) == routes.NOWHERE


# How a thread goes on


def test_a_thread_is_one_conversation_by_the_ids_of_its_messages() -> None:
    dify, messages = Talk(), [{"role": "system", "content": "Be short."}]
    for text in ("Hi", "More", "And more"):
        messages.append(user(text))
        messages += answer(ask(dify, *messages))
    assert dify.conversations == [["Be short.\n\nHi", "More", "And more"]]


def test_what_the_messages_say_does_not_matter_where_an_id_tells_the_conversation() -> None:
    dify = Talk()
    [first] = answer(ask(dify))
    ask(dify, user("Ho"), {**first, "content": "Other words"}, user("More"))
    assert dify.conversations == [["Hi", "More"]]


AGENT: list[dict[str, Any]] = [
    {"event": "agent_thought", "id": "1", "tool": "draw", "tool_input": "{}"},
    {"event": "agent_thought", "id": "1", "tool": "draw", "observation": "drawn"},
]


def agent(*texts: str) -> App:
    """An agent that uses a tool after each of its texts."""
    ids = {"conversation_id": OTHER, "message_id": APP, "task_id": "t"}
    events = [
        {**event, **ids} for text in texts for event in (*([{"event": "agent_message", "answer": text}] if text else []), *AGENT)
    ]
    return App(stream=[*events, {"event": "message_end", **ids}])


def returned(response: Any) -> list[Any]:
    """What a client for JavaScript sends back of an answer with tools: calls are fields of the message that is their parent."""
    found: dict[str, Any] = {}
    for event in events_of(response):
        if event["type"] == "TEXT_MESSAGE_CONTENT":
            message = found.setdefault(event["messageId"], {"id": event["messageId"], "role": "assistant", "content": ""})
            message["content"] += event["delta"]
        elif event["type"] == "TOOL_CALL_START":
            message = found.setdefault(event["parentMessageId"], {"id": event["parentMessageId"], "role": "assistant"})
            message.setdefault("toolCalls", []).append({"id": event["toolCallId"]})
        elif event["type"] == "TOOL_CALL_RESULT":
            found[event["messageId"]] = {"role": "tool", "id": event["messageId"], "content": event["content"]}
    return [*found.values()]


@pytest.mark.parametrize("texts", [("A",), ("A", "B"), ("",)])
def test_a_thread_with_tools_goes_on(texts: tuple[str, ...]) -> None:
    """By any of the run's messages, also by one that has calls of tools and no text."""
    dify = agent(*texts)
    messages = [user("Hi"), *returned(ask(dify)), user("More")]
    ask(dify, *messages)
    assert [(call["query"], call["conversation_id"]) for call in dify.calls] == [("Hi", ""), ("More", OTHER)]


def test_messages_without_text_that_are_not_ours_are_passed_over() -> None:
    dify = Talk()
    [first] = answer(ask(dify))
    empty = {"role": "assistant", "id": "theirs", "toolCalls": []}
    ask(dify, user("Hi"), first, empty, user("More"))
    assert dify.conversations == [["Hi", "More"]]


def test_a_reply_to_somebody_elses_text_is_not_one_to_ours() -> None:
    dify = Talk()
    [first] = answer(ask(dify))
    theirs = {**assistant("I disagree."), "id": "theirs"}
    ask(dify, user("Hi"), first, theirs, user("More"))
    ask(dify, user("Hi"), first, user("And?"), theirs, user("More"))
    assert [len(conversation) for conversation in dify.conversations] == [1, 1, 1]


def ids_of(dify: Talk) -> dict[str, str]:
    """Ids of messages, by whose they are."""
    callers: dict[str, Any] = {"holder": {}, "guest": {"key": None}, "guest of another app": {"key": None, "app": "other"}}
    found = {name: answer(ask(dify, **caller))[0]["id"] for name, caller in callers.items()}
    broken = {"changed": found["guest"][:-1] + ("A" if found["guest"][-1] != "A" else "Q"), "raw": next(iter(dify.said))}
    return {
        **found,
        **broken,
        "numbered": f"{found['guest']}_2",
        "wrongly numbered": f"{found['guest']}_x",
        "none": "",
        "cut": "msg_",
    }


@pytest.mark.parametrize(("key", "whose"), [(KEY, {"holder", "guest", "numbered"}), (None, {"guest", "numbered"})])
def test_an_id_is_valid_for_its_own_caller_and_app_only_and_all_others_are_as_none(key: str | None, whose: set[str]) -> None:
    dify = Talk()
    for name, id_ in ids_of(dify).items():
        before = len(dify.said)
        response = ask(dify, user("Other"), {**assistant("words"), "id": id_}, user("More"), key=key)
        assert response.status_code == 200
        body_of(response)
        assert (name, len(dify.said) == before) == (name, name in whose)


def test_a_token_that_ends_like_a_number_is_not_taken_for_one() -> None:
    dify = Talk()
    body_of(ask(dify))
    [conversation_id] = dify.said
    keys = str(SETTINGS["api_key"]).split()
    signer = Signer(face="agui", app_id=APP, guest=False, endpoint_id=dify.endpoint_id, keys=keys)
    minted = (signer.sign(conversation_id, str(UUID(int=number))) for number in itertools.count())
    token = next(each for each in minted if re.search(r"_\d\Z", each))
    for id_ in (f"msg_{token}", f"msg_{token}_2"):
        body_of(ask(dify, user("Hi"), {**assistant("No. 1"), "id": id_}, user("More")))
    assert dify.conversations == [["Hi", "More", "More"]]


@pytest.mark.parametrize("key", [KEY, None])
def test_messages_with_ids_of_the_clients_own_go_on_by_what_was_said(key: str | None) -> None:
    """Those of guests are always sent again: they cannot be told apart."""
    dify = Talk()
    body_of(ask(dify, key=key))
    body_of(ask(dify, *HELLO, key=key))
    assert dify.conversations == ([["Hi", "More"]] if key else [["Hi"], [REPLAY]])


def test_an_answer_in_several_messages_is_known_by_all_of_them() -> None:
    dify = agent("A", "B")
    messages = [{**message, "id": "theirs"} for message in returned(ask(dify))]
    ask(dify, user("Hi"), *messages, user("More"))
    assert [(call["query"], call["conversation_id"]) for call in dify.calls] == [("Hi", ""), ("More", OTHER)]


def test_faces_share_what_they_remember() -> None:
    dify = Talk()
    chat(dify, user("Hi"))
    ask(dify, *HELLO)
    assert dify.conversations == [["Hi", "More"]]


def test_what_was_said_is_sent_again_if_dify_has_lost_the_conversation() -> None:
    dify = Talk(None, http_error(400, "bad_request", ""))
    [first] = answer(ask(dify))
    response = ask(dify, user("Hi"), first, user("More"))
    assert response.status_code == 200, json_of(response)
    [second] = answer(response)
    ask(dify, user("Hi"), first, user("More"), second, user("Last"))
    assert [call["query"] for call in dify.calls] == ["Hi", "More", REPLAY, "Last"]
    assert dify.conversations == [["Hi"], [REPLAY, "Last"]]


def test_another_failure_is_not_tried_again() -> None:
    dify = Talk(None, http_error(500, "internal_server_error", "It broke."))
    [first] = answer(ask(dify))
    assert ask(dify, user("Hi"), first, user("More")).status_code >= 500
    assert len(dify.calls) == 2


def test_a_workflow_runs_with_the_last_text_and_its_ids_have_no_effect() -> None:
    form = {"user_input_form": [{"text-input": {"variable": "query"}}, {"text-input": {"variable": "city"}}]}
    dify = App("workflow", stream=sample("workflow"), form=form)
    first = answer(ask(dify, forwardedProps={"inputs": {"city": "Rome"}}))
    ask(dify, user("Hi"), *first, user("More"))
    assert [{name: value for name, value in call["inputs"].items() if value} for call in dify.calls] == [
        {"query": "Hi", "city": "Rome"},
        {"query": "More"},
    ]
    assert {call["kind"] for call in dify.calls} == {"workflow"}


def test_the_log_tells_of_a_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "duck")
    body_of(ask(Talk()))
    [line] = [record.getMessage() for record in caplog.records if "/agui/" in record.getMessage()]
    assert line.startswith("POST /agui/<app_id> 200 ")
    assert {"kind=chat", "format=sse", "by=key", "end=complete"} <= {*line.split()}


def test_an_error_of_another_kind_keeps_its_message() -> None:
    assert json_of(ask(Talk(), app="gone"))["message"].startswith("No such app here.")


# Whatever is sent

PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "audio", "video", "document", "binary"]) | JSON},
    optional={
        name: JSON | st.just({"type": "data", "value": PNG, "mimeType": "image/png"})
        for name in ("text", "source", "data", "url")
    },
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "reasoning", "activity"]) | JSON},
    optional={"content": JSON | st.text() | st.lists(PART, max_size=3), "id": JSON | st.text()},
)
BODIES = JSON | st.fixed_dictionaries(
    {"threadId": st.text() | JSON, "runId": st.text() | JSON, "messages": JSON | st.lists(MESSAGE, max_size=4)},
    optional=dict.fromkeys(("forwardedProps", "resume", "tools", "context", "state"), JSON),
)


@hypothesis.given(body=BODIES, key=st.sampled_from([KEY, None]))
def test_no_body_makes_duck_fail(body: Any, key: str | None) -> None:
    state = State()
    state.clock = NoSleepClock()
    states.use(state)
    response = post(Talk(form=FILES), body, key=key)
    assert response.status_code in {200, 400, 413}, json_of(response)
    body_of(response)
