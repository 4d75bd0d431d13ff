"""The page for everybody: read aloud, by keyboard, on narrow screens, without motion."""

import pytest
from playwright.sync_api import expect

from devhost import App, demo
from tests.e2e.conftest import Duck
from tests.e2e.page.visitor import (
    CHAT,
    FLOW,
    GATED,
    PLAIN,
    Gate,
    Visit,
    ask,
    assert_accessible,
    ends,
    finished,
    last,
    said,
    started,
)

# For everybody


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
    expect(last(page, ".answer")).to_contain_text("Title")
    assert_accessible(page)
    gate.open(2)
    expect(last(page, "[slot=blocks] table")).to_be_visible()
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


def test_a_keyboard_is_enough(visit: Visit) -> None:
    page = visit("/chat/asking").page
    names = []
    for key in ("Shift+Tab", "Shift+Tab", "Tab", "Tab", "Tab"):
        page.keyboard.press(key)
        names.append(page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
    assert names == ["Inputs", "All apps", "Inputs", "query", "Send"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("Hello")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(last(page, "[slot=blocks]")).to_have_text("Hi")


@pytest.mark.parametrize("path", ["/", "/chat/gated", "/workflow/workflow"])
def test_a_narrow_screen_is_wide_enough(visit: Visit, duck: Duck, path: str) -> None:
    """So is a wide one at 200 %: a browser lays it out as one of half the width."""
    duck.host.apps[GATED] = App(
        mode="advanced-chat", script=[FLOW[0], *ends("x" * 500 + "\n\n|" + "wide cell|" * 9 + "\n|" + "-|" * 9)]
    )
    page = visit(path, viewport={"width": 320, "height": 640}).page
    if "chat" in path:
        ask(page, "w" * 200)
        expect(last(page, "[slot=blocks] table")).to_be_visible()
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
        expect(last(page, "[slot=blocks]")).to_have_text("x")


def test_neither_do_files_steps_a_stopped_answer_and_a_conversation_after_a_reload(visit: Visit, duck: Duck) -> None:
    page = visit("/chat/chatbot").page
    page.locator("input[name=files]").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"})
    assert_accessible(page)
    ask(page, "What is this?")
    expect(last(page, "[slot=done]")).to_be_visible()
    page.reload()
    expect(page.get_by_role("article")).to_have_count(1)
    assert_accessible(page)
    page = visit("/chat/chatflow").page
    ask(page, "Why?")
    expect(last(page, "[slot=done]")).to_be_visible()
    last(page, ".answer").get_by_text("Steps").click()
    assert_accessible(page)
    gate = Gate([FLOW[0], said("One"), *FLOW[-2:]])
    duck.host.apps[GATED] = gate.app()
    page = visit("/chat/gated").page
    ask(page, "Why?")
    gate.open(2)
    expect(last(page, "x-t")).to_have_text("One")
    page.get_by_role("button", name="Stop").click()
    expect(last(page, ".note")).to_be_visible()
    assert_accessible(page)
    gate.open(2)


def test_nor_does_a_text_with_all_that_models_write(visit: Visit, duck: Duck) -> None:
    text = (
        "<think>\nHm.\n</think>\n\n- [x] done\n- [ ] open\n\n$$x^2$$\n\n|a|b|\n|:-:|-:|\n|1<br>2|3|\n\n"
        "```python\n# one\nprint('a', 1)\n```\n\n<details><summary>More</summary>\n\nHidden.\n\n</details>\n\n> **粗体**和 שלום\n"
    )
    duck.host.apps[PLAIN] = App(mode="chat", script=[said(text), CHAT[-1]])
    page = visit("/chat/plain", extra_http_headers={"X-Api-Key": demo.KEY}).page
    ask(page, "?")
    expect(last(page, "math")).to_be_visible()
    expect(last(page, "details.note")).to_have_count(2)
    assert_accessible(page)
