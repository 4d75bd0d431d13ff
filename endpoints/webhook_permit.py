"""OPTIONS /webhook/<app_id> and /webhook/<app_id>/<capability>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.faces.webhook import serve


class WebhookPermit(Endpoint):
    """Answers senders who ask whether they may send."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.permit(r, values, settings)
