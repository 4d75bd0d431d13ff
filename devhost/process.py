"""A process of the plugin: its start, its output, and its end with all its children."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Self, cast

from devhost.declaration import StartError
from devhost.plugin import plugin_logger

MAX_LINE = 5_242_880  # bytes; a plugin that writes a longer line is killed at once (PLUGIN_STDIO_MAX_BUFFER_SIZE)
STOP_GRACE_S = 2  # from SIGTERM to SIGKILL
READ_SIZE = 65_536
STDERR_LINES = 200  # kept for the message about a failed start: more than a traceback

# Advice about the SDK's most common errors at the start.
ADVICE = {
    "Multiple subclasses of Endpoint": "A module may have one Endpoint subclass, own or imported. Import their module instead.",
    "Missing subclass of Endpoint": "The file that a route names as its source needs a subclass of dify_plugin.Endpoint.",
    "No module named": (
        "The Python that runs the plugin lacks this module. Use the Python with the plugin's requirements.txt installed: "
        "--python path/to/plugin/.venv/bin/python"
    ),
    "Error loading plugin configuration": "The SDK refuses the manifest or the endpoint group, for the fields above.",
}

type _Pipes = tuple[asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamReader]


class Process:
    """One process, with its `stdin` and `stdout`. Its stderr goes to the log once it `is_ready`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid  # also the id of its process group
        self.is_ending = False
        self.is_ready = False
        self.stdin, self.stdout, stderr = cast("_Pipes", (process.stdin, process.stdout, process.stderr))
        self._process = process
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._reading = asyncio.create_task(self._read_stderr(stderr))

    @classmethod
    async def start(cls, python: str | Path, folder: Path, entrypoint: str, environment: Mapping[str, str]) -> Self:
        """Starts the plugin in the folder. `environment` is added to devhost's own, and overrides a .env file.

        Raises `StartError` if the system cannot run it.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                python,
                "-m",
                entrypoint,
                cwd=folder,
                env=os.environ | environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=MAX_LINE,
                start_new_session=True,  # so that a Ctrl-C in the terminal reaches only devhost
            )
        except OSError as error:
            raise StartError(f"{python} cannot be run: {error.strerror}") from error
        return cls(process)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Waits for its end and for the rest of its stderr; returns the exit status."""
        status = await self._process.wait()
        await asyncio.shield(self._reading)
        return status

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal that ends it to the process and its children."""
        self.is_ending = True
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
            os.killpg(self.pid, number)

    async def stop(self) -> None:
        """Ends the process and its children by SIGTERM, and after `STOP_GRACE_S` by SIGKILL.

        To close its stdin is not enough: the SDK keeps reading at the end of the file, in a busy loop.
        """
        self.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE_S):
                await self._process.wait()
        self.signal(signal.SIGKILL)
        await self.wait()

    def failure(self, reason: str) -> StartError:
        """The error for a failed start: the reason, what the process wrote, and advice about common errors."""
        advice = next((f"\n{text}" for sign, text in ADVICE.items() if sign in "\n".join(self._stderr)), "")
        return StartError("\n".join((f"the plugin did not start ({reason}); it wrote:", *self._stderr)) + advice)

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
            if self.is_ready:  # before that it is kept for `failure`
                plugin_logger.warning("%s", text)
