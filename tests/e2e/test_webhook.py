"""Webhooks in the real plugin: each sender signs as its own library or documentation does, and the app gets what it has sent."""

import base64
import hashlib
import hmac
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from devhost import App, Call, Devhost, demo
from devhost.apps import Step
from devhost.demo.forms import UPLOADS, form, variable
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, LIMITS, ROOT, Duck, eventually
from tests.e2e.senders import FEISHU_KEY, SENDERS, Headers, Sender, encrypted
from tests.support import KEY, make_request, sample
from tests.test_bad_input import CASES, HARMLESS
from tests.test_bodies import REFUSED, UNDERSTOOD

PLAIN, FIELDS, FILES, OTHER, GATED, SLOW, OPEN, CHAT, BROKEN, MUTE = (
    f"00000000-0000-4000-8000-0000000000e{number}" for number in range(10)
)
WORKFLOW = sample("workflow")
WHOLE = form(
    variable("paragraph", "payload", "Payload", max_length=6_000_000),
    variable("paragraph", "body", "The same", max_length=6_000_000),
    variable("json_object", "headers", "Headers"),
    variable("json_object", "query_params", "Query"),
)
PARTS = form(
    variable("json_object", "payload", "Payload"),
    variable("text-input", "action", "Action"),
    variable("number", "number", "Number"),
    variable("file-list", "pics", "Pictures", allowed_file_types=["image"], **UPLOADS),
)
FILE = form(variable("file", "body", "The body", allowed_file_types=["document", "image"], **UPLOADS))
TOKEN = "the-token-that-is-repeated"
TEN_MINUTES_S = 600
TOO_OLD_S = 310  # all senders with a window recommend five minutes
WRONG = "a-secret-that-is-wrong"
begun, go_on = threading.Event(), threading.Event()


def gated(_: Call) -> Iterator[Step]:
    yield WORKFLOW[0]
    begun.set()
    go_on.wait(DEADLINE_S)
    yield from WORKFLOW[1:]


@pytest.fixture(scope="module")
def host() -> Iterator[Devhost]:
    """Duck with an app for each way of being run. The slow one has its own key."""
    apps = {
        **{app_id: App(mode="workflow", script=WORKFLOW, form=WHOLE) for app_id in (PLAIN, OTHER, OPEN)},
        FIELDS: App(mode="workflow", script=WORKFLOW, form=PARTS),
        FILES: App(mode="workflow", script=WORKFLOW, form=FILE),
        GATED: App(mode="workflow", script=gated, form=WHOLE),
        SLOW: demo.apps()[demo.IDS["ten-minutes"]],
        BROKEN: replace(demo.apps(pace=0)[demo.IDS["fails-late"]], form=form()),
        MUTE: replace(demo.apps(pace=0)[demo.IDS["fails-midway"]], form=form()),
        CHAT: App(mode="chat", script=sample("chat"), form=form()),
    }
    names = {
        "plain": PLAIN,
        "fields": FIELDS,
        "files": FILES,
        "other": OTHER,
        "gated": GATED,
        "slow": SLOW,
        "open": OPEN,
        "chat": CHAT,
        "broken": BROKEN,
        "mute": MUTE,
    }
    known = [*(sender.secret for sender in SENDERS.values()), TOKEN]
    settings = {
        "api_key": KEY,
        "apps": ", ".join(f"{name}={app_id}" for name, app_id in names.items()),
        "public_apps": "open",
        "public_rate": "1000",
        "webhook_secrets": ", ".join(f"{name}={secret}" for name in names if name != "other" for secret in known),
    }
    with Devhost(ROOT, apps, settings, limits=LIMITS, app_keys={"app-slow": SLOW}) as running:
        running.settings |= {"service_api_url": running.api_url, "app_keys": "slow=app-slow"}
        yield running
        running.timeline.advance(TEN_MINUTES_S + 1)
        assert running.runtime.starts == 1, "a request has killed the plugin"


def deliver(host: Devhost, path: str, body: bytes, headers: Mapping[str, str], **options: Any) -> httpx.Response:
    sent = {"Content-Type": "application/json", **headers}
    return httpx.post(f"{host.url}/webhook/{path}", content=body, headers=sent, timeout=DEADLINE_S, **options)


def signed(sender: Sender, *, secret: str = "", now: float = 0) -> tuple[bytes, Headers]:
    """A new delivery, signed."""
    id_, now = secrets.token_hex(6), int(now or time.time())
    body = json.dumps(sender.event(id_)).encode()
    return body, {**sender.about(id_), **sender.sign(secret or sender.secret, body, now)}


