"""What clients of AG-UI get of every recorded run, checked by the protocol's own types and rules of order."""

import itertools
from typing import Any

from duck.faces.agui.stream import Ids, Stream
from duck.state import State
from tests.agui_calls import RUN, ask, numbered, post, verify
from tests.openai_calls import App, chat, events_of, user
from tests.support import APP, KEY, body_of, http_error, json_of, sample
from tests.test_openai_streams import AT_ONCE, PUBLIC, each_caller, each_run, end_of, recording

BODY = {**RUN, "messages": numbered(user("Hi"))}
IDS = {"conversation_id": "0" * 8 + "-0000-4000-8000-" + "0" * 12, "message_id": "1" * 8 + "-1111-4111-8111-" + "1" * 12}
END: dict[str, Any] = {"event": "message_end", **IDS, "metadata": {}}
SHOWN_TO_GUESTS = {"RUN", "TEXT", "STEP"}
TOKEN = "t"


def told(*events: dict[str, Any]) -> list[Any]:
    """What a run's events become, without the one that begins it."""
    ended: list[str] = []
    stream = Stream(Ids(thread_id="a", run_id="b", token=lambda _: TOKEN), ended=lambda _, text: ended.append(text))
    found = events_of(b"".join([*map(stream.event, events), stream.tail()]))
    verify(found)
    has_failed = found[-1]["type"] == "RUN_ERROR"
    assert ended == ([] if has_failed else ["\n\n".join(texts(found).values())])
    return found[1:]


def texts(events: list[Any]) -> dict[str, str]:
    """The texts of the messages, by their ids."""
    found: dict[str, str] = {}
    for event in events:
        if event["type"] == "TEXT_MESSAGE_CONTENT":
            found[event["messageId"]] = found.get(event["messageId"], "") + event["delta"]
    return found


def words(text: str) -> list[str]:
    return text.split()


@each_run
@each_caller
def test_a_recorded_run(name: str, key: str | None, state: State) -> None:
    dify, end = recording(name, state), end_of(name, key)
    response = post(dify, BODY, key=key, settings=PUBLIC)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream")
    body = body_of(response)
    events = events_of(body)
    assert events_of(body, cut=1) == events
    verify(events)
    first, last = events[0], events[-1]
    assert first == {"type": "RUN_STARTED", **RUN, "protocolVersion": "1.0"}
    if key is None:
        assert {event["type"].partition("_")[0] for event in events} <= SHOWN_TO_GUESTS
        assert "usage" not in last
    chunks = events_of(chat(dify, key=key, settings=PUBLIC, stream=True))
    if isinstance(end, tuple):
        assert last.keys() == {"type", "message", "code"}
        assert (last["type"], last["message"]) == ("RUN_ERROR", chunks[-1]["error"]["message"])
        return
    assert {field: last[field] for field in last if field != "usage"} == {
        "type": "RUN_FINISHED",
        **RUN,
        "outcome": {"type": "success"},
    }
    said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1])
    assert words(" ".join(texts(events).values())) == words(said)


@each_caller
def test_a_run_that_fails_with_its_first_event_has_its_true_status(key: str | None, state: State) -> None:
    response = post(recording(AT_ONCE, state), BODY, key=key, settings=PUBLIC)
    assert (response.status_code, json_of(response).keys()) == (502, {"code", "message", "status"})


