"""Senders of webhooks: how each signs what it sends, and how it numbers its deliveries. Pure.

A signature covers the bytes of a body as they were sent, so it is verified before anything is parsed.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from duck.errors import setting
from duck.texts import Text

WINDOW_S = 300  # the largest difference of clocks that is accepted: what Slack, Stripe and Standard Webhooks recommend
STANDARD = "whsec_"  # how the secrets of Standard Webhooks begin; the rest is base64
_FRAMED = re.compile(rb"v0:|([\w-]*\.)?\d+\.")  # what senders put before a body when they sign a timestamp
_NOT_VALID = Text(
    "The signature does not fit this body and a secret of this app in the setting {setting}.", setting=setting("webhook_secrets")
)
_MAX_SIGNATURES = 10  # of one request: senders whose secret has been changed send two
_MAX_TIMESTAMP = 12  # digits

type Sign = Callable[[bytes, bytes, str, str], str]  # from secret, body, timestamp and nonce to a signature


class Headers(Protocol):
    """The headers of a request, in which names are found in any case."""

    def get(self, key: str, default: str) -> str:
        """The value of a header."""
        ...

    def __contains__(self, key: str) -> bool:
        """Whether there is a header of this name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """One kind of sender.

    `header` has its signature, or several, which `split` separates. `timestamp` and `nonce` name the headers of what is signed
    with the body; without `timestamp` a signature is valid for ever. `marker` is a header that it sends in any case, needed where
    several senders have the same `header`. The id of a delivery is in the header `id`, or in one of the fields `ids` of a JSON
    body, as dotted paths. If it `needs_200`, it takes any other status for a failure.
    """

    name: str
    header: str
    sign: Sign
    split: Callable[[str], Sequence[str]] = lambda value: [value]
    timestamp: str = ""
    nonce: str = ""
    marker: str = ""
    id: str = ""
    ids: Sequence[str] = ()
    needs_200: bool = False

    def fault(self, headers: Headers, body: bytes, secrets: Iterable[str], now: float) -> str | None:
        """Why the signature is not valid, None if it is valid for one of the secrets. `now` is in seconds since the epoch.

        The time that this takes does not tell how much of the signature was right.
        """
        timestamp, nonce = self._timestamp(headers), headers.get(self.nonce, "") if self.nonce else ""
        if timestamp is None:
            return Text("The signature has no valid timestamp.")
        if not self.timestamp and _FRAMED.match(body):  # else another sender's old signature could be taken for this one's
            return _NOT_VALID
        given = [_bytes(each) for each in self.split(headers.get(self.header, ""))[:_MAX_SIGNATURES]]
        right = [self.sign(secret.encode(), body, timestamp, nonce).encode() for secret in secrets]
        if not sum(hmac.compare_digest(one, other) for one in given for other in right):
            return _NOT_VALID
        if timestamp and abs(now - int(timestamp)) > WINDOW_S:
            return Text("The signature's timestamp is more than {count} seconds off.", count=WINDOW_S)
        return None

    def _timestamp(self, headers: Headers) -> str | None:
        """The signed timestamp, "" if this sender signs none; None if it is not valid."""
        if not self.timestamp:
            return ""
        value = headers.get(self.timestamp, "")
        if self.timestamp == self.header:  # t=…,v1=…
            value = next((item[2:] for item in self.split(value) if item.startswith("t=")), "")
        return value if value.isascii() and value.isdecimal() and len(value) <= _MAX_TIMESTAMP else None


def _standard(secret: bytes, body: bytes, timestamp: str, nonce: str) -> str:
    try:
        key = base64.b64decode(secret.removeprefix(STANDARD.encode()), validate=True)
    except binascii.Error:
        key = secret
    return f"v1,{_base64(key, b'%s.%s.%s' % (_bytes(nonce), timestamp.encode(), body))}"


def _slack(secret: bytes, body: bytes, timestamp: str, _: str) -> str:
    return f"v0={_hex(secret, b'v0:%s:%s' % (timestamp.encode(), body))}"


def _stripe(secret: bytes, body: bytes, timestamp: str, _: str) -> str:
    return f"v1={_hex(secret, b'%s.%s' % (timestamp.encode(), body))}"


def _github(secret: bytes, body: bytes, *_: str) -> str:
    return f"sha256={_hex(secret, body)}"


def _shopify(secret: bytes, body: bytes, *_: str) -> str:
    return _base64(secret, body)


def _typeform(secret: bytes, body: bytes, *_: str) -> str:
    return f"sha256={_base64(secret, body)}"


