"""The interfaces of a running plugin: it gets and sends messages, each of them for a session."""

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
plugin_logger = logging.getLogger("devhost.plugin")  # the plugin's own log messages, and its stderr


class Plugin(ABC):
    """One process of the plugin, or one connection to it. `notices_disconnects`: a client that leaves is reported to it."""

    notices_disconnects = False

    def __init__(self, trace: Trace | None) -> None:
        self._trace = trace
        self._sessions: dict[str, Receive] = {}
        self.ready = asyncio.Event()  # set by the first heartbeat

    def attach(self, session_id: str, receive: Receive) -> None:
        """Calls `receive` with the `data` of each message of the session from now on."""
        self._sessions[session_id] = receive

    def detach(self, session_id: str) -> None:
        """Drops the session's messages from now on."""
        self._sessions.pop(session_id, None)

    def fail_sessions(self, reason: str) -> None:
        """Ends all sessions with an error. The daemon lets them hang; here a restart after a change must not."""
        for receive in list(self._sessions.values()):
            receive({"type": "error", "data": {"error_type": "Exception", "message": reason, "args": {}}})

    def write(self, line: bytes) -> None:
        """Sends the plugin a line of any length: a request, or a reply to a backwards call."""
        if self._trace:
            self._trace(json.loads(line))
        self._send(line)

    def drop_sessions(self) -> None:
        """Drops all sessions. Their clients get no answer."""
        self._sessions.clear()

    @abstractmethod
    async def drain(self) -> None:
        """Waits until the plugin has read most of the lines."""

    @abstractmethod
    def _send(self, line: bytes) -> None:
        """Sends the line."""

    def handle(self, line: bytes) -> None:
        """Handles a line from the plugin. A line that is no message is dropped, as by the daemon."""
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
                pass  # its manifest, which is its first line
            case _:
                logger.warning("dropped a line of the plugin's output that is no message: %r", line[:200])


class Runtime(Protocol):
    """Keeps a plugin running, as a context manager. Entering raises `StartError` if the plugin does not start.

    `starts` counts its starts. `pid` is the id of its newest process, 0 if unknown. `declaration` is what it declares, None
    before its first start.
    """

    starts: int
    pid: int
    declaration: Declaration | None

    async def __aenter__(self) -> Self:
        """Starts the plugin, or the server to which it connects."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Stops it."""
        ...

    def routes(self) -> list[Route]:
        """The HTTP routes that the plugin calls."""
        ...

    async def plugin(self) -> Plugin | None:
        """The running plugin, or None. Waits while the plugin starts."""
        ...

    async def reload(self) -> None:
        """Restarts it, after a change in its folder."""
        ...
