"""What Anthropic's clients get of every recorded run: checked by their own types, decoder and helpers."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import ErrorResponse, Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from duck.faces.anthropic.events import Events
from duck.state import State
from tests.anthropic_calls import ask, events_of, fault, streamed, text_of
from tests.openai_calls import user
from tests.support import APP, KEY, Dify, body_of, http_error, json_of, recorded, sample_run
from tests.test_openai_streams import ANSWERS, AT_ONCE, PUBLIC, each_caller, each_run, kind_of, recording
from tests.test_openai_streams import end_of as end_in_openai

API, RATE_LIMIT = "api_error", "rate_limit_error"
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
OPENING = ["message_start", "content_block_start"]
CLOSING = ["content_block_stop", "message_delta", "message_stop"]
NO_TOKENS = {"input_tokens": 0, "output_tokens": 0}


def end_of(name: str, key: str | None) -> tuple[str, str] | str:
    """How a run ends: an error's type and code, or the reason to stop."""
    end = end_in_openai(name, key)
    if not isinstance(end, tuple):
        return {"stop": "end_turn", "content_filter": "refusal"}[end]
    return (RATE_LIMIT, RATE_LIMIT) if end[0] == RATE_LIMIT else (API, end[1])


def accumulated(events: list[dict[str, Any]]) -> Any:
    """The message that the client's helper makes of the events."""
    snapshot: Any = None
    for event in events:
        snapshot = accumulate_event(event=EVENT.validate_python(event), current_snapshot=snapshot, json_bufs={})
    return snapshot


@each_run
@each_caller
def test_a_run_as_events_and_as_a_message(name: str, key: str | None, state: State) -> None:
    dify, end = recording(name, state), end_of(name, key)
    body = body_of(ask(dify, key=key, settings=PUBLIC, stream=True))
    events = events_of(body)
    kinds = [event["type"] for event in events if event["type"] != "content_block_delta"]
    whole = ask(dify, key=key, settings=PUBLIC)
    document = json_of(whole)
    if isinstance(end, tuple):
        assert kinds == [*OPENING, "error"]
        error = events[-1]["error"]
        ErrorResponse.model_validate(events[-1])
        assert (error["type"], error["details"]) == (end[0], {"error_code": end[1]})
        assert fault(whole) == (429 if end[0] == RATE_LIMIT else 502, *end)
        assert whole.headers.get("Retry-After") == ("30" if end[0] == RATE_LIMIT else None)
        assert whole.headers.get("X-Should-Retry") == (None if end[0] == RATE_LIMIT else "false")
        assert document["error"] == error
        return
    assert kinds == [*OPENING, *CLOSING]
    message = Message.model_validate(document)
    snapshot = accumulated(events)
    begun = events[0]["message"]
    assert (begun["content"], begun["stop_reason"], begun["usage"]) == ([], None, NO_TOKENS)
    assert (snapshot.stop_reason, message.stop_reason, message.stop_sequence) == (end, end, None)
    assert begun["id"] == document["id"] != "msg_"
    assert begun.get("conversation_id") == document.get("conversation_id") or key is None
    assert {event.get("conversation_id") for event in events} == {begun.get("conversation_id")}
    assert ("conversation_id" in document) == (kind_of(sample_run(name)) == "chat")
    assert events[-2]["usage"] == document["usage"] == snapshot.usage.to_dict()
    assert key is not None or document["usage"] == NO_TOKENS
    [block], sent = document["content"], streamed(events)
    assert snapshot.content[0].text == sent
    assert sent.endswith(block["text"]) if end == "refusal" else sent == block["text"]


@each_caller
def test_a_run_that_fails_with_its_first_event_has_its_true_status(key: str | None, state: State) -> None:
    response = ask(recording(AT_ONCE, state), key=key, settings=PUBLIC, stream=True)
    assert fault(response) == (502, API, "completion_request_error")
    assert ErrorResponse.model_validate(json_of(response)).request_id == response.headers["Request-Id"]


@pytest.mark.parametrize("name", ANSWERS)
@each_caller
def test_a_recorded_answer_is_a_message(name: str, key: str | None, state: State) -> None:
    found = recorded(name)
    answer, status = found.get("_body", found), found.get("_status", 200)
    state.memory.kinds[APP] = kind_of([answer]) if status == 200 else "chat"
    given = answer if status == 200 else http_error(status, answer["code"], answer["message"])
    dify = Dify(blocking=given, form={"user_input_form": []})
    dify.app.chat = dify.app.completion = dify.app.workflow = dify
    response = ask(dify, key=key, settings=PUBLIC)
    if status != 200 or answer.get("data", {}).get("status") == "failed":
        code = "completion_request_error" if status != 200 else "workflow_failed"
        assert fault(response) == (502, API, code)
        assert ("SECRET" in json_of(response)["error"]["message"]) <= (key is not None)
        return
    assert Message.model_validate(json_of(response)).content[0].type == "text"
    assert text_of(response)


