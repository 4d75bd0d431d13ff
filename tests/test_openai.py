"""OpenAI's routes: who may call them, the models, and every kind of failure."""

import json
import logging
from typing import Any

import httpx2
import openai
import pytest
from werkzeug import Response
from werkzeug.test import EnvironBuilder

from duck import errors
from duck.dify.session import SessionGateway
from duck.errors import DuckError
from duck.faces.models import no_retry
from duck.faces.openai import failures, serve
from duck.state import State
from duck.streams.slots import Slots
from tests import api as service
from tests.api import INFO, Api
from tests.openai_calls import OTHER_KEY, SETTINGS, App, Talk, call, chat, events_of, fault, respond, user
from tests.support import APP, KEY, Dify, NoSleepClock, basic, blocking_sample, body_of, http_error, json_of, make_request, sample

ANYWHERE = {**SETTINGS, "apps": "", "public_apps": ""}
UNKNOWN = "5d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a46"


def get(handler: Any, *args: Any, path: str = "/v1/models", **options: Any) -> Response:
    settings = options.pop("settings", SETTINGS)
    response: Response = handler(make_request(options.pop("method", "GET"), path, **options), *args[:-1], settings, *args[-1:])
    return response


def models(**options: Any) -> Any:
    return json_of(get(serve.models, SessionGateway(Dify()), **options))


def model(name: str, **options: Any) -> Response:
    return get(serve.model, name, SessionGateway(options.pop("dify", Dify())), **options)


# Who calls


@pytest.mark.parametrize(
    ("headers", "status", "by"),
    [
        ({"Authorization": f"Bearer {KEY}"}, 200, "key"),
        ({"X-API-Key": OTHER_KEY}, 200, "key"),
        ({"api-key": KEY}, 200, "key"),
        (basic(KEY), 200, "key"),
        ({"Authorization": "Bearer wrong", "api-key": KEY}, 200, "key"),
        ({"Authorization": "Bearer public"}, 200, "guest"),
        ({"api-key": "public"}, 200, "guest"),
        ({"X-API-Key": "public"}, 200, "guest"),
        (basic("public"), 200, "guest"),
        ({}, 200, "guest"),
        ({"Authorization": "Bearer wrong"}, 401, "guest"),
        ({"api-key": "wrong"}, 401, "guest"),
        ({"Authorization": "Bearer public", "api-key": "wrong"}, 401, "guest"),
        ({"Authorization": "Bearer "}, 401, "guest"),
    ],
)
def test_a_key_may_be_in_any_header_and_public_counts_as_none(
    headers: dict[str, str], status: int, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "duck")
    dify = App(blocking=blocking_sample("chat"))
    body = {"model": "talk", "messages": [user("Hi")]}
    response = call(serve.completions, dify, body, key=None, headers=headers)
    assert (response.status_code, fault(response)[1]) == (status, None if status == 200 else "invalid_api_key")
    assert response.headers.get("WWW-Authenticate") == (None if status == 200 else 'Bearer realm="Duck"')
    [line] = [record.getMessage() for record in caplog.records if f" {status} " in record.getMessage()]
    assert f"by={by}" in line or status == 401
    assert f"request={response.headers['X-Request-Id']}" in line
    assert len(response.headers["X-Request-Id"]) == len("req_") + 32


@pytest.mark.parametrize(
    ("settings", "key", "status"), [({"public_apps": ""}, "public", 401), ({"public_apps": ""}, None, 401), ({}, "public", 200)]
)
def test_guests_reach_public_apps_only(settings: dict[str, str], key: str | None, status: int) -> None:
    dify, whole = App(blocking=blocking_sample("chat")), {**SETTINGS, **settings}
    statuses = {ask(dify, key=key, settings=whole).status_code for ask in (chat, respond)}
    assert statuses == {
        status,
        get(serve.models, SessionGateway(Dify()), key=key, settings=whole).status_code,
        model("talk", key=key, settings=whole).status_code,
    }


# Models


