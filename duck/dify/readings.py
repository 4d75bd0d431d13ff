"""Which runs this process reads on for callers who fetch the answer later. Pure."""

import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from duck import limits
from duck.errors import DuckError


@dataclass(slots=True, kw_only=True)
class Reading:
    """One run. `began_at` is in seconds since the epoch. `outcome` is what a run has given whose answer Dify does not keep."""

    began_at: float
    outcome: Mapping[str, Any] | DuckError | None = None


class Readings:
    """The runs that are read, and the latest outcomes of those whose answers Dify does not keep."""

    def __init__(self) -> None:
        self._readings: dict[Hashable, Reading] = {}

    def begin(self, key: Hashable) -> None:
        """Remembers a run that begins."""
        self._readings[key] = Reading(began_at=time.time())

    def find(self, key: Hashable) -> Reading | None:
        """The run, None if this process does not read it."""
        return self._readings.get(key)

    def end(self, key: Hashable, outcome: Mapping[str, Any] | DuckError | None = None) -> None:
        """Forgets a run that has ended, or keeps its outcome in place of the oldest one."""
        reading = self._readings.pop(key)
        if outcome is None:
            return
        reading.outcome = outcome
        self._readings[key] = reading
        kept = [other for other, each in list(self._readings.items()) if each.outcome is not None]
        if len(kept) > limits.MAX_OUTCOMES:
            del self._readings[kept[0]]
