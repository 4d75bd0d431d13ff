"""The senders of webhooks, as their own libraries or documentation have them sign. Nothing here is Duck's."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook
from stripe import WebhookSignature
from svix.webhooks import Webhook as Svix

type Headers = dict[str, str]
type Sign = Callable[[str, bytes, int], Headers]  # from secret, body and time to the headers that let the sender in


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """One kind of sender, with a secret for these tests.

    `needed` are the headers without which it is nobody. `has_window` tells whether it signs the time, `signs_body` whether it
    signs at all, or sends the secret itself. `about` are its other headers, and `event` its document, which both have an id that
    is new each time.
    """

    name: str
    sign: Sign
    needed: tuple[str, ...]
    event: Callable[[str], Any]
    secret: str
    about: Callable[[str], Headers] = lambda _: {}
    has_window: bool = True
    signs_body: bool = True
    needs_200: bool = False


def standard(secret: str, body: bytes, now: int) -> Headers:
    """https://github.com/standard-webhooks/standard-webhooks"""
    id_ = f"msg_{hashlib.sha256(body).hexdigest()[:20]}"
    signature = Webhook(secret).sign(id_, datetime.fromtimestamp(now, UTC), body.decode())
    return {"webhook-id": id_, "webhook-timestamp": str(now), "webhook-signature": signature}


def svix(secret: str, body: bytes, now: int) -> Headers:
    """https://docs.svix.com/receiving/verifying-payloads/how-manual"""
    id_ = f"msg_{hashlib.sha256(body).hexdigest()[:20]}"
    signature = Svix(secret).sign(id_, datetime.fromtimestamp(now, UTC), body.decode())
    return {"svix-id": id_, "svix-timestamp": str(now), "svix-signature": signature}


def github(secret: str, body: bytes, _: int) -> Headers:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries; Meta does the same."""
    return {"X-Hub-Signature-256": "sha256=" + _hex(secret, body)}


def slack(secret: str, body: bytes, now: int) -> Headers:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack/"""
    signature = SignatureVerifier(secret).generate_signature(timestamp=str(now), body=body)
    assert signature
    return {"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": str(now)}


def stripe(secret: str, body: bytes, now: int) -> Headers:
    """https://docs.stripe.com/webhooks/signature"""
    header = WebhookSignature.generate_signature_header(body.decode(), secret, now)
    assert WebhookSignature.verify_header(body, header, secret)
    return {"Stripe-Signature": header}


def shopify(secret: str, body: bytes, _: int) -> Headers:
    """https://shopify.dev/docs/apps/build/webhooks/subscribe/https"""
    return {"X-Shopify-Hmac-SHA256": _base64(secret, body)}


def typeform(secret: str, body: bytes, _: int) -> Headers:
    """https://www.typeform.com/developers/webhooks/secure-your-webhooks/"""
    return {"Typeform-Signature": "sha256=" + _base64(secret, body)}


def zoom(secret: str, body: bytes, now: int) -> Headers:
    """https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events"""
    signature = _hex(secret, b"v0:%d:%s" % (now, body))
    return {"x-zm-signature": f"v0={signature}", "x-zm-request-timestamp": str(now)}


def feishu(secret: str, body: bytes, now: int) -> Headers:
    """https://open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/encrypt-key-encryption-configuration-case"""
    nonce = secrets.token_hex(8)
    signature = hashlib.sha256(f"{now}{nonce}{secret}".encode() + body).hexdigest()
    return {"X-Lark-Signature": signature, "X-Lark-Request-Timestamp": str(now), "X-Lark-Request-Nonce": nonce}


def encrypted(secret: str, event: Any) -> dict[str, str]:
    """A document as Feishu encrypts it with an Encrypt Key."""
    padder, vector = PKCS7(128).padder(), secrets.token_bytes(16)
    padded = padder.update(json.dumps(event).encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES256(hashlib.sha256(secret.encode()).digest()), modes.CBC(vector)).encryptor()
    return {"encrypt": base64.b64encode(vector + encryptor.update(padded) + encryptor.finalize()).decode()}


def gitlab(secret: str, _: bytes, __: int) -> Headers:
    """https://docs.gitlab.com/user/project/integrations/webhooks/#validate-requests-by-using-a-secret-token"""
    return {"X-Gitlab-Token": secret}


def telegram(secret: str, _: bytes, __: int) -> Headers:
    """https://core.telegram.org/bots/api#setwebhook"""
    return {"X-Telegram-Bot-Api-Secret-Token": secret}