def listed(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [{"id": name, "object": "model", "created": 0, "owned_by": "dify", **more} for name in names]


@pytest.mark.parametrize(
    ("settings", "key", "names"),
    [
        ({}, KEY, ["talk", "other", "default"]),
        ({"apps": f"{UNKNOWN}, talk={APP}"}, KEY, ["talk", "default", UNKNOWN]),
        ({"public_apps": "other"}, None, ["other"]),
        ({"apps": "", "public_apps": ""}, KEY, ["default"]),
        ({"apps": "", "public_apps": UNKNOWN, "default_app": None}, KEY, [UNKNOWN]),
        ({"apps": "", "public_apps": "", "default_app": None}, KEY, []),
    ],
)
def test_the_models_are_the_apps_that_the_caller_may_use(settings: dict[str, Any], key: str | None, names: list[str]) -> None:
    if "public_apps" not in settings:
        settings = {**settings, "public_apps": ""}
    assert models(settings={**SETTINGS, **settings}, key=key) == {"object": "list", "data": listed(*names)}


@pytest.mark.parametrize(
    ("name", "settings", "key", "status", "fetched"),
    [
        ("talk", SETTINGS, KEY, 200, 0),
        (APP.upper().replace("-", ""), SETTINGS, None, 200, 0),
        ("default", SETTINGS, KEY, 200, 0),
        ("unheard", SETTINGS, KEY, 404, 0),
        ("unheard", SETTINGS, None, 401, 0),
        (UNKNOWN, SETTINGS, KEY, 404, 0),
        (UNKNOWN, ANYWHERE, KEY, 404, 1),
        (UNKNOWN, ANYWHERE, None, 401, 0),
        ("../talk", SETTINGS, KEY, 404, 0),
    ],
)
def test_one_model(name: str, settings: Any, key: str | None, status: int, fetched: int) -> None:
    dify = App(form=Exception("fetch app failed: data is nil"))
    response = model(name, settings=settings, key=key, dify=dify)
    assert (response.status_code, len(dify.fetched)) == (status, fetched)
    if status == 200:
        assert json_of(response) == listed(name)[0]
    if status == 404:
        assert fault(response) == (404, "model_not_found", "model")


def test_a_model_by_the_id_of_any_app_of_the_workspace() -> None:
    assert json_of(model(UNKNOWN, settings=ANYWHERE, dify=App())) == listed(UNKNOWN)[0]


@pytest.mark.parametrize(
    ("info", "more"),
    [(INFO, {"name": INFO["name"], "description": "Answers"}), ({**INFO, "description": ""}, {"name": INFO["name"]})],
)
def test_an_apps_own_key_gives_its_name(info: Any, more: dict[str, str], api: Api) -> None:
    api.answers["/info"] = info
    settings = {**service.SETTINGS, "apps": f"talk={APP}, {UNKNOWN}"}
    assert models(settings=settings)["data"] == [*listed("talk", **more), *listed(UNKNOWN)]
    assert json_of(model("talk", settings=settings)) == listed("talk", **more)[0]
    assert set(api.paths()) == {"/info"}


def test_a_model_without_a_name_is_listed_all_the_same(api: Api) -> None:
    api.answers["/info"] = service.refused(500, "unknown")
    assert models(settings={**service.SETTINGS, "apps": f"talk={APP}"})["data"] == listed("talk")


# Paths and methods that there are not


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/v1/chat/completions", 405, "OPTIONS, POST"),
        ("PUT", "/v1/responses", 405, "OPTIONS, POST"),
        ("POST", "/v1/models", 405, "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/models/talk", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/chat/completions", 405, "OPTIONS, POST"),
        ("POST", "/v1/embeddings", 404, None),
        ("POST", "/v1/v1/chat/completions", 404, None),
        ("POST", "/v1/chat/completions/", 404, None),
        ("GET", "/v1/responses/resp_1", 404, None),
        ("GET", "/v1", 404, None),
        ("GET", "/v1/", 404, None),
    ],
)
def test_what_is_no_route(method: str, path: str, status: int, allow: str | None) -> None:
    headers = {"Dify-Hook-Id": "abc", "Dify-Hook-Url": "https://dify.example/e/abc/v1/models"}
    response = get(serve.unknown, method=method, path=path, key=None, headers=headers)
    code = "unknown_url" if status == 404 else "method_not_allowed"
    whole = json_of(response)
    message = whole["message"]
    assert whole == {
        "error": {"message": message, "type": "invalid_request_error", "param": None, "code": code},
        "code": "not_found" if status == 404 else code,
        "message": message,
        "status": status,
    }
    assert (response.status_code, response.headers.get("Allow")) == (status, allow)
    assert "https://dify.example/e/abc/v1," in message or status == 405
    assert response.headers["X-Request-Id"].startswith("req_")


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        ({}, "https://…/v1"),
        ({"public_url": "https://duck.example:8443"}, "https://duck.example:8443/v1"),
        ({"public_url": "nowhere"}, "https://…/v1"),
    ],
)
def test_the_base_url_is_told_as_far_as_it_is_known(settings: dict[str, str], base: str) -> None:
    response = get(serve.unknown, path="/v1/x", settings={**SETTINGS, **settings})
    assert (response.status_code, f" {base}, " in json_of(response)["message"]) == (404, True)


