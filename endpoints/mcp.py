"""POST /mcp and /mcp/<app_id>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.mcp import serve


class Mcp(Endpoint):
    """Offers apps as tools."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.serve(r, values.get("app_id"), settings, SessionGateway(self.session))
