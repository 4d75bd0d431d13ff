"""How often guests may run apps, and anybody may try keys: so many times a minute, all of one endpoint's together.

Each process counts by itself.
"""

import math
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field

from duck import limits
from duck.clock import Clock
from duck.errors import DuckError
from duck.texts import Text

MINUTE_S = 60.0
MAX_KEYS = 10_000  # endpoints that are counted; beyond, the one that came first begins anew


@dataclass(slots=True)
class _Bucket:
    """Runs that may begin now; it fills up with time, to a minute's at most."""

    runs: float
    at: float


@dataclass(slots=True)
class Rates:
    """One bucket for each key."""

    _buckets: dict[Hashable, _Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: Hashable, per_minute: int, now: float) -> None:
        """Takes one run, at `now` in seconds on any clock. Raises `DuckError` 429, with when to try again, where none is left."""
        if (left := self._take(key, per_minute, now)) < 0:
            wait = math.ceil(-left * MINUTE_S / per_minute)
            message = Text(
                "Runs without a key are limited to {count} a minute, for all callers together. Try again after {wait} s.",
                count=per_minute,
                wait=wait,
            )
            raise DuckError(429, "rate_limit_error", message, headers={"Retry-After": str(wait)})

    def slow_down(self, key: Hashable, clock: Clock) -> None:
        """Makes who has sent a wrong key wait, where there have been many within a minute: so guessing takes years."""
        if self._take(key, limits.MAX_WRONG_KEYS, clock.now()) < 0:
            clock.sleep(limits.WRONG_KEY_S)

    def _take(self, key: Hashable, per_minute: int, now: float) -> float:
        """Takes one, and gives how many are left; where there is none, a negative number: what is missing for one."""
        with self._lock:
            if key not in self._buckets and len(self._buckets) >= MAX_KEYS:
                self._buckets.pop(next(iter(self._buckets)))
            bucket = self._buckets.setdefault(key, _Bucket(per_minute, now))
            bucket.runs = min(per_minute, bucket.runs + (now - bucket.at) * per_minute / MINUTE_S)
            bucket.at = now
            if bucket.runs < 1:
                return bucket.runs - 1
            bucket.runs -= 1
            return bucket.runs
