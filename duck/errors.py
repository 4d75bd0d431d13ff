"""Duck's one error, and what each of Dify's failures means to a caller.

All that a plugin learns of a failure is a text (SDK 0.10 raises a plain `Exception`), or an `error` event in a stream. Both
end up in the tables below, and in nothing else. Pure, but for the log.
"""

import logging
import re
import traceback
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from duck import limits
from duck.texts import Fault, Text

log = logging.getLogger("duck")

RETRY_AFTER_S = 30  # models count requests by the minute; half of one is the mean time to wait
LOG_CHARACTERS = 8_000  # the daemon kills a plugin that logs a line of 5 MiB; the end of a traceback is what one needs
MAX_QUOTED = 4_000  # characters of a message about a request: a whole form's faults, but no megabytes of invented names
# The settings that messages speak of, as the console calls them (group/duck.yaml).
LABELS = {
    "api_key": "API key",
    "default_app": "Default app",
    "apps": "Apps",
    "public_apps": "Public apps",
    "public_rate": "Public runs a minute",
    "allowed_origins": "Allowed origins",
    "service_api_url": "Service API URL",
    "app_keys": "App keys",
}
BLOCKING_REFUSED = "blocking_refused"
MEGABYTE = 1024 * 1024
UPLOAD_REFUSED = "ToolFile "  # how Dify begins to say that an app's user may not read what was uploaded for it


def setting(name: str) -> Text:
    """A setting as messages call it: as the console does, and by its name."""
    return Text(f"{LABELS[name]} ({{name}})", name=name)


class DuckError(Exception):
    """A failure that the caller is told of.

    `status` is the HTTP status, `code` one of Dify's error codes or Duck's own, `message` a sentence that says what to do next
    and holds no key, path or stack. `headers` go out with the response. `event` is the `error` event of Dify's that was the
    failure, if it was one. A `private` message is for holders of a key: it is Dify's own, about what guests need not know;
    `for_guests` is what guests read instead of one about the owner's settings. `right_kind` is the kind of an app that was called
    as one of another. `faults` are what is wrong with single fields of the request.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        event: Mapping[str, Any] | None = None,
        private: bool = False,
        for_guests: str = "",
        right_kind: str | None = None,
        faults: Sequence[Fault] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.event = event
        self.private = private
        self.for_guests = for_guests
        self.right_kind = right_kind
        self.faults = tuple(faults)

    def again(self) -> "DuckError":
        """The same, to be raised once more: an error that is raised holds all that was at work then."""
        return DuckError(
            self.status,
            self.code,
            self.message,
            headers=self.headers,
            event=self.event,
            private=self.private,
            for_guests=self.for_guests,
            right_kind=self.right_kind,
            faults=self.faults,
        )

    def for_guest(self) -> "DuckError":
        """The same, as guests see it."""
        message = guest_message(self.code) if self.private else self.for_guests
        return DuckError(self.status, self.code, message, headers=self.headers) if message else self

    def as_dict(self) -> dict[str, Any]:
        """The error as a document, in the shape of Dify's own API."""
        return {"code": self.code, "message": self.message, "status": self.status}

    def as_event(self) -> Mapping[str, Any]:
        """The error as an event of a stream: Dify's own as it came, else one in its shape."""
        return self.event or {"event": "error", **self.as_dict()}


def guest_message(code: str) -> str:
    """The sentence that guests read about a failure that Dify has named by this code."""
    return _GUEST_MESSAGES.get(code, Text("This app could not answer. If this keeps happening, tell whoever runs it."))


_GUEST_MESSAGES = {
    "rate_limit_error": Text("This app takes no more requests for now. Try again in a moment."),
    "provider_quota_exceeded": Text("This app cannot answer for now, since its model's quota is used up."),
}


def invalid(message: str) -> DuckError:
    """The request as a whole is at fault."""
    return invalid_fields([Fault("", message)])


def invalid_field(field: str, message: str) -> DuckError:
    """One field of the request is at fault."""
    return invalid_fields([Fault(field, message)])


def invalid_fields(faults: Sequence[Fault]) -> DuckError:
    """Fields of the request are at fault. The message may quote names from it, however long."""
    message = "; ".join(map(str, faults)) if len(faults) > 1 or faults[0].field else faults[0].text
    if len(message) > MAX_QUOTED:
        message = message[:MAX_QUOTED] + " …"
    return DuckError(400, "invalid_param", message, faults=faults)


def no_default() -> DuckError:
    """The default app, where none has been chosen."""
    return DuckError(404, "app_not_found", Text("No app is chosen in the setting {setting}.", setting=setting("default_app")))


def app_not_found() -> DuckError:
    """No such app, or none that may be reached: the two are told apart for nobody."""
    return DuckError(404, "app_not_found", _NO_APP)


def interrupted() -> DuckError:
    """A stream without an end: Dify, its daemon or the connection between them gave up."""
    return DuckError(502, "stream_interrupted", _INTERRUPTED)


