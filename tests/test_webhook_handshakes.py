"""Riddles that senders ask, and what Feishu has of its own."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from duck.faces.webhook import serve
from tests.openai_calls import App
from tests.support import KEY, Log, blocking_sample, body_of, json_of
from tests.webhook_calls import (
    SECRET,
    SETTINGS,
    VERIFY,
    github,
    hook,
    inputs,
    opens,
    refusal,
    send,
)

# Feishu

FEISHU = {"schema": "2.0", "header": {"event_id": "e1", "token": VERIFY}, "event": {"text": "hi"}}


def encrypted(value: Any, secret: str = SECRET) -> dict[str, str]:
    padder = PKCS7(128).padder()
    padded = padder.update(json.dumps(value).encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES256(hashlib.sha256(secret.encode()).digest()), modes.CBC(b"v" * 16)).encryptor()
    return {"encrypt": base64.b64encode(b"v" * 16 + encryptor.update(padded) + encryptor.finalize()).decode()}


def by_feishu(body: bytes, secret: str = SECRET) -> dict[str, str]:
    now = str(int(time.time()))
    signature = hashlib.sha256(f"{now}n{secret}".encode() + body).hexdigest()
    return {"X-Lark-Request-Timestamp": now, "X-Lark-Request-Nonce": "n", "X-Lark-Signature": signature}


@pytest.mark.parametrize("value", [FEISHU, {"uuid": "u", "type": "event_callback", "token": VERIFY, "event": {"text": "hi"}}])
def test_feishus_token_lets_it_in_and_reaches_nobody(value: Any, log: Log) -> None:
    app = hook(event="json_object", header="paragraph", payload="paragraph", body="json_object", token="text-input")
    response = send(app, value, key=None)
    assert (response.status_code, json_of(response)["accepted"]) == (200, True)
    [call] = app.calls
    assert call["inputs"]["event"] == {"text": "hi"}
    assert VERIFY not in json.dumps(call)
    assert "by=secret sender=feishu" in log.line()
    assert send(app, value, key=None).status_code == 200
    assert len(app.calls) == 1


@pytest.mark.parametrize(
    "value",
    [
        {**FEISHU, "header": {"token": "a-wrong-token"}},
        {**FEISHU, "header": {}},
        {**FEISHU, "header": VERIFY},
        {**FEISHU, "schema": "3.0"},
        {"token": VERIFY},
        {"type": ["event_callback"], "token": VERIFY},
        {"type": "event_callback", "token": [VERIFY]},
        [VERIFY],
        VERIFY,
    ],
)
def test_no_other_token_does(value: Any) -> None:
    assert refusal(send(body=json.dumps(value), key=None, content_type="application/json"))[0] == 401


def test_its_token_reaches_nobody_whatever_else_lets_it_in() -> None:
    app = hook(payload="paragraph")
    for number, way in enumerate(("signature", "url", "key")):
        body = json.dumps({**FEISHU, "header": {"event_id": f"e{number}", "token": VERIFY}}).encode()
        headers = by_feishu(body) if way == "signature" else {}
        response = send(
            app, body, key=KEY if way == "key" else None, capability=opens() if way == "url" else None, headers=headers
        )
        assert response.status_code in {200, 202}
    assert [VERIFY in json.dumps(call) for call in app.calls] == [False] * 3


def test_a_file_of_the_body_is_in_plain_text_and_without_the_token() -> None:
    body = json.dumps(encrypted(FEISHU)).encode()
    form_ = {
        "user_input_form": [
            {"file": {"variable": "body", "allowed_file_types": ["custom"], "allowed_file_extensions": [".json"]}}
        ]
    }
    app = App("workflow", form=form_, blocking=blocking_sample("workflow"))
    assert send(app, body, key=None, content_type="application/json", headers=by_feishu(body)).status_code == 200
    [(name, content, _)] = app.uploaded
    assert (name, json.loads(content)) == ("file.json", {**FEISHU, "header": {"event_id": "e1"}})


def test_feishu_may_encrypt() -> None:
    body = json.dumps(encrypted(FEISHU)).encode()
    app = hook(event="json_object", payload="paragraph")
    response = send(app, body, key=None, headers=by_feishu(body))
    assert response.status_code == 200, body_of(response)
    [call] = app.calls
    assert call["inputs"]["event"] == {"text": "hi"}
    assert json.loads(call["inputs"]["payload"])["event"] == {"text": "hi"}
    again = json.dumps(encrypted(FEISHU)).encode()
    assert send(app, again, key=None, headers=by_feishu(again)).status_code == 200
    assert len(app.calls) == 1


def test_what_is_encrypted_is_not_believed_without_a_signature() -> None:
    assert refusal(send(body=encrypted(FEISHU), key=None))[0] == 401
    app = hook(payload="json_object")
    for broken in ("", "%", base64.b64encode(b"v" * 16).decode(), base64.b64encode(b"v" * 33).decode(), "AAAA" * 16):
        assert refusal(send(app, {"encrypt": broken}, key=None))[0] == 401
        assert inputs(app, {"encrypt": broken}) == {"payload": {"encrypt": broken}}, "a key lets in what nobody can read"
        app.calls.clear()


# Handshakes


@pytest.mark.parametrize("value", [{"type": "url_verification", "challenge": "c-1", "token": VERIFY}])
def test_a_url_is_verified(value: Any) -> None:
    app = hook()
    for options in (
        {"body": value, "key": None},
        {"body": encrypted(value), "key": None},
        {"body": {**value, "token": "x"}},
        {"body": {**value, "token": "x"}, "key": None, "capability": opens()},
    ):
        response = send(app, **options)
        assert (response.status_code, json_of(response)) == (200, {"challenge": "c-1"})
    assert refusal(send(app, {**value, "token": "x"}, key=None))[0] == 401
    assert refusal(send(app, encrypted(value, "a-wrong-secret"), key=None))[0] == 401
    assert (app.calls, app.fetched) == ([], [])


def test_without_a_challenge_it_is_not_verified_and_runs_nothing() -> None:
    app = hook()
    without = {"type": "url_verification", "token": VERIFY}
    for body in (without, encrypted(without), {**without, "challenge": 1}):
        assert refusal(send(app, body, key=None)) == (400, "challenge: must be a text")
    assert app.calls == []


def test_zoom_gets_its_token_back_signed() -> None:
    body = json.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": "p-1"}}).encode()
    now = str(int(time.time()))

    def code(secret: str, text: str) -> str:
        return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    headers = {"x-zm-request-timestamp": now, "x-zm-signature": "v0=" + code(SECRET, f"v0:{now}:{body.decode()}")}
    assert json_of(send(body=body, key=None, headers=headers)) == {"plainToken": "p-1", "encryptedToken": code(SECRET, "p-1")}
    unsigned = (400, "Zoom's validation must be signed by its secret token in the setting Webhook secrets (webhook_secrets).")
    ways: list[dict[str, Any]] = [
        {"capability": opens()},
        {"key": KEY},
        {"settings": {**SETTINGS, "public_apps": "hook"}},
        {"headers": github(body)},
        {"capability": opens(), "headers": {**headers, "x-zm-signature": "v0=wrong"}},
    ]
    for options in ways:
        assert refusal(send(body=body, **{"key": None, **options})) == unsigned, "nobody else gets anything signed"


@pytest.mark.parametrize("token", ['{"action":"opened"}', "v0:1:x", "1784000000.x", "", "a" * 201])
def test_nothing_is_signed_for_zoom_that_would_be_of_use_elsewhere(token: str) -> None:
    body = json.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": token}}).encode()
    now = str(int(time.time()))
    code = hmac.new(SECRET.encode(), f"v0:{now}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-zm-request-timestamp": now, "x-zm-signature": f"v0={code}"}
    assert refusal(send(body=body, key=None, headers=headers))[0] == 400


def test_githubs_ping_runs_nothing() -> None:
    app = hook()
    response = send(app, b"{}", key=None, headers={**github(b"{}"), "X-GitHub-Event": "ping"})
    assert (response.status_code, json_of(response)) == (200, {"accepted": True, "status": "ping"})
    assert app.calls == []


HUB = "hub.mode=subscribe&hub.challenge=c-1"


def test_a_hub_is_answered_with_its_challenge(log: Log) -> None:
    for options in (
        {"query": f"{HUB}&hub.verify_token={VERIFY}", "key": None},
        {"query": HUB},
        {"query": HUB, "key": None, "capability": opens()},
    ):
        response = send(method="GET", **options)
        assert (response.status_code, body_of(response)) == (200, b"c-1")
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "by=secret" in log.lines()[0]
    assert "by=url" in log.lines()[2]
    for wrong in (f"{HUB}&hub.verify_token=a-wrong-token", f"hub.verify_token={VERIFY}", HUB):
        assert refusal(send(method="GET", query=wrong, key=None))[0] == 401


def test_what_a_hub_repeats_opens_no_post_and_reaches_no_app() -> None:
    query = f"{HUB}&hub.verify_token={VERIFY}&a=b"
    assert refusal(send(body=b"{}", key=None, query=query))[0] == 401
    assert inputs(hook(query_params="json_object"), {}, query=query)["query_params"] == {
        "hub.mode": "subscribe",
        "hub.challenge": "c-1",
        "a": "b",
    }


def test_another_get_is_refused() -> None:
    response = send(method="GET")
    assert refusal(response) == (405, "A webhook takes POST.")
    assert response.headers["Allow"] == "POST, OPTIONS"
    head = send(method="HEAD")
    assert (head.status_code, body_of(head)) == (200, b"")


def test_a_sender_of_cloud_events_is_told_that_it_may_send() -> None:
    headers = {"WebHook-Request-Origin": "events.example"}
    ways: list[dict[str, Any]] = [{}, {"key": None, "capability": opens()}]
    for options in ways:
        response = send(handler=serve.permit, method="OPTIONS", headers=headers, **options)
        assert response.status_code == 200
        assert response.headers["WebHook-Allowed-Origin"] == "events.example"
        assert response.headers["WebHook-Allowed-Rate"] == "*"
        assert response.headers["Allow"] == "POST"
    refused_ = send(handler=serve.permit, method="OPTIONS", headers=headers, key=None)
    assert refusal(refused_)[0] == 401
    assert "WebHook-Allowed-Origin" not in refused_.headers


def test_a_browsers_preflight_is_answered_as_everywhere() -> None:
    settings = {**SETTINGS, "allowed_origins": "https://shop.example"}
    response = send(
        handler=serve.permit, method="OPTIONS", key=None, headers={"Origin": "https://shop.example"}, settings=settings
    )
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Origin"] == "https://shop.example"
