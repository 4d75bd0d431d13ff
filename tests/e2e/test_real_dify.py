"""What a real Dify does that nobody expects, by both ways to an app, in the real plugin."""

import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from bench.host import copy_duck
from devhost import App, Call, Devhost, Pause, demo
from devhost.apps import Mode, Step
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, LIMITS, ROOT, Duck, debugged, serving
from tests.support import KEY, kind_of_sample, sample


@dataclass(frozen=True, slots=True)
class Way:
    """A way to apps: by the plugin's session, or by their own keys."""

    duck: Duck
    by_key: bool

    def add(self, app: App) -> str:
        """Puts an app into the workspace, and gives its id."""
        app_id = str(uuid.uuid4())
        self.duck.host.apps[app_id] = app
        if self.by_key:
            self.duck.host.app_keys[f"app-{app_id}"] = app_id
            self.duck.host.settings["app_keys"] = ", ".join(f"{each}={key}" for key, each in self.duck.host.app_keys.items())
        return app_id

    def ask(self, kind: str, app: str, *, style: str = "json", user: str = "ann", **body: Any) -> httpx.Response:
        """Runs an app; a chat is asked "hi"."""
        question = {"query": "hi"} if kind == "chat" else {}
        path = f"/{kind}/{app}"
        return self.duck.client.post(path, params={"format": style}, json={**question, "user": user, **body})


@pytest.fixture(scope="module", params=["session", "key"])
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """Duck with the demo's apps, in one of the two ways."""
    with serving("local", tmp_path_factory) as duck:
        duck.host.settings["service_api_url"] = duck.host.api_url
        yield Way(duck, by_key=request.param == "key")


def demo_app(way: Way, alias: str) -> str:
    """An app of the demo's, to be called by its own key where that is the way."""
    return way.add(demo.apps(pace=0)[demo.IDS[alias]])


# Failures


@pytest.mark.parametrize("mode", ["streaming", "blocking"])
def test_a_failed_chatflow_is_a_failure_in_every_format(way: Way, mode: str) -> None:
    app = demo_app(way, "fails-chatflow")
    document = way.ask("chat", app, response_mode=mode)
    assert (document.status_code, document.json()["code"]) == (429, "rate_limit_error"), "which its words alone tell"
    assert document.headers["Retry-After"]
    assert "PluginInvokeError" not in document.json()["message"]
    texts = {style: way.ask("chat", app, style=style, response_mode=mode).text for style in ("text", "html", "ndjson", "sse")}
    if mode == "streaming":
        assert texts["text"].splitlines()[-1].startswith("error: Run failed: [models] Error: ")
        assert texts["html"].count('role="alert"') == 1
        assert json.loads(texts["ndjson"].splitlines()[-1])["event"] == "error"
        assert '"event":"error"' in texts["sse"].strip().splitlines()[-1]
    else:
        assert {json.loads(text)["code"] for style, text in texts.items() if style != "html"} == {"rate_limit_error"}


def test_an_app_with_a_limit_of_its_own_or_without_its_api_says_so(way: Way) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(_: Call) -> Iterator[Step]:
        begun.set()
        yield sample("chat")[0]
        go_on.wait(DEADLINE_S)
        yield sample("chat")[-1]

    app, closed = way.add(App(mode="chat", script=slow, max_active_requests=1)), way.add(App(mode="chat", api_enabled=False))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(way.ask, "chat", app, style="ndjson", response_mode="streaming")
        assert begun.wait(DEADLINE_S)
        if way.by_key:
            assert way.ask("chat", app).status_code == 429
            assert way.ask("chat", closed).json()["code"] == "app_unavailable"
            assert "API service has been disabled. In Dify" in way.ask("chat", closed).json()["message"]
        go_on.set()
        assert first.result(DEADLINE_S).status_code == 200


def test_a_text_generator_on_another_route_is_told_of(way: Way) -> None:
    app = demo_app(way, "completion-today")
    for kind in ("chat", "workflow"):
        for mode in ("streaming", "blocking"):
            response = way.ask(kind, app, response_mode=mode, inputs={"topic": "rain"})
            assert (response.status_code, response.json()["code"]) == (400, f"not_{kind}_app")
            assert "/completion/<app_id>" in response.json()["message"]


# Users, conversations and what is remembered


def test_the_first_files_of_a_new_user_arrive(way: Way) -> None:
    app = demo_app(way, "workflow")
    for _ in range(3):
        files = [("pics", (f"{number}.png", b"PNG")) for number in range(3)]
        data = {"text": "Three.", "user": str(uuid.uuid4())}
        response = way.duck.client.post(f"/workflow/{app}", data=data, files=files)
        assert response.status_code == 200, response.text


def test_the_first_conversations_of_a_new_user_can_all_be_continued(way: Way) -> None:
    for _ in range(2):
        app, user = demo_app(way, "chatbot"), str(uuid.uuid4())
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(way.ask, "chat", app, user=user) for _ in range(4)]
        for answer in asked:
            conversation = answer.result().json()["conversation_id"]
            again = way.ask("chat", app, user=user, conversation_id=conversation)
            assert "turn 2" in again.json().get("answer", ""), again.text


def test_what_comes_after_the_last_event_is_not_waited_for(way: Way) -> None:
    modes: tuple[Mode, ...] = ("chat", "advanced-chat", "agent-chat", "workflow")
    for name in modes:
        app = way.add(App(mode=name, script=[*sample(name), Pause(DEADLINE_S)]))
        response = way.ask(kind_of_sample(name), app, style="ndjson", response_mode="streaming")
        assert len([line for line in response.text.splitlines() if '"ping"' not in line]) == len(sample(name))


def test_a_run_by_an_apps_own_key_is_read_to_its_end_when_its_caller_has_gone(tmp_path: Path) -> None:
    """Where the plugin is debugged it is told of the leaving."""
    ended, go_on = threading.Event(), threading.Event()

    def script(_: Call) -> Iterator[Step]:
        yield sample("chat")[0]
        go_on.wait(DEADLINE_S)
        yield Pause(0.2)
        yield sample("chat")[1]
        ended.set()
        yield sample("chat")[-1]

    app = str(uuid.uuid4())
    with Devhost(ROOT, settings={"api_key": KEY}, limits=LIMITS, runs="remote") as host, debugged(copy_duck(tmp_path), host):
        host.apps[app] = App(mode="chat", script=script)
        host.app_keys["app-read-on"] = app
        with patch.dict(host.settings, app_keys=f"{app}=app-read-on", service_api_url=host.api_url):
            url = f"{host.url}/chat/{app}?format=sse"
            with httpx.stream("POST", url, json={"query": "hi"}, headers=AUTHORIZED) as response:
                chunks = response.iter_raw()
                next(chunks)
            go_on.set()
            assert ended.wait(DEADLINE_S)


def test_browsers_get_their_picture(way: Way) -> None:
    response = httpx.get(f"{way.duck.host.url}/favicon.ico")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/svg+xml")
    assert b"<title>Duck</title>" in response.content
