"""Answers one call in a thread of its own, since an app's script may block. The replies are sent in the event loop."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devhost.apps import Pause
from devhost.asking import Awaiting
from devhost.timeline import Pacer, Timeline
from devhost.wire import END, Reply

if TYPE_CHECKING:
    from devhost.recording import Recording

REPLIES_AHEAD = 4096  # of one call, before it waits for the reader: an endless script must not fill the memory
REPLIES_UNREAD = 100_000  # after which a run without a reader ends, for the same reason

type Replies = Generator[Reply | Pause | Awaiting, None, None]
type Send = Callable[[Reply, float], None]
type Drain = Callable[[], Coroutine[Any, Any, None]]

logger = logging.getLogger("devhost")


@dataclass(slots=True)
class Caller:
    """What a run and its reader know of each other.

    `outlived` is true for a run that goes on after its caller `has_left`. `recording` is what Dify stores of the run. Both are
    known with the first reply. With `named` a new conversation gets a name.
    """

    named: bool = False
    outlived: bool = False
    has_left: bool = False
    recording: "Recording | None" = None


class Run:
    """The answer to one call: a thread iterates over the replies, and `send` is called with each of them in the event loop.

    `send` also gets the seconds for which the script has paused so far: a time that does not depend on the machine's load.
    After every `REPLIES_AHEAD` replies `drain` is awaited: it waits until most of them have been read.
    """

    def __init__(
        self, replies: Replies, send: Send, drain: Drain, caller: Caller | None = None, timeline: Timeline | None = None
    ) -> None:
        self._replies = replies
        self._send = send
        self._drain = drain
        self._caller = caller or Caller()
        self._timeline = timeline or Timeline()
        self._pacer = Pacer(self._timeline)
        self._loop = asyncio.get_running_loop()
        self._cancelled = threading.Event()
        self._unread = threading.Event()
        self._paused_s = 0.0
        # A daemon thread: a script that blocks for ever must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="devhost-call", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the script has ended."""
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """Ends the run: no more replies are sent, and the script is closed at its next step."""
        self._cancelled.set()
        self._timeline.wake()

    def leave(self) -> None:
        """Sends no more replies, since the caller has left. Ends the run, unless it outlives its caller."""
        self._caller.has_left = True
        self._unread.set()
        if not self._caller.outlived:
            self.cancel()

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
        unread = 0
        with contextlib.closing(self._replies):  # runs the `finally` of the script now
            for count, reply in enumerate(self._replies, start=1):
                if isinstance(reply, Pause):
                    self._pacer.wait(reply.seconds, self._cancelled.is_set)
                    self._paused_s += reply.seconds
                elif isinstance(reply, Awaiting):
                    self._put(*closing, END)
                    closing.clear()
                    self._unread.set()
                    reply.form.wait(self._cancelled.is_set)
                elif reply.message == "stream":
                    self._put(reply)
                else:
                    closing.append(reply)
                unread += self._unread.is_set()
                if self._cancelled.is_set() or unread > REPLIES_UNREAD:
                    break
                if count % REPLIES_AHEAD == 0 and not self._unread.is_set():
                    asyncio.run_coroutine_threadsafe(self._drain(), self._loop).result()
        return closing

    def _put(self, *replies: Reply) -> None:
        if not self._unread.is_set():
            self._loop.call_soon_threadsafe(self._send_all, replies, self._paused_s)

    def _send_all(self, replies: Sequence[Reply], paused_s: float) -> None:
        for reply in replies:
            if not self._cancelled.is_set() and not self._caller.has_left:
                self._send(reply, paused_s)
