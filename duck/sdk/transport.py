"""Passes the daemon's lines to the runs that wait for them, as the SDK (0.10) does, with less CPU time. Imports the SDK.

For each line the SDK builds a validator, calls the filter of every open reader, and passes the line on in a queue with several
locks. Here the reader is looked up by the request id in its replies, and the queue is gevent's own. If the SDK or the process
is not as it was when this was tested, the SDK's own transport is used, and the log says so.
"""

import contextlib
import fcntl
import hashlib
import inspect
import logging
import os
import queue
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import orjson
from dify_plugin import DifyPluginEnv, Plugin
from dify_plugin.core.entities.plugin.io import PluginInStream, PluginInStreamEvent
from dify_plugin.core.server.__base.filter_reader import FilterReader
from dify_plugin.core.server.__base.request_reader import RequestReader
from dify_plugin.core.server.__base.response_writer import ResponseWriter
from dify_plugin.core.server.__base.writer_entities import Event
from dify_plugin.core.server.stdio.request_reader import StdioRequestReader
from dify_plugin.core.server.stdio.response_writer import StdioResponseWriter
from gevent.os import make_nonblocking, nb_read
from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json

from duck.sdk import patches
from duck.streams.slots import Slots

log = logging.getLogger("duck")

READ_BYTES = 524_288  # at a time: each read releases Python's lock, and between the reads of a large line others get a turn
PIPE_BYTES = 1_048_576  # of the pipe's buffer: as many as Linux allows to any user
MAX_LINES = 256  # that are passed on before other greenlets get a turn
EOF_POLL_S = 1.0  # between two reads after the input has ended: the SDK's watchdog ends the process when its parent has gone
TICK_S = 1.0  # one round: the SDK counts a second of silence for each round without a line
# The SDK's classes that are replaced or extended here, and the hash of their source when this was tested.
REPLACED = (StdioRequestReader, RequestReader, FilterReader, PluginInStream, StdioResponseWriter, ResponseWriter)
TESTED = "e11bac3885b02da0"

_SILENCE = object()
_EVENTS = {event.value: event for event in PluginInStreamEvent}
_validate = TypeAdapter(dict[str, Any]).validate_json


class FastPlugin(Plugin):
    """The SDK's plugin, with the reader and the writer below if Dify runs it as a local process."""

    def __init__(self, config: DifyPluginEnv, slots: Slots) -> None:
        self._slots = slots  # first, because the SDK's constructor makes the reader and the writer
        super().__init__(config)

    def _launch_local_stream(self, config: DifyPluginEnv) -> tuple[RequestReader, ResponseWriter]:
        reader, writer = super()._launch_local_stream(config)
        reason = "DUCK_TRANSPORT says so" if config.DUCK_TRANSPORT == "stock" else obstacle(reader)
        if reason:
            log.info("the SDK's own transport is used: %s", reason)
            return reader, writer
        self._slots.pump_gathers = False
        writer = PipeWriter(sys.stdout.fileno())
        return PipeReader(sys.stdin.fileno(), writer, self._slots), writer


def obstacle(reader: RequestReader) -> str | None:
    """Why the SDK's reader cannot be replaced; None if it can."""
    if type(reader) is not StdioRequestReader:
        return f"it has a {type(reader).__name__}"
    if not stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        return "stdin is no pipe"  # a terminal or socket would be non-blocking for other processes, too
    if not os.get_blocking(sys.stdout.fileno()):
        return "stdout does not block"
    if (found := fingerprint()) != TESTED:
        return f"the SDK is not as it was when Duck's was tested, but {found}"
    return None


def fingerprint() -> str:
    """The hash of the source of the `REPLACED` classes; "nowhere to be read" if the source is not there."""
    try:
        return hashlib.sha256("".join(map(inspect.getsource, REPLACED)).encode()).hexdigest()[:16]
    except OSError:
        return "nowhere to be read"


class Message:
    """One line, with the fields of the SDK's `PluginInStream`. That one is frozen, and sets each field by a slow call."""

    __slots__ = (
        "app_id",
        "context",
        "conversation_id",
        "data",
        "endpoint_id",
        "event",
        "message_id",
        "reader",
        "session_id",
        "writer",
    )

    def __init__(self, fields: dict[str, Any], reader: RequestReader, writer: ResponseWriter) -> None:
        get = fields.get
        self.session_id = fields["session_id"]
        self.event = _parse_event(fields["event"])
        self.data = fields["data"]
        self.conversation_id, self.message_id, self.app_id = get("conversation_id"), get("message_id"), get("app_id")
        self.endpoint_id, self.context = get("endpoint_id"), get("context")
        self.reader, self.writer = reader, writer


