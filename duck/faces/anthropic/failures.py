"""Errors as clients of Anthropic's API read them. Pure."""

from collections.abc import Mapping
from typing import Any

from duck.errors import DuckError

API = "api_error"
_INVALID = "invalid_request_error"
_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
# The statuses of errors in a stream, by their code.
_STATUSES: Mapping[str, int] = {"rate_limit_error": 429, "overloaded": 503, "timeout": 504}


def document(code: str, message: str, request_id: str, *, status: int | None = None) -> dict[str, Any]:
    """The document of an error. In a stream, which has no `status`, the `code` tells its type."""
    status = status or _STATUSES.get(code, 500)
    kind = _TYPES.get(status, API if status >= 500 else _INVALID)
    error = {"type": kind, "message": message, "details": {"error_code": code}}
    return {"type": "error", "error": error, "request_id": request_id}


def of(error: DuckError, request_id: str) -> dict[str, Any]:
    """The document of an error before the first event."""
    return document(error.code, error.message, request_id, status=error.status)
