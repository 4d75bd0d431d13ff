"""The answer of a run as one message of a chat, for faces whose clients expect the reply of a model. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from duck.dify import parts
from duck.dify.parser import Parser
from duck.dify.parts import Begun, Failed, Part, Reasoning, Step, Text, Tool, Usage
from duck.streams.format import Event

PAUSED = "[This app waits for a person in Dify.]"
_VAGUE_CODES = {"", "invalid_param", "bad_request", "unknown"}  # Dify's, which clients would take for a fault of the request

type Piece = Begun | Text | Reasoning | Step | Tool | Failed


class Reply:
    """Turns the events of one run into the pieces of a message, in the order in which they are sent.

    `sent` is the text as the client has it, `text` the text that counts: they differ if Dify has replaced what had been sent.
    `begun` has the ids of the run, `outputs` are a workflow's. `failed` is how it failed, None for a run that did not; after it
    there are no more pieces. `is_filtered` tells that moderation has replaced the text: Dify replaces none for another reason.
    """

    def __init__(self) -> None:
        self.begun = Begun()
        self.usage: Usage | None = None
        self.outputs: Mapping[str, Any] = {}
        self.failed: Failed | None = None
        self.is_filtered = False
        self._parser = Parser()
        self._sent: list[str] = []
        self._kept: list[str] = []
        self._reasoning: list[str] = []
        self._files: dict[str, parts.File] = {}  # by address

    @property
    def sent(self) -> str:
        """The text that was sent to the client."""
        return "".join(self._sent)

    @property
    def text(self) -> str:
        """The text that counts."""
        return "".join(self._kept)

    @property
    def reasoning(self) -> str:
        """The model's reasoning, "" for guests."""
        return "".join(self._reasoning)

    @property
    def files(self) -> Collection[parts.File]:
        """The files of the answer, for a face that does not link them in the text."""
        return self._files.values()

    def add(self, event: Event) -> list[Piece]:
        """The pieces that an event adds, often none."""
        if self.failed:
            return []
        return [piece for part in self._parser.parse(event) for piece in self._pieces(part)]

    def finish(self) -> list[Piece]:
        """The pieces after the last event: links to the files of the answer."""
        links = [] if self.failed else [_link(file) for file in self._files.values()]
        return [self._text("\n\n" + link if self._kept else link) for link in links]

    def whole(self, events: Iterable[Event]) -> "Reply":
        """Adds all events of a run and its end."""
        for event in events:
            self.add(event)
        self.finish()
        return self

    def _pieces(self, part: Part) -> Iterator[Piece]:
        match part:
            case Begun():
                self.begun = part
                yield part
            case Text():
                yield self._text(part.delta)
            case Reasoning():
                self._reasoning.append(part.delta)
                yield part
            case Step() | Tool():
                yield part
            case parts.Replaced():
                yield from self._replace(part)
            case _:
                yield from self._end(part)

    def _end(self, part: Part) -> Iterator[Piece]:
        """The pieces of the parts that come at the end of a run."""
        match part:
            case parts.File():
                self._keep(part)
            case Usage():
                self.usage = part
            case parts.Outputs():
                self.outputs = part.values
                if not self._kept and (text := part.text()):
                    yield self._text(text)
                for file in part.files:
                    self._keep(file)
            case parts.Ended(state="paused"):
                yield self._text(f"\n\n{PAUSED}" if self._kept else PAUSED)
            case parts.Ended(state="stopped"):
                yield self._fail(Failed(code="workflow_failed", message=part.message))
            case Failed():
                yield self._fail(part)

    def _text(self, text: str) -> Text:
        self._sent.append(text)
        self._kept.append(text)
        return Text(delta=text)

    def _replace(self, replaced: parts.Replaced) -> Iterator[Text]:
        """What was sent cannot be taken back: it is continued, or the new text comes after a blank line."""
        self.is_filtered = True
        before = self.sent
        rest = replaced.text.removeprefix(before) if replaced.text.startswith(before) else f"\n\n{replaced.text}"
        self._kept = [replaced.text]
        if rest:
            self._sent.append(rest)
            yield Text(delta=rest)

    def _fail(self, failed: Failed) -> Failed:
        self.failed = replace(failed, code="completion_request_error") if failed.code in _VAGUE_CODES else failed
        return self.failed

    def _keep(self, file: parts.File) -> None:
        if file.url.startswith(("https://", "http://")):  # a relative address leads nowhere for a client
            self._files.setdefault(file.url, file)


def _link(file: parts.File) -> str:
    """A file in Markdown: as a picture, if it is one."""
    name = "".join(f"\\{character}" if character in "[]\\" else character for character in file.name)
    url = "".join(f"%{ord(character):02X}" if character in " ()<>" else character for character in file.url)
    return f"{'!' if file.type == 'image' else ''}[{name}]({url})"
