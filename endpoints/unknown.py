"""Every path and method without an endpoint of its own."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.faces.api import serve


class Unknown(Endpoint):
    """Answers 404, or 405 with the methods that the route takes."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.unknown(r, settings)