def silent(*, blocking: bool) -> DuckError:
    """A run of which nothing was heard for too long."""
    return DuckError(504, "timeout", _NO_ANSWER if blocking else _SLOW)


def too_long() -> DuckError:
    """A response that has been open for as long as the daemon lets it."""
    message = Text(
        "This took longer than {seconds} seconds, for which Dify keeps a streamed answer open. The run itself may go on in Dify. "
        "With response_mode blocking and format json an answer may take 20 minutes.",
        seconds=f"{limits.LIFE_S:.0f}",
    )
    return DuckError(504, "timeout", message)


def too_slow() -> DuckError:
    """A run that takes longer than the plugin may work on one."""
    message = Text(
        "This took longer than {seconds} seconds, the most that Dify gives a plugin that it runs as a function. The run itself "
        "may go on in Dify.",
        seconds=f"{limits.RUN_S:.0f}",
    )
    return DuckError(504, "timeout", message)


def too_large(size: int, limit: int) -> DuckError:
    """A run that is larger than what Dify takes in one piece; both in bytes."""
    message = Text(
        "This run is too large: together its question and its inputs have {size} MB, and Dify takes at most {limit} MB.",
        size=f"{size / MEGABYTE:.1f}",
        limit=f"{limit / MEGABYTE:.0f}",
    )
    return DuckError(413, "file_too_large", message)


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


def service_silent() -> DuckError:
    """An app's own API that stopped talking."""
    return DuckError(504, "timeout", Text("Dify said nothing for too long, not even that it is still at work. Try again."))


def service_unreachable() -> DuckError:
    """An app's own API that cannot be reached."""
    message = Text(
        "Dify's Service API cannot be reached. {setting} must be an address that Dify's plugins can reach.",
        setting=setting("service_api_url"),
    )
    return DuckError(502, "app_unavailable", message, private=True)


def no_service() -> DuckError:
    """Something that is not an app's own API."""
    message = Text(
        "The response did not come from Dify's Service API. {setting} must be like https://api.dify.ai/v1.",
        setting=setting("service_api_url"),
    )
    return DuckError(502, "app_unavailable", message, private=True)


def cannot_stop() -> DuckError:
    """A run of an app that is reached through a plugin's session."""
    message = Text("Runs of this app can be stopped once its own key is in the setting {setting}.", setting=setting("app_keys"))
    return DuckError(400, "stop_unavailable", message, for_guests=Text("Runs of this app cannot be stopped."))


def no_conversation() -> DuckError:
    """A conversation that there is not, or not for this user."""
    return invalid_field("conversation_id", Text("this app has no such conversation. Leave it out to start one."))


def wrong_route(asked: str, actual: str) -> DuckError:
    """An app of kind `actual` called as one of kind `asked`."""
    message = Text("This app is of another kind: call /{kind}/<app_id>.", kind=actual)
    return DuckError(400, f"not_{asked}_app", message, right_kind=actual)


def defect(error: BaseException) -> DuckError:
    """A fault in Duck itself: the log gets the traceback (as text: the SDK's formatter drops any other), the caller an id."""
    reference = uuid.uuid4().hex[:12]
    trace = "".join(traceback.format_exception(error))
    log.error("internal error %s\n%s", reference, trace[-LOG_CHARACTERS:])
    return DuckError(500, "internal_server_error", Text("Duck failed. Its log has the reason under {id}.", id=reference))


OWN_TEXT = "{text}"  # in a row: what the caller reads is Dify's own text, or that part of it which the pattern calls `text`


@dataclass(frozen=True, slots=True)
class _Row:
    """One of Dify's texts: `pattern` finds it, `message` is what the caller reads."""

    pattern: re.Pattern[str]
    status: int
    code: str
    message: str = OWN_TEXT


def _row(pattern: str, status: int, code: str, message: str = OWN_TEXT) -> _Row:
    return _Row(re.compile(pattern, re.DOTALL), status, code, message)


_NO_APP = Text("No such app here. Check its id or alias, and that it has been published in Dify.")

_INTERRUPTED = Text("Dify's answer broke off before its end. What came so far may be incomplete; try again.")

_SLOW = Text(
    "Dify ends a streamed run after 240 seconds, and one that stays silent after 250. With response_mode blocking and format "
    "json a workflow or chat may take 20 minutes; agents can only stream."
)

_NO_ANSWER = Text("Dify ends a run after 20 minutes, and this one had given no answer by then. Make the app do less in one run.")

# What the daemon and the SDK say by themselves.
_DAEMON = (
    _row(
        r"^permission denied, ",
        502,
        "app_unavailable",
        Text("Dify does not let this plugin run apps: its manifest lacks the permission."),
    ),
    _row(r"^fetch app failed: data is nil", 404, "app_not_found", _NO_APP),
    _row(r"use of closed network connection|read on closed response body", 504, "timeout", _SLOW),
    _row(r"^invocation exited without response after \d{4} ", 504, "timeout", _NO_ANSWER),  # seconds: it was a blocking run
    _row(r"^invocation exited without response after ", 504, "timeout", _SLOW),
    _row(r"^read app failed: request failed: (?P<text>.+)", 502, "completion_request_error"),
    _row(r"^(read app failed: |No response)", 502, "stream_interrupted", _INTERRUPTED),
    _row(
        r"^invoke app failed: ",
        502,
        "app_unavailable",
        Text("Dify's plugin daemon could not reach Dify. Try again in a moment."),
    ),
)

