"""GET and POST /form/<app_id>/<token>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.api import serve


class Form(Endpoint):
    """Shows a form for which a run waits, and fills it in."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        dify = SessionGateway(self.session)
        return serve.form(r, values["app_id"], values["token"], settings, dify)
