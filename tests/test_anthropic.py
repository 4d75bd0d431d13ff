"""Anthropic's routes: who may call them, the models, and every kind of failure."""

import json
import logging
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import ModelInfo
from werkzeug import Response
from werkzeug.test import EnvironBuilder

from duck import errors
from duck.dify.session import SessionGateway
from duck.errors import DuckError
from duck.faces.anthropic import failures, serve
from duck.state import State
from duck.streams.slots import Slots
from tests import api as service
from tests.anthropic_calls import PATH, VERSION, ask, events_of, fault
from tests.api import INFO, Api
from tests.openai_calls import OTHER_KEY, SETTINGS, App, Talk, call, user
from tests.support import APP, KEY, Dify, NoSleepClock, basic, blocking_sample, body_of, http_error, json_of, make_request, sample

ANYWHERE = {**SETTINGS, "apps": "", "public_apps": ""}
UNKNOWN = "5d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a46"
INVALID, API = "invalid_request_error", "api_error"
BODY = {"model": "talk", "messages": [user("Hi")]}


def get(handler: Any, *args: Any, path: str = "/v1/models", **options: Any) -> Response:
    settings = options.pop("settings", SETTINGS)
    headers = {**VERSION, **options.pop("headers", {})}
    request = make_request(options.pop("method", "GET"), path, headers=headers, **options)
    response: Response = handler(request, *args[:-1], settings, *args[-1:])
    return response


def models(**options: Any) -> Any:
    return json_of(get(serve.models, SessionGateway(Dify()), **options))


def model(name: str, **options: Any) -> Response:
    return get(serve.model, name, SessionGateway(options.pop("dify", Dify())), **options)


# Who calls


@pytest.mark.parametrize(
    ("headers", "status", "by"),
    [
        ({"X-Api-Key": KEY}, 200, "key"),
        ({"Authorization": f"Bearer {OTHER_KEY}"}, 200, "key"),
        (basic(KEY), 200, "key"),
        ({"X-Api-Key": "public"}, 200, "guest"),
        ({"Authorization": "Bearer public"}, 200, "guest"),
        ({}, 200, "guest"),
        ({"X-Api-Key": "wrong"}, 401, "guest"),
        ({"Authorization": "Bearer wrong"}, 401, "guest"),
    ],
)
def test_a_key_may_be_in_any_header_and_public_counts_as_none(
    headers: dict[str, str], status: int, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "duck")
    dify = App(blocking=blocking_sample("chat"))
    response = call(serve.messages, dify, BODY, key=None, headers=headers, path=PATH)
    assert (response.status_code, fault(response)[1]) == (status, None if status == 200 else "authentication_error")
    assert response.headers.get("WWW-Authenticate") == (None if status == 200 else 'Bearer realm="Duck"')
    [line] = [record.getMessage() for record in caplog.records if f" {status} " in record.getMessage()]
    assert line.startswith(f"POST {PATH} ")
    assert f"by={by}" in line or status == 401
    assert f"request={response.headers['Request-Id']}" in line
    assert len(response.headers["Request-Id"]) == len("req_") + 32


@pytest.mark.parametrize(
    ("settings", "key", "status"), [({"public_apps": ""}, "public", 401), ({"public_apps": ""}, None, 401), ({}, "public", 200)]
)
def test_guests_reach_public_apps_only(settings: dict[str, str], key: str | None, status: int) -> None:
    dify, whole = App(blocking=blocking_sample("chat")), {**SETTINGS, **settings}
    assert ask(dify, key=key, settings=whole).status_code == status
    assert get(serve.models, SessionGateway(Dify()), key=key, settings=whole).status_code == status
    assert model("talk", key=key, settings=whole).status_code == status


def test_a_client_shows_by_its_version() -> None:
    assert serve.is_anthropic_client(make_request(headers=VERSION))
    assert not serve.is_anthropic_client(make_request())


# Models


def described(name: str, display_name: str = "") -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": display_name or name,
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }


