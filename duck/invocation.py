"""The one way to an app: all that keeps callers, owners and Dify safe from each other happens here, in one order.

What comes out is a run that is ready to start; of what it gives, guests get what is theirs, and it holds a place while it lasts.
"""

import functools
from collections.abc import Collection, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from werkzeug import Response

from duck import errors, limits
from duck.callers import access, settings
from duck.dify import events, guests, service
from duck.dify.gateway import Gateway
from duck.dify.service import ServiceGateway
from duck.exchange import Exchange
from duck.runs.run import Kind, Run, RunRequest, check, upload
from duck.streams import pump
from duck.streams.format import Event, StreamFormat
from duck.streams.pump import Pump
from duck.streams.reader import Reader
from duck.streams.terms import Terms

NOT_BUFFERED = {"X-Accel-Buffering": "no"}  # nginx would hold a stream back
_AT_ONCE = 4  # requests for what apps are called


@dataclass(frozen=True, slots=True)
class Invocation:
    """A run that has passed every check."""

    run: Run
    exchange: Exchange
    dify: Gateway

    def answer(self) -> Mapping[str, Any]:
        """The run's answer in one piece, in the shape of Dify's blocking mode. Raises `DuckError`."""
        if self.run.mode == "streaming":
            return events.fold(self._collected(self._events(), blocking=False), self.run.kind)
        [answer] = self._collected(self._asking(), blocking=True)
        return guests.answer(answer) if self.exchange.caller.guest else answer

    def stream(self, writer: StreamFormat, headers: Mapping[str, str]) -> Response:
        """The run as it comes, or a blocking one as the end of a stream. Raises `DuckError` for what fails at once."""
        state, reader = self.exchange.state, self._reader(self._events(), blocking=self.run.mode == "blocking")
        body = Pump(reader, writer, self.exchange.entry, state.slots, state.clock).body()
        return Response(body, headers={**headers, **NOT_BUFFERED, **self.restarted})

    @property
    def restarted(self) -> Mapping[str, str]:
        """Says that the answer is in another conversation than that which was asked for, as far as that is known by now."""
        return {"Conversation-Restarted": "true"} if self.dify.has_restarted else {}

    def _events(self) -> Generator[Event | None]:
        source = self._closing_events() if self.run.mode == "blocking" else self.dify.stream(self.run)
        return guests.events(source) if self.exchange.caller.guest else source

    def _closing_events(self) -> Generator[Event]:
        """A blocking run as the end of a stream, so that keep-alives can go out while it works."""
        yield from events.unfold(self.dify.answer(self.run), self.run.kind)

    def _asking(self) -> Generator[Mapping[str, Any]]:
        yield self.dify.answer(self.run)

    def _collected(self, source: Generator[Event | None], *, blocking: bool) -> list[Event]:
        return pump.collect(self._reader(source, blocking=blocking), self.exchange.state.slots, self.exchange.state.clock)

    def _reader(self, source: Generator[Event | None], *, blocking: bool) -> Reader:
        terms = Terms(
            blocking=blocking,
            guest=self.exchange.caller.guest,
            silence_s=limits.BLOCKING_SILENCE_S if blocking else self.dify.silence_s,
            run_s=self.exchange.state.run_s,
            reads_on=self.dify.reads_on,
        )
        return Reader(source, self.exchange.entry, terms, self.exchange.state.clock)


def prepare(exchange: Exchange, wanted: RunRequest, dify: Gateway) -> Invocation:
    """The run that is asked for, by the app's own key or else by the plugin's session, `dify`.

    Raises `DuckError`: 403 for a page of another site, 400 that lists all that does not fit the app's form, 429 for guests.
    """
    exchange.refuse_other_sites()
    dify = gateway_for(exchange, dify, wanted.run.user)
    run = _checked(wanted, exchange, dify)
    exchange.count(dify.endpoint_id)
    if exchange.caller.guest:
        run = replace(run, user="")
    return Invocation(upload(run, dify.upload), exchange, dify)


