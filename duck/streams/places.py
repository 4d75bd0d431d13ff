"""How many runs Duck holds at a time, and which of them makes way when a new one finds no place.

Nothing tells a plugin that a client has gone. Its run falls silent then (the daemon ends its call to Dify), and would hold its
place until the silence limit.
"""

import threading
from collections.abc import Iterable
from typing import Protocol

from duck import limits
from duck.errors import DuckError
from duck.texts import Text


class Holder(Protocol):
    """A run that holds a place.

    `heard` is when Dify last said something about it, in seconds on the clock of `Places.take`. A `blocking` run is silent
    by nature until its end. `guest` tells who has asked for it.
    """

    heard: float
    blocking: bool
    guest: bool

    def give_up(self, error: DuckError) -> None:
        """Ends the run with this error."""
        ...


class Places:
    """The places of one process; at most `limit` are held at a time, and at most half of them by guests."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: set[Holder] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many places are held."""
        return len(self._held)

    @property
    def gather_s(self) -> float:
        """For how long a stream waits after each chunk, so that there is more in the next one: not at all while there are few."""
        return min(limits.MAX_GATHER_S, max(0, len(self._held) - limits.FEW_RUNS) * limits.GATHER_PER_RUN_S)

    def take(self, run: Holder, now: float) -> None:
        """Takes a place for the run. Raises `DuckError` 503 where there is none and no run makes way."""
        with self._lock:
            guests = [other for other in self._held if other.guest] if run.guest else []
            if run.guest and len(guests) >= max(1, self.limit // 2):
                self._make_way(guests, now)
            elif len(self._held) >= self.limit:
                self._make_way(self._held, now)
            self._held.add(run)

    def give_back(self, run: Holder) -> None:
        """Frees the place of the run, if it still has one."""
        with self._lock:
            self._held.discard(run)

    def _make_way(self, held: Iterable[Holder], now: float) -> None:
        """Ends the run of these that has been silent for longest. Of a blocking one silence says little: these come last."""
        silent = [run for run in held if now - run.heard >= limits.IDLE_S]
        if not silent:
            raise _overloaded(_FULL)
        run = min(silent, key=lambda run: (run.blocking, run.heard))
        self._held.discard(run)
        run.give_up(_overloaded(_MADE_WAY))


_FULL = Text("Duck is running as many apps as it can. Try again in a moment.")
_MADE_WAY = Text("This run had been silent for long, and was ended to make room for another.")


def _overloaded(message: str) -> DuckError:
    return DuckError(503, "overloaded", message, headers={"Retry-After": str(limits.OVERLOADED_RETRY_S)})


PLACES = Places(limits.MAX_RUNS)
