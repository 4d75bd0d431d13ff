"""A scripted Service API."""

import json
from collections.abc import Callable
from typing import Any

import httpx

from tests.support import APP, KEY, recorded, sample

URL, SECRET = "https://api.example:8443/v1", "app-one-two"
SETTINGS = {"api_key": f"{KEY}, another-right-key", "service_api_url": URL, "app_keys": f"{APP}={SECRET}"}
FORM = {
    "user_input_form": [{"file": {"variable": "doc", "label": "Document"}}],
    "file_upload": {"enabled": True, "allowed_file_types": ["image"], "number_limits": 2},
}
INFO = {"name": "Support <desk>", "description": "Answers", "mode": "chat", "tags": [], "author_name": "x"}

SITE = {"title": "Support <desk>", "description": "Answers", "icon_type": "emoji", "icon": "🤖", "icon_background": "#FFEAD5"}

type Respond = Callable[[httpx.Request], httpx.Response]


def sse(*events: Any, before: bytes = b"event: ping\n\n", after: bytes = b"") -> httpx.Response:
    """A stream of events, as Dify sends it."""
    body = before + b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + after
    return httpx.Response(200, headers={"Content-Type": "text/event-stream; charset=utf-8"}, content=body)


def refused(status: int, code: str, message: str = "") -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": message, "status": status})


def _chat(request: httpx.Request) -> httpx.Response:
    if json.loads(request.content)["response_mode"] == "blocking":
        return httpx.Response(200, json=recorded("chat.blocking"))
    return sse(*sample("chat"))


class Api:
    """A Service API that answers by path and records the requests. If `broken`, it cannot be reached."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.broken = False
        self.answers: dict[str, Any] = {
            "/parameters": {"user_input_form": []},
            "/info": INFO,
            "/site": SITE,
            "/chat-messages": _chat,
            "/completion-messages": lambda _: sse(*sample("completion")),
            "/workflows/run": lambda _: sse(*sample("workflow")),
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        path = request.url.path.removeprefix("/v1")
        answer = {"result": "success"} if path.endswith("/stop") else self.answers[path]
        if self.broken:
            raise httpx.ConnectError("")
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            response: httpx.Response = answer(request)
            return response
        return httpx.Response(200, json=answer) if isinstance(answer, dict) else answer

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests if request.url.path == "/v1" + path]

    def paths(self) -> list[str]:
        return [request.url.path.removeprefix("/v1") for request in self.requests]
