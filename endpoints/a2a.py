"""POST /a2a/<app_id>, with and without a slash at its end."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.a2a import serve


class A2a(Endpoint):
    """Answers as an agent."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.serve(r, values["app_id"], settings, SessionGateway(self.session))
