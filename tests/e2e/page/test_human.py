"""Runs that wait for a person, who answers on the page."""

import pytest
from playwright.sync_api import Page, expect

from devhost import demo
from tests.e2e.conftest import Duck
from tests.e2e.page.visitor import EITHER, Visit, ask, assert_accessible, last

HOLDER = {"extra_http_headers": {"X-Api-Key": demo.KEY}}


def started(visit: Visit, app: str, *, scripts: bool = True) -> Page:
    """The page of a run that waits."""
    page = visit(f"/{'workflow' if app == 'human-input' else 'chat'}/{app}", scripts=scripts, **HOLDER).page
    if app == "human-input":
        page.get_by_role("button", name="Run").click(no_wait_after=True)
    else:
        ask(page, "I want my money back")
    expect(page.locator(".human")).to_be_visible()
    return page


def fill(page: Page) -> None:
    page.get_by_label("level").select_option("low")
    page.get_by_label("comment").fill("Thanks")
    if (evidence := page.get_by_label("evidence")).count():
        evidence.set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"})


@EITHER
@pytest.mark.parametrize(
    ("app", "action", "answer"),
    [
        ("human-input", "Approve", "Approved: The duck crosses the pond."),
        ("human-input", "Reject", "Rejected. Thanks"),
        ("human-chatflow", "Pay it back", "Your money is on its way."),
        ("human-chatflow", "Decline", "Rejected. Thanks"),
    ],
)
def test_a_run_goes_on_below_the_form_that_it_has_waited_for(
    visit: Visit, duck: Duck, app: str, action: str, answer: str, scripts: bool
) -> None:
    page = started(visit, app, scripts=scripts)
    runs = len(duck.host.calls)
    fill(page)
    page.get_by_role("button", name=action).click(no_wait_after=True)
    expect(last(page, "[slot=final], [slot=blocks]").first).to_contain_text(answer)
    expect(page.locator(".human")).to_have_count(0)
    assert len(duck.host.calls) == runs, "it has not run again"
    if app == "human-chatflow":
        field = page.locator("main > form [name=conversation_id]")
        expect(field).not_to_have_value("")
        conversation = field.input_value()
        ask(page, "Thank you")
        expect(last(page, ".said")).to_have_text("Thank you")
        expect(page.locator(".human")).to_be_visible()
        assert duck.host.calls[-1].conversation_id == conversation


def test_a_form_can_be_answered_as_soon_as_it_is_there(visit: Visit) -> None:
    page = visit("/chat/human-chatflow", **HOLDER).page
    page.evaluate("""() => new MutationObserver((_, observer) => {
        const form = document.querySelector(".human"), button = form?.querySelector(".choices button");
        if (!button) return;
        observer.disconnect();
        form.querySelector("select").selectedIndex = 1;
        button.click();
        form.requestSubmit(button);
    }).observe(document.querySelector("main"), {subtree: true, childList: true})""")
    ask(page, "I want my money back")
    expect(last(page, "[slot=blocks]").first).to_contain_text("Your money is on its way.")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("article")).to_have_count(2)


def test_a_form_is_answered_once(visit: Visit) -> None:
    first = started(visit, "human-input")
    form = first.locator(".human").evaluate("form => form.outerHTML")
    fill(first)
    first.get_by_role("button", name="Approve").click()
    expect(last(first, "[slot=final] dd").first).to_contain_text("Approved")
    second = started(visit, "human-input")
    second.locator(".human").evaluate("(form, old) => { form.outerHTML = old; }", form)
    fill(second)
    second.get_by_role("button", name="Reject").click()
    expect(second.locator(".human").get_by_role("alert")).to_be_visible()
    expect(second.get_by_role("article")).to_have_count(1)


def test_guests_see_that_a_run_waits_and_no_form(visit: Visit) -> None:
    page = visit("/workflow/human-input").page
    page.get_by_role("button", name="Run").click()
    expect(last(page, ".note")).to_contain_text("This run waits for a person.")
    expect(page.locator(".human")).to_have_count(0)


def test_a_form_stands_in_nobodys_way(visit: Visit) -> None:
    assert_accessible(started(visit, "human-chatflow"))
