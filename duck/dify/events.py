"""Reads Dify's events, folds a stream of them into the answer that blocking mode gives, and unfolds such an answer.

An event is a dict as Dify streamed it, with its name under `event`. Its other fields depend on the app's kind and on Dify's
version, so each is checked when it is read, and events are passed on unchanged. Pure: no I/O, no session.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from duck.dify import failures
from duck.runs.run import Kind
from duck.streams.format import Event

STOPPED = "Aborted: User requested stop"  # the error of a stopped chatflow, or of a workflow that was stopped early
RESTARTED = "conversation_restarted"  # Duck adds this field to an answer in another conversation than the requested one
# A stream that ends without one of these was cut: by Dify, by the daemon or on the way between them.
_END_EVENTS = frozenset({"message_end", "workflow_finished", "workflow_paused", "error"})
_PROGRESS_EVENTS = _END_EVENTS | {"workflow_started", "tts_message_end"}
# Basic apps send deltas as `message_file` once the message has a file.
_DELTA_EVENTS = frozenset({"message", "agent_message", "message_file"})
REPLACE_EVENTS = frozenset({"message_replace", "text_replace"})
# The fields of a workflow's blocking answer; its events have more.
_RESULT_FIELDS = (
    "id",
    "workflow_id",
    "status",
    "outputs",
    "error",
    "elapsed_time",
    "total_tokens",
    "total_steps",
    "created_at",
    "finished_at",
)


def is_event(value: object) -> bool:
    """Whether `value` is an object with a name under `event`."""
    return isinstance(value, dict) and isinstance(value.get("event"), str)


def ends(event: Event) -> bool:
    """Whether a stream may end after this event."""
    return event["event"] in _END_EVENTS


def was_stopped(event: Event) -> bool:
    """Whether a run has ended because it was stopped. Dify 1.16 reports chatflows, and workflows stopped early, as failed."""
    data = data_of(event)
    return data.get("status") == "stopped" or data.get("error") == STOPPED


class Progress:
    """Tells by a run's events whether the run is over, and how it ended.

    `plays_audio` tells that the app's answers are read aloud. Their stream goes on after the end of the text.
    """

    def __init__(self, kind: Kind, *, plays_audio: bool = False) -> None:
        self._kind = kind
        self._due = {"tts_message_end"} if plays_audio else set[str]()  # events that must still come before the run is over
        self._due.add("workflow_finished" if kind == "workflow" else "message_end")
        self._failed: Event | None = None
        self.has_end = False

    def add(self, event: Event) -> bool:
        """Adds an event, and tells whether it is the last. Dify 1.9 keeps the stream open until it has also found a title."""
        name = event["event"]
        if name not in _PROGRESS_EVENTS:
            return False
        self.has_end = self.has_end or ends(event)
        if name == "workflow_started" and self._kind == "chat":
            self._due.add("workflow_finished")
        if name == "workflow_finished" and data_of(event).get("status") == "failed" and not was_stopped(event):
            self._failed = event
        if name == "error":
            self._failed = None
        self._due.discard(name)
        return not self._due or name in {"error", "workflow_paused"}

    def failure(self) -> Event | None:
        """The `error` event for a failed chatflow whose stream ended without one, as from Dify 1.16's Service API; else None."""
        if self._kind != "chat" or self._failed is None:
            return None
        ids = {name: self._failed[name] for name in ("conversation_id", "message_id", "created_at") if name in self._failed}
        message = f"Run failed: {data_of(self._failed).get('error')}"
        return {"event": "error", **ids, "code": "invalid_param", "status": 400, "message": message}


def kind_of(event: Event) -> Kind | None:
    """The kind of the app that an event or a blocking answer comes from, by the ids in it; None if it has none."""
    if "conversation_id" in event:
        return "chat"
    if "workflow_run_id" in event:
        return "workflow"
    return "completion" if "message_id" in event else None


def data_of(event: Event) -> Mapping[str, Any]:
    """An event's `data`, empty if it has none."""
    data = event.get("data")
    return data if isinstance(data, dict) else {}


