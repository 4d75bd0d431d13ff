"""The way of Dify's lines to the runs that wait for them: what the SDK (0.10) does, with a fraction of the work. Imports the SDK.

For each line the SDK builds a validator, asks every open reader whether the line is for it, and hands it over by a queue of
locks. Here a reader is found by the id that its replies carry, and the queue is gevent's own. Where anything is not as it was
when this was tested, the SDK's own way is used, and the log says so.
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

READ = 524_288  # bytes at a time: for each read the lock is given away, and while a large line is read others may be at work
PIPE = 1_048_576  # bytes that the pipe is to hold, of which Linux gives as many to anybody
LINES = 256  # that are handed out in a row
EOF_POLL_S = 1.0  # between two looks at an input that has ended: the SDK's watchdog ends the process when its parent has gone
TICK_S = 1.0  # a round, for which the SDK waits before it counts another second of silence
# What of the SDK is replaced or built upon here, and the hash of its source when this was tested.
REPLACED = (StdioRequestReader, RequestReader, FilterReader, PluginInStream, StdioResponseWriter, ResponseWriter)
TESTED = "e11bac3885b02da0"

_SILENCE = object()
_EVENTS = {event.value: event for event in PluginInStreamEvent}
_validate = TypeAdapter(dict[str, Any]).validate_json


class FastPlugin(Plugin):
    """The SDK's plugin, with the reader and the writer below where Dify runs it as a process of its own."""

    def __init__(self, config: DifyPluginEnv, slots: Slots) -> None:
        self._slots = slots  # first, since the SDK makes reader and writer at once
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
    """Why the SDK's reader cannot be replaced; None where it can."""
    if type(reader) is not StdioRequestReader:
        return f"it has a {type(reader).__name__}"
    if not stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        return "stdin is no pipe"  # a terminal or a socket that does not block would not for others, either
    if not os.get_blocking(sys.stdout.fileno()):
        return "stdout does not block"
    if (found := fingerprint()) != TESTED:
        return f"the SDK is not as it was when Duck's was tested, but {found}"
    return None


def fingerprint() -> str:
    """A hash of the source of what is replaced; "nowhere to be read" where it is not there."""
    try:
        return hashlib.sha256("".join(map(inspect.getsource, REPLACED)).encode()).hexdigest()[:16]
    except OSError:
        return "nowhere to be read"


class Message:
    """One line: a `PluginInStream`, which sets each of its frozen fields by a call, made at once."""

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
        self.event = _event(fields["event"])
        self.data = fields["data"]
        self.conversation_id, self.message_id, self.app_id = get("conversation_id"), get("message_id"), get("app_id")
        self.endpoint_id, self.context = get("endpoint_id"), get("context")
        self.reader, self.writer = reader, writer


class LineReader(FilterReader):
    """The lines for one who waits, on a queue of gevent's, and a look at the clock for all who wait together."""

    def __init__(
        self,
        filter: Callable[[Message], bool],  # noqa: A002 - the SDK's name for it
        close_callback: Callable[[], None],
        slots: Slots,
    ) -> None:
        self.filter = filter
        self._slots = slots
        self.close_callback = close_callback
        self.queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._heard = self._has_given = False

    def read(self, timeout_for_round: float | None = None) -> Iterator[Message | None]:
        """Gives the lines, and None for each round without one, until it is closed."""
        while (item := self._next()) is not None:
            if item is not _SILENCE:
                self._heard = True
                self._has_given = timeout_for_round is not None  # what waits for ever waits for requests, each another's
                yield item
            elif timeout_for_round:
                yield None

    def _next(self) -> Any:
        """The next line, one of many where there are many streams: to wake for each would cost more than to read it."""
        if self._has_given and self.queue.empty() and (gather_s := self._slots.gather_s):
            gevent.sleep(gather_s)
        return self.queue.get()

    def tick(self) -> None:
        """Tells that a round is over, if there was no line in it."""
        if not self._heard and self.queue.empty():
            self.queue.put(_SILENCE)
        self._heard = False


