"""What the Service API tells of an app: its form, its name, its web page, its end users."""

import json
from datetime import UTC, datetime

from starlette.responses import JSONResponse, Response

from devhost.apps import Event, Failure
from devhost.files import TENANT
from devhost.service.requests import DEFAULT_USER, UNAVAILABLE, AppRequest, RefusedError

NO_SITE = (
    "You don't have the permission to access the requested resource. It is either read-protected or not readable by the server."
)
# What Dify says of the web page of an app whose owner has changed nothing about it.
SITE: Event = json.loads("""{
    "icon_type": "emoji", "icon": "🤖", "icon_background": "#FFEAD5", "icon_url": null, "chat_color_theme": "",
    "chat_color_theme_inverted": false, "copyright": "", "privacy_policy": "", "custom_disclaimer": "", "input_placeholder": null,
    "default_language": "en-US", "show_workflow_steps": true, "use_icon_as_answer_icon": false
}""")


async def parameters(request: AppRequest) -> Response:
    """The app's form."""
    form = request.app.fetch() if request.app.published else None
    if form is None or isinstance(form, Failure):
        raise RefusedError(400, "app_unavailable", UNAVAILABLE)
    return JSONResponse(form)


async def info(request: AppRequest) -> Response:
    """The app's name, description and mode."""
    app = request.app
    names = {"name": app.name or request.app_id, "description": app.description, "author_name": "Devhost", "tags": []}
    return JSONResponse({**names, "mode": app.mode})


async def site(request: AppRequest) -> Response:
    """The settings of the app's web page."""
    app = request.app
    if app.site is None:
        raise RefusedError(403, "forbidden", NO_SITE)
    return JSONResponse({**SITE, "title": app.name or request.app_id, "description": app.description, **app.site})


async def meta(_request: AppRequest) -> Response:
    """The icons of the app's tools: there are none."""
    return JSONResponse({"tool_icons": {}})


async def end_user(request: AppRequest) -> Response:
    """One of the app's end users."""
    found = request.dify.end_users.about(request.path("end_user_id"))
    if found is None or found.app_id != request.app_id:
        raise RefusedError(404, "end_user_not_found", "End user not found.")
    time = datetime.fromtimestamp(found.created_at, UTC).isoformat()
    names = {"external_user_id": found.user, "session_id": found.user, "name": None, "is_anonymous": found.user == DEFAULT_USER}
    times = {"created_at": time, "updated_at": time}
    about = {"id": found.id, "tenant_id": TENANT, "app_id": found.app_id, "type": "service-api"}
    return JSONResponse({**about, **names, **times})
