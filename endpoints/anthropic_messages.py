"""POST /v1/messages."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.anthropic import serve


class AnthropicMessages(Endpoint):
    """Answers as a model of Anthropic's Messages API."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.messages(r, settings, SessionGateway(self.session))
