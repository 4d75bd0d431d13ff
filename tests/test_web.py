"""Whole requests, from the first header to the body, with a Dify that plays a script."""

import json
import logging
import re
from collections.abc import Mapping
from types import GeneratorType
from typing import Any

import pytest
from werkzeug import Response

import duck
from duck.faces.api import serve
from duck.runs.run import Kind
from tests.support import (
    APP,
    BROWSER,
    SETTINGS,
    Dify,
    blocking_sample,
    body_of,
    call,
    http_error,
    json_of,
    kind_of_sample,
    make_request,
    sample,
)

CHAT = sample("chat")
WORKFLOW = sample("workflow")
AGENT_REFUSAL = http_error(400, "invalid_param", "Agent Chat App does not support blocking mode")


def lines(response: Response) -> list[Any]:
    return [json.loads(line) for line in body_of(response).splitlines()]


def error_of(response: Response) -> tuple[int, str]:
    document = json_of(response)
    assert document.keys() == {"code", "message", "status"}
    assert document["status"] == response.status_code
    return response.status_code, document["code"]


# Format and mode


@pytest.mark.parametrize(
    ("mode", "style", "asked_of_dify"),
    [
        (None, "json", "blocking"),
        ("blocking", "json", "blocking"),
        ("streaming", "json", "streaming"),
        (None, "ndjson", "streaming"),
        ("streaming", "ndjson", "streaming"),
        ("blocking", "ndjson", "blocking"),
        (None, "sse", "streaming"),
        ("blocking", "sse", "blocking"),
        (None, "text", "streaming"),
        ("blocking", "text", "blocking"),
        (None, "html", "streaming"),
        ("blocking", "html", "blocking"),
    ],
)
def test_format_and_mode_are_independent(mode: str | None, style: str, asked_of_dify: str) -> None:
    dify = Dify(stream=CHAT, blocking=blocking_sample("chat"))
    response = call(dify, path=f"/chat/x?format={style}", json={"query": "hi", "response_mode": mode})
    assert response.status_code == 200
    assert [made["response_mode"] for made in dify.calls] == [asked_of_dify]


def test_a_blocking_answer_passes_as_dify_gave_it() -> None:
    response = call(Dify(blocking=blocking_sample("chat")))
    assert json_of(response) == blocking_sample("chat")
    assert response.headers["Content-Type"] == "application/json"


def test_an_answer_that_does_not_tell_the_kind_of_its_app_passes_too() -> None:
    assert json_of(call(Dify(blocking={"answer": "Hi"}))) == {"answer": "Hi"}


def test_a_blocking_run_under_a_streaming_format_is_its_closing_events() -> None:
    answer = blocking_sample("chat")
    ids = {name: answer[name] for name in ("conversation_id", "message_id", "created_at", "task_id", "id")}
    response = call(Dify(blocking=answer), path="/x?format=ndjson", json={"query": "hi", "response_mode": "blocking"})
    assert lines(response) == [
        {"event": "message", **ids, "answer": answer["answer"], "from_variable_selector": []},
        {"event": "message_end", **ids, "metadata": answer["metadata"], "files": []},
    ]


def test_a_blocking_workflow_under_a_streaming_format_ends_with_workflow_finished() -> None:
    answer = blocking_sample("workflow")
    response = call(Dify(blocking=answer), "workflow", path="/x?format=ndjson", json={"response_mode": "blocking"})
    assert lines(response) == [
        {
            "event": "workflow_finished",
            "workflow_run_id": answer["workflow_run_id"],
            "task_id": answer["task_id"],
            "data": answer["data"],
        }
    ]


