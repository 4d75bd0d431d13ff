"""An app's page behind a button on another website, in Chromium."""

import contextlib
from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FrameLocator, Page, expect

from devhost import App, say
from tests.e2e.conftest import DEADLINE_S, Duck, eventually, site

DESK, SECOND = "0b9a8c7d-1111-4222-8333-4444555588a1", "0b9a8c7d-1111-4222-8333-4444555588a2"
# What a website may have: a policy that allows no styles in attributes and elements, or styles for its own buttons and frames.
STRICT = """<meta http-equiv="Content-Security-Policy" content="style-src 'none'">"""
STYLED = "<style>button { position: static; width: 100%; } iframe, [role=dialog] { display: none !important; }</style>"

type Open = Callable[..., Page]


@pytest.fixture
def website(local: Duck, page: Page) -> Iterator[Open]:
    """Opens a page with such script elements after `html`, at a host that is listed or at another one."""
    local.host.apps[DESK] = App(mode="chat", script=say("You asked: {query}", pace=0))
    local.host.apps[SECOND] = App(mode="chat", script=say("I am the second.", pace=0))
    page.set_default_timeout(DEADLINE_S * 1000)
    names = {"apps": f"desk={DESK}, second={SECOND}", "public_apps": "desk, second", "public_rate": "1000"}

    def opened(*attributes: str, host: str = "shop", html: str = "") -> Page:
        scripts = "".join(f'<script src="{local.host.url}/embed.js" {each} defer></script>' for each in attributes)
        port = stack.enter_context(site(f'<html lang="en">{html}<main><h1>Shop</h1></main>{scripts}'))
        stack.enter_context(patch.dict(local.host.settings, allowed_origins=f"http://shop.localhost:{port}"))
        page.goto(f"http://{host}.localhost:{port}/")
        return page

    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.dict(local.host.settings, names))
        yield opened


def chat(page: Page) -> FrameLocator:
    return page.locator("iframe").content_frame


def ask(frame: FrameLocator, text: str) -> None:
    box = frame.get_by_role("textbox", name="Message")
    box.fill(text)
    box.press("Enter")


@pytest.mark.parametrize("html", ["", STRICT, STYLED], ids=["plain", "with a strict policy", "with styles"])
def test_a_button_opens_the_chat_in_which_questions_can_be_asked(website: Open, html: str) -> None:
    page = website('data-app="desk" data-label="Ask us"', html=html)
    button, dialog = page.get_by_role("button", name="Ask us"), page.get_by_role("dialog", name="Ask us")
    expect(button).to_have_attribute("aria-expanded", "false")
    assert len(page.frames) == 1, "nothing is loaded before it is wanted"
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    expect(dialog).to_be_visible()
    ask(chat(page), "What is a duck?")
    answer = chat(page).get_by_role("article")
    expect(answer).to_contain_text("You asked: What is a duck?")
    expect(answer).to_be_visible()
    button.click()
    expect(dialog).to_be_hidden()
    button.click()
    expect(answer).to_be_visible()
    at, box = button.bounding_box(), dialog.bounding_box()
    assert at
    assert box
    assert (at["x"] + at["width"], at["y"] + at["height"]) == (1280 - 16, 720 - 16)
    assert box["y"] + box["height"] < at["y"]


def test_a_keyboard_is_enough(website: Open) -> None:
    page = website('data-app="desk" title="Help"')
    button = page.get_by_role("button", name="Help")
    expect(button).to_be_visible()
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("document.activeElement.shadowRoot.activeElement.tagName") == "IFRAME"
    page.keyboard.press("Shift+Tab")
    button.focus()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(button).to_be_focused()


def test_a_website_that_is_not_listed_shows_no_chat(website: Open) -> None:
    page = website('data-app="desk"', host="evil")
    refused: list[str] = []
    page.on("console", lambda told: refused.append(told.text) if "frame-ancestors" in told.text else None)
    page.get_by_role("button", name="Chat").click()
    assert eventually(lambda: bool(page.title() and refused))
    assert chat(page).get_by_role("textbox").count() == 0


def test_several_apps_stand_side_by_side(website: Open) -> None:
    page = website('data-app="desk" data-label="Desk"', 'data-app="second" data-label="Second" data-color="rgb(160, 0, 0)"')
    first, second = page.get_by_role("button", name="Desk"), page.get_by_role("button", name="Second")
    one, other = first.bounding_box(), second.bounding_box()
    assert one
    assert other
    assert other["x"] + other["width"] < one["x"]
    expect(second).to_have_css("background-color", "rgb(160, 0, 0)")
    second.click()
    ask(chat(page), "Who are you?")
    expect(chat(page).get_by_role("article")).to_contain_text("I am the second.")
    assert len(page.frames) == 2, "the first is still closed"


def test_on_a_phone_the_chat_fills_the_screen_and_can_be_closed(website: Open) -> None:
    page = website('data-app="desk"')
    page.set_viewport_size({"width": 375, "height": 667})
    button = page.get_by_role("button", name="Chat")
    button.click()
    expect(chat(page).get_by_role("textbox", name="Message")).to_be_visible()
    assert page.get_by_role("dialog").bounding_box() == {"x": 0, "y": 0, "width": 375, "height": 667}
    inner, at = page.locator("iframe").bounding_box(), button.bounding_box()
    assert inner
    assert at
    assert (inner["width"], inner["y"] + inner["height"]) == (375, 667)
    assert at["y"] + at["height"] <= inner["y"], "it covers nothing of the chat"
    button.click()
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_button_and_the_dialog_stand_in_nobodys_way(website: Open) -> None:
    page = website('data-app="desk" data-label="Ask us"')
    assert Axe().run(page).violations_count == 0
    page.get_by_role("button", name="Ask us").click()
    expect(chat(page).get_by_role("textbox", name="Message")).to_be_visible()
    assert Axe().run(page).violations_count == 0
