"""Any bytes that the daemon may send, through the SDK's own parser, routes and serialiser."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from bench.driver import Driver, Plan
from bench.host import copy_duck
from tests import fuzzing
from tests.attacks import PLACES, UNITS, Attack
from tests.e2e.conftest import ROOT
from tests.fuzzing import APPS, KEYS, Case, Outcome

type Answer = Callable[..., dict[str, Any]]

FUZZES = settings.get_current_profile_name() == "fuzz"


@pytest.fixture(scope="module")
def answer() -> Iterator[Answer]:
    """Has the SDK answer the bytes of a request."""
    command = [sys.executable, "-m", "tests.e2e.executor"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        sent, received = process.stdin, process.stdout
        assert sent
        assert received

        def answer(request: bytes, settings: dict[str, Any], *dify: str) -> dict[str, Any]:
            line = json.dumps({"request": request.hex(), "settings": settings, "dify": dify})
            sent.write(line.encode() + b"\n")
            sent.flush()
            answered: dict[str, Any] = json.loads(received.readline())
            return answered

        yield answer
        sent.close()
    assert process.returncode == 0


def test_a_request_that_is_meant_well_is_answered(answer: Answer) -> None:
    body = b'{"query": "hi"}'
    head = (
        f"POST /chat/{APPS['listed']}?format=json HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEYS[0]}\r\nContent-Type: application/json"
    )
    request = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    answered = answer(request, {"api_key": KEYS[0]}, "chat", "chat", "form")
    assert (answered["status"], answered["asked"]) == (200, [APPS["listed"]])
    assert json.loads(bytes.fromhex(answered["body"]))["answer"] == "The Pro plan costs 20 USD per month."


# The SDK's parser refuses these before Duck hears of them: the daemon answers with its own error.
REFUSED = {
    "a header with an underscore": b"GET / HTTP/1.1\r\nHost: x\r\nX_A: b\r\n\r\n",
    "a length that is wrong": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab",
    "two ways to tell the length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab",
    "two types": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: \0\r\n\r\n",
    "HTTP/2": b"GET / HTTP/2\r\nHost: x\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED.keys())
def test_what_the_sdk_refuses_never_gets_to_duck(answer: Answer, request_: bytes) -> None:
    assert "refused" in answer(request_, {}, "chat", "chat", "form")


@settings(max_examples=20_000 if FUZZES else 200)
@given(
    fuzzing.cases(),
    st.sampled_from([*fuzzing.STREAMS]),
    st.sampled_from([*fuzzing.ANSWERS]),
    st.sampled_from([*fuzzing.FORMS]),
)
def test_whatever_is_sent_the_answer_is_documented_and_nothing_leaks(
    answer: Answer, case: Case, stream: str, blocking: str, form: str
) -> None:
    answered = answer(case.raw, json.loads(json.dumps(case.settings)), stream, blocking, form)
    if "refused" in answered:
        event("refused by the SDK")
        return
    fuzzing.check(case, Outcome(**answered | {"body": bytes.fromhex(answered["body"])}))


# What costs the others too much

SETTINGS = {"api_key": KEYS[0], "public_apps": APPS["public"], "public_rate": "999999"}
BYSTANDERS, PLAN = 5, Plan(events=100, interval_s=0.01)
HELD_S = 1.0  # an event may wait for so long where nothing else is measured; `python -m bench.attacks` has the goal


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """Duck's process, on a driver that costs it nothing."""
    with Driver(copy_duck(tmp_path_factory.mktemp("driven"))) as running:
        yield running


@settings(max_examples=300 if FUZZES else 3)
@given(
    st.sampled_from(sorted(PLACES)),
    st.lists(st.sampled_from(UNITS), min_size=1, max_size=4).map(b"".join),
    st.sampled_from([1_000, 100_000, 10_000_000]),
)
def test_whatever_is_repeated_wherever_the_streams_of_others_go_on(driver: Driver, place: str, unit: bytes, size: int) -> None:
    count = min(size, PLACES[place].size) // len(unit)
    attack = PLACES[place].make(unit * count).raw(APPS["public"])
    bystander = Attack(body=b'{"query":"hi","response_mode":"streaming"}').raw(APPS["listed"], X_Api_Key=KEYS[0])
    outcome = driver.load(bystander, SETTINGS, PLAN, BYSTANDERS, [attack])
    assert [len(run.delays) for run in outcome.runs] == [PLAN.events] * BYSTANDERS
    assert driver.memory_mb < 400
    event(f"held for {outcome.delays[-1]:.1f} s")
    if FUZZES:  # a test that asked for it would depend on how busy the machine is
        assert outcome.delays[-1] < HELD_S
