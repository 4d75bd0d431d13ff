"""Runs all parts of devhost, in a thread with an event loop of its own."""

import asyncio
import logging
import os
import socket
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import uvicorn
from watchfiles import awatch

from devhost.addresses import LOOPBACK
from devhost.apps import App, Call
from devhost.clock import Clock
from devhost.daemon import Daemon
from devhost.declaration import StartError, plugin_name
from devhost.dify import Dify
from devhost.files import Files
from devhost.limits import Limits
from devhost.local import LocalRuntime
from devhost.plugin import Runtime, Trace
from devhost.remote import RemoteRuntime
from devhost.serverless import ServerlessRuntime
from devhost.service import BASE, Service
from devhost.timeline import Timeline
from devhost.watching import SOURCES

UNNAMED = "plugin"  # the hook id if the folder has no manifest, which `remote` does not need
HEADER_LIMIT = 1_048_576  # bytes of request line and headers that Go's server accepts

logger = logging.getLogger("devhost")


@dataclass(eq=False)
class Devhost:
    """Runs a plugin and serves it on loopback, as a context manager.

    `folder` holds the plugin. `apps` maps app ids (UUIDs in lower case) to scripted apps, `settings` are the endpoint's settings
    and `limits` the daemon's; all three can be changed while it runs. `hook` is the hook id in the URL, by default the plugin's
    name. `port` 0 takes a free port. `runs` is `local` (one process), `serverless` (several processes, called by HTTP) or
    `remote`: somebody else starts the plugin, and it connects to `debug_port` with `debug_key`, whatever is in the folder.
    `python` runs the plugin. With `reload` a change in the folder restarts the plugin. `trace` is called with each message in
    either direction. `files` are Dify's files. `app_keys` maps keys of Dify's Service API, which is served at `api_url`, to app
    ids. `timeline` is the time in Dify, which a test can advance, for runs that take long and for forms that expire. `calls`
    collects all runs of apps, `refused` the calls that Dify refuses before it makes a run. Once it runs, `url` is the endpoint's
    address, without a slash at its end, and `runtime` has the plugin.

    Entering raises `StartError` if the plugin cannot be started (with what it wrote to stderr), if its manifest or the
    settings are not valid, or if the port is taken; and `CancelledError` if `stop` is called meanwhile.
    """

    folder: str | Path
    apps: dict[str, App] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    _: KW_ONLY
    hook: str = ""
    port: int = 0
    runs: Literal["local", "remote", "serverless"] = "local"
    python: str | Path = sys.executable
    debug_port: int = 0
    debug_key: str = "devhost"
    limits: Limits = field(default_factory=Limits)
    reload: bool = False
    trace: Trace | None = None
    files: Files = field(default_factory=Files)
    app_keys: dict[str, str] = field(default_factory=dict)
    timeline: Timeline = field(default_factory=Timeline)
    calls: list[Call] = field(default_factory=list, init=False)
    refused: list[Call] = field(default_factory=list, init=False)
    url: str = field(default="", init=False)
    runtime: Runtime = field(init=False)
    _thread: threading.Thread = field(init=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)
    _is_stopped: bool = field(default=False, init=False)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _started: Future[None] = field(default_factory=Future, init=False)
    _ended: Future[None] = field(default_factory=Future, init=False)

    def __post_init__(self) -> None:
        self.hook = self.hook or plugin_name(Path(self.folder)) or UNNAMED

    @property
    def api_url(self) -> str:
        """The base of the Service API."""
        return self.files.base_url + BASE

    def wait(self) -> None:
        """Waits until it has stopped."""
        self._ended.result()

    def stop(self) -> None:
        """Stops it, without waiting. Can be called from any thread or signal handler, and repeatedly."""
        self._is_stopped = True
        if self._loop:
            with suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._stopping.set)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, args=(self._listen(),), name="devhost", daemon=True)
        try:
            self._thread.start()
            self._started.result()
        except BaseException:  # also a Ctrl-C: no process may be left behind
            self._stop_and_wait()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._stop_and_wait()

    def _stop_and_wait(self) -> None:
        self.stop()
        if self._thread.is_alive():
            self._thread.join()

    def _listen(self) -> socket.socket:
        try:
            listener = socket.create_server((LOOPBACK, self.port))
        except OSError as error:
            raise StartError(f"cannot listen on {LOOPBACK}:{self.port}: {os.strerror(error.errno or 0)}") from error
        self.port = listener.getsockname()[1]
        self.files.base_url = f"http://{LOOPBACK}:{self.port}"
        self.url = f"{self.files.base_url}/e/{self.hook}"
        return listener

    def _runtime(self) -> Runtime:
        if self.runs == "remote":
            return RemoteRuntime(self.settings, self.trace, self.debug_key, self.debug_port)
        arguments = self.python, Path(self.folder), self.settings, self.limits, self.trace
        return LocalRuntime(*arguments) if self.runs == "local" else ServerlessRuntime(*arguments, self.files.base_url)

    def _run(self, listener: socket.socket) -> None:
        """Runs the event loop, in the thread. Its exceptions are raised in the thread that waits."""
        try:
            with listener:
                asyncio.run(self._serve_until_stopped(listener))
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - `result` raises it again
            (self._ended if self._started.done() else self._started).set_exception(error)
        self._started.cancel()  # unless it is done
        if not self._ended.done():
            self._ended.set_result(None)

    async def _serve_until_stopped(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        if self._is_stopped:
            return
        serving, stopping = asyncio.create_task(self._serve(listener)), asyncio.create_task(self._stopping.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not self._started.done():
            serving.cancel()  # only once: the cancelled start still has to end its processes
        await serving

    async def _serve(self, listener: socket.socket) -> None:
        self.runtime = self._runtime()
        async with self.runtime:
            if isinstance(self.runtime, RemoteRuntime):
                self.debug_port = self.runtime.port
            dify = Dify(self.apps, frozenset(), self.calls, self.refused, files=self.files, timeline=self.timeline)
            clock = Clock()
            service = Service(dify, self.app_keys)
            daemon = Daemon(self.runtime, dify, service, self.hook, self.url, self.settings, self.limits, clock)
            server = uvicorn.Server(_config(daemon))
            ticking = asyncio.create_task(clock.run())
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            self._started.set_result(None)
            if self.reload and self.runs != "remote":
                async for changes in awatch(self.folder, watch_filter=SOURCES, stop_event=self._stopping):
                    names = ", ".join(sorted({Path(path).name for _, path in changes}))
                    logger.warning("changed: %s; the plugin restarts", names)
                    await self.runtime.reload()
            await self._stopping.wait()
            server.should_exit = True
            await serving
            ticking.cancel()


def _config(daemon: Daemon) -> uvicorn.Config:
    return uvicorn.Config(
        daemon.app(),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",  # a response that breaks off is intended
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=HEADER_LIMIT,
        timeout_graceful_shutdown=0,  # running requests are cancelled
    )
