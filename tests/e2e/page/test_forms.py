"""An app's form and the list of apps, in Chromium."""

from playwright.sync_api import expect

from tests.e2e.conftest import Duck, eventually
from tests.e2e.page.visitor import (
    EITHER,
    Visit,
    ask,
    last,
)

# Forms


@EITHER
def test_mistakes_come_back_at_their_field_with_all_else_kept(visit: Visit, scripts: bool) -> None:
    page = visit("/workflow/strict", scripts=scripts).page
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
    expect(last(page, "[slot=blocks] strong")).to_have_text("events")
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
    assert "curl " in visitor.page.evaluate("navigator.clipboard.readText()")