@pytest.mark.parametrize(
    ("settings", "key", "names"),
    [
        ({}, KEY, ["talk", "other", "default"]),
        ({"public_apps": "other"}, None, ["other"]),
        ({"apps": "", "public_apps": "", "default_app": None}, KEY, []),
    ],
)
def test_the_models_are_the_apps_that_the_caller_may_use(settings: dict[str, Any], key: str | None, names: list[str]) -> None:
    found = models(settings={**SETTINGS, **settings}, key=key)
    first, last = (names[0], names[-1]) if names else (None, None)
    assert found == {"data": [described(name) for name in names], "has_more": False, "first_id": first, "last_id": last}


@pytest.mark.parametrize(
    ("name", "settings", "key", "status"),
    [
        ("talk", SETTINGS, KEY, 200),
        (APP.upper(), SETTINGS, None, 200),
        ("unheard", SETTINGS, KEY, 404),
        ("unheard", SETTINGS, None, 401),
        (UNKNOWN, ANYWHERE, KEY, 404),
    ],
)
def test_one_model(name: str, settings: Any, key: str | None, status: int) -> None:
    response = model(name, settings=settings, key=key, dify=App(form=Exception("fetch app failed: data is nil")))
    assert response.status_code == status
    if status == 200:
        assert json_of(response) == described(name)
        ModelInfo.model_validate(json_of(response))
    if status == 404:
        assert fault(response) == (404, "not_found_error", "app_not_found")


def test_an_apps_own_key_gives_its_name(api: Api) -> None:
    api.answers["/info"] = INFO
    assert models(settings={**service.SETTINGS, "apps": f"talk={APP}"})["data"] == [described("talk", str(INFO["name"]))]


# Paths and methods that there are not


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", PATH, 405, "OPTIONS, POST"),
        ("HEAD", PATH, 405, "OPTIONS, POST"),
        ("DELETE", PATH, 405, "OPTIONS, POST"),
        ("POST", "/v1/models", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/v1/chat/completions", 405, "OPTIONS, POST"),
        ("POST", "/v1/v1/messages", 404, None),
        ("POST", "/v1/messages/", 404, None),
        ("POST", "/v1/messages/count_tokens", 404, None),
        ("GET", "/v1/messages/batches", 404, None),
        ("POST", "/v1/parameters", 404, None),
        ("GET", "/v1", 404, None),
    ],
)
def test_what_is_no_route(method: str, path: str, status: int, allow: str | None) -> None:
    headers = {"Dify-Hook-Id": "abc", "Dify-Hook-Url": "https://dify.example/e/abc/v1/models"}
    response = get(serve.unknown, method=method, path=path, key=None, headers=headers)
    kind = ("not_found_error", "not_found") if status == 404 else (INVALID, "method_not_allowed")
    assert fault(response) == (status, *kind)
    assert response.headers.get("Allow") == allow
    assert json_of(response)["request_id"] == response.headers["Request-Id"]
    assert "https://dify.example/e/abc, without /v1" in json_of(response)["error"]["message"] or status == 405


@pytest.mark.parametrize(
    ("settings", "base"), [({}, "https://…,"), ({"public_url": "https://duck.example:8443"}, "https://duck.example:8443,")]
)
def test_the_base_url_is_told_as_far_as_it_is_known(settings: dict[str, str], base: str) -> None:
    response = get(serve.unknown, path="/v1/x", settings={**SETTINGS, **settings})
    assert (response.status_code, f" {base} " in json_of(response)["error"]["message"]) == (404, True)


@pytest.mark.parametrize("path", [PATH, "/v1/x"])
def test_other_origins_read_that_there_is_no_route(path: str) -> None:
    settings = {**SETTINGS, "allowed_origins": "https://shop.example"}
    response = get(serve.unknown, path=path, settings=settings, headers={"Origin": "https://shop.example"})
    assert response.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Request-Id" in response.headers["Access-Control-Expose-Headers"]


# Failures: what Dify or Duck fails with, and what the client gets


def refusing(error: Any) -> dict[str, Any]:
    return {"blocking": error, "stream": [error]}


