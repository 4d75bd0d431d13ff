"""The pump, on a clock that the test moves."""

import json
import logging
import math
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import pairwise
from queue import Empty
from types import GeneratorType
from typing import Any, ClassVar

import gevent
import gevent.event
import gevent.queue
import gevent.thread  # type: ignore[import-not-found] # of which there are no stubs
import pytest

from duck import limits
from duck import state as states
from duck.errors import DuckError
from duck.faces.api.formats import STREAMS
from duck.journal import Entry
from duck.streams import pump, reader
from duck.streams.format import Event, StreamFormat
from duck.streams.reader import End
from duck.streams.slots import Slots
from duck.streams.terms import Terms
from tests.support import STREAMS as SAMPLE_STREAMS
from tests.support import sample


def slots() -> Slots:
    """Those of this test's process."""
    return states.current().slots


@pytest.fixture(autouse=True)
def _all_slots_are_free_in_the_end() -> Iterator[None]:
    yield
    assert len(slots()) == 0


def event(text: str = "x") -> Event:
    return {"event": "message", "answer": text}


LINE = b'{"event":"message","answer":"x"}\n'
DEADLINE_S = 10
PING = b'{"event":"ping"}\n'


class World:
    """An inbox whose items come at set times, and the clock they come by."""

    def __init__(self, *script: tuple[float, Event | End], blocking: bool = False, run_s: float = math.inf) -> None:
        self.time = 0.0
        self.began = self.heard = 0.0
        silence_s = limits.BLOCKING_SILENCE_S if blocking else limits.SILENCE_S
        self.terms = Terms(blocking=blocking, silence_s=silence_s, run_s=run_s)
        self.opened = self.closed = False
        self.entry = Entry(method="POST", route="/chat/<app_id>")
        self._script = list(script)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.time += seconds

    def start(self) -> None:
        self.opened = True

    def get(self, timeout: float) -> Event | End:
        if not self._script or self._script[0][0] > self.time + timeout:
            assert timeout < math.inf, "a test that waits for ever"
            self.time += timeout
            raise Empty
        self.heard, item = self._script.pop(0)
        self.time = max(self.time, self.heard)
        return item

    def ready(self) -> list[Event | End]:
        ready = []
        while self._script and self._script[0][0] <= self.time:
            self.heard, item = self._script.pop(0)
            ready.append(item)
        return ready

    def give_up(self, error: DuckError) -> None:
        self._script = [(self.time, End(error))]

    def close(self, then: Callable[[], None]) -> None:
        self.closed = True
        then()

    def pump(self, style: str = "ndjson") -> bytes | Generator[bytes]:
        body = pump.Pump(self, STREAMS[style](), self.entry, slots(), self).body()
        return pump.in_pieces(body, slots(), self) if isinstance(body, bytes) else body

    def written_by(self, style: StreamFormat) -> list[tuple[float, bytes]]:
        """The same for a format of a test's own."""
        body = pump.Pump(self, style, self.entry, slots(), self).body()
        assert isinstance(body, GeneratorType)
        return [(self.time, chunk) for chunk in body]

    def chunks(self, style: str = "ndjson") -> list[tuple[float, bytes]]:
        """Each chunk with the time it was handed out; the end as an empty one."""
        body = self.pump(style)
        assert isinstance(body, GeneratorType), "the SDK streams nothing but real generators"
        chunks = [(self.time, chunk) for chunk in body]
        return [*chunks, (self.time, b"")]


class Counting(StreamFormat):
    """Writes answers and nothing else, and counts its signs of life."""

    headers: ClassVar[dict[str, str]] = {}
    keep_alive_s: ClassVar[float] = 3

    def __init__(self) -> None:
        self.count = 0

    def keep_alive(self) -> bytes:
        self.count += 1
        return b"%d" % self.count

    def event(self, event: Event) -> bytes:
        return str(event.get("answer", "")).encode()


def test_a_format_has_an_interval_of_its_own_and_each_sign_of_life_may_be_another() -> None:
    world = World((7, event("Hi")), (14, End()))
    assert world.written_by(Counting()) == [(3, b"1"), (6, b"2"), (7, b"Hi"), (10, b"3"), (13, b"4")]


