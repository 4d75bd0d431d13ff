import json
from collections.abc import Mapping

from dify_plugin import Endpoint
from werkzeug import Request, Response


class Original(Endpoint):
    """What endpoint plugins are usually made of: each event as JSON, with a line's end that a browser shows."""

    def _invoke(self, r: Request, values: Mapping, settings: Mapping) -> Response:
        stream = self.session.app.chat.invoke(app_id=values["app_id"], query="hi", inputs={}, response_mode="streaming")
        return Response((json.dumps(event) + " <br>" for event in stream), content_type="text/html")
