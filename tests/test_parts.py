"""Parsing a run's events into parts."""

from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck import texts
from duck.dify import events, guests
from duck.dify.parser import Parser, file_of
from duck.dify.parts import (
    Begun,
    Ended,
    Failed,
    File,
    Log,
    Outputs,
    Part,
    Reasoning,
    Replaced,
    Source,
    Sources,
    Step,
    Text,
    Tool,
    Usage,
)
from duck.faces.api.text import Text as PlainText
from duck.faces.page import Html
from duck.faces.page.view import View
from duck.streams.format import Event
from tests.fuzzing import JSON, TEXTS
from tests.support import SAMPLES, STREAMS, blocking_sample, kind_of_sample, recorded, sample

RECORDINGS = sorted({*STREAMS, *(f"dify-1.16/{path.stem}" for path in (SAMPLES / "dify-1.16").glob("*.ndjson"))})
IDS = {"conversation_id": "c", "message_id": "m", "task_id": "t"}
CONVERSATION = "c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a901"
MESSAGE = "a41c2e7b-5d0f-4b8e-9c33-1f6a7d2b9e04"
RUN = "5b2f6c1d-0e9a-4f37-8a6b-7c4d3e2f1a00"
TASK = "0f3c9d52-7a41-4c1e-9b7e-3a1d5e2f8c10"


def parsed(*stream: Event) -> list[Part]:
    parser = Parser()
    return [part for event in stream for part in parser.parse(event)]


def more(event: Event) -> list[Part]:
    """The parts of one event of a run that has begun."""
    parser = Parser()
    parser.parse({"event": "ping", "task_id": "t"})
    return parser.parse(event)


def of_node(event: str, **data: Any) -> dict[str, Any]:
    return {"event": event, "workflow_run_id": "r", "task_id": "t", "data": data}


def finished(**data: Any) -> dict[str, Any]:
    return of_node("workflow_finished", **data)


def thought(**fields: Any) -> dict[str, Any]:
    return {"event": "agent_thought", **IDS, "id": "1", **fields}


def outline(parts: list[Part]) -> str:
    """The kinds of parts in a row, steps with their titles and states, and each repeated kind once."""
    names = [f"{part.title}:{part.state}{part.round or ''}" if isinstance(part, Step) else type(part).__name__ for part in parts]
    return " ".join(name for name, _ in groupby(names))


