"""Calls of A2A's routes, and the answers as the SDK's own types."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import httpx
from a2a.client.transports.http_helpers import parse_sse_stream
from a2a.types.a2a_pb2 import SendMessageResponse, StreamResponse
from a2a.utils.proto_utils import parse_lenient
from werkzeug import Response

from duck.dify.session import SessionGateway
from duck.faces.a2a import serve
from tests.openai_calls import OTHER, OTHER_KEY
from tests.support import APP, KEY, Dify, body_of, json_of, make_request

SETTINGS: Mapping[str, Any] = {
    "api_key": f"{KEY} {OTHER_KEY}",
    "default_app": {"app_id": APP},
    "apps": f"talk={APP}, other={OTHER}",
    "public_apps": "talk",
    "public_url": "https://dify.example.com/e/abc/",
}
SEND, STREAM = "SendMessage", "SendStreamingMessage"
STATES = {"TASK_STATE_COMPLETED": 3, "TASK_STATE_FAILED": 4}


def post(
    dify: Dify,
    body: Any,
    *,
    app: str = "talk",
    key: str | None = KEY,
    settings: Mapping[str, Any] = SETTINGS,
    version: str | None = "1.0",
    path: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One POST to /a2a/<app>. Without a version the header is left out."""
    content = {"data": body} if isinstance(body, bytes) else {"json": body}
    given = {**({} if version is None else {"A2A-Version": version}), **(headers or {})}
    request = make_request(path=path or f"/a2a/{app}", key=key, headers=given, **content)
    return serve.serve(request, app, settings, SessionGateway(dify))


def card(
    *,
    app: str = "talk",
    key: str | None = KEY,
    settings: Mapping[str, Any] = SETTINGS,
    dify: Dify | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One GET of a card."""
    request = make_request("GET", f"/a2a/{app}/.well-known/agent-card.json", key=key, headers=headers or {})
    return serve.card(request, app, settings, SessionGateway(dify or Dify()))


def call(method: str, params: Any = None, **more: Any) -> dict[str, Any]:
    """A request; `more` are fields of it."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, **({} if params is None else {"params": params}), **more}


def message(*parts: Any, **more: Any) -> dict[str, Any]:
    """The parameters of a message: texts are parts, too, "Hi" if there are none. `more` are fields of the message."""
    listed = [{"text": part} if isinstance(part, str) else part for part in parts or ("Hi",)]
    return {"message": {"messageId": "m", "role": "ROLE_USER", "parts": listed, **more}}


def say(dify: Dify, *parts: Any, stream: bool = False, context: str | None = None, **options: Any) -> Response:
    """A message; `options` are those of `post`."""
    more = {} if context is None else {"contextId": context}
    return post(dify, call(STREAM if stream else SEND, message(*parts, **more)), **options)


def result(response: Response) -> Any:
    """The result of a request that has succeeded."""
    document = json_of(response)
    assert response.status_code == 200
    assert document.keys() == {"jsonrpc", "id", "result"}
    assert (document["jsonrpc"], document["id"]) == ("2.0", 1)
    return document["result"]


def task(response: Response) -> Any:
    """The task of a message, which the SDK's own type takes whole."""
    found = result(response)
    parsed = parse_lenient(found, SendMessageResponse())
    assert parsed.WhichOneof("payload") == "task"
    assert (parsed.task.id, parsed.task.context_id) == (found["task"]["id"], found["task"]["contextId"])
    assert parsed.task.status.state == STATES[found["task"]["status"]["state"]]
    assert parsed.task.status.HasField("timestamp")
    return found["task"]


def frames(response: Response | bytes) -> list[Any]:
    """The documents of a stream as the SDK's own reader gives them."""
    body = response if isinstance(response, bytes) else body_of(response)
    [found] = asyncio.run(_read(body, [len(body)]))
    return found


def frames_in_pieces(body: bytes) -> list[list[Any]]:
    """The same, in pieces of each size."""
    return asyncio.run(_read(body, range(1, len(body) + 1)))


async def _read(body: bytes, cuts: Iterable[int]) -> list[list[Any]]:
    async def pieces(cut: int) -> AsyncIterator[bytes]:
        for at in range(0, len(body), cut):
            yield body[at : at + cut]

    streams = (parse_sse_stream(httpx.Response(200, content=pieces(cut))) for cut in cuts)
    return [[json.loads(data) async for _, data in stream] for stream in streams]


def updates(response: Response | bytes) -> list[dict[str, Any]]:
    """The updates of a stream, each of which the SDK's own type takes."""
    documents = frames(response)
    for document in documents:
        assert document.keys() == {"jsonrpc", "id", "result"}
        assert (document["jsonrpc"], document["id"]) == ("2.0", 1)
        [name] = document["result"]
        parsed = parse_lenient(document["result"], StreamResponse()).WhichOneof("payload")
        assert parsed == {"task": "task", "artifactUpdate": "artifact_update", "statusUpdate": "status_update"}[name]
    return [document["result"] for document in documents]


def text_of(found: list[dict[str, Any]]) -> str:
    """The text of the artifact as a client puts it together."""
    text = ""
    for update in filter(None, (each.get("artifactUpdate") for each in found)):
        [part] = update["artifact"]["parts"]
        text = text + part["text"] if update["append"] else part["text"]
    return text


def error(response: Response) -> tuple[Any, int, str]:
    """Id, code and message of an error of the protocol."""
    document = json_of(response)
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert document.keys() == {"jsonrpc", "id", "error"}
    return document["id"], document["error"]["code"], document["error"]["message"]


def refused(response: Response) -> tuple[int, str]:
    """Status and code of an error that HTTP sees."""
    document = json_of(response)
    assert document.keys() == {"code", "message", "status"}
    assert document["status"] == response.status_code
    return response.status_code, document["code"]
