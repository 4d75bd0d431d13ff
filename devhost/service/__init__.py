"""Dify's Service API, which takes an app's own key and can do more than a plugin's session.

Conversations, uploads and runs belong to the app's end user who began them.

    requests.py    requests with an app's own key, and their end users
    about.py       an app's form, name and web page
    runs.py        runs are begun and stopped; streams.py: their answers
    files.py       uploads
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devhost.apps import CHAT_MODES
from devhost.dify import Dify
from devhost.files import error
from devhost.service import about, files, runs
from devhost.service.requests import Answer, AppRequest
from devhost.service.streams import Streams

BASE = "/v1"

POSTS: dict[str, Answer] = {
    "/chat-messages": runs.run_in(CHAT_MODES, "not_chat_app"),
    "/completion-messages": runs.run_in({"completion"}, "app_unavailable"),
    "/workflows/run": runs.run_in({"workflow"}, "not_workflow_app"),
    "/chat-messages/{task_id}/stop": runs.stop,
    "/completion-messages/{task_id}/stop": runs.stop,
    "/workflows/tasks/{task_id}/stop": runs.stop,
    "/files/upload": files.upload,
}
GETS: dict[str, Answer] = {"/parameters": about.parameters, "/info": about.info, "/site": about.site}


@dataclass(slots=True)
class Service:
    """The API of a workspace's apps. `keys` maps the apps' own keys to app ids."""

    dify: Dify
    keys: Mapping[str, str]
    _streams: Streams = field(default_factory=Streams, init=False)

    def routes(self) -> list[Route]:
        """The routes, for the server's root."""
        return [
            *(Route(BASE + path, self._authorized(answer), methods=["POST"]) for path, answer in POSTS.items()),
            *(Route(BASE + path, self._authorized(answer)) for path, answer in GETS.items()),
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
            return await answer(AppRequest(request, app_id, app, self.dify, self._streams))

        return answering
