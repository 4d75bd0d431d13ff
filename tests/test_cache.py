"""What Dify says of apps, cached for a minute."""

import threading
from typing import Any

import pytest

from duck import limits
from duck.clock import CLOCK
from duck.dify.cache import Cache
from duck.errors import DuckError
from tests.support import Time

PARAMETERS = {"user_input_form": [{"text-input": {"variable": "city"}}]}


class Fetch:
    """Gives one result after the other, the last one for ever."""

    def __init__(self, *results: Any) -> None:
        self.results = list(results)
        self.count = 0

    def __call__(self) -> Any:
        self.count += 1
        result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        if isinstance(result, Exception):
            raise result
        return result


FAILURE = DuckError(504, "timeout", "hung")


def names(form: Any) -> list[str] | None:
    return form and [variable.name for variable in form.variables]


def test_a_form_is_believed_for_a_minute() -> None:
    clock = Time()
    forms, fetch = Cache(clock), Fetch(PARAMETERS)
    form, is_new = forms.form("app", fetch, anew=False)
    assert (names(form), is_new, fetch.count) == (["city"], True, 1)
    clock.time += 59
    assert forms.form("app", fetch, anew=False) == (form, False)
    assert forms.answer("app", fetch) == PARAMETERS
    assert fetch.count == 1
    clock.time += 1
    assert forms.form("app", fetch, anew=False)[1]
    assert fetch.count == 2


def test_a_form_is_fetched_anew_when_asked() -> None:
    forms, fetch = Cache(), Fetch(PARAMETERS, {"user_input_form": []})
    forms.form("app", fetch, anew=False)
    form, is_new = forms.form("app", fetch, anew=True)
    assert (names(form), is_new) == ([], True)
    assert forms.form("app", fetch, anew=False) == (form, False)


def test_a_form_that_cannot_be_had_is_not_asked_for_again_within_the_minute() -> None:
    clock = Time()
    forms, fetch = Cache(clock), Fetch(FAILURE, PARAMETERS)
    assert forms.form("app", fetch, anew=False) == (None, True)
    clock.time += 59
    assert forms.form("app", fetch, anew=False) == (None, False)
    assert fetch.count == 1
    clock.time += 1
    assert names(forms.form("app", fetch, anew=False)[0]) == ["city"]


def test_who_asks_for_the_parameters_themselves_is_told_the_truth_of_now() -> None:
    forms, fetch = Cache(), Fetch(FAILURE, FAILURE, PARAMETERS)
    forms.form("app", fetch, anew=False)
    with pytest.raises(DuckError, match="hung"):
        forms.answer("app", fetch)
    assert forms.answer("app", fetch) == PARAMETERS
    assert names(forms.form("app", fetch, anew=False)[0]) == ["city"]


def test_a_failure_after_a_success_forgets_what_was_known() -> None:
    forms, fetch = Cache(), Fetch(PARAMETERS, FAILURE)
    forms.form("app", fetch, anew=False)
    assert forms.form("app", fetch, anew=True) == (None, True)
    assert forms.form("app", fetch, anew=False) == (None, False)


def test_a_form_that_cannot_be_understood_still_has_parameters() -> None:
    forms, fetch = Cache(), Fetch({"odd": True})
    assert forms.form("app", fetch, anew=False) == (None, True)
    assert forms.answer("app", fetch) == {"odd": True}
    assert fetch.count == 1


def test_each_key_has_its_own_and_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_FORMS", 2)
    forms, fetch = Cache(), Fetch(PARAMETERS)
    for key in ("a", "b", "a", "c", "b", "a"):
        forms.form(key, fetch, anew=False)
    assert fetch.count == 4, "a and b, then c in place of a, then a again"


def test_who_comes_while_a_form_is_fetched_waits_for_it() -> None:
    forms, begun, go_on, count = Cache(), threading.Event(), threading.Event(), 0

    def fetch() -> Any:
        nonlocal count
        count += 1
        begun.set()
        assert go_on.wait(10)
        return PARAMETERS

    results: list[Any] = []

    def asking() -> None:
        results.append(names(forms.form("app", fetch, anew=False)[0]))

    threads = [threading.Thread(target=asking) for _ in range(3)]
    threads[0].start()
    assert begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert (results, count) == ([["city"]] * 3, 1)


class Held(Fetch):
    """Lets the test say when a result is given."""

    def __init__(self, *results: Any) -> None:
        super().__init__(*results)
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self) -> Any:
        self.begun.release()
        assert self.go_on.acquire(timeout=10)
        return super().__call__()


@pytest.mark.parametrize("what", ["form", "answer"])
def test_of_many_who_want_it_anew_one_fetches_it_for_all(what: str) -> None:
    asking: set[int] = set()

    class Watched(Time):
        def now(self) -> float:
            asking.add(threading.get_ident())
            return CLOCK.now()

    forms, fetch = Cache(Watched()), Held(FAILURE)
    results: list[Any] = []

    def ask() -> None:
        try:
            results.append(forms.form("app", fetch, anew=True) if what == "form" else forms.answer("app", fetch))
        except DuckError as error:
            results.append(error)

    threads = [threading.Thread(target=ask) for _ in range(10)]
    threads[0].start()
    assert fetch.begun.acquire(timeout=10)
    for thread in threads[1:]:
        thread.start()
    while len(asking) < len(threads):
        threading.Event().wait(0.01)
    fetch.go_on.release(2)
    for thread in threads:
        thread.join(10)
    assert fetch.count == 2, "one that had begun before the others came, and one for all of them"
    assert len(results) == 10
    assert {str(result) for result in results} <= {str((None, True)), str(FAILURE)}


def test_a_call_that_takes_what_is_cached_waits_for_no_fetch() -> None:
    forms, fetch = Cache(), Held(PARAMETERS)
    fetch.go_on.release()
    forms.form("app", fetch, anew=False)
    asking = threading.Thread(target=lambda: forms.form("app", fetch, anew=True))
    asking.start()
    assert fetch.begun.acquire(timeout=10)
    assert fetch.begun.acquire(timeout=10)
    assert names(forms.form("app", fetch, anew=False)[0]) == ["city"]
    assert forms.answer("app", fetch) == PARAMETERS
    fetch.go_on.release()
    asking.join(10)


def test_what_could_not_be_had_is_not_asked_for_again_for_a_minute() -> None:
    clock = Time()
    forms, fetch = Cache(clock), Fetch(FAILURE, PARAMETERS)
    assert (forms.answer_if_any("app", fetch), forms.answer_if_any("app", fetch), fetch.count) == (None, None, 1)
    clock.time += 60
    assert (forms.answer_if_any("app", fetch), forms.answer_if_any("app", fetch), fetch.count) == (PARAMETERS, PARAMETERS, 2)
