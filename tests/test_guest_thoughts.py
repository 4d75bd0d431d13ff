"""Guests get no thoughts that a model has written into its text, in any format; key holders get everything as it came."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck.dify import events, guests
from duck.errors import DuckError
from duck.faces.api.formats import MIMETYPES
from duck.state import State
from duck.streams.format import Event
from tests import anthropic_calls, mcp_calls, openai_calls
from tests.support import APP, KEY, SETTINGS, Dify, blocking_sample, body_of, call, http_error, json_of, sample
from tests.test_thoughts import CASES, DETAILS

PUBLIC = {**SETTINGS, "public_apps": APP}
IDS = {"conversation_id": "2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a44", "message_id": "m", "task_id": "t"}
END: Event = {"event": "message_end", **IDS, "metadata": {}}


def message(text: str, name: str = "message") -> Event:
    return {"event": name, **IDS, "id": "m", "answer": text}


def chunk(text: str, name: str = "text_chunk") -> Event:
    return {"event": name, "workflow_run_id": "w", "task_id": "t", "data": {"text": text}}


def finished(**outputs: Any) -> Event:
    data = {"status": "succeeded", "outputs": outputs}
    return {"event": "workflow_finished", "workflow_run_id": "w", "task_id": "t", "data": data}


def seen(*source: Event) -> list[Event | None]:
    return list(guests.events(event for event in source))


def text_of(found: list[Event | None]) -> str:
    return events.text_of(event for event in found if event)


# One event after the other


@pytest.mark.parametrize(("text", "expected"), CASES.items())
@pytest.mark.parametrize("make", [message, chunk])
def test_a_guest_reads_the_text_without_thoughts_wherever_it_is_cut(
    make: Callable[[str], Event], text: str, expected: str
) -> None:
    end = END if make is message else finished(text=text)
    assert text_of(seen(*map(make, text), end)) == expected
    for at in range(len(text) + 1):
        found = seen(make(text[:at]), make(text[at:]), end)
        assert text_of(found) == expected
        assert (found[-1] or {})["event"] == end["event"]


@given(st.lists(st.sampled_from(["<think>", "</think>", "<thi", "nk>", "a", " ", "\n", "", DETAILS, "</details>"]), max_size=20))
def test_every_event_is_told_of_in_its_place(texts: list[str]) -> None:
    found = seen(*map(message, texts), END)
    assert [event["event"] for event in found if event][-1] == "message_end"
    # One for each, so that the run counts as alive, and one with the text that was held back.
    assert len(found) in {len(texts) + 1, len(texts) + 2}


def test_an_event_that_is_all_thought_is_hidden_but_the_first_which_has_the_ids() -> None:
    found = seen(message("<think>"), message("Hm."), message("</think>"), message(""), message("Yes."), END)
    assert found == [message(""), None, None, message(""), message("Yes."), END]
    started: Event = {"event": "workflow_started", "workflow_run_id": "w", "data": {}}
    assert seen(started, chunk("<think>"), chunk("Hm.</think>Yes.")) == [started, None, chunk("Yes.")]


def test_a_file_with_text_that_is_all_thought_stays() -> None:
    file = {"event": "message_file", **IDS, "id": "f", "type": "image", "url": "/files/f.png", "answer": "Hm."}
    assert seen(message("Look: "), message("<think>"), file) == [message("Look: "), None, {**file, "answer": ""}]


def test_text_that_was_held_back_comes_before_the_end() -> None:
    assert seen(message("a <thi"), END) == [message("a "), message("<thi"), END]
    assert seen(chunk("<"), finished()) == [chunk(""), chunk("<"), finished()]
    name = "agent_message"
    assert seen(message("<", name), END) == [message("", name), message("<", name), END]
    file = {"event": "message_file", **IDS, "id": "m", "answer": "a<"}
    assert seen(file, END) == [{**file, "answer": "a"}, message("<"), END]
    for end in ({"event": "error", "code": "x"}, {"event": "workflow_paused", "data": {}}):
        assert [event["event"] for event in seen(message("<"), end) if event] == ["message", "message", end["event"]]


def test_text_that_was_held_back_comes_before_a_failure() -> None:
    def source() -> Iterator[Event]:
        yield message("a <thi")
        raise DuckError(502, "stream_interrupted", "x")

    filtered = guests.events(event for event in source())
    assert [next(filtered), next(filtered)] == [message("a "), message("<thi")]
    with pytest.raises(DuckError):
        next(filtered)


@pytest.mark.parametrize(("make", "name"), [(message, "message_replace"), (chunk, "text_replace")])
def test_a_text_that_replaces_all_begins_anew(make: Callable[..., Event], name: str) -> None:
    found = seen(make("<think>Hm."), make("<think>Well.</think>No.<", name), make("b>"))
    assert found == [make(""), make("No.", name), make("<b>")]
    assert seen(make("a"), make("No.<", name)) == [make("a"), make("No.", name), make("<")]
    assert seen(make("a"), make("", name), make("b")) == [make("a"), make("", name), make("b")]


def test_a_thought_ends_with_its_round_if_the_model_uses_a_tool_at_its_end() -> None:
    tool: Event = {"event": "agent_thought", **IDS, "id": "a", "tool": "draw", "thought": "<think>Hm."}
    name = "agent_message"
    found = seen(message("I draw.<think>Hm.", name), message("<", name), tool, message("<think>Well.</think>Here.", name), END)
    assert text_of(found) == "I draw.\n\nHere."
    assert text_of(seen(message("I draw. <", name), tool, message("b>", name), END)) == "I draw. <\n\nb>"


def test_a_thought_goes_on_while_an_agent_has_used_no_tool() -> None:
    thought: Event = {"event": "agent_thought", **IDS, "id": "a", "tool": "", "thought": ""}
    assert text_of(seen(message("<think>Hm."), thought, message("Hm."), END)) == ""


def test_a_thought_is_not_read_aloud() -> None:
    audio: Event = {"event": "tts_message", **IDS, "audio": "AA=="}
    last: Event = {"event": "tts_message_end", **IDS, "audio": ""}
    assert seen(message("a"), audio, last) == [message("a"), audio, last]
    assert seen(message("<think>a</think>b"), audio, END, audio, last)[1:] == [None, END, None, last]
    assert seen(message("<think>a</think>"), message("b", "message_replace"), audio)[2] is None


@pytest.mark.parametrize("mode", ["blocking", "streaming"])
@pytest.mark.parametrize("style", MIMETYPES)
def test_an_agents_answer_is_whole_although_its_model_ends_no_thought_before_a_tool(mode: str, style: str) -> None:
    tool: Event = {"event": "agent_thought", **IDS, "id": "a", "tool": "draw", "thought": ""}
    said = ["<think>\nSEC", "RET"], ["<think>\nSECRET", "\n</think>Here."]
    stream: list[Any] = [*(message(text, "agent_message") for text in said[0]), tool]
    stream += [*(message(text, "agent_message") for text in said[1]), END]
    refusal = http_error(400, "invalid_param", "Agent Chat App does not support blocking mode")
    body = {"query": "hi", "response_mode": mode}
    guest, holder = (
        body_of(call(Dify(stream, refusal), path=f"/x?format={style}", json=body, key=key, settings=PUBLIC)).decode()
        for key in (None, KEY)
    )
    assert "SEC" in holder
    assert "SEC" not in guest
    assert "Here." in guest


@pytest.mark.parametrize("key", [KEY, None], ids=["holder", "guest"])
def test_a_limit_that_an_agent_hits_after_it_has_begun_is_told_to_blocking_callers(key: str | None) -> None:
    limit: Event = {
        "event": "error",
        **IDS,
        "code": "completion_request_error",
        "status": 400,
        "message": "Error code: 429, wait",
    }
    stream: list[Any] = [message("I draw.", "agent_message"), limit]
    refusal = http_error(400, "invalid_param", "Agent Chat App does not support blocking mode")
    response = call(Dify(stream, refusal), key=key, settings=PUBLIC)
    assert (response.status_code, json_of(response)["code"]) == (429, "rate_limit_error")
    assert ("Error code: 429, wait" in json_of(response)["message"]) == (key is not None)


# Whole answers


def test_a_blocking_answer_has_no_thoughts() -> None:
    whole = {**blocking_sample("chat"), "answer": "<think>Hm.</think>Yes."}
    assert guests.answer(whole)["answer"] == "Yes."
    paused = {"event": "workflow_paused", "answer": "<think>a</think>b", "data": {"answer": "<think>a</think>b", "outputs": {}}}
    assert guests.answer(paused) == {"event": "workflow_paused", "answer": "b", "data": {"answer": "b", "outputs": {}}}


def test_outputs_have_no_thoughts() -> None:
    outputs = {"text": "<think>Hm.</think>Yes.", "list": ["<think>Hm."], "object": {"inner": f"{DETAILS}Hm.</details>\nYes."}}
    expected = {"text": "Yes.", "list": [""], "object": {"inner": "Yes."}}
    assert guests.answer(finished(**outputs))["data"]["outputs"] == expected
    for name in ("workflow_finished", "workflow_paused"):
        [shown] = seen({**finished(**outputs), "event": name})
        assert shown
        assert shown["data"]["outputs"] == expected


# Every format of every face

CHAT = [*map(message, ("<thi", "nk>\nSEC", "RET\n</th", "ink>\n\nYe", "s. `<think>` <", "b")), END]
CHAT_ANSWER = {"event": "message", **IDS, "id": "m", "mode": "chat", "answer": "<think>SECRET</think>\n\nYes. `<think>` <b"}
OLD_CHAT = [*map(message, (f"{DETAILS}\n", "SECRET", "</details>", "Yes. `<think>` <b")), END]
RESULT = finished(text="<think>SECRET</think>Yes. `<think>` <b")
WORKFLOW = [*map(chunk, ("<think>", "SECRET", "</think>", "Yes. `<think>` <b")), RESULT]
WORKFLOW_ANSWER = {name: field for name, field in RESULT.items() if name != "event"}
RUNS: Mapping[str, Any] = {
    "chat": ("chat", {"stream": CHAT, "blocking": CHAT_ANSWER}),
    "older": ("chat", {"stream": OLD_CHAT, "blocking": CHAT_ANSWER}),
    "workflow": ("workflow", {"stream": WORKFLOW, "blocking": WORKFLOW_ANSWER}),
    "silent workflow": ("workflow", {"stream": [RESULT], "blocking": WORKFLOW_ANSWER}),
}
each_run = pytest.mark.parametrize("run", RUNS)


@pytest.mark.parametrize("style", MIMETYPES)
@pytest.mark.parametrize("mode", ["blocking", "streaming"])
@each_run
def test_guests_get_no_thoughts_in_any_format_and_key_holders_all(run: str, mode: str, style: str) -> None:
    kind, script = RUNS[run]
    body = {"response_mode": mode, **({"query": "hi"} if kind == "chat" else {})}
    guest, holder = (
        body_of(call(Dify(**script), kind, path=f"/x?format={style}", json=body, key=key, settings=PUBLIC)).decode()
        for key in (None, KEY)
    )
    assert "SEC" in holder
    assert "SEC" not in guest
    assert "Yes." in guest or "Ye" in guest  # cut in two
    if style == "text":
        assert guest == "Yes. `<think>` <b\n"


@pytest.mark.parametrize("name", ["chat", "agent-chat", "advanced-chat", "workflow", "completion"])
def test_key_holders_get_everything_as_it_came(name: str) -> None:
    kind: Any = name if name in {"workflow", "completion"} else "chat"
    came = [
        json.loads(json.dumps(event).replace("a", "<think>a</think>")) if "tex" in event["event"] else event
        for event in sample(name)
    ]
    body = {"response_mode": "streaming", **({"query": "hi"} if kind == "chat" else {})}
    gone = body_of(call(Dify(stream=came), kind, path="/x?format=ndjson", json=body, settings=PUBLIC))
    assert [json.loads(line) for line in gone.splitlines()] == came


@pytest.mark.parametrize("stream", [True, False])
@each_run
def test_clients_of_openai_and_anthropic_get_no_thoughts_as_guests(run: str, stream: bool) -> None:
    kind, script = RUNS[run]
    for ask in (openai_calls.chat, openai_calls.respond, anthropic_calls.ask):
        guest, holder = (body_of(ask(openai_calls.App(kind, **script), key=key, stream=stream)).decode() for key in (None, KEY))
        assert "SEC" in holder
        assert "SEC" not in guest
        assert "Ye" in guest


@each_run
def test_hosts_of_mcp_get_no_thoughts_as_guests(run: str, state: State) -> None:
    kind, script = RUNS[run]
    state.memory.kinds[APP] = kind
    arguments = {"query": "hi"} if kind == "chat" else {}
    guest, holder = (
        body_of(mcp_calls.use(openai_calls.App(kind, **script, form={}), arguments, key=key, token=1)).decode()
        for key in (None, KEY)
    )
    assert "SEC" in holder
    assert "SEC" not in guest
    assert "Yes." in guest
