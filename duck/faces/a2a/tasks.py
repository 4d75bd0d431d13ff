"""Answers as A2A's tasks: a document, or a stream of updates. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from duck.dify.parts import Begun, Failed, Text
from duck.faces.reply import Piece, Reply
from duck.streams import json
from duck.streams.format import Event, StreamFormat

ARTIFACT = "answer"  # the id of the only artifact that a task has
PAGE_SIZE = 50
NONE = {"tasks": [], "nextPageToken": "", "pageSize": PAGE_SIZE, "totalSize": 0}  # the list of all tasks that are kept
_COMPLETED, _FAILED, _WORKING = "TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_WORKING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What each part of an answer repeats.

    `spare_id` is the task's id if Dify has given none. `context_id` gives the id by which the client continues the conversation,
    `now` the time as RFC 3339 writes it.
    """

    spare_id: str
    context_id: Callable[[Begun], str]
    now: Callable[[], str]

    def ids(self, begun: Begun) -> tuple[str, str]:
        """The ids of the task and of its context."""
        return begun.task_id or begun.message_id or begun.workflow_run_id or self.spare_id, self.context_id(begun)

    def working(self, begun: Begun) -> dict[str, Any]:
        """The task when it has begun."""
        task_id, context_id = self.ids(begun)
        return {"task": {"id": task_id, "contextId": context_id, "status": {"state": _WORKING, "timestamp": self.now()}}}

    def ended(self, reply: Reply) -> dict[str, Any]:
        """The task with the whole reply."""
        task_id, context_id = self.ids(reply.begun)
        artifacts = {"artifacts": [_artifact(reply.text)]} if reply.text else {}
        return {"task": {"id": task_id, "contextId": context_id, "status": self._status(reply), **artifacts}}

    def update(self, reply: Reply) -> dict[str, Any]:
        """How the task has ended, with the whole text that counts."""
        task_id, context_id = self.ids(reply.begun)
        status = self._status(reply)
        if reply.text and not reply.failed:
            status["message"] = self._message(reply, reply.text)
        return {"statusUpdate": {"taskId": task_id, "contextId": context_id, "status": status}}

    def artifact(self, begun: Begun, text: str, *, append: bool) -> dict[str, Any]:
        """Text that begins the answer or is appended to it."""
        task_id, context_id = self.ids(begun)
        return {"artifactUpdate": {"taskId": task_id, "contextId": context_id, "artifact": _artifact(text), "append": append}}

    def _status(self, reply: Reply) -> dict[str, Any]:
        if not reply.failed:
            return {"state": _COMPLETED, "timestamp": self.now()}
        return {"state": _FAILED, "message": self._message(reply, reply.failed.message), "timestamp": self.now()}

    def _message(self, reply: Reply, text: str) -> dict[str, Any]:
        task_id, context_id = self.ids(reply.begun)
        ids = {"messageId": f"{task_id}-end", "contextId": context_id, "taskId": task_id}
        return {**ids, "role": "ROLE_AGENT", "parts": [{"text": text}]}


def _artifact(text: str) -> dict[str, Any]:
    return {"artifactId": ARTIFACT, "parts": [{"text": text}]}


class Updates(StreamFormat):
    """Writes a task as it goes on. `envelope` makes the document of the protocol of each update.

    The text comes piece by piece. The last status has it once more as a whole: Google's ADK takes nothing else for the answer,
    and if Dify has replaced some of the text, nothing else tells it.
    """

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/event-stream"}
    keep_alive_s: ClassVar[float] = 3.0  # the client for Python gives up after 5 seconds of silence

    def __init__(self, task: Task, envelope: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self._task = task
        self._envelope = envelope
        self._reply = Reply()
        self._begun: Begun | None = None  # the ids with which the task has begun
        self._has_text = False

    def keep_alive(self) -> bytes:
        """A comment, which all clients skip."""
        return b": ping\n\n"

    def event(self, event: Event) -> bytes:
        """The updates that an event adds, often none."""
        return b"".join(map(self._piece, self._reply.add(event)))

    def tail(self) -> bytes:
        """The last updates; nothing after a failure, which has ended the task."""
        if self._reply.failed:
            return b""
        _, updates = self._begin()
        pieces = b"".join(map(self._piece, self._reply.finish()))
        return self._frames(updates) + pieces + self._frames([self._task.update(self._reply)])

    def _piece(self, piece: Piece) -> bytes:
        match piece:
            case Begun():
                return self._frames(self._begin()[1])
            case Text():
                begun, updates = self._begin()
                append, self._has_text = self._has_text, True
                return self._frames([*updates, self._task.artifact(begun, piece.delta, append=append)])
            case Failed():
                return self._frames([*self._begin()[1], self._task.update(self._reply)])
        return b""

    def _begin(self) -> tuple[Begun, list[dict[str, Any]]]:
        """The ids of the task, and the update with which it begins, if it has not yet."""
        if self._begun:
            return self._begun, []
        self._begun = self._reply.begun
        return self._begun, [self._task.working(self._begun)]

    def _frames(self, updates: list[dict[str, Any]]) -> bytes:
        return b"".join(b"data: " + json.encode(self._envelope(update)) + b"\n\n" for update in updates)
