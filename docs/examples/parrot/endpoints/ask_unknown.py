"""All other paths and methods below /ask/."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.faces import parrot


class AskUnknown(Endpoint):
    """Says that there is no such route, or which methods it has."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return parrot.unknown(r, settings)
