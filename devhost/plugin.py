"""A plugin at work, whichever way Dify runs it: the messages that go to it, and those that come, by their session."""

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from starlette.routing import Route

from devhost.declaration import Declaration

type Receive = Callable[[Mapping[str, Any]], None]
type Trace = Receive

logger = logging.getLogger("devhost")
plugin_logger = logging.getLogger("devhost.plugin")  # what the plugin itself logs or writes to stderr


class Plugin(ABC):
    """One process of the plugin, or one connection to it. `hears_hang_ups` tells whether it learns that a client has left."""

    hears_hang_ups = False

    def __init__(self, trace: Trace | None) -> None:
        self._trace = trace
        self._sessions: dict[str, Receive] = {}
        self.ready = asyncio.Event()  # a heartbeat has come

    def attach(self, session_id: str, receive: Receive) -> None:
        """From now on `receive` is called with the `data` of each message of the session."""
        self._sessions[session_id] = receive

    def detach(self, session_id: str) -> None:
        """Messages of the session are dropped from now on."""
        self._sessions.pop(session_id, None)

    def give_up(self, reason: str) -> None:
        """Ends all sessions with an error, as the daemon never does: whoever edits a plugin need not wait for hung clients."""
        for receive in list(self._sessions.values()):
            receive({"type": "error", "data": {"error_type": "Exception", "message": reason, "args": {}}})

    def write(self, line: bytes) -> None:
        """Hands the plugin a line: a request, or a reply to a backwards call. Its length has no limit."""
        if self._trace:
            self._trace(json.loads(line))
        self._send(line)

    def forget(self) -> None:
        """Drops all sessions: nobody is told."""
        self._sessions.clear()

    @abstractmethod
    async def drain(self) -> None:
        """Waits until the plugin has read most of what was written."""

    @abstractmethod
    def _send(self, line: bytes) -> None:
        """Puts the line on its way."""

    def take(self, line: bytes) -> None:
        """Takes a line from the plugin. What is no message is dropped, as the daemon does."""
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if self._trace and isinstance(message, dict):
            self._trace(message)
        match message:
            case {"event": "session", "session_id": session_id, "data": {"type": _} as data}:
                if session_id in self._sessions:
                    self._sessions[session_id](data)
            case {"event": "heartbeat"}:
                self.ready.set()
            case {"event": "log", "data": {"level": level, "message": text}}:
                plugin_logger.log(logging.getLevelNamesMapping().get(level, logging.INFO), "%s", text)
            case {"event": "error", "data": reason}:
                logger.error("the plugin could not read a line: %s", reason)
            case {"type": "plugin"}:
                pass  # its manifest, once, before all else
            case _:
                logger.warning("dropped from the plugin's output, since it is no message: %r", line[:200])


class Runtime(Protocol):
    """Keeps a plugin at work, while its context lasts. Entering raises `StartError` where that cannot be.

    `starts` counts how often the plugin came up, `pid` is that of its newest process, 0 where that is not known; `declaration`
    is what it declared then, None before that.
    """

    starts: int
    pid: int
    declaration: Declaration | None

    async def __aenter__(self) -> Self:
        """Starts what there is to start."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Stops it."""
        ...

    def routes(self) -> list[Route]:
        """What the plugin calls devhost by, where it does so by HTTP."""
        ...

    async def plugin(self) -> Plugin | None:
        """The plugin at work, awaited while there is about to be one; None if there is none."""
        ...

    async def reload(self) -> None:
        """Starts it anew: its folder has changed."""
        ...
