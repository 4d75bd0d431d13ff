"""Any request with any settings: only documented statuses, only the error shape, and never a run without access."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug import Request, Response

from duck import limits, web
from duck.events import Kind
from tests import fuzzing
from tests.fuzzing import Case, Outcome
from tests.support import Dify, body_of

KINDS: dict[str, Kind] = {"/chat": "chat", "/workflow": "workflow", "/completion": "completion", "/duck": "workflow"}


def endpoint(case: Case, dify: Dify) -> Response:
    """What the endpoint that the SDK would choose answers."""
    request = Request(case.environ)
    is_read = case.method in {"GET", "HEAD"}
    if case.method == "OPTIONS":
        return web.preflight(request, case.settings)
    if case.route == "/" and is_read:
        return web.index(request, case.settings)
    if case.route == "/parameters" and is_read:
        return web.parameters(request, case.name, case.settings, dify.gateway())
    if case.route in KINDS and (is_read or (case.method == "POST" and case.route != "/duck")):
        default = "html" if case.route == "/duck" else None
        return web.serve(request, case.name, case.settings, dify.gateway(), kind=KINDS[case.route], default_format=default)
    return web.unknown(request, case.settings)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MIN_LIFE_S", 0.0)  # no daemon is there to cut short answers


@given(
    fuzzing.cases(),
    st.sampled_from([*fuzzing.STREAMS]),
    st.sampled_from([*fuzzing.ANSWERS]),
    st.sampled_from([*fuzzing.FORMS]),
)
def test_whatever_is_sent_the_answer_is_documented_and_nothing_leaks(case: Case, stream: str, answer: str, form: str) -> None:
    dify = Dify(fuzzing.STREAMS[stream], fuzzing.ANSWERS[answer], fuzzing.FORMS[form])
    response = endpoint(case, dify)
    asked = [str(made["app_id"]) for made in dify.calls]
    outcome = Outcome(response.status_code, dict(response.headers.items()), body_of(response), asked, dify.fetched)
    fuzzing.check(case, outcome)
