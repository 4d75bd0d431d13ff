"""Duck's real process behind the stand-in for Dify, one for all tests here."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from devhost import App, Devhost
from devhost.limits import Limits
from tests.support import KEY

ROOT = Path(__file__).parents[2]
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
RACE_S = 0.02  # in which the real daemon cuts locally; the default of 0.05 would leave less room for a machine that stalls
DEADLINE_S = 60  # of one request: a test that waits longer has hung


@dataclass(frozen=True, slots=True)
class Duck:
    """A running Duck, and a client with its key."""

    host: Devhost
    client: httpx.Client

    def add(self, app: App) -> str:
        """Puts an app into the workspace and gives its id."""
        app_id = str(uuid.uuid4())
        self.host.apps[app_id] = app
        return app_id

    def post(self, kind: str, app: App, **options: Any) -> httpx.Response:
        """Runs an app; `options` are httpx's. Without a body a chat asks "hi"."""
        if not options.keys() & {"json", "data", "content", "files"}:
            options["json"] = {"query": "hi"}
        return self.client.post(f"/{kind}/{self.add(app)}", **options)


@pytest.fixture(scope="session")
def duck() -> Iterator[Duck]:
    with (
        Devhost(ROOT, settings={"api_key": KEY}, limits=Limits(race_s=RACE_S)) as host,
        httpx.Client(base_url=host.url, headers=AUTHORIZED, timeout=DEADLINE_S) as client,
    ):
        yield Duck(host, client)
        assert host.runtime.starts == 1, "a request has killed the plugin"
