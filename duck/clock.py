"""Time, as code asks for it that a test runs on a clock of its own."""

import time
from typing import Protocol


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
        """Waits. Where gevent has patched the process, other greenlets run meanwhile."""
        time.sleep(seconds)


CLOCK = SystemClock()
