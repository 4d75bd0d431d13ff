"""POST /webhook/<app_id>/preview."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.webhook import serve


class WebhookPreview(Endpoint):
    """Tells what of a payload would reach which input of an app."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.preview(r, values, settings, SessionGateway(self.session))
