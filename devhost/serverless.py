"""The plugin as serverless functions: processes that share nothing, and take requests by HTTP in turn.

A request is a POST to `/invoke`; its response has the plugin's messages. A backwards call, or transaction, is a POST from the
plugin to the daemon; its response has the replies, and empty lines while there are none.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from devhost.addresses import LOOPBACK
from devhost.declaration import Declaration, StartError
from devhost.limits import Limits
from devhost.plugin import Plugin, Trace, plugin_logger
from devhost.process import Process
from devhost.settings import validate_settings

TRANSACTIONS = "/backwards-invocation/transaction"
START_S = 20  # for a process to answer, as in the marketplace's install test
POLL_S = 0.1
MAX_REQUEST = 5 * 1024 * 1024  # bytes of a request's message (MAX_SERVERLESS_REQUEST_BYTES)
MAX_TRANSACTION = 6 * 1024 * 1024  # bytes of a backwards call
HEARTBEAT_S = 25  # between empty lines
END_S = 1  # for a finished request to end: httpx leaks a connection that is cancelled while it is being closed
TRIES = 3  # of a request whose answer is 502

logger = logging.getLogger("devhost")


class ServerlessPlugin(Plugin):
    """The processes at these URLs. They are not notified of clients that leave."""

    def __init__(self, urls: list[str], limits: Limits, trace: Trace | None) -> None:
        super().__init__(trace)
        self._urls = itertools.cycle(urls)
        self._limits = limits
        limits_ = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx.AsyncClient(timeout=None, limits=limits_)  # noqa: S113 - the plugin has a limit of its own
        self._requests: dict[str, asyncio.Task[None]] = {}
        self._transactions: dict[str, asyncio.Queue[bytes]] = {}

    def detach(self, session_id: str) -> None:
        """See `Plugin`. Also cancels the session's request, if it does not end within `END_S`."""
        super().detach(session_id)
        if request := self._requests.pop(session_id, None):
            asyncio.get_running_loop().call_later(END_S, request.cancel)

    async def drain(self) -> None:
        """Returns at once: there is no buffer."""

    async def close(self) -> None:
        """Cancels all requests."""
        self.fail_sessions("the plugin was restarted")
        for request in self._requests.values():
            request.cancel()
        await self._client.aclose()

    async def transaction(self, request: Request) -> Response:
        """The response to a backwards call."""
        body = await request.body()
        if len(body) > MAX_TRANSACTION:
            return Response("the transaction is too large", 413)
        request_id = json.loads(body)["data"]["data"]["backwards_request_id"]
        self._transactions[request_id] = asyncio.Queue()
        self.handle(body)
        return StreamingResponse(self._replies(request_id), media_type="text/event-stream")

    async def _replies(self, request_id: str) -> AsyncIterator[bytes]:
        queue, ended = self._transactions[request_id], False
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.transaction_s):
                    while not ended:
                        try:
                            line = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
                        except TimeoutError:
                            line = b"\n"
                        ended = b'"event":"end"' in line and json.loads(line)["data"]["event"] == "end"
                        yield line
        finally:
            del self._transactions[request_id]

    def _send(self, line: bytes) -> None:
        message = json.loads(line)
        if message["event"] == "request":
            session_id = message["session_id"]
            self._requests[session_id] = asyncio.create_task(self._request(session_id, line))
        elif queue := self._transactions.get(message["data"]["backwards_request_id"]):
            queue.put_nowait(line)

    async def _request(self, session_id: str, line: bytes) -> None:
        if len(line) > MAX_REQUEST:
            return self._fail(session_id, "the request is too large")
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream", "Dify-Plugin-Session-ID": session_id}
        for _ in range(TRIES):
            url = f"{next(self._urls)}/invoke?action=invoke_endpoint"
            try:
                async with self._client.stream("POST", url, content=line, headers=headers) as response:
                    if response.status_code == httpx.codes.BAD_GATEWAY:
                        continue
                    if response.status_code != httpx.codes.OK:
                        return self._fail(session_id, (await response.aread()).decode("utf-8", "replace"))
                    return await self._read(response)
            except httpx.HTTPError as error:
                return self._fail(session_id, str(error))
        return self._fail(session_id, "502 Bad Gateway")

    async def _read(self, response: httpx.Response) -> None:
        rest = b""
        async for block in response.aiter_raw():
            *lines, rest = (rest + block).split(b"\n")
            for line in filter(None, lines):
                self.handle(line)

    def _fail(self, session_id: str, reason: str) -> None:
        if session_id in self._requests:
            self.handle(json.dumps({"event": "session", "session_id": session_id, "data": _error(reason)}).encode())