@pytest.mark.parametrize(
    ("accept", "mode", "content_type"),
    [
        (None, None, "application/json"),
        (None, "streaming", "application/x-ndjson"),
        ("*/*", None, "application/json"),
        ("*/*", "blocking", "application/json"),
        ("*/*", "streaming", "application/x-ndjson"),
        ("image/png, */*;q=0.1", "streaming", "application/x-ndjson"),
        ("application/json", "streaming", "application/json"),
        ("application/x-ndjson", None, "application/x-ndjson"),
        ("application/ndjson", None, "application/x-ndjson"),
        ("application/jsonl", None, "application/x-ndjson"),
        ("text/event-stream", None, "text/event-stream"),
        ("text/plain", None, "text/plain; charset=utf-8"),
        ("application/*", "streaming", "application/x-ndjson"),
        ("text/*;q=0.5, application/json;q=0.1", None, "text/event-stream"),
        ("application/json;q=0.2, text/event-stream;q=0.8", None, "text/event-stream"),
        ("APPLICATION/JSON", "streaming", "application/json"),
        ("application/json; charset=utf-8", "streaming", "application/json"),
        ("application/json;q=0, */*", None, "application/x-ndjson"),
        ("application/json, text/plain, */*", "streaming", "application/x-ndjson"),
        ("application/json, text/plain, */*", None, "application/json"),
        ("application/json, text/plain, */*", "blocking", "application/json"),
        ("application/json, text/event-stream", "streaming", "text/event-stream"),
        ("application/json, text/event-stream", None, "application/json"),
        ("application/json, text/event-stream;q=0.9", "streaming", "application/json"),
        ("application/json;q=0.5, text/event-stream;q=0.5, */*;q=0.5", "streaming", "text/event-stream"),
        ("application/json, application/jsonl", "streaming", "application/x-ndjson"),
        ("application/json, text/plain", "streaming", "application/json"),
        (BROWSER, None, "text/html; charset=utf-8"),
    ],
)
def test_accept_decides_the_format(accept: str | None, mode: str | None, content_type: str) -> None:
    headers = {"Accept": accept} if accept else {}
    body = {"query": "hi", "response_mode": mode}
    response = call(Dify(stream=CHAT, blocking=blocking_sample("chat")), json=body, headers=headers)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == content_type


def test_the_format_parameter_wins_over_accept() -> None:
    response = call(Dify(stream=CHAT), path="/x?format=sse", headers={"Accept": "application/json"})
    assert response.headers["Content-Type"] == "text/event-stream"


def test_a_document_that_the_url_asks_for_is_one_in_any_mode() -> None:
    body = {"query": "hi", "response_mode": "streaming"}
    response = call(Dify(stream=CHAT), path="/x?format=json", json=body, headers={"Accept": "application/json, */*"})
    assert response.headers["Content-Type"] == "application/json"


def test_an_unknown_format_is_refused() -> None:
    response = call(Dify(), path="/x?format=xml")
    assert error_of(response) == (400, "invalid_param")
    assert "json, ndjson, sse, html, text" in json_of(response)["message"]


def test_a_caller_that_accepts_nothing_there_is_gets_406_and_a_list() -> None:
    response = call(Dify(), headers={"Accept": "image/png"})
    assert error_of(response) == (406, "not_acceptable")
    assert "text/event-stream" in json_of(response)["message"]


def test_streams_are_real_generators_once_they_cannot_be_answered_at_once() -> None:
    large = {**CHAT[0], "answer": "x" * 2_000_000}
    response = call(Dify(stream=[large, *CHAT]), path="/x?format=ndjson")
    assert isinstance(response.response, GeneratorType)
    assert [line.get("answer") for line in lines(response)] == [
        large["answer"],
        "The Pro plan",
        " costs",
        " 20 USD per month.",
        None,
    ]


def test_a_large_blocking_answer_goes_out_in_pieces() -> None:
    answer = {**blocking_sample("chat"), "answer": "x" * 4_000_000}
    response = call(Dify(blocking=answer))
    assert isinstance(response.response, GeneratorType)
    assert "Content-Length" not in response.headers
    parts = list(response.response)
    assert max(map(len, parts)) == 256 * 1024
    assert json.loads(b"".join(parts)) == answer


