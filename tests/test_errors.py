"""What each of Dify's failures means to a caller."""

import json
import logging
from typing import Any

import pytest

from duck import errors
from duck.dify import failure_texts, failures
from duck.errors import DuckError
from tests.support import blocking_sample, http_error

CONVERSATION = "c7e1f2a3-9b64-4d2a-8f10-62b5d4c3a901"


def dify(message: str, *, status: int = 400, code: str = "invalid_param") -> str:
    """The text of the exception when Dify answered a run with an HTTP error."""
    return str(http_error(status, code, message))


def translated(text: str, kind: str = "chat", conversation_id: str = "") -> tuple[int, str, str]:
    error = failures.from_text(text, kind=kind, conversation_id=conversation_id)
    return error.status, error.code, error.message


BROKEN = "read app failed: "
FAULT = dify("Internal Server Error", status=500, code="unknown")
NO_COMPLETION = (
    "invoke app failed: request failed with status code: 500 and respond with: "
    '{"message":"Internal Server Error","code":"unknown","status":500}'
)
UNREACHABLE = 'invoke app failed: Post "http://api:5001/inner/api/invoke/app": dial tcp 10.0.0.1:5001: connect: refused'
IDLE = BROKEN + "read tcp 10.0.0.7:43210->10.0.0.3:5001: use of closed network connection\nfailed to read system header"
BETWEEN_FRAMES = BROKEN + "http: read on closed response body\nfailed to read header"
IN_SYSTEM_HEADER = BROKEN + "http: read on closed response body\nfailed to read system header"
IN_DATA = BROKEN + "http: read on closed response body\nfailed to read data"
CANCELED = BROKEN + "context canceled\nfailed to read system header"
SILENT = "invocation exited without response after 250 seconds"
NO_PERMISSION = "permission denied, you need to enable app access in plugin manifest"
NO_MODEL = "Model gpt-4o credentials is not initialized."
HOSTED_OFF = "Dify Hosted OpenAI gpt-4o currently not support."
NO_QUOTA = "Model provider langgenius/openai/openai quota exceeded."
RUN_FAILED = "Run failed: [langgenius/openai/openai] Rate Limit Error, 429 Too Many Requests"
SUPPORT = "Internal Server Error, please contact support."
QUOTA = (
    "Your quota for Dify Hosted Model Provider has been exhausted. "
    "Please go to Settings -> Model Provider to complete your own provider credentials."
)
LIMIT = dify("Too many requests.", status=429, code="too_many_requests")

LIMITED = "[models] Rate Limit Error, slow down"
TOO_MANY = (
    "Too many requests. Please try again later. The current maximum concurrent requests allowed for "
    "2d7b1c9e-4f6a-4e83-b0a5-9e8d7c6b5a43 is 1."
)
OLD = "1 validation error for VariableEntity\ntype\n  Input should be 'text-input', 'select' [input_value='json_object']"


def words(status: int) -> str:
    """What a model's plugin says that does not name the error."""
    return f'[models] Error: API request failed with status code {status}: {{"error": {{"message": "no"}}}}'


def wrapped(status: int) -> str:
    """The same as Dify hands it on."""
    return json.dumps({"args": {"description": words(status)}, "error_type": "InvokeError", "message": words(status)})