FAILURES = [
    (http_error(400, "invalid_param", "city in input form must be a string"), 400, INVALID, "invalid_param"),
    (http_error(400, "invalid_param", "app not found"), 404, "not_found_error", "app_not_found"),
    (http_error(400, "invalid_param", "Rate Limit Error"), 429, "rate_limit_error", "rate_limit_error"),
    (http_error(500, "unknown", "oh"), 502, API, "completion_request_error"),
    (Exception("read app failed: "), 502, API, "stream_interrupted"),
    (Exception("invocation exited without response after 250 s"), 504, "timeout_error", "timeout"),
]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("error", "status", "kind", "code"), FAILURES)
def test_a_failure_before_the_first_event(error: Exception, status: int, kind: str, code: str, streams: bool) -> None:
    response = ask(App(**refusing(error)), stream=streams)
    assert fault(response) == (status, kind, code)
    assert response.headers.get("X-Should-Retry") == ("false" if status >= 500 else None)
    assert ("Retry-After" in response.headers) == (status == 429)
    assert json_of(response)["request_id"] == response.headers["Request-Id"]
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.invalid_field("messages", "required"), INVALID),
        (errors.wrong_route("workflow", "chat"), INVALID),
        (DuckError(401, "unauthorized", "x"), "authentication_error"),
        (DuckError(403, "forbidden", "x"), "permission_error"),
        (DuckError(404, "app_not_found", "x"), "not_found_error"),
        (DuckError(405, "method_not_allowed", "x"), INVALID),
        (DuckError(413, "file_too_large", "x"), "request_too_large"),
        (DuckError(415, "unsupported_media_type", "x"), INVALID),
        (DuckError(429, "rate_limit_error", "x"), "rate_limit_error"),
        (DuckError(500, "invalid_settings", "x"), API),
        (DuckError(502, "workflow_failed", "x"), API),
        (DuckError(503, "overloaded", "x"), "overloaded_error"),
        (DuckError(504, "timeout", "x"), "timeout_error"),
    ],
)
def test_what_each_error_of_duck_is_called(error: DuckError, kind: str) -> None:
    about = {"type": kind, "message": error.message, "details": {"error_code": error.code}}
    assert failures.of(error, "req_1") == {"type": "error", "error": about, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("body", "options", "expected"),
    [
        (b"{", {}, (400, INVALID)),
        (b"", {}, (400, INVALID)),
        (b"[1]", {}, (400, INVALID)),
        (b" " * 10 * 1024 * 1024, {}, (413, "request_too_large")),
        (json.dumps(BODY).encode(), {"headers": {"Content-Encoding": "gzip"}}, (415, INVALID)),
        (json.dumps(BODY).encode(), {"content_type": "text/plain"}, (200, None)),
        ({**BODY, "model": "unheard"}, {}, (404, "not_found_error")),
        ({**BODY, "model": "unheard"}, {"key": None}, (401, "authentication_error")),
        (
            {**BODY, "model": "other"},
            {"key": None, "settings": {**SETTINGS, "public_apps": "talk"}},
            (401, "authentication_error"),
        ),
        ({**BODY, "tools": [{}]}, {"key": None}, (400, INVALID)),
        (BODY, {"key": None, "headers": {"Origin": "https://evil.example"}}, (403, "permission_error")),
        (BODY, {"headers": {"Origin": "https://evil.example"}}, (200, None)),
        (BODY, {"settings": {**SETTINGS, "public_rate": "x"}}, (500, API)),
    ],
)
def test_a_request_that_cannot_be_run(body: Any, options: Any, expected: Any) -> None:
    dify = App(blocking=blocking_sample("chat"))
    assert fault(call(serve.messages, dify, body, path=PATH, **options))[:2] == expected
    assert len(dify.calls) == (expected[0] == 200)


def test_guests_have_a_rate() -> None:
    dify, settings = Talk(), {**SETTINGS, "public_rate": "1"}
    assert ask(dify, key=None, settings=settings).status_code == 200
    response = ask(dify, key=None, settings=settings)
    assert fault(response)[:2] == (429, "rate_limit_error")
    assert int(response.headers["Retry-After"]) > 0


