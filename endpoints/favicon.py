"""GET /favicon.ico."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.faces.api import serve


class Favicon(Endpoint):
    """Serves the icon that browsers show in their tabs."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.favicon(r)
