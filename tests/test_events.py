"""Reading Dify's events, and folding them into the answer of blocking mode and back."""

import re
from typing import Any

import pytest

from duck.dify import events
from duck.errors import DuckError
from duck.runs.run import Kind
from duck.streams.format import Event
from tests.support import STREAMS, blocking_sample, kind_of_sample, recorded, sample, without_nulls

CHAT = {
    "conversation_id": "c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a901",
    "message_id": "a41c2e7b-5d0f-4b8e-9c33-1f6a7d2b9e04",
    "created_at": 1784000000,
    "task_id": "0f3c9d52-7a41-4c1e-9b7e-3a1d5e2f8c10",
}
END = {"event": "message_end", **CHAT, "id": CHAT["message_id"], "metadata": {}, "files": []}


def message(answer: str, event: str = "message") -> dict[str, Any]:
    return {"event": event, **CHAT, "id": CHAT["message_id"], "answer": answer}


def of_chatflow(name: str, **data: Any) -> dict[str, Any]:
    return {"event": name, **CHAT, "workflow_run_id": "5b2f6c1d-0e9a-4f37-8a6b-7c4d3e2f1a00", "data": data}


def of_workflow(name: str, **data: Any) -> dict[str, Any]:
    run_id = "5b2f6c1d-0e9a-4f37-8a6b-7c4d3e2f1a00"
    return {"event": name, "workflow_run_id": run_id, "task_id": CHAT["task_id"], "data": data}


def failure(stream: list[dict[str, Any]], kind: Kind) -> DuckError:
    with pytest.raises(DuckError) as caught:
        events.fold(stream, kind)
    return caught.value


@pytest.mark.parametrize("name", ["chat", "completion", "advanced-chat", "workflow"])
def test_a_stream_folds_into_the_answer_of_blocking_mode(name: str) -> None:
    folded = events.fold(sample(name), kind_of_sample(name))

    assert without_nulls(folded) == without_nulls(blocking_sample(name))


def test_a_workflow_that_paused_folds_into_the_answer_of_blocking_mode() -> None:
    assert events.fold(sample("workflow.paused"), "workflow") == recorded("workflow.blocking.paused")


def test_a_workflow_that_failed_folds_into_the_answer_of_blocking_mode() -> None:
    expected = recorded("workflow.blocking.failed")
    expected["data"]["finished_at"] = 1784000003  # the two were recorded apart, a second or two later

    assert events.fold(sample("workflow.failed"), "workflow") == expected


def test_a_chatflow_that_paused_folds_into_the_answer_of_blocking_mode() -> None:
    expected = recorded("advanced-chat.blocking.paused")
    expected["metadata"] = expected["data"]["metadata"] = {}  # a stream that pauses has no message_end to bring any
    stream = [{**event, **CHAT} for event in sample("workflow.paused")]

    assert events.fold(stream, "chat") == expected


def test_an_agents_stream_folds_into_an_answer_with_its_files_and_thoughts() -> None:
    stream = sample("agent-chat")
    end = stream[-1]

    folded = events.fold(stream, "chat")

    thoughts = folded.pop("agent_thoughts")
    assert folded == {
        "event": "message",
        "task_id": "0f3c9d52-7a41-4c1e-9b7e-3a1d5e2f8c10",
        "id": "a41c2e7b-5d0f-4b8e-9c33-1f6a7d2b9e04",
        "message_id": "a41c2e7b-5d0f-4b8e-9c33-1f6a7d2b9e04",
        "conversation_id": "c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a901",
        "mode": "agent-chat",
        "answer": "I will draw it.\n\nHere is your fox.",
        "metadata": end["metadata"],
        "files": end["files"],
        "created_at": 1784000000,
    }
    assert [(thought["id"][-2:], thought["position"], thought["thought"], thought["tool"]) for thought in thoughts] == [
        ("01", 1, "I will draw it.", "text2image"),
        ("02", 2, "Here is your fox.", ""),
    ]


