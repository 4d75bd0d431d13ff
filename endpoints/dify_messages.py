"""The same as `dify_kept`, on paths that Anthropic's API has, too."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.service_api import serve


class DifyMessages(Endpoint):
    """Passes requests on to Dify by the app's own key."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        return serve.messages(r, values, settings, SessionGateway(self.session))
