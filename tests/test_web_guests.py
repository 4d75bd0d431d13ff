"""Whole requests of callers without a key, of pages of other origins, and of those who only look."""

import json
import threading
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from werkzeug import Response

from duck.callers.access import EXPOSED
from duck.faces.api import serve
from duck.faces.api.formats import MIMETYPES
from duck.state import State
from tests.support import (
    APP,
    BROWSER,
    KEY,
    SETTINGS,
    Dify,
    Step,
    Time,
    basic,
    blocking_sample,
    body_of,
    call,
    http_error,
    json_of,
    make_request,
    page_of,
    recorded,
    sample,
)

PUBLIC = {**SETTINGS, "public_apps": APP}
SHOP = "https://shop.example"
LISTING = {**PUBLIC, "allowed_origins": SHOP}
GUEST: dict[str, Any] = {"key": None, "settings": PUBLIC}
STYLES = [*MIMETYPES]
CHAT = sample("chat")
FAILURE = "This app could not answer. If this keeps happening, tell whoever runs it."


def error_of(response: Response) -> tuple[int, str, str]:
    document = json_of(response)
    assert document.keys() == {"code", "message", "status"}
    return response.status_code, document["code"], document["message"]


# What guests see


@pytest.mark.parametrize("style", ["ndjson", "sse"])
def test_a_guest_sees_what_is_shown_of_each_event_and_a_key_holder_all(style: str) -> None:
    events = sample("advanced-chat")
    path = f"/x?format={style}"
    guest, holder = call(Dify(stream=events), path=path, **GUEST), call(Dify(stream=events), path=path, settings=PUBLIC)
    prefix = "data: " if style == "sse" else ""
    read = [
        [
            json.loads(line.removeprefix(prefix))
            for line in body_of(body).decode().splitlines()
            if line and not line.startswith("id:")
        ]
        for body in (guest, holder)
    ]
    assert read[1] == events
    assert [event["event"] for event in read[0]] == [event["event"] for event in events]
    assert all("inputs" not in event.get("data", {}) for event in read[0])


def test_a_guest_hears_nothing_of_what_an_agent_thinks() -> None:
    response = call(Dify(stream=sample("agent-chat")), path="/x?format=ndjson", **GUEST)
    seen = {json.loads(line)["event"] for line in body_of(response).splitlines()}
    assert seen == {event["event"] for event in sample("agent-chat")} - {"agent_thought"}


def test_a_guests_document_is_the_same_streamed_or_not() -> None:
    streamed = call(Dify(stream=CHAT), json={"query": "hi", "response_mode": "streaming"}, path="/x?format=json", **GUEST)
    blocking = call(Dify(blocking=blocking_sample("chat")), **GUEST)
    without_nulls = {**json_of(blocking), "metadata": json_of(streamed)["metadata"]}
    assert json_of(streamed) == without_nulls
    assert "usage" not in json_of(blocking)["metadata"]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("mode", ["blocking", "streaming"])
def test_a_guest_learns_of_difys_failure_its_code_alone(style: str, mode: str) -> None:
    failure = http_error(400, "completion_request_error", "secret of the model's")
    body = {"query": "hi", "response_mode": mode}
    response = call(Dify(stream=[failure], blocking=failure), path=f"/x?format={style}", json=body, **GUEST)
    assert response.status_code == 502
    assert b"secret" not in body_of(response)
    assert FAILURE.encode() in body_of(response)


def test_a_guest_who_is_at_fault_is_told_what_is_wrong() -> None:
    refusal = http_error(400, "invalid_param", "city is required in input form")
    assert error_of(call(Dify(blocking=refusal), **GUEST)) == (400, "invalid_param", "city is required in input form")