# Situation: text, kind of the run, its conversation; status, code, a part of the message.
TEXTS = {
    # What the daemon and the SDK say by themselves.
    "no app permission": (NO_PERMISSION, "chat", "", 502, "app_unavailable", "permission"),
    "form of an unknown app": ("fetch app failed: data is nil", "", "", 404, "app_not_found", "No such app"),
    "240 seconds, idle": (IDLE, "chat", "", 504, "timeout", "240 seconds"),
    "240 seconds, between frames": (BETWEEN_FRAMES, "workflow", "", 504, "timeout", "response_mode blocking"),
    "240 seconds, in a frame's header": (IN_SYSTEM_HEADER, "chat", "", 504, "timeout", "json"),
    "240 seconds, in a frame's data": (IN_DATA, "chat", "", 504, "timeout", "590 seconds"),
    "250 seconds of silence": (SILENT, "chat", "", 504, "timeout", "response_mode blocking"),
    "exception in the stream": (BROKEN + "request failed: Oops.", "chat", "", 502, "completion_request_error", "Oops."),
    "the daemon gave up": (CANCELED, "chat", "", 502, "stream_interrupted", "broke off"),
    "Dify out of reach": (UNREACHABLE, "chat", "", 502, "app_unavailable", "Try again"),
    # What Dify answers.
    "unknown app": (dify("app not found"), "chat", "", 404, "app_not_found", "No such app"),
    "unpublished workflow": (dify("unexpected app type"), "workflow", "", 404, "app_not_found", "published"),
    "blank query": (dify("missing query"), "chat", "", 400, "invalid_param", "query: required"),
    "chat run as workflow": (dify("missing query"), "workflow", "", 400, "not_workflow_app", "/chat/<app_id>"),
    "chat run as completion": (dify("missing query"), "completion", "", 400, "not_completion_app", "/chat/<app_id>"),
    "app without a model": (dify(""), "chat", "", 502, "app_unavailable", "Choose a model"),
    "app without a model, other code": (dify("", code="bad_request"), "chat", "", 502, "app_unavailable", "Choose a model"),
    "unknown conversation": (dify(""), "chat", CONVERSATION, 400, "invalid_param", "conversation_id"),
    "conversation that is no UUID": (FAULT, "chat", "junk", 502, "completion_request_error", "Internal Server Error"),
    "no credentials": (dify(NO_MODEL), "chat", "", 502, "provider_not_initialize", NO_MODEL),
    "unknown model": (dify("Model gpt-9 not exist."), "chat", "", 502, "provider_not_initialize", "Model gpt-9 not exist."),
    "provider's quota": (dify(NO_QUOTA), "chat", "", 502, "provider_quota_exceeded", NO_QUOTA),
    "hosted model off": (dify(HOSTED_OFF), "chat", "", 502, "model_currently_not_support", HOSTED_OFF),
    "the model failed": (dify("Incorrect API key"), "chat", "", 502, "completion_request_error", "Incorrect API key"),
    "the chatflow failed": (dify("Run failed: boom"), "chat", "", 502, "completion_request_error", "Run failed: boom"),
    "the model's limit in a chatflow": (dify(RUN_FAILED), "chat", "", 429, "rate_limit_error", RUN_FAILED),
    "the model's limit": (dify(LIMITED), "chat", "", 429, "rate_limit_error", LIMITED),
    "the model's limit, unnamed": (dify(wrapped(429)), "chat", "", 429, "rate_limit_error", f"{words(429)}"),
    "the app's number of runs": (dify(TOO_MANY), "chat", "", 429, "rate_limit_error", TOO_MANY),
    "the model's refusal, unnamed": (dify(wrapped(401)), "chat", "", 502, "completion_request_error", words(401)),
    "provider that is gone": (dify("Provider a/b/c does not exist."), "chat", "", 502, "provider_not_initialize", "a/b/c"),
    "model with blanks": (dify("Model gpt 4 not exist."), "chat", "", 502, "provider_not_initialize", "gpt 4"),
    "not published, by its own key": (dify("Workflow not published"), "workflow", "", 404, "app_not_found", "not been published"),
    "an input that an old Dify does not know": (dify(OLD), "workflow", "", 502, "app_unavailable", "too old"),
    "other fault": (FAULT, "workflow", "", 502, "completion_request_error", "Internal Server Error"),
    "completion": (FAULT, "completion", "", 502, "completion_unavailable", "app_keys"),
    "completion, in another order": (NO_COMPLETION, "completion", "", 502, "completion_unavailable", "app_keys"),
    "too many runs": (LIMIT, "chat", "", 429, "rate_limit_error", "Too many requests."),
}
INPUTS = (
    "tone is required in input form",
    "(type 'text-input') city in input form must be a string",
    "(type 'paragraph') city in input form must be a string",
    "(type 'select') tone in input form must be a string",
    "city in input form must be less than 48 characters",
    "tone in input form must be one of the following: ['a', 'b']",
    "count in input form must be a valid number",
    "doc in input form must be a file",
    "pics in input form must be a list of files",
    "pics in input form must be less than 5 files",
    "data in input form must be a dict",
    "Invalid input type for ['city']",
    "invalid payload: inputs must be an object",
    "Detected file type does not match the specified type. Please verify the file.",
    "File validation failed for file: report.pdf",
    "Invalid upload file",
    "ToolFile 88888888-2222-4333-8444-555555555504 not found",
)