# Headers


@pytest.mark.parametrize("path", ["/x", "/x?format=ndjson", "/x?format=html", "/x?format=bogus"])
def test_every_response_has_the_common_headers(path: str) -> None:
    headers = call(Dify(stream=CHAT, blocking=blocking_sample("chat")), path=path).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers.getlist("Vary") == [
        "Accept, Accept-Language, Authorization, X-API-Key, API-Key, Origin, Sec-Fetch-Site, Sec-Fetch-Dest"
    ]


@pytest.mark.parametrize("style", ["ndjson", "sse", "html", "text"])
def test_a_stream_asks_not_to_be_buffered(style: str) -> None:
    assert call(Dify(stream=CHAT), path=f"/x?format={style}").headers["X-Accel-Buffering"] == "no"


# What is asked of Dify


def test_a_chat_is_called_with_all_that_the_request_says() -> None:
    dify = Dify(blocking=blocking_sample("chat"))
    conversation_id = "C7E1F2A3-9b64-4d2a-8f10-62b5d4c3a901"
    call(dify, json={"query": "hi", "inputs": {"city": "Oslo"}, "conversation_id": conversation_id, "user": "ann"})
    assert dify.calls == [
        {
            "app_id": APP,
            "query": "hi",
            "inputs": {"city": "Oslo"},
            "response_mode": "blocking",
            "conversation_id": conversation_id.lower(),
            "user": "ann",
        }
    ]


@pytest.mark.parametrize("kind", ["workflow", "completion"])
def test_other_apps_are_called_without_what_only_chats_have(kind: Kind) -> None:
    dify = Dify(blocking=blocking_sample(kind))
    call(dify, kind, json={"query": "hi", "inputs": {"city": "Oslo"}})
    assert dify.calls == [{"app_id": APP, "inputs": {"city": "Oslo"}, "response_mode": "blocking", "user": ""}]


def test_a_get_takes_its_query_string_as_the_request() -> None:
    dify = Dify(blocking=blocking_sample("chat"))
    call(dify, method="GET", path="/x?query=hi&city=Oslo&format=json")
    assert dify.calls[0]["query"] == "hi"
    assert dify.calls[0]["inputs"] == {"city": "Oslo"}


def test_the_original_route_streams_html_with_the_query_string_as_inputs() -> None:
    dify = Dify(stream=WORKFLOW)
    response = call(dify, "workflow", method="GET", path="/duck/x?text=a+b&query=q", default_format="html")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert dify.calls == [{"app_id": APP, "inputs": {"text": "a b", "query": "q"}, "response_mode": "streaming", "user": ""}]


@pytest.mark.parametrize(
    ("accept", "content_type"), [("*/*", "text/html; charset=utf-8"), ("application/json", "application/json")]
)
def test_the_original_route_answers_otherwise_when_asked(accept: str, content_type: str) -> None:
    dify = Dify(stream=WORKFLOW, blocking=blocking_sample("workflow"))
    response = call(dify, "workflow", method="GET", headers={"Accept": accept}, default_format="html")
    assert response.headers["Content-Type"] == content_type


def test_head_runs_nothing() -> None:
    dify = Dify()
    response = call(dify, method="HEAD", path="/x?query=hi&format=sse")
    assert (response.status_code, body_of(response), dify.calls) == (200, b"", [])
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_blocking_run_may_be_silent_for_the_20_minutes_that_dify_allows() -> None:
    blocking, streaming = Dify(blocking=blocking_sample("chat")), Dify(stream=CHAT)
    call(blocking)
    call(streaming, path="/x?format=ndjson")
    assert (blocking.silence_limits, streaming.silence_limits) == ([1230], [250])


# Agents


