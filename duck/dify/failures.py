"""Translates Dify's failures into errors for callers.

A plugin learns of a failure by a text (SDK 0.10 raises a plain `Exception`) or by an `error` event in a stream. The Service API
answers with the same texts. They are in `failure_texts`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from duck import errors
from duck.dify import failure_texts
from duck.errors import DuckError
from duck.texts import Text

if TYPE_CHECKING:
    from duck.dify.failure_texts import Row
    from duck.runs.run import Kind

MODEL_RETRY_S = 30  # models limit requests by the minute, so half a minute is the mean time to wait

_NO_REASON = Text("Dify failed, and gave no reason. Try again.")
_SDK_TEXT = re.compile(r"^\w+ app failed: request failed with status code: (\d+) and respond with: (.*)$", re.DOTALL)
_REQUEST_FAULTS = {"bad_request", "conversation_completed"}  # codes of the Service API; `invalid_param` may mean any fault
_VAGUE_CODES = {"", "invalid_param", "bad_request", "unknown", "internal_server_error"}
# What Dify puts before the message of a model's plugin. The message is JSON if the plugin does not name the error.
_WRAPPED = re.compile(
    r"(Run failed: )?(?:\[[^\]]*\] Error: (?=req_id: ))?(?:req_id: [0-9a-f]{10} )?(?:PluginInvokeError: )?(.*)", re.DOTALL
)
_FETCH_FAILED = re.compile(r"^Reached maximum retries \(\d+\) for URL (\S+)")


def readable(text: str) -> str:
    """Dify's message about a failure, without what Dify wraps around the message of a model's plugin."""
    found = _WRAPPED.fullmatch(text)
    prefix, message = (found[1] or "", found[2]) if found else ("", text)
    wrapped = _json_object(message) if message.startswith("{") else {}
    if "error_type" in wrapped:
        args = wrapped.get("args")
        description = args.get("description") if isinstance(args, dict) else None
        message = str(description or wrapped.get("message") or wrapped["error_type"])
    whole = prefix + message
    return text if whole == text else whole  # an unchanged `Text` can still be translated


def from_text(text: str, *, kind: str, conversation_id: str = "", fields: Mapping[str, Any] | None = None) -> DuckError:
    """Translates the text of an exception that the SDK raised while it ran an app as `kind`.

    `fields` are the values that were sent, by the names under which errors report them.
    """
    status, body = _parse_answer(text)
    if not body:
        error = None if status else _look_up(failure_texts.DAEMON, text)
        return error or DuckError(502, "completion_request_error", _NO_REASON)
    if status == 500 and kind == "completion":
        return DuckError(502, "completion_unavailable", _NO_COMPLETION, for_guests=errors.guest_message(""))
    return _from_dify(status, body, kind, conversation_id, fields)


def has_no_reason(text: str) -> bool:
    """Whether Dify failed and gave no reason."""
    status, body = _parse_answer(text)
    return (status, body.get("message")) == (500, "Internal Server Error")


def kind_from_probe(text: str) -> Kind | None:
    """The kind of an app that was run as a workflow with an input of a wrong type, by the text of the SDK's exception."""
    status, body = _parse_answer(text)
    message = str(body.get("message"))
    if message == "missing query":
        return "chat"
    if " in input form must be " in message:
        return "workflow"
    return "completion" if status == 500 else None


def _parse_answer(text: str) -> tuple[int, dict[str, Any]]:
    """The status and the JSON object of Dify's answer: 0 if Dify did not answer, {} if the answer is no JSON object."""
    answer = _SDK_TEXT.match(text)
    return (int(answer[1]), _json_object(answer[2])) if answer else (0, {})


def from_event(event: Mapping[str, Any], *, kind: str, conversation_id: str = "") -> DuckError:
    """Translates one of Dify's `error` events: {event, code, status, message, …}."""
    status = event.get("status")
    error = _from_dify(status if isinstance(status, int) else 500, event, kind, conversation_id)
    return error.again(event=event)


def from_service(
    status: int,
    answer: Mapping[str, Any],
    *,
    kind: str = "",
    conversation_id: str = "",
    fields: Mapping[str, Any] | None = None,
) -> DuckError:
    """Translates an HTTP error of Dify's Service API. `answer` is {code, message, status}, or {} if the body was no JSON object.

    Without a `kind` the request was not for a run.
    """
    code, message = str(answer.get("code") or ""), str(answer.get("message") or "")
    if status == 403 and message:
        return DuckError(502, "app_unavailable", _service_disabled(message), private=True)
    if status in {401, 403} and answer:
        invalid_key = Text("Dify refuses the app's own key. Put a valid one into {setting}.", setting=errors.setting("app_keys"))
        return DuckError(502, "app_unavailable", invalid_key, private=True)
    if code == "app_unavailable" and not kind:
        return DuckError(404, "app_not_found", failure_texts.NOT_PUBLISHED)
    if status == 404 and conversation_id:
        return no_conversation()
    if status == 404 or not answer:
        return no_service()
    if message and status in {413, 415}:
        return DuckError(status, code, message)
    if message and status == 400 and code in _REQUEST_FAULTS and not _look_up(failure_texts.DIFY, message):
        return DuckError(400, code, message[: errors.MAX_QUOTED])
    return _from_dify(status, answer, kind, conversation_id, fields)