def delta_of(event: Event) -> str:
    """The text that an event adds to the answer: chats stream it as messages, workflows as text chunks."""
    name = event["event"]
    text = event.get("answer") if name in _DELTA_EVENTS else data_of(event).get("text") if name == "text_chunk" else None
    return text if isinstance(text, str) else ""


def replacement_of(event: Event) -> str | None:
    """The text that replaces all text so far, None if the event replaces nothing."""
    name = event["event"]
    text = event.get("answer") if name == "message_replace" else data_of(event).get("text") if name == "text_replace" else None
    return text if isinstance(text, str) else None


class Rounds:
    """Tells what each of a run's events adds to the answer. Between an agent's rounds, after a tool, it adds a blank line."""

    def __init__(self) -> None:
        self._has_used_tool = False  # since the latest text
        self._is_in_line = False  # whether the text so far does not end with white space

    def delta(self, event: Event) -> str:
        """The text that the next event adds; "" if it adds none or replaces all text so far."""
        name = event["event"]
        if name == "agent_thought" and event.get("tool"):
            self._has_used_tool = True
        if name in REPLACE_EVENTS and (replacement := replacement_of(event)) is not None:
            self._is_in_line = not (replacement or " ")[-1].isspace()
        if not (text := delta_of(event)):
            return ""
        if self._has_used_tool:
            self._has_used_tool = False
            if self._is_in_line:
                text = f"\n\n{text}"
        self._is_in_line = not text[-1].isspace()
        return text


class Answer:
    """The text of a run's events so far."""

    def __init__(self) -> None:
        self._rounds = Rounds()
        self._parts: list[str] = []

    def __str__(self) -> str:
        """All text so far."""
        return "".join(self._parts)

    def add(self, event: Event) -> str:
        """Adds an event, and returns its text as `Rounds.delta` does."""
        if event["event"] in REPLACE_EVENTS and (replacement := replacement_of(event)) is not None:
            self._parts = [replacement]
        if delta := self._rounds.delta(event):
            self._parts.append(delta)
        return delta


def text_of(stream: Iterable[Event]) -> str:
    """The whole text of a run's events."""
    answer = Answer()
    for event in stream:
        answer.add(event)
    return str(answer)


def text_of_outputs(outputs: Any) -> str:
    """A workflow's outputs as one text, as in the `text_chunk`s of Dify 1.16: each on lines of its own, files left out."""
    return "\n".join(map(_text_of_output, outputs.values())) if isinstance(outputs, Mapping) else ""