@pytest.mark.parametrize("style", ["ndjson", "sse", "html", "text"])
@pytest.mark.parametrize(
    "end",
    [
        {"event": "error", "code": "completion_request_error", "status": 400, "message": "secret of the model's"},
        Exception("read app failed: request failed: secret of the model's"),
    ],
    ids=["event", "exception"],
)
def test_a_guest_learns_of_a_failure_in_mid_stream_no_more(end: Any, style: str) -> None:
    holder, guest = (
        body_of(call(Dify(stream=[*CHAT[:2], end]), path=f"/x?format={style}", key=key, settings=PUBLIC)).decode()
        for key in (KEY, None)
    )
    assert "secret of the model" in holder
    assert "secret of the model" not in guest
    assert FAILURE in guest


def test_a_failed_run_of_a_workflow_is_told_of_without_its_reason() -> None:
    answer = json_of(call(Dify(blocking=recorded("workflow.blocking.failed")), "workflow", json={}, **GUEST))
    assert (answer["data"]["status"], answer["data"]["error"]) == ("failed", FAILURE)


def test_a_guest_cannot_speak_for_a_user() -> None:
    dify = Dify(blocking=blocking_sample("chat"))
    call(dify, json={"query": "hi", "user": "the boss"}, **GUEST)
    call(dify, json={"query": "hi", "user": "ann"}, settings=PUBLIC)
    assert [made["user"] for made in dify.calls] == ["", "ann"]


def parameters(dify: Dify, settings: Any = PUBLIC, **options: Any) -> Response:
    method = options.pop("method", "GET")
    return serve.parameters(make_request(method, f"/parameters/{APP}", **options), APP, settings, dify.gateway())


def test_a_guest_sees_of_a_form_what_a_person_needs_to_fill_it_in() -> None:
    form = {**recorded("fetch_app.workflow"), "pre_prompt": "secret"}
    assert json_of(parameters(Dify(form=form))) == form
    shown = json_of(parameters(Dify(form=form), key=None))
    assert "pre_prompt" not in shown
    assert len(shown["user_input_form"]) == len(form["user_input_form"])


def test_head_of_a_form_asks_nothing_of_dify() -> None:
    dify = Dify(form={})
    response = parameters(dify, key=None, method="HEAD")
    assert (response.status_code, response.headers["Content-Type"], body_of(response)) == (200, "application/json", b"")
    assert dify.fetched == []


def index(settings: Any, **options: Any) -> Response:
    return serve.index(make_request("GET", "/", **options), settings, Dify().gateway())


def test_a_guest_sees_which_apps_are_public_and_no_other() -> None:
    other = "00000000-0000-4000-8000-00000000000a"
    settings = {**SETTINGS, "apps": f"support={APP}, sales={other}", "public_apps": "support"}
    assert json_of(index(settings, key=None))["apps"] == [{"alias": "support", "public": True}]
    assert json_of(index(settings))["apps"] == [{"alias": "support", "public": True}, {"alias": "sales", "public": False}]


def test_a_public_app_without_an_alias_is_listed_by_its_id() -> None:
    assert json_of(index(PUBLIC, key=None))["apps"] == [{"alias": APP, "public": True}]


# How often, and how many at a time


@pytest.fixture
def clock(state: State) -> Time:
    """The clock of the process."""
    state.clock = clock = Time()
    return clock


def test_guests_share_one_rate_and_key_holders_have_none(clock: Time) -> None:
    dify = Dify(blocking=blocking_sample("chat"))
    settings = {**PUBLIC, "public_rate": "2"}
    assert [call(dify, key=None, settings=settings).status_code for _ in range(3)] == [200, 200, 429]
    assert [call(dify, settings=settings).status_code for _ in range(5)] == [200] * 5
    clock.time += 29
    refused = call(dify, key=None, settings=settings)
    assert error_of(refused)[:2] == (429, "rate_limit_error")
    assert refused.headers["Retry-After"] == "1"
    clock.time += 1
    assert call(dify, key=None, settings=settings).status_code == 200
    assert len(dify.calls) == 8, "a refused run is none"


