"""JSON-RPC 2.0, as far as the protocols that are made of it use it alike. Pure."""

from typing import Any

from duck.errors import DuckError

MAX_IDENTIFIER = 256  # characters: an id is repeated in each message
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603

type Identifier = str | int | float


class RpcError(DuckError):
    """An error of the protocol: `number` is JSON-RPC's code, `data` is more about it."""

    def __init__(self, status: int, number: int, message: str, data: Any = None) -> None:
        super().__init__(status, "invalid_request", message)
        self.number = number
        self.data = data


def id_of(body: Any) -> Identifier | None:
    """The id of a request, even if the rest of it is invalid."""
    return identifier(body.get("id")) if isinstance(body, dict) else None


def identifier(value: Any) -> Identifier | None:
    """A value that may be an id: a text that is not too long, or a number. Else None."""
    if isinstance(value, str):
        return value if len(value) <= MAX_IDENTIFIER else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def result(id_: Identifier | None, content: Any) -> dict[str, Any]:
    """The document of a result."""
    return {"jsonrpc": "2.0", "id": id_, "result": content}


def failure(id_: Identifier | None, number: int, message: str, data: Any = None) -> dict[str, Any]:
    """The document of an error."""
    error = {"code": number, "message": message} if data is None else {"code": number, "message": message, "data": data}
    return {"jsonrpc": "2.0", "id": id_, "error": error}
