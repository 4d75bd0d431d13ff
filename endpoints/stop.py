"""POST /stop/<app_id>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.api import serve


class Stop(Endpoint):
    """Stops a run."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        dify = SessionGateway(self.session)
        return serve.stop(r, values["app_id"], settings, dify)