@dataclass(eq=False)
class ServerlessRuntime:
    """Runs `processes` processes of the plugin. `starts` counts the starts of all of them together."""

    python: str | Path
    folder: Path
    settings: Mapping[str, Any]
    limits: Limits
    trace: Trace | None
    daemon_url: str
    processes: int = 2
    starts: int = field(default=0, init=False)
    pid: int = field(default=0, init=False)
    declaration: Declaration | None = field(default=None, init=False)
    _plugin: ServerlessPlugin | None = field(default=None, init=False)
    _running: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    def routes(self) -> list[Route]:
        """Transactions."""
        return [Route(TRANSACTIONS, self._transaction, methods=["POST"])]

    async def plugin(self) -> ServerlessPlugin | None:
        """See `Runtime`."""
        return self._plugin

    async def reload(self) -> None:
        """See `Runtime`."""
        self._plugin = None
        await self._running.aclose()
        try:
            await self._start()
        except StartError as error:
            logger.error("%s\nthere is no plugin now", error)  # noqa: TRY400 - its own traceback says nothing

    async def _transaction(self, request: Request) -> Response:
        return await self._plugin.transaction(request) if self._plugin else Response("no plugin", 404)

    async def _start(self) -> None:
        self.starts += 1
        self.declaration = Declaration.read(self.folder)
        validate_settings(self.declaration.settings, self.settings)
        async with AsyncExitStack() as starting:
            urls = [await self._start_one(self.declaration.manifest.entrypoint, starting) for _ in range(self.processes)]
            self._plugin = ServerlessPlugin(urls, self.limits, self.trace)
            starting.push_async_callback(self._plugin.close)
            self._running = starting.pop_all()

    async def _start_one(self, entrypoint: str, starting: AsyncExitStack) -> str:
        port = free_port()
        environment = {"INSTALL_METHOD": "serverless", "SERVERLESS_HOST": LOOPBACK, "SERVERLESS_PORT": str(port)}
        environment["DIFY_PLUGIN_DAEMON_URL"] = self.daemon_url
        process = await Process.start(self.python, self.folder, entrypoint, environment)
        starting.push_async_callback(process.stop)
        logging_ = asyncio.create_task(_log(process))
        starting.callback(logging_.cancel)
        url = f"http://{LOOPBACK}:{port}"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S), httpx.AsyncClient() as client:
                while process.is_running:
                    with contextlib.suppress(httpx.HTTPError):
                        if (await client.get(f"{url}/health")).text == "OK":
                            process.is_ready = True
                            return url
                    await asyncio.sleep(POLL_S)
        raise process.failure(f"silent for {START_S} s" if process.is_running else f"exit status {await process.wait()}")


async def _log(process: Process) -> None:
    """Logs the plugin's log messages from its stdout, which carries no protocol here."""
    while line := await process.stdout.readline():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            plugin_logger.info("%s", json.loads(line)["data"]["message"])


def free_port() -> int:
    """A free port on loopback."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _error(reason: str) -> dict[str, Any]:
    return {"type": "error", "data": {"error_type": "PluginInvokeError", "message": reason, "args": {}}}
