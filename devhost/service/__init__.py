"""Dify's Service API, which takes an app's own key and can do more than a plugin's session.

Conversations, uploads and runs belong to the app's end user who began them.

    requests.py       requests with an app's own key, their arguments and their end users
    about.py          an app's form, name and web page, and its end users
    runs.py           runs are begun and stopped; streams.py: their answers
    workflows.py      how the runs of workflows and chatflows stand, and their further events
    forms.py          forms for which runs wait
    conversations.py  conversations and their variables; messages.py: their messages
    files.py          uploads
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from devhost.apps import CHAT_MODES
from devhost.dify import Dify
from devhost.files import error
from devhost.service import about, conversations, files, forms, messages, runs, workflows
from devhost.service.requests import Answer, AppRequest, RefusedError
from devhost.service.streams import Streams

BASE = "/v1"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
NO_PATH = (
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again."
)
CHAT, COMPLETION, WORKFLOW = (
    (CHAT_MODES, "not_chat_app"),
    ({"completion"}, "app_unavailable"),
    ({"workflow"}, "not_workflow_app"),
)
RUN_WORKFLOW = runs.run_in(*WORKFLOW)
# Where Dify's routes take UUIDs only, these do, too: another id is an unknown path.
ANSWERS: list[tuple[str, str, Answer]] = [
    ("POST", "/chat-messages", runs.run_in(*CHAT)),
    ("POST", "/chat-messages/{task_id}/stop", runs.stop_in(*CHAT)),
    ("POST", "/completion-messages", runs.run_in(*COMPLETION)),
    ("POST", "/completion-messages/{task_id}/stop", runs.stop_in(*COMPLETION)),
    ("POST", "/workflows/run", RUN_WORKFLOW),
    ("GET", "/workflows/run/{workflow_run_id}", workflows.run),
    ("GET", "/workflows/logs", workflows.logs),
    ("POST", "/workflows/tasks/{task_id}/stop", runs.stop_in(*WORKFLOW)),
    ("POST", "/workflows/{workflow_id}/run", runs.run_version(RUN_WORKFLOW)),
    ("GET", "/workflow/{workflow_run_id}/events", workflows.events),
    ("GET", "/form/human_input/{form_token}", forms.form),
    ("POST", "/form/human_input/{form_token}", forms.submit),
    ("GET", "/conversations", conversations.conversations),
    ("DELETE", "/conversations/{conversation_id:uuid}", conversations.delete),
    ("POST", "/conversations/{conversation_id:uuid}/name", conversations.rename),
    ("GET", "/conversations/{conversation_id:uuid}/variables", conversations.variables),
    ("PUT", "/conversations/{conversation_id:uuid}/variables/{variable_id:uuid}", conversations.set_variable),
    ("GET", "/messages", messages.messages),
    ("GET", "/messages/{message_id:uuid}/suggested", messages.suggested),
    ("POST", "/messages/{message_id:uuid}/feedbacks", messages.feedback),
    ("POST", "/files/upload", files.upload),
    ("GET", "/files/{file_id:uuid}/preview", files.preview),
    ("GET", "/parameters", about.parameters),
    ("GET", "/info", about.info),
    ("GET", "/site", about.site),
    ("GET", "/meta", about.meta),
    ("GET", "/end-users/{end_user_id:uuid}", about.end_user),
]


@dataclass(slots=True)
class Service:
    """The API of a workspace's apps. `keys` maps the apps' own keys to app ids."""

    dify: Dify
    keys: Mapping[str, str]
    _streams: Streams = field(default_factory=Streams, init=False)

    def routes(self) -> list[Route]:
        """The routes, for the server's root."""
        routes = [Route(BASE + path, self._authorized(answer), methods=[method]) for method, path, answer in ANSWERS]

        async def unknown(request: Request) -> Response:
            if any(route.matches(request.scope)[0] is Match.PARTIAL for route in routes):
                return error(405, "method_not_allowed", "The method is not allowed for the requested URL.")
            return error(404, "not_found", NO_PATH)

        return [*routes, Route(BASE + "/{path:path}", unknown, methods=METHODS)]

    def _authorized(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def answering(request: Request) -> Response:
            scheme, _, key = request.headers.get("authorization", "").partition(" ")
            app_id = self.keys.get(key, "") if scheme == "Bearer" else ""
            app = self.dify.apps.get(app_id)
            if app is None:
                return error(401, "unauthorized", "Access token is invalid")
            if not app.api_enabled:
                return error(403, "forbidden", "The app's API service has been disabled.")
            try:
                return await answer(AppRequest(request, app_id, app, self.dify, self._streams))
            except RefusedError as refusal:
                return error(refusal.status, refusal.code, refusal.message)

        return answering
