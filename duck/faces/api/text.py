"""The answer's text and nothing else. Pure."""

import math
from collections.abc import Mapping
from typing import ClassVar

from duck.dify import parts
from duck.dify.parser import Parser
from duck.dify.parts import Part
from duck.streams.format import Event, StreamFormat


class Text(StreamFormat):
    """Writes the text as it comes, or the outputs of a workflow. After a failure or a stop the last line is `error: …`."""

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/plain; charset=utf-8"}
    keep_alive_s: ClassVar[float] = math.inf

    def __init__(self) -> None:
        self._parser = Parser()
        self._written = False  # whether any text was written
        self._line_open = False  # whether the last text did not end its line

    def event(self, event: Event) -> bytes:
        """The text that the event adds, often none."""
        return b"".join(map(self._part, self._parser.parse(event)))

    def tail(self) -> bytes:
        """A line end, if the last line has none."""
        return self._text("\n") if self._line_open else b""

    def _part(self, part: Part) -> bytes:
        match part:
            case parts.Text():
                return self._text(part.delta)
            case parts.Replaced():
                return self._line(part.text, end="")  # what was sent cannot be taken back
            case parts.Outputs() if not self._written:
                return self._text(part.text())
            case parts.Ended(state="paused"):
                return self._line("paused: waiting for a person in Dify")
            case parts.Failed() | parts.Ended(state="stopped"):
                return self._line(f"error: {' '.join(part.message.split())}")
        return b""

    def _line(self, text: str, end: str = "\n") -> bytes:
        return self._text(("\n" if self._line_open else "") + text + end)

    def _text(self, text: str) -> bytes:
        if text:
            self._written = True
            self._line_open = not text.endswith("\n")
        return text.encode()
