"""GET /duck/<app_id>."""

from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response

from duck.dify.session import SessionGateway
from duck.faces.api import serve


class Original(Endpoint):
    """Runs a workflow with the query string as its inputs and streams HTML, unless another format is requested."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        dify = SessionGateway(self.session, self.session.app.workflow.invoke)
        return serve.serve(r, values["app_id"], settings, dify, kind="workflow", default_format="html")
