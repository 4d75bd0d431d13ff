"""An answer as it grows, and what may go wrong, in Chromium."""

import threading
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from playwright.sync_api import expect

from devhost import App, Call, Pause, demo
from tests.e2e.conftest import DEADLINE_S, Duck
from tests.e2e.page.visitor import (
    CHAT,
    EITHER,
    FLOW,
    GATED,
    OWN_KEY,
    PLAIN,
    Gate,
    Visit,
    ask,
    cutting,
    ends,
    finished,
    last,
    said,
    started,
)

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
    expect(last(page, "[slot=blocks]")).to_have_count(0)
    gate.open(2)
    expect(last(page, "[slot=blocks] strong")).to_have_text("two")
    expect(last(page, "x-t").first).not_to_be_visible()
    expect(last(page, "[slot=done]")).to_have_text("Finished")

    duck.host.apps[GATED] = App(mode="advanced-chat", script=[FLOW[0], *ends("And **four**.")])
    ask(page, "Second?")
    expect(page.get_by_role("article")).to_have_count(2)
    expect(last(page, "[slot=blocks] strong")).to_have_text("four")
    expect(page.get_by_role("article").first).to_contain_text("One two three")
    assert duck.host.calls[-1].conversation_id == FLOW[0]["conversation_id"]


def test_with_its_script_the_page_stays_where_it_is(visit: Visit, duck: Duck) -> None:
    duck.host.apps[PLAIN] = App(mode="chat", script=[said("Hi **there**"), CHAT[-1]])
    visitor = visit("/chat/plain")
    visitor.page.evaluate("window.marker = 1")
    for number in (1, 2):
        ask(visitor.page, f"Question {number}")
        expect(last(visitor.page, "[slot=blocks] strong")).to_have_text("there")
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
    expect(last(page, "[slot=blocks]")).to_have_text("Removed.")


def test_enter_sends_and_shift_and_enter_begins_a_line(visit: Visit, duck: Duck) -> None:
    duck.host.apps[PLAIN] = App(mode="chat", script=[said("Hi"), CHAT[-1]])
    page = visit("/chat/plain").page
    box = page.get_by_role("textbox", name="Message")
    box.press_sequentially("one")
    box.press("Shift+Enter")
    box.press_sequentially("two")
    box.press("Enter")
    expect(last(page, "[slot=blocks]")).to_have_text("Hi")
    assert duck.host.calls[-1].query == "one\ntwo"


# What may go wrong


def test_stop_stops_reading_and_is_no_error(visit: Visit, duck: Duck) -> None:
    gate = Gate([said("One"), CHAT[-1]])
    duck.host.apps[GATED] = App(mode="chat", script=gate.app().script)
    page = visit("/chat/gated").page
    ask(page, "Why?")
    gate.open()
    expect(last(page, "x-t")).to_have_text("One")
    page.get_by_role("button", name="Stop").click()
    expect(last(page, ".note")).to_have_text("You have stopped reading. The run goes on in Dify.")
    expect(page.get_by_role("alert")).to_have_count(0)
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


@pytest.mark.parametrize("is_public", [True, False], ids=["guest", "signed in on this page"])
def test_stop_stops_the_run_where_the_app_has_a_key_of_its_own(visit: Visit, duck: Duck, *, is_public: bool) -> None:
    closed = threading.Event()

    def script(_: Call) -> Iterator[dict[str, Any] | Pause]:
        try:
            yield said("One")
            while True:
                yield Pause(0.05)
        finally:
            closed.set()

    duck.host.apps[GATED] = App(mode="chat", script=script)
    changed = {"app_keys": f"gated={OWN_KEY}", "service_api_url": duck.host.api_url}
    changed |= {} if is_public else {"public_apps": "chatbot"}
    with patch.dict(duck.host.app_keys, {OWN_KEY: GATED}), patch.dict(duck.host.settings, changed):
        page = visit("/chat/gated", http_credentials=None if is_public else {"username": "", "password": demo.KEY}).page
        ask(page, "Why?")
        expect(last(page, "x-t")).to_have_text("One")
        page.get_by_role("button", name="Stop").click()
        expect(last(page, ".note")).to_have_text("You have stopped this run.")
        assert closed.wait(DEADLINE_S)


def test_a_question_shows_before_there_is_an_answer_and_can_be_stopped(visit: Visit, duck: Duck) -> None:
    gate = Gate([said("One"), CHAT[-1]])
    duck.host.apps[GATED] = App(mode="chat", script=gate.app().script)
    page = visit("/chat/gated").page
    ask(page, "Why?")
    expect(page.get_by_role("heading", name="Why?")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Waiting …")
    page.get_by_role("button", name="Stop").click()
    expect(last(page, ".note")).to_contain_text("You have stopped reading.")
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
        expect(last(visitor.page, ".said")).to_have_text("Why?")
        expect(last(visitor.page, "[slot=done]")).to_have_text("Ended")
    gate.open()


@EITHER
def test_a_failed_turn_can_be_sent_again(visit: Visit, duck: Duck, scripts: bool) -> None:
    page = visit("/chat/fails-midway", scripts=scripts).page
    for number in (1, 2):
        expect(page.get_by_role("textbox", name="Message")).to_have_value("" if number == 1 else "Why?")
        ask(page, "Why?")
        expect(page.get_by_role("alert").last).to_contain_text("This app takes no more requests for now.")
        expect(last(page, "[slot=blocks]")).to_contain_text(f"question number {number}")
    assert len(duck.host.calls) >= 2


@EITHER
def test_a_run_that_fails_at_once_is_told_of_in_its_place(visit: Visit, scripts: bool) -> None:
    page = visit("/chat/fails-early", scripts=scripts).page
    ask(page, "Why?")
    expect(page.get_by_role("article").get_by_role("alert")).to_contain_text("This app could not answer.")
    expect(page.get_by_role("textbox", name="Message")).to_have_value("Why?")
