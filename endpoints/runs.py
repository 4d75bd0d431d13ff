"""GET /runs/<app_id>/<run_id>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.api import serve


class Runs(Endpoint):
    """Gives a run that was begun before."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        dify = SessionGateway(self.session)
        return serve.run(r, values["app_id"], values["run_id"], settings, dify)
