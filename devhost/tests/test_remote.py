"""The debugging server: declarations, refusals and requests of a plugin that connects."""

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

import pytest
import yaml

from devhost import App, Devhost, Pause, StartError, remote
from devhost.declaration import NO_PERMISSION
from devhost.tests.support import HTTP, eventually

APP = "00000000-0000-4000-8000-00000000000a"
EVENT = {"event": "message", "answer": "hi"}
DEADLINE_S = 30


@pytest.fixture
def host(witness: Path) -> Iterator[Devhost]:
    with Devhost(witness, settings={"secret": "s3cret"}, runs="remote") as running:
        yield running


@pytest.fixture(scope="module")
def declared(witness: Path) -> list[dict[str, Any]]:
    """The messages with which the witness declares itself."""
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
    """The test as a plugin that connects."""

    def __init__(self, host: Devhost) -> None:
        self.socket = socket.create_connection(("127.0.0.1", host.debug_port), timeout=DEADLINE_S)
        self.lines = self.socket.makefile("rb")

    def send(self, *messages: Any) -> None:
        with contextlib.suppress(ConnectionError):  # the server closes the connection when it refuses a message
            for message in messages:
                self.socket.sendall((message if isinstance(message, str) else json.dumps(message)).encode() + b"\n\n")

    def read(self) -> bytes:
        """The next line; b"" when the connection has ended."""
        with contextlib.suppress(ConnectionError):
            return self.lines.readline()
        return b""


@contextlib.contextmanager
def connection(host: Devhost, declared: list[dict[str, Any]] | None = None) -> Iterator[Connection]:
    """A connection; with declarations it waits until they are accepted."""
    connected, starts = Connection(host), host.runtime.starts
    try:
        if declared:
            connected.send({"type": "handshake", "data": {"key": host.debug_key}}, *declared)
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
    """A client with a request, which disconnects at the end."""
    with socket.create_connection(("127.0.0.1", host.port)) as client:
        client.sendall(f"GET /e/{host.hook}/echo HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        yield


def test_without_a_plugin_requests_get_the_daemons_error(host: Devhost) -> None:
    response = HTTP.get(host.url + "/list")
    assert (response.status_code, "no available node, plugin runtime not found" in response.text) == (404, True)
    assert "No plugin has connected yet" in HTTP.get(host.url.partition("/e/")[0]).text


def test_the_real_sdk_connects_is_served_and_leaves(host: Devhost, witness: Path) -> None:
    with debugged(witness, host):
        assert HTTP.get(host.url + "/list").text == "a\nb\nc\n"
        assert HTTP.get(host.url + "/echo").json()["settings"] == {"secret": "s3cret"}
        assert "witness 0.0.1" in HTTP.get(host.url.partition("/e/")[0]).text
    assert eventually(lambda: HTTP.get(host.url + "/list").status_code == 404)


@pytest.mark.parametrize(
    "line",
    [{"type": "handshake", "data": {"key": "wrong"}}, {"type": "handshake"}, {"type": "end", "data": {}}, "GET / HTTP/1.1"],
)
def test_without_the_key_a_connection_is_refused(host: Devhost, line: Any) -> None:
    with connection(host) as connected:
        connected.send(line)
        assert (connected.read(), connected.read(), host.runtime.starts) == (b"handshake failed, invalid key\n", b"", 0)


def test_a_connection_without_a_handshake_is_closed(host: Devhost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "HANDSHAKE_S", 0.1)
    with connection(host) as connected:
        assert (connected.read(), connected.read()) == (b"handshake failed, invalid key\n", b"")


def changed(declared: list[dict[str, Any]], path: str, value: Any) -> list[dict[str, Any]]:
    messages: Any = copy.deepcopy(declared)
    *parents, last = (int(step) if step.isdigit() else step for step in path.split("."))
    inner = messages
    for step in parents:
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
        ("3", {"data": 1}, "a line is no declaration"),
        ("3", [], "a line is no declaration"),
    ],
)
def test_a_plugin_that_dify_would_not_install_is_refused_in_a_line(
    host: Devhost, declared: list[dict[str, Any]], path: str, value: Any, line: str | None
) -> None:
    if line is None:
        host.settings.clear()
        line = "failed to validate settings: missing required setting: "
    with connection(host) as connected:
        connected.send({"type": "handshake", "data": {"key": host.debug_key}}, *changed(declared, path, value))
        assert connected.read().decode().startswith(line)
        assert (connected.read(), host.runtime.starts) == (b"", 0)


def test_the_size_of_assets_is_limited(host: Devhost, declared: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MAX_ASSETS", 10)
    with connection(host) as connected:
        connected.send({"type": "handshake", "data": {"key": host.debug_key}}, *declared)
        assert connected.read() == b"the assets are too large\n"


def test_the_plugin_that_connects_last_is_served(host: Devhost, declared: list[dict[str, Any]]) -> None:
    with connection(host, declared) as first, connection(host, declared) as last:
        assert first.read() == b""
        with asking(host):
            request = json.loads(last.read())
            assert (request["event"], request["data"]["action"]) == ("request", "invoke_endpoint")


def test_a_plugin_without_heartbeats_is_disconnected(
    host: Devhost, declared: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "SILENCE_S", 0.1)
    with connection(host, declared) as connected:
        assert connected.read() == b""
    assert HTTP.get(host.url + "/list").status_code == 404


def test_a_client_that_leaves_ends_the_plugins_calls(host: Devhost, declared: list[dict[str, Any]]) -> None:
    host.apps[APP] = App(mode="chat", script=[EVENT, Pause(DEADLINE_S)])
    with connection(host, declared) as connected:
        with asking(host):
            session_id = json.loads(connected.read())["session_id"]
            request = {"app_id": APP, "query": "hi", "inputs": {}, "response_mode": "streaming"}
            call = {"type": "app", "backwards_request_id": "b", "request": request}
            connected.send({"event": "session", "session_id": session_id, "data": {"type": "invoke", "data": call}})
            assert json.loads(connected.read())["data"]["data"] == EVENT
        replies = [json.loads(connected.read())["data"] for _ in range(2)]
        assert [(reply["event"], reply["message"]) for reply in replies] == [
            ("error", "read app failed: context canceled\nfailed to read system header"),
            ("end", ""),
        ]


def test_a_taken_port_is_one_clear_line(witness: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: "):
            Devhost(witness, runs="remote", debug_port=port).__enter__()
