"""The plugin as Dify runs it by default: one process, with lines on its stdin and stdout.

Each line is a JSON object. The plugin writes its manifest first, then a heartbeat every 10 s, and the messages of its sessions.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from starlette.routing import Route

from devhost.declaration import Declaration, StartError
from devhost.limits import Limits
from devhost.plugin import Plugin, Trace
from devhost.process import MAX_LINE, Process
from devhost.settings import validate_settings

logger = logging.getLogger("devhost")


class LocalPlugin(Plugin):
    """One process of the plugin. It is not notified of clients that leave."""

    def __init__(self, process: Process, limits: Limits, trace: Trace | None) -> None:
        super().__init__(trace)
        self.process = process
        self._limits = limits
        self._reading = asyncio.create_task(self._read_stdout())

    @classmethod
    async def start(cls, python: str | Path, folder: Path, entrypoint: str, limits: Limits, trace: Trace | None) -> Self:
        """Starts the process and waits for its first heartbeat. `trace` is called with every message in either direction.

        Raises `StartError` if the process ends first, or stays silent.
        """
        plugin = cls(await Process.start(python, folder, entrypoint, {"INSTALL_METHOD": "local"}), limits, trace)
        try:
            await plugin._get_ready()
        except BaseException:  # also a cancelled start must not leave a process behind
            await plugin.process.stop()
            raise
        return plugin

    async def drain(self) -> None:
        """See `Plugin`."""
        with contextlib.suppress(ConnectionError):
            await self.process.stdin.drain()

    async def wait(self) -> None:
        """Waits for the end of the process and for the rest of its output."""
        await self.process.wait()
        await asyncio.shield(self._reading)

    async def _get_ready(self) -> None:
        ready = asyncio.create_task(self.ready.wait())
        waited: set[asyncio.Task[Any]] = {ready, self._reading}
        await asyncio.wait(waited, timeout=self._limits.start_s, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not self.ready.is_set():
            ended = self._reading.done()
            raise self.process.failure(
                f"exit status {await self.process.wait()}" if ended else f"silent for {self._limits.start_s:g} s"
            )
        self.process.is_ready = True

    def _send(self, line: bytes) -> None:
        if self.process.is_running:
            self.process.stdin.write(line)

    async def _read_stdout(self) -> None:
        while line := await self._read_line():
            if line.strip():
                self.handle(line)

    async def _read_line(self) -> bytes:
        """The next line; b"" at the end, or if the daemon kills the plugin."""
        try:
            async with asyncio.timeout(self._limits.silence_s if self.ready.is_set() else None):
                return await self.process.stdout.readline()
        except ValueError:  # the reader's limit
            logger.warning("the plugin wrote a line of more than %d bytes and is killed", MAX_LINE)
        except TimeoutError:
            logger.warning("the plugin wrote nothing for %g s, not even a heartbeat, and is killed", self._limits.silence_s)
        self.drop_sessions()  # their streams hang, as behind the daemon
        self.process.signal(signal.SIGKILL)
        return b""


@dataclass(eq=False)
class LocalRuntime:
    """Keeps one process of the plugin running. When it ends, another is started, and requests wait meanwhile."""

    python: str | Path
    folder: Path
    settings: Mapping[str, Any]
    limits: Limits
    trace: Trace | None
    starts: int = field(default=0, init=False)
    pid: int = field(default=0, init=False)
    declaration: Declaration | None = field(default=None, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _running: asyncio.Future[LocalPlugin | None] = field(default_factory=asyncio.Future, init=False)

    async def __aenter__(self) -> Self:
        await self._start()
        self._supervising = asyncio.create_task(self._supervise())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._supervising.cancel()
        await asyncio.wait({self._supervising})

    def routes(self) -> list[Route]:
        """No routes: the plugin uses pipes."""
        return []

    async def plugin(self) -> LocalPlugin | None:
        """See `Runtime`."""
        while True:
            plugin = await asyncio.shield(self._running)
            if plugin is None or not plugin.process.is_ending:
                return plugin
            await plugin.wait()
            await asyncio.sleep(0)  # lets `_supervise` run

    async def reload(self) -> None:
        """See `Runtime`."""
        self._changed.set()
        if self._running.done() and (plugin := self._running.result()):
            plugin.fail_sessions("the plugin was restarted")
            await plugin.process.stop()

    async def _supervise(self) -> None:
        """Starts another process whenever one ends. If that fails, it tries again after the next change in the folder."""
        while True:
            plugin = self._running.result()
            try:
                await (plugin.wait() if plugin else self._changed.wait())
            finally:
                self._running = asyncio.Future()
                if plugin:
                    await plugin.process.stop()  # and its children that are left
            logger.warning("the plugin's process ended; starting another")
            self._changed.clear()
            try:
                await self._start()
            except StartError as error:
                logger.error("%s\nthere is no plugin now", error)  # noqa: TRY400 - its own traceback says nothing
                self._running.set_result(None)

    async def _start(self) -> None:
        self.starts += 1
        self.declaration = Declaration.read(self.folder)
        validate_settings(self.declaration.settings, self.settings)
        entrypoint = self.declaration.manifest.entrypoint
        plugin = await LocalPlugin.start(self.python, self.folder, entrypoint, self.limits, self.trace)
        self.pid = plugin.process.pid
        self._running.set_result(plugin)
