"""The daemon's HTTP server: its routes, and one session of the plugin for each request."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from devhost import console
from devhost.addresses import LOOPBACK
from devhost.clock import Clock
from devhost.declaration import StartError
from devhost.dify import Dify
from devhost.limits import Backlog, Limits
from devhost.plugin import Plugin, Runtime
from devhost.request import BODY_LIMIT, copy_request, has_valid_escapes
from devhost.response import INTERNAL_ERROR, Answer, daemon_error
from devhost.run import Caller, Run
from devhost.service import BASE, Service
from devhost.settings import validate_settings
from devhost.wire import END, Reply, reply_line, request_line

# The reply that ends a run at the absolute limit, whether the run was idle or not.
READ_TIMEOUT = Reply(
    "error",
    "read app failed: read tcp 127.0.0.1:5002->127.0.0.1:5001: use of closed network connection\nfailed to read system header",
)
# The reply to a plugin under remote debugging when its client leaves.
CANCELLED = Reply("error", "read app failed: context canceled\nfailed to read system header")
METHODS = frozenset({"HEAD", "POST", "GET", "PUT", "DELETE", "OPTIONS"})  # no PATCH

logger = logging.getLogger("devhost")


@dataclass(frozen=True, slots=True)
class Daemon:
    """Serves the endpoints of one plugin under one hook: the ASGI application for all paths that have no other route."""

    runtime: Runtime
    dify: Dify
    service: Service
    hook: str
    url: str
    settings: dict[str, Any]
    limits: Limits
    clock: Clock
    endpoint_id: str = field(default_factory=lambda: str(uuid.uuid4()))  # Dify's endpoint id is not the hook id

    def app(self) -> Starlette:
        """The ASGI application with all routes."""
        # The daemon answers a wrong method as it answers an unknown path.
        errors = {404: _no_route, 405: _no_route}
        page = [Route("/", self._page, methods=["GET"]), Route("/", self._save, methods=["POST"])]
        routes = [*page, *self.dify.files.routes(), *self.service.routes(), *self.runtime.routes()]
        application = Starlette(routes=routes, exception_handlers=errors)
        application.router.default = self
        return application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request. When the client leaves, its backwards calls end; the plugin is not notified."""
        request = Request(scope, receive)
        if (refusal := self._refusal(request)) is not None:
            await refusal(scope, receive, send)
            return
        with contextlib.suppress(ClientDisconnect):
            body = await _read_body(request)
            answering = asyncio.create_task(self._answer(request, body, send))
            leaving = asyncio.create_task(_until_left(receive))
            try:
                await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                answering.cancel()
                leaving.cancel()
            if answering.done():
                answering.result()

    async def _page(self, _request: Request) -> Response:
        return self._console(self.settings)

    async def _save(self, request: Request) -> Response:
        """Saves the form of the settings. Pages of other websites may not send it."""
        own = self.dify.files.base_url
        if request.headers.get("origin", own) not in {own, own.replace(LOOPBACK, "localhost")}:
            return Response("Only the page of devhost itself may save settings.\n", 403, media_type="text/plain")
        declared = self.runtime.declaration.settings if self.runtime.declaration else ()
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
        settings = console.entered(declared, form, self.settings)
        try:
            validate_settings(declared, settings)
        except StartError as error:
            return self._console(settings, str(error), 400)
        self.settings.clear()
        self.settings.update(settings)
        return RedirectResponse("/", 303)

    def _console(self, settings: Mapping[str, Any], fault: str = "", status: int = 200) -> Response:
        keys, apps, api_url = self.service.keys, self.dify.apps, self.dify.files.base_url + BASE
        page = console.render(self.runtime.declaration, self.url, settings, apps, api_url=api_url, app_keys=keys, fault=fault)
        return HTMLResponse(page, status)

    def _refusal(self, request: Request) -> Response | None:
        """The daemon's own answer, or None if the plugin answers."""
        if not has_valid_escapes(request.scope["raw_path"]):
            return Response(b"400 Bad Request", 400, media_type="text/plain")
        match _segments(request):
            case [b"", b"e", hook, *path] if hook and request.method in METHODS:
                if not path:
                    return _redirect(request)
                is_known = hook.decode("utf-8", "replace") == self.hook
                return None if is_known else daemon_error(404, -400, "PluginDaemonBadRequestError", "endpoint not found")
        raise HTTPException(404)

    async def _answer(self, request: Request, body: bytes, send: Send) -> None:
        plugin = await self.runtime.plugin()
        if plugin is None:
            response = daemon_error(404, -500, INTERNAL_ERROR, "no available node, plugin runtime not found")
            await response(request.scope, request.receive, send)
            return
        if declaration := self.runtime.declaration:  # a reload may have changed the declaration
            self.dify.permissions, self.dify.storage_size = declaration.permissions, declaration.storage_size
        copy = copy_request(
            method=request.method,
            hook=self.hook,
            path=b"/" + _segments(request)[3],
            query=request.scope["query_string"],
            headers=request.headers.raw,
            body=body,
        )
        with contextlib.ExitStack() as cleanup:
            answer = Answer(self.limits, self.clock)
            session = _Session(plugin, self.dify, self.endpoint_id, self.limits, answer, cleanup)
            session.begin(copy, self.settings)
            await session.answer.write(request.scope, request.receive, send)