@pytest.mark.parametrize(("text", "kind", "conversation_id", "status", "code", "part"), TEXTS.values(), ids=TEXTS.keys())
def test_a_text_of_difys_becomes_a_status_a_code_and_a_message(
    text: str, kind: str, conversation_id: str, status: int, code: str, part: str
) -> None:
    found = translated(text, kind, conversation_id)

    assert found[:2] == (status, code)
    assert part in found[2]


@pytest.mark.parametrize("text", INPUTS)
def test_what_dify_says_of_inputs_is_the_callers_to_put_right(text: str) -> None:
    assert translated(dify(text), "workflow") == (400, "invalid_param", text)


def test_an_agents_refusal_to_block_can_be_told_from_every_other_failure() -> None:
    refusal = blocking_sample("agent-chat")["exception_message"]

    assert translated(refusal)[1] == failure_texts.BLOCKING_REFUSED


@pytest.mark.parametrize(
    "body",
    [
        '{"code":"invalid_param","message":"tone is required in input form","status":400}',
        '{"status": 400, "message": "tone is required in input form", "code": "invalid_param"}\n',
        '{\n  "message" : "tone is required in input form",\n  "code" : "invalid_param"\n}\n',
    ],
    ids=["compact", "spaced and in another order", "over several lines"],
)
def test_the_way_difys_json_is_written_makes_no_difference(body: str) -> None:
    text = f"invoke app failed: request failed with status code: 400 and respond with: {body}"

    assert translated(text) == (400, "invalid_param", "tone is required in input form")


@pytest.mark.parametrize("conversation_id", ["", CONVERSATION], ids=["a new conversation", "a conversation going on"])
@pytest.mark.parametrize(
    "body",
    ["<html><h1>502 Bad Gateway</h1>nginx at 10.0.0.1</html>", "", "[]", '"x"', '{"code":'],
    ids=["html", "empty", "array", "string", "cut"],
)
def test_an_answer_that_is_no_json_object_is_difys_fault_and_not_quoted(body: str, conversation_id: str) -> None:
    text = f"invoke app failed: request failed with status code: 502 and respond with: {body}"

    found = translated(text, "chat", conversation_id)

    assert found[0] == 502
    assert "10.0.0.1" not in found[2]
    assert "<" not in found[2]


@pytest.mark.parametrize(
    "text",
    [
        'invoke app failed: Post "http://api:5001/inner": dial tcp 10.0.0.1:5001: connect: connection refused',
        "read app failed: read tcp 10.0.0.2:43210->10.0.0.1:5001: use of closed network connection\nfailed to read header",
        "read app failed: read tcp 10.0.0.2:43210->10.0.0.1:5001: connection reset by peer\nfailed to read system header",
        'fetch app failed: Get "http://api:5001/inner": dial tcp 10.0.0.1:5001: i/o timeout',
        'Traceback (most recent call last):\n  File "/app/api/core/app.py", line 1, in run\nKeyError: 10.0.0.1',
        "something new at http://api:5001/inner on 10.0.0.1",
        "",
    ],
    ids=["refused", "closed", "reset", "form", "traceback", "unheard of", "empty"],
)
def test_a_message_gives_away_neither_hosts_nor_tracebacks(text: str) -> None:
    status, _, message = translated(text)

    assert 502 <= status <= 504
    assert message
    assert not [leak for leak in ("10.0.0.", "5001", "api:", "Traceback", "File", "/app", "dial tcp") if leak in message]


