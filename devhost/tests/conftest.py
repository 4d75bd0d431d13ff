"""The plugin `witness` behind devhost, which most tests use."""

import functools
import json
import shutil
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from devhost import App, Devhost, Failure, demo
from devhost.tests.support import DEADLINE_S, HERE, PLUGINS, SAMPLES, sample

RACE_S = 1.0  # a race window that is long enough on a busy machine
MESSAGES: list[Mapping[str, Any]] = []  # between `served` and its plugin


@pytest.fixture(autouse=True, scope="session")
def _certificates_are_loaded_once() -> Iterator[None]:
    """Each client of httpx would load them for itself. No test needs any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssl.create_default_context", functools.cache(ssl.create_default_context))
        yield


@pytest.fixture(scope="session")
def witness() -> Path:
    """The folder of the plugin that shows requests as it gets them, and answers in many ways."""
    return HERE / "witness"


@pytest.fixture
def bare(witness: Path, tmp_path: Path) -> Path:
    """The folder of a plugin that starts in a moment."""
    folder = shutil.copytree(witness, tmp_path / "plugin")
    shutil.copy(HERE / "bare.py", folder / "main.py")
    return folder


@pytest.fixture(scope="session")
def served(witness: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devhost]:
    """The witness, with the apps that were used when the real daemon's answers were recorded."""
    folder = shutil.copytree(witness, tmp_path_factory.mktemp("served") / "plugin")
    (folder / ".env").write_text("INSTALL_METHOD=remote\nREMOTE_INSTALL_KEY=k\nREMOTE_INSTALL_URL=127.0.0.1:9\n")
    events = sample("chat")
    answer = json.loads((SAMPLES / "chat.blocking.json").read_text())
    refused = Failure.http(400, "invalid_param", "Incorrect API key provided")
    broken = Failure.http(500, "invalid_param", "refused by the stub")
    apps = {
        "00000000-0000-4000-8000-00000000000a": App(mode="chat", script=events, blocking=answer),
        "00000000-0000-4000-8000-00000000000c": App(mode="chat", script=[refused]),
        "00000000-0000-4000-8000-00000000000d": App(mode="chat", blocking=broken),
    }
    with Devhost(folder, apps=apps, settings={"secret": "s3cret"}, trace=MESSAGES.append) as host:
        yield host


@pytest.fixture
def messages(served: Devhost) -> list[Mapping[str, Any]]:
    """The messages between `served` and its plugin, from now on."""
    assert served.trace == MESSAGES.append
    MESSAGES.clear()
    return MESSAGES


@pytest.fixture
def patient(served: Devhost, monkeypatch: pytest.MonkeyPatch) -> Devhost:
    """The witness behind a daemon with a long race window."""
    monkeypatch.setattr(served.limits, "race_s", RACE_S)
    return served


@pytest.fixture(scope="module")
def host() -> Iterator[Devhost]:
    """The demo's apps, which answer at once, behind Dify's Service API."""
    with Devhost(PLUGINS / "minimal", demo.apps(pace=0), runs="remote", app_keys=demo.app_keys()) as running:  # without a plugin
        yield running


@pytest.fixture
def client(host: Devhost) -> Iterator[httpx.Client]:
    """A client of the Service API."""
    with httpx.Client(base_url=host.api_url, timeout=DEADLINE_S) as client:
        yield client