class _Session:
    """One request in the plugin: its answer and its backwards calls.

    `cleanup` runs at its end: it cancels the calls, and the plugin gets no more messages.
    """

    def __init__(
        self, plugin: Plugin, dify: Dify, endpoint_id: str, limits: Limits, answer: Answer, cleanup: contextlib.ExitStack
    ) -> None:
        self.answer = answer
        self._limits = limits
        self._plugin = plugin
        self._dify = dify
        self._endpoint_id = endpoint_id
        self._id = str(uuid.uuid4())
        self._cleanup = cleanup

    def begin(self, copy: bytes, settings: Mapping[str, Any]) -> None:
        """Sends the request to the plugin."""
        self._plugin.attach(self._id, self._receive)
        self._cleanup.callback(self._plugin.detach, self._id)
        self._plugin.write(request_line(self._id, self._endpoint_id, copy, settings))

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
        loop, backlog, over = asyncio.get_running_loop(), Backlog(), False

        def send(reply: Reply, paused_s: float = 0) -> None:
            nonlocal over
            if not over and (reply.message != "stream" or backlog.admits(paused_s)):
                self._plugin.write(reply_line(self._id, self._endpoint_id, request_id, reply))
            over = over or reply == END
            if reply == END and backlog.lost:
                logger.warning("too many events at once: the last %d of a burst lost", backlog.lost)

        def cut(error: Reply) -> None:
            run.leave()
            send(error)
            send(END)

        caller = Caller()
        run = Run(self._dify.answer(kind, request, caller), send, self._plugin.drain, caller, self._dify.timeline)
        if self._plugin.notices_disconnects:
            self._cleanup.callback(cut, CANCELLED)
        self._cleanup.callback(run.leave)
        if request.get("response_mode") == "streaming":
            self._cleanup.callback(loop.call_later(self._limits.absolute_s, cut, READ_TIMEOUT).cancel)


def _segments(request: Request) -> list[bytes]:
    """The parts of `/e/<hook>/<the plugin's path>`, which is decoded first and then split."""
    return unquote_to_bytes(request.scope["raw_path"]).split(b"/", 3)


async def _read_body(request: Request) -> bytes:
    """The body up to the daemon's limit. The rest is read and dropped, so that the client sees the answer.

    Raises `ClientDisconnect` if the client leaves before the end.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk[: BODY_LIMIT - len(body)]
    return bytes(body)


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _redirect(request: Request) -> Response:
    """Redirects `/e/<hook>` to `/e/<hook>/`, with the query."""
    query = request.scope["query_string"].decode("latin-1")
    target = request.scope["raw_path"].decode("latin-1") + "/" + (f"?{query}" if query else "")
    if request.method != "GET":
        return Response(status_code=307, headers={"location": target})
    body = f'<a href="{escape(target)}">Moved Permanently</a>.\n\n'
    return Response(body, 301, {"content-type": "text/html; charset=utf-8", "location": target})


async def _no_route(_request: Request, _error: Exception) -> Response:
    return Response('{"code":"not_found","message":"route not found"}', 404, {"content-type": "application/json; charset=utf-8"})
