"""What of a webhook reaches the app."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duck import limits
from duck import state as states
from duck.faces.webhook import serve
from duck.state import State
from tests.fuzzing import JSON
from tests.openai_calls import App
from tests.support import KEY, Dify, body_of, http_error, json_of, sample
from tests.webhook_calls import PUBLIC, SECRET, SETTINGS, chat, form, github, hook, inputs, opens, refusal, send, signed

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
        ("application/xml", "file.xml", "application/xml"),
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
