"""Remote debugging: the plugin's process connects by TCP, declares itself, and then sends and gets the usual lines.

A connection begins with a handshake that has the key, the manifest, the declarations, the assets in pieces, and an end. An error
in any of them is answered with a line of plain text, and the connection is closed.
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

from devhost.addresses import LOOPBACK
from devhost.declaration import Declaration, StartError
from devhost.plugin import Plugin, Trace
from devhost.settings import validate_settings

HANDSHAKE_S = 10  # for the first line
SILENCE_S = 60  # without a line, after which a connection is closed
MAX_ASSETS = 50 * 1024 * 1024  # bytes of all assets
NO_LIMIT = 2**30  # bytes of a line; asyncio needs a limit

logger = logging.getLogger("devhost")


class RemotePlugin(Plugin):
    """One connection of a plugin."""

    notices_disconnects = True

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, trace: Trace | None) -> None:
        super().__init__(trace)
        self._reader = reader
        self._writer = writer

    async def read_declaration(self, key: str) -> Declaration:
        """Reads the handshake and the declaration. Raises `StartError` with the reason for a refusal."""
        if not await self._has_sent(key):
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
                    pass  # declarations of other types, such as tools
                case _:
                    raise StartError("a line is no declaration")

    async def serve(self) -> None:
        """Handles its messages until it disconnects."""
        while line := await self._read_line(SILENCE_S):
            if line.strip():
                self.handle(line)

    async def drain(self) -> None:
        """See `Plugin`."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    def refuse(self, reason: str) -> None:
        """Sends the reason for a refusal."""
        self._writer.write(reason.encode() + b"\n")

    def close(self) -> None:
        """Closes the connection."""
        self.fail_sessions("the plugin has disconnected")
        self._writer.close()

    async def _has_sent(self, key: str) -> bool:
        match await self._read_message(HANDSHAKE_S):
            case {"type": "handshake", "data": {"key": str(given)}}:
                return hmac.compare_digest(given.encode(), key.encode())
        return False

    async def _read_message(self, seconds: float = SILENCE_S) -> Any:
        """The JSON of the next line that is not empty; None if it is no JSON."""
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
    """The debugging server: serves the plugin that connected last. `starts` counts the accepted connections."""

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
        """No routes: the plugin uses its connection."""
        return []

    async def plugin(self) -> RemotePlugin | None:
        """See `Runtime`."""
        return self._plugin

    async def reload(self) -> None:
        """Does nothing: the plugin is restarted by whoever started it."""

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plugin = RemotePlugin(reader, writer, self.trace)
        try:
            declaration = await plugin.read_declaration(self.key)
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
                logger.warning("the plugin has disconnected")
