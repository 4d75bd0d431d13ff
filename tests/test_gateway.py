"""What the gateway does to the session itself, and what it makes of what comes back."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from werkzeug import Response

from duck.dify.session import SessionGateway
from tests.support import APP, KEY, SETTINGS, Dify, blocking_sample, body_of, call, http_error, json_of, sample

type Wanted = Callable[[Any], bool]


class Reader:
    """The SDK's reader: keeps what it was asked to look for."""

    wanted: Wanted

    def read(self, wanted: Wanted) -> str:
        self.wanted = wanted
        return "the replies"


@pytest.mark.parametrize(
    ("data", "passes", "skipped"),
    [
        ({"event": "response", "data": {"event": "message"}}, True, 0),
        ({"event": "response", "data": {}}, True, 0),
        ({"event": "end", "data": None}, True, 0),
        ({"event": "error", "data": None}, True, 0),
        ({"event": "response", "data": None}, False, 1),
        ({"event": "response", "data": "ping"}, False, 1),
        ({"event": "response", "data": [1]}, False, 1),
        ({"event": "response"}, False, 1),
    ],
    ids=repr,
)
def test_the_sdk_sees_no_reply_that_is_no_object(data: dict[str, Any], *, passes: bool, skipped: int) -> None:
    dify, reader = Dify(), Reader()
    dify.reader = reader
    gateway = SessionGateway(dify)
    assert dify.reader.read(lambda line: line.session == "mine") == "the replies"
    assert reader.wanted(SimpleNamespace(session="mine", data=data)) is passes
    assert reader.wanted(SimpleNamespace(session="another", data=data)) is False
    assert gateway.skipped == skipped


# The kind of an app that fails without a reason

NO_REASON = http_error(500, "unknown", "Internal Server Error")
REFUSED = http_error(400, "invalid_param", "(type 'text-input') city in input form must be a string")
CITY = {"user_input_form": [{"text-input": {"variable": "city"}}]}


@pytest.mark.parametrize("mode", ["blocking", "streaming"])
@pytest.mark.parametrize(
    ("told", "status", "code"),
    [
        (NO_REASON, 400, "not_chat_app"),
        (http_error(400, "invalid_param", "missing query"), 502, "completion_request_error"),
        (REFUSED, 502, "completion_request_error"),
        (Exception("read app failed: "), 502, "completion_request_error"),
        ({"task_id": "1"}, 502, "completion_request_error"),
    ],
)
def test_a_failure_without_a_reason_may_come_of_a_text_generator(told: Any, status: int, code: str, mode: str) -> None:
    dify = Dify(stream=[NO_REASON], blocking=NO_REASON, form=CITY, kind_answer=told)
    response = call(dify, json={"query": "hi", "response_mode": mode})
    assert (response.status_code, json_of(response)["code"]) == (status, code)
    if code == "not_chat_app":
        assert "/completion/<app_id>" in json_of(response)["message"]
    assert [(made["inputs"], "query" in made, made["response_mode"]) for made in dify.kind_calls] == [
        ({"city": 5}, False, "blocking")
    ]


@pytest.mark.parametrize(
    ("variable", "wrong"),
    [
        ({"select": {"variable": "a", "options": ["x"]}}, {"a": 5}),
        ({"number": {"variable": "a"}}, {"a": "x"}),
        ({"file-list": {"variable": "a"}}, {"a": "x"}),
        ({"json_object": {"variable": "a"}}, {"a": "x"}),
        ({"checkbox": {"variable": "a"}}, None),
    ],
)
def test_an_app_is_asked_for_its_kind_by_an_input_that_it_must_refuse(variable: dict[str, Any], wrong: Any) -> None:
    dify = Dify(stream=[NO_REASON], form={"user_input_form": [variable]}, kind_answer=NO_REASON)
    call(dify, json={"query": "hi", "response_mode": "streaming"})
    assert [made["inputs"] for made in dify.kind_calls] == ([wrong] if wrong else [])


def test_an_app_is_asked_for_its_kind_only_where_that_may_be_the_reason() -> None:
    for failure in (http_error(500, "unknown", "oh"), http_error(400, "invalid_param", ""), Exception("read app failed: x")):
        dify = Dify(stream=[failure], form=CITY, kind_answer=NO_REASON)
        call(dify, json={"query": "hi", "response_mode": "streaming"})
        assert dify.kind_calls == []
    dify = Dify(stream=[NO_REASON], form=CITY, kind_answer=NO_REASON)
    assert json_of(call(dify, "completion", json={"response_mode": "streaming"}))["code"] == "completion_unavailable"
    assert dify.kind_calls == []