def runs(host: Devhost, app_id: str) -> list[Call]:
    return [call for call in host.calls if call.app_id == app_id]


def told(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def at_once(send: Any, cases: Any) -> list[httpx.Response]:
    """The answers to requests that are sent at the same time: after 20 wrong keys a minute each further one waits."""
    with ThreadPoolExecutor(20) as pool:
        return [*pool.map(lambda case: send(*case), cases)]


@pytest.fixture(params=[*SENDERS.values()], ids=[*SENDERS])
def sender(request: pytest.FixtureRequest) -> Sender:
    found: Sender = request.param
    return found


# Who may send


def test_a_right_signature_runs_the_app_once_and_the_log_names_its_sender(
    host: Devhost, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(runs(host, PLAIN))
    body, headers = signed(sender)
    with caplog.at_level(logging.DEBUG, logger="devhost"):
        first, again = (deliver(host, "plain", body, headers) for _ in range(2))
    assert first.status_code == (200 if sender.needs_200 else 202), first.text
    assert (first.json()["accepted"], first.json()["status"]) == (True, "succeeded")
    assert (again.status_code, again.content) == (first.status_code, first.content), "a repeat gets the same answer"
    [call] = runs(host, PLAIN)[before:]
    assert call.inputs["payload"] == call.inputs["body"]
    if sender.name == "feishu":
        assert json.loads(call.inputs["payload"])["schema"] == "2.0", "it is decrypted"
    else:
        assert call.inputs["payload"] == body.decode()
    given = {name.lower(): value for name, value in call.inputs["headers"].items()}
    secret_ones = {name.lower() for name in sender.needed if "ignature" in name or "oken" in name or "Hmac" in name}
    assert secret_ones
    assert not secret_ones & given.keys()
    assert all(given[name.lower()] == value for name, value in headers.items() if name.lower() not in secret_ones)
    said = [record.getMessage() for record in caplog.records if "/webhook" in record.getMessage()]
    parts = [re.fullmatch(r"POST /webhook/<app_id> (\d+) .* by=(\w+) sender=(\w+) .* end=(\w+)", line) for line in said]
    by = (str(first.status_code), "signature", sender.name)
    assert [part and part.groups() for part in parts] == [(*by, "complete"), (*by, "repeated")], said
    for needle in (body.decode(), sender.secret, *(headers[name] for name in sender.needed), "The pond is empty"):
        assert needle not in caplog.text


def test_what_is_wrong_with_a_signature_is_told_and_runs_nothing(host: Devhost, sender: Sender) -> None:
    before = len(host.calls)
    body, right = signed(sender)
    [key, *_] = [name for name in sender.needed if "ignature" in name or "oken" in name or "Hmac" in name]
    value = right[key]
    other = json.dumps(json.loads(body), indent=1).encode()
    cases = {
        "one bit": (body, right | {key: f"{value[:-5]}{chr(ord(value[-5]) ^ 1)}{value[-4:]}"}),
        "the first half": (body, right | {key: value[: len(value) // 2]}),
        "nothing": (body, right | {key: ""}),
        "no ASCII": (body, right | {key: "\u00e9" + value}),
        "another secret": signed(sender, secret="whsec_" + base64.b64encode(WRONG.encode()).decode()),
        **{f"no {name}": (body, {n: v for n, v in right.items() if n != name}) for name in sender.needed},
    }
    if sender.has_window:
        cases["too old"] = signed(sender, now=time.time() - TOO_OLD_S)
        cases["too new"] = signed(sender, now=time.time() + TOO_OLD_S)
    if sender.signs_body:
        cases["another encoding of the same"] = (other, right)
        cases["no body"] = (b"", right)
    headers = [{n: v.encode("utf-8") for n, v in given.items()} for _, given in cases.values()]
    answers = at_once(deliver, [(host, "plain", sent, given) for (sent, _), given in zip(cases.values(), headers, strict=True)])
    for name, answer in zip(cases, answers, strict=True):
        assert told(answer) == (401, "unauthorized"), name
        assert answer.headers["WWW-Authenticate"]
        assert answer.json()["message"]
        assert sender.secret not in answer.text
    if sender.has_window:
        assert "300 seconds" in answers[[*cases].index("too old")].json()["message"]
    assert len(host.calls) == before
    if not sender.signs_body:
        assert deliver(host, "plain", other, right).status_code in {200, 202}, "a token says nothing of the body"


def test_a_secret_is_one_apps(host: Devhost, sender: Sender) -> None:
    answer = deliver(host, "other", *signed(sender))
    assert told(answer) == (401, "unauthorized")
    assert "webhook_secrets" in answer.json()["message"]


def test_a_wrong_signature_is_refused_even_where_a_guest_is_not_but_a_key_makes_up_for_it(host: Devhost) -> None:
    body, headers = signed(SENDERS["github"], secret=WRONG)
    assert told(deliver(host, "open", body, headers)) == (401, "unauthorized")
    assert deliver(host, "open", body, {}).status_code == 202
    assert deliver(host, "plain", body, {**headers, **AUTHORIZED}).status_code == 202


def test_a_secret_may_be_changed_without_a_break(host: Devhost) -> None:
    """Senders of Standard Webhooks sign with both secrets meanwhile."""
    sender = SENDERS["standard"]
    body, headers = signed(sender)
    theirs = {**headers, "webhook-signature": f"v1,{'A' * 43}= v2,x {headers['webhook-signature']}"}
    assert deliver(host, "plain", body, theirs).status_code == 202
    unpadded = base64.b64encode(b"twenty five bytes, padded").decode()
    assert unpadded.endswith("=")
    with patch.dict(host.settings, webhook_secrets=f"plain={sender.secret}, plain=whsec_{unpadded}"):
        for _ in range(2):
            assert deliver(host, "plain", *signed(sender, secret=f"whsec_{unpadded}")).status_code == 202
        assert deliver(host, "plain", *signed(sender)).status_code == 202
    with patch.dict(host.settings, webhook_secrets=f"plain=whsec_{unpadded}"):
        assert deliver(host, "plain", *signed(sender)).status_code == 401


def feishu_event(version: int, token: str) -> dict[str, Any]:
    if version == 1:
        return {"type": "event_callback", "uuid": secrets.token_hex(8), "token": token, "event": {"type": "message"}}
    return {"schema": "2.0", "header": {"event_id": secrets.token_hex(8), "token": token}, "event": {"message": {}}}


@pytest.mark.parametrize("version", [1, 2])
def test_a_bot_of_feishu_without_encryption_repeats_a_token_which_the_app_does_not_get(
    host: Devhost, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    before, body = len(runs(host, PLAIN)), as_json(feishu_event(version, TOKEN))
    with caplog.at_level(logging.DEBUG, logger="devhost"):
        first, again = (deliver(host, "plain", body, {}) for _ in range(2))
    assert (first.status_code, first.content) == (200, again.content)
    [call] = runs(host, PLAIN)[before:]
    assert "message" in call.inputs["payload"]
    assert TOKEN not in json.dumps(call.inputs)
    assert " by=secret sender=feishu " in caplog.text
    assert TOKEN not in caplog.text
    for path, token in (("plain", WRONG), ("plain", ""), ("other", TOKEN)):
        assert told(deliver(host, path, as_json(feishu_event(version, token)), {})) == (401, "unauthorized")
    assert len(runs(host, PLAIN)) == before + 1


# When it is answered


def test_an_app_with_its_own_key_accepts_at_once_and_once(host: Devhost, sender: Sender) -> None:
    """Nobody advances the time in Dify, in which the run takes ten minutes."""
    before = len(runs(host, SLOW))
    body, headers = signed(sender)
    answers = at_once(deliver, [(host, "slow", body, headers)] * 5)
    [answer] = {(each.status_code, each.content) for each in answers}
    document = json.loads(answer[1])
    assert (answer[0], document["accepted"], document["status"]) == (200 if sender.needs_200 else 202, True, "running")
    assert len(runs(host, SLOW)) == before + 1
    assert deliver(host, "slow", body, headers).content == answer[1]
    assert len(runs(host, SLOW)) == before + 1


def test_the_run_of_a_delivery_can_be_fetched_with_a_key(host: Devhost) -> None:
    begun_ = deliver(host, "slow", *signed(SENDERS["github"])).json()
    address = f"{host.url}/runs/slow/{begun_['workflow_run_id']}"
    with httpx.Client(headers=AUTHORIZED, params={"user": "webhook"}, timeout=DEADLINE_S) as client:
        assert client.get(address).status_code == 202
        host.timeline.advance(TEN_MINUTES_S + 1)
        assert eventually(lambda: client.get(address).status_code == 200)
        assert client.get(address).json()["data"]["status"] == "succeeded"


def test_five_at_once_of_a_slow_app_by_the_session_wait_for_one_run(host: Devhost) -> None:
    begun.clear()
    go_on.clear()
    body, headers = signed(SENDERS["slack"])
    with ThreadPoolExecutor(5) as pool:
        try:
            jobs = [pool.submit(deliver, host, "gated", body, headers) for _ in range(5)]
            assert begun.wait(DEADLINE_S)
            assert not any(job.done() for job in jobs), "the answer comes at the end of the run"
        finally:
            go_on.set()
        answers = [job.result() for job in jobs]
    assert {(each.status_code, each.json()["status"]) for each in answers} == {(202, "succeeded")}
    assert len({each.content for each in answers}) == 1
    assert len(runs(host, GATED)) == 1


def test_a_slack_command_is_answered_with_an_empty_200(host: Devhost) -> None:
    body = f"command=%2Fduck&text=Hello+there&trigger_id={secrets.token_hex(8)}&response_url=https%3A%2F%2Fh.example".encode()
    headers = SENDERS["slack"].sign(SENDERS["slack"].secret, body, int(time.time()))
    before = len(runs(host, SLOW))
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    for _ in range(2):
        answer = deliver(host, "slow", body, {**headers, **form_type})
        assert (answer.status_code, answer.content) == (200, b"")
    [call] = runs(host, SLOW)[before:]
    assert call.inputs["text"] == "Hello there"


def test_a_delivery_without_an_id_of_a_key_holder_runs_each_time(host: Devhost) -> None:
    before = len(runs(host, PLAIN))
    for _ in range(2):
        assert deliver(host, "plain", b'{"a": 1}', AUTHORIZED).status_code == 202
    for _ in range(2):
        assert deliver(host, "plain", b'{"a": 1}', {**AUTHORIZED, "Idempotency-Key": "the-same"}).status_code == 202
    assert len(runs(host, PLAIN)) == before + 3


def test_a_workflow_that_has_failed_was_accepted(host: Devhost) -> None:
    """As it is for an app with its own key, whose run fails later: sending it again would fail again."""
    body, headers = signed(SENDERS["stripe"])
    first, again = (deliver(host, "broken", body, headers) for _ in range(2))
    assert (first.status_code, first.json()["status"], first.content) == (202, "failed", again.content)
    assert len(runs(host, BROKEN)) == 1


def test_a_chat_that_cannot_answer_can_be_asked_again(host: Devhost) -> None:
    body, headers = signed(SENDERS["stripe"])
    answers = [deliver(host, "mute", body, headers) for _ in range(2)]
    assert {told(answer) for answer in answers} == {(429, "rate_limit_error")}
    assert len(runs(host, MUTE)) == 2


def test_a_body_of_more_than_5_mebibytes_is_refused(host: Devhost) -> None:
    before = len(host.calls)
    for size in (5 * 1024 * 1024 + 1, 9_000_000):
        assert told(deliver(host, "slow", b"x" * size, AUTHORIZED)) == (413, "file_too_large")
    assert len(host.calls) == before


def test_a_sender_may_look_whether_the_address_is_there(host: Devhost) -> None:
    before, address = len(host.calls), f"{host.url}/webhook/plain"
    assert httpx.head(f"{address}/{capability(PLAIN)}").status_code == 200
    assert httpx.head(address).status_code == httpx.head(f"{address}/{capability(OTHER)}").status_code == 401
    assert len(host.calls) == before


def test_a_delivery_that_was_refused_can_be_sent_again(host: Devhost) -> None:
    headers = {**AUTHORIZED, "Idempotency-Key": secrets.token_hex(8)}
    refused = deliver(host, "fields", b'{"number": "many"}', headers)
    assert told(refused) == (400, "invalid_param")
    assert "number" in refused.json()["message"]
    assert deliver(host, "fields", b'{"number": 5}', headers).status_code == 202


# The capability URL


def capability(app_id: str, key: str = KEY) -> str:
    code = hmac.new(key.encode(), b"webhook\0" + app_id.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(code).decode()[:32]


def test_a_capability_url_opens_this_webhook_and_nothing_else(host: Devhost, caplog: pytest.LogCaptureFixture) -> None:
    secret, before = capability(PLAIN), len(runs(host, PLAIN))
    along = {"X-Forwarded-Uri": f"/e/duck/webhook/plain/{secret}", "Referer": f"https://h.example/{secret}", "X-One": "1"}
    with caplog.at_level(logging.DEBUG, logger="devhost"):
        for name in ("plain", PLAIN, PLAIN.upper().replace("-", "")):
            assert deliver(host, f"{name}/{secret}", b'{"a": 1}', along).status_code == 202
        wrong = [f"other/{secret}", f"plain/{secret[:-1]}x", f"plain/{secret}x", f"nobody/{secret}", f"open/{secret}"]
        keys = [{"X-API-Key": secret}, {"Authorization": f"Bearer {secret}"}, {"api-key": secret}]
        refused = at_once(deliver, [*((host, path, b"{}", {}) for path in wrong), *((host, "plain", b"{}", key) for key in keys)])
        assert {told(answer) for answer in refused} == {(401, "unauthorized")}
        runs_of = [(f"{host.url}/{path}", key) for path in ("chat/chat", "workflow/plain") for key in keys]
        refused = at_once(lambda url, key: httpx.post(url, json={"query": "hi"}, headers=key), runs_of)
        assert {told(answer) for answer in refused} == {(401, "unauthorized")}
        assert httpx.post(f"{host.url}/workflow/plain/{secret}", json={"inputs": {}}).status_code == 404
        assert httpx.get(f"{host.url}/webhook/plain/{secret}").status_code == 405
        assert httpx.get(f"{host.url}/webhook/plain/{secret}x").status_code == 401
    calls = runs(host, PLAIN)[before:]
    assert len(calls) == 3
    for call in calls:
        assert call.inputs["headers"]["x-one"] == "1"
        assert secret not in json.dumps(call.inputs)
    assert "/webhook/<app_id>/<capability>" in caplog.text
    assert " by=url " in caplog.text
    assert secret not in caplog.text


def test_a_capability_url_dies_with_its_key(host: Devhost) -> None:
    secret = capability(PLAIN)
    with patch.dict(host.settings, api_key=f"another-key {KEY}"):
        assert deliver(host, f"plain/{secret}", b"{}", {}).status_code == 202
    with patch.dict(host.settings, api_key="another-key"):
        refused = deliver(host, f"plain/{secret}", b"{}", {})
        assert told(refused) == (401, "unauthorized")
        assert "changes with the API key" in refused.json()["message"]
        assert deliver(host, f"plain/{capability(PLAIN, 'another-key')}", b"{}", {}).status_code == 202
    with patch.dict(host.settings, api_key="", public_apps=""):
        assert deliver(host, f"plain/{secret}", b"{}", {}).status_code == 401
        assert deliver(host, f"plain/{capability(PLAIN, '')}", b"{}", {}).status_code == 401


def test_a_page_of_another_site_can_send_nothing_by_the_url_that_it_does_not_know(host: Devhost) -> None:
    for path in ("plain", "plain/preview"):
        answer = deliver(host, path, b"{}", {"Origin": "https://evil.example", "Content-Type": "text/plain"})
        assert answer.status_code == 401


# Handshakes


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


VERIFICATION = {"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}
VALIDATION = {"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}, "event_ts": 1}
CHALLENGE = {"challenge": VERIFICATION["challenge"]}
ENCRYPTED_TOKEN = hmac.new(SENDERS["zoom"].secret.encode(), b"qgg8vlvZRS6UYooatFL8Aw", hashlib.sha256).hexdigest()
# The body, whose signature it gets, if any, and other headers; and what is answered with a credential.
HANDSHAKES: dict[str, tuple[Any, str, Headers, Any]] = {
    "Slack": (VERIFICATION, "slack", {}, CHALLENGE),
    "Feishu, whose token is in the body": ({**VERIFICATION, "token": TOKEN}, "", {}, CHALLENGE),
    "Feishu, encrypted": (encrypted(FEISHU_KEY, {**VERIFICATION, "token": TOKEN}), "", {}, CHALLENGE),
    "Feishu, encrypted, another token": (encrypted(FEISHU_KEY, {**VERIFICATION, "token": "x"}), "", {}, CHALLENGE),
    "Feishu, encrypted and signed": (encrypted(FEISHU_KEY, VERIFICATION), "feishu", {}, CHALLENGE),
    "Zoom": (VALIDATION, "zoom", {}, {"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": ENCRYPTED_TOKEN}),
    "GitHub": ({"zen": "Keep it logically awesome."}, "github", {"X-GitHub-Event": "ping"}, {"accepted": True, "status": "ping"}),
}
BAD_HANDSHAKES: dict[str, tuple[Any, Headers]] = {
    "Slack": (VERIFICATION, {}),
    "Slack, signed by somebody else": (VERIFICATION, SENDERS["slack"].sign(WRONG, as_json(VERIFICATION), int(time.time()))),
    "Feishu, another token": ({**VERIFICATION, "token": "another-token"}, {}),
    "Feishu, no text as a token": ({**VERIFICATION, "token": [TOKEN]}, {}),
    "Feishu, encrypted by somebody else": (encrypted(WRONG, {**VERIFICATION, "token": TOKEN}), {}),
    "Feishu, not encrypted at all": ({"encrypt": base64.b64encode(bytes(48)).decode()}, {}),
    "Feishu, no base64": ({"encrypt": "é"}, {}),
    "Zoom": (VALIDATION, {}),
    "GitHub": ({"zen": "x"}, {"X-GitHub-Event": "ping"}),
    "an encrypted event, which is not signed": (SENDERS["feishu"].event("1"), {}),
}


@pytest.mark.parametrize(("body", "signer", "headers", "answer"), HANDSHAKES.values(), ids=HANDSHAKES.keys())
def test_a_handshake_is_answered_and_runs_nothing(host: Devhost, body: Any, signer: str, headers: Headers, answer: Any) -> None:
    before, sent = (len(host.calls), len(host.refused)), as_json(body)
    if signer:
        headers = {**headers, **SENDERS[signer].sign(SENDERS[signer].secret, sent, int(time.time()))}
    for app in ("plain", "slow"):
        response = deliver(host, app, sent, headers)
        assert (response.status_code, response.json()) == (200, answer)
    assert (len(host.calls), len(host.refused)) == before


def test_a_handshake_without_a_credential_is_401(host: Devhost) -> None:
    before = len(host.calls)
    answers = at_once(deliver, [(host, "plain", as_json(body), headers) for body, headers in BAD_HANDSHAKES.values()])
    assert dict(zip(BAD_HANDSHAKES, map(told, answers), strict=True)) == dict.fromkeys(BAD_HANDSHAKES, (401, "unauthorized"))
    assert len(host.calls) == before


def test_a_handshake_needs_no_signature_at_the_capability_url(host: Devhost) -> None:
    response = deliver(host, f"plain/{capability(PLAIN)}", as_json(VERIFICATION), {})
    assert (response.status_code, response.json()) == (200, CHALLENGE)


def test_meta_asks_by_get(host: Devhost) -> None:
    before = len(host.calls)
    asked = {"hub.mode": "subscribe", "hub.challenge": "1158201444", "hub.verify_token": TOKEN}

    def get(path: str, **params: str) -> tuple[int, str]:
        response = httpx.get(f"{host.url}/webhook/{path}", params=params, timeout=DEADLINE_S)
        return response.status_code, response.text

    assert get("plain", **asked) == (200, "1158201444")
    assert get(f"plain/{capability(PLAIN)}", **asked | {"hub.verify_token": "x"}) == (200, "1158201444")
    for wrong in (asked | {"hub.verify_token": "another"}, asked | {"hub.mode": "publish"}, {"hub.verify_token": TOKEN}, {}):
        assert get("plain", **wrong)[0] == 401
    assert get("other", **asked)[0] == 401
    assert len(host.calls) == before


def test_cloud_events_ask_by_options(host: Devhost) -> None:
    before = len(host.calls)

    def ask(path: str, **headers: str) -> httpx.Response:
        origin = {"WebHook-Request-Origin": "eventemitter.example.com", **headers}
        return httpx.options(f"{host.url}/webhook/{path}", headers=origin, timeout=DEADLINE_S)

    for allowed in (ask(f"plain/{capability(PLAIN)}"), ask("plain", **AUTHORIZED)):
        assert allowed.status_code == 200
        assert allowed.headers["WebHook-Allowed-Origin"] == "eventemitter.example.com"
        assert allowed.headers["Allow"] == "POST"
        assert allowed.headers["WebHook-Allowed-Rate"]
    for refused in (ask("plain"), ask(f"other/{capability(PLAIN)}")):
        assert refused.status_code == 401
        assert "WebHook-Allowed-Origin" not in refused.headers
    event = {"ce-id": secrets.token_hex(4), "ce-source": "/pond", "ce-type": "example.frozen", "ce-specversion": "1.0"}
    answers = [
        deliver(host, f"plain/{capability(PLAIN)}", b"{}", event | changes) for changes in ({}, {}, {"ce-source": "/lake"})
    ]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len(host.calls) == before + 2, "an id is one sender's own"


# Ways


@pytest.mark.parametrize("name", ["feishu"])
def test_senders_are_let_in_however_duck_runs(duck: Duck, name: str) -> None:
    sender, app_id = SENDERS[name], duck.add(App(mode="workflow", script=WORKFLOW, form=WHOLE))
    body, headers = signed(sender)
    with patch.dict(duck.host.settings, webhook_secrets=f"{app_id}={sender.secret}"):
        for address in (app_id, f"{app_id}/{capability(app_id)}"):
            assert deliver(duck.host, address, body, headers).status_code == (200 if sender.needs_200 else 202)
        assert deliver(duck.host, app_id, b"{}", headers).status_code == 401
    calls = runs(duck.host, app_id)
    assert len(calls) in ({1, 2} if duck.way == "serverless" else {1}), "a second process knows nothing of the first"
    if name != "feishu":
        assert calls[0].inputs["payload"] == body.decode()


# What is sent

FORM = "application/x-www-form-urlencoded"
MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="action"\r\n\r\nopened\r\n'
    b'--b\r\nContent-Disposition: form-data; name="pics"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--b--\r\n'
)
# The content type, the body, and the whole of it as a text; None if the app gets none.
BODIES: dict[str, tuple[str, bytes, str | None]] = {
    "JSON": ("application/json", b'{"a": 1.0, "b": "\\u00fc"}', '{"a": 1.0, "b": "\\u00fc"}'),
    "JSON with another type": ("text/plain", b'{"a": 1}', '{"a": 1}'),
    "JSON with no type": ("", b'{"a": 1}', '{"a": 1}'),
    "a vendor's JSON": ("application/cloudevents+json", b'{"a": 1}', '{"a": 1}'),
    "a list": ("application/json", b'[{"a": 1}]', '[{"a": 1}]'),
    "a number": ("application/json", b"5", "5"),
    "broken JSON": ("application/json", b'{"a": ', '{"a": '),
    "bottomless JSON": ("application/json", b"[" * 100_000, "[" * 100_000),
    "JSON in Latin-1": ("application/json; charset=latin1", b'{"a": "caf\xe9"}', '{"a": "café"}'),
    "JSON in UTF-16": ("application/json; charset=utf-16", '{"a": "é"}'.encode("utf-16"), '{"a": "é"}'),
    "JSON with a byte order mark": ("application/json", b'\xef\xbb\xbf{"a": 1}', '{"a": 1}'),
    "JSON that is no UTF-8": ("application/json", b'{"a": "\xff"}', None),
    "XML": ("application/xml", "<a>ü</a>".encode(), "<a>ü</a>"),
    "XML in GBK": ("text/xml; charset=gbk", "<a>报告</a>".encode("gbk"), "<a>报告</a>"),
    "text": ("text/plain", b"hi", "hi"),
    "CSV in a charset that is none": ("text/csv; charset=none", b"a;b", "a;b"),
    "a form": (FORM, b"a=1&b[c]=2", "a=1&b[c]=2"),
    "a form with JSON": (FORM, b"payload=%7B%22a%22%3A+1%7D", '{"a": 1}'),
    "a form with JSON that is broken": (FORM, b"payload=%7B%22a%22", "payload=%7B%22a%22"),
    "PHP's empty object": (FORM, b"inputs=[]&a=1", "inputs=[]&a=1"),
    "parts and a file": ("multipart/form-data; boundary=b", MULTIPART, '{"action":"opened"}'),
    "broken parts": ("multipart/form-data; boundary=b", b"--b\r\nnothing", "--b\r\nnothing"),
    "binary": ("application/octet-stream", bytes(range(256)), None),
    "nothing": ("", b"", None),
    "an empty object": ("application/json", b"{}", "{}"),
}


@pytest.mark.parametrize(("content_type", "body", "text"), BODIES.values(), ids=BODIES.keys())
def test_the_whole_of_a_body_reaches_the_app(host: Devhost, content_type: str, body: bytes, text: str | None) -> None:
    headers = {**AUTHORIZED, "Content-Type": content_type} if content_type else AUTHORIZED
    response = httpx.post(
        f"{host.url}/webhook/plain?a=1&a=2&b=", content=body, headers={**headers, "X-One": "1"}, timeout=DEADLINE_S
    )
    assert response.status_code == 202, response.text
    inputs = runs(host, PLAIN)[-1].inputs
    assert (inputs.get("payload") or None, inputs.get("body") or None) == (text, text)
    assert inputs["query_params"] == {"a": ["1", "2"], "b": ""}
    assert inputs["headers"]["x-one"] == "1"
    assert inputs["headers"].get("content-type", "") == content_type
    assert KEY not in json.dumps(inputs)


# The content type, the body, and the inputs; a text is what the refusal says.
PLACED: dict[str, tuple[str, bytes, Any]] = {
    "fields of JSON": ("application/json", b'{"action": "opened", "number": 7, "more": [1]}', {"action": "opened", "number": 7}),
    "a number as a text": ("application/json", b'{"number": "7", "action": 5}', {"number": 7, "action": "5"}),
    "an object for a text": ("application/json", b'{"action": {"a": 1}}', {"action": '{"a":1}'}),
    "null": ("application/json", b'{"action": null}', {}),
    "fields of a form": (FORM, b"action=opened&number=7&x=y", {"action": "opened", "number": 7}),
    "JSON in a form": (FORM, b"payload=%7B%22action%22%3A%22opened%22%7D", {"action": "opened"}),
    "parts": ("multipart/form-data; boundary=b", MULTIPART, {"action": "opened"}),
    "a text that is too long": ("application/json", as_json({"action": "x" * 49}), "at most 48 characters"),
    "no number": ("application/json", b'{"number": "many"}', "must be a number"),
    "a field twice": (FORM, b"action=a&action=b", "given 2 times"),
    "a text for an object": ("text/plain", b"hi", "must be a JSON object"),
    "XML for an object": ("application/xml", b"<a/>", "must be a JSON object"),
    "a list for an object": ("application/json", b"[1]", "must be a JSON object"),
}


@pytest.mark.parametrize(("content_type", "body", "placed"), PLACED.values(), ids=PLACED.keys())
def test_fields_reach_the_inputs_of_their_names(host: Devhost, content_type: str, body: bytes, placed: Any) -> None:
    response = deliver(host, "fields", body, {**AUTHORIZED, "Content-Type": content_type})
    if isinstance(placed, str):
        assert told(response) == (400, "invalid_param")
        assert placed in response.json()["message"]
        return
    assert response.status_code == 202, response.text
    inputs = runs(host, FIELDS)[-1].inputs
    assert {name: value for name, value in inputs.items() if name in {"action", "number"} and value not in {None, ""}} == placed
    assert bool(inputs.get("pics")) == (body == MULTIPART)
    if body == MULTIPART:
        assert stored(host, inputs["pics"][0]) == ("a.png", b"\x89PNG")


def stored(host: Devhost, value: dict[str, Any]) -> tuple[str, bytes]:
    """Name and content of a file that reached an app."""
    file = host.files.find(value["tool_file_id"])
    assert file
    return file.name, file.content


@pytest.mark.parametrize(
    ("content_type", "body", "name"),
    [
        ("image/png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "file.png"),
        ("text/csv", b"a;b", "file.csv"),
        ("text/xml", b"<a/>", "file.xml"),
        ("text/plain", b"hi", "file.txt"),
    ],
)
def test_a_body_may_be_a_file(host: Devhost, content_type: str, body: bytes, name: str) -> None:
    response = deliver(host, "files", body, {**AUTHORIZED, "Content-Type": content_type})
    assert response.status_code == 202, response.text
    assert stored(host, runs(host, FILES)[-1].inputs["body"]) == (name, body)


def test_a_body_that_is_no_file_for_the_app_is_refused(host: Devhost) -> None:
    before = len(host.calls)
    for content_type, body in (("application/json", b"{}"), ("audio/mpeg", b"x"), (FORM, b"a=b")):
        response = deliver(host, "files", body, {**AUTHORIZED, "Content-Type": content_type})
        assert told(response) == (400, "invalid_param")
        assert "takes files of these kinds: document, image" in response.json()["message"]
    assert len(host.calls) == before


def test_a_chat_is_asked_what_was_sent(host: Devhost) -> None:
    for body, query in ((b'{"text": "hi", "a": 1}', "hi"), (b'{"a": 1}', '{"a": 1}'), (b"hello", "hello")):
        assert deliver(host, "chat", body, {**AUTHORIZED, "Content-Type": "text/plain"}).status_code == 202
        assert runs(host, CHAT)[-1].query == query
    assert told(deliver(host, "chat", b"", AUTHORIZED)) == (400, "invalid_param")


CORPORA: tuple[Mapping[str, Any], ...] = (UNDERSTOOD, REFUSED, CASES, HARMLESS)
CORPUS = {
    f"{name} ({number})": options[0]
    for number, corpus in enumerate(CORPORA)
    for name, options in corpus.items()
    if name != "a flood of headers"  # which takes Dify's SDK seconds on any route
}


@pytest.mark.parametrize("app_id", [PLAIN, FIELDS, FILES], ids=["plain", "fields", "files"])
@pytest.mark.parametrize("options", CORPUS.values(), ids=CORPUS.keys())
def test_whatever_is_sent_is_taken_or_refused_with_a_reason(host: Devhost, options: Any, app_id: str) -> None:
    """What other tests send to other routes."""
    request, before = make_request(**{**options, "path": options.get("path", "/x")}), len(host.calls)
    headers = [(name, value) for name, value in request.headers.items() if name not in {"Host", "Content-Length"}]
    response = httpx.request(
        request.method,
        f"{host.url}/webhook/{app_id}?{request.query_string.decode('latin-1')}",
        content=request.get_data(),
        headers=[(name.encode(), value.encode()) for name, value in headers],
        timeout=DEADLINE_S,
    )
    if response.status_code == 202:
        assert len(host.calls) == before + 1
        assert host.calls[-1].app_id == app_id
    else:
        assert 400 <= response.status_code < 500, response.text
        assert response.json()["message"]
        assert len(response.content) < 10_000
        assert len(host.calls) == before
