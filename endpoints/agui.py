"""POST /agui/<app_id>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.agui import serve


class Agui(Endpoint):
    """Runs the app as an agent of AG-UI."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.run(r, values["app_id"], settings, SessionGateway(self.session))
