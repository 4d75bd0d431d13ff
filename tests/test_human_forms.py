"""Forms for which runs wait, through a Service API that plays a script."""

import json
import logging
from io import BytesIO
from typing import Any

import httpx
import pytest
from werkzeug import Response

from duck.dify import parts
from duck.dify.parser import Parser
from duck.faces.api import serve
from tests.api import SETTINGS as OWN_KEY
from tests.api import Api, refused, sse
from tests.support import APP, KEY, Dify, body_of, call, json_of, make_request, recorded, sample
from tests.test_long_runs import (
    CHAT_ID,
    CONVERSATION,
    DETAILS,
    ENDPOINT,
    EVENTS,
    MESSAGE,
    PUBLIC,
    RUN,
    app_of,
    details,
    error_of,
    fetch,
)

TOKEN = "tok_3fQ…"
PATH = f"/form/human_input/{TOKEN}"
UPLOAD = {"type": "image", "transfer_method": "local_file", "upload_file_id": "u1"}
LINK = {"type": "image", "transfer_method": "remote_url", "url": "https://x.example/a.png"}
FORM: dict[str, Any] = {
    "form_content": "Please review: {{#$output.comment#}}",
    "inputs": [
        {"type": "paragraph", "output_variable_name": "comment", "default": {"type": "constant", "value": "Nothing."}},
        {"type": "select", "output_variable_name": "level", "option_source": {"type": "constant", "value": ["low", "high"]}},
        {"type": "file-list", "output_variable_name": "evidence", "number_limits": 2, "allowed_file_types": ["image"]},
    ],
    "resolved_default_values": {},
    "user_actions": [
        {"id": "approve", "title": "Approve", "button_style": "primary"},
        {"id": "reject", "title": "Reject", "button_style": "default"},
    ],
    "expiration_time": 1784259200,
}
WITH_FILE = {**FORM, "inputs": [{"type": "file", "output_variable_name": "paper"}]}


@pytest.fixture(autouse=True)
def workflow(api: Api) -> None:
    """A workflow whose form can be filled in."""
    app_of(api, "workflow")

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=FORM if request.method == "GET" else {})

    api.answers[PATH] = answer


def form(method: str = "GET", *, settings: Any = OWN_KEY, token: str = TOKEN, **options: Any) -> Response:
    request = make_request(method, f"/form/{APP}/{token}", **options)
    return serve.form(request, APP, token, settings, ENDPOINT.gateway())


def submit(body: Any, **options: Any) -> Response:
    return form("POST", json=body, **options)


def submitted(api: Api) -> list[Any]:
    return [json.loads(each.content) for each in api.requests if each.method == "POST" and "/form/" in each.url.path]


# The pause


def paused(kind: Any, name: str, style: str, mode: str, api: Api, **options: Any) -> Response:
    path = "/workflows/run" if kind == "workflow" else "/chat-messages"
    blocking = recorded("workflow.blocking.paused" if kind == "workflow" else "advanced-chat.blocking.paused")
    api.answers[path] = blocking if mode == "blocking" and style == "json" else sse(*sample(name))
    body = {"response_mode": mode, **({"query": "hi"} if kind == "chat" else {})}
    return call(
        Dify(sample("workflow.paused")),
        kind,
        **{"path": f"/{kind}/{APP}?format={style}", "settings": OWN_KEY, "json": body, **options},
    )


NAMED: dict[str, Any] = {
    "form_token": TOKEN,
    "url": f"../form/{APP}/tok_3fQ%E2%80%A6",
    "node_title": "Review",
    "expiration_time": 1784259200,
}


@pytest.mark.parametrize("mode", ["blocking", "streaming"])
def test_an_answer_names_the_form_for_which_the_run_waits(api: Api, mode: str) -> None:
    found = json_of(paused("workflow", "workflow.paused", "json", mode, api))
    assert found["forms"] == [NAMED]
    assert found["data"]["status"] == "paused"
    if mode == "blocking":
        assert {**found, "forms": None} == {**recorded("workflow.blocking.paused"), "forms": None}


def test_a_chatflows_answer_names_it_too(api: Api) -> None:
    found = json_of(paused("chat", "", "json", "blocking", api))
    assert [each["form_token"] for each in found["forms"]] == [
        each["form_token"] for each in recorded("advanced-chat.blocking.paused")["data"]["reasons"]
    ]


def test_a_stream_names_it_in_the_event_of_the_pause(api: Api) -> None:
    events = [
        json.loads(line) for line in body_of(paused("workflow", "workflow.paused", "ndjson", "streaming", api)).splitlines()
    ]
    assert events[-1] == {**sample("workflow.paused")[-1], "forms": [NAMED]}
    assert events[:-1] == sample("workflow.paused")[:-1]


def test_faces_read_it_from_the_end_of_the_run(api: Api) -> None:
    events = [
        json.loads(line) for line in body_of(paused("workflow", "workflow.paused", "ndjson", "streaming", api)).splitlines()
    ]
    parser = Parser()
    ends = [part for event in events for part in parser.parse(event) if isinstance(part, parts.Ended)]
    [end] = ends
    [form] = end.forms
    assert (end.state, end.seconds, form.token, form.url, form.title) == ("paused", 1.2, TOKEN, NAMED["url"], "Review")
    assert (form.form.expires_at, [action.id for action in form.form.actions]) == (1784259200.0, ["approve", "reject"])


