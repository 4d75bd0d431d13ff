"""The log's line about a request."""

import re
import threading
from collections.abc import Iterator
from types import GeneratorType
from typing import Any

import pytest

from duck.faces.api import serve
from tests.support import APP, KEY, SETTINGS, Dify, Log, blocking_sample, body_of, call, make_request, sample

CHAT = sample("chat")
TIMES = r"first=\d+\.\d{3}s total=\d+\.\d{3}s"


def live(*steps: Any) -> tuple[Dify, threading.Event]:
    """A Dify whose run stands still before its last step, until the event is set."""
    go_on = threading.Event()

    def stream() -> Iterator[Any]:
        yield from steps[:-1]
        assert go_on.wait(10)
        yield steps[-1]

    return Dify(stream=stream), go_on


def test_a_blocking_answer(log: Log) -> None:
    response = call(Dify(blocking=blocking_sample("chat")))
    size = len(body_of(response))
    assert re.fullmatch(
        rf"POST /chat/<app_id> 200 app={APP} kind=chat format=json by=key {TIMES} events=1 bytes={size} end=complete",
        log.line(),
    )


def test_a_live_stream_is_logged_at_its_end(log: Log) -> None:
    dify, go_on = live(*CHAT)
    body = call(dify, path=f"/chat/{APP}?format=sse").response
    assert isinstance(body, GeneratorType)
    first = next(body)
    assert log.lines() == []
    go_on.set()
    size = len(first) + sum(map(len, body))
    assert re.fullmatch(
        rf"POST /chat/<app_id> 200 app={APP} kind=chat format=sse by=key {TIMES} events=4 bytes={size} end=complete",
        log.line(),
    )


@pytest.mark.parametrize(
    ("last", "ended"),
    [
        (RuntimeError("read app failed: cut"), "stream_interrupted"),
        ({"event": "error", "code": "quota", "status": 400, "message": "m"}, "quota"),
        ({"event": "error", "code": "c" * 1000, "status": 400, "message": "m"}, "c" * 64),
        ({"event": "error", "code": "evil\nX-Evil: 1", "status": 400, "message": "m"}, "evil?X-Evil:?1"),
        ({"event": "error", "code": "a\u2028b\x1bc d\u0085", "status": 400, "message": "m"}, "a?b?c?d?"),
        ({"event": "error"}, "None"),
    ],
)
def test_a_stream_that_fails_says_by_what(log: Log, last: Any, ended: str) -> None:
    dify, go_on = live(*CHAT[:2], last)
    response = call(dify, path=f"/chat/{APP}?format=ndjson")
    go_on.set()
    body_of(response)
    assert log.line().split()[2] == "200"
    assert log.line().endswith(f" end={ended}")


def test_a_stream_that_is_given_up_by_its_reader_says_so(log: Log) -> None:
    dify, go_on = live(*CHAT)
    body = call(dify, path=f"/chat/{APP}?format=ndjson").response
    assert isinstance(body, GeneratorType)
    next(body)
    body.close()
    go_on.set()
    assert log.line().endswith(" end=abandoned")


def test_what_was_no_event_is_counted(log: Log) -> None:
    junk: Any = [{}, "ping", [1]]
    body_of(call(Dify(stream=[CHAT[0], *junk, *CHAT[1:]]), path="/chat/x?format=ndjson"))
    assert " events=4 skipped=3 " in log.line()


@pytest.mark.parametrize("style", ["json", "ndjson"])
def test_a_refused_request_says_why_and_repeats_nothing_of_it(log: Log, style: str) -> None:
    call(Dify(), key="a-wrong-key", path=f"/chat/secret-app?format={style}", json={"query": "secret-query"})
    call(Dify(), path=f"/chat/{APP}?format={style}&secret=1", json={"query": "secret-query", "response_mode": "secret"})
    failing = RuntimeError("secret-host failed")
    call(Dify(stream=[failing], blocking=failing), path=f"/chat/{APP}?format={style}", json={"query": "secret-query"})
    call(Dify(blocking=blocking_sample("chat")), path=f"/chat/{APP}", json={"query": "secret-query", "user": "secret-user"})
    assert [(line.split()[2], line.rpartition("=")[2]) for line in log.lines()] == [
        ("401", "unauthorized"),
        ("400", "invalid_param"),
        ("502", "completion_request_error"),
        ("200", "complete"),
    ]
    text = "\n".join(log.lines())
    assert "secret" not in text
    assert KEY not in text


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/chat/x", "/chat/<app_id>"),
        ("/chat", "/?"),
        ("/a/b/c", "/?"),
        ("/parameters/secret", "/parameters/<app_id>"),
    ],
)
def test_other_requests_are_told_by_their_route(log: Log, path: str, route: str) -> None:
    serve.unknown(make_request("DELETE", path), SETTINGS)
    serve.preflight(make_request("OPTIONS", path), SETTINGS)
    assert [line.split()[:2] for line in log.lines()] == [["DELETE", route], ["OPTIONS", route]]


def test_forms_and_the_index_are_logged(log: Log) -> None:
    serve.parameters(make_request("GET", f"/parameters/{APP}"), APP, SETTINGS, Dify(form={"user_input_form": []}).gateway())
    serve.index(make_request("GET", "/"), SETTINGS, Dify().gateway())
    assert [line.split()[:4] for line in log.lines()] == [
        ["GET", "/parameters/<app_id>", "200", f"app={APP}"],
        ["GET", "/", "200", log.lines()[1].split()[3]],
    ]