def test_an_agent_that_uses_a_tool(state: State) -> None:
    events = events_of(post(recording("dify-1.16/agent.plugin", state), BODY, settings=PUBLIC))
    first, second = texts(events)
    assert (first[:4], second) == ("msg_", f"{first}_2")
    assert texts(events) == {first: "Let me look. ", second: "The tool said: 2026"}
    call = "call_ab08abc8-4db5-485f-9285-8d55f3d083d5"
    assert [event for event in events if "CONTENT" not in event["type"]] == [
        {"type": "RUN_STARTED", **RUN, "protocolVersion": "1.0"},
        {"type": "TEXT_MESSAGE_START", "messageId": first, "role": "assistant"},
        {"type": "TEXT_MESSAGE_END", "messageId": first},
        {"type": "TOOL_CALL_START", "toolCallId": call, "toolCallName": "current_time", "parentMessageId": first},
        {"type": "TOOL_CALL_ARGS", "toolCallId": call, "delta": '{"current_time": {}}'},
        {"type": "TOOL_CALL_END", "toolCallId": call},
        {
            "type": "TOOL_CALL_RESULT",
            "messageId": f"result_{call}",
            "toolCallId": call,
            "content": '{"current_time": "2026"}',
            "role": "tool",
        },
        {"type": "TEXT_MESSAGE_START", "messageId": second, "role": "assistant"},
        {"type": "TEXT_MESSAGE_END", "messageId": second},
        {
            "type": "RUN_FINISHED",
            **RUN,
            "outcome": {"type": "success"},
            "usage": [{"inputTokens": 22, "outputTokens": 7, "totalTokens": 29}],
        },
    ]


def thought(id_: str, tool: str, given: str = "", observation: str = "") -> dict[str, Any]:
    return {"event": "agent_thought", **IDS, "id": id_, "tool": tool, "tool_input": given, "observation": observation}


def said(text: str) -> dict[str, Any]:
    return {"event": "agent_message", **IDS, "answer": text}


def brief(events: list[Any]) -> list[str]:
    """Each event as its name and the part of it that tells most."""
    fields = ("delta", "content", "parentMessageId", "stepName", "code")
    return [" ".join([event["type"], *(repr(event[field]) for field in fields if field in event)]) for event in events]


def test_a_call_has_a_result_and_a_message_that_it_belongs_to() -> None:
    """Also if no text has come before it, and if no result comes."""
    assert brief(told(thought("1", "a"), thought("1", "a", "{}", "done"), said("So"), thought("2", "b", "{}"), END)) == [
        "TOOL_CALL_START 'msg_t'",
        "TOOL_CALL_ARGS '{}'",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT 'done'",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT 'So'",
        "TEXT_MESSAGE_END",
        "TOOL_CALL_START 'msg_t_2'",
        "TOOL_CALL_ARGS '{}'",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT ''",
        "RUN_FINISHED",
    ]


