"""Calls of webhooks, and apps for them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from werkzeug import Response

from duck.dify.session import SessionGateway
from duck.faces.webhook import serve
from tests import api as service
from tests.openai_calls import App
from tests.support import APP, KEY, Dify, blocking_sample, body_of, json_of, make_request

OTHER, SECRET, VERIFY = "3d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a44", "a-secret-of-a-sender", "a-verify-token"
SETTINGS: Mapping[str, Any] = {
    "api_key": f"{KEY}, another-right-key",
    "apps": f"hook={APP}, other={OTHER}",
    "webhook_secrets": f"hook=an-older-secret, hook = {SECRET},{APP}={VERIFY}, other=a-secret-of-other",
}
PUBLIC = {**SETTINGS, "public_apps": "hook"}
BY_KEY = {**service.SETTINGS, **SETTINGS, "app_keys": f"hook={service.SECRET}"}


def form(**controls: str) -> dict[str, Any]:
    """The form of an app with these variables, by name the control; a control that ends in "!" is required."""
    return {
        "user_input_form": [
            {control.rstrip("!"): {"variable": name, "required": control.endswith("!"), **_MORE.get(control, {})}}
            for name, control in controls.items()
        ]
    }


_MORE: dict[str, Any] = {
    "select": {"options": ["1", "open"]},
    "file": {"allowed_file_types": ["image", "document", "custom"], "allowed_file_extensions": [".bin"]},
}


def hook(**controls: str) -> App:
    """A workflow with these variables."""
    return App("workflow", form=form(**controls), blocking=blocking_sample("workflow"))


def chat(**controls: str) -> App:
    return App("chat", form=form(**{"city": "text-input", **controls}), blocking=blocking_sample("chat"))


def send(
    dify: Dify | None = None,
    body: Any = None,
    *,
    name: str = "hook",
    capability: str | None = None,
    settings: Mapping[str, Any] = SETTINGS,
    handler: Callable[..., Response] = serve.deliver,
    method: str = "POST",
    query: str = "",
    **options: Any,
) -> Response:
    """A delivery; a body that is neither bytes nor a text is sent as JSON."""
    if body is not None:
        options |= {"data": body} if isinstance(body, bytes | str) or hasattr(body, "read") else {"json": body}
    path = f"/webhook/{name}" + (f"/{capability}" if capability is not None else "")
    request = make_request(method, path, query_string=query, **options)
    parts = {"app_id": name} | ({"capability": capability} if capability is not None else {})
    return handler(request, parts, settings, *([] if handler is serve.permit else [SessionGateway(dify or hook())]))


def inputs(dify: Dify, body: Any = None, **options: Any) -> Any:
    """What of a delivery reaches the app's inputs."""
    response = send(dify, body, **options)
    assert response.status_code == 202, body_of(response)
    [call] = dify.calls
    return call["inputs"]


def refusal(response: Response) -> tuple[int, str]:
    document = json_of(response)
    assert document["status"] == response.status_code
    return response.status_code, document["message"]


def github(body: bytes, secret: str = SECRET, **more: str) -> dict[str, str]:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-GitHub-Event": "issues", "X-Hub-Signature-256": f"sha256={signature}", **more}


def signed(value: Any, **more: str) -> dict[str, Any]:
    """Options of `send` for a body that GitHub has signed."""
    body = json.dumps(value).encode()
    return {"body": body, "key": None, "content_type": "application/json", "headers": github(body, **more)}


def opens(name: str = APP, key: str = KEY) -> str:
    """The last part of the address that opens the webhook of the app with this id."""
    return base64.urlsafe_b64encode(hmac.new(key.encode(), b"webhook\0" + name.encode(), hashlib.sha256).digest()).decode()[:32]
