"""POST /v1/chat/completions, with and without /v1."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.openai import serve


class OpenaiCompletions(Endpoint):
    """Answers as a model of Chat Completions."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.completions(r, settings, SessionGateway(self.session))