CITY = {"user_input_form": [{"text-input": {"variable": "city", "max_length": 5}}]}


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"data": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
        ({"path": "/x?format=xml"}, 400),
        ({"headers": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}}, 403),
        ({"headers": {"X-API-Key": "wrong-key"}}, 401),
        ({"method": "GET", "headers": {"Accept": "text/html"}}, 200),
    ],
    ids=["no JSON", "no type", "no format", "another site", "a wrong key", "the page"],
)
def test_what_costs_dify_nothing_costs_nothing_of_the_rate(clock: Time, options: dict[str, Any], status: int) -> None:
    dify = Dify(blocking=blocking_sample("chat"), form=CITY)
    settings = {**PUBLIC, "public_rate": "1"}
    for _ in range(3):
        assert call(dify, key=None, settings=settings, **options).status_code == status
    assert call(dify, key=None, settings=settings).status_code == 200
    assert clock.time == 1000.0


@pytest.mark.parametrize("fields", [{"query": "hi", "inputs": {"city": "Reykjavik"}}, {"query": "hi", "inputs": {"town": "x"}}])
def test_what_is_refused_by_a_form_that_was_fetched_for_it_counts_as_a_run(clock: Time, fields: Any) -> None:
    dify = Dify(blocking=blocking_sample("chat"), form=CITY)
    settings = {**PUBLIC, "public_rate": "3"}
    statuses = [call(dify, key=None, settings=settings, json=fields).status_code for _ in range(20)]
    assert statuses == [400] * 3 + [429] * 17
    assert (len(dify.fetched), dify.calls) == (3, [])
    assert call(dify, json=fields).status_code == 400, "key holders are not counted"
    assert clock.time == 1000.0


def test_a_run_counts_once_whatever_it_has_cost(clock: Time) -> None:
    dify = Dify(blocking=blocking_sample("chat"), form=CITY)
    settings = {**PUBLIC, "public_rate": "2"}
    assert [call(dify, key=None, settings=settings).status_code for _ in range(3)] == [200, 200, 429]
    assert clock.time == 1000.0


def test_a_form_that_cannot_be_had_costs_a_guest_each_time_that_dify_is_anthropic_client(clock: Time) -> None:
    dify = Dify()

    def ask() -> int:
        request = make_request("GET", f"/parameters/{APP}", key=None)
        return serve.parameters(request, APP, {**PUBLIC, "public_rate": "2"}, dify.gateway()).status_code

    assert [ask() for _ in range(4)] == [404, 404, 429, 429]
    assert (len(dify.fetched), clock.time) == (2, 1000.0)


def test_stopping_counts(clock: Time) -> None:
    def stop() -> int:
        request = make_request("POST", f"/stop/{APP}", key=None, json={"task_id": "1"})
        return serve.stop(request, APP, {**PUBLIC, "public_rate": "1"}, gateway).status_code

    gateway = Dify().gateway()
    assert ([stop() for _ in range(2)], clock.time) == ([400, 429], 1000.0)


def told_of(case: str, headers: dict[str, str]) -> str:
    """What is said of something that a setting would change."""
    options: dict[str, Any] = {"key": None, "settings": PUBLIC}
    match case:
        case "allowed_origins":
            response = call(Dify(), headers={"Origin": "https://evil.example", **headers}, **options)
        case "app_keys":
            broken = Dify(blocking=http_error(500, "unknown", "Internal Server Error"))
            response = call(broken, "completion", json={}, headers=headers, **options)
        case "FILES_URL":
            form = {"user_input_form": [{"file": {"variable": "doc"}}]}
            broken = Dify(form=form, upload_error=Exception("HTTPConnectionPool"))
            data = {"query": "hi", "doc": (BytesIO(b"x"), "a.pdf")}
            response = call(broken, data=data, headers=headers, **options)
        case _:
            request = make_request("POST", f"/stop/{APP}", key=None, headers=headers, json={"task_id": "1"})
            response = serve.stop(request, APP, PUBLIC, Dify().gateway())
    assert response.status_code in {400, 403, 502}
    return body_of(response).decode()


@pytest.mark.parametrize("case", ["allowed_origins", "app_keys", "FILES_URL", "App keys"])
def test_guests_do_not_read_about_settings(case: str) -> None:
    assert case in told_of(case, basic(KEY))
    assert case not in told_of(case, {})