def test_an_agent_app_answers_a_blocking_caller() -> None:
    dify = Dify(stream=sample("agent-chat"), blocking=AGENT_REFUSAL)
    answer = json_of(call(dify))
    assert answer["answer"] == "I will draw it.\n\nHere is your fox."
    assert answer["mode"] == "agent-chat"
    assert [made["response_mode"] for made in dify.calls] == ["blocking", "streaming"]
    assert dify.silence_limits == [1230, 250]


def test_an_agent_is_asked_to_block_only_once() -> None:
    dify = Dify(stream=sample("agent-chat"), blocking=AGENT_REFUSAL)
    call(dify)
    call(dify)
    assert [made["response_mode"] for made in dify.calls] == ["blocking", "streaming", "streaming"]


def test_an_agent_answers_in_blocking_mode_under_a_streaming_format_too() -> None:
    dify = Dify(stream=sample("agent-chat"), blocking=AGENT_REFUSAL)
    events = lines(call(dify, path="/x?format=ndjson", json={"query": "hi", "response_mode": "blocking"}))
    assert [event["event"] for event in events] == ["agent_thought", "agent_thought", "message", "message_end"]
    assert events[2]["answer"] == "I will draw it.\n\nHere is your fox."
    assert events[3]["files"] == sample("agent-chat")[-1]["files"]


# The wrong route


@pytest.mark.parametrize(
    ("kind", "actual", "code"),
    [
        ("chat", "workflow", "not_chat_app"),
        ("chat", "completion", "not_chat_app"),
        ("workflow", "chat", "not_workflow_app"),
        ("workflow", "completion", "not_workflow_app"),
        ("completion", "chat", "not_completion_app"),
        ("completion", "workflow", "not_completion_app"),
    ],
)
@pytest.mark.parametrize("style", ["json", "ndjson"])
def test_an_app_on_the_wrong_route_is_named_the_right_one(kind: Kind, actual: Kind, code: str, style: str) -> None:
    dify = Dify(stream=sample(actual), blocking=blocking_sample(actual))
    response = call(dify, kind, path=f"/x?format={style}", json={"query": "hi"})
    assert error_of(response) == (400, code)
    assert f"/{actual}/" in json_of(response)["message"]


@pytest.mark.parametrize(("kind", "code"), [("workflow", "not_workflow_app"), ("completion", "not_completion_app")])
@pytest.mark.parametrize("style", ["json", "ndjson"])
def test_a_chat_app_that_misses_its_query_is_on_the_wrong_route(kind: Kind, code: str, style: str) -> None:
    refusal = http_error(400, "invalid_param", "missing query")
    response = call(Dify(stream=[refusal], blocking=refusal), kind, path=f"/x?format={style}", json={})
    assert error_of(response) == (400, code)
    assert "/chat/" in json_of(response)["message"]


# Failures


@pytest.mark.parametrize("style", ["json", "ndjson", "sse", "text"])
def test_a_failure_before_the_first_event_has_its_true_status_and_is_json(style: str) -> None:
    failure = http_error(400, "invalid_param", "app not found")
    response = call(Dify(stream=[failure], blocking=failure), path=f"/x?format={style}")
    assert error_of(response) == (404, "app_not_found")
    assert response.headers["Content-Type"] == "application/json"


def test_a_failure_before_the_first_event_is_a_page_where_html_is_asked_for() -> None:
    failure = http_error(400, "completion_request_error", "<b>no</b>")
    response = call(Dify(stream=[failure]), path="/x?format=html")
    assert response.status_code == 502
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Content-Security-Policy" in response.headers
    assert (
        b'<div slot="alert" role="alert"><strong>Something went wrong</strong><p dir="auto">&lt;b&gt;no&lt;/b&gt;</p>'
        in body_of(response)
    )


