"""The daemon's HTTP side: its routes, and one session of the plugin for each request."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from devhost import page
from devhost.apps import App
from devhost.dify import Dify, Run
from devhost.limits import Backlog, Limits
from devhost.plugin import Plugin, Runtime
from devhost.request import BODY_LIMIT, Received, copy_request, has_valid_escapes, split_path
from devhost.response import Answer, send_daemon_error, send_whole
from devhost.wire import END, Reply, reply_line, request_line

# What becomes of a run that is cut off at the absolute limit, whether it was idle then or not.
READ_TIMEOUT = Reply(
    "error",
    "read app failed: read tcp 127.0.0.1:5002->127.0.0.1:5001: use of closed network connection\nfailed to read system header",
)
METHODS = ["HEAD", "POST", "GET", "PUT", "DELETE", "OPTIONS"]  # no PATCH


logger = logging.getLogger("devhost")


class _AnyPath(Convertor[str]):
    """What follows the hook, line breaks included, which Starlette's own `path` leaves out."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("anypath", _AnyPath())


@dataclass(frozen=True, slots=True)
class Daemon:
    """Serves the endpoints of one plugin under one hook; called as the ASGI application for `/e/<hook>/<path>`."""

    runtime: Runtime
    dify: Dify
    hook: str
    url: str
    settings: Mapping[str, Any]
    apps: Mapping[str, App]
    limits: Limits
    endpoint_id: str = field(default_factory=lambda: str(uuid.uuid4()))  # not the hook: Dify keeps the two apart

    def app(self) -> Starlette:
        """The ASGI application with all routes."""
        routes = [
            Route("/e/{hook}/{path:anypath}", self, methods=METHODS),
            Route("/e/{hook}", _redirect, methods=METHODS),
            Route("/", self._page),
            *self.dify.files.routes(),
        ]
        # A method without a route is nothing else to the daemon than a path without one.
        application = Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route})
        application.router.redirect_slashes = False
        return application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request. When the client leaves its backwards calls end, and the plugin is not told."""
        request = Request(scope, receive)
        if not has_valid_escapes(scope["raw_path"]):
            await send_whole(send, 400, [("Content-Type", "text/plain; charset=utf-8")], b"400 Bad Request")
            return
        hook, path = split_path(scope["raw_path"])
        if hook != self.hook:
            await send_daemon_error(send, 404, -400, "PluginDaemonBadRequestError", "endpoint not found")
            return
        try:
            body = await _read_body(request)
        except ClientDisconnect:
            return
        received = Received(
            method=request.method,
            hook=hook,
            path=path,
            query=scope["query_string"],
            headers=request.headers.raw,
            body=body,
        )
        answering = asyncio.create_task(self._answer(received, send))
        leaving = asyncio.create_task(_until_left(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answering.cancel()
            leaving.cancel()
        if answering.done():
            answering.result()

    async def _page(self, request: Request) -> Response:  # noqa: ARG002 - what Starlette calls it with
        return HTMLResponse(page.render(self.runtime.declaration, self.url, self.settings, self.apps))

    async def _answer(self, received: Received, send: Send) -> None:
        plugin = await self.runtime.plugin()
        if plugin is None:
            text = "no available node, plugin runtime not found"
            await send_daemon_error(send, 404, -500, "PluginDaemonInternalServerError", text)
            return
        self.dify.permissions = self.runtime.declaration.permissions  # a reload may have changed them
        session = _Session(plugin, self.dify, self.endpoint_id, self.limits)
        with contextlib.closing(session):
            session.begin(copy_request(received), self.settings)
            await session.answer.write(received.method, send)


class _Session:
    """One request in the plugin: its answer on the one side, its backwards calls on the other."""

    def __init__(self, plugin: Plugin, dify: Dify, endpoint_id: str, limits: Limits) -> None:
        self.answer = Answer(limits)
        self._limits = limits
        self._plugin = plugin
        self._dify = dify
        self._endpoint_id = endpoint_id
        self._id = str(uuid.uuid4())
        self._runs: list[Run] = []
        self._timers: list[asyncio.TimerHandle] = []

    def begin(self, copy: bytes, settings: Mapping[str, Any]) -> None:
        """Hands the request to the plugin."""
        self._plugin.attach(self._id, self._receive)
        self._plugin.write(request_line(self._id, self._endpoint_id, copy, settings))

    def close(self) -> None:
        """Ends the session on this side: calls are cancelled, and nothing more reaches the plugin."""
        self._plugin.detach(self._id)
        for timer in self._timers:
            timer.cancel()
        for run in self._runs:
            run.cancel()

    def _receive(self, data: Mapping[str, Any]) -> None:
        content = data.get("data") or {}
        match data["type"]:
            case "stream":
                self.answer.feed(content)
            case "error":
                self.answer.fail(content)
            case "end":
                self.answer.end()
            case "invoke":
                self._invoke(str(content["backwards_request_id"]), str(content["type"]), content["request"])

    def _invoke(self, request_id: str, kind: str, request: Mapping[str, Any]) -> None:
        loop, backlog = asyncio.get_running_loop(), Backlog()

        def send(reply: Reply) -> None:
            if reply.message != "stream" or backlog.admits(loop.time()):
                self._plugin.write(reply_line(self._id, self._endpoint_id, request_id, reply))
            if reply == END and backlog.lost:
                logger.warning("too many events at once: the last %d of a burst lost", backlog.lost)

        def cut() -> None:
            run.cancel()
            send(READ_TIMEOUT)
            send(END)

        run = Run(self._dify.answer(kind, request), send, self._plugin.drain)
        self._runs.append(run)
        if request.get("response_mode") == "streaming":
            self._timers.append(loop.call_later(self._limits.absolute_s, cut))


async def _read_body(request: Request) -> bytes:
    """The body, de-chunked, up to the daemon's limit. The rest is read and dropped, so that the client sees the answer.

    Raises `ClientDisconnect` if the client leaves in the middle of it.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk[: BODY_LIMIT - len(body)]
    return bytes(body)


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _redirect(request: Request) -> Response:
    """`/e/<hook>` without the slash: to the same with it, the query kept."""
    query = request.scope["query_string"].decode("latin-1")
    target = request.scope["raw_path"].decode("latin-1") + "/" + (f"?{query}" if query else "")
    if request.method != "GET":
        return Response(status_code=307, headers={"location": target})
    body = f'<a href="{escape(target)}">Moved Permanently</a>.\n\n'
    return Response(body, 301, {"content-type": "text/html; charset=utf-8", "location": target})


async def _no_route(request: Request, error: Exception) -> Response:  # noqa: ARG001 - what Starlette calls it with
    return Response('{"code":"not_found","message":"route not found"}', 404, {"content-type": "application/json; charset=utf-8"})
