"""Webhooks: who may send, what reaches the app, and that a delivery runs once."""

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given
from hypothesis import strategies as st
from werkzeug import Response

from duck import limits
from duck import state as states
from duck.dify.session import SessionGateway
from duck.faces.webhook import serve
from duck.state import State
from tests import api as service
from tests.api import Api, refused, sse
from tests.fuzzing import JSON
from tests.openai_calls import App
from tests.support import APP, KEY, Dify, basic, blocking_sample, body_of, http_error, json_of, make_request, sample
from tests.test_journal import Log
from tests.test_long_runs import RUN, Slow

log = pytest.fixture(lambda caplog: (caplog.set_level("INFO", logger="duck"), Log(caplog))[1])

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
    assert refusal(send(**wrong, key=None)) == (401, "The signature does not fit this body and a secret of this app.")
    assert refusal(send(**wrong, key=None, settings=PUBLIC))[0] == 401, "also for an app that needs none"
    assert refusal(send(**wrong, key=None, settings={**SETTINGS, "webhook_secrets": ""})) == (
        401,
        "The signature cannot be verified: this app has no secret in the setting Webhook secrets (webhook_secrets).",
    )
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


# What reaches the app


EVENT = {"action": "opened", "issue": {"number": 7}, "count": 3, "draft": True, "none": None, "labels": ["a", "b"]}


def test_variables_called_payload_or_body_get_all_of_it() -> None:
    text = json.dumps(EVENT)
    assert inputs(hook(payload="json_object", body="paragraph"), text) == {"payload": EVENT, "body": text}
    assert inputs(hook(payload="paragraph", body="text-input"), b"hello") == {"payload": "hello", "body": "hello"}
    assert inputs(hook(payload="json_object"), b"a=1&b=2&b=3", content_type="application/x-www-form-urlencoded") == {
        "payload": {"a": "1", "b": ["2", "3"]}
    }
    assert inputs(hook(body="paragraph"), b"a=1", content_type="application/x-www-form-urlencoded") == {"body": "a=1"}
    assert inputs(hook(payload="json_object"), {"payload": {"object": 1}}) == {"payload": {"payload": {"object": 1}}}


def test_fields_become_the_inputs_of_their_names() -> None:
    app = hook(
        action="text-input",
        issue="paragraph",
        count="number",
        draft="checkbox",
        labels="paragraph",
        none="text-input",
        x="number",
    )
    assert inputs(app, {**EVENT, "unknown": 1}) == {
        "action": "opened",
        "issue": '{"number":7}',
        "count": 3,
        "draft": True,
        "labels": '["a","b"]',
    }


@pytest.mark.parametrize(
    ("control", "value", "given"),
    [
        ("text-input", 1.5, "1.5"),
        ("text-input", False, "false"),
        ("paragraph", "  kept\n", "  kept\n"),
        ("number", "7", 7),
        ("number", 7.5, 7.5),
        ("checkbox", "yes", True),
        ("select", 1, "1"),
        ("json_object", {"a": 1}, {"a": 1}),
        ("json_object", '{"a": 1}', {"a": 1}),
        (
            "file",
            "https://x.example/a.pdf",
            {"type": "document", "transfer_method": "remote_url", "url": "https://x.example/a.pdf"},
        ),
    ],
)
def test_senders_know_nothing_of_an_apps_types(control: str, value: Any, given: Any) -> None:
    assert inputs(hook(x=control), {"x": value}) == {"x": given}


@pytest.mark.parametrize(
    ("control", "value"), [("number", "many"), ("json_object", [1]), ("select", "closed"), ("number", {"a": 1})]
)
def test_what_the_form_refuses_is_an_error(control: str, value: Any) -> None:
    app = hook(x=control)
    status, message = refusal(send(app, {"x": value}))
    assert status == 400
    assert message.startswith("inputs.x: ")
    assert app.calls == []


def test_a_missing_input_is_an_error() -> None:
    assert refusal(send(hook(x="number!"), {"y": 1})) == (400, "inputs.x: required")


def test_the_address_may_fill_inputs_too() -> None:
    app = hook(source="text-input", action="text-input", query_params="json_object")
    assert inputs(app, {"action": "opened"}, query="source=cron&action=no&a=1&a=2") == {
        "source": "cron",
        "action": "opened",
        "query_params": {"source": "cron", "action": "no", "a": ["1", "2"]},
    }


