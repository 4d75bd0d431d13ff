"""Dify's Service API, which takes an app's own key and can do more than a plugin's session.

Conversations, uploads and runs belong to the app's end user who began them.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from devhost.apps import CHAT_MODES, App, Event, Failure, Mode
from devhost.dify import Dify
from devhost.files import error, read_upload
from devhost.inputs import check_link
from devhost.run import Replies, Run
from devhost.users import CREATION_S
from devhost.wire import END, Reply, dumps

BASE = "/v1"
PING_S = 10.0  # between two pings; the first is sent at once
PING = b"event: ping\n\n"
AHEAD = 1_000  # events that wait for a slow client; with more of them the run waits
DEFAULT_USER = "DEFAULT-USER"  # the owner of uploads without a user
ABORTED = "Aborted: User requested stop"
WRONG_ROUTE = "Please check if your app mode matches the right API route."
NO_SITE = (
    "You don't have the permission to access the requested resource. It is either read-protected or not readable by the server."
)
# What Dify says of the web page of an app whose owner has changed nothing about it.
SITE: Event = json.loads("""{
    "icon_type": "emoji", "icon": "🤖", "icon_background": "#FFEAD5", "icon_url": null, "chat_color_theme": "",
    "chat_color_theme_inverted": false, "copyright": "", "privacy_policy": "", "custom_disclaimer": "", "input_placeholder": null,
    "default_language": "en-US", "show_workflow_steps": true, "use_icon_as_answer_icon": false
}""")
# The text of a failure for plugins. The API answers with the error in it.
HTTP_ERROR = re.compile(r"invoke app failed: request failed with status code: (\d+) and respond with: (.*)", re.DOTALL)

type Answer = Callable[["AppRequest"], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class AppRequest:
    """A request with a valid key, and the key's app."""

    http: Request
    app_id: str
    app: App