# What Dify answers.
_DIFY = (
    _row(r"^app not found$", 404, "app_not_found", _NO_APP),
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
    _row(r"^Model \S+ (credentials is not initialized|not exist)", 502, "provider_not_initialize"),
    _row(r"^Model provider \S+ quota exceeded", 502, "provider_quota_exceeded"),
    _row(r"^Dify Hosted OpenAI .+ currently not support", 502, "model_currently_not_support"),
)

_NO_REASON = Text("Dify failed, and gave no reason. Try again.")
_ANSWER = re.compile(r"^\w+ app failed: request failed with status code: (\d+) and respond with: (.*)$", re.DOTALL)
_REQUESTS_FAULTS = {"bad_request", "conversation_completed"}  # as the Service API tells them; `invalid_param` is anything
_SAYS_NOTHING = {"", "invalid_param", "bad_request", "unknown", "internal_server_error"}


def from_text(text: str, *, kind: str, conversation_id: str = "") -> DuckError:
    """Translates the text of an exception of the SDK's, raised while an app was run as `kind`."""
    answer = _ANSWER.match(text)
    if not answer:
        return _first(_DAEMON, text) or DuckError(502, "completion_request_error", _NO_REASON)
    status, body = int(answer[1]), _json_object(answer[2]) or {"message": _NO_REASON}
    if status == 500 and kind == "completion":
        return DuckError(502, "completion_unavailable", _NO_COMPLETION, for_guests=guest_message(""))
    return _from_dify(status, body, kind, conversation_id)


def from_event(event: Mapping[str, Any], *, kind: str, conversation_id: str = "") -> DuckError:
    """Translates one of Dify's `error` events: {event, code, status, message, …}."""
    status = event.get("status")
    error = _from_dify(status if isinstance(status, int) else 500, event, kind, conversation_id)
    error.event = event
    return error


def from_service(status: int, answer: Mapping[str, Any], *, kind: str, conversation_id: str = "") -> DuckError:
    """Translates an HTTP error of Dify's Service API, whose document is {code, message, status}; empty if there was none."""
    code, message = str(answer.get("code") or ""), str(answer.get("message") or "")
    if status in {401, 403} and answer:
        message_ = Text("Dify refuses the app's own key. Put a valid one into {setting}.", setting=setting("app_keys"))
        return DuckError(502, "app_unavailable", message_, private=True)
    if status == 404 and conversation_id:
        return no_conversation()
    if status == 404 or not answer:
        return no_service()
    if message and status in {413, 415}:
        return DuckError(status, code, message)
    if message and status == 400 and code in _REQUESTS_FAULTS and not _first(_DIFY, message):
        return DuckError(400, code, message[:MAX_QUOTED])
    return _from_dify(status, answer, kind, conversation_id)


def _from_dify(status: int, answer: Mapping[str, Any], kind: str, conversation_id: str) -> DuckError:
    """`answer` is {code, message, …}. Its words are the same in streaming and blocking mode; status and code are not."""
    code, message = str(answer.get("code") or ""), answer.get("message")
    message = message if isinstance(message, str) else ""
    if message == "missing query":
        return invalid_field("query", Text("required")) if kind == "chat" else wrong_route(kind, "chat")
    if error := _first(_DIFY, message):
        return error
    if status == 429 or code == "rate_limit_error":
        message = message or Text("The model takes no more requests for now.")
        return DuckError(429, "rate_limit_error", message, headers={"Retry-After": str(RETRY_AFTER_S)}, private=True)
    if not message and status != 400:
        return DuckError(502, "completion_request_error", _NO_REASON)
    if not message and conversation_id:
        return no_conversation()
    if not message:
        return DuckError(502, "app_unavailable", _NOT_READY)
    return DuckError(502, "completion_request_error" if code in _SAYS_NOTHING else code, message, private=True)


# Dify 1.14 to 1.16 lose the query of a completion app on its way from a plugin, so that every run of one ends in a bare 500.
_NO_COMPLETION = Text(
    "Dify cannot run text generators (completion apps) for plugins: with the app's own key in the setting {setting} Duck reaches "
    "it all the same.",
    setting=setting("app_keys"),
)
_NOT_READY = Text("This app is not ready to run. Choose a model for it in Dify and publish it.")


def _first(rows: tuple[_Row, ...], text: str) -> DuckError | None:
    for row in rows:
        if found := row.pattern.search(text):
            own = found.groupdict().get("text") or text
            if row.message != OWN_TEXT:
                return DuckError(row.status, row.code, row.message)
            return DuckError(row.status, row.code, own, private=row.status != 400)
    return None


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
