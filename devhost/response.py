"""Turns the plugin's chunks into an HTTP response, and loses chunks where the daemon does.

The daemon sends status and headers with the first chunk, and flushes every chunk. Chunks go through a queue of 128 slots; a
chunk that comes when the queue is full is lost. If the plugin's stream has ended when the first chunk is written, the daemon
ends the response there and drops the other chunks. There this is a race; here it always happens to a stream that ends within
the race window.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from devhost.clock import Clock
from devhost.limits import Limits
from devhost.request import canonical_name
from devhost.wire import dumps, through_go

QUEUE_SLOTS = 128  # of the daemon's queue between plugin and client
BODILESS = frozenset({204, 304})
# Go removes these from responses without a body, and Content-Type from a 304, too.
FRAMING_HEADERS = frozenset({"Content-Length", "Transfer-Encoding"})
INTERNAL_ERROR = "PluginDaemonInternalServerError"

logger = logging.getLogger("devhost")


class Answer:
    """The answer to one request: takes the plugin's messages, and writes them to the client as the daemon does.

    The first chunk is sent at once. Within the race window later chunks wait in the queue, as for a client that has not read
    yet: of a burst 128 chunks arrive and the 129th is lost, the daemon's worst case. After the window only chunks that wait for
    the client's socket occupy slots.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._status = 200
        self._headers: dict[str, str] = {}
        self._first: bytes | None = None
        self._first_at = 0.0
        self._chunks: deque[bytes] = deque()
        self._lost = 0
        self._error: Mapping[str, Any] | None = None
        self._cut = False
        self._over = asyncio.Event()
        self._fed = asyncio.Event()

    def feed(self, message: Mapping[str, Any]) -> None:
        """Takes a `stream` message: `status` and `headers`, or a chunk as the hex text `result`, or both."""
        if "status" in message:
            self._status = int(message["status"])
            self._headers = {canonical_name(name): str(value) for name, value in message.get("headers", {}).items()}
        if "result" in message:
            self._take(bytes.fromhex(message["result"]))
        self._fed.set()

    def fail(self, error: Mapping[str, Any]) -> None:
        """Takes an `error` message (`error_type`, `message`, `args`), which ends the answer."""
        if not self._over.is_set():
            self._error = error
            self.end()

    def end(self) -> None:
        """Takes an `end` message."""
        if self._over.is_set():
            return
        self._cut = self._in_race()
        if self._cut and (self._chunks or self._error):
            logger.warning("truncation race: the stream ended right after its first chunk, %d lost", len(self._chunks))
        if self._lost:
            logger.warning("queue full: %d chunks lost, %d were waiting", self._lost, QUEUE_SLOTS)
        self._over.set()
        self._fed.set()

    async def write(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Writes the response, until its end."""
        while self._first is None and not self._over.is_set():
            await self._wait()
        if self._first is None and self._error is not None:
            await daemon_error(500, -500, INTERNAL_ERROR, _error_text(self._error))(scope, receive, send)
            return
        body = _Body(send, bodiless=scope["method"] == "HEAD" or self._status in BODILESS)
        if self._first is None:
            await body.start(self._status, {"Content-Length": "0", **self._headers})
        else:
            await body.start(self._status, self._headers)
            await body.write(self._first)
            try:
                async with asyncio.timeout_at(self._first_at + self._limits.execution_s):
                    if await self._survives_race():
                        await self._write_rest(body)
            except TimeoutError:
                logger.warning("killed by timeout: the answer had not ended %g s after its first chunk", self._limits.execution_s)
                await body.write(bytes(daemon_error(500, -500, INTERNAL_ERROR, "killed by timeout").body))
        await body.finish()

    def _take(self, chunk: bytes) -> None:
        if self._first is None:
            self._first = chunk
            self._first_at = self._clock.earliest()  # a standstill of devhost must not count as the race window
        elif len(self._chunks) + self._in_race() >= QUEUE_SLOTS:
            self._lost += 1
        else:
            self._chunks.append(chunk)

    def _in_race(self) -> bool:
        """Whether the race window is open. Within it the first chunk occupies a slot."""
        return self._first is not None and asyncio.get_running_loop().time() < self._first_at + self._limits.race_s

    async def _survives_race(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._first_at + self._limits.race_s):
                await self._over.wait()
        return not self._cut

    async def _write_rest(self, body: "_Body") -> None:
        while True:
            while self._chunks:
                await body.write(self._chunks.popleft())
            if self._over.is_set():
                break
            await self._wait()
        if self._error is not None:
            await body.write(_error_text(self._error).encode())

    async def _wait(self) -> None:
        self._fed.clear()
        await self._fed.wait()


class _Body:
    """Writes the body, and keeps to the plugin's Content-Length as Go's server does."""

    def __init__(self, send: Send, *, bodiless: bool) -> None:
        self._send = send
        self._bodiless = bodiless
        self._left: int | None = None

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        fields = dict(headers)
        if status in BODILESS:
            for name in FRAMING_HEADERS | ({"Content-Type"} if status == 304 else set()):
                fields.pop(name, None)
        elif (length := fields.get("Content-Length")) is not None:
            if length.isascii() and length.isdigit():
                self._left = int(length)
            else:
                del fields["Content-Length"]
        await self._send({"type": "http.response.start", "status": status, "headers": _raw(fields.items())})

    async def write(self, chunk: bytes) -> None:
        if self._bodiless:
            return
        if self._left is not None:
            chunk = chunk[: self._left]
            self._left -= len(chunk)
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def finish(self) -> None:
        """Ends the body. If it is shorter than its Content-Length, it stays open and the connection breaks."""
        if self._bodiless or not self._left:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def daemon_error(status: int, code: int, error_type: str, message: str) -> Response:
    """An error in the daemon's format: JSON whose `message` is JSON again."""
    text = dumps({"message": message, "error_type": error_type, "args": None})
    body = dumps({"code": code, "message": text, "data": None})
    return Response(body, status, {"content-type": "application/json; charset=utf-8"})


def _error_text(error: Mapping[str, Any]) -> str:
    return dumps(through_go(error))


def _raw(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers for ASGI. Line breaks in values become spaces, as with Go."""
    return [(name.encode(), " ".join(value.splitlines()).strip().encode()) for name, value in headers]