def test_wrong_keys_wait_after_twenty_within_a_minute_and_right_ones_do_not(clock: Time) -> None:
    for key in range(25):
        headers = {"X-API-Key": f"wrong-{key}", "Dify-Hook-Id": "hook"}
        assert call(Dify(), key=None, headers=headers, settings=PUBLIC).status_code == 401
    assert clock.waits == [1.0] * 5
    dify = Dify(blocking=blocking_sample("chat"))
    assert call(dify, headers={"Dify-Hook-Id": "hook"}).status_code == 200
    assert call(Dify(), key="wrong", headers={"Dify-Hook-Id": "another"}).status_code == 401
    assert call(dify, key=None, settings=PUBLIC).status_code == 200, "without a key nothing is guessed"
    assert clock.waits == [1.0] * 5
    clock.time += 60
    assert call(Dify(), key="wrong", headers={"Dify-Hook-Id": "hook"}).status_code == 401
    assert clock.waits == [1.0] * 5


def test_hidden_variables_are_none_to_guests() -> None:
    form = {
        "user_input_form": [
            {"text-input": {"variable": "city"}},
            {"select": {"variable": "mode", "hide": True, "options": ["internal-a", "internal-b"]}},
        ]
    }

    def ask(inputs: Any, form: Any = form, **more: Any) -> tuple[int, str]:
        response = call(
            Dify(blocking=blocking_sample("chat"), form=form), json={"query": "hi", "inputs": inputs, **more}, **GUEST
        )
        return response.status_code, body_of(response).decode()

    status, body = ask({"mode": "x"})
    assert (status, "inputs.mode: no such input; this app takes city" in body, "internal" in body) == (400, True, False)
    assert ask({"mode": "internal-a"})[0] == 200, "a link of the owner's may set it"
    assert "put it under inputs" not in ask({"town": "x"}, mode="x")[1]
    required = {"user_input_form": [{"text-input": {"variable": "tier", "hide": True, "required": True}}]}
    status, body = ask({}, required)
    assert (status, "tier" in body, "an input that callers cannot see" in body) == (400, False, True)


def test_another_endpoint_has_a_rate_of_its_own(clock: Time) -> None:
    settings = {**PUBLIC, "public_rate": "1"}
    for _ in range(2):
        assert call(Dify(blocking=blocking_sample("chat")), key=None, settings=settings).status_code == 200
    assert clock.time == 1000.0


def test_guests_take_at_most_half_of_the_slots(state: State) -> None:
    state.slots.limit = 4
    go_on = threading.Event()

    def dawdling() -> Iterator[Step]:
        yield CHAT[0]
        go_on.wait(60)
        yield from CHAT[1:]

    opened = [call(Dify(stream=dawdling), path="/x?format=ndjson", **GUEST) for _ in range(2)]
    assert error_of(call(Dify(stream=dawdling), path="/x?format=ndjson", **GUEST))[:2] == (503, "overloaded")
    assert call(Dify(blocking=blocking_sample("chat")), settings=PUBLIC).status_code == 200
    go_on.set()
    assert [json.loads(body_of(response).splitlines()[-1])["event"] for response in opened] == ["message_end"] * 2
    assert len(state.slots) == 0


# A GET runs only on purpose


IMAGE = "image/avif,image/webp,image/*,*/*;q=0.8"
RUNS = [
    ({"Sec-Fetch-Site": "none"}, ""),
    ({"Sec-Fetch-Site": "same-origin"}, ""),
    ({"Accept": "application/json"}, ""),
    ({"Accept": "application/x-ndjson"}, ""),
    ({"Accept": "text/event-stream"}, ""),
    ({"Accept": "text/plain"}, ""),
    ({}, "&format=json"),
    ({}, "&format=sse"),
    ({"Accept": BROWSER, "Sec-Fetch-Site": "same-origin"}, "&format=html"),
]
LOOKS = [
    ({}, ""),
    ({"Accept": "*/*", "User-Agent": "a crawler"}, ""),
    ({"Accept": BROWSER}, ""),
    ({"Accept": BROWSER, "Sec-Fetch-Site": "none"}, ""),
    ({"Accept": BROWSER, "Sec-Fetch-Site": "cross-site"}, ""),
    ({"Accept": BROWSER, "Sec-Fetch-Site": "cross-site"}, "&format=html"),
    ({"Accept": BROWSER}, "&format=html"),
    ({"Accept": "*/*", "Sec-Fetch-Site": "cross-site"}, ""),
    ({"Accept": IMAGE, "Sec-Fetch-Site": "same-site"}, ""),
    ({}, "&format=html"),
]