@pytest.mark.parametrize("style", ["json", "ndjson", "sse", "text"])
def test_an_error_event_before_all_others_has_its_true_status(style: str) -> None:
    error = {"event": "error", "conversation_id": "c", "code": "rate_limit_error", "status": 429, "message": "slow down"}
    body = {"query": "hi", "response_mode": "streaming"}
    response = call(Dify(stream=[error]), path=f"/x?format={style}", json=body)
    assert error_of(response) == (429, "rate_limit_error")
    assert response.headers["Retry-After"] == "30"


def test_an_error_event_in_the_middle_passes_as_dify_sent_it() -> None:
    error = {"event": "error", "conversation_id": "c", "code": "invalid_param", "status": 400, "message": "Run failed: x"}
    response = call(Dify(stream=[*CHAT[:2], error]), path="/x?format=ndjson")
    assert response.status_code == 200
    assert lines(response) == [*CHAT[:2], error]


@pytest.mark.parametrize(
    ("steps", "code", "status"),
    [
        (CHAT[:2], "stream_interrupted", 502),
        ([], "stream_interrupted", 502),
        ([*CHAT[:2], Exception("read app failed: unexpected EOF\nfailed to read system header")], "stream_interrupted", 502),
        ([*CHAT[:2], Exception("read app failed: http: read on closed response body\nfailed to read data")], "timeout", 504),
        ([*CHAT[:2], Exception("invocation exited without response after 250 seconds")], "timeout", 504),
        ([*CHAT[:2], Exception("read app failed: request failed: boom")], "completion_request_error", 502),
    ],
    ids=["cut", "empty", "connection lost", "240 s", "250 s", "exception in Dify"],
)
def test_a_stream_that_breaks_off_says_so(steps: list[Any], code: str, status: int) -> None:
    body = {"query": "hi", "response_mode": "streaming"}
    response = call(Dify(stream=steps), path="/x?format=json", json=body)
    assert error_of(response) == (status, code), "no partial answer"
    response = call(Dify(stream=steps), path="/x?format=ndjson")
    if not steps:
        assert error_of(response) == (status, code)
    else:
        *events, error = lines(response)
        assert events == CHAT[:2]
        assert (error["event"], error["code"], error["status"]) == ("error", code, status)


@pytest.mark.parametrize("junk", [{}, {"event": None}, {"answer": "x"}, [1], "ping", None], ids=repr)
def test_what_is_no_event_is_left_out_and_logged(junk: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="duck"):
        response = call(Dify(stream=[CHAT[0], junk, *CHAT[1:]]), path="/x?format=ndjson")
    assert lines(response) == CHAT
    assert "no event" in caplog.text


@pytest.mark.parametrize("style", ["json", "html"])
@pytest.mark.parametrize(
    "odd",
    [
        {"event": "message"},
        {"event": "message", "answer": None},
        {"event": "message", "answer": {"a": 1}},
        {"event": "message_replace", "answer": 3},
        {"event": "text_chunk", "data": None},
        {"event": "workflow_started", "data": [1]},
        {"event": "node_finished"},
        {"event": "agent_thought"},
        {"event": "message_file", "url": ["x"]},
        {"event": "of tomorrow", "data": 1},
    ],
    ids=json.dumps,
)
def test_an_event_with_odd_fields_does_no_harm(odd: dict[str, Any], style: str) -> None:
    body = {"query": "hi", "response_mode": "streaming"}
    response = call(Dify(stream=[CHAT[0], odd, *CHAT[1:]]), path=f"/x?format={style}", json=body)
    assert response.status_code == 200
    assert (b'role="alert"' if style == "html" else b"error") not in body_of(response)


def test_a_defect_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise ValueError("a secret")

        def __iter__(self) -> Any:
            raise NotImplementedError

        def __len__(self) -> int:
            return 1

    with caplog.at_level(logging.ERROR, logger="duck"):
        response = call(Dify(), settings=Broken())
    assert error_of(response) == (500, "internal_server_error")
    message = json_of(response)["message"]
    assert "a secret" not in message
    assert "a secret" in caplog.text
    reference = re.search(r"[0-9a-f]{12}", message)
    assert reference
    assert reference[0] in caplog.text


