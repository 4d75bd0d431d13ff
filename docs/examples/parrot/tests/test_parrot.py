"""Parrot, with a Dify that plays a script."""

import json
from typing import Any

import pytest
from werkzeug import Response

from duck.faces import parrot
from tests.support import APP, KEY, SETTINGS, Dify, body_of, json_of, make_request, recorded, sample


def ask(dify: Dify, *, key: str | None = KEY, **body: Any) -> Response:
    return parrot.ask(make_request(path=f"/ask/{APP}", key=key, json={"text": "hi", **body}), APP, SETTINGS, dify.gateway())


def test_an_answer_in_one_piece_is_the_apps_text() -> None:
    dify = Dify(blocking=recorded("chat.blocking"))
    assert json_of(ask(dify)) == {"text": "The Pro plan costs 20 USD per month."}
    assert dify.calls[0]["query"] == "hi"


def test_a_stream_is_the_same_text_line_by_line() -> None:
    lines = [json.loads(line) for line in body_of(ask(Dify(sample("chat")), stream=True)).splitlines()]
    assert "".join(line["text"] for line in lines) == "The Pro plan costs 20 USD per month."


def test_an_error_in_a_stream_is_its_last_line() -> None:
    error = {"event": "error", "code": "x", "status": 400, "message": "It broke."}
    assert body_of(ask(Dify([sample("chat")[0], error]), stream=True)).splitlines()[-1] == b'{"error":"It broke."}'
    assert parrot.Lines().keep_alive() == b'{"text":""}\n'


@pytest.mark.parametrize(
    ("body", "error", "field"),
    [
        ({"text": " "}, "text: required", "text"),
        ({"inputs": [1]}, 'inputs: must be an object, like {"city": "Oslo"}', "inputs"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(body: dict[str, Any], error: str, field: str) -> None:
    response = ask(Dify(), **body)
    assert (response.status_code, json_of(response)) == (400, {"error": error, "field": field})


def test_a_caller_without_a_key_is_refused() -> None:
    response = ask(Dify(), key=None)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_another_method_is_told_which_ones_there_are() -> None:
    response = parrot.unknown(make_request("GET", f"/ask/{APP}"), SETTINGS)
    assert (response.status_code, response.headers["Allow"]) == (405, "OPTIONS, POST")
