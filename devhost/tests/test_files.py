"""Files are uploaded over HTTP as by the SDK, and read by their URLs."""

import socket
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from devhost.dify import Dify
from devhost.files import ACCESS_S, MAX_FILE, MAX_TOTAL, Files
from devhost.tests.support import HTTP
from devhost.wire import Reply

FORBIDDEN = {"code": "forbidden", "message": "Invalid request.", "status": 403}


class Clock:
    now = 1_784_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files(clock: Clock) -> Iterator[Files]:
    """Files behind a server of their own."""
    files = Files(clock=clock)
    config = uvicorn.Config(Starlette(routes=files.routes()), http="h11", ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        files.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield files
        server.should_exit = True
        thread.join()


def post(url: str, name: str, content: bytes, mimetype: str) -> httpx.Response:
    return HTTP.post(url, files={"file": (name, content, mimetype)}, timeout=30)


@pytest.mark.parametrize(
    ("name", "mimetype", "extension"),
    [
        ("duck.png", "image/png", ".png"),
        ("Ente im Grünen 鸭.txt", "text/plain", ".txt"),
        ("x", "application/x-unheard-of", ".bin"),
    ],
)
def test_an_upload_is_kept_and_can_be_read(files: Files, name: str, mimetype: str, extension: str) -> None:
    answer = post(files.upload_url(name, mimetype), name, b"quack", mimetype)
    about = answer.json()
    assert answer.status_code == 201
    assert urlsplit(about["preview_url"]).path == f"/files/tools/{about['id']}{extension}"
    expected = {"id": about["id"], "name": name, "size": 5, "extension": extension, "mime_type": mimetype}
    assert about == {**expected, "preview_url": about["preview_url"]}
    read = HTTP.get(about["preview_url"])
    assert (read.status_code, read.content, read.headers["content-type"]) == (200, b"quack", mimetype)
    kept = files.find(about["id"])
    assert kept is not None
    assert (kept.name, kept.content, kept.uploaded) == (name, b"quack", True)


def test_the_url_to_upload_to_is_signed_for_a_user_and_a_tenant() -> None:
    files = Files()
    files.base_url = "http://files.example.org"
    url = urlsplit(files.upload_url("a.txt", "text/plain"))
    assert (url.netloc, url.path) == ("files.example.org", "/files/upload/for-plugin")
    assert [*parse_qs(url.query)] == ["timestamp", "nonce", "sign", "user_id", "tenant_id"]


def test_an_upload_url_is_valid_for_one_name_and_type(files: Files) -> None:
    url = files.upload_url("a.txt", "text/plain")
    for answer in (post(url, "b.txt", b"", "text/plain"), post(url, "a.txt", b"", "text/html")):
        assert (answer.status_code, answer.json()) == (403, FORBIDDEN)


@pytest.mark.parametrize(
    ("old", "new"), [("sign=", "sign=0"), ("nonce=", "nonce=0"), ("timestamp=", "timestamp=9"), ("sign=", "x=")]
)
def test_a_changed_signature_is_refused(files: Files, old: str, new: str) -> None:
    url = files.upload_url("a.txt", "text/plain")
    assert post(url.replace(old, new), "a.txt", b"", "text/plain").json() == FORBIDDEN
    url = files.preview_url(files.add("a.txt", "text/plain", b"a"))
    assert HTTP.get(url.replace(old, new)).json() == FORBIDDEN


def test_signatures_expire(files: Files, clock: Clock) -> None:
    file = files.add("a.txt", "text/plain", b"a")
    upload, preview = files.upload_url("a.txt", "text/plain"), files.preview_url(file)
    clock.now += ACCESS_S
    assert (post(upload, "a.txt", b"", "text/plain").status_code, HTTP.get(preview).status_code) == (201, 200)
    clock.now += 1
    assert (post(upload, "a.txt", b"", "text/plain").status_code, HTTP.get(preview).status_code) == (403, 403)
    assert HTTP.get(files.preview_url(file)).status_code == 200


@pytest.mark.parametrize(("size", "status"), [(MAX_FILE, 201), (MAX_FILE + 1, 413), (MAX_FILE + 1_000_000, 413)])
def test_the_size_of_a_file_is_limited(files: Files, size: int, status: int) -> None:
    answer = post(files.upload_url("a.bin", "application/x-a"), "a.bin", bytes(size), "application/x-a")
    assert answer.status_code == status
    if status == 413:
        assert answer.json() == {"code": "file_too_large", "message": "File size exceeded.", "status": 413}


def test_an_upload_without_a_file_is_refused(files: Files) -> None:
    answer = HTTP.post(files.upload_url("a.txt", "text/plain"), data={"file": "a"})
    assert (answer.status_code, answer.json()["code"]) == (400, "no_file_uploaded")


def test_the_oldest_files_are_evicted() -> None:
    files = Files()
    first, second = (files.add(name, "text/plain", bytes(MAX_TOTAL // 2)) for name in "ab")
    assert files.find(first.id) == first
    third = files.add("c", "text/plain", b"c")
    assert [files.find(file.id) for file in (first, second, third)] == [None, second, third]


def test_without_a_base_urls_are_relative() -> None:
    files = Files()
    assert files.preview_url(files.add("a", "text/plain", b"")).startswith("/files/tools/")


def test_a_plugin_asks_for_the_url_with_a_backwards_call(files: Files) -> None:
    dify = Dify({}, frozenset(), [], files=files)  # an upload needs no permission
    [reply] = dify.answer("upload_file", {"filename": "a.txt", "mimetype": "text/plain"})
    assert isinstance(reply, Reply)
    assert (reply.event, reply.message, [*reply.data]) == ("response", "struct", ["url"])
    assert post(reply.data["url"], "a.txt", b"a", "text/plain").status_code == 201
