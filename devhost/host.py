"""The stand-in as a whole, in a thread with an event loop of its own."""

import asyncio
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

from devhost.apps import App, Call
from devhost.daemon import Daemon
from devhost.dify import Dify
from devhost.plugin import Manifest, Runtime, StartError

LOOPBACK = "127.0.0.1"
RACE_MS = 50  # an end within this after the first chunk always cuts: above what cuts on the real daemon, 20 ms at most
HEADER_LIMIT = 1_048_576  # bytes of request line and headers that Go's server takes
STOP_LIMIT_S = 10  # for everything to end: more than the plugin's own grace


class Devhost:
    """Runs a plugin and serves it on loopback, as a context manager.

    `folder` holds the plugin; `apps` maps app ids (UUIDs in lower case) to scripted apps; `settings` is what the plugin
    gets as its settings; `hook` is the hook id in the URL; `port` 0 takes a free one; `race_ms` is the window of the
    truncation race, 0 for a daemon that never cuts. `apps` and `settings` may be changed while it runs.

    Entering raises `StartError` when the plugin cannot be started (with what it wrote to stderr) or the port is taken.
    """

    def __init__(
        self,
        folder: str | Path,
        apps: Mapping[str, App] | None = None,
        settings: Mapping[str, Any] | None = None,
        *,
        hook: str = "duck",
        port: int = 0,
        race_ms: float = RACE_MS,
    ) -> None:
        self.folder = Path(folder)
        self.apps: dict[str, App] = dict(apps or {})
        self.settings: dict[str, Any] = dict(settings or {})
        self.calls: list[Call] = []
        self.hook = hook
        self.port = port
        self.url = ""
        self._race_s = race_ms / 1000
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

    def __enter__(self) -> Self:
        manifest = Manifest.read(self.folder)
        listener = self._listen()
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(manifest, listener, started), name="devhost", daemon=True)
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
        self.url = f"http://{LOOPBACK}:{self.port}/e/{self.hook}"
        return listener

    def _run(self, manifest: Manifest, listener: socket.socket, started: Future[None]) -> None:
        with listener:
            try:
                asyncio.run(self._main(manifest, listener, started))
            except BaseException as error:  # handed to the thread that waits for the start
                if started.done():
                    raise
                started.set_exception(error)

    async def _main(self, manifest: Manifest, listener: socket.socket, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._runtime = Runtime(self.folder, manifest)
        keeping = asyncio.create_task(self._runtime.keep())
        ready = asyncio.create_task(self._runtime.plugin())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({keeping, ready, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()
            if ready.done():
                await self._serve(self._runtime, manifest, listener, started)
        finally:
            for task in (keeping, ready, stopping):
                task.cancel()
            await asyncio.wait({keeping})

    async def _serve(self, runtime: Runtime, manifest: Manifest, listener: socket.socket, started: Future[None]) -> None:
        dify = Dify(self.apps, manifest.permissions, self.calls)
        server = uvicorn.Server(_config(Daemon(runtime, dify, self.hook, self.settings, self._race_s)))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        started.set_result(None)
        await self._stopping.wait()
        server.should_exit = True
        await serving

    def _stop(self) -> None:
        """Ends the server and the plugin, and waits for both."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread is not None:
            self._thread.join(STOP_LIMIT_S)


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
