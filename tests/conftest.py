"""What all tests share.

`make fuzz` tries many more generated cases than `make test`, which tries the same ones each time, so that it says the same of the
same code. Neither depends on how long one takes.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import hypothesis
import pytest

from duck import state as states
from duck.state import State
from tests.api import Api

hypothesis.settings.register_profile("test", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=20_000)
hypothesis.settings.load_profile("test")


@pytest.fixture(autouse=True, scope="session")
def _coverage_sees_all_threads() -> Iterator[None]:
    """Coverage follows those of `threading` alone, and Duck starts some without it."""

    def start(target: Callable[..., object], args: tuple[Any, ...]) -> None:
        threading.Thread(target=target, args=args, daemon=True).start()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("_thread.start_new_thread", start)
        yield


@pytest.fixture(autouse=True)
def state() -> State:
    """The state of a process in which nothing has happened yet."""
    state = State()
    states.use(state)
    return state


@pytest.fixture
def api(state: State) -> Iterator[Api]:
    """The API of the app."""
    api = Api()
    with httpx.Client(transport=httpx.MockTransport(api)) as client:
        state.memory.http = client
        yield api
