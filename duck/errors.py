"""`DuckError`, and those of its kinds that are raised in more than one place. Pure, but for the log."""

import logging
import traceback
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from duck.texts import Fault, Text

log = logging.getLogger("duck")

TRACE_CHARACTERS = 8_000  # from the end of a traceback: the daemon kills a plugin that logs a line of 5 MiB
MAX_QUOTED = 4_000  # characters of a message about a request: enough for all faults of a form
# The labels of settings that messages mention, as in group/duck.yaml.
LABELS = {
    "api_key": "API key",
    "default_app": "Default app",
    "apps": "Apps",
    "public_apps": "Public apps",
    "public_rate": "Public runs a minute",
    "allowed_origins": "Allowed origins",
    "service_api_url": "Service API URL",
    "app_keys": "App keys",
    "public_url": "Public URL",
    "webhook_secrets": "Webhook secrets",
}
_MEGABYTE = 1024 * 1024


def setting(name: str) -> Text:
    """A setting as messages mention it: by its label in the console and its name."""
    return Text(f"{LABELS[name]} ({{name}})", name=name)


class DuckError(Exception):
    """A failure that is reported to the caller.

    `status` is the HTTP status, `code` one of Dify's error codes or Duck's own, `message` a sentence that says what to do next
    and has no key, path or stack trace in it. `headers` are added to the response. `event` is Dify's `error` event, if the
    failure was one. Guests do not read a `private` message, which is Dify's own, but a general one, or `for_guests` if that is
    given. `right_kind` is the kind of an app that was called as another kind. `faults` are about single fields of the request.
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

    @property
    def field(self) -> str:
        """The field of the request that is at fault, the first of several; "" if the failure is not about a field."""
        return next((fault.field for fault in self.faults if fault.field), "")

    def again(self, event: Mapping[str, Any] | None = None) -> "DuckError":
        """A copy to be raised once more, with another `event` if one is given: a raised error keeps all frames alive."""
        return DuckError(
            self.status,
            self.code,
            self.message,
            headers=self.headers,
            event=event or self.event,
            private=self.private,
            for_guests=self.for_guests,
            right_kind=self.right_kind,
            faults=self.faults,
        )

    def for_guest(self) -> "DuckError":
        """The error as guests see it."""
        message = guest_message(self.code) if self.private else self.for_guests
        return DuckError(self.status, self.code, message, headers=self.headers) if message else self

    def as_dict(self) -> dict[str, Any]:
        """The error as a document of Dify's API."""
        return {"code": self.code, "message": self.message, "status": self.status}

    def as_event(self) -> Mapping[str, Any]:
        """The error as an event of a stream: Dify's own event unchanged, else one of the same shape."""
        return self.event or {"event": "error", **self.as_dict()}


def guest_message(code: str) -> str:
    """The sentence that guests read about a failure with this code."""
    return _GUEST_MESSAGES.get(code, Text("This app could not answer. If this keeps happening, tell whoever runs it."))


_GUEST_MESSAGES = {
    "rate_limit_error": Text("This app takes no more requests for now. Try again in a moment."),
    "provider_quota_exceeded": Text("This app cannot answer for now, since its model's quota is used up."),
}


NO_APP = Text("No such app here. Check its id or alias, and that it has been published in Dify.")

SLOW = Text(
    "Dify ends a streamed run after 240 seconds, and one that stays silent after 250. With response_mode blocking and format "
    "json a workflow or chat may take 20 minutes. Agents can only stream; called by their own keys they may take 590 seconds."
)

NO_ANSWER = Text("Dify ends a run after 20 minutes, and this one had given no answer by then. Make the app do less in one run.")


def invalid(message: str) -> DuckError:
    """The request as a whole is at fault."""
    return invalid_fields([Fault("", message)])


def invalid_field(field: str, message: str) -> DuckError:
    """One field of the request is at fault."""
    return invalid_fields([Fault(field, message)])


def invalid_fields(faults: Sequence[Fault]) -> DuckError:
    """Fields of the request are at fault. The message is cut, because it may quote long names from the request."""
    message = "; ".join(map(str, faults)) if len(faults) > 1 or faults[0].field else faults[0].text
    if len(message) > MAX_QUOTED:
        message = message[:MAX_QUOTED] + " …"
    return DuckError(400, "invalid_param", message, faults=faults)


def too_large(size: int, limit: int) -> DuckError:
    """A run of `size` bytes, of which Dify takes `limit` at most."""
    message = Text(
        "This run is too large: together its question and its inputs have {size} MB, and Dify takes at most {limit} MB.",
        size=f"{size / _MEGABYTE:.1f}",
        limit=f"{limit / _MEGABYTE:.0f}",
    )
    return DuckError(413, "file_too_large", message)


def wrong_route(asked: str, actual: str) -> DuckError:
    """An app of kind `actual` called as one of kind `asked`."""
    message = Text("This app is of another kind: call /{kind}/<app_id>.", kind=actual)
    return DuckError(400, f"not_{asked}_app", message, right_kind=actual)


def defect(error: BaseException) -> DuckError:
    """A fault in Duck itself. The caller gets an id, under which the log has the traceback.

    The traceback is part of the message, because the SDK's formatter drops `exc_info`.
    """
    reference = uuid.uuid4().hex[:12]
    trace = "".join(traceback.format_exception(error))
    log.error("internal error %s\n%s", reference, trace[-TRACE_CHARACTERS:])
    return DuckError(500, "internal_server_error", Text("Duck failed. Its log has the reason under {id}.", id=reference))
