"""The lines that the daemon writes to a plugin, in Go's JSON. Pure: no I/O.

Each line is a JSON object. Data from Dify passes through Go's `map[string]any`: keys are sorted, `2.0` becomes `2`, and integers
beyond 2**53 lose precision.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EXACT_INTEGERS = 2**53  # Go reads every JSON number as a float64
GO_ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply to a backwards call.

    `event` is `response` (`message` says `stream` or `struct`), `error` (`message` is its text) or `end`.
    """

    event: str
    message: str
    data: Any = None


END = Reply("end", "")


def through_go(value: Any) -> Any:
    """The value after Go has decoded it into a map and encoded it again."""
    match value:
        case Mapping():
            return {key: through_go(value[key]) for key in sorted(value)}
        case list() | tuple():
            return [through_go(item) for item in value]
        case bool():
            return value
        case int() if abs(value) > EXACT_INTEGERS:
            return int(float(value))
        case float() if value.is_integer():
            return int(value)
    return value


def dumps(value: Any) -> str:
    """JSON as Go's encoder writes it: compact, UTF-8, with `<`, `>` and `&` escaped.

    Raises `ValueError` for NaN and infinities, which JSON lacks.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in GO_ESCAPES.items():  # faster than `str.translate` by far
        text = text.replace(character, escape)
    return _SURROGATES.sub("\ufffd", text)


def request_line(session_id: str, endpoint_id: str, raw_http: bytes, settings: Mapping[str, Any]) -> bytes:
    """The line with an HTTP request for the plugin. The user of an endpoint's session is always ""."""
    data = {"user_id": "", "type": "endpoint", "action": "invoke_endpoint"}
    data |= {"raw_http_request": raw_http.hex(), "settings": through_go(settings)}
    return _line(session_id, endpoint_id, "request", data)


def reply_line(session_id: str, endpoint_id: str, request_id: str, reply: Reply) -> bytes:
    """The line with a reply for the plugin; `request_id` comes from the plugin's call."""
    answer = {"event": reply.event, "message": reply.message, "data": through_go(reply.data)}
    return _line(session_id, endpoint_id, "backwards_response", {"backwards_request_id": request_id, **answer})


def _line(session_id: str, endpoint_id: str, event: str, data: dict[str, Any]) -> bytes:
    head = {"session_id": session_id, **dict.fromkeys(("conversation_id", "message_id", "app_id")), "endpoint_id": endpoint_id}
    message = {**head, "context": None, "event": event, "data": data}
    return dumps(message).encode() + b"\n"
