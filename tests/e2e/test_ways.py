"""What only one of the ways in which Dify runs a plugin has."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.host import copy_duck
from devhost import App, Call, Devhost, Pause
from devhost.serverless import free_port
from tests.e2e.conftest import AUTHORIZED, DEADLINE_S, LIMITS, ROOT, debugged, eventually
from tests.support import KEY, blocking_sample, sample

CHAT = sample("chat")
APP = "00000000-0000-4000-8000-00000000000a"


def ask(host: Devhost, script: Any, style: str = "ndjson") -> httpx.Response:
    host.apps[APP] = App(mode="chat", script=script, blocking=blocking_sample("chat"))
    options: dict[str, Any] = {"json": {"query": "hi"}, "headers": AUTHORIZED, "timeout": DEADLINE_S}
    return httpx.post(f"{host.url}/chat/{APP}", params={"format": style}, **options)


def test_a_client_that_leaves_gives_its_place_back_at_once_where_the_plugin_is_debugged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_RUNS", "1")
    with Devhost(ROOT, settings={"api_key": KEY}, limits=LIMITS, runs="remote") as host, debugged(copy_duck(tmp_path), host):
        host.apps[APP] = App(mode="chat", script=[CHAT[0], Pause(DEADLINE_S)])
        options: dict[str, Any] = {"json": {"query": "hi"}, "headers": AUTHORIZED}
        with httpx.stream("POST", f"{host.url}/chat/{APP}", params={"format": "sse"}, **options) as response:
            chunks = response.iter_raw()  # kept: httpx hangs up with it
            next(chunks)
            assert ask(host, CHAT).status_code == 503
        assert eventually(lambda: ask(host, CHAT).status_code == 200)


def test_a_run_that_takes_longer_than_a_function_may_ends_with_a_timeout(tmp_path: Path) -> None:
    def endless(_: Call) -> Iterator[dict[str, Any] | Pause]:
        while True:
            yield CHAT[0]
            yield Pause(0.05)

    folder = copy_duck(tmp_path, SERVERLESS_RUN_S=1)
    with Devhost(folder, settings={"api_key": KEY}, limits=LIMITS, runs="serverless") as host:
        last = ask(host, endless).text.splitlines()[-1]
        assert '"code":"timeout"' in last
        assert "the most that Dify gives a plugin that it runs as a function" in last
        assert ask(host, endless, "text").text.splitlines()[-1].startswith("error: This took longer than 1 seconds")
        assert ask(host, CHAT, "json").json()["answer"] == blocking_sample("chat")["answer"]


def test_a_serverless_process_is_up_within_20_seconds_and_answers() -> None:
    """As the marketplace tries an installation."""
    port = free_port()
    environment = os.environ | {"INSTALL_METHOD": "serverless", "SERVERLESS_HOST": "127.0.0.1", "SERVERLESS_PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, "-m", "main"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            began = time.monotonic()
            assert eventually(lambda: _status(port) == 404)
            assert time.monotonic() - began < 20
        finally:
            process.kill()


def _status(port: int) -> int | None:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/").status_code
    except httpx.ConnectError:
        return None


def test_without_its_work_on_the_sdk_duck_still_runs(tmp_path: Path) -> None:
    folder = copy_duck(tmp_path)
    shutil.rmtree(folder / "duck/sdk")
    (folder / "main.py").write_text("from dify_plugin import DifyPluginEnv, Plugin\n\nPlugin(DifyPluginEnv()).run()\n")
    with Devhost(folder, settings={"api_key": KEY}, limits=LIMITS) as host:
        assert ask(host, CHAT, "json").json()["answer"] == blocking_sample("chat")["answer"]
        assert len(ask(host, CHAT).text.splitlines()) == len(CHAT)
