"""Senders of webhooks and what they sign, held against the senders' own libraries."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook
from stripe import WebhookSignature
from svix.webhooks import Webhook as Svix
from werkzeug.datastructures import Headers

from duck.callers import signatures
from duck.callers.signatures import SENDERS, WINDOW_S, Sender

SECRET = "a-secret-of-the-sender"
STANDARD_SECRET = "whsec_" + base64.b64encode(b"twenty-four bytes of key").decode()
NOW = 1_784_000_000
BODY = '{"id": "evt_1", "text": "Grüße"}'.encode()


def hex_of(signed: bytes) -> str:
    return hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()


def base64_of(signed: bytes) -> str:
    return base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()


def standard(prefix: str) -> dict[str, str]:
    sign = Webhook(STANDARD_SECRET).sign if prefix == "webhook" else Svix(STANDARD_SECRET).sign
    signature = sign("msg_1", datetime.fromtimestamp(NOW, UTC), BODY.decode())
    return {f"{prefix}-id": "msg_1", f"{prefix}-timestamp": str(NOW), f"{prefix}-signature": f"v1,AAAA {signature}"}


def slack() -> dict[str, str]:
    signature = SignatureVerifier(SECRET).generate_signature(timestamp=str(NOW), body=BODY)
    assert signature
    return {"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": str(NOW)}


def stripe() -> dict[str, str]:
    header = f"t={NOW},v1={'0' * 64},v1={hex_of(f'{NOW}.'.encode() + BODY)},v0=old"
    assert WebhookSignature.verify_header(BODY.decode(), header, SECRET)
    return {"Stripe-Signature": header}


def feishu() -> dict[str, str]:
    signature = hashlib.sha256(f"{NOW}nonce-1{SECRET}".encode() + BODY).hexdigest()
    return {"X-Lark-Signature": signature, "X-Lark-Request-Timestamp": str(NOW), "X-Lark-Request-Nonce": "nonce-1"}


SIGNED: Mapping[str, Callable[[], dict[str, str]]] = {
    "standard": lambda: standard("webhook"),
    "svix": lambda: standard("svix"),
    "slack": slack,
    "stripe": stripe,
    "feishu": feishu,
    "shopify": lambda: {"X-Shopify-Topic": "orders/create", "X-Shopify-Hmac-Sha256": base64_of(BODY)},
    "typeform": lambda: {"Typeform-Signature": f"sha256={base64_of(BODY)}"},
    "zoom": lambda: {"x-zm-signature": f"v0={hex_of(f'v0:{NOW}:'.encode() + BODY)}", "x-zm-request-timestamp": str(NOW)},
    "github": lambda: {"X-GitHub-Event": "issues", "X-Hub-Signature-256": f"sha256={hex_of(BODY)}"},
    "meta": lambda: {"X-Hub-Signature-256": f"sha256={hex_of(BODY)}"},
    "gitlab": lambda: {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": SECRET},
    "telegram": lambda: {"X-Telegram-Bot-Api-Secret-Token": SECRET},
}
TIMED = {"standard", "svix", "slack", "stripe", "feishu", "zoom"}
NOT_VALID = "The signature does not fit this body and a secret of this app in the setting Webhook secrets (webhook_secrets)."
SIGNATURES = {sender.header for sender in SENDERS}
SIGN_NOTHING = {"gitlab", "telegram"}


def sender_of(headers: Mapping[str, str]) -> Sender | None:
    return next(iter(signatures.senders_of(Headers(headers))), None)


def fault(headers: Mapping[str, str], body: bytes = BODY, *secrets: str, now: float = NOW) -> str:
    sender = sender_of(headers)
    assert sender is not None
    return sender.fault(Headers(headers), body, secrets or (SECRET, STANDARD_SECRET), now) or ""


@pytest.fixture(params=[sender.name for sender in SENDERS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_right_signature_fits(name: str) -> None:
    sender = sender_of(SIGNED[name]())
    assert sender is not None
    assert sender.name == name
    assert fault(SIGNED[name]()) == ""


def test_each_other_bit_of_it_is_wrong(name: str) -> None:
    headers = SIGNED[name]()
    header = next(each for each in headers if each.lower() in SIGNATURES)
    value = headers[header]
    begin = max(value.rfind(" "), value.rfind(",v1=")) + 1  # of several signatures the right one is the last of its version
    places = range(begin, value.find(",v0=", begin) if name == "stripe" else len(value))
    assert len(places) > 20
    assert all(fault({**headers, header: value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]}) for at in places)


def test_another_secret_is_wrong(name: str) -> None:
    assert fault(SIGNED[name](), BODY, "another-secret", "whsec_YW5vdGhlcg==") == (NOT_VALID)


def test_a_body_that_was_encoded_anew_is_another_body(name: str) -> None:
    assert bool(fault(SIGNED[name](), BODY.replace(b": ", b":"))) is (name not in SIGN_NOTHING)


@pytest.mark.parametrize(
    ("seconds", "fits"), [(WINDOW_S, True), (-WINDOW_S, True), (WINDOW_S + 1, False), (-WINDOW_S - 1, False)]
)
def test_a_signature_with_a_time_is_valid_for_some_minutes(name: str, seconds: int, fits: bool) -> None:
    assert (fault(SIGNED[name](), now=NOW + seconds) == "") is (fits or name not in TIMED)


def test_a_changed_timestamp_is_signed_too(name: str) -> None:
    headers = {key: value.replace(str(NOW), str(NOW + 1)) for key, value in SIGNED[name]().items()}
    assert bool(fault(headers)) is (name in TIMED)


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1e9", "٣", "9" * 13])
def test_a_timestamp_is_a_number(name: str, timestamp: str) -> None:
    headers = {key: value.replace(str(NOW), timestamp) for key, value in SIGNED[name]().items()}
    assert (fault(headers) == "The signature has no valid timestamp.") is (name in TIMED)


def test_a_nonce_is_signed_too() -> None:
    assert fault({**feishu(), "X-Lark-Request-Nonce": "nonce-2"})
    assert fault({**standard("webhook"), "webhook-id": "msg_2"})


def test_without_its_header_a_signature_is_none(name: str) -> None:
    headers = {key: value for key, value in SIGNED[name]().items() if key.lower() not in SIGNATURES}
    sender = sender_of(headers)
    assert sender is None or sender.header not in Headers(headers)


def test_many_signatures_are_not_all_read() -> None:
    headers = standard("webhook")
    signature = headers["webhook-signature"].split()[1]
    assert fault({**headers, "webhook-signature": " ".join(["v1,AAAA"] * 9 + [signature])}) == ""
    assert fault({**headers, "webhook-signature": " ".join(["v1,AAAA"] * 10 + [signature])})


def test_a_secret_of_standard_webhooks_that_is_no_base64_is_taken_as_it_is() -> None:
    signature = base64.b64encode(hmac.new(b"whsec_!", b"msg_1.%d.%s" % (NOW, BODY), hashlib.sha256).digest()).decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW), "webhook-signature": f"v1,{signature}"}
    assert fault(headers, BODY, "whsec_!") == ""


# Ids of deliveries


def id_of(headers: Mapping[str, str], value: Any = None, body: bytes = BODY) -> str:
    return signatures.delivery_id(sender_of(headers), Headers(headers), body, value)


@pytest.mark.parametrize(
    "header",
    ["webhook-id", "svix-id", "X-GitHub-Delivery", "X-Shopify-Webhook-Id", "X-Gitlab-Event-UUID", "Idempotency-Key", "ce-id"],
)
def test_a_header_has_the_id(header: str) -> None:
    assert id_of({header: "1"}) == id_of({header.lower(): "1"}, body=b"another") != id_of({header: "2"})
    assert len(id_of({header: "1" * 10_000})) == 64


def test_another_header_does_not_make_another_delivery_of_a_known_sender(name: str) -> None:
    for header in ("Idempotency-Key", "ce-id", "X-Unknown"):
        value = {"id": "1", "event_id": "1", "uuid": "1", "update_id": "1"}
        assert id_of(SIGNED[name](), value) == id_of({**SIGNED[name](), header: "another"}, value)


def test_an_id_of_cloud_events_is_one_with_its_source() -> None:
    assert id_of({"ce-id": "1", "ce-source": "/a"}) != id_of({"ce-id": "1", "ce-source": "/b"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slack", {"event_id": "Ev1"}),
        ("stripe", {"id": "evt_1"}),
        ("feishu", {"schema": "2.0", "header": {"event_id": "e1"}}),
        ("feishu", {"uuid": "u1"}),
        ("typeform", {"event_id": "t1"}),
        ("telegram", {"update_id": 7}),
    ],
)
def test_a_field_has_the_id(name: str, value: Any) -> None:
    headers = SIGNED[name]()
    assert id_of(headers, value) == id_of(headers, value, b"another body")
    assert id_of(headers, value) != id_of(headers, {"another": "field"}, BODY)


def test_a_known_sender_without_an_id_is_known_by_its_body() -> None:
    assert id_of(SIGNED["meta"](), [1]) == id_of(SIGNED["meta"](), {"header": 3}) != id_of(SIGNED["meta"](), body=b"another")
    assert id_of(SIGNED["meta"]()) != id_of(SIGNED["zoom"]())


def test_nothing_tells_deliveries_of_others_apart() -> None:
    assert id_of({}, {"id": "1", "event_id": "2"}) == ""


# Between senders


@pytest.mark.parametrize("name", ["github", "meta", "shopify", "typeform"])
@pytest.mark.parametrize("frame", [f"{NOW}.", f"v0:{NOW}:", f"msg_1.{NOW}.", f".{NOW}."])
def test_an_old_signature_of_one_sender_is_none_of_another(name: str, frame: str) -> None:
    """Else what one signs with its time could be sent as what another signs without one, for ever."""
    framed = frame.encode() + BODY
    values = {
        "github": f"sha256={hex_of(framed)}",
        "meta": f"sha256={hex_of(framed)}",
        "shopify": base64_of(framed),
        "typeform": f"sha256={base64_of(framed)}",
    }
    headers = SIGNED[name]()
    header = next(each for each in headers if each.lower() in SIGNATURES)
    assert fault({**headers, header: values[name]}, framed) == NOT_VALID


def test_a_header_with_an_id_tells_the_sender_too() -> None:
    headers = SIGNED["meta"]() | {"X-GitHub-Delivery": "d"}
    assert [sender.name for sender in signatures.senders_of(Headers(headers))] == ["github"]
    assert id_of(headers) != id_of(headers | {"X-GitHub-Delivery": "e"})
    assert id_of({"X-Shopify-Webhook-Id": "1"}, body=b"a") == id_of({"X-Shopify-Webhook-Id": "1"}, body=b"b")


def test_all_senders_whose_headers_there_are_may_be_it() -> None:
    headers = Headers(SIGNED["github"]() | SIGNED["slack"]())
    assert [sender.name for sender in signatures.senders_of(headers)] == ["slack", "github"]
    assert signatures.senders_of(Headers()) == []
