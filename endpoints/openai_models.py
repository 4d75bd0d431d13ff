"""GET /v1/models, with and without /v1."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.openai import serve


class OpenaiModels(Endpoint):
    """Lists the apps as models."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.models(r, settings, SessionGateway(self.session))
