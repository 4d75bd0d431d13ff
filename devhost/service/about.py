"""What the Service API tells of an app: its form, its name, its web page."""

import json

from starlette.responses import JSONResponse, Response

from devhost.apps import Event, Failure
from devhost.files import error
from devhost.service.requests import AppRequest

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
        return error(400, "app_unavailable", "App unavailable, please check your app configurations.")
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
        return error(403, "forbidden", NO_SITE)
    return JSONResponse({**SITE, "title": app.name or request.app_id, "description": app.description, **app.site})
