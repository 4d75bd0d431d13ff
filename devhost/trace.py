"""Describes messages between daemon and plugin in readable lines. Pure."""

import json
from collections.abc import Mapping
from typing import Any

WIDTH = 160  # characters of a line's content


def describe(message: Mapping[str, Any]) -> str | None:
    """A line about a message in either direction; None for heartbeats, and for log lines, which are shown anyway."""
    session = str(message.get("session_id"))[:8]
    match message:
        case {"event": "request", "data": {"raw_http_request": raw, "settings": settings}}:
            head, _, body = bytes.fromhex(raw).partition(b"\r\n\r\n")
            line = head.partition(b"\r\n")[0].decode("utf-8", "replace")
            return f"-> {session} request {line}, {len(body)} bytes, settings {', '.join(settings) or 'none'}"
        case {"event": "backwards_response", "data": {"event": event, "message": text, "data": content}}:
            return f"-> {session} {event} {text} {_short(content)}".rstrip()
        case {"event": "session", "data": {"type": "stream", "data": content}}:
            return f"<- {session} {_stream(content)}"
        case {"event": "session", "data": {"type": "invoke", "data": {"type": kind, "request": request}}}:
            return f"<- {session} invoke {kind} {_short(request)}"
        case {"event": "session", "data": {"type": kind, "data": content}}:
            return f"<- {session} {kind} {_short(content)}".rstrip()
    return None


def _stream(content: Mapping[str, Any]) -> str:
    head = f"answer {content['status']} {_short(content.get('headers'))} " if "status" in content else ""
    if "result" not in content:
        return head.rstrip()
    chunk = bytes.fromhex(content["result"])
    return f"{head}chunk of {len(chunk)} bytes {chunk[:WIDTH].decode('utf-8', 'replace')!r}"


def _short(content: object) -> str:
    text = "" if content in (None, {}) else json.dumps(content, ensure_ascii=False)
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}… ({len(text)} characters)"