def test_a_run_that_is_busy_with_what_a_format_does_not_tell_is_kept_alive_too() -> None:
    steps = [(float(second), {"event": "node_started"}) for second in range(10)]
    written = World((0, event("Hi")), *steps, (10, event("!")), (10.5, End())).written_by(Counting())
    assert written == [(0, b"Hi"), (3, b"1"), (6, b"2"), (9, b"3"), (10, b"!")]


def test_a_run_that_begins_late_with_what_a_format_does_not_tell_is_kept_alive_in_time() -> None:
    written = World((2, {"event": "node_started"}), (7, event("Hi")), (8, End())).written_by(Counting())
    assert written == [(3, b"1"), (6, b"2"), (7, b"Hi")]


class Waiting(Counting):
    """Writes nothing before the run is over or the first sign of life is due."""

    keep_alive_s: ClassVar[float] = 10

    def __init__(self) -> None:
        super().__init__()
        self.waits = True
        self.heard = ""

    def keep_alive(self) -> bytes:
        self.waits = False
        return super().keep_alive()

    def event(self, event: Event) -> bytes:
        self.heard += str(event.get("answer", event.get("code", "")))
        return b""

    def tail(self) -> bytes:
        return self.heard.encode()


FAILED = DuckError(502, "cut", "cut")


@pytest.mark.parametrize(
    ("script", "body", "over_at"),
    [
        ([(0, event()), (0, End())], b"x", 0),
        ([(1, event()), (2, event()), (9, End())], b"xx", 9),
        ([(9, event()), (10, End())], b"x", 10),
        ([(1, event()), (2, End(FAILED))], b"xcut", 2),
    ],
)
def test_a_format_that_waits_is_one_plain_body_if_the_run_is_over_soon(script: Any, body: bytes, over_at: float) -> None:
    world = World(*script)
    assert pump.Pump(world, Waiting(), world.entry, slots(), world).body() == body
    assert (world.time, world.closed) == (over_at, True)


@pytest.mark.parametrize(
    ("script", "written"),
    [
        ([(11, event()), (12, End())], [(10, b"1"), (12, b"x")]),
        ([(1, event()), (12, End())], [(10, b"1"), (12, b"x")]),
        ([(float(at), event()) for at in range(13)] + [(13.0, End())], [(10, b"1"), (13, b"x" * 13)]),
        ([(0, event()), (25, event()), (31, End(FAILED))], [(10, b"1"), (20, b"2"), (30, b"3"), (31, b"xxcut")]),
    ],
)
def test_a_format_that_waits_waits_no_longer_than_until_its_first_sign_of_life(script: Any, written: Any) -> None:
    assert World(*script).written_by(Waiting()) == written


def test_a_run_that_fails_before_its_first_event_raises_for_a_format_that_waits_too() -> None:
    world = World((3, End(FAILED)))
    with pytest.raises(DuckError) as caught:
        pump.Pump(world, Waiting(), world.entry, slots(), world).body()
    assert caught.value is FAILED


def test_a_run_that_is_over_at_once_is_one_plain_body() -> None:
    assert World((0, event()), (0, event()), (0, End())).pump() == LINE * 2


def test_a_run_that_fails_before_its_first_event_raises() -> None:
    failure = DuckError(404, "app_not_found", "none")
    with pytest.raises(DuckError) as caught:
        World((3, End(failure))).pump()
    assert caught.value is failure


def test_a_run_that_fails_after_its_first_event_ends_with_the_error_as_an_event() -> None:
    failure = DuckError(502, "stream_interrupted", "cut")
    assert World((0, event()), (0, End(failure))).pump() == (
        LINE + b'{"event":"error","code":"stream_interrupted","message":"cut","status":502}\n'
    )


def test_an_error_event_of_difys_own_passes_as_it_came() -> None:
    own = {"event": "error", "code": "invalid_param", "status": 400, "message": "m", "task": "t"}
    failure = DuckError(502, "completion_request_error", "m", event=own)
    assert World((20, End(failure))).chunks() == [
        (15, PING),
        (20, b'{"event":"error","code":"invalid_param","status":400,"message":"m","task":"t"}\n'),
        (20, b""),
    ]


