"""The answer of a run as one message of a chat."""

from typing import Any

import pytest

from duck.dify.parts import Begun, Failed, File, Reasoning, Step, Text, Tool, Usage
from duck.faces.reply import Piece, Reply
from duck.streams.format import Event

IDS: dict[str, Any] = {"conversation_id": "c", "message_id": "m", "task_id": "t"}
BEGUN = Begun(**IDS)
URL = "https://x.example/a.png"
BEGIN: Event = {"event": "ping", **IDS}
PAUSED = "[This app waits for a person in Dify.]"


def message(text: str) -> Event:
    return {"event": "message", **IDS, "answer": text}


def replaced(text: str, **more: Any) -> Event:
    return {"event": "message_replace", **IDS, "answer": text, **more}


def file(url: str, type_: str = "image", **more: Any) -> Event:
    return {"event": "message_file", **IDS, "id": url, "url": url, "type": type_, "belongs_to": "assistant", **more}


def finished(**data: Any) -> Event:
    return {"event": "workflow_finished", "workflow_run_id": "r", "data": {"status": "succeeded", **data}}


END: Event = {
    "event": "message_end",
    **IDS,
    "metadata": {"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
}
THOUGHT: Event = {"event": "agent_thought", **IDS, "id": "1", "tool": "clock", "thought": "Hm", "tool_input": "{}"}
LINK = Text(delta=f"\n\n![a.png]({URL})")
TEXTS: list[tuple[list[Event], list[str], str]] = [
    ([message("Hi"), message(" there"), END], ["Hi", " there"], "Hi there"),
    ([message("In pencil."), THOUGHT, message("Here."), END], ["In pencil.", "\n\nHere."], "In pencil.\n\nHere."),
    ([message("Hi"), replaced("Hi there")], ["Hi", " there"], "Hi there"),
    ([message("Hi"), replaced("Hi")], ["Hi"], "Hi"),
    ([message("Hi"), replaced("No.")], ["Hi", "\n\nNo."], "No."),
    ([message("Hi"), replaced("No."), message(" Yes.")], ["Hi", "\n\nNo.", " Yes."], "No. Yes."),
    ([replaced("No.")], ["No."], "No."),
    ([message("Hi"), file(URL), END], ["Hi", f"\n\n![a.png]({URL})"], f"Hi\n\n![a.png]({URL})"),
    ([file(URL), file(URL), END], [f"![a.png]({URL})"], f"![a.png]({URL})"),
    ([message("Hi"), file("/files/a.png"), file("ftp://x.example/a.png")], ["Hi"], "Hi"),
    (
        [file("https://x.example/a (1).pdf", "document", filename="[a]\\.pdf")],
        [link := "[\\[a\\]\\\\.pdf](https://x.example/a%20%281%29.pdf)"],
        link,
    ),
    ([file(URL, belongs_to="user"), message("Hi")], ["Hi"], "Hi"),
    ([finished(outputs={"a": "A", "b": 1})], ["A\n1"], "A\n1"),
    ([{"event": "text_chunk", "data": {"text": "Hi"}}, finished(outputs={"a": "A"})], ["Hi"], "Hi"),
    ([finished(outputs={"a": ""}, files=[{"url": URL, "type": "image"}])], [f"![a.png]({URL})"], f"![a.png]({URL})"),
    ([file(URL), finished(outputs={}, files=[{"url": URL, "type": "image"}])], [f"![a.png]({URL})"], f"![a.png]({URL})"),
    ([finished(outputs={})], [], ""),
    ([{"event": "workflow_paused", **IDS, "data": {}}], [PAUSED], PAUSED),
    ([message("Hi"), {"event": "workflow_paused", **IDS, "data": {}}], ["Hi", f"\n\n{PAUSED}"], f"Hi\n\n{PAUSED}"),
]


@pytest.mark.parametrize(("events", "deltas", "text"), TEXTS)
def test_the_text_of_a_run(events: list[Event], deltas: list[str], text: str) -> None:
    reply = Reply()
    pieces = [piece for event in [BEGIN, *events] for piece in reply.add(event)] + reply.finish()
    assert [piece.delta for piece in pieces if isinstance(piece, Text)] == deltas
    assert (reply.sent, reply.text, reply.failed) == ("".join(deltas), text, None)
    assert reply.is_filtered is any(event["event"] == "message_replace" for event in events)
    assert Reply().whole([BEGIN, *events]).text == text


def test_the_pieces_come_in_their_order() -> None:
    events: list[Event] = [
        {"event": "node_started", **IDS, "data": {"id": "n", "title": "LLM"}},
        {"event": "reasoning_chunk", **IDS, "data": {"reasoning": "Hm"}},
        {"event": "agent_log", **IDS, "data": {"id": "l"}},
        THOUGHT,
        message("Hi"),
        file(URL),
        {**END, "metadata": {**END["metadata"], "retriever_resources": [{"title": "Prices"}]}},
    ]
    reply = Reply()
    pieces: list[Piece] = [piece for event in events for piece in reply.add(event)] + reply.finish()
    step, tool = Step(id="n", title="LLM"), Tool(id="1", name="clock", thought="Hm", input="{}")
    assert pieces == [BEGUN, step, Reasoning(delta="Hm"), tool, Text(delta="Hi"), LINK]
    assert (reply.begun, reply.reasoning, reply.text) == (BEGUN, "Hm", f"Hi{LINK.delta}")
    assert reply.usage == Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)


def test_files_and_outputs_are_there_for_faces_that_do_not_link_them() -> None:
    reply = Reply()
    assert ([*reply.files], reply.outputs) == ([], {})
    reply.add(file(URL, mime_type="image/png"))
    reply.add(file("/files/b.png"))
    reply.add(finished(outputs={"a": "A", "n": 1}, files=[{"url": URL, "type": "image"}]))
    assert [*reply.files] == [File(url=URL, name="a.png", type="image", mime_type="image/png")]
    assert (reply.outputs, reply.text) == ({"a": "A", "n": 1}, "A\n1")


STOPPED = {"status": "stopped", "error": "Aborted: User requested stop"}
BROKE = "completion_request_error"
FAILURES: list[tuple[Event, str, str]] = [
    ({"event": "error", "code": "timeout", "message": "Too slow."}, "timeout", "Too slow."),
    ({"event": "error", "code": "invalid_param", "status": 400, "message": "It broke."}, BROKE, "It broke."),
    ({"event": "error", "code": "bad_request", "message": "It broke."}, BROKE, "It broke."),
    ({"event": "error", "code": "unknown", "message": "It broke."}, BROKE, "It broke."),
    ({"event": "error", "message": "It broke."}, BROKE, "It broke."),
    ({"event": "error", "status": 429, "message": "Slow down."}, "rate_limit_error", "Slow down."),
    (finished(status="failed", error="It broke."), "workflow_failed", "It broke."),
    (finished(**STOPPED), "workflow_failed", "Aborted: User requested stop"),
]


@pytest.mark.parametrize(("event", "code", "text"), FAILURES)
def test_nothing_comes_after_a_failure(event: Event, code: str, text: str) -> None:
    reply = Reply()
    assert reply.add(message("Hi")) == [BEGUN, Text(delta="Hi")]
    assert reply.add(file(URL)) == []
    assert reply.add(event) == [reply.failed] == [Failed(code=code, message=text)]
    assert reply.add(message("More")) == reply.add(event) == reply.finish() == []
    assert (reply.text, reply.sent) == ("Hi", "Hi")
