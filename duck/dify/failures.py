"""What each of Dify's failures means to a caller.

All that a plugin learns of a failure is a text (SDK 0.10 raises a plain `Exception`), or an `error` event in a stream; the
Service API answers with the same words. The texts are in `failure_texts`. Pure.
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

MODEL_RETRY_S = 30  # models count requests by the minute; half of one is the mean time to wait

_NO_REASON = Text("Dify failed, and gave no reason. Try again.")
_ANSWER = re.compile(r"^\w+ app failed: request failed with status code: (\d+) and respond with: (.*)$", re.DOTALL)
_REQUESTS_FAULTS = {"bad_request", "conversation_completed"}  # as the Service API tells them; `invalid_param` is anything
_SAYS_NOTHING = {"", "invalid_param", "bad_request", "unknown", "internal_server_error"}
# What Dify puts before the words of a model's plugin, and these words in JSON where the plugin does not name the error.
_WRAPPED = re.compile(
    r"(Run failed: )?(?:\[[^\]]*\] Error: (?=req_id: ))?(?:req_id: [0-9a-f]{10} )?(?:PluginInvokeError: )?(.*)", re.DOTALL
)
_UNFETCHED = re.compile(r"^Reached maximum retries \(\d+\) for URL (\S+)")


def readable(text: str) -> str:
    """What Dify says of a failure, without the wrappings in which the words of a model's plugin come."""
    found = _WRAPPED.fullmatch(text)
    before, words = (found[1] or "", found[2]) if found else ("", text)
    wrapped = _json_object(words) if words.startswith("{") else {}
    if "error_type" in wrapped:
        args = wrapped.get("args")
        description = args.get("description") if isinstance(args, dict) else None
        words = str(description or wrapped.get("message") or wrapped["error_type"])
    whole = before + words
    return text if whole == text else whole  # itself where it can be, since a `Text` can be translated


def from_text(text: str, *, kind: str, conversation_id: str = "", fields: Mapping[str, Any] | None = None) -> DuckError:
    """Translates the text of an exception of the SDK's, raised while an app was run as `kind`.

    `fields` are what was sent, by the names under which a caller is told what is wrong with it.
    """
    status, body = _answered(text)
    if not body:
        daemon = None if status else _first(failure_texts.DAEMON, text)
        return daemon or DuckError(502, "completion_request_error", _NO_REASON)
    if status == 500 and kind == "completion":
        return DuckError(502, "completion_unavailable", _NO_COMPLETION, for_guests=errors.guest_message(""))
    return _from_dify(status, body, kind, conversation_id, fields)


def has_no_reason(text: str) -> bool:
    """Whether Dify has failed, and does not say why."""
    status, body = _answered(text)
    return (status, body.get("message")) == (500, "Internal Server Error")


def kind_told_by(text: str) -> Kind | None:
    """The kind of an app, by the text of the exception that a run as a workflow, with an input of a wrong type, ended in."""
    status, body = _answered(text)
    message = str(body.get("message"))
    if message == "missing query":
        return "chat"
    if " in input form must be " in message:
        return "workflow"
    return "completion" if status == 500 else None


def _answered(text: str) -> tuple[int, dict[str, Any]]:
    """The status and the document of Dify's answer: 0 where it was not Dify that answered, {} where it is no document."""
    answer = _ANSWER.match(text)
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
    """Translates an HTTP error of Dify's Service API, whose document is {code, message, status}; empty if there was none.

    Without a `kind` it is the answer to a question about the app.
    """
    code, message = str(answer.get("code") or ""), str(answer.get("message") or "")
    if status == 403 and message:
        return DuckError(502, "app_unavailable", _without_service(message), private=True)
    if status in {401, 403} and answer:
        message_ = Text("Dify refuses the app's own key. Put a valid one into {setting}.", setting=errors.setting("app_keys"))
        return DuckError(502, "app_unavailable", message_, private=True)
    if code == "app_unavailable" and not kind:
        return DuckError(404, "app_not_found", failure_texts.NOT_PUBLISHED)
    if status == 404 and conversation_id:
        return no_conversation()
    if status == 404 or not answer:
        return no_service()
    if message and status in {413, 415}:
        return DuckError(status, code, message)
    if message and status == 400 and code in _REQUESTS_FAULTS and not _first(failure_texts.DIFY, message):
        return DuckError(400, code, message[: errors.MAX_QUOTED])
    return _from_dify(status, answer, kind, conversation_id, fields)


