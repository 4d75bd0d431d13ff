"""How chunks become a body, and how they are cut or lost."""

import select
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from devhost import App, Call, Devhost, Pause
from devhost.apps import Step
from devhost.tests.conftest import RACE_S
from devhost.tests.support import DEADLINE_S, HTTP, eventually

APP = "00000000-0000-4000-8000-0000000000ee"
LINGER = "linger=0.2"  # seconds from the last chunk to the end: past the race window of 50 ms


def lines(count: int) -> str:
    return "".join(f"{i}\n" for i in range(count))


def get(host: Devhost, path: str) -> httpx.Response:
    return HTTP.get(host.url + path, timeout=DEADLINE_S)


def test_a_stream_that_ends_right_after_its_first_chunk_is_cut_to_it(patient: Devhost) -> None:
    answers = {get(patient, "/stream?n=5").text for _ in range(10)}
    assert answers == {"0\n"}


def test_a_stream_that_outlives_the_race_window_arrives_whole(served: Devhost) -> None:
    assert get(served, f"/stream?n=5&{LINGER}").text == lines(5)


def test_an_error_right_after_the_first_chunk_vanishes(patient: Devhost) -> None:
    assert get(patient, "/stream?n=5&fail=0").text == "0\n"


def test_an_empty_first_chunk_starts_the_race_as_well(served: Devhost) -> None:
    answer = get(served, "/stream?n=0&first=empty")
    assert (answer.status_code, answer.text) == (200, "")


def test_the_first_chunk_is_not_held_back(served: Devhost) -> None:
    with HTTP.stream("GET", served.url + "/stream?n=1&linger=20", timeout=DEADLINE_S) as answer:
        assert next(answer.iter_text()) == "0\n"


def test_the_race_window_can_be_switched_off(served: Devhost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.limits, "race_s", 0)
    assert get(served, "/stream?n=5").text == lines(5)


@pytest.mark.parametrize(("sent", "arrived"), [(128, 128), (129, 128), (500, 128)])
def test_of_a_burst_at_the_beginning_128_chunks_arrive(patient: Devhost, sent: int, arrived: int) -> None:
    assert get(patient, f"/stream?n={sent}&linger={1.5 * RACE_S}").text == lines(arrived)


def test_a_line_of_more_than_5_mib_kills_the_plugin_and_a_replacement_answers(
    served: Devhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(served.settings, "text", "x" * 2_500_000)
    assert len(get(served, "/echo").content) > 2_500_000  # 5 MB in hex, still below

    starts, pid = served.runtime.starts, served.runtime.pid
    served.settings["text"] = "x" * 2_700_000
    with socket.create_connection(("127.0.0.1", served.port), timeout=DEADLINE_S) as hanging:
        hanging.sendall(f"GET /e/{served.hook}/echo HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        assert eventually(lambda: served.runtime.pid != pid), "the plugin was not replaced"
        served.settings["text"] = ""
        assert get(served, "/list").text == "a\nb\nc\n"
        assert served.runtime.starts == starts + 1
        readable, _, _ = select.select([hanging], [], [], 0)
        assert not readable


def test_a_client_that_leaves_ends_the_script_and_the_plugin_lives_on(served: Devhost) -> None:
    closed = threading.Event()

    def script(call: Call) -> Iterator[Step]:
        try:
            yield {"event": "message", "answer": call.query}
            yield Pause(DEADLINE_S)
        finally:
            closed.set()

    served.apps[APP] = App(mode="chat", script=script)
    starts = served.runtime.starts
    with HTTP.stream("GET", f"{served.url}/chat?app={APP}", timeout=DEADLINE_S) as answer:
        lines = answer.iter_lines()  # kept: an iterator that is dropped closes the connection
        assert next(lines) == '{"answer": "a b c", "event": "message"}'
        assert not closed.is_set()
    assert closed.wait(DEADLINE_S)
    assert get(served, "/list").text == "a\nb\nc\n"
    assert served.runtime.starts == starts


def test_an_endless_script_ends_with_its_client(served: Devhost) -> None:
    closed = threading.Event()

    def script(_: Call) -> Iterator[Step]:
        try:
            while True:
                yield {"event": "message", "answer": "again"}
        finally:
            closed.set()

    served.apps[APP] = App(mode="chat", script=script)
    with HTTP.stream("GET", f"{served.url}/chat?app={APP}", timeout=DEADLINE_S) as answer:
        lines = answer.iter_lines()
        assert next(lines) == '{"answer": "again", "event": "message"}'
    assert closed.wait(DEADLINE_S)


def test_a_script_may_wait_for_the_test(served: Devhost) -> None:
    go = threading.Event()

    def script(_: Call) -> Iterator[Step]:
        yield {"event": "message", "answer": "one"}
        assert go.wait(DEADLINE_S)
        yield {"event": "message_end"}

    served.apps[APP] = App(mode="chat", script=script)
    with HTTP.stream("GET", f"{served.url}/chat?app={APP}", timeout=DEADLINE_S) as answer:
        events = answer.iter_lines()
        assert next(events) == '{"answer": "one", "event": "message"}'
        go.set()
        assert list(events) == ['{"event": "message_end"}']
