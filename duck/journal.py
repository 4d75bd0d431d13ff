"""What the log says of a request: one line, once it has been answered. Nothing of what was asked and answered, and no key."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator


log = logging.getLogger("duck")

MAX_WORD = 64  # characters of what others have chosen: an app's id, a code of Dify's


class Counting(Protocol):
    """What counts what came among the events and was none."""

    skipped: int


def word(value: object) -> str:
    """What others have chosen, such that it can neither begin a line of the log nor pass for another word of one."""
    return "".join(
        character if character.isprintable() and not character.isspace() else "?" for character in str(value)[:MAX_WORD]
    )


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request's line in the making. What stays empty is left out of it.

    `route` is the pattern of the route, not what was called; `by` is `guest` or `key`. `events` are Dify's, which came through
    `dify`. `ended` is the code of the error that the answer ended with.
    """

    method: str
    route: str
    app_id: str = ""
    kind: str = ""
    style: str = ""
    by: str = ""
    status: int = 0
    events: int = 0
    dify: Counting | None = None
    ended: str = "complete"
    _size: int = field(default=0, init=False)
    _began: float = field(default_factory=time.monotonic, init=False)
    _first: float | None = field(default=None, init=False)

    def follow(self, body: Generator[bytes]) -> Generator[bytes]:
        """The body as it is, and at its end the line."""
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
        """The line of an answer in one piece."""
        self._count(body)
        self._write()

    def _count(self, chunk: bytes) -> None:
        if self._first is None:
            self._first = time.monotonic() - self._began
        self._size += len(chunk)

    def _write(self) -> None:
        words = {
            "app": self.app_id,
            "kind": self.kind,
            "format": self.style,
            "by": self.by,
            "first": f"{self._first or 0:.3f}s",
            "total": f"{time.monotonic() - self._began:.3f}s",
            "events": self.events,
            "skipped": self.dify.skipped if self.dify else 0,
            "bytes": self._size,
            "end": self.ended,
        }
        said = " ".join(f"{name}={word(value)}" for name, value in words.items() if value)
        log.info("%s %s %d %s", word(self.method), self.route, self.status, said)