def test_an_agents_thought_is_kept_once_in_its_fullest_version() -> None:
    fullest = [event for event in sample("agent-chat") if event.get("observation")][-1]
    told = ("id", "position", "thought", "observation", "tool", "tool_labels", "tool_input", "message_files")

    first, _ = events.fold(sample("agent-chat"), "chat")["agent_thoughts"]

    assert {name: first[name] for name in told} == {name: fullest[name] for name in told}


def test_an_answer_without_files_and_thoughts_has_no_fields_for_them() -> None:
    assert not events.fold(sample("chat"), "chat").keys() & {"files", "agent_thoughts"}


def test_files_of_a_workflow_are_kept() -> None:
    files = [{"dify_model_identity": "__dify__file__", "type": "document", "url": "https://dify.example.com/files/a.pdf"}]

    folded = events.fold([of_workflow("workflow_finished", status="succeeded", outputs={}, files=files)], "workflow")

    assert folded["data"]["files"] == files


ANSWERS = {
    "replaced": ([message("bad"), message("Removed.", "message_replace")], "Removed."),
    "replaced and continued": ([message("bad"), message("Removed.", "message_replace"), message(" More.")], "Removed. More."),
    "replaced by nothing": ([message("bad"), message("", "message_replace")], ""),
    "text under the name of a file": ([message("A file: "), message("here.", "message_file")], "A file: here."),
    "a file": (
        [message("A file."), {"event": "message_file", **CHAT, "id": "7", "type": "image", "url": "https://x/y"}],
        "A file.",
    ),
    "no selector": ([{**message("Hi"), "from_variable_selector": None}], "Hi"),
    "agent": ([message("Thinking. ", "agent_message"), message("Done.", "agent_message")], "Thinking. Done."),
    "audio": ([{"event": "tts_message", **CHAT, "audio": "SUQz"}, message("Hi")], "Hi"),
    "unheard of": ([{"event": "brand_new", **CHAT, "answer": "?"}, message("Hi")], "Hi"),
    "null": ([message("Hi"), {**message(""), "answer": None}], "Hi"),
}


@pytest.mark.parametrize(("stream", "answer"), ANSWERS.values(), ids=ANSWERS.keys())
def test_the_answer_is_the_text_as_it_was_in_the_end(stream: list[dict[str, Any]], answer: str) -> None:
    assert events.fold([*stream, END], "chat")["answer"] == answer


@pytest.mark.parametrize(
    ("first", "mode"),
    [
        (message("Hi"), "chat"),
        (of_chatflow("workflow_started", inputs={}), "advanced-chat"),
        (message("Hi", "agent_message"), "agent-chat"),
        ({"event": "agent_thought", **CHAT, "id": "1", "position": 1, "thought": ""}, "agent-chat"),
    ],
    ids=["chatbot", "chatflow", "agent's words", "agent's thought"],
)
def test_the_mode_is_told_by_the_events(first: dict[str, Any], mode: str) -> None:
    assert events.fold([first, END], "chat")["mode"] == mode


def test_a_chatflow_with_an_agent_in_it_is_a_chatflow() -> None:
    stream = [of_chatflow("workflow_started", inputs={}), of_chatflow("agent_log", label="ROUND 1"), message("Hi"), END]

    assert events.fold(stream, "chat")["mode"] == "advanced-chat"


def test_what_comes_after_the_end_changes_nothing() -> None:
    spoken = [{"event": "tts_message", **CHAT, "audio": "SUQz"}, {"event": "tts_message_end", **CHAT, "audio": ""}]

    assert events.fold([*sample("chat"), *spoken], "chat") == events.fold(sample("chat"), "chat")


@pytest.mark.parametrize("name", ["agent-chat", "advanced-chat", "workflow", "workflow.paused"])
def test_folding_leaves_the_events_as_they_are(name: str) -> None:
    stream = sample(name)

    events.fold(stream, kind_of_sample(name))

    assert stream == sample(name)