class LineReader(FilterReader):
    """Reads the lines that pass one filter, from a gevent queue. Instead of timeouts of its own it gets a common `tick`."""

    def __init__(
        self,
        filter: Callable[[Message], bool],  # noqa: A002 - the SDK's name
        close_callback: Callable[[], None],
        slots: Slots,
    ) -> None:
        self.filter = filter
        self._slots = slots
        self.close_callback = close_callback
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._heard = self._gathers = False

    def read(self, timeout_for_round: float | None = None) -> Iterator[Message | None]:
        """Yields the lines, and None for each round without one, until the reader is closed."""
        while (item := self._next()) is not None:
            if item is not _SILENCE:
                self._heard = True
                self._gathers = timeout_for_round is not None  # without a timeout the lines are requests of different callers
                yield item
            elif timeout_for_round:
                yield None

    def _next(self) -> Any:
        """The next line. With many streams it waits until there are several: a switch of greenlets costs more than a line."""
        if self._gathers and self.queue.empty() and (gather_s := self._slots.gather_s):
            gevent.sleep(gather_s)
        return self.queue.get()

    def tick(self) -> None:
        """Ends a round. If there was no line in it, `read` yields None."""
        if not self._heard and self.queue.empty():
            self.queue.put(_SILENCE)
        self._heard = False


class PipeReader(StdioRequestReader):
    """Reads lines from a pipe, and gives each to the readers whose filters accept it."""

    def __init__(self, fd: int, writer: ResponseWriter, slots: Slots) -> None:
        super().__init__()
        self._slots = slots
        make_nonblocking(fd)
        with contextlib.suppress(AttributeError, OSError):  # not Linux, or not allowed
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._fd = fd
        self._writer = writer
        self._readers_by_request: dict[str, FilterReader] = {}  # by the request id in their replies

    def read(self, filter: Callable[[Message], bool]) -> FilterReader:  # noqa: A002 - the SDK's name
        """A reader of the lines that pass the filter. It gets them until it is closed."""
        reader = LineReader(filter, lambda: self._remove(reader), self._slots)
        self.readers.append(reader)
        return reader

    def event_loop(self) -> None:
        """Reads and passes on lines for ever."""
        gevent.spawn(self._tick)
        super().event_loop()

    def _remove(self, reader: FilterReader) -> None:
        if reader in self.readers:
            self.readers.remove(reader)
        self._readers_by_request = {id_: other for id_, other in self._readers_by_request.items() if other is not reader}

    def _tick(self) -> None:
        while True:
            gevent.sleep(TICK_S)
            for reader in self.readers.copy():
                reader.tick()

    def _read_stream(self) -> Iterator[Message]:
        parts: list[bytes] = []  # of a line that is not complete yet
        while True:
            data = nb_read(self._fd, READ_BYTES)
            if not data:
                gevent.sleep(EOF_POLL_S)
                continue
            head, newline, tail = data.rpartition(b"\n")
            if newline:
                parts.append(head)
                lines = b"".join(parts)
                parts.clear()
                yield from self._messages(lines)
                del lines
            parts.append(tail)
            gevent.sleep(0)  # otherwise no other greenlet would get a turn while there is something to read

    def _messages(self, lines: bytes) -> Iterator[Message]:
        for number, line in enumerate(filter(None, map(bytes.strip, lines.split(b"\n")))):
            if number % MAX_LINES == MAX_LINES - 1:
                gevent.sleep(0)
            try:
                yield Message(_parse(line), self, self._writer)
            except Exception as error:  # noqa: BLE001 - after an invalid line the next may be valid
                self._writer.error(data={"error": str(error)})

    def _process_line(self, data: Message) -> None:
        is_reply = data.event is PluginInStreamEvent.BackwardInvocationResponse and isinstance(data.data, dict)
        request_id = str(data.data.get("backwards_request_id", "")) if is_reply else ""
        cached = self._readers_by_request.get(request_id)
        receivers = [reader for reader in ((cached,) if cached else self.readers.copy()) if _accepts(reader, data)]
        if not cached and request_id and len(receivers) == 1:
            self._readers_by_request[request_id] = receivers[0]
        for reader in receivers:
            reader.write(data)


class PipeWriter(StdioResponseWriter):
    """Writes each message whole. The SDK writes the newline separately, and loses what a signal cuts off."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: str) -> None:
        """Writes a text as UTF-8."""
        self._write(data.encode())

    def put(self, event: Event, session_id: str | None = None, data: dict[str, Any] | BaseModel | None = None) -> None:
        """Writes a message and an empty line. Raises `DuckError` 413 for a message that is too long."""
        if isinstance(data, dict):
            line = orjson.dumps({"event": event.value, "session_id": session_id, "data": data}) + b"\n\n"
            patches.refuse_long(len(line))
            self._write(line)
        else:
            super().put(event, session_id, data)

    def stream_object(self, data: dict[str, Any] | BaseModel) -> Any:
        """A part of an answer as a dict. The SDK would make a model of it, and a dict of that."""
        return {"type": "stream", "data": data} if isinstance(data, dict) else super().stream_object(data)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]


def _parse(line: bytes) -> dict[str, Any]:
    """The JSON object on a line. Raises the SDK's error for any other line."""
    try:
        fields = from_json(line)
    except ValueError:
        fields = None
    return fields if isinstance(fields, dict) else _validate(line)


def _parse_event(value: Any) -> PluginInStreamEvent:
    return _EVENTS[value] if isinstance(value, str) and value in _EVENTS else PluginInStreamEvent.value_of(value)


def _accepts(reader: FilterReader, data: Message) -> bool:
    try:
        return bool(reader.filter(data))
    except Exception:
        log.exception("a filter failed")
        return False