# Failures: what Dify or Duck fails with, and what the client gets


def refusing(error: Any) -> dict[str, Any]:
    return {"blocking": error, "stream": [error]}


FAILURES = [
    (
        refusing(http_error(400, "invalid_param", "city in input form must be a string")),
        400,
        "invalid_request_error",
        "invalid_param",
        None,
    ),
    (refusing(http_error(400, "invalid_param", "app not found")), 404, "invalid_request_error", "model_not_found", "model"),
    (
        refusing(http_error(400, "invalid_param", "Workflow not published")),
        404,
        "invalid_request_error",
        "model_not_found",
        "model",
    ),
    (refusing(http_error(400, "invalid_param", "Rate Limit Error")), 429, "rate_limit_error", "rate_limit_exceeded", None),
    (refusing(http_error(500, "unknown", "oh")), 502, "server_error", "completion_request_error", None),
    (refusing(Exception("read app failed: ")), 502, "server_error", "stream_interrupted", None),
    (refusing(Exception("invocation exited without response after 250 s")), 504, "server_error", "timeout", None),
    (
        refusing(http_error(400, "invalid_param", "Model provider x quota exceeded.")),
        502,
        "server_error",
        "provider_quota_exceeded",
        None,
    ),
]


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("ask", [chat, respond])
@pytest.mark.parametrize(("script", "status", "kind", "code", "param"), FAILURES)
def test_a_failure_before_the_first_chunk(
    ask: Any, script: Any, status: int, kind: str, code: str, param: str | None, streams: bool
) -> None:
    response = ask(App(**script), stream=streams)
    error = json_of(response)["error"]
    assert (response.status_code, error["type"], error["code"], error["param"]) == (status, kind, code, param)
    assert response.headers.get("X-Should-Retry") == ("false" if status >= 500 else None)
    assert ("Retry-After" in response.headers) == (status == 429)
    assert response.headers["X-Request-Id"].startswith("req_")
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("error", "kind", "code", "param", "headers"),
    [
        (errors.invalid_field("messages", "required"), "invalid_request_error", "invalid_param", "messages", {}),
        (errors.wrong_route("workflow", "chat"), "invalid_request_error", "not_workflow_app", None, {}),
        (DuckError(401, "unauthorized", "x"), "invalid_request_error", "invalid_api_key", None, {}),
        (DuckError(403, "forbidden", "x"), "invalid_request_error", "forbidden", None, {}),
        (DuckError(404, "app_not_found", "x"), "invalid_request_error", "model_not_found", "model", {}),
        (DuckError(413, "file_too_large", "x"), "invalid_request_error", "file_too_large", None, {}),
        (DuckError(415, "unsupported_media_type", "x"), "invalid_request_error", "unsupported_media_type", None, {}),
        (DuckError(429, "rate_limit_error", "x"), "rate_limit_error", "rate_limit_exceeded", None, {}),
        (DuckError(500, "invalid_settings", "x"), "server_error", "invalid_settings", None, {"X-Should-Retry": "false"}),
        (DuckError(502, "workflow_failed", "x"), "server_error", "workflow_failed", None, {"X-Should-Retry": "false"}),
        (DuckError(503, "overloaded", "x"), "server_error", "overloaded", None, {}),
        (DuckError(504, "timeout", "x"), "server_error", "timeout", None, {"X-Should-Retry": "false"}),
    ],
)
def test_what_each_error_of_duck_is_called(error: DuckError, kind: str, code: str, param: str | None, headers: Any) -> None:
    assert failures.of(error) == {"error": {"message": error.message, "type": kind, "param": param, "code": code}}
    assert no_retry(error) == headers


