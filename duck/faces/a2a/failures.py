"""Errors as A2A's clients read them. Pure."""

import re
from typing import Any

from duck import errors
from duck.errors import DuckError
from duck.faces import jsonrpc
from duck.faces.jsonrpc import Identifier, RpcError
from duck.texts import Fault

TASK_NOT_FOUND, NO_PUSH, NO_EXTENDED_CARD, VERSION_NOT_SUPPORTED = -32001, -32003, -32007, -32009
# What A2A calls its own errors and those of JSON-RPC.
_REASONS = {
    TASK_NOT_FOUND: "TASK_NOT_FOUND",
    NO_PUSH: "PUSH_NOTIFICATION_NOT_SUPPORTED",
    NO_EXTENDED_CARD: "EXTENDED_AGENT_CARD_NOT_CONFIGURED",
    VERSION_NOT_SUPPORTED: "VERSION_NOT_SUPPORTED",
    jsonrpc.INVALID_PARAMS: "INVALID_PARAMS",
    jsonrpc.INVALID_REQUEST: "INVALID_REQUEST",
    jsonrpc.METHOD_NOT_FOUND: "METHOD_NOT_FOUND",
    jsonrpc.INTERNAL_ERROR: "INTERNAL_ERROR",
}
_FIELDS = {"conversation_id": "message.contextId", "query": "message.parts"}  # of a message, by what apps call them
_DETAIL = "type.googleapis.com/google.rpc."


def error(number: int, message: str) -> RpcError:
    """An error of the protocol, which HTTP does not see."""
    return RpcError(200, number, message)


def no_task() -> RpcError:
    """The error for whatever asks for a task."""
    return error(TASK_NOT_FOUND, "No such task: tasks are not kept once they have been answered.")


def no_push() -> RpcError:
    """The error for whatever asks for notifications."""
    return error(NO_PUSH, "This agent sends no push notifications.")


def document(id_: Identifier | None, number: int, failure: DuckError) -> dict[str, Any]:
    """The document of an error, with all faults of the request."""
    faults = [*map(_fault, failure.faults)]
    message = errors.invalid_fields(faults).message if faults else failure.message
    return jsonrpc.failure(id_, number, message, _details(number, faults) or None)


def _fault(fault: Fault) -> Fault:
    """A fault as clients know the field: an app's inputs are in data parts, a conversation is a context."""
    return Fault(re.sub(r"^inputs\b", "data", _FIELDS.get(fault.field, fault.field)), fault.text)


def _details(number: int, faults: list[Fault]) -> list[dict[str, Any]]:
    """What programs read of an error."""
    if number not in _REASONS:
        return []
    info = {"@type": f"{_DETAIL}ErrorInfo", "reason": _REASONS[number], "domain": "a2a-protocol.org", "metadata": {}}
    violations = [{"field": fault.field, "description": fault.text} for fault in faults if fault.field]
    return [info, {"@type": f"{_DETAIL}BadRequest", "fieldViolations": violations}] if violations else [info]
