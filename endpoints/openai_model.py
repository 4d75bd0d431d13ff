"""GET /v1/models/<model>, with and without /v1."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.openai import serve


class OpenaiModel(Endpoint):
    """Shows one app as a model."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.model(r, values["model"], settings, SessionGateway(self.session))
