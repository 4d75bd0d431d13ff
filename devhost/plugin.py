"""The plugin's process: started as the daemon starts it, and the lines between the two.

The plugin writes its manifest first, then a heartbeat every 10 s, and from then on the messages of its sessions, one
JSON object a line. Whatever else it writes to stdout is dropped, as the daemon does.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import yaml

MAX_LINE = 5_242_880  # bytes; a plugin that writes a longer line is killed at once (PLUGIN_STDIO_MAX_BUFFER_SIZE)
START_LIMIT_S = 120  # how long the daemon waits for the first heartbeat
STOP_GRACE_S = 2  # for the plugin to end by itself after SIGTERM
STDERR_LINES = 200  # kept for the message about a plugin that does not start: a traceback and more
READ_SIZE = 65_536

LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}

type _Pipes = tuple[asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamReader]
type Receive = Callable[[Mapping[str, Any]], None]

logger = logging.getLogger("devhost")
plugin_logger = logging.getLogger("devhost.plugin")  # what the plugin itself logs or writes to stderr


class StartError(Exception):
    """The plugin cannot be served; the text tells why, with what the plugin wrote to stderr."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the daemon needs to know of a manifest.yaml."""

    name: str
    entrypoint: str
    permissions: frozenset[str]  # `app`, `storage`, ... where `enabled` is true

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the manifest of the plugin in the folder.

        Raises `StartError` if there is no such folder or manifest, or if it is no YAML mapping.
        """
        if not folder.is_dir():
            raise StartError(f"there is no folder {folder}")
        path = folder / "manifest.yaml"
        if not path.is_file():
            raise StartError(f"{folder} holds no plugin: it has no manifest.yaml")
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            permissions = (content.get("resource") or {}).get("permission") or {}
            entrypoint = ((content.get("meta") or {}).get("runner") or {}).get("entrypoint") or "main"
            enabled = frozenset(name for name, permission in permissions.items() if permission.get("enabled"))
            return cls(str(content.get("name")), str(entrypoint), enabled)
        except (yaml.YAMLError, AttributeError, UnicodeDecodeError) as error:
            raise StartError(f"{path} is not a plugin manifest: {' '.join(str(error).split())}") from error


class Plugin:
    """One process of the plugin, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._sessions: dict[str, Receive] = {}
        self._ready = asyncio.Event()
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._stdin, stdout, stderr = cast("_Pipes", (process.stdin, process.stdout, process.stderr))
        self._reading = asyncio.gather(self._read_stdout(stdout), self._read_stderr(stderr))

    @classmethod
    async def start(cls, folder: Path, entrypoint: str) -> Self:
        """Starts the process and waits until its first heartbeat.

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
        plugin = cls(process)
        try:
            await plugin._get_ready()
        except BaseException:  # a cancelled start must not leave a process behind either
            await plugin.stop()
            raise
        return plugin

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self._process.pid

    def attach(self, session_id: str, receive: Receive) -> None:
        """From now on `receive` is called with the `data` of each message of the session."""
        self._sessions[session_id] = receive

    def detach(self, session_id: str) -> None:
        """Messages of the session are dropped from now on. The plugin is not told: there is no message for it."""
        self._sessions.pop(session_id, None)

    def write(self, line: bytes) -> None:
        """Writes a line to the plugin's stdin. Its length has no limit."""
        if self._process.returncode is None:
            self._stdin.write(line)

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
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE_S):
                await self._process.wait()
        self._signal(signal.SIGKILL)
        await self.wait()

    async def _get_ready(self) -> None:
        ready, ended = asyncio.create_task(self._ready.wait()), asyncio.create_task(self.wait())
        try:
            await asyncio.wait({ready, ended}, timeout=START_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
            if not self._ready.is_set():
                why = f"exit status {self._process.returncode}" if ended.done() else f"silent for {START_LIMIT_S} s"
                raise StartError("\n".join((f"the plugin did not start ({why}); it wrote:", *self._stderr)))
        finally:
            ready.cancel()
            ended.cancel()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, which is what is wanted
            os.killpg(self._process.pid, number)

    async def _read_stdout(self, stdout: asyncio.StreamReader) -> None:
        while line := await self._read_line(stdout):
            if line.strip():
                self._take(line)

    async def _read_line(self, stdout: asyncio.StreamReader) -> bytes:
        """The next line; b"" at the end, and after one that is too long."""
        try:
            return await stdout.readline()
        except ValueError:  # the reader's limit
            logger.warning("the plugin wrote a line of more than %d bytes and is killed", MAX_LINE)
            self._sessions.clear()  # their streams hang: nobody is told
            self._signal(signal.SIGKILL)
            return b""

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        match message:
            case {"event": "session", "session_id": session_id, "data": {"type": _} as data}:
                if session_id in self._sessions:
                    self._sessions[session_id](data)
            case {"event": "heartbeat"}:
                self._ready.set()
            case {"event": "log", "data": {"level": level, "message": text}}:
                plugin_logger.log(LEVELS.get(level, logging.INFO), "%s", text)
            case {"event": "error", "data": reason}:
                logger.error("the plugin could not read a line: %s", reason)
            case {"type": "plugin"}:
                pass  # its manifest, once, before all else
            case _:
                logger.warning("dropped from the plugin's stdout, since it is no message: %r", line[:200])

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


class Runtime:
    """Keeps one process of the plugin running: one that ends is replaced, and requests wait meanwhile."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.starts = 0
        self.pid: int | None = None
        self._folder = folder
        self._manifest = manifest
        self._running: asyncio.Future[Plugin | None] = asyncio.get_running_loop().create_future()

    async def plugin(self) -> Plugin | None:
        """The running process, awaited while there is none; None if a replacement did not start."""
        return await asyncio.shield(self._running)

    async def keep(self) -> None:
        """Starts the plugin, and starts it anew whenever it ends; stops it when cancelled.

        Raises `StartError` if the first start fails.
        """
        plugin = await self._start()
        while True:
            try:
                await plugin.wait()
            finally:
                self._running = asyncio.get_running_loop().create_future()
                await plugin.stop()  # or what is left of its group
            logger.warning("the plugin's process ended; starting another")
            try:
                plugin = await self._start()
            except StartError:
                logger.exception("there is no replacement")
                self._running.set_result(None)
                return

    async def _start(self) -> Plugin:
        self.starts += 1
        plugin = await Plugin.start(self._folder, self._manifest.entrypoint)
        self.pid = plugin.pid
        self._running.set_result(plugin)
        return plugin
