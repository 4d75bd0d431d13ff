"""How often guests may run apps: so many times a minute, all of one endpoint's together, and in each process by itself."""

import math
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field

from duck.errors import DuckError

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
        with self._lock:
            if key not in self._buckets and len(self._buckets) >= MAX_KEYS:
                self._buckets.pop(next(iter(self._buckets)))
            bucket = self._buckets.setdefault(key, _Bucket(per_minute, now))
            bucket.runs = min(per_minute, bucket.runs + (now - bucket.at) * per_minute / MINUTE_S)
            bucket.at = now
            if bucket.runs < 1:
                wait = math.ceil((1 - bucket.runs) * MINUTE_S / per_minute)
                message = f"Runs without a key are limited to {per_minute} a minute, for all callers together."
                advice = f"Try again in {wait} {'second' if wait == 1 else 'seconds'}."
                raise DuckError(429, "rate_limit_error", f"{message} {advice}", headers={"Retry-After": str(wait)})
            bucket.runs -= 1


RATES = Rates()