def gateway_for(exchange: Exchange, dify: Gateway, user: str = "") -> Gateway:
    """The way to the app: by its own key, for the caller's `user`, where the owner has given one; else the plugin's session."""
    exchange.entry.dify, dify.memory = dify, exchange.state.memory
    settings = exchange.owner
    key = settings.app_keys.get(exchange.entry.app_id)
    if not key:
        return dify
    caller = exchange.caller
    user = caller.user if caller.guest else user or caller.user
    own = ServiceGateway(settings.service_url, key, endpoint_id=dify.endpoint_id, user=user, memory=dify.memory)
    exchange.entry.dify = own
    return own


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app's name, and what can be done with it. `takes_files` tells whether a chat takes files besides its inputs."""

    title: str
    description: str
    takes_files: bool
    can_stop: bool


def describe(dify: Gateway) -> App:
    """What the app is called, and what its way can do."""
    names = _names(dify.info())
    return App(title=names["name"], description=names["description"], takes_files=dify.takes_files, can_stop=dify.can_stop)


def form(exchange: Exchange, dify: Gateway) -> Mapping[str, Any]:
    """The app's form, as Dify tells it; for guests what is theirs. Raises `DuckError`."""
    dify = gateway_for(exchange, dify)
    before = functools.partial(exchange.count, dify.endpoint_id)
    whole = dify.parameters(exchange.entry.app_id, before=before)
    return guests.parameters(whole) if exchange.caller.guest else whole


def stop(exchange: Exchange, dify: Gateway, task_id: str, user: str) -> None:
    """Ends a run of the app. Raises `DuckError`."""
    exchange.count(dify.endpoint_id)
    gateway_for(exchange, dify, user).stop(task_id)


def look(exchange: Exchange, kind: Kind, dify: Gateway) -> None:
    """Finds out the app's form, for who only looks at it. Raises `DuckError` 400 for an app known to be of another kind."""
    exchange.form, _ = dify.form(exchange.entry.app_id)
    _check_kind(dify, kind)


def infos(exchange: Exchange, app_ids: Collection[str]) -> Mapping[str, Mapping[str, Any]]:
    """Name, description and kind of those of the apps that have keys of their own, by the app's id."""
    settings = exchange.owner
    keys = {app_id: key for app_id, key in settings.app_keys.items() if app_id in app_ids}
    if not keys:
        return {}

    def info(key: str) -> Mapping[str, Any]:
        user, memory = access.GUEST.user, exchange.state.memory
        return ServiceGateway(settings.service_url, key, endpoint_id="", user=user, memory=memory).info()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        fetched = zip(keys, pool.map(info, keys.values()), strict=True)
        return {app_id: {**_names(info), "kind": service.kind_in(info)} for app_id, info in fetched if info}


def _names(info: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(info.get(name) or "") for name in ("name", "description")}


def seen_kind(exchange: Exchange, app_id: str) -> Kind | None:
    """The kind of an app, if a run has shown it."""
    return exchange.state.memory.kinds.get(app_id)


def _checked(wanted: RunRequest, exchange: Exchange, dify: Gateway) -> Run:
    """The run that is asked for, if it fits the app's form. Raises `DuckError` 400 that lists all that does not."""
    owner, guest = exchange.owner, exchange.caller.guest
    presets = owner.presets if wanted.run.app_id == owner.names.get(settings.DEFAULT) else {}
    count = functools.partial(exchange.count, dify.endpoint_id)
    exchange.form, is_new = dify.form(wanted.run.app_id, before=count)
    run, faults = check(wanted, exchange.form, presets, guest=guest, takes_files=dify.takes_files)
    if exchange.form and not is_new and len(faults) > len(wanted.faults):
        exchange.form, _ = dify.form(wanted.run.app_id, anew=True, before=count)
        run, faults = check(wanted, exchange.form, presets, guest=guest, takes_files=dify.takes_files)
    if faults:
        _check_kind(dify, wanted.run.kind)
        raise errors.invalid_fields(faults)
    return run


def _check_kind(dify: Gateway, kind: Kind) -> None:
    """Raises `DuckError` 400 for an app that is known to be of another kind: what else is wrong follows from that."""
    if other := service.other_kind(dify.info(), kind):
        raise errors.wrong_route(kind, other)
