"""Patches of the SDK (0.10) and of Werkzeug's router, each with its reason. `start` applies them. Imports the SDK.

No unit test imports this module, because the SDK patches every process that imports it. The tests of the real process cover it.
"""

import binascii
import contextlib
import ctypes
import functools
import logging
from collections.abc import Callable, Iterator
from threading import Lock
from types import SimpleNamespace
from typing import Any

import httpx
from dify_plugin.config.logger_format import DifyPluginLoggerFormatter
from dify_plugin.core import plugin_executor, runtime
from dify_plugin.core.plugin_executor import PluginExecutor
from dify_plugin.core.runtime import Session
from dify_plugin.core.server.__base.response_writer import ResponseWriter
from dify_plugin.core.server.__base.writer_entities import Event, StreamOutputMessage
from dify_plugin.core.server.router import Router
from dify_plugin.core.server.stdio import request_reader as stdio
from dify_plugin.core.server.tcp import request_reader as tcp
from dify_plugin.core.utils.http_parser import deserialize_request
from pydantic import BaseModel, TypeAdapter
from werkzeug import Request
from werkzeug.routing import PathConverter

from duck import errors, limits
from duck.runs import parsing

_M_MMAP_THRESHOLD = -3  # from glibc's malloc.h
_MMAP_THRESHOLD = 1024 * 1024  # bytes of the smallest block that is returned to the system at once


def apply() -> None:
    """Patches the SDK in this process."""
    ResponseWriter.put = _put
    ResponseWriter.session_message_text = _session_message_text
    PluginExecutor.invoke_endpoint.__annotations__["data"] = _Request
    plugin_executor.binascii = SimpleNamespace(hexlify=binascii.hexlify, unhexlify=_RequestBytes)
    plugin_executor.deserialize_request = lambda raw: _deserialized(raw.take())
    Router.dispatch = _dispatch
    tcp.TCPReaderWriter._write_data = _send_in_one_piece  # noqa: SLF001 - no public method does this
    runtime.httpx = SimpleNamespace(Client=_Client)
    # The SDK builds a validator for each line. `transport` does not, but it is not always used.
    runtime.TypeAdapter = stdio.TypeAdapter = tcp.TypeAdapter = functools.cache(TypeAdapter)
    # Werkzeug's own pattern matches no newline: a path with "%0A" would miss the catch-all routes, and the SDK would answer.
    PathConverter.regex = "(?s:[^/].*?)"


def return_memory() -> None:
    """Makes glibc return large blocks to the system as soon as they are freed.

    By default glibc raises its threshold to the largest block freed so far: after a few large requests it returns nothing.
    """
    with contextlib.suppress(AttributeError, OSError):  # another libc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)


def refuse_long(size: int) -> None:
    """Raises `DuckError` 413 for a line of so many bytes that the daemon would kill the process, and all streams with it."""
    if size > limits.MAX_LINE:
        raise errors.too_large(size, limits.MAX_LINE)


class LogFormatter(DifyPluginLoggerFormatter):
    """Formats lines as the SDK does, but cuts messages: the daemon would kill the process for a very long line."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        message = record.getMessage()
        if len(message) > limits.LOG_MESSAGE:
            record = logging.makeLogRecord({**vars(record), "msg": message[: limits.LOG_MESSAGE] + " …", "args": ()})
        line: str = super().format(record)
        return line


class _Request:
    """Replaces the SDK's model of a request to an endpoint, and frees the raw request once it has been read.

    While a request is answered, the SDK would keep its body four times: in the daemon's message, in its model of that, as bytes
    of the whole request, and as the body. Ten large requests at once would need most of a gigabyte.
    """

    def __init__(self, *, settings: dict[str, Any], raw_http_request: str, **_: Any) -> None:
        self.settings = settings
        self._raw = raw_http_request

    @property
    def raw_http_request(self) -> str:
        """The request in hexadecimal digits; "" after the first read."""
        raw, self._raw = self._raw, ""
        return raw


class _RequestBytes:
    """The bytes of a request in hexadecimal digits. They can be taken once."""

    def __init__(self, digits: str) -> None:
        self._bytes = binascii.unhexlify(digits)

    def take(self) -> bytes:
        """Returns the bytes, and keeps no reference to them."""
        taken, self._bytes = self._bytes, b""
        return taken


def _deserialized(data: bytes) -> Request:
    """The request in these bytes. Headers are UTF-8 to the SDK, which fails for any other; HTTP's own charset has all bytes."""
    parse: Callable[[bytes], Request] = deserialize_request
    try:
        return parse(data)
    except UnicodeDecodeError:
        head, blank, body = data.partition(b"\r\n\r\n")
        return parse(head.decode("latin-1").encode() + blank + body)


def _dispatch(self: Router, session: Session, data: dict[str, Any]) -> object:
    """Dispatches a copy of a request to an endpoint, and empties the original, which the SDK's callers still refer to."""
    message = data
    if "raw_http_request" in data:
        message = data.copy()
        data.clear()
    return _sdk_dispatch(self, session, message)


_sdk_dispatch = Router.dispatch


def _put(
    self: ResponseWriter, event: Event, session_id: str | None = None, data: dict[str, Any] | BaseModel | None = None
) -> None:
    """Writes a message and its empty line in one call, so that no other message gets between. Raises `DuckError` 413."""
    self.write(_line(event, session_id, data))


def _session_message_text(
    _: ResponseWriter, session_id: str | None = None, data: dict[str, Any] | BaseModel | None = None
) -> str:
    return _line(Event.SESSION, session_id, data)


def _line(event: Event, session_id: str | None, data: dict[str, Any] | BaseModel | None) -> str:
    content = data.model_dump() if isinstance(data, BaseModel) else data
    line: str = StreamOutputMessage(event=event, session_id=session_id, data=content).model_dump_json() + "\n\n"
    refuse_long(len(line.encode()) if 4 * len(line) > limits.MAX_LINE else 0)
    return line


def _send_in_one_piece(self: tcp.TCPReaderWriter, data: str) -> None:
    """Sends a message in one piece: while this greenlet waits for the network, no other may send."""
    with _sending:
        self.sock.sendall(data.encode())


_sending = Lock()


class _Client(httpx.Client):
    """Splits the daemon's replies to a serverless plugin, which are lines of JSON, at newlines only.

    The SDK reads them by httpx's `iter_lines`, for which U+0085 ends a line, too. An answer with that character in it (the "…"
    of old Windows files, read as Latin-1) would break off there.
    """

    def send(self, *args: Any, **kwargs: Any) -> httpx.Response:
        """See httpx."""
        response = super().send(*args, **kwargs)
        response.iter_lines = lambda: _lines(response)  # type: ignore[method-assign]
        return response


def _lines(response: httpx.Response) -> Iterator[str]:
    return (line.decode() for line in parsing.lines(response.iter_bytes()))
