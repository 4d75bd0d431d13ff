"""The daemon's limits, with their values there. Pure."""

from dataclasses import dataclass

BURST_EVENTS = 1_300  # of Dify's at once that the daemon passed on; of 5,000 it silently lost the last ones
BURST_GAP_S = 0.1  # after this long a silence the daemon's queue is empty


@dataclass(slots=True, kw_only=True)
class Limits:
    """Time limits, in seconds. They can be changed while devhost runs.

    `race_s`: a stream that ends within this time after its first chunk is cut to that chunk. On the real daemon this happens by
    chance, up to 20 ms locally; here it always happens. `absolute_s`: a streaming run, from its start, even while it sends
    events (DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT). `execution_s`: an answer, from its first chunk
    (PLUGIN_MAX_EXECUTION_TIMEOUT in Dify's compose file). `transaction_s`: a backwards call of a serverless plugin
    (MAX_SERVERLESS_TRANSACTION_TIMEOUT). `start_s` and `silence_s`: the silence of a local plugin before its first heartbeat,
    and after it.
    """

    race_s: float = 0.05
    absolute_s: float = 240.0
    execution_s: float = 600.0
    transaction_s: float = 300.0
    start_s: float = 120.0
    silence_s: float = 120.0


class Backlog:
    """The daemon's queue for the events of one run: events beyond `BURST_EVENTS` are lost, until `BURST_GAP_S` without events.

    Time is counted by the script's pauses, so that a slow machine causes no gap.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._count = 0
        self._last = 0.0

    def admits(self, now: float) -> bool:
        """Whether the queue takes an event at `now` (seconds)."""
        self._count = 1 if now - self._last > BURST_GAP_S else self._count + 1
        self._last = now
        if self._count > BURST_EVENTS:
            self.lost += 1
        return self._count <= BURST_EVENTS
