"""The whole way: a client, the daemon's ways, the SDK's process with Duck in it, and Dify's apps."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

import html5lib
import httpx
import httpx_sse
import pytest

from devhost import App, Call, Failure, Pause
from tests.e2e.conftest import DEADLINE_S, ROOT, Duck
from tests.support import BROWSER, STREAMS, blocking_sample, kind_of_sample, sample, sample_run, without_nulls

type Step = dict[str, Any] | Pause | Failure
type Mode = Literal["chat", "agent-chat", "advanced-chat", "workflow", "completion"]

MODES: dict[str, Mode] = {
    "chat": "chat",
    "agent-chat": "agent-chat",
    "advanced-chat": "advanced-chat",
    "workflow": "workflow",
    "completion": "completion",
    "rare-events": "chat",
}
CHAT = sample("chat")


def taking(*names: str) -> dict[str, Any]:
    """The form of an app that takes texts under these names."""
    return {"user_input_form": [{"text-input": {"variable": name}} for name in names]}


def app_of(name: str) -> App:
    """An app that plays a recorded stream, all at once."""
    mode: Mode = "workflow" if "workflow" in name else MODES[name.partition(".")[0]]
    if name in {"chat", "advanced-chat", "workflow", "completion"}:
        return App(mode=mode, script=sample(name), blocking=blocking_sample(name), for_plugins=True)
    return App(mode=mode, script=sample_run(name), for_plugins=True)


def ndjson(response: httpx.Response) -> list[Any]:
    assert response.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.content.splitlines()]
    return [line for line in lines if line != {"event": "ping"}]  # a keep-alive, wherever the machine was busy for long


def sse(response: httpx.Response) -> list[Any]:
    return [json.loads(event.data) for event in httpx_sse.EventSource(response).iter_sse()]


def without_pings(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] != "ping"]


# What Dify sends is what a client reads


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(("style", "read"), [("ndjson", ndjson), ("sse", sse)])
def test_a_stream_arrives_as_dify_sent_it(duck: Duck, name: str, style: str, read: Callable[[httpx.Response], list[Any]]) -> None:
    response = duck.post(kind_of_sample(name), app_of(name), params={"format": style})
    assert response.status_code == 200
    events = without_pings(read(response))
    named = [event["event"] for event in events if "forms" in event]
    assert named == (["workflow_paused"] if duck.way == "key" and name == "workflow.paused" else []), "a field of Duck's own"
    assert [{field: value for field, value in event.items() if field != "forms"} for event in events] == sample_run(name)


@pytest.mark.parametrize("name", ["chat", "advanced-chat", "workflow", "completion"])
@pytest.mark.parametrize("mode", ["blocking", "streaming", None])
@pytest.mark.parametrize("style", ["json", "text", "html"])
def test_an_answer_is_whole_in_every_mode(duck: Duck, name: str, mode: str | None, style: str) -> None:
    body = {"query": "hi", "response_mode": mode}
    response = duck.post(kind_of_sample(name), app_of(name), json=body, params={"format": style})
    answer = blocking_sample(name)
    text = answer["data"]["outputs"]["summary"] if name == "workflow" else answer["answer"]
    assert response.status_code == 200
    match style:
        case "json":
            assert without_nulls(response.json()) == without_nulls(answer)
        case "text":
            assert response.text == f"{text}\n"
        case _:
            document = html5lib.HTMLParser(strict=True).parse(response.text)
            assert text in "".join(document.itertext())


def test_a_blocking_run_under_a_streaming_format_ends_as_a_stream_does(duck: Duck) -> None:
    body = {"query": "hi", "response_mode": "blocking"}
    events = ndjson(duck.post("chat", app_of("chat"), json=body, params={"format": "ndjson"}))
    assert [event["event"] for event in events] == ["message", "message_end"]
    assert events[0]["answer"] == blocking_sample("chat")["answer"]


def test_an_agent_answers_a_blocking_caller(duck: Duck) -> None:
    body = {"query": "hi", "response_mode": "blocking"}
    response = duck.post("chat", app_of("agent-chat"), json=body, params={"format": "json"})
    assert response.status_code == 200
    answer = response.json()
    assert (answer["mode"], answer["answer"]) == ("agent-chat", "I will draw it.\n\nHere is your fox.")


def test_a_completion_app_of_today_says_what_to_do(duck: Duck) -> None:
    response = duck.post("completion", App(mode="completion", script=[Failure.http(500, "unknown", "Internal Server Error")]))
    assert response.status_code == 502
    assert response.json()["code"] == ("completion_request_error" if duck.way == "key" else "completion_unavailable")


# Nothing is lost


def test_runs_that_yield_everything_at_once_lose_nothing(duck: Duck) -> None:
    app_id = duck.add(App(mode="chat", script=CHAT))
    count = 100 if duck.way == "local" else 30  # `make bench` tries thousands

    def run(number: int) -> list[Any]:
        style, read = (("ndjson", ndjson), ("sse", sse))[number % 2]
        return read(duck.client.post(f"/chat/{app_id}", json={"query": "hi"}, params={"format": style}))

    with ThreadPoolExecutor(3) as pool:  # few: each takes time from the stand-in, which runs in this process
        assert [events for events in pool.map(run, range(count)) if events != CHAT] == []


def test_a_thousand_events_at_once_arrive_whole(duck: Duck) -> None:
    deltas = [{**CHAT[0], "answer": f"{number} "} for number in range(1_000)]
    response = duck.post("chat", App(mode="chat", script=[*deltas, CHAT[-1]]), params={"format": "ndjson"})
    assert ndjson(response) == [*deltas, CHAT[-1]]


def test_a_burst_of_which_the_daemon_loses_the_end_says_that_it_was_cut(duck: Duck) -> None:
    deltas = [{**CHAT[0], "answer": f"{number} "} for number in range(5_000)]
    response = duck.post("chat", App(mode="chat", script=[*deltas, CHAT[-1]]), params={"format": "ndjson"})
    *events, last = ndjson(response)
    assert events == deltas[: len(events)]
    if duck.way == "key":  # past the daemon, nothing is lost
        assert (len(events), last) == (5_000, CHAT[-1])
    else:
        assert last["code"] == "stream_interrupted"


@pytest.mark.parametrize("mode", ["blocking", "streaming"])
@pytest.mark.parametrize("style", ["json", "ndjson", "sse", "text", "html"])
def test_a_large_answer_arrives_whole_and_the_process_lives(duck: Duck, style: str, mode: str) -> None:
    text = "0123456789abcde\n" * 250_000  # 4 MB
    app = App(mode="chat", script=[{**CHAT[0], "answer": text}, CHAT[-1]], blocking={**blocking_sample("chat"), "answer": text})
    response = duck.post("chat", app, json={"query": "hi", "response_mode": mode}, params={"format": style})
    match style:
        case "json":
            assert response.json()["answer"] == text
        case "ndjson":
            assert ndjson(response)[0]["answer"] == text
        case "sse":
            assert sse(response)[0]["answer"] == text
        case "text":
            assert response.text == text
        case _:
            assert text in response.text
    assert duck.host.runtime.starts == 1


def test_a_large_error_arrives_whole(duck: Duck) -> None:
    message = "x" * 3_000_000
    response = duck.post("chat", App(mode="chat", blocking=Failure.http(400, "completion_request_error", message)))
    assert response.status_code == 502
    assert response.json()["message"] == message


@pytest.mark.parametrize("style", ["html", "ndjson", "sse", "text"])
def test_a_workflows_stream_is_live(duck: Duck, style: str) -> None:
    events, last_may_come = sample("workflow"), threading.Event()

    def script(call: Call) -> Iterable[Step]:
        yield from events[:6]
        assert last_may_come.wait(60), call
        yield from events[6:]

    url = f"/workflow/{duck.add(App(mode='workflow', script=script))}"
    with duck.client.stream("POST", url, json={}, params={"format": style}) as response:
        chunks = response.iter_text()
        text = ""
        while "is coming." not in text:
            text += next(chunks)
        assert "workflow_finished" not in text
        assert "</html>" not in text
        last_may_come.set()
        text += "".join(chunks)
    assert ("</html>" in text) if style == "html" else ("workflow_finished" in text) == (style in {"ndjson", "sse"})


def test_a_browsers_get_of_the_duck_route_is_live_html_with_all_text_escaped(duck: Duck) -> None:
    events, last_may_come, calls = sample("workflow"), threading.Event(), list[Call]()

    def script(call: Call) -> Iterable[Step]:
        calls.append(call)
        yield from events[:4]
        yield {**events[4], "data": {"text": "<script>alert(1)</script>"}}
        assert last_may_come.wait(60)
        yield from events[6:]

    url = f"/duck/{duck.add(App(mode='workflow', script=script, form=taking('text')))}?text=a+b"
    with duck.client.stream("GET", url, headers={"Accept": BROWSER}) as response:
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        chunks = response.iter_text()
        text = ""
        while "&lt;script&gt;alert(1)&lt;/script&gt;" not in text:
            text += next(chunks)
        last_may_come.set()
        text += "".join(chunks)
    assert text.count("<script") == 1, "the page's own"
    assert calls[0].inputs == {"text": "a b"}
    html5lib.HTMLParser(strict=True).parse(text)


def test_a_short_soak_of_clients_of_every_kind_loses_nothing() -> None:
    command = [sys.executable, "-m", "bench", "soak", "--clients", "6", "--seconds", "5"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=5 * DEADLINE_S, check=False)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "  0 differences"), ended.stdout + ended.stderr


# Every way for Dify to fail


REFUSED = Failure.http(400, "invalid_param", "app not found")
BROKEN_OFF = Failure("read app failed: http: read on closed response body\nfailed to read system header")
ERROR_EVENT = {
    "event": "error",
    "conversation_id": CHAT[0]["conversation_id"],
    "message_id": CHAT[0]["message_id"],
    "created_at": 1784000000,
    "code": "completion_request_error",
    "status": 400,
    "message": "connection reset",
}
EARLY = [
    pytest.param([REFUSED], 404, "app_not_found", id="refused"),
    pytest.param([ERROR_EVENT], 502, "completion_request_error", id="error event"),
    pytest.param([BROKEN_OFF], 504, "timeout", id="cut at 240 s"),
    pytest.param([], 502, "stream_interrupted", id="empty"),
]
LATE = [
    pytest.param([*CHAT[:1], ERROR_EVENT], 502, "completion_request_error", id="error event after the first"),
    pytest.param([*CHAT[:3], ERROR_EVENT], 502, "completion_request_error", id="error event in the middle"),
    pytest.param([*CHAT[:1], Pause(0.2), BROKEN_OFF], 504, "timeout", id="cut after the first"),
    pytest.param([*CHAT[:3], BROKEN_OFF], 504, "timeout", id="cut in the middle"),
    pytest.param(CHAT[:3], 502, "stream_interrupted", id="no end"),
    pytest.param([*CHAT[:1], Pause(0.2), *CHAT[1:3]], 502, "stream_interrupted", id="slow, no end"),
]


@pytest.mark.parametrize("style", ["json", "ndjson", "sse", "text", "html"])
@pytest.mark.parametrize(("script", "status", "code"), EARLY)
def test_a_failure_before_the_first_event_has_its_status(
    duck: Duck, script: list[Step], status: int, code: str, style: str
) -> None:
    if duck.way == "key" and script == [BROKEN_OFF]:  # by HTTP it is an error like any other
        status, code = 502, "completion_request_error"
    body = {"query": "hi", "response_mode": "streaming"}
    response = duck.post("chat", App(mode="chat", script=script), json=body, params={"format": style})
    assert response.status_code == status
    if style == "html":
        assert 'role="alert"' in response.text
        html5lib.HTMLParser(strict=True).parse(response.text)
    else:
        assert (response.json()["code"], response.json()["status"]) == (code, status)


@pytest.mark.parametrize("style", ["json", "ndjson", "sse", "text", "html"])
@pytest.mark.parametrize(("script", "status", "code"), LATE)
def test_a_failure_after_the_first_event_ends_the_stream_properly(
    duck: Duck, script: list[Step], status: int, code: str, style: str
) -> None:
    if duck.way == "key" and BROKEN_OFF in script:  # by HTTP it is a connection that is closed
        status, code = 502, "stream_interrupted"
    body = {"query": "hi", "response_mode": "streaming"}
    response = duck.post("chat", App(mode="chat", script=script), json=body, params={"format": style})
    if style == "json":
        assert (response.status_code, response.json()["code"]) == (status, code)
        return
    assert response.status_code == 200
    assert "The Pro plan" in response.text
    match style:
        case "text":
            assert re.search(r"\nerror: .+\n\Z", response.text)
        case "html":
            assert 'role="alert"' in response.text
            html5lib.HTMLParser(strict=True).parse(response.text)
        case _:
            events = ndjson(response) if style == "ndjson" else sse(response)
            assert (events[-1]["event"], events[-1]["code"]) == ("error", code)


def test_what_is_no_event_does_not_end_a_run(duck: Duck) -> None:
    junk: Any = [{"answer": "no name"}, {"event": 7}]
    if duck.way != "serverless":  # where the SDK parses the replies before anybody else can see them
        junk += ["ping", [1], 7, None]
    response = duck.post("chat", App(mode="chat", script=[CHAT[0], *junk, *CHAT[1:]]), params={"format": "ndjson"})
    assert ndjson(response) == CHAT


def test_characters_that_end_a_line_elsewhere_end_none_here(duck: Duck) -> None:
    delta = {**CHAT[0], "answer": "a\u0085b\u2028c\rd\x1ee\u0000f"}
    response = duck.post("chat", App(mode="chat", script=[delta, CHAT[-1]]), params={"format": "ndjson"})
    assert ndjson(response) == [delta, CHAT[-1]]


def test_an_event_of_3_megabytes_in_the_middle_arrives_whole(duck: Duck) -> None:
    large = {**CHAT[1], "answer": "x" * 3_000_000}
    script: list[Step] = [CHAT[0], Pause(0.2), large, *CHAT[2:]]
    response = duck.post("chat", App(mode="chat", script=script), params={"format": "ndjson"})
    assert ndjson(response) == [CHAT[0], large, *CHAT[2:]]


# Bad input: the right status, a message that helps, and never a word of the SDK's


JSON_TYPE = {"Content-Type": "application/json"}
BAD_REQUESTS = [  # of each kind one: tests/test_bad_input.py and tests/test_runs.py have them all
    pytest.param({"content": b'{"query": "hi"', "headers": JSON_TYPE}, 400, "not valid JSON", id="broken JSON"),
    pytest.param({"content": b"[" * 200_000, "headers": JSON_TYPE}, 400, "100,000 values", id="very deep"),
    pytest.param({"content": b'{"query":"\xff"}', "headers": JSON_TYPE}, 400, "UTF-8", id="not UTF-8"),
    pytest.param({"content": b"hi"}, 415, "multipart/form-data", id="no content type"),
    pytest.param({"content": b""}, 400, "query: required", id="empty"),
    pytest.param({"content": b"", "headers": JSON_TYPE}, 400, "query: required", id="empty JSON"),
    pytest.param({"headers": {"Accept": "image/png"}}, 406, "text/event-stream", id="accept"),
    pytest.param({"headers": {"Authorization": "Bearer wrong"}}, 401, "API key", id="wrong key"),
]


@pytest.mark.parametrize(("options", "status", "needle"), BAD_REQUESTS)
def test_bad_input_gets_an_error_that_helps(duck: Duck, options: dict[str, Any], status: int, needle: str) -> None:
    response = duck.post("chat", app_of("chat"), **options)
    document = response.json()
    assert document.keys() == {"code", "message", "status"}
    assert (response.status_code, document["status"]) == (status, status)
    assert needle in document["message"]
    assert "Traceback" not in response.text


@pytest.mark.parametrize(("size", "headers"), [(10_485_760, JSON_TYPE), (12_000_000, {})])
def test_a_body_that_the_daemon_has_cut_is_too_large(local: Duck, size: int, headers: dict[str, str]) -> None:
    """A serverless plugin never sees one: the daemon refuses it by itself."""
    response = local.post("chat", app_of("chat"), content=b"x" * size, headers=headers)
    assert (response.status_code, response.json()["code"]) == (413, "file_too_large")
    assert "10 MiB" in response.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/chat/00000000-0000-4000-8000-000000000000", 404, "app_not_found"),
        ("POST", "/chat/no-such-alias", 404, "app_not_found"),
        ("GET", "/chat/no-such-alias?query=x", 404, "app_not_found"),
        ("GET", "/parameters/00000000-0000-4000-8000-000000000000", 404, "app_not_found"),
        ("POST", "/chat/a%2Fb", 404, "not_found"),
        ("POST", "/chat/", 404, "not_found"),
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/", 405, "method_not_allowed"),
        ("PUT", "/chat/x", 405, "method_not_allowed"),
        ("DELETE", "/a/b/c", 404, "not_found"),
        ("POST", "/duck/%0A", 405, "method_not_allowed"),
        ("GET", "/a/%0A/b", 404, "not_found"),
    ],
)
def test_unknown_apps_and_routes_are_told_in_the_plugins_own_words(
    local: Duck, method: str, path: str, status: int, code: str
) -> None:
    response = local.client.request(method, path, json={"query": "hi"} if method == "POST" else None)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_bad_settings_close_the_endpoint_with_a_word_for_their_owner(duck: Duck) -> None:
    duck.host.settings["apps"] = "one=nonsense"
    try:
        response = duck.client.get("/")
    finally:
        del duck.host.settings["apps"]
    assert (response.status_code, response.json()["code"]) == (500, "invalid_settings")
    assert "Apps (apps): entry 1" in response.json()["message"]


# The other routes


def test_the_index_tells_the_public_address(duck: Duck) -> None:
    assert duck.client.get("/").json()["url"] == duck.host.url + "/"


def test_parameters_gives_the_form(duck: Duck) -> None:
    form: dict[str, Any] = {"opening_statement": "Hi!", "user_input_form": []}
    assert duck.client.get(f"/parameters/{duck.add(App(mode='chat', form=form))}").json() == form


def test_head_runs_nothing(duck: Duck) -> None:
    app_id, calls = duck.add(app_of("chat")), len(duck.host.calls)
    response = duck.client.head(f"/chat/{app_id}", params={"query": "hi"})
    assert (response.status_code, response.content, len(duck.host.calls)) == (200, b"", calls)


def test_a_preflight_is_answered(duck: Duck) -> None:
    assert [duck.client.options(path).status_code for path in ("/", "/chat/x", "/any/thing")] == [204] * 3


BROWSERS_FORM = (  # with a file input that was left empty
    b'--b\r\nContent-Disposition: form-data; name="query"\r\n\r\nmultipart\r\n'
    b'--b\r\nContent-Disposition: form-data; name="doc"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n\r\n'
    b"--b--\r\n"
)


def test_a_form_and_a_query_string_run_an_app_too(duck: Duck) -> None:
    app_id = duck.add(replace(app_of("chat"), form=taking("city")))
    duck.client.post(f"/chat/{app_id}", data={"query": "form", "city": "Oslo"})
    duck.client.post(f"/chat/{app_id}", content=BROWSERS_FORM, headers={"Content-Type": "multipart/form-data; boundary=b"})
    duck.client.get(
        f"/chat/{app_id}", params={"query": "query string", "inputs.city": "Bergen"}, headers={"Accept": "text/plain"}
    )
    assert [(call.query, call.inputs) for call in duck.host.calls if call.app_id == app_id] == [
        ("form", {"city": "Oslo"}),
        ("multipart", {}),
        ("query string", {"city": "Bergen"}),
    ]
