"""A run as AG-UI's events. Pure.

Whatever is begun is ended before the run is: clients refuse a stream in which something is left open.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from duck.dify.parts import Begun, Failed, Reasoning, Step, Text, Tool
from duck.faces.reply import Piece, Reply
from duck.streams import json
from duck.streams.format import Event, StreamFormat

VERSION = "1.0"  # of AG-UI
MESSAGE = "msg_"  # what the ids of the answer's messages begin with
KEEP_ALIVE = b": ping\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """What the client calls its thread and this run. `token` gives what our own ids end with, by which the thread goes on."""

    thread_id: str
    run_id: str
    token: Callable[[Begun], str]


class Stream(StreamFormat):
    """Writes a run as it comes. `ended` is called once, with a reply that has not failed and its text as the client has it.

    The answer is one message, or several if tools or reasoning come between its parts.
    """

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/event-stream"}

    def __init__(self, ids: Ids, *, ended: Callable[[Reply, str], None]) -> None:
        self._ids = ids
        self._ended = ended
        self._reply = Reply()
        self._token = ""  # what ids end with, once the run has begun
        self._message = ""  # the id of the message that is open, and below that of the reasoning
        self._reasoning = ""
        self._said: list[list[str]] = []  # the text of each message, as deltas
        self._reasonings = 0
        self._calls: dict[str, str] = {}  # ids of the calls that have no result yet, by Dify's ids
        self._steps: dict[str, set[str]] = {}  # the executions of each step that is active, by the step's name

    def keep_alive(self) -> bytes:
        """A comment, which all clients skip."""
        return KEEP_ALIVE

    def event(self, event: Event) -> bytes:
        """The events that one of Dify's adds, often none."""
        return b"".join(frame for piece in self._reply.add(event) for frame in self._piece(piece))

    def tail(self) -> bytes:
        """The last events; nothing after a failure."""
        if self._reply.failed:
            return b""
        frames = [frame for piece in self._reply.finish() for frame in self._piece(piece)]
        frames += [*self._begin(), *self._close()]
        usage = self._reply.usage
        told = usage and [
            {"inputTokens": usage.prompt_tokens, "outputTokens": usage.completion_tokens, "totalTokens": usage.total_tokens}
        ]
        frames.append(self._of_run("RUN_FINISHED", outcome={"type": "success"}, **({"usage": told} if told else {})))
        self._ended(self._reply, "\n\n".join(filter(None, map("".join, self._said))))
        return b"".join(frames)

    def _piece(self, piece: Piece) -> Iterator[bytes]:
        yield from self._begin()
        match piece:
            case Text():
                yield from self._say(piece.delta)
            case Reasoning():
                yield from self._reason(piece)
            case Step():
                yield from self._step(piece)
            case Tool(output=None):
                yield from self._call(piece)
            case Tool() if piece.id in self._calls:
                yield from self._close_message()
                yield _result(self._calls.pop(piece.id), piece.output or "")
            case Failed():
                yield from self._close()
                yield _frame("RUN_ERROR", message=piece.message, code=piece.code)

    def _begin(self) -> Iterator[bytes]:
        if not self._token:
            self._token = self._ids.token(self._reply.begun)
            yield self._of_run("RUN_STARTED", protocolVersion=VERSION)

    def _say(self, delta: str) -> Iterator[bytes]:
        if not self._message:
            if self._said:  # a message of its own needs no blank line before it
                delta = delta.lstrip("\n")
            if not delta:
                return
            yield from self._close_reasoning()
            self._message = self._new_message()
            yield _frame("TEXT_MESSAGE_START", messageId=self._message, role="assistant")
        self._said[-1].append(delta)
        yield _frame("TEXT_MESSAGE_CONTENT", messageId=self._message, delta=delta)

    def _reason(self, piece: Reasoning) -> Iterator[bytes]:
        if piece.delta:
            yield from self._close_message()
            if not self._reasoning:
                self._reasonings += 1
                self._reasoning = _numbered(f"reasoning_{self._token}", self._reasonings)
                yield _frame("REASONING_START", messageId=self._reasoning)
                yield _frame("REASONING_MESSAGE_START", messageId=self._reasoning, role="reasoning")
            yield _frame("REASONING_MESSAGE_CONTENT", messageId=self._reasoning, delta=piece.delta)
        if piece.is_final:
            yield from self._close_reasoning()

    def _step(self, piece: Step) -> Iterator[bytes]:
        """A step has one name; of executions at the same time the first begins it and the last ends it."""
        name = f"{piece.title} ({piece.node_id})" if piece.title and piece.node_id else piece.title or piece.node_id
        if piece.state == "retry" or piece.round:
            return
        if piece.state == "running":
            if name not in self._steps:
                yield _frame("STEP_STARTED", stepName=name)
            self._steps.setdefault(name, set()).add(piece.id)
        elif name in self._steps:
            self._steps[name].discard(piece.id)
            if not self._steps[name]:
                del self._steps[name]
                yield _frame("STEP_FINISHED", stepName=name)

    def _call(self, piece: Tool) -> Iterator[bytes]:
        """A call of one of the app's own tools. It is part of the message before it, or of one without text."""
        yield from self._close_message()
        yield from self._close_reasoning()
        parent = _numbered(self._first_message, len(self._said)) if self._said else self._new_message()
        id_ = self._calls[piece.id] = f"call_{piece.id or self._token}"
        yield _frame("TOOL_CALL_START", toolCallId=id_, toolCallName=piece.name, parentMessageId=parent)
        yield _frame("TOOL_CALL_ARGS", toolCallId=id_, delta=piece.input or "{}")
        yield _frame("TOOL_CALL_END", toolCallId=id_)

    def _close(self) -> Iterator[bytes]:
        """Ends all that is open. A call without a result gets an empty one, else the client would run it."""
        yield from self._close_message()
        yield from self._close_reasoning()
        for call in self._calls.values():
            yield _result(call, "")
        for name in reversed(self._steps):
            yield _frame("STEP_FINISHED", stepName=name)

    def _close_message(self) -> Iterator[bytes]:
        if self._message:
            yield _frame("TEXT_MESSAGE_END", messageId=self._message)
            self._message = ""

    def _close_reasoning(self) -> Iterator[bytes]:
        if self._reasoning:
            yield _frame("REASONING_MESSAGE_END", messageId=self._reasoning)
            yield _frame("REASONING_END", messageId=self._reasoning)
            self._reasoning = ""

    @property
    def _first_message(self) -> str:
        return MESSAGE + self._token

    def _new_message(self) -> str:
        self._said.append([])
        return _numbered(self._first_message, len(self._said))

    def _of_run(self, name: str, **more: Any) -> bytes:
        return _frame(name, threadId=self._ids.thread_id, runId=self._ids.run_id, **more)


def _numbered(id_: str, number: int) -> str:
    return id_ if number == 1 else f"{id_}_{number}"


def _result(call: str, content: str) -> bytes:
    return _frame("TOOL_CALL_RESULT", messageId=f"result_{call}", toolCallId=call, content=content, role="tool")


def _frame(name: str, **fields: Any) -> bytes:
    return b"data: " + json.encode({"type": name, **fields}) + b"\n\n"
