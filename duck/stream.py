"""The pump: from events, as Dify sends them, to the chunks of a body that loses nothing on its way through the daemon.

The daemon (measured on 0.6.10) cuts a body that ends right after its first chunk, drops chunks that wait in numbers, kills a
plugin for a large one and writes JSON into a body that takes too long. `limits` keeps clear of all four. The same code runs in
the SDK's gevent world, where threads and queues are gevent's, and in plain threads.
"""

import contextlib
import math
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

import gevent

from duck import errors, limits
from duck.errors import DuckError
from duck.events import Event
from duck.formats import StreamFormat
from duck.journal import Entry
from duck.places import PLACES


@dataclass(frozen=True, slots=True)
class End:
    """The end of a source, by itself or by an error."""

    error: DuckError | None = None


class Clock(Protocol):
    """Time: the system's, or a test's."""

    def now(self) -> float:
        """Seconds from some fixed moment."""
        ...

    def sleep(self, seconds: float) -> None:
        """Waits."""
        ...


class SystemClock:
    """The system's time."""

    def now(self) -> float:
        """Seconds since the machine started."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits; in gevent's world others run meanwhile."""
        time.sleep(seconds)


CLOCK = SystemClock()


class Inbox(Protocol):
    """A run's events on their way to the pump, and after them one `End`.

    `heard` is when the last of them came, on the pump's clock. A `blocking` run has one only, at its end.
    """

    heard: float
    blocking: bool

    def open(self) -> None:
        """Starts the run."""
        ...

    def get(self, timeout: float) -> Event | End:
        """The next one, waiting for it. Raises `queue.Empty` after `timeout` seconds."""
        ...

    def ready(self) -> list[Event | End]:
        """All that are there without waiting."""
        ...

    def give_up(self, error: DuckError) -> None:
        """Ends the run with this error, after all that are there."""
        ...

    def close(self) -> None:
        """Ends the run: nobody reads on."""
        ...


class Reader:
    """An inbox that a thread of its own fills from a blocking iterator, so that the pump can wait for an event and give up.

    `entry` gets to know how many they were.
    """

    def __init__(self, source: Generator[Event], entry: Entry, *, blocking: bool) -> None:
        self.heard = CLOCK.now()
        self.blocking = blocking
        self._source = source
        self._entry = entry
        self._queue: SimpleQueue[Event | End] = SimpleQueue()
        self._thread: object = None
        self._closed = False

    def open(self) -> None:
        """See `Inbox`."""
        threading.Thread(target=self._run, daemon=True).start()

    def get(self, timeout: float) -> Event | End:
        """See `Inbox`."""
        return self._queue.get(timeout=timeout)

    def ready(self) -> list[Event | End]:
        """See `Inbox`."""
        items: list[Event | End] = []
        with contextlib.suppress(Empty):
            while True:
                items.append(self._queue.get_nowait())
        return items

    def give_up(self, error: DuckError) -> None:
        """See `Inbox`."""
        self._queue.put(End(error))
        self.close()

    def close(self) -> None:
        """See `Inbox`. A greenlet is killed at once, since a silent one would cost; a plain thread ends at its next event."""
        self._closed = True
        if isinstance(self._thread, gevent.Greenlet):
            self._thread.kill(block=False)

    def _run(self) -> None:
        self._thread = gevent.getcurrent()
        with contextlib.suppress(gevent.GreenletExit):
            self._queue.put(self._read())

    def _read(self) -> End:
        try:
            with contextlib.closing(self._source):  # in the thread that ran it
                for event in self._source:
                    if self._closed:
                        break
                    self.heard = CLOCK.now()
                    self._entry.events += 1
                    self._queue.put(event)
        except DuckError as error:
            return End(error)
        except Exception as error:  # noqa: BLE001 - nothing else would hear of it
            return End(errors.defect(error))
        return End()


def gather(source: Generator[Event], entry: Entry, *, blocking: bool) -> list[Event]:
    """All events of a run, once it is over.

    Raises its `DuckError`; 503 where there is no place for it, 504 where it was silent for too long.
    """
    return collect(Reader(source, entry, blocking=blocking), CLOCK)


def relay(source: Generator[Event], style: StreamFormat, entry: Entry, *, blocking: bool) -> bytes | Generator[bytes]:
    """A response's body from a run's events: `bytes` if the run is over already, else a generator that never raises.

    Waits for the first event, so that a run that fails at once is raised as its `DuckError`; but no longer than a keep-alive's
    time. Raises 503, too, where there is no place for the run.
    """
    return pump(Reader(source, entry, blocking=blocking), style, CLOCK, entry)


def collect(inbox: Inbox, clock: Clock) -> list[Event]:
    """What `gather` does, with an inbox and a clock of the caller's."""
    seen: list[Event] = []
    with _opened(inbox, clock):
        while not isinstance(item := _get(inbox, clock), End):
            seen.append(item)
    if item.error:
        raise item.error
    return seen


