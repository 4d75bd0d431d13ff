"""GET /parameters/<app_id>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.api import serve


class Parameters(Endpoint):
    """Returns an app's form, as Dify's own `GET /parameters` does."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        dify = SessionGateway(self.session)
        return serve.parameters(r, values["app_id"], settings, dify)
