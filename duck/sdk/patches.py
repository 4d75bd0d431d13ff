"""What is mended of the SDK (0.10) and its router, each with its reason. Applied by `main.py` at the start; imports the SDK.

No unit test imports this module, since the SDK patches the process that imports it: the real process shows that it works.
"""

import binascii
import contextlib
import ctypes
import functools
import logging
from collections.abc import Iterator
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
from werkzeug.routing import PathConverter

from duck import errors, limits
from duck.runs import parsing

_M_MMAP_THRESHOLD = -3  # glibc's name for it is in malloc.h
_MMAP_THRESHOLD = 1024 * 1024  # bytes: the smallest block that is given back to the system at once


def apply() -> None:
    """Mends the SDK of this process."""
    ResponseWriter.put = _put
    ResponseWriter.session_message_text = _session_message_text
    PluginExecutor.invoke_endpoint.__annotations__["data"] = _Request
    plugin_executor.binascii = SimpleNamespace(hexlify=binascii.hexlify, unhexlify=_Bytes)
    plugin_executor.deserialize_request = lambda raw: deserialize_request(raw.take())
    Router.dispatch = _dispatch
    tcp.TCPReaderWriter._write_data = _send_whole  # noqa: SLF001 - it has no other place for this
    runtime.httpx = SimpleNamespace(Client=_Client)
    # The SDK builds a validator for each line. This counts where `transport`, which does better, has no part.
    runtime.TypeAdapter = stdio.TypeAdapter = tcp.TypeAdapter = functools.cache(TypeAdapter)
    # In Werkzeug's pattern "." is no newline: the SDK itself would answer for a path with "%0A", past the catch-all routes.
    PathConverter.regex = "(?s:[^/].*?)"


def give_memory_back() -> None:
    """Has large blocks given back to the system as soon as they are free.

    glibc does so by itself for what is larger than the largest block that was ever free: after a few large requests, for nothing.
    """
    with contextlib.suppress(AttributeError, OSError):  # another libc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)


def refuse_long(size: int) -> None:
    """Raises `DuckError` 413 for a line of so many bytes that the daemon would end the process, and with it all streams."""
    if size > limits.MAX_LINE:
        raise errors.too_large(size, limits.MAX_LINE)


class LogFormatter(DifyPluginLoggerFormatter):
    """Writes the log's lines as the SDK does, but none so long that the daemon would end the process for it."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        message = record.getMessage()
        if len(message) > limits.LOG_MESSAGE:
            record = logging.makeLogRecord({**vars(record), "msg": message[: limits.LOG_MESSAGE] + " …", "args": ()})
        line: str = super().format(record)
        return line


class _Request:
    """A request to an endpoint as the daemon sends it, in the place of the SDK's model: what has been read of it is let go.

    While a request is answered, the SDK would keep its body four times: in the daemon's message, in its own of that, as bytes of
    the whole request, and as the body. Ten large ones at once would be most of a gigabyte.
    """

    def __init__(self, *, settings: dict[str, Any], raw_http_request: str, **_: Any) -> None:
        self.settings = settings
        self._raw = raw_http_request

    @property
    def raw_http_request(self) -> str:
        """The request in hexadecimal digits, once."""
        raw, self._raw = self._raw, ""
        return raw


class _Bytes:
    """The bytes that hexadecimal digits stand for, once."""

    def __init__(self, digits: str) -> None:
        self._bytes = binascii.unhexlify(digits)

    def take(self) -> bytes:
        """Gives them away."""
        taken, self._bytes = self._bytes, b""
        return taken


def _dispatch(self: Router, session: Session, data: dict[str, Any]) -> object:
    """What the SDK does, with the message of a request to an endpoint emptied: all who have handed it on still hold it."""
    taken = data
    if "raw_http_request" in data:
        taken = data.copy()
        data.clear()
    return _dispatch_by_sdk(self, session, taken)


_dispatch_by_sdk = Router.dispatch


def _put(
    self: ResponseWriter, event: Event, session_id: str | None = None, data: dict[str, Any] | BaseModel | None = None
) -> None:
    """Writes a message and an empty line at once: between two writes another could come. Raises `DuckError` for a long one."""
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


def _send_whole(self: tcp.TCPReaderWriter, data: str) -> None:
    """Sends a message in one piece: while this greenlet waits for the network, others may want to send, too."""
    with _sending:
        self.sock.sendall(data.encode())


_sending = Lock()


class _Client(httpx.Client):
    """Reads the daemon's replies to a serverless plugin, which are JSON on lines of their own.

    The SDK reads them by httpx's `iter_lines`, for which U+0085 ends a line, too: an answer with that character in it (the "…"
    of old Windows files, read as Latin-1) would break off there.
    """

    def send(self, *args: Any, **kwargs: Any) -> httpx.Response:
        """See httpx."""
        response = super().send(*args, **kwargs)
        response.iter_lines = lambda: _lines(response)  # type: ignore[method-assign]
        return response


def _lines(response: httpx.Response) -> Iterator[str]:
    return (line.decode() for line in parsing.lines(response.iter_bytes()))
