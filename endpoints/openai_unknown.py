"""Every other path and method below /v1/."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.faces.anthropic import serve as anthropic
from duck.faces.openai import serve as openai


class OpenaiUnknown(Endpoint):
    """Says that there is no such route, or which methods it has."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        if anthropic.is_anthropic_client(r):
            return anthropic.unknown(r, settings)
        return openai.unknown(r, settings)
