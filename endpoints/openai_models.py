"""GET /v1/models, with and without /v1, for clients of OpenAI's and of Anthropic's API."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.anthropic import serve as anthropic
from duck.faces.openai import serve as openai


class OpenaiModels(Endpoint):
    """Lists the apps as models."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        if anthropic.is_anthropic_client(r):
            return anthropic.models(r, settings, SessionGateway(self.session))
        return openai.models(r, settings, SessionGateway(self.session))
