"""Dify's Service API, for those who have an app's own key: it can do what a plugin's session cannot.

Conversations, uploads and runs belong here to the user who began them.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from devhost.apps import CHAT_MODES, App, Event, Failure
from devhost.dify import Dify, Replies, Run
from devhost.files import error, read_upload
from devhost.wire import END, Reply, dumps

BASE = "/v1"
PING_S = 10.0  # between two pings; the first comes at once
PING = b"event: ping\n\n"
AHEAD = 1_000  # events that wait for a slow client before the run waits, too
# How a failure is told to plugins; the API answers with the error itself.
HTTP_ERROR = re.compile(r"invoke app failed: request failed with status code: (\d+) and respond with: (.*)", re.DOTALL)

type Answer = Callable[["Asked"], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with a key, and the app that it opens."""

    request: Request
    app_id: str
    app: App


@dataclass(slots=True)
class Service:
    """The API of a workspace's apps. Each of the `keys` opens the app with this id."""

    dify: Dify
    keys: Mapping[str, str]
    _owners: dict[str, tuple[str, str]] = field(default_factory=dict, init=False)  # of conversations: an app and its user
    _streams: dict[tuple[str, str], "Stream"] = field(default_factory=dict, init=False)  # by user and task

    def routes(self) -> list[Route]:
        """To be mounted at the server's root."""
        posts: dict[str, Answer] = {
            "/chat-messages": self._running(CHAT_MODES, "not_chat_app"),
            "/completion-messages": self._running({"completion"}, "app_unavailable"),
            "/workflows/run": self._running({"workflow"}, "not_workflow_app"),
            "/chat-messages/{task_id}/stop": self._stop,
            "/completion-messages/{task_id}/stop": self._stop,
            "/workflows/tasks/{task_id}/stop": self._stop,
            "/files/upload": self._upload,
        }
        gets: dict[str, Answer] = {"/parameters": self._parameters, "/info": self._info}
        return [
            *(Route(BASE + path, self._for_holders(answer), methods=["POST"]) for path, answer in posts.items()),
            *(Route(BASE + path, self._for_holders(answer)) for path, answer in gets.items()),
        ]

    def _for_holders(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def answering(request: Request) -> Response:
            scheme, _, key = request.headers.get("authorization", "").partition(" ")
            app_id = self.keys.get(key, "") if scheme == "Bearer" else ""
            app = self.dify.apps.get(app_id)
            return await answer(Asked(request, app_id, app)) if app else error(401, "unauthorized", "Access token is invalid")

        return answering

    def _running(self, modes: Collection[str], refusal: str) -> Answer:
        async def running(asked: Asked) -> Response:
            app_id, app, body = asked.app_id, asked.app, await _object(asked.request)
            user = body.get("user")
            if app.mode not in modes:
                return error(400, refusal, "Please check if your app mode matches the right API route.")
            if not isinstance(user, str) or not user:
                return error(400, "invalid_param", "Arg user must be provided.")
            conversation = body.get("conversation_id")
            if conversation and app.mode in CHAT_MODES and self._owners.get(conversation) != (app_id, user):
                return error(404, "not_found", "Conversation Not Exists.")
            attached = [self._attached(file, user) for file in body.get("files") or []]
            if None in attached:
                return error(400, "invalid_param", "Invalid upload file")
            body["response_mode"] = body.get("response_mode") or "blocking"
            replies = self.dify.invoke(
                {**body, "app_id": app_id},
                uploads=lambda file_id: self.dify.files.upload_of(file_id, user),
                by_key=True,
                attached=attached,
            )
            return await Stream(self, replies, app_id, user).response()

        return running

    def _attached(self, file: Mapping[str, Any], user: str) -> Event | None:
        if file.get("transfer_method") != "local_file":
            return dict(file)
        return self.dify.files.upload_of(str(file.get("upload_file_id")), user)

    async def _stop(self, asked: Asked) -> Response:
        """Says yes to whatever it is asked for, as Dify does."""
        user = (await _object(asked.request)).get("user")
        if stream := self._streams.get((str(user), asked.request.path_params["task_id"])):
            stream.stop()
        return JSONResponse({"result": "success"})

    async def _upload(self, asked: Asked) -> Response:
        upload, fields = await read_upload(asked.request)
        if isinstance(upload, Response):
            return upload
        owner = fields.get("user", "")
        file = self.dify.files.add(upload.filename or "", upload.mimetype, upload.read(), uploaded=True, owner=owner)
        about = {"id": file.id, "name": file.name, "size": len(file.content), "extension": file.extension.removeprefix(".")}
        about |= {"mime_type": file.mime_type, "created_by": owner, "created_at": 1784000000}
        names = ("reference", "preview_url", "original_url", "user_id", "tenant_id", "conversation_id", "file_key")
        nulls: dict[str, Any] = dict.fromkeys(names)
        return JSONResponse(nulls | about | {"source_url": self.dify.files.preview_url(file)}, 201)

    async def _parameters(self, asked: Asked) -> Response:
        form = asked.app.fetch()
        return error(400, "app_unavailable", "App unavailable") if isinstance(form, Failure) else JSONResponse(form)

    async def _info(self, asked: Asked) -> Response:
        app = asked.app
        names = {"name": app.name or asked.app_id, "description": app.description, "author_name": "Devhost", "tags": []}
        return JSONResponse({**names, "mode": app.mode})

    def begin(self, app_id: str, user: str, event: Any, stream: "Stream") -> None:
        """Remembers whose a conversation and a run are."""
        if not isinstance(event, dict):
            return
        if conversation := event.get("conversation_id"):
            self._owners[conversation] = app_id, user
        if task := event.get("task_id"):
            self._streams[user, task] = stream

    def end(self, stream: "Stream") -> None:
        """Forgets a run that is over."""
        self._streams = {key: other for key, other in self._streams.items() if other is not stream}


class Stream:
    """One run being answered."""

    def __init__(self, service: Service, replies: Replies, app_id: str, user: str) -> None:
        self._service = service
        self._whose = app_id, user
        self._queue: asyncio.Queue[Reply] = asyncio.Queue()
        self._first: Event | None = None
        self._run = Run(replies, lambda reply, _: self._queue.put_nowait(reply), self._drain)

    async def response(self) -> Response:
        """Waits for the first reply: a run that fails at once is an HTTP error."""
        first = await self._queue.get()
        if first.event == "error":
            status, body = _http_error(first.message)
            return Response(body, status, media_type="application/json")
        if first.message == "struct":
            self._service.begin(*self._whose, first.data, self)
            self._service.end(self)
            return JSONResponse(first.data)
        return StreamingResponse(self._events(first), media_type="text/event-stream")

    def stop(self) -> None:
        """Ends the run with the events that Dify ends one with that was stopped."""
        self._run.cancel()
        first = self._first or {}
        ids: Event = {name: first[name] for name in ("conversation_id", "message_id", "created_at", "task_id") if name in first}
        if "workflow_run_id" in first:
            data: Event = {**first["data"], "status": "stopped", "outputs": {}, "error": None}
            self._queue.put_nowait(Reply("response", "stream", {**first, "event": "workflow_finished", "data": data}))
        if "message_id" in first:
            end: Event = {"event": "message_end", **ids, "id": first["message_id"], "metadata": {}, "files": []}
            self._queue.put_nowait(Reply("response", "stream", end))
        self._queue.put_nowait(END)

    async def _events(self, reply: Reply) -> AsyncIterator[bytes]:
        try:
            yield PING
            while reply.event == "response":
                self._first = self._first or reply.data
                self._service.begin(*self._whose, reply.data, self)
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
                raise ConnectionError(reply.message)  # the server closes the connection in mid-stream
        finally:
            self._run.cancel()
            self._service.end(self)

    async def _drain(self) -> None:
        while self._queue.qsize() > AHEAD:
            await asyncio.sleep(0.01)


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
