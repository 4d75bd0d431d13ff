"""Answers of the Responses API: a document, or a stream of events. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from duck.dify.parts import Begun, Failed, Text, Usage
from duck.faces.openai.chunks import KEEP_ALIVE
from duck.faces.openai.failures import SERVER
from duck.faces.reply import Piece, Reply
from duck.streams import json
from duck.streams.format import Event, StreamFormat

# What the ids of responses and of their items begin with.
RESPONSE, ITEM = "resp_", "msg_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What each form of a response repeats. `token` gives what its ids end with, by which a client continues from it."""

    model: str
    created: int
    token: Callable[[Begun], str]
    instructions: str | None
    previous_response_id: str | None
    metadata: Mapping[str, Any]

    def document(
        self, begun: Begun, status: str, output: list[Any], usage: dict[str, Any] | None, error: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The response as an object, with all fields that OpenAI's has."""
        return {
            "id": RESPONSE + self.token(begun),
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "error": error,
            "incomplete_details": None,
            "instructions": self.instructions,
            "max_output_tokens": None,
            "model": self.model,
            "output": output,
            "parallel_tool_calls": False,
            "previous_response_id": self.previous_response_id,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": None,
            "text": {"format": {"type": "text"}},
            "tool_choice": "none",
            "tools": [],
            "top_p": None,
            "truncation": "disabled",
            "user": None,
            "metadata": self.metadata,
            "usage": usage,
        }


def completed(response: Response, reply: Reply) -> dict[str, Any]:
    """The document of a reply that has not failed."""
    item = _item(ITEM + response.token(reply.begun), "completed", [_part(reply.text)])
    return response.document(reply.begun, "completed", [item], _usage(reply.usage))


class Events(StreamFormat):
    """Writes a reply as it comes. `ended` is called once, with a reply that has not failed and its text as the client has it."""

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/event-stream"}

    def __init__(self, response: Response, *, ended: Callable[[Reply, str], None]) -> None:
        self._response = response
        self._ended = ended
        self._reply = Reply()
        self._number = 0  # of the next event
        self._begun: Begun | None = None  # the ids with which the response has begun
        self._place: dict[str, Any] = {}  # where the text is: fields of each event about it

    def keep_alive(self) -> bytes:
        """A comment, which all clients skip."""
        return KEEP_ALIVE

    def event(self, event: Event) -> bytes:
        """The events that one of Dify's adds, often none."""
        return b"".join(frame for piece in self._reply.add(event) for frame in self._piece(piece))

    def tail(self) -> bytes:
        """The last events; nothing after a failure, which must not look like an end."""
        if self._reply.failed:
            return b""
        frames = [frame for piece in self._reply.finish() for frame in self._piece(piece)]
        begun = self._begun or Begun()
        if not self._begun:
            frames.extend(self._begin(begun))
        part, reply = _part(self._reply.text), self._reply
        item = _item(self._place["item_id"], "completed", [part])
        response = self._response.document(begun, "completed", [item], _usage(reply.usage))
        self._ended(reply, reply.text)
        return b"".join(
            [
                *frames,
                self._frame("response.output_text.done", **self._place, text=reply.text, logprobs=[]),
                self._frame("response.content_part.done", **self._place, part=part),
                self._frame("response.output_item.done", output_index=0, item=item),
                self._frame("response.completed", response=response),
            ]
        )

    def _piece(self, piece: Piece) -> Iterator[bytes]:
        begun = self._begun or self._reply.begun
        if not self._begun and isinstance(piece, Begun | Text | Failed):
            yield from self._begin(begun)
        match piece:
            case Text():
                yield self._frame("response.output_text.delta", **self._place, delta=piece.delta, logprobs=[])
            case Failed():
                error = {"code": SERVER, "message": piece.message}
                response = self._response.document(begun, "failed", [], None, error)
                yield self._frame("response.failed", response=response)

    def _begin(self, begun: Begun) -> Iterator[bytes]:
        self._begun, item_id = begun, ITEM + self._response.token(begun)
        self._place = {"item_id": item_id, "output_index": 0, "content_index": 0}
        response = self._response.document(begun, "in_progress", [], None)
        yield self._frame("response.created", response=response)
        yield self._frame("response.in_progress", response=response)
        yield self._frame("response.output_item.added", output_index=0, item=_item(item_id, "in_progress", []))
        yield self._frame("response.content_part.added", **self._place, part=_part(""))

    def _frame(self, name: str, **fields: Any) -> bytes:
        data = json.encode({"type": name, "sequence_number": self._number, **fields})
        self._number += 1
        return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


def _item(id_: str, status: str, content: list[Any]) -> dict[str, Any]:
    return {"id": id_, "type": "message", "status": status, "role": "assistant", "content": content}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(usage: Usage | None) -> dict[str, Any]:
    """Clients insist on numbers, so what Dify does not tell is 0."""
    return {
        "input_tokens": usage.prompt_tokens if usage else 0,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens if usage else 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens if usage else 0,
    }