@pytest.mark.parametrize("name", ["chat", "agent-chat", "workflow", "rare-events.chat", "workflow.failed"])
def test_the_events_are_the_same_whether_difys_come_at_once_or_one_by_one(name: str, state: State) -> None:
    def one_by_one() -> Iterator[dict[str, Any]]:
        for event in sample_run(name):
            time.sleep(0.002)
            yield event

    found = [
        [{**event, "request_id": ""} for event in events_of(ask(recording(name, state, stream), stream=True, settings=PUBLIC))]
        for stream in (sample_run(name), one_by_one)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(("stream", "content_type"), [(True, "text/event-stream"), (False, "application/json")])
def test_the_form_of_an_answer_follows_the_field_stream_alone(stream: bool, content_type: str, state: State) -> None:
    response = ask(recording("chat", state), model=APP, stream=stream)
    assert response.headers["Content-Type"] == content_type
    assert response.headers.get("X-Accel-Buffering") == ("no" if stream else None)
    assert response.headers["Request-Id"].startswith("req_")
    assert f'"model":"{APP}"'.encode() in body_of(response)


def test_an_agents_tools_and_thoughts_are_no_blocks(state: State) -> None:
    events = events_of(ask(recording("agent-chat", state), stream=True, settings=PUBLIC))
    assert {event["content_block"]["type"] for event in events if "content_block" in event} == {"text"}
    assert {event["delta"]["type"] for event in events if event["type"] == "content_block_delta"} == {"text_delta"}
    assert "![" in streamed(events)


def test_a_stream_cut_anywhere_is_read_alike(state: State) -> None:
    ids = {"conversation_id": "c", "message_id": "m"}
    stream = [{"event": "message", **ids, "answer": "\u2028🦆\n\nevent: error\ndata: {}"}, {"event": "message_end", **ids}]
    body = body_of(ask(recording("chat", state, stream), stream=True, settings=PUBLIC))
    events = events_of(body)
    assert streamed(events) == stream[0]["answer"]
    assert all(events_of(body, cut=at) == events for at in range(1, len(body)))


def test_a_silent_run_is_kept_alive_by_pings(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow() -> Iterator[dict[str, Any]]:
        time.sleep(0.1)
        yield from sample_run("chat")

    monkeypatch.setattr(Events, "keep_alive_s", 0.02)
    body = body_of(ask(recording("chat", state, slow), stream=True, settings=PUBLIC))
    ping = b'event: ping\ndata: {"type":"ping"}\n\n'
    assert body.startswith(ping)
    assert [event for event in events_of(body) if event["type"] != "ping"] == events_of(body.replace(ping, b""))


def test_a_run_that_says_nothing_is_an_empty_message(state: State) -> None:
    silent = [{"event": "message_end"}]
    events = events_of(ask(recording("chat", state, silent), stream=True, settings=PUBLIC))
    assert [event["type"] for event in events] == [*OPENING, *CLOSING]
    assert accumulated(events).content[0].text == ""


def test_a_run_that_fails_before_it_has_told_its_ids_is_an_error_alone(state: State) -> None:
    def failing() -> Iterator[dict[str, Any]]:
        yield {"event": "tts_message", "audio": ""}
        yield {"event": "error", "message": "It broke."}

    response = ask(recording("chat", state, failing), stream=True, settings=PUBLIC)
    [error] = events_of(response)
    assert (error["error"]["message"], error["request_id"]) == ("It broke.", response.headers["Request-Id"])


def test_ids_that_come_late_begin_no_second_message(state: State) -> None:
    stream = [{"event": "message", "answer": "Hi"}, *sample_run("chat")]
    events = events_of(ask(recording("chat", state, stream), user("Hi"), stream=True, settings=PUBLIC))
    assert [event["type"] for event in events].count("message_start") == 1


def test_holders_of_a_key_get_difys_id_and_guests_a_token(state: State) -> None:
    whole = {key: json_of(ask(recording("chat", state), key=key, settings=PUBLIC))["conversation_id"] for key in (KEY, None)}
    [id_] = {event["conversation_id"] for event in sample_run("chat")}
    assert (whole[KEY], len(whole[None])) == (id_, 59)
