"""One call being answered, in a thread of its own: an app's script may block. Its replies go back through the event loop."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any

from devhost.apps import Pause
from devhost.wire import END, Reply

REPLIES_AHEAD = 4096  # of one call, before it waits for the plugin: so that an endless script cannot fill the memory

type Replies = Generator[Reply | Pause, None, None]
type Send = Callable[[Reply, float], None]
type Drain = Callable[[], Coroutine[Any, Any, None]]

logger = logging.getLogger("devhost")


class Run:
    """One backwards call being answered: a thread makes the replies, `send` gets each of them in the event loop.

    With it comes how many seconds the script has paused so far: its own time, whatever else the machine is doing.
    `drain` is awaited now and then until the plugin has read most of them.
    """

    def __init__(self, replies: Replies, send: Send, drain: Drain) -> None:
        self._replies = replies
        self._send = send
        self._drain = drain
        self._loop = asyncio.get_running_loop()
        self._cancelled = threading.Event()
        self._paused_s = 0.0
        # A daemon thread: a script that blocks for ever must not keep the process from ending.
        threading.Thread(target=self._work, name="devhost-call", daemon=True).start()

    def cancel(self) -> None:
        """Ends the run: no reply is sent any more, and the script is closed as soon as it gives its next step."""
        self._cancelled.set()

    def _work(self) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is gone, and with it whom to answer
            try:
                closing = self._stream()
            except Exception as error:  # a script is a test's own code; a stream that breaks in Dify looks like this
                if self._cancelled.is_set():
                    return
                logger.warning("an app's script failed", exc_info=True)
                closing = [Reply("error", f"read app failed: request failed: {error}")]
            # Together: for the plugin the answer or the error is enough, and with its session over no `end` would be sent.
            self._put(*closing, END)

    def _stream(self) -> list[Reply]:
        """Hands on the events of a stream; gives what else there is, the answer or an error."""
        closing: list[Reply] = []
        with contextlib.closing(self._replies):  # so that the `finally` of a script runs now, not some time
            for count, reply in enumerate(self._replies, start=1):
                if isinstance(reply, Pause):
                    self._cancelled.wait(reply.seconds)
                    self._paused_s += reply.seconds
                elif reply.message == "stream":
                    self._put(reply)
                else:
                    closing.append(reply)
                if self._cancelled.is_set():
                    break
                if count % REPLIES_AHEAD == 0:
                    asyncio.run_coroutine_threadsafe(self._drain(), self._loop).result()
        return closing

    def _put(self, *replies: Reply) -> None:
        self._loop.call_soon_threadsafe(self._hand_on, replies, self._paused_s)

    def _hand_on(self, replies: Sequence[Reply], paused_s: float) -> None:
        for reply in replies:
            if not self._cancelled.is_set():
                self._send(reply, paused_s)