def _from_dify(
    status: int, answer: Mapping[str, Any], kind: str, conversation_id: str, fields: Mapping[str, Any] | None = None
) -> DuckError:
    """`answer` is {code, message, …}. Its words are the same in streaming and blocking mode; status and code are not."""
    code, message = str(answer.get("code") or ""), answer.get("message")
    message = readable(message) if isinstance(message, str) else ""
    if message == "missing query":
        return errors.invalid_field("query", Text("required")) if kind == "chat" else errors.wrong_route(kind, "chat")
    if unfetched := _UNFETCHED.search(message):
        return _no_such_link(unfetched[1], fields or {})
    if error := _first(failure_texts.DIFY, message):
        return error
    if status == 429 or code == "rate_limit_error":
        return _limited(message or Text("The model takes no more requests for now."))
    if not message and status != 400:
        return DuckError(502, "completion_request_error", _NO_REASON)
    if not message and conversation_id:
        return no_conversation()
    if not message:
        return DuckError(502, "app_unavailable", _NOT_READY)
    return DuckError(502, "completion_request_error" if code in _SAYS_NOTHING else code, message, private=True)


# Dify 1.9 to 1.16 lose the query of a text generator on its way from a plugin, and answer a bare 500.
_NO_COMPLETION = Text(
    "Dify cannot run text generators (completion apps) for plugins: with the app's own key in the setting {setting} Duck reaches "
    "it all the same.",
    setting=errors.setting("app_keys"),
)
_NOT_READY = Text("This app is not ready to run. Choose a model for it in Dify and publish it.")


def _first(rows: tuple[Row, ...], text: str) -> DuckError | None:
    for row in rows:
        if found := row.pattern.search(text):
            own = found.groupdict().get("text") or text
            if row.message != failure_texts.OWN_TEXT:
                return DuckError(row.status, row.code, row.message)
            return _limited(own) if row.status == 429 else DuckError(row.status, row.code, own, private=row.status != 400)
    return None


def _limited(message: str) -> DuckError:
    return DuckError(429, "rate_limit_error", message, headers={"Retry-After": str(MODEL_RETRY_S)}, private=True)


def _no_such_link(url: str, fields: Mapping[str, Any]) -> DuckError:
    """A link that Dify has tried to fetch, as the fault of the field that it was in."""
    field = next((name for name, value in fields.items() if url in _links(value)), "inputs")
    return errors.invalid_field(field, Text("Dify cannot fetch {url}", url=url))


def _links(value: Any) -> list[Any]:
    files = value if isinstance(value, list | tuple) else [value]
    return [file.get("url") or file.get("remote_url") for file in files if isinstance(file, Mapping)]


def _without_service(reason: str) -> str:
    """Why Dify does not let the app be called by its own key, in its own words."""
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
    """Translates the text of an exception of the SDK's, raised while a file was handed to Dify."""
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
    """A stream without an end: Dify, its daemon or the connection between them gave up."""
    return DuckError(502, "stream_interrupted", failure_texts.INTERRUPTED)


def no_conversation() -> DuckError:
    """A conversation that there is not, or not for this user."""
    return errors.invalid_field("conversation_id", Text("this app has no such conversation. Leave it out to start one."))


def no_service() -> DuckError:
    """Something that is not an app's own API."""
    message = Text(
        "The response did not come from Dify's Service API. {setting} must be like https://api.dify.ai/v1.",
        setting=errors.setting("service_api_url"),
    )
    return DuckError(502, "app_unavailable", message, private=True)
