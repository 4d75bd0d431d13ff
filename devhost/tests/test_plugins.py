"""Two ordinary plugins, one of them like Dify's own example, in several situations."""

import json
import logging
import queue
import select
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging.handlers import QueueHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from devhost import App, Call, Devhost, Failure, Pause
from devhost.apps import Script, Step
from devhost.tests.support import PLUGINS, sample

DEADLINE_S = 60  # of every wait
PAUSE = Pause(0.2)  # past the race window of 50 ms
REPEATS = 10

EVENTS = sample("workflow")
TEXT = "x" * 3_000_000  # 6 MB in the hex of one line: the daemon takes 5 MiB
LARGE = {"event": "text_chunk", "data": {"text": TEXT}}
WITH_LARGE = [EVENTS[0], LARGE, *EVENTS[1:]]
BROKEN = Failure("read app failed: request failed: the model is gone")
UNKNOWN_APP = "/duck/00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Served:
    """A plugin behind devhost, and a client of it."""

    host: Devhost
    client: httpx.Client

    def add(self, script: Script) -> str:
        """Adds a workflow to the workspace and returns its path. The events of a list are sent at once."""
        app_id = str(uuid.uuid4())
        self.host.apps[app_id] = App(mode="workflow", script=script)
        return f"/duck/{app_id}"

    def get_paced(self, script: Sequence[Step], **options: Any) -> httpx.Response:
        """Runs a workflow that pauses until the client has read the chunk of its first step."""
        read = threading.Event()

        def steps(_: Call) -> Iterable[Step]:
            yield script[0]
            assert read.wait(DEADLINE_S)
            yield PAUSE
            yield from script[1:]

        with self.client.stream("GET", self.add(steps), **options) as response:
            chunks = response.iter_bytes()
            body = next(chunks)
            read.set()
            body += b"".join(chunks)
        return httpx.Response(response.status_code, headers=response.headers, content=body)


@contextmanager
def serve(folder: Path, settings: dict[str, Any]) -> Iterator[Served]:
    with (
        Devhost(folder, settings=settings) as host,
        httpx.Client(base_url=host.url, timeout=DEADLINE_S) as client,
    ):
        yield Served(host, client)


@pytest.fixture(scope="module")
def original() -> Iterator[Served]:
    with serve(PLUGINS / "original", {}) as served:
        yield served


@pytest.fixture(scope="module")
def minimal() -> Iterator[Served]:
    with serve(PLUGINS / "minimal", {"whom": "Ada"}) as served:
        yield served


@pytest.fixture
def log() -> Iterator[queue.SimpleQueue[logging.LogRecord]]:
    """devhost's log, for tests that wait for a record."""
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = QueueHandler(records)
    logging.getLogger("devhost").addHandler(handler)
    yield records
    logging.getLogger("devhost").removeHandler(handler)


def br_lines(response: httpx.Response) -> list[Any]:
    """The events in an answer of the `original` plugin."""
    *lines, rest = response.text.split(" <br>")
    assert rest == ""
    return [json.loads(line) for line in lines]


# A paced stream


def test_the_original_relays_a_paced_stream_as_br_lines(original: Served) -> None:
    response = original.get_paced(EVENTS)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html")
    assert br_lines(response) == EVENTS


# A stream that comes all at once


def test_of_a_stream_that_comes_all_at_once_the_original_loses_all_but_the_first_chunk(original: Served) -> None:
    path = original.add(EVENTS)
    # On a busy machine some answers may arrive whole, not all.
    assert any(br_lines(original.client.get(path)) == EVENTS[:1] for _ in range(REPEATS))


def test_without_the_race_the_original_loses_nothing_of_it(original: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(original.host.limits, "race_s", 0)
    path = original.add(EVENTS)
    assert [br_lines(original.client.get(path)) for _ in range(REPEATS)] == [EVENTS] * REPEATS


# An event too large for one line


def test_an_event_of_3_megabytes_kills_the_original_and_a_replacement_answers(
    original: Served, log: queue.SimpleQueue[logging.LogRecord]
) -> None:
    starts, pid = original.host.runtime.starts, original.host.runtime.pid
    with original.client.stream("GET", original.add(WITH_LARGE)) as hanging:
        chunks = hanging.iter_text()  # kept: an iterator that is dropped closes the connection
        assert json.loads(next(chunks).removesuffix(" <br>")) == EVENTS[0]
        while "starting another" not in log.get(timeout=DEADLINE_S).getMessage():
            pass
        assert br_lines(original.get_paced(EVENTS)) == EVENTS
        assert (original.host.runtime.starts, original.host.runtime.pid != pid) == (starts + 1, True)
        readable, _, _ = select.select([hanging.extensions["network_stream"].get_extra_info("socket")], [], [], 0)
        assert not readable, "a client of the killed process gets nothing more"


# An error in the middle, and one before the first chunk


def test_an_error_in_the_middle_puts_json_with_a_traceback_into_the_originals_body(original: Served) -> None:
    response = original.get_paced([EVENTS[0], BROKEN])
    line, _, rest = response.text.partition(" <br>")
    assert (response.status_code, json.loads(line)) == (200, EVENTS[0])
    error = json.loads(rest)
    assert error.keys() == {"error_type", "message", "args"}
    assert (error["error_type"], error["message"]) == ("Exception", BROKEN.text)
    assert "Traceback (most recent call last)" in error["args"]["traceback"]
    assert "endpoints/duck.py" in error["args"]["traceback"]


def test_an_error_before_the_originals_first_chunk_is_the_daemons_500_nested_three_times(original: Served) -> None:
    response = original.client.get(UNKNOWN_APP)
    assert response.status_code == 500
    outer = response.json()
    assert (outer.keys(), outer["code"], outer["data"]) == ({"code", "message", "data"}, -500, None)
    middle = json.loads(outer["message"])
    assert (middle["error_type"], middle["args"]) == ("PluginDaemonInternalServerError", None)
    inner = json.loads(middle["message"])
    assert inner["error_type"] == "Exception"
    assert "app not found" in inner["message"]
    assert "Traceback (most recent call last)" in inner["args"]["traceback"]


# A plain answer, and a route that is not there


def test_the_minimal_plugin_greets_with_its_setting(minimal: Served) -> None:
    response = minimal.client.get("/hello")
    assert (response.status_code, response.text) == (200, "Hello, Ada!")
    assert response.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("method", "path", "reason"), [("GET", "/nothing", "404 Not Found"), ("POST", "/hello", "405 Method Not Allowed")]
)
def test_a_route_that_the_minimal_plugin_lacks_is_404_in_the_sdks_words(
    minimal: Served, method: str, path: str, reason: str
) -> None:
    response = minimal.client.request(method, path)
    assert response.status_code == 404
    assert response.text.startswith(f"Failed to dispatch endpoint request: {reason}: ")
