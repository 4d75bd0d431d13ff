"""GET /embed.js."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.faces.api import serve


class Embed(Endpoint):
    """Serves the script that puts an app's page behind a button on another website."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.embed(r)
