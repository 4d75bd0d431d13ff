"""Identifies senders of webhooks that have no API key: by a signature, a secret in the request, or a secret address."""

import base64
import functools
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from werkzeug import Request

from duck.callers import access, signatures
from duck.callers.access import Caller
from duck.callers.settings import Settings
from duck.errors import DuckError
from duck.offload import offload
from duck.runs import bodies
from duck.texts import Text

CAPABILITY_LENGTH = 32  # characters: 192 bits
_ABOUT = b"webhook\0"

type Repeated = Callable[[Sequence[str]], str]


def identify(
    request: Request, settings: Settings, *, name: str, capability: str | None, body: bytes, repeated: Repeated
) -> Caller:
    """Identifies the sender of a webhook for the app that the route calls `name`. One valid credential is enough.

    These are a `capability` from the address, a signature of the `body`, one of the app's secrets, which `repeated` finds in the
    request, and a key. Raises `DuckError` 401 if there are some and none is valid.
    """
    app_id = access.id_of(name, settings) or ""
    secrets, fault = settings.webhook_secrets.get(app_id, ()), ""
    senders = signatures.senders_of(request.headers)
    for sender in senders:
        if sender.header in request.headers:
            check = functools.partial(sender.fault, request.headers, body, secrets, time.time())
            if not (found := offload(len(body), check, small=bodies.SMALL)):
                return _sender("signature", sender.name)
            fault = fault or found
    name_of_sender = senders[0].name if senders else ""
    if capability is not None and access.is_one_of(capability, capabilities(settings, app_id)):
        return _sender("url", name_of_sender)
    if secrets and access.is_one_of(repeated(secrets), secrets):
        return _sender("secret", "feishu" if request.method == "POST" else "meta")
    caller = access.identify(request, settings)
    if caller.guest and (fault or capability is not None):
        raise DuckError(401, "unauthorized", fault or _NO_CAPABILITY)
    return replace(caller, sender=name_of_sender)


def capabilities(settings: Settings, app_id: str) -> list[str]:
    """The last parts of addresses that open the app's webhook and nothing else, one for each key."""
    return [_capability(key, app_id) for key in settings.keys]


def _sender(by: str, sender: str) -> Caller:
    return Caller(guest=False, explicit=True, user="webhook", by=by, sender=sender)


def _capability(key: str, app_id: str) -> str:
    code = hmac.digest(key.encode("utf-8", "surrogatepass"), _ABOUT + app_id.encode(), "sha256")
    return base64.urlsafe_b64encode(code).decode()[:CAPABILITY_LENGTH]


_NO_CAPABILITY = Text("This address is not valid, or no longer: it changes with the API key. The app's page shows the valid one.")
