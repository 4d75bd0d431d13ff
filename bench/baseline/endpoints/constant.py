from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response


class Constant(Endpoint):
    """The least that an endpoint can do: it asks nobody."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return Response("x", content_type="text/plain")
