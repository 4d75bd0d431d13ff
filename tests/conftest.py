"""Shared by all tests.

`make test` generates the same cases each time, so that the same code gets the same result. `make fuzz` generates many more, and
new ones. Neither has a deadline for a case.
"""

import functools
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import hypothesis
import pytest
from greenlet._greenlet import enable_optional_cleanup

from duck import state as states
from duck.state import State
from tests.api import Api
from tests.support import Log, NoSleepClock

# At its end a thread that has used greenlets would search the whole heap for references to them, for 25 ms.
enable_optional_cleanup(False)

hypothesis.settings.register_profile("test", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=20_000)
hypothesis.settings.load_profile("test")


@pytest.fixture(autouse=True, scope="session")
def _certificates_are_loaded_once() -> Iterator[None]:
    """Each client of httpx would load them for itself, which takes longer than most tests. No test needs any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssl.create_default_context", functools.cache(ssl.create_default_context))
        yield


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
