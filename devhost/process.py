"""A process of the plugin: started, listened to, and stopped with all that it has started."""

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
STOP_GRACE_S = 2  # for the plugin to end by itself after SIGTERM
READ_SIZE = 65_536
STDERR_LINES = 200  # kept for the message about a plugin that does not start: a traceback and more

# What to do about the SDK's most common reasons not to start.
ADVICE = {
    "Multiple subclasses of Endpoint": "One Endpoint subclass a module, and imported ones count. Import their module instead.",
    "Missing subclass of Endpoint": "The file that a route names as its source needs a subclass of dify_plugin.Endpoint.",
    "No module named": (
        "The Python that runs the plugin lacks this module. Name the one where the plugin's requirements.txt is installed, as in "
        "--python path/to/plugin/.venv/bin/python"
    ),
    "Error loading plugin configuration": "The SDK refuses the manifest or the endpoint group: it names the fields above.",
}

type _Pipes = tuple[asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamReader]


class Process:
    """One process, with its `stdin` and `stdout`; what it writes to stderr goes to the log once it `is_ready`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid  # also that of its group
        self.ending = False  # whether it has been told to end
        self.is_ready = False
        self.stdin, self.stdout, stderr = cast("_Pipes", (process.stdin, process.stdout, process.stderr))
        self._process = process
        self._stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self._reading = asyncio.create_task(self._read_stderr(stderr))

    @classmethod
    async def start(cls, python: str | Path, folder: Path, entrypoint: str, environment: Mapping[str, str]) -> Self:
        """Starts the plugin in the folder. The `environment` is added to devhost's own; it beats a .env file.

        Raises `StartError` where the system does not run it.
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
                start_new_session=True,  # so that a Ctrl-C in the terminal reaches the plugin through devhost only
            )
        except OSError as error:
            raise StartError(f"{python} cannot be run: {error.strerror}") from error
        return cls(process)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Waits for its end and for all that it wrote to stderr; gives the exit status."""
        status = await self._process.wait()
        await asyncio.shield(self._reading)
        return status

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, after which it will end, to it and all that it has started."""
        self.ending = True
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, which is what is wanted
            os.killpg(self.pid, number)

    async def stop(self) -> None:
        """Ends the process and its children: SIGTERM, and SIGKILL after a moment.

        Closing its stdin would not do: the SDK reads on at the end of it, at full speed.
        """
        self.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE_S):
                await self._process.wait()
        self.signal(signal.SIGKILL)
        await self.wait()

    def failure(self, why: str) -> StartError:
        """Why it did not start, in its own words, and what to do about it where that is known."""
        advice = next((f"\n{text}" for sign, text in ADVICE.items() if sign in "\n".join(self._stderr)), "")
        return StartError("\n".join((f"the plugin did not start ({why}); it wrote:", *self._stderr)) + advice)

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
            if self.is_ready:  # before that it belongs to the message about a failed start
                plugin_logger.warning("%s", text)
