"""A clock that knows when the event loop stood still.

The daemon sees each message when it arrives. devhost's event loop shares its process with a test, and its machine with other
programs: after a standstill it reads at once several messages that arrived one after the other.
"""

import asyncio

TICK_S = 0.005


class Clock:
    """The event loop's time, and the time of the last two ticks."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._before = self._last = self._loop.time()

    async def run(self) -> None:
        """Records a tick every `TICK_S`, until it is cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            self._before, self._last = self._last, self._loop.time()

    def earliest(self) -> float:
        """The earliest time at which a message that is read now may have arrived, in seconds of the loop's clock."""
        now = self._loop.time()
        was_late = self._last - self._before > 2 * TICK_S
        return self._before if was_late and now - self._last < TICK_S else self._last
