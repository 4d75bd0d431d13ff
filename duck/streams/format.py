"""How a stream is written: what each format has to give. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from duck import limits

Event = Mapping[str, Any]  # one dict that Dify streams during a run, with its name under `event`


class StreamFormat(ABC):
    """Writes one stream; made anew for each, so that it may remember what it wrote.

    `headers` go out with the response. `keep_alive_s` is after how many seconds without a byte a sign of life is due, infinite
    where the format has no way to say nothing.
    """

    headers: ClassVar[Mapping[str, str]]
    keep_alive_s: ClassVar[float] = limits.KEEP_ALIVE_S

    def keep_alive(self) -> bytes:
        """A sign of life; each time it may be another."""
        return b""

    def head(self) -> bytes:
        """What comes before the first event."""
        return b""

    @abstractmethod
    def event(self, event: Event) -> bytes:
        """One event, often nothing; an error is one, too."""

    def tail(self) -> bytes:
        """What comes after the last event."""
        return b""