def _hex(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _base64(secret: str, signed: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def _whsec(text: str) -> str:
    return "whsec_" + base64.b64encode(text.encode()).decode()


FEISHU_KEY = "the-encrypt-key"
SENDERS: Mapping[str, Sender] = {
    sender.name: sender
    for sender in (
        Sender(
            name="standard",
            sign=standard,
            needed=("webhook-id", "webhook-timestamp", "webhook-signature"),
            event=lambda id_: {"type": "invoice.paid", "timestamp": "2026-07-28T09:00:00Z", "data": {"id": id_}},
            secret=_whsec("the secret of Standard Webhooks"),
        ),
        Sender(
            name="svix",
            sign=svix,
            needed=("svix-id", "svix-timestamp", "svix-signature"),
            event=lambda id_: {"type": "invoice.paid", "data": {"id": id_}},
            secret=_whsec("the secret of Svix"),
        ),
        Sender(
            name="github",
            sign=github,
            needed=("X-Hub-Signature-256",),
            event=lambda id_: {"action": "opened", "issue": {"number": 7, "title": f"The pond is empty {id_}"}},
            about=lambda id_: {"X-GitHub-Event": "issues", "X-GitHub-Delivery": id_, "User-Agent": "GitHub-Hookshot/1"},
            secret="the-secret-of-github",
            has_window=False,
        ),
        Sender(
            name="slack",
            sign=slack,
            needed=("X-Slack-Signature", "X-Slack-Request-Timestamp"),
            event=lambda id_: {
                "type": "event_callback",
                "event_id": f"Ev{id_}",
                "event": {"type": "app_mention", "text": "<@U1> hi"},
            },
            secret="the-signing-secret-of-slack",
        ),
        Sender(
            name="stripe",
            sign=stripe,
            needed=("Stripe-Signature",),
            event=lambda id_: {"id": f"evt_{id_}", "object": "event", "type": "charge.succeeded", "data": {"object": {}}},
            secret="whsec_ofStripeWhereItIsNoBase64",
        ),
        Sender(
            name="shopify",
            sign=shopify,
            needed=("X-Shopify-Hmac-SHA256",),
            event=lambda id_: {"id": 820982911946154508, "email": "ann@example.com", "note": id_},
            about=lambda id_: {"X-Shopify-Topic": "orders/create", "X-Shopify-Webhook-Id": id_},
            secret="the-secret-of-shopify",
            has_window=False,
        ),
        Sender(
            name="feishu",
            sign=feishu,
            needed=("X-Lark-Signature", "X-Lark-Request-Timestamp", "X-Lark-Request-Nonce"),
            event=lambda id_: encrypted(
                FEISHU_KEY,
                {"schema": "2.0", "header": {"event_id": id_, "token": "the-token"}, "event": {"message": {"content": "{}"}}},
            ),
            secret=FEISHU_KEY,
            needs_200=True,
        ),
        Sender(
            name="meta",
            sign=github,
            needed=("X-Hub-Signature-256",),
            event=lambda id_: {"object": "page", "entry": [{"id": id_, "time": 1458692752478, "messaging": []}]},
            secret="the-app-secret-of-meta",
            has_window=False,
            needs_200=True,
        ),
        Sender(
            name="zoom",
            sign=zoom,
            needed=("x-zm-signature", "x-zm-request-timestamp"),
            event=lambda id_: {"event": "meeting.started", "event_ts": 1626230691572, "payload": {"object": {"uuid": id_}}},
            secret="the-secret-token-of-zoom",
            needs_200=True,
        ),
        Sender(
            name="typeform",
            sign=typeform,
            needed=("Typeform-Signature",),
            event=lambda id_: {"event_id": id_, "event_type": "form_response", "form_response": {"answers": []}},
            secret="the-secret-of-typeform",
            has_window=False,
        ),
        Sender(
            name="gitlab",
            sign=gitlab,
            needed=("X-Gitlab-Token",),
            event=lambda id_: {"object_kind": "issue", "object_attributes": {"title": id_}},
            about=lambda id_: {"X-Gitlab-Event": "Issue Hook", "X-Gitlab-Event-UUID": id_},
            secret="the-token-of-gitlab",
            has_window=False,
            signs_body=False,
        ),
        Sender(
            name="telegram",
            sign=telegram,
            needed=("X-Telegram-Bot-Api-Secret-Token",),
            event=lambda id_: {"update_id": int(id_, 16), "message": {"text": "hi", "chat": {"id": 5}}},
            secret="the-secret-of-telegram",
            has_window=False,
            signs_body=False,
        ),
    )
}
