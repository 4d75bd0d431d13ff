"""POST /v1/responses, with and without /v1."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.openai import serve


class OpenaiResponses(Endpoint):
    """Answers as a model of the Responses API."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.responses(r, settings, SessionGateway(self.session))