@pytest.mark.parametrize("options", [{"settings": PUBLIC, "key": None}, {"settings": {**OWN_KEY, "app_keys": ""}}])
@pytest.mark.parametrize("style", ["json", "ndjson"])
def test_it_is_named_to_nobody_else(api: Api, style: str, options: Any) -> None:
    body = body_of(paused("workflow", "workflow.paused", style, "streaming", api, **options))
    assert b'"forms"' not in body
    assert (b"tok_3fQ" in body) == ("key" not in options), "guests do not see what Dify says of it either"


def test_a_pause_that_has_no_form_names_none(api: Api) -> None:
    event = sample("workflow.paused")[-1]
    for reasons in ([], None, [{"TYPE": "scheduled_pause"}], [{"form_token": None}], ["x"]):
        changed = {**event, "data": {**event["data"], "reasons": reasons}}
        api.answers["/workflows/run"] = sse(*sample("workflow.paused")[:-1], changed)
        response = call(ENDPOINT, "workflow", path="/x?format=ndjson", settings=OWN_KEY, json={})
        assert json.loads(body_of(response).splitlines()[-1]) == changed


# A run that waits, fetched later


def test_a_run_that_waits_for_a_person_says_so(api: Api) -> None:
    api.answers |= {DETAILS: details("paused"), EVENTS: lambda _: sse(*sample("workflow.paused"))}
    response = fetch()
    assert response.status_code == 202
    found = json_of(response)
    assert (found["status"], found["workflow_run_id"]) == ("paused", RUN)
    assert found["forms"] == [{**NAMED, "url": f"../../{NAMED['url'].removeprefix('../')}"}]
    assert dict(api.requests[-1].url.params)["include_state_snapshot"] == "true"
    guests = json_of(fetch(settings=PUBLIC, key=None))
    assert guests.keys() == {"status", "run_id", "url", "workflow_run_id"}


def test_a_chatflow_that_waits_tells_its_conversation(api: Api) -> None:
    app_of(api, "advanced-chat")
    pause = {**sample("workflow.paused")[-1], "conversation_id": CONVERSATION, "message_id": MESSAGE}
    api.answers |= {DETAILS: details("paused"), EVENTS: lambda _: sse(pause)}
    found = json_of(fetch())
    assert (found["conversation_id"], found["message_id"]) == (CONVERSATION, MESSAGE)
    assert json_of(fetch(f"{CHAT_ID}.{RUN}"))["status"] == "paused"


@pytest.mark.parametrize("stream", [[], [sample("workflow")[-1]]])
def test_a_run_that_goes_on_meanwhile_names_no_form(api: Api, stream: Any) -> None:
    api.answers |= {DETAILS: details("paused"), EVENTS: lambda _: sse(*stream)}
    assert "forms" not in json_of(fetch())


# The form


def test_a_form_is_shown_as_dify_describes_it(api: Api) -> None:
    response = form(query_string="user=ann")
    assert (response.status_code, json_of(response)) == (200, FORM)
    assert api.requests[-1].url.params["user"] == "ann"


@pytest.mark.parametrize("action", ["approve", "reject"])
def test_a_form_is_filled_in(api: Api, action: str) -> None:
    response = submit({"action": action, "inputs": {"comment": "Fine.", "level": "high", "other": 1}, "user": "ann"})
    assert (response.status_code, json_of(response)) == (200, {"result": "success"})
    inputs = {"comment": "Fine.", "level": "high", "evidence": []}
    assert submitted(api) == [{"inputs": inputs, "action": action, "user": "ann"}]


def test_what_is_not_given_gets_its_default(api: Api) -> None:
    assert form("POST", data={"action": "approve", "level": "low"}).status_code == 200
    api.answers[PATH] = lambda _: httpx.Response(200, json={**FORM, "resolved_default_values": {"comment": "Computed."}})
    assert form("POST", data={"action": "approve", "inputs.level": "low"}).status_code == 200
    assert [each["inputs"]["comment"] for each in submitted(api)] == ["Nothing.", "Computed."]