@pytest.mark.parametrize(("headers", "query"), RUNS)
def test_a_guests_get_runs_when_it_is_meant(headers: dict[str, str], query: str) -> None:
    dify = Dify(stream=CHAT, blocking=blocking_sample("chat"))
    response = call(dify, method="GET", path=f"/chat/{APP}?query=hi{query}", headers=headers, **GUEST)
    assert (response.status_code, len(dify.calls)) == (200, 1)


@pytest.mark.parametrize(("headers", "query"), LOOKS)
def test_any_other_get_gets_a_page_with_a_button(headers: dict[str, str], query: str) -> None:
    dify = Dify(stream=CHAT, blocking=blocking_sample("chat"))
    response = call(dify, method="GET", path=f"/chat/{APP}?query=a+%22b%22{query}", headers=headers, **GUEST)
    assert (response.status_code, dify.calls) == (200, [])
    page = page_of(response)
    form = page.find(".//form")
    assert (form.get("method"), form.get("action")) == ("post", "?")
    assert page.find(".//textarea[@name='query']").text == 'a "b"'
    assert page.find(".//button[@class='go']").text == "Send"


def test_an_image_of_another_site_runs_nothing() -> None:
    dify = Dify(stream=CHAT)
    headers = {"Accept": "image/avif,image/webp,image/*", "Sec-Fetch-Site": "cross-site"}
    assert call(dify, method="GET", path="/x?query=hi", headers=headers, **GUEST).status_code == 406
    assert dify.calls == []


@pytest.mark.parametrize("who", [GUEST, {"key": None, "headers": basic(KEY)}])
@pytest.mark.parametrize(("accept", "query", "status"), [(IMAGE, "", 200), (IMAGE, "&format=json", 403), ("image/*", "", 406)])
def test_an_image_of_this_site_runs_nothing_either(who: dict[str, Any], accept: str, query: str, status: int) -> None:
    dify = Dify(stream=CHAT, blocking=blocking_sample("chat"))
    headers = {"Accept": accept, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "image", **who.get("headers", {})}
    response = call(dify, method="GET", path=f"/chat/{APP}?query=hi{query}", **{**who, "headers": headers})
    assert (response.status_code, dify.calls) == (status, [])


def test_what_is_refused_renders_no_earlier_turns_of_a_guest() -> None:
    for who, rendered in ((GUEST, False), ({"settings": PUBLIC}, True)):
        fields = {"query": "", "duck.turns": '[["1", "**one**"]]'}
        page = page_of(call(Dify(), data=fields, path=f"/chat/{APP}", headers={"Accept": BROWSER}, **who))
        assert bool(page.findall(".//article//strong")) == rendered
        assert "one" in "".join(page.find(".//article").itertext())


def test_the_page_asks_for_the_message_that_a_chat_needs() -> None:
    hidden = {"variable": "state", "hide": True}
    form = {"user_input_form": [{"text-input": {"variable": "city", "label": "City"}}, {"text-input": hidden}]}
    path = f"/chat/{APP}?city=Oslo&inputs.state=x&utm_source=mail&query="
    for who, hidden_fields in ((GUEST, {}), ({"settings": PUBLIC}, {"inputs.state": "x"})):
        page = page_of(call(Dify(form=form), method="GET", path=path, headers={"Accept": BROWSER}, **who))
        fields = {field.get("name"): field.get("value") for field in page.iter("input")}
        assert fields == {"inputs.city": "Oslo", "conversation_id": "", "duck.turns": "[]", **hidden_fields}
        assert [area.get("name") for area in page.iter("textarea")] == ["query"]