def test_headers_reach_the_app_without_what_lets_their_sender_in() -> None:
    body = b'{"a": 1}'
    sent = {
        **github(body, **{"X-GitHub-Delivery": "d1"}),
        "Cookie": "session=1",
        "X-API-Key": KEY,
        "Api-Key": KEY,
        "Dify-Hook-Id": "hook-1",
        "Dify-Hook-Url": f"https://dify.example/e/hook-1/webhook/hook/{opens()}",
        "Referer": f"https://dify.example/e/hook-1/webhook/hook/{opens()}",
        "X-Note": f"by {SECRET}",
    }
    arrived = inputs(hook(headers="json_object"), body, capability=opens(), headers=sent)["headers"]
    assert arrived == {
        "host": "localhost",
        "content-length": "8",
        "x-github-event": "issues",
        "x-github-delivery": "d1",
    }
    del sent["X-GitHub-Delivery"], arrived["x-github-delivery"]
    assert json.loads(inputs(hook(headers="paragraph"), body, headers=sent)["headers"]) == arrived


def test_a_workflow_without_such_names_gets_the_body_as_its_text() -> None:
    assert inputs(hook(text="paragraph!"), b"hello") == {"text": "hello"}
    assert inputs(hook(question="paragraph", tone="text-input"), {"a": 1}) == {"question": '{"a":1}'.replace(":", ": ")}
    assert inputs(hook(a="text-input", question="paragraph"), {"a": 1}) == {"a": "1"}, "something has reached it"
    assert inputs(hook(one="text-input", two="text-input"), b"hello") == {}
    assert inputs(hook(text="paragraph"), b"") == {}


@pytest.mark.parametrize(
    ("body", "query"),
    [
        ({"query": "Who?", "text": "no"}, "Who?"),
        ({"text": "How?", "message": "no"}, "How?"),
        ({"message": {"text": "no"}}, '{"message": {"text": "no"}}'),
        ({"text": " "}, '{"text": " "}'),
        (b" What is up? \n", "What is up?"),
        ({"event": {"text": "hi"}}, '{"event": {"text": "hi"}}'),
    ],
)
def test_a_chat_is_asked_what_the_sender_calls_so_or_the_body(body: Any, query: str) -> None:
    app = chat()
    assert send(app, body).status_code == 202
    assert [call["query"] for call in app.calls] == [query]


@pytest.mark.parametrize("body", [None, b"", b" \n", b"0\r\n\r\n", b"\xff\xfe\xfa"])
def test_a_chat_is_not_asked_nothing(body: Any) -> None:
    assert refusal(send(chat(), body)) == (
        400,
        "query: the body is empty, or no text: a chat is asked what the body says",
    )


def test_an_agent_app_runs_too() -> None:
    agent = App(
        "chat",
        form=form(city="text-input"),
        blocking=http_error(400, "invalid_param", "Agent Chat App does not support blocking mode"),
        stream=sample("agent-chat"),
    )
    assert json_of(send(agent, b"hi"))["status"] == "succeeded"


@pytest.mark.parametrize(
    ("body", "content_type", "fields"),
    [
        (b'{"a": "v"}', "application/json", {"a": "v"}),
        (b'\xef\xbb\xbf {"a": "v"}', "application/json; charset=utf-8", {"a": "v"}),
        (b'{"a": "v"}', "text/plain", {"a": "v"}),
        (b'{"a": "v"}', "application/x-www-form-urlencoded", {"a": "v"}),
        (b'{"a": "v"}', "application/cloudevents+json", {"a": "v"}),
        (b'{"a": "v"}', "", {"a": "v"}),
        ('{"a": "é"}'.encode("latin-1"), "application/json; charset=iso-8859-1", {"a": "é"}),
        (b'{"a": "v"', "application/json", {}),
        (b"a=v&b=%20y", "application/x-www-form-urlencoded", {"a": "v", "b": " y"}),
        (b"a=v&a=y&a[b]=z", "application/x-www-form-urlencoded", {}),
        (b"payload=%7B%22a%22%3A%22v%22%7D&b=y", "application/x-www-form-urlencoded", {"a": "v", "b": "y"}),
        (b"payload=x&a=y", "application/x-www-form-urlencoded", {"a": "y"}),
        (b"payload={", "application/x-www-form-urlencoded", {}),
        (b"<a>x</a>", "application/xml", {}),
        (b"[1, 2]", "application/json", {}),
        (b"a,b\n1,2", "text/csv", {}),
        (b"\x89PNG\xff", "image/png", {}),
    ],
)
def test_a_body_of_any_type_has_the_fields_that_it_has(body: bytes, content_type: str, fields: Mapping[str, str]) -> None:
    app = hook(a="text-input", b="text-input", other="text-input")
    assert inputs(app, body, content_type=content_type) == fields


