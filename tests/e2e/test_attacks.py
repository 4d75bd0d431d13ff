"""What one caller sends, and what it costs the others: the real process, with streams that have to go on meanwhile."""

import functools
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from bench.host import copy_duck
from devhost import App, Call, Devhost, Pause
from devhost.limits import Limits
from tests.attacks import ATTACKS, FORM, MAX_BODY, WORST, Attack, filled
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, Duck, eventually
from tests.support import KEY, sample

CHAT = sample("chat")
OPEN, HOSTILE = (str(uuid.uuid4()) for _ in range(2))
STREAMS = 20
TOKENS = 300  # of each stream, which takes three seconds and more
QUIET_MB, BUSY_MB = 160, 400


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Duck]:
    """Duck with an app that needs no key. The process is one of its own: what others have left in its memory would count."""
    folder = copy_duck(tmp_path_factory.mktemp("attacked"))
    settings = {"api_key": KEY, "public_apps": OPEN, "public_rate": "999999"}
    nested = {**CHAT[0], "answer": ">" * 50 + "a\n" + "a\n" * 20_000}
    apps = {OPEN: App(mode="chat", script=CHAT), HOSTILE: App(mode="chat", script=[nested, CHAT[-1]])}
    # With so much at work on two cores, what is seen of the race is devhost's own delay.
    with (
        Devhost(folder, apps, settings, limits=Limits(race_s=0.02)) as host,
        httpx.Client(base_url=host.url, headers=AUTHORIZED, timeout=DEADLINE_S) as client,
    ):
        yield Duck(host, client, "local")
        assert host.runtime.starts == 1, "a request has killed the plugin"


def send(duck: Duck, attack: Attack) -> int:
    """Sends it as it is, and gives the status of the answer. httpx would not send some of it."""
    url = urlsplit(duck.host.url)
    with socket.create_connection((url.hostname, url.port), timeout=DEADLINE_S) as connection:
        connection.sendall(attack.raw(OPEN, url.path, Connection="close"))
        answer = b""
        while block := connection.recv(65_536):
            answer += block[: 1_000_000 - len(answer)]
    assert len(answer) < 1_000_000, "an answer that is a multiple of the request"
    return int(answer.split()[1])


def tokens(_: Call) -> Iterator[dict[str, Any] | Pause]:
    for number in range(TOKENS):
        yield {**CHAT[0], "answer": f"{number} "}
        yield Pause(0.01)
    yield CHAT[-1]


def beside_streams(duck: Duck, attacks: list[Callable[[], object]]) -> None:
    """Does all of this at once, while streams run. Each of these arrives whole; how fast, `python -m bench.attacks` tells."""
    app, begun = duck.add(App(mode="chat", script=tokens)), threading.Barrier(STREAMS + 1, timeout=DEADLINE_S)
    answers: list[list[str]] = []

    def read() -> None:
        body = {"query": "hi", "response_mode": "streaming"}
        with duck.client.stream("POST", f"/chat/{app}", json=body) as response:
            lines = response.iter_lines()
            events = [json.loads(next(lines))]
            begun.wait()
            events += map(json.loads, lines)
        answers.append([event["answer"] for event in events if event["event"] == "message"])

    readers = [threading.Thread(target=read) for _ in range(STREAMS)]
    for reader in readers:
        reader.start()
    begun.wait()
    attackers = [threading.Thread(target=attack) for attack in attacks]
    for thread in attackers:
        thread.start()
    for thread in (*readers, *attackers):
        thread.join()
    assert answers == [[f"{number} " for number in range(TOKENS)]] * STREAMS


def test_five_attacks_at_once_harm_no_stream(duck: Duck) -> None:
    attacks = [ATTACKS[name]() for name in WORST]
    statuses: list[int] = []
    beside_streams(duck, [functools.partial(lambda attack: statuses.append(send(duck, attack)), attack) for attack in attacks])
    assert sorted(statuses) == [200, 400, 400, 400, 413]


@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in WORST])
def test_whatever_is_sent_gets_a_small_answer_soon(duck: Duck, name: str) -> None:
    """A test that asked how soon would depend on the machine: `python -m bench.attacks` tells."""
    assert send(duck, ATTACKS[name]()) in {200, 202, 204, 400, 401, 413, 415}


def test_an_answer_that_would_take_long_to_render_is_shown_as_it_is(duck: Duck) -> None:
    response = duck.client.post(f"/chat/{HOSTILE}", data={"query": "hi"}, headers={"Accept": "text/html"})
    assert response.status_code == 200
    assert "<div slot=final" not in response.text
    assert "</html>" in response.text


def memory_mb(duck: Duck) -> float:
    process = psutil.Process(int((Path(duck.host.folder) / "probe.pid").read_text()))
    return float(process.memory_info().rss) / 1e6


def test_large_requests_of_guests_leave_nothing_behind(duck: Duck) -> None:
    """Ten of 9.9 MB at once, each of which would be answered with four times as much."""
    attack = Attack(body=filled(b"<", b"query=&name="), content_type=FORM, headers={"Accept": "text/html"})
    peak = 0.0

    def watch() -> None:
        nonlocal peak
        while any(thread.is_alive() for thread in threads):
            peak = max(peak, memory_mb(duck))
            time.sleep(0.01)  # another process takes the memory, and nothing tells when

    threads = [threading.Thread(target=send, args=(duck, attack)) for _ in range(10)]
    for thread in threads:
        thread.start()
    watch()
    assert peak < BUSY_MB
    assert eventually(lambda: memory_mb(duck) < QUIET_MB), memory_mb(duck)


def test_the_longest_body_that_the_daemon_passes_on_is_read(duck: Duck) -> None:
    body = filled(b" ", b'{"query":"hi"', b"}", MAX_BODY)
    response = duck.client.post(f"/chat/{OPEN}", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 200
