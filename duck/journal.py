"""One line in the log for each request, written when its answer has ended. It has no content of the request or answer, no key."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator


log = logging.getLogger("duck")

MAX_WORD = 64  # characters of a value that callers or Dify have chosen: an app's id, an error code


class Counting(Protocol):
    """A gateway, which counts what Dify sent among the events that is no event."""

    skipped: int


def word(value: object) -> str:
    """A value that callers or Dify have chosen, made safe for the log: it cannot begin a line or look like a second value."""
    text = str(value)[:MAX_WORD]
    if text.isprintable() and " " not in text:
        return text
    return "".join(character if character.isprintable() and character != " " else "?" for character in text)


@dataclass(slots=True, kw_only=True)
class Entry:
    """The line of one request, while it is collected. Empty values are left out.

    `route` is the pattern of the route, not the path. `by` is how the caller was let in: `guest`, `key`, or as in `senders`; a
    webhook has a kind of `sender`, too. `events` counts Dify's events. `ended` is the code of the error that ended the answer,
    `abandoned` if the client hung up, `repeated` for a repeated delivery, else `complete`.
    """

    method: str
    route: str
    request_id: str = ""
    app_id: str = ""
    kind: str = ""
    format: str = ""
    by: str = ""
    sender: str = ""
    status: int = 0
    events: int = 0
    dify: Counting | None = None
    ended: str = "complete"
    _size: int = field(default=0, init=False)
    _began: float = field(default_factory=time.monotonic, init=False)
    _first: float | None = field(default=None, init=False)
    _is_written: bool = field(default=False, init=False)

    def follow(self, body: Generator[bytes]) -> Generator[bytes]:
        """Passes the body on and writes the line at its end."""
        try:
            for chunk in body:
                self._count(chunk)
                yield chunk
        except GeneratorExit:
            self.ended = "abandoned"
            body.close()
            raise
        finally:
            self._write()

    def whole(self, body: bytes) -> None:
        """Writes the line of an answer that has one piece."""
        self._count(body)
        self._write()

    def fail_later(self, code: str) -> None:
        """Writes a line about a run that has failed after its request was answered. Nobody else would hear of it."""
        if self._is_written:
            log.warning("%s %s app=%s failed later: %s", word(self.method), self.route, word(self.app_id), word(code))

    def _count(self, chunk: bytes) -> None:
        if self._first is None:
            self._first = time.monotonic() - self._began
        self._size += len(chunk)

    def _write(self) -> None:
        self._is_written = True
        words = {
            "request": self.request_id,
            "app": self.app_id,
            "kind": self.kind,
            "format": self.format,
            "by": self.by,
            "sender": self.sender,
            "first": f"{self._first or 0:.3f}s",
            "total": f"{time.monotonic() - self._began:.3f}s",
            "events": self.events,
            "skipped": self.dify.skipped if self.dify else 0,
            "bytes": self._size,
            "end": self.ended,
        }
        said = " ".join(f"{name}={word(value)}" for name, value in words.items() if value)
        log.info("%s %s %d %s", word(self.method), self.route, self.status, said)
