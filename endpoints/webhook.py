"""POST and GET /webhook/<app_id> and /webhook/<app_id>/<capability>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.webhook import serve


class Webhook(Endpoint):
    """Takes what other people's systems send, and runs an app for it."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.deliver(r, values, settings, SessionGateway(self.session))