def test_a_form_may_wrap_json() -> None:
    wrapped = b"payload=%7B%22a%22%3A%22v%22%7D"
    options = {"content_type": "application/x-www-form-urlencoded"}
    assert inputs(hook(payload="json_object", body="paragraph"), wrapped, **options) == {
        "payload": {"a": "v"},
        "body": '{"a":"v"}',
    }


def test_parts_of_a_multipart_body_are_fields_and_files() -> None:
    data = {"subject": "Hi", "text": "Hello", "scan": (BytesIO(b"%PDF-1"), "a.pdf"), "other": (BytesIO(b"x"), "b.pdf")}
    app = hook(subject="text-input", scan="file", payload="json_object", body="paragraph")
    response = send(app, data=data)
    assert response.status_code == 202, body_of(response)
    [call] = app.calls
    assert app.uploaded == [("a.pdf", b"%PDF-1", "application/pdf")]
    assert call["inputs"]["scan"]["transfer_method"] == "tool_file"
    assert call["inputs"]["payload"] == {"subject": "Hi", "text": "Hello"}
    assert json.loads(call["inputs"]["body"]) == call["inputs"]["payload"]
    empty = hook(a="text-input")
    assert send(empty, data=b"--x--", content_type="multipart/form-data; boundary=y").status_code == 202


@pytest.mark.parametrize(
    ("content_type", "name", "type_"),
    [
        ("image/png", "file.png", "image/png"),
        ("application/octet-stream", "file.bin", "application/octet-stream"),
        ("a b/c", "file.bin", "application/octet-stream"),
    ],
)
def test_a_body_may_be_a_file(content_type: str, name: str, type_: str) -> None:
    app = hook(payload="file")
    response = send(app, b"\x89PNG\xff", content_type=content_type)
    assert response.status_code == 202, body_of(response)
    assert app.uploaded == [(name, b"\x89PNG\xff", type_)]
    assert inputs(hook(payload="file"), b"") == {}


def test_what_is_no_text_does_not_fill_a_text() -> None:
    assert inputs(hook(payload="paragraph"), b"\xff\xfe\xfa", content_type="image/png") == {}
    assert inputs(hook(payload="paragraph"), "Grüße".encode("cp1252"), content_type="text/plain; charset=cp1252") == {
        "payload": "Grüße"
    }
    assert refusal(send(hook(payload="paragraph!"), b"\xff", content_type="image/png")) == (400, "inputs.payload: required")


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"data": b"x" * (limits.MAX_PAYLOAD + 1)}, 413),
        ({"data": b"x", "headers": {"Content-Encoding": "gzip"}}, 415),
        ({"query": "a=%ff"}, 400),
    ],
)
def test_what_cannot_be_read_is_refused(options: Any, status: int) -> None:
    assert refusal(send(**options))[0] == status


@pytest.mark.parametrize(("answer", "status"), [(None, 404), ({"user_input_form": "?"}, 502)])
def test_without_a_form_a_delivery_is_refused_and_may_come_again(answer: Any, status: int) -> None:
    app = hook()
    app._form = answer  # noqa: SLF001 - a form that nothing else makes
    assert refusal(send(app, b"{}"))[0] == status
    assert app.calls == []


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
    deadline = time.monotonic() + 60
    while len(state.slots) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert over.is_set()
    [line] = [record.getMessage() for record in caplog.records if "failed later" in record.getMessage()]
    assert line == f"POST /webhook/<app_id> app={APP} failed later: provider_not_initialize"


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


