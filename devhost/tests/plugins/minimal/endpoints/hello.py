from collections.abc import Mapping
from typing import Any, override

from dify_plugin import Endpoint
from werkzeug import Request, Response


class Hello(Endpoint):
    @override
    def _invoke(self, r: Request, values: Mapping[str, Any], settings: Mapping[str, Any]) -> Response:
        return Response(f"Hello, {settings['whom']}!", content_type="text/plain")
