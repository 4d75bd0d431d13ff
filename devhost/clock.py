"""When something came that devhost had no time to look at.

The daemon sees each message as it comes. devhost is Python, and shares its process with a test and its machine with whatever
else runs there: after a moment in which its event loop stood still, it reads at once what came one after the other.
"""

import asyncio

TICK_S = 0.005


class Clock:
    """The event loop's clock, and what it has missed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._before = self._last = self._loop.time()

    async def run(self) -> None:
        """Looks at the clock for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            self._before, self._last = self._last, self._loop.time()

    def earliest(self) -> float:
        """When at the earliest that may have come which is seen now, in seconds on the loop's clock."""
        now = self._loop.time()
        was_late = self._last - self._before > 2 * TICK_S
        return self._before if was_late and now - self._last < TICK_S else self._last
