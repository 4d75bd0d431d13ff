"""Webhooks on pages: a holder of a key finds the address, tries a sample, and gives the address to a sender."""

import base64
import json
import uuid
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import DEADLINE_S, Duck, eventually
from tests.e2e.page.visitor import EITHER, Visit, assert_accessible
from tests.support import KEY

PASSWORD = {"Authorization": "Basic " + base64.b64encode(f"me:{KEY}".encode()).decode()}
ISSUE = {"action": "opened", "issue": {"number": 7, "title": "It rains"}, "repository": {"full_name": "pond/duck"}}
PHONE = {"width": 375, "height": 667}


@pytest.fixture(autouse=True)
def keyed(duck: Duck) -> Iterator[Duck]:
    """Duck whose apps have run nothing yet."""
    before = duck.host.settings["api_key"]
    duck.host.settings["api_key"] = KEY
    duck.host.calls.clear()
    yield duck
    duck.host.settings["api_key"] = before


def address(page: Page) -> str:
    """The address that is there to be copied, in what is unfolded or listed under "Webhook"."""
    return page.locator("details.hook pre > code").inner_text()


def assert_nothing_is_in_the_way(page: Page, *, scripts: bool) -> None:
    if scripts:  # axe is one
        assert_accessible(page)
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@EITHER
def test_who_has_a_key_tries_a_sample_and_gives_the_address_to_a_sender(visit: Visit, keyed: Duck, scripts: bool) -> None:
    page = visit("/?app=webhook", scripts=scripts, extra_http_headers=PASSWORD).page
    listed = page.get_by_role("heading", name="Webhook", exact=True).locator("~ pre > code").first.inner_text()
    page.locator("a.action[href='workflow/webhook']").click()
    expect(page.locator("details.hook pre")).to_be_hidden()
    page.locator("summary", has_text="Webhook").click()
    assert address(page) == listed
    assert listed.startswith(f"{keyed.host.url}/webhook/webhook/")
    page.get_by_role("link", name="a sample to try").click()
    expect(page.locator("pre > code").first).to_have_text(listed)
    page.get_by_label("Paste a sample of what is sent").fill(json.dumps(ISSUE, indent=2))
    page.get_by_role("button", name="Show").click()
    result = page.locator("#result")
    expect(result.locator("dt", has_text="action").locator("+ dd")).to_have_text("opened")
    expect(result.get_by_text("These inputs get nothing: text")).to_be_visible()
    shown = result.locator("dt", has_text="payload").locator("+ dd").inner_text()
    assert json.loads(shown) == ISSUE
    assert keyed.host.calls == []
    assert_nothing_is_in_the_way(page, scripts=scripts)

    headers = {"X-GitHub-Event": "issues", "X-GitHub-Delivery": str(uuid.uuid4())}
    response = httpx.post(listed, json=ISSUE, headers=headers, timeout=DEADLINE_S)
    assert (response.status_code, response.json()["accepted"]) == (202, True)
    assert eventually(lambda: bool(keyed.host.calls)), "a sender may be answered before the run has begun"
    [call] = keyed.host.calls
    given = {name: value for name, value in call.inputs.items() if value not in (None, "")}
    assert json.loads(given.pop("headers"))["x-github-event"] == "issues"
    assert given == {"payload": ISSUE, "action": "opened"}


@EITHER
def test_a_sample_that_the_app_would_refuse_shows_why(visit: Visit, keyed: Duck, scripts: bool) -> None:
    page = visit("/webhook/workflow", scripts=scripts, extra_http_headers=PASSWORD).page
    page.get_by_label("Paste a sample").fill('{"words": "many", "tone": "angry"}')
    page.get_by_role("button", name="Show").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("inputs.words: must be a number")
    expect(alert).to_contain_text("inputs.tone: one of formal, casual")
    expect(alert).to_contain_text("inputs.text: required")
    assert_nothing_is_in_the_way(page, scripts=scripts)
    page.get_by_label("Paste a sample").fill('{"words": ')
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#result .note")).to_contain_text("This is no valid JSON")
    assert_nothing_is_in_the_way(page, scripts=scripts)
    assert keyed.host.calls == []


def test_the_address_is_copied_by_a_button(visit: Visit, keyed: Duck) -> None:
    page = visit("/chat/chatbot", extra_http_headers=PASSWORD).page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("summary", has_text="Webhook").click()
    page.locator("details.hook").get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == address(page)
    assert keyed.host.calls == []


@EITHER
def test_the_address_is_in_nobodys_way_on_a_chat(visit: Visit, scripts: bool) -> None:
    page = visit("/chat/chatbot", scripts=scripts, extra_http_headers=PASSWORD, viewport=PHONE).page
    guest = visit("/chat/chatbot", scripts=scripts, viewport=PHONE).page
    before = page.locator(".box").bounding_box()
    assert before == guest.locator(".box").bounding_box(), "the box is where guests have it"
    page.locator("summary", has_text="Webhook").click()
    assert page.locator(".box").bounding_box() == before
    assert_nothing_is_in_the_way(page, scripts=scripts)
    assert "webhook" not in guest.content().lower().partition("<main>")[2].rpartition("<script>")[0]
    expect(guest.locator("details.hook")).to_have_count(0)


def test_guests_see_none_of_it(duck: Duck) -> None:
    with httpx.Client(base_url=duck.host.url, headers={"Accept": "text/html"}) as guest:
        for path in ("/?app=webhook", "/workflow/webhook", "/chat/chatbot"):
            page = guest.get(path).text
            assert "/webhook/" not in page.partition("<header>")[2].rpartition("<script>")[0]
        assert guest.get("/webhook/webhook").status_code == 401
        assert guest.post("/webhook/webhook/preview", data={"duck.sample": "{}"}).status_code == 401
