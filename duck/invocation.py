"""From a checked request to a run of an app. Faces reach Dify through this module only, so none can skip a safeguard.

`prepare` makes all checks in one order. The run that it returns takes a slot while it lasts, and guests get a filtered answer.
"""

import contextlib
import functools
import itertools
import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from werkzeug import Response

from duck import apps, errors, limits
from duck.callers.settings import DEFAULT
from duck.dify import events, guests, human_forms
from duck.dify.forwarding import Passage, Passed
from duck.dify.gateway import Gateway
from duck.errors import DuckError
from duck.exchange import Exchange, document
from duck.runs.run import Run, RunRequest, check, upload
from duck.streams import pump
from duck.streams.format import Event, StreamFormat
from duck.streams.pump import Pump
from duck.streams.reader import Reader
from duck.streams.terms import Terms

NOT_BUFFERED = {"X-Accel-Buffering": "no"}  # else nginx would buffer a stream


@dataclass(frozen=True, slots=True)
class Invocation:
    """A run that has passed every check.

    `further` gives the events of a run that was begun before; without it the run begins when it is answered.
    """

    run: Run
    exchange: Exchange
    dify: Gateway
    further: Callable[[], Generator[Event]] | None = None

    def answer(self) -> Mapping[str, Any]:
        """The run's answer in one piece, as Dify's blocking mode gives it. Raises `DuckError`."""
        if self.run.mode == "streaming":
            return self._with_forms(events.fold(self._collected(self._events(), blocking=False), self.run.kind))
        [answer] = self._collected(self._answering(), blocking=True)
        return guests.answer(answer) if self.exchange.caller.guest else self._with_forms(answer)

    def document(self) -> Response:
        """The same as a response. Raises `DuckError`."""
        response = document(self.answer())
        response.headers.update(self.restarted)
        return response

    def events(self) -> list[Event]:
        """All events of the run, once it is over: of a blocking run its last ones, of an agent the whole stream.

        Raises `DuckError`.
        """
        source = self.dify.answer_events(self.run)
        return self._collected(self._shown(source), blocking=True)

    def stream(self, writer: StreamFormat, headers: Mapping[str, str]) -> Response:
        """A response that streams the run. A blocking run is streamed as its last events, after keep-alives.

        Raises `DuckError` for a run that fails before its first event.
        """
        state, reader = self.exchange.state, self._reader(self._events(), blocking=self.run.mode == "blocking")
        body = Pump(reader, writer, self.exchange.entry, state.slots, state.clock).body()
        return Response(body, headers={**headers, **NOT_BUFFERED, **self.restarted})

    def begin(self, through: Callable[[Generator[Event]], Generator[Event]], patience_s: float = math.inf) -> Event | None:
        """Begins a run that the caller does not wait for, and returns its first event as Dify sent it. Raises `DuckError`.

        Returns None if that event has not come within `patience_s` seconds. A workflow goes on in Dify by itself, once it has
        begun. Any other run is read to its end, `through` this generator, in a slot of its own.
        """
        source, state = through(self.dify.stream(self.run)), self.exchange.state
        if self.run.kind == "workflow":
            source = _first(source)
        reader = self._reader(source, blocking=False)
        return pump.begin(reader, state.slots, state.clock, patience_s)

    @property
    def restarted(self) -> Mapping[str, str]:
        """The header that tells that Dify has begun another conversation than the requested one, if it is known by now."""
        return {"Conversation-Restarted": "true"} if self.dify.has_restarted else {}

    def _events(self) -> Generator[Event | None]:
        if self.further:
            return self._shown(self.further())
        return self._shown(self._closing_events() if self.run.mode == "blocking" else self.dify.stream(self.run))

    def _shown(self, source: Generator[Event]) -> Generator[Event | None]:
        """The events as this caller sees them."""
        if self.exchange.caller.guest:
            return guests.events(source)
        return self._naming_forms(source) if self.dify.keeps_runs else source

    def _naming_forms(self, source: Generator[Event]) -> Generator[Event]:
        with contextlib.closing(source):
            for event in source:
                yield self._with_forms(event) if event["event"] == "workflow_paused" else event

    def _with_forms(self, answer: Event) -> Event:
        """A pause with the forms that the run waits for, if callers can fill them in here: guests see none."""
        exchange = self.exchange
        if not self.dify.keeps_runs or exchange.caller.guest:
            return answer
        return human_forms.named(answer, lambda token: exchange.link("form", exchange.entry.app_id, token))

    def _closing_events(self) -> Generator[Event]:
        yield from events.unfold(self._dify_answer(), self.run.kind)

    def _answering(self) -> Generator[Mapping[str, Any]]:
        yield self._dify_answer()

    def _dify_answer(self) -> Mapping[str, Any]:
        return self.dify.answer(self.run, guests.events) if self.exchange.caller.guest else self.dify.answer(self.run)

    def _collected(self, source: Generator[Event | None], *, blocking: bool) -> list[Event]:
        return pump.collect(self._reader(source, blocking=blocking), self.exchange.state.slots, self.exchange.state.clock)

    def _reader(self, source: Generator[Event | None], *, blocking: bool) -> Reader:
        terms = Terms(
            blocking=blocking,
            guest=self.exchange.caller.guest,
            silence_s=limits.BLOCKING_SILENCE_S if blocking else self.dify.silence_s,
            run_s=self.exchange.state.run_s,
            reads_on=self.dify.reads_on and not self.further,
        )
        return Reader(source, self.exchange.entry, terms, self.exchange.state.clock)


