"""The plugin `witness` behind devhost, which most tests use."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from devhost import App, Devhost, Failure
from devhost.limits import Limits
from devhost.tests.support import HERE, SAMPLES, sample

RACE_S = 1.0  # a race window that is long enough on a busy machine


@pytest.fixture(scope="session")
def witness() -> Path:
    """The folder of the plugin that shows requests as it gets them, and answers in many ways."""
    return HERE / "witness"


@pytest.fixture(scope="session")
def served(witness: Path) -> Iterator[Devhost]:
    """The witness, with the apps that were used when the real daemon's answers were recorded."""
    events = sample("chat")
    answer = json.loads((SAMPLES / "chat.blocking.json").read_text())
    refused = Failure.http(400, "invalid_param", "Incorrect API key provided")
    broken = Failure.http(500, "invalid_param", "refused by the stub")
    apps = {
        "00000000-0000-4000-8000-00000000000a": App(mode="chat", script=events, blocking=answer),
        "00000000-0000-4000-8000-00000000000c": App(mode="chat", script=[refused]),
        "00000000-0000-4000-8000-00000000000d": App(mode="chat", blocking=broken),
    }
    with Devhost(witness, apps=apps, settings={"secret": "s3cret"}) as host:
        yield host


@pytest.fixture(scope="session")
def patient(witness: Path) -> Iterator[Devhost]:
    """The witness behind a daemon with a long race window."""
    with Devhost(witness, limits=Limits(race_s=RACE_S)) as host:
        yield host
