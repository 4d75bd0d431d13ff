"""Results of tools, and how a client hears of them: as one document, or after notifications of progress. Pure."""

import mimetypes
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from duck.dify.parts import File, Step, Text
from duck.faces.mcp import rpc
from duck.faces.mcp.rpc import Call
from duck.faces.reply import Piece, Reply
from duck.streams import json
from duck.streams.format import Event, StreamFormat

PROGRESS_CHARACTERS = 200  # of new text, after which a client hears of it


def failed(message: str) -> dict[str, Any]:
    """The result of a call that has failed. A model reads it and may correct itself."""
    return {"content": [{"type": "text", "text": message}], "isError": True}


def succeeded(reply: Reply, conversation_id: str | None, *, is_chat: bool, knows_links: bool) -> dict[str, Any]:
    """The result of a call. `conversation_id` is that by which the client can continue, None for an app without conversations.

    A client that knows no links to resources gets links in the text.
    """
    if not knows_links:
        reply.finish()
    text = [{"type": "text", "text": reply.text}] if reply.text else []  # models' APIs refuse messages with an empty text
    content: list[dict[str, Any]] = [*text, *(map(_link, reply.files) if knows_links else ())]
    structured: dict[str, Any] = {"answer": reply.text}
    if is_chat and conversation_id:
        # Clients that show the model only the content could not continue otherwise.
        note = {"type": "text", "text": f"conversation_id: {conversation_id}", "annotations": {"audience": ["assistant"]}}
        content.append(note)
        structured["conversation_id"] = conversation_id
    if not is_chat:
        structured["outputs"] = reply.outputs
    return {"content": content, "structuredContent": structured, "isError": False}


class Results(StreamFormat):
    """Writes the result of one call. `finish` makes it of a reply that has not failed.

    With a progress token the client hears of steps and text meanwhile. Without one it waits: for a document, if the run is over
    before the first keep-alive, else for the only event of a stream.
    """

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/event-stream"}
    keep_alive_s: ClassVar[float] = 10.0

    def __init__(self, call: Call, server: Mapping[str, str], finish: Callable[[Reply], Mapping[str, Any]]) -> None:
        self._call = call
        self._server = server
        self._finish = finish
        self._reply = Reply()
        self._token = call.progress_token
        self._count = 0  # of notifications
        self._new = 0  # characters of text of which the client has not heard
        self._latest = ""  # the end of the text
        self.waits = self._token is None
        self.is_document = False

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def keep_alive(self) -> bytes:
        """Progress, or a comment for a client that wants none."""
        self.waits = False
        return b": ping\n\n" if self._token is None else self._progress(self._latest or "working")

    def event(self, event: Event) -> bytes:
        """Notifications of what has happened, often none."""
        pieces = self._reply.add(event)
        return b"" if self._token is None else b"".join(map(self._note, pieces))

    def tail(self) -> bytes:
        """The result."""
        reply = self._reply
        content = failed(reply.failed.message) if reply.failed else self._finish(reply)
        document = json.encode(rpc.result(self._call, content, self._server))
        self.is_document = self.waits
        return document + b"\n" if self.is_document else _frame(document)

    def _note(self, piece: Piece) -> bytes:
        match piece:
            case Step(state="running", title=title, round=0) if title:
                return self._progress(title)
            case Text():
                is_first, self._latest = not self._latest, (self._latest + piece.delta)[-PROGRESS_CHARACTERS:]
                self._new += len(piece.delta)
                if is_first or self._new >= PROGRESS_CHARACTERS:
                    self._new = 0
                    return self._progress(self._latest)
        return b""

    def _progress(self, message: str) -> bytes:
        self._count += 1
        assert self._token is not None  # noqa: S101 - asked before
        return _frame(json.encode(rpc.progress(self._token, self._count, message)))


def _frame(document: bytes) -> bytes:
    return b"event: message\ndata: " + document + b"\n\n"


def _link(file: File) -> dict[str, Any]:
    link = {"type": "resource_link", "uri": file.url, "name": file.name or file.url}
    mime_type = file.mime_type or mimetypes.guess_type(file.name)[0]
    return {**link, "mimeType": mime_type} if mime_type else link
