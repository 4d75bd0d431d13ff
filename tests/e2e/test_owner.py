"""What an owner sees and sets, in Chromium: the list of apps with a key, its first steps, and an app's own face."""

import base64
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from devhost import App, demo, say
from tests.e2e.conftest import DEADLINE_S, Duck
from tests.support import KEY

DESK, OWN_KEY = "0b9a8c7d-1111-4222-8333-4444555599a1", "app-desk"
SITE = {
    "title": "Front desk",
    "icon": "🛎",
    "icon_background": "#FEF7C3",
    "chat_color_theme": "#FFFF00",
    "copyright": "2026 Example Ltd.",
    "privacy_policy": "https://example.com/privacy",
    "custom_disclaimer": "May err.",
}
NOTHING: dict[str, Any] = {"api_key": KEY, "default_app": None, "apps": "", "public_apps": "", "app_keys": ""}
PASSWORD = {"Authorization": "Basic " + base64.b64encode(f"me:{KEY}".encode()).decode()}


@pytest.fixture
def owned(local: Duck) -> Iterator[Duck]:
    """Duck with an app that has a key and a face of its own, and the demo's apps."""
    host = local.host
    host.apps.update(demo.apps(pace=0))
    host.apps[DESK] = App(mode="chat", script=say("Hello."), site=SITE)
    names = {**demo.settings(), "api_key": KEY, "app_keys": f"desk={OWN_KEY}", "service_api_url": host.api_url}
    names["apps"] += f", desk={DESK}"
    with patch.dict(host.app_keys, {OWN_KEY: DESK}), patch.dict(host.settings, names):
        yield local


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def owner(browser: Browser, complaints: list[str]) -> Iterator[Page]:
    """The browser of somebody with the key. At the end nothing may have been tried that the pages' policy forbids."""
    context = browser.new_context(extra_http_headers=PASSWORD)
    context.set_default_timeout(DEADLINE_S * 1000)
    page = context.new_page()
    page.on("console", lambda told: complaints.append(told.text) if "Security Policy" in told.text else None)
    yield page
    context.close()
    assert complaints == []


def assert_good_for_everybody(page: Page) -> None:
    """Axe finds nothing in light and in dark colours, and a narrow screen is wide enough."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_an_owner_chooses_an_app_and_a_format_and_copies_what_a_client_needs(owner: Page, owned: Duck) -> None:
    owner.goto(owned.host.url + "/")
    owner.get_by_role("combobox", name="App").select_option("workflow")
    owner.get_by_role("combobox", name="Format").select_option("sse")
    owner.get_by_role("button", name="Show").click()
    expect(owner.locator("pre > code").first).to_contain_text(f"{owned.host.url}/workflow/workflow?format=sse")
    expect(owner.locator("pre > code").first).to_contain_text('{"inputs":{"text":"…"}}')
    owner.context.grant_permissions(["clipboard-read", "clipboard-write"])
    owner.get_by_role("heading", name="OpenAI's clients").locator("~ pre").first.get_by_role("button", name="Copy").click()
    assert owner.evaluate("navigator.clipboard.readText()") == f"{owned.host.url}/v1"
    assert_good_for_everybody(owner)


def test_the_first_steps_are_for_everybody(owner: Page, local: Duck) -> None:
    with patch.dict(local.host.settings, NOTHING):
        owner.goto(local.host.url + "/")
        expect(owner.get_by_role("heading", name="Your first app")).to_be_visible()
        expect(owner.locator("pre > code").last).to_have_text(f"{local.host.url}/chat/support")
        assert_good_for_everybody(owner)


def test_an_app_wears_its_own_face(owner: Page, owned: Duck) -> None:
    owner.goto(f"{owned.host.url}/chat/desk")
    expect(owner).to_have_title("Front desk")
    expect(owner.locator("header svg.mark text")).to_have_text("🛎")
    expect(owner.get_by_text("May err.")).to_be_visible()
    assert (
        owner.get_by_role("button", name="Send").evaluate("button => getComputedStyle(button).backgroundColor")
        != "rgb(11, 102, 95)"
    )
    assert_good_for_everybody(owner)
    icon = owner.locator("link[rel=icon]").get_attribute("href")
    drawn = owner.request.get(f"{owned.host.url}/chat/{icon}")
    assert (drawn.status, drawn.headers["content-type"]) == (200, "image/svg+xml")
    owner.goto(drawn.url)
    assert owner.evaluate("document.documentElement.textContent") == "🛎"
