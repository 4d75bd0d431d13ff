"""The pump: from events, as Dify sends them, to the chunks of a body that loses nothing on its way through the daemon.

The daemon (measured on 0.6.10) cuts a body that ends right after its first chunk, drops chunks that wait in numbers, kills a
plugin for a large one and writes JSON into a body that takes too long. The numbers below keep clear of all four. The same code
runs in the SDK's gevent world, where threads and queues are gevent's, and in plain threads.
"""

import contextlib
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

from duck import errors
from duck.errors import DuckError
from duck.events import Event
from duck.formats import StreamFormat

KEEP_ALIVE_S = 15.0  # under the 30 s of silence after which common proxies hang up
LIFE_S = 590.0  # of one response: at 600 s from its first chunk the daemon ends it, with an error written into the body
MIN_LIFE_S = 0.1  # from the first chunk to the end: sooner, the daemon may cut; remote debugging needs more than 20 ms
MAX_CHUNK = 256 * 1024  # bytes; doubled by the SDK's hex, still far from the 5 MiB line that kills the process
MAX_WHOLE = 1024 * 1024  # bytes of a body that goes out in one piece
BURST = 64  # chunks at once: half of the daemon's queue of 128
CHUNKS_PER_S = 50.0  # for one stream, after a burst: as smooth as a screen needs
FEW_STREAMS = 20  # up to here each event is sent at once
GATHER_PER_STREAM_S = 0.000_25  # beyond: each stream waits a little for more events, so that many streams share one core
MAX_GATHER_S = 0.05  # no eye sees it

_TOO_LONG = DuckError(
    504,
    "timeout",
    f"This took longer than {LIFE_S:.0f} seconds, for which Dify keeps a streamed answer open. The run itself goes on in Dify. "
    "With response_mode blocking and format json an answer may take 20 minutes.",
)


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


class Inbox(Protocol):
    """Events on their way to the pump, and after them one `End`."""

    def get(self, timeout: float | None) -> Event | End:
        """The next one, waiting for it. Raises `queue.Empty` after `timeout` seconds; None waits for ever."""
        ...

    def ready(self) -> list[Event | End]:
        """All that are there without waiting."""
        ...

    def close(self) -> None:
        """Nobody reads on."""
        ...


class Reader:
    """An inbox that a thread of its own fills from a blocking iterator, so that the pump can wait for an event and give up."""

    def __init__(self, source: Generator[Event]) -> None:
        self._queue: SimpleQueue[Event | End] = SimpleQueue()
        self._closed = False
        threading.Thread(target=self._read, args=(source,), daemon=True).start()

    def get(self, timeout: float | None) -> Event | End:
        """See `Inbox`."""
        return self._queue.get(timeout=timeout)

    def ready(self) -> list[Event | End]:
        """See `Inbox`."""
        items: list[Event | End] = []
        with contextlib.suppress(Empty):
            while True:
                items.append(self._queue.get_nowait())
        return items

    def close(self) -> None:
        """Ends the thread at its next event; a silent source ends by Dify's or the SDK's own limit."""
        self._closed = True

    def _read(self, source: Generator[Event]) -> None:
        end = End()
        try:
            with contextlib.closing(source):  # in the thread that ran it
                for event in source:
                    if self._closed:
                        break
                    self._queue.put(event)
        except DuckError as error:
            end = End(error)
        except Exception as error:  # noqa: BLE001 - nothing else would hear of it
            end = End(errors.defect(error))
        self._queue.put(end)


def relay(source: Generator[Event], style: StreamFormat) -> bytes | Generator[bytes]:
    """A response's body from a run's events: `bytes` if the run is over already, else a generator that never raises.

    Waits for the first event, so that a run that fails at once is raised as its `DuckError`; but no longer than a keep-alive's
    time.
    """
    return pump(Reader(source), style, SystemClock())


def pump(inbox: Inbox, style: StreamFormat, clock: Clock) -> bytes | Generator[bytes]:
    """What `relay` does, with an inbox and a clock of the caller's."""
    patience = KEEP_ALIVE_S if style.keep_alive else None  # without keep-alives nothing is gained by an early start
    try:
        items = [inbox.get(patience), *inbox.ready()]
    except Empty:
        items = []
    if items and isinstance(items[0], End) and items[0].error:
        raise items[0].error
    first, ended = _write(style, items)
    first = style.head() + (first if items else style.keep_alive)
    if ended:
        return whole(first, clock)
    return _paced(_live(inbox, style, clock, first), clock)


def whole(body: bytes, clock: Clock | None = None) -> bytes | Generator[bytes]:
    """A body that is complete: as it is, or if it is large in pieces."""
    return body if len(body) <= MAX_WHOLE else _paced(iter([body]), clock or SystemClock())


_streams: set[Inbox] = set()  # that are live in this process


def _live(inbox: Inbox, style: StreamFormat, clock: Clock, first: bytes) -> Iterator[bytes]:
    """Whatever is ready, as it gets ready."""
    _streams.add(inbox)
    try:
        deadline = clock.now() + LIFE_S
        yield first
        ended = False
        while not ended:
            chunk, ended = _next(inbox, style, clock, deadline)
            yield chunk
    except Exception as error:  # noqa: BLE001 - the SDK would print a traceback into the body
        yield style.event(errors.defect(error).as_event()) + style.tail()
    finally:
        _streams.discard(inbox)
        inbox.close()


def _next(inbox: Inbox, style: StreamFormat, clock: Clock, deadline: float) -> tuple[bytes, bool]:
    left = deadline - clock.now()
    if left <= 0:
        return style.event(_TOO_LONG.as_event()) + style.tail(), True
    try:
        item = inbox.get(min(KEEP_ALIVE_S, left))
    except Empty:
        return style.keep_alive, False
    clock.sleep(min(MAX_GATHER_S, max(0, len(_streams) - FEW_STREAMS) * GATHER_PER_STREAM_S))
    return _write(style, [item, *inbox.ready()])


def _write(style: StreamFormat, items: Iterable[Event | End]) -> tuple[bytes, bool]:
    """The items in their format, and whether the last of them was the end."""
    parts: list[bytes] = []
    for item in items:
        if isinstance(item, End):
            parts += [style.event(item.error.as_event())] if item.error else []
            return b"".join([*parts, style.tail()]), True
        parts.append(style.event(item))
    return b"".join(parts), False


def _paced(bodies: Iterator[bytes], clock: Clock) -> Generator[bytes]:
    """Hands chunks out no faster and no larger than the daemon bears, and does not end too soon after the first."""
    tokens, counted = float(BURST), clock.now()
    began: float | None = None
    for body in bodies:
        for start in range(0, len(body), MAX_CHUNK):
            now = clock.now()
            tokens, counted = min(BURST, tokens + (now - counted) * CHUNKS_PER_S), now
            if tokens < 1:
                clock.sleep((1 - tokens) / CHUNKS_PER_S)
            tokens -= 1
            yield body[start : start + MAX_CHUNK]
            if began is None:
                began = clock.now()
    if began is not None:
        clock.sleep(max(0.0, began + MIN_LIFE_S - clock.now()))