def test_a_chatflow_that_was_stopped_ends_in_the_other_order_and_is_no_failure() -> None:
    stream = [
        of_chatflow("workflow_started", inputs={}),
        message("The Pro"),
        of_chatflow("workflow_finished", status="stopped", outputs={}, error="Workflow execution was aborted"),
        END,
    ]

    folded = events.fold(stream, "chat")

    assert (folded["event"], folded["mode"], folded["answer"]) == ("message", "advanced-chat", "The Pro")


@pytest.mark.parametrize("status", ["stopped", "partial-succeeded", "failed"])
def test_a_workflow_that_did_not_succeed_is_no_error_and_tells_by_its_status(status: str) -> None:
    end = of_workflow("workflow_finished", status=status, outputs={"a": 1}, error="Workflow execution was aborted")

    folded = events.fold([end], "workflow")

    assert (folded["data"]["status"], folded["data"]["outputs"], folded["data"]["error"]) == (
        status,
        {"a": 1},
        "Workflow execution was aborted",
    )


def test_a_chatflow_that_failed_is_an_error() -> None:
    error = failure(sample("advanced-chat.failed"), "chat")

    assert (error.status, error.code) == (429, "rate_limit_error")
    assert error.message == "Run failed: [langgenius/openai/openai] Rate Limit Error, 429 Too Many Requests"


def lasts(stream: list[dict[str, Any]], kind: Kind, *, plays_audio: bool = False) -> tuple[int, Event | None]:
    """After how many events a run is over, and the failure that is missing in it."""
    progress = events.Progress(kind, plays_audio=plays_audio)
    count = next((number for number, event in enumerate(stream, 1) if progress.add(event)), 0)
    return count, progress.failure()


STARTED, FINISHED = of_chatflow("workflow_started"), of_chatflow("workflow_finished", status="succeeded")
FAILED = of_chatflow("workflow_finished", status="failed", error="boom")
STOPPED = of_chatflow("workflow_finished", status="failed", error="Aborted: User requested stop")
WENT_WRONG = {"event": "error", "code": "invalid_param", "status": 400, "message": "Run failed: boom"}
SPOKEN = {"event": "tts_message_end", **CHAT, "audio": ""}
LATE = message("?")


@pytest.mark.parametrize(
    ("stream", "kind", "plays_audio", "count"),
    [
        ([message("Hi"), END, LATE], "chat", False, 2),
        ([message("Hi"), END, SPOKEN, LATE], "chat", True, 3),
        ([message("Hi"), SPOKEN, END, LATE], "chat", True, 3),
        ([STARTED, message("Hi"), END, FINISHED, LATE], "chat", False, 4),
        ([STARTED, message("Hi"), FINISHED, END, LATE], "chat", False, 4),
        ([STARTED, message("Hi"), END], "chat", False, 0),
        ([STARTED, FAILED, WENT_WRONG, LATE], "chat", False, 3),
        ([STARTED, FAILED], "chat", False, 0),
        ([STARTED, STOPPED], "chat", False, 0),
        ([STARTED, of_chatflow("workflow_paused"), LATE], "chat", False, 2),
        ([message("Hi"), WENT_WRONG, LATE], "completion", False, 2),
        ([of_workflow("workflow_started"), of_workflow("workflow_finished"), LATE], "workflow", False, 2),
    ],
)
def test_a_run_is_over_with_its_last_event_and_whatever_comes_then_is_not_waited_for(
    stream: list[dict[str, Any]], kind: Kind, count: int, *, plays_audio: bool
) -> None:
    assert lasts(stream, kind, plays_audio=plays_audio)[0] == count


@pytest.mark.parametrize("name", ["failflow", "chatflow.model-error"])
def test_a_failed_chatflow_ends_by_its_own_key_as_it_does_by_the_session(name: str) -> None:
    def told(event: Event | None) -> Any:
        assert event
        return {**event, "message": re.sub("req_id: [0-9a-f]+", "", event["message"]), **dict.fromkeys(CHAT)}

    by_session = sample(f"dify-1.16/{name}.plugin")
    assert lasts(by_session, "chat") == (len(by_session), None)
    own = lasts(sample(f"dify-1.16/{name}.service"), "chat")[1]
    assert told(own).items() <= told(by_session[-1]).items() | {("task_id", None)}
    assert own
    assert own["conversation_id"] == sample(f"dify-1.16/{name}.service")[0]["conversation_id"]


