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
        """How the task has ended."""
        task_id, context_id = self.ids(reply.begun)
        return {"statusUpdate": {"taskId": task_id, "contextId": context_id, "status": self._status(reply)}}

    def artifact(self, begun: Begun, text: str, *, append: bool, last: bool = False) -> dict[str, Any]:
        """Text that continues the answer, or is put in its place."""
        task_id, context_id = self.ids(begun)
        update = {"taskId": task_id, "contextId": context_id, "artifact": _artifact(text), "append": append}
        return {"artifactUpdate": {**update, "lastChunk": True} if last else update}

    def _status(self, reply: Reply) -> dict[str, Any]:
        if not reply.failed:
            return {"state": _COMPLETED, "timestamp": self.now()}
        task_id, context_id = self.ids(reply.begun)
        parts = [{"text": reply.failed.message}]
        ids = {"messageId": f"{task_id}-failed", "contextId": context_id, "taskId": task_id}
        return {"state": _FAILED, "message": {**ids, "role": "ROLE_AGENT", "parts": parts}, "timestamp": self.now()}


def _artifact(text: str) -> dict[str, Any]:
    return {"artifactId": ARTIFACT, "parts": [{"text": text}]}


class Updates(StreamFormat):
    """Writes a task as it goes on. `envelope` makes the document of the protocol of each update.

    The text comes piece by piece, and at the end once more as a whole, in place of the pieces. So a client has the text that
    counts even if Dify has replaced some. Clients of agent frameworks keep nothing else.
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
        begun, updates = self._begin()
        self._reply.finish()
        if self._has_text or self._reply.text:
            updates.append(self._task.artifact(begun, self._reply.text, append=False, last=True))
        return self._frames([*updates, self._task.update(self._reply)])

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