BODY = {"model": "talk", "messages": [user("Hi")], "input": "Hi"}


@pytest.mark.parametrize("handler", [serve.completions, serve.responses])
@pytest.mark.parametrize(
    ("body", "options", "expected"),
    [
        (b"{", {}, (400, "invalid_param", None)),
        (b"", {}, (400, "invalid_param", "model")),
        (b"0\r\n\r\n", {}, (400, "invalid_param", "model")),
        (b"[1]", {}, (400, "invalid_param", None)),
        (json.dumps({**BODY, **{str(n): 1 for n in range(1000)}}).encode(), {}, (400, "invalid_param", None)),
        (b" " * 10 * 1024 * 1024, {}, (413, "file_too_large", None)),
        (json.dumps(BODY).encode(), {"headers": {"Content-Encoding": "gzip"}}, (415, "unsupported_media_type", None)),
        (json.dumps(BODY).encode("utf-16"), {"content_type": "application/json; charset=utf-16"}, (200, None, None)),
        (json.dumps(BODY).encode(), {"content_type": "text/plain"}, (200, None, None)),
        ({**BODY, "model": "unheard"}, {}, (404, "model_not_found", "model")),
        ({**BODY, "model": "unheard"}, {"key": None}, (401, "invalid_api_key", None)),
        (
            {**BODY, "model": "other"},
            {"key": None, "settings": {**SETTINGS, "public_apps": "talk"}},
            (401, "invalid_api_key", None),
        ),
        ({**BODY, "tools": [{}]}, {"key": None}, (400, "invalid_param", "tools")),
        (BODY, {"key": None, "headers": {"Origin": "https://evil.example"}}, (403, "forbidden", None)),
        (BODY, {"headers": {"Origin": "https://evil.example"}}, (200, None, None)),
        (BODY, {"settings": {**SETTINGS, "public_rate": "x"}}, (500, "invalid_settings", None)),
    ],
)
def test_a_request_that_cannot_be_run(handler: Any, body: Any, options: Any, expected: Any) -> None:
    dify = App(blocking=blocking_sample("chat"))
    assert fault(call(handler, dify, body, **options)) == expected
    assert len(dify.calls) == (expected[0] == 200)


def test_guests_have_a_rate() -> None:
    dify, settings = Talk(), {**SETTINGS, "public_rate": "1"}
    assert fault(chat(dify, key=None, settings=settings))[0] == 200
    response = chat(dify, key=None, settings=settings)
    assert fault(response) == (429, "rate_limit_exceeded", None)
    assert int(response.headers["Retry-After"]) > 0


def test_without_a_free_slot_the_client_may_try_again(state: State) -> None:
    state.slots = Slots(0)
    response = chat(App(blocking=blocking_sample("chat")))
    assert (fault(response), "X-Should-Retry" in response.headers) == ((503, "overloaded", None), False)
    assert response.headers["Retry-After"] == "5"


def test_a_defect_is_reported_without_its_reason() -> None:
    response = chat(App(blocking=[]))
    assert (fault(response), response.headers["X-Should-Retry"]) == ((500, "internal_server_error", None), "false")


