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

from duck.dify import gateway, service
from duck.dify.cache import Known
from duck.streams.places import PLACES
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
def _no_run_has_shown_the_kind_of_an_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_kinds", {})
    monkeypatch.setattr(gateway, "_streams_only", set())


@pytest.fixture(autouse=True)
def _all_places_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads an answer only in part holds its place until the garbage is collected."""
    monkeypatch.setattr(PLACES, "_held", set())


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API of the app; nothing is known of it yet."""
    api = Api()
    with httpx.Client(transport=httpx.MockTransport(api)) as client:
        monkeypatch.setattr(service, "client", lambda: client)
        monkeypatch.setattr(service, "_INFOS", Known())
        yield api
