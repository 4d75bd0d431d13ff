"""The stand-in as a whole, in a thread with an event loop of its own."""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from watchfiles import Change, DefaultFilter, awatch

from devhost.apps import App, Call
from devhost.daemon import Daemon
from devhost.declaration import Declaration
from devhost.dify import Dify
from devhost.files import Files
from devhost.limits import Limits
from devhost.plugin import Runtime, StartError, Trace

LOOPBACK = "127.0.0.1"
HEADER_LIMIT = 1_048_576  # bytes of request line and headers that Go's server takes
STOP_LIMIT_S = 10  # for everything to end: more than the plugin's own grace
SOURCES = frozenset({".py", ".yaml", ".yml", ".html", ".css", ".js", ".svg", ".txt"})  # a change of which starts the plugin anew

logger = logging.getLogger("devhost")


class Devhost:
    """Runs a plugin and serves it on loopback, as a context manager.

    `folder` holds the plugin; `apps` maps app ids (UUIDs in lower case) to scripted apps; `settings` is what the plugin
    gets as its settings; `hook` is the hook id in the URL; `port` 0 takes a free one; `limits` are the daemon's, of which
    `race_ms` is the window of the truncation race, 0 for a daemon that never cuts. `apps` and `settings` may be changed
    while it runs. With `reload` a change in the folder starts the plugin anew. `trace` gets each message in either direction.
    `files` are Dify's.

    Entering raises `StartError` when the plugin cannot be started (with what it wrote to stderr), when its manifest or
    the settings are not valid, or when the port is taken.
    """

    def __init__(
        self,
        folder: str | Path,
        apps: Mapping[str, App] | None = None,
        settings: Mapping[str, Any] | None = None,
        *,
        hook: str = "duck",
        port: int = 0,
        race_ms: float | None = None,
        limits: Limits | None = None,
        reload: bool = False,
        trace: Trace | None = None,
        files: Files | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.apps: dict[str, App] = dict(apps or {})
        self.settings: dict[str, Any] = dict(settings or {})
        self.calls: list[Call] = []
        self.files = files or Files()
        self.hook = hook
        self.port = port
        self.url = ""
        self._limits = limits or (Limits() if race_ms is None else Limits(race_s=race_ms / 1000))
        self._reload = reload
        self._trace = trace
        self._runtime: Runtime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._thread: threading.Thread | None = None

    @property
    def starts(self) -> int:
        """How often the plugin's process was started."""
        return self._runtime.starts if self._runtime else 0

    @property
    def pid(self) -> int | None:
        """The id of the plugin's newest process; None before the start."""
        return self._runtime.pid if self._runtime else None

    @property
    def declaration(self) -> Declaration:
        """What the plugin declares. Raises `RuntimeError` before the start."""
        if self._runtime is None:
            raise RuntimeError("the plugin has not been started")
        return self._runtime.declaration

    def wait(self) -> None:
        """Waits until it has stopped."""
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        listener = self._listen()
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(listener, started), name="devhost", daemon=True)
        self._thread.start()
        try:
            started.result()
        except BaseException:  # a Ctrl-C, too, must not leave the process behind
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._stop()

    def _listen(self) -> socket.socket:
        try:
            listener = socket.create_server((LOOPBACK, self.port))
        except OSError as error:
            raise StartError(f"cannot listen on {LOOPBACK}:{self.port}: {os.strerror(error.errno or 0)}") from error
        self.port = listener.getsockname()[1]
        self.files.base_url = f"http://{LOOPBACK}:{self.port}"
        self.url = f"{self.files.base_url}/e/{self.hook}"
        return listener

    def _run(self, listener: socket.socket, started: Future[None]) -> None:
        with listener:
            try:
                asyncio.run(self._main(listener, started))
            except BaseException as error:  # handed to the thread that waits for the start
                if started.done():
                    raise
                started.set_exception(error)

    async def _main(self, listener: socket.socket, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._runtime = runtime = Runtime(self.folder, self.settings, self._limits, self._trace)
        keeping = asyncio.create_task(runtime.keep())
        ready = asyncio.create_task(runtime.plugin())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({keeping, ready, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()
            if ready.done():
                await self._serve(runtime, listener, started)
        finally:
            for task in (keeping, ready, stopping):
                task.cancel()
            await asyncio.wait({keeping})

    async def _serve(self, runtime: Runtime, listener: socket.socket, started: Future[None]) -> None:
        dify = Dify(self.apps, runtime.declaration.permissions, self.calls, files=self.files)
        server = uvicorn.Server(_config(Daemon(runtime, dify, self.hook, self.url, self.settings, self.apps, self._limits)))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        watching = asyncio.create_task(self._watch(runtime))
        started.set_result(None)
        await self._stopping.wait()
        watching.cancel()
        server.should_exit = True
        await serving

    async def _watch(self, runtime: Runtime) -> None:
        if self._reload:
            async for changes in awatch(self.folder, watch_filter=_is_source, stop_event=self._stopping):
                names = ", ".join(sorted({Path(path).name for _, path in changes}))
                logger.warning("changed: %s; the plugin starts anew", names)
                await runtime.reload()

    def _stop(self) -> None:
        """Ends the server and the plugin, and waits for both."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread is not None:
            self._thread.join(STOP_LIMIT_S)


def _is_source(change: Change, path: str) -> bool:
    return Path(path).suffix in SOURCES and DefaultFilter()(change, path)


def _config(daemon: Daemon) -> uvicorn.Config:
    return uvicorn.Config(
        daemon.app(),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",  # a response that breaks off is meant to
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=HEADER_LIMIT,
        timeout_graceful_shutdown=0,  # whatever still runs is cancelled
    )
