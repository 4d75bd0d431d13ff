import json
from collections.abc import Iterator, Mapping
from typing import Any, override

from dify_plugin import Endpoint
from werkzeug import Request, Response


class Duck(Endpoint):
    @override
    def _invoke(self, r: Request, values: Mapping[str, Any], settings: Mapping[str, Any]) -> Response:
        app_id = values["app_id"]

        def generator() -> Iterator[str]:
            for event in self.session.app.workflow.invoke(app_id=app_id, inputs={}, response_mode="streaming"):
                yield f"{json.dumps(event)} <br>"

        return Response(generator(), status=200, content_type="text/html")
