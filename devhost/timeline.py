"""The time in Dify, which a test can advance: for the pauses of scripts, and for forms that expire. No I/O."""

import threading
import time
from collections.abc import Callable


class Timeline:
    """The real time, and the seconds that were skipped by `advance`."""

    def __init__(self) -> None:
        self.skipped = 0.0
        self._changed = threading.Condition()

    def now(self) -> float:
        """The time in seconds since the epoch."""
        return time.time() + self.skipped

    def advance(self, seconds: float) -> None:
        """Skips this many seconds: runs go on as if they had passed."""
        with self._changed:
            self.skipped += seconds
            self._changed.notify_all()

    def wake(self) -> None:
        """Lets everything that waits look again whether its wait is over."""
        with self._changed:
            self._changed.notify_all()

    def sleep(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Blocks for at most this many real seconds, until the next `advance` or `wake`, or not at all if the wait `is_over`."""
        with self._changed:
            if not is_over():
                self._changed.wait(seconds)


class Pacer:
    """The pauses of one run. Skipped time is used up by as many pauses as it covers."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._used = timeline.skipped

    def wait(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Blocks for the pause, or until the wait `is_over`: whoever ends it so calls `Timeline.wake`."""
        left = seconds
        while left > 0 and not is_over():
            skipped = min(self._timeline.skipped - self._used, left)
            if skipped > 0:
                self._used += skipped
                left -= skipped
                continue
            began = time.monotonic()
            self._timeline.sleep(left, lambda: is_over() or self._timeline.skipped > self._used)
            left -= time.monotonic() - began
