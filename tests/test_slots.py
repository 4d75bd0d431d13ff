"""Which run is evicted when all slots are taken."""

import pytest

from duck.errors import DuckError
from duck.streams.slots import Slots
from duck.streams.terms import Terms


class Run:
    def __init__(self, heard: float, *, blocking: bool = False, guest: bool = False) -> None:
        self.heard = heard
        self.terms = Terms(blocking=blocking, guest=guest)
        self.error: DuckError | None = None

    def give_up(self, error: DuckError) -> None:
        self.error = error


def evicted(runs: list[Run], now: float) -> list[Run]:
    """Those that are evicted for one more run."""
    slots = Slots(limit=len(runs))
    for run in runs:
        slots.take(run, 0)
    slots.take(Run(now), now)
    assert len(slots) == len(runs)
    return [run for run in runs if run.error]


def test_the_run_that_has_been_silent_for_longest_is_evicted() -> None:
    runs = [Run(20), Run(10), Run(15)]
    assert evicted(runs, now=80) == [runs[1]]
    assert runs[1].error
    assert (runs[1].error.status, runs[1].error.code) == (503, "overloaded")


def test_a_blocking_run_is_evicted_only_if_no_streaming_one_is() -> None:
    assert [run.terms.blocking for run in evicted([Run(0, blocking=True), Run(20)], now=100)] == [False]
    assert [run.heard for run in evicted([Run(7, blocking=True), Run(60), Run(5, blocking=True)], now=100)] == [5]


def test_a_run_that_has_been_heard_within_a_minute_is_not_evicted() -> None:
    with pytest.raises(DuckError) as caught:
        evicted([Run(0), Run(30)], now=59.9)
    assert (caught.value.status, caught.value.code, caught.value.headers) == (503, "overloaded", {"Retry-After": "5"})


def test_a_slot_is_free_again_after_its_run() -> None:
    slots, run = Slots(limit=1), Run(0)
    for _ in range(3):
        slots.take(run, 0)
        assert len(slots) == 1
        slots.release(run)
    assert len(slots) == 0


def test_an_evicted_run_does_not_free_the_slot_of_another() -> None:
    slots, silent, new = Slots(limit=1), Run(0), Run(60)
    slots.take(silent, 0)
    slots.take(new, 60)
    slots.release(silent)
    assert len(slots) == 1
    slots.release(new)
    assert len(slots) == 0


def test_guests_take_at_most_half_of_the_slots() -> None:
    slots = Slots(limit=4)
    for _ in range(2):
        slots.take(Run(0, guest=True), 0)
    with pytest.raises(DuckError) as caught:
        slots.take(Run(1, guest=True), 1)
    assert caught.value.code == "overloaded"
    for _ in range(2):
        slots.take(Run(1), 1)
    assert len(slots) == 4


def test_a_guest_takes_the_slot_of_a_silent_guest_and_of_nobody_else() -> None:
    slots, holder, guest = Slots(limit=2), Run(0), Run(5, guest=True)
    slots.take(holder, 0)
    slots.take(guest, 0)
    slots.take(Run(100, guest=True), 100)
    assert (holder.error, guest.error is not None, len(slots)) == (None, True, 2)


def test_if_there_is_one_slot_a_guest_may_take_it() -> None:
    slots = Slots(limit=1)
    slots.take(Run(0, guest=True), 0)
    assert len(slots) == 1
