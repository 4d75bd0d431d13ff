"""Duck's real process behind the stand-in for Dify, in every way in which Dify runs it."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from devhost import App, Devhost
from devhost.installing import install
from devhost.limits import Limits
from devhost.package import pack
from tests.support import KEY

ROOT = Path(__file__).parents[2]
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
LIMITS = Limits(race_s=0.02)  # in which the real daemon cuts locally; 0.05 would leave less room for a machine that stalls
WITH_UV = {"PATH": f"{ROOT}/.uv/bin:{os.environ['PATH']}"}  # first the one that `make` has put there
DEADLINE_S = 60  # of one request: a test that waits longer has hung
CHROMIUM = "--no-sandbox --disable-gpu --disable-quic --disable-background-networking --disable-component-update --disable-sync"
# `stock` is local, on the SDK's own transport; `key` is local, and apps are reached by their own keys.
WAYS = ("local", "stock", "key", "remote", "serverless", "package")


@dataclass(frozen=True, slots=True)
class Duck:
    """A running Duck, and a client with its key. `way` is how it runs."""

    host: Devhost
    client: httpx.Client
    way: str

    def add(self, app: App) -> str:
        """Puts an app into the workspace and gives its id."""
        app_id = str(uuid.uuid4())
        self.host.apps[app_id] = app
        if self.way == "key":
            self.host.app_keys[f"app-{app_id}"] = app_id
            self.host.settings["app_keys"] = ", ".join(f"{each}={key}" for key, each in self.host.app_keys.items())
        return app_id

    def post(self, kind: str, app: App, **options: Any) -> httpx.Response:
        """Runs an app; `options` are httpx's. Without a body a chat asks "hi"."""
        if not options.keys() & {"json", "data", "content", "files"}:
            options["json"] = {"query": "hi"}
        return self.client.post(f"/{kind}/{self.add(app)}", **options)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out combinations of parameters in all ways but the local one."""
    items[:] = filter(_is_tried, items)


def _is_tried(item: pytest.Item) -> bool:
    """Whether a case runs: locally each does; in another way as many of a test as bring each value of each parameter once."""
    case: Any = getattr(item, "callspec", None)
    if case is None or case.params.get("duck", "local") == "local":
        return True
    places = [_place(mark.args[0], mark.args[1], case.params) for mark in item.iter_markers("parametrize")]
    longest = max((size for _, size in places), default=1)
    return any(all(number % size == index for index, size in places) for number in range(longest))


def _place(names: str | tuple[str, ...], values: Collection[Any], given: Mapping[str, Any]) -> tuple[int, int]:
    """Which of the values of a parametrization a case has, and of how many."""
    listed = [getattr(value, "values", (value,) if isinstance(names, str) else value) for value in values]
    return listed.index(tuple(given[name] for name in ([names] if isinstance(names, str) else names))), len(listed)


@pytest.fixture(scope="session", params=WAYS)
def duck(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Duck]:
    """Duck in each of the ways."""
    with serving(request.param, tmp_path_factory) as running:
        yield running


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Duck]:
    """Duck as a local process, for what would be the same in the other ways."""
    with serving("local", tmp_path_factory) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: what `DUCK_CHROMIUM` names, else what the system has, else what Playwright has downloaded."""
    names = [os.environ.get("DUCK_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    program = next((found for name in names if name and (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        if not program and not Path(playwright.chromium.executable_path).exists():
            pytest.fail("Chromium is missing: install it, or set DUCK_CHROMIUM to its path", pytrace=False)
        running = playwright.chromium.launch(executable_path=program, args=CHROMIUM.split())
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of a browser that knows nothing yet."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@contextlib.contextmanager
def site(html: str) -> Iterator[int]:
    """The port at which every host of this machine's serves this page: `shop.localhost` is another site than `127.0.0.1`."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(f"<!doctype html><title>A page of another origin</title>{html}".encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def serving(way: str, temporary: pytest.TempPathFactory) -> Iterator[Duck]:
    with contextlib.ExitStack() as stack:
        match way:
            case "remote":
                host = stack.enter_context(Devhost(ROOT, settings={"api_key": KEY}, limits=LIMITS, runs="remote"))
                stack.enter_context(debugged(ROOT, host))
            case "serverless":
                host = stack.enter_context(Devhost(ROOT, settings={"api_key": KEY}, limits=LIMITS, runs="serverless"))
            case "stock":
                with patch.dict(os.environ, DUCK_TRANSPORT="stock"):
                    host = stack.enter_context(Devhost(ROOT, settings={"api_key": KEY}, limits=LIMITS))
            case "package":
                folder, python = unpacked(temporary.mktemp("package"))
                host = stack.enter_context(Devhost(folder, settings={"api_key": KEY}, limits=LIMITS, python=python))
            case _:
                host = stack.enter_context(Devhost(ROOT, settings={"api_key": KEY}, limits=LIMITS))
        if way == "key":
            host.settings["service_api_url"] = host.api_url
        client = stack.enter_context(httpx.Client(base_url=host.url, headers=AUTHORIZED, timeout=DEADLINE_S))
        yield Duck(host, client, way)
        assert host.runtime.starts == 1, "a request has killed the plugin"


def eventually(true: Callable[[], bool]) -> bool:
    """Whether it comes true before the deadline."""
    waiting = threading.Event()
    return any(true() or waiting.wait(0.05) for _ in range(DEADLINE_S * 20))


def awaited[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives, run in a thread of its own: Playwright's event loop runs in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


@contextlib.contextmanager
def debugged(folder: Path, host: Devhost) -> Iterator[None]:
    """The plugin in the folder, connected to devhost's debugging server."""
    address = {"REMOTE_INSTALL_URL": f"127.0.0.1:{host.debug_port}", "REMOTE_INSTALL_KEY": host.debug_key}
    environment = os.environ | {"INSTALL_METHOD": "remote"} | address
    starts, command = host.runtime.starts, [sys.executable, "-m", "main"]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            assert eventually(lambda: host.runtime.starts > starts)
            yield
        finally:
            process.kill()


def unpacked(folder: Path) -> tuple[Path, Path]:
    """Duck as it comes out of its package, and a Python that has nothing but what Duck requires."""
    package, installed = folder / "duck.difypkg", folder / "duck"
    pack(ROOT, package)
    with patch.dict(os.environ, WITH_UV):
        return installed, install(package, installed)
