"""Forms for which runs wait, on pages."""

from typing import Any

import pytest
from werkzeug import Response

from duck.dify.human_forms import FormInput, HumanForm
from duck.faces.page.human import Waiting
from tests.api import SETTINGS as OWN_KEY
from tests.api import Api, refused, sse
from tests.support import APP, BROWSER, Dify, body_of, call, page_of, parsed, sample
from tests.test_html import text_of
from tests.test_human_forms import TOKEN, paused, submitted, workflow
from tests.test_long_runs import DETAILS, EVENTS, RUN, details

__all__ = ["workflow"]  # a fixture that all tests use


def test_a_page_shows_the_form_with_its_inputs_where_its_author_has_put_them(api: Api) -> None:
    page = page_of(paused("workflow", "workflow.paused", "html", "streaming", api))
    form = page.find(".//form[@class='human']")
    assert form is not None
    fields = {field.get("name"): field.get("value") for field in form.iter("input")}
    assert (fields["duck.form"], fields["duck.run"]) == (TOKEN, sample("workflow.paused")[0]["workflow_run_id"])
    assert [(button.get("name"), button.get("value")) for button in form.iter("button")] == [
        ("duck.action", "approve"),
        ("duck.action", "reject"),
    ]


def form_of(content: str, *inputs: FormInput) -> Waiting:
    form = HumanForm(content=content, inputs=inputs, actions=(), expires_at=None, document={})
    return Waiting(token="t", run="r", form=form)


def test_inputs_without_a_place_come_last_and_each_once() -> None:
    note, level = FormInput(name="note", type="paragraph"), FormInput(name="level", type="select")
    waiting = form_of("One {{#$output.note#}} two {{#$output.note#}}{{#$output.other#}}", note, level)
    assert waiting.pieces == ["One", note, "two", level]
    assert not waiting.takes_files
    assert form_of("", FormInput(name="scan", type="file-list")).takes_files


@pytest.mark.parametrize("headers", [{}, {"X-Duck-Part": "1"}], ids=["page", "part"])
def test_what_is_missing_is_told_in_the_form(api: Api, headers: dict[str, str]) -> None:
    data = {"duck.form": TOKEN, "duck.run": RUN, "duck.action": "approve", "inputs.comment": "x"}
    options: dict[str, Any] = {"path": f"/workflow/{APP}", "settings": OWN_KEY, "headers": {"Accept": BROWSER, **headers}}
    response = call(Dify(), "workflow", data=data, **options)
    assert response.status_code == 400
    page = page_of(response) if not headers else parsed(b"<!doctype html><title>x</title>" + body_of(response))
    [form] = page.findall(".//form[@class='human']")
    assert [text_of([alert]) for alert in form.findall(".//*[@role='alert']")] == ["inputs.level: required"]
    assert len(page.findall(".//form")) == 2
    assert not [request for request in api.requests if request.method == "POST"]


FILLED = {
    "duck.form": TOKEN,
    "duck.run": RUN,
    "duck.action": "approve",
    "inputs.comment": "x",
    "inputs.level": "low",
    "inputs.evidence": "",
}


def filled(**options: Any) -> Response:
    """Fills in the form, as the page does."""
    headers = {"Accept": BROWSER}
    return call(Dify(), "workflow", data=FILLED, path=f"/workflow/{APP}", settings=OWN_KEY, headers=headers, **options)


def test_the_run_goes_on_below_it(api: Api) -> None:
    api.answers |= {DETAILS: details("running"), EVENTS: sse(*sample("workflow"))}
    page = page_of(filled())
    assert submitted(api) == [
        {"action": "approve", "inputs": {"comment": "x", "level": "low", "evidence": []}, "user": submitted(api)[0]["user"]}
    ]
    assert "Rain is coming." in text_of(page.findall(".//section[@slot='final']"))
    assert not page.findall(".//form[@class='human']")


def test_a_form_that_is_gone_is_told_of(api: Api) -> None:
    api.answers[f"/form/human_input/{TOKEN}"] = refused(412, "human_input_form_submitted", "Form submitted")
    response = filled()
    assert response.status_code == 409
    assert text_of(page_of(response).findall(".//article//*[@role='alert']")).startswith("This form has been filled in")
