"""Dify's events: reading them, and folding a stream of them into the answer that blocking mode gives.

An event is a dict as Dify streamed it, with its name under `event`; which fields it has depends on the app's kind and on
Dify's version, so that everything is read with care and passed on untouched. Pure: no I/O, no session.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from duck.dify import failures
from duck.runs.run import Kind
from duck.streams.format import Event

STOPPED = "Aborted: User requested stop"  # how Dify ends the run of a chatflow, or an early workflow, that somebody has stopped
RESTARTED = "conversation_restarted"  # what Duck adds to an answer in another conversation than that which was asked for
# A stream that ends without one of these was cut: by Dify, by the daemon or on the way between them.
_ENDS = frozenset({"message_end", "workflow_finished", "workflow_paused", "error"})
_TURNS = _ENDS | {"workflow_started", "tts_message_end"}  # what tells how a run goes
# Basic apps send deltas as `message_file` once the message has a file.
_DELTAS = frozenset({"message", "agent_message", "message_file"})
# What Dify's blocking answer tells of a workflow; its events tell more.
_WORKFLOW_RESULT = (
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
    return event["event"] in _ENDS


def has_stopped(event: Event) -> bool:
    """Whether a run has ended because somebody stopped it. Dify 1.16 calls such a chatflow, and an early workflow, failed."""
    data = data_of(event)
    return data.get("status") == "stopped" or data.get("error") == STOPPED


class Course:
    """What a run's events have shown so far of how it goes: whether it is over, and how.

    `speaks` tells that the app reads its answers out, for which its stream goes on after the last of the text.
    """

    def __init__(self, kind: Kind, *, speaks: bool = False) -> None:
        self._kind = kind
        self._due = {"tts_message_end"} if speaks else set[str]()  # the events that must still come before the run is over
        self._due.add("workflow_finished" if kind == "workflow" else "message_end")
        self._failed: Event | None = None
        self.has_end = False

    def add(self, event: Event) -> bool:
        """Takes an event in; tells whether it is the last. Dify 1.9 leaves the stream open until it has found a title, too."""
        name = event["event"]
        if name not in _TURNS:
            return False
        self.has_end = self.has_end or ends(event)
        if name == "workflow_started" and self._kind == "chat":
            self._due.add("workflow_finished")
        if name == "workflow_finished" and data_of(event).get("status") == "failed" and not has_stopped(event):
            self._failed = event
        if name == "error":
            self._failed = None
        self._due.discard(name)
        return not self._due or name in {"error", "workflow_paused"}

    def failure(self) -> Event | None:
        """The `error` event with which a failed chatflow ends, where it came without one, as by an app's own key in Dify 1.16."""
        if self._kind != "chat" or self._failed is None:
            return None
        ids = {name: self._failed[name] for name in ("conversation_id", "message_id", "created_at") if name in self._failed}
        message = f"Run failed: {data_of(self._failed).get('error')}"
        return {"event": "error", **ids, "code": "invalid_param", "status": 400, "message": message}


def kind_of(event: Event) -> Kind | None:
    """The kind of the app that an event or a blocking answer comes from, by the ids it carries."""
    if "conversation_id" in event:
        return "chat"
    if "workflow_run_id" in event:
        return "workflow"
    return "completion" if "message_id" in event else None


def data_of(event: Event) -> Mapping[str, Any]:
    """An event's `data`, empty where it has none."""
    data = event.get("data")
    return data if isinstance(data, dict) else {}


def delta_of(event: Event) -> str:
    """The text that an event adds to the answer: chats stream it as messages, workflows as text chunks."""
    name = event["event"]
    text = event.get("answer") if name in _DELTAS else data_of(event).get("text") if name == "text_chunk" else None
    return text if isinstance(text, str) else ""


def replacement_of(event: Event) -> str | None:
    """The text that takes the place of all text so far, None where an event replaces nothing."""
    name = event["event"]
    text = event.get("answer") if name == "message_replace" else data_of(event).get("text") if name == "text_replace" else None
    return text if isinstance(text, str) else None


class Rounds:
    """What each of a run's events adds to the answer. An agent's rounds are paragraphs: after a tool comes a blank line."""

    def __init__(self) -> None:
        self._has_used_tool = False  # since the last of the text
        self._is_in_line = False  # whether the last of the text is no white space

    def delta(self, event: Event) -> str:
        """The text that the next event adds, often none; "" also for one that replaces all text so far."""
        if event["event"] == "agent_thought" and event.get("tool"):
            self._has_used_tool = True
        text, replacement = delta_of(event), replacement_of(event)
        if text and self._has_used_tool:
            self._has_used_tool = False
            if self._is_in_line:
                text = f"\n\n{text}"
        if text or replacement is not None:
            self._is_in_line = not (replacement or text or " ")[-1].isspace()
        return text