@dataclass(slots=True)
class Service:
    """The API of a workspace's apps. `keys` maps the apps' own keys to app ids."""

    dify: Dify
    keys: Mapping[str, str]
    _streams: dict[tuple[str, str], "Stream"] = field(default_factory=dict, init=False)  # by end user and task
    _live: list["Stream"] = field(default_factory=list, init=False)  # runs that have not ended

    def routes(self) -> list[Route]:
        """The routes, for the server's root."""
        posts: dict[str, Answer] = {
            "/chat-messages": self._run_endpoint(CHAT_MODES, "not_chat_app"),
            "/completion-messages": self._run_endpoint({"completion"}, "app_unavailable"),
            "/workflows/run": self._run_endpoint({"workflow"}, "not_workflow_app"),
            "/chat-messages/{task_id}/stop": self._stop,
            "/completion-messages/{task_id}/stop": self._stop,
            "/workflows/tasks/{task_id}/stop": self._stop,
            "/files/upload": self._upload,
        }
        gets: dict[str, Answer] = {"/parameters": self._parameters, "/info": self._info, "/site": self._site}
        return [
            *(Route(BASE + path, self._authorized(answer), methods=["POST"]) for path, answer in posts.items()),
            *(Route(BASE + path, self._authorized(answer)) for path, answer in gets.items()),
        ]

    def _authorized(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def answering(request: Request) -> Response:
            scheme, _, key = request.headers.get("authorization", "").partition(" ")
            app_id = self.keys.get(key, "") if scheme == "Bearer" else ""
            app = self.dify.apps.get(app_id)
            if app is None:
                return error(401, "unauthorized", "Access token is invalid")
            if not app.api_enabled:
                return error(403, "forbidden", "The app's API service has been disabled.")
            return await answer(AppRequest(request, app_id, app))

        return answering

    def _run_endpoint(self, modes: Collection[str], refusal: str) -> Answer:
        async def run(request: AppRequest) -> Response:
            app, body = request.app, await _object(request.http)
            user = body.get("user")
            if not isinstance(user, str) or not user:
                return error(400, "invalid_param", "Arg user must be provided.")
            end_user = await self._end_user(request, user)
            if app.mode not in modes:
                return error(400, refusal, WRONG_ROUTE)
            limit = app.max_active_requests
            if limit and sum(stream.app_id == request.app_id for stream in self._live) >= limit:
                return error(400, "invalid_param", _too_many(request.app_id, limit))
            try:
                attached = [self._attached(file, end_user) for file in body.get("files") or []]
            except ValueError as reason:
                return error(400, "invalid_param", str(reason))
            call = {**body, "app_id": request.app_id, "response_mode": body.get("response_mode") or "blocking"}
            replies = self.dify.invoke(call, by_key=True, attached=attached, end_user=end_user)
            stream = Stream(self, replies, request, end_user, user)
            self._live.append(stream)
            return await stream.response()

        return run

    async def _end_user(self, request: AppRequest, user: str) -> str:
        """The id of the app's end user with this name, who is created if necessary."""
        found = self.dify.end_users.find(request.app_id, user)
        if found is None:
            await asyncio.sleep(CREATION_S)
            found = self.dify.end_users.create(request.app_id, user)
        return found

    def _attached(self, file: Mapping[str, Any], end_user: str) -> Event:
        if file.get("transfer_method") != "local_file":
            check_link(str(file.get("url")))
            return dict(file)
        upload = self.dify.files.upload_of(str(file.get("upload_file_id")), end_user)
        if upload is None:
            raise ValueError("Invalid upload file")
        return upload

    async def _stop(self, request: AppRequest) -> Response:
        """Answers "success" even if there is no such run, as Dify does."""
        end_user = await self._end_user(request, str((await _object(request.http)).get("user")))
        if stream := self._streams.get((end_user, request.http.path_params["task_id"])):
            stream.stop()
        return JSONResponse({"result": "success"})

    async def _upload(self, request: AppRequest) -> Response:
        upload, fields = await read_upload(request.http)
        owner = await self._end_user(request, fields.get("user") or DEFAULT_USER)
        if isinstance(upload, Response):
            return upload
        file = self.dify.files.add(upload.filename or "", upload.mimetype, upload.read(), uploaded=True, owner=owner)
        about = {"id": file.id, "name": file.name, "size": len(file.content), "extension": file.extension.removeprefix(".")}
        about |= {"mime_type": file.mime_type, "created_by": owner, "created_at": 1784000000}
        names = ("reference", "preview_url", "original_url", "user_id", "tenant_id", "conversation_id", "file_key")
        nulls: dict[str, Any] = dict.fromkeys(names)
        return JSONResponse(nulls | about | {"source_url": self.dify.files.preview_url(file)}, 201)

    async def _parameters(self, request: AppRequest) -> Response:
        form = request.app.fetch() if request.app.published else None
        if form is None or isinstance(form, Failure):
            return error(400, "app_unavailable", "App unavailable, please check your app configurations.")
        return JSONResponse(form)

    async def _info(self, request: AppRequest) -> Response:
        app = request.app
        names = {"name": app.name or request.app_id, "description": app.description, "author_name": "Devhost", "tags": []}
        return JSONResponse({**names, "mode": app.mode})

    async def _site(self, request: AppRequest) -> Response:
        app = request.app
        if app.site is None:
            return error(403, "forbidden", NO_SITE)
        return JSONResponse({**SITE, "title": app.name or request.app_id, "description": app.description, **app.site})

    def begin(self, stream: "Stream", event: Any) -> None:
        """Registers a run under the task id of its events, by which it can be stopped."""
        if isinstance(event, dict) and (task := event.get("task_id")):
            self._streams[stream.end_user, task] = stream

    def end(self, stream: "Stream") -> None:
        """Removes a run that has ended."""
        self._live = [other for other in self._live if other is not stream]
        self._streams = {key: other for key, other in self._streams.items() if other is not stream}


class Stream:
    """The answer to one run."""

    def __init__(self, service: Service, replies: Replies, request: AppRequest, end_user: str, user: str) -> None:
        self.app_id = request.app_id
        self.end_user = end_user
        self._user = user
        self._mode = request.app.mode
        self._service = service
        self._queue: asyncio.Queue[Reply] = asyncio.Queue()
        self._first: Event = {}
        self._run = Run(replies, lambda reply, _: self._queue.put_nowait(reply), self._drain)

    async def response(self) -> Response:
        """The response, after the first reply: a run that fails at once is an HTTP error."""
        first = await self._queue.get()
        if first.event != "error" and first.message != "struct":
            return _EventStream(self._events(first), self._end)
        self._service.end(self)
        if first.event == "error":
            status, body = _http_error(first.message)
            return Response(body, status, media_type="application/json")
        return JSONResponse(first.data)

    def stop(self) -> None:
        """Ends the run with the events of a stopped run."""
        self._run.cancel()
        for event in _stopped(self._mode, self._first, {"id": self.end_user, "user": self._user}):
            self._queue.put_nowait(Reply("response", "stream", event))
        self._queue.put_nowait(END)

    def _end(self) -> None:
        self._run.cancel()
        self._service.end(self)

    async def _events(self, reply: Reply) -> AsyncIterator[bytes]:
        yield PING
        while reply.event == "response":
            self._first = self._first or reply.data
            self._service.begin(self, reply.data)
            yield b"data: " + dumps(reply.data).encode() + b"\n\n"
            while self._queue.empty():
                try:
                    async with asyncio.timeout(PING_S):
                        reply = await self._queue.get()
                    break
                except TimeoutError:
                    yield PING
            else:
                reply = self._queue.get_nowait()
        if reply.event == "error":
            raise ConnectionError(reply.message)  # makes the server close the connection in mid-stream

    async def _drain(self) -> None:
        while self._queue.qsize() > AHEAD:
            await asyncio.sleep(0.01)


class _EventStream(StreamingResponse):
    """Server-sent events. Calls `end` at the end of the response, even if no event was sent."""

    def __init__(self, events: AsyncIterator[bytes], end: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()


def _stopped(mode: Mode, first: Event, created_by: Event) -> Iterator[Event]:
    """The events that end a stopped run, with the ids of its first event. In Dify 1.16 a stopped chatflow has failed."""
    if "workflow_run_id" in first:
        is_chatflow, now = mode == "advanced-chat", int(time.time())
        data = {name: first.get("data", {}).get(name) for name in ("id", "workflow_id", "created_at")}
        data |= {"status": "failed" if is_chatflow else "stopped", "error": ABORTED if is_chatflow else None, "outputs": {}}
        data |= {"elapsed_time": now - (data["created_at"] or now), "total_tokens": 0, "total_steps": 0, "exceptions_count": 0}
        data |= {"finished_at": now, "created_by": created_by, "files": []}
        yield {**first, "event": "workflow_finished", "data": data}
    elif "message_id" in first:
        ids: Event = {name: first[name] for name in ("conversation_id", "message_id", "created_at", "task_id") if name in first}
        yield {"event": "message_end", **ids, "id": first["message_id"], "metadata": {}, "files": []}


def _too_many(app_id: str, limit: int) -> str:
    run = f"The current maximum concurrent requests allowed for {app_id} is {limit}."
    return f"Too many requests. Please try again later. {run}"


def _http_error(text: str) -> tuple[int, str]:
    if found := HTTP_ERROR.fullmatch(text):
        return int(found[1]), found[2]
    return 500, dumps({"code": "internal_server_error", "message": text, "status": 500})


async def _object(request: Request) -> dict[str, Any]:
    try:
        value = json.loads(await request.body())
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
