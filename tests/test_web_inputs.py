"""Whole requests with inputs and files, with a Dify that plays a script."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from werkzeug import Response
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from duck.faces.api import serve
from tests.support import APP, KEY, SETTINGS, Dify, blocking_sample, body_of, call, http_error, json_of, make_request, sample

CHAT = sample("chat")
PARAMETERS: dict[str, Any] = {
    "user_input_form": [
        {"text-input": {"variable": "city"}},
        {"number": {"variable": "days"}},
        {"file": {"variable": "doc", "allowed_file_types": ["document"]}},
    ],
    "system_parameters": {"file_size_limit": 1},
}
ANSWER = blocking_sample("chat")
NOT_OWNED = http_error(400, "invalid_param", "ToolFile 88888888-2222-4333-8444-555555555504 not found")


def post(dify: Dify, inputs: Any, **options: Any) -> Response:
    return call(dify, json={"query": "hi", "inputs": inputs}, **options)


def send(dify: Dify, *files: tuple[str, bytes], style: str = "json", **fields: str) -> Response:
    boundary, data = encode_multipart(
        {"query": "hi", **fields, "doc": [FileStorage(BytesIO(content), name) for name, content in files]}
    )
    content_type = f"multipart/form-data; boundary={boundary}"
    return call(dify, data=data, content_type=content_type, path=f"/chat/{APP}?format={style}")


def message_of(response: Response) -> str:
    assert response.status_code == 400, body_of(response)
    return str(json_of(response)["message"])


def test_inputs_are_checked_before_dify_is_anthropic_client() -> None:
    dify = Dify(blocking=ANSWER, form=PARAMETERS)
    assert message_of(post(dify, {"citty": "Oslo", "days": "x"})) == (
        "inputs.citty: no such input; this app takes city, days, doc; inputs.days: must be a number"
    )
    assert (dify.calls, dify.fetched, dify.fetch_limit) == ([], [APP], 5)


def test_texts_of_a_form_reach_dify_as_what_they_mean() -> None:
    dify = Dify(blocking=ANSWER, form=PARAMETERS)
    assert call(dify, data={"query": "hi", "city": "5", "days": "5"}).status_code == 200
    assert dify.calls[0]["inputs"] == {"city": "5", "days": 5}


def test_a_form_is_fetched_once_a_minute_and_again_before_anything_is_refused() -> None:
    forms = iter([PARAMETERS, PARAMETERS, {"user_input_form": [{"text-input": {"variable": "new"}}]}])
    dify = Dify(blocking=ANSWER, form=lambda: next(forms))
    for _ in range(3):
        assert post(dify, {"city": "Oslo"}).status_code == 200
    assert len(dify.fetched) == 1
    assert "no such input" in message_of(post(dify, {"other": 1}))
    assert len(dify.fetched) == 2
    assert post(dify, {"new": "x"}).status_code == 200, "noticed at once"
    assert len(dify.fetched) == 3


def test_a_fault_that_no_form_could_mend_is_no_reason_to_fetch_it_anew() -> None:
    dify = Dify(blocking=ANSWER, form=PARAMETERS)
    for _ in range(2):
        assert "query: required" in message_of(call(dify, json={"query": ""}))
    assert len(dify.fetched) == 1


def test_where_the_form_cannot_be_had_dify_judges_and_is_not_asked_again() -> None:
    dify = Dify(blocking=ANSWER, form=Exception("invocation exited without response after 5 seconds"))
    for _ in range(3):
        assert post(dify, {"anything": {"at": "all"}}).status_code == 200
    assert [made["inputs"] for made in dify.calls] == [{"anything": {"at": "all"}}] * 3
    assert len(dify.fetched) == 1


def test_a_form_that_is_gone_when_it_is_fetched_anew_refuses_nothing() -> None:
    forms: Iterator[Any] = iter([PARAMETERS, Exception("fetch app failed: data is nil")])
    dify = Dify(blocking=ANSWER, form=lambda: next(forms))
    assert post(dify, {"city": "Oslo"}).status_code == 200
    assert post(dify, {"other": 1}).status_code == 200
    assert dify.calls[-1]["inputs"] == {"other": 1}


def test_one_endpoint_does_not_know_what_another_one_knows() -> None:
    first, second = Dify(blocking=ANSWER, form=PARAMETERS), Dify(blocking=ANSWER, form={"user_input_form": []})
    assert post(first, {"city": "Oslo"}).status_code == 200
    assert "takes none" in message_of(post(second, {"city": "Oslo"}))


@pytest.mark.parametrize(("method", "headers"), [("HEAD", {}), ("GET", {"Sec-Purpose": "prefetch"})])
def test_what_runs_nothing_fetches_nothing(method: str, headers: dict[str, str]) -> None:
    dify = Dify(form=PARAMETERS)
    call(dify, method=method, path=f"/chat/{APP}?query=hi&other=1", headers=headers)
    assert (dify.fetched, dify.calls) == ([], [])


def test_presets_of_the_default_app_count_on_every_route_to_it() -> None:
    settings = {**SETTINGS, "apps": f"one={APP}", "default_app": {"app_id": APP.upper(), "inputs": {"city": "Oslo", "days": "3"}}}
    dify = Dify(blocking=ANSWER, form=PARAMETERS)
    for name in (APP, "one", "default"):
        assert post(dify, {"city": "Bergen"}, settings=settings, app=name).status_code == 200
    assert [made["inputs"] for made in dify.calls] == [{"city": "Bergen", "days": 3}] * 3


def test_presets_of_one_app_are_none_of_another() -> None:
    other = "00000000-0000-4000-8000-00000000000a"
    settings = {**SETTINGS, "default_app": {"app_id": other, "inputs": {"city": "Oslo"}}}
    dify = Dify(blocking=ANSWER, form=PARAMETERS)
    assert post(dify, {}, settings=settings).status_code == 200
    assert dify.calls[0]["inputs"] == {}


def test_parameters_come_from_what_is_known() -> None:
    dify = Dify(blocking=ANSWER, form=PARAMETERS)
    assert post(dify, {"city": "Oslo"}).status_code == 200
    response = serve.parameters(make_request("GET", f"/parameters/{APP}", key=KEY), APP, SETTINGS, dify.gateway())
    assert json_of(response) == PARAMETERS
    assert len(dify.fetched) == 1


# Files


@pytest.mark.parametrize("style", ["json", "ndjson"])
def test_a_file_is_uploaded_and_passed_as_the_apps_parameter(style: str) -> None:
    dify = Dify(stream=CHAT, blocking=ANSWER, form=PARAMETERS)
    response = send(dify, ("../报告.pdf", b"PDF"), style=style, city="Oslo")
    body_of(response)
    assert response.status_code == 200
    assert dify.uploaded == [("报告.pdf", b"PDF", "application/pdf")]
    assert dify.calls[0]["inputs"] == {
        "city": "Oslo",
        "doc": {"tool_file_id": "id of 报告.pdf", "transfer_method": "tool_file", "type": "document"},
    }


def test_a_file_that_is_refused_is_not_uploaded() -> None:
    dify = Dify(blocking=ANSWER, form=PARAMETERS)
    assert "a.pdf has 1.0 MB, at most 1 are allowed" in message_of(send(dify, ("a.pdf", b"x" * 1_100_000)))
    assert (dify.uploaded, dify.calls) == ([], [])


def test_a_file_is_not_uploaded_for_a_request_with_another_fault() -> None:
    dify = Dify(blocking=ANSWER, form=PARAMETERS)
    assert "inputs.days: must be a number" in message_of(send(dify, ("a.pdf", b"1"), days="x"))
    assert dify.uploaded == []


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("upload file failed, status code: 413, response: too large", 413, "file_too_large"),
        ("upload file failed, status code: 500, response: no", 502, "app_unavailable"),
        ("HTTPConnectionPool(host='api', port=5001): Max retries exceeded", 502, "app_unavailable"),
    ],
)
def test_an_upload_that_fails_is_told_without_the_name_of_a_host(
    text: str, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    dify = Dify(blocking=ANSWER, form=PARAMETERS, upload_error=Exception(text))
    response = send(dify, ("a.pdf", b"1"))
    assert (response.status_code, json_of(response)["code"]) == (status, code)
    assert "host=" not in json_of(response)["message"]
    assert "an upload failed: Exception" in caplog.text
    assert text not in caplog.text, "it may name hosts, and what was sent"
    assert dify.calls == []


class Owning(Dify):
    """A Dify whose apps may not read what a plugin has uploaded, but only links to it."""

    def invoke(self, **made: Any) -> Any:
        found = super().invoke(**made)
        if made["inputs"].get("doc", {}).get("transfer_method") != "tool_file":
            return found
        if made["response_mode"] == "streaming":
            return self._refused()
        raise NOT_OWNED

    def _refused(self) -> Iterator[Any]:
        raise NOT_OWNED
        yield


@pytest.mark.parametrize("style", ["json", "ndjson", "sse"])
@pytest.mark.parametrize("mode", ["blocking", "streaming"])
def test_an_app_that_may_not_read_an_upload_gets_a_link_to_it(style: str, mode: str) -> None:
    dify = Owning(stream=CHAT, blocking=ANSWER, form=PARAMETERS)
    response = send(dify, ("a.pdf", b"PDF"), style=style, response_mode=mode)
    assert response.status_code == 200
    assert ANSWER["answer"][:10].encode() in body_of(response)
    assert len(dify.uploaded) == 1
    assert [made["inputs"]["doc"] for made in dify.calls] == [
        {"tool_file_id": "id of a.pdf", "transfer_method": "tool_file", "type": "document"},
        {"type": "document", "transfer_method": "remote_url", "url": "https://dify/files/a.pdf"},
    ]


class Refusing(Owning):
    """One that does not take the link either."""

    def invoke(self, **made: Any) -> Any:
        super(Owning, self).invoke(**made)
        raise NOT_OWNED


def test_it_is_tried_once() -> None:
    dify = Refusing(blocking=ANSWER, form=PARAMETERS)
    assert "ToolFile" in message_of(send(dify, ("a.pdf", b"PDF")))
    assert len(dify.calls) == 2


def test_a_refusal_of_another_kind_is_no_reason_to_try_again() -> None:
    refusal = http_error(400, "invalid_param", "Invalid upload file")
    for style in ("json", "ndjson"):
        dify = Dify(stream=[refusal], blocking=refusal, form=PARAMETERS)
        assert "Invalid upload file" in message_of(send(dify, ("a.pdf", b"PDF"), style=style))
        assert len(dify.calls) == 1
