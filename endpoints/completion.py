"""GET and POST /completion/<app_id>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.api import serve


class Completion(Endpoint):
    """Runs text generators."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        dify = SessionGateway(self.session, self.session.app.completion.invoke)
        return serve.serve(r, values["app_id"], settings, dify, kind="completion")
