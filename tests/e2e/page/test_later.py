"""A workflow that its reader leaves, and comes back to."""

from unittest.mock import patch

import pytest
from playwright.sync_api import expect

from devhost import demo
from tests.e2e.conftest import Duck
from tests.e2e.page.visitor import EITHER, Visit, last

LONG = demo.IDS["ten-minutes"]
HOLDER = {"extra_http_headers": {"X-Api-Key": demo.KEY}}


@EITHER
def test_a_run_goes_on_without_its_reader_who_comes_back(visit: Visit, duck: Duck, scripts: bool) -> None:
    with patch.dict(duck.host.apps, {LONG: demo.apps()[LONG]}):
        page = visit("/workflow/ten-minutes", scripts=scripts, **HOLDER).page
        page.get_by_role("button", name="Run").click(no_wait_after=True)
        link = page.get_by_role("link", name="You can leave this page.")
        expect(link).to_be_visible()
        runs = len(duck.host.calls)
        link.click(no_wait_after=True)
        expect(page.get_by_role("heading", name="Result")).to_be_visible()
        expect(link).to_have_count(0)
        duck.host.timeline.advance(600)
        expect(last(page, "[slot=final] dd").first).to_be_visible()
        expect(page.get_by_role("button", name="Run")).to_be_visible()
        assert len(duck.host.calls) == runs, "it has run once"


@pytest.mark.parametrize("path", ["/workflow/workflow", "/workflow/human-input"])
def test_a_run_that_is_over_or_cannot_be_left_has_no_such_link(visit: Visit, path: str) -> None:
    page = visit(path, **HOLDER).page
    if path.endswith("/workflow"):
        page.get_by_label("Text").fill("Rain")
    page.get_by_role("button", name="Run").click()
    expect(last(page, "[slot=done]")).to_be_visible()
    expect(page.get_by_role("link", name="You can leave this page.")).not_to_be_visible()


def test_nobody_elses_run_is_there(visit: Visit) -> None:
    page = visit("/runs/ten-minutes/3d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43", **HOLDER).page
    expect(page.get_by_role("alert")).to_be_visible()
