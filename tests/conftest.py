"""Shared by all tests.

`make test` generates the same cases each time, so that the same code gets the same result. `make fuzz` generates many more, and
new ones. Neither has a deadline for a case.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import hypothesis
import pytest

from duck import state as states
from duck.state import State
from tests.api import Api
from tests.support import Log, NoSleepClock

hypothesis.settings.register_profile("test", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=20_000)
hypothesis.settings.load_profile("test")


@pytest.fixture(autouse=True, scope="session")
def _coverage_sees_all_threads() -> Iterator[None]:
    """Coverage follows only threads that `threading` has started, and Duck starts some without it."""

    def start(target: Callable[..., object], args: tuple[Any, ...]) -> None:
        threading.Thread(target=target, args=args, daemon=True).start()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("_thread.start_new_thread", start)
        yield


@pytest.fixture(autouse=True)
def _code_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops the clock that limits how long code is coloured, so that no test depends on the machine."""
    monkeypatch.setattr("time.thread_time", lambda: 0.0)


@pytest.fixture(autouse=True)
def state() -> State:
    """The state of a process that has just started."""
    state = State(clock=NoSleepClock())
    states.use(state)
    return state


@pytest.fixture
def api(state: State) -> Iterator[Api]:
    """The Service API, which Duck reaches through the state's client."""
    api = Api()
    with httpx.Client(transport=httpx.MockTransport(api)) as client:
        state.memory.http = client
        yield api


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    """The log, with its lines about requests."""
    caplog.set_level(logging.INFO, logger="duck")
    return Log(caplog)
