"""The pump writes Dify's events as chunks of a body, and loses none of them on the way through the daemon.

The daemon (measured on 0.6.10) cuts a body that ends right after its first chunk, drops chunks when many of them wait, kills a
plugin that sends a large one, and writes JSON into a body that takes too long. The numbers in `limits` avoid all four.
"""

import contextlib
import math
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Empty

from duck import errors, limits
from duck.clock import CLOCK, Clock
from duck.errors import DuckError
from duck.journal import Entry
from duck.streams.format import Event, StreamFormat
from duck.streams.reader import End, Inbox
from duck.streams.slots import Slots
from duck.texts import Text


def collect(inbox: Inbox, slots: Slots, clock: Clock = CLOCK) -> list[Event]:
    """All events of a run, once it is over.

    Raises the run's `DuckError`; 503 if there is no slot for it, 504 if it is silent for too long or takes too long.
    """
    events: list[Event] = []
    with _running(inbox, slots, clock):
        while not isinstance(item := _next_item(inbox, clock), End):
            events.append(item)
    try:
        if item.error:
            raise item.error
    finally:
        del item  # otherwise the error would keep this frame, and so the run, until the next garbage collection
    return events


def begin(inbox: Inbox, slots: Slots, clock: Clock = CLOCK, patience_s: float = math.inf) -> Event | None:
    """The first event of a run, None if it has not come within `patience_s` seconds. The run is then left to itself.

    If its terms allow it, it is read to its end. Raises `DuckError` as `collect` does.
    """
    try:
        with _running(inbox, slots, clock):
            item = _next_item(inbox, clock, patience_s)
    except Empty:
        return None
    try:
        if isinstance(item, End):
            raise item.error or _too_silent(blocking=False)
        return item
    finally:
        del item  # for the same reason as in `collect`


def in_pieces(body: bytes, slots: Slots, clock: Clock = CLOCK) -> bytes | Generator[bytes]:
    """A whole body: as it is if the daemon can take it in one piece, else in chunks."""
    return body if len(body) <= limits.MAX_WHOLE else _paced(iter([body]), slots, clock)


@dataclass(frozen=True, slots=True)
class Pump:
    """Writes the events of one inbox in one format, and notes in the journal's entry how the run ended."""

    inbox: Inbox
    writer: StreamFormat
    entry: Entry
    slots: Slots
    clock: Clock = CLOCK

    def body(self) -> bytes | Generator[bytes]:
        """The response's body: `bytes` if the run is already over, else a generator that never raises.

        Waits for the first event until the first keep-alive is due, and raises the `DuckError` of a run that fails before. Raises
        503 if there is no slot for the run.
        """
        with ExitStack() as at_the_end:
            at_the_end.enter_context(_running(self.inbox, self.slots, self.clock))
            began = self.clock.now()
            items = self._first_items()
            try:
                if items and isinstance(items[0], End) and items[0].error:
                    raise items[0].error
            except DuckError:
                items.clear()  # for the same reason as in `collect`
                raise
            first, ended = self._write(items)
            if ended:
                return self.writer.head() + first
            first = self.writer.head() + (first if items and not self.writer.waits else self.writer.keep_alive())
            wrote_at = self.clock.now() if first else began
            return _paced(self._chunks(first, wrote_at, at_the_end.pop_all()), self.slots, self.clock)

    def _first_items(self) -> list[Event | End]:
        """The first items, none if the first keep-alive is due before; all items, if the format waits and the run is quick."""
        items: list[Event | End] = []
        due_at = self.clock.now() + self.writer.keep_alive_s
        with contextlib.suppress(Empty):
            while not items or (self.writer.waits and not isinstance(items[-1], End) and self.clock.now() < due_at):
                items.append(_next_item(self.inbox, self.clock, due_at - self.clock.now()))
                items += self.inbox.ready()
        return items

    def _chunks(self, first: bytes, wrote_at: float, at_the_end: ExitStack) -> Iterator[bytes]:
        """The first chunk, which may be empty, and all further ones. Each has all items that are in the inbox then."""
        with at_the_end:
            try:
                over_at = self.clock.now() + limits.LIFE_S
                yield first
                ended = False
                while not ended:
                    chunk, ended = self._next_chunk(wrote_at + self.writer.keep_alive_s, over_at)
                    if chunk:
                        wrote_at = self.clock.now()
                        yield chunk
            except Exception as error:  # noqa: BLE001 - the SDK would print a traceback into the body
                yield self._error_chunk(errors.defect(error))

    def _next_chunk(self, due_at: float, over_at: float) -> tuple[bytes, bool]:
        """The next chunk, empty if there is nothing to write, and whether it is the last.

        A keep-alive is due at `due_at` if nothing was written before. An event without bytes does not postpone it: a client that
        gets no byte for long hangs up.
        """
        if self.slots.pump_gathers:
            self.clock.sleep(self.slots.gather_s)
        if self.clock.now() >= over_at:
            return self._error_chunk(_response_too_long()), True
        try:
            item = _next_item(self.inbox, self.clock, min(due_at, over_at) - self.clock.now())
        except Empty:
            return self._keep_alive(due_at), False
        chunk, ended = self._write([item, *self.inbox.ready()])
        return chunk or (b"" if ended else self._keep_alive(due_at)), ended

    def _keep_alive(self, due_at: float) -> bytes:
        return self.writer.keep_alive() if self.clock.now() >= due_at else b""

    def _write(self, items: Iterable[Event | End]) -> tuple[bytes, bool]:
        """The items as bytes, and whether an `End` was among them."""
        parts: list[bytes] = []
        for item in items:
            if isinstance(item, End):
                parts.append(self._error_chunk(item.error) if item.error else self.writer.tail())
                return b"".join(parts), True
            if item["event"] == "error":  # Dify's own event
                self.entry.ended = str(item.get("code"))
            parts.append(self.writer.event(item))
        return b"".join(parts), False

    def _error_chunk(self, error: DuckError) -> bytes:
        self.entry.ended = error.code
        return self.writer.event(error.as_event()) + self.writer.tail()