def test_files_are_links_or_uploads(api: Api) -> None:
    api.answers["/files/upload"] = httpx.Response(201, json={"id": "u1"})
    for evidence in (["https://x.example/a.png"], "https://x.example/a.png", [LINK], [LINK, ""]):
        assert submit({"action": "approve", "inputs": {"level": "low", "evidence": evidence}}).status_code == 200
    uploads = {"action": "approve", "level": "low", "evidence": [(BytesIO(b"GIF8"), "a.gif"), (BytesIO(b"GIF8"), "b.gif")]}
    assert form("POST", data=uploads).status_code == 200
    assert [each["inputs"]["evidence"] for each in submitted(api)] == [[LINK], [LINK], [LINK], [LINK], [UPLOAD, UPLOAD]]
    api.answers[PATH] = lambda _: httpx.Response(200, json=WITH_FILE)
    assert form("POST", data={"action": "approve", "paper": (BytesIO(b"GIF8"), "a.gif")}).status_code == 200
    assert submitted(api)[-1]["inputs"] == {"paper": UPLOAD}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "action: must be one of approve, reject; inputs.level: required"),
        ({"action": "x", "inputs": {"level": "low"}}, "action: must be one of approve, reject"),
        ({"action": 1, "inputs": 1}, 'inputs: must be an object, like {"city": "Oslo"}; action: must be a text'),
        ({"action": "approve", "inputs": {"level": "low", "evidence": [UPLOAD]}}, "inputs.evidence: must be a link"),
    ],
)
def test_what_does_not_fit_the_form_is_refused(api: Api, body: Any, message: str) -> None:
    response = submit(body)
    assert error_of(response) == (400, "invalid_param")
    assert message in json_of(submit(body))["message"]
    assert submitted(api) == []


def test_a_file_can_be_required(api: Api) -> None:
    api.answers[PATH] = lambda _: httpx.Response(200, json=WITH_FILE)
    assert "inputs.paper: required" in json_of(submit({"action": "approve"}))["message"]


def test_a_form_that_is_described_otherwise_can_still_be_shown(api: Api) -> None:
    api.answers[PATH] = lambda _: httpx.Response(200, json={"inputs": [1, {}], "user_actions": None, "expiration_time": None})
    assert form().status_code == 200
    api.answers[PATH] = lambda _: httpx.Response(200, json={"inputs": [{"number_limits": "x"}], "user_actions": [{}]})
    assert form().status_code == 200


def answers(status: int, code: str, text: str, *, on: str) -> Any:
    def answer(request: httpx.Request) -> httpx.Response:
        return refused(status, code, text) if request.method in on else httpx.Response(200, json=FORM)

    return answer


@pytest.mark.parametrize("on", ["GET", "POST"])
@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "not_found", (404, "not_found")),
        (412, "human_input_form_submitted", (409, "already_answered")),
        (412, "human_input_form_expired", (410, "expired")),
        (400, "not_workflow_app", (404, "not_found")),
        (401, "unauthorized", (502, "app_unavailable")),
        (500, "internal_server_error", (502, "completion_request_error")),
    ],
)
def test_a_form_that_cannot_be_filled_in_says_why(api: Api, status: int, code: str, expected: Any, on: str) -> None:
    api.answers[PATH] = answers(status, code, "No", on=on)
    assert error_of(submit({"action": "approve", "inputs": {"level": "low"}})) == expected
    if on == "GET":
        assert error_of(form()) == expected


def test_what_dify_refuses_is_told(api: Api) -> None:
    api.answers[PATH] = answers(400, "invalid_form_data", "Invalid value for select input: level", on="POST")
    response = submit({"action": "approve", "inputs": {"level": "x"}})
    assert error_of(response) == (400, "invalid_param")
    assert json_of(submit({"action": "approve", "inputs": {"level": "x"}}))["message"] == "Invalid value for select input: level"


# Who may


def test_a_guest_may_fill_in_a_form_of_a_public_app_whose_token_they_hold(api: Api) -> None:
    assert form(settings=PUBLIC, key=None).status_code == 200
    body = {"action": "approve", "inputs": {"level": "low"}, "user": "ann"}
    assert submit(body, settings=PUBLIC, key=None).status_code == 200
    assert submitted(api)[0]["user"] == "public"
    assert error_of(submit(body, key=None)) == (401, "unauthorized")


def test_guests_count_and_pages_of_other_sites_are_refused(api: Api) -> None:
    body = {"action": "approve", "inputs": {"level": "low"}}
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert error_of(submit(body, settings=PUBLIC, key=None, headers=elsewhere)) == (403, "forbidden")
    assert api.requests == []
    once = {**PUBLIC, "public_rate": "1"}
    assert form(settings=once, key=None, headers=elsewhere).status_code == 200, "a link in a mail"
    assert error_of(submit(body, settings=once, key=None)) == (429, "rate_limit_error")


def test_an_app_without_its_own_key_has_no_forms(api: Api) -> None:
    settings = {**OWN_KEY, "app_keys": ""}
    assert error_of(form(settings=settings)) == (400, "async_unavailable")
    assert error_of(submit({}, settings=settings)) == (400, "async_unavailable")
    assert api.requests == []


def test_a_head_asks_nothing(api: Api) -> None:
    assert form("HEAD").status_code == 200
    assert api.requests == []


def test_a_token_is_never_in_the_log(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    token = "tok-of-a-form"
    api.answers[f"/form/human_input/{token}"] = refused(404, "not_found", "Form not found")
    with caplog.at_level(logging.DEBUG, logger="duck"):
        assert error_of(form(token=token)) == (404, "not_found")
        assert error_of(submit({}, token=token)) == (404, "not_found")
    assert "/form/<app_id>/<token> 404" in caplog.text
    assert token not in caplog.text
    assert KEY not in caplog.text
