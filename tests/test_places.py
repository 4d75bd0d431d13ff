"""Who makes way when all places are taken."""

import pytest

from duck.errors import DuckError
from duck.streams.places import Places


class Run:
    def __init__(self, heard: float, *, blocking: bool = False, guest: bool = False) -> None:
        self.heard = heard
        self.blocking = blocking
        self.guest = guest
        self.error: DuckError | None = None

    def give_up(self, error: DuckError) -> None:
        self.error = error


def given_up(held: list[Run], now: float) -> list[Run]:
    """Those that make way for one more run."""
    places = Places(limit=len(held))
    for run in held:
        places.take(run, 0)
    places.take(Run(now), now)
    assert len(places) == len(held)
    return [run for run in held if run.error]


def test_the_run_that_has_been_silent_for_longest_makes_way() -> None:
    runs = [Run(20), Run(10), Run(15)]
    assert given_up(runs, now=80) == [runs[1]]
    assert runs[1].error
    assert (runs[1].error.status, runs[1].error.code) == (503, "overloaded")


def test_a_blocking_run_makes_way_only_if_no_streaming_one_does() -> None:
    assert [run.blocking for run in given_up([Run(0, blocking=True), Run(20)], now=100)] == [False]
    assert [run.heard for run in given_up([Run(7, blocking=True), Run(60), Run(5, blocking=True)], now=100)] == [5]


def test_nobody_makes_way_who_has_been_heard_within_a_minute() -> None:
    with pytest.raises(DuckError) as caught:
        given_up([Run(0), Run(30)], now=59.9)
    assert (caught.value.status, caught.value.code, caught.value.headers) == (503, "overloaded", {"Retry-After": "5"})


def test_a_place_is_free_again_after_its_run() -> None:
    places, run = Places(limit=1), Run(0)
    for _ in range(3):
        places.take(run, 0)
        assert len(places) == 1
        places.give_back(run)
    assert len(places) == 0


def test_a_run_that_made_way_does_not_take_another_ones_place_along() -> None:
    places, silent, new = Places(limit=1), Run(0), Run(60)
    places.take(silent, 0)
    places.take(new, 60)
    places.give_back(silent)
    assert len(places) == 1
    places.give_back(new)
    assert len(places) == 0


def test_guests_hold_at_most_half_of_the_places() -> None:
    places = Places(limit=4)
    for _ in range(2):
        places.take(Run(0, guest=True), 0)
    with pytest.raises(DuckError) as caught:
        places.take(Run(1, guest=True), 1)
    assert caught.value.code == "overloaded"
    for _ in range(2):
        places.take(Run(1), 1)
    assert len(places) == 4


def test_a_guest_takes_the_place_of_a_silent_guest_and_of_nobody_else() -> None:
    places, holder, guest = Places(limit=2), Run(0), Run(5, guest=True)
    places.take(holder, 0)
    places.take(guest, 0)
    places.take(Run(100, guest=True), 100)
    assert (holder.error, guest.error is not None, len(places)) == (None, True, 2)


def test_where_there_is_one_place_a_guest_may_have_it() -> None:
    places = Places(limit=1)
    places.take(Run(0, guest=True), 0)
    assert len(places) == 1
