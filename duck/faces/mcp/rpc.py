"""JSON-RPC as MCP uses it: requests, results and errors, of the protocol's two eras. Pure.

Since its revision 2026-07-28 each request tells the version and the client's capabilities, and there is no session. Before it
there was a handshake (`initialize`).
"""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from duck.faces import jsonrpc
from duck.faces.jsonrpc import INVALID_PARAMS, INVALID_REQUEST, MAX_IDENTIFIER, Identifier, RpcError

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
_WITH_LINKS = LEGACY[:2]  # before them results had no links to resources, and requests no header with the version
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022

_META = "io.modelcontextprotocol/"
_VERSION, _CAPABILITIES = f"{_META}protocolVersion", f"{_META}clientCapabilities"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request of the protocol. A notification, which has no answer, has no `id`. Some clients know no links to resources."""

    method: str
    params: Mapping[str, Any]
    id: Identifier | None
    is_modern: bool
    knows_links: bool = True

    @property
    def is_notification(self) -> bool:
        """Whether it wants no answer."""
        return self.id is None

    @property
    def meta(self) -> Mapping[str, Any]:
        """What the request tells besides its parameters."""
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}

    @property
    def progress_token(self) -> Identifier | None:
        """The token by which the client wants to hear of progress, None if it does not."""
        return jsonrpc.identifier(self.meta.get("progressToken"))


def read(body: Any, version: str | None) -> Call:
    """Reads a request; `version` is that of the header. Raises `RpcError` 400."""
    if not isinstance(body, dict):
        raise RpcError(400, INVALID_REQUEST, "The body must be one JSON-RPC request. Batches are not supported.")
    method, params = body.get("method"), body.get("params", {})
    if body.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise RpcError(400, INVALID_REQUEST, 'The body must be a JSON-RPC request: {"jsonrpc": "2.0", "id": …, "method": …}.')
    if "id" in body and jsonrpc.id_of(body) is None:
        raise RpcError(400, INVALID_REQUEST, f"The id must be a text of at most {MAX_IDENTIFIER} characters, or a number.")
    if not isinstance(params, dict):
        raise RpcError(400, INVALID_PARAMS, "params must be an object.")
    meta = params.get("_meta")
    has_modern_meta = isinstance(meta, dict) and not meta.keys().isdisjoint({_VERSION, _CAPABILITIES})
    is_modern = has_modern_meta or method == "server/discover" or version == MODERN
    knows_links = is_modern or version in _WITH_LINKS
    return Call(method=method, params=params, id=jsonrpc.id_of(body), is_modern=is_modern, knows_links=knows_links)


def check_version(call: Call, version: str | None) -> None:
    """Checks the version that a request tells, and that its header tells the same. Raises `RpcError` 400."""
    if not call.is_modern:
        if version is not None and version not in LEGACY:
            raise _unsupported(version)
        return
    told = call.meta.get(_VERSION)
    if not isinstance(told, str) or not isinstance(call.meta.get(_CAPABILITIES), dict):
        raise RpcError(400, INVALID_PARAMS, f"params._meta must have {_VERSION}, a text, and {_CAPABILITIES}, an object.")
    if version != told:
        raise RpcError(400, HEADER_MISMATCH, "The header MCP-Protocol-Version must be the protocolVersion of params._meta.")
    if told != MODERN:
        raise _unsupported(told)


def check_headers(call: Call, method: str | None, name: str | None) -> None:
    """Checks that the headers of a modern request repeat its method and its tool. Raises `RpcError` 400."""
    if not call.is_modern:
        return
    if method is None or method.strip() != call.method:
        raise RpcError(400, HEADER_MISMATCH, "The header Mcp-Method must be the method of the body.")
    decoded = None if name is None else _decoded(name.strip())
    if call.method == "tools/call" and (decoded is None or decoded != call.params.get("name")):
        raise RpcError(400, HEADER_MISMATCH, "The header Mcp-Name must be the name of the tool.")


def _unsupported(version: str) -> RpcError:
    data = {"supported": [MODERN, *LEGACY], "requested": version}
    return RpcError(400, UNSUPPORTED_VERSION, "This version of the protocol is not supported.", data)


def _decoded(name: str) -> str | None:
    """A header's value: names that are no plain ASCII come as `=?base64?…?=`. None if it cannot be decoded."""
    if not (name.startswith("=?base64?") and name.endswith("?=")):
        return name
    try:
        return b64decode(name[len("=?base64?") : -len("?=")], validate=True).decode()
    except ValueError:
        return None


def result(call: Call, content: Mapping[str, Any], server: Mapping[str, str], *, lasts: bool = False) -> dict[str, Any]:
    """The document of a result. `lasts` tells that a client may keep it for a minute."""
    found = dict(content)
    if call.is_modern:
        found = {"resultType": "complete", **found, "_meta": {f"{_META}serverInfo": server}}
        if lasts:
            found |= {"ttlMs": 60_000, "cacheScope": "private"}
    return jsonrpc.result(call.id, found)


def progress(token: Identifier, count: int, message: str) -> dict[str, Any]:
    """The document of a notification of progress."""
    params = {"progressToken": token, "progress": count, "message": message}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
