"""The plugin as a process of its own, as Dify runs it by default: lines on its stdin and stdout.

The plugin writes its manifest first, then a heartbeat every 10 s, and from then on the messages of its sessions, one
JSON object a line.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

from anyio import CancelScope
from starlette.routing import Route

from devhost.declaration import Declaration, StartError, validate_settings
from devhost.limits import Limits
from devhost.plugin import Plugin, Trace, plugin_logger

MAX_LINE = 5_242_880  # bytes; a plugin that writes a longer line is killed at once (PLUGIN_STDIO_MAX_BUFFER_SIZE)
STOP_GRACE_S = 2  # for the plugin to end by itself after SIGTERM
READ_SIZE = 65_536
STDERR_LINES = 200  # kept for the message about a plugin that does not start: a traceback and more

# What to do about the SDK's most common reasons not to start.
ADVICE = {
    "Multiple subclasses of Endpoint": "One Endpoint subclass a module, and imported ones count. Import their module instead.",
    "Missing subclass of Endpoint": "The file that a route names as its source needs a subclass of dify_plugin.Endpoint.",
    "No module named": "The plugin runs with devhost's Python: install there what its requirements.txt asks for.",
    "Error loading plugin configuration": "The SDK refuses the manifest or the endpoint group: it names the fields above.",
}

type _Pipes = tuple[asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamReader]
logger = logging.getLogger("devhost")


class Process(Plugin):
    """One process of the plugin, from its start to its end. It never hears of a client that left."""

    def __init__(self, process: asyncio.subprocess.Process, limits: Limits, trace: Trace | None) -> None:
        super().__init__(trace)
        self.pid = process.pid  # also that of its group
        self._process = process
        self._limits = limits
        self.ending = False  # whether it has been told to end
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._stdin, stdout, stderr = cast("_Pipes", (process.stdin, process.stdout, process.stderr))
        self._reading = asyncio.gather(self._read_stdout(stdout), self._read_stderr(stderr))

    @classmethod
    async def start(cls, folder: Path, entrypoint: str, limits: Limits, trace: Trace | None = None) -> Self:
        """Starts the process and waits until its first heartbeat. `trace` is called with every message in either direction.

        Raises `StartError` if it ends, or stays silent, before that.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            entrypoint,
            cwd=folder,
            env=os.environ | {"INSTALL_METHOD": "local"},  # the environment beats a .env file
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
            start_new_session=True,  # so that a Ctrl-C in the terminal reaches the plugin through devhost only
        )
        plugin = cls(process, limits, trace)
        try:
            await plugin._get_ready()
        except BaseException:  # a cancelled start must not leave a process behind either
            await plugin.stop()
            raise
        return plugin

    async def drain(self) -> None:
        """Waits until the plugin has read most of what was written."""
        with contextlib.suppress(ConnectionError):
            await self._stdin.drain()

    async def wait(self) -> None:
        """Waits for the end of the process and for all that it wrote."""
        await self._process.wait()
        await asyncio.shield(self._reading)

    async def stop(self) -> None:
        """Ends the process and its children: SIGTERM, and SIGKILL after a moment.

        Closing its stdin would not do: the SDK reads on at the end of it, at full speed.
        """
        with CancelScope(shield=True):  # a start that is cancelled waits for this, too
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_GRACE_S):
                    await self._process.wait()
            self._signal(signal.SIGKILL)
            await self.wait()

    async def _get_ready(self) -> None:
        ready = asyncio.create_task(self._ready.wait())
        waited: set[asyncio.Future[Any]] = {ready, self._reading}
        await asyncio.wait(waited, timeout=self._limits.start_s, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not self._ready.is_set():
            ended = self._reading.done()
            why = f"exit status {await self._process.wait()}" if ended else f"silent for {self._limits.start_s:g} s"
            advice = next((f"\n{text}" for sign, text in ADVICE.items() if sign in "\n".join(self._stderr)), "")
            raise StartError("\n".join((f"the plugin did not start ({why}); it wrote:", *self._stderr)) + advice)

    def _signal(self, number: signal.Signals) -> None:
        self.ending = True
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, which is what is wanted
            os.killpg(self.pid, number)

    async def _read_stdout(self, stdout: asyncio.StreamReader) -> None:
        while line := await self._read_line(stdout):
            if line.strip():
                self._take(line)

    async def _read_line(self, stdout: asyncio.StreamReader) -> bytes:
        """The next line; b"" at the end, and after what the daemon kills a plugin for."""
        try:
            async with asyncio.timeout(self._limits.silence_s if self._ready.is_set() else None):
                return await stdout.readline()
        except ValueError:  # the reader's limit
            logger.warning("the plugin wrote a line of more than %d bytes and is killed", MAX_LINE)
        except TimeoutError:
            logger.warning("the plugin wrote nothing for %g s, not even a heartbeat, and is killed", self._limits.silence_s)
        self._sessions.clear()  # their streams hang: nobody is told
        self._signal(signal.SIGKILL)
        return b""

    def _send(self, line: bytes) -> None:
        if self._process.returncode is None:
            self._stdin.write(line)

    async def _read_stderr(self, stderr: asyncio.StreamReader) -> None:
        rest = b""
        while block := await stderr.read(READ_SIZE):
            *lines, rest = (rest + block).split(b"\n")
            self._log_stderr(lines)
        self._log_stderr([rest] if rest else [])

    def _log_stderr(self, lines: list[bytes]) -> None:
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip()
            self._stderr.append(text)
            if self._ready.is_set():  # before that it belongs to the message about a failed start
                plugin_logger.warning("%s", text)


@dataclass(eq=False)
class LocalRuntime:
    """Keeps one process of the plugin running: one that ends is replaced, and requests wait meanwhile.

    Entering starts it, and raises `StartError` where that fails; leaving stops it. `starts` counts its processes, `pid` is the
    newest one's, `declaration` is what that one declares.
    """

    folder: Path
    settings: Mapping[str, Any]
    limits: Limits
    trace: Trace | None
    starts: int = field(default=0, init=False)
    pid: int = field(init=False)
    declaration: Declaration = field(init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _running: asyncio.Future[Process | None] = field(default_factory=asyncio.Future, init=False)

    async def __aenter__(self) -> Self:
        await self._start()
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._keeping.cancel()
        await asyncio.wait({self._keeping})

    def routes(self) -> list[Route]:
        """None: all goes through pipes."""
        return []

    async def plugin(self) -> Process | None:
        """The running process, awaited while there is none; None if a replacement did not start."""
        while True:
            plugin = await asyncio.shield(self._running)
            if plugin is None or not plugin.ending:
                return plugin
            await plugin.wait()
            await asyncio.sleep(0)  # for `_keep` to see it, too

    async def reload(self) -> None:
        """Ends the process, so that one with the folder's new content takes its place."""
        self._changed.set()
        if self._running.done() and (plugin := self._running.result()):
            plugin.give_up("the plugin was started anew")
            await plugin.stop()

    async def _keep(self) -> None:
        """Starts another process whenever one ends; where that fails, again when the folder has changed."""
        while True:
            plugin = self._running.result()
            try:
                await (plugin.wait() if plugin else self._changed.wait())
            finally:
                self._running = asyncio.Future()
                if plugin:
                    await plugin.stop()  # or what is left of its group
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
        plugin = await Process.start(self.folder, self.declaration.manifest.entrypoint, self.limits, self.trace)
        self.pid = plugin.pid
        self._running.set_result(plugin)