@pytest.mark.parametrize("headers", [{}, {"Accept": BROWSER}, {"Accept": BROWSER, "Sec-Fetch-Site": "cross-site"}])
def test_the_original_route_has_a_button_too_which_posts_to_the_workflow(headers: dict[str, str]) -> None:
    dify = Dify(stream=sample("workflow"))
    path = "/duck/two%20words?text=a&text=b"
    response = call(dify, "workflow", method="GET", path=path, headers=headers, default_format="html", **GUEST)
    assert dify.calls == []
    page = page_of(response)
    assert page.find(".//form").get("action") == f"../workflow/{APP}"
    assert json.loads(page.find(".//textarea[@name='inputs']").text) == {"text": ["a", "b"]}


@pytest.mark.parametrize(
    "headers", [{"Accept": BROWSER, "Sec-Fetch-Site": "none"}, {"Accept": BROWSER, "Sec-Fetch-Site": "same-origin"}]
)
def test_the_original_route_runs_at_once_for_who_opens_it(headers: dict[str, str]) -> None:
    dify = Dify(stream=sample("workflow"))
    response = call(dify, "workflow", method="GET", path="/duck/x?text=a", headers=headers, default_format="html", **GUEST)
    assert "Result" in "".join(page_of(response).itertext())
    assert len(dify.calls) == 1


@pytest.mark.parametrize(
    "headers", [{"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender", "Sec-Fetch-Site": "none"}]
)
@pytest.mark.parametrize(("accept", "status"), [("application/json", 403), (BROWSER, 200)])
def test_a_prefetch_runs_nothing(headers: dict[str, str], accept: str, status: int) -> None:
    dify = Dify(stream=CHAT, blocking=blocking_sample("chat"))
    response = call(dify, method="GET", path="/chat/x?query=hi", headers={**headers, "Accept": accept}, **GUEST)
    assert (response.status_code, dify.calls) == (status, [])


# EventSource


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("options", [{"method": "GET", "path": "/x?query=hi&format=sse"}, {"path": "/x?format=sse"}])
def test_server_sent_events_are_numbered(key: str | None, options: dict[str, Any]) -> None:
    response = call(Dify(stream=CHAT), key=key, settings=PUBLIC, **options)
    ids = [line for line in body_of(response).decode().splitlines() if line.startswith("id:")]
    assert ids == [f"id: {number}" for number in range(1, len(CHAT) + 1)]


@pytest.mark.parametrize("last", ["4", "", "x"])
@pytest.mark.parametrize("key", [None, KEY])
def test_an_event_source_that_calls_again_is_told_to_stop(key: str | None, last: str) -> None:
    dify = Dify(stream=CHAT)
    headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
    response = call(dify, method="GET", path="/x?query=hi", headers=headers, key=key, settings=PUBLIC)
    assert (response.status_code, body_of(response), dify.calls) == (204, b"", [])


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*", "application/json"])
def test_a_library_that_sends_a_post_again_is_told_that_it_cannot_go_on_and_nothing_runs_twice(accept: str) -> None:
    dify = Dify(stream=CHAT)
    response = call(dify, headers={"Accept": accept, "Last-Event-ID": "4"})
    assert (response.status_code, response.headers["Content-Type"], dify.calls) == (200, "text/event-stream", [])
    [event] = [json.loads(line[5:]) for line in body_of(response).decode().splitlines() if line.startswith("data:")]
    assert (event["event"], event["code"], event["status"]) == ("error", "not_resumable", 409)


# CORS


