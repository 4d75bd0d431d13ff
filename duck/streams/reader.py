"""A run's events, read in a thread of their own, so that whoever writes them out can wait for one and give up.

The same code runs in the SDK's gevent world, where threads and queues are gevent's, and in plain threads.
"""

import _thread
import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

import gevent

from duck import errors, limits
from duck.errors import DuckError
from duck.journal import Entry
from duck.streams.format import Event


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

    `began` is when the run did, and `heard` when the last event came, on the pump's clock. A `blocking` run has one only, at its
    end. `guest` tells who has asked for it.
    """

    began: float
    heard: float
    blocking: bool
    silence_s: float
    guest: bool

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

    def close(self, then: Callable[[], None]) -> None:
        """Lets go of the run: nobody waits for what else comes. `then` is called once it is over."""
        ...


class Reader:
    """An inbox that a thread of its own fills from a blocking iterator, so that the pump can wait for an event and give up.

    None is a sign of life, and no more. `entry` gets to know how many they were. What `reads_on` is read to its end when it is
    closed, too, since somebody has to for Dify to remember the answer.
    """

    def __init__(
        self,
        source: Generator[Event | None],
        entry: Entry,
        *,
        blocking: bool,
        guest: bool = False,
        silence_s: float = limits.SILENCE_S,
        reads_on: bool = False,
    ) -> None:
        self.began = self.heard = CLOCK.now()
        self.blocking = blocking
        self.silence_s = silence_s
        self.guest = guest
        self._reads_on = reads_on
        self._source = source
        self._entry = entry
        self._queue: SimpleQueue[Event | End] = SimpleQueue()
        self._greenlet: gevent.Greenlet[..., object] | None = None
        self._closed = self._is_killed = self._has_begun = self._has_ended = False
        self._then: Callable[[], None] | None = None

    def open(self) -> None:
        """See `Inbox`."""
        _thread.start_new_thread(self._run, ())  # in gevent's world half of the cost of a `threading.Thread`
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
            self._then = None  # which would hold this, and be held by it
            then()

    def _kill(self) -> None:
        """Ends the run: a greenlet at once, since a silent one would cost, a plain thread at its next event.

        And once: it may have something to do at its end, which a second time would interrupt.
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
                    self.heard = CLOCK.now()
                    if not self._closed:
                        self._entry.events += 1
                        if event is not None:
                            self._queue.put(event)
                    elif not self._reads_on:
                        break
        except DuckError as error:
            return End(error)
        except Exception as error:  # noqa: BLE001 - nothing else would hear of it
            return End(errors.defect(error))
        return End()