@pytest.mark.parametrize(
    "stream",
    [[STARTED, STOPPED], [STARTED, FINISHED], [STARTED, FAILED, WENT_WRONG], [of_workflow("workflow_finished", status="failed")]],
)
def test_nothing_is_missing_in_a_run_that_was_stopped_or_has_told_of_its_failure(stream: list[dict[str, Any]]) -> None:
    kind: Kind = "chat" if "conversation_id" in stream[0] else "workflow"
    assert lasts(stream, kind)[1] is None


def test_a_chatflow_that_was_stopped_by_its_own_key_is_as_long_as_it_got() -> None:
    folded = events.fold([STARTED, message("The Pro"), STOPPED], "chat")

    assert (folded["answer"], folded["metadata"]) == ("The Pro", {})


def test_an_answer_in_another_conversation_is_folded_and_unfolded_as_such() -> None:
    stream = [{**message("Hi"), events.RESTARTED: True}, {**END, events.RESTARTED: True}]
    folded = events.fold(stream, "chat")

    assert folded[events.RESTARTED] is True
    assert [event[events.RESTARTED] for event in events.unfold(folded, "chat")] == [True, True]


@pytest.mark.parametrize("kind", ["chat", "workflow", "completion"])
def test_an_error_event_is_an_error_wherever_it_comes(kind: Kind) -> None:
    event = {"event": "error", "code": "rate_limit_error", "status": 429, "message": "429 slow down"}

    error = failure([*sample(kind)[:-1], event], kind)

    assert (error.status, error.code, error.message) == (429, "rate_limit_error", "429 slow down")


@pytest.mark.parametrize("name", ["chat", "completion", "agent-chat", "workflow", "workflow.paused"])
def test_a_stream_that_was_cut_is_an_error_without_a_part_of_the_answer(name: str) -> None:
    error = failure(sample(name)[:-1], kind_of_sample(name))

    assert (error.status, error.code) == (502, "stream_interrupted")
    assert not [part for part in ("Pro plan", "haiku", "fox", "Rain") if part in error.message]


def test_a_chatflow_that_was_cut_before_the_end_of_its_message_is_an_error() -> None:
    stream = sample("advanced-chat")
    cut = next(i for i, event in enumerate(stream) if event["event"] == "message_end")

    assert failure(stream[:cut], "chat").code == "stream_interrupted"


@pytest.mark.parametrize("kind", ["chat", "workflow", "completion"])
def test_an_empty_stream_was_cut(kind: Kind) -> None:
    assert failure([], kind).code == "stream_interrupted"


@pytest.mark.parametrize("name", ["chat", "completion", "workflow"])
def test_unfolding_is_the_inverse_of_folding(name: str) -> None:
    answer = blocking_sample(name)

    assert events.fold(events.unfold(answer, kind_of_sample(name)), kind_of_sample(name)) == answer


@pytest.mark.parametrize("name", ["workflow.blocking.paused", "workflow.blocking.failed", "advanced-chat.blocking.paused"])
def test_unfolding_is_the_inverse_of_folding_where_a_run_did_not_succeed(name: str) -> None:
    answer = recorded(name)

    assert events.fold(events.unfold(answer, kind_of_sample(name)), kind_of_sample(name)) == answer


def test_unfolding_an_agents_answer_is_the_inverse_of_folding() -> None:
    answer = events.fold(sample("agent-chat"), "chat")

    assert events.fold(events.unfold(answer, "chat"), "chat") == answer


