"""Files, conversations, logs and all else that Dify keeps, below /dify/<app_id>/v1 and /v1."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.service_api import serve


class DifyKept(Endpoint):
    """Passes requests on to Dify by the app's own key."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.kept(r, values, settings, SessionGateway(self.session))
