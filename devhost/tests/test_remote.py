"""The debugging server: what a plugin says when it connects, and what becomes of it."""

import base64
import contextlib
import copy
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from devhost import App, Devhost, Pause, StartError, remote
from devhost.declaration import NO_PERMISSION
from devhost.tests.support import eventually

APP = "00000000-0000-4000-8000-00000000000a"
EVENT = {"event": "message", "answer": "hi"}
DEADLINE_S = 30


@pytest.fixture
def host(witness: Path) -> Iterator[Devhost]:
    with Devhost(witness, settings={"secret": "s3cret"}, runs="remote") as running:
        yield running


@pytest.fixture(scope="module")
def declared(witness: Path) -> list[dict[str, Any]]:
    """What the witness says it is."""
    manifest = yaml.safe_load((witness / "manifest.yaml").read_text())
    group = yaml.safe_load((witness / "group/witness.yaml").read_text())
    icon = base64.b64encode((witness / "_assets/icon.svg").read_bytes()).decode()
    return [
        {"type": "manifest_declaration", "data": {**manifest, "created_at": "2026-11-23T00:00:00Z"}},
        {"type": "tool_declaration", "data": [{"anything": 1}]},
        {"type": "endpoint_declaration", "data": [group]},
        {"type": "asset_chunk", "data": {"filename": "icon.svg", "data": icon[:4], "end": False}},
        {"type": "asset_chunk", "data": {"filename": "icon.svg", "data": icon[4:], "end": True}},
        {"type": "end", "data": {}},
    ]


class Connection:
    """A plugin of the test's own."""

    def __init__(self, host: Devhost) -> None:
        self.socket = socket.create_connection(("127.0.0.1", host.debug_port), timeout=DEADLINE_S)
        self.lines = self.socket.makefile("rb")

    def say(self, *messages: Any) -> None:
        with contextlib.suppress(ConnectionError):  # who is refused in mid-sentence hears why, and nobody hears the rest
            for message in messages:
                self.socket.sendall((message if isinstance(message, str) else json.dumps(message)).encode() + b"\n\n")

    def hear(self) -> bytes:
        """The next line; b"" when the connection has ended."""
        with contextlib.suppress(ConnectionError):
            return self.lines.readline()
        return b""


@contextlib.contextmanager
def connection(host: Devhost, declared: list[dict[str, Any]] | None = None) -> Iterator[Connection]:
    """A connection, which is let in where something is declared."""
    connected, starts = Connection(host), host.runtime.starts
    try:
        if declared:
            connected.say({"type": "handshake", "data": {"key": host.debug_key}}, *declared)
            assert eventually(lambda: host.runtime.starts > starts)
        yield connected
    finally:
        connected.lines.close()
        connected.socket.close()


