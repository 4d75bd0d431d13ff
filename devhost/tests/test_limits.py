"""The daemon's limits: what it cuts, kills and loses."""

import json
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from devhost import App, Call, Devhost, Pause, StartError
from devhost.apps import Step
from devhost.limits import BURST_EVENTS, BURST_GAP_S, Backlog, Limits
from devhost.tests.support import HTTP, eventually

APP = "00000000-0000-4000-8000-0000000000ee"

PRINTING = """
import sys

from dify_plugin import Endpoint
from werkzeug import Response


class Printing(Endpoint):
    def _invoke(self, r, values, settings):
        def chunks():
            yield "first "
            sys.stdout.write(r.args["text"])
            yield "second "
            yield "third"
            import time
            time.sleep(0.2)
        return Response(chunks())
"""


@pytest.fixture
def hurried(served: Devhost, monkeypatch: pytest.MonkeyPatch) -> Devhost:
    """The witness behind a daemon with short time limits."""
    monkeypatch.setattr(served.limits, "absolute_s", 0.5)
    monkeypatch.setattr(served.limits, "execution_s", 0.9)
    return served


def event(number: int) -> dict[str, Any]:
    return {"event": "message", "answer": str(number)}


def chat(host: Devhost, script: Sequence[Step] | Callable[[Call], Iterable[Step]], mode: str = "streaming") -> list[str]:
    """The witness's lines about a run: one for each event, and an exception as the last."""
    host.apps[APP] = App(mode="chat", script=script, blocking=_slow)
    return HTTP.get(host.url + "/chat", params={"app": APP, "mode": mode}).text.splitlines()


def _slow(call: Call) -> dict[str, Any]:
    threading.Event().wait(0.8)
    return {"answer": call.query}


def test_a_streaming_run_is_cut_at_the_absolute_limit_however_active_it_is(hurried: Devhost) -> None:
    def endless(call: Call) -> Iterator[Step]:
        for number in range(10_000):
            yield event(len(call.app_id) + number)
            yield Pause(0.01)

    *events, first_of_error, last_of_error = chat(hurried, endless)
    assert events
    assert first_of_error.startswith("Exception: read app failed: read tcp ")
    assert first_of_error.endswith(": use of closed network connection")
    assert last_of_error == "failed to read system header"


def test_a_blocking_run_may_take_longer_and_the_execution_limit_starts_with_its_answer(hurried: Devhost) -> None:
    assert chat(hurried, [], "blocking") == [json.dumps({"answer": "a b c"})]


def test_an_answer_is_cut_with_json_in_its_body_at_the_execution_limit(hurried: Devhost) -> None:
    answer = HTTP.get(hurried.url + "/stream?n=100&pace=0.1")
    lines, begun, error = answer.text.partition("{")
    assert answer.status_code == 200
    assert lines.startswith("0\n1\n2\n")
    assert json.loads(begun + error) == {
        "code": -500,
        "message": '{"message":"killed by timeout","error_type":"PluginDaemonInternalServerError","args":null}',
        "data": None,
    }


def traced_events(messages: list[Mapping[str, Any]]) -> list[Any]:
    replies = [message["data"] for message in messages if message.get("event") == "backwards_response"]
    return [reply["data"] for reply in replies if reply["message"] == "stream"]


def test_the_last_of_too_many_events_at_once_are_lost_silently(served: Devhost, messages: list[Mapping[str, Any]]) -> None:
    answer = chat(served, [event(number) for number in range(5_000)])
    assert traced_events(messages) == [event(number) for number in range(BURST_EVENTS)]
    assert "Exception" not in answer[-1]


def test_a_long_paced_run_loses_nothing(served: Devhost, messages: list[Mapping[str, Any]]) -> None:
    events = [event(number) for number in range(2 * BURST_EVENTS)]
    chat(served, [*events[:BURST_EVENTS], Pause(2 * BURST_GAP_S), *events[BURST_EVENTS:]])
    assert traced_events(messages) == events


def test_a_full_queue_takes_events_again_after_a_gap() -> None:
    backlog = Backlog()
    assert [backlog.admits(5.0) for _ in range(BURST_EVENTS + 2)] == [True] * BURST_EVENTS + [False, False]
    assert backlog.admits(5.0 + 2 * BURST_GAP_S)
    assert backlog.lost == 2


def test_a_plugin_that_falls_silent_is_replaced(bare: Path) -> None:
    with Devhost(bare, limits=Limits(silence_s=0.5)) as host:
        assert eventually(lambda: host.runtime.starts > 1)


def test_a_plugin_without_a_heartbeat_does_not_start(bare: Path) -> None:
    (bare / "main.py").write_text("import time\nprint('{}', flush=True)\ntime.sleep(60)\n")
    with pytest.raises(StartError, match=r"did not start \(silent for 0\.5 s\)"), Devhost(bare, limits=Limits(start_s=0.5)):
        pass


@pytest.fixture(scope="module")
def printing(witness: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devhost]:
    """A plugin that prints between its chunks."""
    folder = shutil.copytree(witness, tmp_path_factory.mktemp("printing") / "plugin")
    (folder / "endpoints/witness.py").write_text(PRINTING)
    with Devhost(folder, limits=Limits(race_s=0)) as host:
        yield host


@pytest.mark.parametrize(("text", "body"), [("a whole line\n", "first second third"), ("half a line", "first third")])
def test_printed_text_is_dropped_and_without_a_newline_takes_the_next_chunk_with_it(
    printing: Devhost, text: str, body: str
) -> None:
    assert HTTP.get(printing.url + "/print", params={"text": text}).text == body
