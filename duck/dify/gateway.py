"""What both gateways to an app share: checks of what Dify sends, second tries, and the caches.

All failures leave this module as `DuckError`.
"""

from __future__ import annotations

import contextlib
import logging
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from duck import errors, limits
from duck.dify import events, failure_texts, failures, forwarding
from duck.errors import DuckError
from duck.streams import json
from duck.texts import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Mapping

    from duck.dify.forwarding import Passage, Passed
    from duck.dify.memory import Memory
    from duck.runs.files import File, Upload
    from duck.runs.forms import Form
    from duck.runs.run import Kind, Run
    from duck.streams.format import Event

    type EventFilter = Callable[[Generator[Event]], Generator[Event | None]]

log = logging.getLogger("duck")


class Gateway(ABC):
    """Runs apps for one request.

    `endpoint_id` is Dify's. `skipped` counts the values in streams that were no events. `has_restarted` tells that Dify has begun
    another conversation than the requested one. `memory` is the process's: an endpoint makes its gateway without it, and
    `apps` sets it.

    A streaming run may be silent for `silence_s` seconds. `takes_files` tells whether chats take files besides their inputs,
    `can_stop` whether runs can be stopped, and `keeps_runs` whether Dify can be asked for runs and their forms later. With
    `reads_on` a run is read to its end after its caller has hung up: otherwise Dify would not store the answer in the
    conversation.
    """

    silence_s: float = limits.SILENCE_S
    takes_files = can_stop = reads_on = keeps_runs = False
    memory: Memory

    def __init__(self, endpoint_id: str, memory: Memory | None = None) -> None:
        self.endpoint_id = endpoint_id
        self.skipped = 0
        self.has_restarted = False
        if memory is not None:
            self.memory = memory

    def stream(self, run: Run) -> Generator[Event]:
        """A run's events as they come. The run starts when the first event is read.

        Raises `DuckError`: before the first event if the run cannot start, fails at once, or the app is of another kind; later if
        the stream breaks off.
        """
        stream = self._checked_events(run)
        try:
            first = self._first_event(stream, run)
        except DuckError as error:
            if not (second_try := _with_links(run, error)):
                raise
            stream = self._checked_events(second_try)
            first = self._first_event(stream, run)
        yield first
        yield from stream

    def _first_event(self, stream: Generator[Event], run: Run) -> Event:
        """The first event. If the end user is new, other runs for the same user wait for it."""
        with self.memory.end_users.request(self._end_user(run.app_id), limits.END_USER_S):
            return next(stream)

    def answer(self, run: Run, through: EventFilter = lambda stream: stream) -> Mapping[str, Any]:
        """A run's answer in one piece, as Dify's blocking mode gives it. Raises `DuckError`.

        Agents refuse blocking mode, so their stream is folded. It goes `through` a filter before, since an answer does not tell
        where a round of the agent ends.
        """
        answer = self._blocking_answer(run)
        return events.fold(filter(None, through(self._stream_without_errors(run))), run.kind) if answer is None else answer

    def answer_events(self, run: Run) -> Generator[Event]:
        """The same as events: the whole stream of an agent, or the few that the answer can be unfolded to. Raises `DuckError`."""
        answer = self._blocking_answer(run)
        yield from self.stream(run) if answer is None else events.unfold(answer, run.kind)

    def kind(self, app_id: str, *, before: Callable[[], None] = lambda: None) -> Kind | None:  # noqa: ARG002 - for subclasses
        """The app's kind, None if it is not known. It is found out without a run. `before` is called ahead of a request."""
        return self.memory.kinds.get(app_id)

    def parameters(self, app_id: str, *, before: Callable[[], None] = lambda: None) -> Mapping[str, Any]:
        """The app's form as Dify's `GET /parameters` gives it, at most a minute old. `before` is called ahead of a fetch.

        Raises `DuckError`, and what `before` raises.
        """
        return self.memory.forms.answer(self._cache_key(app_id), lambda: self._fetch_parameters(app_id), before)

    def form(self, app_id: str, *, anew: bool = False, before: Callable[[], None] = lambda: None) -> tuple[Form | None, bool]:
        """The parsed form, None if it cannot be fetched or read; and whether this call fetched it. With `anew` it always does."""
        return self.memory.forms.form(self._cache_key(app_id), lambda: self._fetch_parameters(app_id), anew=anew, before=before)

    def form_fault(self, app_id: str) -> str:
        """Why the form could not be fetched, "" if it was."""
        return self.memory.forms.fault(self._cache_key(app_id))

    def info(self) -> Mapping[str, Any]:
        """Dify's `GET /info`: {name, description, mode, …}; empty if it is not known."""
        return {}

    def site(self) -> Mapping[str, Any]:
        """Dify's `GET /site`: {title, icon, chat_color_theme, …}; empty if it is not known."""
        return {}

    def about(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """What `info` and `site` give, which takes no longer than one of them."""
        return self.info(), self.site()

    def forward(self, passage: Passage) -> Passed:  # noqa: ARG002 - for subclasses
        """Passes a request on to Dify. Raises `DuckError`."""
        raise forwarding.no_own_key()

    def forward_events(self, passage: Passage) -> Generator[Event]:  # noqa: ARG002 - for subclasses
        """Passes a request on that Dify answers with events, which are unchecked. Raises `DuckError`, also at the first event."""
        raise forwarding.no_own_key()

    def stop(self, task_id: str) -> None:  # noqa: ARG002 - for subclasses
        """Stops a run of the app. Raises `DuckError`."""
        raise _cannot_stop()

    @abstractmethod
    def upload(self, file: File) -> Upload:
        """Uploads a file to Dify. Raises `DuckError`."""

    @abstractmethod
    def _events(self, run: Run) -> Generator[Any]:
        """What Dify streams for a run, unchecked. Raises `DuckError`."""

    @abstractmethod
    def _answer(self, run: Run) -> Mapping[str, Any]:
        """Dify's answer to a blocking run, unchecked. Raises `DuckError`."""

    @abstractmethod
    def _fetch_parameters(self, app_id: str) -> Mapping[str, Any]:
        """The app's form from Dify, not from the cache. Raises `DuckError`."""

    def _cache_key(self, app_id: str) -> tuple[str, ...]:
        """The key of the app in the caches. Endpoints share no entries, because one process may serve several workspaces."""
        return self.endpoint_id, app_id

    def _end_user(self, app_id: str) -> Hashable:
        """Identifies Dify's end user. All callers of an app through a session are one end user."""
        return self._cache_key(app_id)

    def _checked_events(self, run: Run) -> Generator[Event]:
        has_begun = False
        progress = events.Progress(run.kind, plays_audio=self.memory.forms.plays_audio(self._cache_key(run.app_id)))
        with contextlib.closing(self._events(run)) as source:
            for event in source:
                if not events.is_event(event):
                    self._skip(event)
                    continue
                if not has_begun:
                    self._check_first(event, run)
                    self._check_conversation(event, run)
                    has_begun = True
                is_over = progress.add(event)
                yield self._with_restart(event)
                if is_over:
                    break
        if failure := progress.failure():
            yield self._with_restart(failure)
        elif not progress.has_end:
            raise failures.interrupted()

    def _stream_without_errors(self, run: Run) -> Generator[Event]:
        """The run's events, without an `error` event: its `DuckError` is raised."""
        for event in self.stream(run):
            if event["event"] == "error":
                raise failures.from_event(event, kind=run.kind)
            yield event

    def _blocking_answer(self, run: Run) -> Mapping[str, Any] | None:
        """Dify's answer to a blocking run, None for an agent. Raises `DuckError`."""
        if run.app_id in self.memory.agents:
            return None
        try:
            with self.memory.end_users.request(self._end_user(run.app_id), limits.END_USER_S):
                return self._checked_answer(run)
        except DuckError as error:
            if second_try := _with_links(run, error):
                return self._checked_answer(second_try)
            if error.code != failure_texts.BLOCKING_REFUSED:
                raise
        self.memory.agents.add(run.app_id)
        return None

    def _checked_answer(self, run: Run) -> Mapping[str, Any]:
        answer = self._answer(run)
        self._check_kind(answer, run)
        self._check_conversation(answer, run)
        return self._with_restart(answer)

    def _check_first(self, event: Event, run: Run) -> None:
        self._check_kind(event, run)
        if event["event"] == "error":
            raise failures.from_event(event, kind=run.kind, conversation_id=run.conversation_id)

    def _check_kind(self, answer: Mapping[str, Any], run: Run) -> None:
        """Raises `DuckError` for an app of another kind. Dify runs such an app, so only the ids in its answer show the kind."""
        kind = events.kind_of(answer)
        if kind:
            self.memory.kinds[run.app_id] = kind
        if kind and kind != run.kind:
            raise errors.wrong_route(run.kind, kind)

    def _check_conversation(self, answer: Mapping[str, Any], run: Run) -> None:
        """Sets `has_restarted`: since Dify 1.14.2 a chatflow that does not know the conversation silently begins another.

        Raises `DuckError` if the run is `strict`.
        """
        actual = str(answer.get("conversation_id") or run.conversation_id)
        self.has_restarted = bool(run.conversation_id) and actual.lower() != run.conversation_id
        if self.has_restarted and run.strict:
            raise failures.no_conversation()

    def _with_restart(self, event: Event) -> Event:
        return {**event, events.RESTARTED: True} if self.has_restarted and "conversation_id" in event else event

    def _skip(self, value: object) -> None:
        self.skipped += 1
        if self.skipped == 1:
            log.warning("skipped what is no event: a %s; more of the kind are only counted", type(value).__name__)


def check_size(body: Mapping[str, Any], limit: int) -> None:
    """Raises `DuckError` 413 for a body of more than `limit` bytes of JSON."""
    if (size := len(json.encode(body))) > limit:
        raise errors.too_large(size, limit)


def failure_context(run: Run) -> dict[str, Any]:
    """What `failures` needs to know of a run that has failed: keyword arguments of its functions."""
    fields = {**{f"inputs.{name}": value for name, value in run.inputs.items()}, "files": run.files}
    return {"kind": run.kind, "conversation_id": run.conversation_id, "fields": fields}


def _with_links(run: Run, error: DuckError) -> Run | None:
    """The run with links in place of its uploads, if the error says that the app may not read them; else None."""
    if run.inputs_by_url is None or not error.message.startswith(failure_texts.UPLOAD_REFUSED):
        return None
    return replace(run, inputs=run.inputs_by_url, inputs_by_url=None)


def _cannot_stop() -> DuckError:
    """The app is reached through the plugin's session, which cannot stop a run."""
    message = Text(
        "Runs of this app can be stopped once its own key is in the setting {setting}.", setting=errors.setting("app_keys")
    )
    return DuckError(400, "stop_unavailable", message, for_guests=Text("Runs of this app cannot be stopped."))
