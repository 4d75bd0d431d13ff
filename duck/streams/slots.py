"""How many runs a process works on at a time, and which of them is evicted for a new one.

A plugin is not told when a client hangs up. The daemon then ends its call to Dify, the run falls silent, and without eviction it
would keep its slot until the silence limit.
"""

import threading
from collections.abc import Iterable
from typing import Protocol

from duck import limits
from duck.errors import DuckError
from duck.streams.terms import Terms
from duck.texts import Text


class Holder(Protocol):
    """A run that has a slot. `heard` is when its last event came, in seconds on the clock of `Slots.take`."""

    heard: float
    terms: Terms

    def give_up(self, error: DuckError) -> None:
        """Ends the run with this error."""
        ...


class Slots:
    """The slots of one process: at most `limit` runs at a time, at most half of them for guests.

    `pump_gathers` is False where the transport collects several events before it wakes a stream, so that the pump need not.
    """

    def __init__(self, limit: int = limits.MAX_RUNS) -> None:
        self.limit = limit
        self.pump_gathers = True
        self._holders: set[Holder] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many slots are taken."""
        return len(self._holders)

    @property
    def gather_s(self) -> float:
        """Seconds for which a stream waits after each chunk, so that the next one has more events; 0 while there are few runs."""
        return min(limits.MAX_GATHER_S, max(0, len(self._holders) - limits.FEW_RUNS) * limits.GATHER_PER_RUN_S)

    def take(self, run: Holder, now: float) -> None:
        """Takes a slot for the run. Raises `DuckError` 503 if all are taken and no run can be evicted."""
        with self._lock:
            guests = [other for other in self._holders if other.terms.guest] if run.terms.guest else []
            if run.terms.guest and len(guests) >= max(1, self.limit // 2):
                self._evict(guests, now)
            elif len(self._holders) >= self.limit:
                self._evict(self._holders, now)
            self._holders.add(run)

    def release(self, run: Holder) -> None:
        """Frees the slot of the run, unless it was evicted."""
        with self._lock:
            self._holders.discard(run)

    def _evict(self, candidates: Iterable[Holder], now: float) -> None:
        """Ends the run that has been silent for longest. A blocking run is silent until its end, so these are evicted last."""
        silent = [run for run in candidates if now - run.heard >= limits.IDLE_S]
        if not silent:
            raise _overloaded(_FULL)
        run = min(silent, key=lambda run: (run.terms.blocking, run.heard))
        self._holders.discard(run)
        run.give_up(_overloaded(_EVICTED))


_FULL = Text("Duck is running as many apps as it can. Try again in a moment.")
_EVICTED = Text("This run had been silent for long, and was ended to make room for another.")


def _overloaded(message: str) -> DuckError:
    return DuckError(503, "overloaded", message, headers={"Retry-After": str(limits.OVERLOADED_RETRY_S)})