def test_each_event_goes_out_when_it_comes() -> None:
    assert World((1, event("a")), (2, event("b")), (3, End())).chunks() == [
        (1, b'{"event":"message","answer":"a"}\n'),
        (2, b'{"event":"message","answer":"b"}\n'),
        (3, b""),
    ]


def test_events_that_come_together_are_one_chunk() -> None:
    assert World((0, event()), (1, event()), (1, event()), (2, End())).chunks() == [(0, LINE), (1, LINE * 2), (2, b"")]


def test_a_silent_run_is_kept_alive_every_15_seconds_from_the_start() -> None:
    assert World((40, event()), (62, End())).chunks() == [(15, PING), (30, PING), (40, LINE), (55, PING), (62, b"")]


def test_a_format_without_keep_alives_waits_for_its_first_event_so_that_a_late_failure_keeps_its_status() -> None:
    with pytest.raises(DuckError):
        World((200, End(DuckError(429, "rate_limit_error", "later")))).pump("text")
    assert World((200, event()), (201, End())).chunks("text") == [(200, b"x"), (201, b"\n"), (201, b"")]


def test_a_run_without_any_text_is_an_empty_text() -> None:
    assert World((0, {"event": "workflow_started"}), (1, End())).chunks("text") == [(1, b"")]


def test_a_body_ends_no_sooner_than_100_milliseconds_after_its_first_chunk() -> None:
    assert World((0, event()), (0.001, event()), (0.002, End())).chunks()[-1][0] == pytest.approx(0.1)


def test_a_response_ends_with_a_timeout_590_seconds_after_its_start() -> None:
    world = World((0, event()), *((10 * n, event()) for n in range(1, 100)))
    chunks = world.chunks()
    assert chunks[-2][0] == 590
    assert b'"code":"timeout"' in chunks[-2][1]
    assert world.closed, "nobody reads on"


def test_a_streaming_run_that_falls_silent_is_given_up_after_250_seconds() -> None:
    world = World((0, event()))
    chunks = world.chunks()
    assert chunks[:-2] == [(0, LINE), *((at, PING) for at in range(15, 241, 15))]
    assert chunks[-2][0] == 250
    assert (json.loads(chunks[-2][1])["code"], world.entry.ended) == ("timeout", "timeout")
    assert world.closed


def test_a_streaming_run_that_never_says_anything_is_given_up_after_250_seconds_too() -> None:
    assert json.loads(World().chunks()[-2][1])["code"] == "timeout"
    world = World()
    with pytest.raises(DuckError, match="blocking") as caught:
        world.pump("text")
    assert (caught.value.status, caught.value.code, world.time) == (504, "timeout", 250)


def test_a_blocking_run_may_be_silent_until_the_response_has_to_end() -> None:
    assert World((580, event()), (580, End()), blocking=True).chunks()[-2:] == [(580, LINE), (580, b"")]
    chunks = World((620, event()), blocking=True).chunks()
    assert (chunks[-2][0], json.loads(chunks[-2][1])["code"]) == (15 + 590, "timeout")


def test_a_blocking_run_under_a_format_without_keep_alives_may_take_the_20_minutes_that_dify_allows() -> None:
    assert World((1200, event()), (1200, End()), blocking=True).pump("text") == b"x\n"
    world = World(blocking=True)
    with pytest.raises(DuckError, match="20 minutes") as caught:
        world.pump("text")
    assert (caught.value.status, caught.value.code, world.time) == (504, "timeout", 1230)


def test_a_run_whose_events_are_collected_is_answered_at_its_end() -> None:
    world = World((0, event("a")), (240, event("b")), (480, End()))
    assert pump.collect(world, slots(), world) == [event("a"), event("b")]
    assert (world.opened, world.closed) == (True, True)


@pytest.mark.parametrize(("blocking", "seconds"), [(False, 250), (True, 1230)])
def test_a_run_whose_events_are_collected_may_be_silent_for_so_long(*, blocking: bool, seconds: int) -> None:
    world = World(blocking=blocking)
    with pytest.raises(DuckError) as caught:
        pump.collect(world, slots(), world)
    assert (caught.value.status, caught.value.code, world.time) == (504, "timeout", seconds)
    assert world.closed


