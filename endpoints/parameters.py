"""GET /parameters/<app_id>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck import web
from duck.dify.gateway import SessionGateway


class Parameters(Endpoint):
    """Gives an app's form, in the shape of Dify's own `GET /parameters`."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        dify = SessionGateway(self.session)
        return web.parameters(r, values["app_id"], settings, dify)