BEGINS = "Begun Begin:running Begin:succeeded"
LOOPS = (
    f"{BEGINS} List:running List:succeeded Each:running Each:running1 Upper:running Upper:succeeded Each:running2 Upper:running "
    "Upper:succeeded Each:running3 Upper:running Upper:succeeded Each:succeeded Rounds:running Plus:running Plus:succeeded "
    "Rounds:running2 Plus:running Plus:succeeded Rounds:succeeded Call:running Call:retry Text Call:exception "
    "Rescue:running Text Rescue:succeeded Finish:running Finish:succeeded Usage Outputs Ended"
)
LLM = "The model:running Text The model:succeeded"
CHATFLOW = f"{BEGINS} {LLM} Say:running Say:succeeded"
OUTLINES = {
    "chat": "Begun Text Sources Usage Ended",
    "completion": "Begun Text Usage Ended",
    "agent-chat": "Begun Text Tool File Tool Text Usage Ended",
    "advanced-chat": (
        "Begun Start:running Start:succeeded LLM:running Text LLM:succeeded Answer:running Answer:succeeded Sources Usage Ended"
    ),
    "advanced-chat.failed": "Begun Start:running Start:succeeded LLM:running LLM:failed Failed",
    "workflow": (
        "Begun Start:running Start:succeeded Summarise:running Text Summarise:succeeded End:running End:succeeded "
        "Usage Outputs Ended"
    ),
    "workflow.failed": "Begun Start:running Start:succeeded Summarise:running Summarise:failed Failed",
    "workflow.paused": "Begun Start:running Start:succeeded Review:running Ended",
    "rare-events.chat": "Begun File Text Replaced Reasoning Usage Ended Failed",
    "rare-events.workflow": (
        "Begun Search:running Search:retry Search:succeeded Call API:exception Log Each item:running Each item:running1 "
        "Template:running Template:succeeded Each item:running2 Each item:succeeded Until done:running Until done:running2 "
        "Until done:succeeded Reasoning Replaced Ended Usage Outputs Failed"
    ),
    "dify-1.16/agent": "Begun Text Tool Text Usage Ended",
    "dify-1.16/chat": "Begun Text Usage Ended",
    "dify-1.16/chat.broken": "Begun Text Failed",
    "dify-1.16/chat.model-error": "Begun Failed",
    "dify-1.16/chatflow": f"{CHATFLOW} Usage Ended",
    "dify-1.16/chatflow.reasoning": f"{CHATFLOW} Usage Ended",
    "dify-1.16/chatflow.model-error.plugin": f"{BEGINS} The model:running The model:failed Failed",
    "dify-1.16/chatflow.model-error.service": f"{BEGINS} The model:running The model:failed",  # the gateway adds the error
    "dify-1.16/completion": "Begun Text Usage Ended",
    "dify-1.16/failflow.plugin": f"{CHATFLOW} Boom:running Boom:failed Failed",
    "dify-1.16/failflow.service": f"{CHATFLOW} Boom:running Boom:failed",  # likewise
    "dify-1.16/failing": f"{BEGINS} Boom:running Boom:failed Failed",
    "dify-1.16/human": f"{BEGINS} Ask:running Ended",
    "dify-1.16/humanflow": f"{BEGINS} Ask:running Ended",
    "dify-1.16/inputs": "Begun Text Begin:running Begin:succeeded Finish:running Finish:succeeded Usage Outputs Ended",
    "dify-1.16/loops": LOOPS,
    "dify-1.16/moderated": "Begun Text Replaced Usage Ended",
    "dify-1.16/template": f"{BEGINS} Shape:running Text Shape:succeeded Finish:running Finish:succeeded Usage Outputs Ended",
    "dify-1.16/workflow": f"{BEGINS} {LLM} Finish:running Finish:succeeded Usage Outputs Ended",
    "dify-1.16/workflow.model-error": f"{BEGINS} The model:running The model:failed Failed",
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recorded_stream_gives_its_parts(name: str) -> None:
    expected = OUTLINES.get(name) or OUTLINES[name.removesuffix(".plugin").removesuffix(".service")]
    assert outline(parsed(*sample(name))) == expected


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_texts_of_a_recorded_stream_add_up_to_its_text(name: str) -> None:
    assert_holds(sample(name))


def test_a_chat_is_told_in_full() -> None:
    stream = sample("chat")
    assert parsed(*stream) == [
        Begun(conversation_id=CONVERSATION, message_id=MESSAGE, task_id=TASK),
        *(Text(delta=event["answer"]) for event in stream[:3]),
        Sources(sources=(Source(title="pricing.md", content="The Pro plan costs 20 USD per month."),)),
        Usage(prompt_tokens=1033, completion_tokens=24, total_tokens=1057, price="0.0010810", currency="USD"),
        Ended(state="succeeded", seconds=1.2857),
    ]


def test_an_agents_tool_is_told_of_before_and_after_its_use() -> None:
    first, file, second = (part for part in parsed(*sample("agent-chat")) if isinstance(part, Tool | File))
    assert isinstance(first, Tool)
    assert isinstance(second, Tool)
    assert (first.name, first.thought, first.output) == ("text2image", "I will draw it.", None)
    assert (second.id, second.input) == (first.id, first.input)
    assert "image has been created" in str(second.output)
    assert isinstance(file, File)
    assert (file.type, file.name) == ("image", "88888888-2222-4333-8444-555555555504.png")


def test_a_workflow_is_told_in_full() -> None:
    parts = parsed(*sample("workflow"))
    assert parts[0] == Begun(workflow_run_id=RUN, task_id=TASK)
    assert parts[-3:] == [
        Usage(completion_tokens=1057, total_tokens=1057),
        Outputs(values={"summary": "Rain is coming."}),
        Ended(state="succeeded", seconds=3.204118),
    ]


def test_a_blocking_answer_gives_the_parts_of_its_end() -> None:
    assert outline(parsed(*events.unfold(blocking_sample("chat"), "chat"))) == "Begun Text Sources Usage Ended"
    assert (
        outline(parsed(*events.unfold(events.fold(sample("agent-chat"), "chat"), "chat"))) == "Begun Tool Text File Usage Ended"
    )
    assert outline(parsed(*events.unfold(blocking_sample("workflow"), "workflow"))) == "Begun Usage Outputs Ended"
    assert outline(parsed(*events.unfold(recorded("workflow.blocking.failed"), "workflow"))) == "Begun Failed"
    assert outline(parsed(*events.unfold(recorded("workflow.blocking.paused"), "workflow"))) == "Begun Ended"


# Single events


@pytest.mark.parametrize(
    ("event", "part"),
    [
        ({"event": "message", **IDS}, Begun(conversation_id="c", message_id="m", task_id="t")),
        ({"event": "message", **IDS, events.RESTARTED: True}, Begun(**IDS, is_restarted=True)),
        (of_node("workflow_started") | {"workflow_run_id": None}, Begun(task_id="t")),
        ({"event": "of tomorrow", "task_id": "t"}, Begun(task_id="t")),
    ],
)
def test_a_run_begins_with_its_ids(event: Event, part: Begun) -> None:
    assert parsed(event, event) == [part]


STEPS = [
    (
        of_node("node_started", id="1", node_id="2", node_type="llm", title="A"),
        Step(id="1", node_id="2", node_type="llm", title="A"),
    ),
    (of_node("node_started", id="1", node_type="llm"), Step(id="1", node_type="llm", title="llm")),
    (of_node("node_started", id="1", iteration_id="7"), Step(id="1", parent_id="7")),
    (of_node("node_started", id="1", loop_id="8", index=4), Step(id="1", parent_id="8")),
    (of_node("loop_next", id="1", index=1), Step(id="1", round=2)),
    (of_node("iteration_next", id="1", index=0), Step(id="1", round=1)),
    (of_node("node_retry", id="1", status="retry", retry_index=2, error="no"), Step(id="1", state="retry", retry=2, error="no")),
    (of_node("node_finished", id="1", status="failed", elapsed_time=2), Step(id="1", state="failed", seconds=2.0)),
    (of_node("loop_completed", id="1"), Step(id="1", state="succeeded")),
    (
        of_node("node_finished", id="1", status="exception", error='{"args":{},"error_type":"E","message":"no key"}'),
        Step(id="1", state="exception", error="no key"),
    ),
]


@pytest.mark.parametrize(("event", "part"), STEPS)
def test_a_step_has_a_state(event: Event, part: Step) -> None:
    assert more(event) == [part]


def test_a_tool_that_comes_with_its_output_at_once_is_told_of_twice() -> None:
    use = thought(tool="t", tool_input="i", observation="o", thought="x")
    first = Tool(id="1", name="t", thought="x", input="i")
    assert parsed(use, use)[1:] == [first, Tool(id="1", name="t", thought="x", input="i", output="o")]
    assert parsed(thought(), thought(thought="x"))[1:] == []


def test_the_text_after_a_tool_is_a_paragraph_of_its_own() -> None:
    said = {"event": "agent_message", **IDS, "answer": "Hi"}
    parser = Parser()
    assert [parser.parse(event)[-1] for event in (said, thought(tool="t"), said)] == [
        Text(delta="Hi"),
        Tool(id="1", name="t"),
        Text(delta="\n\nHi"),
    ]
    assert parser.text == "Hi\n\nHi"


OTHERS: list[tuple[Event, list[Part]]] = [
    (
        {"event": "message_replace", "answer": "No.", "reason": "output_moderation"},
        [Replaced(text="No.", reason="output_moderation")],
    ),
    (of_node("text_replace", text=""), [Replaced(text="")]),
    (of_node("reasoning_chunk", reasoning="a", node_id="2", is_final=False), [Reasoning(delta="a", node_id="2")]),
    (of_node("reasoning_chunk", reasoning="", is_final=True), [Reasoning(delta="", is_final=True)]),
    (of_node("reasoning_chunk", reasoning=7), []),
    (
        of_node("agent_log", id="1", parent_id="0", label="CALL", status="error", data={"a": 1}, error="no"),
        [Log(id="1", parent_id="0", label="CALL", state="error", data={"a": 1}, error="no")],
    ),
    (
        {"event": "message_file", "url": "/a.png", "type": "image", "belongs_to": "assistant"},
        [File(url="/a.png", name="a.png", type="image")],
    ),
    ({"event": "message_file", "url": "/a.png", "belongs_to": "user"}, []),
    ({"event": "message_file", "answer": "Hi"}, [Text(delta="Hi")]),
    ({"event": "message_end"}, [Ended(state="succeeded")]),
    (of_node("iteration_next", index="x"), []),
    ({"event": "tts_message", "audio": "SUQz"}, []),
    ({"event": "of tomorrow", "data": {"text": "?"}, "answer": "?"}, []),
]


@pytest.mark.parametrize(("event", "parts"), OTHERS)
def test_an_event_gives_its_parts(event: Event, parts: list[Part]) -> None:
    assert more(event) == parts


def test_a_file_is_told_of_once() -> None:
    first = {"event": "message_file", "id": "7", "url": "https://x.example/a?sign=1", "belongs_to": "assistant"}
    again = [{"url": "https://x.example/a?sign=2"}, {"url": "https://x.example/b", "related_id": "7"}, {"url": None}, "odd"]
    end = {"event": "message_end", "files": [*again, {"remote_url": "https://x.example/c", "size": 5.0}]}
    files = [part for part in parsed(first, end) if isinstance(part, File)]
    assert files == [File(url="https://x.example/a?sign=1", name="a"), File(url="https://x.example/c", name="c", size=5)]


@pytest.mark.parametrize("value", [None, "x", [], {}, {"url": ""}, {"url": 5}, {"url": None, "remote_url": None}], ids=repr)
def test_what_has_no_address_is_no_file(value: object) -> None:
    assert file_of(value) is None


# Ends


A_FILE = {"dify_model_identity": "__dify__file__", "url": "/a"}
OUTPUT_FILES = {"one": A_FILE, "more": [{**A_FILE, "url": "/b"}, "text"], "other": {"url": "/c"}}
STOPPED = {"status": "failed", "error": "Aborted: User requested stop"}
ENDS: list[tuple[Event, list[Part]]] = [
    (finished(status="failed", error="no"), [Failed(code="workflow_failed", message="no")]),
    (finished(status="failed"), [Failed(code="workflow_failed", message="failed")]),
    (finished(status="stopped", elapsed_time=1), [Ended(state="stopped", message="stopped", seconds=1.0)]),
    (finished(**STOPPED), [Ended(state="stopped", message="Aborted: User requested stop")]),
    ({**finished(**STOPPED), **IDS}, [Ended(state="stopped", message="Aborted: User requested stop")]),
    ({**finished(status="failed", error="no"), **IDS}, []),
    ({**finished(status="succeeded", outputs={"answer": "Hi"}), **IDS}, []),
    (finished(status="partial-succeeded", outputs=[1]), [Outputs(values={}), Ended(state="partial-succeeded")]),
    (
        finished(status="succeeded", outputs={"a": 1}, files=[{"url": "https://x.example/a"}, {}]),
        [Outputs(values={"a": 1}, files=(File(url="https://x.example/a", name="a"),)), Ended(state="succeeded")],
    ),
    (  # as a blocking answer gives it
        finished(status="succeeded", outputs=OUTPUT_FILES),
        [Outputs(values=OUTPUT_FILES, files=(File(url="/a", name="a"), File(url="/b", name="b"))), Ended(state="succeeded")],
    ),
    (of_node("workflow_paused", elapsed_time=2.5), [Ended(state="paused", seconds=2.5)]),
    ({"event": "error", "code": "timeout", "status": 504, "message": "Too slow."}, [Failed(code="timeout", message="Too slow.")]),
    ({"event": "error", "code": "timeout", "message": ""}, [Failed(code="timeout", message="timeout")]),
    ({"event": "error", "code": "x", "status": 429, "message": "no"}, [Failed(code="rate_limit_error", message="no")]),
    (
        {
            "event": "error",
            "code": "invalid_param",
            "status": 400,
            "message": "Run failed: req_id: 0123456789 PluginInvokeError: no",
        },
        [Failed(code="invalid_param", message="Run failed: no")],
    ),
]


@pytest.mark.parametrize(("event", "parts"), ENDS)
def test_an_end_says_how_the_run_went(event: Event, parts: list[Part]) -> None:
    assert more(event) == parts


@pytest.mark.parametrize("event", [{"event": "error"}, {"event": "error", "code": ["x"], "message": 7, "status": "x"}])
def test_a_failure_without_words_says_so(event: Event) -> None:
    assert parsed(event) == [Failed(code="", message="Dify failed, and gave no reason. Try again.")]


def test_a_chatflow_that_was_stopped_ends_once() -> None:
    end = {"event": "message_end", **IDS, "metadata": {"usage": {"total_tokens": 3}}}
    ends = parsed({**finished(**STOPPED), **IDS}, end)
    assert ends[1:] == [Ended(state="stopped", message="Aborted: User requested stop"), Usage(total_tokens=3)]


def test_a_failed_run_has_no_other_end() -> None:
    assert outline(parsed({"event": "error"}, {"event": "message_end"})) == "Failed"


def test_outputs_have_a_text() -> None:
    assert Outputs(values={"a": "Rain.", "b": [1]}).text() == "Rain.\n- 1"


# Guests


GUESTS = {
    "agent-chat": "Begun Text File Text Ended",
    "chat": "Begun Text Sources Ended",
    "workflow": OUTLINES["workflow"].replace("Usage ", ""),
    "workflow.failed": OUTLINES["workflow.failed"],
    "workflow.paused": OUTLINES["workflow.paused"],
    "advanced-chat.failed": OUTLINES["advanced-chat.failed"],
}


def for_guests(name: str) -> list[Event]:
    return [shown for event in sample(name) if (shown := guests.event_for_guest(event))]


@pytest.mark.parametrize(("name", "expected"), GUESTS.items(), ids=GUESTS.keys())
def test_guests_get_fewer_parts(name: str, expected: str) -> None:
    assert outline(parsed(*for_guests(name))) == expected


def test_guests_get_sources_without_their_contents() -> None:
    (sources,) = (part for part in parsed(*for_guests("chat")) if isinstance(part, Sources))
    assert {source.content for source in sources.sources} == {""}


@pytest.mark.parametrize("name", ["workflow.failed", "advanced-chat.failed"])
def test_what_guests_read_of_a_failure_can_be_translated(name: str) -> None:
    stream = for_guests(name)
    (failed,) = (part for part in parsed(*stream) if isinstance(part, Failed))
    assert isinstance(failed.message, texts.Text)
    page = Html(View(kind=kind_of_sample(name), language="pt"))
    assert failed.message not in "".join(page.event(event).decode() for event in stream)


# Whatever comes


NAMES = st.sampled_from(sorted({event["event"] for name in RECORDINGS for event in sample(name)})) | TEXTS
FIELDS = st.sampled_from(
    sorted({name for path in RECORDINGS for event in sample(path) for name in (*event, *events.data_of(event))} - {"event"})
)
SMALL = st.sampled_from(["1", "2", "succeeded", "failed", "stopped", "https://x.example/a", 0, 1, True]) | JSON
DATA = st.dictionaries(FIELDS, SMALL | st.dictionaries(FIELDS, SMALL, max_size=4), max_size=8)
EVENTS = st.builds(
    lambda name, common, data: {**common, **data, "event": name},
    NAMES,
    st.sampled_from([{}, IDS, {"workflow_run_id": "r", "task_id": "t"}]),
    DATA | st.builds(lambda data: {"data": data}, DATA | JSON),
)


def assert_holds(stream: list[Any]) -> None:
    parser, parts = Parser(), parsed(*stream)
    text = ""
    for part in parts:
        text = part.text if isinstance(part, Replaced) else text + part.delta if isinstance(part, Text) else text
    for event in stream:
        parser.parse(event)
    assert text == parser.text == events.text_of(stream)
    kinds = [type(part) for part in parts]
    assert kinds.count(Begun) <= 1
    assert kinds.count(Ended) <= 1
    assert Failed not in kinds or Ended not in kinds[kinds.index(Failed) :]
    calls = [part for part in parts if isinstance(part, Tool)]
    assert [call.id for call in calls if call.output is None] == list(dict.fromkeys(call.id for call in calls))


@given(st.lists(EVENTS, max_size=6))
def test_no_event_breaks_the_parser_or_what_reads_its_parts(stream: list[dict[str, Any]]) -> None:
    assert_holds(stream)
    for writer in (Html(View(kind="chat", part=True)), PlainText()):
        for event in stream:
            writer.event(event)
        writer.tail()