def prepare(exchange: Exchange, wanted: RunRequest, dify: Gateway) -> Invocation:
    """Checks a request for a run and uploads its files. The app is reached by its own key if it has one, else by `dify`.

    Raises `DuckError`: 403 for a page of another site, 400 with all that does not fit the app's form, 429 for too many guests.
    """
    exchange.refuse_other_sites()
    dify = apps.gateway_for(exchange, dify, wanted.run.user)
    run = _checked(wanted, exchange, dify)
    exchange.count(dify.endpoint_id)
    if exchange.caller.guest:
        run = replace(run, user="", version="")
    exchange.state.memory.conversations.forget(run.conversation_id)
    return Invocation(upload(run, dify.upload), exchange, dify)


def rehearse(exchange: Exchange, wanted: RunRequest, dify: Gateway) -> Run:
    """The run that `prepare` would make of a request. Nothing is uploaded or run. Raises `DuckError` as `prepare` does."""
    exchange.refuse_other_sites()
    return _checked(wanted, exchange, apps.gateway_for(exchange, dify, wanted.run.user))


def remember(exchange: Exchange, digest: str, conversation_id: str) -> None:
    """Remembers a conversation by a digest of all that was said in it."""
    exchange.state.memory.conversations.put(digest, conversation_id)


def recall(exchange: Exchange, digest: str) -> str | None:
    """The conversation in which this was said, once; None if it is not known."""
    return exchange.state.memory.conversations.take(digest)


def stop(exchange: Exchange, dify: Gateway, task_id: str, user: str) -> None:
    """Stops a run of the app. Raises `DuckError`."""
    exchange.count(dify.endpoint_id)
    apps.gateway_for(exchange, dify, user).stop(task_id)


def forward(exchange: Exchange, dify: Gateway, read: Callable[[], Passage]) -> Passed:
    """Passes a request on to Dify by the app's own key, for holders of a key. `read` is called once the caller may send it.

    Raises `DuckError`: 403 for a page of another site, 404 for guests and for an app without its own key.
    """
    gateway, passage = _passing(exchange, dify, read)
    return gateway.forward(passage)


def forward_events(exchange: Exchange, dify: Gateway, read: Callable[[], Passage], writer: StreamFormat) -> Response:
    """The same for a request that Dify answers with events: a response that streams them."""
    gateway, passage = _passing(exchange, dify, read)
    state = exchange.state
    terms = Terms(blocking=False, silence_s=gateway.silence_s, run_s=state.run_s)
    reader = Reader(gateway.forward_events(passage), exchange.entry, terms, state.clock)
    body = Pump(reader, writer, exchange.entry, state.slots, state.clock).body()
    return Response(body, headers={**writer.headers, **NOT_BUFFERED})


def _first(stream: Generator[Event]) -> Generator[Event]:
    """The first event of a stream, which is closed then."""
    with contextlib.closing(stream):
        yield from itertools.islice(stream, 1)


def _passing(exchange: Exchange, dify: Gateway, read: Callable[[], Passage]) -> tuple[Gateway, Passage]:
    exchange.refuse_other_sites()
    if exchange.caller.guest:  # costs Dify nothing, and so is not counted
        raise DuckError(404, "not_found", _NOTHING_KEPT)
    passage = read()
    return apps.gateway_for(exchange, dify, passage.user), passage


_NOTHING_KEPT = "Callers without a key can run this app. They get nothing that Dify keeps: no files, conversations or logs."


def _checked(wanted: RunRequest, exchange: Exchange, dify: Gateway) -> Run:
    """The requested run, checked against the app's form. Raises `DuckError` 400 with all faults.

    A cached form may be out of date, so it is fetched anew before anything is refused by it.
    """
    settings, guest = exchange.settings, exchange.caller.guest
    presets = settings.presets if wanted.run.app_id == settings.names.get(DEFAULT) else {}
    count = functools.partial(exchange.count, dify.endpoint_id)
    exchange.form, is_new = dify.form(wanted.run.app_id, before=count)
    run, faults = check(wanted, exchange.form, presets, guest=guest, takes_files=dify.takes_files)
    if exchange.form and not is_new and len(faults) > len(wanted.faults):
        exchange.form, _ = dify.form(wanted.run.app_id, anew=True, before=count)
        run, faults = check(wanted, exchange.form, presets, guest=guest, takes_files=dify.takes_files)
    if faults:
        apps.check_kind(exchange, dify, wanted.run.kind)
        raise errors.invalid_fields(faults)
    return run