@pytest.mark.parametrize("style", STYLES)
def test_a_page_of_a_listed_origin_may_read_answers_and_errors(style: str) -> None:
    headers = {"Origin": SHOP, "Sec-Fetch-Site": "cross-site"}
    dify = Dify(stream=CHAT, blocking=blocking_sample("chat"))
    for body, status in ({"query": "hi"}, 200), ({"query": 3}, 400):
        response = call(dify, path=f"/x?format={style}", json=body, headers=headers, key=None, settings=LISTING)
        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] == SHOP
        assert response.headers["Access-Control-Expose-Headers"] == EXPOSED
        assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_page_of_another_origin_may_read_nothing_and_runs_nothing() -> None:
    dify = Dify(blocking=blocking_sample("chat"))
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    response = call(dify, headers=headers, key=None, settings=LISTING)
    assert (error_of(response)[:2], dify.calls) == ((403, "forbidden"), [])
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]


def test_a_page_of_a_listed_origin_may_read_that_its_key_is_wrong() -> None:
    response = call(Dify(), headers={"Origin": SHOP}, key="wrong", settings=LISTING)
    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == SHOP


@pytest.mark.parametrize("origins", ["*", f"*, {SHOP}"])
def test_any_origin_may_read_what_public_apps_say_and_nothing_else(origins: str) -> None:
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    settings = {**PUBLIC, "allowed_origins": origins}
    response = call(Dify(blocking=blocking_sample("chat")), headers=headers, key=None, settings=settings)
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (200, "*")
    refused = call(Dify(), headers=headers, key=None, settings={**settings, "public_apps": ""})
    assert refused.status_code == 401
    assert "Access-Control-Allow-Origin" not in refused.headers


def preflight(path: str, settings: Any, origin: str = SHOP) -> Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return serve.preflight(make_request("OPTIONS", path, key=None, headers=headers), settings)


@pytest.mark.parametrize(
    ("path", "settings", "origin", "allowed"),
    [
        ("/chat/x", LISTING, SHOP, SHOP),
        ("/", LISTING, SHOP, SHOP),
        (f"/chat/{APP}", LISTING, "https://evil.example", None),
        (f"/chat/{APP.upper()}", {**PUBLIC, "allowed_origins": "*"}, "https://evil.example", "*"),
        ("/chat/other", {**PUBLIC, "allowed_origins": "*"}, "https://evil.example", None),
        (f"/chat/{APP}", {**LISTING, "apps": "junk"}, SHOP, None),
        ("/v1/chat/completions", {**PUBLIC, "allowed_origins": "*"}, "https://evil.example", "*"),
        ("/v1/chat/completions", {**SETTINGS, "allowed_origins": "*"}, "https://evil.example", None),
    ],
)
def test_a_preflight_lets_listed_origins_go_on(path: str, settings: Any, origin: str, allowed: str | None) -> None:
    response = preflight(path, settings, origin)
    assert (response.status_code, body_of(response)) == (204, b"")
    assert response.headers.get("Access-Control-Allow-Origin") == allowed
    assert response.headers.get("Access-Control-Allow-Headers") == (allowed and "authorization, content-type")


def test_a_page_of_a_listed_origin_may_read_that_there_is_no_such_route() -> None:
    response = serve.unknown(make_request("PUT", "/chat/x", key=None, headers={"Origin": SHOP}), LISTING)
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (405, SHOP)


# Who may embed a page


@pytest.mark.parametrize(
    ("origins", "ancestors"),
    [("", "'none'"), (SHOP, SHOP), (f"{SHOP}, https://a.example", f"https://a.example {SHOP}"), ("*", "'none'")],
)
@pytest.mark.parametrize("body", [{"query": "hi"}, {}], ids=["answer", "error"])
def test_pages_are_embedded_by_listed_origins_alone(origins: str, ancestors: str, body: dict[str, Any]) -> None:
    settings = {**SETTINGS, "allowed_origins": origins}
    policy = call(Dify(stream=CHAT), path="/x?format=html", json=body, settings=settings).headers["Content-Security-Policy"]
    assert policy.endswith(f"frame-ancestors {ancestors}")


def test_a_page_about_settings_that_cannot_be_read_is_embedded_by_none() -> None:
    response = call(Dify(), path="/x?format=html", settings={**LISTING, "public_rate": "many"})
    assert response.status_code == 500
    assert response.headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")
