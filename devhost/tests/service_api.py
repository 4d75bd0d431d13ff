"""Requests to the Service API, whose answers are validated with Dify's own description of it."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from openapi_schema_validator import OAS30Validator

from devhost import App, Devhost
from devhost.tests.support import DEADLINE_S

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


def upload(client: httpx.Client, alias: str, user: str) -> dict[str, Any]:
    """Uploads a picture as the user, and returns it as an input."""
    files = {"file": ("a.png", b"PNG", "image/png")}
    stored = client.post("/files/upload", headers=key(alias), files=files, data={"user": user}).json()
    return {"type": "image", "transfer_method": "local_file", "upload_file_id": stored["id"]}


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


def names(stream: list[dict[str, Any]]) -> list[str]:
    """The names of the events."""
    return [event["event"] for event in stream]


class Paused:
    """A run that waits for a person."""

    def __init__(self, client: httpx.Client, headers: dict[str, str], path: str = "/workflows/run") -> None:
        self.client, self.headers = client, headers
        body = {"query": "hi", "inputs": {}, "user": "ann", "response_mode": "streaming"}
        self.stream = events(client.post(path, headers=headers, json=body))
        self.id = self.stream[0]["workflow_run_id"]
        [reason] = self.stream[-1]["data"]["reasons"]
        self.form_id, self.token = reason["form_id"], reason["form_token"]

    def form(self) -> httpx.Response:
        """The form."""
        return self.client.get(f"/form/human_input/{self.token}", headers=self.headers)

    def submit(self, action: str = "approve", inputs: dict[str, Any] | None = None, user: str = "bob") -> httpx.Response:
        """Fills in the form."""
        values = {"comment": "Fine.", "level": "low", "evidence": []} if inputs is None else inputs
        body = {"inputs": values, "action": action, "user": user}
        return self.client.post(f"/form/human_input/{self.token}", headers=self.headers, json=body)

    def status(self) -> Any:
        """How the run stands."""
        return conforms(
            self.client.get(f"/workflows/run/{self.id}", headers=self.headers), "/workflows/run/{workflow_run_id}", "get"
        )

    def events(self, user: str = "ann", **query: str) -> httpx.Response:
        """The response with the further events."""
        return self.client.get(f"/workflow/{self.id}/events", headers=self.headers, params={"user": user, **query})

    @contextmanager
    def watched(self, **query: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The run's further events, as they come."""
        address = f"{self.client.base_url}/workflow/{self.id}/events".replace("//workflow", "/workflow")
        with (
            httpx.Client(headers=self.headers, timeout=DEADLINE_S) as watching,
            watching.stream("GET", address, params={"user": "ann", **query}) as response,
        ):
            lines = response.iter_lines()
            assert next(lines) == "event: ping"
            yield (json.loads(line[6:]) for line in lines if line.startswith("data: "))
