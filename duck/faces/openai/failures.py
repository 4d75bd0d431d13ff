"""Errors as clients of OpenAI's API read them. Pure."""

from collections.abc import Mapping
from typing import Any

from duck.errors import DuckError

INVALID = "invalid_request_error"
RATE_LIMIT = "rate_limit_error"
SERVER = "server_error"
_CODES: Mapping[str, str] = {
    "unauthorized": "invalid_api_key",
    "app_not_found": "model_not_found",
    "rate_limit_error": "rate_limit_exceeded",
    "not_found": "unknown_url",
}


def document(code: str, message: str, *, status: int = 500, param: str | None = None) -> dict[str, Any]:
    """The document of an error. In a stream it is an error of the server, unless the model's limit has been reached."""
    kind = RATE_LIMIT if status == 429 or code == "rate_limit_error" else SERVER if status >= 500 else INVALID
    return {"error": {"message": message, "type": kind, "param": param, "code": _CODES.get(code, code)}}


def of(error: DuckError) -> dict[str, Any]:
    """The document of an error before the first chunk."""
    param = "model" if error.code == "app_not_found" else error.field or None
    found = document(error.code, error.message, status=error.status, param=param)
    # Clients of Dify's API come to these paths, too, and read the fields of its errors.
    return {**found, **error.as_dict()} if error.code in {"not_found", "method_not_allowed"} else found
