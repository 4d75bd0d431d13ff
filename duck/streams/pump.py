"""The pump: from events, as Dify sends them, to the chunks of a body that loses nothing on its way through the daemon.

The daemon (measured on 0.6.10) cuts a body that ends right after its first chunk, drops chunks that wait in numbers, kills a
plugin for a large one and writes JSON into a body that takes too long. `limits` keeps clear of all four.
"""

import contextlib
import math
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Empty

from duck import errors, limits
from duck.errors import DuckError
from duck.journal import Entry
from duck.streams.format import Event, StreamFormat
from duck.streams.places import PLACES
from duck.streams.reader import CLOCK, Clock, End, Inbox


def relay(inbox: Inbox, style: StreamFormat, entry: Entry) -> bytes | Generator[bytes]:
    """A response's body from a run's events: `bytes` if the run is over already, else a generator that never raises.

    Waits for the first event, so that a run that fails at once is raised as its `DuckError`; but no longer than a keep-alive's
    time. Raises 503, too, where there is no place for the run.
    """
    return Pump(inbox, style, CLOCK, entry).body()


def collect(inbox: Inbox, clock: Clock = CLOCK) -> list[Event]:
    """All events of a run, once it is over.

    Raises its `DuckError`; 503 where there is no place for it, 504 where it was silent for too long.
    """
    seen: list[Event] = []
    with _opened(inbox, clock):
        while not isinstance(item := _get(inbox, clock), End):
            seen.append(item)
    try:
        if item.error:
            raise item.error
    finally:
        del item  # else the error would hold this frame, and so its run, until garbage is collected
    return seen


def whole(body: bytes, clock: Clock = CLOCK) -> bytes | Generator[bytes]:
    """A body that is complete: as it is, or if it is large in pieces."""
    return body if len(body) <= limits.MAX_WHOLE else _paced(iter([body]), clock)


@dataclass(frozen=True, slots=True)
class Pump:
    """Writes the events of one inbox in one format, and tells the journal how that ended."""

    inbox: Inbox
    style: StreamFormat
    clock: Clock
    entry: Entry

    def body(self) -> bytes | Generator[bytes]:
        """What `relay` gives."""
        with ExitStack() as at_the_end:
            at_the_end.enter_context(_opened(self.inbox, self.clock))
            items = self._first()
            try:
                if items and isinstance(items[0], End) and items[0].error:
                    raise items[0].error
            except DuckError:
                items.clear()  # for the same reason
                raise
            first, ended = self._write(items)
            first = self.style.head() + (first if items else self.style.keep_alive())
            if ended:
                return whole(first, self.clock)
            return _paced(self._live(first, at_the_end.pop_all()), self.clock)

    def _first(self) -> list[Event | End]:
        """What comes first; nothing if that takes longer than a keep-alive's time, in a format that has one."""
        try:
            return [_get(self.inbox, self.clock, self.style.keep_alive_s), *self.inbox.ready()]
        except Empty:
            return []

    def _live(self, first: bytes, at_the_end: ExitStack) -> Iterator[bytes]:
        """Whatever is ready, as it gets ready."""
        with at_the_end:
            try:
                wrote_at = self.clock.now()
                over_at = wrote_at + limits.LIFE_S
                yield first
                ended = False
                while not ended:
                    chunk, ended = self._next(wrote_at + self.style.keep_alive_s, over_at)
                    if chunk:
                        wrote_at = self.clock.now()
                        yield chunk
            except Exception as error:  # noqa: BLE001 - the SDK would print a traceback into the body
                yield self._last(errors.defect(error))

    def _next(self, due_at: float, over_at: float) -> tuple[bytes, bool]:
        """The next chunk, and whether it is the last. A sign of life is due where nothing else is to be written until then.

        What is read does not count: a run may be busy with steps of which the format tells nothing, and its client give up.
        """
        if limits.PUMP_GATHERS:
            self.clock.sleep(PLACES.gather_s)
        if self.clock.now() >= over_at:
            return self._last(errors.too_long()), True
        try:
            item = _get(self.inbox, self.clock, min(due_at, over_at) - self.clock.now())
        except Empty:
            return self._sign_of_life(due_at), False
        chunk, ended = self._write([item, *self.inbox.ready()])
        return chunk or (b"" if ended else self._sign_of_life(due_at)), ended

    def _sign_of_life(self, due_at: float) -> bytes:
        return self.style.keep_alive() if self.clock.now() >= due_at else b""

    def _write(self, items: Iterable[Event | End]) -> tuple[bytes, bool]:
        """The items in their format, and whether the last of them was the end."""
        parts: list[bytes] = []
        for item in items:
            if isinstance(item, End):
                parts.append(self._last(item.error) if item.error else self.style.tail())
                return b"".join(parts), True
            if item["event"] == "error":  # one of Dify's own
                self.entry.ended = str(item.get("code"))
            parts.append(self.style.event(item))
        return b"".join(parts), False

    def _last(self, error: DuckError) -> bytes:
        self.entry.ended = error.code
        return self.style.event(error.as_event()) + self.style.tail()


@contextlib.contextmanager
def _opened(inbox: Inbox, clock: Clock) -> Iterator[None]:
    """Runs the run in a place of its own, which it keeps until it is over."""
    PLACES.take(inbox, clock.now())
    try:
        inbox.open()
        yield
    finally:
        inbox.close(then=lambda: PLACES.give_back(inbox))


def _get(inbox: Inbox, clock: Clock, patience_s: float = math.inf) -> Event | End:
    """The next item, or the end of a run that takes or is silent for too long. Raises `Empty` after `patience_s`."""
    silence_s = limits.BLOCKING_SILENCE_S if inbox.blocking else inbox.silence_s
    patient_until, over_at = clock.now() + patience_s, inbox.began + limits.RUN_S
    while (now := clock.now()) < over_at:
        try:
            return inbox.get(max(0.0, min(patient_until, over_at, inbox.heard + silence_s) - now))
        except Empty:
            if clock.now() >= inbox.heard + silence_s:
                return End(errors.silent(blocking=inbox.blocking))
            if clock.now() >= patient_until:
                raise
    return End(errors.too_slow())


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