def test_unfolding_a_chatflows_answer_loses_nothing_but_its_mode() -> None:
    answer = blocking_sample("advanced-chat")

    # Without workflow events, of which a blocking answer knows nothing, it cannot be told from a chatbot's.
    assert events.fold(events.unfold(answer, "chat"), "chat") | {"mode": "advanced-chat"} == answer


@pytest.mark.parametrize(
    ("answer", "kind", "names"),
    [
        (blocking_sample("chat"), "chat", ["message", "message_end"]),
        (blocking_sample("completion"), "completion", ["message", "message_end"]),
        (blocking_sample("advanced-chat"), "chat", ["message", "message_end"]),
        (blocking_sample("workflow"), "workflow", ["workflow_finished"]),
        (recorded("workflow.blocking.failed"), "workflow", ["workflow_finished"]),
        (recorded("workflow.blocking.paused"), "workflow", ["workflow_paused"]),
    ],
    ids=["chat", "completion", "chatflow", "workflow", "failed workflow", "paused workflow"],
)
def test_an_answer_unfolds_into_the_closing_events_of_its_kind(answer: dict[str, Any], kind: Kind, names: list[str]) -> None:
    assert [event["event"] for event in events.unfold(answer, kind)] == names


@pytest.mark.parametrize(
    ("name", "kind"), [("chat", "chat"), ("agent-chat", "chat"), ("completion", "completion"), ("workflow", "workflow")]
)
def test_unfolded_events_carry_what_every_event_of_their_kind_carries(name: str, kind: Kind) -> None:
    of_kind = {
        "chat": {"conversation_id", "message_id", "created_at", "task_id"},
        "completion": {"message_id", "created_at", "task_id"},
        "workflow": {"workflow_run_id", "task_id"},
    }
    common = {field: sample(name)[0][field] for field in of_kind[kind]}

    unfolded = events.unfold(events.fold(sample(name), kind), kind)

    assert [{field: event.get(field) for field in of_kind[kind]} for event in unfolded] == [common] * len(unfolded)


@pytest.mark.parametrize("name", STREAMS)
def test_every_event_tells_the_kind_of_its_app(name: str) -> None:
    assert {events.kind_of(event) for event in sample(name)} == {kind_of_sample(name)}


@pytest.mark.parametrize(
    "name",
    [
        "chat.blocking",
        "completion.blocking",
        "advanced-chat.blocking",
        "advanced-chat.blocking.paused",
        "workflow.blocking",
        "workflow.blocking.failed",
        "workflow.blocking.paused",
    ],
)
def test_every_blocking_answer_tells_the_kind_of_its_app(name: str) -> None:
    assert events.kind_of(recorded(name)) == kind_of_sample(name)


def test_an_event_without_ids_tells_no_kind() -> None:
    assert events.kind_of({"event": "error", "code": "x", "status": 500, "message": "x"}) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"event": "message"}, True),
        ({"event": "brand_new"}, True),
        ({"event": None}, False),
        ({"event": 5}, False),
        ({}, False),
        ("ping", False),
        (None, False),
        (["event"], False),
    ],
    ids=repr,
)
def test_an_event_is_an_object_with_a_name(value: object, expected: bool) -> None:
    assert events.is_event(value) is expected


@pytest.mark.parametrize("name", sorted(set(STREAMS) - {"rare-events.chat", "rare-events.workflow"}))
def test_every_recorded_stream_has_an_end(name: str) -> None:
    assert any(events.ends(event) for event in sample(name))


@pytest.mark.parametrize(
    "name",
    ["message", "agent_message", "agent_thought", "workflow_started", "node_finished", "text_chunk", "human_input_required"],
)
def test_a_stream_does_not_end_in_its_middle(name: str) -> None:
    assert not events.ends({"event": name, "data": {}})


@pytest.mark.parametrize("data", [None, [], "x", {"text": None}, {"text": ["x"]}], ids=repr)
def test_an_event_with_other_data_than_usual_has_no_text(data: Any) -> None:
    event: Event = {"event": "text_chunk", "data": data}

    assert events.delta_of(event) == ""
