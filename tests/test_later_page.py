"""Pages of runs that are read later."""

from typing import Any

from duck.faces.page import Html
from duck.faces.page.view import View
from tests.api import Api, sse
from tests.support import APP, BROWSER, body_of, page_of, sample
from tests.test_html import text_of
from tests.test_long_runs import DETAILS, EVENTS, app_of, details, fetch

STARTED = sample("workflow")[0]


def test_a_run_that_was_begun_before_has_a_page(api: Api) -> None:
    app_of(api, "workflow")
    api.answers |= {DETAILS: details("running"), EVENTS: sse(*sample("workflow"))}
    response = fetch(headers={"Accept": BROWSER})
    page = page_of(response)
    assert "Rain is coming." in text_of(page.findall(".//section[@slot='final']"))
    form = page.find(".//form")
    assert (form.get("action"), form.get("data-stop")) == (f"../../workflow/{APP}", f"../../stop/{APP}")
    assert [link.get("href") for link in page.findall(".//header/a")] == ["../../"]
    assert page.find(".//link[@rel='icon']").get("href").startswith("../../favicon.ico")
    assert not page.findall(".//a[@slot='later']")


def test_a_run_that_is_not_there_is_a_page_too(api: Api) -> None:
    app_of(api, "workflow")
    response = fetch("nonsense", headers={"Accept": BROWSER})
    assert (response.status_code, b"<!doctype html>" in body_of(response)) == (404, True)


def test_a_page_tells_where_a_workflow_can_be_read_later() -> None:
    link = f'<a slot="later" href="../runs/a%20b/{STARTED["workflow_run_id"]}">'
    kinds: list[tuple[Any, bool, bool]] = [("workflow", False, False), ("workflow", True, True), ("chat", True, False)]
    for kind, has_key, told in kinds:
        style = Html(View(name="a b", kind=kind, can_stop=has_key))
        assert (link.encode() in style.event(STARTED)) == told