def test_zoom_gets_its_token_back_signed() -> None:
    body = json.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": "p-1"}}).encode()
    now = str(int(time.time()))

    def code(secret: str, text: str) -> str:
        return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    headers = {"x-zm-request-timestamp": now, "x-zm-signature": "v0=" + code(SECRET, f"v0:{now}:{body.decode()}")}
    assert json_of(send(body=body, key=None, headers=headers)) == {"plainToken": "p-1", "encryptedToken": code(SECRET, "p-1")}
    by_address = json_of(send(body=body, key=None, capability=opens()))
    assert by_address["encryptedToken"] == code("an-older-secret", "p-1"), "the first secret, if nothing tells which"
    without = refusal(send(body=body, settings={**SETTINGS, "webhook_secrets": ""}))
    assert without == (400, "Zoom's validation needs its secret token in the setting Webhook secrets (webhook_secrets).")


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


# What a payload would fill in


def preview(dify: Dify, body: Any, **options: Any) -> Any:
    return json_of(send(dify, body, handler=serve.preview, **options))


def test_a_preview_tells_what_a_payload_would_fill_in_and_runs_nothing() -> None:
    app = hook(action="text-input", count="number", payload="json_object", scan="file")
    assert preview(app, {**EVENT, "unknown": 1}) == {
        "kind": "workflow",
        "inputs": {"action": "opened", "count": 3, "payload": {**EVENT, "unknown": 1}},
        "faults": [],
    }
    assert preview(app, None, data={"scan": (BytesIO(b"%PDF-1"), "a.pdf")})["inputs"]["scan"] == {
        "name": "a.pdf",
        "type": "application/pdf",
        "size": 6,
    }
    assert (app.calls, app.uploaded) == ([], [])


def test_a_preview_tells_what_a_chat_would_be_asked() -> None:
    app = chat()
    assert preview(app, {"text": "Why?", "city": "Bonn"}) == {
        "kind": "chat",
        "query": "Why?",
        "inputs": {"city": "Bonn"},
        "faults": [],
    }
    assert (app.calls, app.uploaded) == ([], [])


def test_a_preview_tells_what_the_app_would_refuse() -> None:
    app = hook(count="number", name="text-input!")
    found = preview(app, {"count": "many"})
    assert found["inputs"] == {"count": "many"}
    assert {fault["field"] for fault in found["faults"]} == {"inputs.count", "inputs.name"}
    assert refusal(send(App("workflow", form={"user_input_form": 3}), {}, handler=serve.preview))[0] == 502
    refuses = {**SETTINGS, "public_rate": "1"}
    assert send(app, {}, handler=serve.preview, settings=refuses).status_code == 200


def test_a_preview_is_for_holders_of_a_key() -> None:
    for options in ({"key": None}, {"key": None, "settings": PUBLIC}, {**signed({})}, {"key": None, "capability": opens()}):
        assert refusal(send(handler=serve.preview, **options))[0] == 401


# Whatever comes

_CONTENT_TYPES = st.sampled_from(
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "text/plain; charset=utf-16",
        "x",
        "",
    ]
)
_HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "X-GitHub-Event",
            "X-Hub-Signature-256",
            "Stripe-Signature",
            "webhook-signature",
            "webhook-timestamp",
            "webhook-id",
            "X-Slack-Signature",
            "X-Slack-Request-Timestamp",
            "X-Lark-Signature",
            "X-Lark-Request-Timestamp",
            "ce-id",
            "Cookie",
        ]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=12)
    | st.sampled_from(["t=1,v1=a", "v1,a v1,b", "1", "ping"]),
    max_size=4,
)
_BODIES = (
    JSON.map(lambda value: json.dumps(value, allow_nan=True).encode("utf-8", "surrogatepass"))
    | st.binary(max_size=60)
    | st.sampled_from(
        [b"payload={}&a[b]=1", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--', b"{", b"a=1&a=2"]
    )
    | st.sampled_from([json.dumps({"encrypt": "AAAA" * n}).encode() for n in (0, 8, 12)])
)


@given(body=_BODIES, content_type=_CONTENT_TYPES, headers=_HEADERS, key=st.sampled_from([KEY, None]), is_chat=st.booleans())
def test_no_delivery_makes_a_500(body: bytes, content_type: str, headers: dict[str, str], key: str | None, is_chat: bool) -> None:
    states.use(State())
    app = chat(a="text-input") if is_chat else hook(a="text-input", payload="json_object", body="paragraph", headers="paragraph")
    for handler in (serve.deliver, serve.preview):
        response = send(app, body, content_type=content_type, headers=headers, key=key, handler=handler)
        assert response.status_code in {200, 202, 400, 401, 415}, body_of(response)
        if response.status_code >= 400:
            assert refusal(response)[1]
