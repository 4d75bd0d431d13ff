"""OPTIONS on every path."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.faces.api import serve


class Preflight(Endpoint):
    """Answers the CORS preflight of a browser."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.preflight(r, settings)
