"""What becomes of Duck in the situations in which devhost's tests show a plugin like Dify's own example fail."""

import json
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import html5lib
import httpx
import pytest

from devhost import App, Call, Failure, Pause
from devhost.apps import Script, Step
from tests.e2e.conftest import DEADLINE_S, Duck
from tests.support import sample

PAUSE = Pause(0.2)  # past the race window
REPEATS = 10
NDJSON = {"format": "ndjson"}

EVENTS = sample("workflow")
TEXT = "x" * 3_000_000  # 6 MB in the hex of one line: the daemon takes 5 MiB
LARGE = {"event": "text_chunk", "data": {"text": TEXT}}
WITH_LARGE = [EVENTS[0], LARGE, *EVENTS[1:]]
BROKEN = Failure("read app failed: request failed: the model is gone")
UNKNOWN_APP = "/duck/00000000-0000-4000-8000-000000000000"


def added(duck: Duck, script: Script) -> str:
    """The path of a workflow. The events of a list come all at once."""
    return f"/duck/{duck.add(App(mode='workflow', script=script))}"


def get_paced(duck: Duck, script: Sequence[Step], **options: Any) -> httpx.Response:
    """Runs a workflow that goes on some time after the client has read what came of its first step."""
    read = threading.Event()

    def steps(_: Call) -> Iterable[Step]:
        yield script[0]
        assert read.wait(DEADLINE_S)
        yield PAUSE
        yield from script[1:]

    with duck.client.stream("GET", added(duck, steps), **options) as response:
        chunks = response.iter_bytes()
        body = next(chunks)
        read.set()
        body += b"".join(chunks)
    return httpx.Response(response.status_code, headers=response.headers, content=body)


def ndjson(response: httpx.Response) -> list[Any]:
    return [json.loads(line) for line in response.text.splitlines()]


def assert_whole_page(response: httpx.Response, *texts: str) -> None:
    html5lib.HTMLParser(strict=True).parse(response.text)
    assert [text for text in (*texts, "</html>") if text not in response.text] == []
    assert "Traceback" not in response.text


def test_a_paced_stream_is_relayed(local: Duck) -> None:
    assert ndjson(get_paced(local, EVENTS, params=NDJSON)) == EVENTS
    assert_whole_page(get_paced(local, EVENTS), "Rain", " is coming.")


def test_nothing_is_lost_of_a_stream_that_comes_all_at_once(local: Duck) -> None:
    path = added(local, EVENTS)
    assert [ndjson(local.client.get(path, params=NDJSON)) for _ in range(REPEATS)] == [EVENTS] * REPEATS
    for _ in range(REPEATS):
        assert_whole_page(local.client.get(path), "Rain", " is coming.")


def test_an_event_of_3_megabytes_passes_through(local: Duck) -> None:
    path, pid = added(local, WITH_LARGE), local.host.runtime.pid
    assert ndjson(local.client.get(path, params=NDJSON)) == WITH_LARGE
    assert_whole_page(local.client.get(path), TEXT)
    assert (local.host.runtime.starts, local.host.runtime.pid) == (1, pid)


def test_an_error_in_the_middle_is_told_properly(local: Duck) -> None:
    response = get_paced(local, [EVENTS[0], BROKEN], params=NDJSON)
    assert response.status_code == 200
    first, last = ndjson(response)
    assert (first, last["event"]) == (EVENTS[0], "error")
    assert "Traceback" not in response.text
    assert_whole_page(get_paced(local, [EVENTS[0], BROKEN]), 'role="alert"')


def test_an_error_before_the_first_chunk_has_a_status_of_its_own(local: Duck) -> None:
    response = local.client.get(UNKNOWN_APP, params=NDJSON)
    assert (response.status_code, response.json()["code"]) == (404, "app_not_found")
    page = local.client.get(UNKNOWN_APP, params={"format": "html"})
    assert page.status_code == 404
    assert_whole_page(page, 'role="alert"')


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nothing", 404, "not_found"), ("POST", UNKNOWN_APP, 405, "method_not_allowed")],
)
def test_a_route_that_is_not_there_is_told_in_its_own_words(local: Duck, method: str, path: str, status: int, code: str) -> None:
    response = local.client.request(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "Failed to dispatch" not in response.text
