"""What guests get to see: a list of what is shown, and nothing else. Pure.

Dify sends plugins everything: prompts, the inputs and outputs of every node, what an agent thinks, whole documents. Whoever
calls without a key is somebody else's customer, and sees the answer.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from typing import Any

from duck.dify.events import RESTARTED, STOPPED, Rounds, delta_of, has_stopped
from duck.errors import DuckError, guest_message
from duck.streams.format import Event

# What is shown of an object, by the names of its fields: None for all of it, a list for each item of one.
type Shown = Mapping[str, Any]

_IDS: Shown = dict.fromkeys(
    ("event", "conversation_id", RESTARTED, "message_id", "created_at", "task_id", "id", "workflow_run_id"),
)
_FILE: Shown = dict.fromkeys(("id", "filename", "extension", "mime_type", "type", "size", "url"))
_CITATION: Shown = dict.fromkeys(("position", "title", "document_name"))
_METADATA: Shown = {"retriever_resources": [_CITATION]}
_NODE: Shown = {
    **dict.fromkeys(("id", "node_id", "node_type", "title", "index", "predecessor_node_id", "created_at", "finished_at")),
    **dict.fromkeys(("status", "elapsed_time", "iteration_id", "loop_id", "retry_index", "steps")),
    "metadata": dict.fromkeys(("iteration_length", "loop_length")),
}
_RUN: Shown = {
    **dict.fromkeys(("id", "workflow_id", "workflow_run_id", "status", "outputs", "elapsed_time", "total_steps", "created_at")),
    **dict.fromkeys(("finished_at", "paused_nodes", "reason")),
    "files": [_FILE],
}
_FORM: Shown = dict.fromkeys(("node_id", "node_title", "expiration_time"))

# Events that are not here are not shown at all: an agent's thoughts and log, a model's reasoning, and all of tomorrow.
_EVENTS: Mapping[str, Shown] = {
    name: shown
    for names, shown in (
        ("message agent_message message_replace", {"answer": None}),
        ("message_file", dict.fromkeys(("type", "belongs_to", "url", "answer"))),
        ("message_end", {"metadata": _METADATA, "files": [_FILE]}),
        ("tts_message tts_message_end", {"audio": None}),
        ("text_chunk text_replace", {"data": {"text": None}}),
        ("node_started node_finished node_retry", {"data": _NODE}),
        ("iteration_started iteration_next iteration_completed loop_started loop_next loop_completed", {"data": _NODE}),
        ("human_input_required human_input_form_filled human_input_form_timeout", {"data": _FORM}),
        ("workflow_started workflow_paused workflow_finished", {"data": _RUN}),
        ("error", {"code": None, "status": None}),
    )
    for name in names.split()
}
_ANSWER: Shown = {
    **_IDS,
    **dict.fromkeys(("mode", "answer")),
    "metadata": _METADATA,
    "files": [_FILE],
    "data": {**_RUN, **dict.fromkeys(("mode", "conversation_id", "message_id", "answer")), "metadata": _METADATA},
}
_VARIABLE: Shown = {
    **dict.fromkeys(("type", "variable", "label", "required", "max_length", "options", "default", "hint", "placeholder")),
    **dict.fromkeys(("allowed_file_types", "allowed_file_extensions", "allowed_file_upload_methods")),
}
_PARAMETERS: Shown = dict.fromkeys(("opening_statement", "suggested_questions", "file_upload", "system_parameters"))


def events(source: Generator[Event]) -> Generator[Event | None]:
    """What of each of a run's events guests see, None where that is nothing. An error that ends them is one for guests, too."""
    failure, rounds = None, Rounds()
    with closing(source):
        try:
            for event in source:
                text, shown = rounds.delta(event), event_for_guest(event)
                # Between two rounds of an agent there is a tool, of which guests see nothing but the blank line after it.
                yield {**shown, "answer": text} if shown and text and text != delta_of(event) else shown
        except DuckError as error:
            failure = error.for_guest().again()
    try:
        if failure:
            raise failure
    finally:
        del failure  # else it would hold this frame, and so its run, until garbage is collected


def event_for_guest(event: Event) -> Event | None:
    """What of an event guests see, None where that is nothing."""
    name = event["event"]
    if name not in _EVENTS:
        return None
    shown = _only(event, {**_IDS, **_EVENTS[name]})
    if name == "error":
        return {**shown, "message": guest_message(str(event.get("code")))}
    return _without_reason(event, shown)


def answer(whole: Mapping[str, Any]) -> dict[str, Any]:
    """What of a blocking answer guests see."""
    return _without_reason(whole, _only(whole, _ANSWER))


def parameters(whole: Mapping[str, Any]) -> dict[str, Any]:
    """What of an app's form guests see; what is hidden in it stays so."""
    shown = _only(whole, _PARAMETERS)
    rows = whole.get("user_input_form")
    rows = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    shown["user_input_form"] = [
        {control: _only(about, _VARIABLE) for control, about in row.items()}
        for row in rows
        if not any(map(_is_hidden, row.values()))
    ]
    return shown


def _without_reason(whole: Mapping[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """Says that a run has failed, and not why."""
    data = whole.get("data")
    if isinstance(data, Mapping) and data.get("error") and "outputs" in shown.get("data", {}):
        reason = STOPPED if has_stopped(whole) else guest_message("")
        shown["data"] = {**shown["data"], "error": reason}
    return shown


def _is_hidden(about: Any) -> bool:
    return isinstance(about, Mapping) and about.get("hide") is True


def _only(value: Any, shown: Shown) -> dict[str, Any]:
    """Of an object what is shown of it; of anything else nothing."""
    if not isinstance(value, Mapping):
        return {}
    return {name: _part(inner, shown[name]) for name, inner in value.items() if name in shown}


def _part(value: Any, shown: Any) -> Any:
    match shown:
        case None:
            return value
        case [each]:
            return [_only(item, each) for item in value] if isinstance(value, Iterable) else []
    return _only(value, shown)
