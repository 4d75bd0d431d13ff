"""Filters what guests see: the listed fields, and nothing else. Pure.

Dify sends plugins everything: prompts, the inputs and outputs of every node, an agent's thoughts, whole documents. A caller
without a key should see the answer only, without the thoughts that models write into it.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import closing
from typing import Any

from duck.dify.events import REPLACE_EVENTS, RESTARTED, STOPPED, Rounds, delta_of, ends, replacement_of, was_stopped
from duck.dify.thoughts import Thoughts, without_thoughts
from duck.errors import DuckError, guest_message
from duck.streams.format import Event

# What guests see of an object, by field: None for the whole value, a mapping for an object, [mapping] for a list of objects, a
# function for what it makes of the value.
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
    **dict.fromkeys(("id", "workflow_id", "workflow_run_id", "status", "elapsed_time", "total_steps", "created_at")),
    **dict.fromkeys(("finished_at", "paused_nodes", "reason")),
    "outputs": without_thoughts,
    "files": [_FILE],
}
_FORM: Allowed = dict.fromkeys(("node_id", "node_title", "expiration_time"))

# Guests see no other events: no agent's thoughts or log, no model's reasoning, and none that Dify adds later.
_EVENTS: Mapping[str, Allowed] = {
    name: {**_IDS, **allowed}
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
    "mode": None,
    "answer": without_thoughts,
    "metadata": _METADATA,
    "files": [_FILE],
    "data": {
        **_RUN,
        **dict.fromkeys(("mode", "conversation_id", "message_id")),
        "answer": without_thoughts,
        "metadata": _METADATA,
    },
}
_VARIABLE: Allowed = {
    **dict.fromkeys(("type", "variable", "label", "required", "max_length", "options", "default", "hint", "placeholder")),
    **dict.fromkeys(("allowed_file_types", "allowed_file_extensions", "allowed_file_upload_methods")),
}
_PARAMETERS: Allowed = dict.fromkeys(("opening_statement", "suggested_questions", "file_upload", "system_parameters"))
_INFO: Allowed = dict.fromkeys(("name", "description", "tags", "mode", "author_name"))
_SITE: Allowed = dict.fromkeys(
    (
        *("title", "description", "icon_type", "icon", "icon_background", "icon_url", "chat_color_theme", "default_language"),
        *("chat_color_theme_inverted", "copyright", "privacy_policy", "custom_disclaimer", "input_placeholder"),
        *("show_workflow_steps", "use_icon_as_answer_icon"),
    )
)


# These events have nothing but text. One of which no text is left is hidden, unless it is the first of the run: it tells the ids.
_TEXT_ONLY = frozenset({"message", "agent_message", "text_chunk"})
# The event that only adds text, by the name of one that does more.
_DELTA_NAMES: Mapping[str, str] = {"message_file": "message", "message_replace": "message", "text_replace": "text_chunk"}


def events(source: Generator[Event]) -> Generator[Event | None]:
    """Each event as guests see it, None for a hidden one. Raises `DuckError` as guests may read it."""
    failure, run = None, _Run()
    with closing(source):
        try:
            for event in source:
                if rest := run.rest_before(event):
                    yield rest
                yield run.filter(event)
        except DuckError as error:
            failure = error.for_guest().again()
    if rest := run.rest():
        yield rest
    try:
        if failure:
            raise failure
    finally:
        del failure  # otherwise it would keep this frame, and so the run, until the next garbage collection


class _Run:
    """Filters the events of one run: their fields, and the thoughts in the text that they make up together."""

    def __init__(self) -> None:
        self._rounds = Rounds()
        self._thoughts = Thoughts()
        self._has_begun = False
        self._latest: Event = {}  # the latest event with text

    def filter(self, event: Event) -> Event | None:
        """An event as guests see it, None for a hidden one."""
        shown = self._with_text(event, event_for_guest(event))
        self._has_begun = self._has_begun or shown is not None
        return shown

    def rest_before(self, event: Event) -> Event | None:
        """An event with the text that was held back, if it cannot go on: before an end, and before an agent's next round."""
        return self.rest() if ends(event) or (event["event"] == "agent_thought" and event.get("tool")) else None

    def rest(self) -> Event | None:
        """An event with the text that was held back, None if there is none."""
        if not (text := self._thoughts.end()):
            return None
        name = self._latest["event"]
        ids = _allowed_fields(self._latest, _IDS)
        return _replace_text({**ids, "event": _DELTA_NAMES.get(name, name)}, text)

    def _with_text(self, event: Event, shown: Event | None) -> Event | None:
        name, delta = event["event"], self._rounds.delta(event)
        if name == "tts_message" and self._thoughts.found:
            return None  # Dify reads thoughts aloud, too
        if name in REPLACE_EVENTS and (replacement := replacement_of(event)) is not None:
            was = delta = replacement
            self._thoughts = Thoughts(found=self._thoughts.found)
        else:
            was = delta_of(event)
        if not (shown and delta):
            return shown
        self._latest = shown
        text = self._thoughts.add(delta)
        if not text and self._has_begun and name in _TEXT_ONLY:
            return None
        # Guests do not see an agent's tools, but the blank line after each.
        return shown if text == was else _replace_text(shown, text)


def _replace_text(event: Event, text: str) -> Event:
    return {**event, "data": {"text": text}} if event["event"].startswith("text_") else {**event, "answer": text}


def event_for_guest(event: Event) -> Event | None:
    """An event as guests see it by itself, None for a hidden one: thoughts in text that spans events are left to `events`."""
    name = event["event"]
    if name not in _EVENTS:
        return None
    shown = _allowed_fields(event, _EVENTS[name])
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


def info(whole: Mapping[str, Any]) -> dict[str, Any]:
    """What Dify says of an app as guests see it."""
    return _allowed_fields(whole, _INFO)


def site(whole: Mapping[str, Any]) -> dict[str, Any]:
    """What Dify says of an app's web page as guests see it."""
    return _allowed_fields(whole, _SITE)


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
        case dict():
            return _allowed_fields(value, allowed)
        case [each]:
            return [_allowed_fields(item, each) for item in value] if isinstance(value, Iterable) else []
    return allowed(value)
