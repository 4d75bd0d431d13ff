from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response


class Null(Endpoint):
    """A relay that does nothing: it reads the app's stream and writes one constant chunk for each event."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        stream = self.session.app.chat.invoke(app_id=values["app_id"], query="hi", inputs={}, response_mode="streaming")
        return Response((b"x" for _ in stream), content_type="text/plain")
