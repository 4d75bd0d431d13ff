"""What OpenAI's clients get of every recorded run: checked by their own types, decoder and helpers."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from openai import omit
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response as SdkResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from duck.faces.openai import serve
from duck.faces.openai.chunks import Chunks
from duck.faces.openai.output import Events
from duck.runs.run import Kind
from duck.state import State
from tests.openai_calls import call, chat, events_of, respond, user
from tests.support import APP, KEY, SAMPLES, STREAMS, Dify, NoSleepClock, body_of, http_error, json_of, recorded, sample_run

PUBLIC = {"api_key": KEY, "apps": f"talk={APP}", "public_apps": "talk"}
RECORDINGS = sorted({*STREAMS, *(f"dify-1.16/{path.stem}" for path in (SAMPLES / "dify-1.16").glob("*.ndjson"))})
NOT_BLOCKING = http_error(400, "invalid_param", "Agent Chat App does not support blocking mode")
RATE_LIMIT, SERVER = "rate_limit_error", "server_error"
# How the runs end that do not just stop: an error's type and code, or the reason to finish. By the first words of the name.
ENDS: dict[str, tuple[str, str] | str] = {
    "advanced-chat.failed": (RATE_LIMIT, "rate_limit_exceeded"),
    "dify-1.16/chat.broken": (SERVER, "completion_request_error"),
    "dify-1.16/chatflow.model-error": (SERVER, "completion_request_error"),
    "dify-1.16/failflow": (SERVER, "completion_request_error"),
    "dify-1.16/failing": (SERVER, "workflow_failed"),
    "dify-1.16/workflow.model-error": (SERVER, "workflow_failed"),
    "workflow.failed": (SERVER, "workflow_failed"),
    "dify-1.16/moderated": "content_filter",
    "rare-events": "content_filter",
}
AT_ONCE = "dify-1.16/chat.model-error.service"  # fails with its first event
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def end_of(name: str, key: str | None) -> tuple[str, str] | str:
    """How a run ends. Guests do not learn that a model has reached its limit."""
    end = next((end for start, end in ENDS.items() if name.startswith(start)), "stop")
    return (SERVER, "completion_request_error") if key is None and end[0] == RATE_LIMIT else end


def kind_of(events: list[dict[str, Any]]) -> Kind:
    ids = {name for event in events for name in event}
    return "chat" if "conversation_id" in ids else "workflow" if "workflow_run_id" in ids else "completion"


def recording(name: str, state: State, stream: Any = None) -> Dify:
    """A Dify that sends a recorded stream, or another one in its place, also for a blocking run."""
    events, state.clock = sample_run(name), NoSleepClock()
    state.memory.kinds[APP] = kind_of(events)
    dify = Dify(stream=stream or events, blocking=NOT_BLOCKING, form={"user_input_form": []})
    dify.app.chat = dify.app.completion = dify.app.workflow = dify
    return dify


each_run = pytest.mark.parametrize("name", [name for name in RECORDINGS if name != AT_ONCE])
each_caller = pytest.mark.parametrize("key", [KEY, None], ids=["holder", "guest"])


@each_run
@each_caller
def test_a_run_as_chunks_and_as_a_completion(name: str, key: str | None, state: State) -> None:
    dify, end = recording(name, state), end_of(name, key)
    body = body_of(chat(dify, key=key, settings=PUBLIC, stream=True, stream_options={"include_usage": True}))
    events = events_of(body)
    chunks = events[:-1]
    snapshot = ChatCompletionStreamState()
    for chunk in chunks:
        snapshot.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk.get("conversation_id")) for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    whole = chat(dify, key=key, settings=PUBLIC)
    if isinstance(end, tuple):
        kind, code = end
        assert (events[-1]["error"]["type"], events[-1]["error"]["code"], events[-1]["error"]["param"]) == (kind, code, None)
        assert {choice["finish_reason"] for choice in choices} == {None}
        assert whole.status_code == (429 if kind == RATE_LIMIT else 502)
        assert whole.headers.get("Retry-After") == ("30" if kind == RATE_LIMIT else None)
        assert json_of(whole) == events[-1]
        return
    assert events[-1] == "[DONE]"
    assert [choice["finish_reason"] for choice in choices] == [*[None] * (len(choices) - 1), end]
    assert (chunks[-1]["choices"], chunks[-1].keys() >= {"usage"}) == ([], True)
    completion = ChatCompletion.model_validate(json_of(whole))
    document = json_of(whole)
    message, usage = document["choices"][0]["message"], document.get("usage")
    assert all(document.get(name) == chunks[0].get(name) for name in ("id", "model", "conversation_id"))
    assert (completion.choices[0].finish_reason, chunks[-1]["usage"]) == (end, usage)
    assert (usage, "reasoning_content" in message) == (None, False) if key is None else True
    sent = "".join(choice["delta"].get("content", "") for choice in choices)
    assert snapshot.current_completion_snapshot.choices[0].message.content == sent
    assert sent.endswith(message["content"]) if end == "content_filter" else sent == message["content"]
    reasoning = "".join(choice["delta"].get("reasoning_content", "") for choice in choices)
    assert reasoning == message.get("reasoning_content", "")
    assert (reasoning != "") == (key is not None and name.startswith("rare-events"))


@each_run
@each_caller
def test_a_run_as_events_and_as_a_response(name: str, key: str | None, state: State) -> None:
    dify, end = recording(name, state), end_of(name, key)
    body = body_of(respond(dify, key=key, settings=PUBLIC, stream=True, metadata={"a": "b"}, instructions="Be short."))
    events = events_of(body)
    snapshot: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in events:
        snapshot.handle_event(EVENT.validate_python(event))
    assert [event["sequence_number"] for event in events] == [*range(len(events))]
    assert len({event.get("item_id") or event["item"]["id"] for event in events if event.keys() & {"item_id", "item"}}) == 1
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    kinds = [event["type"].removeprefix("response.") for event in events if "delta" not in event]
    opening = ["created", "in_progress", "output_item.added", "content_part.added"]
    first, last = events[0]["response"], events[-1]["response"]
    assert (first["status"], first["usage"], first["metadata"], first["instructions"]) == (
        "in_progress",
        None,
        {"a": "b"},
        "Be short.",
    )
    whole = respond(dify, key=key, settings=PUBLIC, metadata={"a": "b"}, instructions="Be short.")
    if isinstance(end, tuple):
        assert kinds == [*opening, "failed"]
        assert (last["status"], last["error"]["code"]) == ("failed", "server_error")
        assert (whole.status_code, json_of(whole)["error"]["message"]) == (
            429 if end[0] == RATE_LIMIT else 502,
            last["error"]["message"],
        )
        return
    assert kinds == [*opening, "output_text.done", "content_part.done", "output_item.done", "completed"]
    document = json_of(whole)
    SdkResponse.model_validate(document)
    done = events[-4]["text"]
    assert (
        done == events[-3]["part"]["text"] == events[-2]["item"]["content"][0]["text"] == last["output"][0]["content"][0]["text"]
    )
    assert "".join(deltas).endswith(done) if end == "content_filter" else "".join(deltas) == done
    same = {**last, "id": "", "created_at": 0}
    assert {**document, "id": "", "created_at": 0} == same
    assert document["usage"].keys() == last["usage"].keys() >= {"input_tokens_details", "output_tokens_details"}
    assert key is not None or document["usage"]["total_tokens"] == 0


@each_caller
def test_a_run_that_fails_with_its_first_event_has_its_true_status(key: str | None, state: State) -> None:
    dify = recording(AT_ONCE, state)
    for response in (chat(dify, key=key, settings=PUBLIC, stream=True), respond(dify, key=key, settings=PUBLIC, stream=True)):
        assert (response.status_code, json_of(response)["error"]["code"]) == (502, "completion_request_error")


ANSWERS = sorted(
    f"{folder}{path.stem}"
    for folder in ("", "dify-1.16/")
    for path in (SAMPLES / folder).glob("*.blocking*.json")
    if "agent" not in path.stem
)


@pytest.mark.parametrize("name", ANSWERS)
@each_caller
def test_a_recorded_answer_is_a_completion_and_a_response(name: str, key: str | None, state: State) -> None:
    whole = recorded(name)
    answer, status = whole.get("_body", whole), whole.get("_status", 200)
    state.memory.kinds[APP] = kind_of([answer]) if status == 200 else "chat"
    given = answer if status == 200 else http_error(status, answer["code"], answer["message"])
    dify = Dify(blocking=given, form={"user_input_form": []})
    dify.app.chat = dify.app.completion = dify.app.workflow = dify
    completion, response = chat(dify, key=key, settings=PUBLIC), respond(dify, key=key, settings=PUBLIC)
    if status != 200 or answer.get("data", {}).get("status") == "failed":
        code = "completion_request_error" if status != 200 else "workflow_failed"
        for failed in (completion, response):
            error = json_of(failed)["error"]
            assert (failed.status_code, error["type"], error["code"]) == (502, SERVER, code)
            assert ("SECRET" in error["message"]) <= (key is not None)
        return
    content = ChatCompletion.model_validate(json_of(completion)).choices[0].message.content
    assert content
    assert SdkResponse.model_validate(json_of(response)).output_text == content


@pytest.mark.parametrize("name", ["chat", "agent-chat", "workflow", "rare-events.chat", "workflow.failed"])
@pytest.mark.parametrize("ask", [chat, respond])
def test_the_chunks_are_the_same_whether_events_come_at_once_or_one_by_one(name: str, ask: Any, state: State) -> None:
    def one_by_one() -> Iterator[dict[str, Any]]:
        for event in sample_run(name):
            time.sleep(0.002)
            yield event

    bodies = []
    for stream in (sample_run(name), one_by_one):
        dify = recording(name, state, stream)
        body = body_of(ask(dify, stream=True, settings=PUBLIC))
        bodies.append(re.sub(rb'"created(_at)?":\d+|"(resp|msg)_[\w-]+"', b"", body))
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(("handler", "path"), [(serve.completions, "/v1/chat/completions"), (serve.responses, "/responses")])
@pytest.mark.parametrize(("stream", "content_type"), [(True, "text/event-stream"), (False, "application/json")])
def test_the_form_of_an_answer_follows_the_field_stream_alone(
    handler: Any, path: str, stream: bool, content_type: str, state: State
) -> None:
    dify = recording("chat", state)
    for accept in ("application/json", "text/event-stream", "text/html"):
        body = {"model": APP, "messages": [user("Hi")], "input": "Hi", "stream": stream}
        response = call(handler, dify, body, path=path, headers={"Accept": accept})
        assert response.headers["Content-Type"] == content_type
        assert response.headers.get("X-Accel-Buffering") == ("no" if stream else None)
        assert response.headers["X-Request-Id"].startswith("req_")
        assert f'"model":"{APP}"'.encode() in body_of(response)


@pytest.mark.parametrize("ask", [chat, respond])
def test_a_stream_cut_anywhere_is_read_alike(ask: Any, state: State) -> None:
    ids = {"conversation_id": "c", "message_id": "m"}
    stream = [{"event": "message", **ids, "answer": "\u2028🦆\n\ndata: [DONE]"}, {"event": "message_end", **ids}]
    dify = recording("chat", state, stream)
    body = body_of(ask(dify, stream=True, settings=PUBLIC))
    events = events_of(body)
    assert all(events_of(body, cut=at) == events for at in range(1, len(body)))


@pytest.mark.parametrize(("ask", "writer"), [(chat, Chunks), (respond, Events)])
def test_a_silent_run_is_kept_alive_by_comments(ask: Any, writer: Any, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow() -> Iterator[dict[str, Any]]:
        time.sleep(0.1)
        yield from sample_run("chat")

    monkeypatch.setattr(writer, "keep_alive_s", 0.02)
    body = body_of(ask(recording("chat", state, slow), stream=True, settings=PUBLIC))
    assert body.startswith(b": ping\n\n")
    assert events_of(body) == events_of(body.replace(b": ping\n\n", b""))


def test_a_run_that_says_nothing_is_an_empty_message(state: State) -> None:
    silent = [{"event": "message_end"}]
    first, last, done = events_of(chat(recording("chat", state, silent), stream=True, settings=PUBLIC))
    assert (first["choices"][0]["delta"]["content"], last["choices"][0]["finish_reason"], done) == ("", "stop", "[DONE]")
    events = events_of(respond(recording("chat", state, silent), stream=True, settings=PUBLIC))
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == ""
    assert [event["sequence_number"] for event in events] == [*range(8)]


def test_a_run_that_fails_before_it_has_told_its_ids_begins_all_the_same(state: State) -> None:
    def failing() -> Iterator[dict[str, Any]]:
        yield {"event": "tts_message", "audio": ""}
        yield {"event": "error", "message": "It broke."}

    [error] = events_of(chat(recording("chat", state, failing), stream=True, settings=PUBLIC))
    assert error["error"]["message"] == "It broke."
    created, *_, failed = events_of(respond(recording("chat", state, failing), stream=True, settings=PUBLIC))
    assert [created["type"], failed["type"]] == ["response.created", "response.failed"]
    assert created["response"]["id"] == failed["response"]["id"]


def test_ids_that_come_late_begin_no_second_message(state: State) -> None:
    stream = [{"event": "message", "answer": "Hi"}, *sample_run("chat")]
    chunks = events_of(chat(recording("chat", state, stream), stream=True, settings=PUBLIC))[:-1]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert sum("role" in chunk["choices"][0]["delta"] for chunk in chunks) == 1
    events = events_of(respond(recording("chat", state, stream), stream=True, settings=PUBLIC))
    assert [event["type"] for event in events].count("response.created") == 1
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1