def from_forwarding(status: int, answer: Mapping[str, Any]) -> DuckError:
    """Translates an HTTP error to a request that was passed on: the caller knows Dify's API, so a refusal stays what it is.

    `answer` is as in `from_service`.
    """
    code, message = str(answer.get("code") or ""), str(answer.get("message") or "")
    is_about_key = status == 401 or (status == 403 and code in {"", "forbidden", "unauthorized"})
    if code and message and 400 <= status < 500 and status != 429 and not is_about_key:
        return DuckError(status, code, message[: errors.MAX_QUOTED])
    return from_service(status, answer)


def _from_dify(
    status: int, answer: Mapping[str, Any], kind: str, conversation_id: str, fields: Mapping[str, Any] | None = None
) -> DuckError:
    """Translates {code, message, …}. Its message is the same in streaming and blocking mode; status and code are not."""
    code, message = str(answer.get("code") or ""), answer.get("message")
    message = readable(message) if isinstance(message, str) else ""
    if message == "missing query":
        return errors.invalid_field("query", Text("required")) if kind == "chat" else errors.wrong_route(kind, "chat")
    if failed_fetch := _FETCH_FAILED.search(message):
        return _no_such_link(failed_fetch[1], fields or {})
    if error := _look_up(failure_texts.DIFY, message):
        return error
    if status == 429 or code == "rate_limit_error":
        return _limited(message or Text("The model takes no more requests for now."))
    if not message and status != 400:
        return DuckError(502, "completion_request_error", _NO_REASON)
    if not message and conversation_id:
        return no_conversation()
    if not message:
        return DuckError(502, "app_unavailable", _NOT_READY)
    return DuckError(502, "completion_request_error" if code in _VAGUE_CODES else code, message, private=True)


# Dify 1.9 to 1.16 lose the query that a plugin sends to a text generator, and answer a bare 500.
_NO_COMPLETION = Text(
    "Dify cannot run text generators (completion apps) for plugins: with the app's own key in the setting {setting} Duck reaches "
    "it all the same.",
    setting=errors.setting("app_keys"),
)
_NOT_READY = Text("This app is not ready to run. Choose a model for it in Dify and publish it.")


def _look_up(rows: tuple[Row, ...], text: str) -> DuckError | None:
    for row in rows:
        if found := row.pattern.search(text):
            if row.message != failure_texts.DIFY_TEXT:
                return DuckError(row.status, row.code, row.message)
            quoted = found.groupdict().get("text") or text
            return _limited(quoted) if row.status == 429 else DuckError(row.status, row.code, quoted, private=row.status != 400)
    return None


def _limited(message: str) -> DuckError:
    return DuckError(429, "rate_limit_error", message, headers={"Retry-After": str(MODEL_RETRY_S)}, private=True)


def _no_such_link(url: str, fields: Mapping[str, Any]) -> DuckError:
    """Dify could not fetch a link. The error names the field that the link was in."""
    field = next((name for name, value in fields.items() if url in _urls(value)), "inputs")
    return errors.invalid_field(field, Text("Dify cannot fetch {url}", url=url))


def _urls(value: Any) -> list[Any]:
    files = value if isinstance(value, list | tuple) else [value]
    return [file.get("url") or file.get("remote_url") for file in files if isinstance(file, Mapping)]


def _service_disabled(reason: str) -> str:
    """Dify's reason for refusing all calls by the app's own key, with what to do about it if that is known."""
    if "API service has been disabled" not in reason:
        return reason
    return Text("{reason} In Dify it is switched on among the app's settings, as its Backend Service API.", reason=reason)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def upload_failed(text: str) -> DuckError:
    """Translates the text of an exception that the SDK raised while it uploaded a file."""
    if text.startswith("upload file failed, status code: 413"):
        return DuckError(413, "file_too_large", Text("A file is larger than this Dify allows."))
    message = Text(
        "A file could not be handed to Dify: the address of its files (FILES_URL or INTERNAL_FILES_URL) must be reachable from "
        "where its plugins run. A link to the file may be sent instead."
    )
    return DuckError(
        502,
        "app_unavailable",
        message,
        for_guests=Text("Files cannot be taken for now. A link to the file may be sent instead."),
    )


def interrupted() -> DuckError:
    """The stream broke off: Dify, its daemon or the connection between them failed."""
    return DuckError(502, "stream_interrupted", failure_texts.INTERRUPTED)


def no_conversation() -> DuckError:
    """The conversation does not exist, or not for this user."""
    return errors.invalid_field("conversation_id", Text("this app has no such conversation. Leave it out to start one."))


def no_service() -> DuckError:
    """The response did not come from Dify's Service API."""
    message = Text(
        "The response did not come from Dify's Service API. {setting} must be like https://api.dify.ai/v1.",
        setting=errors.setting("service_api_url"),
    )
    return DuckError(502, "app_unavailable", message, private=True)
