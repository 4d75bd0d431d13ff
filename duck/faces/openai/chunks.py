"""Answers of Chat Completions: a document, or a stream of chunks. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from duck.dify.parts import Begun, Failed, Reasoning, Text, Usage
from duck.faces.openai import failures
from duck.faces.reply import Piece, Reply
from duck.streams import json
from duck.streams.format import Event, StreamFormat

KEEP_ALIVE = b": ping\n\n"
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What each part of an answer repeats: the `model` as the client calls it, and when it was `created`, in Unix seconds.

    `conversation_id` gives the id by which the client can continue Dify's conversation, None for an app without conversations.
    """

    model: str
    created: int
    conversation_id: Callable[[Begun], str | None]

    def about(self, begun: Begun, kind: str) -> dict[str, Any]:
        """The fields that each part of the answer begins with."""
        id_ = (begun.message_id or begun.task_id or begun.workflow_run_id).replace("-", "")
        about = {"id": f"chatcmpl-{id_}", "object": kind, "created": self.created, "model": self.model}
        conversation_id = self.conversation_id(begun)
        return about if conversation_id is None else {**about, "conversation_id": conversation_id}


def completion(model: Model, reply: Reply) -> dict[str, Any]:
    """The document of a reply that has not failed."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}
    usage = {"usage": _usage(reply.usage)} if reply.usage else {}
    return {**model.about(reply.begun, "chat.completion"), "choices": [choice], **usage}


class Chunks(StreamFormat):
    """Writes a reply as it comes. `ended` is called once, with a reply that has not failed and its text as the client has it."""

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/event-stream"}

    def __init__(self, model: Model, *, includes_usage: bool, ended: Callable[[Reply, str], None]) -> None:
        self._model = model
        self._includes_usage = includes_usage
        self._ended = ended
        self._reply = Reply()
        self._head = b""  # what all chunks begin with, as JSON, once the run has begun

    def keep_alive(self) -> bytes:
        """A comment, which all clients skip."""
        return KEEP_ALIVE

    def event(self, event: Event) -> bytes:
        """The chunks that an event adds, often none."""
        return b"".join(map(self._piece, self._reply.add(event)))

    def tail(self) -> bytes:
        """The last chunks; nothing after a failure, which must not look like an end."""
        if self._reply.failed:
            return b""
        chunks = [self._piece(piece) for piece in self._reply.finish()]
        if not self._head:
            chunks.append(self._begin(Begun()))
        chunks.append(self._chunk({}, _finish_reason(self._reply)))
        if self._includes_usage:
            usage = self._reply.usage
            chunks.append(self._frame([], {"usage": _usage(usage) if usage else None}))
        self._ended(self._reply, self._reply.sent)
        return b"".join([*chunks, DONE])

    def _piece(self, piece: Piece) -> bytes:
        match piece:
            case Begun() if not self._head:
                return self._begin(piece)
            case Text():
                return self._delta({"content": piece.delta})
            case Reasoning(delta=delta) if delta:
                return self._delta({"reasoning_content": delta})
            case Failed():
                return b"data: " + json.encode(failures.document(piece.code, piece.message)) + b"\n\n"
        return b""

    def _begin(self, begun: Begun) -> bytes:
        about = json.encode(self._model.about(begun, "chat.completion.chunk"))
        self._head = b"data: " + about[:-1] + b","
        return self._chunk({"role": "assistant", "content": ""})

    def _delta(self, delta: Mapping[str, Any]) -> bytes:
        begun = b"" if self._head else self._begin(Begun())
        return begun + self._chunk(delta)

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
        return self._frame([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}])

    def _frame(self, choices: list[Any], more: Mapping[str, Any] | None = None) -> bytes:
        return self._head + json.encode({"choices": choices, **(more or {})})[1:] + b"\n\n"


def _finish_reason(reply: Reply) -> str:
    return "content_filter" if reply.is_filtered else "stop"


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
