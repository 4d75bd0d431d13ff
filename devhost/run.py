"""Answers one call in a thread of its own, since an app's script may block. The replies are sent in the event loop."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any

from devhost.apps import Pause
from devhost.wire import END, Reply

REPLIES_AHEAD = 4096  # of one call, before it waits for the reader: an endless script must not fill the memory

type Replies = Generator[Reply | Pause, None, None]
type Send = Callable[[Reply, float], None]
type Drain = Callable[[], Coroutine[Any, Any, None]]

logger = logging.getLogger("devhost")


class Run:
    """The answer to one call: a thread iterates over the replies, and `send` is called with each of them in the event loop.

    `send` also gets the seconds for which the script has paused so far: a time that does not depend on the machine's load.
    After every `REPLIES_AHEAD` replies `drain` is awaited: it waits until most of them have been read.
    """

    def __init__(self, replies: Replies, send: Send, drain: Drain) -> None:
        self._replies = replies
        self._send = send
        self._drain = drain
        self._loop = asyncio.get_running_loop()
        self._cancelled = threading.Event()
        self._paused_s = 0.0
        # A daemon thread: a script that blocks for ever must not keep the process alive.
        threading.Thread(target=self._work, name="devhost-call", daemon=True).start()

    def cancel(self) -> None:
        """Ends the run: no more replies are sent, and the script is closed at its next step."""
        self._cancelled.set()

    def _work(self) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            try:
                closing = self._stream()
            except Exception as error:  # a script is a test's own code; this is how a broken stream of Dify looks
                if self._cancelled.is_set():
                    return
                logger.warning("an app's script failed", exc_info=True)
                closing = [Reply("error", f"read app failed: request failed: {error}")]
            # Together: the answer or the error may end the plugin's session, and then no `end` would be sent.
            self._put(*closing, END)

    def _stream(self) -> list[Reply]:
        """Sends the events of a stream, and returns the other replies: the answer or an error."""
        closing: list[Reply] = []
        with contextlib.closing(self._replies):  # runs the `finally` of the script now
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
        self._loop.call_soon_threadsafe(self._send_all, replies, self._paused_s)

    def _send_all(self, replies: Sequence[Reply], paused_s: float) -> None:
        for reply in replies:
            if not self._cancelled.is_set():
                self._send(reply, paused_s)
