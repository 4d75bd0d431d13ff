"""GET /a2a/<app_id>/.well-known/agent-card.json."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.a2a import serve


class A2aCard(Endpoint):
    """Shows an app as an agent."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.card(r, values["app_id"], settings, SessionGateway(self.session))
