"""Every other path and method below /dify/, and what Dify has and Duck refuses."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.faces.service_api import serve


class DifyUnknown(Endpoint):
    """Says that there is no such route, or which methods it has."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.unknown(r, settings)
