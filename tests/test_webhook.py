"""Webhooks: who may send, what the sender is answered, and that a delivery runs once."""

import hashlib
import hmac
import re
import threading
import time
from dataclasses import replace
from typing import Any

import httpx
import pytest

from duck import limits
from duck import state as states
from duck.state import State
from tests.api import Api, refused, sse
from tests.openai_calls import App
from tests.support import APP, KEY, Log, basic, blocking_sample, body_of, http_error, json_of, sample
from tests.test_long_runs import RUN, Slow, wait_for_runs
from tests.webhook_calls import (
    BY_KEY,
    OTHER,
    PUBLIC,
    SECRET,
    SETTINGS,
    VERIFY,
    chat,
    form,
    github,
    hook,
    inputs,
    opens,
    refusal,
    send,
    signed,
)

# Who may send


def test_a_key_may_send() -> None:
    assert json_of(send()) == {
        "accepted": True,
        "status": "succeeded",
        "workflow_run_id": RUN,
        "task_id": "0f3c9d52-7a41-4c1e-9b7e-3a1d5e2f8c10",
    }
    assert send(key=None, headers=basic(KEY)).status_code == 202
    assert refusal(send(key="a-wrong-key"))[0] == refusal(send(key=None))[0] == 401


@pytest.mark.parametrize("secret", [SECRET, "an-older-secret", VERIFY])
def test_each_secret_of_the_app_may_have_signed(secret: str) -> None:
    assert send(body=b"{}", key=None, headers=github(b"{}", secret)).status_code == 202


def test_a_wrong_signature_is_refused_with_the_reason() -> None:
    wrong: dict[str, Any] = {"body": b"{}", "headers": github(b"{}", "a-secret-of-other")}
    message = "The signature does not fit this body and a secret of this app in the setting Webhook secrets (webhook_secrets)."
    assert refusal(send(**wrong, key=None)) == (401, message)
    assert refusal(send(**wrong, key=None, settings=PUBLIC))[0] == 401, "also for an app that needs none"
    assert refusal(send(**wrong, key=None, settings={**SETTINGS, "webhook_secrets": ""})) == (401, message)
    assert refusal(send(**wrong, key=None, name="nothing")) == (401, message), "nobody learns which apps there are"
    assert send(**wrong).status_code == 202, "one valid credential is enough"
    assert send(**wrong, key=None, capability=opens()).status_code == 202
    assert send(body=b"{}", key="a-wrong-key", headers=github(b"{}")).status_code == 202


def test_a_wrong_signature_is_slow_to_guess(state: State) -> None:
    slept: list[float] = []
    state.clock = type("Clock", (), {"now": staticmethod(time.monotonic), "sleep": staticmethod(slept.append)})()
    for _ in range(25):
        send(body=b"{}", key=None, headers=github(b"{}", "a-wrong-secret"))
    assert slept == [1.0] * 5


@pytest.mark.parametrize("key", [KEY, "another-right-key"])
def test_an_address_may_open_one_apps_webhook(key: str) -> None:
    assert send(key=None, capability=opens(key=key)).status_code == 202
    assert send(key=None, capability=opens(key=key), name=APP).status_code == 202
    for wrong in (
        {"capability": opens(OTHER, key)},
        {"capability": opens(key=key), "name": "other"},
        {"capability": opens(key=key), "settings": {**SETTINGS, "api_key": "a-changed-key"}},
        {"capability": opens(key=key), "settings": {**SETTINGS, "api_key": ""}},
        {"capability": opens(key=key)[:-1]},
        {"capability": ""},
        {"capability": "ü"},
        {"capability": opens(key=key), "settings": {**SETTINGS, "public_apps": "other", "api_key": "another-key"}},
    ):
        assert refusal(send(key=None, **wrong))[0] == 401
    assert refusal(send(key=None, capability=opens(), name="nothing"))[0] == 401
    assert send(capability="wrong").status_code == 202, "one valid credential is enough"


def test_an_app_that_needs_no_key_needs_none_here() -> None:
    assert send(key=None, settings=PUBLIC).status_code == 202
    assert refusal(send(key=None, settings=PUBLIC, capability="wrong"))[0] == 401


def test_pages_of_other_sites_may_not_send() -> None:
    other = {"Sec-Fetch-Site": "cross-site"}
    assert refusal(send(key=None, headers={**basic(KEY), **other}))[0] == 403
    assert refusal(send(key=None, headers=other, settings=PUBLIC))[0] == 403
    assert send(key=None, headers=other, capability=opens()).status_code == 202


def test_senders_are_one_user_of_dify(api: Api) -> None:
    api.answers["/workflows/run"] = lambda _: sse(*sample("workflow"))
    api.answers["/info"] = {"mode": "workflow"}
    send(**signed({}), settings=BY_KEY)
    assert [body["user"] for body in api.bodies("/workflows/run")] == ["webhook"]