class PipeReader(StdioRequestReader):
    """Reads lines from a pipe and hands each to who waits for it."""

    def __init__(self, fd: int, writer: ResponseWriter, slots: Slots) -> None:
        super().__init__()
        self._slots = slots
        make_nonblocking(fd)
        with contextlib.suppress(AttributeError, OSError):  # not Linux, or more than it allows
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE)
        self._fd = fd
        self._writer = writer
        self._routes: dict[str, FilterReader] = {}  # by the id that their replies carry

    def read(self, filter: Callable[[Message], bool]) -> FilterReader:  # noqa: A002 - the SDK's name for it
        """Gets the lines that pass the filter, until it is closed."""
        reader = LineReader(filter, lambda: self._forget(reader), self._slots)
        self.readers.append(reader)
        return reader

    def event_loop(self) -> None:
        """Hands out lines for ever."""
        gevent.spawn(self._tick)
        super().event_loop()

    def _forget(self, reader: FilterReader) -> None:
        if reader in self.readers:
            self.readers.remove(reader)
        self._routes = {request_id: other for request_id, other in self._routes.items() if other is not reader}

    def _tick(self) -> None:
        while True:
            gevent.sleep(TICK_S)
            for reader in self.readers.copy():
                reader.tick()

    def _read_stream(self) -> Iterator[Message]:
        parts: list[bytes] = []  # of a line whose end is still to come
        while True:
            data = nb_read(self._fd, READ)
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
            gevent.sleep(0)  # while there is something to read, nobody else would get a turn

    def _messages(self, lines: bytes) -> Iterator[Message]:
        for number, line in enumerate(filter(None, map(bytes.strip, lines.split(b"\n")))):
            if number % LINES == LINES - 1:
                gevent.sleep(0)
            try:
                yield Message(_parse(line), self, self._writer)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a line, the next may be right
                self._writer.error(data={"error": str(error)})

    def _process_line(self, data: Message) -> None:
        is_reply = data.event is PluginInStreamEvent.BackwardInvocationResponse and isinstance(data.data, dict)
        request_id = str(data.data.get("backwards_request_id", "")) if is_reply else ""
        known = self._routes.get(request_id)
        wanting = [reader for reader in ((known,) if known else self.readers.copy()) if _wants(reader, data)]
        if not known and request_id and len(wanting) == 1:
            self._routes[request_id] = wanting[0]
        for reader in wanting:
            reader.write(data)


class PipeWriter(StdioResponseWriter):
    """Writes each message at once and whole: the SDK writes its newline by itself, and what a signal cuts off is lost."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: str) -> None:
        """Writes a text."""
        self._write(data.encode())

    def put(self, event: Event, session_id: str | None = None, data: dict[str, Any] | BaseModel | None = None) -> None:
        """Writes a message, and an empty line."""
        if isinstance(data, dict):
            line = orjson.dumps({"event": event.value, "session_id": session_id, "data": data}) + b"\n\n"
            patches.refuse_long(len(line))
            self._write(line)
        else:
            super().put(event, session_id, data)

    def stream_object(self, data: dict[str, Any] | BaseModel) -> Any:
        """A part of an answer: what the SDK makes a model of, and that a dict again."""
        return {"type": "stream", "data": data} if isinstance(data, dict) else super().stream_object(data)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]


def _parse(line: bytes) -> dict[str, Any]:
    """A line's object. Raises what the SDK raises."""
    try:
        fields = from_json(line)
    except ValueError:
        fields = None
    return fields if isinstance(fields, dict) else _validate(line)


def _event(value: Any) -> PluginInStreamEvent:
    return _EVENTS[value] if isinstance(value, str) and value in _EVENTS else PluginInStreamEvent.value_of(value)


def _wants(reader: FilterReader, data: Message) -> bool:
    try:
        return bool(reader.filter(data))
    except Exception:
        log.exception("a filter failed")
        return False
