"""GET and POST /completion/<app_id>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck import web
from duck.dify.gateway import SessionGateway


class Completion(Endpoint):
    """Runs text generators."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        dify = SessionGateway(self.session, self.session.app.completion.invoke)
        return web.serve(r, values["app_id"], settings, dify, kind="completion")
