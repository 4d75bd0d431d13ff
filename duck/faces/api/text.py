"""The answer's text and nothing else. Pure."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from duck.dify import events, failures
from duck.streams.format import Event, StreamFormat


class Text(StreamFormat):
    """Writes the text as it comes, of a workflow its outputs; a failure, or a stop, as a last line, `error: …`."""

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/plain; charset=utf-8"}
    keep_alive_s: ClassVar[float] = math.inf

    def __init__(self) -> None:
        self._answer = events.Answer()
        self._written = False  # whether there is any text yet
        self._line_open = False  # whether the last of it was no line's end

    def event(self, event: Event) -> bytes:
        """The text that the event adds, often none."""
        replacement = events.replacement_of(event)
        if replacement is not None:
            self._answer.replace(replacement)
            return self._line(replacement, end="")  # what was sent cannot be taken back
        match event["event"]:
            case "workflow_finished" if events.kind_of(event) == "workflow" or events.has_stopped(event):
                return self._result(events.data_of(event))
            case "workflow_paused":
                return self._line("paused: waiting for a person in Dify")
            case "error":
                return self._error(event.get("message") or event.get("code"))
            case _:
                return self._text(self._answer.add(event))

    def tail(self) -> bytes:
        """The end of the last line."""
        return self._text("\n") if self._line_open else b""

    def _result(self, data: Mapping[str, Any]) -> bytes:
        if data.get("status") in {"failed", "stopped"}:
            return self._error(data.get("error") or data["status"])
        return b"" if self._written else self._text(events.text_of_outputs(data.get("outputs")))

    def _error(self, message: object) -> bytes:
        return self._line(f"error: {' '.join(failures.readable(str(message)).split())}")

    def _line(self, text: str, end: str = "\n") -> bytes:
        return self._text(("\n" if self._line_open else "") + text + end)

    def _text(self, text: str) -> bytes:
        if text:
            self._written = True
            self._line_open = not text.endswith("\n")
        return text.encode()
