"""Limits how often guests may run apps and how often keys may be tried: per minute, for all callers of an endpoint together.

Each process counts separately.
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
MAX_ENDPOINTS = 10_000  # that are counted; beyond it, the endpoint that came first starts anew


@dataclass(slots=True)
class _Bucket:
    """A token bucket: it fills with time, up to the tokens of one minute, of which some are `left`. `filled_at` is in seconds."""

    left: float
    filled_at: float


@dataclass(slots=True)
class Rates:
    """One bucket for each endpoint."""

    _buckets: dict[Hashable, _Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, endpoint_id: Hashable, per_minute: int, now: float) -> None:
        """Counts one run. `now` is in seconds on any clock. Raises `DuckError` 429, with `Retry-After`, if none is left."""
        if (left := self._take(endpoint_id, per_minute, now)) < 0:
            wait = math.ceil(-left * MINUTE_S / per_minute)
            message = Text(
                "Runs without a key are limited to {count} a minute, for all callers together. Try again after {wait} s.",
                count=per_minute,
                wait=wait,
            )
            raise DuckError(429, "rate_limit_error", message, headers={"Retry-After": str(wait)})

    def slow_down(self, endpoint_id: Hashable, clock: Clock) -> None:
        """Counts one wrong key, and waits if there were many within a minute, so that guessing a key takes years."""
        if self._take(endpoint_id, limits.MAX_WRONG_KEYS, clock.now()) < 0:
            clock.sleep(limits.WRONG_KEY_S)

    def _take(self, endpoint_id: Hashable, per_minute: int, now: float) -> float:
        """Takes a token and returns how many are left. Without a token it returns a negative number: the missing part of one."""
        with self._lock:
            if endpoint_id not in self._buckets and len(self._buckets) >= MAX_ENDPOINTS:
                self._buckets.pop(next(iter(self._buckets)))
            bucket = self._buckets.setdefault(endpoint_id, _Bucket(per_minute, now))
            bucket.left = min(per_minute, bucket.left + (now - bucket.filled_at) * per_minute / MINUTE_S)
            bucket.filled_at = now
            if bucket.left < 1:
                return bucket.left - 1
            bucket.left -= 1
            return bucket.left
