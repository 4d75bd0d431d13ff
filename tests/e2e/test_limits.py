"""Minutes made of moments: the real plugin process, with limits so small that a test can wait for them."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx_sse
import pytest

from bench.host import Host, copy_duck
from devhost import App, Call, Devhost, Pause
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, LIMITS, Duck, eventually
from tests.support import KEY, blocking_sample, sample

CHAT = sample("chat")
KEEP_ALIVE_S, LIFE_S, SILENCE_S, IDLE_S = 0.2, 5, 6, 4
RUNS = 3  # at most, where slots are scarce


def serve(folder: Path, **limits: float) -> Iterator[Duck]:
    with (
        Devhost(copy_duck(folder, **limits), settings={"api_key": KEY}, limits=LIMITS) as host,
        httpx.Client(base_url=host.url, headers=AUTHORIZED, timeout=DEADLINE_S) as client,
    ):
        yield Duck(host, client, "local")
        assert host.runtime.starts == 1


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Duck]:
    """Duck in a hurry."""
    limits = {"KEEP_ALIVE_S": KEEP_ALIVE_S, "LIFE_S": LIFE_S, "SILENCE_S": SILENCE_S}
    yield from serve(tmp_path_factory.mktemp("hasty"), **limits)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Duck]:
    """Duck with few slots, by the environment as an owner would set it."""
    monkeypatch.setenv("MAX_RUNS", str(RUNS))
    yield from serve(tmp_path, IDLE_S=IDLE_S)


def probe(duck: Duck) -> dict[str, Any]:
    held = Host(duck.host.url, Path(duck.host.folder)).probe()
    return {name: held[name] for name in ("slots", "readers", "greenlets")}


def events_of(response: httpx.Response) -> list[str]:
    return [json.loads(line)["event"] for line in response.text.splitlines()]


def test_a_run_that_says_nothing_for_long_is_kept_alive(hasty: Duck) -> None:
    pause = Pause(4 * KEEP_ALIVE_S)
    response = hasty.post("chat", App(mode="chat", script=[pause, CHAT[0], pause, *CHAT[1:]]), params={"format": "ndjson"})
    names = events_of(response)
    assert [name for name in names if name != "ping"] == [event["event"] for event in CHAT]
    first = names.index("message")
    assert first >= 2
    assert names[first : first + 3] == ["message", "ping", "ping"]


def test_a_blocking_run_under_sse_is_kept_alive_and_ends_like_a_stream_with_one_delta(hasty: Duck) -> None:
    answer = blocking_sample("chat")

    def ask(call: Call) -> dict[str, Any]:
        assert call.response_mode == "blocking"
        threading.Event().wait(4 * KEEP_ALIVE_S)
        return answer

    app = App(mode="chat", script=CHAT, blocking=ask)
    body = {"query": "hi", "response_mode": "blocking"}
    response = hasty.post("chat", app, json=body, params={"format": "sse"})
    assert response.text.startswith(": ping\n\n: ping\n\n")
    message, end = (event.json() for event in httpx_sse.EventSource(response).iter_sse())
    assert (message["answer"], end["event"]) == (answer["answer"], "message_end")
    one_delta = {**CHAT[0], "answer": answer["answer"]}
    assert message == one_delta
    assert end.keys() == CHAT[-1].keys()


def test_a_response_ends_with_a_timeout_before_the_daemon_cuts_it(hasty: Duck) -> None:
    def endless(_: Call) -> Iterator[dict[str, Any] | Pause]:
        while True:
            yield CHAT[0]
            yield Pause(0.05)

    began = time.monotonic()
    last = json.loads(hasty.post("chat", App(mode="chat", script=endless), params={"format": "ndjson"}).text.splitlines()[-1])
    assert (last["event"], last["code"], last["status"]) == ("error", "timeout", 504)
    assert time.monotonic() - began >= LIFE_S


def test_clients_that_hang_up_leave_nothing_behind(hasty: Duck) -> None:
    before = probe(hasty)
    app_id = hasty.add(App(mode="chat", script=[CHAT[0], Pause(DEADLINE_S)]))
    for _ in range(100):
        with hasty.client.stream("POST", f"/chat/{app_id}", json={"query": "hi"}, params={"format": "sse"}) as response:
            next(response.iter_raw())
    assert 0 < probe(hasty)["slots"] <= 100
    assert hasty.post("chat", App(mode="chat", script=CHAT)).json()["answer"] == blocking_sample("chat")["answer"]
    assert eventually(lambda: probe(hasty) == before)


def test_at_the_limit_the_next_is_told_to_come_again_until_a_silent_run_makes_way(small: Duck) -> None:
    live = small.add(App(mode="chat", script=[step for _ in range(DEADLINE_S * 10) for step in (CHAT[0], Pause(0.1))]))
    silent = small.add(App(mode="chat", script=[CHAT[0], Pause(DEADLINE_S)]))
    options: dict[str, Any] = {"json": {"query": "hi"}, "params": {"format": "ndjson"}}
    with (
        small.client.stream("POST", f"/chat/{silent}", **options) as given_up,
        small.client.stream("POST", f"/chat/{live}", **options) as one,
        small.client.stream("POST", f"/chat/{live}", **options) as other,
    ):
        chunks = [response.iter_raw() for response in (one, other)]  # kept: httpx hangs up with them
        for live_chunks in chunks:
            next(live_chunks)
        refused = small.post("chat", App(mode="chat", script=CHAT))
        assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (503, "overloaded", "5")
        assert eventually(lambda: small.post("chat", App(mode="chat", script=CHAT)).status_code == 200)
        last = json.loads(given_up.read().splitlines()[-1])
        assert (last["event"], last["code"]) == ("error", "overloaded")
    assert probe(small)["slots"] == 2


def test_what_is_set_wrongly_in_the_environment_is_told_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_RUNS", "0")
    with pytest.raises(Exception, match=r"(?s)MAX_RUNS.*greater than 0"), Devhost(copy_duck(tmp_path)):
        pass