# Cause: the event's code, status and message; the error's status and code.
EVENTS = {
    "request at fault": ("invalid_param", 400, "tone is required in input form", 400, "invalid_param"),
    "the chatflow failed": ("invalid_param", 400, "Run failed: boom", 502, "completion_request_error"),
    "the model's limit in a chatflow": ("invalid_param", 400, RUN_FAILED, 429, "rate_limit_error"),
    "the model's limit, by another name": ("completion_request_error", 400, LIMITED, 429, "rate_limit_error"),
    "no credentials": ("provider_not_initialize", 400, "No credentials.", 502, "provider_not_initialize"),
    "quota": ("provider_quota_exceeded", 400, QUOTA, 502, "provider_quota_exceeded"),
    "hosted model off": ("model_currently_not_support", 400, HOSTED_OFF, 502, "model_currently_not_support"),
    "the model failed": ("completion_request_error", 400, "connection reset", 502, "completion_request_error"),
    "the model's limit": ("rate_limit_error", 429, "429 slow down", 429, "rate_limit_error"),
    "anything else": ("internal_server_error", 500, SUPPORT, 502, "completion_request_error"),
}


@pytest.mark.parametrize(("code", "status", "message", "expected_status", "expected_code"), EVENTS.values(), ids=EVENTS.keys())
def test_an_error_event_becomes_a_status_and_a_code_and_keeps_its_words(
    code: str, status: int, message: str, expected_status: int, expected_code: str
) -> None:
    error = failures.from_event({"event": "error", "code": code, "status": status, "message": message}, kind="completion")

    assert (error.status, error.code, error.message) == (expected_status, expected_code, message)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (wrapped(401), words(401)),
        (f"req_id: 7dea70f296 PluginInvokeError: {wrapped(401)}", words(401)),
        (f"Run failed: req_id: 7dea70f296 PluginInvokeError: {wrapped(401)}", f"Run failed: {words(401)}"),
        (f"[langgenius/openai/openai] Error: req_id: 7dea70f296 PluginInvokeError: {wrapped(401)}", words(401)),
        ('{"args":{},"error_type":"ValueError","message":"the model broke"}', "the model broke"),
        ('{"args":{"description":7},"error_type":"ValueError","message":""}', "7"),
        ('{"args":null,"error_type":"ValueError"}', "ValueError"),
        ("req_id: 7dea70f296 PluginInvokeError: {broken", "{broken"),
        ('{"error":"of an app of mine"}', '{"error":"of an app of mine"}'),
        ("Run failed: boom", "Run failed: boom"),
        ("[models] Error: plain", "[models] Error: plain"),
        ("req_id: is what I said", "req_id: is what I said"),
        ("", ""),
    ],
)
def test_what_a_models_plugin_says_is_read_without_its_wrappings(text: str, said: str) -> None:
    assert failures.readable(text) == said
    event = {"event": "error", "code": "invalid_param", "status": 400, "message": text}
    assert failures.from_event(event, kind="workflow").message == (
        said or "This app is not ready to run. Choose a model for it in Dify and publish it."
    )


