"""Verification requests of senders, and the responses. Nothing runs for them. Pure."""

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from duck import errors
from duck.callers.signatures import Headers
from duck.errors import DuckError
from duck.faces.webhook import feishu
from duck.texts import Text

MAX_CHALLENGE = 1000  # characters
MAX_ENCRYPTED = 10_000  # characters of an encrypted handshake, which is decrypted for everybody
_ZOOM_TOKEN = re.compile(r"[\w-]{1,200}", re.ASCII)  # no text that would be a signed body elsewhere


def of_post(value: Any, headers: Headers, zoom_secret: Callable[[], str]) -> Mapping[str, Any] | None:
    """The document that answers a POST, by its JSON `value`; None if it is no handshake.

    `zoom_secret` gives the secret by which Zoom has signed, "" for none. Raises `DuckError` 400 for a handshake that needs it,
    and for one without a challenge.
    """
    if headers.get("x-github-event", "") == "ping":
        return {"accepted": True, "status": "ping"}
    match value:
        case {"type": feishu.HANDSHAKE, "challenge": str() as challenge}:  # Slack's is the same
            return {"challenge": challenge[:MAX_CHALLENGE]}
        case {"type": feishu.HANDSHAKE}:
            raise errors.invalid_field("challenge", Text("must be a text"))
        case {"event": "endpoint.url_validation", "payload": {"plainToken": str() as token}}:
            if not _ZOOM_TOKEN.fullmatch(token):
                raise errors.invalid_field("payload.plainToken", Text("must be letters and digits"))
            if not (secret := zoom_secret()):
                raise DuckError(400, "invalid_param", _ZOOM)
            return {"plainToken": token, "encryptedToken": hmac.digest(secret.encode(), token.encode(), "sha256").hex()}
    return None


def of_get(query: Mapping[str, str]) -> str | None:
    """The text that answers a GET: of Meta, and of hubs of WebSub. None if it is no handshake."""
    if query.get("hub.mode") in {"subscribe", "unsubscribe"} and query.get("hub.challenge"):
        return query["hub.challenge"][:MAX_CHALLENGE]
    return None


def of_options(headers: Headers) -> Mapping[str, str] | None:
    """The headers that answer a sender of CloudEvents who asks whether it may send; None if it does not ask.

    https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md#42-validation-response
    """
    origin = headers.get("webhook-request-origin", "")
    return {"Allow": "POST", "WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"} if origin else None


def repeated(value: Any, query: Mapping[str, str], secrets: Sequence[str]) -> str:
    """The secret of an app that its sender repeats in the body or, for a handshake, in the query string; "" if there is none."""
    is_short = isinstance(value, Mapping) and len(str(value.get("encrypt", ""))) <= MAX_ENCRYPTED
    plain, secret = feishu.decrypted(value, secrets) if is_short else (value, "")
    if secret and plain.get("type") == feishu.HANDSHAKE:  # it is not signed
        return secret
    return feishu.token_of(value) or (query.get("hub.verify_token", "") if of_get(query) else "")


_ZOOM = Text(
    "Zoom's validation must be signed by its secret token in the setting {setting}.", setting=errors.setting("webhook_secrets")
)
