"""Reads a run's events in a thread of its own, so that the pump can wait for an event and give up.

The same code runs with gevent's threads and queues, as the SDK patches them in, and with plain ones.
"""

import _thread
import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

import gevent

from duck import errors
from duck.clock import CLOCK, Clock
from duck.errors import DuckError
from duck.journal import Entry
from duck.streams.format import Event
from duck.streams.terms import Terms


@dataclass(frozen=True, slots=True)
class End:
    """The end of a run, with the error that ended it, if one did."""

    error: DuckError | None = None


class Inbox(Protocol):
    """A run's events on their way to the pump, followed by one `End`.

    `began` is when the run began and `heard` when its last event came, both on the pump's clock.
    """

    began: float
    heard: float
    terms: Terms

    def start(self) -> None:
        """Starts the run."""
        ...

    def get(self, timeout: float) -> Event | End:
        """Waits for the next item. Raises `queue.Empty` after `timeout` seconds."""
        ...

    def ready(self) -> list[Event | End]:
        """All items that are there without waiting."""
        ...

    def give_up(self, error: DuckError) -> None:
        """Ends the run with this error, which comes after the items that are already there."""
        ...

    def close(self, then: Callable[[], None]) -> None:
        """Tells that nobody reads any further. `then` is called once the run is over."""
        ...


class Reader:
    """An inbox that a thread fills from a blocking iterator.

    The source yields None where the run is alive and has no event for the caller. `entry` counts both.
    """

    def __init__(self, source: Generator[Event | None], entry: Entry, terms: Terms, clock: Clock = CLOCK) -> None:
        self.began = self.heard = clock.now()
        self.terms = terms
        self._source = source
        self._entry = entry
        self._clock = clock
        self._reads_on = terms.reads_on
        self._queue: SimpleQueue[Event | End] = SimpleQueue()
        self._greenlet: gevent.Greenlet[..., object] | None = None
        self._closed = self._is_killed = self._has_begun = self._has_ended = False
        self._then: Callable[[], None] | None = None

    def start(self) -> None:
        """See `Inbox`."""
        _thread.start_new_thread(self._run, ())  # under gevent it costs half as much as a `threading.Thread`
        self._has_begun = True

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
        self._kill()

    def close(self, then: Callable[[], None]) -> None:
        """See `Inbox`."""
        self._closed = True
        if not self._reads_on:
            self._kill()
        if self._reads_on and self._has_begun:
            self._then = then
        if not self._then or self._has_ended:
            self._then = None  # breaks the cycle of references between `then` and this reader
            then()

    def _kill(self) -> None:
        """Ends the run: a greenlet at once, because a silent one would cost memory; a plain thread at its next event.

        It does so once only, because a second kill would interrupt what the source does at its end.
        """
        if self._is_killed:
            return
        self._is_killed = self._closed = True
        self._reads_on = False
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def _run(self) -> None:
        current = gevent.getcurrent()
        self._greenlet = current if isinstance(current, gevent.Greenlet) else None
        try:
            with contextlib.suppress(gevent.GreenletExit):
                self._queue.put(self._read())
        finally:
            self._has_ended = True
            if then := self._then:
                self._then = None
                then()

    def _read(self) -> End:
        try:
            with contextlib.closing(self._source):  # in the thread that ran it
                for event in self._source:
                    self.heard = self._clock.now()
                    if not self._closed:
                        self._entry.events += 1
                        if event is not None:
                            self._queue.put(event)
                    elif not self._reads_on:
                        break
        except DuckError as error:
            return End(error)
        except Exception as error:  # noqa: BLE001 - nothing else would report it
            return End(errors.defect(error))
        return End()
