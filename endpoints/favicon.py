"""GET /favicon.ico."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.faces.api import serve


class Favicon(Endpoint):
    """Gives browsers the picture for their tabs."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.favicon(r)