def _text_of_output(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(f"- {item}" for item in value if not _is_file(item))
    if isinstance(value, Mapping):
        return "" if _is_file(value) else json.dumps(value, ensure_ascii=False, indent=2)
    return "" if value is None else str(value)


def files_of_outputs(outputs: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The files among a workflow's outputs, as Dify describes them."""
    values = [each for value in outputs.values() for each in (value if isinstance(value, list) else [value])]
    return [value for value in values if _is_file(value)]


def _is_file(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("dify_model_identity") == "__dify__file__"


def fold(stream: Iterable[Event], kind: Kind) -> dict[str, Any]:
    """The answer that blocking mode would have given, made of a whole stream.

    Raises `DuckError` if the stream has an `error` event or ends without a result. A failed or paused workflow is no error: its
    `data.status` tells. The answer of a stopped chat has the text up to there.
    """
    events = list(stream)
    for event in events:
        if event["event"] == "error":
            raise failures.from_event(event, kind=kind)
    return _fold_workflow(events) if kind == "workflow" else _fold_message(events, kind)


def _fold_workflow(events: Sequence[Event]) -> dict[str, Any]:
    paused = _last(events, "workflow_paused")
    end = _last(events, "workflow_finished") or paused
    if end is None:
        raise failures.interrupted()
    data = {**data_of(_last(events, "workflow_started") or {}), **data_of(end)}
    result = {name: data.get(name) for name in _RESULT_FIELDS}
    if end is paused:
        result |= {"paused_nodes": data.get("paused_nodes"), "reasons": data.get("reasons")}
    if data.get("files"):
        result["files"] = data["files"]
    return {"task_id": end.get("task_id"), "workflow_run_id": end.get("workflow_run_id"), "data": result}


def _fold_message(events: Sequence[Event], kind: Kind) -> dict[str, Any]:
    if not any(map(ends, events)):
        raise failures.interrupted()
    end = _last(events, "message_end") or {}
    paused = _last(events, "workflow_paused") or {}
    ids = next((event for event in reversed(events) if "message_id" in event), {})
    answer = {
        "event": "message",
        "task_id": ids.get("task_id"),
        "id": ids.get("message_id"),
        "message_id": ids.get("message_id"),
        **({"conversation_id": ids.get("conversation_id")} if kind == "chat" else {}),
        **({RESTARTED: True} if ids.get(RESTARTED) else {}),
        "mode": _mode(events, kind),
        "answer": text_of(events),
        "metadata": end.get("metadata") or data_of(paused).get("metadata") or {},
        "created_at": ids.get("created_at"),
    }
    if end.get("files"):
        answer["files"] = end["files"]
    if thoughts := _thoughts(events):
        answer["agent_thoughts"] = thoughts
    return _paused_answer(answer, paused) if paused else answer


def _mode(events: Sequence[Event], kind: Kind) -> str:
    names = {event["event"].partition("_")[0] for event in events}
    return "advanced-chat" if "workflow" in names else "agent-chat" if "agent" in names else kind


def _thoughts(events: Sequence[Event]) -> list[dict[str, Any]]:
    """An agent's thoughts. Dify sends each several times under one id, each time with more in it."""
    thoughts = {str(event.get("id")): event for event in events if event["event"] == "agent_thought"}
    return [_without(thought, "event", "conversation_id", "task_id") for thought in thoughts.values()]


def _paused_answer(answer: dict[str, Any], event: Event) -> dict[str, Any]:
    """The blocking answer of a chatflow that waits for a person. `data` repeats the answer, and has the reason of the pause."""
    run_id = event.get("workflow_run_id")
    names = ("id", "mode", "conversation_id", "message_id", "answer", "metadata", "created_at")
    repeated = {name: answer[name] for name in names}
    pause = _without(data_of(event), "outputs", "created_at")
    return answer | {"event": "workflow_paused", "workflow_run_id": run_id, "data": {**repeated, **pause}}


def _without(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _last(events: Sequence[Event], name: str) -> Event | None:
    return next((event for event in reversed(events) if event["event"] == name), None)


def unfold(answer: Mapping[str, Any], kind: Kind) -> list[Event]:
    """The last events of a stream, made of the answer that blocking mode gave; the inverse of `fold`."""
    if kind == "workflow":
        name = "workflow_paused" if data_of(answer).get("status") == "paused" else "workflow_finished"
        ids = {"workflow_run_id": answer.get("workflow_run_id"), "task_id": answer.get("task_id")}
        return [{"event": name, **ids, "data": dict(data_of(answer))}]
    names = ("conversation_id", RESTARTED, "message_id", "created_at", "task_id")
    ids = {name: answer.get(name) for name in names if name in answer}
    ids_of_message = {**ids, "id": answer.get("message_id")}
    text = answer.get("answer") or ""
    message: list[Event] = [{"event": "message", **ids_of_message, "answer": text, "from_variable_selector": []}]
    if answer.get("event") == "workflow_paused":
        run_id = answer.get("workflow_run_id")
        data = {"outputs": {}, **data_of(answer)}
        paused = {"event": "workflow_paused", **ids, "workflow_run_id": run_id, "data": data}
        return [*(message if text else []), paused]
    thoughts = [{"event": "agent_thought", **ids, **thought} for thought in answer.get("agent_thoughts") or []]
    rest = {"metadata": answer.get("metadata") or {}, "files": answer.get("files") or []}
    return [*thoughts, *message, {"event": "message_end", **ids_of_message, **rest}]