def test_guests_fill_no_hidden_inputs() -> None:
    hidden = form(shown="text-input", kept="text-input")
    hidden["user_input_form"][1]["text-input"]["hide"] = True
    app = App("workflow", form=hidden, blocking=blocking_sample("workflow"))
    body = {"shown": "a", "kept": "b"}
    assert inputs(app, body, key=None, settings=PUBLIC) == {"shown": "a"}
    app.calls.clear()
    assert inputs(app, body) == body


# The answer


def test_a_failed_run_was_accepted() -> None:
    failed = blocking_sample("workflow")
    failed["data"] |= {"status": "failed", "error": "No."}
    app = App("workflow", form=form(a="text-input"), blocking=failed)
    assert json_of(send(app, **signed({})))["status"] == "failed"
    assert json_of(send(app, **signed({})))["status"] == "failed"
    assert len(app.calls) == 1


def test_a_run_that_waits_for_a_person_was_accepted(api: Api) -> None:
    paused = {**blocking_sample("chat"), "event": "workflow_paused"}
    app = App("chat", form=form(city="text-input"), blocking=paused)
    assert json_of(send(app, b"hi"))["status"] == "paused"
    assert api.requests == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_run_that_could_not_begin_is_an_error_and_may_come_again(status: int) -> None:
    app = App("workflow", form=form(a="text-input"), blocking=http_error(status, "x", "No."))
    delivery = signed({"a": "b"}, **{"X-GitHub-Delivery": "d"})
    assert send(app, **delivery).status_code >= 400
    app._blocking = blocking_sample("workflow")  # noqa: SLF001 - Dify has recovered
    assert send(app, **delivery).status_code == 202
    assert send(app, **delivery).status_code == 202
    assert len(app.calls) == 2


def test_an_app_with_its_own_key_answers_at_once(api: Api, state: State) -> None:
    api.answers["/info"] = {"mode": "workflow"}
    slow = Slow(sample("workflow"))
    api.answers["/workflows/run"] = slow
    response = send(settings=BY_KEY)
    assert response.status_code == 202
    assert json_of(response) == {
        "accepted": True,
        "status": "running",
        "run_id": RUN,
        "workflow_run_id": RUN,
        "task_id": "0f3c9d52-7a41-4c1e-9b7e-3a1d5e2f8c10",
    }
    slow.end(state)


