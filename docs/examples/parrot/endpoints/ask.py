"""POST /ask/<app_id>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces import parrot


class Ask(Endpoint):
    """Asks an app, as Parrot does."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        dify = SessionGateway(self.session, self.session.app.chat.invoke)
        return parrot.ask(r, values["app_id"], settings, dify)
