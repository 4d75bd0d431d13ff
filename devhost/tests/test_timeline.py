"""The time in Dify, which a test can advance."""

import threading
import time

from devhost.tests.support import DEADLINE_S, eventually
from devhost.timeline import Pacer, Timeline

LONG_S = 100_000


def never() -> bool:
    return False


def test_time_can_be_skipped() -> None:
    timeline = Timeline()
    before = timeline.now()
    timeline.advance(LONG_S)
    assert LONG_S <= timeline.now() - before < LONG_S + DEADLINE_S


def test_skipped_time_is_used_up_by_pauses() -> None:
    timeline = Timeline()
    pacer = Pacer(timeline)
    timeline.advance(LONG_S)
    began = time.monotonic()
    for _ in range(10):
        pacer.wait(LONG_S / 10, never)
    assert time.monotonic() - began < DEADLINE_S
    waiting = threading.Thread(target=pacer.wait, args=(LONG_S, never), daemon=True)
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive(), "nothing is left"
    timeline.advance(LONG_S)
    waiting.join(DEADLINE_S)
    assert not waiting.is_alive()


def test_time_that_was_skipped_before_a_run_does_not_count() -> None:
    timeline = Timeline()
    timeline.advance(LONG_S)
    waiting = threading.Thread(target=Pacer(timeline).wait, args=(LONG_S, never), daemon=True)
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()


def test_a_pause_ends_early_if_it_is_over() -> None:
    timeline, over = Timeline(), threading.Event()
    waiting = threading.Thread(target=Pacer(timeline).wait, args=(LONG_S, over.is_set), daemon=True)
    waiting.start()
    over.set()
    timeline.wake()
    assert eventually(lambda: not waiting.is_alive())