@pytest.mark.parametrize("mode", ["chat", "workflow"])
def test_it_does_not_wait_for_a_slow_first_event(
    api: Api, state: State, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    """The run goes on, and if it fails then, the log says so."""
    monkeypatch.setattr(limits, "ACCEPTED_S", 0.01)
    go_on, over = threading.Event(), threading.Event()
    path = {"chat": "/chat-messages", "workflow": "/workflows/run"}[mode]

    def answer(_: Any) -> Any:
        assert go_on.wait(60)
        over.set()
        return refused(400, "provider_not_initialize", "No model.")

    api.answers |= {"/info": {"mode": mode}, path: answer}
    assert json_of(send(body=b"hi", settings=BY_KEY)) == {"accepted": True, "status": "running"}
    assert len(state.slots) == 1
    go_on.set()
    wait_for_runs(state)
    assert over.is_set()
    [line] = [record.getMessage() for record in caplog.records if "failed later" in record.getMessage()]
    assert line == f"POST /webhook/<app_id> app={APP} failed later: provider_not_initialize"


def test_a_delivery_whose_run_does_not_begin_after_all_may_come_again(
    api: Api, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ACCEPTED_S", 0.01)
    go_on = threading.Event()

    def answer(_: Any) -> Any:
        assert go_on.wait(60)
        return refused(429, "rate_limit_error", "Busy.")

    api.answers |= {"/info": {"mode": "chat"}, "/chat-messages": answer}
    delivery = signed({"text": "hi"}, **{"X-GitHub-Delivery": "d"})
    for count in (1, 2):
        assert json_of(send(settings=BY_KEY, **delivery)) == {"accepted": True, "status": "running"}
        go_on.set()
        wait_for_runs(state)
        assert len(api.bodies("/chat-messages")) == count
        go_on.clear()


def test_a_delivery_whose_run_breaks_off_later_has_run(api: Api, state: State, caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow(sample("chat"), httpx.ReadError("broken"))
    api.answers |= {"/info": {"mode": "chat"}, "/chat-messages": slow}
    delivery = signed({"text": "hi"}, **{"X-GitHub-Delivery": "d"})
    first = body_of(send(settings=BY_KEY, **delivery))
    slow.end(state)
    assert "failed later" in caplog.text
    assert body_of(send(settings=BY_KEY, **delivery)) == first
    assert len(api.bodies("/chat-messages")) == 1


def test_a_failure_before_the_answer_is_told_and_not_logged_twice(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.answers |= {"/info": {"mode": "chat"}, "/chat-messages": refused(400, "provider_not_initialize", "No model.")}
    assert send(body=b"hi", settings=BY_KEY).status_code >= 400
    assert "failed later" not in caplog.text


@pytest.mark.parametrize(("mode", "status"), [("advanced-chat", "running"), ("chat", "succeeded")])
def test_where_a_function_ends_with_its_answer_it_waits_for_what_would_be_lost(api: Api, mode: str, status: str) -> None:
    states.use(replace(states.current(), run_s=limits.SERVERLESS_RUN_S))
    api.answers["/info"] = {"mode": mode}
    assert json_of(send(body=b"hi", settings=BY_KEY))["status"] == status


# Once


def test_a_delivery_runs_once() -> None:
    app = hook(a="text-input")
    first, second = (send(app, **signed({"a": 1}, **{"X-GitHub-Delivery": "d-1"})) for _ in range(2))
    assert body_of(first) == body_of(second)
    assert (first.status_code, second.status_code) == (202, 202)
    assert len(app.calls) == 1
    send(app, **signed({"a": 1}, **{"X-GitHub-Delivery": "d-2"}))
    assert len(app.calls) == 2


def test_a_delivery_by_another_way_or_to_another_app_is_another() -> None:
    app = hook(a="text-input")
    headers = {"Idempotency-Key": "1"}
    ways: list[dict[str, Any]] = [{}, {"key": "another-right-key"}, {"name": "other"}, {"key": None, "capability": opens()}]
    for options in (*ways, {"headers": {**headers, "Dify-Hook-Id": "another"}}):
        assert send(app, b"{}", **{"headers": headers, **options}).status_code == 202
    assert len(app.calls) == 5


def test_an_id_alone_gets_nothing_that_was_answered_to_others() -> None:
    app = hook(a="text-input")
    headers = {"Idempotency-Key": "1"}
    answers = [
        json_of(send(app, {"a": text}, key=None, settings=PUBLIC, headers=headers)) for text in ("mine", "another's", "mine")
    ]
    assert answers == [{"accepted": True, "status": "succeeded"}] * 3, "guests are not told the ids of a run"
    assert [call["inputs"] for call in app.calls] == [{"a": "mine"}, {"a": "another's"}]
    for body in ({"a": "b"}, {"a": "c"}, b"\xff", b"\xfe"):
        send(app, body, headers=headers)
    assert len(app.calls) == 6


def test_an_id_is_another_with_another_query_string() -> None:
    app = hook(a="text-input")
    for query in ("a=1", "a=2", "a=2"):
        send(app, headers={"Idempotency-Key": "1"}, query=query)
    assert [call["inputs"] for call in app.calls] == [{"a": "1"}, {"a": "2"}]


def test_headers_of_others_do_not_hide_a_valid_signature(log: Log) -> None:
    others = {"webhook-signature": "v1,x", "X-Slack-Signature": "v0=x", "X-Shopify-Topic": "orders/create"}
    assert send(body=b"{}", key=None, headers={**github(b"{}"), **others}).status_code == 202
    assert "by=signature sender=github" in log.line()


def test_without_an_id_each_is_another() -> None:
    app = hook(a="text-input")
    assert [send(app, {"id": "1"}).status_code for _ in range(2)] == [202, 202]
    assert len(app.calls) == 2


# What each sender wants to hear


def test_slacks_commands_are_answered_with_an_empty_200() -> None:
    body, now = b"token=x&command=%2Fduck&text=hello&trigger_id=1.2", str(int(time.time()))
    signature = hmac.new(SECRET.encode(), f"v0:{now}:".encode() + body, hashlib.sha256).hexdigest()
    app = chat()
    response = send(
        app,
        body,
        key=None,
        content_type="application/x-www-form-urlencoded",
        headers={"X-Slack-Request-Timestamp": now, "X-Slack-Signature": f"v0={signature}"},
    )
    assert (response.status_code, body_of(response)) == (200, b"")
    assert [call["query"] for call in app.calls] == ["hello"]


def test_some_know_no_other_success_than_200() -> None:
    signature = hmac.new(SECRET.encode(), b"{}", hashlib.sha256).hexdigest()
    response = send(body=b"{}", key=None, headers={"X-Hub-Signature-256": f"sha256={signature}"})
    assert (response.status_code, json_of(response)["accepted"]) == (200, True)


# The log


def test_the_log_tells_the_sender_and_how_it_was_let_in(log: Log) -> None:
    secret = "needle in the payload"
    delivery = signed({"a": secret}, **{"X-GitHub-Delivery": "d-9"})
    app = hook(a="text-input")
    send(app, **delivery)
    send(app, **delivery)
    send(app, b"{}", key=None, capability=opens())
    send(app, b"{}", key=None, headers=github(b"{}", "a-wrong-secret"))
    first, again, by_url, wrong = log.lines()
    assert re.match(rf"POST /webhook/<app_id> 202 app={APP} kind=workflow by=signature sender=github .* end=complete$", first)
    assert again.endswith("end=repeated")
    assert re.match(rf"POST /webhook/<app_id>/<capability> 202 app={APP} kind=workflow by=url first=", by_url)
    assert wrong.endswith("end=unauthorized")
    assert not any(word in line for line in log.lines() for word in (secret, opens(), SECRET, "d-9"))
