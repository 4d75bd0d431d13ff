"""The same as `dify_kept`, on paths that Anthropic's API has, too."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.anthropic import serve as anthropic
from duck.faces.service_api import serve as service_api


class DifyMessages(Endpoint):
    """Passes requests on to Dify by the app's own key."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        if "app_id" not in values and anthropic.is_anthropic_client(r):
            return anthropic.unknown(r, settings)
        return service_api.kept(r, values, settings, SessionGateway(self.session))