class Answer:
    """The text that a run's events add up to, as it grows."""

    def __init__(self) -> None:
        self._rounds = Rounds()
        self._parts: list[str] = []

    def __str__(self) -> str:
        """All text so far."""
        return "".join(self._parts)

    def add(self, event: Event) -> str:
        """Takes an event in; gives the text that it adds, as `Rounds` does."""
        if (replacement := replacement_of(event)) is not None:
            self._parts = [replacement]
        if delta := self._rounds.delta(event):
            self._parts.append(delta)
        return delta


def text_of(stream: Iterable[Event]) -> str:
    """All the text that events add up to."""
    answer = Answer()
    for event in stream:
        answer.add(event)
    return str(answer)


def text_of_outputs(outputs: Any) -> str:
    """A workflow's outputs as one text, as Dify 1.16 writes them in `text_chunk`s: a line or more for each, none for a file."""
    return "\n".join(map(_written, outputs.values())) if isinstance(outputs, Mapping) else ""


def _written(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(f"- {item}" for item in value if not _is_file(item))
    if isinstance(value, Mapping):
        return "" if _is_file(value) else json.dumps(value, ensure_ascii=False, indent=2)
    return "" if value is None else str(value)


def _is_file(value: Any) -> bool:
    """Whether a value of an output is a file."""
    return isinstance(value, Mapping) and value.get("dify_model_identity") == "__dify__file__"


def fold(stream: Iterable[Event], kind: Kind) -> dict[str, Any]:
    """Folds a whole stream into the dict that blocking mode would have given.

    Raises `DuckError` where blocking mode would have failed: on an `error` event, on a stream that ends without a result. A
    failed or paused workflow is no error: its `data.status` tells. A chat that was stopped is as long as it got.
    """
    seen = list(stream)
    for event in seen:
        if event["event"] == "error":
            raise failures.from_event(event, kind=kind)
    return _fold_workflow(seen) if kind == "workflow" else _fold_message(seen, kind)


def _fold_workflow(seen: Sequence[Event]) -> dict[str, Any]:
    paused = _last(seen, "workflow_paused")
    end = _last(seen, "workflow_finished") or paused
    if end is None:
        raise failures.interrupted()
    data = {**data_of(_last(seen, "workflow_started") or {}), **data_of(end)}
    result = {name: data.get(name) for name in _WORKFLOW_RESULT}
    if end is paused:
        result |= {"paused_nodes": data.get("paused_nodes"), "reasons": data.get("reasons")}
    if data.get("files"):
        result["files"] = data["files"]
    return {"task_id": end.get("task_id"), "workflow_run_id": end.get("workflow_run_id"), "data": result}


def _fold_message(seen: Sequence[Event], kind: Kind) -> dict[str, Any]:
    if not any(map(ends, seen)):
        raise failures.interrupted()
    end = _last(seen, "message_end") or {}
    paused = _last(seen, "workflow_paused") or {}
    ids = next((event for event in reversed(seen) if "message_id" in event), {})
    answer = {
        "event": "message",
        "task_id": ids.get("task_id"),
        "id": ids.get("message_id"),
        "message_id": ids.get("message_id"),
        **({"conversation_id": ids.get("conversation_id")} if kind == "chat" else {}),
        **({RESTARTED: True} if ids.get(RESTARTED) else {}),
        "mode": _mode(seen, kind),
        "answer": text_of(seen),
        "metadata": end.get("metadata") or data_of(paused).get("metadata") or {},
        "created_at": ids.get("created_at"),
    }
    if end.get("files"):
        answer["files"] = end["files"]
    if thoughts := _thoughts(seen):
        answer["agent_thoughts"] = thoughts
    return _paused(answer, paused) if paused else answer


def _mode(seen: Sequence[Event], kind: Kind) -> str:
    names = {event["event"].partition("_")[0] for event in seen}
    return "advanced-chat" if "workflow" in names else "agent-chat" if "agent" in names else kind


def _thoughts(seen: Sequence[Event]) -> list[dict[str, Any]]:
    """An agent's thoughts. Each is sent several times under one id, ever fuller."""
    thoughts = {str(event.get("id")): event for event in seen if event["event"] == "agent_thought"}
    return [_without(thought, "event", "conversation_id", "task_id") for thought in thoughts.values()]


def _paused(answer: dict[str, Any], event: Event) -> dict[str, Any]:
    """A chatflow's blocking answer when it waits for a person: the answer, and again under `data` with what it waits for."""
    run_id = event.get("workflow_run_id")
    own = {name: answer[name] for name in ("id", "mode", "conversation_id", "message_id", "answer", "metadata", "created_at")}
    waits = _without(data_of(event), "outputs", "created_at")
    return answer | {"event": "workflow_paused", "workflow_run_id": run_id, "data": {**own, **waits}}


def _without(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def _last(seen: Sequence[Event], name: str) -> Event | None:
    return next((event for event in reversed(seen) if event["event"] == name), None)


def unfold(answer: Mapping[str, Any], kind: Kind) -> list[Event]:
    """The events with which a stream would have ended that blocking mode answered with `answer`; the inverse of `fold`."""
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