def test_a_run_whose_events_are_collected_raises_its_error() -> None:
    failure = DuckError(502, "stream_interrupted", "cut")
    world = World((0, event()), (1, End(failure)))
    with pytest.raises(DuckError) as caught:
        pump.collect(world, slots(), world)
    assert caught.value is failure


def test_a_run_holds_a_place_until_it_is_over() -> None:
    ended = World((0, event()), (0, End()))
    ended.pump()
    failed = World((0, End(DuckError(404, "app_not_found", "none"))))
    with pytest.raises(DuckError):
        failed.pump()
    assert (len(slots()), ended.closed, failed.closed) == (0, True, True)
    live = World((0, event()), (1, event()), (2, End()))
    body = live.pump()
    assert (len(slots()), live.closed) == (1, False)
    assert [*body] == [LINE, LINE]
    assert (len(slots()), live.closed) == (0, True)


def test_a_run_that_finds_no_place_is_refused_before_it_begins() -> None:
    slots().limit = 1
    held = World((0, event()), (30, event()))
    body = held.pump()
    assert isinstance(body, GeneratorType)
    assert next(body) == LINE
    refused = World((0, event()))
    refused.time = 59
    with pytest.raises(DuckError) as caught:
        refused.pump()
    assert (caught.value.status, caught.value.code, refused.opened) == (503, "overloaded", False)
    assert next(body) == PING
    body.close()


def test_a_run_that_has_been_silent_for_a_minute_makes_way_and_says_so() -> None:
    slots().limit = 1
    silent = World((0, event()))
    body = silent.pump()
    assert isinstance(body, GeneratorType)
    assert next(body) == LINE
    later = World((60, event()), (60, End()))
    later.time = silent.time = 60
    assert later.pump() == LINE
    [error] = [*body]
    assert (json.loads(error)["code"], json.loads(error)["status"]) == ("overloaded", 503)
    assert (silent.entry.ended, len(slots())) == ("overloaded", 0)


def test_where_a_run_may_take_only_so_long_it_ends_then_however_lively() -> None:
    lively = [(float(n), event()) for n in range(400)]
    chunks = World(*lively, run_s=290).chunks()
    assert (chunks[-2][0], json.loads(chunks[-2][1])["code"]) == (290, "timeout")
    assert "290 seconds" in json.loads(chunks[-2][1])["message"]
    late = World((280, event()), (300, event()), blocking=True, run_s=290)
    with pytest.raises(DuckError, match="290 seconds"):
        pump.collect(late, slots(), late)
    assert late.time == 290
    assert World((288, event()), (289, End()), blocking=True, run_s=290).pump("text") != b"", "in time"


def test_a_timer_that_fires_early_does_not_count() -> None:
    class Hasty(World):
        def get(self, timeout: float) -> Event | End:
            return super().get(timeout if timeout < 0.001 else timeout * 0.999)

    assert [round(at, 6) for at, _ in Hasty((0, event()), (40, End())).chunks()] == [0, 15, 30, 40]
    assert Hasty((0, event())).chunks()[-2][0] == pytest.approx(250)


def test_a_run_that_never_pauses_ends_at_590_seconds_too() -> None:
    chunks = World((0, event()), *((n / 100, event()) for n in range(1, 70_000))).chunks()
    assert b'"code":"timeout"' in chunks[-2][1]
    assert 590 <= chunks[-2][0] < 591


def test_no_chunk_is_larger_than_256_kilobytes_and_nothing_of_a_large_event_is_lost() -> None:
    large = event("x" * 3_000_000)
    chunks = [chunk for _, chunk in World((0, event()), (1, large), (1, event()), (2, End())).chunks()]
    assert max(map(len, chunks)) == 256 * 1024
    assert b"".join(chunks) == LINE + STREAMS["ndjson"]().event(large) + LINE


def test_a_large_body_that_is_over_at_once_goes_out_in_pieces() -> None:
    world = World((0, event("x" * 2_000_000)), (0, End()))
    chunks = world.chunks()
    assert [len(chunk) for _, chunk in chunks[:-1]] == [256 * 1024] * 7 + [2_000_032 - 7 * 256 * 1024]
    assert chunks[-1][0] == pytest.approx(0.1)