@contextlib.contextmanager
def _running(inbox: Inbox, slots: Slots, clock: Clock) -> Iterator[None]:
    """Starts the run in a slot. It keeps the slot until it is over."""
    slots.take(inbox, clock.now())
    try:
        inbox.start()
        yield
    finally:
        inbox.close(then=lambda: slots.release(inbox))


def _next_item(inbox: Inbox, clock: Clock, patience_s: float = math.inf) -> Event | End:
    """The next item, an `End` if the run takes too long or is silent for too long. Raises `Empty` after `patience_s` seconds."""
    terms = inbox.terms
    patient_until, over_at = clock.now() + patience_s, inbox.began + terms.run_s
    while (now := clock.now()) < over_at:
        try:
            return inbox.get(max(0.0, min(patient_until, over_at, inbox.heard + terms.silence_s) - now))
        except Empty:
            if clock.now() >= inbox.heard + terms.silence_s:
                return End(_too_silent(blocking=terms.blocking))
            if clock.now() >= patient_until:
                raise
    return End(_run_too_long(terms.run_s))


def _paced(bodies: Iterator[bytes], slots: Slots, clock: Clock) -> Generator[bytes]:
    """Yields chunks no larger and no faster than the daemon can take, and does not end too soon after the first one."""
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
        life_s = min(limits.MAX_MIN_LIFE_S, limits.MIN_LIFE_S + len(slots) * limits.MIN_LIFE_PER_RUN_S)
        clock.sleep(max(0.0, began + life_s - clock.now()))


def _too_silent(*, blocking: bool) -> DuckError:
    """The run was silent for too long."""
    return DuckError(504, "timeout", errors.NO_ANSWER if blocking else errors.SLOW)


def _response_too_long() -> DuckError:
    """The response has been open for as long as the daemon allows."""
    message = Text(
        "This took longer than {seconds} seconds, for which Dify keeps a streamed answer open. The run itself may go on in Dify. "
        "With response_mode blocking and format json an answer may take 20 minutes.",
        seconds=f"{limits.LIFE_S:.0f}",
    )
    return DuckError(504, "timeout", message)


def _run_too_long(run_s: float) -> DuckError:
    """The run takes longer than `run_s` seconds, which Dify allows to a plugin that runs as a function."""
    message = Text(
        "This took longer than {seconds} seconds, the most that Dify gives a plugin that it runs as a function. The run itself "
        "may go on in Dify.",
        seconds=f"{run_s:.0f}",
    )
    return DuckError(504, "timeout", message)