@pytest.mark.parametrize(
    ("told", "code"), [("missing query", "completion_request_error"), ("Internal Server Error", "not_chat_app")]
)
def test_the_kind_of_an_app_is_asked_for_once(told: str, code: str) -> None:
    told_by = http_error(400, "invalid_param", told) if told == "missing query" else NO_REASON
    dify = Dify(stream=[NO_REASON], form=CITY, kind_answer=told_by)
    for _ in range(2):
        assert json_of(call(dify, json={"query": "hi", "response_mode": "streaming"}))["code"] == code
    assert len(dify.kind_calls) == 1


# A conversation that a chatflow does not know

NEW, OLD = "c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a901", "11111111-2222-4333-8444-555555555555"
CHATFLOW = sample("advanced-chat")


def again(style: str, *, key: str | None = KEY, **more: Any) -> Response:
    dify = Dify(stream=CHATFLOW, blocking=blocking_sample("advanced-chat"))
    body = {"query": "hi", "conversation_id": OLD, **more}
    return call(dify, path=f"/x?format={style}", json=body, key=key, settings={**SETTINGS, "public_apps": APP})


@pytest.mark.parametrize("key", [KEY, None])
def test_a_new_conversation_in_place_of_an_unknown_one_is_told_of(key: str | None) -> None:
    for more in ({}, {"response_mode": "blocking"}, {"response_mode": "streaming"}):
        response = again("json", key=key, **more)
        assert response.headers["Conversation-Restarted"] == "true"
        answer = json_of(response)
        assert (answer["conversation_id"], answer["conversation_restarted"]) == (NEW, True)
    for more in ({"response_mode": "streaming"}, {"response_mode": "blocking"}):
        response = again("ndjson", key=key, **more)
        assert response.headers["Conversation-Restarted"] == "true"
        events = [json.loads(line) for line in body_of(response).splitlines()]
        assert all(event["conversation_restarted"] for event in events if "conversation_id" in event)
        assert {event["conversation_id"] for event in events} == {NEW}
    assert again("text", key=key).headers["Conversation-Restarted"] == "true"


def test_a_person_reads_once_that_a_new_conversation_has_begun() -> None:
    body = body_of(again("html")).decode()
    assert body.count("does not know this conversation any more") == 1
    assert f'name="conversation_id" value="{NEW}"' in body


@pytest.mark.parametrize("style", ["json", "ndjson", "sse", "text", "html"])
@pytest.mark.parametrize("mode", ["blocking", "streaming"])
def test_who_asks_for_it_gets_an_error_in_place_of_a_new_conversation(style: str, mode: str) -> None:
    for strict in (True, "true", "1"):
        response = again(style, response_mode=mode, strict_conversation=strict)
        assert response.status_code == 400
        assert "no such conversation" in body_of(response).decode()


@pytest.mark.parametrize(
    "more", [{"conversation_id": NEW}, {"conversation_id": NEW.upper(), "strict_conversation": True}, {"conversation_id": ""}]
)
def test_a_conversation_that_goes_on_is_not_told_of(more: dict[str, Any]) -> None:
    response = again("ndjson", **more)
    assert response.status_code == 200
    assert "Conversation-Restarted" not in response.headers
    assert b"conversation_restarted" not in body_of(response)


@pytest.mark.parametrize("value", ["perhaps", 7, [], "2"])
def test_strict_conversation_is_true_or_false(value: Any) -> None:
    response = again("json", strict_conversation=value)
    expected = (200, None) if value == [] else (400, "strict_conversation: must be true or false")
    assert (response.status_code, json_of(response).get("message")) == expected


# What comes after the end of the text


@pytest.mark.parametrize(("about", "heard"), [({"enabled": True, "autoPlay": "enabled"}, 2), ({"enabled": True}, 0), ([], 0)])
def test_an_app_that_reads_its_answers_out_is_heard_to_the_end(about: Any, heard: int) -> None:
    spoken = [{**CHATFLOW[0], "event": name, "audio": "SUQz"} for name in ("tts_message", "tts_message_end")]
    dify = Dify(stream=[*sample("chat"), *spoken, Exception("a title is being found")], form={**CITY, "text_to_speech": about})
    body = body_of(call(dify, path="/x?format=ndjson", json={"query": "hi", "response_mode": "streaming"})).decode()
    assert body.count("tts_message") == heard
    assert "error" not in body
