"""Calls of MCP's routes."""

import json
from collections.abc import Mapping
from typing import Any

from werkzeug import Response

from duck.dify.session import SessionGateway
from duck.faces.mcp import serve
from tests.openai_calls import OTHER, OTHER_KEY
from tests.support import APP, KEY, Dify, body_of, json_of, make_request

MODERN, LEGACY = "2026-07-28", ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
META = "io.modelcontextprotocol/"
SETTINGS: Mapping[str, Any] = {
    "api_key": f"{KEY} {OTHER_KEY}",
    "default_app": {"app_id": APP},
    "apps": f"talk={APP}, other={OTHER}",
    "public_apps": "talk",
}
SERVER = {"name": "duck", "version": "0.1.0"}


def post(
    dify: Dify,
    body: Any,
    *,
    app: str | None = None,
    key: str | None = KEY,
    settings: Mapping[str, Any] = SETTINGS,
    headers: Mapping[str, str | None] | None = None,
) -> Response:
    """One POST to /mcp, or to /mcp/<app>. Headers that are None are left out."""
    content = {"data": body} if isinstance(body, bytes) else {"json": body}
    given = {name: value for name, value in (headers or {}).items() if value is not None}
    request = make_request(path=f"/mcp/{app}" if app else "/mcp", key=key, headers=given, **content)
    return serve.serve(request, app, settings, SessionGateway(dify))


def message(method: str, params: Any = None, *, modern: bool = True, **more: Any) -> dict[str, Any]:
    """A request of one of the two eras, `more` are fields of it."""
    if modern:
        meta = {f"{META}protocolVersion": MODERN, f"{META}clientCapabilities": {}}
        params = {**(params or {}), "_meta": {**meta, **(params or {}).get("_meta", {})}}
    return {"jsonrpc": "2.0", "id": 1, "method": method, **({} if params is None else {"params": params}), **more}


def headers_of(body: Mapping[str, Any]) -> dict[str, str]:
    """The headers that a modern client sends with a request."""
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": body["method"]}
    return headers | ({"Mcp-Name": body["params"]["name"]} if body["method"] == "tools/call" else {})


def ask(dify: Dify, method: str, params: Any = None, *, modern: bool = True, headers: Any = None, **options: Any) -> Response:
    """A request of one of the two eras with its headers; `options` are those of `post`."""
    body = message(method, params, modern=modern)
    return post(dify, body, headers={**(headers_of(body) if modern else {}), **(headers or {})}, **options)


def use(dify: Dify, arguments: Any, *, name: str = "talk", token: Any = None, modern: bool = True, **options: Any) -> Response:
    """A call of a tool. With a `token` the client wants to hear of progress."""
    params = {"name": name, "arguments": arguments, **({} if token is None else {"_meta": {"progressToken": token}})}
    return ask(dify, "tools/call", params, modern=modern, **options)


def result(response: Response) -> Any:
    """The result of a request that has succeeded, without what every result has."""
    document = json_of(response) if response.content_type == "application/json" else messages(response)[-1]
    assert (response.status_code, document["jsonrpc"], document["id"]) == (200, "2.0", 1)
    found = document["result"]
    if found.pop("resultType", None):
        assert found.pop("_meta") == {f"{META}serverInfo": SERVER}
    return found


def error(response: Response) -> tuple[int, Any, int]:
    """Status, id and code of an error of the protocol."""
    document = json_of(response)
    assert document.keys() == {"jsonrpc", "id", "error"}
    assert document["jsonrpc"] == "2.0"
    assert document["error"]["message"]
    return response.status_code, document["id"], document["error"]["code"]


def refusal(response: Response) -> str:
    """What a model reads of a call that has failed."""
    found = result(response)
    assert found == {"content": [{"type": "text", "text": found["content"][0]["text"]}], "isError": True}
    return str(found["content"][0]["text"])


def messages(response: Response | bytes) -> list[Any]:
    """The messages of a stream; a comment counts as its text."""
    body = response if isinstance(response, bytes) else body_of(response)
    *frames, rest = body.decode().split("\n\n")
    assert rest == ""
    start = "event: message\ndata: "
    assert all(frame.startswith((start, ": ")) for frame in frames)
    return [json.loads(frame.removeprefix(start)) if frame.startswith(start) else frame for frame in frames]
