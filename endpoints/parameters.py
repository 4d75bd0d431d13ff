"""GET /parameters/<app_id>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.api import serve


class Parameters(Endpoint):
    """Gives an app's form, in the shape of Dify's own `GET /parameters`."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        dify = SessionGateway(self.session)
        return serve.parameters(r, values["app_id"], settings, dify)
