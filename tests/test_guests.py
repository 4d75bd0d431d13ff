"""What guests get to see: every field of every sample has been decided about, and nothing that is planted comes through."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from duck.dify import guests
from duck.errors import guest_message
from duck.faces.api.formats import MIMETYPES
from duck.streams.format import Event
from tests.support import (
    APP,
    KEY,
    SAMPLES,
    SETTINGS,
    STREAMS,
    Dify,
    blocking_sample,
    body_of,
    call,
    kind_of_sample,
    recorded,
    sample,
)

PUBLIC = {**SETTINGS, "public_apps": APP}
BLOCKING = sorted(path.name.removesuffix(".json") for path in SAMPLES.glob("*.blocking*.json") if "agent" not in path.name)

# Fields that guests do not see, where they are: an asterisk stands for any event. A field that is neither shown nor here is one
# that nobody has decided about.
HIDDEN = {
    "*": "from_variable_selector",
    "agent_thought": "*",
    "agent_log": "*",
    "reasoning_chunk": "*",
    "error": "message",  # a sentence of Duck's takes its place
    "message_replace": "reason",
    "message_end": "metadata.usage metadata.reasoning metadata.annotation_reply",
    "message_end.metadata.retriever_resources": (
        "dataset_id dataset_name document_id data_source_type segment_id retriever_from score hit_count word_count "
        "segment_position index_node_hash content page doc_metadata files summary"
    ),
    "message_end.files": "related_id transfer_method upload_file_id remote_url belongs_to",
    "workflow_started": "data.inputs",
    "workflow_paused": "data.reasons data.total_tokens",
    "workflow_finished": "data.error data.total_tokens data.created_by data.exceptions_count",
    "workflow_finished.data.files": "dify_model_identity transfer_method remote_url reference related_id",
    "node": (
        "data.inputs data.inputs_truncated data.process_data data.process_data_truncated data.outputs data.outputs_truncated "
        "data.error data.execution_metadata data.files data.extras data.agent_strategy data.pre_loop_output data.total_tokens"
    ),
    "text_chunk": "data.from_variable_selector",
    "human": (
        "data.form_id data.form_content data.inputs data.actions data.display_in_ui data.form_token data.approval_channels "
        "data.resolved_default_values data.rendered_content data.action_id data.action_text data.submitted_data"
    ),
}
NODES = ("node_", "iteration_", "loop_")


def paths(value: Any, path: str = "") -> Iterator[str]:
    """The path of every field, lists left out; what lies in outputs and inputs is one field."""
    if isinstance(value, list):
        for item in value:
            yield from paths(item, path)
    elif isinstance(value, Mapping) and path.rpartition(".")[2] not in {
        "outputs",
        "inputs",
        "usage",
        "reasoning",
        "execution_metadata",
    }:
        for name, inner in value.items():
            yield from paths(inner, f"{path}.{name}" if path else name)
    else:
        yield path


def hidden(event: Event) -> set[str]:
    name = str(event["event"])
    group = "node" if name.startswith(NODES) else "human" if name.startswith("human_") else name
    found = set(HIDDEN["*"].split()) | set(HIDDEN.get(group, "").split())
    for place, names in HIDDEN.items():
        if place.startswith(f"{group}.") and group == name:
            found |= {f"{place.removeprefix(name + '.')}.{field}" for field in names.split()}
    return found


def is_hidden(path: str, fields: set[str]) -> bool:
    return "*" in fields or any(path == field or path.startswith(f"{field}.") for field in fields)


@pytest.mark.parametrize("name", STREAMS)
def test_every_field_of_an_event_is_shown_or_hidden_on_purpose(name: str) -> None:
    for event in sample(name):
        shown = set(paths(guests.event_for_guest(event) or {}))
        undecided = {path for path in paths(event) if path not in shown and not is_hidden(path, hidden(event))}
        assert undecided == set(), event["event"]
        leaked = {path for path in shown if is_hidden(path, hidden(event))} - {"message", "data.error"}
        assert leaked == set(), event["event"]


def test_an_event_of_tomorrow_is_not_shown() -> None:
    assert guests.event_for_guest({"event": "tomorrow", "answer": "x"}) is None


def test_fields_of_tomorrow_are_not_shown() -> None:
    event = {"event": "message", "answer": "x", "prompt": "secret", "id": "1"}
    assert guests.event_for_guest(event) == {"event": "message", "answer": "x", "id": "1"}


@pytest.mark.parametrize(
    "odd", [{"data": None}, {"data": [1]}, {"data": "x"}, {"metadata": 7}, {"files": 7}, {"files": ["x"]}, {}]
)
def test_odd_fields_do_no_harm(odd: dict[str, Any]) -> None:
    for name in ("message_end", "node_finished", "workflow_finished"):
        assert (guests.event_for_guest({"event": name, **odd}) or {})["event"] == name


def test_an_answer_of_one_delta_looks_as_it_is() -> None:
    assert guests.answer(blocking_sample("chat")) == {
        **{name: blocking_sample("chat")[name] for name in ("event", "task_id", "id", "message_id", "conversation_id", "mode")},
        "answer": "The Pro plan costs 20 USD per month.",
        "metadata": {"retriever_resources": [{"position": 1, "document_name": "pricing.md", "title": None}]},
        "created_at": 1784000000,
    }


def test_a_failed_run_says_that_it_failed_and_not_why() -> None:
    answer = guests.answer(recorded("workflow.blocking.failed"))
    assert (answer["data"]["status"], answer["data"]["error"]) == ("failed", guest_message(""))
    finished = guests.event_for_guest(sample("workflow.failed")[-1])
    assert finished
    assert finished["data"]["error"] == guest_message("")
    assert "error" not in (guests.event_for_guest(sample("workflow")[-1]) or {})["data"]


# Needles


class Needles:
    """Puts a word of its own into each field that guests do not see."""

    def __init__(self) -> None:
        self.planted: list[str] = []

    def into(self, value: Any, fields: set[str], path: str = "") -> Any:
        """The value with them; whatever lies below a hidden field is one."""
        if is_hidden(path, fields) and path not in {"", "event"}:
            self.planted.append(f"needle-{len(self.planted)}.")
            return self.planted[-1]
        if isinstance(value, list):
            return [self.into(item, fields, path) for item in value]
        if isinstance(value, Mapping):
            return {name: self.into(inner, fields, f"{path}.{name}" if path else name) for name, inner in value.items()}
        return value


# All in one format, and two in all of them: the formats get what is left for guests.
@pytest.mark.parametrize(
    ("name", "style"),
    [*((name, "ndjson") for name in STREAMS), *((name, style) for name in ("agent-chat", "workflow") for style in MIMETYPES)],
)
def test_of_what_is_planted_in_a_stream_a_guest_sees_nothing_and_a_key_holder_all(name: str, style: str) -> None:
    needles = Needles()
    events = [needles.into(event, hidden(event)) for event in sample(name)]
    body = {"query": "hi", "response_mode": "streaming"}
    kind, path = kind_of_sample(name), f"/x?format={style}"
    streams = [[sample(kind)[0], event] for event in events] if name.startswith("rare") else [events]  # of which several are ends
    guest, holder = (
        "".join(
            body_of(call(Dify(stream=stream), kind, path=path, json=body, key=key, settings=PUBLIC)).decode()
            for stream in streams
        )
        for key in (None, KEY)
    )
    assert "needle-" not in guest
    if style in {"ndjson", "sse"}:
        assert [needle for needle in needles.planted if needle not in holder] == []
        assert needles.planted


# A blocking answer has what the event has that would end the stream, and in `data` a paused chatflow's as a whole.
_OF_RUNS = {name for event in ("workflow_finished", "workflow_paused") for name in HIDDEN[event].split()}
_OF_ANSWERS = hidden({"event": "message_end"})
HIDDEN_IN_ANSWERS = {*_OF_RUNS, *_OF_ANSWERS, *(f"data.{name}" for name in _OF_ANSWERS)}


@pytest.mark.parametrize(
    ("name", "style"), [*((name, "json") for name in BLOCKING), *(("workflow.blocking.failed", style) for style in MIMETYPES)]
)
def test_of_what_is_planted_in_a_blocking_answer_a_guest_sees_nothing_and_a_key_holder_all(name: str, style: str) -> None:
    needles = Needles()
    answer = needles.into(recorded(name), HIDDEN_IN_ANSWERS)
    body = {"query": "hi", "response_mode": "blocking"}
    kind, path = kind_of_sample(name), f"/x?format={style}"
    guest, holder = (
        body_of(call(Dify(blocking=answer), kind, path=path, json=body, key=key, settings=PUBLIC)).decode() for key in (None, KEY)
    )
    assert "needle-" not in guest
    if style == "json":
        assert [needle for needle in needles.planted if needle not in holder] == []
        assert needles.planted


def test_a_form_shows_what_is_asked_for() -> None:
    parameters = recorded("fetch_app.workflow")
    parameters["user_input_form"][0]["text-input"]["hide"] = True
    shown = guests.parameters(parameters)
    assert shown.keys() == {"opening_statement", "suggested_questions", "file_upload", "system_parameters", "user_input_form"}
    assert shown["user_input_form"][0] == {
        "paragraph": {
            "variable": "body",
            "label": "Body",
            "type": "paragraph",
            "max_length": 5000,
            "required": False,
            "options": [],
            "default": "",
            "placeholder": "Paste here",
            "hint": "",
        }
    }
    chat = guests.parameters(recorded("fetch_app.chat"))
    assert chat["user_input_form"][-1] == {
        "external_data_tool": {"label": "CRM", "variable": "crm", "type": "api", "required": False}
    }
    assert guests.parameters({"user_input_form": "odd", "prompt": "secret"}) == {"user_input_form": []}
    assert guests.parameters({"user_input_form": [7, {"text-input": 7}]}) == {"user_input_form": [{"text-input": {}}]}


@pytest.mark.parametrize("style", ["json", "ndjson", "text", "html"])
def test_rounds_of_an_agent_are_paragraphs_for_guests_too(style: str) -> None:
    body = {"query": "hi", "response_mode": "streaming"}
    dify = Dify(stream=sample("agent-chat"))
    text = body_of(call(dify, path=f"/x?format={style}", json=body, key=None, settings=PUBLIC)).decode()
    expected = {"json": r"draw it.\n\nHere", "ndjson": r"\n\nHere", "text": "draw it.\n\nHere is your fox.", "html": "\n\nHere"}
    assert expected[style] in text


def test_a_run_that_was_stopped_is_no_failure_for_guests_either() -> None:
    data = {"status": "failed", "error": "Aborted: User requested stop", "outputs": {}}
    shown = guests.event_for_guest({"event": "workflow_finished", "data": data})
    assert shown
    assert shown["data"]["error"] == "Aborted: User requested stop"
