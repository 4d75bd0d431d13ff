"""The daemon's limits, each with the value it has there. Pure."""

from dataclasses import dataclass

BURST_EVENTS = 1_300  # of Dify's at once that the daemon passed on whole; of 5,000 it lost the end, and said nothing
BURST_GAP_S = 0.1  # after such a silence the daemon's queue is empty again


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long things may take, in seconds.

    `race_s`: an end within this after the first chunk cuts the answer to it. On the real daemon it is a matter of luck, up to
    20 ms locally; here it is a rule. `absolute_s`: a streaming run from its start, however active it is
    (DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT). `execution_s`: an answer from its first chunk (PLUGIN_MAX_EXECUTION_TIMEOUT in
    Dify's compose file). `transaction_s`: a backwards call of a serverless plugin (MAX_SERVERLESS_TRANSACTION_TIMEOUT).
    `start_s` and `silence_s`: a local plugin that stays silent, before its first heartbeat and after.
    """

    race_s: float = 0.05
    absolute_s: float = 240.0
    execution_s: float = 600.0
    transaction_s: float = 300.0
    start_s: float = 120.0
    silence_s: float = 120.0


class Backlog:
    """The daemon's queue for events from one run: what comes beyond a burst is lost, until there is a moment of silence.

    Time is the script's own, so that a slow machine makes no silence.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._count = 0
        self._last = 0.0

    def admits(self, now: float) -> bool:
        """Whether an event that comes at `now`, in seconds, finds a place."""
        self._count = 1 if now - self._last > BURST_GAP_S else self._count + 1
        self._last = now
        if self._count > BURST_EVENTS:
            self.lost += 1
        return self._count <= BURST_EVENTS