# Access


def test_without_a_key_nobody_may_call_and_a_program_is_asked_for_a_bearer_token() -> None:
    dify = Dify()
    response = call(dify, key=None)
    assert (error_of(response), dify.calls) == ((401, "unauthorized"), [])
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="Duck"'


def test_a_browser_is_asked_for_a_password() -> None:
    response = call(Dify(), key=None, headers={"Accept": BROWSER})
    assert response.status_code == 401
    assert response.headers.getlist("WWW-Authenticate") == ['Basic realm="Duck", charset="UTF-8", Bearer realm="Duck"']


def test_the_owner_is_told_that_no_key_is_set() -> None:
    assert "No API key is set" in json_of(call(Dify(), settings={}))["message"]


def test_settings_that_cannot_be_parsed_close_the_endpoint() -> None:
    dify = Dify()
    response = call(dify, settings={**SETTINGS, "apps": "not an id"})
    assert (error_of(response), dify.calls) == ((500, "invalid_settings"), [])


# Other routes


def parameters(dify: Dify, app: str = APP, **options: Any) -> Response:
    return serve.parameters(make_request("GET", f"/parameters/{app}", **options), app, SETTINGS, dify.gateway())


def test_parameters_passes_on_the_form_as_dify_gives_it() -> None:
    form = {"opening_statement": "Hi!", "user_input_form": []}
    dify = Dify(form=form)
    assert json_of(parameters(dify)) == form
    assert dify.fetched == [APP]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("fetch app failed: data is nil", (404, "app_not_found")),
        ("invocation exited without response after 5 seconds", (504, "timeout")),
    ],
)
def test_parameters_tells_why_there_is_no_form(text: str, error: tuple[int, str]) -> None:
    dify = Dify(form=Exception(text))
    assert error_of(parameters(dify)) == error
    assert dify.fetch_limit == 5


@pytest.mark.parametrize(
    "fields", [{"query": "a" * 5_300_000}, {"query": "hi", "user": "a" * 5_300_000}, {"query": "\x01" * 880_000}]
)
def test_a_run_that_would_be_too_long_a_line_is_refused_with_its_size(fields: dict[str, str]) -> None:
    dify = Dify()
    response = call(dify, json=fields)
    assert (*error_of(response), dify.calls) == (413, "file_too_large", [])
    assert re.search(r"have 5\.\d MB, and Dify takes at most 5 MB", json_of(response)["message"])


def test_a_run_of_five_megabytes_is_not() -> None:
    assert call(Dify(blocking=blocking_sample("chat")), json={"query": "鸭" * 1_700_000}).status_code == 200


def index(settings: Mapping[str, Any] = SETTINGS, **options: Any) -> Response:
    return serve.index(make_request("GET", "/", **options), settings, Dify().gateway())


def test_the_index_lists_what_there_is() -> None:
    ids = ["00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"]
    settings = {**SETTINGS, "apps": f"support={ids[0]}, {ids[1]}", "default_app": {"app_id": ids[0]}}
    headers = {"Dify-Hook-Id": "h", "Dify-Hook-Url": "https://dify.example.com/e/h/"}
    assert json_of(index(settings, headers=headers)) == {
        "name": "duck",
        "version": duck.__version__,
        "url": "https://dify.example.com/e/h/",
        "apps": [
            {"alias": "support", "public": False},
            {"alias": "default", "public": False},
            {"alias": ids[1], "public": False},
        ],
        "formats": ["json", "ndjson", "sse", "html", "text"],
    }


@pytest.mark.parametrize(
    ("hook", "url", "shown"),
    [
        ("h", "https://x.example/e/h/?a=1", "https://x.example/e/h/"),
        ("h", "http://x.example:8080/e/h/chat/a b", "http://x.example:8080/e/h/"),
        ("h", "javascript:alert(1)//e/h/", None),
        ("h", "https://x.example/other", None),
        ("", "https://x.example/e/", None),
    ],
)
def test_the_index_shows_its_address_only_if_it_is_one(hook: str, url: str, shown: str | None) -> None:
    assert json_of(index(headers={"Dify-Hook-Id": hook, "Dify-Hook-Url": url}))["url"] == shown