def test_without_a_free_slot_the_client_may_try_again(state: State) -> None:
    state.slots = Slots(0)
    response = ask(App(blocking=blocking_sample("chat")))
    assert (fault(response)[:2], "X-Should-Retry" in response.headers) == ((503, "overloaded_error"), False)
    assert response.headers["Retry-After"] == "5"


def test_a_defect_is_reported_without_its_reason() -> None:
    response = ask(App(blocking=[]))
    assert (fault(response)[:2], response.headers["X-Should-Retry"]) == ((500, API), "false")


BEGUN = sample("chat")[:2]
MIDSTREAM = [
    ([*BEGUN, Exception("read app failed: ")], API, "stream_interrupted"),
    (BEGUN, API, "stream_interrupted"),
    (
        [*BEGUN, {"event": "error", "code": "invalid_param", "status": 400, "message": "It broke."}],
        API,
        "completion_request_error",
    ),
    ([*BEGUN, {"event": "error", "code": "provider_quota_exceeded", "message": "x"}], API, "provider_quota_exceeded"),
    ([*BEGUN, {"event": "error", "code": "x", "status": 429, "message": "Slow."}], "rate_limit_error", "rate_limit_error"),
    ([*BEGUN, Exception("invocation exited without response after 250 s")], "timeout_error", "timeout"),
]


@pytest.mark.parametrize(("stream", "kind", "code"), MIDSTREAM)
def test_a_failure_in_mid_stream_ends_it(stream: Any, kind: str, code: str) -> None:
    response = ask(App(stream=stream), stream=True)
    *events, last = events_of(response)
    assert (last["type"], last["error"]["type"], last["error"]["details"]) == ("error", kind, {"error_code": code})
    assert last["request_id"] == response.headers["Request-Id"]
    assert {event["type"] for event in events} == {"message_start", "content_block_start", "content_block_delta"}


# The SDK's client, which has its own mind about what to send again


def client(dify: Dify) -> tuple[anthropic.Anthropic, list[Response]]:
    """Anthropic's client, and the answers that it gets."""
    answers: list[Response] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        builder = EnvironBuilder(method="POST", path=request.url.path, headers=[*headers.items()], data=request.read())
        answers.append(serve.messages(builder.get_request(), SETTINGS, SessionGateway(dify)))
        return httpx2.Response(answers[-1].status_code, headers=[*answers[-1].headers.items()], content=body_of(answers[-1]))

    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    return anthropic.Anthropic(base_url="http://duck", api_key=KEY, http_client=http), answers


ASK: Any = {"model": "talk", "max_tokens": 1024, "messages": [{"role": "user", "content": "Hi"}]}


def test_the_client_does_not_send_a_failed_run_again() -> None:
    sdk, answers = client(App(**refusing(http_error(500, "unknown", "oh"))))
    with pytest.raises(anthropic.InternalServerError) as raised:
        sdk.messages.create(**ASK)
    error: Any = raised.value
    assert (error.type, error.error_code, error.request_id) == (API, "completion_request_error", answers[0].headers["Request-Id"])
    assert len(answers) == 1


def test_the_client_talks_and_streams() -> None:
    sdk, _ = client(App(stream=sample("chat"), blocking=blocking_sample("chat")))
    text = "The Pro plan costs 20 USD per month."
    assert sdk.messages.create(**ASK).content[0].text == text
    with sdk.messages.stream(**ASK) as events:
        assert events.get_final_text() == text
    assert [event.type for event in sdk.messages.create(**ASK, stream=True)][-1] == "message_stop"


@pytest.mark.parametrize(("stream", "kind", "code"), MIDSTREAM)
def test_the_client_notices_a_failure_in_mid_stream(stream: Any, kind: str, code: str, state: State) -> None:
    state.clock = NoSleepClock()
    sdk, answers = client(App(stream=stream))
    with pytest.raises(anthropic.APIStatusError) as raised:
        list(sdk.messages.create(**ASK, stream=True))
    assert (raised.value.type, raised.value.error_code) == (kind, code)
    with pytest.raises(anthropic.APIStatusError), sdk.messages.stream(**ASK) as events:
        events.get_final_message()
    assert len(answers) == 2