@contextlib.contextmanager
def debugged(folder: Path, host: Devhost) -> Iterator[subprocess.Popen[bytes]]:
    """The real SDK with the plugin in the folder, connected."""
    address = {"REMOTE_INSTALL_URL": f"127.0.0.1:{host.debug_port}", "REMOTE_INSTALL_KEY": host.debug_key}
    environment, starts = os.environ | {"INSTALL_METHOD": "remote"} | address, host.runtime.starts
    with subprocess.Popen([sys.executable, "-m", "main"], cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            assert eventually(lambda: host.runtime.starts > starts)
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def asking(host: Devhost) -> Iterator[None]:
    """A client that makes a request and leaves in the end."""
    with socket.create_connection(("127.0.0.1", host.port)) as client:
        client.sendall(f"GET /e/{host.hook}/echo HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        yield


def test_without_a_plugin_a_request_is_answered_as_by_a_daemon_that_has_none(host: Devhost) -> None:
    response = httpx.get(host.url + "/list")
    assert (response.status_code, "no available node, plugin runtime not found" in response.text) == (404, True)
    assert "No plugin has connected yet" in httpx.get(host.url.partition("/e/")[0]).text


def test_the_real_sdk_connects_is_served_and_leaves(host: Devhost, witness: Path) -> None:
    with debugged(witness, host):
        assert httpx.get(host.url + "/list").text == "a\nb\nc\n"
        assert httpx.get(host.url + "/echo").json()["settings"] == {"secret": "s3cret"}
        assert "witness 0.0.1" in httpx.get(host.url.partition("/e/")[0]).text
    assert eventually(lambda: httpx.get(host.url + "/list").status_code == 404)


@pytest.mark.parametrize(
    "line",
    [{"type": "handshake", "data": {"key": "wrong"}}, {"type": "handshake"}, {"type": "end", "data": {}}, "GET / HTTP/1.1"],
)
def test_without_the_key_nobody_is_let_in(host: Devhost, line: Any) -> None:
    with connection(host) as connected:
        connected.say(line)
        assert (connected.hear(), connected.hear(), host.runtime.starts) == (b"handshake failed, invalid key\n", b"", 0)


def test_who_says_nothing_is_not_waited_for(host: Devhost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "HANDSHAKE_S", 0.1)
    with connection(host) as connected:
        assert (connected.hear(), connected.hear()) == (b"handshake failed, invalid key\n", b"")


def changed(declared: list[dict[str, Any]], path: str, value: Any) -> list[dict[str, Any]]:
    messages: Any = copy.deepcopy(declared)
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    inner = messages
    for step in way:
        inner = inner[step]
    inner[last] = value
    return list(messages)


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("0.data.author", "Someone", "manifest_declaration: author: String should match pattern '^[a-z0-9_-]{1,64}$'"),
        ("0.data.icon", "other.svg", "manifest_declaration: icon: there is no file _assets/other.svg"),
        (
            "0.data.resource.permission.endpoint.enabled",
            False,
            f"manifest_declaration: resource.permission.endpoint.enabled: {NO_PERMISSION}",
        ),
        ("2.data", [], "endpoint_declaration: there is none"),
        ("2.data.0.settings.0.required", True, None),
        (
            "2.data.0.settings.0.type",
            "number",
            "endpoint_declaration: settings.0.type: Input should be 'secret-input', 'text-input'",
        ),
        ("3", {"data": 1}, "there is a line that is no declaration"),
        ("3", [], "there is a line that is no declaration"),
    ],
)
def test_what_dify_would_not_install_is_told_in_a_line(
    host: Devhost, declared: list[dict[str, Any]], path: str, value: Any, line: str | None
) -> None:
    if line is None:
        host.settings.clear()
        line = "failed to validate settings: missing required setting: "
    with connection(host) as connected:
        connected.say({"type": "handshake", "data": {"key": host.debug_key}}, *changed(declared, path, value))
        assert connected.hear().decode().startswith(line)
        assert (connected.hear(), host.runtime.starts) == (b"", 0)


def test_assets_may_only_be_so_large(host: Devhost, declared: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MAX_ASSETS", 10)
    with connection(host) as connected:
        connected.say({"type": "handshake", "data": {"key": host.debug_key}}, *declared)
        assert connected.hear() == b"the assets are too large\n"


def test_the_plugin_that_connects_last_is_served(host: Devhost, declared: list[dict[str, Any]]) -> None:
    with connection(host, declared) as first, connection(host, declared) as last:
        assert first.hear() == b""
        with asking(host):
            request = json.loads(last.hear())
            assert (request["event"], request["data"]["action"]) == ("request", "invoke_endpoint")


def test_a_plugin_without_heartbeats_is_hung_up_on(
    host: Devhost, declared: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SILENCE_S", 0.1)
    with connection(host, declared) as connected:
        assert connected.hear() == b""
    assert httpx.get(host.url + "/list").status_code == 404


def test_a_client_that_leaves_ends_the_plugins_calls(host: Devhost, declared: list[dict[str, Any]]) -> None:
    host.apps[APP] = App(mode="chat", script=[EVENT, Pause(DEADLINE_S)])
    with connection(host, declared) as connected:
        with asking(host):
            session_id = json.loads(connected.hear())["session_id"]
            request = {"app_id": APP, "query": "hi", "inputs": {}, "response_mode": "streaming"}
            call = {"type": "app", "backwards_request_id": "b", "request": request}
            connected.say({"event": "session", "session_id": session_id, "data": {"type": "invoke", "data": call}})
            assert json.loads(connected.hear())["data"]["data"] == EVENT
        replies = [json.loads(connected.hear())["data"] for _ in range(2)]
        assert [(reply["event"], reply["message"]) for reply in replies] == [
            ("error", "read app failed: context canceled\nfailed to read system header"),
            ("end", ""),
        ]


def test_a_port_that_is_taken_is_one_clear_line(witness: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: "):
            Devhost(witness, runs="remote", debug_port=port).__enter__()
