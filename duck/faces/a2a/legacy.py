"""A2A 0.3 in terms of 1.0: the same operations under other names, with other words for their parts. Pure."""

from collections.abc import Mapping
from typing import Any

# The methods of 0.3 and their names in 1.0.
METHODS = {
    "message/send": "SendMessage",
    "message/stream": "SendStreamingMessage",
    "tasks/get": "GetTask",
    "tasks/cancel": "CancelTask",
    "tasks/resubscribe": "SubscribeToTask",
    "tasks/pushNotificationConfig/set": "CreateTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/get": "GetTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/list": "ListTaskPushNotificationConfigs",
    "tasks/pushNotificationConfig/delete": "DeleteTaskPushNotificationConfig",
    "agent/getAuthenticatedExtendedCard": "GetExtendedAgentCard",
}
_KINDS = {"task": "task", "artifactUpdate": "artifact-update", "statusUpdate": "status-update"}


def card(card: Mapping[str, Any]) -> dict[str, Any]:
    """A card with what clients of 0.3 read besides."""
    whole = {**card, "url": card["supportedInterfaces"][0]["url"], "preferredTransport": "JSONRPC", "protocolVersion": "0.3.0"}
    if "securitySchemes" in card:
        whole["securitySchemes"] = {
            name: {**scheme, "type": "http", "scheme": "bearer"} for name, scheme in card["securitySchemes"].items()
        }
        whole["security"] = [{name: [] for name in card["securitySchemes"]}]
    return whole


def params(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a request in the form of 1.0. An invalid parameter stays invalid."""
    found, message, configuration = dict(params), params.get("message"), params.get("configuration")
    if isinstance(message, dict):
        parts = message.get("parts")
        found["message"] = {
            **message,
            "role": "ROLE_USER" if message.get("role") == "user" else None,
            "parts": [*map(_part_read, parts)] if isinstance(parts, list) else parts,
        }
    if isinstance(configuration, dict):
        found["configuration"] = {"taskPushNotificationConfig": configuration.get("pushNotificationConfig")}
    return found


def _part_read(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    file = part.get("file")
    if part.get("kind") == "file" and isinstance(file, dict):
        return {
            "url": file.get("uri"),
            "raw": file.get("bytes"),
            "filename": file.get("name"),
            "mediaType": file.get("mimeType"),
        }
    return {name: part.get(name) for name in ("text", "data") if part.get("kind") == name}


def result(result: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a request, or an update of a stream, as 0.3 has it."""
    [(name, value)] = result.items()
    found = {"kind": _KINDS[name], **value}
    if "status" in value:
        found["status"] = _status(value["status"])
    if name == "statusUpdate":
        found["final"] = True  # there is no other update of a status than the last one
    if "artifacts" in value:
        found["artifacts"] = [*map(_with_parts, value["artifacts"])]
    if "artifact" in value:
        found["artifact"] = _with_parts(value["artifact"])
    return found


def _status(status: Mapping[str, Any]) -> dict[str, Any]:
    found = {**status, "state": status["state"].removeprefix("TASK_STATE_").lower()}
    if "message" in status:
        found["message"] = {**_with_parts(status["message"]), "kind": "message", "role": "agent"}
    return found


def _with_parts(value: Mapping[str, Any]) -> dict[str, Any]:
    return {**value, "parts": [{"kind": "text", **part} for part in value["parts"]]}
