"""GET /."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.api import serve


class Index(Endpoint):
    """Lists the apps that the caller may use."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.index(r, settings, SessionGateway(self.session))
