"""How often guests may run apps."""

import pytest

from duck.callers import rates
from duck.callers.rates import Rates
from duck.errors import DuckError


def taken(counted: Rates, now: float, per_minute: int = 6, key: str = "endpoint") -> int | None:
    """The seconds that one is told to wait, None for one who is let in."""
    try:
        counted.take(key, per_minute, now)
    except DuckError as error:
        return int(error.headers["Retry-After"])
    return None


def test_who_comes_too_often_is_told_the_rate_and_when_to_try_again() -> None:
    counted = Rates()
    counted.take("endpoint", 1, now=0)
    with pytest.raises(DuckError) as caught:
        counted.take("endpoint", 1, now=0.5)
    error = caught.value
    assert (error.status, error.code, error.headers) == (429, "rate_limit_error", {"Retry-After": "60"})
    assert error.message == "Runs without a key are limited to 1 a minute, for all callers together. Try again after 60 s."


def test_a_minutes_runs_may_come_at_once_and_then_as_they_grow_again() -> None:
    counted = Rates()
    assert [taken(counted, 100) for _ in range(8)] == [None] * 6 + [10, 10]
    assert [taken(counted, 109.9), taken(counted, 110), taken(counted, 110)] == [1, None, 10]
    assert [taken(counted, 500) for _ in range(7)] == [None] * 6 + [10]


def test_each_endpoint_has_its_own() -> None:
    counted = Rates()
    assert [taken(counted, 0, 1, "a"), taken(counted, 0, 1, "b"), taken(counted, 0, 1, "a")] == [None, None, 60]


def test_a_setting_that_is_lowered_counts_at_once() -> None:
    counted = Rates()
    assert taken(counted, 0, 100) is None
    assert [taken(counted, 0, 1), taken(counted, 0, 1)] == [None, 60]


def test_only_so_many_endpoints_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_ENDPOINTS", 2)
    counted = Rates()
    assert [taken(counted, 0, 1, key) for key in ("a", "b", "b", "c", "a")] == [None, None, 60, None, None]
