"""The texts with which Dify, its plugin daemon and the SDK report failures, and what each of them means. Pure."""

import re
from dataclasses import dataclass

from duck import errors
from duck.texts import Text

BLOCKING_REFUSED = "blocking_refused"
UPLOAD_REFUSED = "ToolFile "  # the start of Dify's text for an upload that the app may not read

DIFY_TEXT = "{text}"  # as a row's message: Dify's text, or the part of it in the pattern's group `text`


@dataclass(frozen=True, slots=True)
class Row:
    """One of Dify's texts, as a `pattern`, and the error that it means. `message` is what the caller reads."""

    pattern: re.Pattern[str]
    status: int
    code: str
    message: str = DIFY_TEXT


def _row(pattern: str, status: int, code: str, message: str = DIFY_TEXT) -> Row:
    return Row(re.compile(pattern, re.DOTALL), status, code, message)


INTERRUPTED = Text("Dify's answer broke off before its end. What came so far may be incomplete; try again.")

# Texts of the daemon and of the SDK.
DAEMON = (
    _row(
        r"^permission denied, ",
        502,
        "app_unavailable",
        Text("Dify does not let this plugin run apps: its manifest lacks the permission."),
    ),
    _row(r"^fetch app failed: data is nil", 404, "app_not_found", errors.NO_APP),
    _row(r"use of closed network connection|read on closed response body", 504, "timeout", errors.SLOW),
    _row(r"^invocation exited without response after \d{4} ", 504, "timeout", errors.NO_ANSWER),  # in seconds: a blocking run
    _row(r"^invocation exited without response after ", 504, "timeout", errors.SLOW),
    _row(r"^read app failed: request failed: (?P<text>.+)", 502, "completion_request_error"),
    _row(r"^(read app failed: |No response)", 502, "stream_interrupted", INTERRUPTED),
    _row(
        r"^invoke app failed: ",
        502,
        "app_unavailable",
        Text("Dify's plugin daemon could not reach Dify. Try again in a moment."),
    ),
)

NOT_PUBLISHED = Text("This app has not been published in Dify.")

# Texts of Dify.
DIFY = (
    _row(r"^app not found$", 404, "app_not_found", errors.NO_APP),
    _row(
        r"^unexpected app type$",
        404,
        "app_not_found",
        Text("This app has not been published in Dify, or is of a type that plugins cannot run."),
    ),
    _row(
        r"^Agent Chat App does not support blocking mode$",
        502,
        BLOCKING_REFUSED,
        Text("Agents cannot answer in blocking mode."),
    ),
    _row(r"^(\(type '[^']+'\) )?\S+ (is required in|in) input form\b", 400, "invalid_param"),
    _row(r"^Invalid input type for \[", 400, "invalid_param"),
    _row(r"^invalid payload: ", 400, "invalid_param"),
    _row(
        r"^(Detected file type does not match|File validation failed for file: |Invalid upload file)",
        400,
        "invalid_param",
    ),
    _row(rf"^{UPLOAD_REFUSED}\S+ not found", 400, "invalid_param"),
    _row(r"^Workflow not published$", 404, "app_not_found", NOT_PUBLISHED),  # from the Service API
    # A model's rate limit: in chatflows and blocking runs only the text shows it. Or the app's own limit of runs at a time.
    _row(r"\bRate Limit Error\b|\bstatus code:? 429\b|\bError code: 429\b|\b429 Too Many Requests\b", 429, "rate_limit_error"),
    _row(r"^Too many requests\. Please try again later\.", 429, "rate_limit_error"),
    _row(r"^Model .+ (credentials is not initialized|not exist)", 502, "provider_not_initialize"),
    _row(r"^Provider .+ does not exist", 502, "provider_not_initialize"),
    _row(
        r"\bvalidation errors? for VariableEntity\b",
        502,
        "app_unavailable",
        Text("This Dify is too old for one of the app's inputs: it knows none of type JSON. A newer Dify runs the app."),
    ),
    _row(r"^Model provider \S+ quota exceeded", 502, "provider_quota_exceeded"),
    _row(r"^Dify Hosted OpenAI .+ currently not support", 502, "model_currently_not_support"),
)
