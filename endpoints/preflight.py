"""OPTIONS on every path."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck import web


class Preflight(Endpoint):
    """Answers a browser that asks before it calls from another origin."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return web.preflight(r, settings)
