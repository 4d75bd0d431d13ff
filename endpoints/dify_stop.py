"""POST /dify/<app_id>/v1/…/<task_id>/stop; below /v1 for the default app."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.service_api import serve


class DifyStop(Endpoint):
    """Stops a run for clients of Dify's API."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.stop(r, values, settings, SessionGateway(self.session))
