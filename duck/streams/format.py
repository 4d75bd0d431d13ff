"""How a stream is written: what each format has to give. Pure."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

Event = Mapping[str, Any]  # one dict that Dify streams during a run, with its name under `event`


class StreamFormat(Protocol):
    """Writes one stream; made anew for each, so that it may remember what it wrote.

    `headers` go out with the response. `keep_alive` is what to write when nothing has happened for a while, empty where the
    format has no way to say nothing.
    """

    headers: ClassVar[Mapping[str, str]]

    @property
    def keep_alive(self) -> bytes:
        """What to write now."""
        ...

    def head(self) -> bytes:
        """What comes before the first event."""
        ...

    def event(self, event: Event) -> bytes:
        """One event; an error is one, too."""
        ...

    def tail(self) -> bytes:
        """What comes after the last event."""
        ...
