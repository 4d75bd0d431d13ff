"""GET /dify/<app_id>/v1/parameters, info, meta and site; below /v1 for the default app."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.service_api import serve


class DifyAbout(Endpoint):
    """Says what an app is, to clients of Dify's API."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.about(r, values, settings, SessionGateway(self.session))