def _feishu(secret: bytes, body: bytes, timestamp: str, nonce: str) -> str:
    return hashlib.sha256(timestamp.encode() + _bytes(nonce) + secret + body).hexdigest()


def _secret(secret: bytes, *_: object) -> str:
    """The secret itself, for senders that do not sign."""
    return secret.decode()


def _hex(secret: bytes, signed: bytes) -> str:
    return hmac.digest(secret, signed, "sha256").hex()


def _base64(secret: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


# Each as the sender's own documentation has it.
SENDERS: Sequence[Sender] = (
    Sender(
        name="standard",
        header="webhook-signature",
        sign=_standard,
        split=lambda value: value.split(maxsplit=_MAX_SIGNATURES),
        timestamp="webhook-timestamp",
        nonce="webhook-id",
        id="webhook-id",
    ),
    Sender(
        name="svix",
        header="svix-signature",
        sign=_standard,
        split=lambda value: value.split(maxsplit=_MAX_SIGNATURES),
        timestamp="svix-timestamp",
        nonce="svix-id",
        id="svix-id",
    ),
    Sender(
        name="slack",
        header="x-slack-signature",
        sign=_slack,
        timestamp="x-slack-request-timestamp",
        ids=("event_id",),
    ),
    Sender(
        name="stripe",
        header="stripe-signature",
        sign=_stripe,
        split=lambda value: value.split(",", _MAX_SIGNATURES),
        timestamp="stripe-signature",
        ids=("id",),
    ),
    Sender(
        name="feishu",
        header="x-lark-signature",
        sign=_feishu,
        timestamp="x-lark-request-timestamp",
        nonce="x-lark-request-nonce",
        ids=("header.event_id", "uuid"),
        needs_200=True,
    ),
    Sender(name="shopify", header="x-shopify-hmac-sha256", sign=_shopify, marker="x-shopify-topic", id="x-shopify-webhook-id"),
    Sender(name="typeform", header="typeform-signature", sign=_typeform, ids=("event_id",)),
    Sender(name="zoom", header="x-zm-signature", sign=_slack, timestamp="x-zm-request-timestamp", needs_200=True),
    Sender(name="github", header="x-hub-signature-256", sign=_github, marker="x-github-event", id="x-github-delivery"),
    Sender(name="meta", header="x-hub-signature-256", sign=_github, needs_200=True),
    Sender(name="gitlab", header="x-gitlab-token", sign=_secret, marker="x-gitlab-event", id="x-gitlab-event-uuid"),
    Sender(name="telegram", header="x-telegram-bot-api-secret-token", sign=_secret, ids=("update_id",)),
)
BY_NAME = {sender.name: sender for sender in SENDERS}
_GITHUB, _META = BY_NAME["github"], BY_NAME["meta"]
# Headers in which senders that are none of these give the id of a delivery.
_IDS = ("idempotency-key", "ce-id")
_CLOUD_EVENTS_SOURCE = "ce-source"  # an id of CloudEvents is unique together with it


def senders_of(headers: Headers) -> list[Sender]:
    """The senders whose headers a request has."""
    found = [sender for sender in SENDERS if (sender.marker or sender.header) in headers or (sender.id and sender.id in headers)]
    return [sender for sender in found if not (sender is _META and _GITHUB in found)]


def delivery_id(sender: Sender | None, headers: Headers, body: bytes, value: Any) -> str:
    """Stands for a delivery, in 64 characters, "" if it cannot be told from others. `value` is that of a JSON body.

    A known sender's id is where it always is: another header, which is not signed, does not make another delivery of the same.
    Without an id its deliveries are told apart by their bodies, which have a time or an id of what has happened.
    """
    if sender is None:
        name = next((name for name in _IDS if headers.get(name, "")), "")
        parts = [name, headers.get(name, ""), headers.get(_CLOUD_EVENTS_SOURCE, "")] if name else []
    else:
        ids = [headers.get(sender.id, "") if sender.id else "", *(_field(value, path) for path in sender.ids)]
        id_ = next(filter(None, ids), "")
        parts = [sender.name, "id", id_] if id_ else [sender.name, "body", hashlib.sha256(body).hexdigest()]
    return hashlib.sha256(_bytes("\0".join(parts))).hexdigest() if parts else ""


def _field(value: Any, path: str) -> str:
    """The text or number at a dotted path in a JSON value, "" if there is none."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return str(value) if isinstance(value, str | int) else ""
