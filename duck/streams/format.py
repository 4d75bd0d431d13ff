"""The interface of all formats of streams. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from duck import limits

Event = Mapping[str, Any]  # one dict that Dify streams during a run, with its name under `event`


class StreamFormat(ABC):
    """Writes one stream. Each stream has its own instance, which may keep state.

    `headers` are the response's. After `keep_alive_s` seconds without a byte a keep-alive is due; it is infinite for a format
    that has no keep-alives. A format that `waits` writes nothing before the run is over or the first keep-alive is due.
    """

    headers: ClassVar[Mapping[str, str]]
    keep_alive_s: ClassVar[float] = limits.KEEP_ALIVE_S
    waits: bool = False

    def keep_alive(self) -> bytes:
        """A keep-alive; it may differ from call to call."""
        return b""

    def head(self) -> bytes:
        """The bytes before the first event."""
        return b""

    @abstractmethod
    def event(self, event: Event) -> bytes:
        """One event as bytes, often none. Errors are events, too."""

    def tail(self) -> bytes:
        """The bytes after the last event."""
        return b""