def test_a_preflight_is_answered_without_a_body_and_lets_nobody_in() -> None:
    response = serve.preflight(make_request("OPTIONS", "/chat/x", headers={"Origin": "https://o.example"}), SETTINGS)
    assert (response.status_code, body_of(response)) == (204, b"")
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["/chat", "/chat/", "/chat/a/b", "/v1/chat-message", "/nothing", "/duck"])
def test_a_path_without_a_route_is_not_found(path: str) -> None:
    assert error_of(serve.unknown(make_request("POST", path, key=None), SETTINGS)) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/", "GET, HEAD, OPTIONS"),
        ("PUT", "/chat/x", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/workflow/x", "GET, HEAD, OPTIONS, POST"),
        ("PUT", "/completion/x", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/duck/x", "GET, HEAD, OPTIONS"),
        ("POST", "/parameters/x", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_a_route_has_not_is_405_with_allow(method: str, path: str, allow: str) -> None:
    response = serve.unknown(make_request(method, path, key=None), SETTINGS)
    assert error_of(response) == (405, "method_not_allowed")
    assert response.headers["Allow"] == allow


@pytest.mark.parametrize("name", ["chat", "workflow", "agent-chat", "advanced-chat", "workflow.failed"])
def test_a_chatbot_workflow_or_agent_folds_to_json_when_streamed(name: str) -> None:
    body = {"query": "hi", "response_mode": "streaming"}
    response = call(Dify(stream=sample(name)), kind_of_sample(name), path="/x?format=json", json=body)
    assert response.status_code == 200
    assert json_of(response)["task_id"] == sample(name)[0]["task_id"]


@pytest.mark.parametrize("path", ["/chat/x/", "/workflow/x/", "/parameters/x/", "/stop/x/", "/chat//x", "/duck/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_slash_too_many_is_no_wrong_method(path: str, method: str) -> None:
    response = serve.unknown(make_request(method, path), SETTINGS)
    assert error_of(response) == (404, "not_found")
    assert "without a slash at the end" in json_of(response)["message"]


@pytest.mark.parametrize("name", ["query", "conversation_id", "response_mode", "user", "inputs", "inputs.city"])
def test_what_belongs_into_the_body_of_a_post_is_not_lost_in_its_url(name: str) -> None:
    dify = Dify(blocking=blocking_sample("chat"))
    response = call(dify, path=f"/x?{name}=streaming")
    assert (error_of(response), dify.calls) == ((400, "invalid_param"), [])
    assert json_of(response)["message"] == f"{name}: goes into the body, not into the URL of a POST"
    assert call(dify, path="/x?utm_source=mail&city=Oslo").status_code == 200


def test_a_form_that_is_sent_as_json_is_told_so() -> None:
    def told(body: str) -> str:
        response = call(Dify(), data=body, headers={"Content-Type": "application/json"})
        assert error_of(response) == (400, "invalid_param")
        return str(json_of(response)["message"])

    assert told("query=hi").endswith("It looks like a form: leave the Content-Type to the client.")
    assert "form" not in told('{"query": "a=b"')


def test_a_format_in_a_form_is_told_where_it_goes() -> None:
    response = call(Dify(form={"user_input_form": []}), data={"query": "hi", "format": "text"})
    assert json_of(response)["message"] == "inputs.format: no such input; the response format goes into the URL, as ?format="


def test_the_default_app_where_there_is_none() -> None:
    response = call(Dify(), app="default")
    assert error_of(response) == (404, "app_not_found")
    assert json_of(response)["message"] == "No app is chosen in the setting Default app (default_app)."