def test_a_link_that_dify_cannot_fetch_is_the_fault_of_the_input_that_it_was_in() -> None:
    text = dify("Reached maximum retries (3) for URL https://gone.invalid/a.png")
    link = {"transfer_method": "remote_url", "url": "https://gone.invalid/a.png"}
    fields = {"inputs.other": "https://gone.invalid/a.png", "inputs.pics": [{"type": "image"}, link], "files": ()}
    for given, field in ((fields, "inputs.pics"), ({"inputs.x": 1, "files": [link]}, "files"), ({}, "inputs")):
        error = failures.from_text(text, kind="workflow", fields=given)
        assert (error.status, error.message) == (400, f"{field}: Dify cannot fetch https://gone.invalid/a.png")
    assert (
        failures.from_service(
            400,
            {"code": "invalid_param", "message": text.partition('"message": "')[2].partition('"')[0]},
            kind="workflow",
            fields=fields,
        ).status
        == 400
    )


def test_an_error_event_stays_in_a_stream_as_it_came() -> None:
    event = {
        "event": "error",
        "conversation_id": CONVERSATION,
        "code": "rate_limit_error",
        "status": 429,
        "message": "slow down",
        "new": [1],
    }

    assert failures.from_event(event, kind="chat").as_event() == event


@pytest.mark.parametrize(
    "event",
    [
        {"event": "error"},
        {"event": "error", "code": None, "status": None, "message": None},
        {"event": "error", "code": 5, "status": "x", "message": ["x"]},
    ],
    ids=["nothing", "nulls", "other types"],
)
def test_an_error_event_without_the_usual_fields_is_a_failure_of_difys_all_the_same(event: dict[str, Any]) -> None:
    assert failures.from_event(event, kind="chat").status == 502


@pytest.mark.parametrize(
    "error",
    [
        failures.from_text(dify("slow down", status=429, code="rate_limit_error"), kind="chat"),
        failures.from_event({"event": "error", "code": "rate_limit_error", "status": 429, "message": "slow down"}, kind="chat"),
        failures.from_event({"event": "error", "code": "rate_limit_error", "status": 429, "message": ""}, kind="chat"),
    ],
    ids=["text", "event", "event without words"],
)
def test_a_limit_of_the_models_says_when_to_try_again(error: DuckError) -> None:
    assert (error.status, error.code) == (429, "rate_limit_error")
    assert int(error.headers["Retry-After"]) > 0
    assert error.message


def test_an_error_is_written_in_the_shape_of_difys_own_api() -> None:
    assert DuckError(400, "invalid_param", "query: required").as_dict() == {
        "code": "invalid_param",
        "message": "query: required",
        "status": 400,
    }


def test_an_error_of_ducks_own_is_an_error_event_in_a_stream() -> None:
    assert DuckError(504, "timeout", "Too slow.").as_event() == {
        "event": "error",
        "code": "timeout",
        "message": "Too slow.",
        "status": 504,
    }


def _broken() -> Exception:
    try:
        json.loads("{a needle}")
    except ValueError as error:
        return error
    raise AssertionError


def test_a_defect_shows_the_caller_an_id_and_nothing_of_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    error = errors.defect(_broken())

    assert (error.status, error.code) == (500, "internal_server_error")
    (logged,) = caplog.messages
    assert [word for word in error.message.replace(".", " ").split() if len(word) >= 8 and word in logged]
    assert not [leak for leak in ("needle", "JSONDecodeError", "Traceback", ".py", "Expecting") if leak in error.message]


def test_a_defect_is_logged_with_its_traceback_in_the_text_itself(caplog: pytest.LogCaptureFixture) -> None:
    errors.defect(_broken())

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "Traceback (most recent call last)" in record.getMessage()
    assert "in _broken" in record.getMessage()
    assert "JSONDecodeError" in record.getMessage()


def test_two_defects_have_two_ids() -> None:
    assert errors.defect(_broken()).message != errors.defect(_broken()).message


def test_a_defect_with_a_text_of_megabytes_is_logged_in_a_line_that_the_daemon_bears(caplog: pytest.LogCaptureFixture) -> None:
    errors.defect(ValueError("x" * 6_000_000))

    assert len(caplog.messages[0]) < 100_000
