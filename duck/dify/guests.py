"""Filters what guests see: the listed fields, and nothing else. Pure.

Dify sends plugins everything: prompts, the inputs and outputs of every node, an agent's thoughts, whole documents. A caller
without a key should see the answer only.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from typing import Any

from duck.dify.events import RESTARTED, STOPPED, Rounds, delta_of, was_stopped
from duck.errors import DuckError, guest_message
from duck.streams.format import Event

# What guests see of an object, by field: None for the whole value, a mapping for an object, [mapping] for a list of objects.
type Allowed = Mapping[str, Any]

_IDS: Allowed = dict.fromkeys(
    ("event", "conversation_id", RESTARTED, "message_id", "created_at", "task_id", "id", "workflow_run_id"),
)
_FILE: Allowed = dict.fromkeys(("id", "filename", "extension", "mime_type", "type", "size", "url"))
_CITATION: Allowed = dict.fromkeys(("position", "title", "document_name"))
_METADATA: Allowed = {"retriever_resources": [_CITATION]}
_NODE: Allowed = {
    **dict.fromkeys(("id", "node_id", "node_type", "title", "index", "predecessor_node_id", "created_at", "finished_at")),
    **dict.fromkeys(("status", "elapsed_time", "iteration_id", "loop_id", "retry_index", "steps")),
    "metadata": dict.fromkeys(("iteration_length", "loop_length")),
}
_RUN: Allowed = {
    **dict.fromkeys(("id", "workflow_id", "workflow_run_id", "status", "outputs", "elapsed_time", "total_steps", "created_at")),
    **dict.fromkeys(("finished_at", "paused_nodes", "reason")),
    "files": [_FILE],
}
_FORM: Allowed = dict.fromkeys(("node_id", "node_title", "expiration_time"))

# Guests see no other events: no agent's thoughts or log, no model's reasoning, and none that Dify adds later.
_EVENTS: Mapping[str, Allowed] = {
    name: allowed
    for names, allowed in (
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
_ANSWER: Allowed = {
    **_IDS,
    **dict.fromkeys(("mode", "answer")),
    "metadata": _METADATA,
    "files": [_FILE],
    "data": {**_RUN, **dict.fromkeys(("mode", "conversation_id", "message_id", "answer")), "metadata": _METADATA},
}
_VARIABLE: Allowed = {
    **dict.fromkeys(("type", "variable", "label", "required", "max_length", "options", "default", "hint", "placeholder")),
    **dict.fromkeys(("allowed_file_types", "allowed_file_extensions", "allowed_file_upload_methods")),
}
_PARAMETERS: Allowed = dict.fromkeys(("opening_statement", "suggested_questions", "file_upload", "system_parameters"))


def events(source: Generator[Event]) -> Generator[Event | None]:
    """Each event as guests see it, None for a hidden one. Raises `DuckError` as guests may read it."""
    failure, rounds = None, Rounds()
    with closing(source):
        try:
            for event in source:
                text, shown = rounds.delta(event), event_for_guest(event)
                # Guests do not see an agent's tools, but the blank line after each.
                yield {**shown, "answer": text} if shown and text and text != delta_of(event) else shown
        except DuckError as error:
            failure = error.for_guest().again()
    try:
        if failure:
            raise failure
    finally:
        del failure  # otherwise it would keep this frame, and so the run, until the next garbage collection


def event_for_guest(event: Event) -> Event | None:
    """An event as guests see it, None for a hidden one."""
    name = event["event"]
    if name not in _EVENTS:
        return None
    shown = _allowed_fields(event, {**_IDS, **_EVENTS[name]})
    if name == "error":
        return {**shown, "message": guest_message(str(event.get("code")))}
    return _without_reason(event, shown)


def answer(whole: Mapping[str, Any]) -> dict[str, Any]:
    """A blocking answer as guests see it."""
    return _without_reason(whole, _allowed_fields(whole, _ANSWER))


def parameters(whole: Mapping[str, Any]) -> dict[str, Any]:
    """An app's form as guests see it, without hidden inputs."""
    shown = _allowed_fields(whole, _PARAMETERS)
    rows = whole.get("user_input_form")
    rows = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    shown["user_input_form"] = [
        {control: _allowed_fields(variable, _VARIABLE) for control, variable in row.items()}
        for row in rows
        if not any(map(_is_hidden, row.values()))
    ]
    return shown


def _without_reason(whole: Mapping[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """Replaces the reason of a failed run with a general one."""
    data = whole.get("data")
    if isinstance(data, Mapping) and data.get("error") and "outputs" in shown.get("data", {}):
        reason = STOPPED if was_stopped(whole) else guest_message("")
        shown["data"] = {**shown["data"], "error": reason}
    return shown


def _is_hidden(variable: Any) -> bool:
    return isinstance(variable, Mapping) and variable.get("hide") is True


def _allowed_fields(value: Any, allowed: Allowed) -> dict[str, Any]:
    """The allowed fields of an object; {} for any other value."""
    if not isinstance(value, Mapping):
        return {}
    return {name: _allowed_part(inner, allowed[name]) for name, inner in value.items() if name in allowed}


def _allowed_part(value: Any, allowed: Any) -> Any:
    match allowed:
        case None:
            return value
        case [each]:
            return [_allowed_fields(item, each) for item in value] if isinstance(value, Iterable) else []
    return _allowed_fields(value, allowed)