def test_a_result_that_comes_after_further_text_ends_that_text() -> None:
    events = told(thought("1", "a"), said("Wait"), thought("1", "a", "", "done"), said("\n\n"), said("So"), END)
    assert brief(events)[3:] == [
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT 'Wait'",
        "TEXT_MESSAGE_END",
        "TOOL_CALL_RESULT 'done'",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT 'So'",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]


def test_calls_without_an_id_of_difys_have_one() -> None:
    assert told(thought("", "a"), END)[0]["toolCallId"] == "call_t"


def reasoned(text: str, *, is_final: bool = False) -> dict[str, Any]:
    return {"event": "reasoning_chunk", **IDS, "data": {"reasoning": text, "is_final": is_final}}


def test_reasoning_and_text_are_messages_in_turn() -> None:
    events = told(
        reasoned("a"), reasoned("b"), said("A"), reasoned("c"), reasoned("", is_final=True), said("B"), reasoned("d"), END
    )
    assert [event["messageId"] for event in events if event["type"].endswith("_MESSAGE_START")] == [
        "reasoning_t",
        "msg_t",
        "reasoning_t_2",
        "msg_t_2",
        "reasoning_t_3",
    ]
    begun, ended = ["REASONING_START", "REASONING_MESSAGE_START"], ["REASONING_MESSAGE_END", "REASONING_END"]
    assert brief(events) == [
        *(*begun, "REASONING_MESSAGE_CONTENT 'a'", "REASONING_MESSAGE_CONTENT 'b'", *ended),
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT 'A'", "TEXT_MESSAGE_END"),
        *(*begun, "REASONING_MESSAGE_CONTENT 'c'", *ended),
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT 'B'", "TEXT_MESSAGE_END"),
        *(*begun, "REASONING_MESSAGE_CONTENT 'd'", *ended),
        "RUN_FINISHED",
    ]


def step(name: str, id_: str, **data: Any) -> dict[str, Any]:
    return {"event": name, **IDS, "data": {"id": id_, "node_id": "n", "title": "LLM", **data}}


def test_a_step_is_active_from_its_first_execution_to_the_last_of_those_at_the_same_time() -> None:
    events = told(
        step("node_started", "1"),
        step("node_retry", "1"),
        step("node_started", "2"),
        step("iteration_next", "1", index=0),
        step("node_finished", "1"),
        step("node_finished", "2"),
        step("node_finished", "2"),
        step("node_started", "3"),
        step("node_started", "4", title="", node_id="m"),
        step("node_started", "5", title="End", node_id=""),
        END,
    )
    assert brief(events) == [
        "STEP_STARTED 'LLM (n)'",
        "STEP_FINISHED 'LLM (n)'",
        "STEP_STARTED 'LLM (n)'",
        "STEP_STARTED 'm'",
        "STEP_STARTED 'End'",
        "STEP_FINISHED 'End'",
        "STEP_FINISHED 'm'",
        "STEP_FINISHED 'LLM (n)'",
        "RUN_FINISHED",
    ]


def test_a_failure_ends_what_is_open_and_nothing_comes_after_it() -> None:
    error = {"event": "error", **IDS, "status": 400, "code": "x", "message": "It broke."}
    events = told(step("node_started", "1"), thought("1", "a"), said("Half"), error, said("more"), END)
    assert brief(events)[4:] == [
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT 'Half'",
        "TEXT_MESSAGE_END",
        "TOOL_CALL_RESULT ''",
        "STEP_FINISHED 'LLM (n)'",
        "RUN_ERROR 'x'",
    ]
    assert events[-1] == {"type": "RUN_ERROR", "message": "It broke.", "code": "x"}
    assert brief(told(said("Half"), reasoned("Hm"), error))[-3:] == ["REASONING_MESSAGE_END", "REASONING_END", "RUN_ERROR 'x'"]


def test_a_run_that_says_nothing_begins_and_ends() -> None:
    assert brief(told()) == ["RUN_FINISHED"]
    assert brief(told(END)) == ["RUN_FINISHED"]


def test_a_file_is_linked_after_the_last_text() -> None:
    file = {
        "event": "message_file",
        **IDS,
        "id": "f",
        "type": "image",
        "belongs_to": "assistant",
        "url": "https://x.example/a.png",
    }
    assert texts(told(said("Here"), file, END)) == {"msg_t": "Here\n\n![a.png](https://x.example/a.png)"}
    assert texts(told(said("Here"), file, thought("1", "a"), END)) == {
        "msg_t": "Here",
        "msg_t_2": "![a.png](https://x.example/a.png)",
    }


def test_each_moment_of_a_run_is_in_order() -> None:
    """Whatever has come when a failure comes."""
    events = [*sample("dify-1.16/agent.plugin"), *sample("rare-events.chat")[:5]]
    error = {"event": "error", "status": 500, "code": "x", "message": "It broke."}
    for count in range(len(events)):
        assert told(*events[:count], error)[-1]["type"] == "RUN_ERROR"


def test_a_run_that_is_silent_sends_comments() -> None:
    stream = Stream(Ids(thread_id="a", run_id="b", token=lambda _: TOKEN), ended=lambda *_: None)
    pieces = [stream.keep_alive(), stream.event(said("A")), stream.keep_alive(), stream.tail()]
    assert [event["type"] for event in events_of(b"".join(pieces))] == [
        "RUN_STARTED",
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        "RUN_FINISHED",
    ]
    assert pieces[0] == b": ping\n\n"


def test_ids_of_messages_differ_from_run_to_run_even_if_dify_gives_none(state: State) -> None:
    state.memory.kinds[APP] = "workflow"
    events = [{"event": "text_chunk", "data": {"text": "Hi"}}, {"event": "workflow_finished", "data": {"status": "succeeded"}}]
    dify = App("workflow", stream=events, blocking=http_error(500, "x", "x"))
    ids = [[*texts(events_of(ask(dify, key=KEY)))] for _ in range(2)]
    assert [len(each) for each in ids] == [1, 1]
    assert len({*itertools.chain(*ids)}) == 2