BEGUN = sample("chat")[:2]
MIDSTREAM = [
    ([*BEGUN, Exception("read app failed: ")], "server_error", "stream_interrupted"),
    (BEGUN, "server_error", "stream_interrupted"),
    (
        [*BEGUN, {"event": "error", "code": "invalid_param", "status": 400, "message": "It broke."}],
        "server_error",
        "completion_request_error",
    ),
    ([*BEGUN, {"event": "error"}], "server_error", "completion_request_error"),
    ([*BEGUN, {"event": "error", "code": "provider_quota_exceeded", "message": "x"}], "server_error", "provider_quota_exceeded"),
    (
        [*BEGUN, {"event": "error", "code": "x", "status": 429, "message": "Slow down."}],
        "rate_limit_error",
        "rate_limit_exceeded",
    ),
]


@pytest.mark.parametrize(("stream", "kind", "code"), MIDSTREAM)
def test_a_failure_in_mid_stream_ends_it(stream: Any, kind: str, code: str) -> None:
    *chunks, last = events_of(chat(App(stream=stream), stream=True))
    assert (last["error"]["type"], last["error"]["param"], last["error"]["code"]) == (kind, None, code)
    assert {chunk["choices"][0]["finish_reason"] for chunk in chunks} == {None}
    *_, failed = events_of(respond(App(stream=stream), stream=True))
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"] == {"code": "server_error", "message": last["error"]["message"]}


# The SDK's client, which has its own mind about what to send again


def client(dify: Dify) -> tuple[openai.OpenAI, list[Response]]:
    """OpenAI's client, and the answers that it gets."""
    answers: list[Response] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        handler = serve.completions if request.url.path.endswith("completions") else serve.responses
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        builder = EnvironBuilder(method="POST", path=request.url.path, headers=[*headers.items()], data=request.read())
        answers.append(handler(builder.get_request(), SETTINGS, SessionGateway(dify)))
        return httpx2.Response(answers[-1].status_code, headers=[*answers[-1].headers.items()], content=body_of(answers[-1]))

    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    return openai.OpenAI(base_url="http://duck/v1", api_key=KEY, http_client=http), answers


ASK: dict[str, Any] = {"model": "talk", "messages": [{"role": "user", "content": "Hi"}]}
ASK_RESPONSES: dict[str, Any] = {"model": "talk", "input": "Hi"}


def test_the_client_does_not_send_a_failed_run_again() -> None:
    sdk, answers = client(App(**refusing(http_error(500, "unknown", "oh"))))
    with pytest.raises(openai.InternalServerError) as raised:
        sdk.chat.completions.create(**ASK)
    with pytest.raises(openai.InternalServerError):
        sdk.responses.create(**ASK_RESPONSES)
    assert (raised.value.code, len(answers), raised.value.request_id) == (
        "completion_request_error",
        2,
        answers[0].headers["X-Request-Id"],
    )


def test_the_client_talks_and_streams() -> None:
    dify = App(stream=sample("chat"), blocking=blocking_sample("chat"))
    sdk, _ = client(dify)
    text = "The Pro plan costs 20 USD per month."
    assert sdk.chat.completions.create(**ASK).choices[0].message.content == text
    with sdk.chat.completions.stream(**ASK) as chunks:
        assert chunks.get_final_completion().choices[0].message.content == text
    first = sdk.responses.create(**ASK_RESPONSES)
    with sdk.responses.stream(**ASK_RESPONSES, previous_response_id=first.id) as events:
        assert events.get_final_response().output_text == first.output_text == text
    assert [call["conversation_id"] != "" for call in dify.calls] == [False, False, False, True]


@pytest.mark.parametrize(("stream", "kind", "code"), MIDSTREAM)
def test_the_client_notices_a_failure_in_mid_stream(stream: Any, kind: str, code: str, state: State) -> None:
    state.clock = NoSleepClock()
    sdk, _ = client(App(stream=stream))
    with pytest.raises(openai.APIError) as raised:
        list(sdk.chat.completions.create(**ASK, stream=True))
    assert (raised.value.type, raised.value.code) == (kind, code)
    *_, last = sdk.responses.create(**ASK_RESPONSES, stream=True)
    assert (last.type, last.response.status) == ("response.failed", "failed")
