"""Deliveries, each of which is accepted once."""

import threading
from collections.abc import Callable

import pytest

from duck import limits
from duck.callers.deliveries import Deliveries
from duck.errors import DuckError
from tests.support import Time

PENDING: object = "pending"


def fails(code: str) -> Callable[[], object]:
    def accept() -> object:
        raise DuckError(502, code, "No.")

    return accept


def test_a_repeat_gets_what_the_first_one_got() -> None:
    deliveries, time = Deliveries(), Time()
    assert deliveries.once("a", lambda: 1, PENDING, time) == (1, False)
    assert deliveries.once("a", lambda: 2, PENDING, time) == (1, True)
    assert deliveries.once("b", lambda: 3, PENDING, time) == (3, False)


def test_a_delivery_is_remembered_for_a_day() -> None:
    deliveries, time = Deliveries(), Time()
    deliveries.once("a", lambda: 1, PENDING, time)
    time.time += limits.DELIVERY_S
    assert deliveries.once("a", lambda: 2, PENDING, time) == (1, True)
    time.time += 1
    assert deliveries.once("a", lambda: 3, PENDING, time) == (3, False)


def test_one_that_failed_can_be_sent_again() -> None:
    deliveries, time = Deliveries(), Time()
    with pytest.raises(DuckError):
        deliveries.once("a", fails("first"), PENDING, time)
    assert deliveries.once("a", lambda: 2, PENDING, time) == (2, False)


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_DELIVERIES", 2)
    deliveries, time = Deliveries(), Time()
    for key in "abc":
        deliveries.once(key, lambda: 1, PENDING, time)
    assert deliveries.once("b", lambda: 2, PENDING, time) == (1, True)
    assert deliveries.once("a", lambda: 2, PENDING, time) == (2, False)


def test_one_that_is_forgotten_while_it_is_accepted_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_DELIVERIES", 1)
    deliveries, time = Deliveries(), Time()

    def accept() -> object:
        deliveries.once("b", lambda: 1, PENDING, time)
        raise DuckError(502, "bad", "No.")

    with pytest.raises(DuckError):
        deliveries.once("a", accept, PENDING, time)
    assert deliveries.once("b", lambda: 2, PENDING, time) == (1, True)


class Accepting:
    """A delivery that is being accepted until the test lets it go, and those that repeat it meanwhile."""

    def __init__(self, deliveries: Deliveries, outcome: Callable[[], object]) -> None:
        self.deliveries, self.outcome = deliveries, outcome
        self.began, self.gate = threading.Event(), threading.Event()
        self.times = 0
        self.answers: list[object] = []
        self.threads: list[threading.Thread] = []

    def accept(self) -> object:
        self.times += 1
        self.began.set()
        self.gate.wait()
        return self.outcome()

    def send(self) -> None:
        def run() -> None:
            try:
                self.answers.append(self.deliveries.once("a", self.accept, PENDING, Time())[0])
            except DuckError as error:
                self.answers.append(error.code)
            except BaseException as error:  # noqa: BLE001 - so is a request that is killed
                self.answers.append(type(error))

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def send_five(self) -> list[object]:
        self.send()
        self.began.wait()
        for _ in range(4):
            self.send()
        while self.deliveries._waiting < 4:  # noqa: SLF001 - nothing else tells that they wait
            self.threads[0].join(0.001)
        self.gate.set()
        for thread in self.threads:
            thread.join()
        return self.answers


@pytest.mark.parametrize(("outcome", "answer"), [(lambda: 7, 7), (fails("bad"), "bad")])
def test_five_at_once_are_accepted_once_and_all_get_the_same(outcome: Callable[[], object], answer: object) -> None:
    accepting = Accepting(Deliveries(), outcome)
    assert accepting.send_five() == [answer] * 5
    assert accepting.times == 1


def test_if_the_first_request_is_killed_the_others_may_try_again() -> None:
    def killed() -> object:
        raise SystemExit

    answers = Accepting(Deliveries(), killed).send_five()
    assert sorted(map(str, answers)) == sorted(map(str, [SystemExit, *["overloaded"] * 4]))


def test_a_repeat_waits_for_some_seconds_and_only_so_many_do(monkeypatch: pytest.MonkeyPatch) -> None:
    accepting = Accepting(Deliveries(), lambda: 1)
    accepting.send()
    accepting.began.wait()
    for name, value in (("REPEAT_S", 0.01), ("MAX_WAITING", 0)):
        monkeypatch.setattr(limits, name, value)
        assert accepting.deliveries.once("a", lambda: 2, PENDING, Time()) == (PENDING, True)
    accepting.gate.set()
    accepting.threads[0].join()
    assert (accepting.answers, accepting.times) == ([1], 1)


def test_one_whose_run_nobody_has_seen_the_end_of_does_not_run_again() -> None:
    deliveries, time = Deliveries(), Time()

    def times_out() -> object:
        raise DuckError(504, "timeout", "It may have run.")

    for accept in (times_out, lambda: 2):
        with pytest.raises(DuckError, match="may have run"):
            deliveries.once("a", accept, PENDING, time)
