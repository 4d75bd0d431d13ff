"""The plugin as its author debugs it: a process that connects by TCP, says what it is, and then speaks the lines of all plugins.

What a connection begins with: a handshake with the key, the manifest, the declarations, the assets in pieces, an end. What is
wrong with any of it is told in a line of plain text, and the connection is closed.
"""

import asyncio
import base64
import contextlib
import hmac
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from starlette.routing import Route

from devhost.declaration import Declaration, StartError
from devhost.plugin import Plugin, Trace
from devhost.settings import validate_settings

LOOPBACK = "127.0.0.1"
PORT = 5003  # that of Dify's debugging server
HANDSHAKE_S = 10  # for the first line to come
SILENCE_S = 60  # without any line, after which a connection is closed
MAX_ASSETS = 50 * 1024 * 1024  # bytes of all of them
NO_LIMIT = 2**30  # bytes of a line: there is none here

logger = logging.getLogger("devhost")


class RemotePlugin(Plugin):
    """One connection."""

    hears_hang_ups = True

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, trace: Trace | None) -> None:
        super().__init__(trace)
        self._reader = reader
        self._writer = writer

    async def introduce(self, key: str) -> Declaration:
        """Reads what the plugin says it is. Raises `StartError` with what it is refused for."""
        if not await self._shakes_hands(key):
            raise StartError("handshake failed, invalid key")
        manifest, groups, assets = None, list[Any](), dict[str, bytes]()
        while True:
            match await self._read_message():
                case {"type": "manifest_declaration", "data": manifest}:
                    pass
                case {"type": "endpoint_declaration", "data": [*groups]}:
                    pass
                case {"type": "asset_chunk", "data": {"filename": str(name), "data": str(data)}}:
                    assets[name] = assets.get(name, b"") + base64.b64decode(data)
                    if sum(map(len, assets.values())) > MAX_ASSETS:
                        raise StartError("the assets are too large")
                case {"type": "end"}:
                    return Declaration.sent(manifest, groups, assets)
                case {"type": str()}:
                    pass  # tools and what else endpoints may be combined with
                case _:
                    raise StartError("there is a line that is no declaration")

    async def serve(self) -> None:
        """Takes its messages until it leaves."""
        while line := await self._read_line(SILENCE_S):
            if line.strip():
                self.take(line)

    async def drain(self) -> None:
        """See `Plugin`."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    def refuse(self, reason: str) -> None:
        """Says why there is no connection."""
        self._writer.write(reason.encode() + b"\n")

    def close(self) -> None:
        """Ends the connection."""
        self.give_up("the plugin has left")
        self._writer.close()

    async def _shakes_hands(self, key: str) -> bool:
        match await self._read_message(HANDSHAKE_S):
            case {"type": "handshake", "data": {"key": str(given)}}:
                return hmac.compare_digest(given.encode(), key.encode())
        return False

    async def _read_message(self, seconds: float = SILENCE_S) -> Any:
        """The next line that is not empty, as the JSON it is; None for any other."""
        while (line := await self._read_line(seconds)) == b"\n":
            pass
        with contextlib.suppress(ValueError):
            return json.loads(line)

    async def _read_line(self, seconds: float) -> bytes:
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                return await self._reader.readline()
        return b""

    def _send(self, line: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(line)


@dataclass(eq=False)
class RemoteRuntime:
    """The debugging server: serves the plugin that connected last, until it leaves. `starts` counts those that were let in."""

    settings: Mapping[str, Any]
    trace: Trace | None
    key: str
    port: int
    starts: int = field(default=0, init=False)
    pid: int = field(default=0, init=False)
    declaration: Declaration | None = field(default=None, init=False)
    _plugin: RemotePlugin | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.start_server(self._connected, LOOPBACK, self.port, limit=NO_LIMIT)
        except OSError as error:
            raise StartError(f"cannot listen on {LOOPBACK}:{self.port}: {error.strerror}") from error
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        if self._plugin:
            self._plugin.close()

    def routes(self) -> list[Route]:
        """None: all goes through the connection."""
        return []

    async def plugin(self) -> RemotePlugin | None:
        """See `Runtime`."""
        return self._plugin

    async def reload(self) -> None:
        """Nothing: who started the plugin starts it anew."""

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plugin = RemotePlugin(reader, writer, self.trace)
        try:
            declaration = await plugin.introduce(self.key)
            validate_settings(declaration.settings, self.settings)
        except StartError as error:
            logger.warning("a plugin was refused: %s", error)
            plugin.refuse(str(error))
            plugin.close()
            return
        if self._plugin:
            self._plugin.close()
        self.starts += 1
        self.declaration, self._plugin = declaration, plugin
        logger.info("%s %s has connected", declaration.manifest.name, declaration.manifest.version)
        try:
            await plugin.serve()
        finally:
            plugin.close()
            if self._plugin is plugin:
                self._plugin = None
                logger.warning("the plugin has left")
