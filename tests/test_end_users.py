"""The first request for an end user goes alone."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from duck import limits
from duck.dify.end_users import EndUsers

DEADLINE_S = 10


class Crowd:
    """Requests that come together: each tells when it is at work, and waits until it may go on."""

    def __init__(self, users: EndUsers) -> None:
        self.users = users
        self.at_work: list[str] = []
        self.go_on = threading.Event()
        self.came = threading.Semaphore(0)

    def all_came(self, count: int) -> bool:
        """Waits until so many requests have come to work since they were last counted."""
        return all(self.came.acquire(timeout=DEADLINE_S) for _ in range(count))

    def others(self, pool: ThreadPoolExecutor, count: int) -> None:
        """Sends more requests, which stay at work once they have come to it."""
        self.go_on.clear()
        for _ in range(count):
            pool.submit(self.request, "other")

    def request(self, name: str, user: str = "ann", patience_s: float = DEADLINE_S) -> None:
        with self.users.request(user, patience_s):
            self.at_work.append(name)
            self.came.release()
            assert self.go_on.wait(DEADLINE_S)
            if name == "fails":
                raise LookupError("nobody")


def test_others_wait_for_the_first_and_then_go_side_by_side() -> None:
    crowd = Crowd(EndUsers())
    with ThreadPoolExecutor(4) as pool:
        pool.submit(crowd.request, "first")
        assert crowd.came.acquire(timeout=DEADLINE_S)
        others = [pool.submit(crowd.request, "other") for _ in range(3)]
        assert not crowd.came.acquire(timeout=0.05)
        assert crowd.at_work == ["first"]
        crowd.go_on.set()
        for other in others:
            other.result(DEADLINE_S)
    assert crowd.at_work == ["first", "other", "other", "other"]


def test_who_is_known_waits_for_nobody() -> None:
    crowd = Crowd(EndUsers())
    crowd.go_on.set()
    crowd.request("first")
    with ThreadPoolExecutor(2) as pool:
        crowd.others(pool, 2)
        assert crowd.all_came(3)
        crowd.go_on.set()


def test_users_do_not_wait_for_each_other_and_nobody_waits_for_ever() -> None:
    crowd = Crowd(EndUsers())
    with ThreadPoolExecutor(3) as pool:
        pool.submit(crowd.request, "first")
        pool.submit(crowd.request, "first", "bob")
        pool.submit(crowd.request, "impatient", patience_s=0.01)
        assert crowd.all_came(3)
        crowd.go_on.set()
    assert sorted(crowd.at_work) == ["first", "first", "impatient"]


def test_a_request_that_fails_shows_nothing() -> None:
    crowd = Crowd(EndUsers())
    crowd.go_on.set()
    with pytest.raises(LookupError, match="nobody"):
        crowd.request("fails")
    with ThreadPoolExecutor(2) as pool:
        crowd.others(pool, 2)
        assert crowd.all_came(2)
        assert not crowd.came.acquire(timeout=0.05)
        crowd.go_on.set()


def test_of_many_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_END_USERS", 2)
    crowd = Crowd(EndUsers())
    crowd.go_on.set()
    for user in ("ann", "bob", "eve"):
        crowd.request("first", user)
        assert crowd.came.acquire(timeout=DEADLINE_S)
    crowd.go_on.clear()
    with ThreadPoolExecutor(4) as pool:
        for user in ("ann", "ann", "eve", "eve"):
            pool.submit(crowd.request, user, user)
        assert crowd.all_came(3)
        assert sorted(crowd.at_work[3:]) == ["ann", "eve", "eve"]
        crowd.go_on.set()