def test_a_fast_run_sends_64_chunks_at_once_and_then_50_a_second() -> None:
    chunks = World((0, event()), *((n / 1000, event()) for n in range(1, 5_000)), (5, End())).chunks()
    times = [at for at, _ in chunks[:-1]]
    assert b"".join(chunk for _, chunk in chunks) == LINE * 5_000
    assert len(times) <= 64 + 5 * 50 + 2
    assert all(after - before >= 0.019 for before, after in pairwise(times[70:-1]))


def test_many_live_streams_gather_their_events() -> None:
    others = [World((0, event()), (1, event())) for _ in range(300)]
    bodies: list[Any] = [other.pump() for other in others]
    for body in bodies:
        next(body)
    world = World((0, event()), (1, event()), (1.01, event()), (1.04, event()), (2, End()))
    chunks = world.chunks()
    assert [chunk for _, chunk in chunks] == [LINE, LINE, LINE * 2, b""]
    assert [at for at, _ in chunks] == pytest.approx([0, 1, 1.05, 2])
    for body in bodies:
        body.close()
    assert all(other.closed for other in others)


def test_the_pump_gathers_nothing_where_the_transport_does(monkeypatch: pytest.MonkeyPatch) -> None:
    slots().pump_gathers = False
    monkeypatch.setattr(limits, "FEW_RUNS", 0)
    world = World((0, event()), (1, event()), (1.000_01, event()), (2, End()))
    assert [chunk for _, chunk in world.chunks()] == [LINE, LINE, LINE, b""]


def test_what_cannot_be_written_ends_the_body_with_an_error_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="duck"):
        chunks = World((0, event()), (1, {"event": "message", "answer": object()})).chunks()
    assert chunks[0] == (0, LINE)
    assert b'"code":"internal_server_error"' in chunks[1][1]
    assert b"not JSON serializable" not in chunks[1][1]
    assert "not JSON serializable" in caplog.text


@pytest.mark.parametrize("name", SAMPLE_STREAMS)
@pytest.mark.parametrize("style", STREAMS)
def test_chunks_add_up_to_the_format_however_the_events_come(name: str, style: str) -> None:
    events = sample(name)
    at_once = World(*((0, item) for item in events), (0, End())).pump(style)
    one_by_one = World(*((float(n), item) for n, item in enumerate(events)), (len(events), End())).chunks(style)
    assert b"".join(chunk for _, chunk in one_by_one) == at_once


def source(steps: Iterable[Event | Exception], closed: threading.Event | None = None) -> Generator[Event]:
    try:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            yield step
    finally:
        if closed:
            closed.set()


def relay(events: Generator[Event], *, reads_on: bool = False) -> bytes | Generator[bytes]:
    entry = Entry(method="POST", route="/chat/<app_id>")
    run = reader.Reader(events, entry, Terms(blocking=False, reads_on=reads_on))
    return pump.Pump(run, STREAMS["ndjson"](), entry, slots()).body()


def joined(body: bytes | Generator[bytes]) -> bytes:
    return body if isinstance(body, bytes) else b"".join(body)


def test_a_source_is_relayed_whole_and_closed() -> None:
    closed = threading.Event()
    assert joined(relay(source([event()] * 1000, closed))) == LINE * 1000
    assert closed.wait(DEADLINE_S)


def test_a_source_that_fails_before_its_first_event_raises() -> None:
    with pytest.raises(DuckError) as caught:
        relay(source([DuckError(404, "app_not_found", "none")]))
    assert caught.value.code == "app_not_found"


def test_a_source_with_a_defect_ends_with_an_error_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="duck"):
        body = joined(relay(source([event(), KeyError("a secret")])))
    assert body.startswith(LINE + b'{"event":"error","code":"internal_server_error"')
    assert b"a secret" not in body
    assert "a secret" in caplog.text


def test_a_source_that_nobody_reads_any_more_is_closed_at_its_next_event() -> None:
    closed, go_on = threading.Event(), threading.Event()

    def endless() -> Generator[Event]:
        yield event()
        while True:
            go_on.wait(DEADLINE_S)
            yield event()

    body = relay(source(endless(), closed))
    assert isinstance(body, GeneratorType)
    assert next(body) == LINE
    body.close()
    go_on.set()
    assert closed.wait(DEADLINE_S)