def pump(inbox: Inbox, style: StreamFormat, clock: Clock, entry: Entry) -> bytes | Generator[bytes]:
    """What `relay` does, with an inbox and a clock of the caller's."""
    with ExitStack() as at_the_end:
        at_the_end.enter_context(_opened(inbox, clock))
        items = _first(inbox, style, clock)
        if items and isinstance(items[0], End) and items[0].error:
            raise items[0].error
        first, ended = _write(style, items, entry)
        first = style.head() + (first if items else style.keep_alive)
        if ended:
            return whole(first, clock)
        return _paced(_live(inbox, style, clock, entry, first, at_the_end.pop_all()), clock)


def whole(body: bytes, clock: Clock = CLOCK) -> bytes | Generator[bytes]:
    """A body that is complete: as it is, or if it is large in pieces."""
    return body if len(body) <= limits.MAX_WHOLE else _paced(iter([body]), clock)


@contextlib.contextmanager
def _opened(inbox: Inbox, clock: Clock) -> Iterator[None]:
    """Runs the run in a place of its own."""
    with PLACES.hold(inbox, clock.now()), contextlib.closing(inbox):
        inbox.open()
        yield


def _first(inbox: Inbox, style: StreamFormat, clock: Clock) -> list[Event | End]:
    """What comes first; nothing if that takes longer than a keep-alive's time, in a format that has one."""
    try:
        return [_get(inbox, clock, limits.KEEP_ALIVE_S if style.keep_alive else math.inf), *inbox.ready()]
    except Empty:
        return []


def _get(inbox: Inbox, clock: Clock, patience_s: float = math.inf) -> Event | End:
    """The next item, or the end of a run that has been silent for too long. Raises `Empty` after `patience_s`."""
    silence_s = limits.BLOCKING_SILENCE_S if inbox.blocking else limits.SILENCE_S
    patient_until = clock.now() + patience_s
    while True:
        try:
            return inbox.get(max(0.0, min(patient_until, inbox.heard + silence_s) - clock.now()))
        except Empty:
            if clock.now() >= inbox.heard + silence_s:
                return End(errors.silent(blocking=inbox.blocking))
            if clock.now() >= patient_until:
                raise


def _live(inbox: Inbox, style: StreamFormat, clock: Clock, entry: Entry, first: bytes, at_the_end: ExitStack) -> Iterator[bytes]:
    """Whatever is ready, as it gets ready."""
    with at_the_end:
        try:
            deadline = clock.now() + limits.LIFE_S
            yield first
            ended = False
            while not ended:
                chunk, ended = _next(inbox, style, clock, entry, deadline)
                yield chunk
        except Exception as error:  # noqa: BLE001 - the SDK would print a traceback into the body
            yield _last(style, entry, errors.defect(error))


def _next(inbox: Inbox, style: StreamFormat, clock: Clock, entry: Entry, deadline: float) -> tuple[bytes, bool]:
    left = deadline - clock.now()
    if left <= 0:
        return _last(style, entry, errors.too_long()), True
    try:
        item = _get(inbox, clock, min(limits.KEEP_ALIVE_S, left))
    except Empty:
        return style.keep_alive, False
    clock.sleep(min(limits.MAX_GATHER_S, max(0, len(PLACES) - limits.FEW_RUNS) * limits.GATHER_PER_RUN_S))
    return _write(style, [item, *inbox.ready()], entry)


def _write(style: StreamFormat, items: Iterable[Event | End], entry: Entry) -> tuple[bytes, bool]:
    """The items in their format, and whether the last of them was the end."""
    parts: list[bytes] = []
    for item in items:
        if isinstance(item, End):
            parts.append(_last(style, entry, item.error) if item.error else style.tail())
            return b"".join(parts), True
        if item["event"] == "error":  # one of Dify's own
            entry.ended = str(item.get("code"))
        parts.append(style.event(item))
    return b"".join(parts), False


def _last(style: StreamFormat, entry: Entry, error: DuckError) -> bytes:
    entry.ended = error.code
    return style.event(error.as_event()) + style.tail()


def _paced(bodies: Iterator[bytes], clock: Clock) -> Generator[bytes]:
    """Hands chunks out no faster and no larger than the daemon bears, and does not end too soon after the first."""
    tokens, counted = float(limits.BURST), clock.now()
    began: float | None = None
    for body in bodies:
        for start in range(0, len(body), limits.MAX_CHUNK):
            now = clock.now()
            tokens, counted = min(limits.BURST, tokens + (now - counted) * limits.CHUNKS_PER_S), now
            if tokens < 1:
                clock.sleep((1 - tokens) / limits.CHUNKS_PER_S)
            tokens -= 1
            yield body[start : start + limits.MAX_CHUNK]
            if began is None:
                began = clock.now()
    if began is not None:
        life_s = min(limits.MAX_MIN_LIFE_S, limits.MIN_LIFE_S + len(PLACES) * limits.MIN_LIFE_PER_RUN_S)
        clock.sleep(max(0.0, began + life_s - clock.now()))
