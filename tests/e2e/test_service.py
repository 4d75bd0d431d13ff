"""Apps by their own keys, in the real plugin: what that unlocks, and what goes wrong there."""

import json
import logging
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from devhost import App, Call, Pause, demo
from devhost.apps import Message, Step
from tests.e2e.conftest import Duck
from tests.support import KEY

APP = "0b9a8c7d-1111-4222-8333-4444555577b1"
SECRET = "app-of-its-own"


@pytest.fixture(scope="module")
def duck(local: Duck) -> Iterator[Duck]:
    """Duck with the demo's apps, each of which is reached by its own key."""
    local.host.apps.update(demo.apps(pace=0))
    local.host.app_keys |= demo.app_keys()
    keys = ", ".join(f"{app_id}={key}" for key, app_id in demo.app_keys().items())
    settings = demo.settings() | {"api_key": KEY, "service_api_url": local.host.api_url, "app_keys": keys}
    with patch.dict(local.host.settings, settings):
        yield local


def test_a_completion_app_streams(duck: Duck) -> None:
    response = duck.client.post("/completion/completion-today?format=text", data={"topic": "rain"})
    assert response.text.startswith("A haiku about rain")


def test_a_picture_reaches_a_chat_from_curl(duck: Duck, tmp_path: Any) -> None:
    (tmp_path / "duck.png").write_bytes(b"PNG")
    command = ["curl", "-sS", "-H", f"Authorization: Bearer {KEY}", "-F", "query=What is it?", "-F", "files=@duck.png"]
    run = subprocess.run([*command, f"{duck.host.url}/chat/chatbot"], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    assert "duck.png, image/png, 3 bytes" in json.loads(run.stdout)["answer"]


def test_one_user_cannot_go_on_with_anothers_conversation(duck: Duck) -> None:
    def ask(user: str, conversation_id: str = "", **options: Any) -> httpx.Response:
        body = {"query": "hi", "user": user, "conversation_id": conversation_id}
        return duck.client.post("/chat/chatbot", json=body, **options)

    conversation_id = ask("ann").json()["conversation_id"]
    assert "turn 2" in ask("ann", conversation_id).json()["answer"]
    refused = ask("bob", conversation_id)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_param")
    assert "no such conversation" in refused.json()["message"]
    guest = httpx.post(f"{duck.host.url}/chat/chatbot", json={"query": "hi", "user": "ann", "conversation_id": conversation_id})
    assert guest.status_code == 400


def test_a_run_that_is_stopped_ends(duck: Duck) -> None:
    def script(call: Call) -> Iterator[Step]:
        message = Message(replace(call, conversation_id=str(uuid.uuid4())))
        yield message.event("message", id=message.id, answer="One", from_variable_selector=[])
        while True:
            yield Pause(0.05)

    duck.host.apps[APP] = App(mode="chat", script=script)
    duck.host.app_keys[SECRET] = APP
    with (
        patch.dict(duck.host.settings, apps="", app_keys=f"{APP}={SECRET}", public_apps=""),
        duck.client.stream("POST", f"/chat/{APP}?format=ndjson", json={"query": "hi"}) as response,
    ):
        lines = response.iter_lines()
        first = json.loads(next(lines))
        stopped = duck.client.post(f"/stop/{APP}", json={"task_id": first["task_id"]})
        assert (stopped.status_code, stopped.json()) == (200, {"result": "success"})
        assert [json.loads(line)["event"] for line in lines] == ["message_end"]


def test_pages_are_called_as_their_apps(duck: Duck) -> None:
    index = duck.client.get("/").json()["apps"]
    chatbot = next(app for app in index if app["alias"] == "chatbot")
    assert (chatbot["name"], chatbot["kind"]) == ("Chatbot", "chat")
    page = duck.client.get("/chat/chatbot", headers={"Accept": "text/html", "Sec-Fetch-Site": "none"}).text
    assert '<h1 dir="auto">Chatbot</h1>' in page
    assert 'name="files"' in page


# A Service API that is none

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'data: {"event":"message","task_id":"t","message_id":"m","conversation_id":"c","answer":"One"}\n\n'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@contextmanager
def server(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Answers each connection with these bytes and closes it; gives its address, and what it was sent."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    seen.append(connection.recv(65_536))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", seen
        finally:
            listener.shutdown(socket.SHUT_RDWR)
    thread.join()


BROKEN: dict[str, tuple[bytes, int, str]] = {
    "HTML": (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", 502, "app_unavailable"),
    "half an event": (SSE + chunk(EVENT + b'data: {"eve') + b"0\r\n\r\n", 200, "stream_interrupted"),
    "closed in mid-stream": (SSE + chunk(EVENT), 200, "stream_interrupted"),
    "closed at once": (b"", 502, "stream_interrupted"),
    "no HTTP": (b"SSH-2.0-OpenSSH\r\n", 502, "stream_interrupted"),
    "an error": (
        b'HTTP/1.1 500 X\r\nContent-Length: 42\r\n\r\n{"code":"unknown","message":"","status":5}',
        502,
        "completion_request_error",
    ),
}


@pytest.mark.parametrize(("answer", "status", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_a_server_that_is_broken_ends_the_answer_properly(
    duck: Duck, answer: bytes, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    with server(answer) as (url, _), caplog.at_level(logging.INFO, logger="devhost"):
        response = asked(duck, url)
    assert response.status_code == status
    last = json.loads(response.text.splitlines()[-1])
    assert last["code"] == code
    kept_secret(response, caplog.text, url)


def test_a_server_that_refuses(duck: Duck, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    with caplog.at_level(logging.INFO, logger="devhost"):
        response = asked(duck, url)
    assert (response.status_code, response.json()["code"]) == (502, "app_unavailable")
    kept_secret(response, caplog.text, url)


def test_a_redirect_is_not_followed_with_the_key(duck: Duck) -> None:
    with ExitStack() as stack:
        elsewhere, seen = stack.enter_context(server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
        redirect = f"HTTP/1.1 307 X\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
        url, asked_first = stack.enter_context(server(redirect))
        response = asked(duck, url)
    assert (response.status_code, response.json()["code"]) == (502, "app_unavailable")
    assert any(SECRET.encode() in request for request in asked_first)
    assert seen == []


def asked(duck: Duck, url: str) -> httpx.Response:
    settings = {"apps": "", "public_apps": "", "service_api_url": url, "app_keys": f"{APP}={SECRET}"}
    with patch.dict(duck.host.settings, settings):
        return duck.client.post(f"/chat/{APP}?format=ndjson", json={"query": "hi", "response_mode": "streaming"})


def kept_secret(response: httpx.Response, log: str, url: str) -> None:
    said = f"{response.text} {response.headers} {log}"
    assert SECRET not in said
    assert url.removeprefix("http://").removesuffix("/v1") not in said
