"""Every other path and method below /mcp."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.faces.mcp import serve


class McpUnknown(Endpoint):
    """Says that there is no such route, or which methods it has."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.unknown(r, settings)
