"""GET and POST /chat/<app_id>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.api import serve


class Chat(Endpoint):
    """Runs chatbots, agents and chatflows."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        dify = SessionGateway(self.session, self.session.app.chat.invoke)
        return serve.serve(r, values["app_id"], settings, dify, kind="chat")
