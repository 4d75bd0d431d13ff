"""The way to Dify, for one request: what all ways to an app have in common.

What Dify sends is held against what a run of its kind is like, and whatever goes wrong is a `DuckError` when it leaves here.
"""

from __future__ import annotations

import contextlib
import logging
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from duck import errors, limits
from duck.dify import events, failure_texts, failures
from duck.dify.memory import Memory
from duck.errors import DuckError
from duck.streams import json
from duck.texts import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Mapping

    from duck.runs.files import File, Upload
    from duck.runs.forms import Form
    from duck.runs.run import Run
    from duck.streams.format import Event

log = logging.getLogger("duck")


class Gateway(ABC):
    """A way to run apps, for one request.

    `skipped` counts what came among the events and was none; `endpoint_id` is Dify's. `silence_s` is for how long a streaming run
    may be silent. `takes_files` tells whether chats take files besides their inputs, and `can_stop` whether runs can be ended.
    `reads_on` tells that a run is to be read to its end when its caller has gone: else Dify would not remember the answer.
    `has_restarted` is whether Dify has begun another conversation than that which was asked for. `memory` is the process's; an
    endpoint makes its gateway without one, and `invocation` hands it down.
    """

    silence_s: float = limits.SILENCE_S
    takes_files = can_stop = reads_on = False

    def __init__(self, endpoint_id: str, memory: Memory | None = None) -> None:
        self.endpoint_id = endpoint_id
        self.skipped = 0
        self.has_restarted = False
        self.memory = memory or Memory()

    def stream(self, run: Run) -> Generator[Event]:
        """A run's events, as they come.

        Nothing happens before the first is asked for. Raises `DuckError`: before the first event where the run could not begin,
        was an app of another kind or failed at once; later where it broke off.
        """
        stream = self._checked(run)
        try:
            first = self._first(stream, run)
        except DuckError as error:
            if not (refused := _by_url(run, error)):
                raise
            stream = self._checked(refused)
            first = self._first(stream, run)
        yield first
        yield from stream

    def _first(self, stream: Generator[Event], run: Run) -> Event:
        """The first event, for which other runs of a new user of the app wait."""
        with self.memory.end_users.request(self._user_of(run.app_id), limits.END_USER_S):
            return next(stream)

    def answer(self, run: Run) -> Mapping[str, Any]:
        """A run's answer in one piece, as Dify's blocking mode gives it. Raises `DuckError`.

        Agents refuse blocking mode: their stream is folded.
        """
        if run.app_id not in self.memory.agents:
            try:
                with self.memory.end_users.request(self._user_of(run.app_id), limits.END_USER_S):
                    return self._checked_answer(run)
            except DuckError as error:
                if refused := _by_url(run, error):
                    return self._checked_answer(refused)
                if error.code != failure_texts.BLOCKING_REFUSED:
                    raise
                self.memory.agents.add(run.app_id)
        return events.fold(self.stream(run), run.kind)

    def parameters(self, app_id: str, *, before: Callable[[], None] = lambda: None) -> Mapping[str, Any]:
        """An app's form, as Dify's `GET /parameters` gives it; up to a minute old. `before` is called before Dify is asked.

        Raises `DuckError`, and what `before` raises.
        """
        return self.memory.forms.answer(self._key(app_id), lambda: self._fetch(app_id), before)

    def form(self, app_id: str, *, anew: bool = False, before: Callable[[], None] = lambda: None) -> tuple[Form | None, bool]:
        """The same, read; None where it cannot be had. Whether it was fetched just now, as it always is if `anew`."""
        return self.memory.forms.form(self._key(app_id), lambda: self._fetch(app_id), anew=anew, before=before)

    def info(self) -> Mapping[str, Any]:
        """What the app is called: {name, description, mode, …}; empty where that cannot be known."""
        return {}

    def stop(self, task_id: str) -> None:  # noqa: ARG002 - who can, needs it
        """Ends a run of the app's. Raises `DuckError`."""
        raise _cannot_stop()

    @abstractmethod
    def upload(self, file: File) -> Upload:
        """Hands a file to Dify. Raises `DuckError`."""

    @abstractmethod
    def _events(self, run: Run) -> Generator[Any]:
        """What Dify sends for a streaming run, as it came. Raises `DuckError`."""

    @abstractmethod
    def _answer(self, run: Run) -> Mapping[str, Any]:
        """What Dify answers to a blocking run. Raises `DuckError`."""

    @abstractmethod
    def _fetch(self, app_id: str) -> Mapping[str, Any]:
        """An app's form. Raises `DuckError`."""

    def _key(self, app_id: str) -> tuple[str, ...]:
        """The key of the app in the caches. Endpoints share no entries, because one process may serve several workspaces."""
        return self.endpoint_id, app_id

    def _user_of(self, app_id: str) -> Hashable:
        """What Dify knows the caller by: all who call an app through a session are one user of it."""
        return self._key(app_id)

    def _checked(self, run: Run) -> Generator[Event]:
        begun, course = False, events.Course(run.kind, speaks=self.memory.forms.plays_audio(self._key(run.app_id)))
        with contextlib.closing(self._events(run)) as source:
            for event in source:
                if not events.is_event(event):
                    self._skip(event)
                    continue
                if not begun:
                    self._check_first(event, run)
                    self._check_conversation(event, run)
                    begun = True
                is_over = course.add(event)
                yield self._marked(event)
                if is_over:
                    break
        if failure := course.failure():
            yield self._marked(failure)
        elif not course.has_end:
            raise failures.interrupted()

    def _checked_answer(self, run: Run) -> Mapping[str, Any]:
        answer = self._answer(run)
        self._check_kind(answer, run)
        self._check_conversation(answer, run)
        return self._marked(answer)

    def _check_first(self, event: Event, run: Run) -> None:
        self._check_kind(event, run)
        if event["event"] == "error":
            raise failures.from_event(event, kind=run.kind, conversation_id=run.conversation_id)

    def _check_kind(self, answer: Mapping[str, Any], run: Run) -> None:
        """Raises `DuckError` for an app of another kind. Dify runs it all the same, so that only the answer's ids tell."""
        kind = events.kind_of(answer)
        if kind:
            self.memory.kinds[run.app_id] = kind
        if kind and kind != run.kind:
            raise errors.wrong_route(run.kind, kind)

    def _check_conversation(self, answer: Mapping[str, Any], run: Run) -> None:
        """A chatflow that does not know the conversation begins another one without a word (since Dify 1.14.2)."""
        came = str(answer.get("conversation_id") or run.conversation_id)
        self.has_restarted = bool(run.conversation_id) and came.lower() != run.conversation_id
        if self.has_restarted and run.strict:
            raise failures.no_conversation()

    def _marked(self, event: Event) -> Event:
        return {**event, events.RESTARTED: True} if self.has_restarted and "conversation_id" in event else event

    def _skip(self, junk: object) -> None:
        self.skipped += 1
        if self.skipped == 1:
            log.warning("skipped what is no event: a %s; more of the kind are only counted", type(junk).__name__)


def check_size(call: Mapping[str, Any], limit: int) -> None:
    """Raises `DuckError` 413 for a run that is larger, in bytes of JSON, than what can be sent."""
    if (size := len(json.encode(call))) > limit:
        raise errors.too_large(size, limit)


def failure_context(run: Run) -> dict[str, Any]:
    """What of a run its failure is told by: arguments of `failures`."""
    fields = {**{f"inputs.{name}": value for name, value in run.inputs.items()}, "files": run.files}
    return {"kind": run.kind, "conversation_id": run.conversation_id, "fields": fields}


def _by_url(run: Run, error: DuckError) -> Run | None:
    """The run once more, with links in place of uploads, where Dify does not let the app read these."""
    if run.inputs_by_url is None or not error.message.startswith(failure_texts.UPLOAD_REFUSED):
        return None
    return replace(run, inputs=run.inputs_by_url, inputs_by_url=None)


def _cannot_stop() -> DuckError:
    """A run of an app that is reached through a plugin's session."""
    message = Text(
        "Runs of this app can be stopped once its own key is in the setting {setting}.", setting=errors.setting("app_keys")
    )
    return DuckError(400, "stop_unavailable", message, for_guests=Text("Runs of this app cannot be stopped."))