@pytest.mark.parametrize("reads_on", [True, False])
def test_what_reads_on_is_read_to_its_end_in_its_place_and_nothing_else(*, reads_on: bool) -> None:
    closed, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def long() -> Generator[Event]:
        yield event()
        go_on.wait(DEADLINE_S)
        yield event()
        ended.set()

    body = relay(source(long(), closed), reads_on=reads_on)
    assert isinstance(body, GeneratorType)
    assert next(body) == LINE
    body.close()
    assert len(slots()) == int(reads_on)
    go_on.set()
    assert closed.wait(DEADLINE_S)
    assert ended.is_set() == reads_on
    while len(slots()):
        go_on.wait(0)


def test_a_run_that_is_over_reads_no_further_and_frees_its_place() -> None:
    assert joined(relay(source([event()]), reads_on=True)) == LINE
    assert len(slots()) == 0


def test_what_reads_on_makes_way_too(monkeypatch: pytest.MonkeyPatch) -> None:
    slots().limit = 1
    monkeypatch.setattr(limits, "IDLE_S", 0)
    closed, go_on = threading.Event(), threading.Event()

    def silent() -> Generator[Event]:
        yield event()
        go_on.wait(DEADLINE_S)
        yield event()

    body = relay(source(silent(), closed), reads_on=True)
    assert isinstance(body, GeneratorType)
    assert next(body) == LINE
    body.close()
    assert joined(relay(source([event()]))) == LINE
    go_on.set()
    assert closed.wait(DEADLINE_S)


def test_a_source_makes_way_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    slots().limit = 1
    monkeypatch.setattr(limits, "IDLE_S", 0)
    go_on = threading.Event()

    def silent() -> Generator[Event]:
        yield event()
        go_on.wait(DEADLINE_S)

    body = relay(silent())
    assert isinstance(body, GeneratorType)
    assert next(body) == LINE
    assert joined(relay(source([event()]))) == LINE
    assert json.loads(b"".join(body))["code"] == "overloaded"
    go_on.set()


def test_none_is_a_sign_of_life_and_no_event() -> None:
    taken, go_on = threading.Event(), threading.Event()

    def hidden() -> Generator[Event | None]:
        yield None
        taken.set()
        go_on.wait(DEADLINE_S)

    entry = Entry(method="GET", route="/")
    inbox = reader.Reader(hidden(), entry, Terms(blocking=False))
    inbox.heard = -math.inf
    inbox.start()
    assert taken.wait(DEADLINE_S)
    assert (inbox.heard >= inbox.began, entry.events, inbox.ready()) == (True, 1, [])
    go_on.set()
    assert inbox.get(DEADLINE_S) == End()


@pytest.fixture
def _gevents_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads and queues as the SDK's import makes them."""
    monkeypatch.setattr("_thread.start_new_thread", gevent.thread.start_new_thread)
    monkeypatch.setattr(reader, "SimpleQueue", gevent.queue.SimpleQueue)


@pytest.mark.usefixtures("_gevents_world")
def test_in_gevents_world_a_silent_source_is_ended_at_once() -> None:
    closed = gevent.event.Event()

    def silent() -> Generator[Event]:
        try:
            yield event()
            gevent.sleep(DEADLINE_S)
        finally:
            closed.set()

    body = relay(silent())
    assert isinstance(body, GeneratorType)
    assert next(body) == LINE
    assert not closed.is_set()
    body.close()
    assert closed.wait(0.1)


@pytest.mark.usefixtures("_gevents_world")
def test_in_gevents_world_a_source_that_makes_way_comes_to_its_own_end() -> None:
    stopped = gevent.event.Event()

    def stoppable() -> Generator[Event]:
        try:
            yield event()
            gevent.sleep(DEADLINE_S)
        finally:
            gevent.sleep(0.01)  # as one who tells Dify to stop a run
            stopped.set()

    inbox = reader.Reader(stoppable(), Entry(method="GET", route="/"), Terms(blocking=False))
    inbox.start()
    assert inbox.get(DEADLINE_S) == event()
    inbox.give_up(DuckError(503, "overloaded", "Make way."))
    gevent.sleep(0)
    inbox.close(then=lambda: None)
    assert stopped.wait(DEADLINE_S)
