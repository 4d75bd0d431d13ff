"""Plugins that run as serverless functions."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from devhost import App, Call, Devhost, Pause, StartError, serverless
from devhost.limits import Limits
from devhost.serverless import TRIES, ServerlessPlugin
from devhost.tests.support import DEADLINE_S, HTTP, eventually, say
from devhost.wire import request_line

APP = "00000000-0000-4000-8000-00000000000a"
EVENT = {"event": "message", "answer": "hi"}


@pytest.fixture(scope="module")
def host(witness: Path) -> Iterator[Devhost]:
    with Devhost(witness, settings={"secret": "s3cret"}, runs="serverless", limits=Limits(transaction_s=1)) as running:
        yield running


def chat(host: Devhost, app: App) -> list[str]:
    """The witness's lines about a streaming run."""
    host.apps[APP] = app
    return HTTP.get(host.url + "/chat", params={"app": APP}, timeout=DEADLINE_S).text.splitlines()


def test_requests_reach_the_plugin_with_its_settings(host: Devhost) -> None:
    assert HTTP.get(host.url + "/list").text == "a\nb\nc\n"
    assert HTTP.get(host.url + "/echo").json()["settings"] == {"secret": "s3cret"}


def test_each_request_goes_to_the_next_process(bare: Path) -> None:
    with Devhost(bare, runs="serverless") as running:
        pids = [HTTP.get(running.url + "/greeting").text for _ in range(4)]
        assert pids[0] != pids[1]
        assert pids[:2] == pids[2:]


def test_a_backwards_call_is_a_transaction(host: Devhost) -> None:
    assert chat(host, App(mode="chat", script=[EVENT, Pause(0.1), EVENT])) == ['{"answer": "hi", "event": "message"}'] * 2


def test_a_silent_transaction_is_kept_alive_by_empty_lines(host: Devhost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serverless, "HEARTBEAT_S", 0.05)
    assert chat(host, App(mode="chat", script=[Pause(0.5), EVENT])) == ['{"answer": "hi", "event": "message"}']


def test_a_transaction_that_takes_too_long_ends_silently(host: Devhost) -> None:
    def endless(_: Call) -> Iterator[dict[str, Any] | Pause]:
        while True:
            yield EVENT
            yield Pause(0.1)

    lines = chat(host, App(mode="chat", script=endless))
    assert 0 < len(lines) < 20
    assert set(lines) == {'{"answer": "hi", "event": "message"}'}


def test_the_size_of_a_transaction_is_limited(host: Devhost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serverless, "MAX_TRANSACTION", 10)
    assert "ValidationError" in chat(host, App(mode="chat", script=[EVENT]))[0], "the SDK takes the refusal for a reply"


def test_the_size_of_a_request_is_limited(host: Devhost) -> None:
    response = HTTP.post(host.url + "/echo", content=b"x" * 3_000_000)
    assert (response.status_code, "the request is too large" in response.text) == (500, True)


def test_a_client_that_leaves_ends_its_request(host: Devhost) -> None:
    gone = threading.Event()

    def waiting(_: Call) -> Iterator[dict[str, Any] | Pause]:
        try:
            yield EVENT
            yield Pause(DEADLINE_S)
        finally:
            gone.set()

    host.apps[APP] = App(mode="chat", script=waiting)
    with HTTP.stream("GET", host.url + "/chat", params={"app": APP}) as response:
        next(response.iter_raw())
    assert gone.wait(DEADLINE_S)
    assert HTTP.get(host.url + "/list").text == "a\nb\nc\n"


def test_a_change_in_the_folder_is_served(bare: Path) -> None:
    with Devhost(bare, runs="serverless", reload=True) as running:
        (bare / "main.py").write_text("this is no Python")
        assert eventually(lambda: "no available node, plugin runtime not found" in HTTP.get(running.url + "/list").text)
        say("fixed", bare)
        assert eventually(lambda: HTTP.get(running.url + "/greeting").text.startswith("fixed "))


def test_a_plugin_that_does_not_start_is_an_error_with_the_reason(bare: Path) -> None:
    (bare / "main.py").write_text("raise RuntimeError('no such luck')\n")
    failure = r"(?s)did not start \(exit status 1\).*no such luck"
    with pytest.raises(StartError, match=failure), Devhost(bare, runs="serverless"):
        pass


@contextmanager
def answering(*statuses: int) -> Iterator[tuple[str, list[str]]]:
    """A function that answers with these statuses, one after the other: its URL, and the paths of its requests."""
    left, paths = [*statuses], list[str]()

    class Function(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(left.pop(0))
            self.end_headers()
            self.wfile.write(b"no good")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Function)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    thread.join()
    server.server_close()


async def ask(url: str) -> list[Any]:
    """The messages that a session gets from the function at this URL."""
    plugin, received, done = ServerlessPlugin([url], Limits(), None), list[Any](), asyncio.Event()

    def receive(data: Any) -> None:
        received.append(data)
        done.set()

    plugin.attach("s", receive)
    plugin.write(request_line("s", "e", b"GET / HTTP/1.1\r\n\r\n", {}))
    await asyncio.wait_for(done.wait(), DEADLINE_S)
    await plugin.close()
    return received


@pytest.mark.parametrize(
    ("statuses", "reason", "tries"),
    [((502, 502, 502), "502 Bad Gateway", TRIES), ((502, 500), "no good", 2), ((500,), "no good", 1)],
)
def test_a_request_is_repeated_only_if_the_function_was_not_reached(statuses: tuple[int, ...], reason: str, tries: int) -> None:
    with answering(*statuses) as (url, paths):
        [error] = asyncio.run(ask(url))[:1]
    assert (error["type"], error["data"]["message"]) == ("error", reason)
    assert paths == ["/invoke?action=invoke_endpoint"] * tries


def test_a_missing_function_is_an_error() -> None:
    with answering() as (url, _):
        pass
    [error] = asyncio.run(ask(url))[:1]
    assert error["type"] == "error"
