"""The answers to runs: one document, or server-sent events."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from devhost.apps import Event, Mode
from devhost.run import Caller, Replies, Run
from devhost.service.requests import AppRequest
from devhost.wire import END, Reply, dumps

PING_S = 10.0  # between two pings; the first is sent at once
PING = b"event: ping\n\n"
AHEAD = 1_000  # events that wait for a slow client; with more of them the run waits
ABORTED = "Aborted: User requested stop"
# The text of a failure for plugins. The API answers with the error in it.
HTTP_ERROR = re.compile(r"invoke app failed: request failed with status code: (\d+) and respond with: (.*)", re.DOTALL)


class Streams:
    """The streams of the runs that have not ended."""

    def __init__(self) -> None:
        self._by_task: dict[tuple[str, str], Stream] = {}  # by end user and task
        self._live: list[Stream] = []  # with a caller

    def add(self, stream: "Stream") -> None:
        """Adds a run that begins."""
        self._live.append(stream)

    def count(self, app_id: str) -> int:
        """The number of the app's runs that are being answered."""
        return sum(stream.app_id == app_id for stream in self._live)

    def find(self, end_user: str, task_id: str) -> "Stream | None":
        """The end user's run with this task id."""
        return self._by_task.get((end_user, task_id))

    def begin(self, stream: "Stream", event: Any) -> None:
        """Registers a run under the task id of its events, by which it can be stopped."""
        if isinstance(event, dict) and (task := event.get("task_id")):
            self._by_task[stream.end_user, task] = stream

    def end(self, stream: "Stream") -> None:
        """Removes a run whose answer has ended. One that goes on without its caller can still be stopped."""
        self._live = [other for other in self._live if other is not stream]
        self._by_task = {key: other for key, other in self._by_task.items() if not other.is_over}


class Stream:
    """The answer to one run."""

    def __init__(self, request: AppRequest, replies: Replies, caller: Caller, end_user: str, user: str) -> None:
        self.app_id = request.app_id
        self.end_user = end_user
        self._user = user
        self._mode = request.app.mode
        self._streams = request.streams
        self._caller = caller
        self._queue: asyncio.Queue[Reply] = asyncio.Queue()
        self._first: Event = {}
        self._is_stopped = False
        self._run = Run(replies, self._receive, self._drain, caller, request.dify.timeline)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self._is_stopped or self._run.is_over

    def _receive(self, reply: Reply, _paused_s: float) -> None:
        if reply.message == "stream":
            self._first = self._first or reply.data
            self._streams.begin(self, reply.data)
        self._queue.put_nowait(reply)

    async def response(self) -> Response:
        """The response, after the first reply: a run that fails at once is an HTTP error."""
        first = await self._queue.get()
        if first.event != "error" and first.message != "struct":
            return _EventStream(self._events(first), self._end)
        self._streams.end(self)
        if first.event == "error":
            status, body = _http_error(first.message)
            return Response(body, status, media_type="application/json")
        return JSONResponse(first.data)

    def stop(self) -> None:
        """Ends the run with the events of a stopped run. A run that waits for a person keeps waiting."""
        recording = self._caller.recording
        if self.is_over or recording is None or (recording.run is not None and recording.run.status == "paused"):
            return
        self._is_stopped = True
        self._run.cancel()
        events = list(_stopped(self._mode, self._first, {"id": self.end_user, "user": self._user}))
        recording.stop(events)
        for event in events:
            self._queue.put_nowait(Reply("response", "stream", event))
        self._queue.put_nowait(END)

    def _end(self) -> None:
        self._run.leave()
        self._streams.end(self)

    async def _events(self, reply: Reply) -> AsyncIterator[bytes]:
        yield PING
        while reply.event == "response":
            yield event_block(reply.data)
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
        if self._caller.recording is not None:
            self._caller.recording.read()

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


def event_block(event: Event) -> bytes:
    """An event as it is sent."""
    return b"data: " + dumps(event).encode() + b"\n\n"


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


def _http_error(text: str) -> tuple[int, str]:
    if found := HTTP_ERROR.fullmatch(text):
        return int(found[1]), found[2]
    return 500, dumps({"code": "internal_server_error", "message": text, "status": 500})
