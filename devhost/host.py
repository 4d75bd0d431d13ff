"""The stand-in as a whole, in a thread with an event loop of its own."""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from anyio.abc import TaskStatus
from anyio.from_thread import start_blocking_portal
from watchfiles import Change, DefaultFilter, awatch

from devhost.apps import App, Call
from devhost.daemon import Daemon
from devhost.dify import Dify
from devhost.files import Files
from devhost.limits import Limits
from devhost.plugin import Runtime, StartError, Trace

LOOPBACK = "127.0.0.1"
HEADER_LIMIT = 1_048_576  # bytes of request line and headers that Go's server takes
SOURCES = frozenset({".py", ".yaml", ".yml", ".html", ".css", ".js", ".svg", ".txt"})  # a change of which starts the plugin anew

logger = logging.getLogger("devhost")


class Devhost:
    """Runs a plugin and serves it on loopback, as a context manager.

    `folder` holds the plugin; `apps` maps app ids (UUIDs in lower case) to scripted apps; `settings` is what the plugin
    gets as its settings; `hook` is the hook id in the URL; `port` 0 takes a free one; `limits` are the daemon's. `apps` and
    `settings` may be changed while it runs. With `reload` a change in the folder starts the plugin anew. `trace` gets each
    message in either direction. `files` are Dify's. Once it runs, `runtime` tells of the plugin's process, and `calls` holds
    every call that the plugin made.

    Entering raises `StartError` when the plugin cannot be started (with what it wrote to stderr), when its manifest or
    the settings are not valid, or when the port is taken.
    """

    runtime: Runtime

    def __init__(
        self,
        folder: str | Path,
        apps: Mapping[str, App] | None = None,
        settings: Mapping[str, Any] | None = None,
        *,
        hook: str = "duck",
        port: int = 0,
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
        self._limits = limits or Limits()
        self._reload = reload
        self._trace = trace
        self._stopping = asyncio.Event()
        self._serving: Future[None] = Future()
        self._running = ExitStack()

    def wait(self) -> None:
        """Waits until it has stopped."""
        self._serving.result()

    def __enter__(self) -> Self:
        with ExitStack() as stack:  # undone where the start fails; a Ctrl-C, too, must not leave a process behind
            listener = stack.enter_context(self._listen())
            portal = stack.enter_context(start_blocking_portal(name="devhost"))
            self._serving, _ = portal.start_task(self._serve, listener)
            stack.callback(portal.call, self._stopping.set)
            self._running = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._running.close()

    def _listen(self) -> socket.socket:
        try:
            listener = socket.create_server((LOOPBACK, self.port))
        except OSError as error:
            raise StartError(f"cannot listen on {LOOPBACK}:{self.port}: {os.strerror(error.errno or 0)}") from error
        self.port = listener.getsockname()[1]
        self.files.base_url = f"http://{LOOPBACK}:{self.port}"
        self.url = f"{self.files.base_url}/e/{self.hook}"
        return listener

    async def _serve(self, listener: socket.socket, *, task_status: TaskStatus[None]) -> None:
        async with Runtime(self.folder, self.settings, self._limits, self._trace) as self.runtime:
            dify = Dify(self.apps, self.runtime.declaration.permissions, self.calls, files=self.files)
            daemon = Daemon(self.runtime, dify, self.hook, self.url, self.settings, self.apps, self._limits)
            server = uvicorn.Server(_config(daemon))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            task_status.started()
            if self._reload:
                async for changes in awatch(self.folder, watch_filter=_is_source, stop_event=self._stopping):
                    names = ", ".join(sorted({Path(path).name for _, path in changes}))
                    logger.warning("changed: %s; the plugin starts anew", names)
                    await self.runtime.reload()
            await self._stopping.wait()
            server.should_exit = True
            await serving


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
