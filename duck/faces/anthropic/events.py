"""Answers of Anthropic's Messages API: a document, or a stream of events. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from duck.dify.parts import Begun, Failed, Text, Usage
from duck.faces.anthropic import failures
from duck.faces.reply import Piece, Reply
from duck.streams import json
from duck.streams.format import Event, StreamFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What an answer tells besides its text: the `model` as the client calls it, and the request's id, which errors repeat.

    `conversation_id` gives the id by which the client can continue Dify's conversation, None for an app without conversations.
    """

    model: str
    request_id: str
    conversation_id: Callable[[Begun], str | None]

    def conversation(self, begun: Begun) -> dict[str, str]:
        """The id of the conversation as a field, {} without one."""
        found = self.conversation_id(begun)
        return {} if found is None else {"conversation_id": found}

    def document(self, begun: Begun, content: list[Any], stop_reason: str | None, usage: Usage | None) -> dict[str, Any]:
        """The message as an object."""
        id_ = (begun.message_id or begun.task_id or begun.workflow_run_id).replace("-", "")
        return {
            "id": f"msg_{id_}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            **self.conversation(begun),
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": _usage(usage),
        }


def whole(message: Message, reply: Reply) -> dict[str, Any]:
    """The document of a reply that has not failed."""
    return message.document(reply.begun, [_block(reply.text)], _stop_reason(reply), reply.usage)


class Events(StreamFormat):
    """Writes a reply as it comes. `ended` is called once, with a reply that has not failed and its text as the client has it."""

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/event-stream"}

    def __init__(self, message: Message, *, ended: Callable[[Reply, str], None]) -> None:
        self._message = message
        self._ended = ended
        self._reply = Reply()
        self._has_begun = False
        self._conversation: Mapping[str, str] = {}  # a field of each event, once the run has begun

    def keep_alive(self) -> bytes:
        """The event that Anthropic's API sends for this."""
        return _frame({"type": "ping"})

    def event(self, event: Event) -> bytes:
        """The events that one of Dify's adds, often none."""
        return b"".join(frame for piece in self._reply.add(event) for frame in self._piece(piece))

    def tail(self) -> bytes:
        """The last events; nothing after a failure, which must not look like an end."""
        reply = self._reply
        if reply.failed:
            return b""
        frames = [frame for piece in reply.finish() for frame in self._piece(piece)]
        if not self._has_begun:
            frames.extend(self._begin(Begun()))
        self._ended(reply, reply.sent)
        delta = {"stop_reason": _stop_reason(reply), "stop_sequence": None}
        return b"".join(
            [
                *frames,
                self._event("content_block_stop", index=0),
                self._event("message_delta", delta=delta, usage=_usage(reply.usage)),
                self._event("message_stop"),
            ]
        )

    def _piece(self, piece: Piece) -> Iterator[bytes]:
        if not self._has_begun and isinstance(piece, Begun | Text):
            yield from self._begin(self._reply.begun)
        match piece:
            case Text():
                yield self._event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece.delta})
            case Failed():
                yield _frame(failures.document(piece.code, piece.message, self._message.request_id))

    def _begin(self, begun: Begun) -> Iterator[bytes]:
        self._has_begun, self._conversation = True, self._message.conversation(begun)
        yield self._event("message_start", message=self._message.document(begun, [], None, None))
        yield self._event("content_block_start", index=0, content_block=_block(""))

    def _event(self, name: str, **fields: Any) -> bytes:
        return _frame({"type": name, **fields, **self._conversation})


def _frame(data: Mapping[str, Any]) -> bytes:
    return b"event: " + str(data["type"]).encode() + b"\ndata: " + json.encode(data) + b"\n\n"


def _block(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _stop_reason(reply: Reply) -> str:
    return "refusal" if reply.is_filtered else "end_turn"


def _usage(usage: Usage | None) -> dict[str, int]:
    """Clients insist on numbers, so what Dify does not tell is 0."""
    return {
        "input_tokens": usage.prompt_tokens if usage else 0,
        "output_tokens": usage.completion_tokens if usage else 0,
    }
