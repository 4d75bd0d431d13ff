"""Requests to the Service API, whose answers are validated with Dify's own description of it."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from openapi_schema_validator import OAS30Validator

from devhost import App, Devhost

# Each "oneOf" becomes an "anyOf", because an object can match several of its variants.
API = json.loads((Path(__file__).parent / "service-api.openapi.json").read_text().replace('"oneOf"', '"anyOf"'))

type Added = Callable[[App], dict[str, str]]


def key(alias: str) -> dict[str, str]:
    """The header with an app's key."""
    return {"Authorization": f"Bearer app-{alias}"}


def add(host: Devhost, app: App) -> dict[str, str]:
    """Adds an app to the workspace, and returns the header with its key."""
    app_id = str(uuid.uuid4())
    host.apps[app_id], host.app_keys[f"app-{app_id}"] = app, app_id
    return key(app_id)


def conforms(response: httpx.Response, path: str, method: str = "post") -> Any:
    """The answer, validated with Dify's schema for its status. An error has the three fields of Dify's errors."""
    described = API["paths"][path][method]["responses"][str(response.status_code)]
    if "$ref" in described:
        described = API["components"]["responses"][described["$ref"].rpartition("/")[2]]
    if response.status_code == 204:
        assert not response.content
        return None
    schema = described["content"]["application/json"].get("schema", {})
    document = response.json()
    OAS30Validator({**schema, "components": API["components"]}).validate(document)
    if response.status_code >= 400:
        assert document.keys() == {"code", "message", "status"}
        assert document["status"] == response.status_code
    return document


def error_of(response: httpx.Response) -> tuple[int, str, str]:
    """The status, code and message of an error."""
    answer = response.json()
    return response.status_code, answer["code"], answer["message"]


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream, which begins with a ping."""
    assert response.headers["Content-Type"].startswith("text/event-stream")
    blocks = response.text.removesuffix("\n\n").split("\n\n")
    assert blocks[0] == "event: ping"
    return [json.loads(block.removeprefix("data: ")) for block in blocks if block.startswith("data: ")]
