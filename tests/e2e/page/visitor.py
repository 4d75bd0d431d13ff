"""A person who opens Duck's pages in Chromium."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Locator, Page

from devhost import App, Call
from tests.e2e.conftest import DEADLINE_S
from tests.support import sample

CHAT, FLOW = sample("chat"), sample("advanced-chat")
GATED, PLAIN, STRICT, ASKING, HOSTILE_APP = (f"0b9a8c7d-1111-4222-8333-4444555577a{number}" for number in range(1, 6))
OWN_KEY = "app-gated"
EITHER = pytest.mark.parametrize("scripts", [False, True], ids=["without a script", "with its script"])


def said(text: str) -> dict[str, Any]:
    return {**CHAT[0], "answer": text}


@dataclass
class Gate:
    """An app that goes on, a step at a time, when the test says so."""

    steps: list[dict[str, Any]]
    passed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def app(self) -> App:
        def script(_: Call) -> Iterator[dict[str, Any]]:
            for step in self.steps:
                assert self.passed.acquire(timeout=DEADLINE_S)
                yield step

        return App(mode="advanced-chat", script=script)

    def open(self, count: int = 1) -> None:
        self.passed.release(count)


@dataclass
class Visitor:
    """A browser that opens pages, and remembers what went wrong on them and what they asked for."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


type Visit = Callable[..., Visitor]


def ask(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Message").fill(text)
    page.get_by_role("button", name="Send").click(no_wait_after=True)


def last(page: Page, part: str) -> Locator:
    """What is shown of a part of the latest answer."""
    return page.locator("article").last.locator(part)


def started(node: str, title: str) -> dict[str, Any]:
    return {**FLOW[1], "data": {**FLOW[1]["data"], "id": node, "title": title}}


def finished(node: str, title: str) -> dict[str, Any]:
    return {**FLOW[2], "data": {**FLOW[2]["data"], "id": node, "title": title}}


def ends(answer: str) -> list[dict[str, Any]]:
    return [said(answer), FLOW[-2], FLOW[-1]]


@contextlib.contextmanager
def cutting(port: int) -> Iterator[tuple[int, Callable[[], None]]]:
    """A way to what listens on `port` that breaks when it is cut."""
    connections: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, far = listener.accept()[0], socket.create_connection(("127.0.0.1", port))
                connections.extend((near, far))
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pass_on, args=pair, daemon=True).start()

    def cut() -> None:
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )  # a reset, as of a lost network
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], cut
    finally:
        cut()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def assert_accessible(page: Page) -> None:
    """What axe finds nothing wrong with, in light colours and in dark ones."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
